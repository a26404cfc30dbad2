//! `consumerOffset.json` and `delayOffset.json`: how far consumption and delivery have come.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::document::{Document, Notices, data_version};
use crate::config::json::{Key, Member, Value};
use crate::error::Result;

const TABLE: &str = "offsetTable";
/// Derived from the offset table, for people and tools; a broker ignores it when it reads.
const GROUP_TOPICS: &str = "groupTopicMap";
/// Between topic and group in a key of the table. Neither may contain it.
const SEPARATOR: char = '@';
/// Queue numbers and delay levels are below this.
const NUMBER_LIMIT: u32 = 65_536;
/// What a broker can read back: its offsets are signed.
const OFFSET_MAX: u64 = i64::MAX.unsigned_abs();

/// For each queue the offset of the next message to consume.
pub(crate) type QueueOffsets = BTreeMap<u32, u64>;

/// The progress of all groups, as in `consumerOffset.json`.
#[derive(Debug)]
pub(crate) struct ConsumerOffsets {
    document: Document,
    /// By topic and group.
    table: BTreeMap<(String, String), QueueOffsets>,
    /// Those of the table that are newer than the document.
    unwritten: BTreeSet<(String, String)>,
    notices: Notices,
}

impl ConsumerOffsets {
    /// Reads the file's content; none means no progress.
    ///
    /// A key is `<topic>@<group>` with exactly one `@`, as a broker demands. Entries with another key, with a name
    /// that the caller's checks refuse, or with something else than offsets by queue, are left out with a notice.
    /// Negative offsets are left out silently: a broker uses them for "none". All of this stays in the file.
    ///
    /// # Errors
    ///
    /// `Corrupt` (without a path) if the file as a whole has another shape.
    pub(crate) fn from_value(
        file: Option<&Value>,
        topic_ok: &dyn Fn(&str) -> bool,
        group_ok: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        let fresh = || {
            Value::object([
                ("dataVersion", data_version(0, 0)),
                (GROUP_TOPICS, Value::Object(Vec::new())),
            ])
        };
        let document = Document::new(file, TABLE, fresh)?;
        let mut table = BTreeMap::new();
        let mut notices = Notices::default();
        for (key, entry) in document.entries() {
            let Some((topic, group)) = split_key(key) else {
                notices.add("offset", key, "its key is not <topic>@<group>");
                continue;
            };
            if !topic_ok(topic) || !group_ok(group) {
                notices.add("offset", key, "its key has a name that is not acceptable");
                continue;
            }
            let Some(members) = entry.members() else {
                notices.add("offset", key, "its entry is not an object");
                continue;
            };
            let members = members.iter().map(|(key, value)| (key.as_str(), value));
            let (offsets, all) = read_offsets(members);
            if !all {
                notices.add("offset", key, "a queue number or offset of it is out of range");
            }
            table.insert((topic.to_owned(), group.to_owned()), offsets);
        }
        Ok(Self { document, table, unwritten: BTreeSet::new(), notices })
    }

    /// Topic, group and progress, sorted by topic and group.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &QueueOffsets)> {
        self.table.iter().map(|((topic, group), offsets)| (&**topic, &**group, offsets))
    }

    #[cfg_attr(not(test), expect(dead_code, reason = "the tests compare entries"))]
    pub(crate) fn get(&self, topic: &str, group: &str) -> Option<&QueueOffsets> {
        self.table.get(&(topic.to_owned(), group.to_owned()))
    }

    /// Sets the offset of the next message to consume. Names without `@` only, queues below 65 536: both are so
    /// for every topic and group that could be created.
    pub(crate) fn set(&mut self, topic: &str, group: &str, queue: u32, next: u64) {
        let names = (topic.to_owned(), group.to_owned());
        let next = next.min(OFFSET_MAX);
        if self.table.entry(names.clone()).or_default().insert(queue, next) != Some(next) {
            self.unwritten.insert(names);
        }
    }

    /// What was left out, and why.
    pub(crate) fn notices(&self) -> &[String] {
        self.notices.as_slice()
    }

    /// The file to write. If anything changed since it was read, its data version is one higher.
    pub(crate) fn to_value(&self, now_ms: u64) -> Value {
        if self.unwritten.is_empty() {
            return self.document.to_value(now_ms);
        }
        let mut document = self.document.clone();
        for names in &self.unwritten {
            if let Some(offsets) = self.table.get(names) {
                let (topic, group) = names;
                let key = Key::text(format!("{topic}{SEPARATOR}{group}"));
                document.update(key, |entry| merge_offsets(entry, offsets));
            }
        }
        document.set_derived(GROUP_TOPICS, self.group_topics());
        document.to_value(now_ms)
    }

    fn group_topics(&self) -> Value {
        let mut topics: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for (topic, group) in self.table.keys() {
            topics.entry(group).or_default().push(Value::string(&**topic));
        }
        Value::Object(topics.into_iter().map(|(g, t)| (Key::text(g), Value::Array(t))).collect())
    }
}

/// The delivery of each delay level, as in `delayOffset.json`: the offset of the next delayed message to look at in
/// queue level − 1 of the schedule topic.
#[derive(Debug)]
pub(crate) struct DelayOffsets {
    document: Document,
    levels: BTreeMap<u32, u64>,
    notices: Notices,
}

impl DelayOffsets {
    /// Reads the file's content; none means no progress. Numbers out of range are left out as in
    /// [`ConsumerOffsets::from_value`].
    ///
    /// # Errors
    ///
    /// `Corrupt` (without a path) if the file as a whole has another shape.
    pub(crate) fn from_value(file: Option<&Value>) -> Result<Self> {
        let fresh = || Value::object([("dataVersion", data_version(0, 0))]);
        let document = Document::new(file, TABLE, fresh)?;
        let mut notices = Notices::default();
        let (levels, all) = read_offsets(document.entries());
        if !all {
            notices.add("offset", TABLE, "a delay level or offset in it is out of range");
        }
        Ok(Self { document, levels, notices })
    }

    /// Level and offset, sorted by level.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests compare entries"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u64)> {
        self.levels.iter().map(|(level, next)| (*level, *next))
    }

    pub(crate) fn get(&self, level: u32) -> Option<u64> {
        self.levels.get(&level).copied()
    }

    /// Sets the offset of the next delayed message to look at.
    pub(crate) fn set(&mut self, level: u32, next: u64) {
        let next = next.min(OFFSET_MAX);
        if self.levels.insert(level, next) != Some(next) {
            self.document.update(Key::integer(level), |_| Value::number(next));
        }
    }

    /// What was left out, and why.
    pub(crate) fn notices(&self) -> &[String] {
        self.notices.as_slice()
    }

    /// The file to write. If anything changed since it was read, its data version is one higher.
    pub(crate) fn to_value(&self, now_ms: u64) -> Value {
        self.document.to_value(now_ms)
    }
}

fn split_key(key: &str) -> Option<(&str, &str)> {
    let (topic, group) = key.split_once(SEPARATOR)?;
    (!topic.is_empty() && !group.is_empty() && !group.contains(SEPARATOR)).then_some((topic, group))
}

/// The numbered offsets, and whether all members were numbered offsets. Of a number that occurs twice, the last
/// member counts.
fn read_offsets<'a>(members: impl Iterator<Item = (&'a str, &'a Value)>) -> (QueueOffsets, bool) {
    let mut offsets = BTreeMap::new();
    let mut all = true;
    for (key, value) in members {
        match (number(key), value.as_i64()) {
            (Some(number), Some(offset)) => match u64::try_from(offset) {
                Ok(offset) => drop(offsets.insert(number, offset)),
                Err(_) => drop(offsets.remove(&number)),
            },
            _ => all = false,
        }
    }
    (offsets, all)
}

/// A key, bare or quoted, as a number. Only the usual notation: so a number has one key, and setting it finds it.
fn number(key: &str) -> Option<u32> {
    let usual = key == "0" || key.starts_with(|c: char| matches!(c, '1'..='9'));
    key.parse().ok().filter(|number| usual && *number < NUMBER_LIMIT)
}

/// Brings an entry up to date; members that are no known queue's offset stay as they are.
fn merge_offsets(entry: Value, offsets: &QueueOffsets) -> Value {
    let mut members: Vec<Member> = match entry {
        Value::Object(members) => members,
        _ => Vec::new(),
    };
    let mut missing = offsets.clone();
    for (key, value) in &mut members {
        if let Some((number, next)) = number(key.as_str()).and_then(|n| offsets.get_key_value(&n)) {
            missing.remove(number);
            *value = Value::number(*next);
        }
    }
    members.extend(missing.into_iter().map(|(n, next)| (Key::integer(n), Value::number(next))));
    Value::Object(members)
}
