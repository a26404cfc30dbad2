//! SHA-256 of every file of a tree, by workers that may be killed at any time.
//!
//! ```text
//! cargo run --release --example file_digests -- [DIR] [--store DIR] [--workers N]
//! ```
//!
//! One thread walks the tree and sends a job for each file. Workers take the jobs, compute the digests, send them as results
//! and only then acknowledge the jobs. Stop it with Ctrl-C, or kill it with `kill -9`, and run it again with the same store:
//! it goes on and ends with every file done. Then it proves that, from what is in the store and on the disk.
//!
//! - `records`: the messages and topics, and how to read a topic without consuming it.
//! - `walk`: files below a folder, and paths as text.
//! - `digest`: one file.
//! - `work`: the producer and the workers.
//! - `proof`: the check at the end.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]
#![expect(clippy::disallowed_methods, reason = "files and clock of a program, not of the library")]

mod args;
mod digest;
mod proof;
mod records;
mod walk;
mod work;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pocketmq::{ErrorKind, History, Queue, ReadOnly};

use args::Args;
use records::{ENDS, End, RUNS, Run};
use walk::TreePath;
use work::{Known, Work};

/// What a shell says of a program that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match Args::parse().and_then(|args| args.map_or(Ok(ExitCode::SUCCESS), |args| run(&args))) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("file_digests: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let stop = stop_flag()?;
    let queue = match Queue::open(&args.store) {
        Err(e) if e.kind() == ErrorKind::Locked => {
            return Err(format!("another run is using this store: {e}").into());
        }
        opened => opened?,
    };
    println!("Files: {}\nStore: {}", args.root.display(), args.store.display());
    say_how_it_was_left(&queue);
    let before = ReadOnly::open(&args.store)?;
    note_run(&queue, &before, args)?;
    let known = Known::read(&queue, &before)?;
    let done = Work::new(args, &stop, &known).run(&queue, known)?;
    queue.producer(ENDS)?.send(&End { put_back: done.put_back })?;
    queue.close()?;
    if stop.load(Ordering::Relaxed) {
        return Ok(interrupted());
    }
    if done.files == 0 && done.sent == 0 {
        println!("Everything is done already.");
    }
    let Some(proof) = proof::prove(args, &stop)? else { return Ok(interrupted()) };
    proof.print(&done);
    Ok(if proof.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Set by the first Ctrl-C; the second one does not wait for anything.
fn stop_flag() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    })?;
    Ok(stop)
}

fn interrupted() -> ExitCode {
    println!("Stopped. Run the same command again: it goes on from here.");
    ExitCode::from(INTERRUPTED)
}

fn say_how_it_was_left(queue: &Queue) {
    let report = queue.report();
    match report.history {
        History::New | History::Clean => {}
        History::Crashed => println!(
            "The last run was killed: {} records looked at, {} taken from the staging buffer, {} torn bytes cut off.",
            report.records_scanned, report.records_replayed, report.bytes_cut
        ),
        other => println!("The store was changed by another program ({other:?})."),
    }
    for note in &report.notes {
        println!("Note: {note}");
    }
}

/// Writes down that a run begins, and how the one before ended. Refuses a store that belongs to another tree.
fn note_run(queue: &Queue, store: &ReadOnly, args: &Args) -> Result<(), Box<dyn Error>> {
    let asked = TreePath::of(&args.root);
    let mut root = None;
    records::look(store, &RUNS, |before| root = Some(before.root))?;
    let root = root.unwrap_or_else(|| asked.clone());
    let refused = root != asked;
    // A refused run closes the queue, so nobody after it learns of the crash before it.
    let run = Run {
        root: root.clone(),
        workers: if refused { 0 } else { args.workers },
        after_crash: queue.report().history == History::Crashed,
    };
    queue.producer(RUNS)?.send(&run)?;
    if refused {
        let root = root.to_path();
        return Err(format!("this store is about {}; name another --store", root.display()).into());
    }
    Ok(())
}
