//! Handlers that are futures: whoever wakes one, orders something or ends the queue meanwhile, the work learns of it.

use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::sleeping::block_on;
use super::*;
use crate::options::LONGEST_WAIT;
use crate::sync::thread::{self, JoinHandle};
use crate::worker::{Control, Work};
use crate::{Error, HandlerError};

/// Handlers that each wait until a thread lets them through.
#[derive(Default)]
struct Gate {
    open: Mutex<(usize, Vec<Waker>)>,
}

impl Gate {
    fn let_through(&self, count: usize) {
        let mut open = self.open.lock();
        open.0 += count;
        let wakers = std::mem::take(&mut open.1);
        drop(open);
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn pass(&self) -> Result<(), HandlerError> {
        poll_fn(|cx| {
            let mut open = self.open.lock();
            if open.0 == 0 {
                open.1.push(cx.waker().clone());
                return Poll::Pending;
            }
            open.0 -= 1;
            Poll::Ready(Ok(()))
        })
        .await
    }
}

fn work(engine: &Arc<Engine>, concurrency: usize, gate: &Arc<Gate>) -> (Control, Work) {
    let gate = Arc::clone(gate);
    let builder = ConsumerBuilder::new(engine, crate::Topic::<[u8], Raw>::new("t"), "g");
    let run = builder.concurrency(concurrency).run_async(move |_| {
        let gate = Arc::clone(&gate);
        async move { gate.pass().await }
    });
    run.unwrap()
}

fn spawn(work: Work) -> JoinHandle<Result<(), Error>> {
    thread::spawn(move || block_on(work))
}

fn opener(gate: &Arc<Gate>, count: usize) -> JoinHandle<()> {
    let gate = Arc::clone(gate);
    thread::spawn(move || {
        for _ in 0..count {
            gate.let_through(1);
        }
    })
}

#[test]
fn every_message_is_handled_whoever_wakes_its_handler_and_a_shutdown_sees_the_end() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let flush = if model::choose(2) == 0 { Flush::Sync } else { Flush::default() };
        let engine = open(disk, &options(flush));
        let gate = Arc::new(Gate::default());
        let works = [1, 2].map(|concurrency| work(&engine, concurrency, &gate));
        let [(first, work), (second, other)] = works;
        let works = [spawn(work), spawn(other)];
        let opener = opener(&gate, 3);
        let producer = producer(&engine);
        let sender = thread::spawn(move || {
            for _ in 0..3 {
                producer.send(b"m").unwrap();
            }
        });
        sender.join().unwrap();
        opener.join().unwrap();
        let consumer = consumer(&engine);
        // What they have not taken when they are told to end is for others.
        for control in [&first, &second] {
            let report = block_on(control.shutdown(LONGEST_WAIT)).unwrap();
            assert_eq!(report.unfinished, []);
        }
        for work in works {
            work.join().unwrap().unwrap();
        }
        let handled = first.stats().handled + second.stats().handled;
        let left = consumer.recv_batch(9, Duration::ZERO).unwrap().len();
        assert_eq!(handled + u64::try_from(left).unwrap(), 3);
        engine.close().unwrap();
    });
}

#[test]
fn no_message_is_left_while_a_work_sleeps() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let gate = Arc::new(Gate::default());
        let (control, work) = work(&engine, 2, &gate);
        let done = Arc::new(Count::default());
        let counting = Arc::clone(&done);
        let builder = ConsumerBuilder::new(&engine, crate::Topic::<[u8], Raw>::new("t"), "g");
        let (_, counts) = builder
            .run_async(move |_| {
                counting.add(1);
                async { Ok::<_, HandlerError>(()) }
            })
            .unwrap();
        let works = [spawn(work), spawn(counts)];
        control.pause();
        let producer = producer(&engine);
        let sender = thread::spawn(move || {
            for _ in 0..2 {
                producer.send(b"m").unwrap();
            }
        });
        // The one that is paused may have begun with some: they come when it is dropped, or let through.
        gate.let_through(2);
        sender.join().unwrap();
        let handled = || usize::try_from(control.stats().handled).unwrap();
        while *done.at.lock() + handled() < 2 {
            thread::yield_now();
        }
        engine.close().unwrap();
        for work in works {
            work.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_close_ends_works_that_wait_work_or_are_paused() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let gate = Arc::new(Gate::default());
        let (control, paused) = work(&engine, 1, &gate);
        let (_, waits) = work(&engine, 1, &gate);
        let works = [spawn(paused), spawn(waits)];
        let pauser = thread::spawn(move || control.pause());
        if model::choose(2) == 0 {
            producer(&engine).send(b"m").unwrap();
        }
        // More than there are messages: what one cannot acknowledge any more, the other may still take.
        let opener = opener(&gate, 3);
        engine.close().unwrap();
        opener.join().unwrap();
        pauser.join().unwrap();
        for work in works {
            work.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_shutdown_is_over_when_its_time_is_and_so_is_the_work() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let gate = Arc::new(Gate::default());
        producer(&engine).send(b"m").unwrap();
        let (control, work) = work(&engine, 1, &gate);
        let work = spawn(work);
        model::let_time_pass(Duration::from_secs(60));
        let report = block_on(control.shutdown(Duration::from_secs(5))).unwrap();
        assert!(report.unfinished.len() <= 1);
        work.join().unwrap().unwrap();
        let consumer = consumer(&engine);
        let again = consumer.recv(Duration::ZERO).unwrap().unwrap();
        assert_eq!(again.attempt(), 1, "it was given back");
        drop(again);
        engine.close().unwrap();
    });
}
