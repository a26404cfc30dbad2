//! A disk for tests: deterministic, in memory, and as unkind as real ones are allowed to be.
//!
//! Three states of each file: what programs see (`live`), what the kernel believes to be on disk (`clean`) and what
//! is (`disk`); two of each folder: the names seen and the names sure to survive. [`SimDisk::kill_image`] and
//! [`SimDisk::power_image`] make the disk that the next process finds. Any operation can be made to fail
//! ([`SimDisk::fail_at`]) or be the process's last ([`SimDisk::crash_at`]).
//!
//! Kinder than a real disk in one way: of a place written twice since its last sync, a power cut leaves the first
//! or the last state, never one between, unless [`SimDisk::write_back`] put it on the disk meanwhile.

mod faults;
mod file;
mod image;
mod inode;
mod rng;
mod tests;
mod tree;

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

pub(crate) use faults::{Fault, FaultKind};

use super::disk::not_a_file;
use super::memory::{BLOCK, Budget, os};
use super::{Entry, EntryKind, LockGuard, OpenMode, Storage, StoreFile};
use crate::sync::{Arc, Mutex, MutexGuard, Ordering};
use faults::{Control, Step, crash_error};
use file::{SimFile, SimLock};
use inode::{FileState, Inode};
use rng::{Rng, Survival};
use tree::{Dir, Node};

/// The simulated disk. Clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct SimDisk(Arc<Core>);

#[derive(Debug)]
struct Core {
    seed: u64,
    root: Arc<Dir>,
    budget: Arc<Budget>,
    /// Always locked before anything in the tree.
    control: Mutex<Control>,
}

impl Core {
    fn new(seed: u64, root: Arc<Dir>, budget: Arc<Budget>) -> Self {
        Self { seed, root, budget, control: Mutex::new(Control::new(seed)) }
    }

    /// Counts an operation, and fails if it shall.
    fn enter(&self) -> io::Result<MutexGuard<'_, Control>> {
        let mut control = self.control.lock();
        match control.step() {
            Step::Works => Ok(control),
            Step::Fails(fault) => Err(fault.error()),
            Step::Crashes => Err(self.crash(&mut control)),
            Step::Dead => Err(crash_error()),
        }
    }

    /// What is not counted fails only in a dead process.
    fn look(&self) -> io::Result<MutexGuard<'_, Control>> {
        let control = self.control.lock();
        if control.frozen.is_some() { Err(crash_error()) } else { Ok(control) }
    }

    /// The process dies here: whatever its threads still write to mapped memory counts no more.
    fn crash(&self, control: &mut Control) -> io::Error {
        match self.killed() {
            Ok(disk) => control.frozen = Some(disk),
            Err(error) => return error,
        }
        crash_error()
    }

    fn killed(&self) -> io::Result<SimDisk> {
        let budget = Arc::new(Budget::new(Some(self.budget.limit())));
        let root = image::kill(&self.root, &budget)?;
        Ok(SimDisk(Arc::new(Self::new(self.seed, root, budget))))
    }

    fn without_power(&self, seed: u64) -> io::Result<SimDisk> {
        let budget = Arc::new(Budget::new(Some(self.budget.limit())));
        let root = image::power_cut(&self.root, &budget, &mut Survival::new(seed))?;
        Ok(SimDisk(Arc::new(Self::new(seed, root, budget))))
    }
}

impl SimDisk {
    /// An empty disk without a limit.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Core::new(seed, Arc::default(), Arc::new(Budget::new(None)))))
    }

    /// Lets the `n`-th operation from now fail; 1 is the next. Every call counts but `len`, `map` and `is_locked`;
    /// `evict` counts as the sync that it begins with.
    pub(crate) fn fail_at(&self, n: u64, fault: Fault) {
        let mut control = self.0.control.lock();
        let at = control.operations + n.max(1);
        control.faults.push((at, fault));
    }

    /// Ends all failures, sticky ones and planned ones. What they lost stays lost.
    pub(crate) fn heal(&self) {
        self.0.control.lock().faults.clear();
    }

    /// Lets the process die in the `n`-th operation from now; 1 is the next. That operation and all later ones
    /// fail; a dying write may have left a part behind. Images then show the disk as of that moment.
    pub(crate) fn crash_at(&self, n: u64) {
        let mut control = self.0.control.lock();
        control.crash_at = Some(control.operations + n.max(1));
    }

    /// Makes this a file system that cannot read past its cache.
    pub(crate) fn forbid_direct_reads(&self) {
        self.0.control.lock().no_direct_reads = true;
    }

    /// Whether the process died.
    pub(crate) fn is_crashed(&self) -> bool {
        self.0.control.lock().frozen.is_some()
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> u64 {
        self.0.control.lock().operations
    }

    /// Limits the disk to so many bytes, counted in blocks of 4096 that were allocated or written to.
    /// Writes through a mapping cannot fail and are not counted: see [`SimDisk::writes_into_holes`].
    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        self.0.budget.set_limit(bytes.unwrap_or(u64::MAX));
    }

    /// Bytes in allocated blocks.
    pub(crate) fn used(&self) -> u64 {
        self.0.budget.used()
    }

    /// The disk as a killed process leaves it: everything written is there, through mappings too. Locks are free.
    pub(crate) fn kill_image(&self) -> Self {
        let control = self.0.control.lock();
        let core = control.frozen.as_ref().map_or(&self.0, |disk| &disk.0);
        core.killed().expect("memory for an image")
    }

    /// The disk as a power cut leaves it: of what was not synced, `seed` decides what is there.
    pub(crate) fn power_image(&self, seed: u64) -> Self {
        let control = self.0.control.lock();
        let core = control.frozen.as_ref().map_or(&self.0, |disk| &disk.0);
        core.without_power(seed).expect("memory for an image")
    }

    /// Lets the kernel write back some dirty pages on its own, as it may at any time.
    pub(crate) fn write_back(&self, seed: u64) {
        let _control = self.0.control.lock();
        let mut rng = Rng::new(seed);
        for (_, inode) in self.0.root.all_files() {
            let done = inode.file.lock().write_back(|_| rng.coin(), false);
            done.expect("memory for a copy");
        }
    }

    /// A file's content as programs see it.
    pub(crate) fn read_file(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let _control = self.0.control.lock();
        let inode = self.0.root.find_file(path.as_ref()).ok()?;
        let bytes = inode.file.lock().live.bytes();
        bytes.ok()
    }

    /// Puts a file there, with its folders, all of it durable. Not an operation.
    pub(crate) fn write_file(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let _control = self.0.control.lock();
        self.put(path.as_ref(), bytes).expect("a place for the file");
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.root.create_all(path.parent().unwrap_or(path))?;
        let mut file = FileState::new(&self.0.budget)?;
        file.write(0, bytes)?;
        file.sync()?;
        let (dir, name) = self.0.root.parent(path)?;
        dir.insert(name, Node::File(Inode::new(file)));
        dir.0.lock().sync();
        Ok(())
    }

    /// Flips one bit of a file, counted from the lowest of the first byte, on the medium and in what is seen of it.
    pub(crate) fn flip_bit(&self, path: impl AsRef<Path>, bit: u64) {
        let _control = self.0.control.lock();
        let inode = self.0.root.find_file(path.as_ref()).expect("the file");
        let flipped = inode.file.lock().flip_bit(bit);
        flipped.expect("the bit");
    }

    /// All files with their lengths, in order.
    pub(crate) fn list_all(&self) -> Vec<(PathBuf, u64)> {
        let _control = self.0.control.lock();
        let len = |inode: Arc<Inode>| inode.file.lock().live.len() as u64;
        self.0.root.all_files().into_iter().map(|(path, inode)| (path, len(inode))).collect()
    }

    /// Places written through a mapping without being allocated before, by file and offset: on a real, full disk
    /// each would have ended the process. Knows only of those that are still dirty.
    pub(crate) fn writes_into_holes(&self) -> Vec<(PathBuf, u64)> {
        let _control = self.0.control.lock();
        let mut found = Vec::new();
        for (path, inode) in self.0.root.all_files() {
            let blocks = inode.file.lock().writes_into_holes().expect("memory for a copy");
            found.extend(blocks.iter().map(|&block| (path.clone(), block as u64 * BLOCK)));
        }
        found
    }

    fn new_file(&self, path: &Path) -> io::Result<Arc<Inode>> {
        let (dir, name) = self.0.root.parent(path)?;
        let inode = Inode::new(FileState::new(&self.0.budget)?);
        dir.insert(name, Node::File(Arc::clone(&inode)));
        Ok(inode)
    }
}

impl Storage for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoreFile>> {
        let _control = self.0.enter()?;
        let inode = match (self.0.root.find(path), mode) {
            (Ok(_), OpenMode::CreateNew) => return Err(os(Errno::EEXIST)),
            (Ok(Node::Dir(_)), _) => return Err(not_a_file("a folder")),
            (Ok(Node::File(inode)), _) => inode,
            (Err(error), OpenMode::CreateNew) if error.kind() == io::ErrorKind::NotFound => {
                self.new_file(path)?
            }
            (Err(error), _) => return Err(error),
        };
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, writable }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let _control = self.0.enter()?;
        let dir = self.0.root.find_dir(dir)?;
        let names = dir.0.lock();
        let entry = |(name, node): (&String, &Node)| match node {
            Node::Dir(_) => Entry { name: name.clone(), kind: EntryKind::Dir, len: 0 },
            Node::File(inode) => Entry {
                name: name.clone(),
                kind: EntryKind::File,
                len: inode.file.lock().live.len() as u64,
            },
        };
        Ok(names.live.iter().map(entry).collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let _control = self.0.enter()?;
        self.0.root.create_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _control = self.0.enter()?;
        self.0.root.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let _control = self.0.enter()?;
        self.0.root.remove(path, true)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let _control = self.0.enter()?;
        self.0.root.remove(path, false)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let _control = self.0.enter()?;
        self.0.root.find_dir(dir)?.0.lock().sync();
        Ok(())
    }

    fn sync_all(&self, root: &Path) -> io::Result<()> {
        let mut control = self.0.control.lock();
        let step = control.step();
        match step {
            Step::Crashes => return Err(self.0.crash(&mut control)),
            Step::Dead => return Err(crash_error()),
            Step::Works | Step::Fails(_) => {}
        }
        self.0.root.find_dir(root)?;
        // The whole file system, as the real call does.
        for (_, inode) in self.0.root.all_files() {
            let mut file = inode.file.lock();
            if let Step::Fails(_) = step { file.lose_dirty()? } else { file.sync()? }
        }
        if let Step::Fails(fault) = step {
            return Err(fault.error());
        }
        for dir in self.0.root.all_dirs() {
            dir.0.lock().sync();
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        let _control = self.0.enter()?;
        let inode = match self.0.root.find_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.new_file(path)?,
            found => found?,
        };
        if inode.locked.swap(true, Ordering::AcqRel) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock(inode)))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let _control = self.0.look()?;
        match self.0.root.find_file(path) {
            Ok(inode) => Ok(inode.locked.load(Ordering::Acquire)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
