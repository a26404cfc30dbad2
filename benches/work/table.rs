//! Rows that take turns, and the table that compares them.

use std::fmt;

use serde::Serialize;

use crate::Result;
use crate::figures::{Figures, Sample, median, spread};
use crate::ground::Ground;
use crate::settings::{Settings, Work};

type Turn<'a> = Box<dyn FnMut() -> Result<Sample> + 'a>;

/// A row, for comparisons.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row(usize);

/// Rows measured side by side.
pub(crate) struct Bench<'a> {
    work: Work,
    runs: u32,
    only: Option<&'a str>,
    calls: bool,
    rows: Vec<(String, Turn<'a>)>,
    comparisons: Vec<Comparison>,
}

#[derive(Debug, Clone, Copy)]
struct Comparison {
    what: What,
    target: Target,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// Operations per second of the first row, divided by those of the second.
    Rate(Row, Row),
    /// Median latency of the first row, divided by that of the second.
    Latency(Row, Row),
    /// 99 % of all operations of a row take less, in milliseconds.
    P99(Row),
    /// Operations of a row per second, in millions.
    Millions(Row),
}

/// What a comparison should yield.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Only to be looked at.
    Open,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(work: Work, settings: &'a Settings, runs: u32) -> Self {
        let (only, calls) = (settings.only.as_deref(), settings.calls);
        Self { work, runs, only, calls, rows: Vec::new(), comparisons: Vec::new() }
    }

    /// Adds a row; `turn` measures it once.
    pub(crate) fn row(
        &mut self,
        name: impl Into<String>,
        turn: impl FnMut() -> Result<Sample> + 'a,
    ) -> Row {
        self.rows.push((name.into(), Box::new(turn)));
        Row(self.rows.len() - 1)
    }

    /// Compares how many operations two rows do in a second.
    pub(crate) fn rate(&mut self, ours: Row, other: Row, target: Target) {
        self.comparisons.push(Comparison { what: What::Rate(ours, other), target });
    }

    /// Compares two rows' median latencies.
    pub(crate) fn latency(&mut self, ours: Row, other: Row, target: Target) {
        self.comparisons.push(Comparison { what: What::Latency(ours, other), target });
    }

    /// Looks at the latency that 99 % of a row's operations stay below, in milliseconds.
    pub(crate) fn p99_ms(&mut self, ours: Row, target: Target) {
        self.comparisons.push(Comparison { what: What::P99(ours), target });
    }

    /// Looks at how many operations a row does in a second, in millions.
    pub(crate) fn millions_per_s(&mut self, ours: Row, target: Target) {
        self.comparisons.push(Comparison { what: What::Millions(ours), target });
    }

    /// Lets the rows take turns, every second time from the last to the first; prints a JSON line for each.
    pub(crate) fn run(self, ground: &Ground) -> Result<Table> {
        let Self { work, runs, only, calls, rows, comparisons } = self;
        let (names, mut turns): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let mut rows: Vec<Measured> =
            names.into_iter().map(|name| Measured { name, turns: Vec::new() }).collect();
        let mut wanted: Vec<_> = rows
            .iter_mut()
            .zip(&mut turns)
            .filter(|(row, _)| only.is_none_or(|only| row.name.contains(only)))
            .collect();
        for _ in 0..runs {
            for (row, turn) in &mut wanted {
                ground.settle()?;
                row.turns.push(row.take(turn)?.into());
            }
            wanted.reverse();
        }
        if calls {
            for (row, turn) in &mut wanted {
                let (sample, calls) = ground.calls(|| row.take(turn))?;
                let each = sample.each(calls);
                row.turns.iter_mut().for_each(|turn| turn.calls_per_message = Some(each));
            }
        }
        drop(wanted);
        let table = Table { work, rows, comparisons };
        table.print_json()?;
        Ok(table)
    }
}

/// A row and its turns.
#[derive(Debug)]
struct Measured {
    name: String,
    turns: Vec<Figures>,
}

impl Measured {
    fn take(&self, turn: &mut Turn<'_>) -> Result<Sample> {
        turn().map_err(|e| format!("{}: {e}", self.name).into())
    }
}

/// The rows of a work, measured.
#[derive(Debug)]
pub(crate) struct Table {
    work: Work,
    rows: Vec<Measured>,
    comparisons: Vec<Comparison>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    work: &'static str,
    name: &'a str,
    #[serde(flatten)]
    median: Figures,
    /// The first limit or channel that its rate is compared with, and the part of it that it reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of_limit: Option<f64>,
    runs: usize,
}

impl Table {
    /// Puts the rows and comparisons of another table of the same work behind these.
    pub(crate) fn join(&mut self, other: Self) {
        let shift = self.rows.len();
        let moved = |Row(at): Row| Row(at + shift);
        self.rows.extend(other.rows);
        self.comparisons.extend(other.comparisons.into_iter().map(|c| Comparison {
            what: match c.what {
                What::Rate(a, b) => What::Rate(moved(a), moved(b)),
                What::Latency(a, b) => What::Latency(moved(a), moved(b)),
                What::P99(a) => What::P99(moved(a)),
                What::Millions(a) => What::Millions(moved(a)),
            },
            ..c
        }));
    }

    /// The rows that had a turn.
    fn measured(&self) -> impl Iterator<Item = &Measured> {
        self.rows.iter().filter(|row| !row.turns.is_empty())
    }

    fn print_json(&self) -> Result<()> {
        for (i, row) in self.rows.iter().enumerate().filter(|(_, row)| !row.turns.is_empty()) {
            let of_limit = self.of_limit(Row(i));
            let line = Line {
                work: self.work.name(),
                name: &row.name,
                median: Figures::median(&row.turns),
                limit: of_limit.map(|(name, _)| name),
                of_limit: of_limit.map(|(_, ratio)| (ratio * 1e4).round() / 1e4),
                runs: row.turns.len(),
            };
            println!("{}", serde_json::to_string(&line)?);
        }
        Ok(())
    }

    /// What a row's rate is compared with, if that is a limit and was measured; and the median of the ratios.
    fn of_limit(&self, row: Row) -> Option<(&str, f64)> {
        self.comparisons.iter().find_map(|comparison| {
            let What::Rate(Row(ours), limit) = comparison.what else { return None };
            let (name, _) = self.row(limit);
            let is_limit = name.starts_with("limit ") || name.starts_with("channel ");
            let ratios = self.compare(comparison.what).1;
            let compared = ours == row.0 && is_limit && !ratios.is_empty();
            compared.then(|| (name, median(ratios.into_iter())))
        })
    }

    fn row(&self, row: Row) -> (&str, &[Figures]) {
        self.rows.get(row.0).map_or(("", &[]), |r| (&r.name, &r.turns))
    }

    /// What is compared, and the outcome of each turn.
    fn compare(&self, what: What) -> (String, Vec<f64>) {
        let quotients = |ours: Row, other: Row, figure: fn(&Figures) -> Option<f64>| {
            let turns = self.row(ours).1.iter().zip(self.row(other).1);
            turns.filter_map(|(a, b)| Some(figure(a)? / figure(b)?)).collect()
        };
        match what {
            What::Rate(ours, other) => (
                format!("{} / {}", self.row(ours).0, self.row(other).0),
                quotients(ours, other, |f| Some(f.per_s)),
            ),
            What::Latency(ours, other) => (
                format!("p50: {} / {}", self.row(ours).0, self.row(other).0),
                quotients(ours, other, |f| f.p50_ns.map(millis)),
            ),
            What::P99(ours) => {
                let (name, turns) = self.row(ours);
                let values = turns.iter().filter_map(|f| f.p99_ns.map(millis)).collect();
                (format!("p99 in ms: {name}"), values)
            }
            What::Millions(ours) => {
                let (name, turns) = self.row(ours);
                let values = turns.iter().map(|f| f.per_s / 1e6).collect();
                (format!("million per s: {name}"), values)
            }
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<76} {:>11} {:>23} {:>9} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8}",
            self.work.name(),
            "per s",
            "lowest–highest",
            "MB/s",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "max µs",
            "B/msg",
            "csw/msg",
            "sys/msg",
            "MiB",
        )?;
        for row in self.measured() {
            let all = Figures::median(&row.turns);
            let (low, high) = spread(row.turns.iter().map(|t| t.per_s));
            writeln!(
                f,
                "{:<76} {:>11.0} {:>23} {:>9.1} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8.4} {:>8} {:>8}",
                row.name,
                all.per_s,
                format!("{low:.0}–{high:.0}"),
                all.mb_per_s,
                micros(all.p50_ns),
                micros(all.p99_ns),
                micros(all.p999_ns),
                micros(all.max_ns),
                some(all.bytes_per_message, 1),
                all.switches_per_message,
                some(all.calls_per_message, 4),
                some(all.resident_kib.map(|kib| crate::figures::real(kib) / 1024.0), 1),
            )?;
        }
        for comparison in &self.comparisons {
            let (what, values) = self.compare(comparison.what);
            if values.is_empty() {
                continue;
            }
            let (middle, (low, high)) =
                (median(values.iter().copied()), spread(values.into_iter()));
            writeln!(
                f,
                "  {middle:.3} ({low:.3}–{high:.3}){}  {what}",
                comparison.target.verdict(middle)
            )?;
        }
        writeln!(f)
    }
}

impl Target {
    fn verdict(self, value: f64) -> String {
        let (sign, bound, met) = match self {
            Self::AtLeast(bound) => ('≥', bound, value >= bound),
            Self::AtMost(bound) => ('≤', bound, value <= bound),
            Self::Open => return String::new(),
        };
        format!(", target {sign} {bound}: {}", if met { "met" } else { "missed" })
    }
}

fn micros(ns: Option<u64>) -> String {
    some(ns.map(|ns| millis(ns) * 1e3), 2)
}

/// A figure that need not be there.
fn some(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.decimals$}"))
}

fn millis(ns: u64) -> f64 {
    crate::figures::real(ns) / 1e6
}
