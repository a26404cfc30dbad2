//! Where a durable subscription is, after a crash; and what subscribers are told of what cannot be shown.

use std::time::Duration;

use crate::codec::Raw;
use crate::consumer::Start;
use crate::error::{ErrorKind, Result};
use crate::filter::Filter;
use crate::io::sim::{Fault, FaultKind};
use crate::message::names::subscription_key;
use crate::options::Flush;
use crate::store::report::History;
use crate::subscription::{Event, Subscription, SubscriptionBuilder};
use crate::sync::Ordering;

use super::foreign::set_config_offset;
use super::model::id_of;
use super::world::{Ack, Bytes, SEGMENT, World, layout};

type Seen = Subscription<[u8], Raw>;
const NOW: Duration = Duration::ZERO;

fn subscribe(world: &World) -> SubscriptionBuilder<[u8], Raw> {
    SubscriptionBuilder::new(&world.engine(), Bytes::named("t").unwrap()).start(Start::Earliest)
}

fn named(world: &World) -> Seen {
    subscribe(world).name("n").open().unwrap()
}

fn recv(subscription: &mut Seen) -> Result<Option<Event<Box<[u8]>>>> {
    subscription.recv(NOW)
}

/// The offsets of what there is to see, at most `max`.
fn see(subscription: &mut Seen, max: usize) -> Vec<u64> {
    let event = || recv(subscription).unwrap();
    let offset = |event: Event<Box<[u8]>>| event.message().queue_offset().get();
    std::iter::from_fn(event).map(offset).take(max).collect()
}

/// What was committed counts, for the judge of the next life, as acknowledged.
fn note(world: &mut World) {
    let engine = world.engine();
    world.model.adopt_acks(&engine);
}

fn position(world: &World) -> u64 {
    let cursor = world.store().progress.cursor(&subscription_key("n"), "t", 0);
    cursor.expect("a cursor").watermark()
}

#[test]
fn the_position_of_a_durable_subscription_survives_the_process() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 30]);
    let mut subscription = named(&world);
    assert_eq!(see(&mut subscription, 12).last(), Some(&11));
    note(&mut world);
    let mut next = world.after_kill();
    let mut again = named(&next);
    assert_eq!(see(&mut again, 3), [11, 12, 13], "the one that was not done with comes again");
    note(&mut next);
    let next = next.after_kill();
    assert_eq!(see(&mut named(&next), 99), (13..30).collect::<Vec<_>>());
}

#[test]
fn a_position_survives_as_many_events_as_fill_the_journal_several_times() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [10; 2000]);
    let mut subscription = named(&world);
    assert_eq!(see(&mut subscription, 1500).len(), 1500);
    note(&mut world);
    let next = world.after_kill();
    assert_eq!(see(&mut named(&next), 1), [1499]);
}

#[test]
fn a_position_is_as_durable_as_what_was_sent_after_the_next_flush() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 30]);
    world.flush().unwrap();
    let mut subscription = named(&world);
    assert_eq!(see(&mut subscription, 12).len(), 12);
    assert!(world.store().acks_armed.load(Ordering::SeqCst), "nobody would flush it");
    world.flush().unwrap();
    note(&mut world);
    for seed in 0..8 {
        let next = world.after_power_cut(seed);
        assert_eq!(see(&mut named(&next), 1), [11], "seed {seed}");
    }
}

#[test]
fn where_a_durable_subscription_begins_is_durable_when_it_is_open() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 5]);
    world.flush().unwrap();
    let late = subscribe(&world).start(Start::Latest).name("n").open().unwrap();
    note(&mut world);
    for seed in 0..8 {
        let mut next = world.after_power_cut(seed);
        next.send_all("t", [100; 2]);
        assert_eq!(see(&mut named(&next), 99), [5, 6], "seed {seed}");
    }
    drop(late);
}

#[test]
fn a_new_message_at_the_offset_of_a_lost_one_is_seen() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 5]);
    world.flush().unwrap();
    world.send_all("t", [100; 20]);
    // The position is durable, the messages are not.
    let mut subscription = named(&world);
    assert_eq!(see(&mut subscription, 99).len(), 25);
    world.sync_progress().unwrap();
    note(&mut world);
    let mut reused = 0;
    for seed in 0..40 {
        let mut next = world.after_power_cut(seed);
        let kept = next.model.stored_count() as u64;
        let notes = &next.report().notes;
        let told = notes.iter().any(|note| note.contains("subscription n had"));
        assert_eq!(told, kept < 25, "seed {seed}: {notes:?}");
        next.send_all("t", [70; 20]);
        let seen = see(&mut named(&next), 99);
        assert_eq!(seen, (kept..kept + 20).collect::<Vec<_>>(), "seed {seed}");
        reused += usize::from(kept < 25);
    }
    assert!(reused > 10, "only {reused} seeds lost a message");
}

#[test]
fn after_a_broker_used_the_store_a_durable_subscription_begins_as_it_says() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [200; 20]);
    world.consume(("t", "g"), 3, |_| Ack::Yes).unwrap();
    let mut subscription = named(&world);
    assert_eq!(see(&mut subscription, 99).len(), 20);
    world.close().unwrap();
    set_config_offset(&world.disk, 3, 8);
    world.open().unwrap();
    assert_eq!(world.history(), History::Foreign);
    assert_eq!(see(&mut named(&world), 2), [0, 1]);
    let groups: Vec<_> = world.store().group_progress().into_iter().map(|c| c.group).collect();
    assert_eq!(groups, ["g"]);
}

#[test]
fn damage_is_told_once_and_everything_else_is_seen() {
    for reopened in [false, true] {
        let mut world = World::new(Flush::Sync);
        let producer = world.producer("t").unwrap();
        for n in 0..9_u64 {
            producer.message(&n.to_be_bytes().repeat(50)).tag("x").send().unwrap();
        }
        let place = |offset: usize| {
            let seen = subscribe(&world).open().unwrap().nth(offset).unwrap().unwrap();
            (seen.message().log_offset().get(), u64::from(seen.message().size()))
        };
        let (offset, size) = place(4);
        assert!(offset + size < SEGMENT);
        world.disk.flip_bit(layout().segment(0), (offset + size / 2) * 8);
        if reopened {
            world.close().unwrap();
            world.open().unwrap();
        }
        let tag = |tag: &str| subscribe(&world).filter(Filter::tags(tag).unwrap()).open().unwrap();
        for (mut subscription, expected) in [(named(&world), 8), (tag("x"), 8), (tag("y"), 0)] {
            let (mut seen, mut told) = (0, 0);
            loop {
                match recv(&mut subscription) {
                    Ok(Some(_)) => seen += 1,
                    Ok(None) => break,
                    Err(e) => {
                        assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}");
                        assert!(std::error::Error::source(&e).is_none(), "no codec said it");
                        told += 1;
                    }
                }
            }
            // Whatever its entry said: what a damaged slot held, nobody knows.
            assert_eq!((seen, told), (expected, 1), "{reopened}");
        }
        assert_eq!(position(&world), 9, "behind the damage too");
    }
}

#[test]
fn what_was_taken_away_is_told_with_the_next_event_of_its_queue_until_that_was_seen() {
    let mut world = World::new(Flush::default());
    world.create_topic("t", 2).unwrap();
    world.send_all("t", [100; 40]);
    let mut named_one = named(&world);
    let mut transient = subscribe(&world).open().unwrap();
    let topic = world.store().topic("t").unwrap();
    // As retention does.
    topic.queue(0).unwrap().raise_min(7);
    let missed = |subscription: &mut Seen| {
        let event = recv(subscription).unwrap().unwrap();
        (event.message().queue().get(), event.message().queue_offset().get(), event.missed_before())
    };
    assert_eq!(missed(&mut transient), (0, 7, 7));
    assert_eq!(missed(&mut transient), (1, 0, 0));
    assert_eq!(missed(&mut transient), (0, 8, 0));
    topic.queue(0).unwrap().raise_min(12);
    assert_eq!(missed(&mut transient), (1, 1, 0));

    assert_eq!(missed(&mut named_one), (0, 12, 12));
    drop(named_one);
    let mut named_one = named(&world);
    assert_eq!(missed(&mut named_one), (0, 12, 12), "not done with, so told again");
    assert_eq!(missed(&mut named_one), (1, 0, 0));
    drop(named_one);
    assert_eq!(position(&world), 13);
    // A filter that shows nothing behind the gap: what is gone is told to the next who sees something.
    topic.queue(0).unwrap().raise_min(15);
    let none = Filter::tags("none").unwrap();
    let mut blind = subscribe(&world).name("n").filter(none).open().unwrap();
    assert!(recv(&mut blind).unwrap().is_none());
    drop(blind);
    assert_eq!(position(&world), 13);
    world.send("t", 100).unwrap();
    assert_eq!(missed(&mut named(&world)), (0, 15, 2));
}

#[test]
fn a_body_that_does_not_decode_does_not_hide_what_was_taken_away_before_it() {
    let mut world = World::new(Flush::default());
    let producer = world.producer("t").unwrap();
    for body in ["1", "2", "three", "4"] {
        producer.send(body.as_bytes()).unwrap();
    }
    let numbers = crate::Topic::<u64, Decimal>::new("t");
    let builder = SubscriptionBuilder::new(&world.engine(), numbers).start(Start::Earliest);
    let mut subscription = builder.open().unwrap();
    world.store().topic("t").unwrap().queue(0).unwrap().raise_min(2);
    let error = subscription.recv(NOW).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(2)));
    let event = subscription.recv(NOW).unwrap().unwrap();
    assert_eq!((*event, event.missed_before()), (4, 2));
}

struct Decimal;

impl crate::Decode<u64> for Decimal {
    type Owned = u64;
    fn decode(body: &[u8]) -> Result<u64, crate::CodecError> {
        Ok(std::str::from_utf8(body)?.parse()?)
    }
}

#[test]
fn a_position_that_cannot_be_written_is_said_and_nothing_is_passed_over() {
    // Of a journal's turn-over: the snapshot's file, the next journal.
    for n in [2, 3] {
        let mut world = World::new(Flush::default());
        world.send_all("t", [10; 1000]);
        let mut subscription = named(&world);
        world.disk.fail_at(n, Fault::once(FaultKind::Emfile));
        let (mut seen, mut refused) = (Vec::new(), 0);
        loop {
            match recv(&mut subscription) {
                Ok(Some(event)) => seen.push(id_of(event.message().body()).unwrap()),
                Ok(None) => break,
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::Full, "{e}");
                    refused += 1;
                }
            }
        }
        assert_eq!((seen, refused), ((0..1000).collect(), 1), "operation {n}");
        assert!(!world.store().is_poisoned());
    }
}

#[test]
fn a_stopped_store_shows_what_was_visible_and_the_rest_comes_again_after_opening() {
    let mut world = World::new(Flush::Sync);
    let (mut first, mut second) = (named(&world), subscribe(&world).open().unwrap());
    world.send_all("t", [100; 3]);
    assert_eq!(see(&mut first, 2), [0, 1]);
    world.disk.fail_at(2, Fault::once(FaultKind::Eio));
    world.send("t", 100).unwrap_err();
    for (subscription, visible) in [(&mut first, vec![2]), (&mut second, vec![0, 1, 2])] {
        let by_kind = |event: Result<Event<Box<[u8]>>>| {
            event.map(|e| e.message().queue_offset().get()).map_err(|e| e.kind())
        };
        let seen: Vec<_> = subscription.take(9).map(by_kind).collect();
        let expected = visible.into_iter().map(Ok).chain([Err(ErrorKind::Poisoned)]);
        assert_eq!(seen, expected.collect::<Vec<_>>(), "the reason once, and then it is over");
    }
    assert_eq!(position(&world), 1);
    world.close().unwrap_err();
    drop((first, second));
    world.open().unwrap();
    assert_eq!(see(&mut named(&world), 2), [1, 2]);
}
