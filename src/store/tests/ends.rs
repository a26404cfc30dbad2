//! Where the log ends after a crash.

use std::time::Duration;

use crate::io::Storage;
use crate::io::sim::SimDisk;
use crate::options::Flush;

use super::model::{Left, read};
use super::world::{Ack, LARGE, SEGMENT, World, layout, tiny};

/// What lies in the last log file behind the end of the log.
fn behind_the_end(world: &World) -> Vec<u8> {
    let end = world.store().log.staged();
    let base = end / SEGMENT * SEGMENT;
    let bytes = world.disk.read_file(layout().segment(base)).unwrap_or_default();
    bytes.get(usize::try_from(end - base).unwrap()..).unwrap_or_default().to_vec()
}

#[test]
fn a_torn_tail_is_cut_and_stays_zero_after_the_next_crash() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 10]);
    world.flush().unwrap();
    world.send_all("t", [300; 10]);
    world.commit().unwrap();
    let mut torn = 0;
    for seed in 0..60 {
        let mut next = world.after_power_cut(seed);
        torn += u64::from(next.report().bytes_cut > 0);
        assert!(behind_the_end(&next).iter().all(|b| *b == 0), "seed {seed}");
        let kept =
            next.disk.list_all().iter().any(|(path, _)| path.starts_with("store/pocketmq/cut"));
        assert_eq!(kept, next.report().bytes_cut > 0, "seed {seed}: a copy of what was cut");
        for again in [next.after_kill(), next.after_power_cut(seed)] {
            assert_eq!(again.report().bytes_cut, 0, "seed {seed}");
            assert!(behind_the_end(&again).iter().all(|b| *b == 0), "seed {seed}");
        }
        next.send("t", 20).unwrap();
        next.after_kill().check_works(&format!("seed {seed}"));
    }
    assert!(torn > 10, "only {torn} seeds tore the tail");
}

#[test]
fn a_killed_process_loses_nothing_that_was_only_staged() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 7]);
    assert_eq!(world.store().log.committed(), 0);
    let mut next = world.after_kill();
    assert_eq!(next.report().records_replayed, 7);
    assert_eq!(next.model.stored_count(), 7);
    next.check_works("after a replay");
}

#[test]
fn the_staging_buffer_of_an_older_generation_is_never_replayed() {
    let mut first = World::new(Flush::default());
    first.send_all("t", [100; 5]);
    let staged = first.disk.read_file(layout().staging(1)).unwrap();

    // Nothing was synced: a power cut may take it all.
    let disk = first.disk.kill_image();
    disk.remove_file(&layout().staging(1)).unwrap();
    let mut second = first.next(disk);
    second.open_and_check(Left::PowerCut, "without the staging buffer");
    assert_eq!(second.model.stored_count(), 0);
    second.send_all("t", [333; 1]);

    // An older buffer that lies beside the right one.
    let disk = second.disk.kill_image();
    disk.write_file(layout().staging(1), &staged);
    let mut third = second.next(disk);
    third.open_and_check(Left::Kill, "with an old buffer");
    assert_eq!(third.report().records_replayed, 1);
    assert!(third.disk.read_file(layout().staging(1)).is_none(), "it is removed");

    // An older buffer under the name of the right one.
    let disk = second.disk.kill_image();
    disk.write_file(layout().staging(2), &staged);
    let mut third = second.next(disk);
    third.open_and_check(Left::PowerCut, "with an old buffer in disguise");
    assert_eq!(third.report().records_replayed, 0);
    assert_eq!(third.model.stored_count(), 0);
}

#[test]
fn what_a_power_cut_left_in_the_staging_buffer_never_comes_back() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [600; 10]);
    let end = world.store().log.staged();
    let size = usize::try_from(end / 10).unwrap();
    let record = |disk: &SimDisk, nth: usize| {
        let buffer = disk.read_file(layout().staging(1)).unwrap_or_default();
        buffer.get(4096..).and_then(|ring| ring.chunks(size).nth(nth)).map(<[u8]>::to_vec)
    };
    let mut left_behind = 0;
    for seed in 0..30 {
        let disk = world.disk.power_image(seed);
        let mut next = world.next(disk.kill_image());
        next.open_and_check(Left::PowerCut, &format!("power cut {seed}"));
        let kept = next.model.stored_count();
        // Behind one that is lost, some are whole.
        left_behind += (kept..10).filter(|n| record(&disk, *n) == record(&world.disk, *n)).count();
        // As long as those, so that the next of them would go on exactly where the new ones end.
        for sent in kept + 1..=10 {
            next.send("t", 600).unwrap();
            let killed = next.after_kill();
            assert_eq!(killed.model.stored_count(), sent, "power cut {seed}");
        }
    }
    assert!(left_behind > 10, "only {left_behind} records");
}

#[test]
fn a_record_too_large_for_the_staging_buffer_survives_too() {
    for flush in [Flush::default(), Flush::Sync] {
        let mut world = World::new(flush);
        world.send_all("t", [100, LARGE, 100, LARGE, LARGE, 10]);
        world.after_kill().check_works("killed");
        for seed in 0..8 {
            world.after_power_cut(seed).check_works(&format!("power cut {seed}"));
        }
        world.close().unwrap();
        world.open_and_check(Left::Kill, "closed");
    }
}

#[test]
fn store_times_never_decrease_though_the_clock_does() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 3]);
    world.clock.advance(Duration::from_secs(60));
    world.send_all("t", [100; 3]);
    let late = 1_700_000_060_000;
    world.clock.set_wall_ms(1_600_000_000_000);
    world.close().unwrap();
    world.open_and_check(Left::Kill, "closed");
    // Nothing is behind the floor now, so recovery reads no record.
    let mut world = world.after_kill();
    world.send_all("t", [100]);
    let topic = world.store().topic("t").unwrap();
    let last = read(world.store(), &topic, 0, 6).unwrap();
    assert_eq!(last.store_timestamp(), late);
    let start = world.store().offset_at(&topic, 0, late).unwrap();
    assert_eq!(start, 3);
}

#[test]
fn an_interrupted_first_open_is_begun_again() {
    let clean = World::on(SimDisk::new(1), tiny(Flush::Sync));
    let mut total = 0;
    for n in 1.. {
        let disk = SimDisk::new(1);
        disk.crash_at(n);
        let mut world = clean.next(disk);
        let opened = world.open();
        if !world.disk.is_crashed() {
            opened.unwrap();
            break;
        }
        assert!(opened.is_err(), "operation {n}");
        total = n;
        world.after_kill().check_works(&format!("killed in operation {n}"));
        for seed in 0..4 {
            world.after_power_cut(seed).check_works(&format!("power cut {seed} in operation {n}"));
        }
    }
    assert!(total > 20, "only {total} operations");
}

#[test]
fn a_batch_is_all_there_once_it_returned() {
    let mut world = World::new(Flush::Sync);
    world.send_batch("t", &[500; 20]).unwrap();
    world.send_batch("t", &[500; 30]).unwrap();
    for seed in 0..8 {
        let next = world.after_power_cut(seed);
        assert_eq!(next.model.stored_count(), 50);
    }
    let consumed = world.consume(("t", "g"), 100, |_| Ack::Yes).unwrap();
    assert_eq!(consumed, 50);
}

#[test]
fn log_files_behind_the_end_go_one_after_the_other() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [1500; 60]);
    assert!(world.store().log.segments().len() > 4);
    // Nothing was synced: of the first file a power cut left nothing, of the others their names.
    let lost = world.disk.power_image(0);
    let files = lost.list(&layout().commitlog()).unwrap().len();
    for n in 1.. {
        let mut next = world.next(lost.kill_image());
        next.disk.crash_at(n);
        if next.open().is_ok() {
            break;
        }
        for seed in 0..6 {
            let mut again = world.next(next.disk.power_image(seed));
            again.open_and_check(Left::PowerCut, &format!("operation {n}, power cut {seed}"));
            assert!(again.store().log.segments().len() < files);
        }
    }
}

/// Where the files of the log begin.
fn bases(disk: &SimDisk) -> Vec<u64> {
    let files = disk.list(&layout().commitlog()).unwrap();
    let mut bases: Vec<u64> =
        files.iter().filter_map(|f| crate::layout::parse_file_name(&f.name)).collect();
    bases.sort_unstable();
    bases
}

#[test]
fn a_log_file_that_is_needed_in_part_stays() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [1500; 80]);
    world.flush().unwrap();
    let all = bases(&world.disk);
    for (needed, first) in [(0, 0), (SEGMENT - 1, 0), (SEGMENT, 1), (3 * SEGMENT + 1, 3)] {
        let mut next = world.next(world.disk.kill_image());
        next.open().unwrap();
        assert_eq!(next.store().log.min_after_removal(needed), all[first], "{needed}");
        next.store().log.remove_before(needed).unwrap();
        assert_eq!(bases(&next.disk), all[first..], "{needed}");
    }
}

#[test]
fn log_files_that_nobody_needs_go_oldest_first() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [1500; 80]);
    world.flush().unwrap();
    let all = bases(&world.disk);
    assert!(all.len() > 5);
    for n in 1.. {
        let mut next = world.next(world.disk.kill_image());
        next.open().unwrap();
        next.disk.crash_at(n);
        if next.store().log.remove_before(4 * SEGMENT).is_ok() {
            assert!(n > 4, "only {n} operations");
            assert_eq!(bases(&next.disk.kill_image()), all[4..]);
            break;
        }
        for seed in 0..12 {
            let left = bases(&next.disk.power_image(seed));
            assert!(all.ends_with(&left), "operation {n}, power cut {seed}: {left:?}");
        }
    }
}
