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

impl Flusher {
    fn is_due(&self) -> bool {
        let (now, orders) = (self.clock.now(), self.orders.lock());
        let times = [orders.commit_at, orders.sync_at, orders.look_at];
        times.into_iter().flatten().any(|at| at <= now)
    }
}
