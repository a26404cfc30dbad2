use std::path::Path;

use super::*;
use crate::io::memory::Memory;
use crate::io::sim::{Fault, FaultKind, SimDisk};

fn small(storage: &Arc<dyn Storage>) -> (CommitLog, Tail) {
    let layout = Layout::new(Path::new("/store"));
    for dir in [layout.commitlog(), layout.own()] {
        storage.create_dir_all(&dir).unwrap();
    }
    let start = LogStart {
        generation: 1,
        segment_size: 64 << 10,
        bases: Vec::new(),
        end: 0,
        staging_size: 64 << 10,
        lock_staging: false,
        durable_only: false,
    };
    CommitLog::start(storage, &layout, &start).unwrap()
}

fn put(log: &CommitLog, tail: &mut Tail, record: [u8; 100]) {
    assert_eq!(log.reserve(tail, 100, Blocking::Yes).unwrap(), Room::Staged);
    log.put(tail, Room::Staged, &record).unwrap();
}

/// The disk says so once. Whoever waited for his turn meanwhile comes before the store has stopped.
#[test]
fn after_a_sync_that_failed_the_next_one_makes_nothing_durable() {
    let disk = SimDisk::new(1);
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let (log, mut tail) = small(&storage);
    put(&log, &mut tail, [1; 100]);
    log.commit().unwrap();
    disk.fail_at(1, Fault { kind: FaultKind::Eio, sticky: false });
    log.sync().unwrap_err();
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(log.durable(), 0);
}

#[test]
fn after_a_write_that_failed_the_next_one_shows_nothing() {
    let disk = SimDisk::new(1);
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let (log, mut tail) = small(&storage);
    put(&log, &mut tail, [1; 100]);
    disk.fail_at(1, Fault { kind: FaultKind::Eio, sticky: false });
    log.commit().unwrap_err();
    assert_eq!(log.commit().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(log.committed(), 0);
}

#[test]
fn where_the_staging_buffer_keeps_nothing_records_go_straight_to_the_log() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new(None));
    let (log, mut tail) = small(&storage);
    put(&log, &mut tail, [1; 100]);
    assert_eq!(log.committed(), 0);
    log.staging.fail();

    assert_eq!(log.reserve(&mut tail, 100, Blocking::No).unwrap(), Room::None);
    assert_eq!(log.reserve(&mut tail, 100, Blocking::Yes).unwrap(), Room::Direct);
    log.put(&mut tail, Room::Direct, &[2; 100]).unwrap();
    assert_eq!((log.committed(), log.staged()), (200, 200));
    let read = |at| log.read(at, 100, Reads::Copied).unwrap().as_slice().to_vec();
    assert_eq!((read(0), read(100)), (vec![1; 100], vec![2; 100]));
}
