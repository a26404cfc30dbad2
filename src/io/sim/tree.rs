//! Names: what programs see, and what a power cut is sure to leave.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::super::disk::not_a_file;
use super::super::memory::{names, os};
use super::inode::Inode;
use crate::sync::{Arc, Mutex};

#[derive(Debug, Clone)]
pub(super) enum Node {
    File(Arc<Inode>),
    Dir(Arc<Dir>),
}

impl Node {
    /// Tells nodes apart; says nothing about their order.
    pub(super) fn address(&self) -> usize {
        match self {
            Self::File(inode) => Arc::as_ptr(inode).addr(),
            Self::Dir(dir) => Arc::as_ptr(dir).addr(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Dir(pub(super) Mutex<Names>);

#[derive(Debug, Default, Clone)]
pub(super) struct Names {
    pub(super) live: BTreeMap<String, Node>,
    /// As of the last sync of this folder.
    pub(super) durable: BTreeMap<String, Node>,
    /// Names that were free for a moment since the last sync: after a power cut they may be.
    pub(super) gaps: BTreeSet<String>,
}

impl Names {
    fn take(&mut self, name: &str) -> Option<Node> {
        self.gaps.insert(name.to_owned());
        self.live.remove(name)
    }

    pub(super) fn sync(&mut self) {
        self.durable = self.live.clone();
        self.gaps.clear();
    }
}

impl Dir {
    fn get(&self, name: &str) -> Option<Node> {
        self.0.lock().live.get(name).cloned()
    }

    pub(super) fn insert(&self, name: String, node: Node) {
        self.0.lock().live.insert(name, node);
    }

    fn is_empty(&self) -> bool {
        self.0.lock().live.is_empty()
    }

    pub(super) fn find(self: &Arc<Self>, path: &Path) -> io::Result<Node> {
        let mut node = Node::Dir(Arc::clone(self));
        for name in names(path)? {
            let Node::Dir(dir) = node else { return Err(os(Errno::ENOTDIR)) };
            node = dir.get(name).ok_or_else(|| os(Errno::ENOENT))?;
        }
        Ok(node)
    }

    pub(super) fn find_file(self: &Arc<Self>, path: &Path) -> io::Result<Arc<Inode>> {
        match self.find(path)? {
            Node::File(inode) => Ok(inode),
            Node::Dir(_) => Err(not_a_file("a folder")),
        }
    }

    pub(super) fn find_dir(self: &Arc<Self>, path: &Path) -> io::Result<Arc<Self>> {
        match self.find(path)? {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(os(Errno::ENOTDIR)),
        }
    }

    /// The folder and name that a path ends in.
    pub(super) fn parent(self: &Arc<Self>, path: &Path) -> io::Result<(Arc<Self>, String)> {
        let mut names = names(path)?;
        let name = names.pop().ok_or_else(|| os(Errno::EBUSY))?.to_owned();
        Ok((self.find_dir(&names.iter().collect::<PathBuf>())?, name))
    }

    /// Creates folders; each new name, and no other, is durable at once.
    pub(super) fn create_all(self: &Arc<Self>, path: &Path) -> io::Result<()> {
        let mut dir = Arc::clone(self);
        for name in names(path)? {
            dir = match dir.get(name) {
                Some(Node::Dir(next)) => next,
                Some(Node::File(_)) => return Err(os(Errno::ENOTDIR)),
                None => {
                    let next = Arc::new(Self::default());
                    let mut names = dir.0.lock();
                    names.live.insert(name.to_owned(), Node::Dir(Arc::clone(&next)));
                    names.durable.insert(name.to_owned(), Node::Dir(Arc::clone(&next)));
                    names.gaps.remove(name);
                    drop(names);
                    next
                }
            };
        }
        Ok(())
    }

    pub(super) fn rename(self: &Arc<Self>, from: &Path, to: &Path) -> io::Result<()> {
        let (old_dir, old_name) = self.parent(from)?;
        let moved = old_dir.get(&old_name).ok_or_else(|| os(Errno::ENOENT))?;
        let (new_dir, new_name) = self.parent(to)?;
        if names(from)? == names(to)? {
            return Ok(());
        }
        if names(to)?.starts_with(&names(from)?) {
            return Err(os(Errno::EINVAL));
        }
        match (&moved, new_dir.get(&new_name)) {
            (_, None) | (Node::File(_), Some(Node::File(_))) => {}
            (Node::File(_), Some(Node::Dir(_))) => return Err(os(Errno::EISDIR)),
            (Node::Dir(_), Some(Node::File(_))) => return Err(os(Errno::ENOTDIR)),
            (Node::Dir(_), Some(Node::Dir(there))) if there.is_empty() => {}
            (Node::Dir(_), Some(Node::Dir(_))) => return Err(os(Errno::ENOTEMPTY)),
        }
        old_dir.0.lock().take(&old_name);
        new_dir.insert(new_name, moved);
        Ok(())
    }

    pub(super) fn remove(self: &Arc<Self>, path: &Path, is_file: bool) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        match (dir.get(&name).ok_or_else(|| os(Errno::ENOENT))?, is_file) {
            (Node::File(_), true) => {}
            (Node::Dir(removed), false) if removed.is_empty() => {}
            (Node::Dir(_), false) => return Err(os(Errno::ENOTEMPTY)),
            (Node::Dir(_), true) => return Err(os(Errno::EISDIR)),
            (Node::File(_), false) => return Err(os(Errno::ENOTDIR)),
        }
        dir.0.lock().take(&name);
        Ok(())
    }

    /// All folders of the tree, seen or durable, this one first, each once.
    pub(super) fn all_dirs(self: &Arc<Self>) -> Vec<Arc<Self>> {
        let mut dirs = vec![Arc::clone(self)];
        let mut seen = BTreeSet::from([Arc::as_ptr(self).addr()]);
        let mut next = 0;
        while let Some(dir) = dirs.get(next).cloned() {
            let names = dir.0.lock();
            for node in names.live.values().chain(names.durable.values()) {
                if let Node::Dir(dir) = node
                    && seen.insert(node.address())
                {
                    dirs.push(Arc::clone(dir));
                }
            }
            next += 1;
        }
        dirs
    }

    /// All files that have a name which programs see.
    pub(super) fn all_files(self: &Arc<Self>) -> Vec<(PathBuf, Arc<Inode>)> {
        let mut files = Vec::new();
        let mut dirs = vec![(PathBuf::new(), Arc::clone(self))];
        while let Some((path, dir)) = dirs.pop() {
            for (name, node) in &dir.0.lock().live {
                match node {
                    Node::File(inode) => files.push((path.join(name), Arc::clone(inode))),
                    Node::Dir(dir) => dirs.push((path.join(name), Arc::clone(dir))),
                }
            }
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        files
    }
}
