//! Writes a varied store from a seed, and prints what it sent: material for handing a store to a RocketMQ broker.
//!
//! ```sh
//! cargo run --release --example handover -- DIR [--messages N] [--seed S] [--crash]
//! ```
//!
//! Each message sent is one JSON line on standard output, written after the send returned: topic, queueId, queueOffset,
//! offsetMsgId, body (base64), keys, tags and properties. A group then consumes part, with a gap in what it acknowledges; its
//! offsets are lines of kind `group`. With `--crash` the process ends in the middle by SIGKILL of itself.

#![expect(clippy::print_stderr, reason = "a command-line program talks to its user")]
#![expect(clippy::expect_used, reason = "an example may say what cannot happen")]

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pocketmq::{Flush, Producer, Queue, Raw, Receipt, Topic};
use serde_json::{Map, Value, json};

type AnyError = Box<dyn std::error::Error>;

/// Name and number of queues.
const TOPICS: [(&str, u32); 4] = [("Single", 1), ("Four", 4), ("Eight", 8), ("Mixed-Case_0", 2)];
const GROUP: &str = "handover-group";

struct Arguments {
    dir: String,
    messages: u64,
    seed: u64,
    crash: bool,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("usage: handover DIR [--messages N] [--seed S] [--crash]");
        return ExitCode::from(2);
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("handover: {e}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Option<Arguments> {
    let mut parsed = Arguments { dir: String::new(), messages: 500, seed: 1, crash: false };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--messages" => parsed.messages = given.next()?.parse().ok()?,
            "--seed" => parsed.seed = given.next()?.parse().ok()?,
            "--crash" => parsed.crash = true,
            _ if argument.starts_with('-') || !parsed.dir.is_empty() => return None,
            _ => parsed.dir = argument,
        }
    }
    (!parsed.dir.is_empty()).then_some(parsed)
}

fn run(arguments: &Arguments) -> Result<(), AnyError> {
    // Small files, so that a few hundred messages fill several of each.
    let queue =
        Queue::options().segment_size(256 << 10).queue_file_size(2000).open(&arguments.dir)?;
    let mut random = Random(arguments.seed);
    let mut producers = Vec::new();
    for (name, queues) in TOPICS {
        queue.create_topic(name, queues)?;
        producers.push(queue.producer(Topic::<[u8], Raw>::named(name)?)?);
    }
    let out = io::stdout();
    let last = if arguments.crash { arguments.messages / 2 } else { arguments.messages };
    let mut sent = 0;
    while sent < arguments.messages {
        let producer = random.pick(&producers);
        sent += if random.below(10) == 0 {
            send_batch(producer, &mut random, &out)?
        } else {
            send_one(producer, &mut random, &out)?
        };
        if arguments.crash && sent >= last {
            consume(&queue, &out)?;
            die()?;
        }
    }
    consume(&queue, &out)?;
    queue.close()?;
    Ok(())
}

fn send_one(
    producer: &Producer<[u8], Raw>,
    random: &mut Random,
    out: &io::Stdout,
) -> Result<u64, AnyError> {
    let body = random.body();
    let mut message = producer.message(&body);
    let mut properties = Map::new();
    let mut keys = Vec::new();
    for n in 0..random.below(4) {
        let key = format!("key-{}-{n}", random.below(1000));
        message = message.key(&key);
        keys.push(key);
    }
    if !keys.is_empty() {
        properties.insert("KEYS".to_owned(), keys.join(" ").into());
    }
    if random.below(2) == 0 {
        let tag = *random.pick(&["TagA", "标签", "polygenelubricants", "d"]);
        message = message.tag(tag);
        properties.insert("TAGS".to_owned(), tag.into());
    }
    for n in 0..random.below(4) {
        let name = format!("p{n}");
        let values = ["plain", "with space", "ümläut ключ 🦀", "=;:,{}[]\"'\\", "-1.5e300"];
        let value = *random.pick(&values);
        message = message.property(&name, value);
        properties.insert(name, value.into());
    }
    if random.below(5) == 0 {
        let key = format!("order-{}", random.below(5));
        message = message.order_by(&key);
        properties.insert("__SHARDINGKEY".to_owned(), key.into());
    }
    if random.below(20) == 0 {
        message = message.flush(Flush::Sync);
    }
    let receipt = message.send()?;
    print(out, &line(&receipt, &body, &properties))?;
    Ok(1)
}

fn send_batch(
    producer: &Producer<[u8], Raw>,
    random: &mut Random,
    out: &io::Stdout,
) -> Result<u64, AnyError> {
    let bodies: Vec<Vec<u8>> = (0..2 + random.below(8)).map(|_| random.body()).collect();
    let receipts = producer.send_batch(bodies.iter().map(Vec::as_slice))?;
    for (receipt, body) in receipts.iter().zip(&bodies) {
        print(out, &line(receipt, body, &Map::new()))?;
    }
    Ok(receipts.len() as u64)
}

fn line(receipt: &Receipt, body: &[u8], properties: &Map<String, Value>) -> Value {
    json!({
        "kind": "message",
        "topic": &*receipt.topic,
        "queueId": receipt.queue.get(),
        "queueOffset": receipt.queue_offset.get(),
        "offsetMsgId": receipt.id.to_string(),
        "body": BASE64.encode(body),
        "keys": properties.get("KEYS"),
        "tags": properties.get("TAGS"),
        "properties": properties,
    })
}

/// Acknowledges about half of two topics, leaving a gap in one.
fn consume(queue: &Queue, out: &io::Stdout) -> Result<(), AnyError> {
    for name in ["Single", "Four"] {
        let consumer = queue.consumer(Topic::<[u8], Raw>::named(name)?, GROUP).pull()?;
        let backlog =
            queue.stats()?.groups.iter().find(|g| g.topic == name).map_or(0, |g| g.backlog);
        let mut skipped = Vec::new();
        for n in 0..backlog / 2 {
            let Some(delivery) = consumer.recv(Duration::ZERO)? else { break };
            if name == "Single" && n == backlog / 4 {
                skipped.push(delivery);
            } else {
                delivery.ack()?;
            }
        }
        drop(skipped);
    }
    for group in queue.stats()?.groups.iter().filter(|g| g.group == GROUP) {
        for (id, offset) in &group.watermarks {
            let line = json!({
                "kind": "group",
                "group": group.group,
                "topic": group.topic,
                "queueId": id.get(),
                "offset": offset.get(),
            });
            print(out, &line)?;
        }
    }
    Ok(())
}

fn print(out: &io::Stdout, line: &Value) -> io::Result<()> {
    writeln!(out.lock(), "{line}")
}

/// The end without warning: what is printed by now was acknowledged.
fn die() -> Result<(), AnyError> {
    io::stdout().flush()?;
    let id = std::process::id().to_string();
    std::process::Command::new("kill").args(["-9", &id]).status()?;
    Err("still alive".into())
}

/// `SplitMix64`: the same seed gives the same store.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// One of several; there is at least one.
    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.next() % from.len() as u64;
        let picked = usize::try_from(at).ok().and_then(|at| from.get(at));
        picked.expect("an index below the length")
    }

    /// Empty to large; text and bytes of every value.
    fn body(&mut self) -> Vec<u8> {
        let len = match self.below(20) {
            0 => 0,
            1 => 20_000 + self.below(40_000),
            2..=5 => self.below(2000),
            _ => self.below(200),
        };
        (0..len).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}
