//! The consumers of a group that is ordered by queue: who is there, who has which queue, and what of each queue is out.
//!
//! Pure: it is told what happens and what time it is. A queue's messages go to its owner only, and not before everything that was handed out of
//! it is settled; what goes out together is a *batch*. A queue that changes its owner is free for the new one when the old batch is back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::strategy::Strategy;

/// Who takes messages: a consumer of a group that is ordered by queue, and the batch that it takes them for. Elsewhere both are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct By {
    pub(crate) member: u64,
    pub(super) batch: u64,
}

#[derive(Debug)]
pub(super) struct Members {
    strategy: Strategy,
    /// How long somebody counts as alive who gives no sign of life.
    heartbeat: Duration,
    /// By number, in the order in which they joined.
    there: BTreeMap<u64, Member>,
    queues: Vec<Queue>,
    last: u64,
}

#[derive(Debug)]
struct Member {
    /// It left, and holds messages of which nobody knows yet what becomes of them.
    left: bool,
    /// How many of its threads and futures wait for messages: it is alive as long as they do.
    asking: usize,
    /// Otherwise until then,
    until: Instant,
    /// or until its handlers have had their time, as long as it holds what they are at.
    busy_until: Option<Instant>,
    /// Its threads or futures sleep.
    sleeps: bool,
    /// When they look whether somebody is dead.
    alarm: Option<Instant>,
}

#[derive(Debug, Default)]
struct Queue {
    owner: Option<u64>,
    /// Whom `out` went to.
    by: By,
    /// On their way to a consumer, or in its hands.
    out: BTreeSet<u64>,
    /// Failed or given back, and waiting for their time.
    waits: BTreeSet<u64>,
}

/// A queue of which somebody held messages who was taken for dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) queue: u32,
    /// They are in a handler that has had its time.
    pub(super) overdue: bool,
}

impl Member {
    /// Until when it counts as alive. `None`: no time ends that.
    fn end(&self) -> Option<Instant> {
        let end = self.busy_until.map_or(self.until, |busy| busy.max(self.until));
        (self.asking == 0).then_some(end)
    }
}

impl Members {
    pub(super) fn new(strategy: Strategy, heartbeat: Duration, queues: usize) -> Self {
        let queues = std::iter::repeat_with(Queue::default).take(queues).collect();
        Self { strategy, heartbeat, there: BTreeMap::new(), queues, last: 0 }
    }

    /// Somebody new. Returns its number, which is not 0.
    pub(super) fn join(&mut self, now: Instant) -> u64 {
        self.last += 1;
        self.come(self.last, now);
        self.last
    }

    fn come(&mut self, number: u64, now: Instant) {
        let (until, busy_until) = (now + self.heartbeat, None);
        let member =
            Member { left: false, asking: 0, until, busy_until, sleeps: false, alarm: None };
        self.there.insert(number, member);
        self.share();
    }

    /// It is given nothing more until it asks again. What it holds is waited for, as long as it would count as alive. `false` if it had left.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        let Some(member) = self.there.get_mut(&number).filter(|member| !member.left) else {
            return false;
        };
        member.left = true;
        if !self.holds_any(number) {
            self.there.remove(&number);
        }
        self.share();
        true
    }

    /// Takes out those who gave no sign of life for too long. Returns the queues of which they hold something.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Vec<Lost>> {
        let is_dead = |member: &Member| member.end().is_some_and(|end| end <= now);
        if !self.there.values().any(is_dead) {
            return None;
        }
        let all = std::mem::take(&mut self.there).into_iter();
        let (dead, there) = all.partition::<BTreeMap<_, _>, _>(|(_, member)| is_dead(member));
        self.there = there;
        self.share();
        let lost = |(queue, known): (u32, &Queue)| {
            let holder = dead.get(&known.by.member).filter(|_| !known.out.is_empty())?;
            Some(Lost { queue, overdue: holder.busy_until.is_some() })
        };
        Some((0..).zip(&self.queues).filter_map(lost).collect())
    }

    /// Gives every queue an owner, if anybody is there.
    fn share(&mut self) {
        let here = self.there.iter().filter(|(_, member)| !member.left);
        let here: Vec<u64> = here.map(|(number, _)| *number).collect();
        let owners = self.strategy.owners(self.queues.len(), &here);
        for (queue, owner) in self.queues.iter_mut().zip(owners) {
            queue.owner = owner;
        }
    }

    /// Begins to ask for messages. Whether it had been given up, or had left.
    pub(super) fn asks(&mut self, number: u64, now: Instant) -> bool {
        let back = match self.there.get_mut(&number) {
            Some(member) => std::mem::take(&mut member.left),
            None => true,
        };
        if !self.there.contains_key(&number) {
            self.come(number, now);
        } else if back {
            self.share();
        }
        if let Some(member) = self.there.get_mut(&number) {
            member.asking += 1;
        }
        back
    }

    /// Asks no more, or sleeps no more.
    pub(super) fn asked(&mut self, number: u64, now: Instant) {
        let heartbeat = self.heartbeat;
        if let Some(member) = self.there.get_mut(&number) {
            member.asking = member.asking.saturating_sub(1);
            member.until = now + heartbeat;
            member.sleeps &= member.asking > 0;
        }
    }

    /// A sign of life: good for the time of a heartbeat, or for as long as its handlers have that it says it runs.
    pub(super) fn beat(&mut self, number: u64, now: Instant, handlers: Option<Duration>) {
        let (heartbeat, holds) = (self.heartbeat, handlers.is_some() && self.holds_any(number));
        if let Some(member) = self.there.get_mut(&number) {
            member.until = member.until.max(now + heartbeat);
            if holds {
                // Another one of them may have longer.
                member.busy_until = member.busy_until.max(handlers.map(|time| now + time));
            }
        }
    }

    pub(super) fn is_asking(&self, number: u64) -> bool {
        self.there.get(&number).is_some_and(|member| member.asking > 0)
    }

    /// Goes to sleep. Returns when it has to see whether somebody else is dead.
    pub(super) fn sleeps(&mut self, number: u64, now: Instant) -> Option<Instant> {
        let others = self.there.iter().filter(|(other, _)| **other != number);
        // Not later than a heartbeat: who is good for longer may be done before, and does not wake it then.
        let soon = now + self.heartbeat;
        let alarm = others.filter_map(|(_, other)| other.end()).min().map(|end| end.min(soon));
        if let Some(member) = self.there.get_mut(&number) {
            // Of several threads the one that looks last.
            member.alarm = if member.sleeps { member.alarm.max(alarm) } else { alarm };
            member.sleeps = true;
        }
        alarm
    }

    /// Everybody is awake.
    pub(super) fn all_awake(&mut self) {
        self.there.values_mut().for_each(|member| member.sleeps = false);
    }

    /// Whether somebody sleeps who would not notice in time if this one died.
    pub(super) fn is_unwatched(&self, number: u64) -> bool {
        let Some(end) = self.there.get(&number).and_then(Member::end) else { return false };
        let late = |member: &Member| member.sleeps && member.alarm.is_none_or(|at| at > end);
        self.there.iter().any(|(other, member)| *other != number && late(member))
    }

    /// The queues of a member.
    pub(super) fn queues_of(&self, number: u64) -> Vec<u32> {
        let own = |queue: &(u32, &Queue)| queue.1.owner == Some(number);
        (0..).zip(&self.queues).filter(own).map(|(queue, _)| queue).collect()
    }

    /// Whether the message may go out: to its queue's owner, and nothing before it is unsettled, but what goes out together with it.
    pub(super) fn may_take(&self, (queue, offset): (u32, u64), by: By) -> bool {
        self.queue(queue).is_some_and(|queue| {
            queue.owner == Some(by.member)
                && (queue.out.is_empty() || queue.by == by)
                && queue.waits.first().is_none_or(|waiting| *waiting > offset)
        })
    }

    pub(super) fn takes(&mut self, (queue, offset): (u32, u64), by: By) {
        if let Some(queue) = self.queue_mut(queue) {
            queue.by = by;
            queue.out.insert(offset);
        }
    }

    /// A message is back, whatever became of it. `false` if it had been taken from that batch.
    pub(super) fn back(&mut self, (queue, offset): (u32, u64), by: By) -> bool {
        let Some(queue) = self.queue_mut(queue) else { return false };
        let was_out = queue.by == by && queue.out.remove(&offset);
        if was_out && queue.out.is_empty() {
            self.holds_less(by.member);
        }
        was_out
    }

    /// Takes from whoever has it what is out of a queue at or behind an offset.
    pub(super) fn take_back(&mut self, queue: u32, from: u64) -> BTreeSet<u64> {
        let Some(queue) = self.queue_mut(queue) else { return BTreeSet::new() };
        let (taken, member) = (queue.out.split_off(&from), queue.by.member);
        self.holds_less(member);
        taken
    }

    /// What is out of a queue.
    pub(super) fn out_of(&self, queue: u32) -> Vec<u64> {
        self.queue(queue).map_or_else(Vec::new, |queue| queue.out.iter().copied().collect())
    }

    pub(super) fn waits(&mut self, (queue, offset): (u32, u64)) {
        if let Some(queue) = self.queue_mut(queue) {
            queue.waits.insert(offset);
        }
    }

    pub(super) fn waits_no_more(&mut self, (queue, offset): (u32, u64)) {
        if let Some(queue) = self.queue_mut(queue) {
            queue.waits.remove(&offset);
        }
    }

    /// Nothing of a queue is out or waits.
    pub(super) fn clear(&mut self, queue: u32) {
        self.take_back(queue, 0);
        if let Some(queue) = self.queue_mut(queue) {
            queue.waits.clear();
        }
    }

    /// Whether somebody sleeps who could have the queue's next message.
    pub(super) fn is_awaited(&self, queue: u32) -> bool {
        let free = self.queue(queue).filter(|queue| queue.out.is_empty());
        free.and_then(|queue| queue.owner).is_some_and(|owner| self.is_asking(owner))
    }

    fn holds_any(&self, number: u64) -> bool {
        let holds = |queue: &Queue| queue.by.member == number && !queue.out.is_empty();
        self.queues.iter().any(holds)
    }

    /// Of somebody who holds nothing any more no handler runs, and if he left, nothing is left to wait for.
    fn holds_less(&mut self, number: u64) {
        if self.holds_any(number) {
            return;
        }
        if let Some(member) = self.there.get_mut(&number) {
            member.busy_until = None;
            if member.left {
                self.there.remove(&number);
            }
        }
    }

    fn queue(&self, queue: u32) -> Option<&Queue> {
        self.queues.get(queue as usize)
    }

    fn queue_mut(&mut self, queue: u32) -> Option<&mut Queue> {
        self.queues.get_mut(queue as usize)
    }
}
