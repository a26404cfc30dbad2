//! The one error type: what happened, where, and what the caller can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::libc::{EMFILE, ENFILE};

use crate::id::Receipt;

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is: a kind exists only where a caller would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument or option is not acceptable: a hostile name, a property with a control byte, options that
    /// disagree with the directory. Nothing was changed.
    InvalidArgument,
    /// The topic, group, queue or file does not exist.
    NotFound,
    /// A body, property block or name is over its limit. Nothing was stored.
    TooLarge,
    /// No room: the disk, the memory budget or the line of waiting messages is full, or the process may not open more files.
    /// Nothing was stored; try again later.
    Full,
    /// The message is stored, but the disk did not confirm it in time. [`Error::receipt`] says where it is.
    /// Sending it again may duplicate it.
    Unconfirmed,
    /// The other side is still in use: close the other handle first, or wait.
    Busy,
    /// Another process (or another handle) has the directory open.
    Locked,
    /// Bytes on disk are not what was written, and the message names file and offset; or a subscription met a body that does
    /// not decode.
    Corrupt,
    /// The directory was written by a newer version of this crate.
    UnsupportedVersion,
    /// The operating system refused an operation; [`std::error::Error::source`] has its word.
    Io,
    /// The delivery is void: its group was moved since ([`Group::seek`](crate::Group::seek)), and the message is somebody else's
    /// or nobody's. Nothing was acknowledged.
    Stale,
    /// An earlier write or sync failed; the store accepts nothing more. Reopen it.
    Poisoned,
    /// The queue was closed.
    Closed,
}

/// Why an operation failed.
///
/// Opaque on purpose: match on [`Error::kind`]. [`fmt::Display`] is a sentence for a person.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    offset: Option<u64>,
    receipt: Option<Receipt>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            path: None,
            offset: None,
            receipt: None,
            source: None,
        }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message).at(path).at_offset(offset)
    }

    /// An operating-system error, with the path it happened at. "No space" and "no descriptors" become [`ErrorKind::Full`].
    pub(crate) fn io(source: io::Error, path: &Path, doing: &str) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => ErrorKind::Full,
            _ if matches!(source.raw_os_error(), Some(EMFILE | ENFILE)) => ErrorKind::Full,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format!("cannot {doing}")).at(path).caused_by(source)
    }

    /// A failure that leaves the disk in doubt: a sync, whose loss a second one does not bring back, or a write into space
    /// that was allocated for it. Never [`ErrorKind::Full`], whatever the system says.
    pub(crate) fn lost(source: io::Error, path: &Path, doing: &str) -> Self {
        Self::new(ErrorKind::Io, format!("cannot {doing}")).at(path).caused_by(source)
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the queue is closed")
    }

    pub(crate) fn at(mut self, path: &Path) -> Self {
        self.0.path = Some(path.to_path_buf());
        self
    }

    pub(crate) fn at_offset(mut self, offset: u64) -> Self {
        self.0.offset = Some(offset);
        self
    }

    pub(crate) fn with_receipt(mut self, receipt: Receipt) -> Self {
        self.0.receipt = Some(receipt);
        self
    }

    pub(crate) fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file or folder concerned, if one is.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The byte offset in the file, or the queue offset of the message, that the error is about.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// Where the message is, for [`ErrorKind::Unconfirmed`].
    pub fn receipt(&self) -> Option<&Receipt> {
        self.0.receipt.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(path) = &self.0.path {
            write!(f, " ({}", path.display())?;
            if let Some(offset) = self.0.offset {
                write!(f, " at offset {offset}")?;
            }
            f.write_str(")")?;
        } else if let Some(offset) = self.0.offset {
            write!(f, " (offset {offset})")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("path", &self.0.path)
            .field("offset", &self.0.offset)
            .field("receipt", &self.0.receipt)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}
