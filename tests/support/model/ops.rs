//! What can be done to a queue, and how it is chosen at random. Numbers that choose are taken modulo what there is.

use proptest::collection::vec;
use proptest::prelude::*;

/// How a case begins.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) segment_size: u64,
    pub(crate) default_queues: u32,
    pub(crate) opening: Opening,
}

/// What may differ each time the store is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    pub(crate) sync: bool,
    pub(crate) copied: bool,
    pub(crate) staging_size: u64,
}

/// The length of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Size {
    Bytes(usize),
    /// Of a segment.
    Percent(usize),
}

/// What a message has besides its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) order_key: Option<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) tag: Option<String>,
    pub(crate) property: Option<String>,
}

/// How a message is sent.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    Send,
    /// To a queue.
    Queue(u8),
    /// To a queue, without an answer.
    OneWay(u8),
    /// With what else a message may have.
    Envelope(Envelope),
}

/// Where a group begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    Earliest,
    Latest,
    Offset(u64),
    /// Longer ago than any message.
    LongAgo,
    /// Later than any message.
    Tomorrow,
}

/// How a delivery is acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ack {
    Plain,
    Into,
    Durable,
}

/// How the store is left before it is opened again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leave {
    Close,
    /// The last handle is dropped.
    Drop,
    /// It is not left at all: a copy of the directory is opened, as a killed process leaves it after a flush.
    Copy,
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Create {
        topic: u8,
        queues: u32,
    },
    Send {
        topic: u8,
        size: Size,
        manner: Manner,
        /// The consumers' codec will refuse it.
        bad: bool,
    },
    Batch {
        topic: u8,
        sizes: Vec<Size>,
    },
    /// Submits all before it waits for the first.
    Submit {
        topic: u8,
        sizes: Vec<Size>,
    },
    Join {
        group: u8,
        topic: u8,
        from: From,
    },
    /// Drops the consumer; what it received stays in hand.
    Quit {
        group: u8,
        topic: u8,
    },
    Receive {
        group: u8,
        topic: u8,
        max: usize,
    },
    Ack {
        which: u8,
        how: Ack,
    },
    /// Of those of one consumer, the ones whose bit is set.
    AckAll {
        group: u8,
        topic: u8,
        mask: u64,
    },
    GiveBack {
        which: u8,
    },
    Flush,
    Reopen {
        leave: Leave,
        opening: Opening,
    },
}

pub(crate) fn setup() -> impl Strategy<Value = Setup> {
    (14..17u32, 1..4u32, opening()).prop_map(|(bits, default_queues, opening)| Setup {
        segment_size: 1 << bits,
        default_queues,
        opening,
    })
}

fn opening() -> impl Strategy<Value = Opening> {
    (proptest::bool::weighted(0.25), any::<bool>(), 16..18u32)
        .prop_map(|(sync, copied, bits)| Opening { sync, copied, staging_size: 1 << bits })
}

fn size() -> impl Strategy<Value = Size> {
    prop_oneof![
        6 => (0..300usize).prop_map(Size::Bytes),
        3 => (300..3000usize).prop_map(Size::Bytes),
        1 => (20..120usize).prop_map(Size::Percent),
    ]
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let order_key = proptest::option::of("[a-f]|\\PC{1,8}");
    let keys = vec("[a-z0-9]{1,8}", 0..3);
    let (tag, property) = (proptest::option::of("[a-c]"), proptest::option::of("[ -~]{1,40}"));
    (order_key, keys, tag, property).prop_map(|(order_key, keys, tag, property)| Envelope {
        order_key,
        keys,
        tag,
        property,
    })
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        4 => Just(Manner::Send),
        3 => any::<u8>().prop_map(Manner::Queue),
        1 => any::<u8>().prop_map(Manner::OneWay),
        4 => envelope().prop_map(Manner::Envelope),
    ]
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![
        Just(From::Earliest),
        Just(From::Latest),
        (0..40u64).prop_map(From::Offset),
        Just(From::LongAgo),
        Just(From::Tomorrow),
    ]
}

fn ack() -> impl Strategy<Value = Ack> {
    prop_oneof![6 => Just(Ack::Plain), 2 => Just(Ack::Into), 1 => Just(Ack::Durable)]
}

fn leave() -> impl Strategy<Value = Leave> {
    prop_oneof![Just(Leave::Close), Just(Leave::Drop), Just(Leave::Copy)]
}

fn op() -> impl Strategy<Value = Op> {
    let topic = || 0..3u8;
    let place = || (0..3u8, topic());
    prop_oneof![
        3 => (topic(), 1..5u32).prop_map(|(topic, queues)| Op::Create { topic, queues }),
        24 => (topic(), size(), manner(), proptest::bool::weighted(0.04))
            .prop_map(|(topic, size, manner, bad)| Op::Send { topic, size, manner, bad }),
        8 => (topic(), vec(size(), 0..24)).prop_map(|(topic, sizes)| Op::Batch { topic, sizes }),
        4 => (topic(), vec(size(), 0..12)).prop_map(|(topic, sizes)| Op::Submit { topic, sizes }),
        6 => (place(), from()).prop_map(|((group, topic), from)| Op::Join { group, topic, from }),
        2 => place().prop_map(|(group, topic)| Op::Quit { group, topic }),
        24 => (place(), 1..20usize)
            .prop_map(|((group, topic), max)| Op::Receive { group, topic, max }),
        14 => (any::<u8>(), ack()).prop_map(|(which, how)| Op::Ack { which, how }),
        8 => (place(), any::<u64>())
            .prop_map(|((group, topic), mask)| Op::AckAll { group, topic, mask }),
        8 => any::<u8>().prop_map(|which| Op::GiveBack { which }),
        2 => Just(Op::Flush),
        3 => (leave(), opening()).prop_map(|(leave, opening)| Op::Reopen { leave, opening }),
    ]
}

pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..80)
}
