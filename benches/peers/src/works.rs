//! The works: the limit, pocketmq, and every peer that can do it.

use pocketmq::{Flush, Queue};

use crate::Result;
use crate::append::{in_batches, one_by_one};
use crate::durable::{overlapping, together};
use crate::figures::short;
use crate::ground::Ground;
use crate::limits;
use crate::live::{PACE, through_queue};
use crate::opening::{Stored, open_and_read};
use crate::peer::{Peer, Plan};
use crate::peers::{ALL, JOBS};
use crate::settings::{Settings, Work};
use crate::store::{BODY, BYTES, fill, record_size};
use crate::table::{Bench, Table, Target};
use crate::turns::{self, Phase};

const PRODUCERS: u64 = 16;
const BATCH: u64 = 100;

/// The slowest of all take part: fewer messages where there are many, and three turns.
///
/// Fails if there is nothing among the works that has peers.
pub(crate) fn fit(settings: &mut Settings) -> Result<()> {
    let scale = &mut settings.scale;
    scale.short = scale.short.min(1_000_000);
    scale.large = scale.large.min(300_000);
    scale.durable = scale.durable.min(5_000);
    scale.durable_each_of_16 = scale.durable_each_of_16.min(1_000);
    scale.in_flight = scale.in_flight.min(200_000);
    scale.stored = scale.stored.min(2_000_000);
    scale.live = scale.live.min(500_000);
    scale.jobs = scale.jobs.min(100_000);
    scale.runs_short = scale.runs_short.min(scale.runs_long);
    settings.works.retain(|work| {
        !matches!(work, Work::Idle | Work::Topics | Work::Producers | Work::Bodies | Work::Size)
    });
    if settings.works.is_empty() { Err("only W1 to W7 have peers".into()) } else { Ok(()) }
}

pub(crate) fn run(work: Work, settings: &Settings, ground: &Ground) -> Result<Table> {
    let mut bench = Bench::new(work, settings, settings.scale.runs_short);
    let scale = &settings.scale;
    let small = if settings.sustained { scale.sustained } else { scale.short };
    match work {
        Work::W1 => append(&mut bench, ground, small, &BODY)?,
        Work::W2 => append(&mut bench, ground, scale.large, &BODY.repeat(8))?,
        Work::W3 => durable(&mut bench, ground, scale.durable)?,
        Work::W4 => many(&mut bench, ground, scale.durable_each_of_16)?,
        Work::W4b => in_flight(&mut bench, ground, scale.in_flight)?,
        Work::W5 => reading(&mut bench, ground, scale.stored)?,
        Work::W6 => live(&mut bench, ground, settings),
        Work::W7 => jobs(&mut bench, ground, settings),
        _ => return Err(format!("{} has no peers", work.name()).into()),
    }
    bench.run(ground)
}

fn plan(messages: u64, body: &[u8], durable: bool) -> Plan {
    Plan { durable, messages, body: body.len() as u64 }
}

/// Behind the name of a row that is not durable.
fn remark(peer: &dyn Peer) -> String {
    let remark = peer.remark();
    if remark.is_empty() { String::new() } else { format!(" ({remark})") }
}

/// Behind the name of a row that reads.
fn unchecked(peer: &dyn Peer) -> &'static str {
    if peer.reads_checked() { "" } else { " (unchecked)" }
}

/// W1 and W2.
fn append<'a>(bench: &mut Bench<'a>, ground: &'a Ground, count: u64, body: &[u8]) -> Result<()> {
    let record = record_size(body)?;
    let limit = bench.row(
        format!("limit pwrite 64 KiB into allocated space, bytes of {} records", short(count)),
        move || limits::chunks(ground, count, record, None),
    );
    for batch in [1, BATCH] {
        let how = if batch == 1 { String::new() } else { format!(", batches of {batch}") };
        let how = format!("append, async, 1 producer{how}, {}", short(count));
        let of_ours = body.to_vec();
        let ours = bench.row(format!("pocketmq {how}"), move || {
            if batch == 1 {
                one_by_one(ground, &of_ours, count)
            } else {
                in_batches(ground, &of_ours, count)
            }
        });
        bench.rate(ours, limit, Target::Open);
        for peer in ALL {
            let of_theirs = body.to_vec();
            let row = bench.row(format!("{} {how}{}", peer.name(), remark(peer)), move || {
                turns::append(ground, peer, plan(count, &of_theirs, false), &of_theirs, batch)
            });
            bench.rate(ours, row, ahead(peer.name(), batch, body.len()));
        }
    }
    Ok(())
}

/// How far ahead of a peer W1 and W2 should be.
fn ahead(peer: &str, batch: u64, body: usize) -> Target {
    match (peer, batch, body) {
        ("commitlog", 1, 128) => Target::AtLeast(5.0),
        ("khata-rs", 1, 1024) => Target::AtLeast(1.0),
        _ => Target::Open,
    }
}

/// The peers that can be durable, and how.
fn durable_peers() -> impl Iterator<Item = (&'static dyn Peer, &'static str)> {
    ALL.into_iter().filter_map(|peer| Some((peer, peer.durable()?)))
}

/// W3.
fn durable<'a>(bench: &mut Bench<'a>, ground: &'a Ground, count: u64) -> Result<()> {
    let record = record_size(&BODY)?;
    let limit = bench.row("limit pwrite + fdatasync of each record, allocated", move || {
        limits::synced(ground, count, 1, record)
    });
    let ours =
        bench.row("pocketmq durable, 1 producer", move || together(ground, Flush::Sync, 1, count));
    bench.rate(ours, limit, Target::AtLeast(0.95));
    for (peer, how) in durable_peers() {
        let name = format!("{} durable, 1 producer ({how})", peer.name());
        let row = bench
            .row(name, move || turns::append(ground, peer, plan(count, &BODY, true), &BODY, 1));
        bench.rate(ours, row, Target::Open);
    }
    Ok(())
}

/// W4.
fn many<'a>(bench: &mut Bench<'a>, ground: &'a Ground, each: u64) -> Result<()> {
    let record = record_size(&BODY)?;
    let limit = bench.row("limit pwrite + fdatasync of 16 records at once, allocated", move || {
        limits::synced(ground, each, PRODUCERS, record)
    });
    let ours = bench.row("pocketmq durable, 16 producers", move || {
        together(ground, Flush::Sync, PRODUCERS, each)
    });
    bench.rate(ours, limit, Target::Open);
    bench.p99_ms(ours, Target::AtMost(1.0));
    for (peer, how) in durable_peers() {
        let name = format!("{} durable, 16 producers ({how})", peer.name());
        let row = bench.row(name, move || {
            turns::together(ground, peer, plan(each * PRODUCERS, &BODY, true), PRODUCERS)
        });
        bench.rate(ours, row, Target::AtLeast(1.2));
    }
    Ok(())
}

/// W4b: tickets here, transactions there.
fn in_flight<'a>(bench: &mut Bench<'a>, ground: &'a Ground, count: u64) -> Result<()> {
    let record = record_size(&BODY)?;
    let limit = bench
        .row("limit pwrite + fdatasync of 100 records at once, allocated", move || {
            limits::synced(ground, count / BATCH, BATCH, record)
        });
    let ours = bench
        .row(format!("pocketmq durable, 1 producer, 100 in flight, {}", short(count)), move || {
            overlapping(ground, count)
        });
    bench.rate(ours, limit, Target::Open);
    for (peer, how) in durable_peers() {
        let name = format!(
            "{} durable, 1 producer, {BATCH} at once, {} ({how})",
            peer.name(),
            short(count)
        );
        let row = bench
            .row(name, move || turns::append(ground, peer, plan(count, &BODY, true), &BODY, BATCH));
        bench.rate(ours, row, Target::Open);
    }
    Ok(())
}

/// W5, the pages of the files in memory.
fn reading<'a>(bench: &mut Bench<'a>, ground: &'a Ground, count: u64) -> Result<()> {
    let record = record_size(&BODY)?;
    let name = short(count);
    let ours = bench.row(format!("pocketmq open and read {name}"), move || {
        let dir = ground.path("full");
        let queue = Queue::open(&dir)?;
        fill(&queue.producer(BYTES)?, count)?;
        queue.close()?;
        ground.settle()?;
        let stored = Stored { messages: count, bytes: count * record };
        let sample = open_and_read(ground, &dir, stored, 1)?;
        ground.clear()?;
        Ok(sample)
    });
    for peer in ALL {
        let name = format!("{} open and read {name}{}", peer.name(), unchecked(peer));
        let row =
            bench.row(name, move || turns::open_and_read(ground, peer, plan(count, &BODY, false)));
        let target = if peer.name() == "commitlog" { Target::AtLeast(1.2) } else { Target::Open };
        bench.rate(ours, row, target);
    }
    Ok(())
}

/// W6.
fn live<'a>(bench: &mut Bench<'a>, ground: &'a Ground, settings: &Settings) {
    let (count, paced) = (settings.scale.live, settings.scale.paced);
    let ours = bench
        .row(format!("pocketmq live, recv and ack up to 256, {}", short(count)), move || {
            through_queue(ground, count, None, 256)
        });
    let ours_paced = bench.row(format!("pocketmq live, 50 k/s, {}", short(paced)), move || {
        through_queue(ground, paced, Some(PACE), 1)
    });
    for peer in ALL {
        let (name, remark) = (peer.name(), remark(peer));
        let row = bench.row(format!("{name} live, polled, {}{remark}", short(count)), move || {
            turns::live(ground, peer, plan(count, &BODY, false), None)
        });
        bench.rate(ours, row, Target::Open);
        if peer.keeps_pace() {
            let name = format!("{name} live, polled, 50 k/s, {}{remark}", short(paced));
            let row = bench.row(name, move || {
                turns::live(ground, peer, plan(paced, &BODY, false), Some(PACE))
            });
            bench.latency(ours_paced, row, Target::Open);
        }
    }
}

/// W7.
fn jobs<'a>(bench: &mut Bench<'a>, ground: &'a Ground, settings: &Settings) {
    let count = settings.scale.jobs;
    let ours = crate::jobs::rows(bench, settings, ground);
    let phases = [
        (Phase::Fill, "fill"),
        (Phase::Drain, "drain"),
        (Phase::InTurn, "send, take, ack in turn"),
    ];
    for peer in JOBS {
        for ((phase, what), ours) in phases.into_iter().zip(ours) {
            let name = format!("{} jobs, {what}, {}", peer.name(), short(count));
            let row = bench.row(name, move || turns::jobs(ground, peer, count, phase));
            let factor = if peer.name() == "sqlite" { 50.0 } else { 3.0 };
            bench.rate(ours, row, Target::AtLeast(factor));
        }
    }
}
