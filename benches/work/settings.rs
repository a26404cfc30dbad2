//! What to measure, and how much of it.

use std::path::PathBuf;

use crate::Result;

/// The first argument of a child process that is going to be killed.
pub(crate) const BE_KILLED: &str = "--be-killed";

/// What the process is started for.
#[derive(Debug)]
pub(crate) enum Command {
    Measure(Settings),
    /// Fill a store with messages and wait for the end.
    BeKilled {
        dir: PathBuf,
        messages: u64,
    },
}

/// The works, as the table of targets numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Append, small bodies, asynchronous.
    W1,
    /// Append, bodies of 1 KiB, asynchronous.
    W2,
    /// Durable, one producer.
    W3,
    /// Durable, 16 producers.
    W4,
    /// Durable, one producer with 100 messages in flight.
    W4b,
    /// Open, recover, read everything.
    W5,
    /// Producer to live consumer.
    W6,
}

impl Work {
    const ALL: [Self; 7] = [Self::W1, Self::W2, Self::W3, Self::W4, Self::W4b, Self::W5, Self::W6];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::W1 => "W1",
            Self::W2 => "W2",
            Self::W3 => "W3",
            Self::W4 => "W4",
            Self::W4b => "W4b",
            Self::W5 => "W5",
            Self::W6 => "W6",
        }
    }
}

/// How many messages each row takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) short: u64,
    pub(crate) sustained: u64,
    pub(crate) large: u64,
    pub(crate) durable: u64,
    pub(crate) durable_each_of_16: u64,
    pub(crate) in_flight: u64,
    /// Openings of a closed store in one turn.
    pub(crate) openings: u64,
    /// In the store that is opened after a clean close.
    pub(crate) stored: u64,
    /// In the store whose process is killed; at most what one commit log file holds, so that nothing of it was synced.
    pub(crate) killed: u64,
    pub(crate) live: u64,
    pub(crate) paced: u64,
    /// Turns of a row that takes long, and of one that does not.
    pub(crate) runs_long: u32,
    pub(crate) runs_short: u32,
}

const FULL: Scale = Scale {
    short: 2_000_000,
    sustained: 30_000_000,
    large: 500_000,
    durable: 10_000,
    durable_each_of_16: 4_000,
    in_flight: 500_000,
    openings: 20,
    stored: 40_000_000,
    killed: 2_000_000,
    live: 3_000_000,
    paced: 100_000,
    runs_long: 3,
    runs_short: 5,
};

const QUICK: Scale = Scale {
    short: 300_000,
    sustained: 1_000_000,
    large: 100_000,
    durable: 2_000,
    durable_each_of_16: 500,
    in_flight: 50_000,
    openings: 20,
    stored: 500_000,
    killed: 200_000,
    live: 300_000,
    paced: 25_000,
    runs_long: 3,
    runs_short: 3,
};

/// Only to see that everything still runs, as `cargo test --benches` does.
const SMOKE: Scale = Scale {
    short: 1_000,
    sustained: 1_000,
    large: 200,
    durable: 20,
    durable_each_of_16: 5,
    in_flight: 300,
    openings: 2,
    stored: 1_000,
    killed: 1_000,
    live: 1_000,
    paced: 500,
    runs_long: 1,
    runs_short: 1,
};

/// What to measure.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) works: Vec<Work>,
    pub(crate) scale: Scale,
    pub(crate) dir: Option<PathBuf>,
    /// Only rows with this in their name.
    pub(crate) only: Option<String>,
}

/// Takes the command line apart. `--bench`, which cargo adds, is what tells `cargo bench` from `cargo test`: without it and
/// without a work's name everything runs once, in miniature.
pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Command> {
    let (mut works, mut unknown) = (Vec::new(), Vec::new());
    let (mut bench, mut quick) = (false, false);
    let (mut runs, mut dir, mut only) = (None, None, None);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            BE_KILLED => {
                let dir = args.next().ok_or("a directory is missing")?.into();
                let messages = args.next().ok_or("a number of messages is missing")?.parse()?;
                return Ok(Command::BeKilled { dir, messages });
            }
            "--bench" => bench = true,
            "--quick" => quick = true,
            "--runs" => runs = Some(args.next().ok_or("--runs needs a number")?.parse::<u32>()?),
            "--dir" => dir = Some(args.next().ok_or("--dir needs a directory")?.into()),
            "--only" => only = Some(args.next().ok_or("--only needs a part of rows' names")?),
            name => match Work::ALL.iter().find(|w| w.name().eq_ignore_ascii_case(name)) {
                Some(Work::W4) => works.extend([Work::W4, Work::W4b]),
                Some(work) => works.push(*work),
                None => unknown.push(arg),
            },
        }
    }
    let measure = bench || !works.is_empty();
    if measure && !unknown.is_empty() {
        return Err(format!(
            "unknown: {}. Usage: [W1 W2 W3 W4 W4b W5 W6] [--quick] [--runs N] [--dir DIR] [--only TEXT]",
            unknown.join(" ")
        )
        .into());
    }
    if works.is_empty() {
        works.extend(Work::ALL);
    }
    works.dedup();
    let mut scale = match (measure, quick) {
        (false, _) => SMOKE,
        (true, true) => QUICK,
        (true, false) => FULL,
    };
    if let Some(runs) = runs {
        (scale.runs_long, scale.runs_short) = (runs.max(1), runs.max(1));
    }
    Ok(Command::Measure(Settings { works, scale, dir, only }))
}
