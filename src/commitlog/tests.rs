use std::path::Path;

use super::*;
use crate::io::memory::Memory;

#[test]
fn where_the_staging_buffer_keeps_nothing_records_go_straight_to_the_log() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new(None));
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
    let (log, mut tail) = CommitLog::start(&storage, &layout, &start).unwrap();
    assert_eq!(log.reserve(&mut tail, 100, Blocking::Yes).unwrap(), Room::Staged);
    log.put(&mut tail, Room::Staged, &[1; 100]).unwrap();
    assert_eq!(log.committed(), 0);
    log.staging.fail();

    assert_eq!(log.reserve(&mut tail, 100, Blocking::No).unwrap(), Room::None);
    assert_eq!(log.reserve(&mut tail, 100, Blocking::Yes).unwrap(), Room::Direct);
    log.put(&mut tail, Room::Direct, &[2; 100]).unwrap();
    assert_eq!((log.committed(), log.staged()), (200, 200));
    let read = |at| log.read(at, 100, Reads::Copied).unwrap().as_slice().to_vec();
    assert_eq!((read(0), read(100)), (vec![1; 100], vec![2; 100]));
}
