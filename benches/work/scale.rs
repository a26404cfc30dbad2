//! How much each work does: in full, for a look, and only to see that it runs.

use std::time::Duration;

/// How many messages (or bytes, or seconds) each row takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) short: u64,
    pub(crate) sustained: u64,
    pub(crate) large: u64,
    pub(crate) durable: u64,
    pub(crate) durable_each_of_16: u64,
    pub(crate) in_flight: u64,
    pub(crate) openings: u64,
    pub(crate) stored: u64,
    pub(crate) killed: u64,
    pub(crate) live: u64,
    pub(crate) paced: u64,
    pub(crate) jobs: u64,
    /// Jobs that wait while others come and go.
    pub(crate) backlog_max: u64,
    /// Of filters.
    pub(crate) evaluations: u64,
    /// Of a row of a sweep.
    pub(crate) swept: u64,
    /// Bytes of bodies of a row of the sweep over them.
    pub(crate) swept_bytes: u64,
    pub(crate) topics_max: u64,
    pub(crate) size_max: u64,
    pub(crate) idle: Duration,
    /// Turns of a row that takes long, and of one that does not.
    pub(crate) runs_long: u32,
    pub(crate) runs_short: u32,
}

pub(super) const FULL: Scale = Scale {
    short: 2_000_000,
    sustained: 30_000_000,
    large: 500_000,
    durable: 10_000,
    durable_each_of_16: 4_000,
    in_flight: 500_000,
    openings: 20,
    stored: 40_000_000,
    killed: 2_000_000,
    live: 3_000_000,
    paced: 100_000,
    jobs: 1_000_000,
    backlog_max: 10_000_000,
    evaluations: 20_000_000,
    swept: 1_000_000,
    swept_bytes: 256 << 20,
    topics_max: 10_000,
    size_max: 20 << 30,
    idle: Duration::from_secs(60),
    runs_long: 3,
    runs_short: 5,
};

pub(super) const QUICK: Scale = Scale {
    short: 300_000,
    sustained: 1_000_000,
    large: 100_000,
    durable: 2_000,
    durable_each_of_16: 500,
    in_flight: 50_000,
    openings: 20,
    stored: 500_000,
    killed: 200_000,
    live: 300_000,
    paced: 25_000,
    jobs: 100_000,
    backlog_max: 1_000_000,
    evaluations: 2_000_000,
    swept: 200_000,
    swept_bytes: 32 << 20,
    topics_max: 1_000,
    size_max: 100 << 20,
    idle: Duration::from_secs(5),
    runs_long: 3,
    runs_short: 3,
};

/// Only to see that everything still runs, as `cargo test --benches` does.
pub(super) const SMOKE: Scale = Scale {
    short: 1_000,
    sustained: 1_000,
    large: 200,
    durable: 20,
    durable_each_of_16: 5,
    in_flight: 300,
    openings: 2,
    stored: 1_000,
    killed: 1_000,
    live: 1_000,
    paced: 500,
    jobs: 200,
    backlog_max: 1_000,
    evaluations: 1_000,
    swept: 500,
    swept_bytes: 1 << 20,
    topics_max: 10,
    size_max: 2 << 20,
    idle: Duration::from_millis(200),
    runs_long: 1,
    runs_short: 1,
};
