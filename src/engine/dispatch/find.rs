//! Which message comes next.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::consumequeue::format::Unit;
use crate::error::{ErrorKind, Result};
use crate::progress::{Cursor, Failed};
use crate::store::read::{Ahead, View};

use super::lanes::Lanes;
use super::members::{By, Members};
use super::{Dispatch, Found, Place, Spot, Terms};

/// What there is to hand out.
#[derive(Debug)]
pub(super) struct State {
    pub(super) queues: Vec<Position>,
    /// The queue to look at first next time.
    turn: usize,
    /// Messages that failed, and when they are tried again.
    pub(super) parked: Parked,
    /// How often messages were given back that nobody has settled since.
    pub(super) drops: HashMap<Place, u32>,
    pub(super) lanes: Lanes,
    /// In a group that is ordered by queue; nobody and nothing in others.
    pub(super) members: Members,
    /// Futures that wait, with their numbers, and which member each is of; the longest first.
    pub(super) futures: VecDeque<(u64, u64, Waker)>,
    /// Futures that take nothing and wait for the end.
    pub(super) watching: Vec<(u64, Waker)>,
    pub(super) next_future: u64,
}

/// Messages by the time when they are tried again.
#[derive(Debug, Default)]
pub(super) struct Parked {
    by_time: BTreeSet<(Instant, Place)>,
    /// The first time is earlier than it was: whoever sleeps may have to sleep less long.
    sooner: bool,
}

impl Parked {
    pub(super) fn insert(&mut self, at: Instant, place: Place) {
        self.sooner |= self.first().is_none_or(|first| at < first);
        self.by_time.insert((at, place));
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    fn pop_due(&mut self, now: Instant) -> Option<Place> {
        self.first().filter(|first| *first <= now)?;
        self.by_time.pop_first().map(|(_, place)| place)
    }

    pub(super) fn clear(&mut self, queue: u32) {
        self.by_time.retain(|(_, place)| place.0 != queue);
    }

    /// Those of a queue before an offset wait no more.
    pub(super) fn take_before(&mut self, (queue, offset): Place) -> Vec<u64> {
        let mut taken = Vec::new();
        self.by_time.retain(|&(_, (of, at))| {
            let stays = of != queue || at >= offset;
            if !stays {
                taken.push(at);
            }
            stays
        });
        taken
    }

    /// Those who sleep are to be told.
    pub(super) fn tell(&mut self) {
        self.sooner = true;
    }

    /// Whether those who sleep are to be told.
    pub(super) fn take_sooner(&mut self) -> bool {
        std::mem::take(&mut self.sooner)
    }
}

/// What becomes of a message that was looked at.
enum Turn {
    Comes,
    /// Before the lane of its key.
    Waits,
    /// The filter does not want it.
    Passes,
}

#[derive(Debug)]
pub(super) struct Position {
    pub(super) next: u64,
    /// Below this, something may be known of messages that were not met since the group began here, or was moved.
    known_below: u64,
    /// Handed out before, and to be handed out again.
    pub(super) returned: BTreeSet<u64>,
    ahead: Ahead,
    /// What the filter does not want, just before `next`.
    passed: Vec<Range<u64>>,
    /// How many of them.
    passed_count: usize,
}

impl Position {
    pub(super) fn at(next: u64, known_below: u64) -> Self {
        Self {
            next,
            known_below,
            returned: BTreeSet::new(),
            ahead: Ahead::default(),
            passed: Vec::new(),
            passed_count: 0,
        }
    }
}

/// What the next message is, or why there is none.
pub(super) enum Next {
    Unit(Spot, Unit),
    /// The next one is not durable yet.
    After(u64),
    Nothing,
    /// Retention took away what is before this.
    Removed(u64),
    /// Many were passed over; what is behind them is for the next look.
    Later,
}

/// So many entries are passed over under one lock at most.
const PASS_MAX: usize = 4096;

impl State {
    pub(super) fn at_the_watermarks(cursors: &[Cursor], terms: &Terms) -> Self {
        let at = |cursor: &Cursor| Position::at(cursor.watermark(), cursor.reach());
        let shared = if terms.order.is_by_queue() { cursors.len() } else { 0 };
        Self {
            queues: cursors.iter().map(at).collect(),
            turn: 0,
            parked: Parked::default(),
            drops: HashMap::new(),
            lanes: Lanes::default(),
            members: Members::new(terms.strategy, terms.heartbeat, shared),
            futures: VecDeque::new(),
            watching: Vec::new(),
            next_future: 0,
        }
    }

    /// A message that was set aside is not any more. One that was not met yet is met in its turn.
    pub(super) fn forgiven(&mut self, (queue, offset): Place) {
        if let Some(position) = self.queues.get_mut(queue as usize).filter(|p| p.next > offset) {
            position.returned.insert(offset);
        }
    }

    /// To be handed out before anything that was not handed out yet.
    pub(super) fn again(&mut self, (queue, offset): Place) {
        self.members.waits_no_more((queue, offset));
        if let Some(position) = self.queues.get_mut(queue as usize) {
            position.returned.insert(offset);
        }
    }
}

impl Dispatch {
    /// Takes the next messages out, up to `max`. `After` and `Nothing` if there is none; if there are some, `more` says whether somebody
    /// else should look.
    pub(super) fn find_all(
        &self,
        state: &mut State,
        max: usize,
        found: &mut Found,
    ) -> Result<Look> {
        let look = loop {
            match self.find(state, found.by) {
                Ok(Next::Unit(spot, unit)) => {
                    found.units.push((spot, unit));
                    if found.units.len() == max {
                        break Look::Found { more: false };
                    }
                }
                Ok(Next::Nothing | Next::Removed(_)) if found.units.is_empty() => {
                    break Look::Nothing;
                }
                Ok(Next::After(end)) if found.units.is_empty() => break Look::After(end),
                Err(e) if found.units.is_empty() => return Err(e),
                Ok(Next::Nothing | Next::Removed(_)) => break Look::Found { more: false },
                // An error is said by the next call, which meets it first.
                Ok(Next::After(_) | Next::Later) | Err(_) => break Look::Found { more: true },
            }
        };
        if !self.terms.order.is_free() {
            found.crowded.append(&mut state.lanes.take_crowded());
        }
        if self.terms.filter.is_all() {
            return Ok(look);
        }
        for (queue, (position, cursor)) in (0..).zip(state.queues.iter_mut().zip(&self.cursors)) {
            position.passed_count = 0;
            let passed = position.passed.drain(..);
            found.passed.extend(passed.map(|range| (queue, cursor.moves(), range)));
        }
        Ok(look)
    }

    /// Whether a look would find something. Takes nothing out.
    pub(super) fn is_anything_there(&self, state: &State, by: By) -> bool {
        let parked = state.parked.first().is_some_and(|at| at <= self.store.clock.now());
        let fresh = |(position, cursor): (&Position, &Cursor)| {
            let next = self.topic.queue(cursor.queue()).map_or(0, |queue| queue.extent().next);
            let more = position.next < next && !state.lanes.is_crowded(cursor.queue());
            (more || !position.returned.is_empty())
                && self.may_look(&state.members, (position, cursor), by)
        };
        parked || state.queues.iter().zip(&self.cursors).any(fresh)
    }

    /// The next message to hand out.
    fn find(&self, state: &mut State, by: By) -> Result<Next> {
        if state.parked.first().is_some() {
            let now = self.store.clock.now();
            while let Some(place) = state.parked.pop_due(now) {
                state.again(place);
            }
        }
        let count = state.queues.len();
        let mut after = None;
        for step in 0..count {
            let at = (state.turn + step) % count;
            let Some(cursor) = self.cursors.get(at) else { continue };
            let next = loop {
                let State { queues, parked, lanes, members, .. } = &mut *state;
                let Some(position) = queues.get_mut(at) else { break Ok(Next::Nothing) };
                match self.find_in(position, (parked, lanes, members), cursor, by) {
                    Ok(Next::Removed(min)) => self.removed(state, (cursor.queue(), min)),
                    next => break next,
                }
            };
            if !matches!(next, Ok(Next::Nothing | Next::After(_))) {
                // The others come first next time.
                state.turn = (at + 1) % count;
            }
            match next? {
                Next::Unit(spot, unit) => return Ok(Next::Unit(spot, unit)),
                Next::After(end) => after = Some(after.map_or(end, |first: u64| first.min(end))),
                Next::Nothing | Next::Removed(_) => {}
                Next::Later => return Ok(Next::Later),
            }
        }
        Ok(after.map_or(Next::Nothing, Next::After))
    }

    fn find_in(
        &self,
        position: &mut Position,
        (parked, lanes, members): (&mut Parked, &mut Lanes, &mut Members),
        cursor: &Cursor,
        by: By,
    ) -> Result<Next> {
        let queue = cursor.queue();
        loop {
            if !self.may_look(members, (position, cursor), by) {
                return Ok(Next::Nothing);
            }
            let again = position.returned.first().copied();
            let (offset, failed) = match again {
                Some(offset) => (offset, None),
                None if lanes.is_crowded(queue) => return Ok(Next::Nothing),
                None if position.next < position.known_below => cursor.next_unacked(position.next),
                None => (position.next, None),
            };
            if again.is_none() {
                position.next = offset;
            }
            let waits = failed.filter(|failed| !self.is_due(*failed));
            if let Some(failed) = waits
                && (self.terms.sets_aside(failed) || !self.terms.order.is_strict())
            {
                // It comes back when it has waited, or not at all.
                position.next = offset + 1;
                self.park_in(parked, (queue, offset), failed);
                continue;
            }
            match self.store.view(&self.topic, queue, offset, &mut position.ahead)? {
                View::Unit(unit) => {
                    let fresh = again.is_none() && failed.is_none();
                    let spot = Spot { place: (queue, offset), epoch: cursor.epoch() };
                    let wanted = !fresh || self.terms.filter.may_match(unit.tags_code);
                    let turn =
                        if wanted { self.lane(lanes, (spot, unit), fresh)? } else { Turn::Passes };
                    if again.is_some() {
                        position.returned.remove(&offset);
                    } else {
                        position.next = offset + 1;
                    }
                    match turn {
                        Turn::Comes => match waits {
                            None => {
                                members.takes(spot.place, by);
                                return Ok(Next::Unit(spot, unit));
                            }
                            // In its lane, so that nothing overtakes it.
                            Some(failed) => {
                                members.waits(spot.place);
                                self.park_in(parked, spot.place, failed);
                            }
                        },
                        Turn::Waits => {}
                        Turn::Passes => {
                            position.pass(offset);
                            if position.passed_count == PASS_MAX {
                                return Ok(Next::Later);
                            }
                        }
                    }
                }
                View::After(end) => return Ok(Next::After(end)),
                View::Nothing => return Ok(Next::Nothing),
                View::Removed(min) => return Ok(Next::Removed(min)),
            }
        }
    }

    /// Whether the next message of a queue may go to this consumer.
    fn may_look(
        &self,
        members: &Members,
        (position, cursor): (&Position, &Cursor),
        by: By,
    ) -> bool {
        let next = || position.returned.first().copied().unwrap_or(position.next);
        !self.terms.order.is_by_queue() || members.may_take((cursor.queue(), next()), by)
    }

    /// Sends a message into the lane of its key.
    fn lane(&self, lanes: &mut Lanes, (spot, unit): (Spot, Unit), fresh: bool) -> Result<Turn> {
        let order = self.terms.order;
        if order.is_free() || order.is_by_queue() || lanes.is_inside(spot.place) {
            return Ok(Turn::Comes);
        }
        let message = match self.store.load(&self.topic, spot.place, unit) {
            Ok(message) => message,
            // Said when it is handed out.
            Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                return Ok(Turn::Comes);
            }
            Err(e) => return Err(e),
        };
        if fresh && !self.terms.filter.matches(&message) {
            return Ok(Turn::Passes);
        }
        let enters = |key: &str| lanes.enter(spot.place, key.as_bytes(), order);
        Ok(if message.order_key().is_none_or(enters) { Turn::Comes } else { Turn::Waits })
    }

    /// A message is done, or waits outside its lane: the next one of its key comes. Says for how many somebody should look: that one, if it
    /// comes now, and what lies behind a crowd that has room again.
    pub(super) fn leave_lane(&self, state: &mut State, place: Place) -> usize {
        let crowded = state.lanes.is_crowded(place.0);
        let next = self.next_in_lane(state, place);
        usize::from(next) + usize::from(crowded && !state.lanes.is_crowded(place.0))
    }

    fn next_in_lane(&self, state: &mut State, place: Place) -> bool {
        let mut leaving = state.lanes.leave(place);
        while let Some((queue, offset)) = leaving {
            let failed = self.cursor(queue).ok().and_then(|cursor| cursor.failed(offset));
            match failed.filter(|failed| !self.is_due(*failed)) {
                Some(failed) if self.terms.sets_aside(failed) => {
                    leaving = state.lanes.leave((queue, offset));
                    continue;
                }
                Some(failed) => self.park_in(&mut state.parked, (queue, offset), failed),
                None => {
                    state.again((queue, offset));
                    return true;
                }
            }
            return false;
        }
        false
    }

    pub(super) fn is_due(&self, failed: Failed) -> bool {
        !self.terms.sets_aside(failed)
            && (failed.due_ms == 0 || failed.due_ms <= self.store.clock.wall_ms())
    }

    /// Notes when a message is tried again that failed; one that is set aside has no such time.
    pub(super) fn park_in(&self, parked: &mut Parked, place: Place, failed: Failed) {
        if !self.terms.sets_aside(failed) {
            let wait = failed.due_ms.saturating_sub(self.store.clock.wall_ms());
            let now = self.store.clock.now();
            // What is too far away to be a time is looked at again in a year.
            let at = now.checked_add(Duration::from_millis(wait));
            parked.insert(at.unwrap_or(now + Duration::from_secs(31_536_000)), place);
        }
    }
}

impl Position {
    fn pass(&mut self, offset: u64) {
        self.passed_count += 1;
        match self.passed.last_mut() {
            Some(last) if last.end == offset => last.end = offset + 1,
            _ => self.passed.push(offset..offset + 1),
        }
    }
}

/// How a look at the queues ended.
pub(super) enum Look {
    /// With messages. Whether there may be `more` for somebody else.
    Found {
        more: bool,
    },
    /// The next one is not durable yet.
    After(u64),
    Nothing,
}
