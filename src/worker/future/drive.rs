//! One poll of a [`Work`](super::Work): what was ordered, the handlers that rang, then new messages for the slots that are free.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::codec::Decode;
use crate::consumer::Handle;
use crate::engine::Engine;
use crate::engine::member::Member;
use crate::error::{ErrorKind, Result};
use crate::flush::Timer;
use crate::handler::{Cancel, HandlerError, Job, Outcome, Push, WorkerEvent};
use crate::options::LONGEST_WAIT;
use crate::sync::{Arc, Ordering};
use crate::worker::crew::Busy;

use super::bells::{Bell, What};
use super::board::{Board, Found, Orders};
use super::intake::Intake;
use super::slots::{Item, Slots};

/// So many handlers are polled in one poll at most: then others who share the thread have their turn.
const POLLS: usize = 64;

pub(super) struct Drive<T: ?Sized, C, F, Fut> {
    /// Keeps the queue open.
    _engine: Arc<Engine>,
    board: Arc<Board>,
    handler: F,
    slots: Slots<Fut>,
    intake: Intake,
    timeout: Duration,
    /// For how long a message is to be held, if the group has a lease that would end.
    hold: Option<Duration>,
    alarm: Timer,
    /// What it is set to, if it did not ring.
    alarm_at: Option<Instant>,
    /// No handler has had its time earlier.
    first_due: Option<Instant>,
    over: bool,
    types: PhantomData<fn(&T) -> C>,
}

impl<T: ?Sized, C, F, Fut> Drive<T, C, F, Fut> {
    pub(super) fn new(
        engine: &Arc<Engine>,
        board: &Arc<Board>,
        member: Member,
        push: &Push,
        handler: F,
    ) -> Self {
        let leased = member.terms().lease.is_some() && !push.redeliver;
        let timeout = push.timeout.min(LONGEST_WAIT);
        Self {
            _engine: Arc::clone(engine),
            board: Arc::clone(board),
            handler,
            slots: Slots::new(push.concurrency),
            intake: Intake::new(member, timeout, Bell::waker(board, What::Intake)),
            timeout,
            hold: leased.then_some(Duration::MAX),
            alarm: Timer::default(),
            alarm_at: None,
            first_due: None,
            over: false,
            types: PhantomData,
        }
    }

    /// Drops the handlers that run and gives their messages back. No attempt is used, whatever unwinds.
    fn give_back_all(&mut self) {
        for (slot, item) in self.slots.end_all() {
            self.board.finish(slot);
            self.board.counts.put_off.fetch_add(1, Ordering::SeqCst);
            item.handle.give_back();
        }
    }

    /// Does what a time says that has come.
    fn look_at_the_time(&mut self, orders: Orders) {
        let clock = &self.board.store.clock;
        let (now, os_now) = (clock.now(), clock.os_now());
        if orders.until.is_some_and(|until| until <= os_now) {
            self.board.cut();
            self.give_back_all();
        }
        if self.first_due.is_none_or(|due| due > now) {
            return;
        }
        let (overdue, next) = self.slots.end_overdue(now, self.timeout);
        self.first_due = next;
        for (slot, item) in overdue {
            self.board.finish(slot);
            let running = now.saturating_duration_since(item.since);
            item.cancel.time_is_up();
            self.board.counts.timed_out.fetch_add(1, Ordering::SeqCst);
            self.board.events.tell(&WorkerEvent::TimedOut { job: &item.job, running });
            let error = HandlerError::from("the handler took too long, and was dropped");
            self.board.settle(item, &Err(error));
        }
    }

    /// Has the task woken when the next time comes, or earlier. `false` if that is now.
    ///
    /// An alarm is not taken back when its handler is done: it costs one wake-up in the time that a handler has, and a message nothing.
    fn set_alarm(&mut self, orders: Orders) -> bool {
        let due = self.first_due.map(|due| self.board.store.clock.os(due));
        let first = [due, orders.until].into_iter().flatten().min();
        let Some(at) = first.filter(|first| self.alarm_at.is_none_or(|at| at > *first)) else {
            return true;
        };
        self.alarm_at = Some(at);
        let waker = Bell::waker(&self.board, What::Orders);
        !self.board.store.remind(&mut self.alarm, at, &waker)
    }

    fn end(&mut self) -> Result<()> {
        self.over = true;
        self.intake.leave();
        self.board.store.forget(&mut self.alarm);
        self.board.end();
        match self.intake.take_end().filter(|why| why.kind() != ErrorKind::Closed) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }
}

impl<T, C, F, Fut, R> Drive<T, C, F, Fut>
where
    T: ?Sized,
    C: Decode<T>,
    F: Fn(Job<C::Owned>) -> Fut,
    Fut: Future<Output = Result<R, HandlerError>>,
    R: Into<Outcome>,
{
    /// Polls those that rang. Says whether one is done.
    fn poll_handlers(&mut self, rang: Vec<usize>) -> bool {
        let mut any = false;
        for slot in rang {
            if let Some((item, said)) = self.slots.poll(slot) {
                self.board.finish(slot);
                self.board.said(item, said);
                any = true;
            }
        }
        any
    }

    /// Takes messages for the slots that are free. Says whether there were some.
    fn take(&mut self, orders: Orders, most: usize) -> bool {
        self.intake.pause(orders.paused || orders.stopped);
        if self.slots.running() == 0 && !orders.stopped {
            self.intake.look_for_the_end(&self.board.events);
        }
        let room = self.slots.room().min(most);
        if room == 0 {
            return false;
        }
        let handles = self.intake.take(room, &self.board.events);
        let any = !handles.is_empty();
        for handle in handles {
            self.begin(handle);
        }
        any
    }

    /// Calls the handler, whose future is then to be polled.
    fn begin(&mut self, handle: Handle) {
        if self.hold.is_some_and(|hold| handle.extend(hold).is_err()) {
            return;
        }
        let store = &self.board.store;
        let cancel = Arc::new(Cancel::new(store));
        let (job, since) = (handle.envelope(&cancel), store.clock.now());
        let item = Item { handle, job, cancel, since };
        let Some((item, value)) = self.board.decode(item, C::decode) else { return };
        let busy =
            Busy { jobs: Arc::new([item.job.clone()]), since, cancel: Arc::clone(&item.cancel) };
        let job = Job::new(value, item.job.clone());
        match catch_unwind(AssertUnwindSafe(|| (self.handler)(job))) {
            Ok(future) => {
                let waker = |slot| Bell::waker(&self.board, What::Slot(slot));
                let slot = self.slots.begin(item, future, waker);
                self.board.begin(slot, busy);
                self.first_due.get_or_insert(since + self.timeout);
            }
            Err(panic) => self.board.said(item, Err(panic)),
        }
    }
}

impl<T, C, F, Fut, R> Future for Drive<T, C, F, Fut>
where
    T: ?Sized,
    C: Decode<T>,
    F: Fn(Job<C::Owned>) -> Fut,
    Fut: Future<Output = Result<R, HandlerError>>,
    R: Into<Outcome>,
{
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.board.store.check_parent()?;
        if self.over {
            return Poll::Ready(Ok(()));
        }
        let mut polls = POLLS;
        let orders = loop {
            let Found { orders, ordered, intake, slots } = self.board.look(polls);
            if ordered {
                // It is over, and another one may have to be set.
                self.alarm_at = None;
                if orders.cut {
                    self.give_back_all();
                }
                self.look_at_the_time(orders);
            }
            if intake {
                self.intake.rang();
            }
            polls -= slots.len();
            let finished = self.poll_handlers(slots);
            let began = self.take(orders, polls);
            let nothing_comes = orders.stopped || self.intake.ended().is_some();
            if nothing_comes && self.slots.running() == 0 {
                return Poll::Ready(self.end());
            }
            if polls == 0 || !(finished || began) {
                break orders;
            }
        };
        if !self.set_alarm(orders) {
            self.board.ring(What::Orders);
        }
        let more = self.intake.is_hungry() && self.slots.room() > 0;
        if more || !self.board.rest(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// The handlers' futures are pinned each in its own box.
impl<T: ?Sized, C, F, Fut> Unpin for Drive<T, C, F, Fut> {}

impl<T: ?Sized, C, F, Fut> Drop for Drive<T, C, F, Fut> {
    fn drop(&mut self) {
        let store = Arc::clone(&self.board.store);
        // Before any lock: in a forked child its holder may not exist.
        if store.check_parent().is_ok() {
            self.give_back_all();
            store.forget(&mut self.alarm);
            self.board.end();
        }
    }
}
