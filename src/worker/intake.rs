//! Where a worker's threads wait for messages.
//!
//! A thread waits as a future does, with a waker that rings at its post: so it can wait for several topics at once, and whoever pauses or
//! stops it rings the same bell. Only a thread that sleeps lies among those who are woken by an arrival: before it handles what it has
//! found, it gets up everywhere, and passes on what it was woken for and does not take.

use std::task::Poll;
use std::time::{Duration, Instant};

use crate::consumer::Handle;
use crate::engine::dispatch::{Asleep, By, Wait};
use crate::engine::join::Seat;
use crate::engine::member::Member;
use crate::error::{Error, ErrorKind, Result};
use crate::handler::{Events, WorkerEvent};
use crate::options::LONGEST_WAIT;
use crate::sync::Arc;

use super::crew::{Crew, Post};
use super::handling::Handling;

/// How long a thread waits before it reads again what could not be read, at first and at most.
const UNREADABLE_WAIT: Duration = Duration::from_millis(10);
const UNREADABLE_WAIT_MAX: Duration = Duration::from_secs(10);

/// A topic of a worker, and what is done with its messages.
pub(super) struct Source {
    pub(super) seat: Arc<Seat>,
    /// So many are handled together, if they come within `linger` of the first.
    pub(super) max: usize,
    pub(super) linger: Duration,
    /// How long a message may be held, if that is not as the group's lease says.
    pub(super) hold: Option<Duration>,
    /// How long a handler may take.
    pub(super) patience: Duration,
    pub(super) handling: Handling,
}

/// A place among those who wait for the messages of a topic.
struct Place {
    wait: Wait,
    asleep: Asleep,
    batch: By,
}

impl Place {
    /// Of a thread, for what it takes together.
    fn of(member: &Member, batch: By) -> Self {
        Self { wait: Wait::up_to(LONGEST_WAIT), asleep: member.asleep(batch), batch }
    }

    fn new(member: &Member) -> Self {
        Self::of(member, member.batch())
    }
}

/// What a look brought.
enum Look {
    Taken(Vec<Handle>),
    /// There may be something.
    Again,
    /// The bell will ring.
    Nothing,
    /// Nothing can be read at the moment.
    Unreadable,
    /// Nothing comes any more.
    Stopped(Error),
}

impl Source {
    fn look(&self, place: &mut Place, max: usize, post: &Arc<Post>, events: &Events) -> Look {
        let mut handles = Vec::new();
        let mut put = |message, held| handles.push(Handle::new(message, held, &self.seat));
        let asleep = (&mut place.asleep, &post.waker());
        let looked = self.seat.poll_take(max, &mut place.wait, asleep, &mut put);
        match looked {
            Poll::Pending => Look::Nothing,
            Poll::Ready(Ok(0)) => {
                place.wait = Wait::up_to(LONGEST_WAIT);
                Look::Again
            }
            Poll::Ready(Ok(_)) => {
                handles.retain(|handle| self.keep(handle).is_ok());
                if handles.is_empty() { Look::Again } else { Look::Taken(handles) }
            }
            Poll::Ready(Err(e)) => match e.kind() {
                ErrorKind::Closed | ErrorKind::Poisoned => Look::Stopped(e),
                kind => {
                    events.tell(&WorkerEvent::Unreadable {
                        topic: self.seat.topic().name(),
                        error: &e,
                    });
                    // A damaged one is passed over from now on.
                    if kind == ErrorKind::Corrupt { Look::Again } else { Look::Unreadable }
                }
            },
        }
    }

    fn keep(&self, handle: &Handle) -> Result<()> {
        self.hold.map_or(Ok(()), |hold| handle.extend(hold))
    }

    /// Takes what comes within the time that a batch waits to be full.
    fn fill(&self, desk: &Intake<'_>, mut place: Place, batch: &mut Vec<Handle>) {
        let Intake { crew, post, events, .. } = desk;
        let until = crew.store.clock.now() + self.linger.min(LONGEST_WAIT);
        while batch.len() < self.max {
            match self.look(&mut place, self.max - batch.len(), post, events) {
                Look::Taken(more) => batch.extend(more),
                Look::Again => {}
                Look::Nothing if crew.is_stopped() || crew.is_paused() => return,
                Look::Nothing if crew.store.clock.now() < until => {
                    post.listen(Some(crew.store.clock.os(until)));
                }
                Look::Nothing | Look::Unreadable | Look::Stopped(_) => return,
            }
        }
    }
}

/// One thread's view of its topics.
pub(super) struct Intake<'a> {
    pub(super) crew: &'a Crew,
    pub(super) post: &'a Arc<Post>,
    pub(super) sources: &'a [Source],
    /// What this thread is in the group of each of them.
    members: Vec<Member>,
    pub(super) events: &'a Events,
    /// The topic to look at first.
    turn: usize,
    unreadable_wait: Duration,
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        crew: &'a Crew,
        post: &'a Arc<Post>,
        (sources, members): (&'a [Source], Vec<Member>),
        events: &'a Events,
    ) -> Self {
        let unreadable_wait = UNREADABLE_WAIT;
        Self { crew, post, sources, members, events, turn: 0, unreadable_wait }
    }

    /// Waits for messages. `None`: the worker is to end.
    pub(super) fn next(&mut self) -> Option<(&'a Source, Vec<Handle>)> {
        let mut places = self.places();
        loop {
            if self.crew.is_stopped() {
                return None;
            }
            if self.crew.is_paused() {
                // Whoever is awake gets what comes, and the queues of this one.
                places = self.places();
                self.members.iter().for_each(Member::leave);
                if let Some(error) = self.await_end(&mut places) {
                    return self.ended(&error);
                }
                self.post.listen(None);
                continue;
            }
            let (mut again, mut unreadable, mut stopped) = (false, false, None);
            for step in 0..self.sources.len() {
                let at = (self.turn + step) % self.sources.len();
                let (Some(source), Some(place)) = (self.sources.get(at), places.get_mut(at)) else {
                    continue;
                };
                match source.look(place, source.max, self.post, self.events) {
                    // It may have come after the pause began.
                    Look::Taken(batch) if self.takes_nothing() => {
                        drop(batch);
                        again = true;
                        break;
                    }
                    Look::Taken(mut batch) => {
                        let together = place.batch;
                        drop(places);
                        self.turn = at + 1;
                        self.unreadable_wait = UNREADABLE_WAIT;
                        let member = self.members.get(at)?;
                        if batch.len() < source.max && !source.linger.is_zero() {
                            source.fill(self, Place::of(member, together), &mut batch);
                        }
                        member.is_busy_for(source.patience);
                        return Some((source, batch));
                    }
                    Look::Again => again = true,
                    Look::Nothing => {}
                    Look::Unreadable => unreadable = true,
                    Look::Stopped(e) => stopped = Some(e),
                }
            }
            if again {
                continue;
            }
            if let Some(error) = stopped {
                return self.ended(&error);
            }
            self.post.listen(unreadable.then(|| self.read_again_at()));
        }
    }

    fn places(&self) -> Vec<Place> {
        self.members.iter().map(Place::new).collect()
    }

    /// While nothing is taken, the bell rings when nothing comes any more. Says why, if that is so.
    fn await_end(&self, places: &mut [Place]) -> Option<Error> {
        let waker = self.post.waker();
        let ends = self
            .sources
            .iter()
            .zip(places)
            .map(|(source, place)| source.seat.poll_end(&mut place.asleep, &waker));
        ends.filter_map(|end| if let Poll::Ready(why) = end { Some(why) } else { None }).last()
    }

    fn ended<T>(&self, error: &Error) -> Option<T> {
        if error.kind() != ErrorKind::Closed {
            self.events.tell(&WorkerEvent::Stopped { error });
        }
        None
    }

    fn takes_nothing(&self) -> bool {
        self.crew.is_stopped() || self.crew.is_paused()
    }

    fn read_again_at(&mut self) -> Instant {
        let at = self.crew.store.clock.os_now() + self.unreadable_wait;
        self.unreadable_wait = (self.unreadable_wait * 2).min(UNREADABLE_WAIT_MAX);
        at
    }
}
