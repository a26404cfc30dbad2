//! `topics.json`: which topics there are, with how many queues.

use std::collections::BTreeMap;

use crate::config::document::{Document, Notices, data_version};
use crate::config::json::{Key, Value};
use crate::error::{Error, Result};
use crate::layout::QUEUES_MAX;

/// A bit of [`TopicConfig::perm`]: consumers may read.
pub(crate) const PERM_READ: u32 = 4;
/// A bit of [`TopicConfig::perm`]: producers may write.
pub(crate) const PERM_WRITE: u32 = 2;

const TABLE: &str = "topicConfigTable";
/// The broker's default for an entry that does not say how many queues it has.
const QUEUES_UNSAID: u32 = 16;

/// What we know about a topic. Its entry in the file may say more, which is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicConfig {
    pub(crate) name: String,
    /// At most [`QUEUES_MAX`].
    pub(crate) read_queues: u32,
    /// At most [`QUEUES_MAX`].
    pub(crate) write_queues: u32,
    /// Of [`PERM_READ`], [`PERM_WRITE`] and bits that only a broker uses.
    pub(crate) perm: u32,
}

/// The topics of a store, as in `topics.json`.
#[derive(Debug)]
pub(crate) struct Topics {
    document: Document,
    by_name: BTreeMap<String, TopicConfig>,
    notices: Notices,
}

impl Topics {
    /// Reads the file's content; none means no topics.
    ///
    /// An entry that makes no sense, or whose name `name_ok` refuses, is left out with a notice, and stays in the
    /// file: one bad entry must not take the others away.
    ///
    /// # Errors
    ///
    /// `Corrupt` (without a path) if the file as a whole has another shape.
    pub(crate) fn from_value(file: Option<&Value>, name_ok: &dyn Fn(&str) -> bool) -> Result<Self> {
        let fresh = || Value::object([("dataVersion", data_version(0, 0))]);
        let document = Document::new(file, TABLE, fresh)?;
        let mut by_name = BTreeMap::new();
        let mut notices = Notices::default();
        for (name, entry) in document.entries() {
            match read_entry(name, entry, name_ok) {
                Ok(topic) => drop(by_name.insert(name.to_owned(), topic)),
                Err(wrong) => notices.add("topic", name, wrong),
            }
        }
        Ok(Self { document, by_name, notices })
    }

    /// The topics, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &TopicConfig> {
        self.by_name.values()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&TopicConfig> {
        self.by_name.get(name)
    }

    /// Adds a topic or changes one. What its entry said beyond our knowledge stays.
    ///
    /// The caller has checked the name.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if there are too many queues.
    pub(crate) fn insert(&mut self, topic: TopicConfig) -> Result<()> {
        if topic.read_queues.max(topic.write_queues) > QUEUES_MAX {
            return Err(Error::invalid(format!("a topic has at most {QUEUES_MAX} queues")));
        }
        if self.by_name.get(&topic.name) != Some(&topic) {
            self.document.update(Key::text(&*topic.name), |entry| write_entry(&topic, entry));
            self.by_name.insert(topic.name.clone(), topic);
        }
        Ok(())
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

fn read_entry(
    name: &str,
    entry: &Value,
    name_ok: &dyn Fn(&str) -> bool,
) -> Result<TopicConfig, &'static str> {
    if entry.members().is_none() {
        return Err("its entry is not an object");
    }
    if !name_ok(name) {
        return Err("its name is not acceptable");
    }
    if entry.get("topicName").is_some_and(|said| said.as_str() != Some(name)) {
        return Err("its entry names another topic");
    }
    let queues = |member| match number(entry, member, QUEUES_UNSAID) {
        Some(queues) if queues <= QUEUES_MAX => Ok(queues),
        _ => Err("its number of queues is out of range"),
    };
    Ok(TopicConfig {
        name: name.to_owned(),
        read_queues: queues("readQueueNums")?,
        write_queues: queues("writeQueueNums")?,
        perm: number(entry, "perm", PERM_READ | PERM_WRITE).ok_or("its perm is out of range")?,
    })
}

fn number(entry: &Value, member: &str, unsaid: u32) -> Option<u32> {
    entry.get(member).map_or(Some(unsaid), |value| u32::try_from(value.as_i64()?).ok())
}

fn write_entry(topic: &TopicConfig, old: Value) -> Value {
    let mut entry = if old.members().is_some() {
        old
    } else {
        // All members a broker writes, in its order; the values set below are placeholders here.
        Value::object([
            ("attributes", Value::Object(Vec::new())),
            ("order", Value::Bool(false)),
            ("perm", Value::Null),
            ("readQueueNums", Value::Null),
            ("topicFilterType", Value::string("SINGLE_TAG")),
            ("topicName", Value::Null),
            ("topicSysFlag", Value::number(0)),
            ("writeQueueNums", Value::Null),
        ])
    };
    entry.set("perm", Value::number(topic.perm.into()));
    entry.set("readQueueNums", Value::number(topic.read_queues.into()));
    entry.set("topicName", Value::string(&*topic.name));
    entry.set("writeQueueNums", Value::number(topic.write_queues.into()));
    entry
}
