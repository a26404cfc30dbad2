//! A queue and its model, side by side: opened, used, left, opened again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pocketmq::{
    CodecError, Consumer, Decode, Delivery, Encode, ErrorKind, Flush, History, Message, Options,
    Producer, Queue, Raw, Reads, Result, Topic,
};
use tempfile::TempDir;

use super::check::compare;
use super::expected::{Model, Progress};
use super::ops::{Leave, Op, Opening, Setup};

/// Bytes, but not those that begin with 255.
pub(super) struct Picky;

impl Encode<[u8]> for Picky {
    fn encode(value: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        Raw::encode(value, out)
    }
}

impl Decode<[u8]> for Picky {
    type Owned = Box<[u8]>;

    fn decode(body: &[u8]) -> Result<Box<[u8]>, CodecError> {
        if body.first() == Some(&u8::MAX) { Err("255".into()) } else { Raw::decode(body) }
    }
}

pub(super) type Delivered = Delivery<Box<[u8]>>;

/// For what must come, however slow the disk.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// A queue and its model, side by side.
pub(crate) struct World {
    pub(super) setup: Setup,
    pub(super) dir: Option<TempDir>,
    pub(super) queue: Queue,
    pub(super) consumers: BTreeMap<(u8, u8), Consumer<[u8], Picky>>,
    /// In hand, by group and topic, in the order they came.
    pub(super) held: Vec<((u8, u8), Delivered)>,
    pub(super) model: Model,
    /// A message was sent that readers see only when it is durable, and nobody waited for that.
    pub(super) unsettled: bool,
}

fn options(setup: &Setup, opening: Opening) -> Options {
    Queue::options()
        .segment_size(setup.segment_size)
        .queue_file_size(200)
        .default_queues(setup.default_queues)
        .staging_size(opening.staging_size)
        .flush(if opening.sync { Flush::Sync } else { Flush::default() })
        .reads(if opening.copied { Reads::Copied } else { Reads::Mapped })
        // A slow disk is no reason to fail.
        .sync_timeout(SOON)
}

pub(super) fn topic_name(topic: u8) -> String {
    format!("topic-{topic}")
}

pub(super) fn group_name(group: u8) -> String {
    format!("group-{group}")
}

pub(super) fn place(message: &Message) -> (u32, u64) {
    (message.queue().get(), message.queue_offset().get())
}

impl World {
    pub(crate) fn on_disk(setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let queue = options(&setup, setup.opening).open(dir.path()).unwrap();
        Self::new(setup, queue, Some(dir))
    }

    pub(crate) fn in_memory(setup: Setup) -> Self {
        let queue = options(&setup, setup.opening).in_memory().unwrap();
        Self::new(setup, queue, None)
    }

    fn new(setup: Setup, queue: Queue, dir: Option<TempDir>) -> Self {
        assert_eq!(queue.report().history, History::New);
        let (consumers, held, mut model) = (BTreeMap::new(), Vec::new(), Model::default());
        model.volatile = dir.is_none();
        Self { setup, dir, queue, consumers, held, model, unsettled: false }
    }

    pub(crate) fn run(mut self, ops: Vec<Op>) {
        for op in ops {
            self.step(op);
            self.check();
        }
        self.finish();
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Create { topic, queues } => self.create(topic, queues),
            Op::Send { topic, size, manner, bad } => self.send(topic, size, manner, bad),
            Op::Batch { topic, sizes } => self.batch(topic, &sizes),
            Op::Submit { topic, sizes } => self.submit(topic, &sizes),
            Op::Join { group, topic, from } => self.join(group, topic, from),
            Op::Quit { group, topic } => drop(self.consumers.remove(&(group, topic))),
            Op::Receive { group, topic, max } => self.receive(group, topic, max),
            Op::Ack { which, how } => self.ack(which, how),
            Op::AckAll { group, topic, mask } => self.ack_all((group, topic), mask),
            Op::GiveBack { which } => self.give_back(which),
            Op::Flush => self.flush(),
            Op::Reopen { leave, opening } => self.reopen(leave, opening),
        }
    }

    fn create(&mut self, topic: u8, queues: u32) {
        let created = self.queue.create_topic(&topic_name(topic), queues);
        if self.model.create(topic, queues).queues.len() == queues as usize {
            created.unwrap();
        } else {
            assert_eq!(created.unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
    }

    pub(super) fn producer(&mut self, topic: u8) -> Producer<[u8], Picky> {
        self.model.create(topic, self.setup.default_queues);
        self.queue.producer(Topic::named(topic_name(topic)).unwrap()).unwrap()
    }

    pub(super) fn flush(&mut self) {
        self.queue.flush().unwrap();
        self.unsettled = false;
    }

    fn reopen(&mut self, leave: Leave, opening: Opening) {
        let Some(dir) = &self.dir else { return };
        let mut expected = History::Clean;
        match leave {
            Leave::Close => self.close(),
            Leave::Drop => {}
            Leave::Copy => {
                expected = History::Crashed;
                self.queue.flush().unwrap();
                let copy = tempfile::tempdir().unwrap();
                copy_folder(dir.path(), copy.path());
                self.dir = Some(copy);
            }
        }
        let path = self.dir.as_ref().unwrap().path().to_path_buf();
        let old = std::mem::take(&mut self.held);
        self.consumers.clear();
        // Takes the place of the last handle, which closes the store.
        self.queue = Queue::in_memory().unwrap();
        self.queue = options(&self.setup, opening).open(path).unwrap();
        self.setup.opening = opening;
        self.unsettled = false;
        let report = self.queue.report();
        assert_eq!(report.history, expected);
        assert!(report.damage.is_empty(), "{report:?}");
        assert_eq!(report.bytes_cut, 0);
        assert!(expected == History::Crashed || report.records_scanned == 0, "{report:?}");
        // What was in hand stays readable, and is worth nothing.
        for (at, delivery) in old {
            let (queue, offset) = place(delivery.message());
            compare(
                self.model.topics[&at.1].queues[queue as usize].message(offset),
                delivery.message(),
            );
            assert_eq!(delivery.ack().unwrap_err().kind(), ErrorKind::Closed);
        }
        self.model.reopened();
    }

    fn close(&self) {
        let report = self.queue.close_with_report().unwrap();
        let above_gaps: u64 = self.model.groups.values().flatten().map(Progress::above_gaps).sum();
        assert!(report.broker_ready);
        assert_eq!(report.acked_above_gaps, above_gaps);
        for consumer in self.consumers.values() {
            let received = consumer.recv(Duration::ZERO);
            assert_eq!(received.unwrap_err().kind(), ErrorKind::Closed);
        }
        assert_eq!(self.queue.stats().unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(self.queue.flush().unwrap_err().kind(), ErrorKind::Closed);
    }
}

/// Copies the folder of a store in use, as a kill at some moment leaves it: its own threads may be at work after a roll, and halves of two
/// moments are none. So it is read until it is twice the same.
fn copy_folder(from: &Path, to: &Path) {
    let mut before = None;
    let image = loop {
        let now = image(from).ok();
        match now {
            Some(now) if before.as_ref() == Some(&now) => break now,
            now => before = now,
        }
    };
    for (path, bytes) in image {
        let path = to.join(path);
        match bytes {
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
            None => std::fs::create_dir(path).unwrap(),
        }
    }
}

/// The bytes of each file, and the folders, which come before what is in them. An error if something went away meanwhile.
fn image(root: &Path) -> std::io::Result<BTreeMap<PathBuf, Option<Vec<u8>>>> {
    let (mut all, mut folders) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.strip_prefix(root).unwrap().to_path_buf();
            if path.is_dir() {
                all.insert(name, None);
                folders.push(path);
            } else {
                all.insert(name, Some(std::fs::read(path)?));
            }
        }
    }
    Ok(all)
}
