//! One turn of a peer: the same messages as pocketmq has in the same work.

use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::append::SAMPLED;
use crate::figures::{Sample, latency_buffer, nanos, real};
use crate::ground::{Ground, occupied};
use crate::live::{lateness, send_all};
use crate::meter::Spent;
use crate::peer::{JobPeer, Jobs, Log, Peer, Plan, Tail};
use crate::store::{BODY, TOO_LONG};
use crate::{Result, joined};

/// Messages written at once where logs are only filled, and taken at once where they are there.
const FILLED: u64 = 1000;
const TAKEN: usize = 256;

/// `plan.messages` of them, in batches of `batch`. Without batches only some are timed, as the clock costs too much.
pub(crate) fn append(
    ground: &Ground,
    peer: &dyn Peer,
    plan: Plan,
    body: &[u8],
    batch: u64,
) -> Result<Sample> {
    let timed = if batch == 1 && !plan.durable { SAMPLED } else { 1 };
    measured(ground, peer, plan, &mut |log| {
        let batches = plan.messages / batch;
        let mut latencies = latency_buffer(batches.div_ceil(timed));
        let meter = ground.meter()?;
        for i in 0..batches {
            let before = (i % timed == 0).then(Instant::now);
            if batch == 1 {
                log.append(body)?;
            } else {
                log.append_many(body, batch)?;
            }
            latencies.extend(before.map(|before| nanos(before.elapsed())));
        }
        Ok((meter.stop()?, latencies))
    })
}

/// So many producers at once share `plan.messages`.
pub(crate) fn together(
    ground: &Ground,
    peer: &dyn Peer,
    plan: Plan,
    producers: u64,
) -> Result<Sample> {
    let each = plan.messages / producers;
    measured(ground, peer, plan, &mut |log| {
        let handles: Option<Vec<Box<dyn Log>>> = (0..producers).map(|_| log.another()).collect();
        if let Some(handles) = handles {
            let appending = handles.into_iter().map(|mut log| move |body: &[u8]| log.append(body));
            return at_once(ground, each, appending.collect());
        }
        let log = Mutex::new(log);
        let append = |body: &[u8]| log.lock().unwrap_or_else(PoisonError::into_inner).append(body);
        at_once(ground, each, (0..producers).map(|_| append).collect())
    })
}

fn at_once<A: FnMut(&[u8]) -> Result<()> + Send>(
    ground: &Ground,
    each: u64,
    appending: Vec<A>,
) -> Result<(Spent, Vec<u64>)> {
    let ready = Barrier::new(appending.len() + 1);
    thread::scope(|scope| {
        let start = |mut append: A| {
            let ready = &ready;
            scope.spawn(move || -> Result<_> {
                let mut latencies = latency_buffer(each);
                ready.wait();
                for _ in 0..each {
                    let before = Instant::now();
                    append(&BODY)?;
                    latencies.push(nanos(before.elapsed()));
                }
                Ok(latencies)
            })
        };
        let threads: Vec<_> = appending.into_iter().map(start).collect();
        ready.wait();
        let meter = ground.meter()?;
        let mut latencies = Vec::new();
        for thread in threads {
            latencies.extend(joined(thread.join())?);
        }
        Ok((meter.stop()?, latencies))
    })
}

type Measuring<'a> = dyn FnMut(&mut dyn Log) -> Result<(Spent, Vec<u64>)> + 'a;

/// Opens, has `work` measure, closes, and looks how much there is on the disk then.
fn measured(
    ground: &Ground,
    peer: &dyn Peer,
    plan: Plan,
    work: &mut Measuring<'_>,
) -> Result<Sample> {
    let (dir, count) = (ground.path("peer"), plan.messages);
    let mut outcome = None;
    peer.write(&dir, plan, &mut |log| {
        outcome = Some(work(log)?);
        Ok(())
    })?;
    let (spent, latencies) = outcome.ok_or("nothing was measured")?;
    ground.settle()?;
    let each = real(occupied(&dir)?) / real(count);
    let bytes_per_message = Some((each * 10.0).round() / 10.0);
    ground.clear()?;
    Ok(Sample { count, bytes: count * plan.body, spent, latencies, bytes_per_message, ..Sample::default() })
}

/// Opens a log that was filled and closed just before, and reads everything.
pub(crate) fn open_and_read(ground: &Ground, peer: &dyn Peer, plan: Plan) -> Result<Sample> {
    let (dir, count) = (ground.path("peer"), plan.messages);
    peer.write(&dir, plan, &mut |log| {
        for _ in 0..count / FILLED {
            log.append_many(&BODY, FILLED)?;
        }
        Ok(())
    })?;
    ground.settle()?;
    let (mut read, mut wrong, mut time) = (0, 0, Duration::ZERO);
    let meter = ground.meter()?;
    let start = meter.started();
    peer.read(&dir, plan, &mut |body| {
        read += 1;
        wrong += u64::from(body != BODY);
        if read == count {
            time = start.elapsed();
        }
    })?;
    // Closing is not counted, as it is not for pocketmq.
    let spent = meter.stopped_after(time)?;
    if (read, wrong) != (count, 0) {
        return Err(format!("of {count} messages {read} were read, {wrong} of them wrong").into());
    }
    ground.clear()?;
    Ok(Sample { count, bytes: count * plan.body, spent, ..Sample::default() })
}

/// From a producer to a consumer that looks again and again, for no peer has one that waits.
pub(crate) fn live(
    ground: &Ground,
    peer: &dyn Peer,
    plan: Plan,
    pace: Option<Duration>,
) -> Result<Sample> {
    let count = plan.messages;
    let mut outcome = None;
    peer.live(&ground.path("peer"), plan, &mut |log, tail| {
        let meter = ground.meter()?;
        let start = meter.started();
        let (time, latencies) = thread::scope(|scope| {
            let consumer = scope.spawn(|| follow(tail, start, count, pace.is_some()));
            let sent = send_all(start, count, pace, |body| log.append(body));
            let outcome = joined(consumer.join());
            sent.and(outcome)
        })?;
        outcome = Some((meter.stopped_after(time)?, latencies));
        Ok(())
    })?;
    let (spent, latencies) = outcome.ok_or("nothing was measured")?;
    ground.clear()?;
    Ok(Sample { count, bytes: count * plan.body, spent, latencies, ..Sample::default() })
}

fn follow(
    tail: &mut dyn Tail,
    start: Instant,
    count: u64,
    paced: bool,
) -> Result<(Duration, Vec<u64>)> {
    let mut latencies = latency_buffer(if paced { count } else { 0 });
    let (mut taken, mut last) = (0, Instant::now());
    while taken < count {
        let read = tail.next(TAKEN, &mut |body| {
            if paced {
                latencies.push(lateness(start, body));
            }
        })?;
        taken += read as u64;
        if read > 0 {
            last = Instant::now();
        } else if last.elapsed() > TOO_LONG {
            return Err(format!("only {taken} of {count} messages arrived").into());
        } else {
            thread::yield_now();
        }
    }
    Ok((start.elapsed(), latencies))
}

/// What of a job queue is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Fill,
    Drain,
    InTurn,
}

/// So many jobs: all sent and then all taken and acknowledged, or one after the other.
pub(crate) fn jobs(
    ground: &Ground,
    peer: &dyn JobPeer,
    count: u64,
    phase: Phase,
) -> Result<Sample> {
    let each = |one: &mut dyn FnMut() -> Result<()>| crate::jobs::each(ground, count, one);
    let mut outcome = None;
    peer.work(&ground.path("peer"), &mut |jobs| {
        outcome = Some(match phase {
            Phase::Fill => each(&mut || jobs.send(&BODY))?,
            Phase::Drain => {
                for _ in 0..count {
                    jobs.send(&BODY)?;
                }
                each(&mut || take(jobs))?
            }
            Phase::InTurn => each(&mut || {
                jobs.send(&BODY)?;
                take(jobs)
            })?,
        });
        Ok(())
    })?;
    ground.clear()?;
    outcome.ok_or_else(|| "nothing was measured".into())
}

fn take(jobs: &mut dyn Jobs) -> Result<()> {
    let job = jobs.take()?.ok_or("a job is missing")?;
    jobs.ack(job)
}
