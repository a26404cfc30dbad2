//! Spans and events, through the `tracing` crate. All under the target `pocketmq`.

use tracing::field::{Empty, display};
use tracing::{Span, debug_span, error, info, info_span, warn};

use crate::error::Result;

use super::{Attempt, Names, Opened};

/// A send: from the call to its return.
#[derive(Debug)]
pub(crate) struct Sending(Span);

impl Sending {
    pub(crate) fn to(topic: &str, queue: u32) -> Self {
        Self(debug_span!(
            target: "pocketmq", "send",
            topic, queue, offset = Empty, count = Empty, size = Empty, error = Empty,
        ))
    }

    pub(crate) fn around<T>(&self, send: impl FnOnce() -> Result<T>) -> Result<T> {
        let outcome = self.0.in_scope(send);
        if let Err(e) = &outcome {
            self.0.record("error", tracing::field::debug(e.kind()));
        }
        outcome
    }

    /// The messages have their place: the first one's offset, how many, and their bytes.
    pub(crate) fn placed(&self, offset: u64, count: usize, size: u64) {
        self.0.record("offset", offset).record("count", count).record("size", size);
    }
}

/// A message in a consumer's hands, until it is settled.
#[derive(Debug)]
pub(crate) struct Delivery(Span);

impl Delivery {
    pub(crate) fn of<'a, I: std::fmt::Display>(
        names: Names<'_>,
        (queue, offset): (u32, u64),
        attempt: u32,
        id: impl FnOnce() -> I,
        trace: impl FnOnce() -> Option<&'a str>,
    ) -> Self {
        let Names { topic, group } = names;
        let span = info_span!(
            target: "pocketmq", "delivery",
            group, topic, queue, offset, attempt, message_id = Empty, traceparent = Empty, outcome = Empty,
        );
        if !span.is_disabled() {
            span.record("message_id", display(id()));
            if let Some(trace) = trace().filter(|trace| is_traceparent(trace)) {
                span.record("traceparent", trace);
            }
        }
        Self(span)
    }

    pub(crate) fn span(&self) -> &Span {
        &self.0
    }

    /// What happens in it.
    pub(crate) fn around<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.in_scope(work)
    }

    pub(crate) fn settled(&self, outcome: &'static str) {
        self.0.record("outcome", outcome);
    }
}

/// Runs a handler in its message's span, or that of several in a span of their own, which follows from theirs.
pub(crate) fn around_handler<'a, T>(
    names: Names<'a>,
    mut deliveries: impl ExactSizeIterator<Item = &'a Delivery>,
    handler: impl FnOnce() -> T,
) -> T {
    let count = deliveries.len();
    if count == 1
        && let Some(delivery) = deliveries.next()
    {
        return delivery.around(handler);
    }
    let Names { topic, group } = names;
    let batch = info_span!(target: "pocketmq", "batch", group, topic, count);
    for delivery in deliveries {
        batch.follows_from(&delivery.0);
    }
    batch.in_scope(handler)
}

/// Version, trace, parent and flags, in hexadecimal digits. What is not exactly that is not said: it might be anything.
fn is_traceparent(text: &str) -> bool {
    text.len() == 55
        && text.bytes().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

pub(super) fn failed(names: Names<'_>, attempt: Attempt) {
    let (Names { topic, group }, (queue, offset)) = (names, attempt.place);
    let attempt = attempt.number;
    info!(target: "pocketmq", group, topic, queue, offset, attempt, "an attempt failed");
}

pub(super) fn expired(names: Names<'_>, attempt: Attempt) {
    let (Names { topic, group }, (queue, offset)) = (names, attempt.place);
    let attempt = attempt.number;
    warn!(target: "pocketmq", group, topic, queue, offset, attempt, "a lease ended");
}

pub(super) fn set_aside(names: Names<'_>, attempt: Attempt) {
    let (Names { topic, group }, (queue, offset)) = (names, attempt.place);
    let attempts = attempt.number;
    warn!(target: "pocketmq", group, topic, queue, offset, attempts, "a message is set aside");
}

/// A group comes to a topic, in which messages may be set aside for it.
pub(crate) fn came(names: Names<'_>, set_aside: impl FnOnce() -> usize) {
    let Names { topic, group } = names;
    let count = set_aside();
    if count > 0 {
        warn!(target: "pocketmq", group, topic, count, "messages are set aside");
    }
}

/// The store has stopped writing.
pub(crate) fn poisoned(why: &str) {
    error!(target: "pocketmq", why, "the store stopped writing");
}

pub(super) fn opened(opened: &Opened<'_>) {
    let Opened { records_scanned, records_replayed, bytes_cut, units_mended, damaged, .. } =
        *opened;
    let (path, history) = (display(opened.path.display()), opened.history);
    info!(
        target: "pocketmq",
        path, ?history, records_scanned, records_replayed, bytes_cut, units_mended, damaged, "the store is open"
    );
    if damaged > 0 {
        warn!(target: "pocketmq", damaged, "messages are damaged; the open report says where");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_traceparent_is_not_taken_for_one() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        let bad = [
            String::new(),
            good.to_uppercase(),
            format!("{good}-secret"),
            format!("{good}0"),
            good.replace("-01", "-0"),
            good.replace('-', "_"),
            good.replace("4bf9", "4bg9"),
            good.replace("4bf9", "ä4b"),
        ];
        for text in bad {
            assert!(!is_traceparent(&text), "{text}");
        }
    }
}
