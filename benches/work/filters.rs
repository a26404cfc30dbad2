//! W9: filters over the properties of messages that are already there.

use std::hint::black_box;

use pocketmq::{Filter, Message, Queue};

use crate::Result;
use crate::figures::{Sample, short};
use crate::ground::Ground;
use crate::settings::{Settings, Work};
use crate::store::{BODY, BYTES, TOO_LONG};
use crate::table::{Bench, Table, Target};

/// Messages that take turns, so that no outcome is always the same.
const MESSAGES: u64 = 64;
const NAMES: [&str; 3] = ["price", "region", "tested"];

pub(crate) fn measure(settings: &Settings, ground: &Ground) -> Result<Table> {
    let messages = messages()?;
    let messages = messages.as_slice();
    let mut bench = Bench::new(Work::W9, settings, settings.scale.runs_short);
    let count = settings.scale.evaluations;
    let name = |of: &str| format!("{of}, {}", short(count));
    let lookups = bench.row(name("three properties looked up"), move || {
        turn(ground, count, messages, |message| {
            NAMES.iter().all(|name| message.property(name).is_some())
        })
    });
    let mut row = |of: &str, filter: Filter| {
        bench
            .row(name(of), move || turn(ground, count, messages, |message| filter.matches(message)))
    };
    let all = Filter::sql("price >= 0 AND region <> 'none' AND tested = TRUE")?;
    let three = row("pocketmq SQL, three properties", all);
    let mixed = Filter::sql(
        "price BETWEEN 1000 AND 1040.5 AND (region IN ('eu', 'us') OR NOT (tested = TRUE))",
    )?;
    let mixed = row("pocketmq SQL, BETWEEN, IN, NOT", mixed);
    let tags = row("pocketmq tags", Filter::tags("paid || sent")?);
    bench.millions_per_s(three, Target::AtLeast(5.0));
    bench.millions_per_s(mixed, Target::AtLeast(5.0));
    for row in [three, mixed, tags] {
        bench.rate(row, lookups, Target::Open);
    }
    bench.run(ground)
}

/// Messages with a tag, a key and three properties.
fn messages() -> Result<Vec<Message>> {
    let queue = Queue::in_memory()?;
    let sender = queue.producer(BYTES)?;
    let receiver = queue.consumer(BYTES, "readers").pull()?;
    let mut messages = Vec::new();
    for n in 0..MESSAGES {
        let message = sender.message(&BODY).key(format!("order-{n}")).tag("paid");
        let message = message.property("price", 1000 + n);
        let message = message.property("region", if n % 3 == 0 { "eu" } else { "asia" });
        message.property("tested", true).send()?;
        let delivery = receiver.recv(TOO_LONG)?.ok_or("a message did not arrive")?;
        messages.push(delivery.message().clone());
        delivery.ack()?;
    }
    Ok(messages)
}

fn turn(
    ground: &Ground,
    count: u64,
    messages: &[Message],
    passes: impl Fn(&Message) -> bool,
) -> Result<Sample> {
    let mut wanted = 0_u64;
    let meter = ground.meter()?;
    for (message, _) in messages.iter().cycle().zip(0..count) {
        wanted += u64::from(passes(black_box(message)));
    }
    let spent = meter.stop()?;
    if black_box(wanted) == 0 {
        return Err("no message wanted".into());
    }
    Ok(Sample { count, spent, ..Sample::default() })
}
