//! W7: a job queue, one job at a time: sent, taken, acknowledged.

use pocketmq::Queue;

use crate::Result;
use crate::figures::{Sample, latency_buffer, nanos, short};
use crate::ground::Ground;
use crate::limits;
use crate::meter::Spent;
use crate::settings::{Settings, Work};
use crate::store::{BODY, BYTES, Receiver, Sender, TOO_LONG, record_size};
use crate::table::{Bench, Row, Table, Target};

pub(crate) fn measure(settings: &Settings, ground: &Ground) -> Result<Table> {
    let mut bench = Bench::new(Work::W7, settings, settings.scale.runs_short);
    let count = settings.scale.jobs;
    let record = record_size(&BODY)?;
    let limit = bench
        .row(format!("limit pwrite of each record, allocated, {}", short(count)), move || {
            limits::each(ground, count, record)
        });
    let [fill, drain, turns] = rows(&mut bench, settings, ground);
    bench.rate(fill, limit, Target::Open);
    bench.rate(drain, limit, Target::Open);
    bench.rate(turns, limit, Target::Open);
    bench.run(ground)
}

/// Filling, draining what was filled, and one job at a time.
pub(crate) fn rows<'a>(bench: &mut Bench<'a>, settings: &Settings, ground: &'a Ground) -> [Row; 3] {
    let count = settings.scale.jobs;
    let name = short(count);
    [
        bench.row(format!("pocketmq jobs, fill, {name}"), move || {
            phases(ground, count).map(|[fill, _]| fill)
        }),
        bench.row(format!("pocketmq jobs, drain, {name} waiting"), move || {
            phases(ground, count).map(|[_, drain]| drain)
        }),
        bench.row(format!("pocketmq jobs, send, take, ack in turn, {name}"), move || {
            in_turn(ground, count)
        }),
    ]
}

fn sample(count: u64, spent: Spent, latencies: Vec<u64>) -> Sample {
    Sample { count, bytes: count * BODY.len() as u64, spent, latencies, bytes_per_message: None }
}

fn take(receiver: &Receiver) -> Result<()> {
    Ok(receiver.recv(TOO_LONG)?.ok_or("a job did not arrive")?.ack()?)
}

fn phases(ground: &Ground, count: u64) -> Result<[Sample; 2]> {
    let queue = Queue::open(ground.path("store"))?;
    let sender = queue.producer(BYTES)?;
    let receiver = queue.consumer(BYTES, "workers").pull()?;
    let fill = each(ground, count, || Ok(sender.send(&BODY).map(drop)?))?;
    let drain = each(ground, count, || take(&receiver))?;
    queue.close()?;
    ground.clear()?;
    Ok([fill, drain])
}

fn in_turn(ground: &Ground, count: u64) -> Result<Sample> {
    let queue = Queue::open(ground.path("store"))?;
    let sender: Sender = queue.producer(BYTES)?;
    let receiver = queue.consumer(BYTES, "workers").pull()?;
    let turns = each(ground, count, || {
        sender.send(&BODY)?;
        take(&receiver)
    })?;
    queue.close()?;
    ground.clear()?;
    Ok(turns)
}

/// Does `one` so often, and measures each.
pub(crate) fn each(
    ground: &Ground,
    count: u64,
    mut one: impl FnMut() -> Result<()>,
) -> Result<Sample> {
    let mut latencies = latency_buffer(count);
    let meter = ground.meter()?;
    let mut before = meter.started();
    for _ in 0..count {
        one()?;
        let now = std::time::Instant::now();
        latencies.push(nanos(now - before));
        before = now;
    }
    let spent = meter.stop()?;
    Ok(sample(count, spent, latencies))
}
