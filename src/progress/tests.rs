//! The promises of the whole: what a crash leaves, what damage does, what a turn-over keeps.

use std::path::Path;

use proptest::prelude::*;

use super::format::NAME_MAX;
use super::live::start;
use super::recovery::Loaded;
use super::state::TopicRecord;
use super::*;
use crate::error::ErrorKind;
use crate::io::memory::Memory;
use crate::io::{OpenMode, Storage};
use crate::sync::Arc;

mod bytes;
mod crash;
mod damage;
mod model;
mod sharing;
mod starts;

const DIR: &str = "pocketmq";

fn memory() -> Arc<dyn Storage> {
    let storage = Memory::new(None);
    storage.create_dir_all(Path::new(DIR)).unwrap();
    Arc::new(storage)
}

fn begin(storage: &Arc<dyn Storage>, generation: u64, state: State) -> Progress {
    start(Arc::clone(storage), Path::new(DIR), generation, state, 4096).unwrap()
}

/// What a process that starts now would find.
fn found(storage: &Arc<dyn Storage>, generation: u64) -> Loaded {
    load(&**storage, Path::new(DIR), generation).unwrap()
}

fn names(storage: &Arc<dyn Storage>) -> Vec<String> {
    let entries = storage.list(Path::new(DIR)).unwrap();
    let mut names: Vec<_> = entries.into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

fn read(storage: &Arc<dyn Storage>, name: &str) -> Vec<u8> {
    let file = storage.open(&Path::new(DIR).join(name), OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn write(storage: &Arc<dyn Storage>, name: &str, at: u64, bytes: &[u8]) {
    let file = storage.open(&Path::new(DIR).join(name), OpenMode::Write).unwrap();
    file.write_at(at, bytes).unwrap();
}

/// Replaces a file's content.
fn put(storage: &Arc<dyn Storage>, name: &str, bytes: &[u8]) {
    let path = Path::new(DIR).join(name);
    let _ = storage.remove_file(&path);
    storage.open(&path, OpenMode::CreateNew).unwrap().write_at(0, bytes).unwrap();
}

fn sample() -> State {
    let mut acked = Acked::below(3);
    acked.insert(5..9);
    acked.insert(11..12);
    let mut unsettled = Unsettled::default();
    unsettled.hands.take(3..4, 0, None);
    unsettled.hands.take(13..20, 0, None);
    unsettled.fail(4, Failed { attempts: 2, deaths: 1, due_ms: 1_700_000_000_000 });
    let cursor = |queue, acked, unsettled| CursorRecord {
        group: "billing".into(),
        topic: "orders".into(),
        queue,
        acked,
        unsettled,
    };
    State {
        topics: vec![TopicRecord { name: "orders".into(), queues: 4 }],
        groups: vec!["billing".into(), "mail".into()],
        cursors: vec![
            cursor(0, acked, unsettled),
            cursor(3, Acked::default(), Unsettled::default()),
        ],
    }
}

#[test]
fn what_is_loaded_is_what_happened_without_a_close() {
    let storage = memory();
    let progress = begin(&storage, 1, State::default());
    progress.add_topic("orders", 2).unwrap();
    progress.add_topic("orders", 4).unwrap();
    progress.add_topic("orders", 3).unwrap();
    progress.add_group("mail").unwrap();
    progress.add_group("billing").unwrap();
    let cursor = progress.define("billing", "orders", 0, 0).unwrap();
    progress.define("billing", "orders", 3, 0).unwrap();
    progress.ack(&cursor, 1..2).unwrap();
    progress.set(&cursor, 3).unwrap();
    assert_eq!(progress.ack(&cursor, 5..9).unwrap(), 4);
    assert_eq!(progress.ack(&cursor, 6..8).unwrap(), 0);
    assert_eq!(progress.ack(&cursor, 11..12).unwrap(), 1);
    assert!(cursor.is_acked(8) && !cursor.is_acked(9));
    assert_eq!((cursor.watermark(), cursor.next_unacked(5)), (3, (9, None)));
    let take = |range| progress.take(&cursor, cursor.epoch(), range, None).unwrap().unwrap().token;
    let (one, many) = (take(3..5), take(12..20));
    assert!(progress.give_back(&cursor, many, 12) && !progress.give_back(&cursor, one, 13));
    let failed = Failed { attempts: 2, deaths: 1, due_ms: 1_700_000_000_000 };
    assert_eq!(progress.fail(&cursor, one, 4, |_| failed), Some(failed));
    assert_eq!(progress.fail(&cursor, one, 4, |_| failed), None, "it is in nobody's hands");
    assert_eq!(progress.snapshot_state(), sample());
    assert_eq!(found(&storage, 1), Loaded { state: sample(), notes: vec![] });
}

#[test]
fn defining_twice_gives_the_same_cursor() {
    let storage = memory();
    let progress = begin(&storage, 1, State::default());
    let first = progress.define("g", "t", 0, 7).unwrap();
    let again = progress.define("g", "t", 0, 99).unwrap();
    progress.ack(&again, 7..8).unwrap();
    assert_eq!(first.watermark(), 8);
    assert_eq!(found(&storage, 1).state.cursors.len(), 1);
    assert!(progress.cursor("g", "t", 1).is_none());
}

#[test]
fn a_handle_of_another_opening_is_refused() {
    let storage = memory();
    let old = begin(&storage, 1, sample()).cursor("billing", "orders", 0).unwrap();
    let progress = begin(&storage, 2, sample());
    assert_eq!(progress.ack(&old, 0..9).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(progress.set(&old, 9).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(progress.snapshot_state(), sample());
}

#[test]
fn a_state_with_a_cursor_twice_is_refused() {
    let mut state = sample();
    state.cursors.push(state.cursors[0].clone());
    let error = start(memory(), Path::new(DIR), 1, state, 4096).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn the_longest_names_fit_into_the_smallest_journal_and_longer_ones_are_refused() {
    let storage = memory();
    let progress = begin(&storage, 1, State::default());
    let name = "n".repeat(NAME_MAX);
    progress.add_topic(&name, 1).unwrap();
    progress.define(&name, &name, 0, 0).unwrap();
    assert_eq!(found(&storage, 1).state, progress.snapshot_state());
    let name = "n".repeat(NAME_MAX + 1);
    assert_eq!(progress.add_group(&name).unwrap_err().kind(), ErrorKind::TooLarge);
    progress.add_group("g").unwrap();
    assert_eq!(found(&storage, 1).state, progress.snapshot_state());
}

#[test]
fn an_idle_journal_takes_no_room_and_acks_that_find_none_do_not_happen() {
    let storage = Memory::new(Some(64 << 10));
    storage.create_dir_all(Path::new(DIR)).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(storage);
    // The snapshot takes a block; the first step of the journal would take all blocks there are.
    let progress = start(Arc::clone(&storage), Path::new(DIR), 1, sample(), 4 << 20).unwrap();
    let cursor = progress.cursor("billing", "orders", 0).unwrap();
    for _ in 0..2 {
        assert_eq!(progress.ack(&cursor, 3..4).unwrap_err().kind(), ErrorKind::Full);
    }
    assert!(!cursor.is_acked(3) && !progress.dirty());
    assert_eq!(found(&storage, 1).state, sample());
}

#[test]
fn closing_leaves_nothing_to_replay_and_nothing_to_change() {
    let storage = memory();
    let progress = begin(&storage, 1, sample());
    let cursor = progress.cursor("billing", "orders", 3).unwrap();
    progress.ack(&cursor, 0..5).unwrap();
    progress.close().unwrap();
    progress.close().unwrap();
    assert_eq!(progress.ack(&cursor, 5..6).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(progress.add_group("g").unwrap_err().kind(), ErrorKind::Closed);
    progress.sync().unwrap();
    assert_eq!(cursor.watermark(), 5);
    for journal in names(&storage).iter().filter(|name| name.starts_with("journal")) {
        storage.remove_file(&Path::new(DIR).join(journal)).unwrap();
    }
    let mut state = progress.snapshot_state();
    state.let_go();
    assert_eq!(found(&storage, 1), Loaded { state, notes: vec![] });
}

#[test]
fn the_old_generation_stays_until_it_is_removed() {
    let storage = memory();
    let old = begin(&storage, 1, sample());
    old.ack(&old.cursor("billing", "orders", 3).unwrap(), 0..50).unwrap();
    let last = old.snapshot_state();
    // Two attempts: the first one died before the store moved on.
    drop(begin(&storage, 2, State::default()));
    let new = begin(&storage, 2, last.clone());
    assert_eq!(found(&storage, 1).state, last);
    assert_eq!(found(&storage, 2).state, last);
    put(&storage, "journal.old", b"somebody else's");
    remove_older(&*storage, Path::new(DIR), 2).unwrap();
    assert_eq!(names(&storage), ["journal.2.1", "journal.old", "progress.2.a"]);
    new.add_group("more").unwrap();
    assert_eq!(found(&storage, 2).state, new.snapshot_state());
}

/// A store whose journal was turned over a few times, and a state that needs all of it.
fn turned_over(storage: &Arc<dyn Storage>) -> Progress {
    let progress = begin(storage, 1, sample());
    let cursor = progress.cursor("billing", "orders", 3).unwrap();
    for offset in 0..700 {
        progress.ack(&cursor, offset..offset + 1).unwrap();
    }
    progress
}

#[test]
fn a_full_journal_makes_room_for_the_next_and_only_the_one_before_stays() {
    let storage = memory();
    let progress = turned_over(&storage);
    let expected = ["journal.1.4", "journal.1.5", "progress.1.a", "progress.1.b"];
    assert_eq!(names(&storage), expected);
    assert_eq!(found(&storage, 1), Loaded { state: progress.snapshot_state(), notes: vec![] });
    progress.close().unwrap();
    assert_eq!(names(&storage), ["journal.1.5", "progress.1.a", "progress.1.b"]);
}

#[test]
fn clipping_cuts_each_cursor_to_its_queue_and_says_which() {
    let mut state = sample();
    state.cursors[1].acked.set(7);
    assert_eq!(state.clip(|_, _| Some(12)), vec![]);
    let clipped = state.clip(|_, queue| (queue == 0).then_some(6));
    let [first, second] = &clipped[..] else { panic!("{clipped:?}") };
    assert_eq!((first.queue, first.was, first.now), (0, 12, 6));
    assert_eq!((second.queue, second.was, second.now), (3, 7, 0));
    assert_eq!(state.cursors[0].acked.ranges().collect::<Vec<_>>(), vec![5..6]);
    assert_eq!(state.cursors[1].acked, Acked::default());
}
