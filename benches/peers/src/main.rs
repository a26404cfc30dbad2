//! Measures pocketmq and other embedded queues, logs and stores side by side, in one process and in turns.
//!
//! ```text
//! cargo bench --manifest-path benches/peers/Cargo.toml -- [W1 W2 W3 W4 W4b W5 W6 W7] [--sustained] [--calls] [--quick] [--runs N] [--dir DIR] [--only TEXT]
//! ```
//!
//! The harness, its options and what it prints are those of `benches/work`, whose modules are used here; the README beside this package
//! says what each peer gives for its figures.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "limits are bare system calls and the real clock")]

mod peer;
mod peers;
mod turns;
mod works;

#[path = "../../work/append.rs"]
#[expect(dead_code, reason = "the harness of the library's own benches does more")]
mod append;
#[path = "../../work/calls.rs"]
mod calls;
#[path = "../../work/durable.rs"]
#[expect(dead_code, reason = "the harness of the library's own benches does more")]
mod durable;
#[path = "../../work/figures.rs"]
mod figures;
#[path = "../../work/ground.rs"]
mod ground;
#[path = "../../work/jobs.rs"]
#[expect(dead_code, reason = "the harness of the library's own benches does more")]
mod jobs;
#[path = "../../work/limits.rs"]
mod limits;
#[path = "../../work/live.rs"]
#[expect(dead_code, reason = "the harness of the library's own benches does more")]
mod live;
#[path = "../../work/meter.rs"]
mod meter;
#[path = "../../work/opening.rs"]
#[expect(dead_code, reason = "the harness of the library's own benches does more")]
mod opening;
#[path = "../../work/scale.rs"]
#[expect(dead_code, reason = "the harness of the library's own benches does more")]
mod scale;
#[path = "../../work/settings.rs"]
#[expect(dead_code, reason = "the harness of the library's own benches does more")]
mod settings;
#[path = "../../work/store.rs"]
mod store;
#[expect(dead_code, reason = "filters have no peers here")]
#[path = "../../work/table.rs"]
mod table;
#[path = "../../work/victim.rs"]
#[expect(dead_code, reason = "the harness of the library's own benches does more")]
mod victim;

use std::error::Error;

use ground::Ground;
use settings::{Command, Settings};

/// Whatever goes wrong ends the benchmark with a message.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    match settings::parse(std::env::args().skip(1))? {
        Command::Measure(settings) => measure(settings),
        _ => Err("the peers are measured in one process".into()),
    }
}

fn measure(mut settings: Settings) -> Result<()> {
    works::fit(&mut settings)?;
    let ground = Ground::new(settings.dir.as_deref())?;
    let mut tables = vec![ground.describe()?];
    if settings.calls
        && let Err(why) = calls::available()
    {
        return Err(format!("--calls needs a perf that may count here: {why}").into());
    }
    for work in &settings.works {
        tables.push(works::run(*work, &settings, &ground)?.to_string());
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
