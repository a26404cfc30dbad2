//! Progress: what each group has acknowledged of each queue, and which topics and groups came into being.
//!
//! It is the one thing that the commit log does not hold, so it has files of its own: a *journal* that every change
//! is appended to, through a shared mapping (an acknowledgement is a few bytes and no system call, and survives the
//! process), and a *snapshot* of everything that the journal continues. When the journal is full, a new snapshot
//! and a new journal take over. The state in memory is always the snapshot with the journal's entries applied,
//! because an entry is written and applied under one lock.
//!
//! The order of a turn-over, so that a crash at any point loses nothing: new journal synced; new snapshot synced under
//! another name; old journal sealed (it names the new one); snapshot renamed into its slot. The old journal
//! stays until the next turn-over: from the other slot's snapshot it leads to the present too, should the newest
//! snapshot ever be damaged.
//!
//! Files belong to a *generation*, one life of the store. A new generation begins on new inodes beside the old one's,
//! which stay until the store has moved on.
//!
//! Locks, in this order: the journal's, a cursor's, the syncer's. Cursors are read without the journal's lock.

mod cursor;
mod durability;
mod format;
mod hands;
mod journal;
mod leases;
mod live;
mod ranges;
mod recovery;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod unsettled;

pub(crate) use cursor::Cursor;
pub(crate) use live::{Progress, start};
pub(crate) use ranges::Acked;
pub(crate) use recovery::{load, remove_older};
pub(crate) use state::{CursorRecord, State};
pub(crate) use unsettled::{Failed, Unsettled};
