//! The peers, one file each.

mod commitlog;
mod fjall;
mod khata;
mod redb;
mod sqlite;
mod yaque;

use crate::peer::{JobPeer, Peer};

/// All that keep messages.
pub(crate) const ALL: [&dyn Peer; 6] = [
    &commitlog::Commitlog,
    &khata::Khata,
    &yaque::Yaque,
    &fjall::Fjall,
    &redb::Redb,
    &sqlite::Sqlite,
];

/// Those that people make job queues of.
pub(crate) const JOBS: [&dyn JobPeer; 2] = [&sqlite::Sqlite, &fjall::Fjall];
