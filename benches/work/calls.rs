//! Counts the system calls of this process with `perf stat`, where there is one that may.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Result;

const EVENT: &str = "raw_syscalls:sys_enter";

/// A `perf stat` beside this process. It counts only while it is told to.
#[derive(Debug)]
pub(crate) struct Counter {
    perf: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Counter {
    /// Not there, or not allowed: an error.
    pub(crate) fn attach() -> Result<Self> {
        let mut perf = Command::new("perf")
            .args(["stat", "-x,", "-e", EVENT, "-D", "-1", "--control", "fd:0,1", "-p"])
            .arg(std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (Some(orders), Some(answers)) = (perf.stdin.take(), perf.stdout.take()) else {
            return Err("perf has no pipes".into());
        };
        let mut counter = Self { perf, orders, answers: BufReader::new(answers) };
        // It answers only when it is attached.
        counter.disable()?;
        Ok(counter)
    }

    pub(crate) fn enable(&mut self) -> Result<()> {
        self.order("enable\n")
    }

    pub(crate) fn disable(&mut self) -> Result<()> {
        self.order("disable\n")
    }

    fn order(&mut self, order: &str) -> Result<()> {
        self.orders.write_all(order.as_bytes())?;
        let mut answer = Vec::new();
        self.answers.read_until(b'\n', &mut answer)?;
        if answer.ends_with(b"ack\n") { Ok(()) } else { Err("perf does not answer".into()) }
    }

    /// How many calls there were while it counted.
    pub(crate) fn finish(mut self) -> Result<u64> {
        kill(Pid::from_raw(i32::try_from(self.perf.id())?), Signal::SIGINT)?;
        let mut text = String::new();
        if let Some(mut out) = self.perf.stderr.take() {
            out.read_to_string(&mut text)?;
        }
        self.perf.wait()?;
        let line = text.lines().find(|l| l.contains(EVENT)).ok_or("perf counted nothing")?;
        let count = line.split(',').next().unwrap_or_default();
        count.parse().map_err(|_| format!("perf says {count}").into())
    }
}

/// Whether calls can be counted here; why not, if not.
pub(crate) fn available() -> Result<()> {
    let mut counter = Counter::attach()?;
    counter.enable()?;
    counter.disable()?;
    counter.finish().map(drop)
}
