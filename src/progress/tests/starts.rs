//! A group begins in all queues of a topic or in none.

use super::*;
use crate::io::sim::SimDisk;
use crate::progress::format::{Entry, STARTS_MAX, Scratch, Seed, Starts};

/// Where a group begins in so many queues.
fn ends(queues: u32) -> Vec<(u32, u64)> {
    (0..queues).map(|queue| (queue, 100 + u64::from(queue) * 3)).collect()
}

fn on_simulated_disk() -> (SimDisk, Progress) {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let progress = start(storage, Path::new(DIR), 1, State::default(), 4096).unwrap();
    progress.add_group("g").unwrap();
    (disk, progress)
}

fn starts_on(disk: SimDisk) -> usize {
    found(&(Arc::new(disk) as Arc<dyn Storage>), 1).state.cursors.len()
}

#[test]
fn a_start_that_is_cut_short_anywhere_is_none_at_all() {
    for queues in [1, 7, 64, 1024, 10_000] {
        let (disk, progress) = on_simulated_disk();
        let before = disk.operations();
        progress.define_all("g", "t", &ends(queues)).unwrap();
        let operations = disk.operations() - before;
        let all = usize::try_from(queues).unwrap();
        for n in 1..=operations {
            let (disk, progress) = on_simulated_disk();
            disk.crash_at(n);
            let made = progress.define_all("g", "t", &ends(queues)).is_ok();
            let what = format!("{queues} queues, operation {n}");
            for seed in 0..8 {
                let left = starts_on(disk.power_image(seed));
                assert!(left == all || (left == 0 && !made), "{what}, power cut: {left} begun");
            }
            let left = starts_on(disk.kill_image());
            assert!(left == all || (left == 0 && !made), "{what}, kill: {left} begun");
        }
    }
}

#[test]
fn a_group_begins_in_all_topics_at_once_or_in_none() {
    let topics = [("a", ends(3)), ("b", ends(2000)), ("c", ends(1))];
    let topics = topics.map(|(topic, starts)| (topic, starts.into_iter().collect()));
    let (disk, progress) = on_simulated_disk();
    let before = disk.operations();
    assert!(progress.define_group("g", &topics).unwrap());
    assert!(!progress.define_group("g", &topics).unwrap(), "it has begun");
    assert_eq!(starts_on(disk.clone()), 2004);
    for n in 1..=disk.operations() - before {
        let (disk, progress) = on_simulated_disk();
        disk.crash_at(n);
        let made = progress.define_group("g", &topics).is_ok();
        for (seed, image) in [(0, disk.kill_image())]
            .into_iter()
            .chain((1..8).map(|seed| (seed, disk.power_image(seed))))
        {
            let left = starts_on(image);
            let whole = left == 2004 || (left == 0 && !made);
            assert!(whole, "operation {n}, image {seed}: {left} begun");
        }
    }
}

#[test]
fn a_kill_between_any_two_bytes_of_a_start_leaves_none_of_it() {
    for queues in [3, 5000] {
        let storage = memory();
        let progress = begin(&storage, 1, sample());
        progress.define_all("late", "orders", &ends(queues)).unwrap();
        let whole = found(&storage, 1).state;
        assert_eq!(whole, progress.snapshot_state());
        assert_eq!(whole.cursors.len(), 2 + usize::try_from(queues).unwrap());
        let journal = names(&storage).into_iter().rfind(|n| n.starts_with("journal")).unwrap();
        let bytes = read(&storage, &journal);
        let end = bytes.iter().rposition(|&b| b != 0).unwrap();
        for cut in (0..=end).rev().step_by(end / 200 + 1) {
            let mut torn = bytes.clone();
            torn[cut..].fill(0);
            put(&storage, &journal, &torn);
            assert_eq!(found(&storage, 1).state, sample(), "cut at {cut} of {end}");
        }
    }
}

#[test]
fn a_group_that_is_known_in_some_queues_keeps_them_and_begins_in_the_others() {
    let storage = memory();
    let progress = begin(&storage, 1, sample());
    let cursors = progress.define_all("billing", "orders", &ends(5)).unwrap();
    let watermarks: Vec<_> = cursors.iter().map(Cursor::watermark).collect();
    assert_eq!(watermarks, [3, 103, 106, 0, 112]);
    assert_eq!(found(&storage, 1).state, progress.snapshot_state());
}

#[test]
fn a_start_without_room_changes_nothing_and_can_be_tried_again() {
    let (disk, progress) = on_simulated_disk();
    disk.set_capacity(Some(disk.used() + 8192));
    let full = progress.define_all("g", "t", &ends(10_000)).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Full);
    assert!(progress.cursor("g", "t", 0).is_none());
    assert_eq!(starts_on(disk.kill_image()), 0);
    disk.set_capacity(None);
    assert_eq!(progress.define_all("g", "t", &ends(10_000)).unwrap().len(), 10_000);
    assert_eq!(starts_on(disk.kill_image()), 10_000);
}

/// What an earlier version wrote, and what never was written, in a journal of its own.
fn replayed(entries: &[Entry<'_>]) -> Result<State, ErrorKind> {
    let storage = memory();
    drop(begin(&storage, 1, State::default()));
    let mut at = 0;
    let mut scratch = Scratch::default();
    for (number, entry) in (0..).zip(entries) {
        let bytes = scratch.encode(Seed::new(1, 1), number, entry);
        write(&storage, "journal.1.1", at, bytes);
        at += u64::try_from(bytes.len()).unwrap();
    }
    load(&*storage, Path::new(DIR), 1).map(|l| l.state).map_err(|e| e.kind())
}

#[test]
fn starts_that_earlier_versions_wrote_one_by_one_are_read() {
    let define = |id, queue| Entry::Define { id, group: "g", topic: "t", queue, start: 7 };
    let ack = Entry::Ack { cursor: 1, from: 7, count: 2 };
    let state = replayed(&[define(0, 0), define(1, 3), ack]).unwrap();
    let reached: Vec<_> = state.cursors.iter().map(|c| (c.queue, c.acked.watermark())).collect();
    assert_eq!(reached, [(0, 7), (3, 9)]);
}

#[test]
fn entries_of_a_start_that_do_not_fit_together_are_refused() {
    let bytes = [Starts::bytes_of(0, 7), Starts::bytes_of(1, 7)];
    let starts = Starts::new(&bytes);
    let begin = |id, left| Entry::Begin { id, left, group: "g", topic: "t", starts };
    assert_eq!(replayed(&[begin(0, 2), begin(2, 0)]).unwrap().cursors.len(), 4);
    assert_eq!(replayed(&[begin(0, 2)]).unwrap(), State::default());
    for wrong in [
        &[begin(0, 3), begin(2, 0)][..],
        &[begin(0, 2), begin(3, 0)],
        &[begin(0, 2), Entry::Group { name: "g" }],
        &[begin(0, 2), Entry::Ack { cursor: 0, from: 1, count: 1 }],
        &[begin(1, 0)],
    ] {
        assert_eq!(replayed(wrong), Err(ErrorKind::Corrupt), "{wrong:?}");
    }
    assert!(starts.len() < STARTS_MAX);
}
