//! The broker's configuration files: JSON texts in `config/`, read at open, written at close.
//!
//! Here: how such a file gets from and to the disk. What the files say is in [`topics`], [`groups`],
//! [`offsets`] and [`metrics`]; what they have in common in [`document`], their notation in [`json`].

pub(crate) mod document;
pub(crate) mod groups;
pub(crate) mod json;
#[cfg_attr(not(test), expect(dead_code, reason = "nothing here delays yet"))]
pub(crate) mod metrics;
pub(crate) mod offsets;
#[cfg(test)]
mod tests;
pub(crate) mod topics;

use std::path::Path;

pub(crate) use json::{Value, to_text};

use crate::error::{Error, ErrorKind, Result};
use crate::io::small::{read_small, write_small};
use crate::io::{OpenMode, Storage};

/// A configuration file is at most so long. A million topics fit.
const TEXT_MAX: u64 = 256 * 1024 * 1024;

/// A configuration file that was found.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// An object.
    pub(crate) value: Value,
    /// Whether the file itself was missing, empty or unreadable, and its backup was not.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests tell the two files apart by it"))]
    pub(crate) from_backup: bool,
    /// The bytes that `value` was read from.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests tell the two files apart by it"))]
    pub(crate) text: Vec<u8>,
}

/// Reads the file `name` in `dir`, or its backup `<name>.bak` if the file is missing, empty or not JSON.
///
/// A broker up to 5.3.3 overwrites these files in place, so an empty or torn one with a good backup is what a crash
/// leaves. `None` if neither has any content.
///
/// # Errors
///
/// `Corrupt`, with path and byte offset, if there is content but none of it is a JSON object, or a file is longer
/// than 256 MiB: a damaged file never counts as a missing one. `Io` if reading fails.
pub(crate) fn load(storage: &dyn Storage, dir: &Path, name: &str) -> Result<Option<Loaded>> {
    let mut damage = None;
    for (file, from_backup) in [(name.to_owned(), false), (format!("{name}.bak"), true)] {
        let path = dir.join(file);
        let Some(text) = read_small(storage, &path, TEXT_MAX)?.filter(|text| !text.is_empty())
        else {
            continue;
        };
        match parse_object(&text) {
            Ok(value) => return Ok(Some(Loaded { value, from_backup, text })),
            Err(why) => {
                // The file itself is the one to name, if both are damaged.
                damage.get_or_insert((path, why));
            }
        }
    }
    let Some((path, why)) = damage else { return Ok(None) };
    let offset = u64::try_from(why.offset).unwrap_or(u64::MAX);
    let message =
        format!("the configuration file is damaged, with no good backup: {}", why.message);
    Err(Error::corrupt(&path, offset, message))
}

/// Replaces the file `name` in `dir`, atomically: after a crash it has the old or the new content.
///
/// Durable when it returns. A file that has the content already is not touched. The backup is left alone: it is the
/// broker's.
///
/// # Errors
///
/// `Full` or `Io` if writing fails (the old file is still there, or the new one is), `TooLarge` if [`load`] would
/// refuse the text.
pub(crate) fn save(storage: &dyn Storage, dir: &Path, name: &str, text: &[u8]) -> Result<()> {
    let path = dir.join(name);
    if u64::try_from(text.len()).is_ok_and(|len| len > TEXT_MAX) {
        let message = format!("a configuration file has at most {TEXT_MAX} bytes");
        return Err(Error::new(ErrorKind::TooLarge, message).at(&path));
    }
    storage.create_dir_all(dir).map_err(|e| Error::io(e, dir, "create the folder"))?;
    if read_small(storage, &path, TEXT_MAX)?.as_deref() != Some(text) {
        return write_small(storage, &path, text);
    }
    // Whoever wrote it, a broker or a save that was killed half-way, may not have synced it.
    let file = storage.open(&path, OpenMode::Read);
    file.and_then(|file| file.sync()).map_err(|e| Error::io(e, &path, "sync the file"))?;
    storage.sync_dir(dir).map_err(|e| Error::io(e, dir, "sync the folder"))
}

/// A text that is JSON, but no object, is not a configuration file either.
fn parse_object(text: &[u8]) -> Result<Value, json::ParseError> {
    let value = json::parse(text)?;
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(json::ParseError { offset: 0, message: "the text is not a JSON object" }),
    }
}
