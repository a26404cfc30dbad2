//! `fjall`: a log-structured key-value store; the key is the message's number. Checksums, and a keyspace for what would be a topic.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::Result;
use crate::peer::{JobPeer, Jobs, Living, Log, Peer, Plan, Seeing, Tail, Working, Writing};

pub(crate) struct Fjall;

#[derive(Clone)]
struct Messages {
    database: Database,
    keyspace: Keyspace,
    next: Arc<AtomicU64>,
    durable: bool,
    /// No job below is left. Without it, each look for the first would go through all that were removed.
    jobs_from: u64,
}

fn open(dir: &Path, durable: bool) -> Result<Messages> {
    let database = Database::builder(dir).open()?;
    let keyspace = database.keyspace("messages", KeyspaceCreateOptions::default)?;
    Ok(Messages { database, keyspace, next: Arc::default(), durable, jobs_from: 0 })
}

impl Peer for Fjall {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn durable(&self) -> Option<&'static str> {
        Some("fdatasync")
    }

    fn reads_checked(&self) -> bool {
        true
    }

    fn write(&self, dir: &Path, plan: Plan, work: &mut Writing<'_>) -> Result<()> {
        work(&mut open(dir, plan.durable)?)
    }

    fn read(&self, dir: &Path, plan: Plan, seen: &mut Seeing<'_>) -> Result<()> {
        for item in open(dir, plan.durable)?.keyspace.iter() {
            seen(&item.value()?);
        }
        Ok(())
    }

    fn live(&self, dir: &Path, plan: Plan, work: &mut Living<'_>) -> Result<()> {
        let mut messages = open(dir, plan.durable)?;
        let mut tail = Following { keyspace: messages.keyspace.clone(), at: 0 };
        work(&mut messages, &mut tail)
    }
}

impl Log for Messages {
    fn append(&mut self, body: &[u8]) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.keyspace.insert(number.to_be_bytes(), body)?;
        if self.durable {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }

    fn append_many(&mut self, body: &[u8], count: u64) -> Result<()> {
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        let mut batch = self.database.batch();
        if self.durable {
            batch = batch.durability(Some(PersistMode::SyncData));
        }
        for number in first..first + count {
            batch.insert(&self.keyspace, number.to_be_bytes(), body);
        }
        Ok(batch.commit()?)
    }

    fn another(&self) -> Option<Box<dyn Log>> {
        Some(Box::new(self.clone()))
    }
}

struct Following {
    keyspace: Keyspace,
    at: u64,
}

impl Tail for Following {
    fn next(&mut self, max: usize, seen: &mut Seeing<'_>) -> Result<usize> {
        let mut read = 0;
        for item in self.keyspace.range(self.at.to_be_bytes()..).take(max) {
            seen(&item.value()?);
            read += 1;
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl JobPeer for Fjall {
    fn name(&self) -> &'static str {
        "fjall (bare FIFO)"
    }

    fn work(&self, dir: &Path, work: &mut Working<'_>) -> Result<()> {
        work(&mut open(dir, false)?)
    }
}

/// The first key is the first job. There is no lease: with a second worker, two would have the same job.
impl Jobs for Messages {
    fn send(&mut self, body: &[u8]) -> Result<()> {
        self.append(body)
    }

    fn take(&mut self) -> Result<Option<u64>> {
        let mut waiting = self.keyspace.range(self.jobs_from.to_be_bytes()..);
        let Some(first) = waiting.next() else { return Ok(None) };
        let (key, _body) = first.into_inner()?;
        Ok(Some(u64::from_be_bytes(key.as_ref().try_into()?)))
    }

    fn ack(&mut self, job: u64) -> Result<()> {
        self.jobs_from = job + 1;
        Ok(self.keyspace.remove(job.to_be_bytes())?)
    }
}
