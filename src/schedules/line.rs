//! Messages in line, while others are let in, the disk fails or the queue is closed: each is told once, and told the truth.

#![expect(clippy::needless_collect, reason = "all run before the first is joined")]

use std::collections::BTreeMap;

use super::*;
use crate::sync::thread;
use crate::{ErrorKind, Result};

/// Never fits into the buffer, so it waits in line.
const LARGE: usize = 20_000;

const SENDERS: u8 = 2;
const EACH: u8 = 2;

/// Submits, and then waits for each: by message, what came of it.
fn submit(engine: &Arc<Engine>, sender: u8) -> thread::JoinHandle<Vec<(u8, Result<u64>)>> {
    let producer = producer(engine);
    thread::spawn(move || {
        let submitted = (0..EACH).map(|n| {
            let number = sender * EACH + n;
            let size = if model::choose(2) == 0 { LARGE } else { 10 };
            (number, producer.submit(&vec![number; size]))
        });
        let submitted: Vec<_> = submitted.collect();
        let settle = |(number, ticket): (u8, Result<crate::Ticket>)| {
            let settled = ticket.and_then(|ticket| {
                if model::choose(2) == 0 {
                    ticket.wait()
                } else {
                    shuttle::future::block_on(ticket)
                }
            });
            (number, settled.map(|receipt| receipt.queue_offset.get()))
        };
        submitted.into_iter().map(settle).collect()
    })
}

/// By message, its offset in a store that is opened anew.
fn stored(disk: Arc<dyn Storage>) -> BTreeMap<u8, u64> {
    let engine = open(disk, &options(Flush::default()));
    let all = consumer(&engine).recv_batch(100, std::time::Duration::ZERO).unwrap();
    let mut stored = BTreeMap::new();
    for delivery in &all {
        let before = stored.insert(delivery.body()[0], delivery.message().queue_offset().get());
        assert!(before.is_none(), "{} is stored twice", delivery.body()[0]);
    }
    drop(all);
    engine.close().unwrap();
    stored
}

/// Two senders, and `meanwhile`.
fn everybody_is_told_the_truth(
    flush: Flush,
    allowed: &'static [ErrorKind],
    meanwhile: fn(&Arc<Engine>, &disk::Log),
) {
    explore(move || {
        let (disk, log) = Disk::watched();
        let engine = open(Arc::clone(&disk), &options(flush));
        engine.store().topic("t").unwrap();
        let senders: Vec<_> = (0..SENDERS).map(|sender| submit(&engine, sender)).collect();
        meanwhile(&engine, &log);
        let outcomes: Vec<_> = senders.into_iter().map(|s| s.join().unwrap()).collect();
        log.fail_after(usize::MAX);
        let _ = engine.close();
        let stored = stored(disk);
        for told in outcomes {
            let mut last = None;
            for (number, outcome) in told {
                match outcome {
                    Ok(offset) => {
                        assert_eq!(stored.get(&number), Some(&offset), "{number}");
                        assert!(last.is_none_or(|last| last < offset), "{number} came too early");
                        last = Some(offset);
                    }
                    Err(e) => {
                        assert!(allowed.contains(&e.kind()), "{e}");
                        let in_doubt = e.kind() == ErrorKind::Unconfirmed;
                        assert!(in_doubt || !stored.contains_key(&number), "{number} was refused");
                    }
                }
            }
        }
    });
}

#[test]
fn those_in_line_are_let_in_in_order() {
    everybody_is_told_the_truth(Flush::default(), &[ErrorKind::Full], |engine, _| {
        producer(engine).send(&vec![100; LARGE]).unwrap();
    });
}

#[test]
fn those_in_line_are_let_in_or_refused_by_a_close() {
    let allowed = &[ErrorKind::Full, ErrorKind::Closed, ErrorKind::Unconfirmed];
    everybody_is_told_the_truth(Flush::default(), allowed, |engine, _| {
        engine.close().unwrap();
    });
}

#[test]
fn those_in_line_are_told_of_a_failure() {
    let allowed = &[ErrorKind::Full, ErrorKind::Poisoned, ErrorKind::Unconfirmed];
    everybody_is_told_the_truth(Flush::Sync, allowed, |engine, log| {
        log.fail_after(model::choose(3));
        let _ = producer(engine).send(b"\x64");
    });
}

#[test]
fn those_in_line_are_told_of_a_failure_and_a_close_at_once() {
    let allowed =
        &[ErrorKind::Full, ErrorKind::Poisoned, ErrorKind::Closed, ErrorKind::Unconfirmed];
    everybody_is_told_the_truth(Flush::Sync, allowed, |engine, log| {
        log.fail_after(model::choose(3));
        let _ = engine.close();
    });
}
