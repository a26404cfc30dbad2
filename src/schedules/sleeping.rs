//! Futures and threads of one group that sleep: nothing is stranded, whoever is woken, and whoever is dropped.

use std::future::Future;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::*;
use crate::ErrorKind;
use crate::filter::Filter;
use crate::options::LONGEST_WAIT;
use crate::retry::Retry;
use crate::sync::thread::{self, JoinHandle};

/// A bell that a thread waits for.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn wait(&self) {
        let mut rung = self.rung.lock();
        while !*rung {
            self.rings.wait(&mut rung);
        }
        *rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock() = true;
        self.rings.notify_all();
    }
}

/// Polls until it is ready; gives up, and drops it, after so many polls.
fn poll_up_to<F: Future>(most: usize, future: F) -> Option<F::Output> {
    let (bell, mut future) = (Arc::new(Bell::default()), Box::pin(future));
    let waker = Waker::from(Arc::clone(&bell));
    for poll in 1.. {
        if let Poll::Ready(out) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(out);
        }
        if poll >= most {
            return None;
        }
        bell.wait();
    }
    None
}

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    poll_up_to(usize::MAX, future).unwrap()
}

type Bytes = Consumer<[u8], Raw>;

/// Takes one message, on a thread or as a future.
fn take_one(consumer: Bytes, as_future: bool) -> JoinHandle<()> {
    thread::spawn(move || {
        let got = if as_future {
            block_on(consumer.recv_async(LONGEST_WAIT))
        } else {
            consumer.recv(LONGEST_WAIT)
        };
        got.unwrap().unwrap().ack().unwrap();
    })
}

fn send_one(engine: &Arc<Engine>) -> JoinHandle<()> {
    let producer = producer(engine);
    thread::spawn(move || drop(producer.send(b"m").unwrap()))
}

fn each_takes_one(flush: Flush, futures: &'static [bool]) {
    explore(move || {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(flush));
        let takers: Vec<_> =
            futures.iter().map(|as_future| take_one(consumer(&engine), *as_future)).collect();
        let senders: Vec<_> = futures.iter().map(|_| send_one(&engine)).collect();
        for thread in senders.into_iter().chain(takers) {
            thread.join().unwrap();
        }
        engine.close().unwrap();
    });
}

#[test]
fn a_message_that_comes_while_a_future_goes_to_sleep_wakes_it() {
    each_takes_one(Flush::default(), &[true]);
}

#[test]
fn a_message_that_becomes_durable_while_a_future_goes_to_sleep_wakes_it() {
    each_takes_one(Flush::Sync, &[true]);
}

#[test]
fn two_messages_wake_two_futures_that_sleep() {
    each_takes_one(Flush::default(), &[true, true]);
}

#[test]
fn three_messages_wake_a_thread_and_two_futures_that_sleep() {
    each_takes_one(Flush::default(), &[true, false, true]);
}

#[test]
fn two_messages_wake_a_thread_and_a_future_once_they_are_durable() {
    each_takes_one(Flush::Sync, &[true, false]);
}

fn a_future_is_dropped(flush: Flush) {
    explore(move || {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(flush));
        let leaver = {
            let (consumer, polls) = (consumer(&engine), model::choose(4));
            thread::spawn(move || {
                // With what it received, if it did.
                drop(poll_up_to(polls, consumer.recv_async(LONGEST_WAIT)));
            })
        };
        let stays = take_one(consumer(&engine), model::choose(2) == 0);
        send_one(&engine).join().unwrap();
        // The leaver may be asleep beside nothing.
        stays.join().unwrap();
        engine.close().unwrap();
        leaver.join().unwrap();
    });
}

#[test]
fn a_future_that_is_dropped_takes_nobodys_wake_up_with_it() {
    a_future_is_dropped(Flush::default());
}

#[test]
fn a_future_that_is_dropped_while_the_disk_works_takes_nobodys_wake_up_with_it() {
    a_future_is_dropped(Flush::Sync);
}

#[test]
fn whoever_found_more_than_he_takes_wakes_as_many_as_there_are_messages() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let filtered = || {
            let builder = ConsumerBuilder::new(&engine, crate::Topic::<[u8], Raw>::new("t"), "g");
            builder.filter(Filter::sql("wanted = 1").unwrap()).pull().unwrap()
        };
        // Looked at one by one, then two together, then four.
        producer(&engine).send_batch([b"1", b"2", b"3"].map(|m| &m[..])).unwrap();
        let takers = [true, true, false].map(|as_future| take_one(filtered(), as_future));
        for _ in 0..3 {
            producer(&engine).message(b"m").property("wanted", 1).send().unwrap();
        }
        for taker in takers {
            taker.join().unwrap();
        }
        engine.close().unwrap();
    });
}

#[test]
fn a_message_that_failed_comes_to_a_future_when_it_is_due() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        producer(&engine).send(b"m").unwrap();
        let builder = ConsumerBuilder::new(&engine, crate::Topic::<[u8], Raw>::new("t"), "g");
        let consumer = builder.retry(Retry::fixed(Duration::ZERO)).pull().unwrap();
        let failing = consumer.recv(Duration::ZERO).unwrap().unwrap();
        let takers = [0, 1].map(|_| {
            let consumer = consumer.clone();
            thread::spawn(move || block_on(consumer.recv_async(LONGEST_WAIT)).map(drop))
        });
        model::let_time_pass(Duration::from_secs(60));
        failing.snooze(Duration::from_secs(5)).unwrap();
        let [first, second] = takers;
        // Either receives it and gives it back, so that the other does too.
        first.join().unwrap().unwrap();
        second.join().unwrap().unwrap();
        engine.close().unwrap();
    });
}

#[test]
fn a_lease_that_ends_while_only_futures_wait_gives_its_message_to_one() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let builder = ConsumerBuilder::new(&engine, crate::Topic::<[u8], Raw>::new("t"), "g");
        let consumer = builder.lease(Duration::from_secs(5)).pull().unwrap();
        let taker = {
            let consumer = consumer.clone();
            thread::spawn(move || {
                // The first one is kept for too long.
                let kept = block_on(consumer.recv_async(LONGEST_WAIT)).unwrap().unwrap();
                let again = block_on(consumer.recv_async(LONGEST_WAIT)).unwrap().unwrap();
                assert_eq!(again.attempt(), 2);
                again.ack().unwrap();
                assert_eq!(kept.ack().unwrap_err().kind(), ErrorKind::Stale);
            })
        };
        model::let_time_pass(Duration::from_secs(60));
        producer(&engine).send(b"m").unwrap();
        taker.join().unwrap();
        engine.close().unwrap();
    });
}

#[test]
fn a_future_whose_time_is_up_says_so() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let consumer = consumer(&engine);
        let idle = thread::spawn(move || block_on(consumer.recv_async(Duration::from_secs(5))));
        model::let_time_pass(Duration::from_secs(60));
        assert!(idle.join().unwrap().unwrap().is_none());
        engine.close().unwrap();
    });
}

#[test]
fn a_close_and_a_failure_wake_every_future() {
    explore(|| {
        let (disk, log) = Disk::watched();
        let engine = open(disk, &options(Flush::Sync));
        let idle = [0, 1].map(|_| {
            let consumer = consumer(&engine);
            thread::spawn(move || {
                loop {
                    match block_on(consumer.recv_async(LONGEST_WAIT)) {
                        Ok(got) => drop(got.unwrap().ack()),
                        Err(e) => return e.kind(),
                    }
                }
            })
        });
        let fails = model::choose(2) == 0;
        if fails {
            log.fail_after(0);
            producer(&engine).send(b"m").unwrap_err();
        } else {
            engine.close().unwrap();
        }
        for idle in idle {
            let expected = if fails { ErrorKind::Poisoned } else { ErrorKind::Closed };
            assert_eq!(idle.join().unwrap(), expected);
        }
        let _ = engine.close();
    });
}
