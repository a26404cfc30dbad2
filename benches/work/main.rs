//! Measures the queue beside the limits of the machine, in the same run.
//!
//! ```text
//! cargo bench --bench work -- [W1 W2 W3 W4 W4b W5 W6 W7 W9 idle] [--sweep topics|producers|bodies|size|backlog] [--size-max BYTES|MiB|GiB]
//!                             [--sustained] [--calls] [--quick] [--runs N] [--dir DIR] [--only TEXT]
//! ```
//!
//! Without a name W1 to W7 are measured; with `--only`, those of their rows whose name contains the text (for a profiler).
//! `--sustained` adds to W1 the rows that last until the kernel's write-back decides. `--calls` adds a turn of each row that counts its
//! system calls, with `perf`. docs/BENCHMARKS.md says what the rows are and how to read them.
//!
//! Standard output has one JSON object per measured row, and for people, behind `# `,
//! tables of rows and ratios. Rows are named `pocketmq …`, `limit …` (loops of bare system calls) and `channel …` (a bounded
//! crossbeam channel). Within a work the rows take turns, forwards and backwards; each figure is the median of all turns.
//!
//! Absolute figures say little, for machines differ and are noisy: a ratio is taken within one turn, and the table shows the
//! median of the ratios with the lowest and the highest.
//!
//! Data go to a temporary directory below `--dir` (by default the system's), removed afterwards.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "limits are bare system calls and the real clock")]

mod append;
mod backlog;
mod calls;
mod durable;
mod figures;
mod filters;
mod ground;
mod idle;
mod jobs;
mod limits;
mod live;
mod meter;
mod opening;
mod scale;
mod settings;
mod store;
mod sweep;
mod table;
mod victim;

use std::error::Error;

use ground::Ground;
use settings::{Command, Settings, Work};

/// Whatever goes wrong ends the benchmark with a message.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    match settings::parse(std::env::args().skip(1))? {
        Command::Measure(settings) => measure(&settings),
        Command::BeKilled { dir, messages } => victim::fill_and_wait(&dir, messages),
        Command::BeIdle { dir, messages, time } => idle::be_idle(&dir, messages, time),
    }
}

fn measure(settings: &Settings) -> Result<()> {
    let ground = Ground::new(settings.dir.as_deref())?;
    let mut tables = vec![ground.describe()?];
    if settings.calls
        && let Err(why) = calls::available()
    {
        return Err(format!("--calls needs a perf that may count here: {why}").into());
    }
    for work in &settings.works {
        tables.push(run(*work, settings, &ground)?);
    }
    for table in tables {
        for line in table.lines() {
            println!("# {line}");
        }
    }
    Ok(())
}

/// What a thread returned; its panic is an error like any other.
fn joined<T>(outcome: std::thread::Result<Result<T>>) -> Result<T> {
    outcome.map_err(|_| "a thread panicked")?
}

fn run(work: Work, settings: &Settings, ground: &Ground) -> Result<String> {
    let table = match work {
        Work::W1 => append::small(settings, ground),
        Work::W2 => append::large(settings, ground),
        Work::W3 => durable::alone(settings, ground),
        Work::W4 => durable::many(settings, ground),
        Work::W4b => durable::in_flight(settings, ground),
        Work::W5 => opening::measure(settings, ground),
        Work::W6 => live::measure(settings, ground),
        Work::W7 => jobs::measure(settings, ground),
        Work::W9 => filters::measure(settings, ground),
        Work::Topics => sweep::topics(settings, ground),
        Work::Producers => sweep::producers(settings, ground),
        Work::Bodies => sweep::bodies(settings, ground),
        Work::Size => sweep::size(settings, ground),
        Work::Backlog => backlog::sweep(settings, ground),
        Work::Idle => return idle::measure(settings, ground),
    };
    Ok(table?.to_string())
}
