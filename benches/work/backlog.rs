//! Jobs that come and go while more and more wait, and what that takes of memory.

use pocketmq::Queue;

use crate::Result;
use crate::figures::{Sample, short};
use crate::ground::Ground;
use crate::idle::anonymous_kib;
use crate::jobs::{each, take};
use crate::settings::{Settings, Work};
use crate::store::{BODY, BYTES, Receiver, Sender, TOO_LONG, fill};
use crate::table::{Bench, Table};

pub(crate) fn sweep(settings: &Settings, ground: &Ground) -> Result<Table> {
    let (count, most) = (settings.scale.jobs, settings.scale.backlog_max);
    let mut bench = Bench::new(Work::Backlog, settings, settings.scale.runs_long);
    let sizes = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    for waiting in sizes.into_iter().filter(|waiting| *waiting <= most) {
        let name = format!(
            "pocketmq jobs, send, take, ack in turn, {}, {} wait",
            short(count),
            short(waiting)
        );
        bench.row(name, move || in_turn(ground, waiting, count));
    }
    bench.row(format!("pocketmq jobs, drain above one that is held, {}", short(most)), move || {
        above_a_gap(ground, most)
    });
    bench.run(ground)
}

/// The first of those that wait is taken whenever another comes in.
fn in_turn(ground: &Ground, waiting: u64, count: u64) -> Result<Sample> {
    let queue = Queue::open(ground.path("store"))?;
    let sender: Sender = queue.producer(BYTES)?;
    fill(&sender, waiting)?;
    let receiver: Receiver = queue.consumer(BYTES, "workers").pull()?;
    let turns = each(ground, count, || {
        sender.send(&BODY)?;
        take(&receiver)
    })?;
    let resident_kib = Some(anonymous_kib()?);
    queue.close()?;
    ground.clear()?;
    Ok(Sample { resident_kib, ..turns })
}

/// The first job stays in somebody's hands, all others are acknowledged above it.
fn above_a_gap(ground: &Ground, count: u64) -> Result<Sample> {
    let queue = Queue::open(ground.path("store"))?;
    fill(&queue.producer(BYTES)?, count + 1)?;
    let receiver: Receiver = queue.consumer(BYTES, "workers").pull()?;
    let stuck = receiver.recv(TOO_LONG)?.ok_or("a job did not arrive")?;
    let drain = each(ground, count, || take(&receiver))?;
    let resident_kib = Some(anonymous_kib()?);
    stuck.ack()?;
    queue.close()?;
    ground.clear()?;
    Ok(Sample { resident_kib, ..drain })
}
