//! What a case does.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;

/// How the consumers of a group consume.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Terms {
    pub(crate) order: Order,
    pub(crate) attempts: u32,
    /// In seconds.
    pub(crate) lease: Option<u64>,
    pub(crate) deaths: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Order {
    Free,
    PerKey,
    AtOnce(u32),
    ByQueue,
}

#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) queues: u32,
    /// Of each group; the first wants one tag only if `filters`.
    pub(crate) terms: [Terms; 2],
    pub(crate) filters: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum To {
    Earliest,
    Latest,
    Offset(u64),
}

/// `which` names one of the deliveries that there are.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Send {
        key: Option<u8>,
        tag: Option<u8>,
        count: u8,
    },
    /// By one of a group's two consumers.
    Receive {
        group: usize,
        consumer: usize,
        max: usize,
    },
    /// Receives one message and drops it, so many times.
    Bounce {
        group: usize,
        times: u8,
    },
    Ack {
        which: usize,
    },
    /// Everything that a group holds.
    AckAll {
        group: usize,
    },
    Fail {
        which: usize,
    },
    RetryAfter {
        which: usize,
        seconds: u64,
    },
    Snooze {
        which: usize,
        seconds: u64,
    },
    Extend {
        which: usize,
        seconds: u64,
    },
    Drop {
        which: usize,
    },
    Advance {
        seconds: u64,
    },
    Seek {
        group: usize,
        to: To,
    },
    RetrySetAside {
        group: usize,
    },
    /// All consumers of a group go, and others come, with other terms if nobody holds anything.
    Rejoin {
        group: usize,
        terms: Terms,
    },
    Reopen {
        terms: [Terms; 2],
    },
    Crash {
        terms: [Terms; 2],
    },
}

/// One a line, to be read.
#[derive(Clone)]
pub(crate) struct Ops(pub(crate) Vec<Op>);

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|op| write!(f, "\n    {op:?}"))
    }
}

fn terms() -> impl Strategy<Value = Terms> {
    let order = prop_oneof![
        3 => Just(Order::Free),
        4 => Just(Order::PerKey),
        2 => (1..3u32).prop_map(Order::AtOnce),
        4 => Just(Order::ByQueue),
    ];
    let lease = prop_oneof![1 => Just(None), 2 => (20..60u64).prop_map(Some)];
    let deaths = proptest::option::of(1..4u32);
    (order, 1..5u32, lease, deaths).prop_map(|(order, attempts, lease, deaths)| Terms {
        order,
        attempts,
        lease,
        deaths,
    })
}

pub(crate) fn setup() -> impl Strategy<Value = Setup> {
    (1..4u32, [terms(), terms()], any::<bool>()).prop_map(|(queues, terms, filters)| Setup {
        queues,
        terms,
        filters,
    })
}

fn to() -> impl Strategy<Value = To> {
    prop_oneof![Just(To::Earliest), Just(To::Latest), (0..20u64).prop_map(To::Offset)]
}

fn op() -> impl Strategy<Value = Op> {
    let group = || 0..2usize;
    let which = || 0..32usize;
    let seconds = || 1..90u64;
    let key = prop_oneof![1 => Just(None), 2 => (0..3u8).prop_map(Some)];
    prop_oneof![
        16 => (key, proptest::option::of(0..2u8), 1..5u8)
            .prop_map(|(key, tag, count)| Op::Send { key, tag, count }),
        24 => (group(), 0..2usize, 1..8usize)
            .prop_map(|(group, consumer, max)| Op::Receive { group, consumer, max }),
        1 => (group(), 1..30u8).prop_map(|(group, times)| Op::Bounce { group, times }),
        12 => which().prop_map(|which| Op::Ack { which }),
        2 => group().prop_map(|group| Op::AckAll { group }),
        5 => which().prop_map(|which| Op::Fail { which }),
        3 => (which(), seconds()).prop_map(|(which, seconds)| Op::RetryAfter { which, seconds }),
        3 => (which(), seconds()).prop_map(|(which, seconds)| Op::Snooze { which, seconds }),
        4 => (which(), seconds()).prop_map(|(which, seconds)| Op::Extend { which, seconds }),
        5 => which().prop_map(|which| Op::Drop { which }),
        10 => seconds().prop_map(|seconds| Op::Advance { seconds }),
        2 => (group(), to()).prop_map(|(group, to)| Op::Seek { group, to }),
        2 => group().prop_map(|group| Op::RetrySetAside { group }),
        2 => (group(), terms()).prop_map(|(group, terms)| Op::Rejoin { group, terms }),
        1 => [terms(), terms()].prop_map(|terms| Op::Reopen { terms }),
        2 => [terms(), terms()].prop_map(|terms| Op::Crash { terms }),
    ]
}

pub(crate) fn ops() -> impl Strategy<Value = Ops> {
    vec(op(), 1..80).prop_map(Ops)
}
