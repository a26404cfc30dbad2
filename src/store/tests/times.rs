//! Store times never decrease, and nothing but the log itself pushes them ahead.

use std::time::Duration;

use crate::io::Storage;
use crate::io::sim::SimDisk;
use crate::options::Flush;
use crate::store::report::History;

use super::model::{Left, read};
use super::world::{World, files_in, layout};

const BEGIN: u64 = 1_700_000_000_000;

/// Messages of three points of time, the last of them one hour after the first, in several files.
fn filled() -> World {
    let mut world = World::new(Flush::default());
    for topic in ["a", "b", "c"] {
        world.send_all(topic, [900; 20]);
        world.clock.advance(Duration::from_secs(1800));
    }
    world.clock.set_wall_ms(BEGIN - 1_000_000);
    world
}

const LAST: i64 = BEGIN.cast_signed() + 3_600_000;

/// The store time of a message sent now.
fn time_of_next(world: &mut World) -> i64 {
    world.send("d", 10).unwrap();
    let topic = world.store().topic("d").unwrap();
    let last = topic.queue(0).unwrap().extent().next - 1;
    read(world.store(), &topic, 0, last).unwrap().store_timestamp()
}

/// Each way in which the checkpoint can be wrong.
fn harmed(disk: &SimDisk) -> Vec<(String, SimDisk)> {
    let mut disks = Vec::new();
    for bit in [1, 2, 8 * 8 + 1, 7 * 8, 4090 * 8] {
        let disk = disk.kill_image();
        disk.flip_bit(layout().checkpoint(), bit);
        disks.push((format!("bit {bit}"), disk));
    }
    let gone = disk.kill_image();
    gone.remove_file(&layout().checkpoint()).unwrap();
    disks.push(("no checkpoint".to_owned(), gone));
    let short = disk.kill_image();
    short.write_file(layout().checkpoint(), &[1; 50]);
    disks.push(("short".to_owned(), short));
    let zero = disk.kill_image();
    zero.write_file(layout().checkpoint(), &[0; 4096]);
    disks.push(("zeros".to_owned(), zero));
    disks
}

#[test]
fn a_damaged_checkpoint_neither_pushes_store_times_ahead_nor_lets_them_fall_back() {
    let mut world = filled();
    world.flush().unwrap();
    let crashed = world.disk.kill_image();
    world.close().unwrap();
    let closed = world.disk.kill_image();
    // Opened and killed at once: nothing lies behind what is in queue files, so recovery reads no record.
    let mut opened = world.next(closed.kill_image());
    opened.open().unwrap();
    let opened = opened.disk.kill_image();
    let foreign = closed.kill_image();
    for (path, _) in files_in(&foreign, &layout().own()) {
        foreign.remove_file(&path).unwrap();
    }
    for (disk, history) in [
        (crashed, History::Crashed),
        (closed, History::Clean),
        (opened, History::Crashed),
        (foreign, History::Foreign),
    ] {
        for (how, disk) in harmed(&disk) {
            let context = format!("{history:?}, {how}");
            let mut next = world.next(disk);
            next.open().unwrap();
            assert_eq!(next.history(), history, "{context}");
            assert_eq!(time_of_next(&mut next), LAST, "{context}");
            next.close().unwrap();
            next.open_and_check(Left::Kill, &context);
            assert_eq!(next.history(), History::Clean, "{context}");
        }
    }
}

#[test]
fn a_brokers_record_with_a_time_far_ahead_pushes_no_later_one() {
    let mut world = filled();
    world.close().unwrap();
    for (path, _) in files_in(&world.disk, &layout().own()) {
        world.disk.remove_file(&path).unwrap();
    }
    let mut look = world.next(world.disk.kill_image());
    look.open().unwrap();
    let place = |topic: &str, offset| {
        let topic = look.store().topic(topic).unwrap();
        read(look.store(), &topic, 0, offset).unwrap().log_offset().get()
    };
    // In the middle, and the last of all. The time stands behind 56 bytes.
    for (what, at) in [("middle", place("b", 7)), ("last", place("c", 19))] {
        let mut next = world.next(world.disk.kill_image());
        let path = layout().segment(at / super::world::SEGMENT * super::world::SEGMENT);
        next.disk.flip_bit(path, (at % super::world::SEGMENT + 56) * 8 + 6);
        next.open().unwrap();
        assert_eq!(next.history(), History::Foreign);
        assert_eq!(time_of_next(&mut next), LAST, "{what}");
    }
}
