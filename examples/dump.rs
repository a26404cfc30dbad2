//! Prints what a store holds, as JSON Lines, without changing anything: any store, of this library or of a RocketMQ broker, closed,
//! killed, or in use.
//!
//! ```sh
//! cargo run --release --example dump -- DIR [--units] [--timers]
//! ```

#![expect(clippy::print_stderr, reason = "a command-line program talks to its user")]

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pocketmq::{Delayed, Message, ReadOnly, TopicStats};
use serde_json::{Map, Value, json};

fn main() -> ExitCode {
    let mut dir = None;
    let mut more = More::default();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--units" => more.units = true,
            "--timers" => more.timers = true,
            _ if argument.starts_with('-') || dir.is_some() => return usage(),
            _ => dir = Some(argument),
        }
    }
    let Some(dir) = dir else { return usage() };
    match dump(&dir, more, BufWriter::new(io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e)
            if e.downcast_ref::<io::Error>()
                .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("dump: {e}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: dump DIR [--units] [--timers]");
    ExitCode::from(2)
}

/// What is printed only if asked for.
#[derive(Default, Clone, Copy)]
struct More {
    units: bool,
    /// Messages that wait for their time.
    timers: bool,
}

fn dump(dir: &str, more: More, mut out: impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let store = ReadOnly::open(dir)?;
    for message in store.records() {
        writeln!(out, "{}", message.map_or_else(|e| lost(&e), |message| record(&message)))?;
    }
    for topic in store.topics() {
        write_queues(&store, &topic, more.units, &mut out)?;
    }
    for delayed in store.delayed().filter(|_| more.timers) {
        writeln!(out, "{}", delayed.map_or_else(|e| lost(&e), |delayed| timer(&delayed)))?;
    }
    for group in store.group_offsets() {
        writeln!(
            out,
            "{}",
            json!({
                "kind": "group",
                "group": group.group,
                "topic": group.topic,
                "queueId": group.queue.get(),
                "offset": group.offset.get(),
            })
        )?;
    }
    for damage in &store.report().damage {
        writeln!(
            out,
            "{}",
            json!({
                "kind": "damage",
                "file": damage.file.display().to_string(),
                "offset": damage.offset,
                "what": damage.what,
            })
        )?;
    }
    out.flush()?;
    Ok(())
}

/// The queues of a topic, and their units if asked for.
fn write_queues(
    store: &ReadOnly,
    topic: &TopicStats,
    units: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    for queue in &topic.queues {
        let line = json!({
            "kind": "queue",
            "topic": topic.name,
            "queueId": queue.id.get(),
            "minOffset": queue.min.get(),
            "maxOffset": queue.next.get(),
        });
        writeln!(out, "{line}")?;
        for entry in store.entries(&topic.name, queue.id).filter(|_| units) {
            let line = json!({
                "kind": "unit",
                "topic": topic.name,
                "queueId": queue.id.get(),
                "queueOffset": entry.queue_offset.get(),
                "offset": entry.log_offset.get(),
                "size": entry.size,
                "tagCode": entry.tag_code,
            });
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// A record that could not be read again.
fn lost(error: &pocketmq::Error) -> Value {
    let file = error.path().map(|path| path.display().to_string());
    json!({"kind": "damage", "file": file, "offset": error.offset(), "what": error.to_string()})
}

/// A message that waits, under the topic and queue that it is meant for.
fn timer(delayed: &Delayed) -> Value {
    let due = delayed.due.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    json!({
        "kind": "timer",
        "topic": delayed.topic,
        "queueId": delayed.queue.get(),
        "uniqKey": delayed.message.property("UNIQ_KEY"),
        "keys": delayed.message.property("KEYS"),
        "dueMs": u64::try_from(due).unwrap_or(u64::MAX),
        "level": delayed.level,
    })
}

/// One record under the names that RocketMQ uses.
fn record(message: &Message) -> Value {
    let fields = message.record();
    let raw = message.raw_properties();
    let properties: Map<String, Value> =
        raw.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    json!({
        "kind": "record",
        "topic": message.topic(),
        "queueId": message.queue().get(),
        "queueOffset": message.queue_offset().get(),
        "physicalOffset": message.log_offset().get(),
        "size": message.size(),
        "magic": fields.magic,
        "sysFlag": fields.sys_flag,
        "flag": fields.flag,
        "bodyCRC": fields.body_crc,
        "bornTimestamp": fields.born_timestamp,
        "storeTimestamp": fields.store_timestamp,
        "bornHost": fields.born_host,
        "storeHost": fields.store_host,
        "reconsumeTimes": fields.reconsume_times,
        "preparedTransactionOffset": fields.prepared_transaction_offset,
        "offsetMsgId": message.offset_id().to_string(),
        "body": BASE64.encode(message.body()),
        "properties": properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pocketmq::{Queue, Raw, Topic};

    #[test]
    fn every_queue_of_a_topic_has_a_line_also_if_it_was_never_used() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path()).unwrap();
        queue.create_topic("orders", 3).unwrap();
        let orders = queue.producer(Topic::<[u8], Raw>::new("orders")).unwrap();
        orders.send(b"one").unwrap();
        queue.close().unwrap();
        let mut out = Vec::new();
        dump(dir.path().to_str().unwrap(), More::default(), &mut out).unwrap();
        let lines: Vec<Value> = out
            .split(|&b| b == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let ends: Vec<_> = lines
            .iter()
            .filter(|line| line["kind"] == "queue")
            .map(|line| {
                (line["queueId"].as_u64(), line["minOffset"].as_u64(), line["maxOffset"].as_u64())
            })
            .collect();
        let queue = |id, max| (Some(id), Some(0), Some(max));
        assert_eq!(ends, [queue(0, 1), queue(1, 0), queue(2, 0)]);
    }

    #[test]
    fn a_message_that_waits_has_a_line_if_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path()).unwrap();
        let orders = queue.producer(Topic::<[u8], Raw>::new("orders")).unwrap();
        let sent = orders.message(b"one").key("k").delay_level(18).send().unwrap();
        for timers in [false, true] {
            let mut out = Vec::new();
            let more = More { timers, units: false };
            dump(dir.path().to_str().unwrap(), more, &mut out).unwrap();
            let lines = out.split(|&b| b == b'\n').filter(|line| !line.is_empty());
            let lines = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
            let found: Vec<_> = lines.filter(|line| line["kind"] == "timer").collect();
            assert_eq!(found.len(), usize::from(timers));
            for line in found {
                assert_eq!((&line["topic"], &line["queueId"]), (&json!("orders"), &json!(0)));
                assert_eq!((&line["keys"], &line["level"]), (&json!("k"), &json!(18)));
                assert_eq!(line["uniqKey"], sent.id.to_string());
                assert!(line["dueMs"].as_u64().unwrap() > 7_200_000);
            }
        }
        queue.close().unwrap();
    }
}
