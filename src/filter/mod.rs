//! Which messages a consumer wants: by tag, or by an expression over the properties. Decided without the body.
//!
//! `docs/FILTERS.md` has the language, and each difference to `RocketMQ`'s.

mod check;
mod code;
mod compile;
mod error;
mod lexer;
mod names;
mod number;
mod operand;
mod program;
mod signs;
mod tags;
#[cfg(test)]
mod tests;

use std::fmt;

pub use error::FilterError;

use crate::message::properties::{self, name};
use crate::sync::Arc;
use compile::Compiled;
use program::{NotANumber, Truth};
use tags::Tags;

/// Which messages are wanted, by their properties.
///
/// Cheap to clone; equal if they are of the same kind and have the same text, which [`fmt::Display`] gives.
///
/// ```
/// # fn main() -> pocketmq::Result<()> {
/// use pocketmq::{Filter, Verdict};
///
/// let filter = Filter::sql("price > 10 AND region = 'eu'")?;
/// let mut properties = std::collections::HashMap::from([("price", "12"), ("region", "eu")]);
/// assert_eq!(filter.evaluate(|name| properties.get(name).copied()), Verdict::True);
/// properties.remove("price");
/// assert_eq!(filter.evaluate(|name| properties.get(name).copied()), Verdict::Unknown);
///
/// assert_eq!(Filter::tags("paid || sent")?.evaluate(|_| Some("sent")), Verdict::True);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Filter(Arc<Inner>);

struct Inner {
    text: Box<str>,
    kind: Kind,
}

enum Kind {
    All,
    Tags(Tags),
    Sql(Compiled),
}

/// What a filter says of a message. Only those pass of which it is [`True`](Self::True).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The message is wanted.
    True,
    /// It is not.
    False,
    /// Properties are missing that would decide.
    Unknown,
    /// A property is compared with a number, and its text is none.
    Error,
}

impl Filter {
    /// Every message.
    pub fn all() -> Self {
        Self::new("*", Kind::All)
    }

    /// Messages with one of the tags: `"paid"`, `"paid || sent"`. `"*"` and nothing at all stand for every message.
    ///
    /// # Errors
    ///
    /// No tag is named, or `*` among others.
    pub fn tags(tags: &str) -> Result<Self, FilterError> {
        if matches!(tags, "" | "*") {
            return Ok(Self::all());
        }
        Ok(Self::new(tags, Kind::Tags(Tags::parse(tags)?)))
    }

    /// Messages of whose properties an expression is true, in `RocketMQ`'s `SQL92`: `=`, `<>`, `<`, `<=`, `>`, `>=`, `BETWEEN`, `IN`,
    /// `IS NULL`, `CONTAINS`, `STARTSWITH`, `ENDSWITH`, `AND`, `OR` and `NOT (...)`.
    ///
    /// ```
    /// # use pocketmq::Filter;
    /// Filter::sql("price BETWEEN 10 AND 20 AND (region IN ('eu', 'us') OR tested = TRUE)")?;
    /// # Ok::<(), pocketmq::FilterError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// It is no such expression, or hardly means to `RocketMQ` what it seems to say; above 1 MiB; nested more than 1024 deep.
    pub fn sql(expression: &str) -> Result<Self, FilterError> {
        Ok(Self::new(expression, Kind::Sql(compile::compile(expression)?)))
    }

    fn new(text: &str, kind: Kind) -> Self {
        Self(Arc::new(Inner { text: text.into(), kind }))
    }

    /// What the filter says of a message with these properties: to try one out, or to learn why a message does not pass. A tag is
    /// the property `TAGS`.
    pub fn evaluate<'a>(&self, mut property: impl FnMut(&str) -> Option<&'a str>) -> Verdict {
        match &self.0.kind {
            Kind::All => Verdict::True,
            Kind::Tags(tags) => tags.matches(property(name::TAGS)).into(),
            Kind::Sql(Compiled { program, names, .. }) => {
                names.ask(property, |values| program.run(values)).into()
            }
        }
    }

    /// Set if `RocketMQ` refuses this filter: the name of the difference, as the list of them in `docs/FILTERS.md` has it.
    pub fn deviation(&self) -> Option<&'static str> {
        match &self.0.kind {
            Kind::All | Kind::Tags(_) => None,
            Kind::Sql(compiled) => compiled.deviation,
        }
    }

    /// Whether it lets every message pass.
    pub(crate) fn is_all(&self) -> bool {
        matches!(self.0.kind, Kind::All)
    }

    /// Whether an entry of a queue may be of a message that passes. `false` is certain.
    pub(crate) fn may_match(&self, tags_code: i64) -> bool {
        match &self.0.kind {
            Kind::Tags(tags) => tags.may_match(tags_code),
            Kind::All | Kind::Sql(_) => true,
        }
    }

    /// What the filter says of a message with this block of properties. Allocates nothing, unless the expression names more than
    /// sixteen properties.
    pub(crate) fn verdict(&self, block: &[u8]) -> Verdict {
        match &self.0.kind {
            Kind::All => Verdict::True,
            Kind::Tags(tags) => tags.matches(properties::get(block, name::TAGS)).into(),
            Kind::Sql(Compiled { program, names, .. }) => {
                names.read(block, |values| program.run(values)).into()
            }
        }
    }

    /// Whether a message with this block of properties passes.
    pub(crate) fn matches_properties(&self, block: &[u8]) -> bool {
        self.verdict(block) == Verdict::True
    }
}

impl From<bool> for Verdict {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl From<Result<Truth, NotANumber>> for Verdict {
    fn from(outcome: Result<Truth, NotANumber>) -> Self {
        match outcome {
            Ok(Truth::True) => Self::True,
            Ok(Truth::False) => Self::False,
            Ok(Truth::Unknown) => Self::Unknown,
            Err(NotANumber) => Self::Error,
        }
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        let kind = |filter: &Self| std::mem::discriminant(&filter.0.kind);
        kind(self) == kind(other) && self.0.text == other.0.text
    }
}

impl Eq for Filter {}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::All => f.write_str("Filter::all()"),
            Kind::Tags(_) => write!(f, "Filter::tags({:?})", self.0.text),
            Kind::Sql(_) => write!(f, "Filter::sql({:?})", self.0.text),
        }
    }
}
