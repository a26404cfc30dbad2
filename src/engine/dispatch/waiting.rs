//! Waiting for a message: threads and futures, woken by an arrival, a time or an end.

use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::flush::{Timer, wake_all};
use crate::options::LONGEST_WAIT;
use crate::store::Store;
use crate::store::topics::OwnedSleeper;
use crate::sync::{Arc, MutexGuard, Ordering};

use super::find::{Look, State};
use super::{By, Dispatch, Found};

/// How long a receiver waits. The clock is read when it has to.
#[derive(Debug)]
pub(crate) struct Wait {
    timeout: Duration,
    deadline: Option<Deadline>,
    /// Whether it looked once.
    looked: bool,
    /// It looks so often by itself, and no arrival wakes it.
    every: Option<Duration>,
}

impl Wait {
    pub(crate) fn up_to(timeout: Duration) -> Self {
        Self { timeout: timeout.min(LONGEST_WAIT), deadline: None, looked: false, every: None }
    }

    /// Not to be woken by what arrives: it looks so often by itself, if that is said.
    pub(crate) fn looking_every(self, every: Option<Duration>) -> Self {
        Self { every, ..self }
    }

    /// The same wait, from now on and without end.
    #[cfg(feature = "stream")]
    pub(crate) fn once_more(&self) -> Self {
        Self::up_to(LONGEST_WAIT).looking_every(self.every)
    }

    fn deadline(&mut self, store: &Store) -> Deadline {
        *self.deadline.get_or_insert_with(|| Deadline {
            due: store.clock.now() + self.timeout,
            os: store.clock.os_now() + self.timeout,
        })
    }

    fn is_over(&mut self, store: &Store) -> bool {
        if self.timeout.is_zero() {
            return true;
        }
        let deadline = self.deadline(store);
        store.clock.now() >= deadline.due || store.clock.os_now() >= deadline.os
    }

    /// Who passes over many messages looks at the time too. Who does not wait sees all of them.
    pub(super) fn has_run_out(&mut self, store: &Store) -> bool {
        !self.timeout.is_zero() && self.is_over(store)
    }
}

/// The end of a wait, which is over by whichever clock is there first: time that a test moves must not keep anybody waiting.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    due: Instant,
    os: Instant,
}

/// What to do when there is no message.
enum Lack {
    /// Sleep, at most until then by the operating system's clock.
    Sleep(Instant),
    /// There is something after all.
    Look,
}

impl Dispatch {
    /// Waits for messages, and takes up to `max` out. `false` when the time is up. What was found may be only what the filter does not
    /// want.
    pub(super) fn reserve(&self, max: usize, wait: &mut Wait, found: &mut Found) -> Result<bool> {
        // The first look costs no look at the clock.
        if std::mem::replace(&mut wait.looked, true) && wait.has_run_out(&self.store) {
            self.wake_one();
            return Ok(false);
        }
        loop {
            self.store.check_open()?;
            self.end_leases();
            self.end_memberships();
            let mut state = self.state.lock();
            match self.find_all(&mut state, max, found) {
                Ok(Look::Found { more }) => {
                    self.rouse(state, usize::from(more));
                    return Ok(true);
                }
                Ok(Look::After(_) | Look::Nothing) if found.has_chores() => return Ok(true),
                Ok(Look::After(position)) => {
                    drop(state);
                    let visible = self.await_visible(position, wait.deadline(&self.store).os);
                    if !matches!(visible, Ok(true)) {
                        // Somebody else who sleeps may have more time.
                        self.wake_one();
                        return visible;
                    }
                }
                Ok(Look::Nothing) => {
                    self.store.check_writable()?;
                    if wait.is_over(&self.store) {
                        return Ok(false);
                    }
                    let _asleep = wait.every.is_none().then(|| self.topic.sleep());
                    if let Lack::Sleep(due) = self.look_again(&mut state, wait, found.by) {
                        let _ = self.ready.wait_until(&mut state, due);
                    }
                }
                Err(e) => {
                    // What this receiver was woken for is still there.
                    self.rouse_one(state);
                    return Err(e);
                }
            }
        }
    }

    /// The last look of somebody who counts as asleep. What it finds is left for the next one.
    fn look_again(&self, state: &mut State, wait: &mut Wait, by: By) -> Lack {
        // A failure is told to those who count as asleep: one that came before is met by another look.
        if self.is_anything_there(state, by) || self.store.check_writable().is_err() {
            return Lack::Look;
        }
        let lease = self.first_lease.load(Ordering::SeqCst);
        let lease = (lease < u64::MAX).then(|| self.began + Duration::from_millis(lease));
        let other = state.members.sleeps(by.member, self.store.clock.now());
        let due = [state.parked.first(), lease, other].into_iter().flatten().min();
        let deadline = wait.deadline(&self.store).os;
        let next_look = wait.every.map(|every| self.store.clock.os_now() + every);
        let due = due.map(|due| self.store.clock.os(due)).into_iter().chain(next_look).min();
        Lack::Sleep(due.map_or(deadline, |due| due.min(deadline)))
    }

    /// `false` when the deadline came first.
    fn await_visible(&self, position: u64, deadline: Instant) -> Result<bool> {
        self.store.seen(self.store.await_durable(position, deadline))
    }

    /// As [`Dispatch::reserve`], for a future, which `asleep` belongs to.
    pub(super) fn poll_reserve(
        &self,
        max: usize,
        wait: &mut Wait,
        (asleep, waker): (&mut Asleep, &Waker),
        found: &mut Found,
    ) -> Poll<Result<bool>> {
        let mine = waker.clone();
        loop {
            self.store.check_open()?;
            self.end_leases();
            self.end_memberships();
            let _old = asleep.get_up();
            let mut state = self.state.lock();
            match self.find_all(&mut state, max, found) {
                Ok(Look::Found { more }) => {
                    self.rouse(state, usize::from(more));
                    return Poll::Ready(Ok(true));
                }
                Ok(Look::After(_) | Look::Nothing) if found.has_chores() => {
                    return Poll::Ready(Ok(true));
                }
                Ok(Look::After(position)) => {
                    drop(state);
                    let deadline = wait.deadline(&self.store).os;
                    let Some(waited) =
                        self.store.poll_durable(position, (&mut asleep.timer, deadline), waker)
                    else {
                        asleep.owe();
                        return Poll::Pending;
                    };
                    let visible = self.store.seen(waited);
                    if !matches!(visible, Ok(true)) {
                        self.wake_one();
                        return Poll::Ready(visible);
                    }
                }
                Ok(Look::Nothing) => {
                    self.store.check_writable()?;
                    if wait.is_over(&self.store) {
                        return Poll::Ready(Ok(false));
                    }
                    asleep.sleeper = wait.every.is_none().then(|| self.topic.sleep_on());
                    let Lack::Sleep(due) = self.look_again(&mut state, wait, found.by) else {
                        continue;
                    };
                    asleep.lie_down(&mut state, mine.clone());
                    drop(state);
                    let endless =
                        wait.timeout == LONGEST_WAIT && due == wait.deadline(&self.store).os;
                    if endless || !self.store.remind(&mut asleep.timer, due, waker) {
                        return Poll::Pending;
                    }
                }
                Err(e) => {
                    self.rouse_one(state);
                    return Poll::Ready(Err(e));
                }
            }
        }
    }

    /// For a future that takes nothing: ready, with the reason, when nothing comes any more.
    pub(crate) fn poll_end(&self, asleep: &mut Asleep, waker: &Waker) -> Poll<Error> {
        // Before the lock: in a forked child its holder may not exist.
        if let Err(why) = self.store.check_open() {
            return Poll::Ready(why);
        }
        let mine = waker.clone();
        let _old = asleep.get_up();
        let mut state = self.state.lock();
        // A failure is told to those who count as asleep.
        asleep.sleeper = Some(self.topic.sleep_on());
        if let Err(why) = self.store.check_writable() {
            return Poll::Ready(why);
        }
        let number = state.next_future;
        state.next_future += 1;
        state.watching.push((number, mine));
        asleep.watches = Some(number);
        Poll::Pending
    }

    /// Wakes one of those who wait.
    pub(super) fn rouse_one(&self, state: MutexGuard<'_, State>) {
        self.rouse(state, 1);
    }

    /// Wakes as many of those who wait as there are messages for them; everybody, if one of them may have to sleep less long: one alone
    /// may have less time than that.
    pub(super) fn rouse(&self, mut state: MutexGuard<'_, State>, messages: usize) {
        if state.parked.take_sooner() {
            return self.rouse_all(state);
        }
        if self.is_by_queue() && messages > 0 {
            return self.rouse_members(state);
        }
        let threads = (0..messages).take_while(|_| self.ready.notify_one()).count();
        let mut woken = Vec::new();
        while woken.len() < messages - threads
            && let Some(first) = state.futures.pop_front()
        {
            woken.push(first);
        }
        drop(state);
        // Without the lock: a future may be polled on the spot.
        wake_all(woken.into_iter().map(|(.., waker)| waker));
    }

    pub(super) fn rouse_all(&self, mut state: MutexGuard<'_, State>) {
        self.ready.notify_all();
        let futures = std::mem::take(&mut state.futures);
        let watching = std::mem::take(&mut state.watching);
        self.are_awake(&mut state, &futures);
        drop(state);
        let waiting = futures.into_iter().map(|(.., waker)| waker);
        wake_all(waiting.chain(watching.into_iter().map(|(_, waker)| waker)));
    }

    /// Wakes all who take messages: one is for whoever has its queue.
    fn rouse_members(&self, mut state: MutexGuard<'_, State>) {
        self.ready.notify_all();
        let futures = std::mem::take(&mut state.futures);
        self.are_awake(&mut state, &futures);
        drop(state);
        wake_all(futures.into_iter().map(|(.., waker)| waker));
    }

    pub(super) fn wake_one(&self) {
        self.rouse_one(self.state.lock());
    }

    pub(crate) fn wake_all(&self) {
        self.rouse_all(self.state.lock());
    }
}

/// A future's place among those who wait.
#[derive(Debug)]
pub(crate) struct Asleep {
    dispatch: Arc<Dispatch>,
    number: Option<u64>,
    /// Its number among those who take nothing.
    watches: Option<u64>,
    sleeper: Option<OwnedSleeper>,
    timer: Timer,
    /// It was woken, and waits for the disk: a message is there for somebody.
    owes: bool,
    by: By,
}

impl Asleep {
    pub(crate) fn new(dispatch: &Arc<Dispatch>, by: By) -> Self {
        Self {
            dispatch: Arc::clone(dispatch),
            number: None,
            watches: None,
            sleeper: None,
            timer: Timer::default(),
            owes: false,
            by,
        }
    }

    pub(super) fn by(&self) -> By {
        self.by
    }

    /// What is taken from now on is taken together.
    pub(crate) fn take_for(&mut self, batch: By) {
        self.by = batch;
    }

    /// It goes on later: if it does not, somebody else has to.
    pub(super) fn owe(&mut self) {
        self.owes = true;
    }

    fn lie_down(&mut self, state: &mut State, waker: Waker) {
        let number = state.next_future;
        state.next_future += 1;
        state.futures.push_back((number, self.by.member, waker));
        self.dispatch.lies_down(state, self.by);
        self.number = Some(number);
    }

    /// It looks for itself now, and owes nobody anything. Returns its waker, to be dropped without locks.
    fn get_up(&mut self) -> Option<Waker> {
        self.owes = false;
        let waker = self.number.take().and_then(|number| self.dispatch.forget(number));
        let watched = self.watches.take().and_then(|number| self.dispatch.forget_watching(number));
        self.sleeper = None;
        waker.or(watched)
    }
}

impl Dispatch {
    /// Takes a future out of those who wait. `None`: it was woken.
    fn forget(&self, number: u64) -> Option<Waker> {
        let mut state = self.state.lock();
        // They lie in the order in which they came.
        let at = state.futures.binary_search_by_key(&number, |(known, ..)| *known).ok()?;
        let (_, member, waker) = state.futures.remove(at)?;
        self.gets_up(&mut state, member);
        Some(waker)
    }

    fn forget_watching(&self, number: u64) -> Option<Waker> {
        let mut state = self.state.lock();
        let at = state.watching.iter().position(|(known, _)| *known == number)?;
        Some(state.watching.swap_remove(at).1)
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        self.dispatch.store.forget(&mut self.timer);
        // Before the lock: in a forked child its holder may not exist.
        let lies = self.number.is_some() || self.watches.is_some();
        if (!lies && !self.owes) || self.dispatch.store.check_parent().is_err() {
            return;
        }
        let (owes, waited) = (self.owes, self.number.is_some());
        if self.get_up().is_none() && (waited || owes) {
            // It was woken for a message that it does not take.
            self.dispatch.wake_one();
        }
        // Nobody may have watched over it, as long as it waited.
        self.dispatch.lives(self.by.member, None);
    }
}
