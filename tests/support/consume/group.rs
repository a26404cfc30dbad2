//! What a group is expected to do: plain maps of what became of each message.

use std::collections::{BTreeMap, BTreeSet};

use super::ops::{Order, Terms};

pub(super) type Place = (u32, u64);

/// A message that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) number: u64,
    pub(super) key: Option<u8>,
    pub(super) tag: Option<u8>,
}

/// Everything that was sent, by queue and offset.
pub(super) type Log = BTreeMap<Place, Sent>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) attempts: u32,
    pub(super) deaths: u32,
    /// In seconds, as all times here.
    pub(super) due: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) delivery: u64,
    /// What was received together.
    pub(super) batch: u64,
    pub(super) until: Option<u64>,
}

/// So often a message may be given back before it has to wait.
const DROPS: u32 = 16;

#[derive(Debug)]
pub(super) struct Group {
    pub(super) terms: Terms,
    /// The one tag that it wants.
    pub(super) wants: Option<u8>,
    pub(super) done: BTreeSet<Place>,
    pub(super) known: BTreeMap<Place, Known>,
    pub(super) held: BTreeMap<Place, Holder>,
    /// How often they were given back, and until when they wait for that, in milliseconds.
    drops: BTreeMap<Place, u32>,
    pub(super) resting: BTreeMap<Place, u64>,
    /// What a move or a pardon left out of the order.
    pub(super) astray: BTreeSet<Place>,
}

impl Group {
    pub(super) fn new(terms: Terms, wants: Option<u8>) -> Self {
        Self {
            terms,
            wants,
            done: BTreeSet::new(),
            known: BTreeMap::new(),
            held: BTreeMap::new(),
            drops: BTreeMap::new(),
            resting: BTreeMap::new(),
            astray: BTreeSet::new(),
        }
    }

    pub(super) fn wants(&self, sent: &Sent) -> bool {
        self.wants.is_none() || self.wants == sent.tag
    }

    pub(super) fn known(&self, place: Place) -> Known {
        self.known.get(&place).copied().unwrap_or_default()
    }

    pub(super) fn is_aside(&self, place: Place) -> bool {
        let known = self.known(place);
        known.attempts >= self.terms.attempts
            || self.terms.deaths.is_some_and(|deaths| known.deaths >= deaths)
    }

    /// Not done, and to be handed out some day.
    pub(super) fn is_left(&self, place: Place, sent: &Sent) -> bool {
        !self.done.contains(&place) && self.wants(sent) && !self.is_aside(place)
    }

    /// In nobody's hands, and its time has come.
    pub(super) fn is_due(&self, place: Place, now_ms: u64) -> bool {
        !self.held.contains_key(&place)
            && self.known(place).due * 1000 <= now_ms
            && self.resting.get(&place).is_none_or(|until| *until <= now_ms)
    }

    /// Leases that are over end when somebody comes to the group.
    pub(super) fn look(&mut self, now: u64) {
        let over = |holder: &Holder| holder.until.is_some_and(|until| until <= now);
        let ended: Vec<Place> =
            self.held.iter().filter(|(_, holder)| over(holder)).map(|(place, _)| *place).collect();
        for place in ended {
            self.let_go(place);
            let known = self.known.entry(place).or_default();
            (known.attempts, known.due) = (known.attempts + 1, now);
        }
    }

    pub(super) fn holds(&self, place: Place, delivery: u64) -> bool {
        self.held.get(&place).is_some_and(|holder| holder.delivery == delivery)
    }

    pub(super) fn ack(&mut self, place: Place) {
        self.held.remove(&place);
        self.known.remove(&place);
        self.forget_drops(place);
        self.astray.remove(&place);
        self.done.insert(place);
    }

    /// Nobody holds it any more; nor, in a group that is ordered by queue, what is behind it.
    fn let_go(&mut self, place: Place) {
        self.held.remove(&place);
        if self.terms.order == Order::ByQueue {
            self.held.retain(|other, _| other.0 != place.0 || *other < place);
        }
    }

    /// Whether its lease, or that of one before it, takes it away from its holder when somebody looks.
    pub(super) fn is_lost(&self, place: Place, now: u64) -> bool {
        let by_queue = self.terms.order == Order::ByQueue;
        let takes = |other: &Place| *other == place || (by_queue && *other < place);
        let before = self.held.range((place.0, 0)..=place).filter(|(other, _)| takes(other));
        before.map(|(_, holder)| holder).any(|h| h.until.is_some_and(|until| until <= now))
    }

    pub(super) fn put_off(&mut self, place: Place, attempts: u32, due: u64) {
        self.let_go(place);
        self.forget_drops(place);
        let known = self.known.entry(place).or_default();
        (known.attempts, known.due) = (known.attempts + attempts, due);
    }

    pub(super) fn give_back(&mut self, place: Place, now: u64) {
        self.let_go(place);
        let drops = self.drops.entry(place).or_default();
        *drops += 1;
        if let Some(over) = drops.checked_sub(DROPS + 1) {
            let wait = 10_u64.saturating_mul(1 << over.min(20)).min(10_000);
            self.resting.insert(place, now * 1000 + wait);
        }
    }

    fn forget_drops(&mut self, place: Place) {
        self.drops.remove(&place);
        self.resting.remove(&place);
    }

    pub(super) fn seek(&mut self, log: &Log, queue: u32, to: u64) {
        let held = std::mem::take(&mut self.held);
        let (here, others) = held.into_iter().partition(|(place, _)| place.0 == queue);
        self.held = others;
        self.astray.retain(|place| place.0 != queue);
        self.drops.retain(|place, _| place.0 != queue);
        self.resting.retain(|place, _| place.0 != queue);
        let here: BTreeMap<Place, Holder> = here;
        for &place in log.keys().filter(|place| place.0 == queue) {
            if place.1 >= to {
                self.done.remove(&place);
            } else if !self.done.contains(&place) {
                // What waits for another attempt is left alone, out of the order.
                if self.known(place).attempts > 0 && !here.contains_key(&place) {
                    self.astray.insert(place);
                } else {
                    self.known.remove(&place);
                    self.done.insert(place);
                }
            }
        }
    }

    pub(super) fn aside(&self) -> Vec<Place> {
        self.known.keys().copied().filter(|place| self.is_aside(*place)).collect()
    }

    pub(super) fn forgive(&mut self) -> usize {
        let aside = self.aside();
        for &place in &aside {
            self.known.insert(place, Known::default());
            self.astray.insert(place);
        }
        aside.len()
    }

    /// Others consume, who know nothing of what those before them did but what is written down.
    pub(super) fn begin_anew(&mut self, terms: Terms) {
        self.terms = terms;
        self.drops.clear();
        self.resting.clear();
        self.astray.clear();
    }

    /// The queue was closed, or the process died.
    pub(super) fn ended(&mut self, died: bool) {
        for (place, _) in std::mem::take(&mut self.held) {
            if died {
                self.known.entry(place).or_default().deaths += 1;
            }
        }
    }
}
