//! From a value to an encoded record, in buffers that each thread keeps.

use std::cell::Cell;

use crate::codec::Encode;
use crate::commitlog::format::{Draft, Host};
use crate::error::{Error, ErrorKind, Result};
use crate::message::QueueId;
use crate::message::names::java_hash;
use crate::message::properties;
use crate::options::{Flush, MAX_BODY};
use crate::store::append::Drafts;

/// Buffers larger than this are given back after use.
const KEEP: usize = 256 << 10;

/// A thread's buffers for sending.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    body: Vec<u8>,
    pub(crate) drafts: Drafts,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Scratch {
    /// Lends the thread's buffers, cleared. A codec that sends messages itself gets buffers of its own.
    pub(crate) fn with<R>(work: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        let mut scratch = SCRATCH.take().unwrap_or_default();
        scratch.drafts.clear();
        let result = work(&mut scratch);
        if scratch.body.capacity().max(scratch.drafts.bytes.capacity()) <= KEEP {
            SCRATCH.set(Some(scratch));
        }
        result
    }
}

/// What a message carries besides its body: an encoded property block, and what was taken from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extras {
    pub(crate) block: Vec<u8>,
    pub(crate) keys: Vec<String>,
    pub(crate) tag: Option<String>,
    pub(crate) order_key: Option<String>,
    pub(crate) flag: i32,
    /// The queue the caller named.
    pub(crate) queue: Option<QueueId>,
    /// The flush level of this message alone.
    pub(crate) flush: Option<Flush>,
}

impl Extras {
    pub(crate) fn order_key(&self) -> Option<&str> {
        self.order_key.as_deref()
    }

    /// The whole property block.
    fn encode(&self) -> std::borrow::Cow<'_, [u8]> {
        if self.keys.is_empty() && self.tag.is_none() && self.order_key.is_none() {
            return self.block.as_slice().into();
        }
        let mut block = self.block.clone();
        if !self.keys.is_empty() {
            properties::push(&mut block, properties::name::KEYS, &self.keys.join(" "));
        }
        if let Some(tag) = &self.tag {
            properties::push(&mut block, properties::name::TAGS, tag);
        }
        if let Some(key) = &self.order_key {
            properties::push(&mut block, properties::name::SHARDING_KEY, key);
        }
        block.into()
    }
}

/// Where a record goes, and when it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) topic: &'a str,
    pub(crate) queue: u32,
    pub(crate) now_ms: u64,
}

/// Encodes one value and appends its record to the scratch drafts.
pub(crate) fn draft<T: ?Sized, C: Encode<T>>(
    scratch: &mut Scratch,
    frame: &Frame<'_>,
    value: &T,
    extras: &Extras,
) -> Result<()> {
    let mut body = std::mem::take(&mut scratch.body);
    body.clear();
    let encoded = C::encode(value, &mut body);
    let drafted = encoded
        .map_err(|e| {
            Error::new(ErrorKind::InvalidArgument, "the message cannot be encoded").caused_by(e)
        })
        .and_then(|()| push(scratch, frame, &body, extras));
    scratch.body = body;
    drafted
}

fn push(scratch: &mut Scratch, frame: &Frame<'_>, body: &[u8], extras: &Extras) -> Result<()> {
    if body.len() > MAX_BODY {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("a body of {} bytes; at most {MAX_BODY} are allowed", body.len()),
        ));
    }
    let block = extras.encode();
    properties::validate_len(block.len())?;
    let draft = Draft {
        topic: frame.topic,
        queue_id: frame.queue,
        flag: extras.flag,
        sys_flag: 0,
        born_timestamp: i64::try_from(frame.now_ms).unwrap_or(i64::MAX),
        born_host: Host::LOCALHOST,
        store_host: Host::LOCALHOST,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties: &block,
    };
    scratch.drafts.made_ms = draft.born_timestamp;
    let tags_code = extras.tag.as_deref().map_or(0, |tag| i64::from(java_hash(tag)));
    scratch.drafts.push(&draft, tags_code)
}

/// The queue for an order key, as RocketMQ's `SelectMessageQueueByHash` chooses it.
pub(crate) fn queue_of(key: &str, queues: u32) -> u32 {
    match java_hash(key) {
        i32::MIN => 0,
        hash => hash.unsigned_abs() % queues.max(1),
    }
}
