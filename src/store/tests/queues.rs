//! Consume queue files are only a copy: whatever happens to them, they are derived again.

use std::path::PathBuf;

use crate::io::sim::SimDisk;
use crate::io::{OpenMode, Storage};
use crate::options::Flush;

use super::model::Left;
use super::world::{World, files_in, layout};

/// 45 messages in `a` (the early ones far below the floor), 10 of `early` that nobody added to since, 20 of `late`.
fn filled() -> World {
    let mut world = World::new(Flush::Sync);
    world.send_all("early", [100; 10]);
    world.send_all("a", [1000; 40]);
    world.send_all("late", [300; 20]);
    world.send_all("a", [50; 5]);
    world
}

/// What can happen to a file.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Deleted,
    Zeroed,
    Shortened(u64),
    Emptied,
    BitFlipped(u64),
}

const HARMS: [Harm; 12] = [
    Harm::Deleted,
    Harm::Zeroed,
    Harm::Shortened(100),
    Harm::Shortened(33),
    Harm::Emptied,
    // Bits of the first unit's offset, size and tag, and of later ones.
    Harm::BitFlipped(0),
    Harm::BitFlipped(7 * 8),
    Harm::BitFlipped(11 * 8 + 1),
    Harm::BitFlipped(19 * 8),
    Harm::BitFlipped(100 * 8 + 20),
    Harm::BitFlipped(100 * 8 + 11 * 8),
    Harm::BitFlipped(180 * 8 + 62),
];

fn harm(disk: &SimDisk, path: &PathBuf, harm: Harm) {
    match harm {
        Harm::Deleted => disk.remove_file(path).unwrap(),
        Harm::Zeroed => {
            let len = disk.read_file(path).unwrap().len();
            disk.write_file(path, &vec![0; len]);
        }
        Harm::Shortened(len) => disk.open(path, OpenMode::Write).unwrap().set_len(len).unwrap(),
        Harm::Emptied => disk.open(path, OpenMode::Write).unwrap().set_len(0).unwrap(),
        Harm::BitFlipped(bit) => disk.flip_bit(path, bit),
    }
}

fn files(world: &World) -> Vec<PathBuf> {
    files_in(&world.disk, &layout().consumequeue()).into_iter().map(|(path, _)| path).collect()
}

/// Harms one file after the other, and all at once.
fn each_harm(world: &World, how: &str) {
    let files = files(world);
    assert!(files.len() >= 3, "{files:?}");
    for kind in HARMS {
        let alone = files.iter().map(|file| vec![file.clone()]);
        for harmed in alone.chain([files.clone()]) {
            let context = format!("{how}: {kind:?} {harmed:?}");
            let mut next = world.next(world.disk.kill_image());
            for file in &harmed {
                harm(&next.disk, file, kind);
            }
            next.open_and_check(Left::Kill, &context);
            // They are whole again, in memory and on disk.
            next.send_all("a", [10]);
            next.send_all("early", [10]);
            next.flush().unwrap();
            next.after_kill().check_works(&context);
            next.check_works(&context);
        }
    }
}

#[test]
fn queue_files_harmed_in_a_closed_store_are_derived_again() {
    let mut world = filled();
    world.close().unwrap();
    each_harm(&world, "closed");
}

#[test]
fn queue_files_harmed_in_a_crashed_store_are_derived_again() {
    let world = filled();
    each_harm(&world, "crashed");
}

#[test]
fn queue_files_harmed_after_a_close_and_a_crash_are_derived_again() {
    let mut world = filled();
    world.close().unwrap();
    world.open_and_check(Left::Kill, "closed");
    world.send_all("late", [10; 3]);
    each_harm(&world, "closed and crashed");
}

#[test]
fn all_queue_folders_may_be_gone() {
    let mut world = filled();
    let remove = |disk: &SimDisk| {
        let root = layout().consumequeue();
        for (path, _) in files_in(disk, &root) {
            disk.remove_file(&path).unwrap();
        }
        for topic in disk.list(&root).unwrap() {
            for queue in disk.list(&root.join(&topic.name)).unwrap() {
                disk.remove_dir(&root.join(&topic.name).join(&queue.name)).unwrap();
            }
            disk.remove_dir(&root.join(&topic.name)).unwrap();
        }
        disk.remove_dir(&root).unwrap();
    };
    let mut crashed = world.next(world.disk.kill_image());
    remove(&crashed.disk);
    crashed.open_and_check(Left::Kill, "crashed");
    assert!(crashed.report().units_mended > 0);
    crashed.check_works("crashed");

    world.close().unwrap();
    remove(&world.disk);
    world.open_and_check(Left::Kill, "closed");
    world.check_works("closed");
}

#[test]
fn a_queue_file_without_a_unit_is_never_left_behind() {
    let mut world = World::new(Flush::default());
    world.create_topic("idle", 4).unwrap();
    world.send_all("t", [100; 10]);
    world.close().unwrap();
    let file = PathBuf::from("store/consumequeue/t/0/00000000000000000000");
    assert_eq!(files(&world), [file]);
    world.open_and_check(Left::Kill, "closed");
    // A power cut may take the last messages, and with them the reason for a second file.
    world.send_all("t", [100; 5]);
    world.chores();
    for seed in 0..30 {
        let next = world.after_power_cut(seed);
        let count = next.model.stored_count();
        assert_eq!(files(&next).len(), count.div_ceil(10), "seed {seed}");
    }
}

#[test]
fn a_queue_that_lost_all_its_messages_begins_again_at_zero() {
    // The second file of the queue survived a power cut, the first one and the log did not.
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 15]);
    world.chores();
    let disk = world.disk.kill_image();
    disk.remove_file(&layout().staging(1)).unwrap();
    disk.remove_file(&layout().queue_dir("t", 0).join("00000000000000000000")).unwrap();
    let mut next = world.next(disk);
    next.open_and_check(Left::PowerCut, "everything lost");
    assert_eq!(next.model.stored_count(), 0);
    assert_eq!(files(&next), [] as [PathBuf; 0]);
    next.check_works("everything lost");
    next.send_all("t", [100]);
    next.check(Left::Kill, "begun again");
}

/// Messages have come since the log was synced, and queues are made durable now.
#[test]
fn queues_never_get_ahead_of_the_log() {
    for n in 1.. {
        let mut world = World::new(Flush::default());
        world.send_all("t", [100; 3]);
        world.flush().unwrap();
        world.send_all("t", [400; 15]);
        world.disk.crash_at(n);
        if world.store().sync_queues(false).is_ok() {
            assert!(n > 10, "only {n} operations");
            break;
        }
        for seed in 0..6 {
            let context = format!("operation {n}, power cut {seed}");
            let mut next = world.next(world.disk.power_image(seed));
            next.open_and_check(Left::PowerCut, &context);
        }
    }
}
