//! The files below a folder, in order, and their paths as text.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path as text.
///
/// A file's name can be any bytes. Here `%`, white space, control characters and whatever is not UTF-8 are written as `%`
/// and two hexadecimal digits: every path survives JSON, and can be the key of a message, which has no spaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TreePath(String);

impl TreePath {
    pub(crate) fn of(path: &Path) -> Self {
        let mut text = String::new();
        for chunk in path.as_os_str().as_bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                if c == '%' || c.is_whitespace() || c.is_control() {
                    escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
                } else {
                    text.push(c);
                }
            }
            escape(&mut text, chunk.invalid());
        }
        Self(text)
    }

    pub(crate) fn to_path(&self) -> PathBuf {
        let mut bytes = Vec::with_capacity(self.0.len());
        let mut rest = self.0.as_bytes();
        while let [first, tail @ ..] = rest {
            let escaped = match rest {
                [b'%', high, low, tail @ ..] => hex(*high, *low).map(|byte| (byte, tail)),
                _ => None,
            };
            let (byte, tail) = escaped.unwrap_or((*first, tail));
            bytes.push(byte);
            rest = tail;
        }
        PathBuf::from(OsString::from_vec(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "%{byte:02X}");
    }
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// What the walk comes across.
#[derive(Debug)]
pub(crate) enum Found {
    /// A regular file; the path is relative to the root.
    File(TreePath),
    /// A folder that cannot be read, and why.
    Closed(String),
}

/// Shows all regular files below `root` to `see`, sorted by name within each folder, until it breaks. Follows no symbolic
/// links. Passes over `except`.
pub(crate) fn walk<B>(
    root: &Path,
    except: &Path,
    see: &mut impl FnMut(Found) -> ControlFlow<B>,
) -> ControlFlow<B> {
    folder(root, root, except, see)
}

fn folder<B>(
    root: &Path,
    dir: &Path,
    except: &Path,
    see: &mut impl FnMut(Found) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let entries = fs::read_dir(dir).and_then(|entries| {
        let pairs = entries.map(|entry| entry.and_then(|e| Ok((e.path(), e.file_type()?))));
        pairs.collect::<Result<Vec<_>, _>>()
    });
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(e) => return see(Found::Closed(format!("{}: {e}", dir.display()))),
    };
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (path, kind) in entries {
        if kind.is_dir() && path != except {
            folder(root, &path, except, see)?;
        } else if kind.is_file() {
            see(Found::File(TreePath::of(path.strip_prefix(root).unwrap_or(&path))))?;
        }
    }
    ControlFlow::Continue(())
}
