//! An appender, a committer, a syncing thread and readers over the real log: what a position covers can be read.

use super::*;
use crate::commitlog::{Blocking, CommitLog, LogStart, Tail};
use crate::io::memory::Memory;
use crate::layout::Layout;
use crate::options::Reads;
use crate::sync::thread;

const RECORD: usize = 700;
const RECORDS: u8 = 8;

/// A log whose files hold five records each.
fn log() -> (CommitLog, Tail) {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new(None));
    let layout = Layout::new(Path::new("/store"));
    for dir in [layout.commitlog(), layout.own()] {
        storage.create_dir_all(&dir).unwrap();
    }
    let start = LogStart {
        generation: 1,
        segment_size: 4096,
        bases: Vec::new(),
        end: 0,
        staging_size: 4096,
        lock_staging: false,
        durable_only: false,
    };
    CommitLog::start(&storage, &layout, &start).unwrap()
}

/// What was put, as a queue would know it: pushed after the put.
#[derive(Default)]
struct Index(Mutex<Vec<u64>>);

impl Index {
    fn fill(&self, log: &CommitLog, tail: &mut Tail) -> crate::Result<()> {
        for number in 1..=RECORDS {
            let room = log.reserve(tail, RECORD as u64, Blocking::Yes)?;
            let at = tail.end;
            log.put(tail, room, &[number; RECORD])?;
            self.0.lock().push(at);
        }
        Ok(())
    }

    /// Reads everything that is there, however it has to be asked for.
    fn check(&self, log: &CommitLog, reads: Reads) {
        let known = self.0.lock().clone();
        for (number, at) in (1..).zip(known) {
            if at + RECORD as u64 > log.committed() {
                log.commit().unwrap();
            }
            let bytes = log.read(at, RECORD, reads).unwrap();
            assert_eq!(bytes.as_slice(), [number; RECORD], "read before it was there");
        }
    }
}

fn check_order(log: &CommitLog) {
    let (durable, committed, staged) = (log.durable(), log.committed(), log.staged());
    assert!(durable <= committed && committed <= staged, "{durable} {committed} {staged}");
}

#[test]
fn what_was_published_can_be_read_while_the_log_grows_and_rolls() {
    explore(|| {
        let (log, mut tail) = log();
        let (log, index) = (Arc::new(log), Arc::new(Index::default()));
        let readers = [Reads::Mapped, Reads::Copied].map(|reads| {
            let (log, index) = (Arc::clone(&log), Arc::clone(&index));
            thread::spawn(move || {
                for _ in 0..3 {
                    index.check(&log, reads);
                    check_order(&log);
                }
            })
        });
        let syncing = thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for _ in 0..2 {
                    let before = log.staged();
                    assert!(log.sync().unwrap() >= before, "less than there was");
                    log.prepare_space().unwrap();
                    check_order(&log);
                }
            }
        });
        index.fill(&log, &mut tail).unwrap();
        for reader in readers {
            reader.join().unwrap();
        }
        syncing.join().unwrap();
        index.check(&log, Reads::Mapped);
        assert_eq!(log.sync().unwrap(), tail.end);
    });
}

#[test]
fn after_a_freeze_no_position_moves() {
    explore(|| {
        let (log, mut tail) = log();
        let log = Arc::new(log);
        let freezing = thread::spawn({
            let log = Arc::clone(&log);
            move || {
                log.freeze();
                (log.committed(), log.durable())
            }
        });
        let syncing = thread::spawn({
            let log = Arc::clone(&log);
            move || {
                let _ = log.sync();
                let _ = log.commit();
            }
        });
        let _ = Index::default().fill(&log, &mut tail);
        let frozen = freezing.join().unwrap();
        syncing.join().unwrap();
        assert_eq!((log.committed(), log.durable()), frozen);
        assert!(log.sync().is_err() && log.commit().is_err());
    });
}
