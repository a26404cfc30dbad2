//! What to measure: the command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;
use crate::scale::{FULL, QUICK, SMOKE, Scale};

/// The first argument of a child process that is going to be killed.
pub(crate) const BE_KILLED: &str = "--be-killed";
/// The first argument of a child process that has a store open and does nothing.
pub(crate) const BE_IDLE: &str = "--be-idle";

const USAGE: &str = "Usage: [W1 W2 W3 W4 W4b W5 W6 W7 W9 idle] [--sweep topics|producers|bodies|size] [--size-max BYTES|MiB|GiB] \
    [--sustained] [--calls] [--quick] [--runs N] [--dir DIR] [--only TEXT]";

/// What the process is started for.
#[derive(Debug)]
pub(crate) enum Command {
    Measure(Settings),
    /// Fill a store with messages and wait for the end.
    BeKilled {
        dir: PathBuf,
        messages: u64,
    },
    /// Have a store open, after so many messages, and do nothing for a while.
    BeIdle {
        dir: PathBuf,
        messages: u64,
        time: Duration,
    },
}

/// The works, as the table of targets numbers them, and what is measured beside.
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
    /// A job queue: send, take, acknowledge, one by one.
    W7,
    /// Filters, without a disk.
    W9,
    /// A store that nobody uses.
    Idle,
    /// The same work over more and more topics, producers, bytes of a body, bytes of a store.
    Topics,
    Producers,
    Bodies,
    Size,
    /// Jobs, while more and more of them wait.
    Backlog,
}

impl Work {
    /// What is measured where nothing is named.
    const USUAL: [Self; 8] =
        [Self::W1, Self::W2, Self::W3, Self::W4, Self::W4b, Self::W5, Self::W6, Self::W7];
    const OTHERS: [Self; 7] = [
        Self::W9,
        Self::Idle,
        Self::Topics,
        Self::Producers,
        Self::Bodies,
        Self::Size,
        Self::Backlog,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::W1 => "W1",
            Self::W2 => "W2",
            Self::W3 => "W3",
            Self::W4 => "W4",
            Self::W4b => "W4b",
            Self::W5 => "W5",
            Self::W6 => "W6",
            Self::W7 => "W7",
            Self::W9 => "W9",
            Self::Idle => "idle",
            Self::Topics => "sweep topics",
            Self::Producers => "sweep producers",
            Self::Bodies => "sweep bodies",
            Self::Size => "sweep size",
            Self::Backlog => "sweep backlog",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let mut all = Self::USUAL.into_iter().chain(Self::OTHERS);
        all.find(|work| work.name().eq_ignore_ascii_case(name))
    }
}

/// What to measure.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) works: Vec<Work>,
    pub(crate) scale: Scale,
    pub(crate) dir: Option<PathBuf>,
    /// Only rows with this in their name.
    pub(crate) only: Option<String>,
    /// One more turn of each row, which counts its system calls.
    pub(crate) calls: bool,
    /// W1 for as long as the kernel's write-back decides.
    pub(crate) sustained: bool,
}

/// Takes the command line apart. `--bench`, which cargo adds, is what tells `cargo bench` from `cargo test`: without it and
/// without a work's name everything runs once, in miniature.
pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Command> {
    let mut found = Found::default();
    while let Some(arg) = args.next() {
        let mut value =
            |of: &str| args.next().ok_or_else(|| format!("{of} needs a value. {USAGE}"));
        match arg.as_str() {
            BE_KILLED => {
                let (dir, messages) = (value(BE_KILLED)?.into(), value(BE_KILLED)?.parse()?);
                return Ok(Command::BeKilled { dir, messages });
            }
            BE_IDLE => {
                let (dir, messages) = (value(BE_IDLE)?.into(), value(BE_IDLE)?.parse()?);
                let time = Duration::from_millis(value(BE_IDLE)?.parse()?);
                return Ok(Command::BeIdle { dir, messages, time });
            }
            "--bench" => found.bench = true,
            "--quick" => found.quick = true,
            "--calls" => found.calls = true,
            "--sustained" => found.sustained = true,
            "--runs" => found.runs = Some(value("--runs")?.parse()?),
            "--dir" => found.dir = Some(value("--dir")?.into()),
            "--only" => found.only = Some(value("--only")?),
            "--size-max" => found.size_max = Some(bytes(&value("--size-max")?)?),
            "--sweep" => found.work(&format!("sweep {}", value("--sweep")?)),
            name => found.work(name),
        }
    }
    found.settings().map(Command::Measure)
}

/// What the command line says, as far as it was read.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Found {
    works: Vec<Work>,
    unknown: Vec<String>,
    bench: bool,
    quick: bool,
    calls: bool,
    sustained: bool,
    runs: Option<u32>,
    size_max: Option<u64>,
    dir: Option<PathBuf>,
    only: Option<String>,
}

impl Found {
    fn work(&mut self, name: &str) {
        match Work::named(name) {
            Some(Work::W4) => self.works.extend([Work::W4, Work::W4b]),
            Some(work) => self.works.push(work),
            None => self.unknown.push(name.to_owned()),
        }
    }

    fn settings(self) -> Result<Settings> {
        let Self { mut works, unknown, calls, dir, only, .. } = self;
        let measure = self.bench || self.sustained || !works.is_empty();
        if measure && !unknown.is_empty() {
            return Err(format!("unknown: {}. {USAGE}", unknown.join(" ")).into());
        }
        match (works.is_empty(), measure) {
            (true, false) => works.extend(Work::USUAL.into_iter().chain(Work::OTHERS)),
            (true, true) if self.sustained => works.push(Work::W1),
            (true, true) => works.extend(Work::USUAL),
            (false, _) => {}
        }
        works.dedup();
        let mut scale = match (measure, self.quick) {
            (false, _) => SMOKE,
            (true, true) => QUICK,
            (true, false) => FULL,
        };
        if let Some(runs) = self.runs {
            (scale.runs_long, scale.runs_short) = (runs.max(1), runs.max(1));
        }
        scale.size_max = self.size_max.unwrap_or(scale.size_max);
        let sustained = self.sustained || !measure;
        Ok(Settings { works, scale, dir, only, calls, sustained })
    }
}

/// `1000`, `64MiB`, `20GiB`.
fn bytes(text: &str) -> Result<u64> {
    let (number, unit) = match (text.strip_suffix("MiB"), text.strip_suffix("GiB")) {
        (Some(number), _) => (number, 1 << 20),
        (_, Some(number)) => (number, 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = number.trim().parse().map_err(|e| format!("{text}: {e}"))?;
    number.checked_mul(unit).ok_or_else(|| format!("{text} is too much").into())
}
