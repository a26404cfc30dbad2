//! Delivery on a simulated disk with a clock that the test moves, without threads: whoever moves the time delivers.

mod golden;
mod odd;
mod survive;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::clock::{Clock, ManualClock};
use crate::codec::Raw;
use crate::engine::Engine;
use crate::io::Storage;
use crate::io::memory::Memory;
use crate::io::sim::SimDisk;
use crate::layout::Layout;
use crate::message::properties::name;
use crate::options::{Flush, Options};
use crate::producer::Producer;
use crate::store::message::Message;
use crate::store::read::{Ahead, View};
use crate::sync::Arc;

use super::*;

const ROOT: &str = "/store";
const START: u64 = 1_700_000_000_000;
const LEVELS_MS: [u64; 18] = [
    1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 180_000, 240_000, 300_000, 360_000, 420_000,
    480_000, 540_000, 600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000,
];
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What was sent: by its body the level, the id of the receipt, and when it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    level: u32,
    id: String,
    due: u64,
    /// A power cut does not take it away.
    durable: bool,
}

/// A store and what is known of it.
struct Bench {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    options: Options,
    engine: Option<Arc<Engine>>,
    sent: BTreeMap<String, Sent>,
}

/// The smallest files, and no threads.
fn tiny(flush: Flush) -> Options {
    Options {
        background: false,
        journal_size: 16 << 10,
        ..Options::default()
            .flush(flush)
            .segment_size(20 << 10)
            .queue_file_size(200)
            .staging_size(64 << 10)
    }
}

impl Bench {
    fn on(disk: SimDisk, options: Options) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        Self { disk, clock, options, engine: None, sent: BTreeMap::new() }
    }

    fn new(flush: Flush) -> Self {
        let mut bench = Self::on(SimDisk::new(7), tiny(flush));
        bench.open().unwrap();
        bench
    }

    /// What the next process finds on this disk.
    fn next(&self, disk: SimDisk) -> Self {
        let (clock, options) = (Arc::clone(&self.clock), self.options.clone());
        Self { disk, clock, options, engine: None, sent: self.sent.clone() }
    }

    fn open(&mut self) -> Result<()> {
        self.engine = None;
        let storage: Arc<dyn Storage> = Arc::new(self.disk.clone());
        let clock: Arc<ManualClock> = Arc::clone(&self.clock);
        self.engine = Some(Engine::open_on(storage, clock, Path::new(ROOT), &self.options)?);
        Ok(())
    }

    fn opened(mut self) -> Self {
        self.open().unwrap();
        self
    }

    fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().unwrap()
    }

    fn store(&self) -> &Arc<Store> {
        self.engine().store()
    }

    fn close(&mut self) {
        self.engine().close().unwrap();
        self.engine = None;
    }

    fn producer(&self, topic: &str) -> Producer<[u8], Raw> {
        Producer::new(self.engine(), self.store().topic(topic).unwrap())
    }

    fn now(&self) -> u64 {
        self.clock.wall_ms()
    }

    /// Sends a message that says itself who it is.
    fn try_send(&mut self, level: u32) -> Result<()> {
        let body = format!("{level}/{}", self.sent.len());
        let producer = self.producer("t");
        let message = producer.message(body.as_bytes()).tag("tag").key(&body).property("own", "1");
        let due = self.now() + LEVELS_MS[level as usize - 1];
        let receipt = message.delay_level(level).send()?;
        let sent = Sent { level, id: receipt.id.to_string(), due, durable: receipt.durable };
        self.sent.insert(body, sent);
        Ok(())
    }

    fn send(&mut self, level: u32) {
        self.try_send(level).unwrap();
    }

    /// Moves the time on, and delivers.
    fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.deliver();
    }

    fn deliver(&self) {
        self.engine().delay().time_moved();
    }

    /// How many messages wait, for somebody who looks from outside.
    fn looked_at(&self) -> usize {
        let storage: Arc<dyn Storage> = Arc::new(self.disk.clone());
        let image = crate::store::readonly::Image::of(&storage, Path::new(ROOT)).unwrap();
        image.waiting().count()
    }

    /// All that is stored in a topic.
    fn stored(&self, topic: &str) -> Vec<Message> {
        let store = self.store();
        let mut messages = Vec::new();
        let Some(topic) = store.topics.get(topic) else { return messages };
        for (id, queue) in topic.queues() {
            let mut ahead = Ahead::default();
            for offset in queue.extent().min..queue.extent().next {
                if let View::Unit(unit) = store.view(&topic, id, offset, &mut ahead).unwrap() {
                    messages.push(store.load(&topic, (id, offset), unit).unwrap());
                }
            }
        }
        messages.sort_by_key(Message::log_offset);
        messages
    }

    /// The bodies that were delivered, in order. None came early, or twice, and each is the one that was sent.
    fn delivered(&self, context: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        for message in self.stored("t") {
            let body = String::from_utf8(message.body().to_vec()).unwrap();
            if let Some(sent) = self.sent.get(&body) {
                assert_eq!(message.id().to_string(), sent.id, "{context}: {body}");
                let at = message.store_timestamp().unsigned_abs();
                assert!(at >= sent.due, "{context}: {body} came {} ms early", sent.due - at);
            }
            assert!(!bodies.contains(&body), "{context}: {body} came twice");
            bodies.push(body);
        }
        bodies
    }

    /// After the longest delay everything came that had to, once; of a level in the order in which it was sent.
    fn check_all_come(&self, must: impl Fn(&Sent) -> bool, context: &str) {
        self.advance(DAY);
        let bodies = self.delivered(context);
        for (body, sent) in &self.sent {
            assert!(!must(sent) || bodies.contains(body), "{context}: {body} never came");
        }
        for level in 1..=18 {
            let prefix = format!("{level}/");
            let numbers: Vec<u32> =
                bodies.iter().filter_map(|b| b.strip_prefix(&prefix)?.parse().ok()).collect();
            assert!(numbers.is_sorted(), "{context}: level {level}: {numbers:?}");
        }
        let waiting = self.store().delays.waiting();
        assert!(waiting.iter().all(|(_, count)| *count == 0), "{context}: {waiting:?}");
    }
}

#[test]
fn each_level_comes_at_its_time_to_the_millisecond_and_in_order() {
    for flush in [Flush::default(), Flush::Sync] {
        let mut bench = Bench::new(flush);
        for _ in 0..2 {
            (1..=18).rev().for_each(|level| bench.send(level));
        }
        let mut expected = Vec::new();
        for (level, ms) in (1..).zip(LEVELS_MS) {
            let almost = START + ms - 1 - bench.now();
            bench.advance(Duration::from_millis(almost));
            assert_eq!(bench.delivered("before its time"), expected);
            bench.advance(Duration::from_millis(1));
            let of_level = bench.sent.iter().filter(|(_, sent)| sent.level == level);
            let mut of_level: Vec<_> = of_level.map(|(body, _)| body.clone()).collect();
            of_level.sort_by_key(String::len);
            expected.extend(of_level);
            assert_eq!(bench.delivered("at its time"), expected);
        }
        assert_eq!(expected.len(), 36);
    }
}

#[test]
fn a_copy_is_the_message_that_was_sent() {
    let mut bench = Bench::new(Flush::default());
    bench.store().create_topic("t", 4, true).unwrap();
    let producer = bench.producer("t");
    let message = producer.message(b"body").tag("tag").key("k").property("own", "1").flag(9);
    let receipt = message.queue(2).delay_level(1).send().unwrap();
    assert_eq!((&*receipt.topic, receipt.queue.get()), ("SCHEDULE_TOPIC_XXXX", 0));
    bench.advance(Duration::from_secs(1));
    let (sources, copies) = (bench.stored("SCHEDULE_TOPIC_XXXX"), bench.stored("t"));
    let (source, copy) = (&sources[0], &copies[0]);
    assert_eq!((copy.body(), copy.queue().get(), copy.tag()), (&b"body"[..], 2, Some("tag")));
    assert_eq!((copy.id(), source.id()), (receipt.id.clone(), receipt.id));
    assert_eq!(copy.properties(), source.properties());
    assert_eq!(copy.property(name::REAL_TOPIC), Some("t"));
    let (was, is) = (source.record(), copy.record());
    assert_eq!((is.flag, is.born_timestamp, is.sys_flag), (9, was.born_timestamp, was.sys_flag));
    assert_eq!((is.born_host, is.store_host), (was.born_host, was.store_host));
    let end = source.log_offset().get() + u64::from(source.size());
    assert_eq!(is.prepared_transaction_offset.unsigned_abs(), end);
    // Recovery finds its checksum as it must be, and the units as they are.
    let next = bench.next(bench.disk.kill_image()).opened();
    assert_eq!(next.store().report.units_mended, 2, "{:?}", next.store().report);
    assert_eq!(next.store().report.damage, []);
    assert_eq!(next.stored("t").len(), 1);
    bench.close();
}

#[test]
fn a_clock_that_is_set_makes_none_early_and_none_come_twice() {
    let mut bench = Bench::new(Flush::default());
    for level in [3, 17, 17] {
        bench.send(level);
    }
    // Two hours back: later by as much.
    bench.clock.set_wall_ms(START - 7_200_000);
    bench.advance(Duration::from_secs(10));
    assert!(bench.delivered("set back").is_empty());
    bench.send(1);
    // What is stored meanwhile has the time that the store had reached.
    bench.sent.values_mut().filter(|sent| sent.level == 1).for_each(|sent| sent.due = START + 1000);
    bench.advance(Duration::from_secs(7_200 - 10));
    assert!(bench.delivered("where it was").is_empty());
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.delivered("a second on"), ["1/3"]);
    // An hour ahead: at once.
    bench.clock.set_wall_ms(START + 3_600_000);
    bench.deliver();
    assert_eq!(bench.delivered("set ahead"), ["1/3", "3/0", "17/1", "17/2"]);
    bench.clock.set_wall_ms(START);
    bench.deliver();
    bench.check_all_come(|_| true, "back again");
}

#[test]
fn many_of_one_level_do_not_hold_up_the_others() {
    let mut bench = Bench::new(Flush::default());
    let producer = bench.producer("many");
    let message = producer.message(b"one of many").delay_level(1);
    for _ in 0..1000 {
        message.send().unwrap();
    }
    bench.send(1);
    bench.send(2);
    bench.clock.advance(Duration::from_secs(5));
    let turn = bench.engine().delay().turn().unwrap();
    assert!(turn.more && turn.until.is_none());
    assert_eq!(bench.delivered("after the first turn"), ["2/1"]);
    bench.check_all_come(|_| true, "in the end");
    assert_eq!(bench.stored("many").len(), 1000);
}

#[test]
fn in_memory_what_waits_is_not_given_back_and_what_came_is() {
    let options = Options {
        background: false,
        volatile: true,
        ..Options::default().segment_size(64 << 10).queue_file_size(2000).staging_size(64 << 10)
    };
    let clock = Arc::new(ManualClock::at(START));
    let (storage, time) = (Arc::new(Memory::new(Some(4 << 20))), Arc::clone(&clock));
    let engine = Engine::open_on(storage, time, Path::new("/"), &options).unwrap();
    let producer: Producer<[u8], Raw> = Producer::new(&engine, engine.store().topic("t").unwrap());
    let consumer =
        crate::consumer::ConsumerBuilder::new(&engine, crate::Topic::<[u8], Raw>::new("t"), "g");
    let consumer = consumer.pull().unwrap();
    let drain = || {
        let mut count = 0;
        while let Some(delivery) = consumer.recv(Duration::ZERO).unwrap() {
            delivery.ack().unwrap();
            count += 1;
        }
        count
    };
    // Far more than there is memory for.
    for round in 0..40 {
        let body = vec![7; 1000];
        let message = producer.message(&body).delay_level(2);
        (0..100).for_each(|_| drop(message.send().unwrap()));
        clock.advance(Duration::from_secs(6));
        engine.delay().time_moved();
        assert_eq!(drain(), 100, "round {round}");
    }
    producer.message(b"last").delay_level(18).send().unwrap();
    let body = vec![7; 1000];
    for _ in 0..1000 {
        producer.send(&body).unwrap();
        drain();
    }
    clock.advance(DAY);
    engine.delay().time_moved();
    assert_eq!(drain(), 1, "the last one was given back");
}

#[test]
fn a_thread_delivers_by_itself() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new(None));
    let clock = Arc::new(crate::clock::SystemClock);
    let options = Options::default().delay_levels("1s 1h");
    let engine = Engine::open_on(storage, clock, Path::new("/"), &options).unwrap();
    let topic = crate::Topic::<[u8], Raw>::new("t");
    let producer: Producer<[u8], Raw> = Producer::new(&engine, engine.store().topic("t").unwrap());
    let consumer = crate::consumer::ConsumerBuilder::new(&engine, topic, "g").pull().unwrap();
    producer.message(b"in an hour").delay_level(2).send().unwrap();
    for n in 0..2 {
        let sent = crate::clock::SystemClock.wall_ms();
        let message = producer.message(b"soon").delay_level(1);
        let id = if n == 0 {
            message.send().unwrap().id
        } else {
            message.submit().unwrap().wait().unwrap().id
        };
        let got = consumer.recv(Duration::from_secs(45)).unwrap().expect("it is delivered");
        assert_eq!((got.body(), got.message().id()), (&b"soon"[..], id));
        assert!(crate::clock::SystemClock.wall_ms() >= sent + 1000, "it came early");
        got.ack().unwrap();
    }
    engine.close().unwrap();
    assert!(producer.message(b"late").delay_level(1).send().is_err());
}
