//! The command line.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::digest::hex;

const USAGE: &str = "file_digests [DIR] [--store DIR] [--workers N]

SHA-256 of every file below DIR. May be killed at any time; run again with the same store, it goes on.

  DIR          the tree to read (default: the sources that cargo has downloaded, else this repository)
  --store DIR  where the queue lives (default: a folder for this tree in the temporary folder)
  --workers N  threads that compute digests, 1 to 256 (default: 4)";

const DEFAULT_WORKERS: usize = 4;
const MAX_WORKERS: usize = 256;

/// What was asked for. Both folders are absolute.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) root: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) workers: usize,
}

impl Args {
    /// `None` if only help was asked for.
    pub(crate) fn parse() -> Result<Option<Self>, Box<dyn Error>> {
        let (mut root, mut store, mut workers) = (None, None, DEFAULT_WORKERS);
        let mut args = env::args_os().skip(1);
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("-h" | "--help") => {
                    println!("{USAGE}");
                    return Ok(None);
                }
                Some("--store") => store = Some(PathBuf::from(value("--store", args.next())?)),
                Some("--workers") => workers = number(&value("--workers", args.next())?)?,
                Some(option) if option.starts_with('-') => {
                    return Err(format!("there is no option {option}\n\n{USAGE}").into());
                }
                _ if root.is_none() => root = Some(PathBuf::from(arg)),
                _ => return Err(format!("one folder, please\n\n{USAGE}").into()),
            }
        }
        let root = root.unwrap_or_else(default_root);
        let root = root.canonicalize().map_err(|e| format!("{}: {e}", root.display()))?;
        if !root.is_dir() {
            return Err(format!("{} is not a folder", root.display()).into());
        }
        let store = store.unwrap_or_else(|| default_store(&root));
        std::fs::create_dir_all(&store).map_err(|e| format!("{}: {e}", store.display()))?;
        let store = store.canonicalize()?;
        if root.starts_with(&store) {
            return Err("the store cannot be the tree itself, or around it".into());
        }
        Ok(Some(Self { root, store, workers }))
    }
}

fn value(option: &str, value: Option<OsString>) -> Result<OsString, String> {
    value.ok_or_else(|| format!("{option} needs a value\n\n{USAGE}"))
}

fn number(text: &OsString) -> Result<usize, String> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    number
        .filter(|n| (1..=MAX_WORKERS).contains(n))
        .ok_or_else(|| format!("--workers is a number from 1 to {MAX_WORKERS}"))
}

/// A folder with many files that every Rust machine has.
fn default_root() -> PathBuf {
    let home = || Some(env::home_dir()?.join(".cargo"));
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home);
    cargo
        .map(|cargo| cargo.join("registry/src"))
        .filter(|sources| sources.is_dir())
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")))
}

/// Named after the tree; the hash tells trees apart whose last folder has the same name.
fn default_store(root: &Path) -> PathBuf {
    let digest = Sha256::digest(root.as_os_str().as_bytes());
    let hash = hex(digest.get(..4).unwrap_or_default());
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    env::temp_dir().join(format!("pocketmq-digests-{name}-{hash}"))
}
