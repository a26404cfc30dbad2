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
use crate::timer::levels::Level;

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
#[derive(Debug, Clone)]
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
    /// The level of delay; 0 for none.
    pub(crate) delay_level: u32,
}

impl Extras {
    /// Nothing but the body.
    pub(crate) const NONE: Self = Self {
        block: Vec::new(),
        keys: Vec::new(),
        tag: None,
        order_key: None,
        flag: 0,
        queue: None,
        flush: None,
        delay_level: 0,
    };

    pub(crate) fn order_key(&self) -> Option<&str> {
        self.order_key.as_deref()
    }

    /// The whole property block.
    fn encode(&self, waiting: Option<&Waiting<'_>>) -> std::borrow::Cow<'_, [u8]> {
        let plain = self.keys.is_empty() && self.tag.is_none() && self.order_key.is_none();
        if plain && waiting.is_none() {
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
        if let Some(waiting) = waiting {
            waiting.put(&mut block);
        }
        block.into()
    }
}

/// What makes a message wait: it lies in the schedule topic, and says itself where it is to go.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    pub(crate) real_topic: &'a str,
    pub(crate) real_queue: u32,
    pub(crate) level: Level,
    pub(crate) delay_ms: i64,
    pub(crate) unique_key: String,
}

impl Waiting<'_> {
    fn put(&self, block: &mut Vec<u8>) {
        properties::push(block, properties::name::UNIQ_KEY, &self.unique_key);
        properties::push(block, properties::name::DELAY, &self.level.get().to_string());
        properties::push(block, properties::name::REAL_TOPIC, self.real_topic);
        properties::push(block, properties::name::REAL_QUEUE_ID, &self.real_queue.to_string());
    }
}

/// What most messages have.
pub(crate) static PLAIN: Extras = Extras::NONE;

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
    let Scratch { body, drafts } = scratch;
    if drafts.parts.is_empty() {
        return push(drafts, frame, extras, None, |out| encode_body::<T, C>(value, out));
    }
    // A codec must not come near the records that are there already, whatever it does to its output.
    body.clear();
    encode_body::<T, C>(value, body)?;
    push(drafts, frame, extras, None, |out| {
        out.extend_from_slice(body);
        Ok(())
    })
}

/// Encodes one value that waits, as the first and only one.
pub(crate) fn draft_waiting<T: ?Sized, C: Encode<T>>(
    scratch: &mut Scratch,
    frame: &Frame<'_>,
    value: &T,
    (extras, waiting): (&Extras, &Waiting<'_>),
) -> Result<()> {
    let drafts = &mut scratch.drafts;
    push(drafts, frame, extras, Some(waiting), |out| encode_body::<T, C>(value, out))?;
    drafts.delay_last(waiting.delay_ms);
    Ok(())
}

fn encode_body<T: ?Sized, C: Encode<T>>(value: &T, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    C::encode(value, out).map_err(|e| {
        Error::new(ErrorKind::InvalidArgument, "the message cannot be encoded").caused_by(e)
    })?;
    let Some(len) = out.len().checked_sub(start) else {
        return Err(Error::invalid("the codec took bytes away that are not its own"));
    };
    if len > MAX_BODY {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("a body of {len} bytes; at most {MAX_BODY} are allowed"),
        ));
    }
    Ok(())
}

fn push(
    drafts: &mut Drafts,
    frame: &Frame<'_>,
    extras: &Extras,
    waiting: Option<&Waiting<'_>>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let block = extras.encode(waiting);
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
        properties: &block,
    };
    drafts.made_ms = draft.born_timestamp;
    let tags_code = extras.tag.as_deref().map_or(0, |tag| i64::from(java_hash(tag)));
    drafts.push(&draft, tags_code, body)
}

/// The queue for an order key, as RocketMQ's `SelectMessageQueueByHash` chooses it.
pub(crate) fn queue_of(key: &str, queues: u32) -> u32 {
    match java_hash(key) {
        i32::MIN => 0,
        hash => hash.unsigned_abs() % queues.max(1),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{CodecError, ErrorKind, Queue, Raw, Topic};

    use super::*;

    /// Takes away what is there, by order of the message.
    #[derive(Debug)]
    struct Greedy;

    impl Encode<[u8]> for Greedy {
        fn encode(value: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
            match value {
                b"truncate" => out.truncate(3),
                b"replace" => *out = vec![7; 500],
                b"fail" => {
                    out.clear();
                    return Err("refused".into());
                }
                _ => out.extend_from_slice(value),
            }
            Ok(())
        }
    }

    #[test]
    fn a_codec_that_takes_bytes_away_harms_no_other_message() {
        let queue = Queue::in_memory().unwrap();
        let producer = queue.producer(Topic::<[u8], Greedy>::new("t")).unwrap();
        assert_eq!(producer.send(b"truncate").unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert_eq!(producer.send(b"fail").unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert!(producer.send_batch([&b"a"[..], b"fail"]).is_err());
        producer.send(b"first").unwrap();
        producer.send_batch([&b"second"[..], b"truncate", b"replace", b"third"]).unwrap();
        producer.send(b"last").unwrap();
        let consumer = queue.consumer(Topic::<[u8], Raw>::new("t"), "g").pull().unwrap();
        let got = consumer.recv_batch(10, Duration::ZERO).unwrap();
        let bodies: Vec<&[u8]> = got.iter().map(crate::Delivery::body).collect();
        assert_eq!(bodies, [&b"first"[..], b"second", b"", &[7; 500], b"third", b"last"]);
    }
}
