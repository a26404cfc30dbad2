//! What the consumers of a group agree on.

use std::time::Duration;

use crate::filter::Filter;
use crate::progress::Failed;
use crate::retry::Retry;

use super::lanes::Order;
use super::strategy::Strategy;

/// What all consumers of a group agree on in a topic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms {
    pub(crate) filter: Filter,
    /// As it was asked for.
    pub(crate) retry: Option<Retry>,
    /// How long a consumer may hold a message.
    pub(crate) lease: Option<Duration>,
    /// After so many deaths of the process with a message in hand, it is set aside.
    pub(crate) deaths: u32,
    pub(crate) order: Order,
    /// How consumers share the queues, if they do.
    pub(crate) strategy: Strategy,
    /// How long a consumer that has queues of its own may give no sign of life.
    pub(crate) heartbeat: Duration,
}

/// How long a consumer of a group that is [ordered by queue](crate::ConsumerBuilder::ordered_by_queue) counts as alive after it was last heard of,
/// unless [`ConsumerBuilder::heartbeat_timeout`](crate::ConsumerBuilder::heartbeat_timeout) says otherwise.
pub const DEFAULT_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(30);

impl Default for Terms {
    fn default() -> Self {
        Self {
            filter: Filter::all(),
            retry: None,
            lease: None,
            deaths: u32::MAX,
            order: Order::Free,
            strategy: Strategy::default(),
            heartbeat: DEFAULT_HEARTBEAT_TIMEOUT,
        }
    }
}

impl Terms {
    /// When a message that failed is tried again, and how often.
    pub(super) fn retry(&self) -> Retry {
        let usual = || if self.order.is_strict() { Retry::in_order() } else { Retry::levels() };
        self.retry.clone().unwrap_or_else(usual)
    }

    /// Whether a message with these failures is not handed out any more.
    pub(crate) fn sets_aside(&self, failed: Failed) -> bool {
        failed.deaths >= self.deaths || self.retry().is_over(failed.attempts)
    }

    /// How another consumer's terms differ.
    pub(crate) fn difference(&self, other: &Self) -> Option<&'static str> {
        let same = [
            (self.filter == other.filter, "filter"),
            (self.retry() == other.retry(), "retries"),
            (self.lease == other.lease, "lease"),
            (self.deaths == other.deaths, "poison guard"),
            (self.order == other.order, "order"),
            (self.strategy == other.strategy, "strategy"),
            (self.heartbeat == other.heartbeat, "heartbeat time-out"),
        ];
        same.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
    }
}
