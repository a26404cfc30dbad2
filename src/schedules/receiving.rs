//! Consumers that sleep: a message wakes one, a close and a failure wake all.

use std::time::Duration;

use super::*;
use crate::ErrorKind;
use crate::options::LONGEST_WAIT;
use crate::sync::thread::{self, JoinHandle};

/// Receives until the queue ends; drops the first `drops` deliveries, acknowledges the rest.
fn receive(engine: &Arc<Engine>, drops: usize, acked: &Arc<Count>) -> JoinHandle<ErrorKind> {
    let (consumer, acked) = (consumer(engine), Arc::clone(acked));
    thread::spawn(move || {
        let mut drops = drops;
        loop {
            match consumer.recv(LONGEST_WAIT) {
                Ok(Some(delivery)) if drops > 0 => {
                    drops -= 1;
                    drop(delivery);
                }
                Ok(Some(delivery)) => {
                    if let Err(e) = delivery.ack() {
                        return e.kind();
                    }
                    acked.add(1);
                }
                Ok(None) => unreachable!("time stands still"),
                Err(e) => return e.kind(),
            }
        }
    })
}

fn send(engine: &Arc<Engine>, each: usize) -> Vec<JoinHandle<()>> {
    let senders = (0..2).map(|_| {
        let producer = producer(engine);
        thread::spawn(move || {
            for _ in 0..each {
                producer.send(b"m").unwrap();
            }
        })
    });
    senders.collect()
}

fn every_message_arrives(flush: Flush) {
    explore(move || {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(flush));
        let acked = Arc::new(Count::default());
        // Before and among the sends; one gives messages back.
        let mut consumers = vec![receive(&engine, model::choose(3), &acked)];
        let senders = send(&engine, 2);
        consumers.push(receive(&engine, 0, &acked));
        acked.wait_for(4);
        for sender in senders {
            sender.join().unwrap();
        }
        engine.close().unwrap();
        for consumer in consumers {
            assert_eq!(consumer.join().unwrap(), ErrorKind::Closed);
        }
        assert_eq!(*acked.at.lock(), 4);
    });
}

#[test]
fn every_message_wakes_somebody_and_so_does_one_that_is_given_back() {
    every_message_arrives(Flush::default());
}

#[test]
fn every_message_wakes_somebody_once_it_is_durable() {
    every_message_arrives(Flush::Sync);
}

/// As many messages as consumers, each of whom leaves with the first it gets: nobody who comes later makes up for a wake-up
/// that was lost.
fn each_takes_one(flush: Flush, consumers: usize) {
    explore(move || {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(flush));
        let takers = (0..consumers).map(|_| {
            let consumer = consumer(&engine);
            thread::spawn(move || consumer.recv(LONGEST_WAIT).unwrap().unwrap().ack().unwrap())
        });
        let takers: Vec<_> = takers.collect();
        let senders = (0..consumers).map(|_| {
            let producer = producer(&engine);
            thread::spawn(move || drop(producer.send(b"m").unwrap()))
        });
        for thread in senders.collect::<Vec<_>>().into_iter().chain(takers) {
            thread.join().unwrap();
        }
        engine.close().unwrap();
    });
}

#[test]
fn a_message_that_comes_while_somebody_goes_to_sleep_wakes_him() {
    each_takes_one(Flush::default(), 1);
}

#[test]
fn a_message_that_becomes_durable_while_somebody_goes_to_sleep_wakes_him() {
    each_takes_one(Flush::Sync, 1);
}

#[test]
fn two_messages_wake_two_who_sleep() {
    each_takes_one(Flush::default(), 2);
}

#[test]
fn two_messages_wake_two_who_sleep_once_they_are_durable() {
    each_takes_one(Flush::Sync, 2);
}

#[test]
fn a_message_that_is_given_back_wakes_somebody_who_sleeps() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let (giver, taker) = (consumer(&engine), consumer(&engine));
        producer(&engine).send(b"m").unwrap();
        let message = giver.recv(Duration::ZERO).unwrap().unwrap();
        let taker =
            thread::spawn(move || taker.recv(LONGEST_WAIT).unwrap().unwrap().ack().unwrap());
        drop(message);
        taker.join().unwrap();
        engine.close().unwrap();
    });
}

#[test]
fn whoever_leaves_with_a_part_leaves_nobody_asleep_beside_the_rest() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::Sync));
        let acked = Arc::new(Count::default());
        let takers = (0..2).map(|_| {
            let (consumer, acked) = (consumer(&engine), Arc::clone(&acked));
            thread::spawn(move || {
                // Closed, if the other took all.
                if let Ok(run) = consumer.recv_batch(3, LONGEST_WAIT) {
                    let count = run.len();
                    consumer.ack_all(run).unwrap();
                    acked.add(count);
                }
            })
        });
        let takers: Vec<_> = takers.collect();
        let senders = send(&engine, 1);
        acked.wait_for(2);
        for sender in senders {
            sender.join().unwrap();
        }
        engine.close().unwrap();
        for taker in takers {
            taker.join().unwrap();
        }
    });
}

#[test]
fn a_run_of_messages_taken_at_once_leaves_nobody_asleep_beside_the_rest() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::Sync));
        let acked = Arc::new(Count::default());
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let (consumer, acked) = (consumer(&engine), Arc::clone(&acked));
                thread::spawn(move || {
                    while let Ok(mut run) = consumer.recv_batch(2, LONGEST_WAIT) {
                        // The later half is somebody else's again.
                        drop(run.split_off(1));
                        consumer.ack_all(run).unwrap();
                        acked.add(1);
                    }
                })
            })
            .collect();
        producer(&engine).send_batch([b"1", b"2", b"3", b"4"].map(|m| &m[..])).unwrap();
        acked.wait_for(4);
        engine.close().unwrap();
        for taker in takers {
            taker.join().unwrap();
        }
    });
}

#[test]
fn a_close_wakes_every_sleeper_and_lets_no_send_hang() {
    explore(|| {
        let flush = if model::choose(2) == 0 { Flush::Sync } else { Flush::default() };
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(flush));
        let acked = Arc::new(Count::default());
        let consumers = [0, 0, 0].map(|_| receive(&engine, 0, &acked));
        let sender = thread::spawn({
            let producer = producer(&engine);
            move || producer.send(b"m").map(drop)
        });
        let closer = thread::spawn({
            let engine = Arc::clone(&engine);
            move || drop(engine.close())
        });
        engine.close().unwrap();
        if let Err(e) = sender.join().unwrap() {
            assert!(matches!(e.kind(), ErrorKind::Closed | ErrorKind::Unconfirmed), "{e}");
        }
        closer.join().unwrap();
        for consumer in consumers {
            assert_eq!(consumer.join().unwrap(), ErrorKind::Closed);
        }
    });
}

#[test]
fn a_failure_wakes_every_sleeper() {
    explore(|| {
        let (disk, log) = Disk::watched();
        let engine = open(disk, &options(Flush::Sync));
        let acked = Arc::new(Count::default());
        let consumers = [0, 0].map(|_| receive(&engine, 0, &acked));
        let idle = crate::Topic::<[u8], Raw>::new("idle");
        let idle = ConsumerBuilder::new(&engine, idle, "g").pull().unwrap();
        let idle = thread::spawn(move || idle.recv(LONGEST_WAIT).unwrap_err().kind());
        log.fail_after(model::choose(2));
        let producer = producer(&engine);
        let failed = loop {
            if let Err(e) = producer.send(b"m") {
                break e;
            }
        };
        assert!(matches!(failed.kind(), ErrorKind::Unconfirmed | ErrorKind::Poisoned), "{failed}");
        for consumer in consumers.into_iter().chain([idle]) {
            assert_eq!(consumer.join().unwrap(), ErrorKind::Poisoned);
        }
        assert_eq!(engine.close().unwrap_err().kind(), ErrorKind::Poisoned);
    });
}
