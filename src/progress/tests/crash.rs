//! One history, with the process dying, the power going or the disk failing in each of its operations.

use super::*;
use crate::error::{Error, Result};
use crate::io::sim::{Fault, FaultKind, SimDisk};
use crate::progress::format::{self, Entry, Starts};

const STEPS: usize = 700;
/// Two pages: a failed sync can lose one that is not written again.
const JOURNAL: usize = 8192;
/// Between these steps the store is closed and opened again.
const REOPEN: usize = 500;

/// A history as far as it got.
struct Run {
    disk: SimDisk,
    storage: Arc<dyn Storage>,
    generation: u64,
    progress: Progress,
    /// How many steps returned `Ok`.
    done: usize,
    /// How many of them were said to be durable.
    durable: usize,
}

impl Run {
    fn begin() -> Self {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new(DIR)).unwrap();
        let storage: Arc<dyn Storage> = Arc::new(disk.clone());
        let dir = Path::new(DIR);
        let progress = start(Arc::clone(&storage), dir, 1, State::default(), JOURNAL).unwrap();
        for queue in 0..2 {
            progress.define("g", "t", queue, 0).unwrap();
        }
        Self { disk, storage, generation: 1, progress, done: 0, durable: 0 }
    }

    fn step(&mut self) -> Result<()> {
        if self.done == REOPEN && self.generation == 1 {
            self.reopen()?;
        }
        let n = u64::try_from(self.done).unwrap();
        let cursor = self.progress.cursor("g", "t", u32::from(n % 2 == 1)).unwrap();
        let mut durable = true;
        match n {
            _ if n % 97 == 50 => self.progress.sync()?,
            _ if n % 131 == 100 => self.progress.set(&cursor, n / 3)?,
            _ if n % 61 == 7 => self.progress.add_topic("new", u32::try_from(n).unwrap())?,
            _ if n % 83 == 20 => {
                drop(self.progress.define("late", "t", u32::try_from(n).unwrap(), n)?);
            }
            _ if n % 89 == 30 => self.progress.add_group(&format!("late{n}"))?,
            _ => {
                self.progress.ack(&cursor, n / 2 + n % 5..n / 2 + n % 5 + 1)?;
                durable = false;
            }
        }
        if self.disk.is_crashed() {
            // In an operation whose failure does not matter, as that of a removal.
            return Err(Error::closed());
        }
        self.done += 1;
        assert!(!(durable && self.progress.dirty()), "step {n} is durable when it returns");
        if !self.progress.dirty() {
            self.durable = self.done;
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<()> {
        self.progress.close()?;
        self.durable = self.done;
        let dir = Path::new(DIR);
        let state = load(&*self.storage, dir, 1)?.state;
        self.progress = start(Arc::clone(&self.storage), dir, 2, state, JOURNAL)?;
        self.generation = 2;
        // Not being able to remove something costs nothing but its room.
        let _ = remove_older(&*self.storage, dir, 2);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        while self.done < STEPS {
            self.step()?;
        }
        self.progress.close()?;
        self.durable = self.done;
        Ok(())
    }

    /// The state after so many steps, for all of them; and how many operations they took.
    fn expected() -> (Vec<State>, u64) {
        let mut run = Self::begin();
        let before = run.disk.operations();
        let mut states = vec![run.progress.snapshot_state()];
        while run.done < STEPS {
            run.step().unwrap();
            states.push(run.progress.snapshot_state());
        }
        run.progress.close().unwrap();
        (states, run.disk.operations() - before)
    }

    /// Checks that a disk holds the state after at least `least` steps, and of none that was never begun.
    fn check(&self, disk: SimDisk, least: usize, states: &[State], what: &str) {
        let storage: Arc<dyn Storage> = Arc::new(disk);
        let state = found(&storage, self.generation).state;
        let most = (self.done + 1).min(STEPS);
        let fits = states[least..=most].contains(&state);
        assert!(fits, "{what}: not a state between steps {least} and {most}: {state:?}");
    }
}

#[test]
fn dying_in_any_operation_loses_nothing_that_returned_and_a_power_cut_nothing_durable() {
    let (states, operations) = Run::expected();
    for n in 1..=operations {
        let mut run = Run::begin();
        run.disk.crash_at(n);
        // The last operations are removals, which may fail unnoticed.
        let _ = run.finish();
        assert!(run.disk.is_crashed());
        run.check(run.disk.kill_image(), run.done, &states, &format!("kill in {n}"));
        for seed in n * 8..n * 8 + 8 {
            let image = run.disk.power_image(seed);
            run.check(image, run.durable, &states, &format!("power cut {seed} in {n}"));
        }
    }
}

#[test]
fn after_a_failed_operation_what_is_called_durable_is() {
    let (states, operations) = Run::expected();
    for kind in [FaultKind::Eio, FaultKind::ShortWrite, FaultKind::Enospc, FaultKind::Emfile] {
        let mut poisoned = 0;
        for n in 1..=operations {
            let mut run = Run::begin();
            run.disk.fail_at(n, Fault::once(kind));
            let result = run.finish().or_else(|error| {
                assert_ne!(error.kind(), ErrorKind::Poisoned, "the first failure says what it is");
                run.finish()
            });
            if let Err(error) = result {
                assert_eq!(error.kind(), ErrorKind::Poisoned);
                assert!(run.progress.close().is_err());
                poisoned += 1;
            } else {
                assert_eq!(run.done, STEPS);
            }
            assert_eq!(run.disk.writes_into_holes(), vec![]);
            run.disk.heal();
            for seed in 0..4 {
                let what = format!("{kind:?} in {n}, power cut {seed}");
                run.check(run.disk.power_image(seed), run.durable, &states, &what);
            }
        }
        assert!(0 < poisoned && poisoned < operations, "{kind:?}: {poisoned}");
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let (states, _) = Run::expected();
    let mut run = Run::begin();
    let (mut refused, mut room) = (0, run.disk.used());
    loop {
        run.disk.set_capacity(Some(room));
        match run.finish() {
            Ok(()) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Full),
        }
        refused += 1;
        run.check(run.disk.kill_image(), run.done, &states, "full");
        let files = names(&run.storage);
        assert!(files.len() <= 4 && files.iter().all(|f| !f.contains("tmp")), "{files:?}");
        // Some failures take nothing and some need more than one block: no room is ever leaked.
        room += 4096;
    }
    assert!(refused > 0);
    assert_eq!(run.progress.snapshot_state(), states[STEPS]);
    run.check(run.disk.kill_image(), STEPS, &states, "closed");
    assert_eq!(run.disk.writes_into_holes(), vec![]);
}

#[test]
fn without_a_sync_a_power_cut_may_take_acks_and_with_one_it_may_not() {
    let run = Run::begin();
    let cursor = run.progress.cursor("g", "t", 0).unwrap();
    let watermark = |disk: SimDisk| {
        let storage: Arc<dyn Storage> = Arc::new(disk);
        found(&storage, 1).state.cursors[0].acked.watermark()
    };
    run.progress.ack(&cursor, 0..5).unwrap();
    assert!(run.progress.dirty());
    assert_eq!(watermark(run.disk.kill_image()), 5);
    assert!((0..32).any(|seed| watermark(run.disk.power_image(seed)) == 0));
    let before = run.disk.operations();
    run.progress.sync().unwrap();
    run.progress.sync().unwrap();
    assert_eq!(run.disk.operations() - before, 1, "nothing new, no sync");
    assert!((0..32).all(|seed| watermark(run.disk.power_image(seed)) == 5));
}

/// Acknowledges in order until the next acknowledgement will find the journal full.
fn fill(progress: &Progress, disk: &SimDisk) -> Cursor {
    let cursor = progress.define("g", "t", 0, 0).unwrap();
    let start = [Starts::bytes_of(0, 0)];
    let starts = Starts::new(&start);
    let defined = Entry::Begin { id: 0, left: 0, group: "g", topic: "t", starts };
    let acks = (4096 - format::SEAL - defined.size().unwrap()) / format::ACK;
    for offset in 0..u64::try_from(acks).unwrap() {
        let before = disk.operations();
        progress.ack(&cursor, offset..offset + 1).unwrap();
        assert_eq!(disk.operations(), before, "no operation for an acknowledgement");
    }
    cursor
}

#[test]
fn a_failed_write_stops_all_writing_and_a_file_that_cannot_be_opened_does_not() {
    // Of the operations of a turn-over: the removal of what is not there, two files opened, the rest.
    let expected = |n| match n {
        1 => None,
        2 | 3 => Some(ErrorKind::Io),
        _ => Some(ErrorKind::Poisoned),
    };
    for n in 1..=11 {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new(DIR)).unwrap();
        let storage: Arc<dyn Storage> = Arc::new(disk.clone());
        let progress = begin(&storage, 1, State::default());
        let cursor = fill(&progress, &disk);
        let (watermark, next) = (cursor.watermark(), cursor.watermark() + 1);
        disk.fail_at(n, Fault::once(FaultKind::Eio));
        let first = progress.ack(&cursor, watermark..next).map_err(|e| e.kind());
        assert_eq!(first.is_err(), expected(n).is_some(), "operation {n}");
        let second = progress.ack(&cursor, next..next + 1).map_err(|e| e.kind());
        if expected(n) == Some(ErrorKind::Poisoned) {
            assert_eq!(first, Err(ErrorKind::Io), "operation {n}");
            assert_eq!(second, Err(ErrorKind::Poisoned), "operation {n}");
            assert_eq!(cursor.watermark(), watermark, "reading goes on");
        } else {
            assert_eq!(second, Ok(1), "operation {n}");
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_is_called_durable_any_more() {
    let run = Run::begin();
    let cursor = run.progress.cursor("g", "t", 0).unwrap();
    run.progress.ack(&cursor, 0..1).unwrap();
    run.disk.fail_at(1, Fault::once(FaultKind::Eio));
    assert_eq!(run.progress.sync().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(run.progress.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(run.progress.ack(&cursor, 1..2).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(run.progress.close().unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(run.progress.dirty());
}

#[test]
fn no_space_for_what_was_promised_is_a_failed_write() {
    let run = Run::begin();
    let cursor = run.progress.cursor("g", "t", 0).unwrap();
    run.progress.ack(&cursor, 0..1).unwrap();
    run.disk.fail_at(1, Fault::once(FaultKind::Enospc));
    assert_eq!(run.progress.sync().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(run.progress.sync().unwrap_err().kind(), ErrorKind::Poisoned);
}

#[test]
fn no_space_changes_nothing_or_stops_everything_and_says_which() {
    let (_, operations) = Run::expected();
    let (mut full, mut failed) = (0, 0);
    // And a life in which nothing happens before it ends: its journal has no blocks.
    let idle = |fault: Option<u64>| {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new(DIR)).unwrap();
        let progress = begin(&(Arc::new(disk.clone()) as _), 1, State::default());
        if let Some(n) = fault {
            disk.fail_at(n, Fault::once(FaultKind::Enospc));
        }
        let before = disk.operations();
        (progress.close(), disk.operations() - before, progress)
    };
    let (_, idle_operations, _) = idle(None);
    for n in 1..=operations + idle_operations {
        let (result, progress) = if n > operations {
            let (result, _, progress) = idle(Some(n - operations));
            (result, progress)
        } else {
            let mut run = Run::begin();
            run.disk.fail_at(n, Fault::once(FaultKind::Enospc));
            (run.finish(), run.progress)
        };
        let Err(error) = result else { continue };
        let stopped = progress.healthy().is_err();
        match error.kind() {
            ErrorKind::Full => full += 1,
            kind => failed += usize::from(kind == ErrorKind::Io),
        }
        assert_eq!(stopped, error.kind() == ErrorKind::Io, "operation {n}: {error:?}");
        if !stopped {
            progress.close().unwrap_or_else(|e| panic!("operation {n}: {e:?}"));
        }
    }
    assert!(full > 0 && failed > 0, "{full} full, {failed} failed");
}

#[test]
fn a_close_whose_snapshot_is_damaged_later_loses_nothing() {
    for seed in 0..16 {
        let mut run = Run::begin();
        for _ in 0..40 {
            run.step().unwrap();
        }
        run.progress.close().unwrap();
        let disk = run.disk.power_image(seed);
        disk.flip_bit(Path::new(DIR).join("progress.1.b"), 400);
        let storage: Arc<dyn Storage> = Arc::new(disk);
        assert_eq!(found(&storage, 1).state, run.progress.snapshot_state());
    }
}

#[test]
fn blocks_are_taken_in_steps_and_always_before_they_are_written() {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let progress =
        start(Arc::new(disk.clone()), Path::new(DIR), 1, State::default(), 4 << 20).unwrap();
    assert!(disk.used() <= 4096, "an idle store takes no room");
    let cursor = progress.define("g", "t", 0, 0).unwrap();
    for offset in 0..30_000 {
        progress.ack(&cursor, offset..offset + 1).unwrap();
        let written = (offset + 3) * u64::try_from(format::ACK).unwrap();
        assert!(disk.used() < 2 * written + (80 << 10), "{} for {written}", disk.used());
    }
    assert_eq!(disk.writes_into_holes(), vec![]);
}
