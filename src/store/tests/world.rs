//! A store on a simulated disk, used like any other, with everything it says written down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::ManualClock;
use crate::codec::Raw;
use crate::consumer::{Consumer, ConsumerBuilder, Delivery};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::flush::Target;
use crate::flush::housekeeper::House;
use crate::io::Storage;
use crate::io::sim::SimDisk;
use crate::layout::Layout;
use crate::options::{Flush, Options};
use crate::producer::Producer;
use crate::store::Store;
use crate::store::report::{History, OpenReport};
use crate::sync::Arc;
use crate::topic::Topic;

use super::model::{Left, Model};

pub(super) const ROOT: &str = "/store";
/// The five pages that a record needs to be too large for the staging buffer.
pub(super) const SEGMENT: u64 = 20 << 10;
/// Ten units.
pub(super) const QUEUE_FILE: u64 = 200;
/// A body whose record goes past the staging buffer.
pub(super) const LARGE: usize = 17 << 10;

pub(super) type Bytes = Topic<[u8], Raw>;

/// The smallest files, and no threads.
pub(super) fn tiny(flush: Flush) -> Options {
    Options {
        background: false,
        journal_size: 16 << 10,
        ..Options::default()
            .flush(flush)
            .segment_size(SEGMENT)
            .queue_file_size(QUEUE_FILE)
            .staging_size(64 << 10)
    }
}

pub(super) fn layout() -> Layout {
    Layout::new(Path::new(ROOT))
}

/// Files of the disk below a folder of the store.
pub(super) fn files_in(disk: &SimDisk, dir: &Path) -> Vec<(PathBuf, u64)> {
    let dir = dir.strip_prefix("/").unwrap_or(dir);
    disk.list_all().into_iter().filter(|(path, _)| path.starts_with(dir)).collect()
}

/// A store, its disk and what it promised.
#[derive(Debug)]
pub(super) struct World {
    pub(super) disk: SimDisk,
    pub(super) clock: Arc<ManualClock>,
    pub(super) options: Options,
    pub(super) model: Model,
    /// The disk said that it lost what it was given: a kill may take as much as a power cut.
    pub(super) disk_lost: bool,
    engine: Option<Arc<Engine>>,
}

impl World {
    /// Not open yet.
    pub(super) fn on(disk: SimDisk, options: Options) -> Self {
        Self {
            disk,
            clock: Arc::new(ManualClock::at(1_700_000_000_000)),
            options,
            model: Model::default(),
            disk_lost: false,
            engine: None,
        }
    }

    /// A new store.
    pub(super) fn new(flush: Flush) -> Self {
        let mut world = Self::on(SimDisk::new(1), tiny(flush));
        world.open().unwrap();
        world
    }

    /// What the next process finds, with the same memory of what was promised.
    pub(super) fn next(&self, disk: SimDisk) -> Self {
        Self {
            disk,
            clock: Arc::clone(&self.clock),
            options: self.options.clone(),
            model: self.model.clone(),
            disk_lost: false,
            engine: None,
        }
    }

    /// The world after the death of the process, opened and compared.
    pub(super) fn after_kill(&self) -> Self {
        let mut next = self.next(self.disk.kill_image());
        let left = if self.lost() { Left::PowerCut } else { Left::Kill };
        next.open_and_check(left, "after a kill");
        next
    }

    /// The world after a power cut, opened and compared.
    pub(super) fn after_power_cut(&self, seed: u64) -> Self {
        let mut next = self.next(self.disk.power_image(seed));
        next.open_and_check(Left::PowerCut, &format!("after power cut {seed}"));
        next
    }

    pub(super) fn open_and_check(&mut self, left: Left, context: &str) {
        self.open().unwrap_or_else(|e| panic!("{context}: {e:?}"));
        self.check(left, context);
    }

    pub(super) fn check(&mut self, left: Left, context: &str) {
        let engine = self.engine();
        self.model.check(&engine, left, context);
        self.model.adopt_acks(&engine);
    }

    /// Compares the messages alone, all of them durable: somebody else decided what is acknowledged.
    pub(super) fn check_log(&mut self, context: &str) {
        let engine = self.engine();
        self.model.forget_acks();
        self.model.adopt_acks(&engine);
        self.check(Left::Kill, context);
    }

    pub(super) fn open(&mut self) -> Result<()> {
        self.engine = None;
        let storage: Arc<dyn Storage> = Arc::new(self.disk.clone());
        let clock: Arc<ManualClock> = Arc::clone(&self.clock);
        let opened = Engine::open_on(storage, clock, Path::new(ROOT), &self.options);
        self.engine = Some(self.noted(opened)?);
        Ok(())
    }

    pub(super) fn is_open(&self) -> bool {
        self.engine.is_some()
    }

    pub(super) fn engine(&self) -> Arc<Engine> {
        Arc::clone(self.engine.as_ref().expect("an open store"))
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        self.engine.as_ref().expect("an open store").store()
    }

    pub(super) fn report(&self) -> &OpenReport {
        &self.store().report
    }

    pub(super) fn history(&self) -> History {
        self.report().history
    }

    /// Lets go of the store without closing it well: what is written at the drop is the disk's business.
    pub(super) fn forget(&mut self) {
        self.engine = None;
    }

    /// Passes a result on, and remembers if the disk said that it lost something. Nobody hears what a dead process says.
    fn noted<T>(&mut self, result: Result<T>) -> Result<T> {
        if self.disk.is_crashed() {
            return Err(Error::new(ErrorKind::Io, "the process is dead"));
        }
        if let Err(e) = &result {
            self.disk_lost |= speaks_of_loss(&format!("{e}"));
        }
        result
    }

    /// Whether a sync failed anywhere.
    pub(super) fn lost(&self) -> bool {
        let poison = self.engine.as_ref().map(|e| e.store().poison.check());
        let reason = poison.and_then(Result::err).map(|e| e.to_string());
        self.disk_lost || reason.is_some_and(|reason| speaks_of_loss(&reason))
    }

    pub(super) fn producer(&mut self, topic: &str) -> Result<Producer<[u8], Raw>> {
        let made = self.store().topic(topic);
        let topic = self.noted(made)?;
        Ok(Producer::new(&self.engine(), topic))
    }

    pub(super) fn create_topic(&mut self, topic: &str, queues: u32) -> Result<()> {
        let made = self.store().create_topic(topic, queues, true).map(drop);
        self.noted(made)
    }

    /// Sends one message.
    pub(super) fn send(&mut self, topic: &str, len: usize) -> Result<u64> {
        let producer = self.producer(topic)?;
        let (id, body) = self.model.draft(topic, len);
        let sent = producer.send(&body);
        match self.noted(sent) {
            Ok(receipt) => {
                self.model.stored(id, &receipt);
                Ok(id)
            }
            Err(e) => {
                self.model.failed(id, &e);
                Err(e)
            }
        }
    }

    /// Sends several that must succeed.
    pub(super) fn send_all(&mut self, topic: &str, lens: impl IntoIterator<Item = usize>) {
        for len in lens {
            self.send(topic, len).unwrap();
        }
    }

    /// Sends messages to one queue, all or none.
    pub(super) fn send_batch(&mut self, topic: &str, lens: &[usize]) -> Result<()> {
        let producer = self.producer(topic)?;
        let drafts: Vec<_> = lens.iter().map(|len| self.model.draft(topic, *len)).collect();
        let sent = producer.send_batch(drafts.iter().map(|(_, body)| body.as_slice()));
        match self.noted(sent) {
            Ok(receipts) => {
                for ((id, _), receipt) in drafts.iter().zip(&receipts) {
                    self.model.stored(*id, receipt);
                }
                Ok(())
            }
            Err(e) => {
                // The receipt is that of the last one.
                let bare = Error::new(e.kind(), "one of a batch");
                for (id, _) in &drafts {
                    self.model.failed(*id, &bare);
                }
                Err(e)
            }
        }
    }

    /// Sends without waiting, lets the flusher make room, and waits.
    pub(super) fn submit(&mut self, topic: &str, len: usize) -> Result<()> {
        let producer = self.producer(topic)?;
        let (id, body) = self.model.draft(topic, len);
        let submitted = producer.submit(&body);
        let outcome = match self.noted(submitted) {
            Ok(ticket) => {
                if ticket.receipt().is_none() {
                    drop(self.commit());
                }
                let store = self.store();
                // What still stands in line would wait for a thread that is not there.
                if ticket.receipt().is_none() && !store.appender.lock().line.is_empty() {
                    return Ok(());
                }
                ticket.wait()
            }
            Err(e) => Err(e),
        };
        match self.noted(outcome) {
            Ok(receipt) => {
                self.model.stored(id, &receipt);
                Ok(())
            }
            Err(e) => {
                self.model.failed(id, &e);
                Err(e)
            }
        }
    }

    pub(super) fn consumer(&mut self, topic: &str, group: &str) -> Result<Consumer<[u8], Raw>> {
        let name: Bytes = Topic::named(topic)?;
        let pulled = ConsumerBuilder::new(&self.engine(), name, group).pull();
        self.noted(pulled)
    }

    /// Receives what is there, at most `max`.
    pub(super) fn receive(
        &mut self,
        consumer: &Consumer<[u8], Raw>,
        max: usize,
    ) -> Result<Vec<Delivery<Box<[u8]>>>> {
        let received = consumer.recv_batch(max, Duration::ZERO);
        self.noted(received)
    }

    /// Receives up to `max` and acknowledges those that `choose` picks by their place in the batch; the others are given back.
    pub(super) fn consume(
        &mut self,
        (topic, group): (&str, &str),
        max: usize,
        mut choose: impl FnMut(usize) -> Ack,
    ) -> Result<usize> {
        let consumer = self.consumer(topic, group)?;
        let deliveries = self.receive(&consumer, max)?;
        let count = deliveries.len();
        let mut first_error = None;
        for (nth, delivery) in deliveries.into_iter().enumerate() {
            let message = delivery.message();
            let offset = message.queue_offset().get();
            let name = (group.to_owned(), topic.to_owned(), message.queue().get());
            assert!(
                !self.model.may_be_acked(&name, offset) || self.lost(),
                "{name:?} {offset} again"
            );
            assert!(
                self.model.may_be_delivered(topic, delivery.body()),
                "{name:?} {offset} was never sent"
            );
            let durable = match choose(nth) {
                Ack::No => continue,
                Ack::Yes => false,
                Ack::Durably => true,
            };
            let acked = if durable { delivery.ack_durable() } else { delivery.ack() };
            let acked = self.noted(acked);
            if durable && acked.is_ok() {
                self.model.acks_are_durable();
            }
            self.model.acked(&name, offset, acked.as_ref().map(|()| durable).map_err(|_| ()));
            let failed = acked.err();
            first_error = first_error.or(failed);
        }
        first_error.map_or(Ok(count), Err)
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        let flushed = self.store().flush();
        self.noted(flushed)?;
        self.model.log_is_durable();
        self.model.acks_are_durable();
        Ok(())
    }

    /// The flusher's commit.
    pub(super) fn commit(&mut self) -> Result<()> {
        let done = Target::commit(&**self.store());
        self.noted(done)
    }

    /// The flusher's sync.
    pub(super) fn sync(&mut self) -> Result<()> {
        let done = Target::sync(&**self.store());
        self.noted(done)?;
        self.model.log_is_durable();
        let done = Target::settle(&**self.store());
        self.noted(done)
    }

    /// The flusher's sync of the acknowledgements.
    pub(super) fn sync_progress(&mut self) -> Result<()> {
        let done = Target::sync_progress(&**self.store());
        self.noted(done)?;
        self.model.acks_are_durable();
        Ok(())
    }

    /// The housekeeper's round.
    pub(super) fn chores(&mut self) {
        House::chores(&**self.store());
    }

    pub(super) fn close(&mut self) -> Result<()> {
        let closed = self.engine().close().map(drop);
        let closed = self.noted(closed);
        self.disk_lost |= self.lost();
        self.engine = None;
        closed?;
        self.model.log_is_durable();
        self.model.acks_are_durable();
        Ok(())
    }

    /// The store works: it takes a message, hands it out, closes, and opens without reading the log.
    pub(super) fn check_works(&mut self, context: &str) {
        let work = |world: &mut Self| {
            world.send("check", 100)?;
            world.flush()?;
            let got = world.consume(("check", "checker"), 100, |_| Ack::Yes)?;
            assert!(got > 0, "{context}: nothing was delivered");
            world.close()?;
            world.open()
        };
        work(self).unwrap_or_else(|e| panic!("{context}: {e:?}"));
        assert_eq!(self.history(), History::Clean, "{context}: {:?}", self.report());
        assert_eq!(self.report().records_scanned, 0, "{context}");
        self.check(Left::Kill, &format!("{context}, closed and opened again"));
    }
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ack {
    No,
    Yes,
    Durably,
}

fn speaks_of_loss(error: &str) -> bool {
    error.contains("sync the") || error.contains("drop cached pages")
}

/// An error that a caller can tell apart, and that is no bug.
pub(super) fn is_typed(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Full
            | ErrorKind::Io
            | ErrorKind::Poisoned
            | ErrorKind::Unconfirmed
            | ErrorKind::Closed
    )
}
