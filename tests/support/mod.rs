//! What several tests share.

pub mod golden;
pub mod manifest;

use std::path::Path;

/// Calls `visit` for every file below `dir`.
pub fn walk(dir: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, visit) } else { visit(&path) }
    }
}
