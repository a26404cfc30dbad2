//! Many consumers of one group, whatever each of them does, and a close in the middle of it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::consumer::{Consumer, ConsumerBuilder, Delivery};
use crate::engine::dispatch::Place;

type Got = Delivery<Box<[u8]>>;

fn place(delivery: &Got) -> Place {
    (delivery.message().queue().get(), delivery.message().queue_offset().get())
}

/// What a consumer does next, the same for the same seed.
struct Choices(u64);

impl Choices {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

/// What came of acknowledging.
#[derive(Default)]
struct Account {
    acked: Mutex<Vec<Place>>,
    /// Of calls that acknowledge several and failed on the way.
    maybe: Mutex<Vec<Place>>,
}

/// Receives in some way, and keeps, drops or acknowledges in some way.
fn step(
    consumer: &Consumer<[u8], Raw>,
    choices: &mut Choices,
    longest: Duration,
    account: &Account,
) -> Result<()> {
    let acked = &account.acked;
    let max = if choices.next(3) == 0 { 1 + choices.next(20) } else { 1 };
    let wait = match choices.next(4) {
        0 => Duration::from_micros(200),
        1 => longest,
        _ => Duration::ZERO,
    };
    let mut got = consumer.recv_batch(usize::try_from(max).unwrap(), wait)?;
    match choices.next(8) {
        0 => drop(got),
        1 => {
            let unwinds = catch_unwind(AssertUnwindSafe(move || {
                let _held = got;
                std::panic::resume_unwind(Box::new("a handler panics"));
            }));
            assert!(unwinds.is_err());
        }
        2 => {
            // In two halves, the later one first.
            let late = got.split_off(got.len() / 2);
            for half in [late, got] {
                let places: Vec<_> = half.iter().map(place).collect();
                let all = consumer.ack_all(half);
                if all.is_ok() { acked } else { &account.maybe }.lock().extend(places);
                all?;
            }
        }
        _ => {
            for delivery in got.into_iter().rev() {
                let at = place(&delivery);
                delivery.ack()?;
                acked.lock().push(at);
            }
        }
    }
    Ok(())
}

/// Of a group that tries again at once, and for ever.
fn restless(engine: &Arc<Engine>) -> Consumer<[u8], Raw> {
    let topic = crate::Topic::<[u8], Raw>::new("t");
    let at_once = crate::Retry::fixed(Duration::ZERO).max_attempts(u32::MAX);
    ConsumerBuilder::new(engine, topic, "g").retry(at_once).pull().unwrap()
}

fn filled(storage: &Arc<dyn Storage>, queues: u32, messages: usize) -> Arc<Engine> {
    let engine = open(Arc::clone(storage), Flush::default(), Duration::from_secs(60));
    engine.store().create_topic("t", queues, true).unwrap();
    let producer = producer(&engine);
    for _ in 0..messages {
        producer.send(b"m").unwrap();
    }
    engine
}

#[test]
fn every_message_is_acknowledged_once_whatever_the_consumers_of_a_group_do() {
    for (queues, seed) in [(1, 1), (2, 2), (5, 3)] {
        const MESSAGES: usize = 2000;
        let storage: Arc<dyn Storage> = Arc::new(Memory::new(None));
        let engine = filled(&storage, queues, MESSAGES);
        let account = Account::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (consumer, account) = (restless(&engine), &account);
                scope.spawn(move || {
                    let mut choices = Choices(seed * 100 + thread);
                    let longest = Duration::from_millis(2);
                    while account.acked.lock().len() < MESSAGES {
                        step(&consumer, &mut choices, longest, account).unwrap();
                    }
                });
            }
        });
        let mut acked = account.acked.into_inner();
        acked.sort_unstable();
        acked.dedup();
        assert_eq!(acked.len(), MESSAGES, "{queues} queues: one was acknowledged twice");
        assert_eq!(engine.dispatches().pop().unwrap().in_flight(), 0, "{queues} queues");
        assert!(restless(&engine).recv(Duration::ZERO).unwrap().is_none());
        engine.close().unwrap();
    }
}

#[test]
fn a_close_in_the_middle_keeps_what_was_acknowledged_and_nothing_else() {
    for round in 0..30 {
        const MESSAGES: usize = 300;
        let storage: Arc<dyn Storage> = Arc::new(Memory::new(None));
        let engine = filled(&storage, 2, MESSAGES);
        let account = Account::default();
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (consumer, account) = (restless(&engine), &account);
                scope.spawn(move || {
                    let mut choices = Choices(round * 100 + thread);
                    let ended = loop {
                        if let Err(e) = step(&consumer, &mut choices, Duration::MAX, account) {
                            break e;
                        }
                    };
                    assert_eq!(ended.kind(), ErrorKind::Closed);
                });
            }
            while account.acked.lock().len() < usize::try_from(round).unwrap() * 9 {
                std::thread::yield_now();
            }
            assert!(engine.close().unwrap().broker_ready);
        });
        drop(engine);
        let set = |places: Mutex<Vec<Place>>| places.into_inner().into_iter().collect();
        let (acked, maybe): (BTreeSet<_>, BTreeSet<_>) = (set(account.acked), set(account.maybe));
        let engine = open(storage, Flush::default(), Duration::from_secs(60));
        let left = restless(&engine).recv_batch(MESSAGES, Duration::ZERO).unwrap();
        let left: BTreeSet<_> = left.iter().map(place).collect();
        assert!(left.is_disjoint(&acked), "round {round}: acknowledged and received again");
        let gone: BTreeSet<_> = maybe.difference(&left).copied().chain(acked).collect();
        assert_eq!(left.len() + gone.len(), MESSAGES, "round {round}: neither");
    }
}
