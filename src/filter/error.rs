//! Why a filter is refused: where, what is wrong, and what to write instead.

use std::fmt;

use crate::error::Error;

/// Characters of the filter that a refusal shows.
const SHOWN: usize = 72;

/// Why a filter is refused. [`fmt::Display`] is a sentence with the place marked below it.
///
/// ```
/// let refused = pocketmq::Filter::sql("price > 10 AND paid").unwrap_err();
/// assert_eq!(refused.offset(), 15);
/// assert_eq!(
///     refused.to_string(),
///     "a property alone is no condition: write paid = TRUE (byte 15)\n\
///      \x20   price > 10 AND paid\n\
///      \x20                  ^"
/// );
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct FilterError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    offset: usize,
    what: String,
    deviation: Option<&'static str>,
    /// A piece of the filter, and how many characters of it stand before the place.
    shown: String,
    before: usize,
}

impl FilterError {
    pub(super) fn new(filter: &str, offset: usize, what: impl Into<String>) -> Self {
        let offset = offset.min(filter.len());
        let (before, after) = filter.split_at_checked(offset).unwrap_or((filter, ""));
        let line_start = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
        let before: Vec<char> = before.get(line_start..).unwrap_or_default().chars().collect();
        let skipped = before.len().saturating_sub(SHOWN / 2);
        let before = before.get(skipped..).unwrap_or_default();
        let after = after.chars().take_while(|c| !matches!(c, '\n' | '\r'));
        let shown = before.iter().copied().chain(after).take(SHOWN);
        let shown = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = before.len();
        Self(Box::new(Inner { offset, what: what.into(), deviation: None, shown, before }))
    }

    pub(super) fn deviating(mut self, tag: &'static str) -> Self {
        self.0.deviation = Some(tag);
        self
    }

    /// Where in the filter, in bytes.
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// Set if RocketMQ may take this filter, although it hardly means there what it seems to say: the name of the difference,
    /// as the list of them in `docs/FILTERS.md` has it.
    pub fn deviation(&self) -> Option<&'static str> {
        self.0.deviation
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { offset, what, shown, before, .. } = &*self.0;
        write!(f, "{what} (byte {offset})\n    {shown}\n    {:before$}^", "")
    }
}

impl fmt::Debug for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterError")
            .field("offset", &self.0.offset)
            .field("what", &self.0.what)
            .field("deviation", &self.0.deviation)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for FilterError {}

/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument).
impl From<FilterError> for Error {
    fn from(refused: FilterError) -> Self {
        Self::invalid("the filter is refused").caused_by(refused)
    }
}
