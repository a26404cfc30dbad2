//! Storage without a disk: a tree of names over plain memory. Nothing survives the process, so syncs do nothing.

mod content;

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

#[cfg(test)]
pub(in crate::io) use content::BLOCK;
pub(in crate::io) use content::{Budget, Content};

use super::disk::not_a_file;
use super::{
    Entry, EntryKind, Eviction, LockGuard, MapAccess, Mapping, OpenMode, Storage, StoreFile,
};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

/// A file system in memory, optionally with a budget.
///
/// The budget counts blocks that were allocated or written to; a file gives its blocks back when it is removed
/// and its last handle dropped.
#[derive(Debug)]
pub(crate) struct Memory {
    budget: Arc<Budget>,
    /// Everything but the root, by path from there. Invariant: each entry's parent is a `Dir`, or the root.
    tree: Mutex<BTreeMap<PathBuf, Node>>,
}

#[derive(Debug, Clone)]
enum Node {
    Dir,
    File(Arc<Inode>),
}

#[derive(Debug)]
struct Inode {
    content: Mutex<Content>,
    locked: AtomicBool,
}

impl Memory {
    /// With room for `budget` bytes, or as much as there is.
    pub(crate) fn new(budget: Option<u64>) -> Self {
        Self { budget: Arc::new(Budget::new(budget)), tree: Mutex::new(BTreeMap::new()) }
    }

    fn new_file(
        &self,
        tree: &mut BTreeMap<PathBuf, Node>,
        path: PathBuf,
    ) -> io::Result<Arc<Inode>> {
        parent_is_dir(tree, &path)?;
        let content = Mutex::new(Content::new(Arc::clone(&self.budget))?);
        let inode = Arc::new(Inode { content, locked: AtomicBool::new(false) });
        tree.insert(path, Node::File(Arc::clone(&inode)));
        Ok(inode)
    }
}

impl Storage for Memory {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoreFile>> {
        let path = key(path)?;
        let mut tree = self.tree.lock();
        let inode = match (node(&tree, &path), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(os(Errno::EEXIST)),
            (Some(Node::Dir), _) => return Err(not_a_file("a folder")),
            (Some(Node::File(inode)), _) => inode,
            (None, OpenMode::CreateNew) => self.new_file(&mut tree, path)?,
            (None, _) => return Err(os(Errno::ENOENT)),
        };
        Ok(Arc::new(MemoryFile { inode, writable: mode != OpenMode::Read }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let dir = key(dir)?;
        let tree = self.tree.lock();
        match node(&tree, &dir) {
            Some(Node::Dir) => {}
            Some(Node::File(_)) => return Err(os(Errno::ENOTDIR)),
            None => return Err(os(Errno::ENOENT)),
        }
        let children = below(&tree, &dir).filter(|(path, _)| path.parent() == Some(&dir));
        Ok(children.filter_map(|(path, node)| entry(path, node)).collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let dir = key(dir)?;
        let mut tree = self.tree.lock();
        let mut path = PathBuf::new();
        for name in &dir {
            path.push(name);
            match node(&tree, &path) {
                Some(Node::Dir) => {}
                Some(Node::File(_)) => return Err(os(Errno::ENOTDIR)),
                None => drop(tree.insert(path.clone(), Node::Dir)),
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (key(from)?, key(to)?);
        let mut tree = self.tree.lock();
        let moved = tree.get(&from).cloned().ok_or_else(|| os(Errno::ENOENT))?;
        parent_is_dir(&tree, &to)?;
        if from == to {
            return Ok(());
        }
        if to.starts_with(&from) {
            return Err(os(Errno::EINVAL));
        }
        match (&moved, node(&tree, &to)) {
            (_, None) | (Node::File(_), Some(Node::File(_))) => {}
            (Node::File(_), Some(Node::Dir)) => return Err(os(Errno::EISDIR)),
            (Node::Dir, Some(Node::File(_))) => return Err(os(Errno::ENOTDIR)),
            (Node::Dir, Some(Node::Dir)) if below(&tree, &to).next().is_none() => {}
            (Node::Dir, Some(Node::Dir)) => return Err(os(Errno::ENOTEMPTY)),
        }
        let paths: Vec<PathBuf> = below(&tree, &from).map(|(path, _)| path.clone()).collect();
        for path in paths {
            if let (Ok(rest), Some(node)) = (path.strip_prefix(&from), tree.remove(&path)) {
                tree.insert(to.join(rest), node);
            }
        }
        tree.remove(&from);
        tree.insert(to, moved);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let path = key(path)?;
        let mut tree = self.tree.lock();
        match node(&tree, &path) {
            Some(Node::File(_)) => drop(tree.remove(&path)),
            Some(Node::Dir) => return Err(os(Errno::EISDIR)),
            None => return Err(os(Errno::ENOENT)),
        }
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let path = key(path)?;
        let mut tree = self.tree.lock();
        match tree.get(&path) {
            Some(Node::Dir) if below(&tree, &path).next().is_none() => drop(tree.remove(&path)),
            Some(Node::Dir) => return Err(os(Errno::ENOTEMPTY)),
            Some(Node::File(_)) => return Err(os(Errno::ENOTDIR)),
            None => return Err(os(Errno::ENOENT)),
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let found = node(&self.tree.lock(), &key(dir)?);
        match found {
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(os(Errno::ENOTDIR)),
            None => Err(os(Errno::ENOENT)),
        }
    }

    fn sync_all(&self, root: &Path) -> io::Result<()> {
        self.sync_dir(root)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        let path = key(path)?;
        let mut tree = self.tree.lock();
        let inode = match node(&tree, &path) {
            Some(Node::File(inode)) => inode,
            Some(Node::Dir) => return Err(not_a_file("a folder")),
            None => self.new_file(&mut tree, path)?,
        };
        if inode.locked.swap(true, Ordering::AcqRel) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemoryLock(inode)))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let found = node(&self.tree.lock(), &key(path)?);
        match found {
            Some(Node::File(inode)) => Ok(inode.locked.load(Ordering::Acquire)),
            Some(Node::Dir) => Err(not_a_file("a folder")),
            None => Ok(false),
        }
    }
}

#[derive(Debug)]
struct MemoryLock(Arc<Inode>);

impl LockGuard for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}

#[derive(Debug)]
struct MemoryFile {
    inode: Arc<Inode>,
    writable: bool,
}

impl MemoryFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(os(Errno::EBADF)) }
    }
}

impl StoreFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inode.content.lock().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.inode.content.lock().set_len(len)
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.inode.content.lock().allocate(offset, len)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.inode.content.lock().read(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_writable()?;
        self.inode.content.lock().write(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn map(&self, offset: u64, len: usize, access: MapAccess) -> io::Result<Mapping> {
        if access == MapAccess::Write && !self.writable {
            return Err(os(Errno::EACCES));
        }
        self.inode.content.lock().map(offset, len, access)
    }

    fn evict(&self) -> io::Result<Eviction> {
        Ok(Eviction::Gone)
    }

    fn read_direct(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_at(offset, buf)
    }
}

fn node(tree: &BTreeMap<PathBuf, Node>, path: &Path) -> Option<Node> {
    if path.as_os_str().is_empty() { Some(Node::Dir) } else { tree.get(path).cloned() }
}

fn parent_is_dir(tree: &BTreeMap<PathBuf, Node>, path: &Path) -> io::Result<()> {
    match path.parent().and_then(|parent| node(tree, parent)) {
        Some(Node::Dir) => Ok(()),
        Some(Node::File(_)) => Err(os(Errno::ENOTDIR)),
        None => Err(os(Errno::ENOENT)),
    }
}

/// Everything under a folder. Paths are ordered by component, so that is one run of the map.
fn below<'a>(
    tree: &'a BTreeMap<PathBuf, Node>,
    dir: &'a Path,
) -> impl Iterator<Item = (&'a PathBuf, &'a Node)> {
    tree.range::<Path, _>((Bound::Excluded(dir), Bound::Unbounded))
        .take_while(move |(path, _)| path.starts_with(dir))
}

fn entry(path: &Path, node: &Node) -> Option<Entry> {
    let name = path.file_name()?.to_str()?.to_owned();
    Some(match node {
        Node::Dir => Entry { name, kind: EntryKind::Dir, len: 0 },
        Node::File(inode) => {
            Entry { name, kind: EntryKind::File, len: inode.content.lock().len() as u64 }
        }
    })
}

fn key(path: &Path) -> io::Result<PathBuf> {
    Ok(names(path)?.iter().collect())
}

/// The names that lead to a path from the root; absolute and relative paths mean the same here.
pub(in crate::io) fn names(path: &Path) -> io::Result<Vec<&str>> {
    let name = |component| match component {
        Component::RootDir | Component::CurDir => None,
        Component::Normal(name) => Some(name.to_str().ok_or_else(|| os(Errno::EILSEQ))),
        Component::ParentDir | Component::Prefix(_) => Some(Err(os(Errno::EINVAL))),
    };
    path.components().filter_map(name).collect()
}

/// An error as the operating system would give it.
pub(in crate::io) fn os(errno: Errno) -> io::Error {
    errno.into()
}
