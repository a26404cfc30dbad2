//! `commitlog`: an append-only log with a checksum and an index entry for each message. It never syncs: its `flush` does nothing for the
//! messages.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use commitlog::message::{MessageBuf, MessageSet};
use commitlog::{CommitLog, LogOptions, ReadLimit};

use crate::Result;
use crate::peer::{Living, Log, Peer, Plan, Seeing, Tail, Writing};

pub(crate) struct Commitlog;

/// What is read at once.
const READ: usize = 256 << 10;

impl Peer for Commitlog {
    fn name(&self) -> &'static str {
        "commitlog"
    }

    fn durable(&self) -> Option<&'static str> {
        None
    }

    fn reads_checked(&self) -> bool {
        true
    }

    fn write(&self, dir: &Path, _: Plan, work: &mut Writing<'_>) -> Result<()> {
        work(&mut CommitLog::new(LogOptions::new(dir))?)
    }

    fn read(&self, dir: &Path, _: Plan, seen: &mut Seeing<'_>) -> Result<()> {
        let log = CommitLog::new(LogOptions::new(dir))?;
        let mut at = 0;
        while next(&log, &mut at, seen)? > 0 {}
        Ok(())
    }

    fn live(&self, dir: &Path, _: Plan, work: &mut Living<'_>) -> Result<()> {
        let log = Mutex::new(CommitLog::new(LogOptions::new(dir))?);
        work(&mut &log, &mut Following { log: &log, at: 0 })
    }
}

/// Shows what one read yields, which is checked then, and moves `at` behind it.
fn next(log: &CommitLog, at: &mut u64, seen: &mut Seeing<'_>) -> Result<usize> {
    let messages = log.read(*at, ReadLimit::max_bytes(READ)).map_err(|e| e.to_string())?;
    for message in messages.iter() {
        seen(message.payload());
    }
    *at += messages.len() as u64;
    Ok(messages.len())
}

impl Log for CommitLog {
    fn append(&mut self, body: &[u8]) -> Result<()> {
        self.append_msg(body).map_err(|e| e.to_string())?;
        Ok(())
    }

    fn append_many(&mut self, body: &[u8], count: u64) -> Result<()> {
        let mut messages = MessageBuf::default();
        for _ in 0..count {
            messages.push(body).map_err(|e| format!("{e:?}"))?;
        }
        CommitLog::append(self, &mut messages).map_err(|e| e.to_string())?;
        Ok(())
    }
}

/// It has no lock of its own, so one that writes and one that reads need one.
impl Log for &Mutex<CommitLog> {
    fn append(&mut self, body: &[u8]) -> Result<()> {
        Log::append(&mut *self.lock().unwrap_or_else(PoisonError::into_inner), body)
    }

    fn append_many(&mut self, body: &[u8], count: u64) -> Result<()> {
        self.lock().unwrap_or_else(PoisonError::into_inner).append_many(body, count)
    }
}

struct Following<'a> {
    log: &'a Mutex<CommitLog>,
    at: u64,
}

impl Tail for Following<'_> {
    fn next(&mut self, _: usize, seen: &mut Seeing<'_>) -> Result<usize> {
        next(&self.log.lock().unwrap_or_else(PoisonError::into_inner), &mut self.at, seen)
    }
}
