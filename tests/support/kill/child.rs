//! The process that is killed: producers and consumers that say of every call, once it has returned, what it did.
//!
//! One line on standard error is one `write`, which a pipe takes as a whole.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use pocketmq::{
    Consumer, Delivery, ErrorKind, Flush, Options, Producer, Queue, Raw, Receipt, Result, Topic,
};

use super::plan::{BATCH, DURABLE, GROUPS, Id, PLAIN, Rng, SUBMIT, TOPICS, WINDOW};

const ROLE: &str = "POCKETMQ_KILL_CHILD";

pub(crate) type Bytes = Topic<[u8], Raw>;
type Delivered = Delivery<Box<[u8]>>;

/// What a child is to do. Handed over in an environment variable.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) run: u64,
    pub(crate) seed: u64,
    pub(crate) sync: bool,
    pub(crate) segment_size: u64,
    /// Close after so many messages.
    pub(crate) close_after: u64,
}

impl Role {
    /// What this process is to do, if it is a child.
    pub(crate) fn mine() -> Option<Self> {
        let words = std::env::var(ROLE).ok()?;
        let numbers: Vec<u64> = words.split(' ').map(|w| w.parse().expect(ROLE)).collect();
        let [run, seed, sync, segment_size, close_after] = numbers[..] else { panic!("{words}") };
        Some(Self { run, seed, sync: sync == 1, segment_size, close_after })
    }

    /// The command that starts this program again, to play the role inside the test of that name.
    pub(crate) fn command(&self, test: &str, dir: &Path) -> Command {
        let Self { run, seed, sync, segment_size, close_after } = self;
        let program = std::env::current_exe().expect("the test's own path");
        let mut command = Command::new(program);
        command
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(ROLE, format!("{run} {seed} {} {segment_size} {close_after}", u8::from(*sync)))
            .current_dir(dir);
        command
    }

    pub(crate) fn options(&self) -> Options {
        let flush = if self.sync {
            Flush::Sync
        } else {
            Flush::Async { interval: Duration::from_millis(20) }
        };
        Queue::options()
            .flush(flush)
            .segment_size(self.segment_size)
            .queue_file_size(2000)
            .staging_size(64 << 10)
            // A slow disk is no reason to fail.
            .sync_timeout(Duration::from_secs(60))
    }
}

/// The accounting goes out before the next call is made. Without somebody who listens there is nothing to do.
fn say(line: &str) {
    let mut out = std::io::stderr().lock();
    if out.write_all(format!("{line}\n").as_bytes()).is_err() {
        std::process::exit(3);
    }
}

/// A producer for every topic.
fn producers(queue: &Queue) -> Result<Vec<Producer<[u8], Raw>>> {
    let producer = |(name, queues)| {
        queue.create_topic(name, queues)?;
        queue.producer(Bytes::new(name))
    };
    TOPICS.into_iter().map(producer).collect()
}

struct Child {
    role: Role,
    sent: AtomicU64,
    closing: AtomicBool,
    time_to_close: mpsc::SyncSender<()>,
}

/// Plays the role in the working directory, until killed or closed.
pub(crate) fn play(role: Role) {
    std::panic::set_hook(Box::new(|info| {
        say(&format!("X {}", info.to_string().replace('\n', " ")));
        std::process::exit(2);
    }));
    let (time_to_close, closing_time) = mpsc::sync_channel(1);
    let (sent, closing) = (AtomicU64::new(0), AtomicBool::new(false));
    let child = Child { role, sent, closing, time_to_close };
    say("B");
    let queue = child.role.options().open(".").unwrap();
    let report = queue.report();
    assert!(report.damage.is_empty(), "{report:?}");
    say(&format!("O {:?}", report.history));
    std::thread::scope(|scope| {
        let (child, queue) = (&child, &queue);
        for work in [Child::plain, Child::batches, Child::submits, Child::durable] {
            scope.spawn(move || child.check(producers(queue).and_then(|p| work(child, &p))));
        }
        for (number, group) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
            scope.spawn(move || child.check(child.consume(queue, group, number)));
        }
        let () = closing_time.recv().unwrap();
        child.closing.store(true, Ordering::SeqCst);
        say("C");
        queue.close().unwrap();
        say("E");
    });
}

impl Child {
    fn check(&self, outcome: Result<()>) {
        match outcome {
            Err(e)
                if self.closing.load(Ordering::SeqCst)
                    && matches!(e.kind(), ErrorKind::Closed | ErrorKind::Unconfirmed) => {}
            other => panic!("a call failed: {other:?}"),
        }
    }

    fn id(&self, producer: u8, seq: u64) -> Id {
        Id { run: self.role.run, producer, seq }
    }

    /// A call returned with these receipts, for `first` and the messages after it.
    fn sent(&self, first: Id, receipts: &[Receipt]) {
        let mut line = format!("S {} {} {}", first.producer, first.seq, first.topic());
        for receipt in receipts {
            assert_eq!(receipt.durable, self.role.sync || first.producer == DURABLE);
            let _ = write!(line, " {}:{}", receipt.queue, receipt.queue_offset);
        }
        say(&line);
        if self.sent.fetch_add(1, Ordering::SeqCst) + 1 == self.role.close_after {
            self.time_to_close.send(()).unwrap();
        }
    }

    fn plain(&self, producers: &[Producer<[u8], Raw>]) -> Result<()> {
        for seq in 0.. {
            let id = self.id(PLAIN, seq);
            let receipt = producers[id.topic()].send(&id.body())?;
            self.sent(id, &[receipt]);
        }
        Ok(())
    }

    /// Waits for the disk, whatever the store does.
    fn durable(&self, producers: &[Producer<[u8], Raw>]) -> Result<()> {
        for seq in 0.. {
            let id = self.id(DURABLE, seq);
            let body = id.body();
            let message = producers[id.topic()].message(&body).flush(Flush::Sync).key("durable");
            self.sent(id, &[message.send()?]);
        }
        Ok(())
    }

    fn batches(&self, producers: &[Producer<[u8], Raw>]) -> Result<()> {
        let mut seq = 0;
        loop {
            let first = self.id(BATCH, seq);
            let ids: Vec<Id> = (seq..seq + first.batch_len()).map(|s| self.id(BATCH, s)).collect();
            let bodies: Vec<Vec<u8>> = ids.iter().map(|id| id.body()).collect();
            let receipts = producers[first.topic()].send_batch(bodies.iter().map(Vec::as_slice))?;
            assert_eq!(receipts.len(), ids.len());
            self.sent(first, &receipts);
            seq += receipts.len() as u64;
        }
    }

    fn submits(&self, producers: &[Producer<[u8], Raw>]) -> Result<()> {
        let mut rng = Rng::new(self.role.seed);
        let mut waiting = VecDeque::new();
        for seq in 0.. {
            while waiting.len() as u64 == WINDOW || (!waiting.is_empty() && rng.one_in(3)) {
                let Some((id, ticket)) = waiting.pop_front() else { break };
                let (id, ticket): (Id, pocketmq::Ticket) = (id, ticket);
                let receipt = ticket.wait()?;
                self.sent(id, &[receipt]);
            }
            let id = self.id(SUBMIT, seq);
            waiting.push_back((id, producers[id.topic()].submit(&id.body())?));
        }
        Ok(())
    }

    /// Receives, keeps some for later, drops some, and acknowledges the rest in whatever order, in every way there is.
    fn consume(&self, queue: &Queue, group: usize, number: u64) -> Result<()> {
        producers(queue)?;
        let consumer = |(name, _)| {
            queue.consumer(Bytes::new(name), GROUPS[group]).poison_guard(u32::MAX).pull()
        };
        let consumers = TOPICS.into_iter().map(consumer).collect::<Result<Vec<_>>>()?;
        let mut rng = Rng::new(self.role.seed ^ number << 32);
        let mut kept: Vec<Vec<Delivered>> = TOPICS.map(|_| Vec::new()).into();
        loop {
            let topic = rng.index(TOPICS.len());
            let max = 1 + rng.index(16);
            let (consumer, kept) = (&consumers[topic], &mut kept[topic]);
            kept.extend(consumer.recv_batch(max, Duration::from_millis(20))?);
            rng.shuffle(kept);
            if rng.one_in(8) {
                let rest = kept.len() / 2;
                kept.truncate(rest);
            }
            let stay = kept.len().min(rng.index(8));
            let done = kept.split_off(stay);
            self.acknowledge(consumer, (group, topic), done, &mut rng)?;
        }
    }

    fn acknowledge(
        &self,
        consumer: &Consumer<[u8], Raw>,
        (group, topic): (usize, usize),
        done: Vec<Delivered>,
        rng: &mut Rng,
    ) -> Result<()> {
        let places = |done: &[Delivered]| {
            let mut words = format!("{group} {topic}");
            for delivery in done {
                let message = delivery.message();
                let id = Id::of(delivery.body());
                assert!(id.is_some_and(|id| id.run <= self.role.run), "never sent: {message:?}");
                let _ = write!(words, " {}:{}", message.queue(), message.queue_offset());
            }
            words
        };
        if rng.one_in(3) {
            let words = places(&done);
            say(&format!("a {words}"));
            consumer.ack_all(done)?;
            say(&format!("A {words}"));
            return Ok(());
        }
        for delivery in done {
            let words = places(std::slice::from_ref(&delivery));
            say(&format!("a {words}"));
            let durably = rng.below(30);
            match durably {
                0 => delivery.ack_durable()?,
                1..10 => drop(delivery.into_acked()?),
                _ => delivery.ack()?,
            }
            say(&format!("{} {words}", if durably == 0 { 'D' } else { 'A' }));
        }
        Ok(())
    }
}
