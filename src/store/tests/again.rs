//! Recovery that is cut short, and what comes after it: another kill, a power cut, another recovery.

use std::path::PathBuf;

use crate::io::sim::{Fault, FaultKind, SimDisk};
use crate::io::{OpenMode, Storage};
use crate::options::Flush;

use super::model::Left;
use super::world::{SEGMENT, World, files_in, layout};

fn contents(disk: &SimDisk) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let paths = files_in(disk, &layout().consumequeue());
    paths.into_iter().map(|(path, _)| (path.clone(), disk.read_file(path))).collect()
}

fn assert_queues_are_durable(world: &World, context: &str) {
    let now = contents(&world.disk);
    assert!(!now.is_empty(), "{context}");
    for seed in 0..20 {
        let left = contents(&world.disk.power_image(seed));
        assert!(left == now, "{context}, power cut {seed}: other queue files");
    }
}

#[test]
fn units_that_recovery_found_in_the_cache_are_on_disk_afterwards() {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [100; 25]);
    world.send_all("u", [100; 3]);
    // Written, and not synced: neither the units nor the names of their files.
    world.chores();
    assert_queues_are_durable(&world.after_kill(), "after a kill");
}

#[test]
fn units_that_a_failed_sync_left_in_the_cache_alone_are_written_again() {
    let mut failed = 0;
    for n in 1.. {
        let mut world = World::new(Flush::Sync);
        world.send_all("t", [100; 25]);
        world.chores();
        world.disk.fail_at(n, Fault::once(FaultKind::Eio));
        let Err(error) = world.store().sync_queues(false) else { break };
        failed += u32::from(error.to_string().contains("consume queue"));
        let mut next = world.next(world.disk.kill_image());
        next.open_and_check(Left::PowerCut, "after a failed sync");
        assert_queues_are_durable(&next, &format!("operation {n}: {error}"));
    }
    assert!(failed >= 3, "{failed}");
}

#[test]
fn a_recovery_that_goes_on_after_another_keeps_the_whole_copy_of_what_was_cut() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 10]);
    world.flush().unwrap();
    let end = world.store().log.staged();
    let torn = world.disk.kill_image();
    let scribble = |file: Vec<u8>, at: u64, byte: u8| {
        let (mut file, at) = (file, usize::try_from(at).unwrap());
        file[at..at + 700].fill(byte);
        file
    };
    let size = usize::try_from(SEGMENT).unwrap();
    let first = torn.read_file(layout().segment(0)).unwrap();
    torn.write_file(layout().segment(0), &scribble(first, end, 7));
    torn.write_file(layout().segment(SEGMENT), &scribble(vec![0; size], 5000, 8));
    for n in 1.. {
        let mut next = world.next(torn.kill_image());
        next.disk.crash_at(n);
        if next.open().is_ok() {
            assert!(n > 40);
            break;
        }
        for seed in 0..4 {
            let disk = if seed == 0 { next.disk.kill_image() } else { next.disk.power_image(seed) };
            let mut again = world.next(disk);
            again.open_and_check(Left::Kill, "cut");
            let far = usize::try_from(SEGMENT + 5000 - end).unwrap();
            let copies = files_in(&again.disk, &layout().cut());
            let whole = copies.into_iter().any(|(path, _)| {
                let copy = again.disk.read_file(path).unwrap();
                copy.len() == far + 700 && copy[..700] == [7; 700] && copy[far..] == [8; 700]
            });
            assert!(whole, "operation {n}, {seed}");
        }
    }
}

#[test]
fn a_log_file_whose_creation_was_cut_short_is_made_anew_from_the_staging_buffer_once() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [1000; 20]);
    let base = world.store().log.segments().last().unwrap().base();
    assert_eq!((base, world.store().log.durable()), (SEGMENT, 0));
    let disk = world.disk.kill_image();
    disk.open(&layout().segment(base), OpenMode::Write).unwrap().set_len(100).unwrap();
    let mut next = world.next(disk);
    next.open_and_check(Left::Kill, "unfinished");
    // Into the file after it, and the one after that.
    next.send_all("t", [1000; 40]);
    next.flush().unwrap();
    next.check(Left::Kill, "rolled");
    next.after_kill().check_works("rolled");
}
