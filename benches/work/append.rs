//! W1 and W2: appending without waiting for the disk.

use std::time::{Duration, Instant};

use pocketmq::Queue;

use crate::Result;
use crate::figures::{Sample, latency_buffer, nanos, short};
use crate::ground::Ground;
use crate::limits;
use crate::settings::{Settings, Work};
use crate::store::{BODY, BYTES, UNIT, batch, record_size, sent};
use crate::table::{Bench, Table, Target};

/// The store's own interval, for the limit that syncs as often.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// The clock is read around every so many sends only: it costs as much as a part of a send.
pub(crate) const SAMPLED: u64 = 16;

const BATCH: u64 = 100;

/// W1: bodies of 128 bytes, short and sustained, one by one and in batches.
pub(crate) fn small(settings: &Settings, ground: &Ground) -> Result<Table> {
    let scale = &settings.scale;
    let record = record_size(&BODY)?;
    let count = scale.short;
    let name = short(count);
    let mut bench = Bench::new(Work::W1, settings, scale.runs_short);
    let limit = bench.row(
        format!("limit pwrite 64 KiB into allocated space, bytes of {name} records"),
        move || limits::chunks(ground, count, record, None),
    );
    let ours = bench.row(format!("pocketmq append, async, 1 producer, {name}"), move || {
        one_by_one(ground, &BODY, count)
    });
    let batches = bench.row(
        format!("pocketmq append, async, 1 producer, batches of {BATCH}, {name}"),
        move || in_batches(ground, &BODY, count),
    );
    let checked = bench.row(
        format!("limit as before, {name}, each record copied and both its checksums computed"),
        move || limits::records(ground, count, &BODY, record),
    );
    bench.rate(ours, limit, Target::AtLeast(0.6));
    bench.rate(batches, limit, Target::AtLeast(0.85));
    bench.rate(ours, checked, Target::Open);
    bench.rate(batches, checked, Target::Open);
    let mut table = bench.run(ground)?;
    if settings.sustained
        && let Some(more) = sustained(settings, ground, record)?
    {
        table.join(more);
    }
    Ok(table)
}

/// As long as the kernel's write-back decides the speed. `None` if the disk has no room for it.
fn sustained(settings: &Settings, ground: &Ground, record: u64) -> Result<Option<Table>> {
    let count = settings.scale.sustained;
    let name = short(count);
    if !ground.has_room(count * (record + UNIT))? {
        println!("# W1 sustained is left out: no room for {name} messages");
        return Ok(None);
    }
    let mut bench = Bench::new(Work::W1, settings, settings.scale.runs_long);
    let limit = bench.row(
        format!("limit pwrite 64 KiB into allocated space, bytes of {name} records, sustained"),
        move || limits::chunks(ground, count, record, None),
    );
    let synced = bench
        .row(format!("limit as before, {name}, beside fdatasync every 500 ms"), move || {
            limits::chunks(ground, count, record, Some(FLUSH_INTERVAL))
        });
    let ours = bench
        .row(format!("pocketmq append, async, 1 producer, {name}, sustained"), move || {
            one_by_one(ground, &BODY, count)
        });
    bench.rate(ours, limit, Target::AtLeast(0.85));
    bench.rate(ours, synced, Target::Open);
    bench.run(ground).map(Some)
}

/// W2: bodies of 1 KiB.
pub(crate) fn large(settings: &Settings, ground: &Ground) -> Result<Table> {
    let body = BODY.repeat(8);
    let record = record_size(&body)?;
    let count = settings.scale.large;
    let name = short(count);
    let mut bench = Bench::new(Work::W2, settings, settings.scale.runs_short);
    let limit = bench.row(
        format!("limit pwrite 64 KiB into allocated space, bytes of {name} records"),
        move || limits::chunks(ground, count, record, None),
    );
    let ours = bench
        .row(format!("pocketmq append, async, 1 producer, {name} of 1 KiB"), move || {
            one_by_one(ground, &body, count)
        });
    bench.rate(ours, limit, Target::Open);
    bench.run(ground)
}

pub(crate) fn one_by_one(ground: &Ground, body: &[u8], count: u64) -> Result<Sample> {
    let queue = Queue::open(ground.path("store"))?;
    let sender = queue.producer(BYTES)?;
    let mut latencies = latency_buffer(count.div_ceil(SAMPLED));
    let mut record = 0;
    let meter = ground.meter()?;
    for i in 0..count {
        if i % SAMPLED == 0 {
            let before = Instant::now();
            record = u64::from(sender.send(body)?.size);
            latencies.push(nanos(before.elapsed()));
        } else {
            sender.send(body)?;
        }
    }
    let spent = meter.stop()?;
    queue.close()?;
    ground.clear()?;
    Ok(sent(count, record, spent, latencies))
}

pub(crate) fn in_batches(ground: &Ground, body: &[u8], count: u64) -> Result<Sample> {
    let queue = Queue::open(ground.path("store"))?;
    let sender = queue.producer(BYTES)?;
    let mut latencies = latency_buffer(count.div_ceil(BATCH));
    let mut record = 0;
    let mut left = count;
    let meter = ground.meter()?;
    while left > 0 {
        let now = left.min(BATCH);
        let before = Instant::now();
        let receipts = sender.send_batch(batch(body, now))?;
        latencies.push(nanos(before.elapsed()));
        record = receipts.first().map_or(0, |r| u64::from(r.size));
        left -= now;
    }
    let spent = meter.stop()?;
    queue.close()?;
    ground.clear()?;
    Ok(sent(count, record, spent, latencies))
}
