//! The clock, and what the kernel counts meanwhile.

use std::cell::RefCell;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::Result;
use crate::calls::Counter;

/// What the timed part of a turn took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) time: Duration,
    /// Context switches of all threads of the process, wanted or not.
    pub(crate) switches: u64,
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.time += other.time;
        self.switches += other.switches;
    }
}

/// Runs from `start` to `stop`.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    counter: &'a RefCell<Option<Counter>>,
    switches: u64,
    start: Instant,
}

impl<'a> Meter<'a> {
    /// The clock is read last. With a counter of system calls, that one counts from here too.
    pub(crate) fn start(counter: &'a RefCell<Option<Counter>>) -> Result<Self> {
        if let Some(counter) = counter.borrow_mut().as_mut() {
            counter.enable()?;
        }
        let switches = switches()?;
        Ok(Self { counter, switches, start: Instant::now() })
    }

    /// The clock is read first.
    pub(crate) fn stop(self) -> Result<Spent> {
        let time = self.start.elapsed();
        self.stopped_after(time)
    }

    /// As `stop`, where the end was seen by another thread.
    pub(crate) fn stopped_after(self, time: Duration) -> Result<Spent> {
        let switches = switches()?.saturating_sub(self.switches);
        if let Some(counter) = self.counter.borrow_mut().as_mut() {
            counter.disable()?;
        }
        Ok(Spent { time, switches })
    }

    /// When it was started.
    pub(crate) const fn started(&self) -> Instant {
        self.start
    }
}

/// Context switches of this process so far.
fn switches() -> Result<u64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(u64::try_from(usage.voluntary_context_switches() + usage.involuntary_context_switches())?)
}
