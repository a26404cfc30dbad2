//! Who rang since the task last looked: so that one handler that is ready is polled, and not all the others.
//!
//! While the task is at work nobody wakes it: it looks at the bells once more before it rests, under their lock.

use std::collections::VecDeque;
use std::task::{Wake, Waker};

use crate::sync::Arc;

use super::board::Board;

/// What a bell is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The handler in a slot.
    Slot(usize),
    /// There may be messages, or nothing comes any more.
    Intake,
    /// A time has come, or something was ordered.
    Orders,
}

/// A waker that rings.
pub(super) struct Bell {
    board: Arc<Board>,
    what: What,
}

impl Bell {
    pub(super) fn waker(board: &Arc<Board>, what: What) -> Waker {
        Waker::from(Arc::new(Self { board: Arc::clone(board), what }))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.board.ring(self.what);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.board.ring(self.what);
    }
}

/// Which bells rang.
#[derive(Debug, Default)]
pub(super) struct Bells {
    /// The task, while it rests.
    task: Option<Waker>,
    /// Each slot once, in the order in which they rang.
    slots: VecDeque<usize>,
    rang: Vec<bool>,
    intake: bool,
    orders: bool,
}

impl Bells {
    /// Notes it. Returns the task if it rests, to be woken without locks.
    pub(super) fn ring(&mut self, what: What) -> Option<Waker> {
        match what {
            What::Slot(slot) => {
                if self.rang.len() <= slot {
                    self.rang.resize(slot + 1, false);
                }
                if let Some(rang) = self.rang.get_mut(slot).filter(|rang| !**rang) {
                    *rang = true;
                    self.slots.push_back(slot);
                }
            }
            What::Intake => self.intake = true,
            What::Orders => self.orders = true,
        }
        self.task.take()
    }

    /// Up to `most` slots that rang.
    pub(super) fn take_slots(&mut self, most: usize) -> Vec<usize> {
        let taken: Vec<_> = self.slots.drain(..most.min(self.slots.len())).collect();
        for slot in &taken {
            if let Some(rang) = self.rang.get_mut(*slot) {
                *rang = false;
            }
        }
        taken
    }

    pub(super) fn take_intake(&mut self) -> bool {
        std::mem::take(&mut self.intake)
    }

    pub(super) fn take_orders(&mut self) -> bool {
        std::mem::take(&mut self.orders)
    }

    /// The task rests until a bell rings. `false` if one rang meanwhile: it is not to rest. What is returned besides is to be dropped
    /// without locks.
    pub(super) fn rest(&mut self, task: Waker) -> (bool, Option<Waker>) {
        if self.intake || self.orders || !self.slots.is_empty() {
            return (false, Some(task));
        }
        (true, self.task.replace(task))
    }

    /// The task is not to be woken.
    pub(super) fn silence(&mut self) -> Option<Waker> {
        self.task.take()
    }
}
