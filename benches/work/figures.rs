//! What a turn yields, and what many turns amount to.

use std::time::Duration;

use serde::Serialize;

use crate::meter::Spent;

/// One turn of a row, as it was measured.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// Messages (or whatever the row counts).
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) spent: Spent,
    /// Of single operations, in nanoseconds; may be a part of them, or none.
    pub(crate) latencies: Vec<u64>,
    /// What a message takes on the disk.
    pub(crate) bytes_per_message: Option<f64>,
    /// Memory of the process that is no file's, at the end of the turn.
    pub(crate) resident_kib: Option<u64>,
}

impl Sample {
    /// What is shared out among the messages.
    pub(crate) fn each(&self, of_all: u64) -> f64 {
        real(of_all) / real(self.count.max(1))
    }
}

/// The figures of one turn, or the median of each over all turns.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Figures {
    #[serde(serialize_with = "rounded")]
    pub(crate) per_s: f64,
    #[serde(serialize_with = "tenths")]
    pub(crate) mb_per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p999_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_per_message: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resident_kib: Option<u64>,
    /// Context switches of the process.
    #[serde(serialize_with = "ten_thousandths")]
    pub(crate) switches_per_message: f64,
    /// System calls of the process, where they can be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) calls_per_message: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn rounded<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(value.round())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn tenths<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 10.0).round() / 10.0)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn ten_thousandths<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1e4).round() / 1e4)
}

impl From<Sample> for Figures {
    fn from(sample: Sample) -> Self {
        let seconds = sample.spent.time.as_secs_f64().max(1e-9);
        let switches_per_message = sample.each(sample.spent.switches);
        let mut sorted = sample.latencies;
        sorted.sort_unstable();
        Self {
            per_s: real(sample.count) / seconds,
            mb_per_s: real(sample.bytes) / seconds / 1e6,
            p50_ns: quantile(&sorted, 500),
            p99_ns: quantile(&sorted, 990),
            p999_ns: quantile(&sorted, 999),
            max_ns: sorted.last().copied(),
            bytes_per_message: sample.bytes_per_message,
            resident_kib: sample.resident_kib,
            switches_per_message,
            calls_per_message: None,
        }
    }
}

impl Figures {
    /// The median of each figure.
    pub(crate) fn median(turns: &[Self]) -> Self {
        let whole = |figure: fn(&Self) -> Option<u64>| {
            let mut values: Vec<u64> = turns.iter().filter_map(figure).collect();
            values.sort_unstable();
            quantile(&values, 500)
        };
        Self {
            per_s: median(turns.iter().map(|t| t.per_s)),
            mb_per_s: median(turns.iter().map(|t| t.mb_per_s)),
            p50_ns: whole(|t| t.p50_ns),
            p99_ns: whole(|t| t.p99_ns),
            p999_ns: whole(|t| t.p999_ns),
            max_ns: whole(|t| t.max_ns),
            bytes_per_message: turns.last().and_then(|t| t.bytes_per_message),
            resident_kib: whole(|t| t.resident_kib),
            switches_per_message: median(turns.iter().map(|t| t.switches_per_message)),
            calls_per_message: turns.iter().find_map(|t| t.calls_per_message),
        }
    }
}

/// The smallest value that at least `per_mille` of all values do not exceed.
fn quantile(sorted: &[u64], per_mille: usize) -> Option<u64> {
    let rank = (sorted.len() * per_mille).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The value in the middle, or the mean of the two there; 0 of nothing.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |i: usize| sorted.get(i).copied().unwrap_or_default();
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.saturating_sub(1)), at(middle))
    }
}

/// The lowest and the highest value.
pub(crate) fn spread(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(low, high), v| (low.min(v), high.max(v)))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people; counts are far below 2^52")]
pub(crate) const fn real(count: u64) -> f64 {
    count as f64
}

/// Nanoseconds of a duration.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Room for so many latencies, its pages touched already.
pub(crate) fn latency_buffer(count: u64) -> Vec<u64> {
    let mut buffer = vec![1; usize::try_from(count).unwrap_or(0)];
    buffer.clear();
    buffer
}

/// `2 M`, `300 k`.
pub(crate) fn short(count: u64) -> String {
    match count {
        n if n >= 1_000_000 && n % 100_000 == 0 => format!("{} M", real(n) / 1e6),
        n if n >= 1_000 && n % 100 == 0 => format!("{} k", real(n) / 1e3),
        n => n.to_string(),
    }
}
