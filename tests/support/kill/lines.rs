//! What a child says.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};

/// The lines of its standard error, as they come; what it was writing when it died is no line.
pub(crate) fn lines_of(child: &mut Child) -> Receiver<String> {
    let mut output = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) {
            line.pop();
            if sender.send(std::mem::take(&mut line)).is_err() {
                break;
            }
        }
    });
    lines
}
