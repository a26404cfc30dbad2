//! Workers that sleep: a message wakes one, whatever topic it comes in; so do a shutdown, a pause that ends, and a close.

use std::time::Duration;

use super::*;
use crate::handler::{Job, WorkerEvent};
use crate::options::LONGEST_WAIT;
use crate::sync::thread;
use crate::worker::{Worker, WorkerBuilder};

const TOPICS: [crate::Topic<[u8], Raw>; 2] = [crate::Topic::new("t"), crate::Topic::new("u")];

/// A worker for two topics, which counts what it handles.
fn worker(engine: &Arc<Engine>, size: usize, handled: &Arc<Count>) -> Worker {
    let counting = || {
        let handled = Arc::clone(handled);
        move |_: &Job<Box<[u8]>>| {
            handled.add(1);
            Ok(())
        }
    };
    let [one, other] = TOPICS;
    let worker = WorkerBuilder::new(engine, "g").on(one, counting()).on(other, counting());
    worker.concurrency(size).run().unwrap()
}

fn send_to_each(engine: &Arc<Engine>) -> [thread::JoinHandle<()>; 2] {
    TOPICS.map(|topic| {
        let topic = engine.store().topic(topic.name()).unwrap();
        let producer = Producer::<[u8], Raw>::new(engine, topic);
        thread::spawn(move || drop(producer.send(b"m").unwrap()))
    })
}

fn ends(worker: &Worker) {
    assert!(worker.shutdown(LONGEST_WAIT).unwrap().unfinished.is_empty());
}

fn every_message_is_handled(flush: Flush, size: usize) {
    explore(move || {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(flush));
        let handled = Arc::new(Count::default());
        let worker = worker(&engine, size, &handled);
        let senders = send_to_each(&engine);
        handled.wait_for(2);
        ends(&worker);
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(worker.stats().handled, 2);
        engine.close().unwrap();
    });
}

#[test]
fn a_message_that_comes_while_a_worker_goes_to_sleep_wakes_it() {
    every_message_is_handled(Flush::default(), 1);
}

#[test]
fn messages_of_two_topics_wake_the_threads_of_one_worker() {
    every_message_is_handled(Flush::default(), 2);
}

#[test]
fn a_message_that_becomes_durable_while_a_worker_goes_to_sleep_wakes_it() {
    every_message_is_handled(Flush::Sync, 1);
}

#[test]
fn a_worker_that_goes_on_after_a_pause_handles_what_came_meanwhile() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let handled = Arc::new(Count::default());
        let worker = worker(&engine, 1, &handled);
        let senders = send_to_each(&engine);
        worker.pause();
        worker.resume();
        handled.wait_for(2);
        ends(&worker);
        for sender in senders {
            sender.join().unwrap();
        }
        engine.close().unwrap();
    });
}

#[test]
fn what_a_worker_leaves_when_it_pauses_wakes_another() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let handled = Arc::new(Count::default());
        let (pauses, goes_on) = (worker(&engine, 1, &handled), worker(&engine, 1, &handled));
        let senders = send_to_each(&engine);
        pauses.pause();
        handled.wait_for(2);
        ends(&pauses);
        ends(&goes_on);
        for sender in senders {
            sender.join().unwrap();
        }
        engine.close().unwrap();
    });
}

#[test]
fn what_a_worker_leaves_when_it_ends_wakes_another() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let handled = Arc::new(Count::default());
        let (leaves, stays) = (worker(&engine, 1, &handled), worker(&engine, 1, &handled));
        let senders = send_to_each(&engine);
        drop(leaves);
        handled.wait_for(2);
        ends(&stays);
        for sender in senders {
            sender.join().unwrap();
        }
        engine.close().unwrap();
    });
}

#[test]
fn a_close_ends_a_worker_wherever_its_threads_are() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let worker = worker(&engine, 2, &Arc::default());
        producer(&engine).send(b"m").unwrap();
        engine.close().unwrap();
        ends(&worker);
    });
}

#[test]
fn a_handler_that_hangs_is_reported_though_the_watch_was_going_to_sleep() {
    explore(|| {
        let timeout = Duration::from_secs(900);
        // More than all others spend who wait for a time.
        model::let_time_pass(timeout * 100);
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let (hung, told) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let late = Arc::clone(&told);
        let consumer = ConsumerBuilder::new(&engine, crate::Topic::<[u8], Raw>::new("t"), "g")
            .handler_timeout(timeout)
            .on_event(move |event| {
                if let WorkerEvent::TimedOut { job, .. } = event {
                    late.add(usize::from(job.message().queue_offset().get() == 1));
                }
            });
        let hangs = Arc::clone(&hung);
        let worker = consumer.run(move |m| {
            // The second one.
            if m.message().queue_offset().get() == 1 {
                hangs.wait_for(1);
            }
            Ok(())
        });
        let worker = worker.unwrap();
        producer(&engine).send(b"m").unwrap();
        producer(&engine).send(b"m").unwrap();
        told.wait_for(1);
        hung.add(1);
        ends(&worker);
        engine.close().unwrap();
    });
}
