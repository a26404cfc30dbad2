//! The producer, which walks the tree, and the workers.

use std::collections::HashSet;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use pocketmq::{Consumer, Producer, Queue, ReadOnly};

use crate::args::Args;
use crate::digest::digest;
use crate::records::{self, FileResult, JOBS, Job, Outcome, RESULTS, WORKERS};
use crate::walk::{Found, TreePath, walk};

/// How long a worker waits for a job before it looks whether more will come.
const PATIENCE: Duration = Duration::from_millis(100);

/// The files that need no job: one waits, or the result is there.
///
/// This is how a walk goes on that a crash interrupted: nothing says how far it came, the queue itself does. A result is
/// sent before its job is acknowledged, so each file that was ever sent is in one of the two.
#[derive(Debug)]
pub(crate) struct Known {
    paths: HashSet<TreePath>,
    waiting: u64,
    /// Waiting jobs whose result is there: a worker had taken them before.
    again: u64,
}

impl Known {
    pub(crate) fn read(queue: &Queue, store: &ReadOnly) -> Result<Self, Box<dyn Error>> {
        let mut paths = HashSet::new();
        records::look(store, &RESULTS, |result| {
            paths.insert(result.path);
        })?;
        let mut again = 0;
        let waiting = records::waiting(queue, |job| {
            again += u64::from(!paths.insert(job.path.clone()));
        })?;
        Ok(Self { paths, waiting, again })
    }
}

/// What one run did.
#[derive(Debug)]
pub(crate) struct Done {
    /// Jobs sent.
    pub(crate) sent: u64,
    /// Jobs done.
    pub(crate) files: u64,
    /// Jobs that waited when it began, though they had been done before.
    pub(crate) again: u64,
    /// Jobs that a worker had taken and did not finish.
    pub(crate) put_back: u64,
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
}

/// What the producer and the workers share.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    args: &'a Args,
    /// Somebody pressed Ctrl-C.
    stop: &'a AtomicBool,
    /// The producer or a worker failed: the others need not go on.
    failed: AtomicBool,
    /// All jobs are sent.
    fed: AtomicBool,
    bytes: AtomicU64,
    put_back: AtomicU64,
    bar: ProgressBar,
}

impl<'a> Work<'a> {
    pub(crate) fn new(args: &'a Args, stop: &'a AtomicBool, known: &Known) -> Self {
        // Hidden by itself where stderr is no terminal.
        let bar = ProgressBar::new(known.waiting);
        let style = "{elapsed} {wide_bar} {pos}/{len} files";
        bar.set_style(
            ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let (failed, fed) = (AtomicBool::new(false), AtomicBool::new(false));
        let (bytes, put_back) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { args, stop, failed, fed, bytes, put_back, bar }
    }

    /// Sends what is not known yet, and does all jobs. Comes back early after Ctrl-C.
    pub(crate) fn run(&self, queue: &Queue, known: Known) -> Result<Done, Box<dyn Error>> {
        let began = Instant::now();
        let again = known.again;
        let jobs = queue.producer(JOBS)?;
        let results = queue.producer(RESULTS)?;
        let consumer = queue.consumer(JOBS, WORKERS).poison_guard(u32::MAX).pull()?;
        let outcome = thread::scope(|scope| {
            let workers: Vec<_> = (0..self.args.workers)
                .map(|_| {
                    let (consumer, results) = (consumer.clone(), results.clone());
                    scope.spawn(move || self.noting_failure(self.work(&consumer, &results)))
                })
                .collect();
            let sent = self.noting_failure(self.feed(&jobs, known));
            self.fed.store(true, Ordering::Release);
            let mut worked = Ok(());
            for worker in workers {
                match worker.join() {
                    Ok(outcome) => worked = worked.and(outcome),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            worked.and(sent)
        });
        self.bar.finish_and_clear();
        Ok(Done {
            sent: outcome?,
            files: self.bar.position(),
            again,
            put_back: self.put_back.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            elapsed: began.elapsed(),
        })
    }

    fn noting_failure<T>(&self, outcome: pocketmq::Result<T>) -> pocketmq::Result<T> {
        if outcome.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        outcome
    }

    fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }

    /// The producer. Returns how many jobs it sent.
    fn feed(&self, jobs: &Producer<Job>, mut known: Known) -> pocketmq::Result<u64> {
        let mut sent = 0;
        let mut see = |found| {
            if self.over() {
                return ControlFlow::Break(Ok(()));
            }
            let path = match found {
                Found::File(path) if known.paths.insert(path.clone()) => path,
                Found::File(_) => return ControlFlow::Continue(()),
                Found::Closed(why) => {
                    self.bar.suspend(|| println!("Cannot read a folder: {why}"));
                    return ControlFlow::Continue(());
                }
            };
            if let Err(e) = jobs.send(&Job { path }) {
                return ControlFlow::Break(Err(e));
            }
            sent += 1;
            self.bar.inc_length(1);
            ControlFlow::Continue(())
        };
        if let ControlFlow::Break(outcome) = walk(&self.args.root, &self.args.store, &mut see) {
            outcome?;
        }
        Ok(sent)
    }

    /// A worker: takes jobs until there are no more.
    fn work(&self, jobs: &Consumer<Job>, results: &Producer<FileResult>) -> pocketmq::Result<()> {
        while !self.over() {
            // Asked first: what was sent before it was true is found below.
            let no_more = self.fed.load(Ordering::Acquire);
            let patience = if no_more { Duration::ZERO } else { PATIENCE };
            let Some(job) = jobs.recv(patience)? else {
                if no_more {
                    break;
                }
                continue;
            };
            let Some(outcome) = self.digest(&job.path) else {
                // The job is dropped, and so received again.
                self.put_back.fetch_add(1, Ordering::Relaxed);
                break;
            };
            let result = FileResult { path: job.path.clone(), outcome };
            // In this order: a kill in between makes a second result, never a missing one.
            results.message(&result).key(result.path.as_str()).send()?;
            job.ack()?;
            self.bar.inc(1);
        }
        Ok(())
    }

    fn digest(&self, path: &TreePath) -> Option<Outcome> {
        let outcome = digest(&below(&self.args.root, path), self.stop)?;
        if let Outcome::Digest { stamp, .. } = &outcome {
            self.bytes.fetch_add(stamp.bytes, Ordering::Relaxed);
        }
        Some(outcome)
    }
}

/// Where a file of the tree is.
pub(crate) fn below(root: &Path, path: &TreePath) -> PathBuf {
    root.join(path.to_path())
}
