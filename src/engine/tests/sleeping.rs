//! Futures that wait for messages, polled by hand.

use std::time::Instant;

use super::*;
use crate::clock::ManualClock;
use crate::codec::{CodecError, Decode};
use crate::consumer::{Consumer, ConsumerBuilder, Recv};
use crate::filter::Filter;

type Bytes = Consumer<[u8], Raw>;

fn builder(engine: &Arc<Engine>) -> ConsumerBuilder<[u8], Raw> {
    ConsumerBuilder::new(engine, crate::Topic::<[u8], Raw>::new("t"), "g")
}

fn consumer(engine: &Arc<Engine>) -> Bytes {
    builder(engine).pull().unwrap()
}

type Received = Result<Option<crate::Delivery<Box<[u8]>>>>;

/// Counts how often it was woken.
#[derive(Default)]
struct Rung(AtomicUsize);

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A receiver whose polls the test counts out.
struct Sleeper<C = Raw> {
    future: std::pin::Pin<Box<Recv<[u8], C>>>,
    rung: Arc<Rung>,
}

impl<C: Decode<[u8], Owned = Box<[u8]>>> Sleeper<C> {
    fn new(consumer: &Consumer<[u8], C>, timeout: Duration) -> Self {
        Self { future: Box::pin(consumer.recv_async(timeout)), rung: Arc::default() }
    }

    fn poll(&mut self) -> Poll<Received> {
        let waker = Waker::from(Arc::clone(&self.rung));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Whether it received something; acknowledges it.
    fn takes(&mut self) -> bool {
        match self.poll() {
            Poll::Ready(got) => got.unwrap().expect("there is time").ack().is_ok(),
            Poll::Pending => false,
        }
    }

    fn rings(&self) -> usize {
        self.rung.0.load(Ordering::SeqCst)
    }
}

fn asleep(consumer: &Bytes) -> Sleeper {
    let mut sleeper = Sleeper::new(consumer, Duration::from_secs(3600));
    assert!(sleeper.poll().is_pending());
    sleeper
}

/// Without threads of its own, on a clock that stands still.
pub(super) fn still() -> (Arc<Engine>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let options = Options { background: false, ..Options::default() };
    let watched: Arc<ManualClock> = Arc::clone(&clock);
    let storage = Arc::new(Memory::new(None));
    (Engine::open_on(storage, watched, Path::new("/q"), &options).unwrap(), clock)
}

#[test]
fn one_message_wakes_one_future_the_one_that_waits_longest() {
    let (engine, _) = still();
    let consumer = consumer(&engine);
    let mut sleepers = [(); 3].map(|()| asleep(&consumer));
    producer(&engine).send(b"m").unwrap();
    assert_eq!(sleepers.each_ref().map(Sleeper::rings), [1, 0, 0]);
    assert!(sleepers[1].takes(), "whoever comes first has it");
    assert!(sleepers[0].poll().is_pending());
    engine.close().unwrap();
}

#[test]
fn a_future_that_was_woken_and_is_dropped_wakes_the_next() {
    let (engine, _) = still();
    let consumer = consumer(&engine);
    let [first, mut second, third] = [(); 3].map(|()| asleep(&consumer));
    producer(&engine).send(b"m").unwrap();
    drop(first);
    assert_eq!((second.rings(), third.rings()), (1, 0));
    drop(third);
    assert!(second.takes());
    engine.close().unwrap();
}

#[test]
fn a_close_wakes_every_future() {
    let (engine, _) = still();
    let consumer = consumer(&engine);
    let mut sleepers = [(); 3].map(|()| asleep(&consumer));
    engine.close().unwrap();
    for sleeper in &mut sleepers {
        assert!(sleeper.rings() > 0);
        let Poll::Ready(Err(closed)) = sleeper.poll() else { panic!("it is closed") };
        assert_eq!(closed.kind(), ErrorKind::Closed);
    }
}

#[test]
fn a_future_that_is_gone_leaves_no_timer_behind() {
    let (engine, _) = still();
    let consumer = consumer(&engine);
    let mut sleepers = [(); 3].map(|()| asleep(&consumer));
    assert_eq!(engine.store().timers(), 3);
    producer(&engine).send(b"m").unwrap();
    assert!(sleepers[0].takes());
    assert!(sleepers[1].poll().is_pending());
    assert_eq!(engine.store().timers(), 3, "one for each, however often it is polled");
    drop(sleepers);
    assert_eq!(engine.store().timers(), 0);
    engine.close().unwrap();
}

#[test]
fn a_ticket_that_is_gone_leaves_no_timer_behind() {
    let (engine, gate, [first, second]) = hanging();
    let mut first = Box::pin(first);
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(engine.store().timers(), 1);
    drop((first, second));
    assert_eq!(engine.store().timers(), 0);
    gate.set(false);
    engine.close().unwrap();
}

#[test]
fn a_future_looks_at_the_time_though_there_is_always_more_to_pass_over() {
    let (engine, clock) = still();
    let consumer = builder(&engine).filter(Filter::sql("wanted = 1").unwrap()).pull().unwrap();
    for _ in 0..30 {
        producer(&engine).send_batch([[b'm']; 1000]).unwrap();
    }
    let mut receiver = Sleeper::new(&consumer, Duration::from_secs(1));
    assert!(receiver.poll().is_pending());
    assert_eq!(receiver.rings(), 1, "there is more");
    clock.advance(Duration::from_secs(2));
    assert!(matches!(receiver.poll(), Poll::Ready(Ok(None))));
    let mut polls = 1;
    let mut at_once = Sleeper::new(&consumer, Duration::ZERO);
    producer(&engine).message(b"m").property("wanted", 1).send().unwrap();
    let wanted = loop {
        match at_once.poll() {
            Poll::Ready(found) => break found.unwrap().expect("it is there"),
            Poll::Pending => polls += 1,
        }
    };
    assert!(polls > 1, "{polls} polls");
    wanted.ack().unwrap();
    engine.close().unwrap();
}

/// Nothing decodes but `good`.
struct Picky;

impl Decode<[u8]> for Picky {
    type Owned = Box<[u8]>;

    fn decode(body: &[u8]) -> std::result::Result<Box<[u8]>, CodecError> {
        if body == b"good" { Ok(body.into()) } else { Err("no such word".into()) }
    }
}

#[test]
fn a_future_goes_on_in_its_next_poll_though_nothing_decodes_and_looks_at_the_time() {
    let (engine, clock) = still();
    let topic = crate::Topic::<[u8], Picky>::new("t");
    let consumer = ConsumerBuilder::new(&engine, topic, "g").pull().unwrap();
    producer(&engine).send_batch([*b"bad"; 300]).unwrap();
    let mut receiver = Sleeper::new(&consumer, Duration::from_secs(1));
    assert!(receiver.poll().is_pending());
    assert_eq!(receiver.rings(), 1, "there is more");
    clock.advance(Duration::from_secs(2));
    assert!(matches!(receiver.poll(), Poll::Ready(Ok(None))));
    producer(&engine).send(b"good").unwrap();
    let mut at_once = Sleeper::new(&consumer, Duration::ZERO);
    assert!(at_once.poll().is_pending());
    let good = loop {
        if let Poll::Ready(found) = at_once.poll() {
            break found.unwrap().expect("it is there");
        }
    };
    assert_eq!(good.into_acked().unwrap()[..], *b"good");
    engine.close().unwrap();
}

/// Does something once, when the time is asked for.
struct Hooked(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}

impl Clock for Hooked {
    fn wall_ms(&self) -> u64 {
        SystemClock.wall_ms()
    }

    fn now(&self) -> Instant {
        let hook = self.0.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        SystemClock.now()
    }
}

#[test]
fn a_failure_that_comes_while_a_future_goes_to_sleep_is_told_to_it() {
    let clock = Arc::new(Hooked(Mutex::new(None)));
    let hooked: Arc<Hooked> = Arc::clone(&clock);
    let storage = Arc::new(Memory::new(None));
    let options = Options { background: false, ..Options::default() };
    let engine = Engine::open_on(storage, hooked, Path::new("/q"), &options).unwrap();
    let consumer = consumer(&engine);
    let store = Arc::clone(engine.store());
    // Asked for the first time when nothing was found, for the end of the wait.
    *clock.0.lock() = Some(Box::new(move || {
        store.poisoned_by(crate::Error::invalid("the test says so"));
        store.spread_poison();
    }));
    let mut sleeper = Sleeper::new(&consumer, Duration::from_secs(3600));
    let Poll::Ready(Err(failed)) = sleeper.poll() else { panic!("nobody will wake it") };
    assert_eq!(failed.kind(), ErrorKind::Poisoned);
    assert!(clock.0.lock().is_none());
    engine.close().unwrap_err();
}

#[test]
fn who_polls_by_itself_is_woken_by_no_arrival_and_finds_the_message_at_its_next_look() {
    let (engine, _clock) = still();
    let polling = |every| -> Result<Bytes> {
        ConsumerBuilder::new(&engine, crate::Topic::new("t"), "g").short_polling(every).pull()
    };
    let why = polling(Duration::ZERO).unwrap_err();
    assert_eq!(why.kind(), ErrorKind::InvalidArgument);
    let consumer = polling(Duration::from_secs(3600)).unwrap();
    let mut future = Sleeper::new(&consumer, Duration::from_secs(7200));
    assert!(future.poll().is_pending());
    assert_eq!(engine.store().topic("t").unwrap().sleepers(), 0);
    producer(&engine).send(b"m").unwrap();
    assert_eq!(future.rings(), 0);
    assert!(matches!(future.poll(), Poll::Ready(Ok(Some(_)))));
    drop(future);
    engine.close().unwrap();

    let engine = Engine::in_memory(&Options::default()).unwrap();
    let builder = ConsumerBuilder::new(&engine, crate::Topic::new("t"), "g");
    let consumer: Bytes = builder.short_polling(Duration::from_millis(1)).pull().unwrap();
    let receiver = std::thread::spawn(move || consumer.recv(Duration::from_secs(600)));
    // Time for some looks that find nothing; whether there were any does not matter.
    std::thread::yield_now();
    producer(&engine).send(b"m").unwrap();
    receiver.join().unwrap().unwrap().unwrap().ack().unwrap();
    engine.close().unwrap();
}

#[test]
fn who_was_not_woken_by_a_message_is_by_the_next_look_and_nobody_else() {
    use crate::flush::Target;

    let (engine, _clock) = still();
    let consumer = |topic: &str| -> Bytes {
        let topic = crate::Topic::named(topic).unwrap();
        ConsumerBuilder::new(&engine, topic, "g").pull().unwrap()
    };
    let (here, there) = (consumer("t"), consumer("elsewhere"));
    let mut waits = asleep(&here);
    let idle = asleep(&there);
    let topic = engine.store().topic("t").unwrap();
    topic.deaf(|| drop(producer(&engine).send(b"m").unwrap()));
    assert_eq!(waits.rings(), 0);
    engine.store().look_again();
    assert!(waits.rings() > 0);
    let Poll::Ready(Ok(Some(taken))) = waits.poll() else { panic!("it is there") };
    assert_eq!(idle.rings(), 0, "nothing came there");
    let next = asleep(&here);
    engine.store().look_again();
    assert_eq!(next.rings(), 0, "nothing came since");
    drop((waits, idle, next, taken));
    engine.close().unwrap();
}
