//! What is sent: jobs, results, and a record of each run.

use std::error::Error;
use std::time::Duration;

use pocketmq::{Decode, Json, Queue, ReadOnly, Topic};
use serde::{Deserialize, Serialize};

use crate::walk::TreePath;

/// One for each file of the tree.
pub(crate) const JOBS: Topic<Job> = Topic::new("file-jobs");
/// One for each file that is done; one more where a worker was killed between the result and the acknowledgement.
pub(crate) const RESULTS: Topic<FileResult> = Topic::new("file-results");
/// One for each start of the program.
pub(crate) const RUNS: Topic<Run> = Topic::new("runs");

/// One for each run that came to an end by itself or by Ctrl-C; none for one that was killed.
pub(crate) const ENDS: Topic<End> = Topic::new("ends");

/// The group that does the jobs.
pub(crate) const WORKERS: &str = "workers";

/// "Compute the digest of this file."
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) path: TreePath,
}

/// What became of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FileResult {
    pub(crate) path: TreePath,
    pub(crate) outcome: Outcome,
}

/// A digest, or why there is none.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// In hexadecimal digits, with the state of the file it belongs to.
    Digest { sha256: String, stamp: Stamp },
    /// The file could not be read.
    Failed { error: String },
}

/// Tells whether a file was changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) bytes: u64,
    pub(crate) modified_s: i64,
    pub(crate) modified_ns: i64,
}

/// One start of the program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) root: TreePath,
    pub(crate) workers: usize,
    /// The run before was killed.
    pub(crate) after_crash: bool,
}

/// The end of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct End {
    /// Jobs that a worker had taken and did not finish: another run's worker gets them.
    pub(crate) put_back: u64,
}

/// Shows every message of a topic to `see`, in the order they were sent, and takes none away. Returns how many there are.
pub(crate) fn look<T>(
    store: &ReadOnly,
    topic: &Topic<T>,
    mut see: impl FnMut(T),
) -> Result<u64, Box<dyn Error>>
where
    Json: Decode<T, Owned = T>,
{
    let topics = store.topics();
    let Some(found) = topics.iter().find(|t| t.name == topic.name()) else { return Ok(0) };
    let mut seen = 0;
    for queue in &found.queues {
        for message in store.messages(topic.name(), queue.id) {
            let message = message?;
            let unreadable = |e| format!("message {} of {}: {e}", message.id(), topic.name());
            see(Json::decode(message.body()).map_err(unreadable)?);
            seen += 1;
        }
    }
    Ok(seen)
}

/// Shows all jobs to `see` that the workers have not acknowledged. Before they start: what they have in hand is not shown.
pub(crate) fn waiting(queue: &Queue, mut see: impl FnMut(&Job)) -> Result<u64, Box<dyn Error>> {
    let consumer = queue.consumer(JOBS, WORKERS).poison_guard(u32::MAX).pull()?;
    // Held until the end: a delivery that is dropped comes back at once.
    let mut held = Vec::new();
    loop {
        let batch = consumer.recv_batch(1024, Duration::ZERO)?;
        if batch.is_empty() {
            break;
        }
        for job in &batch {
            see(job);
        }
        held.extend(batch);
    }
    let groups = queue.stats()?.groups;
    let workers = groups.iter().find(|g| g.group == WORKERS && g.topic == JOBS.name());
    let (read, backlog) = (held.len() as u64, workers.map_or(0, |g| g.backlog));
    if read != backlog {
        // What does not decode is passed over in silence.
        return Err(format!("{read} of {backlog} waiting jobs could be read").into());
    }
    Ok(read)
}
