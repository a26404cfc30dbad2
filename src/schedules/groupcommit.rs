//! Durable senders, the flusher, and a disk that fails: nobody waits for ever, nobody is told durable before it is.

#![expect(clippy::needless_collect, reason = "all run before the first is joined")]

use std::time::Duration;

use super::*;
use crate::ErrorKind;
use crate::flush::Target;
use crate::sync::thread;

const SENDERS: usize = 3;
const EACH: usize = 2;

/// Durable sends of several threads, and what came of each.
fn send_all(engine: &Arc<Engine>, log: &Arc<disk::Log>) -> Vec<Option<ErrorKind>> {
    // A large message goes straight to the file, and may do so during a sync.
    let senders = (0..SENDERS).map(|sender| {
        let body = vec![1; if sender == 0 { 20_000 } else { 1 }];
        let (producer, log) = (producer(engine), Arc::clone(log));
        thread::spawn(move || {
            let send = |_| match producer.send(&body) {
                Ok(receipt) => {
                    let end = receipt.log_offset.get() + u64::from(receipt.size);
                    assert!(receipt.durable && end <= log.durable(), "told before it was durable");
                    None
                }
                Err(e) => Some(e.kind()),
            };
            (0..EACH).map(send).collect::<Vec<_>>()
        })
    });
    let senders: Vec<_> = senders.collect();
    senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
}

#[test]
fn every_durable_send_returns_and_is_durable_by_then() {
    explore(|| {
        let (disk, log) = Disk::watched();
        let engine = open(disk, &options(Flush::Sync));
        assert_eq!(send_all(&engine, &log), [None; SENDERS * EACH]);
        engine.close().unwrap();
    });
}

#[test]
fn a_sync_that_fails_reaches_every_sender() {
    explore(|| {
        let (disk, log) = Disk::watched();
        let engine = open(disk, &options(Flush::Sync));
        engine.store().topic("t").unwrap();
        let good = model::choose(4);
        log.fail_after(good);
        let outcomes = send_all(&engine, &log);
        // Whatever is sent after one of them was told is refused.
        let told: Vec<_> = outcomes.iter().flatten().collect();
        assert!(!told.is_empty() || good >= 2, "{good} syncs were enough for {outcomes:?}");
        assert!(
            told.iter().all(|k| matches!(k, ErrorKind::Unconfirmed | ErrorKind::Poisoned)),
            "{outcomes:?}"
        );
        if !told.is_empty() {
            assert_eq!(producer(&engine).send(b"m").unwrap_err().kind(), ErrorKind::Poisoned);
        }
        assert_eq!(engine.close().is_err(), !told.is_empty());
    });
}

#[test]
fn a_wait_that_times_out_leaves_a_message_unconfirmed_and_the_others_are_told_in_time() {
    explore(|| {
        let (disk, log) = Disk::watched();
        let options = options(Flush::Sync).sync_timeout(Duration::from_millis(30));
        let engine = open(disk, &options);
        engine.store().topic("t").unwrap();
        model::let_time_pass(Duration::from_secs(3600));
        let outcomes = send_all(&engine, &log);
        assert!(outcomes.iter().flatten().all(|k| *k == ErrorKind::Unconfirmed), "{outcomes:?}");
        engine.store().flush().unwrap();
        assert!(log.durable() >= engine.store().durable(), "flushed, but not durable");
        engine.close().unwrap();
    });
}

#[test]
fn tickets_that_are_awaited_are_woken_like_threads_that_wait() {
    explore(|| {
        let (disk, log) = Disk::watched();
        let engine = open(disk, &options(Flush::Sync));
        engine.store().topic("t").unwrap();
        let fails = model::choose(2) == 0;
        if fails {
            log.fail_after(model::choose(2));
        }
        let tasks = (0..2).map(|_| {
            let (producer, log) = (producer(&engine), Arc::clone(&log));
            thread::spawn(move || match shuttle::future::block_on(producer.submit(b"m")?) {
                Ok(receipt) => {
                    assert!(receipt.durable && receipt.log_offset.get() < log.durable());
                    Ok(())
                }
                Err(e) => Err(e),
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let sender = thread::spawn({
            let producer = producer(&engine);
            move || drop(producer.send(b"m"))
        });
        for task in tasks {
            let outcome = task.join().unwrap();
            assert!(outcome.is_ok() || fails, "{outcome:?}");
        }
        sender.join().unwrap();
        assert!(engine.close().is_ok() || fails);
    });
}

#[test]
fn a_ticket_that_is_awaited_while_its_sync_ends_is_woken() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::Sync));
        let producer = producer(&engine);
        // From here on there is room, so that the ticket does not wait in line first.
        producer.send(b"m").unwrap();
        let ticket = producer.submit(b"m").unwrap();
        // Its sync makes the ticket's message durable too, and no other comes after it.
        let sender = thread::spawn(move || assert!(producer.send(b"m").unwrap().durable));
        assert!(shuttle::future::block_on(ticket).unwrap().durable);
        sender.join().unwrap();
        engine.close().unwrap();
    });
}
