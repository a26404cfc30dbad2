//! Whether every file is done, asked of the store and of the disk.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::HumanBytes;
use pocketmq::{History, ReadOnly};

use crate::args::Args;
use crate::digest::{digest, stamp};
use crate::records::{self, ENDS, JOBS, Outcome, RESULTS, RUNS, WORKERS};
use crate::walk::{Found, TreePath, walk};
use crate::work::{Done, below};

/// How many digests are computed again, evenly spread over the tree.
const SAMPLE: usize = 200;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// Files with a result.
    files: usize,
    bytes: u64,
    /// Files whose result is an error, and folders nobody could look into.
    unreadable: usize,
    closed: usize,
    /// Files with a result that are no longer there.
    gone: usize,
    /// Digests computed again, and files passed over because they were changed since.
    checked: usize,
    changed: usize,
    /// Results beyond the first of a file, and how many there may be.
    duplicates: u64,
    duplicates_max: usize,
    /// Jobs that workers had taken when a run was stopped.
    put_back: u64,
    runs: usize,
    crashes: usize,
    /// What is wrong, one sentence each.
    failures: Vec<String>,
}

/// Compares the closed store with the disk. `None` if `stop` was set meanwhile.
pub(crate) fn prove(args: &Args, stop: &AtomicBool) -> Result<Option<Proof>, Box<dyn Error>> {
    let store = ReadOnly::open(&args.store)?;
    let mut proof = Proof::default();
    let mut results = BTreeMap::new();
    let stored = records::look(&store, &RESULTS, |result| {
        results.insert(result.path, result.outcome);
    })?;
    proof.duplicates = stored - results.len() as u64;
    proof.count(&results);
    proof.count_runs(&store)?;
    proof.check_jobs(&store)?;
    proof.check_store(&store);
    let mut tree = BTreeSet::new();
    let walked = walk(&args.root, &args.store, &mut |found| {
        match found {
            Found::File(path) => _ = tree.insert(path),
            Found::Closed(_) => proof.closed += 1,
        }
        if stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    if walked.is_break() {
        return Ok(None);
    }
    proof.compare(args, &tree, &results);
    Ok(proof.sample(args, &tree, &results, stop).then_some(proof))
}

impl Proof {
    pub(crate) fn holds(&self) -> bool {
        self.failures.is_empty()
    }

    fn count(&mut self, results: &BTreeMap<TreePath, Outcome>) {
        self.files = results.len();
        for outcome in results.values() {
            match outcome {
                Outcome::Digest { stamp, .. } => self.bytes += stamp.bytes,
                Outcome::Failed { .. } => self.unreadable += 1,
            }
        }
    }

    /// A run that was killed may have sent, for each of its workers, one result whose job it did not acknowledge any more.
    fn count_runs(&mut self, store: &ReadOnly) -> Result<(), Box<dyn Error>> {
        let mut workers_before = 0;
        records::look(store, &RUNS, |run| {
            self.runs += 1;
            if run.after_crash {
                self.crashes += 1;
                self.duplicates_max += workers_before;
            }
            workers_before = run.workers;
        })?;
        records::look(store, &ENDS, |end| self.put_back += end.put_back)?;
        if self.duplicates > self.duplicates_max as u64 {
            self.failures.push(format!(
                "{} results are there twice; the crashes explain {} at most",
                self.duplicates, self.duplicates_max
            ));
        }
        Ok(())
    }

    /// Every job is acknowledged, and was sent once.
    fn check_jobs(&mut self, store: &ReadOnly) -> Result<(), Box<dyn Error>> {
        let mut paths = HashSet::new();
        let sent = records::look(store, &JOBS, |job| {
            paths.insert(job.path);
        })?;
        let again = sent - paths.len() as u64;
        if again > 0 {
            self.failures.push(format!(
                "{again} jobs had to be sent again: they were acknowledged, but their results were lost. Killing a process \
                 cannot do that; a power cut can"
            ));
        }
        let offsets = store.group_offsets();
        let workers = offsets.iter().filter(|o| o.group == WORKERS && o.topic == JOBS.name());
        let done: u64 = workers.map(|o| o.offset.get() + o.acked_above).sum();
        if done != sent {
            self.failures.push(format!("{done} of {sent} jobs are acknowledged"));
        }
        Ok(())
    }

    /// The store was closed, and every message in it can be read.
    fn check_store(&mut self, store: &ReadOnly) {
        let report = store.report();
        if report.history != History::Clean {
            self.failures.push(format!("the store was closed, but looks {:?}", report.history));
        }
        for damage in &report.damage {
            let (file, offset, what) = (damage.file.display(), damage.offset, &damage.what);
            self.failures.push(format!("the store is damaged: {file} at {offset}: {what}"));
        }
    }

    fn compare(
        &mut self,
        args: &Args,
        tree: &BTreeSet<TreePath>,
        results: &BTreeMap<TreePath, Outcome>,
    ) {
        let missing: Vec<_> = tree.iter().filter(|path| !results.contains_key(path)).collect();
        if let Some(first) = missing.first() {
            self.failures.push(format!(
                "{} files have no result, among them {first} (if they are new, run again)",
                missing.len()
            ));
        }
        for path in results.keys().filter(|path| !tree.contains(path)) {
            if stamp(&below(&args.root, path)).is_ok() {
                self.failures.push(format!("{path} has a result, but the walk did not meet it"));
            } else {
                self.gone += 1;
            }
        }
    }

    /// Computes some digests again. `false` if `stop` was set meanwhile.
    fn sample(
        &mut self,
        args: &Args,
        tree: &BTreeSet<TreePath>,
        results: &BTreeMap<TreePath, Outcome>,
        stop: &AtomicBool,
    ) -> bool {
        let digests: Vec<_> = tree
            .iter()
            .filter_map(|path| match results.get(path)? {
                Outcome::Digest { sha256, stamp } => Some((path, sha256, stamp)),
                Outcome::Failed { .. } => None,
            })
            .collect();
        let count = SAMPLE.min(digests.len());
        let spread = (0..count).filter_map(|nth| digests.get(nth * digests.len() / count));
        for &(path, was, at) in spread {
            match digest(&below(&args.root, path), stop) {
                None => return false,
                Some(Outcome::Digest { sha256, stamp }) if stamp == *at => {
                    self.checked += 1;
                    if sha256 != *was {
                        self.failures.push(format!("{path} has the digest {sha256}, not {was}"));
                    }
                }
                Some(_) => self.changed += 1,
            }
        }
        true
    }

    pub(crate) fn print(&self, done: &Done) {
        println!(
            "\n  files       {} ({} unreadable, {} gone since; {} folders unreadable)",
            self.files, self.unreadable, self.gone, self.closed
        );
        println!("  bytes       {} ({})", self.bytes, HumanBytes(self.bytes));
        let messages = u128::from(done.sent + done.files);
        if messages > 0 {
            println!(
                "  this run    {} jobs sent, {} done ({} of them again), {} read in {:.2} s",
                done.sent,
                done.files,
                done.again,
                HumanBytes(done.bytes),
                done.elapsed.as_secs_f64()
            );
            let per_second = messages * 1_000_000_000 / done.elapsed.as_nanos().max(1);
            println!("  messages/s  {per_second} (jobs and results stored)");
        }
        // A delivery leaves a trace where its result was sent, or where the program put it back itself. A worker that was killed
        // before its result leaves none.
        let untold = (self.duplicates_max as u64).saturating_sub(self.duplicates);
        println!(
            "  redelivered {} jobs for certain: {} had a result already, {} were put back at Ctrl-C;",
            self.duplicates + self.put_back,
            self.duplicates,
            self.put_back
        );
        println!("              at most {untold} more were in a worker's hands when it was killed");
        println!(
            "  duplicates  {} results of redelivered jobs (the crashes allow {})",
            self.duplicates, self.duplicates_max
        );
        println!("  crashes     {} in {} runs", self.crashes, self.runs);
        println!(
            "  sample      {} digests computed again, {} files changed since",
            self.checked, self.changed
        );
        for failure in &self.failures {
            println!("\nNOT PROVEN: {failure}.");
        }
        if self.holds() {
            println!("\nProven: each file has a result.");
        }
    }
}
