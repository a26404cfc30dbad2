//! What the flusher's timers ask for.

use super::thread::Job;
use super::*;
use crate::clock::ManualClock;

/// Nothing is ever left to do.
struct Calm;

impl Target for Calm {
    fn durable(&self) -> u64 {
        0
    }
    fn commit(&self) -> Result<()> {
        Ok(())
    }
    fn sync(&self) -> Result<()> {
        Ok(())
    }
    fn settle(&self) -> Result<()> {
        Ok(())
    }
    fn sync_progress(&self) -> Result<()> {
        Ok(())
    }
    fn disarm(&self) -> bool {
        true
    }
    fn look_again(&self) {}
    fn failed(&self) -> bool {
        false
    }
    fn abandon(&self) {}
}

#[test]
fn five_seconds_after_an_append_those_who_wait_look_once_more_and_then_nothing_wakes() {
    let clock = Arc::new(ManualClock::at(1_000));
    let watched: Arc<ManualClock> = Arc::clone(&clock);
    let flusher = Flusher::new(watched, Duration::from_millis(500), true);
    flusher.arm();
    let mut jobs = Vec::new();
    for _ in 0..60 {
        clock.advance(Duration::from_millis(100));
        while flusher.is_due() {
            let job = flusher.next_job(&Calm).unwrap();
            flusher.work(&Calm, job);
            jobs.push(job);
        }
    }
    assert_eq!(jobs, [Job::Commit, Job::Flush, Job::Look]);
    let orders = flusher.orders.lock();
    assert!([orders.commit_at, orders.sync_at, orders.look_at].iter().all(Option::is_none));
}

#[test]
fn while_something_is_not_flushed_those_who_wait_look_every_five_seconds() {
    let clock = Arc::new(ManualClock::at(1_000));
    let watched: Arc<ManualClock> = Arc::clone(&clock);
    let flusher = Flusher::new(watched, Duration::from_secs(600), true);
    flusher.arm();
    let mut looks = 0;
    for _ in 0..17 {
        clock.advance(Duration::from_secs(1));
        while flusher.is_due() {
            let job = flusher.next_job(&Calm).unwrap();
            flusher.work(&Calm, job);
            looks += usize::from(job == Job::Look);
        }
    }
    assert_eq!(looks, 3);
}

#[test]
fn senders_who_always_wait_for_the_disk_hold_up_neither_acknowledgements_nor_looks() {
    let clock = Arc::new(ManualClock::at(1_000));
    let watched: Arc<ManualClock> = Arc::clone(&clock);
    let flusher = Flusher::new(watched, Duration::from_millis(500), true);
    flusher.arm();
    let mut jobs = Vec::new();
    for wanted in 1..=60 {
        clock.advance(Duration::from_millis(100));
        // A durable position that nothing reaches: there is always somebody who waits.
        flusher.ask_durable(wanted);
        let job = flusher.next_job(&Calm).unwrap();
        flusher.work(&Calm, job);
        flusher.arm();
        jobs.push(job);
    }
    let count = |wanted| jobs.iter().filter(|job| **job == wanted).count();
    assert_eq!((count(Job::Flush), count(Job::Look)), (11, 1), "{jobs:?}");
    assert_eq!(count(Job::Sync), 60 - 12);
}

impl Flusher {
    fn is_due(&self) -> bool {
        let (now, orders) = (self.clock.now(), self.orders.lock());
        let times = [orders.commit_at, orders.sync_at, orders.look_at];
        times.into_iter().flatten().any(|at| at <= now)
    }
}
