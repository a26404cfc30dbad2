//! What a handler returns.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

type Source = Box<dyn StdError + Send + Sync>;

/// How a handler leaves a message. `()` is [`Outcome::Done`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Outcome {
    /// It is done, and not received again.
    #[default]
    Done,
    /// This attempt failed; the next one comes after so long.
    RetryAfter(Duration),
    /// It comes again after so long. No attempt is used.
    Snooze(Duration),
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done
    }
}

/// Why an attempt failed, and when the next one comes if it is not as the group's [`Retry`](crate::Retry) says.
///
/// Made by `?` from errors of any type, boxed errors (also other crates' like `anyhow::Error`), and strings. It is not an
/// [`Error`](std::error::Error) itself: only so can it be made from all that are.
///
/// ```
/// use std::time::Duration;
/// use pocketmq::{HandlerError, OrFail};
///
/// fn greet(name: &str) -> Result<(), HandlerError> {
///     if name.is_empty() {
///         return Err("nobody is there".into());
///     }
///     let number: u32 = name.parse()?;
///     std::fs::read(format!("{number}.txt")).or_retry_after(Duration::from_secs(30))?;
///     Ok(())
/// }
///
/// assert_eq!(greet("").unwrap_err().to_string(), "nobody is there");
/// assert_eq!(greet("Ada").unwrap_err().wait(), None);
/// assert_eq!(greet("7").unwrap_err().wait(), Some(Duration::from_secs(30)));
/// ```
pub struct HandlerError {
    source: Source,
    wait: Option<Duration>,
}

impl HandlerError {
    /// The next attempt comes after `wait`.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// When the next attempt comes, if the handler said so.
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// What went wrong.
    pub fn source(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { source: error.into(), wait: None }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError")
            .field("source", &self.source)
            .field("wait", &self.wait)
            .finish()
    }
}

/// Failing an attempt with a wait of its own, in one word.
pub trait OrFail<T> {
    /// If it is an error, the attempt fails and the next one comes after `wait`.
    ///
    /// # Errors
    ///
    /// The one that it is.
    fn or_retry_after(self, wait: Duration) -> Result<T, HandlerError>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> OrFail<T> for Result<T, E> {
    fn or_retry_after(self, wait: Duration) -> Result<T, HandlerError> {
        self.map_err(|error| HandlerError::from(error).retry_after(wait))
    }
}
