//! W6: from a producer to a consumer that waits for it, beside a bounded channel.

use std::thread;
use std::time::{Duration, Instant};

use pocketmq::Queue;

use crate::figures::{Sample, latency_buffer, nanos, short};
use crate::ground::Ground;
use crate::meter::Spent;
use crate::settings::{Settings, Work};
use crate::store::{BODY, BYTES, Received, Receiver, TOO_LONG};
use crate::table::{Bench, Table, Target};
use crate::{Result, joined};

/// The channel's room.
const ROOM: usize = 1024;
/// Messages taken at once, where they are.
const BATCH: usize = 256;
/// 50 000 messages a second.
pub(crate) const PACE: Duration = Duration::from_micros(20);

pub(crate) fn measure(settings: &Settings, ground: &Ground) -> Result<Table> {
    let (count, paced) = (settings.scale.live, settings.scale.paced);
    let name = short(count);
    let mut bench = Bench::new(Work::W6, settings, settings.scale.runs_short);
    let channel = bench
        .row(format!("channel crossbeam, bounded {ROOM}, live, {name}"), move || {
            through_channel(ground, count, None)
        });
    let single = bench.row(format!("pocketmq live, recv and ack one by one, {name}"), move || {
        through_queue(ground, count, None, 1)
    });
    let batches = bench
        .row(format!("pocketmq live, recv and ack up to {BATCH}, {name}"), move || {
            through_queue(ground, count, None, BATCH)
        });
    let channel_paced = bench
        .row(format!("channel crossbeam, bounded {ROOM}, 50 k/s, {}", short(paced)), move || {
            through_channel(ground, paced, Some(PACE))
        });
    let paced_row = bench.row(format!("pocketmq live, 50 k/s, {}", short(paced)), move || {
        through_queue(ground, paced, Some(PACE), 1)
    });
    bench.rate(single, channel, Target::AtLeast(0.5));
    bench.rate(batches, channel, Target::AtLeast(0.5));
    bench.latency(paced_row, channel_paced, Target::AtMost(2.0));
    bench.run(ground)
}

/// Sends `count` bodies, each with the time (since `start`) at which it is due: at once, or at a steady pace. Being late does
/// not move what comes after, and counts as latency.
pub(crate) fn send_all(
    start: Instant,
    count: u64,
    pace: Option<Duration>,
    mut send: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut body = BODY;
    let mut due = Duration::ZERO;
    for _ in 0..count {
        if let Some(pace) = pace {
            due += pace;
            while start.elapsed() < due {
                std::hint::spin_loop();
            }
            stamp(&mut body, due);
        }
        send(&body)?;
    }
    Ok(())
}

fn stamp(body: &mut [u8], due: Duration) {
    if let Some(head) = body.first_chunk_mut() {
        *head = nanos(due).to_be_bytes();
    }
}

/// How late a message is now.
pub(crate) fn lateness(start: Instant, body: &[u8]) -> u64 {
    let due = body.first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
    nanos(start.elapsed()).saturating_sub(due)
}

fn handed_over(count: u64, spent: Spent, latencies: Vec<u64>) -> Sample {
    let bytes = count * BODY.len() as u64;
    Sample { count, bytes, spent, latencies, ..Sample::default() }
}

fn through_channel(ground: &Ground, count: u64, pace: Option<Duration>) -> Result<Sample> {
    let (sender, receiver) = crossbeam_channel::bounded::<Vec<u8>>(ROOM);
    let mut latencies = latency_buffer(if pace.is_some() { count } else { 0 });
    let meter = ground.meter()?;
    let start = meter.started();
    let (time, latencies) = thread::scope(|scope| {
        let consumer = scope.spawn(move || -> Result<_> {
            for _ in 0..count {
                let body = receiver.recv_timeout(TOO_LONG)?;
                if pace.is_some() {
                    latencies.push(lateness(start, &body));
                }
            }
            Ok((start.elapsed(), latencies))
        });
        let sent = send_all(start, count, pace, |body| Ok(sender.send(body.to_vec())?));
        let outcome = joined(consumer.join());
        sent.and(outcome)
    })?;
    let spent = meter.stopped_after(time)?;
    Ok(handed_over(count, spent, latencies))
}

pub(crate) fn through_queue(
    ground: &Ground,
    count: u64,
    pace: Option<Duration>,
    max: usize,
) -> Result<Sample> {
    let queue = Queue::open(ground.path("store"))?;
    let sender = queue.producer(BYTES)?;
    let receiver = queue.consumer(BYTES, "reader").pull()?;
    let mut latencies = latency_buffer(if pace.is_some() { count } else { 0 });
    let meter = ground.meter()?;
    let start = meter.started();
    let (time, latencies) = thread::scope(|scope| {
        let consumer = scope.spawn(move || -> Result<_> {
            receive_all(&receiver, count, max, |delivery| {
                if pace.is_some() {
                    latencies.push(lateness(start, delivery));
                }
            })?;
            Ok((start.elapsed(), latencies))
        });
        let sent = send_all(start, count, pace, |body| Ok(sender.send(body).map(drop)?));
        let outcome = joined(consumer.join());
        sent.and(outcome)
    })?;
    let spent = meter.stopped_after(time)?;
    queue.close()?;
    ground.clear()?;
    Ok(handed_over(count, spent, latencies))
}

fn receive_all(
    receiver: &Receiver,
    count: u64,
    max: usize,
    mut seen: impl FnMut(&Received),
) -> Result<()> {
    let mut taken = 0;
    while taken < count {
        if max == 1 {
            let delivery = receiver.recv(TOO_LONG)?.ok_or("a message did not arrive")?;
            seen(&delivery);
            delivery.ack()?;
            taken += 1;
        } else {
            let batch = receiver.recv_batch(max, TOO_LONG)?;
            if batch.is_empty() {
                return Err("a message did not arrive".into());
            }
            batch.iter().for_each(&mut seen);
            taken += batch.len() as u64;
            receiver.ack_all(batch)?;
        }
    }
    Ok(())
}
