//! The same work over more and more topics, producers, bytes of a body, and bytes of a store.

use std::cell::Cell;
use std::time::{Duration, Instant};

use pocketmq::{Flush, Queue, Raw, Topic};

use crate::Result;
use crate::append::{SAMPLED, one_by_one};
use crate::durable::together;
use crate::figures::{Sample, latency_buffer, nanos, short};
use crate::ground::Ground;
use crate::limits;
use crate::opening::{Stored, open_and_read, openings};
use crate::settings::{Settings, Work};
use crate::store::{BODY, BYTES, UNIT, fill, record_size, sent};
use crate::table::{Bench, Row, Table, Target};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// 1 to 10 000 topics, which get a message each in turn.
pub(crate) fn topics(settings: &Settings, ground: &Ground) -> Result<Table> {
    let count = settings.scale.swept;
    let mut bench = Bench::new(Work::Topics, settings, settings.scale.runs_long);
    let mut rows = Vec::new();
    for topics in [1, 10, 100, 1_000, 10_000] {
        if topics <= settings.scale.topics_max {
            let name = format!("pocketmq append, async, 1 producer, topics: {}", short(topics));
            rows.push(bench.row(name, move || over_topics(ground, topics, count)));
        }
    }
    against_first(&mut bench, &rows);
    bench.run(ground)
}

fn over_topics(ground: &Ground, topics: u64, count: u64) -> Result<Sample> {
    let queue = Queue::open(ground.path("store"))?;
    let topic = |i| Topic::<[u8], Raw>::named(format!("bench-{i:05}"));
    let senders =
        (0..topics).map(|i| Ok(queue.producer(topic(i)?)?)).collect::<Result<Vec<_>>>()?;
    let mut latencies = latency_buffer(count.div_ceil(SAMPLED));
    let mut record = 0;
    let meter = ground.meter()?;
    for (i, sender) in (0..count).zip(senders.iter().cycle()) {
        let before = (i % SAMPLED == 0).then(Instant::now);
        record = u64::from(sender.send(&BODY)?.size);
        latencies.extend(before.map(|before| nanos(before.elapsed())));
    }
    let spent = meter.stop()?;
    queue.close()?;
    ground.clear()?;
    Ok(sent(count, record, spent, latencies))
}

/// 1 to 16 producers of one topic, asynchronous and durable.
pub(crate) fn producers(settings: &Settings, ground: &Ground) -> Result<Table> {
    const USUAL: Flush = Flush::Async { interval: Duration::from_millis(500) };
    let mut bench = Bench::new(Work::Producers, settings, settings.scale.runs_long);
    let manners =
        [("async", USUAL, settings.scale.swept), ("durable", Flush::Sync, settings.scale.durable)];
    for (manner, flush, count) in manners {
        let mut rows = Vec::new();
        for producers in [1, 2, 4, 8, 16] {
            let name = format!("pocketmq append, {manner}, producers: {producers}");
            rows.push(
                bench.row(name, move || {
                    together(ground, flush, producers, count.div_ceil(producers))
                }),
            );
        }
        against_first(&mut bench, &rows);
    }
    bench.run(ground)
}

/// Bodies of 16 bytes to 1 MiB, each beside the limit of its bytes.
pub(crate) fn bodies(settings: &Settings, ground: &Ground) -> Result<Table> {
    let scale = &settings.scale;
    let mut bench = Bench::new(Work::Bodies, settings, scale.runs_long);
    for size in [16, 128, 1 << 10, 16 << 10, 128 << 10, MIB] {
        let body: Vec<u8> = BODY.into_iter().cycle().take(usize::try_from(size)?).collect();
        let record = record_size(&body)?;
        let count = (scale.swept_bytes / size).clamp(1, scale.swept);
        let name = bytes(size);
        let limit = bench.row(
            format!("limit pwrite 64 KiB into allocated space, bodies of {name}"),
            move || limits::chunks(ground, count, record, None),
        );
        let ours = bench
            .row(format!("pocketmq append, async, 1 producer, bodies of {name}"), move || {
                one_by_one(ground, &body, count)
            });
        bench.rate(ours, limit, Target::Open);
    }
    bench.run(ground)
}

/// A store that grows from 1 MiB to 20 GiB, or as far as it may and there is room.
pub(crate) fn size(settings: &Settings, ground: &Ground) -> Result<Table> {
    let record = record_size(&BODY)?;
    let dir = ground.path("growing");
    let mut table: Option<Table> = None;
    let (mut messages, turn) = (0, Cell::new(0));
    for size in [MIB, 10 * MIB, 100 * MIB, GIB, 10 * GIB, 20 * GIB] {
        let wanted = size / record;
        if size > settings.scale.size_max {
            break;
        }
        if !ground.has_room((wanted - messages) * (record + UNIT))? {
            println!("# sweep size ends here: no room for {}", bytes(size));
            break;
        }
        let queue = Queue::open(&dir)?;
        fill(&queue.producer(BYTES)?, wanted - messages)?;
        queue.close()?;
        messages = wanted;
        let (stored, name) = (Stored { messages, bytes: messages * record }, bytes(size));
        let mut bench = Bench::new(Work::Size, settings, settings.scale.runs_long);
        bench.row(format!("pocketmq open, closed, {name} (counts openings)"), || {
            openings(ground, &dir, settings.scale.openings)
        });
        bench.row(format!("pocketmq open and read everything, {name}"), || {
            turn.set(turn.get() + 1);
            open_and_read(ground, &dir, stored, turn.get())
        });
        let more = bench.run(ground)?;
        match &mut table {
            Some(table) => table.join(more),
            None => table = Some(more),
        }
    }
    ground.clear()?;
    table.ok_or_else(|| "there is no room for the smallest store".into())
}

/// Compares the rate of each row with that of the first.
fn against_first(bench: &mut Bench<'_>, rows: &[Row]) {
    if let Some((first, others)) = rows.split_first() {
        for row in others {
            bench.rate(*row, *first, Target::Open);
        }
    }
}

/// `16 B`, `1 KiB`, `10 GiB`.
fn bytes(count: u64) -> String {
    let units = [(GIB, "GiB"), (MIB, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| count >= *unit);
    unit.map_or_else(|| format!("{count} B"), |(unit, name)| format!("{} {name}", count / unit))
}
