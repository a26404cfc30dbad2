//! A store that nobody uses: what it costs to have one open. Measured in a process of its own.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pocketmq::{ErrorKind, Queue};
use serde::{Deserialize, Serialize};

use crate::ground::{Ground, occupied};
use crate::settings::{BE_IDLE, Settings};
use crate::store::{BYTES, Receiver, TOO_LONG, fill};
use crate::{Result, joined};

/// Before idleness is measured: threads have begun, timers run out (the last one five seconds after an append), and everything is on
/// the disk.
const SETTLED: Duration = Duration::from_secs(6);

/// What having a store open takes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Burden {
    /// Context switches of all threads but the one that measures.
    wakeups_per_s: f64,
    threads: usize,
    /// Of the whole process, before the store was opened and while it is idle.
    resident_before_kib: u64,
    resident_kib: u64,
    disk_kib: u64,
    disk_closed_kib: u64,
    /// Opening, which creates the store.
    open_us: u64,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    work: &'static str,
    name: &'a str,
    #[serde(flatten)]
    burden: Burden,
}

/// In the parent: prints a JSON line for each of two stores. Returns a table.
pub(crate) fn measure(settings: &Settings, ground: &Ground) -> Result<String> {
    let mut table = String::from("idle\n");
    let rows = [(0, "just opened"), (10_000, "after 10 k messages, a receiver waits")];
    for (messages, what) in rows {
        let name = format!("pocketmq idle, {what}");
        if settings.only.as_ref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        ground.clear()?;
        let burden = in_child(&ground.path("store"), messages, settings.scale.idle)?;
        let line = Line { work: "idle", name: &name, burden };
        println!("{}", serde_json::to_string(&line)?);
        writeln!(table, "{name}: {burden}")?;
    }
    ground.clear()?;
    Ok(table)
}

fn in_child(dir: &Path, messages: u64, time: Duration) -> Result<Burden> {
    let out = Command::new(std::env::current_exe()?)
        .arg(BE_IDLE)
        .arg(dir)
        .arg(messages.to_string())
        .arg(time.as_millis().to_string())
        .stderr(Stdio::inherit())
        .output()?;
    if !out.status.success() {
        return Err(format!("the child failed: {}", out.status).into());
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// In the child: opens a store, uses it if there are messages to send, is idle, and prints what that took.
pub(crate) fn be_idle(dir: &Path, messages: u64, time: Duration) -> Result<()> {
    let resident_before_kib = resident_kib()?;
    let start = Instant::now();
    let queue = Queue::open(dir)?;
    let open_us = u64::try_from(start.elapsed().as_micros())?;
    let waiting = if messages == 0 { None } else { Some(used(&queue, messages)?) };
    thread::sleep(SETTLED);
    let (before, _) = switches()?;
    thread::sleep(time);
    let (after, threads) = switches()?;
    let (resident_kib, disk) = (resident_kib()?, occupied(dir)?);
    queue.close()?;
    waiting.map_or(Ok(()), |thread| joined(thread.join()))?;
    let burden = Burden {
        wakeups_per_s: crate::figures::real(after - before) / time.as_secs_f64(),
        threads,
        resident_before_kib,
        resident_kib,
        disk_kib: disk >> 10,
        disk_closed_kib: occupied(dir)? >> 10,
        open_us,
    };
    println!("{}", serde_json::to_string(&burden)?);
    Ok(())
}

/// Sends and receives so many messages, and leaves a receiver behind that waits for more.
fn used(queue: &Queue, messages: u64) -> Result<thread::JoinHandle<Result<()>>> {
    fill(&queue.producer(BYTES)?, messages)?;
    let receiver: Receiver = queue.consumer(BYTES, "reader").pull()?;
    for _ in 0..messages {
        receiver.recv(TOO_LONG)?.ok_or("a message did not arrive")?.ack()?;
    }
    Ok(thread::spawn(move || match receiver.recv(Duration::MAX) {
        Err(e) if e.kind() == ErrorKind::Closed => Ok(()),
        other => Err(format!("a receiver of an idle store got {other:?}").into()),
    }))
}

/// Context switches of all threads but the first so far, and how many threads that are.
fn switches() -> Result<(u64, usize)> {
    let (mut switches, mut threads) = (0, 0);
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        if task.file_name().to_string_lossy() == std::process::id().to_string() {
            continue;
        }
        let status = fs::read_to_string(task.path().join("status"))?;
        switches += field(&status, "voluntary_ctxt_switches:")?;
        switches += field(&status, "nonvoluntary_ctxt_switches:")?;
        threads += 1;
    }
    Ok((switches, threads))
}

fn resident_kib() -> Result<u64> {
    field(&fs::read_to_string("/proc/self/status")?, "VmRSS:")
}

/// Resident memory of the process that is no file's.
pub(crate) fn anonymous_kib() -> Result<u64> {
    field(&fs::read_to_string("/proc/self/status")?, "RssAnon:")
}

/// The number behind a name at the beginning of a line.
fn field(status: &str, name: &str) -> Result<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name));
    let number = rest.and_then(|rest| rest.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("{name} is not in status"))?.parse()?)
}

impl fmt::Display for Burden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} wake-ups/s of {} threads, {} KiB resident ({} before opening), {} KiB of disk ({} closed), created in {} µs",
            self.wakeups_per_s,
            self.threads,
            self.resident_kib,
            self.resident_before_kib,
            self.disk_kib,
            self.disk_closed_kib,
            self.open_us
        )
    }
}
