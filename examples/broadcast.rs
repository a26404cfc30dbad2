//! Broadcasting: everybody who subscribes to a topic sees every message of it.
//!
//! ```sh
//! cargo run --example broadcast -- [DIRECTORY]
//! ```
//!
//! A thermometer publishes, a display follows along, and a slow archive, which is durable under a name, comes behind. The queue is
//! closed in the middle of it and opened again: the archive goes on where it was, the display begins with what is new.
//! The directory (a new one in the temporary folder, if none is named) is kept; run it again, and the archive goes on there.

#![expect(clippy::print_stdout, reason = "a command-line program talks to its user")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use pocketmq::{Queue, Start, Topic};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Reading {
    minute: u32,
    celsius: f64,
}

const READINGS: Topic<Reading> = Topic::new("readings");

/// How many are published each time the queue is open.
const MINUTES: u32 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let named = std::env::args_os().nth(1).map(PathBuf::from);
    let dir = named.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("pocketmq-broadcast-{}", std::process::id()))
    });
    // Closed when the archive is half through.
    let archived = session(&dir, 0, MINUTES / 2)?;
    println!("closed; the archive has {archived} of {MINUTES}, the queue has the rest");
    let archived = session(&dir, MINUTES, u32::MAX)?;
    println!("the archive got {archived} more, the first of them once again");
    println!("the queue is in {}", dir.display());
    Ok(())
}

/// Publishes, and lets the display see all of it and the archive at most `patience` of what it has not. Says how many those were.
fn session(dir: &Path, first: u32, patience: u32) -> pocketmq::Result<u32> {
    let queue = Queue::open(dir)?;
    let display = queue.subscribe(READINGS).open()?;
    let mut archive = queue.subscribe(READINGS).name("archive").start(Start::Earliest).open()?;

    let display = thread::spawn(move || -> pocketmq::Result<f64> {
        let mut highest = f64::MIN;
        for reading in display.take(MINUTES as usize) {
            let reading = reading?;
            println!("display: minute {} {:.1} °C", reading.minute, reading.celsius);
            highest = highest.max(reading.celsius);
        }
        Ok(highest)
    });
    let readings = queue.producer(READINGS)?;
    for minute in first..first + MINUTES {
        readings.send(&Reading { minute, celsius: 20.0 + f64::from(minute % 7) })?;
    }
    let highest = display.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    println!("display: never above {highest:.1} °C");

    let mut archived = 0;
    while archived < patience {
        // Asking for the next one says that the one before is archived.
        let Some(reading) = archive.recv(Duration::ZERO)? else { break };
        if reading.missed_before() > 0 {
            println!("archive: {} are gone", reading.missed_before());
        }
        println!("archive: minute {}", reading.minute);
        archived += 1;
    }
    queue.close()?;
    Ok(archived)
}
