//! W5: opening a store that was closed, or whose process was killed, and reading everything.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use pocketmq::{History, Queue};

use crate::Result;
use crate::figures::{Sample, nanos, short};
use crate::ground::{Ground, evict, remove};
use crate::limits;
use crate::meter::Spent;
use crate::settings::{Settings, Work};
use crate::store::{BODY, BYTES, TOO_LONG, UNIT, fill, record_size};
use crate::table::{Bench, Table, Target};
use crate::victim::kill_after;

/// Messages taken at once.
const BATCH: usize = 1000;

/// A store with so many messages, and how many bytes of log they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

pub(crate) fn measure(settings: &Settings, ground: &Ground) -> Result<Table> {
    let record = record_size(&BODY)?;
    let mut table = clean(settings, ground, record)?;
    ground.clear()?;
    table.join(killed(settings, ground, record)?);
    ground.clear()?;
    Ok(table)
}

/// After a clean close.
fn clean(settings: &Settings, ground: &Ground, record: u64) -> Result<Table> {
    let (mut messages, count) = (settings.scale.stored, settings.scale.openings);
    while !ground.has_room(2 * messages * (record + UNIT))? {
        messages /= 2;
    }
    let stored = Stored { messages, bytes: messages * record };
    let name = short(messages);
    let (full, empty) = (ground.path("full"), ground.path("empty"));
    let queue = Queue::open(&full)?;
    fill(&queue.producer(BYTES)?, messages)?;
    queue.close()?;
    Queue::open(&empty)?.close()?;

    let mut bench = Bench::new(Work::W5, settings, settings.scale.runs_long);
    let little = bench
        .row("pocketmq open, closed, empty (counts openings)", || openings(ground, &empty, count));
    let much = bench
        .row(format!("pocketmq open, closed, {name} messages (counts openings)"), || {
            openings(ground, &full, count)
        });
    let cold = bench.row(format!("limit cold pread, bytes of {name} records"), || {
        limits::cold_read(ground, messages, stored.bytes)
    });
    let turn = Cell::new(0);
    let reading =
        bench.row(format!("pocketmq open and read {name}, cold, batches of {BATCH}"), || {
            turn.set(turn.get() + 1);
            evict(&full)?;
            open_and_read(ground, &full, stored, turn.get())
        });
    let warm =
        bench.row(format!("pocketmq open and read {name}, warm, batches of {BATCH}"), || {
            turn.set(turn.get() + 1);
            open_and_read(ground, &full, stored, turn.get())
        });
    bench.latency(much, little, Target::AtMost(20.0));
    bench.rate(reading, cold, Target::Open);
    bench.rate(warm, cold, Target::Open);
    bench.run(ground)
}

pub(crate) fn openings(ground: &Ground, dir: &Path, count: u64) -> Result<Sample> {
    let (mut spent, mut latencies) = (Spent::default(), Vec::new());
    for _ in 0..count {
        let meter = ground.meter()?;
        let queue = Queue::open(dir)?;
        let took = meter.stop()?;
        if queue.report().history != History::Clean {
            return Err(format!("the store was closed, and yet: {:?}", queue.report()).into());
        }
        queue.close()?;
        spent += took;
        latencies.push(nanos(took.time));
    }
    Ok(Sample { count, spent, latencies, ..Sample::default() })
}

/// Each turn has a group of its own, which begins with the first message.
pub(crate) fn open_and_read(
    ground: &Ground,
    dir: &Path,
    stored: Stored,
    turn: u32,
) -> Result<Sample> {
    let meter = ground.meter()?;
    let queue = Queue::open(dir)?;
    read_all(&queue, stored.messages, turn)?;
    let spent = meter.stop()?;
    queue.close()?;
    Ok(Sample { count: stored.messages, bytes: stored.bytes, spent, ..Sample::default() })
}

/// Receives and acknowledges so many messages, and makes sure that there are no more.
fn read_all(queue: &Queue, messages: u64, turn: u32) -> Result<()> {
    let consumer = queue.consumer(BYTES, &format!("reader-{turn}")).pull()?;
    let mut read = 0;
    while read < messages {
        let batch = consumer.recv_batch(BATCH, TOO_LONG)?;
        if batch.is_empty() {
            return Err(format!("only {read} of {messages} messages were there").into());
        }
        read += batch.len() as u64;
        if batch.iter().any(|delivery| delivery.body() != BODY) {
            return Err("a message is not what was sent".into());
        }
        consumer.ack_all(batch)?;
    }
    let extra = consumer.recv(Duration::ZERO)?;
    if read == messages && extra.is_none() { Ok(()) } else { Err("too many messages".into()) }
}

/// After a kill, nothing synced: the whole log has to be made durable, read and checked.
fn killed(settings: &Settings, ground: &Ground, record: u64) -> Result<Table> {
    let messages = settings.scale.killed;
    let name = short(messages);
    let mut bench = Bench::new(Work::W5, settings, settings.scale.runs_long);
    let scanned = Cell::new(messages);
    let ours = bench.row(format!("pocketmq open, killed, {name} messages unsynced"), || {
        let dir = ground.path("killed");
        remove(&dir)?;
        ground.settle()?;
        kill_after(&dir, messages)?;
        let (sample, records) = recover(ground, &dir, messages, record)?;
        scanned.set(records);
        remove(&dir)?;
        Ok(sample)
    });
    let limit = bench.row("limit fdatasync + cold pread of the bytes that were scanned", || {
        // As many as were scanned just now, so that both do the same work.
        limits::sync_and_read(ground, scanned.get(), scanned.get() * record)
    });
    bench.rate(ours, limit, Target::AtLeast(0.8));
    bench.run(ground)
}

fn recover(ground: &Ground, dir: &Path, messages: u64, record: u64) -> Result<(Sample, u64)> {
    let meter = ground.meter()?;
    let queue = Queue::open(dir)?;
    let spent = meter.stop()?;
    let report = queue.report();
    let scanned = report.records_scanned;
    if report.history != History::Crashed || scanned == 0 {
        return Err(format!("the process was killed, and yet: {report:?}").into());
    }
    // Nothing that was sent may be missing.
    read_all(&queue, messages, 1)?;
    queue.close()?;
    let sample = Sample { count: scanned, bytes: scanned * record, spent, ..Sample::default() };
    Ok((sample, scanned))
}
