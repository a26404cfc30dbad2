//! A process that fills a store and is killed: the only honest way to leave one behind unclosed.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::settings::BE_KILLED;
use crate::store::{BYTES, fill, never_flushed};

const READY: &str = "filled";

/// In the child: sends messages, says so, and waits. Should the parent die first, it ends by itself.
pub(crate) fn fill_and_wait(dir: &Path, messages: u64) -> Result<()> {
    let queue = never_flushed().open(dir)?;
    fill(&queue.producer(BYTES)?, messages)?;
    println!("{READY}");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// In the parent: has a child fill a store, and kills it.
pub(crate) fn kill_after(dir: &Path, messages: u64) -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(BE_KILLED)
        .arg(dir)
        .arg(messages.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    child.kill()?;
    let status = child.wait()?;
    if line.trim() == READY { Ok(()) } else { Err(format!("the child failed: {status}").into()) }
}
