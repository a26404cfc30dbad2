//! A store in memory gives segments back while messages of theirs are held, and while groups come.

use std::collections::VecDeque;

use super::*;
use crate::ErrorKind;
use crate::io::memory::Memory;
use crate::options::LONGEST_WAIT;
use crate::store::read::{Ahead, View};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{AtomicBool, Ordering};

/// Three of these fill a segment.
const BODY: usize = 5000;
const MESSAGES: u8 = 8;

fn engine(budget: Option<u64>) -> Arc<Engine> {
    let options = Options { volatile: true, ..options(Flush::default()) }.segment_size(16 << 10);
    open(Arc::new(Memory::new(budget)), &options)
}

fn fill(engine: &Arc<Engine>) -> JoinHandle<()> {
    let producer = producer(engine);
    thread::spawn(move || {
        for number in 0..MESSAGES {
            // Full until the consumers have passed something.
            while let Err(full) = producer.send(&[number; BODY]) {
                assert_eq!(full.kind(), ErrorKind::Full);
                thread::yield_now();
            }
        }
    })
}

/// Receives in order, holding two messages at a time, and looks at each when it lets go of it.
fn hold_and_look(group: &str, engine: &Arc<Engine>) -> JoinHandle<()> {
    let topic = crate::Topic::<[u8], Raw>::new("t");
    let builder = ConsumerBuilder::new(engine, topic, group);
    let (store, group) = (Arc::clone(engine.store()), group.to_owned());
    thread::spawn(move || {
        let consumer = builder.pull().unwrap();
        let start = store.progress.cursor(&group, "t", 0).unwrap().watermark();
        let mut held = VecDeque::new();
        let mut last = u8::try_from(start).unwrap().checked_sub(1);
        while last != Some(MESSAGES - 1) {
            let delivery = consumer.recv(LONGEST_WAIT).unwrap().unwrap();
            let number = delivery.body()[0];
            assert_eq!(number, last.map_or(0, |last| last + 1), "{group} began with {start}");
            last = Some(number);
            held.push_back((number, delivery.message().clone()));
            delivery.ack().unwrap();
            if held.len() > 2 {
                let (number, message) = held.pop_front().unwrap();
                assert_eq!(message.body(), [number; BODY], "taken away while it was held");
            }
        }
        for (number, message) in held {
            assert_eq!(message.body(), [number; BODY], "taken away while it was held");
        }
    })
}

#[test]
fn a_message_that_is_held_outlives_its_segment() {
    explore(|| {
        let engine = engine(None);
        let first = consumer(&engine);
        let consumer = hold_and_look("g", &engine);
        let sender = fill(&engine);
        sender.join().unwrap();
        consumer.join().unwrap();
        drop(first);
        engine.close().unwrap();
    });
}

#[test]
fn a_group_that_joins_while_memory_is_given_back_misses_nothing_after_its_start() {
    explore(|| {
        let engine = engine(None);
        let first = consumer(&engine);
        let consumers = [hold_and_look("g", &engine), hold_and_look("late", &engine)];
        let sender = fill(&engine);
        sender.join().unwrap();
        for consumer in consumers {
            consumer.join().unwrap();
        }
        drop(first);
        engine.close().unwrap();
    });
}

#[test]
fn what_was_taken_away_reads_as_removed_and_never_as_damaged() {
    explore(|| {
        let engine = engine(None);
        let first = consumer(&engine);
        let consumer = hold_and_look("g", &engine);
        let over = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let (store, topic) = (Arc::clone(engine.store()), engine.store().topic("t").unwrap());
            let over = Arc::clone(&over);
            // Again and again, so that it looks while something is taken away.
            move || {
                let mut offset = 0;
                while !over.load(Ordering::SeqCst) {
                    thread::yield_now();
                    offset = (offset + 1) % u64::from(MESSAGES);
                    let view = store.view(&topic, 0, offset, &mut Ahead::default()).unwrap();
                    let View::Unit(unit) = view else { continue };
                    match store.load(&topic, (0, offset), unit) {
                        Ok(message) => assert_eq!(u64::from(message.body()[0]), offset),
                        Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound, "{e}"),
                    }
                }
            }
        });
        fill(&engine).join().unwrap();
        consumer.join().unwrap();
        over.store(true, Ordering::SeqCst);
        reader.join().unwrap();
        drop(first);
        engine.close().unwrap();
    });
}
