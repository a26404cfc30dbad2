//! What others may see of the queue's work: spans and events (feature `tracing`), counters and gauges (feature `metrics`).
//!
//! Nobody else in the crate knows either library. Without its feature, each has a twin here whose types hold nothing and whose functions do nothing.
//! A message's body and the values of its properties are never among what is said, but for `traceparent` if it is one; nor is the text of
//! an error that a handler or a codec made, which may quote them.
//!
//! A subscriber and a recorder are foreign code: nothing here is called while a lock of the store is held.

#[cfg(feature = "metrics")]
mod meters;
#[cfg(not(feature = "metrics"))]
#[path = "meters_off.rs"]
mod meters;
#[cfg(feature = "tracing")]
mod spans;
#[cfg(not(feature = "tracing"))]
#[path = "spans_off.rs"]
mod spans;

use std::fmt;
use std::path::Path;

pub(crate) use meters::{GroupMeter, TopicMeter};
#[cfg(feature = "metrics")]
pub(crate) use meters::{Unit, describe, gauge};
pub(crate) use spans::{Delivery, Sending, around_handler, came, poisoned};

/// The property that links a message to the trace of whoever sent it, as W3C's Trace Context has it.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// A group in a topic.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(any(feature = "tracing", feature = "metrics")),
    expect(dead_code, reason = "nobody observes")
)]
pub(crate) struct Names<'a> {
    pub(crate) topic: &'a str,
    pub(crate) group: &'a str,
}

/// A failed attempt.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "nobody observes"))]
pub(crate) struct Attempt {
    /// Queue and offset.
    pub(crate) place: (u32, u64),
    /// How many there were, with this one.
    pub(crate) number: u32,
    /// Whether there is no other.
    pub(crate) last: bool,
}

/// What opening a store found.
#[derive(Debug)]
#[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "nobody observes"))]
pub(crate) struct Opened<'a> {
    pub(crate) path: &'a Path,
    pub(crate) history: &'a dyn fmt::Debug,
    pub(crate) records_scanned: u64,
    pub(crate) records_replayed: u64,
    pub(crate) bytes_cut: u64,
    pub(crate) units_mended: u64,
    pub(crate) damaged: usize,
}

/// A store was opened.
pub(crate) fn opened(opened: &Opened<'_>) {
    #[cfg(feature = "metrics")]
    describe();
    spans::opened(opened);
}

/// A consumer said that an attempt failed.
pub(crate) fn failed(names: Names<'_>, meter: &GroupMeter, attempt: Attempt) {
    meter.failed(names);
    spans::failed(names, attempt);
    set_aside_if_last(names, meter, attempt);
}

/// A lease ended: a failed attempt.
pub(crate) fn expired(names: Names<'_>, meter: &GroupMeter, attempt: Attempt) {
    meter.expired(names);
    spans::expired(names, attempt);
    set_aside_if_last(names, meter, attempt);
}

fn set_aside_if_last(names: Names<'_>, meter: &GroupMeter, attempt: Attempt) {
    if attempt.last {
        meter.set_aside(names);
        spans::set_aside(names, attempt);
    }
}
