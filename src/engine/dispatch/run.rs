//! Messages on their way out: as they were found, and as they are handed out together.

use std::ops::Range;

use crate::consumequeue::format::Unit;
use crate::store::message::Message;

use super::Spot;
use super::few::Few;
use super::members::By;

/// What a look at the queues brought.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Who looks.
    pub(super) by: By,
    pub(super) units: Few<(Spot, Unit)>,
    /// Queue, how often it was moved, and offsets of what the filter does not want.
    pub(super) passed: Vec<(u32, u64, Range<u64>)>,
    /// Queues that are read no further ahead, as whoever stands by is to be told.
    pub(super) crowded: Vec<u32>,
}

impl Found {
    /// Whether there is something to do though there are no messages.
    pub(super) fn has_chores(&self) -> bool {
        !self.passed.is_empty() || !self.crowded.is_empty()
    }
}

/// Messages that follow each other in a queue, loaded.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) first: Option<Spot>,
    pub(super) messages: Few<Message>,
}

impl Run {
    pub(super) fn goes_on_with(&self, spot: Spot) -> bool {
        self.first.is_some_and(|Spot { place: (queue, first), epoch }| {
            let next = first + u64::try_from(self.messages.len()).unwrap_or(0);
            epoch == spot.epoch && (queue, next) == spot.place
        })
    }

    pub(super) fn add(&mut self, spot: Spot, message: Message) {
        self.first.get_or_insert(spot);
        self.messages.push(message);
    }
}
