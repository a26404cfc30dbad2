//! One file's digest.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest as _, Sha256};

use crate::records::{Outcome, Stamp};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// Reads a file in pieces. What goes wrong is an outcome too; `None` only if `stop` was set meanwhile.
pub(crate) fn digest(path: &Path, stop: &AtomicBool) -> Option<Outcome> {
    match read(path, stop) {
        Ok((sha256, stamp)) => Some(Outcome::Digest { sha256: sha256?, stamp }),
        Err(e) => Some(Outcome::Failed { error: e.to_string() }),
    }
}

/// The state of a regular file; symbolic links are not followed.
pub(crate) fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("no regular file any more"));
    }
    Ok(Stamp {
        bytes: metadata.len(),
        modified_s: metadata.mtime(),
        modified_ns: metadata.mtime_nsec(),
    })
}

fn read(path: &Path, stop: &AtomicBool) -> io::Result<(Option<String>, Stamp)> {
    let stamp = stamp(path)?;
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok((None, stamp));
        }
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => hasher.update(chunk.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok((Some(hex(&hasher.finalize())), stamp))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
