//! What a crash leaves: the state that the next process finds.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::super::memory::Budget;
use super::inode::Inode;
use super::rng::Survival;
use super::tree::{Dir, Names, Node};
use crate::sync::Arc;

/// A process was killed: everything written stays, names too, and what was dirty still is.
pub(super) fn kill(root: &Arc<Dir>, budget: &Arc<Budget>) -> io::Result<Arc<Dir>> {
    let mut copies = Copies { budget, files: BTreeMap::new(), dirs: BTreeMap::new() };
    let dirs = root.all_dirs();
    for dir in &dirs {
        copies.dirs.insert(Arc::as_ptr(dir).addr(), Arc::default());
    }
    for dir in &dirs {
        let names = dir.0.lock().clone();
        let live = copies.map(&names.live, |inode, budget| inode.file.lock().killed(budget))?;
        let durable =
            copies.map(&names.durable, |inode, budget| inode.file.lock().killed(budget))?;
        *copies.dir(dir).0.lock() = Names { live, durable, gaps: names.gaps };
    }
    Ok(copies.dir(root))
}

/// The power went: anything not synced may be lost, independently of anything else.
pub(super) fn power_cut(
    root: &Arc<Dir>,
    budget: &Arc<Budget>,
    chance: &mut Survival,
) -> io::Result<Arc<Dir>> {
    let dirs = root.all_dirs();
    let placed = Placing::new(&dirs, chance).decide(chance);
    let mut copies = Copies { budget, files: BTreeMap::new(), dirs: BTreeMap::new() };
    for dir in &dirs {
        copies.dirs.insert(Arc::as_ptr(dir).addr(), Arc::default());
    }
    for (dir, names) in dirs.iter().zip(placed) {
        let live = copies
            .map(&names, |inode, budget| inode.file.lock().after_power_cut(budget, chance))?;
        *copies.dir(dir).0.lock() =
            Names { durable: live.clone(), live, gaps: BTreeSet::default() };
    }
    Ok(copies.dir(root))
}

/// The new tree's nodes by the address of the old one's, so that a file with two names stays one file.
struct Copies<'a> {
    budget: &'a Arc<Budget>,
    files: BTreeMap<usize, Arc<Inode>>,
    dirs: BTreeMap<usize, Arc<Dir>>,
}

impl Copies<'_> {
    fn dir(&self, old: &Arc<Dir>) -> Arc<Dir> {
        self.dirs.get(&Arc::as_ptr(old).addr()).cloned().unwrap_or_default()
    }

    fn map(
        &mut self,
        names: &BTreeMap<String, Node>,
        mut copy: impl FnMut(&Inode, &Arc<Budget>) -> io::Result<super::inode::FileState>,
    ) -> io::Result<BTreeMap<String, Node>> {
        let mut copied = BTreeMap::new();
        for (name, node) in names {
            let node = match node {
                Node::Dir(dir) => Node::Dir(self.dir(dir)),
                Node::File(inode) => {
                    let new = match self.files.get(&node.address()) {
                        Some(new) => Arc::clone(new),
                        None => Inode::new(copy(inode, self.budget)?),
                    };
                    self.files.insert(node.address(), Arc::clone(&new));
                    Node::File(new)
                }
            };
            copied.insert(name.clone(), node);
        }
        Ok(copied)
    }
}

/// A name in a folder, by the folder's number.
type Slot = (usize, String);

/// Decides which names survive, such that
/// a created name is there or not, a removed one is there or not, a replaced name leads to the old or the new file
/// (or nowhere, if it was free in between), and a renamed file has its old or its new name, never both or neither.
struct Placing {
    live: BTreeMap<Slot, Node>,
    durable: BTreeMap<Slot, Node>,
    gaps: BTreeSet<Slot>,
    dirs: usize,
    /// Where each node is now, and where it durably is.
    live_slot: BTreeMap<usize, Slot>,
    durable_slot: BTreeMap<usize, Slot>,
    /// Nodes whose present name survives.
    stays_new: BTreeSet<usize>,
}

impl Placing {
    fn new(dirs: &[Arc<Dir>], chance: &mut Survival) -> Self {
        let mut this = Self {
            live: BTreeMap::new(),
            durable: BTreeMap::new(),
            gaps: BTreeSet::new(),
            dirs: dirs.len(),
            live_slot: BTreeMap::new(),
            durable_slot: BTreeMap::new(),
            stays_new: BTreeSet::new(),
        };
        for (number, dir) in dirs.iter().enumerate() {
            let names = dir.0.lock();
            let slot = |name: &String| (number, name.clone());
            this.live.extend(names.live.iter().map(|(name, node)| (slot(name), node.clone())));
            this.durable
                .extend(names.durable.iter().map(|(name, node)| (slot(name), node.clone())));
            this.gaps.extend(names.gaps.iter().map(slot));
        }
        for (slot, node) in &this.durable {
            this.durable_slot.insert(node.address(), slot.clone());
        }
        for (slot, node) in &this.live {
            this.live_slot.insert(node.address(), slot.clone());
            let is_durable = this.durable.get(slot).is_some_and(|old| same(old, node));
            if is_durable || chance.survives() {
                this.stays_new.insert(node.address());
            }
        }
        this
    }

    /// The names of each folder.
    fn decide(mut self, chance: &mut Survival) -> Vec<BTreeMap<String, Node>> {
        let mut placed = BTreeMap::new();
        // Renamed files that keep their old name. That name is then taken, and whoever has it now keeps its own
        // old name too.
        let mut kept: Vec<usize> = Vec::new();
        for address in self.live_slot.keys() {
            if !self.stays_new.contains(address) && self.durable_slot.contains_key(address) {
                kept.push(*address);
            }
        }
        while let Some(address) = kept.pop() {
            let Some(slot) = self.durable_slot.get(&address) else { continue };
            if let Some(node) = self.durable.get(slot) {
                placed.insert(slot.clone(), node.clone());
            }
            if let Some(other) = self.live.get(slot).map(Node::address)
                && self.stays_new.remove(&other)
            {
                kept.push(other);
            }
        }
        let slots: BTreeSet<&Slot> = self.live.keys().chain(self.durable.keys()).collect();
        for slot in slots {
            if placed.contains_key(slot) {
                continue;
            }
            let new = self.live.get(slot);
            if let Some(node) = new.filter(|node| self.stays_new.contains(&node.address())) {
                placed.insert(slot.clone(), node.clone());
            } else if let Some(old) = self.durable.get(slot)
                && !self.live_slot.contains_key(&old.address())
                && (new.is_some() && !self.gaps.contains(slot) || !chance.survives())
            {
                placed.insert(slot.clone(), old.clone());
            }
        }
        let mut dirs = vec![BTreeMap::new(); self.dirs];
        for ((dir, name), node) in placed {
            dirs[dir].insert(name, node);
        }
        dirs
    }
}

fn same(a: &Node, b: &Node) -> bool {
    a.address() == b.address()
}
