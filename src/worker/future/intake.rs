//! Where a [`Work`](super::Work) waits for messages.

use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::consumer::Handle;
use crate::engine::dispatch::{Asleep, Wait};
use crate::engine::member::Member;
use crate::error::{Error, ErrorKind};
use crate::flush::Timer;
use crate::handler::{Events, WorkerEvent};
use crate::options::LONGEST_WAIT;

/// How long it waits before it reads again what could not be read, at first and at most.
const UNREADABLE_WAIT: Duration = Duration::from_millis(10);
const UNREADABLE_WAIT_MAX: Duration = Duration::from_secs(10);

pub(super) struct Intake {
    member: Member,
    /// How long its handlers may take.
    patience: Duration,
    wait: Wait,
    asleep: Asleep,
    waker: Waker,
    /// Whether there may be something. If not, the waker rings when there is.
    hungry: bool,
    paused: bool,
    read_again: Timer,
    unreadable_wait: Duration,
    /// Why nothing comes any more.
    ended: Option<Error>,
}

impl Intake {
    pub(super) fn new(member: Member, patience: Duration, waker: Waker) -> Self {
        Self {
            wait: Wait::up_to(LONGEST_WAIT),
            asleep: member.asleep(member.batch()),
            member,
            patience,
            waker,
            hungry: true,
            paused: false,
            read_again: Timer::default(),
            unreadable_wait: UNREADABLE_WAIT,
            ended: None,
        }
    }

    /// The waker rang.
    pub(super) fn rang(&mut self) {
        self.hungry = true;
    }

    pub(super) fn ended(&self) -> Option<&Error> {
        self.ended.as_ref()
    }

    /// Why nothing comes any more, to be said once.
    pub(super) fn take_end(&mut self) -> Option<Error> {
        self.ended.take()
    }

    pub(super) fn is_hungry(&self) -> bool {
        self.hungry && !self.paused && self.ended.is_none()
    }

    /// Gets up; what it was woken for is somebody else's.
    fn get_up(&mut self) {
        self.asleep = self.member.asleep(self.member.batch());
        self.hungry = true;
        // Its handlers go on.
        self.member.is_busy_for(self.patience);
    }

    /// Nothing is taken any more.
    pub(super) fn leave(&mut self) {
        self.get_up();
        self.member.leave();
    }

    /// While it is paused, it waits for nothing but the end.
    pub(super) fn pause(&mut self, paused: bool) {
        if self.paused != paused {
            self.paused = paused;
            self.get_up();
        }
    }

    /// Learns that nothing comes any more, though it takes nothing. No handler runs: its queues are for others.
    pub(super) fn look_for_the_end(&mut self, events: &Events) {
        if self.paused && self.hungry && self.ended.is_none() {
            self.member.leave();
            match self.member.poll_end(&mut self.asleep, &self.waker) {
                Poll::Ready(why) => self.end(why, events),
                Poll::Pending => self.hungry = false,
            }
        }
    }

    /// Takes up to `max` messages.
    pub(super) fn take(&mut self, max: usize, events: &Events) -> Vec<Handle> {
        let mut handles = Vec::new();
        // Handlers beside each other each have a queue of their own.
        let max = if self.member.has_own_queues() { max.min(1) } else { max };
        while self.is_hungry() && handles.is_empty() {
            let seat = self.member.seat();
            let mut put = |message, held| handles.push(Handle::new(message, held, seat));
            let asleep = (&mut self.asleep, &self.waker);
            match self.member.poll_take(max, &mut self.wait, asleep, &mut put) {
                Poll::Pending => self.hungry = false,
                Poll::Ready(Ok(0)) => self.wait = Wait::up_to(LONGEST_WAIT),
                Poll::Ready(Ok(_)) => {
                    self.unreadable_wait = UNREADABLE_WAIT;
                    self.asleep.take_for(self.member.batch());
                    self.member.is_busy_for(self.patience);
                }
                Poll::Ready(Err(e)) => self.failed(e, events),
            }
        }
        handles
    }

    fn failed(&mut self, error: Error, events: &Events) {
        if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Poisoned) {
            self.end(error, events);
            return;
        }
        let topic = self.member.topic().name();
        events.tell(&WorkerEvent::Unreadable { topic, error: &error });
        // A damaged one is passed over from now on.
        if error.kind() != ErrorKind::Corrupt {
            let at = self.read_again_at();
            self.hungry = self.member.store().remind(&mut self.read_again, at, &self.waker);
        }
    }

    fn read_again_at(&mut self) -> Instant {
        let at = self.member.store().clock.os_now() + self.unreadable_wait;
        self.unreadable_wait = (self.unreadable_wait * 2).min(UNREADABLE_WAIT_MAX);
        at
    }

    fn end(&mut self, why: Error, events: &Events) {
        if why.kind() != ErrorKind::Closed {
            events.tell(&WorkerEvent::Stopped { error: &why });
        }
        self.ended = Some(why);
        self.get_up();
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.member.store().forget(&mut self.read_again);
    }
}
