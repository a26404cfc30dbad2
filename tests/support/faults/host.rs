//! Starts children whose calls fail, and looks at what they leave behind.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pocketmq::{ErrorKind, Queue, ReadOnly};
use tempfile::TempDir;

use super::child::{options, work};
use crate::support::kill::child::Bytes;
use crate::support::kill::ledger::Ledger;
use crate::support::kill::look::{contents, receive};
use crate::support::kill::plan::{GROUPS, TOPICS};

const CHILD: &str = "POCKETMQ_FAULTS_CHILD";
/// A child that takes so long hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// The run of the child that writes what another one then opens.
const FIRST_RUN: u64 = 1;
const RUN: u64 = 1000;

pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Does the work and ends the process, if this is a child.
pub(crate) fn run_if_child() {
    let Ok(words) = std::env::var(CHILD) else { return };
    let words: Vec<&str> = words.splitn(4, ' ').collect();
    let [run, sync, kill, dir] = words[..] else { panic!("{words:?}") };
    work(dir.as_ref(), run.parse().expect(CHILD), sync == "true", kill == "true");
    std::process::exit(0);
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    name: &'static str,
    error: i32,
    /// The calls it can happen to; all if empty.
    only: &'static str,
    sticky: bool,
    short: bool,
}

impl Fault {
    pub(crate) const fn new(name: &'static str, error: i32, only: &'static str) -> Self {
        Self { name, error, only, sticky: false, short: false }
    }

    pub(crate) const fn sticky(self) -> Self {
        Self { sticky: true, ..self }
    }

    pub(crate) const fn short(self) -> Self {
        Self { short: true, ..self }
    }

    fn set(&self, command: &mut Command, at: u64) {
        command.env("FAULT_AT", at.to_string()).env("FAULT_ERROR", self.error.to_string());
        let named = [("FAULT_STICKY", self.sticky), ("FAULT_SHORT", self.short)];
        command.envs(named.into_iter().filter(|(_, set)| *set).map(|(name, _)| (name, "1")));
        if !self.only.is_empty() {
            command.env("FAULT_ONLY", self.only);
        }
    }
}

/// How the store is found by the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    New,
    Closed,
    Killed,
}

/// A store to begin with, and what is in it.
#[derive(Debug)]
pub(crate) struct Template {
    left: Left,
    dir: TempDir,
    said: String,
}

#[derive(Debug)]
pub(crate) struct Host {
    test: &'static str,
    library: PathBuf,
    _tools: TempDir,
}

impl Host {
    /// `None` where the library cannot be built.
    pub(crate) fn new(test: &'static str) -> Option<Self> {
        let tools = tempfile::tempdir().unwrap();
        let library = tools.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/faults.c");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        let status = cc.status().ok()?;
        assert!(status.success(), "{cc:?}: {status}");
        Some(Self { test, library, _tools: tools })
    }

    fn command(&self, dir: &Path, run: u64, sync: bool, kill: bool) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", self.test, "--nocapture", "--test-threads=1"]);
        command.env(CHILD, format!("{run} {sync} {kill} {}", dir.display()));
        command
    }

    pub(crate) fn template(&self, left: Left, sync: bool) -> Template {
        let dir = tempfile::tempdir().unwrap();
        let mut said = String::new();
        if left != Left::New {
            let kill = left == Left::Killed;
            let mut command = self.command(&dir.path().join("store"), FIRST_RUN, sync, kill);
            let (code, lines) = run(&mut command, "the first child");
            assert_eq!(code, if kill { None } else { Some(0) }, "{lines}");
            assert!(!lines.contains("\nE "), "{lines}");
            said = lines;
        }
        Template { left, dir, said }
    }

    /// A child whose `at`-th call fails, and the audit; the name of the call, if there were so many.
    pub(crate) fn check_with(
        &self,
        template: &Template,
        sync: bool,
        fault: Fault,
        at: u64,
    ) -> Option<String> {
        let dir = template.copy();
        let store = dir.path().join("store");
        let mut command = self.command(&store, RUN, sync, false);
        command.env("LD_PRELOAD", &self.library).env("FAULT_DIR", dir.path());
        fault.set(&mut command, at);
        let what = format!("{}, {:?}, sync {sync}, call {at}", fault.name, template.left);
        let (code, lines) = run(&mut command, &what);
        let fired = lines.lines().find_map(|l| l.strip_prefix("FAULT ")?.split(' ').next());
        let what = format!("{what} {fired:?}");
        assert_eq!(code, Some(0), "{what}: {}", tail(&lines));
        println!("{what}: {}", lines.lines().find(|l| l.starts_with('E')).unwrap_or_default());
        audit(template, &store, sync, &lines);
        fired.map(str::to_owned)
    }

    /// A child that may have so many open files, and the audit; whether it met no error.
    pub(crate) fn check_with_descriptors(
        &self,
        template: &Template,
        sync: bool,
        limit: u64,
    ) -> bool {
        let dir = template.copy();
        let store = dir.path().join("store");
        let inner = self.command(&store, RUN, sync, false);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {limit} && exec \"$0\" \"$@\""));
        command.arg(inner.get_program()).args(inner.get_args());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let (code, lines) = run(&mut command, &format!("{limit} descriptors"));
        let started = lines.lines().any(|l| l.starts_with(['R', 'E', 'X']));
        assert!(code == Some(0) || !started, "{limit} descriptors: {}", tail(&lines));
        audit(template, &store, sync, &lines);
        started && !lines.lines().any(|l| l.starts_with('E'))
    }
}

impl Template {
    fn copy(&self) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        copy(self.dir.path(), dir.path());
        dir
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let new = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir(&new).unwrap();
            copy(&path, &new);
        } else {
            std::fs::copy(&path, &new).unwrap();
        }
    }
}

/// Runs a child to its end; its exit code and what it said.
fn run(command: &mut Command, what: &str) -> (Option<i32>, String) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = child.stderr.take().unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let (ended, end) = channel::<()>();
    let heard = Arc::clone(&said);
    let listener = std::thread::spawn(move || {
        let (mut part, _ended) = ([0; 4096], ended);
        while let Ok(len @ 1..) = output.read(&mut part) {
            heard.lock().unwrap().extend_from_slice(&part[..len]);
        }
    });
    let waited = end.recv_timeout(PATIENCE);
    if waited == Err(RecvTimeoutError::Timeout) {
        drop(child.kill());
    }
    listener.join().unwrap();
    let lines = String::from_utf8_lossy(&said.lock().unwrap()).into_owned();
    let status = child.wait().unwrap();
    assert!(waited != Err(RecvTimeoutError::Timeout), "{what}: the child hangs: {}", tail(&lines));
    (status.code(), lines)
}

fn tail(lines: &str) -> &str {
    let from = lines.len().saturating_sub(1000);
    lines.get(from..).unwrap_or(lines)
}

fn note(ledger: &mut Ledger, lines: &str) {
    let mut run = 0;
    for line in lines.lines() {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("R", number) => {
                run = number.parse().expect(line);
                ledger.run_begins();
            }
            ("S" | "a" | "A" | "D", _) => ledger.note(run, line),
            ("X", _) => panic!("the child says: {line}"),
            _ => {}
        }
    }
}

/// Without faults: everything that was acknowledged is there, nothing is shifted, and the store goes on.
fn audit(template: &Template, store: &Path, sync: bool, lines: &str) {
    let mut ledger = Ledger::default();
    note(&mut ledger, &template.said);
    note(&mut ledger, lines);
    let queue = options(sync).open(store).unwrap();
    assert!(queue.report().damage.is_empty(), "{:?}", queue.report());
    ledger.check_log(contents(&queue));
    let places: Vec<_> = receive(&queue, GROUPS[0]).into_iter().map(|(place, _)| place).collect();
    ledger.check_group(0, &places);
    let before = ledger.messages();
    for (name, _) in TOPICS {
        queue.producer(Bytes::new(name)).unwrap().send(b"one more").unwrap();
    }
    assert!(queue.close_with_report().unwrap().broker_ready);
    let look = ReadOnly::open(store).unwrap();
    assert_eq!(look.records().map(Result::unwrap).count(), before + TOPICS.len());
}

/// Sends until the file system is full, looks at everything, makes room, and goes on.
pub(crate) fn fill_up(disk: &Path) {
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    for sync in [false, true] {
        let store = disk.join(if sync { "sync" } else { "async" });
        let queue = options(sync).open(&store).unwrap();
        let producer = queue.producer(Bytes::new("one")).unwrap();
        let mut sent = 0_u64;
        let until_full = |sent: &mut u64| {
            loop {
                match producer.send(&body(*sent)) {
                    Ok(_) => *sent += 1,
                    Err(e) if e.kind() == ErrorKind::Full => break,
                    Err(e) => panic!("after {sent} messages: {e}"),
                }
            }
        };
        until_full(&mut sent);
        let first = sent;
        queue.flush().unwrap();
        assert_eq!(bodies(&queue), sent);
        std::fs::remove_file(&ballast).unwrap();
        until_full(&mut sent);
        assert!(sent > first + 10, "{first} messages, and {sent} after there was room");
        assert_eq!(bodies(&queue), sent);
        println!("{first} messages, then no space; {sent} after there was a little more");
        // Closed or dropped without space for the small files: nothing is lost by that.
        drop((queue, producer));
        let look = ReadOnly::open(&store).unwrap();
        assert_eq!(look.records().map(Result::unwrap).count() as u64, sent);
        drop(look);
        std::fs::remove_dir_all(&store).unwrap();
        std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    }
    std::fs::remove_file(&ballast).unwrap();
}

fn body(n: u64) -> Vec<u8> {
    let mut body = vec![0; 1000];
    body[..8].copy_from_slice(&n.to_be_bytes());
    body
}

/// How many messages there are, each in its place.
fn bodies(queue: &Queue) -> u64 {
    let mut count = 0;
    let mut all = std::collections::BTreeSet::new();
    for (_, delivery) in receive(queue, "auditor") {
        all.insert(delivery.body().to_vec());
        count += 1;
    }
    assert!((0..count).all(|n| all.contains(&body(n))), "{count} messages, some twice");
    count
}

pub(crate) fn write_a_little(disk: &Path) {
    let queue = options(true).open(disk.join("store")).unwrap();
    queue.producer(Bytes::new("one")).unwrap().send(b"seen").unwrap();
    queue.close().unwrap();
}

/// On a file system where nothing can be written.
pub(crate) fn look_only(disk: &Path) {
    let store = disk.join("store");
    for path in [store.as_os_str(), disk.join("new").as_os_str()].map(OsStr::to_owned) {
        let error = options(true).open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    }
    let look = ReadOnly::open(&store).unwrap();
    let bodies: Vec<_> = look.messages("one", 0).map(|m| m.unwrap().body().to_vec()).collect();
    assert_eq!(bodies, [b"seen"]);
}
