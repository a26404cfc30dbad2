//! The process whose calls fail: it sends and acknowledges in every way, says what returned `Ok`, and goes on after errors.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use pocketmq::{Flush, Options, Producer, Queue, Raw, Receipt, Result};

use crate::support::kill::child::{Bytes, Role};
use crate::support::kill::plan::{BATCH, GROUPS, Id, PLAIN, TICKETS, TOPICS};

/// How often everything is done: enough for a few log files and queue files.
const ROUNDS: u64 = 16;

pub(crate) fn options(sync: bool) -> Options {
    let role = Role { run: 0, seed: 0, sync, segment_size: 64 << 10, close_after: 0 };
    role.options().sync_timeout(Duration::from_secs(5))
}

/// One line on standard error, in one `write`: what a call did is out before the next one is made.
fn say(line: &str) {
    let mut out = std::io::stderr().lock();
    if out.write_all(format!("{line}\n").as_bytes()).is_err() {
        std::process::exit(3);
    }
}

struct Work {
    /// A new number after every error: what was sent under the old one ends there.
    run: u64,
    seqs: [u64; 8],
}

/// Opens the store, uses it and closes it, whatever fails; `end` instead of closing: by SIGKILL, if so wanted.
pub(crate) fn work(dir: &Path, run: u64, sync: bool, kill: bool) {
    std::panic::set_hook(Box::new(|info| {
        say(&format!("X {}", info.to_string().replace('\n', " ")));
        std::process::exit(2);
    }));
    let queue = match options(sync).open(dir) {
        Ok(queue) => queue,
        Err(e) => return say(&format!("E open {e}")),
    };
    let mut work = Work { run, seqs: [0; 8] };
    say(&format!("R {run}"));
    let producers = loop {
        match producers(&queue) {
            Ok(producers) => break producers,
            Err(e) if work.run == run => work.failed("topics", &e),
            Err(e) => {
                work.failed("topics again", &e);
                say(&format!("C {:?}", queue.close().map_err(|e| e.kind())));
                return;
            }
        }
    };
    for round in 0..ROUNDS {
        work.round(round, &queue, &producers);
    }
    if kill {
        let id = std::process::id().to_string();
        drop(std::process::Command::new("kill").args(["-9", &id]).status());
    }
    say(&format!("C {:?}", queue.close().map_err(|e| e.kind())));
}

fn producers(queue: &Queue) -> Result<Vec<Producer<[u8], Raw>>> {
    let producer = |(name, queues)| {
        queue.create_topic(name, queues)?;
        queue.producer(Bytes::new(name))
    };
    TOPICS.into_iter().map(producer).collect()
}

impl Work {
    fn failed(&mut self, what: &str, error: &pocketmq::Error) {
        say(&format!("E {what} {error}"));
        self.run += 1;
        self.seqs = [0; 8];
        say(&format!("R {}", self.run));
    }

    fn id(&self, producer: u8, ahead: u64) -> Id {
        Id { run: self.run, producer, seq: self.seqs[usize::from(producer)] + ahead }
    }

    fn round(&mut self, round: u64, queue: &Queue, producers: &[Producer<[u8], Raw>]) {
        for one in 0..4 {
            let id = self.id(PLAIN, 0);
            let body = id.body();
            let mut message = producers[id.topic()].message(&body);
            if one == 3 {
                message = message.flush(Flush::Sync);
            }
            let outcome = message.send().map(|receipt| vec![receipt]);
            self.sent(id, outcome);
        }
        let first = self.id(BATCH, 0);
        let bodies: Vec<_> = (0..first.batch_len()).map(|n| self.id(BATCH, n).body()).collect();
        let outcome = producers[first.topic()].send_batch(bodies.iter().map(Vec::as_slice));
        self.sent(first, outcome);
        let ids = TICKETS.map(|producer| self.id(producer, 0));
        let tickets = ids.map(|id| producers[id.topic()].submit(&id.body()));
        let mut failed = None;
        for (id, ticket) in ids.into_iter().zip(tickets) {
            match ticket.and_then(pocketmq::Ticket::wait) {
                Ok(receipt) => self.sent(id, Ok(vec![receipt])),
                Err(e) => failed = Some(e),
            }
        }
        // Only now does the run end: the others still belong to it.
        if let Some(e) = failed {
            self.failed("submit", &e);
        }
        if round % 4 == 1
            && let Err(e) = queue.flush()
        {
            self.failed("flush", &e);
        }
        if round % 2 == 1
            && let Err(e) = Self::consume(queue)
        {
            self.failed("consume", &e);
        }
    }

    fn sent(&mut self, first: Id, outcome: Result<Vec<Receipt>>) {
        match outcome {
            Ok(receipts) => {
                let mut line = format!("S {} {} {}", first.producer, first.seq, first.topic());
                for receipt in &receipts {
                    let _ = write!(line, " {}:{}", receipt.queue, receipt.queue_offset);
                }
                say(&line);
                self.seqs[usize::from(first.producer)] += receipts.len() as u64;
            }
            Err(e) => self.failed("send", &e),
        }
    }

    /// Acknowledges every second message of what is there.
    fn consume(queue: &Queue) -> Result<()> {
        for (topic, (name, _)) in TOPICS.into_iter().enumerate() {
            let consumer = queue.consumer(Bytes::new(name), GROUPS[0]).pull()?;
            let batch = consumer.recv_batch(20, Duration::ZERO)?;
            for (n, delivery) in batch.into_iter().enumerate().filter(|(n, _)| n % 2 == 0) {
                let message = delivery.message();
                let place = format!("{} {topic} {}:{}", 0, message.queue(), message.queue_offset());
                say(&format!("a {place}"));
                if n % 8 == 0 {
                    delivery.ack_durable()?;
                } else {
                    delivery.ack()?;
                }
                say(&format!("A {place}"));
            }
        }
        Ok(())
    }
}
