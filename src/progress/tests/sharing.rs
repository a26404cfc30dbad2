//! Many who wait share one sync.

use std::io;

use super::*;
use crate::io::{Entry, Eviction, LockGuard, MapAccess, Mapping, StoreFile};
use crate::sync::{Condvar, Mutex};

/// How syncs go: closed, they wait.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<(bool, usize)>,
    moved: Condvar,
}

impl Gate {
    fn set(&self, closed: bool) {
        self.state.lock().0 = closed;
        self.moved.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock();
        state.1 += 1;
        self.moved.notify_all();
        self.moved.wait_while(&mut state, |(closed, _)| *closed);
    }

    fn wait_for_syncs(&self, count: usize) {
        self.moved.wait_while(&mut self.state.lock(), |(_, syncs)| *syncs < count);
    }
}

#[derive(Debug)]
struct Gated<T>(T, Arc<Gate>);

impl Storage for Gated<Memory> {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoreFile>> {
        Ok(Arc::new(Gated(self.0.open(path, mode)?, Arc::clone(&self.1))))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir_all(dir)
    }
    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        self.0.make_dirs(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn sync_all(&self, root: &Path) -> io::Result<()> {
        self.0.sync_all(root)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.0.lock(path)
    }
    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.0.is_locked(path)
    }
}

impl StoreFile for Gated<Arc<dyn StoreFile>> {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.0.allocate(offset, len)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
    fn sync(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync()
    }
    fn map(&self, offset: u64, len: usize, access: MapAccess) -> io::Result<Mapping> {
        self.0.map(offset, len, access)
    }
    fn evict(&self) -> io::Result<Eviction> {
        self.0.evict()
    }
    fn read_direct(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_direct(offset, buf)
    }
}

#[test]
fn callers_that_come_while_a_sync_runs_share_the_next_one_and_acks_wait_for_none() {
    let gate = Arc::new(Gate::default());
    let memory = Memory::new(None);
    memory.create_dir_all(Path::new(DIR)).unwrap();
    let progress = begin(&(Arc::new(Gated(memory, Arc::clone(&gate))) as _), 1, sample());
    let cursor = progress.cursor("billing", "orders", 3).unwrap();
    let before = gate.state.lock().1;
    gate.set(true);
    std::thread::scope(|scope| {
        let progress = &progress;
        scope.spawn(move || progress.add_group("first").unwrap());
        gate.wait_for_syncs(before + 1);
        for n in 0..6 {
            scope.spawn(move || progress.add_group(&format!("later{n}")).unwrap());
        }
        while progress.snapshot_state().groups.len() < 2 + 1 + 6 {
            std::thread::yield_now();
        }
        assert_eq!(progress.ack(&cursor, 0..1).unwrap(), 1);
        gate.set(false);
    });
    assert_eq!(gate.state.lock().1, before + 2);
}
