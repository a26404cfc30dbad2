//! What the configuration files have in common: one table of entries, a data version, and members we do not know.

use std::collections::BTreeMap;

use crate::config::json::{Key, Member, Value};
use crate::error::{Error, ErrorKind, Result};

const DATA_VERSION: &str = "dataVersion";
/// After so many notices about one file, a last one says that there are more.
const NOTICES_MAX: usize = 32;

/// One configuration file. Whatever it said is kept; only what is set changes.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// An object: the whole file, with a null in the place of the table.
    root: Value,
    table_name: &'static str,
    table: Vec<Member>,
    /// Where each key stands in the table; of a key that occurs twice, the last.
    positions: BTreeMap<Box<str>, usize>,
    changed: bool,
}

impl Document {
    /// The file as read, or a `fresh` one, for which a data version and an empty table are enough.
    ///
    /// # Errors
    ///
    /// `Corrupt` if the file or its table is something else than an object. The caller knows the path.
    pub(crate) fn new(
        file: Option<&Value>,
        table_name: &'static str,
        fresh: impl FnOnce() -> Value,
    ) -> Result<Self> {
        let mut root = file.cloned().unwrap_or_else(fresh);
        if root.members().is_none() {
            return Err(Error::new(ErrorKind::Corrupt, "the file does not hold a JSON object"));
        }
        let table = match root.get(table_name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(members)) => members.clone(),
            Some(_) => {
                let message = format!("the file's \"{table_name}\" is not a JSON object");
                return Err(Error::new(ErrorKind::Corrupt, message));
            }
        };
        root.set(table_name, Value::Null);
        let positions =
            table.iter().enumerate().map(|(at, (key, _))| (key.as_str().into(), at)).collect();
        Ok(Self { root, table_name, table, positions, changed: file.is_none() })
    }

    /// The table's entries, each key once, sorted by key.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.positions.iter().filter_map(|(key, at)| Some((&**key, &self.table.get(*at)?.1)))
    }

    /// Replaces an entry by what `update` makes of it, in its old place; of a missing one, `update` gets a null.
    pub(crate) fn update(&mut self, key: Key, update: impl FnOnce(Value) -> Value) {
        self.changed = true;
        let position = self.positions.get(key.as_str());
        if let Some((_, slot)) = position.and_then(|at| self.table.get_mut(*at)) {
            *slot = update(std::mem::replace(slot, Value::Null));
        } else {
            self.positions.insert(key.as_str().into(), self.table.len());
            self.table.push((key, update(Value::Null)));
        }
    }

    /// Sets a member beside the table. Derived data only: this alone does not count as a change.
    pub(crate) fn set_derived(&mut self, name: &str, value: Value) {
        self.root.set(name, value);
    }

    /// The whole file as it should be written. If anything changed since it was read, its data version is one higher.
    pub(crate) fn to_value(&self, now_ms: u64) -> Value {
        let mut whole = self.root.clone();
        whole.set(self.table_name, Value::Object(self.table.clone()));
        if self.changed {
            let version = raised(whole.get(DATA_VERSION), now_ms);
            whole.set(DATA_VERSION, version);
        }
        whole
    }
}

/// The next data version. A version that is none (missing, not an object) is followed by the first one.
fn raised(version: Option<&Value>, now_ms: u64) -> Value {
    let Some(version @ Value::Object(_)) = version else {
        return data_version(1, now_ms);
    };
    let counter = version.get("counter").and_then(Value::as_i64).unwrap_or(0).max(0);
    let mut version = version.clone();
    version.set("counter", Value::number(counter.saturating_add(1).unsigned_abs()));
    version.set("timestamp", Value::number(now_ms));
    version
}

/// The object by which a broker tells how new a configuration is.
pub(crate) fn data_version(counter: u64, timestamp_ms: u64) -> Value {
    Value::object([
        ("counter", Value::number(counter)),
        ("stateVersion", Value::number(0)),
        ("timestamp", Value::number(timestamp_ms)),
    ])
}

/// Sentences about entries that were left out (and stay in the file), for whoever opens the store.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    sentences: Vec<String>,
}

impl Notices {
    /// Says what is wrong with the entry `key`. The key may be hostile: it is escaped and cut.
    pub(crate) fn add(&mut self, what: &str, key: &str, wrong: &str) {
        if self.sentences.len() < NOTICES_MAX {
            let key: String = key.chars().take(80).collect();
            self.sentences.push(format!("{what} {key:?} is left out: {wrong}"));
        } else if self.sentences.len() == NOTICES_MAX {
            self.sentences.push(format!("further entries ({what}) are left out"));
        }
    }

    pub(crate) fn as_slice(&self) -> &[String] {
        &self.sentences
    }
}
