//! W7: a job queue, one job at a time: sent, taken, acknowledged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use pocketmq::{ErrorKind, Queue};

use crate::figures::{Sample, latency_buffer, nanos, short};
use crate::ground::Ground;
use crate::limits;
use crate::meter::Spent;
use crate::settings::{Settings, Work};
use crate::store::{BODY, BYTES, Receiver, Sender, TOO_LONG, record_size};
use crate::table::{Bench, Row, Table, Target};
use crate::{Result, joined};

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
    for receivers in [1, 2] {
        let name =
            format!("pocketmq jobs, live, 1 producer, {receivers} workers, {}", short(count));
        let live = bench.row(name, move || live(ground, count, receivers));
        bench.rate(live, limit, Target::Open);
    }
    let rounds = count / 10;
    let limit = bench.row(
        format!("limit pwrite, a thread woken and one that wakes back, {}", short(rounds)),
        move || limits::there_and_back(ground, rounds, record, false),
    );
    let ping_pong = bench
        .row(format!("pocketmq jobs, ping-pong of two threads, {}", short(rounds)), move || {
            ping_pong(ground, rounds)
        });
    bench.rate(ping_pong, limit, Target::AtLeast(0.5));
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
    Sample { count, bytes: count * BODY.len() as u64, spent, latencies, ..Sample::default() }
}

pub(crate) fn take(receiver: &Receiver) -> Result<()> {
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

/// A producer and workers at once, each worker taking one job after the other.
fn live(ground: &Ground, count: u64, workers: u64) -> Result<Sample> {
    let queue = Queue::open(ground.path("store"))?;
    let sender: Sender = queue.producer(BYTES)?;
    let receivers = (0..workers).map(|_| Ok(queue.consumer(BYTES, "workers").pull()?));
    let receivers = receivers.collect::<Result<Vec<_>>>()?;
    let left = AtomicU64::new(count);
    let meter = ground.meter()?;
    let start = meter.started();
    // How long it took, from whoever did the last job; the others then learn of a close.
    let work = |receiver: Receiver| -> Result<Option<Duration>> {
        loop {
            match receiver.recv(TOO_LONG) {
                Ok(job) => job.ok_or("a job did not arrive")?.ack()?,
                Err(e) if e.kind() == ErrorKind::Closed => return Ok(None),
                Err(e) => return Err(e.into()),
            }
            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                let time = start.elapsed();
                queue.close()?;
                return Ok(Some(time));
            }
        }
    };
    let time = thread::scope(|scope| -> Result<_> {
        let work = &work;
        let workers: Vec<_> =
            receivers.into_iter().map(|receiver| scope.spawn(move || work(receiver))).collect();
        for _ in 0..count {
            sender.send(&BODY)?;
        }
        let mut time = None;
        for worker in workers {
            time = time.or(joined(worker.join())?);
        }
        time.ok_or_else(|| "nobody did the last job".into())
    })?;
    let spent = meter.stopped_after(time)?;
    ground.clear()?;
    Ok(sample(count, spent, Vec::new()))
}

/// One job at a time: a second thread waits for it, and the first for its being done.
fn ping_pong(ground: &Ground, rounds: u64) -> Result<Sample> {
    let queue = Queue::open(ground.path("store"))?;
    let sender: Sender = queue.producer(BYTES)?;
    let receiver: Receiver = queue.consumer(BYTES, "workers").pull()?;
    let (done, is_done) = crossbeam_channel::bounded::<()>(1);
    let sample = thread::scope(|scope| -> Result<_> {
        let worker = scope.spawn(move || -> Result<()> {
            for _ in 0..rounds {
                take(&receiver)?;
                done.send(())?;
            }
            Ok(())
        });
        let rounds = each(ground, rounds, || {
            sender.send(&BODY)?;
            Ok(is_done.recv()?)
        });
        joined(worker.join())?;
        rounds
    })?;
    queue.close()?;
    ground.clear()?;
    Ok(sample)
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
