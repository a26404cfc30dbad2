//! The real store under a schedule checker: who runs next, and which waits time out, is chosen anew in each run.
//!
//! Compiled with `--cfg shuttle` only; `tools/schedules.sh` runs it. A run that panics, or in which everybody waits for ever,
//! leaves its schedule in a file; `POCKETMQ_SCHEDULE=<that file>` replays it. What the checker does not know: orderings
//! weaker than `SeqCst`, and the atomics inside mapped memory.

mod disk;
mod filing;
mod forgiving;
mod groupcommit;
mod hand_over;
mod handlers;
mod leasing;
mod line;
mod lingering;
mod publishing;
mod pushing;
mod receiving;
mod removal;
mod sharing;
mod sleeping;
mod subscribing;

use std::path::Path;

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};

use crate::clock::Clock;
use crate::codec::Raw;
use crate::consumer::{Consumer, ConsumerBuilder};
use crate::engine::Engine;
use crate::io::Storage;
use crate::options::{Flush, Options};
use crate::producer::Producer;
use crate::sync::{Arc, Condvar, Mutex, model};

use disk::Disk;
use lingering::Lingering;

/// Schedules of each kind that are tried unless `POCKETMQ_SCHEDULES` says how many.
const SCHEDULES: usize = 200;

/// How many places, all of them the worst, the second kind of schedules looks for at once.
const DEPTH: usize = 4;

/// Tries `scenario` under many schedules, or under the one that is to be replayed.
fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(move || {
        model::stop_time();
        scenario();
    });
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let mut config = Config::new();
        config.stack_size = 512 << 10;
        config.failure_persistence = FailurePersistence::File(Some(std::env::temp_dir()));
        config.ungraceful_shutdown_config.immediately_return_on_panic = true;
        config.silence_warnings = true;
        let scenario = Arc::clone(&scenario);
        Runner::new(scheduler, config).run(move || scenario());
    };
    if let Ok(file) = std::env::var("POCKETMQ_SCHEDULE") {
        run(Box::new(ReplayScheduler::new_from_file(file).unwrap()));
        return;
    }
    let number = |name: &str| Some(std::env::var(name).ok()?.parse::<u64>().unwrap());
    let count = number("POCKETMQ_SCHEDULES").map_or(SCHEDULES, |n| n.try_into().unwrap());
    let seed = number("POCKETMQ_SEED").unwrap_or(1);
    run(Box::new(RandomScheduler::new_from_seed(seed, count)));
    run(Box::new(PctScheduler::new_from_seed(seed, DEPTH, count)));
    run(Box::new(Lingering::new(seed, count)));
}

/// The checker's time.
#[derive(Debug)]
struct ModelClock;

impl Clock for ModelClock {
    fn wall_ms(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> std::time::Instant {
        model::now()
    }
}

/// Small, so that files roll and buffers fill in short runs.
fn options(flush: Flush) -> Options {
    Options { journal_size: 4096, ..Options::default() }
        .flush(flush)
        .segment_size(64 << 10)
        .staging_size(64 << 10)
        .queue_file_size(20 * 512)
        .line(3)
}

fn open(storage: Arc<dyn Storage>, options: &Options) -> Arc<Engine> {
    Engine::open_on(storage, Arc::new(ModelClock), Path::new("/q"), options).unwrap()
}

fn producer(engine: &Arc<Engine>) -> Producer<[u8], Raw> {
    Producer::new(engine, engine.store().topic("t").unwrap())
}

fn consumer(engine: &Arc<Engine>) -> Consumer<[u8], Raw> {
    ConsumerBuilder::new(engine, crate::Topic::<[u8], Raw>::new("t"), "g").pull().unwrap()
}

/// A number that threads wait for.
#[derive(Debug, Default)]
struct Count {
    at: Mutex<usize>,
    more: Condvar,
}

impl Count {
    fn add(&self, more: usize) {
        *self.at.lock() += more;
        self.more.notify_all();
    }

    fn wait_for(&self, enough: usize) {
        let mut at = self.at.lock();
        while *at < enough {
            self.more.wait(&mut at);
        }
    }
}
