//! What is asked of a peer.

use std::path::Path;

use crate::Result;

/// What a log is opened for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// `append` and `append_many` return when a power cut takes nothing away any more.
    pub(crate) durable: bool,
    /// No more than these come; for peers that must know.
    pub(crate) messages: u64,
    pub(crate) body: u64,
}

/// A crate that keeps messages in a directory. Those that borrow from what they opened are why work comes as a closure.
pub(crate) trait Peer: Sync {
    fn name(&self) -> &'static str;

    /// How it makes messages durable, or `None` if it cannot.
    fn durable(&self) -> Option<&'static str>;

    /// What must be known about its figures where it is not durable; may be empty.
    fn remark(&self) -> &'static str {
        ""
    }

    /// Whether reading would notice a byte that changed on the disk.
    fn reads_checked(&self) -> bool {
        false
    }

    /// Whether 50 000 messages a second are well within its reach.
    fn keeps_pace(&self) -> bool {
        true
    }

    /// Opens or creates, lets `work` write, and closes.
    fn write(&self, dir: &Path, plan: Plan, work: &mut Writing<'_>) -> Result<()>;

    /// Opens what was written and closed, and shows every message, in order.
    fn read(&self, dir: &Path, plan: Plan, seen: &mut Seeing<'_>) -> Result<()>;

    /// Lets `work` write and read at once.
    fn live(&self, dir: &Path, plan: Plan, work: &mut Living<'_>) -> Result<()>;
}

pub(crate) type Writing<'a> = dyn FnMut(&mut dyn Log) -> Result<()> + 'a;
pub(crate) type Seeing<'a> = dyn FnMut(&[u8]) + 'a;
pub(crate) type Living<'a> = dyn FnMut(&mut dyn Log, &mut dyn Tail) -> Result<()> + 'a;
pub(crate) type Working<'a> = dyn FnMut(&mut dyn Jobs) -> Result<()> + 'a;

/// The writing end.
pub(crate) trait Log: Send {
    fn append(&mut self, body: &[u8]) -> Result<()>;

    /// The same body so often, in whatever the peer has for many at once.
    fn append_many(&mut self, body: &[u8], count: u64) -> Result<()>;

    /// Another handle to the same log, for another thread. Where there is none, threads share one behind a lock.
    fn another(&self) -> Option<Box<dyn Log>> {
        None
    }
}

/// The reading end while somebody writes.
pub(crate) trait Tail: Send {
    /// Shows up to `max` of the next messages that are there, without waiting for more. Returns how many.
    fn next(&mut self, max: usize, seen: &mut Seeing<'_>) -> Result<usize>;
}

/// A crate that people make job queues of.
pub(crate) trait JobPeer: Sync {
    fn name(&self) -> &'static str;

    fn work(&self, dir: &Path, work: &mut Working<'_>) -> Result<()>;
}

/// A queue of jobs: the first that nobody has is taken, and gone once it is acknowledged.
pub(crate) trait Jobs {
    fn send(&mut self, body: &[u8]) -> Result<()>;

    /// The job's identity, or `None` if there is none.
    fn take(&mut self) -> Result<Option<u64>>;

    fn ack(&mut self, job: u64) -> Result<()>;
}
