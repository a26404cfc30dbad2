//! The tree a text becomes.

/// One JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A number exactly as written: no digit is lost by reading and writing it again.
    Number(Box<str>),
    String(String),
    Array(Vec<Self>),
    /// Members in the order of the text. A name may occur twice; the last one counts.
    Object(Vec<Member>),
}

/// A name and its value.
pub(crate) type Member = (Key, Value);

/// The name of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    text: Box<str>,
    /// An integer without quotes: what the broker writes, and wants to read, for a map from integers.
    bare: bool,
}

impl Key {
    pub(crate) fn text(text: impl Into<Box<str>>) -> Self {
        Self { text: text.into(), bare: false }
    }

    pub(crate) fn integer(number: u32) -> Self {
        Self::bare(number.to_string())
    }

    /// `text` must be an integer in JSON's notation, or the written file cannot be read back.
    pub(super) fn bare(text: impl Into<Box<str>>) -> Self {
        Self { text: text.into(), bare: true }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_bare(&self) -> bool {
        self.bare
    }
}

impl Value {
    pub(crate) fn number(number: u64) -> Self {
        Self::Number(number.to_string().into())
    }

    pub(crate) fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    pub(crate) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.into_iter().map(|(key, value)| (Key::text(key), value)).collect())
    }

    /// The members, if this is an object.
    pub(crate) fn members(&self) -> Option<&[Member]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The member called `key`, if this is an object that has one.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.members()?.iter().rfind(|(k, _)| k.as_str() == key).map(|(_, value)| value)
    }

    /// Gives the member called `key` a value, in its old place or at the end. What is not an object becomes one.
    pub(crate) fn set(&mut self, key: &str, value: Self) {
        let Self::Object(members) = self else {
            *self = Self::object([(key, value)]);
            return;
        };
        match members.iter_mut().rfind(|(k, _)| k.as_str() == key) {
            Some((_, slot)) => *slot = value,
            None => members.push((Key::text(key), value)),
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, also if it is in quotes, as the broker's own reader allows. `None` for anything with a
    /// fraction or an exponent, or outside 64 bits.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(text) => text.parse().ok(),
            Self::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}
