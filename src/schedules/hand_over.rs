//! What senders ask of the housekeeper is done, however often and whenever they ask.

use std::task::{Wake, Waker};
use std::time::Duration;

use super::*;
use crate::flush::Timer;
use crate::flush::housekeeper::{House, Housekeeper};
use crate::sync::{AtomicUsize, Ordering, thread};

/// A house whose work is counted.
#[derive(Debug)]
struct Yard {
    keeper: Housekeeper,
    staged: AtomicUsize,
    piled: AtomicUsize,
    committed: Count,
    tidied: Count,
    alarms: Count,
}

impl Yard {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            keeper: Housekeeper::new(Arc::new(ModelClock)),
            staged: 0.into(),
            piled: 0.into(),
            committed: Count::default(),
            tidied: Count::default(),
            alarms: Count::default(),
        })
    }
}

/// Takes what has piled up.
fn work(from: &AtomicUsize, to: &Count) {
    to.add(from.swap(0, Ordering::SeqCst));
}

impl House for Yard {
    fn chores(&self) {
        work(&self.piled, &self.tidied);
    }
    fn commit_chunks(&self) {
        work(&self.staged, &self.committed);
    }
    fn alarm(&self) {
        self.alarms.add(1);
    }
    fn abandon(&self) {
        unreachable!("nothing panics");
    }
}

#[test]
fn what_is_asked_for_is_done_after_it_was_asked_for() {
    explore(|| {
        let yard = Yard::new();
        let keeper = Housekeeper::spawn(&yard, |yard| &yard.keeper).unwrap();
        let senders = (0..2).map(|_| {
            let yard = Arc::clone(&yard);
            thread::spawn(move || {
                for _ in 0..3 {
                    yard.staged.fetch_add(1, Ordering::SeqCst);
                    yard.keeper.ask_commit();
                    yard.piled.fetch_add(1, Ordering::SeqCst);
                    yard.keeper.ask();
                }
            })
        });
        let senders: Vec<_> = senders.collect();
        yard.keeper.alarm();
        yard.alarms.wait_for(1);
        yard.committed.wait_for(6);
        yard.tidied.wait_for(6);
        for sender in senders {
            sender.join().unwrap();
        }
        yard.keeper.stop();
        keeper.join().unwrap();
    });
}

#[derive(Default)]
struct Rung(Count);

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.0.add(1);
    }
}

#[test]
fn whoever_has_a_deadline_is_woken_by_it_or_by_the_end() {
    explore(|| {
        let yard = Yard::new();
        let keeper = Housekeeper::spawn(&yard, |yard| &yard.keeper).unwrap();
        let ends_first = model::choose(2) == 0;
        if !ends_first {
            model::let_time_pass(Duration::from_secs(60));
        }
        let rungs = [1, 2].map(|seconds| {
            let rung = Arc::new(Rung::default());
            let waker = Waker::from(Arc::clone(&rung));
            let at = model::now() + Duration::from_secs(seconds);
            yard.keeper.wake_at(&mut Timer::default(), at, &waker);
            rung
        });
        let stopper = thread::spawn({
            let yard = Arc::clone(&yard);
            move || {
                if ends_first {
                    yard.keeper.stop();
                }
            }
        });
        for rung in rungs {
            rung.0.wait_for(1);
        }
        stopper.join().unwrap();
        yard.keeper.stop();
        keeper.join().unwrap();
    });
}
