//! What goes wrong, and when.

use std::io;

use nix::errno::Errno;

use super::super::memory::os;
use super::SimDisk;
use super::rng::Rng;

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The device fails.
    Eio,
    /// No room.
    Enospc,
    /// Too many open files.
    Emfile,
    /// A write leaves a part behind, then the device fails. Anything else just fails.
    ShortWrite,
}

/// A planned failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// Whether every later operation fails too.
    pub(crate) sticky: bool,
}

impl Fault {
    pub(crate) fn once(kind: FaultKind) -> Self {
        Self { kind, sticky: false }
    }

    pub(crate) fn for_good(kind: FaultKind) -> Self {
        Self { kind, sticky: true }
    }

    pub(super) fn error(self) -> io::Error {
        os(match self.kind {
            FaultKind::Eio | FaultKind::ShortWrite => Errno::EIO,
            FaultKind::Enospc => Errno::ENOSPC,
            FaultKind::Emfile => Errno::EMFILE,
        })
    }
}

/// The disk's plan and count. One mutex holds it, taken for the whole of each operation: so a crash finds a
/// moment between operations.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) operations: u64,
    pub(super) rng: Rng,
    /// Faults with the number of the operation they hit.
    pub(super) faults: Vec<(u64, Fault)>,
    pub(super) crash_at: Option<u64>,
    /// Nothing can be read past the cache.
    pub(super) no_direct_reads: bool,
    /// The disk as the crash left it, if there was one.
    pub(super) frozen: Option<SimDisk>,
}

/// What happens to an operation.
#[derive(Debug)]
pub(super) enum Step {
    Works,
    Fails(Fault),
    /// The process dies in this operation.
    Crashes,
    /// It died before.
    Dead,
}

impl Control {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            operations: 0,
            rng: Rng::new(seed),
            faults: Vec::new(),
            crash_at: None,
            no_direct_reads: false,
            frozen: None,
        }
    }

    /// Counts an operation and says what becomes of it.
    pub(super) fn step(&mut self) -> Step {
        if self.frozen.is_some() {
            return Step::Dead;
        }
        self.operations += 1;
        let now = self.operations;
        if self.crash_at.is_some_and(|at| now >= at) {
            return Step::Crashes;
        }
        let hit = |(at, fault): &&(u64, Fault)| *at == now || (fault.sticky && *at < now);
        self.faults.iter().find(hit).map_or(Step::Works, |(_, fault)| Step::Fails(*fault))
    }
}

pub(super) fn crash_error() -> io::Error {
    io::Error::other("the simulated process is dead")
}
