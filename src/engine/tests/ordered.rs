//! First in, first out for each key, whatever its consumers do and whenever the process dies.

use super::*;
use crate::consumer::{Consumer, ConsumerBuilder, Delivery};
use crate::io::sim::SimDisk;
use crate::{Retry, Topic};

const KEYS: usize = 64;
const EACH: u64 = 60;

type Bytes = Topic<[u8], Raw>;

/// What is known of a key's messages, which are numbered.
#[derive(Debug, Clone, Copy, Default)]
struct Key {
    /// All below were acknowledged.
    acked: u64,
    /// All below were acknowledged, or somebody is about to and does not know yet whether it worked.
    tried: u64,
    /// Somebody holds one.
    held: bool,
    /// The process died: what was acknowledged last is not known until the first delivery.
    since_death: Option<(u64, u64)>,
}

impl Key {
    fn delivered(&mut self, number: u64) {
        if let Some((least, most)) = self.since_death.take() {
            assert!(
                (least..=most).contains(&number),
                "{number} after a death, {least} to {most} expected"
            );
            (self.acked, self.tried) = (number, number);
        }
        assert!((self.acked..=self.tried).contains(&number), "{number} came: {self:?}");
        assert!(!self.held, "two of a key are held");
        self.held = true;
    }

    /// Nothing more comes, or the process died before the last acknowledgement was known to have worked.
    fn may_be_done(&self) -> bool {
        self.acked == EACH || self.since_death.is_some_and(|(_, most)| most == EACH)
    }

    fn died(self) -> Self {
        // Nothing of it may have come since the death before.
        let most = self.since_death.map_or(self.tried, |(_, most)| most);
        Self { since_death: Some((self.acked, most)), ..Self::default() }
    }
}

type Keys = Mutex<Vec<Key>>;

fn ordered(engine: &Arc<Engine>) -> Consumer<[u8], Raw> {
    let at_once = Retry::fixed(Duration::ZERO).max_attempts(u32::MAX);
    let builder = ConsumerBuilder::new(engine, Bytes::new("t"), "g").ordered().retry(at_once);
    builder.poison_guard(u32::MAX).pull().unwrap()
}

fn numbers(delivery: &Delivery<Box<[u8]>>) -> (usize, u64) {
    (usize::from(delivery.body()[0]), u64::from(delivery.body()[1]))
}

/// Takes messages and does something with each, until the queue is closed or everything is done.
fn work(consumer: &Consumer<[u8], Raw>, keys: &Keys, mut seed: u64) {
    while !keys.lock().iter().all(Key::may_be_done) {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let max = if (seed >> 40).is_multiple_of(4) { 8 } else { 1 };
        let Ok(batch) = consumer.recv_batch(max, Duration::from_millis(1)) else { return };
        for delivery in &batch {
            let (key, number) = numbers(delivery);
            keys.lock()[key].delivered(number);
        }
        let mut batch = batch.into_iter();
        while let Some(delivery) = batch.next() {
            let (key, number) = numbers(&delivery);
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let acks = (seed >> 40) % 8 < 5;
            {
                let mut keys = keys.lock();
                keys[key].held = false;
                if acks {
                    keys[key].tried = number + 1;
                }
            }
            if acks {
                if delivery.ack().is_err() {
                    // The queue is being closed. What is dropped now may still come to somebody who asked before.
                    for left in batch {
                        keys.lock()[numbers(&left).0].held = false;
                    }
                    return;
                }
                let mut keys = keys.lock();
                keys[key].acked = keys[key].acked.max(number + 1);
            } else if (seed >> 43).is_multiple_of(2) {
                let _ = delivery.fail();
            } else {
                drop(delivery);
            }
        }
    }
}

/// Acknowledges what is left.
fn work_off(consumer: &Consumer<[u8], Raw>, keys: &Keys) {
    while let Some(delivery) = consumer.recv(Duration::ZERO).unwrap() {
        let (key, number) = numbers(&delivery);
        keys.lock()[key].delivered(number);
        delivery.ack().unwrap();
        let done = &mut keys.lock()[key];
        (done.acked, done.tried, done.held) = (number + 1, number + 1, false);
    }
    assert!(keys.lock().iter().all(Key::may_be_done));
}

fn send_all(engine: &Arc<Engine>) {
    let producer = producer(engine);
    for number in 0..EACH {
        for key in 0..KEYS {
            let body = [u8::try_from(key).unwrap(), u8::try_from(number).unwrap()];
            producer.message(&body).order_by(format!("key {key}")).send().unwrap();
        }
    }
}

#[test]
fn each_key_is_first_in_first_out_with_eight_workers_and_deaths() {
    for seed in 0..3 {
        let mut disk = SimDisk::new(seed);
        let options = Options { segment_size: Some(1 << 20), ..Options::default() };
        let open = |disk: &SimDisk| {
            let clock = Arc::new(SystemClock);
            Engine::open_on(Arc::new(disk.clone()), clock, Path::new("/q"), &options).unwrap()
        };
        let mut engine = open(&disk);
        engine.store().create_topic("t", 3, true).unwrap();
        send_all(&engine);
        let keys = Keys::new(vec![Key::default(); KEYS]);
        for death in 0..4 {
            let (before, after, image) = std::thread::scope(|scope| {
                for worker in 0..8 {
                    let (consumer, keys) = (ordered(&engine), &keys);
                    scope.spawn(move || work(&consumer, keys, seed * 1000 + death * 10 + worker));
                }
                let goal = u64::try_from(KEYS).unwrap() * EACH * (death + 1) / 5;
                while keys.lock().iter().map(|key| key.acked).sum::<u64>() < goal {
                    std::thread::yield_now();
                }
                let before = keys.lock().clone();
                let image = disk.kill_image();
                let after = keys.lock().clone();
                engine.close().unwrap();
                (before, after, image)
            });
            let known = before.iter().zip(&after).map(|(before, after)| {
                let (_, most) = after.died().since_death.unwrap();
                Key { since_death: Some((before.acked, most)), ..Key::default() }
            });
            *keys.lock() =
                known.map(|key| Key { acked: key.since_death.unwrap().0, ..key }).collect();
            disk = image;
            engine = open(&disk);
        }
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let (consumer, keys) = (ordered(&engine), &keys);
                scope.spawn(move || work(&consumer, keys, seed * 1000 + worker));
            }
        });
        // What may not have been acknowledged after all.
        work_off(&ordered(&engine), &keys);
        let left =
            engine.store().group_progress().into_iter().map(|c| c.acked.gaps()).sum::<usize>();
        assert_eq!(left, 0, "everything is acknowledged, without a gap");
        engine.close().unwrap();
    }
}

#[test]
fn what_failed_keeps_its_own_key_waiting_and_no_other_also_after_a_restart() {
    let clock = Arc::new(crate::clock::ManualClock::at(1_000_000));
    let disk = SimDisk::new(1);
    let options = Options { background: false, ..Options::default() };
    let open = || {
        let manual: Arc<crate::clock::ManualClock> = Arc::clone(&clock);
        Engine::open_on(Arc::new(disk.clone()), manual, Path::new("/q"), &options).unwrap()
    };
    let consumer = |engine: &Arc<Engine>| {
        let builder = ConsumerBuilder::new(engine, Bytes::new("t"), "g").ordered();
        builder.retry(Retry::fixed(Duration::from_secs(60)).max_attempts(2)).pull().unwrap()
    };
    let all = |engine: &Arc<Engine>| -> Vec<Delivery<Box<[u8]>>> {
        consumer(engine).recv_batch(100, Duration::ZERO).unwrap()
    };
    let bodies = |all: &[Delivery<Box<[u8]>>]| -> Vec<Vec<u8>> {
        all.iter().map(|d| d.body().to_vec()).collect()
    };
    let engine = open();
    for (key, body) in [("a", b"a1"), ("a", b"a2"), ("b", b"b1"), ("a", b"a3"), ("b", b"b2")] {
        producer(&engine).message(body).order_by(key).send().unwrap();
    }
    producer(&engine).send(b"free").unwrap();
    let mut first = all(&engine);
    assert_eq!(bodies(&first), [b"a1".to_vec(), b"b1".to_vec(), b"free".to_vec()]);
    first.remove(0).fail().unwrap();
    first.remove(0).ack().unwrap();
    assert_eq!(bodies(&all(&engine)), [b"b2".to_vec()]);
    drop(first);
    engine.close().unwrap();
    let engine = open();
    assert_eq!(bodies(&all(&engine)), [b"b2".to_vec(), b"free".to_vec()], "a1 still waits");
    clock.advance(Duration::from_secs(60));
    let mut again = all(&engine);
    assert_eq!(bodies(&again[..1]), [b"a1".to_vec()]);
    assert_eq!(again[0].attempt(), 2);
    // Its last attempt: it is set aside, and those behind it pass.
    again.remove(0).fail().unwrap();
    drop(again);
    assert_eq!(bodies(&all(&engine))[0], b"a2");
    engine.close().unwrap();
    let engine = open();
    assert_eq!(bodies(&all(&engine))[0], b"a2");
    engine.close().unwrap();
}

#[test]
fn a_key_has_no_more_at_once_than_was_asked_for() {
    let engine = Engine::in_memory(&Options::default()).unwrap();
    for number in 0..10_u8 {
        producer(&engine).message(&[number]).order_by("a").send().unwrap();
    }
    let builder = ConsumerBuilder::new(&engine, Bytes::new("t"), "g").concurrency_per_key(3);
    let consumer = builder.retry(Retry::fixed(Duration::from_secs(3600))).pull().unwrap();
    let mut held = consumer.recv_batch(10, Duration::ZERO).unwrap();
    assert_eq!(held.len(), 3);
    held.remove(0).fail().unwrap();
    let next = consumer.recv(Duration::ZERO).unwrap().expect("one that failed leaves its place");
    assert_eq!(next.body(), [3]);
    assert!(consumer.recv(Duration::ZERO).unwrap().is_none());
    held.remove(0).ack().unwrap();
    assert_eq!(consumer.recv(Duration::ZERO).unwrap().unwrap().body(), [4]);
    let none = ConsumerBuilder::new(&engine, Bytes::new("t"), "h").concurrency_per_key(0);
    assert_eq!(none.pull().unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn reading_ahead_past_a_blocked_key_has_an_end_and_goes_on_when_it_is_free() {
    let engine = Engine::in_memory(&Options::default()).unwrap();
    let producer = producer(&engine);
    for _ in 0..10_001 {
        producer.message(b"a").order_by("a").send().unwrap();
    }
    producer.message(b"b").order_by("b").send().unwrap();
    let consumer = ordered(&engine);
    let blocking = consumer.recv(Duration::ZERO).unwrap().unwrap();
    assert!(consumer.recv(Duration::ZERO).unwrap().is_none(), "10 000 of the key are before b");
    blocking.ack().unwrap();
    let second = consumer.recv(Duration::ZERO).unwrap().unwrap();
    assert_eq!(second.body(), b"a");
    assert_eq!(consumer.recv(Duration::ZERO).unwrap().unwrap().body(), b"b");
    second.ack().unwrap();
}

#[test]
fn a_message_that_retention_took_away_keeps_its_key_waiting_no_longer() {
    let (engine, clock) = sleeping::still();
    let producer = producer(&engine);
    for body in [b"a0", b"a1", b"a2", b"a3", b"a4"] {
        producer.message(body).order_by("a").send().unwrap();
    }
    let retry = Retry::fixed(Duration::from_secs(60));
    let builder = ConsumerBuilder::new(&engine, Bytes::new("t"), "g").ordered().retry(retry);
    let consumer = builder.pull().unwrap();
    let take = || consumer.recv(Duration::ZERO).unwrap();
    let topic = engine.store().topic("t").unwrap();
    let queue = topic.queue(0).unwrap();
    assert!(topic.queue(1).is_none());

    // What comes last is what was read ahead last.
    let reads_elsewhere = || {
        producer.send(b"free").unwrap();
        take().expect("it is there").ack().unwrap();
    };
    // One that was given back, and one that waits behind it.
    let held = take().expect("it is there");
    reads_elsewhere();
    drop(held);
    queue.raise_min(2);
    let held = take().expect("the next one that is there");
    assert_eq!(held.body(), b"a2");
    // In somebody's hands it keeps the others waiting though it is gone.
    reads_elsewhere();
    queue.raise_min(3);
    assert!(take().is_none());
    // One that failed.
    held.fail().unwrap();
    clock.advance(Duration::from_secs(60));
    assert_eq!(take().expect("the next one that is there").body(), b"a3");
    engine.close().unwrap();
}
