//! Handing messages out, and what becomes of them: acknowledged, given back, failed, held for too long.

use std::ops::Range;
use std::time::Instant;

use super::cursor::Cursor;
use super::format::Entry;
use super::hands::Hands;
use super::live::{Live, Progress};
use super::unsettled::Failed;
use crate::error::{Error, ErrorKind, Result};

/// A stretch of messages that was handed out.
#[derive(Debug)]
pub(crate) struct Taken {
    /// What its holder has to show.
    pub(crate) token: u64,
    /// Those that failed before, in order.
    pub(crate) failed: Vec<(u64, Failed)>,
}

impl Progress {
    /// Hands out a stretch of a queue, until a time or for as long as it takes. `None` if the group was moved since `epoch`.
    ///
    /// When it returns, the death of the process is counted as a failure of these messages. A store that cannot write that down
    /// hands them out all the same.
    pub(crate) fn take(
        &self,
        cursor: &Cursor,
        epoch: u64,
        range: Range<u64>,
        until: Option<Instant>,
    ) -> Result<Option<Taken>> {
        let mut live = self.live.lock();
        live.check(cursor)?;
        if live.closed {
            return Err(Error::closed());
        }
        if cursor.epoch() != epoch {
            return Ok(None);
        }
        let (from, count) = (range.start, range.end - range.start);
        self.note(&mut live, &Entry::Taken { cursor: cursor.id(), from, count });
        live.tokens += 1;
        let token = live.tokens;
        let mut marks = cursor.marks();
        let failed = marks.unsettled.failed_in(range.clone());
        marks.unsettled.hands.take(range, token, until);
        Ok(Some(Taken { token, failed }))
    }

    /// Acknowledges messages that the token holds; says how many were not acknowledged before.
    ///
    /// When it returns it survives the process, and a power cut after the next [`Progress::sync`]. `Full` if the
    /// disk has no room, `Stale` if the token does not hold them any more: then nothing happened.
    pub(crate) fn ack_held(&self, cursor: &Cursor, token: u64, range: Range<u64>) -> Result<u64> {
        let mut live = self.writable()?;
        live.check(cursor)?;
        self.acknowledge(&mut live, cursor, range, |hands, range| hands.give_up(range, token))
    }

    /// Counts messages as done that nobody holds, if that is `still` so.
    pub(crate) fn pass(
        &self,
        cursor: &Cursor,
        still: impl FnOnce(&Cursor) -> bool,
        range: Range<u64>,
    ) -> Result<u64> {
        let mut live = self.writable()?;
        live.check(cursor)?;
        if !still(cursor) {
            return Ok(0);
        }
        self.acknowledge(&mut live, cursor, range, |_, _| true)
    }

    /// As [`Progress::pass`], whatever happened to the cursor.
    #[cfg(test)]
    pub(crate) fn ack(&self, cursor: &Cursor, range: Range<u64>) -> Result<u64> {
        self.pass(cursor, |_| true, range)
    }

    /// `may` takes the messages out of the hands that they have to be in, or says that they are not.
    fn acknowledge(
        &self,
        live: &mut Live,
        cursor: &Cursor,
        range: Range<u64>,
        may: impl FnOnce(&mut Hands, Range<u64>) -> bool,
    ) -> Result<u64> {
        if range.is_empty() {
            return Ok(0);
        }
        let (from, count) = (range.start, range.end - range.start);
        let entry = Entry::Ack { cursor: cursor.id(), from, count };
        self.reserve(live, &[entry])?;
        // Held until the entry is written: nobody sees an acknowledgement that a crash could still take back.
        let mut marks = cursor.marks();
        if !may(&mut marks.unsettled.hands, range.clone()) {
            return Err(stale());
        }
        let fresh = marks.acked.insert(range.clone());
        marks.unsettled.settle(range);
        if fresh > 0 {
            self.record(live, &entry)?;
        }
        Ok(fresh)
    }

    /// Takes a message back that the token holds. `false` if it does not.
    pub(crate) fn give_back(&self, cursor: &Cursor, token: u64, offset: u64) -> bool {
        let range = offset..offset.saturating_add(1);
        let mut live = self.live.lock();
        if live.check(cursor).is_err() || !cursor.marks().unsettled.hands.holds(&range, token) {
            return false;
        }
        self.note(&mut live, &Entry::Returned { cursor: cursor.id(), from: offset, count: 1 });
        cursor.marks().unsettled.hands.release(range);
        true
    }

    /// Takes back what anybody holds of a stretch; what is on its way to anybody from this queue is let go.
    pub(crate) fn withdraw(&self, cursor: &Cursor, range: Range<u64>) {
        let mut live = self.live.lock();
        if live.check(cursor).is_err() {
            return;
        }
        cursor.next_epoch();
        let (from, count) = (range.start, range.end.saturating_sub(range.start));
        if cursor.marks().unsettled.hands.release(range) > 0 {
            self.note(&mut live, &Entry::Returned { cursor: cursor.id(), from, count });
        }
    }

    /// A message that the token holds failed, or is put off. `change` says what is known of it from now on. `None` if the token does
    /// not hold it.
    ///
    /// When it returns it survives the process, as an acknowledgement does. A store that cannot write it down goes on with it in memory.
    pub(crate) fn fail(
        &self,
        cursor: &Cursor,
        token: u64,
        offset: u64,
        change: impl FnOnce(Failed) -> Failed,
    ) -> Option<Failed> {
        let range = offset..offset.saturating_add(1);
        self.fail_if(cursor, offset, |hands| hands.holds(&range, token), change)
    }

    /// As [`Progress::fail`], whoever holds the message. `None` if nobody does.
    pub(crate) fn fail_in_any_hands(
        &self,
        cursor: &Cursor,
        offset: u64,
        change: impl FnOnce(Failed) -> Failed,
    ) -> Option<Failed> {
        self.fail_if(cursor, offset, |hands| hands.is_held(offset), change)
    }

    fn fail_if(
        &self,
        cursor: &Cursor,
        offset: u64,
        held: impl FnOnce(&Hands) -> bool,
        change: impl FnOnce(Failed) -> Failed,
    ) -> Option<Failed> {
        let mut live = self.live.lock();
        live.check(cursor).ok()?;
        if !held(&cursor.marks().unsettled.hands) {
            return None;
        }
        let failed = change(cursor.failed(offset).unwrap_or_default());
        self.note_failed(&mut live, cursor, offset, failed);
        Some(failed)
    }

    /// What is known of the failures of a message is forgotten, if `so` says so of them.
    pub(crate) fn forgive(
        &self,
        cursor: &Cursor,
        offset: u64,
        so: impl FnOnce(Failed) -> bool,
    ) -> Result<bool> {
        let mut live = self.writable()?;
        live.check(cursor)?;
        if !cursor.failed(offset).is_some_and(so) {
            return Ok(false);
        }
        let failed = Failed::default();
        self.reserve(&mut live, &[Entry::Failed { cursor: cursor.id(), offset, failed }])?;
        self.note_failed(&mut live, cursor, offset, failed);
        Ok(true)
    }

    /// What was held for too long: a failed attempt, at once to be tried again. In order.
    pub(crate) fn expire(&self, cursor: &Cursor, now: Instant, now_ms: u64) -> Vec<(u64, Failed)> {
        let mut live = self.live.lock();
        if live.check(cursor).is_err() {
            return Vec::new();
        }
        let expired = cursor.marks().unsettled.hands.expire(now);
        let offsets = expired.into_iter().flatten();
        offsets
            .map(|offset| {
                let before = cursor.failed(offset).unwrap_or_default();
                let attempts = before.attempts.saturating_add(1);
                let failed = Failed { attempts, due_ms: now_ms, ..before };
                self.note_failed(&mut live, cursor, offset, failed);
                (offset, failed)
            })
            .collect()
    }

    /// Holds a message until another time. `false` if the token does not hold it.
    pub(crate) fn extend(
        &self,
        cursor: &Cursor,
        token: u64,
        offset: u64,
        until: Option<Instant>,
    ) -> bool {
        let live = self.live.lock();
        live.check(cursor).is_ok() && cursor.marks().unsettled.hands.extend(offset, token, until)
    }

    /// Seeks: of each cursor everything below its offset is acknowledged, and nothing at or after it. Nobody holds anything any more.
    /// Messages that wait for another attempt are left alone.
    ///
    /// When it returns it survives the process, and a power cut once [`Progress::sync`] has returned.
    pub(crate) fn set_all(&self, moves: &[(&Cursor, u64)]) -> Result<()> {
        let entry =
            |(cursor, offset): &(&Cursor, u64)| Entry::Set { cursor: cursor.id(), offset: *offset };
        let entries: Vec<_> = moves.iter().map(entry).collect();
        let mut live = self.writable()?;
        for (cursor, _) in moves {
            live.check(cursor)?;
        }
        self.reserve(&mut live, &entries)?;
        for ((cursor, offset), entry) in moves.iter().zip(&entries) {
            let mut marks = cursor.marks();
            self.record(&mut live, entry)?;
            let marks = &mut *marks;
            marks.unsettled.seek(&mut marks.acked, *offset);
            cursor.moved();
        }
        drop(live);
        Ok(())
    }

    /// As [`Progress::set_all`] for one, and durable when it returns.
    #[cfg(test)]
    pub(crate) fn set(&self, cursor: &Cursor, offset: u64) -> Result<()> {
        self.set_all(&[(cursor, offset)])?;
        self.sync()
    }

    fn note_failed(&self, live: &mut Live, cursor: &Cursor, offset: u64, failed: Failed) {
        self.note(live, &Entry::Failed { cursor: cursor.id(), offset, failed });
        cursor.marks().unsettled.fail(offset, failed);
    }

    /// Writes down what would be a pity to lose, and no more.
    fn note(&self, live: &mut Live, entry: &Entry<'_>) {
        if !live.closed && self.healthy().is_ok() && self.reserve(live, &[*entry]).is_ok() {
            // If it fails, it has stopped the progress, and the next acknowledgement says so.
            let _ = self.record(live, entry);
        }
    }
}

fn stale() -> Error {
    let why = "the message is in other hands by now: its lease ended, or the group was moved";
    Error::new(ErrorKind::Stale, why)
}
