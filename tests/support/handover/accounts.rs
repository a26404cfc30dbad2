//! What was sent, and where it must be: the lines of `examples/handover` against what a broker serves or a store holds.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pocketmq::{ReadOnly, Receipt};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::manifest::hex;

/// Topic, queue, queue offset.
pub type Place = (String, u64, u64);
/// Group, topic, queue.
type Reader = (String, String, u64);

/// The whole-record checksum: ours to add, nobody's to send.
const CHECKSUM: &str = "__CRC32#";

/// A message in the form in which both sides are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub id: String,
    body: (usize, String),
    properties: BTreeMap<String, String>,
}

impl Item {
    fn new(id: String, body: &[u8], mut properties: BTreeMap<String, String>) -> Self {
        properties.remove(CHECKSUM);
        Self { id, body: (body.len(), hex(&Sha256::digest(body))), properties }
    }

    /// A large body is given by its digest.
    fn of_json(line: &Value) -> Self {
        let body = line["body"].as_str().map(|text| BASE64.decode(text).unwrap());
        let properties = serde_json::from_value(line["properties"].clone()).unwrap();
        let id = text(line, "offsetMsgId");
        let mut item = Self::new(id, &body.unwrap_or_default(), properties);
        if let Some(digest) = line["bodySha256"].as_str() {
            let len = usize::try_from(number(line, "bodyLength")).unwrap();
            item.body = (len, digest.to_owned());
        }
        item
    }
}

/// Messages at their places and group offsets: those that were sent, served or found.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    pub messages: BTreeMap<Place, Item>,
    pub groups: BTreeMap<Reader, u64>,
}

/// Whether there may be more than what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    Nothing,
    /// The sender was killed: what it sent last it could not say.
    Unsaid,
}

impl Accounts {
    /// What `examples/handover` printed. A line that was torn by a kill is none.
    pub fn sent(printed: &str) -> Self {
        let mut accounts = Self::default();
        let lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for line in lines {
            match line["kind"].as_str() {
                Some("message") => accounts.put(place(&line), Item::of_json(&line)),
                Some("group") => {
                    let reader = (text(&line, "group"), text(&line, "topic"), queue(&line));
                    accounts.groups.insert(reader, number(&line, "offset"));
                }
                _ => panic!("what is this: {line}"),
            }
        }
        accounts
    }

    /// What a broker served.
    pub fn served(lines: &[Value]) -> Self {
        let mut accounts = Self::default();
        for line in lines {
            match line["type"].as_str() {
                Some("message") => {
                    let place = (
                        text(line, "fromTopic"),
                        number(line, "fromQueue"),
                        number(line, "queueOffset"),
                    );
                    accounts.put(place, Item::of_json(line));
                }
                Some("groupOffsets") => accounts.offsets(&line["value"]["offsetTable"]),
                Some("refused") => panic!("the broker would not serve: {line}"),
                _ => {}
            }
        }
        accounts
    }

    /// What a store holds.
    pub fn found(store: &ReadOnly) -> Self {
        assert!(store.report().damage.is_empty(), "{:?}", store.report().damage);
        let mut accounts = Self::default();
        for message in store.records() {
            let message = message.unwrap();
            let queue = u64::from(message.queue().get());
            let place = (message.topic().to_owned(), queue, message.queue_offset().get());
            let properties = message.raw_properties();
            let properties = properties.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            let id = message.offset_id().to_string();
            accounts.put(place, Item::new(id, message.body(), properties));
        }
        for group in store.group_offsets() {
            let reader = (group.group, group.topic, group.queue.get().into());
            accounts.groups.insert(reader, group.offset.get());
        }
        accounts
    }

    /// One more message was sent: a body and nothing else.
    pub fn add(&mut self, receipt: &Receipt, body: &[u8]) {
        let queue = u64::from(receipt.queue.get());
        let place = (receipt.topic.to_string(), queue, receipt.queue_offset.get());
        self.put(place, Item::new(receipt.id.to_string(), body, BTreeMap::new()));
    }

    /// `offsetTable` of a `consumerOffset.json`.
    pub fn offsets(&mut self, table: &Value) {
        for (key, queues) in table.as_object().into_iter().flatten() {
            let (topic, group) = key.split_once('@').unwrap();
            for (queue, offset) in queues.as_object().unwrap() {
                let reader = (group.to_owned(), topic.to_owned(), queue.parse().unwrap());
                self.groups.insert(reader, offset.as_u64().unwrap());
            }
        }
    }

    /// Every message is where it was sent, with everything it had; every group is where it was; nothing came between.
    pub fn expect_in(&self, there: &Self, rest: Rest) {
        assert_eq!(self.difference(there, rest), None);
    }

    /// The first thing that is not as it was sent.
    pub fn difference(&self, there: &Self, rest: Rest) -> Option<String> {
        for (place, item) in &self.messages {
            let found = there.messages.get(place);
            if found != Some(item) {
                return Some(format!("{place:?}: sent {item:?}, found {found:?}"));
            }
        }
        for (reader, offset) in &self.groups {
            let found = there.groups.get(reader);
            if found != Some(offset) {
                return Some(format!("{reader:?}: was at {offset}, found at {found:?}"));
            }
        }
        let topics: BTreeSet<&String> = self.messages.keys().map(|place| &place.0).collect();
        let mut known = there.messages.keys().filter(|place| topics.contains(&place.0));
        let more = known.find(|place| !self.messages.contains_key(*place));
        more.filter(|_| rest == Rest::Nothing).map(|place| format!("never sent: {place:?}"))
    }

    fn put(&mut self, place: Place, item: Item) {
        assert!(!self.messages.contains_key(&place), "two messages at {place:?}");
        self.messages.insert(place, item);
    }
}

pub fn place(line: &Value) -> Place {
    (text(line, "topic"), queue(line), number(line, "queueOffset"))
}

fn queue(line: &Value) -> u64 {
    number(line, "queueId")
}

fn number(line: &Value, name: &str) -> u64 {
    line[name].as_u64().unwrap_or_else(|| panic!("no {name} in {line}"))
}

pub fn text(line: &Value, name: &str) -> String {
    line[name].as_str().unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
}
