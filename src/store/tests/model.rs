//! What a store promised, and whether it kept its word.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::message::Receipt;
use crate::store::Store;
use crate::store::message::Message;
use crate::store::read::{Ahead, View};
use crate::store::topics::Topic;
use crate::sync::Arc;

/// Group, topic, queue.
pub(super) type CursorName = (String, String, u32);

/// What the next process may count on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The process was killed: everything that returned `Ok` is there.
    Kill,
    /// The power went, or the disk lost what it was given: everything that was said to be durable is there.
    PowerCut,
}

/// A message that somebody tried to send.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    topic: String,
    len: usize,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Said to be stored, at this place.
    Stored { at: Place, durable: bool },
    /// Said not to be stored.
    Refused,
    /// An error that leaves it open; where it is, if it is.
    Unknown(Option<Place>),
}

/// Queue, queue offset, log offset.
type Place = (u32, u64, u64);

/// Everything that was promised.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    next_id: u64,
    sent: BTreeMap<u64, Sent>,
    /// Acknowledged offsets, and whether durably.
    acked: BTreeMap<CursorName, BTreeMap<u64, bool>>,
    /// Offsets whose acknowledgement failed, so it may have happened or not.
    perhaps: BTreeMap<CursorName, BTreeSet<u64>>,
}

/// The body of a message: its number, and bytes that follow from it.
pub(super) fn body_of(id: u64, len: usize) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    let mut word = id;
    while body.len() < len.max(8) {
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        body.push(word.to_be_bytes()[1]);
    }
    body
}

pub(super) fn id_of(body: &[u8]) -> Option<u64> {
    body.first_chunk().map(|id| u64::from_be_bytes(*id))
}

fn place_of(receipt: &Receipt) -> Place {
    (receipt.queue.get(), receipt.queue_offset.get(), receipt.log_offset.get())
}

impl Model {
    /// A new message, with its number and body.
    pub(super) fn draft(&mut self, topic: &str, len: usize) -> (u64, Vec<u8>) {
        let id = self.next_id;
        self.next_id += 1;
        let body = body_of(id, len);
        self.sent.insert(
            id,
            Sent { topic: topic.to_owned(), len: body.len(), fate: Fate::Unknown(None) },
        );
        (id, body)
    }

    pub(super) fn stored(&mut self, id: u64, receipt: &Receipt) {
        let at = place_of(receipt);
        if let Some(sent) = self.sent.get_mut(&id) {
            sent.fate = Fate::Stored { at, durable: receipt.durable };
        }
        if receipt.durable {
            // The log becomes durable from its beginning.
            self.durable_below(receipt.log_offset.get());
        }
    }

    pub(super) fn failed(&mut self, id: u64, error: &Error) {
        let fate = match error.kind() {
            ErrorKind::Full
            | ErrorKind::TooLarge
            | ErrorKind::InvalidArgument
            | ErrorKind::NotFound
            | ErrorKind::Closed => Fate::Refused,
            _ => Fate::Unknown(error.receipt().map(place_of)),
        };
        if let Some(sent) = self.sent.get_mut(&id) {
            sent.fate = fate;
        }
    }

    pub(super) fn acked(&mut self, name: &CursorName, offset: u64, outcome: Result<bool, ()>) {
        match outcome {
            Ok(durable) => {
                let before = self.acked.entry(name.clone()).or_default().entry(offset).or_default();
                *before |= durable;
            }
            Err(()) => {
                self.perhaps.entry(name.clone()).or_default().insert(offset);
            }
        }
    }

    fn durable_below(&mut self, end: u64) {
        for sent in self.sent.values_mut() {
            if let Fate::Stored { at: (.., log), durable } = &mut sent.fate
                && *log < end
            {
                *durable = true;
            }
        }
    }

    /// The log was synced.
    pub(super) fn log_is_durable(&mut self) {
        self.durable_below(u64::MAX);
    }

    /// The acknowledgements were synced.
    pub(super) fn acks_are_durable(&mut self) {
        self.acked.values_mut().flat_map(BTreeMap::values_mut).for_each(|durable| *durable = true);
    }

    /// How many messages were said to be stored.
    pub(super) fn stored_count(&self) -> usize {
        self.sent.values().filter(|s| matches!(s.fate, Fate::Stored { .. })).count()
    }

    /// Whether somebody tried to send this, and was not told that it failed.
    pub(super) fn may_be_delivered(&self, topic: &str, body: &[u8]) -> bool {
        let sent = id_of(body).and_then(|id| self.sent.get(&id).map(|sent| (id, sent)));
        sent.is_some_and(|(id, sent)| {
            sent.topic == topic && sent.fate != Fate::Refused && body == body_of(id, sent.len)
        })
    }

    /// Whether the offset counts as done, or may.
    pub(super) fn may_be_acked(&self, name: &CursorName, offset: u64) -> bool {
        self.acked.get(name).is_some_and(|acked| acked.contains_key(&offset))
            || self.perhaps.get(name).is_some_and(|perhaps| perhaps.contains(&offset))
    }

    /// Compares what an opened store has with what was promised, and takes what it has for the truth from now on.
    ///
    /// What a crash took stays away: from here on it counts as never sent.
    pub(super) fn check(&mut self, engine: &Engine, left: Left, context: &str) {
        let store = engine.store();
        assert_eq!(store.report.damage, [], "{context}: a crash is no damage");
        let mut found = BTreeMap::new();
        for topic in store.topics.all() {
            for (queue, state) in topic.queues() {
                let extent = state.extent();
                assert_eq!(extent.min, 0, "{context}: {} {queue}", topic.name());
                for offset in 0..extent.next {
                    let message = read(store, &topic, queue, offset).unwrap_or_else(|e| {
                        panic!("{context}: {} {queue} {offset}: {e:?}", topic.name())
                    });
                    let (id, place) = self.recognise(&message, context);
                    assert_eq!((place.0, place.1), (queue, offset), "{context}: {id}");
                    assert_eq!(found.insert(id, place), None, "{context}: {id} is there twice");
                }
            }
        }
        self.check_sent(&found, left, context);
        self.check_acked(store, left, context);
        self.rebase(&found);
    }

    fn recognise(&self, message: &Message, context: &str) -> (u64, Place) {
        let id = id_of(message.body()).unwrap();
        let sent = self
            .sent
            .get(&id)
            .unwrap_or_else(|| panic!("{context}: {message:?} with number {id} came from nowhere"));
        assert_eq!(message.topic(), sent.topic, "{context}: {id}");
        assert!(message.body() == body_of(id, sent.len), "{context}: the body of {id} changed");
        let place =
            (message.queue().get(), message.queue_offset().get(), message.log_offset().get());
        (id, place)
    }

    fn check_sent(&self, found: &BTreeMap<u64, Place>, left: Left, context: &str) {
        let last = found.values().map(|(.., log)| *log).max();
        for (id, sent) in &self.sent {
            let there = found.get(id);
            match sent.fate {
                Fate::Stored { at, durable } => {
                    let promised = left == Left::Kill || durable;
                    // The log ends somewhere: nothing is missing before that.
                    let inside = last.is_some_and(|last| at.2 < last);
                    assert!(
                        there.is_some() || !(promised || inside),
                        "{context}: {id} at {at:?} is lost (promised: {promised}, inside: {inside})"
                    );
                    assert!(
                        there.is_none_or(|there| *there == at),
                        "{context}: {id} moved from {at:?} to {there:?}"
                    );
                }
                Fate::Refused => {
                    assert_eq!(there, None, "{context}: {id} was said not to be stored");
                }
                Fate::Unknown(Some(at)) => {
                    assert!(there.is_none_or(|there| *there == at), "{context}: {id} moved");
                }
                Fate::Unknown(None) => {}
            }
        }
    }

    fn check_acked(&self, store: &Store, left: Left, context: &str) {
        let next_of = |topic: &str, queue: u32| {
            store
                .topics
                .get(topic)
                .and_then(|t| t.queue(queue).map(|q| q.extent().next))
                .unwrap_or(0)
        };
        for (name, offsets) in &self.acked {
            let (group, topic, queue) = name;
            let next = next_of(topic, *queue);
            let cursor = store.progress.cursor(group, topic, *queue);
            for (offset, durable) in offsets.iter().filter(|(offset, _)| **offset < next) {
                let there = cursor.as_ref().is_some_and(|cursor| cursor.is_acked(*offset));
                let promised = left == Left::Kill || *durable;
                assert!(there || !promised, "{context}: {name:?} forgot that {offset} was done");
            }
        }
        for cursor in store.progress.snapshot_state().cursors {
            let name = (cursor.group, cursor.topic, cursor.queue);
            let next = next_of(&name.1, name.2);
            assert!(cursor.acked.reach() <= next, "{context}: {name:?} is done with the future");
            for offset in (0..next).filter(|offset| cursor.acked.contains(*offset)) {
                let may = self.may_be_acked(&name, offset);
                assert!(may, "{context}: {name:?} is done with {offset}, which nobody did");
            }
        }
    }

    fn rebase(&mut self, found: &BTreeMap<u64, Place>) {
        self.sent.retain(|id, _| found.contains_key(id));
        for (id, at) in found {
            if let Some(sent) = self.sent.get_mut(id) {
                sent.fate = Fate::Stored { at: *at, durable: true };
            }
        }
        self.forget_acks();
    }

    pub(super) fn forget_acks(&mut self) {
        self.acked.clear();
        self.perhaps.clear();
    }

    /// After [`Model::check`]: what is acknowledged now was written down by the opening.
    pub(super) fn adopt_acks(&mut self, engine: &Engine) {
        for cursor in engine.store().progress.snapshot_state().cursors {
            let name = (cursor.group, cursor.topic, cursor.queue);
            for offset in (0..cursor.acked.reach()).filter(|o| cursor.acked.contains(*o)) {
                self.acked(&name, offset, Ok(true));
            }
        }
    }
}

/// The message at an offset, as a consumer would get it.
pub(super) fn read(
    store: &Store,
    topic: &Arc<Topic>,
    queue: u32,
    offset: u64,
) -> Result<Message, Error> {
    match store.view(topic, queue, offset, &mut Ahead::default())? {
        View::Unit(unit) => store.load(topic, (queue, offset), unit),
        other => Err(Error::new(ErrorKind::NotFound, format!("{other:?}"))),
    }
}
