//! The house's order: imports go strictly down, siblings never see each other, `unsafe` lives in one place, files stay small.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the top. A module may use what stands in a later row, and nothing else of the crate.
const ROWS: [&[&str]; 14] = [
    &["testing"],
    &["queue", "fuzzing"],
    &["worker"],
    &["producer", "consumer", "subscription"],
    &["handler"],
    &["engine"],
    &["delay"],
    &["store"],
    &["commitlog", "consumequeue", "timer", "index", "flush", "progress", "config"],
    &["topic", "io", "layout", "filter"],
    &["codec", "message", "options", "observe"],
    &["error"],
    &["id", "clock", "fields", "retry"],
    &["sync"],
];

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(dir: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                into.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    collect(&root, &mut all);
    all.into_iter().map(|(p, t)| (p.strip_prefix(&root).unwrap().to_path_buf(), t)).collect()
}

/// Files that are compiled for tests only.
fn is_test(path: &Path) -> bool {
    path.components().any(|c| {
        ["tests", "tests.rs", "sim", "schedules", "schedules.rs"]
            .iter()
            .any(|t| c.as_os_str() == *t)
    })
}

/// The code without comments and unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|l| l.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn top_module(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

#[test]
fn imports_go_strictly_down() {
    let mut wrong = BTreeSet::new();
    for (path, text) in sources() {
        let module = top_module(&path);
        if module == "lib" || is_test(&path) {
            continue;
        }
        let Some(row) = row_of(&module) else {
            wrong.insert(format!("{module} stands in no row"));
            continue;
        };
        let code = code(&text);
        for used in code.split("crate::").skip(1) {
            let name: String =
                used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            // `crate::ErrorKind` and the like are re-exports of the crate's root; only modules have a row.
            let below = row_of(&name).is_none_or(|used_row| used_row > row || name == module);
            if !below {
                wrong.insert(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_row_is_inhabited() {
    let modules: BTreeSet<_> = sources().iter().map(|(path, _)| top_module(path)).collect();
    for module in ROWS.iter().copied().flatten() {
        assert!(modules.contains(*module), "{module} is in the table but not in the crate");
    }
}

#[test]
fn unsafe_code_lives_in_the_mapping_module_only() {
    for (path, text) in sources() {
        let code = code(&text);
        let has =
            code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|w| w == "unsafe");
        let allowed = path.with_extension("").starts_with("io/mapping");
        assert!(!has || allowed, "{} has unsafe code", path.display());
    }
}

#[test]
fn the_c_library_is_called_in_the_mapping_module_only() {
    for (path, text) in sources() {
        // Types and numbers that a safe wrapper asks for come from the wrapper's crate.
        let code = code(&text).replace("nix::libc", "");
        let has = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|w| w == "libc");
        let allowed = path.with_extension("").starts_with("io/mapping");
        assert!(!has || allowed, "{} uses libc", path.display());
    }
}

#[test]
fn no_file_is_longer_than_600_lines() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines: split it by idea", path.display());
    }
}
