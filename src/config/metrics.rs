//! `timermetrics`: how many timed messages of each topic wait.
//!
//! For people and tools: a broker shows the numbers, and does nothing by them. It is a text on one line, without the ending `.json`.

use std::collections::BTreeMap;

use crate::config::document::{Document, Notices, data_version};
use crate::config::json::{Key, Value, to_line};
use crate::error::Result;

const TABLE: &str = "timingCount";
const COUNT: &str = "count";
const TIME: &str = "timeStamp";

/// The numbers by topic, as in `timermetrics`.
#[derive(Debug)]
pub(crate) struct TimerMetrics {
    document: Document,
    counts: BTreeMap<String, i64>,
    notices: Notices,
}

impl TimerMetrics {
    /// Reads the file's content; none means that nothing waits.
    ///
    /// Entries with a topic that the caller's check refuses, and those without a count, are left out with a notice. They stay in the
    /// file.
    ///
    /// # Errors
    ///
    /// `Corrupt` (without a path) if the file as a whole has another shape.
    pub(crate) fn from_value(
        file: Option<&Value>,
        topic_ok: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        let fresh = || Value::object([("dataVersion", data_version(0, 0))]);
        let document = Document::new(file, TABLE, fresh)?;
        let (mut counts, mut notices) = (BTreeMap::new(), Notices::default());
        for (topic, entry) in document.entries() {
            if !topic_ok(topic) {
                notices.add("count", topic, "its topic is not acceptable");
            } else if let Some(count) = entry.get(COUNT).and_then(Value::as_i64) {
                counts.insert(topic.to_owned(), count);
            } else {
                notices.add("count", topic, "its entry has no count");
            }
        }
        Ok(Self { document, counts, notices })
    }

    /// Topic and count, sorted by topic. A broker's count may be negative, if it lost count.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.counts.iter().map(|(topic, count)| (&**topic, *count))
    }

    pub(crate) fn get(&self, topic: &str) -> i64 {
        self.counts.get(topic).copied().unwrap_or(0)
    }

    /// Sets how many messages of the topic wait. What the entry says besides stays.
    pub(crate) fn set(&mut self, topic: &str, waiting: u64, now_ms: u64) {
        let count = i64::try_from(waiting).unwrap_or(i64::MAX);
        if self.counts.insert(topic.to_owned(), count) != Some(count) {
            self.document.update(Key::text(topic), |mut entry| {
                entry.set(COUNT, Value::number(count.unsigned_abs()));
                entry.set(TIME, Value::number(now_ms));
                entry
            });
        }
    }

    /// What was left out, and why.
    pub(crate) fn notices(&self) -> &[String] {
        self.notices.as_slice()
    }

    /// The text to write, on one line. If anything changed since it was read, its data version is one higher.
    pub(crate) fn to_text(&self, now_ms: u64) -> String {
        to_line(&self.document.to_value(now_ms))
    }
}
