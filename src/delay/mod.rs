//! Messages delayed by level: who delivers them, and when.
//!
//! They wait in the schedule topic, each level in a queue of its own, so that a queue is in the order of its due times. A thread of its own
//! (`pocketmq-delay`), which the first delayed message starts, sleeps until the first of them is due by the wall clock, appends a copy to the
//! topic that each is meant for, and goes on. It looks at the clock once a minute at least, for that may be set. What was delivered is the
//! store's business (`store/delays.rs`).

mod keys;
mod round;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::error::{Error, Result};
use crate::flush::Target;
use crate::store::Store;
use crate::store::topics::{Listener, OwnedSleeper, Topic};
use crate::sync::thread::{self, Builder, JoinHandle};
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, Ordering, Weak};

use keys::Keys;
use round::{Round, Turn};

/// The wall clock may be set while the thread sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// After a failure that may pass, such as a full disk.
const REST: Duration = Duration::from_secs(1);

/// The delivery of one store's delayed messages.
#[derive(Debug)]
pub(crate) struct Delay {
    store: Arc<Store>,
    keys: Keys,
    /// Held by whoever delivers.
    round: Mutex<Round>,
    begun: AtomicBool,
    life: Mutex<Life>,
    orders: Mutex<Orders>,
    wake: Condvar,
}

/// The thread, and its place among those who are told when messages come into the schedule topic.
#[derive(Debug, Default)]
struct Life {
    thread: Option<JoinHandle<()>>,
    place: Option<OwnedSleeper>,
    over: bool,
}

#[derive(Debug, Default)]
struct Orders {
    stop: bool,
    /// There is something new to look at.
    roused: bool,
    asleep: Option<Sleep>,
}

/// What the thread sleeps for.
#[derive(Debug)]
struct Sleep {
    /// Wall-clock time, in milliseconds.
    until: Option<i64>,
    /// Queues in which nothing waited. In the others what comes later is due later.
    empty: Vec<u32>,
}

impl Delay {
    pub(crate) fn new(store: &Arc<Store>) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::clone(store),
            keys: Keys::new(),
            round: Mutex::default(),
            begun: AtomicBool::new(false),
            life: Mutex::default(),
            orders: Mutex::default(),
            wake: Condvar::new(),
        })
    }

    /// A text that no other message has.
    pub(crate) fn unique_key(&self) -> String {
        self.keys.next()
    }

    /// The schedule topic, with somebody who delivers what comes into it.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Arc<Topic>> {
        self.store.check_writable()?;
        let topic = self.store.schedule()?;
        if !self.begun.load(Ordering::SeqCst) {
            self.start(&topic)?;
        }
        Ok(topic)
    }

    /// After opening: what waited then is delivered.
    pub(crate) fn go_on(self: &Arc<Self>) -> Result<()> {
        let waits = self.store.delays.waiting().iter().any(|(_, count)| *count > 0);
        if waits { self.begin().map(drop) } else { Ok(()) }
    }

    fn start(self: &Arc<Self>, topic: &Arc<Topic>) -> Result<()> {
        let mut life = self.life.lock();
        if life.over {
            return Err(Error::closed());
        }
        if life.place.is_some() {
            return Ok(());
        }
        if self.store.settings.threaded {
            let delay = Arc::clone(self);
            let thread =
                Builder::new().name("pocketmq-delay".to_owned()).spawn(move || delay.run());
            let thread = thread.map_err(|e| {
                Error::io(e, self.store.layout.root(), "start the thread for delayed messages")
            })?;
            life.thread = Some(thread);
        }
        let weak = Arc::downgrade(self);
        let listener: Weak<dyn Listener> = weak;
        topic.listen(listener);
        life.place = Some(topic.sleep_on());
        drop(life);
        self.begun.store(true, Ordering::SeqCst);
        // The thread may have looked before anybody told it what comes.
        self.rouse();
        Ok(())
    }

    /// Whether this is the thread that delivers.
    pub(crate) fn is_current(&self) -> bool {
        let here = thread::current().id();
        self.life.lock().thread.as_ref().is_some_and(|thread| thread.thread().id() == here)
    }

    /// Ends the thread, and waits for that unless it is this one. What waits stays.
    pub(crate) fn stop(&self) {
        let mut orders = self.orders.lock();
        orders.stop = true;
        self.wake.notify_all();
        drop(orders);
        let own = self.is_current();
        let mut life = self.life.lock();
        life.over = true;
        let place = life.place.take();
        let thread = if own { None } else { life.thread.take() };
        drop(life);
        drop(place);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// The clock was moved: what is due is delivered when this returns.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn time_moved(&self) {
        if self.begun.load(Ordering::SeqCst) {
            self.deliver_due();
            self.rouse();
        }
    }

    /// Delivers all that is due now, as far as that is possible, and in a durable store waits until consumers can see it.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn deliver_due(&self) {
        loop {
            let turn = self.turn();
            if !turn.is_ok_and(|turn| turn.more) {
                break;
            }
        }
        let end = self.round.lock().end();
        if let Some(end) = end.filter(|_| self.is_sync()) {
            self.store.wait_durable(end);
        }
    }

    fn is_sync(&self) -> bool {
        self.store.settings.flush == crate::options::Flush::Sync
    }

    /// Delivers some of what is due.
    fn turn(&self) -> Result<Turn> {
        let mut round = self.round.lock();
        let turn = round.turn(&self.store);
        let end = round.end();
        drop(round);
        if let Some(end) = end.filter(|_| self.is_sync()) {
            self.store.ask_durable(end);
        }
        self.store.delivered()?;
        turn
    }

    fn rouse(&self) {
        let mut orders = self.orders.lock();
        orders.roused = true;
        self.wake.notify_one();
    }

    fn run(&self) {
        let _bed = Deathbed(&self.store);
        loop {
            let mut orders = self.orders.lock();
            if orders.stop {
                return;
            }
            orders.roused = false;
            drop(orders);
            match self.turn() {
                Ok(turn) if turn.more => {}
                Ok(turn) => self.sleep(Sleep { until: turn.until, empty: turn.empty }),
                Err(_) if self.store.check_writable().is_err() => return,
                // Nothing is lost by it, and it may pass.
                Err(_) => self.rest(),
            }
        }
    }

    /// Sleeps until something is due, or may be.
    fn sleep(&self, sleep: Sleep) {
        let mut orders = self.orders.lock();
        if orders.stop || orders.roused {
            return;
        }
        let clock = &self.store.clock;
        let until = sleep.until;
        orders.asleep = Some(sleep);
        match until {
            None => self.wake.wait(&mut orders),
            Some(until) => {
                let left = until.saturating_sub_unsigned(clock.wall_ms()).max(0).unsigned_abs();
                let at = clock.now() + Duration::from_millis(left).min(LONGEST_SLEEP);
                let _ = self.wake.wait_until(&mut orders, clock.os(at));
            }
        }
        orders.asleep = None;
    }

    fn rest(&self) {
        let mut orders = self.orders.lock();
        if !orders.stop {
            let clock = &self.store.clock;
            let _ = self.wake.wait_until(&mut orders, clock.os(clock.now() + REST));
        }
    }

    /// Whether something came that is due before what the thread sleeps for.
    fn comes_sooner(&self, sleep: &Sleep) -> bool {
        let Some(topic) = self.store.delays.topic() else { return false };
        sleep.empty.iter().any(|id| {
            let Some(queue) = topic.queue(*id) else { return false };
            let next = self.store.delays.next(*id);
            let mut first = Vec::with_capacity(1);
            if next >= queue.extent().next {
                return false;
            }
            // It came just now; if it is in its file already, looking there is the thread's business.
            match (queue.recent(next, 1, &mut first), first.first(), sleep.until) {
                (Ok(()), Some(unit), Some(until)) => unit.tags_code < until,
                _ => true,
            }
        })
    }
}

impl Listener for Delay {
    fn arrived(&self, _count: usize) {
        let mut orders = self.orders.lock();
        let rouses = match &orders.asleep {
            Some(sleep) => self.comes_sooner(sleep) || self.store.check_writable().is_err(),
            None => true,
        };
        if rouses {
            orders.roused = true;
            self.wake.notify_one();
        }
    }

    /// In memory, what waits must not be given back.
    fn needs(&self, queue: u32) -> Option<u64> {
        Some(self.store.delays.next(queue))
    }
}

/// If the thread unwinds, nobody may wait for its messages for ever.
struct Deathbed<'a>(&'a Arc<Store>);

impl Drop for Deathbed<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            Target::abandon(&**self.0);
        }
    }
}
