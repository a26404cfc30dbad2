//! Taking over what a broker left, when that is interrupted: how the broker had ended is not forgotten.

use std::time::Duration;

use crate::consumequeue::format::{UNIT_LEN, Unit};
use crate::io::Storage;
use crate::io::sim::SimDisk;
use crate::options::Flush;
use crate::store::checkpoint::Checkpoint;
use crate::store::report::History;

use super::foreign::{broker_record, closed, log_end, set_config_offset};
use super::model::read;
use super::world::{QUEUE_FILE, SEGMENT, World, files_in, layout};

/// Where the records of a store begin that a broker added three messages to, and what their sizes are.
struct Added {
    world: World,
    places: Vec<(u64, u64)>,
}

pub(super) fn patch(disk: &SimDisk, path: std::path::PathBuf, at: u64, bytes: &[u8], len: u64) {
    let mut file = disk.read_file(&path).unwrap_or_else(|| vec![0; usize::try_from(len).unwrap()]);
    let at = usize::try_from(at).unwrap();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    disk.write_file(path, &file);
}

fn write_unit(disk: &SimDisk, slot: u64, unit: Unit) {
    let per_file = QUEUE_FILE / UNIT_LEN as u64;
    let base = slot / per_file * QUEUE_FILE;
    let path = layout().queue_dir("t", 0).join(crate::layout::file_name(base));
    patch(disk, path, slot % per_file * UNIT_LEN as u64, &unit.encode(), QUEUE_FILE);
}

/// A broker ran on our closed store, stored three more messages, filed their units, and stopped cleanly.
fn brokers() -> Added {
    let mut world = closed();
    let mut end = log_end(&world);
    let mut places = Vec::new();
    for slot in 20..23 {
        let (_, body) = world.model.draft("t", 150);
        let record = broker_record(slot, end, &body);
        let base = end / SEGMENT * SEGMENT;
        patch(&world.disk, layout().segment(base), end - base, &record, SEGMENT);
        let size = u32::try_from(record.len()).unwrap();
        write_unit(&world.disk, slot, Unit { offset: end, size, tags_code: 0 });
        places.push((end, u64::from(size)));
        end += u64::from(size);
    }
    set_config_offset(&world.disk, 3, 8);
    Added { world, places }
}

/// Without anything that says that we were ever here.
fn strangers() -> Added {
    let added = brokers();
    for (path, _) in files_in(&added.world.disk, &layout().own()) {
        added.world.disk.remove_file(&path).unwrap();
    }
    added.world.disk.remove_dir(&layout().own()).unwrap();
    added
}

fn flip_body(disk: &SimDisk, (offset, size): (u64, u64)) {
    let at = offset % SEGMENT + size / 2;
    disk.flip_bit(layout().segment(offset / SEGMENT * SEGMENT), at * 8 + 3);
}

/// The damaged one is named, and those behind it are there.
fn assert_reported(next: &mut World, context: &str) {
    next.open().unwrap_or_else(|e| panic!("{context}: {e:?}"));
    let report = next.report().clone();
    assert_eq!(report.history, History::Foreign, "{context}: {report:?}");
    assert_eq!(report.damage.len(), 1, "{context}: {report:?}");
    assert_eq!(report.bytes_cut, 0, "{context}: {report:?}");
    let topic = next.store().topic("t").unwrap();
    assert_eq!(topic.queue(0).unwrap().extent().next, 23, "{context}");
}

#[test]
fn damage_in_a_cleanly_stopped_brokers_store_is_reported_though_taking_it_over_was_interrupted() {
    for (who, added) in [("ours before", brokers()), ("never ours", strangers())] {
        for n in 1.. {
            let mut crashed = added.world.next(added.world.disk.kill_image());
            crashed.disk.crash_at(n);
            if crashed.open().is_ok() {
                assert!(n > 40, "{who}: only {n} operations");
                break;
            }
            let images = [(crashed.disk.kill_image(), "kill".to_owned())].into_iter().chain(
                (0..3).map(|seed| (crashed.disk.power_image(seed), format!("power cut {seed}"))),
            );
            for (disk, how) in images {
                let context = format!("{who}, {how} in operation {n}");
                // Once the generation has risen, the store is ours.
                let risen = disk.read_file(layout().generation()).map(|bytes| bytes[19]);
                if risen.is_some_and(|number| number > u8::from(who == "ours before")) {
                    continue;
                }
                let mut next = added.world.next(disk);
                flip_body(&next.disk, added.places[1]);
                assert_reported(&mut next, &context);
            }
        }
    }
}

#[test]
fn a_broker_that_died_stays_dead_though_taking_its_store_over_was_interrupted() {
    let added = strangers();
    added.world.disk.write_file(layout().abort(), b"");
    added.world.disk.remove_file(&layout().checkpoint()).unwrap();
    for n in 1.. {
        let mut crashed = added.world.next(added.world.disk.kill_image());
        crashed.disk.crash_at(n);
        if crashed.open().is_ok() {
            break;
        }
        let disk = crashed.disk.kill_image();
        if disk.read_file(layout().generation()).is_some() {
            continue;
        }
        // What it had not flushed may be torn: cut, not damage.
        let mut next = added.world.next(disk);
        flip_body(&next.disk, added.places[1]);
        next.open().unwrap();
        assert_eq!(next.report().damage, [], "operation {n}");
        assert!(next.report().bytes_cut > 0, "operation {n}");
    }
}

#[test]
fn a_broker_that_came_back_between_is_asked_how_it_ended() {
    let added = strangers();
    // Interrupted before our marker was there, so a broker could run again, and it died.
    let mut crashed = added.world.next(added.world.disk.kill_image());
    let note = layout().own().join("takeover");
    for n in 1.. {
        crashed = added.world.next(added.world.disk.kill_image());
        crashed.disk.crash_at(n);
        crashed.open().unwrap_err();
        if crashed.disk.kill_image().read_file(&note).is_some() {
            break;
        }
    }
    let disk = crashed.disk.kill_image();
    assert!(disk.read_file(layout().marker()).is_none());
    disk.write_file(layout().abort(), b"");
    disk.remove_file(&layout().checkpoint()).unwrap();
    let mut next = added.world.next(disk);
    flip_body(&next.disk, added.places[1]);
    next.open().unwrap();
    assert_eq!(next.report().damage, []);
    assert!(next.report().bytes_cut > 0);
}

#[test]
fn the_last_record_of_a_cleanly_stopped_broker_is_damage_too_and_keeps_its_slot() {
    let added = strangers();
    for (what, byte) in [("body", added.places[2].1 / 2), ("head", 5)] {
        let mut next = added.world.next(added.world.disk.kill_image());
        let at = added.places[2].0 + byte;
        next.disk.flip_bit(layout().segment(at / SEGMENT * SEGMENT), at % SEGMENT * 8 + 3);
        assert_reported(&mut next, what);
        let topic = next.store().topic("t").unwrap();
        let error = read(next.store(), &topic, 0, 22).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt, "{what}");
    }
}

#[test]
fn a_last_unit_that_cannot_be_right_is_passed_over() {
    let added = strangers();
    let (last, size) = added.places[2];
    let behind = last + size;
    let size = u32::try_from(size).unwrap();
    let bogus = [
        ("far beyond the end", Unit { offset: 1 << 40, size, tags_code: 7 }),
        ("beyond all numbers", Unit { offset: u64::MAX - 5, size, tags_code: 7 }),
        ("into what was never written", Unit { offset: behind + 900, size, tags_code: 7 }),
        ("into the middle of a record", Unit { offset: last - 40, size, tags_code: 7 }),
        ("a record of another size", Unit { offset: last, size: size + 300, tags_code: 7 }),
        ("too small for a record", Unit { offset: last, size: 3, tags_code: 7 }),
        ("negative", Unit { offset: last, size: u32::MAX, tags_code: 7 }),
        ("a filler", Unit::FILLER),
    ];
    for (what, unit) in bogus {
        let mut next = added.world.next(added.world.disk.kill_image());
        write_unit(&next.disk, 23, unit);
        flip_body(&next.disk, added.places[1]);
        assert_reported(&mut next, what);
    }
}

#[test]
fn a_dead_brokers_checkpoint_tells_damage_from_what_was_never_flushed() {
    let begin = 1_700_000_000_000;
    let hours = |n: i64| begin + n * 3_600_000;
    let mut world = World::new(Flush::default());
    for _ in 0..5 {
        world.send_all("t", [900; 15]);
        world.clock.advance(Duration::from_secs(3600));
    }
    let topic = world.store().topic("t").unwrap();
    let place = |nth: u64| {
        let message = read(world.store(), &topic, 0, nth).unwrap();
        (message.log_offset().get(), 1000)
    };
    // The files begin in the hours 0, 1, 2 and 4.
    let [first, second, third, last] = [5, 25, 45, 70].map(place);
    assert_eq!([first, second, third, last].map(|p| p.0 / SEGMENT), [0, 1, 2, 3]);
    world.flush().unwrap();
    world.close().unwrap();
    for (path, _) in files_in(&world.disk, &layout().own()) {
        world.disk.remove_file(&path).unwrap();
    }
    world.disk.remove_dir(&layout().own()).unwrap();
    world.disk.write_file(layout().abort(), b"");
    // Files before the newest one that begins before the checkpoint were flushed. A time beyond the log's end proves no more.
    for (flushed, damaged, is_damage) in [
        (0, first, false),
        (hours(1) + 10_000, first, true),
        (hours(1) + 10_000, second, false),
        (hours(1) + 10_000, third, false),
        (hours(3), second, true),
        (hours(3), third, false),
        (i64::MAX, third, true),
        (i64::MAX, last, false),
    ] {
        let context = format!("flushed up to {flushed}, damage at {damaged:?}");
        let mut next = world.next(world.disk.kill_image());
        let checkpoint = Checkpoint {
            physic_timestamp: flushed,
            logics_timestamp: flushed,
            ..Checkpoint::default()
        };
        next.disk.write_file(layout().checkpoint(), &checkpoint.encode());
        flip_body(&next.disk, damaged);
        next.open().unwrap_or_else(|e| panic!("{context}: {e:?}"));
        let report = next.report();
        assert_eq!(report.damage.len(), usize::from(is_damage), "{context}: {report:?}");
        assert_eq!(report.bytes_cut == 0, is_damage, "{context}: {report:?}");
    }
}
