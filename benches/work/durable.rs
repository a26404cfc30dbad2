//! W3 and W4: sending durably, alone, together, and with many messages in flight.

use std::collections::VecDeque;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use pocketmq::{Flush, Queue, Ticket};

use crate::append::SAMPLED;
use crate::figures::{Sample, latency_buffer, nanos, short};
use crate::ground::Ground;
use crate::limits;
use crate::settings::{Settings, Work};
use crate::store::{BODY, BYTES, Sender, record_size, sent};
use crate::table::{Bench, Table, Target};
use crate::{Result, joined};

const PRODUCERS: u64 = 16;
const IN_FLIGHT: u64 = 100;

/// W3: one producer that waits for the disk each time.
pub(crate) fn alone(settings: &Settings, ground: &Ground) -> Result<Table> {
    let count = settings.scale.durable;
    let record = record_size(&BODY)?;
    let mut bench = Bench::new(Work::W3, settings, settings.scale.runs_short);
    let limit = bench.row("limit pwrite + fdatasync of each record, allocated", move || {
        limits::synced(ground, count, 1, record)
    });
    let ours =
        bench.row("pocketmq durable, 1 producer", move || together(ground, Flush::Sync, 1, count));
    bench.rate(ours, limit, Target::AtLeast(0.95));
    // The queue syncs on a thread of its own, so that a sender can give up.
    let handed = bench.row("limit as before, fdatasync on a second thread", move || {
        limits::there_and_back(ground, count, record, true)
    });
    bench.rate(ours, handed, Target::Open);
    bench.run(ground)
}

/// W4: 16 producers that share syncs.
pub(crate) fn many(settings: &Settings, ground: &Ground) -> Result<Table> {
    let (each, alone) = (settings.scale.durable_each_of_16, settings.scale.durable);
    let record = record_size(&BODY)?;
    let mut bench = Bench::new(Work::W4, settings, settings.scale.runs_short);
    let limit = bench.row("limit pwrite + fdatasync of each record, allocated", move || {
        limits::synced(ground, alone, 1, record)
    });
    let shared = bench
        .row("limit pwrite + fdatasync of 16 records at once, allocated", move || {
            limits::synced(ground, each, PRODUCERS, record)
        });
    let ours = bench.row("pocketmq durable, 16 producers", move || {
        together(ground, Flush::Sync, PRODUCERS, each)
    });
    bench.rate(ours, limit, Target::Open);
    bench.rate(ours, shared, Target::Open);
    bench.p99_ms(ours, Target::AtMost(1.0));
    bench.run(ground)
}

/// W4b: one producer that waits for the oldest of 100 messages.
pub(crate) fn in_flight(settings: &Settings, ground: &Ground) -> Result<Table> {
    let (count, alone) = (settings.scale.in_flight, settings.scale.durable);
    let record = record_size(&BODY)?;
    let name = short(count);
    let mut bench = Bench::new(Work::W4b, settings, settings.scale.runs_short);
    let limit = bench.row("limit pwrite + fdatasync of each record, allocated", move || {
        limits::synced(ground, alone, 1, record)
    });
    let shared = bench
        .row("limit pwrite + fdatasync of 100 records at once, allocated", move || {
            limits::synced(ground, alone, IN_FLIGHT, record)
        });
    let one =
        bench.row("pocketmq durable, 1 producer", move || together(ground, Flush::Sync, 1, alone));
    let ours = bench
        .row(format!("pocketmq durable, 1 producer, 100 in flight, {name}"), move || {
            overlapping(ground, count)
        });
    bench.rate(ours, one, Target::AtLeast(50.0));
    bench.rate(ours, limit, Target::Open);
    bench.rate(ours, shared, Target::Open);
    bench.run(ground)
}

/// So many producers at once, each with so many messages.
pub(crate) fn together(ground: &Ground, flush: Flush, producers: u64, each: u64) -> Result<Sample> {
    let queue = Queue::options().flush(flush).open(ground.path("store"))?;
    let sender = queue.producer(BYTES)?;
    // The first message pays for what exists once; it is not measured.
    let record = u64::from(sender.send(&BODY)?.size);
    let ready = Barrier::new(usize::try_from(producers + 1)?);
    let (spent, latencies) = thread::scope(|scope| {
        let threads: Vec<_> = (0..producers)
            .map(|_| {
                let (sender, ready) = (sender.clone(), &ready);
                scope.spawn(move || waiting(&sender, flush == Flush::Sync, each, ready))
            })
            .collect();
        ready.wait();
        let meter = ground.meter()?;
        let mut latencies = Vec::new();
        for thread in threads {
            latencies.extend(joined(thread.join())?);
        }
        Result::Ok((meter.stop()?, latencies))
    })?;
    queue.close()?;
    ground.clear()?;
    let count = producers * each;
    Ok(sent(count, record, spent, latencies))
}

/// Reading the clock is nothing beside a sync; where there is none, only some sends are timed.
fn waiting(sender: &Sender, durable: bool, count: u64, ready: &Barrier) -> Result<Vec<u64>> {
    let timed = if durable { 1 } else { SAMPLED };
    let mut latencies = latency_buffer(count.div_ceil(timed));
    ready.wait();
    for i in 0..count {
        let before = (i % timed == 0).then(Instant::now);
        let receipt = sender.send(&BODY)?;
        latencies.extend(before.map(|before| nanos(before.elapsed())));
        if durable && !receipt.durable {
            return Err("a durable send was not".into());
        }
    }
    Ok(latencies)
}

pub(crate) fn overlapping(ground: &Ground, count: u64) -> Result<Sample> {
    let queue = Queue::options().flush(Flush::Sync).open(ground.path("store"))?;
    let sender = queue.producer(BYTES)?;
    let record = u64::from(sender.send(&BODY)?.size);
    let mut latencies = latency_buffer(count);
    let mut flying: VecDeque<(Instant, Ticket)> = VecDeque::new();
    let meter = ground.meter()?;
    for i in 0..count + IN_FLIGHT {
        if i >= IN_FLIGHT
            && let Some((before, ticket)) = flying.pop_front()
        {
            ticket.wait()?;
            latencies.push(nanos(before.elapsed()));
        }
        if i < count {
            flying.push_back((Instant::now(), sender.submit(&BODY)?));
        }
    }
    let spent = meter.stop()?;
    queue.close()?;
    ground.clear()?;
    Ok(sent(count, record, spent, latencies))
}
