//! A disk that does not answer, and many threads.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::*;
use crate::codec::Raw;
use crate::io::{Entry, Eviction, LockGuard, MapAccess, Mapping, OpenMode, StoreFile};
use crate::options::Flush;
use crate::producer::Producer;
use crate::sync::{AtomicBool, AtomicUsize, Condvar, Ordering};
use crate::{ErrorKind, Start};

mod closing;
mod ordered;
mod queue_ordered;
mod races;
mod receiving;
mod sleeping;
mod subscribing;

/// Memory whose syncs of log files wait while the gate is shut.
#[derive(Debug)]
struct Gated {
    inner: Memory,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    shut: Mutex<bool>,
    /// How many wait.
    inside: AtomicUsize,
    changed: Condvar,
    /// Syncs fail instead.
    broken: AtomicBool,
    /// The first queue's files cannot be read.
    unreadable: AtomicBool,
}

impl Gate {
    fn set(&self, shut: bool) {
        *self.shut.lock() = shut;
        self.changed.notify_all();
    }

    fn pass(&self) -> std::io::Result<()> {
        let mut shut = self.shut.lock();
        while *shut {
            self.inside.fetch_add(1, Ordering::SeqCst);
            self.changed.notify_all();
            self.changed.wait(&mut shut);
            self.inside.fetch_sub(1, Ordering::SeqCst);
        }
        drop(shut);
        if self.broken.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("the disk is gone"));
        }
        Ok(())
    }

    fn wait_until_somebody_waits(&self) {
        let mut shut = self.shut.lock();
        while self.inside.load(Ordering::SeqCst) == 0 {
            self.changed.wait(&mut shut);
        }
    }

    /// Lets everybody through, into a failure.
    fn break_open(&self) {
        self.broken.store(true, Ordering::SeqCst);
        self.set(false);
    }
}

#[derive(Debug)]
struct GatedFile {
    inner: Arc<dyn StoreFile>,
    gate: Option<Arc<Gate>>,
    /// Of a file of the first queue.
    unreadable: Option<Arc<Gate>>,
}

impl Storage for Gated {
    fn open(&self, path: &Path, mode: OpenMode) -> std::io::Result<Arc<dyn StoreFile>> {
        let is_log = path.parent().is_some_and(|p| p.ends_with("commitlog"));
        let is_queue = path.parent().is_some_and(|p| p.ends_with("consumequeue/t/0"));
        let gate = is_log.then(|| Arc::clone(&self.gate));
        let unreadable = is_queue.then(|| Arc::clone(&self.gate));
        Ok(Arc::new(GatedFile { inner: self.inner.open(path, mode)?, gate, unreadable }))
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<Entry>> {
        self.inner.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> std::io::Result<()> {
        self.inner.create_dir_all(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> std::io::Result<()> {
        self.inner.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> std::io::Result<()> {
        self.inner.remove_dir(path)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        self.inner.sync_dir(dir)
    }
    fn sync_all(&self, root: &Path) -> std::io::Result<()> {
        self.inner.sync_all(root)
    }
    fn lock(&self, path: &Path) -> std::io::Result<Box<dyn LockGuard>> {
        self.inner.lock(path)
    }
    fn is_locked(&self, path: &Path) -> std::io::Result<bool> {
        self.inner.is_locked(path)
    }
}

impl StoreFile for GatedFile {
    fn len(&self) -> std::io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.inner.set_len(len)
    }
    fn allocate(&self, offset: u64, len: u64) -> std::io::Result<()> {
        self.inner.allocate(offset, len)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        if self.unreadable.as_ref().is_some_and(|g| g.unreadable.load(Ordering::SeqCst)) {
            return Err(std::io::Error::other("a bad sector"));
        }
        self.inner.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.inner.write_at(offset, data)
    }
    fn sync(&self) -> std::io::Result<()> {
        if let Some(gate) = &self.gate {
            gate.pass()?;
        }
        self.inner.sync()
    }
    fn map(&self, offset: u64, len: usize, access: MapAccess) -> std::io::Result<Mapping> {
        self.inner.map(offset, len, access)
    }
    fn evict(&self) -> std::io::Result<Eviction> {
        self.inner.evict()
    }
    fn read_direct(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.inner.read_direct(offset, buf)
    }
}

fn gated(flush: Flush, timeout: Duration) -> (Arc<Engine>, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let storage = Gated { inner: Memory::new(None), gate: Arc::clone(&gate) };
    (open(Arc::new(storage), flush, timeout), gate)
}

fn open(storage: Arc<dyn Storage>, flush: Flush, timeout: Duration) -> Arc<Engine> {
    let options = Options::default()
        .flush(flush)
        .sync_timeout(timeout)
        .segment_size(1 << 20)
        .staging_size(64 << 10)
        .line(3);
    Engine::open_on(storage, Arc::new(SystemClock), Path::new("/q"), &options).unwrap()
}

fn producer(engine: &Arc<Engine>) -> Producer<[u8], Raw> {
    Producer::new(engine, engine.store().topic("t").unwrap())
}

fn received(engine: &Arc<Engine>) -> usize {
    let topic = crate::Topic::<[u8], Raw>::new("t");
    let consumer = crate::ConsumerBuilder::new(engine, topic, "g").start(Start::Earliest);
    consumer.pull().unwrap().recv_batch(1000, Duration::ZERO).unwrap().len()
}

/// The smallest executor: polls, and sleeps until woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_disk_that_does_not_answer_in_time_leaves_a_message_unconfirmed_with_its_receipt() {
    let (engine, gate) = gated(Flush::Sync, Duration::from_millis(30));
    let producer = producer(&engine);
    producer.send(b"durable").unwrap();
    gate.set(true);
    let error = producer.send(b"late").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unconfirmed);
    assert_eq!(error.receipt().unwrap().queue_offset.get(), 1);
    assert!(!error.receipt().unwrap().durable);
    let awaited = block_on(producer.submit(b"later").unwrap()).unwrap_err();
    assert_eq!(awaited.kind(), ErrorKind::Unconfirmed);
    assert_eq!(awaited.receipt().unwrap().queue_offset.get(), 2);
    assert_eq!(received(&engine), 1, "readers stop at what is durable");
    gate.set(false);
    engine.store().flush().unwrap();
    assert_eq!(
        received(&engine),
        3,
        "stored all along (and the first one, which was dropped, again)"
    );
    assert!(producer.send(b"as usual").unwrap().durable);
}

#[test]
fn submitting_never_waits_for_the_disk_and_sends_wait_behind_in_order() {
    // Nothing is ready at first, so the first submit must wait in line.
    let (engine, _gate) = gated(Flush::default(), Duration::from_secs(60));
    let producer = producer(&engine);
    let first = producer.submit(b"0").unwrap();
    assert!(first.receipt().is_none() || first.receipt().unwrap().queue_offset.get() == 0);
    // A large message never fits into the buffer, so it waits, and so do those behind it.
    #[expect(clippy::needless_collect, reason = "all are submitted before the next send")]
    let tickets: Vec<_> = (0..3).map(|_| producer.submit(&vec![1; 40_000])).collect();
    let last = producer.send(b"last").unwrap();
    let placed = tickets.into_iter().filter_map(Result::ok).map(|t| t.wait().unwrap());
    assert!(placed.into_iter().all(|r| r.queue_offset < last.queue_offset));
    assert_eq!(first.wait().unwrap().queue_offset.get(), 0);
}

#[test]
fn a_full_line_and_a_one_way_message_without_room_are_refused() {
    let (engine, gate) = gated(Flush::Sync, Duration::from_secs(60));
    let producer = producer(&engine);
    producer.send(b"durable").unwrap();
    gate.set(true);
    // The flusher hangs in the sync of this one, and admits nobody.
    let stuck = producer.submit(b"x").unwrap();
    let mut tickets = Vec::new();
    let full = loop {
        match producer.submit(&vec![1; 40_000]) {
            Ok(ticket) => tickets.push(ticket),
            Err(e) => break e,
        }
        assert!(tickets.len() < 100, "the line is bounded");
    };
    assert_eq!(full.kind(), ErrorKind::Full);
    assert_eq!(producer.send_one_way(b"y").unwrap_err().kind(), ErrorKind::Full);
    gate.set(false);
    assert!(stuck.wait().unwrap().durable);
    for ticket in tickets {
        assert!(block_on(ticket).unwrap().durable);
    }
}

#[test]
fn a_message_wakes_a_sleeping_receiver_and_close_wakes_all() {
    let (engine, _gate) = gated(Flush::default(), Duration::from_secs(60));
    let producer = producer(&engine);
    let topic = crate::Topic::<[u8], Raw>::new("t");
    let consumer = crate::ConsumerBuilder::new(&engine, topic, "g").pull().unwrap();
    std::thread::scope(|scope| {
        #[expect(clippy::needless_collect, reason = "all wait before the first is joined")]
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let consumer = consumer.clone();
                scope.spawn(move || {
                    let mut got = 0;
                    loop {
                        match consumer.recv(Duration::from_secs(600)) {
                            Ok(Some(delivery)) => {
                                delivery.ack().unwrap();
                                got += 1;
                            }
                            Ok(None) => unreachable!("ten minutes have not passed"),
                            Err(e) => return (got, e.kind()),
                        }
                    }
                })
            })
            .collect();
        for _ in 0..1000 {
            producer.send(b"m").unwrap();
        }
        // Every one is received without anything else happening.
        let cursor = || engine.store().progress.cursor("g", "t", 0).unwrap().watermark();
        while cursor() < 1000 {
            std::thread::yield_now();
        }
        engine.close().unwrap();
        let got: Vec<_> = waiting.into_iter().map(|w| w.join().unwrap()).collect();
        assert_eq!(got.iter().map(|g| g.0).sum::<i32>(), 1000);
        assert!(got.iter().all(|g| g.1 == ErrorKind::Closed));
    });
}

#[test]
fn many_senders_share_syncs_and_every_message_arrives_once() {
    let (engine, _gate) = gated(Flush::Sync, Duration::from_secs(60));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let producer = producer(&engine);
            scope.spawn(move || {
                for _ in 0..50 {
                    assert!(producer.send(b"m").unwrap().durable);
                }
            });
        }
    });
    assert_eq!(received(&engine), 400);
}

#[test]
fn the_last_handle_may_go_on_one_of_the_queues_own_threads() {
    struct Hold(Mutex<Option<Pinned>>);
    type Pinned = std::pin::Pin<Box<dyn Future<Output = Result<crate::Receipt>> + Send>>;
    impl Wake for Hold {
        fn wake(self: Arc<Self>) {
            // The ticket, and with it the last engine, goes here: on the flusher's thread.
            self.0.lock().take();
        }
    }
    let (engine, gate) = gated(Flush::Sync, Duration::from_secs(60));
    let store = Arc::downgrade(engine.store());
    gate.set(true);
    let ticket = producer(&engine).submit(b"m").unwrap();
    drop(engine);
    let hold = Arc::new(Hold(Mutex::new(None)));
    let waker = Waker::from(Arc::clone(&hold));
    let mut ticket: Pinned = Box::pin(ticket);
    assert!(ticket.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    *hold.0.lock() = Some(ticket);
    gate.set(false);
    // The store is closed and its threads end: nobody holds it any more.
    while store.upgrade().is_some() {
        std::thread::yield_now();
    }
}

#[test]
fn one_task_that_awaits_two_tickets_is_told_of_the_first_deadline() {
    let (engine, gate) = gated(Flush::Sync, Duration::from_millis(40));
    let producer = producer(&engine);
    producer.send(b"durable").unwrap();
    gate.set(true);
    let first = producer.submit(b"a").unwrap();
    // Made later, so its deadline is later.
    let mut second = Box::pin(producer.submit(b"b").unwrap());
    let mut first = Box::pin(first);
    let failed = block_on(std::future::poll_fn(move |cx| {
        let one = first.as_mut().poll(cx);
        let _ = second.as_mut().poll(cx);
        one
    }));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unconfirmed);
    gate.set(false);
}

/// A store whose flusher hangs in a sync, with a message that waits for it and one that waits in line.
fn hanging() -> (Arc<Engine>, Arc<Gate>, [crate::Ticket; 2]) {
    let (engine, gate) = gated(Flush::Sync, Duration::from_secs(600));
    let producer = producer(&engine);
    producer.send(b"durable").unwrap();
    gate.set(true);
    let stuck = producer.submit(b"x").unwrap();
    gate.wait_until_somebody_waits();
    let lined = producer.submit(&vec![1; 40_000]).unwrap();
    assert!(lined.receipt().is_none());
    (engine, gate, [stuck, lined])
}

#[test]
fn a_failure_is_told_to_everybody_who_waits() {
    let (engine, gate, [stuck, lined]) = hanging();
    let topic = crate::Topic::<[u8], Raw>::new("t");
    let consumer = crate::ConsumerBuilder::new(&engine, topic, "g").pull().unwrap();
    let idle = crate::Topic::<[u8], Raw>::new("idle");
    let idle = crate::ConsumerBuilder::new(&engine, idle, "g").pull().unwrap();
    consumer.recv(Duration::ZERO).unwrap().unwrap().ack().unwrap();
    std::thread::scope(|scope| {
        let receivers = [consumer, idle].map(|consumer| {
            scope.spawn(move || consumer.recv(Duration::from_secs(600)).unwrap_err().kind())
        });
        let waiting = scope.spawn(move || stuck.wait().unwrap_err().kind());
        let in_line = scope.spawn(move || block_on(lined).unwrap_err().kind());
        gate.break_open();
        assert_eq!(waiting.join().unwrap(), ErrorKind::Unconfirmed);
        assert_eq!(in_line.join().unwrap(), ErrorKind::Poisoned);
        for receiver in receivers {
            assert_eq!(receiver.join().unwrap(), ErrorKind::Poisoned);
        }
    });
    assert_eq!(engine.close().unwrap_err().kind(), ErrorKind::Poisoned);
}

/// Polls its ticket where it is woken, and then sends: what an executor that runs tasks on the spot does.
struct OnTheSpot {
    ticket: Mutex<Option<std::pin::Pin<Box<crate::Ticket>>>>,
    producer: Producer<[u8], Raw>,
    outcome: crossbeam_channel::Sender<(Option<ErrorKind>, Option<ErrorKind>)>,
}

impl Wake for OnTheSpot {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        // Held while it is polled: whoever wakes it meanwhile waits, and polls it once more.
        let mut place = self.ticket.lock();
        let Some(ticket) = &mut *place else { return };
        match ticket.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => {
                *place = None;
                drop(place);
                let again = self.producer.submit(b"again").map(drop);
                let kind = |r: Result<()>| r.err().map(|e| e.kind());
                let _ = self.outcome.send((kind(outcome.map(drop)), kind(again)));
            }
            Poll::Pending => {}
        }
    }
}

#[test]
fn a_future_that_is_polled_where_it_is_woken_may_send_again() {
    for fails in [false, true] {
        let (engine, gate, tickets) = hanging();
        let (outcome, told) = crossbeam_channel::unbounded();
        for ticket in tickets {
            let task = Arc::new(OnTheSpot {
                ticket: Mutex::new(Some(Box::pin(ticket))),
                producer: producer(&engine),
                outcome: outcome.clone(),
            });
            task.wake();
        }
        if fails {
            gate.break_open();
        } else {
            gate.set(false);
        }
        let mut outcomes = [told.recv().unwrap(), told.recv().unwrap()];
        outcomes.sort_by_key(|o| o.0.map(|k| format!("{k:?}")));
        if fails {
            let stopped = Some(ErrorKind::Poisoned);
            assert_eq!(outcomes, [(stopped, stopped), (Some(ErrorKind::Unconfirmed), stopped)]);
        } else {
            assert_eq!(outcomes, [(None, None), (None, None)]);
        }
    }
}
