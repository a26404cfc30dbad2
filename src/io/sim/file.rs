//! An open file of the simulated disk.

use std::io;

use nix::errno::Errno;

use super::super::memory::os;
use super::super::{Eviction, LockGuard, MapAccess, Mapping, StoreFile};
use super::faults::{FaultKind, Step, crash_error};
use super::inode::{FileState, Inode};
use super::{Core, SimDisk};
use crate::sync::{Arc, MutexGuard, Ordering};

#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) inode: Arc<Inode>,
    pub(super) writable: bool,
}

impl SimFile {
    /// One counted operation on the file.
    fn with<T>(&self, act: impl FnOnce(&mut FileState) -> io::Result<T>) -> io::Result<T> {
        let _control = self.disk.0.enter()?;
        act(&mut self.inode.file.lock())
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(os(Errno::EBADF)) }
    }

    fn state(&self) -> MutexGuard<'_, FileState> {
        self.inode.file.lock()
    }
}

impl StoreFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let _control = self.disk.0.look()?;
        Ok(self.state().live.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.with(|file| file.live.set_len(len))
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.with(|file| file.live.allocate(offset, len))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.with(|file| file.live.read(offset, buf))
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_writable()?;
        let core: &Core = &self.disk.0;
        let mut control = core.control.lock();
        let step = control.step();
        let torn = matches!(&step, Step::Fails(fault) if fault.kind == FaultKind::ShortWrite);
        if torn || matches!(step, Step::Crashes) {
            let len = control.rng.up_to(data.len());
            // Even the part may find no room; the operation has failed either way.
            drop(self.state().write(offset, data.get(..len).unwrap_or(data)));
        }
        match step {
            Step::Works => self.state().write(offset, data),
            Step::Fails(fault) => Err(fault.error()),
            Step::Crashes => Err(core.crash(&mut control)),
            Step::Dead => Err(crash_error()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let core: &Core = &self.disk.0;
        let mut control = core.control.lock();
        match control.step() {
            Step::Works => self.state().sync(),
            Step::Fails(fault) => {
                self.state().lose_dirty()?;
                Err(fault.error())
            }
            Step::Crashes => Err(core.crash(&mut control)),
            Step::Dead => Err(crash_error()),
        }
    }

    fn map(&self, offset: u64, len: usize, access: MapAccess) -> io::Result<Mapping> {
        if access == MapAccess::Write && !self.writable {
            return Err(os(Errno::EACCES));
        }
        let _control = self.disk.0.look()?;
        self.state().map(offset, len, access)
    }

    fn evict(&self) -> io::Result<Eviction> {
        self.sync()?;
        self.state().evict()
    }

    fn read_direct(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let control = self.disk.0.enter()?;
        if control.no_direct_reads {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.state().read_direct(offset, buf)
    }
}

#[derive(Debug)]
pub(super) struct SimLock(pub(super) Arc<Inode>);

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}
