//! A scheduler that seldom changes its mind: a thread is interrupted at one place, and others run far before it goes on.

use shuttle::scheduler::{DataSource, RandomDataSource, Schedule, Scheduler, Task, TaskId};

/// Stays with a thread, and leaves it with a chance that is another one in each run.
#[derive(Debug)]
pub(super) struct Lingering {
    left: usize,
    state: u64,
    /// One decision in so many is for somebody else.
    stay: u64,
    data: RandomDataSource,
}

impl Lingering {
    pub(super) fn new(seed: u64, count: usize) -> Self {
        Self { left: count, state: seed, stay: 2, data: RandomDataSource::initialize(seed) }
    }

    fn choose(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 33) % below
    }
}

impl Scheduler for Lingering {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.left = self.left.checked_sub(1)?;
        self.stay = 4 << self.choose(5);
        Some(Schedule::new(self.data.reinitialize()))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let running = current.filter(|id| runnable.iter().any(|task| task.id() == *id));
        if let Some(running) = running
            && (runnable.len() == 1 || !is_yielding && self.choose(self.stay) != 0)
        {
            return Some(running);
        }
        let others: Vec<_> = runnable.iter().filter(|task| Some(task.id()) != running).collect();
        let which = self.choose(others.len() as u64);
        Some(others[usize::try_from(which).unwrap()].id())
    }

    fn next_u64(&mut self) -> u64 {
        self.data.next_u64()
    }
}
