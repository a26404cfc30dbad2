//! What is hashed: the topic, `#`, and the key.

use crate::message::names::java_hash;

/// Between the keys of one message.
const SEPARATOR: char = ' ';
/// Between topic and tag, where 5.5.0 and later index tags too.
const TAG: &str = "T#";

/// The hash of a key: never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KeyHash(i32);

impl KeyHash {
    /// Of a message's unique id, or of one of its business keys.
    pub(crate) fn of(topic: &str, key: &str) -> Self {
        Self::of_text(&format!("{topic}#{key}"))
    }

    /// Of its tag. Brokers from 5.5.0 on write it; we only look it up.
    pub(crate) fn of_tag(topic: &str, tag: &str) -> Self {
        Self::of_text(&format!("{topic}#{TAG}{tag}"))
    }

    /// Java's hash without its sign; of the one number that has no opposite, 0.
    fn of_text(text: &str) -> Self {
        Self(java_hash(text).checked_abs().unwrap_or(0))
    }

    pub(crate) const fn get(self) -> i32 {
        self.0
    }

    /// Its slot among so many.
    pub(crate) const fn slot(self, slots: u32) -> u32 {
        self.0.unsigned_abs() % slots
    }
}

/// The keys that a message is indexed by, in their order: its unique id, then its business keys. A broker indexes every record that has
/// some, of system topics too, except those that say a transaction was rolled back.
pub(crate) fn keys<'a>(
    unique: Option<&'a str>,
    keys: Option<&'a str>,
) -> impl Iterator<Item = &'a str> {
    let business = keys.unwrap_or_default().split(SEPARATOR).filter(|key| !key.is_empty());
    unique.into_iter().chain(business)
}
