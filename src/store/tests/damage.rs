//! Damage to what was durable: found, named, and nothing else suffers.

use std::time::Duration;

use crate::error::ErrorKind;
use crate::io::Storage;
use crate::io::sim::SimDisk;
use crate::options::{Flush, Reads};
use crate::store::report::History;

use super::model::{id_of, read};
use super::world::{Ack, SEGMENT, World, layout};

const MESSAGES: u64 = COUNT as u64;
const COUNT: usize = 60;

/// Sixty messages in some segments, all of one queue.
fn filled() -> World {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [600; COUNT]);
    world
}

/// The log offset and size of each record.
fn places(world: &World) -> Vec<(u64, u64)> {
    let topic = world.store().topic("t").unwrap();
    let place = |offset| {
        let message = read(world.store(), &topic, 0, offset).unwrap();
        (message.log_offset().get(), u64::from(message.size()))
    };
    (0..MESSAGES).map(place).collect()
}

/// Flips a bit in the middle of a record's body.
fn flip(disk: &SimDisk, (offset, size): (u64, u64)) {
    let at = offset % SEGMENT + size / 2;
    disk.flip_bit(layout().segment(offset / SEGMENT * SEGMENT), at * 8 + 3);
}

/// All messages but the damaged ones are read, at their offsets, and those are said to be damaged. New messages go on behind.
fn check(world: &mut World, damaged: &[u64], context: &str) {
    let topic = world.store().topic("t").unwrap();
    let extent = topic.queue(0).unwrap().extent();
    assert_eq!((extent.min, extent.next), (0, MESSAGES), "{context}");
    for offset in 0..MESSAGES {
        let message = read(world.store(), &topic, 0, offset);
        if damaged.contains(&offset) {
            assert_eq!(message.unwrap_err().kind(), ErrorKind::Corrupt, "{context}: {offset}");
        } else {
            let message = message.unwrap_or_else(|e| panic!("{context}: {offset}: {e:?}"));
            assert_eq!(id_of(message.body()), Some(offset), "{context}");
        }
    }
}

/// A consumer is told of each damaged message once, and gets all others.
fn consume(world: &mut World, damaged: usize, context: &str) {
    let consumer = world.consumer("t", &format!("g{}", world.disk.operations())).unwrap();
    let (mut got, mut told) = (0, 0);
    loop {
        match world.receive(&consumer, 7) {
            Ok(received) if received.is_empty() => break,
            Ok(received) => got += received.into_iter().map(|d| d.ack().unwrap()).count(),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Corrupt, "{context}");
                told += 1;
            }
        }
    }
    assert_eq!((got, told), (COUNT - damaged, damaged), "{context}");
}

fn cases() -> Vec<Vec<u64>> {
    vec![vec![0], vec![7], vec![40], vec![MESSAGES - 1], vec![7, 8], vec![20, 40], vec![0, 30, 59]]
}

fn damaged_world(world: &World, damaged: &[u64], places: &[(u64, u64)]) -> World {
    let next = world.next(world.disk.kill_image());
    for offset in damaged {
        flip(&next.disk, places[usize::try_from(*offset).unwrap()]);
    }
    next
}

#[test]
fn damage_in_a_closed_store_is_read_as_corrupt_at_exactly_that_slot() {
    for reads in [Reads::Mapped, Reads::Copied] {
        let mut world = filled();
        let places = places(&world);
        world.options.reads = reads;
        world.close().unwrap();
        for damaged in cases() {
            let context = format!("{reads:?} {damaged:?}");
            let mut next = damaged_world(&world, &damaged, &places);
            next.open().unwrap();
            assert_eq!(next.history(), History::Clean, "{context}");
            check(&mut next, &damaged, &context);
            consume(&mut next, damaged.len(), &context);
            // Once it was seen, a broker must not get the directory.
            let closed = next.engine().close().unwrap();
            assert!(!closed.broker_ready, "{context}");
            assert!(next.disk.read_file(layout().marker()).is_some(), "{context}");
            next.open().unwrap();
            check(&mut next, &damaged, &format!("{context}, opened again"));
        }
    }
}

#[test]
fn damage_in_a_crashed_store_is_read_as_corrupt_at_exactly_that_slot() {
    let world = filled();
    let places = places(&world);
    for damaged in cases() {
        let context = format!("crashed {damaged:?}");
        let mut next = damaged_world(&world, &damaged, &places);
        next.open().unwrap();
        assert_eq!(next.history(), History::Crashed, "{context}");
        check(&mut next, &damaged, &context);
        consume(&mut next, damaged.len(), &context);
        // The next message does not take a damaged one's place.
        let consumer = next.producer("t").unwrap();
        let receipt = consumer.send(b"a new message").unwrap();
        assert_eq!(receipt.queue_offset.get(), MESSAGES, "{context}");
    }
}

#[test]
fn damage_is_found_when_a_closed_store_crashes_before_it_was_seen() {
    let mut world = filled();
    let places = places(&world);
    world.close().unwrap();
    for damaged in cases() {
        let context = format!("closed and crashed {damaged:?}");
        let mut next = damaged_world(&world, &damaged, &places);
        next.open().unwrap();
        next.disk = next.disk.kill_image();
        next.open().unwrap();
        assert_eq!(next.history(), History::Crashed, "{context}");
        check(&mut next, &damaged, &context);
        consume(&mut next, damaged.len(), &context);
    }
}

/// A copy without consume queues.
fn without_queues(world: &World) -> World {
    let next = world.next(world.disk.kill_image());
    for (path, _) in super::world::files_in(&next.disk, &layout().consumequeue()) {
        next.disk.remove_file(&path).unwrap();
    }
    next
}

#[test]
fn damage_costs_no_other_message_though_the_queues_have_to_be_derived() {
    let world = filled();
    let places = places(&world);
    for damaged in cases() {
        let context = format!("without queues {damaged:?}");
        let mut next = without_queues(&damaged_world(&world, &damaged, &places));
        next.open().unwrap();
        let report = next.report().clone();
        assert_eq!(report.damage.len(), damaged.len(), "{context}: {report:?}");
        for (found, offset) in report.damage.iter().zip(&damaged) {
            let (offset, _) = places[usize::try_from(*offset).unwrap()];
            assert_eq!(found.offset, offset % SEGMENT, "{context}");
            assert_eq!(found.file, layout().segment(offset / SEGMENT * SEGMENT), "{context}");
        }
        check(&mut next, &damaged, &context);
        consume(&mut next, damaged.len(), &context);
    }
}

#[test]
fn what_is_read_after_damage_is_right_even_where_the_next_record_cannot_be_found() {
    let world = filled();
    let (offset, _) = places(&world)[7];
    // The length of a record, and the queues that would know where the next one starts.
    for bit in [10, 17, 26, 31] {
        let mut next = without_queues(&world);
        next.disk.flip_bit(layout().segment(0), offset * 8 + bit);
        next.open().unwrap();
        assert_eq!(next.report().damage.len(), 1);
        let topic = next.store().topic("t").unwrap();
        let mut read_well = 0;
        for offset in 0..topic.queue(0).unwrap().extent().next {
            match read(next.store(), &topic, 0, offset) {
                Ok(message) => {
                    assert_eq!(id_of(message.body()), Some(offset));
                    read_well += 1;
                }
                Err(e) => assert_eq!(e.kind(), ErrorKind::Corrupt),
            }
        }
        // The rest of that file is passed over, and no more.
        assert!((MESSAGES - 30..MESSAGES).contains(&read_well), "{read_well}");
    }
}

#[test]
fn a_damaged_end_mark_costs_no_message() {
    let world = filled();
    let (last_of_first, size) =
        places(&world).into_iter().rfind(|(offset, _)| *offset < SEGMENT).unwrap();
    let mut next = world.next(world.disk.kill_image());
    next.disk.flip_bit(layout().segment(0), (last_of_first + size) * 8 + 1);
    next.open().unwrap();
    check(&mut next, &[], "end mark");
}

#[test]
fn a_damaged_small_file_is_an_error_that_names_it() {
    let mut world = filled();
    world.close().unwrap();
    for path in [layout().generation(), layout().clean()] {
        let next = world.next(world.disk.kill_image());
        next.disk.flip_bit(&path, 100);
        let mut next = next;
        let error = next.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(error.path(), Some(path.as_path()));
        next.disk.flip_bit(&path, 100);
        next.open_and_check(super::model::Left::Kill, "mended");
    }
    // What can be derived again is not missed.
    let mut next = world.next(world.disk.kill_image());
    next.disk.flip_bit(layout().queue_ends(), 100);
    next.open_and_check(super::model::Left::Kill, "queue ends");
    let mut next = world.next(world.disk.kill_image());
    next.disk.remove_file(&layout().checkpoint()).unwrap();
    next.open_and_check(super::model::Left::Kill, "checkpoint");
}

#[test]
fn a_consumer_goes_on_behind_the_damage() {
    let mut world = filled();
    let places = places(&world);
    world.close().unwrap();
    let mut next = damaged_world(&world, &[3], &places);
    next.open().unwrap();
    next.consumer("t", "g").unwrap();
    assert_eq!(next.consume(("t", "g"), 10, |_| Ack::Yes).unwrap(), 3);
    let error = next.consume(("t", "g"), 10, |_| Ack::Yes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(next.consume(("t", "g"), 10, |_| Ack::Yes).unwrap(), 10);
}

/// Makes the head of a record unreadable.
fn behead(disk: &SimDisk, (offset, _): (u64, u64)) {
    disk.flip_bit(layout().segment(offset / SEGMENT * SEGMENT), (offset % SEGMENT + 5) * 8);
}

#[test]
fn the_last_message_of_a_queue_keeps_its_slot_as_long_as_anything_tells_of_it() {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [100; 3]);
    world.send_all("other", [100; 3]);
    let topic = world.store().topic("t").unwrap();
    let last = read(world.store(), &topic, 0, 2).unwrap();
    let place = (last.log_offset().get(), 0);
    let next_offset = |world: &mut World| {
        world.open().unwrap();
        assert_eq!(world.report().damage.len(), 1);
        let receipt = world.producer("t").unwrap().send(b"another").unwrap();
        receipt.queue_offset.get()
    };

    // After a kill, the staging buffer still has what went to the log.
    let mut killed = world.next(world.disk.kill_image());
    behead(&killed.disk, place);
    assert_eq!(next_offset(&mut killed), 3);
    let topic = killed.store().topic("t").unwrap();
    assert_eq!(read(killed.store(), &topic, 0, 2).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(!killed.report().notes.iter().any(|n| n.contains("do not tell")));

    // Once its queue was synced, that is known from there.
    let mut opened = world.next(world.disk.kill_image());
    opened.open().unwrap();
    let mut synced = world.next(opened.disk.kill_image());
    behead(&synced.disk, place);
    synced.open().unwrap();
    let receipt = synced.producer("t").unwrap().send(b"another").unwrap();
    assert_eq!(receipt.queue_offset.get(), 3);

    // Where nothing tells, the report says so.
    world.flush().unwrap();
    let mut untold = world.next(world.disk.kill_image());
    untold.disk.remove_file(&layout().staging(1)).unwrap();
    behead(&untold.disk, place);
    assert_eq!(next_offset(&mut untold), 2);
    let notes = untold.report().notes.join("; ");
    assert!(notes.contains("1 damaged places do not tell which queue"), "{notes}");
}

#[test]
fn a_time_is_found_next_to_damaged_messages() {
    let mut world = World::new(Flush::Sync);
    let start = 1_700_000_000_000;
    for _ in 0..MESSAGES {
        world.send_all("t", [600]);
        world.clock.advance(Duration::from_secs(1));
    }
    let places = places(&world);
    world.close().unwrap();
    let runs =
        [vec![0], vec![1, 2, 3], (10..50).collect(), vec![MESSAGES - 1], (0..MESSAGES).collect()];
    for damaged in runs {
        let mut next = damaged_world(&world, &damaged, &places);
        next.open().unwrap();
        let topic = next.store().topic("t").unwrap();
        for second in 0..MESSAGES {
            let at = start + i64::try_from(second).unwrap() * 1000;
            let found = next.store().offset_at(&topic, 0, at).unwrap();
            // None that is whole and from then or later is missed, and none that is whole and older comes.
            let whole = |offset: &u64| !damaged.contains(offset);
            assert!(!(second..found).any(|o| whole(&o)), "{damaged:?}, {second}: {found}");
            assert!(!(found..second).any(|o| whole(&o)), "{damaged:?}, {second}: {found}");
        }
    }
}
