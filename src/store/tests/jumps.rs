//! Records that claim an offset far from the one that is due in their queue.

use crate::error::ErrorKind;
use crate::io::sim::SimDisk;
use crate::layout::parse_file_name;
use crate::store::report::History;

use super::foreign::{broker_record, closed, log_end};
use super::model::{id_of, read};
use super::takeover::patch;
use super::world::{Ack, SEGMENT, World, files_in, layout};

/// Far enough that no log of this size accounts for it.
const FAR: u64 = 1 << 21;

/// Twenty messages of ours, and then a broker's, with these queue offsets.
fn with(offsets: &[u64]) -> World {
    let mut world = left(offsets);
    world.open().unwrap();
    assert_eq!(world.history(), History::Foreign);
    world
}

/// The same, as the broker left it.
fn left(offsets: &[u64]) -> World {
    let mut world = closed();
    let mut end = log_end(&world);
    for slot in offsets {
        let (_, body) = world.model.draft("t", 150);
        let record = broker_record(*slot, end, &body);
        let base = end / SEGMENT * SEGMENT;
        patch(&world.disk, layout().segment(base), end - base, &record, SEGMENT);
        end += record.len() as u64;
    }
    world
}

fn extent(world: &World) -> (u64, u64) {
    let extent = world.store().topic("t").unwrap().queue(0).unwrap().extent();
    (extent.min, extent.next)
}

/// The numbers of the messages in these slots.
fn ids(world: &World, slots: std::ops::Range<u64>) -> Vec<Option<u64>> {
    let topic = world.store().topic("t").unwrap();
    slots
        .map(|slot| match read(world.store(), &topic, 0, slot) {
            Ok(message) => id_of(message.body()),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Corrupt);
                None
            }
        })
        .collect()
}

fn first_file(disk: &SimDisk) -> u64 {
    let files = files_in(disk, &layout().queue_dir("t", 0));
    let name = |path: &std::path::PathBuf| parse_file_name(path.file_name()?.to_str()?);
    files.iter().filter_map(|(path, _)| name(path)).min().unwrap() / 20
}

#[test]
fn a_queue_that_goes_on_far_ahead_begins_there_and_loses_no_later_message() {
    let mut world = with(&[FAR, FAR + 1, FAR + 2]);
    let check = |world: &World, next: u64, context: &str| {
        assert_eq!(extent(world), (FAR, next), "{context}");
        assert_eq!(ids(world, FAR..FAR + 3), [Some(20), Some(21), Some(22)], "{context}");
        assert_eq!(first_file(&world.disk), FAR / 10 * 10, "{context}");
    };
    let notes = world.report().notes.join("; ");
    assert!(notes.contains("goes on at offset 2097152 instead of 20"), "{notes}");
    check(&world, FAR + 3, "taken over");
    world.send("t", 50).unwrap();
    assert_eq!(extent(&world).1, FAR + 4);
    world.flush().unwrap();
    assert_eq!(world.consume(("t", "late"), 10, |_| Ack::Yes).unwrap(), 4);

    for (disk, how) in
        [(world.disk.kill_image(), "killed"), (world.disk.power_image(1), "power cut")]
    {
        let mut next = world.next(disk);
        next.open().unwrap();
        assert_eq!(next.history(), History::Crashed);
        check(&next, FAR + 4, how);
    }
    world.close().unwrap();
    world.open().unwrap();
    assert_eq!(world.history(), History::Clean);
    check(&world, FAR + 4, "closed");
}

#[test]
fn one_record_that_claims_too_much_is_left_out_and_costs_no_later_message() {
    let world = with(&[FAR, 21, 22]);
    assert_eq!(extent(&world), (0, 23));
    assert_eq!(ids(&world, 19..23), [Some(19), None, Some(21), Some(22)]);
    let notes = world.report().notes.join("; ");
    assert!(notes.contains("claims offset 2097152 of t queue 0, where 20 was due"), "{notes}");
}

#[test]
fn a_queue_begins_far_ahead_though_taking_it_over_was_interrupted() {
    let world = left(&[FAR, FAR + 1, FAR + 2]);
    for n in 1.. {
        let mut crashed = world.next(world.disk.kill_image());
        crashed.disk.crash_at(n);
        if crashed.open().is_ok() {
            assert!(n > 60, "only {n} operations");
            break;
        }
        let images = [crashed.disk.kill_image(), crashed.disk.power_image(n)];
        for (disk, how) in images.into_iter().zip(["kill", "power cut"]) {
            let context = format!("{how} in operation {n}");
            let mut next = world.next(disk);
            next.open().unwrap_or_else(|e| panic!("{context}: {e:?}"));
            assert_eq!(extent(&next), (FAR, FAR + 3), "{context}");
            assert_eq!(ids(&next, FAR..FAR + 3), [Some(20), Some(21), Some(22)], "{context}");
            assert_eq!(first_file(&next.disk), FAR / 10 * 10, "{context}");
        }
    }
}
