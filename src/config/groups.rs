//! `subscriptionGroup.json`: which consumer groups there are.

use std::collections::BTreeSet;

use crate::config::document::{Document, Notices, data_version};
use crate::config::json::{Key, Value};
use crate::error::Result;

const TABLE: &str = "subscriptionGroupTable";

/// The consumer groups of a store, as in `subscriptionGroup.json`: their names. A broker's settings for them are
/// kept and never changed.
#[derive(Debug)]
pub(crate) struct Groups {
    document: Document,
    names: BTreeSet<String>,
    notices: Notices,
}

impl Groups {
    /// Reads the file's content; none means no groups.
    ///
    /// An entry that makes no sense, or whose name `name_ok` refuses, is left out with a notice, and stays in the
    /// file.
    ///
    /// # Errors
    ///
    /// `Corrupt` (without a path) if the file as a whole has another shape.
    pub(crate) fn from_value(file: Option<&Value>, name_ok: &dyn Fn(&str) -> bool) -> Result<Self> {
        let fresh = || {
            Value::object([
                ("dataVersion", data_version(0, 0)),
                ("forbiddenTable", Value::Object(Vec::new())),
            ])
        };
        let document = Document::new(file, TABLE, fresh)?;
        let mut names = BTreeSet::new();
        let mut notices = Notices::default();
        for (name, entry) in document.entries() {
            if entry.members().is_none() {
                notices.add("group", name, "its entry is not an object");
            } else if !name_ok(name) {
                notices.add("group", name, "its name is not acceptable");
            } else if entry.get("groupName").is_some_and(|said| said.as_str() != Some(name)) {
                notices.add("group", name, "its entry names another group");
            } else {
                names.insert(name.to_owned());
            }
        }
        Ok(Self { document, names, notices })
    }

    /// The names, sorted.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests compare names"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Adds a group with a broker's default settings, unless it is there. The caller has checked the name.
    pub(crate) fn insert(&mut self, name: &str) {
        if self.names.insert(name.to_owned()) {
            self.document.update(Key::text(name), |old| {
                let mut entry = if old.members().is_some() { old } else { default_entry() };
                entry.set("groupName", Value::string(name));
                entry
            });
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

/// What a broker writes for a group that it creates on first sight, the name left open.
fn default_entry() -> Value {
    Value::object([
        ("attributes", Value::Object(Vec::new())),
        ("brokerId", Value::number(0)),
        ("consumeBroadcastEnable", Value::Bool(true)),
        ("consumeEnable", Value::Bool(true)),
        ("consumeFromMinEnable", Value::Bool(true)),
        ("consumeMessageOrderly", Value::Bool(false)),
        ("consumeTimeoutMinute", Value::number(15)),
        ("groupName", Value::Null),
        ("groupRetryPolicy", Value::object([("type", Value::string("CUSTOMIZED"))])),
        ("groupSysFlag", Value::number(0)),
        ("notifyConsumerIdsChangedEnable", Value::Bool(true)),
        ("retryMaxTimes", Value::number(16)),
        ("retryQueueNums", Value::number(1)),
        ("whichBrokerWhenConsumeSlowly", Value::number(1)),
    ])
}
