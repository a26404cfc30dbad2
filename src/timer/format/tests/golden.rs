//! Two brokers' timer files. A wheel has 38 707 200 bytes, of which a handful of slots are not zero: it is unpacked in memory, and
//! the slots that hold something are compared one by one; that everything else is zero is compared as a count.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::message::names::java_hash;
use crate::tests::{expected_states, golden_file, manifest, record_at};
use crate::timer::format::check::TimerCheck;
use crate::timer::format::log::{Decoded, End, Magic, Unit, Units, chain, decode};
use crate::timer::format::ticks::{Precision, Tick, Window};
use crate::timer::format::wheel::{SLOT_LEN, Slot, Slots, Wheel};

const STORES: [&str; 2] = ["timer", "timer-5.5.0"];
const SECOND: Precision = Precision::DEFAULT;

fn log_of(store: &str) -> Vec<u8> {
    golden_file(store, "timerlog/00000000000000000000")
}

fn units(log: &[u8]) -> Vec<(u64, Unit)> {
    Units::new(log, 0, 0).collect()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

/// A property of a record of the manifest.
fn property<'a>(record: &'a Value, name: &str) -> Option<&'a str> {
    record["properties"][name].as_str()
}

#[test]
fn a_brokers_timer_log_reads_as_its_classes_read_it_and_writes_back_equal() {
    for store in STORES {
        let log = log_of(store);
        let expected = manifest(store)["timer"]["log"].as_array().unwrap().clone();
        let mut walk = Units::new(&log, 0, 0);
        let found: Vec<_> = walk.by_ref().collect();
        assert_eq!((found.len(), walk.end()), (expected.len(), Some(End::Empty)), "{store}");
        for ((position, unit), expected) in found.iter().zip(&expected) {
            let at = format!("{store} at {position}");
            assert_eq!(position.cast_signed(), number(&expected["position"]), "{at}");
            let previous = unit.previous.map_or(-1, u64::cast_signed);
            assert_eq!(previous, number(&expected["prevPos"]), "{at}");
            assert_eq!(unit.written_ms, number(&expected["enqueueTime"]), "{at}");
            assert_eq!(i64::from(unit.delay_ms), number(&expected["delayMs"]), "{at}");
            assert_eq!(unit.offset.cast_signed(), number(&expected["physicalOffset"]), "{at}");
            assert_eq!(i64::from(unit.size), number(&expected["size"]), "{at}");
            assert_eq!(i64::from(unit.topic_hash), number(&expected["topicHash"]), "{at}");
            assert_eq!(unit.topic_hash, java_hash("g15_Timer"), "{at}");
        }
        let mut written: Vec<u8> = found.iter().flat_map(|(_, unit)| unit.encode()).collect();
        written.resize(log.len(), 0);
        assert!(written == log, "{store}");
    }
}

#[test]
fn a_brokers_wheel_follows_from_its_log_byte_for_byte() {
    for store in STORES {
        let broker = golden_file(store, "timerwheel");
        let log = log_of(store);
        let mut slots: BTreeMap<u32, Slot> = BTreeMap::new();
        for (position, unit) in units(&log) {
            let tick = unit.tick(SECOND);
            let slot = slots.entry(Slots::ROCKETMQ.index(tick)).or_default();
            assert_eq!(slot.newest(tick), unit.previous, "{store} at {position}");
            *slot = slot.with_unit(tick, position, unit.magic);
        }
        let expected = manifest(store)["timer"]["slots"].as_array().unwrap().clone();
        assert_eq!(slots.len(), expected.len(), "{store}");
        for ((index, slot), expected) in slots.iter().zip(&expected) {
            assert_eq!(i64::from(*index), number(&expected["index"]), "{store}");
            assert_eq!(slot.tick * 1000, number(&expected["timeMs"]), "{store}");
            assert_eq!(i64::from(slot.count), number(&expected["num"]), "{store}");
            let at = usize::try_from(*index).unwrap() * SLOT_LEN;
            assert_eq!(slot.encode(), broker[at..at + SLOT_LEN], "{store}");
        }
        let wheel = Wheel::new(&broker).unwrap();
        assert_eq!(wheel.slots(), Slots::ROCKETMQ);
        let found: BTreeMap<u32, Slot> =
            wheel.iter().map(|(tick, slot)| (wheel.slots().index(tick), slot)).collect();
        assert_eq!(found, slots, "{store}");
        let written = broker.as_chunks::<SLOT_LEN>().0.iter().filter(|slot| **slot != [0; 32]);
        assert_eq!(written.count(), slots.len(), "{store}: the rest is zero");
    }
}

/// What still waits, and what was recalled: the keys of the messages.
fn walk(store: &str, manifest: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let check = TimerCheck::decode(&golden_file(store, "config/timercheck")).unwrap();
    let (wheel, log) = (golden_file(store, "timerwheel"), log_of(store));
    let read = |position| {
        let rest = log.get(usize::try_from(position).ok()?..)?;
        if let Decoded::Unit(unit) = decode(rest) { Some(unit) } else { None }
    };
    let (mut pending, mut recalled) = (BTreeSet::new(), BTreeSet::new());
    for (tick, slot) in Wheel::new(&wheel).unwrap().iter() {
        let units: Vec<_> = chain(slot, tick, SECOND, read).map(|found| found.unwrap().1).collect();
        let is_mark = |unit: &&Unit| unit.magic.has(Magic::DELETE);
        let marked: BTreeSet<_> = units
            .iter()
            .filter(is_mark)
            .map(|mark| property(record_at(manifest, mark.offset), "TIMER_DEL_UNIQKEY").unwrap())
            .collect();
        let delivered = SECOND.out_ms(tick) < check.read_ms;
        let mut waiting = 0;
        for unit in units.iter().filter(|unit| !is_mark(unit)) {
            let record = record_at(manifest, unit.offset);
            let unique = property(record, "UNIQ_KEY").unwrap();
            let with_topic = format!("{}+{unique}", property(record, "REAL_TOPIC").unwrap());
            let key = property(record, "KEYS").unwrap().to_owned();
            // 5.3.3 writes the topic before the key, 5.5.0 does not.
            if marked.contains(unique) || marked.contains(&*with_topic) {
                recalled.insert(key);
            } else {
                waiting += 1;
                if !delivered {
                    pending.insert(key);
                }
            }
        }
        assert_eq!(waiting, slot.count, "{store}: the count of {tick:?}");
    }
    (pending, recalled)
}

#[test]
fn wheel_and_log_name_exactly_the_messages_that_wait_and_those_recalled() {
    for store in STORES {
        let manifest = manifest(store);
        let (pending, recalled) = walk(store, &manifest);
        let expected = expected_states(&manifest, "timer");
        let in_state = |wanted: &str| -> BTreeSet<String> {
            let these = expected.iter().filter(|(_, state)| *state == wanted);
            these.map(|(key, _)| key.clone()).collect()
        };
        assert_eq!(pending, in_state("pending"), "{store}");
        assert_eq!(recalled, in_state("recalled"), "{store}");
        assert_eq!((pending.len(), recalled.len()), (6, 3), "{store}");
    }
}

#[test]
fn every_record_waits_in_the_tick_that_its_due_time_and_the_window_say() {
    for store in STORES {
        let manifest = manifest(store);
        for (position, unit) in units(&log_of(store)) {
            let record = record_at(&manifest, unit.offset);
            let at = format!("{store} at {position}");
            let out: i64 = property(record, "TIMER_OUT_MS").unwrap().parse().unwrap();
            let due = SECOND.tick_at(out);
            assert_eq!(SECOND.out_ms(due), out, "{at}: it is the beginning of a tick");
            if let Some(asked) = property(record, "TIMER_DELIVER_MS") {
                assert_eq!(SECOND.tick_of_due(asked.parse().unwrap()), due, "{at}");
            }
            let written = SECOND.tick_at(unit.written_ms);
            assert_eq!(SECOND.out_ms(written), unit.written_ms, "{at}");
            let place = Window::DEFAULT.place(written, due);
            assert_eq!(
                (place.tick, place.rolls),
                (unit.tick(SECOND), unit.magic.has(Magic::ROLL)),
                "{at}"
            );
            assert_eq!(SECOND.delay_ms(written, place.tick), Some(unit.delay_ms), "{at}");
            let is_mark = property(record, "TIMER_DEL_UNIQKEY").is_some();
            assert_eq!(unit.magic.has(Magic::DELETE), is_mark, "{at}");
            assert_eq!(Some(u64::from(unit.size)), record["size"].as_u64(), "{at}");
        }
    }
}

#[test]
fn no_message_came_before_its_tick_was_over() {
    for store in STORES {
        let manifest = manifest(store);
        let records = manifest["records"].as_array().unwrap();
        let mut delivered = 0;
        for record in records {
            let Some(dequeued) = property(record, "TIMER_DEQUEUE_MS") else { continue };
            let out: i64 = property(record, "TIMER_OUT_MS").unwrap().parse().unwrap();
            let ready = SECOND.ready_ms(Tick(out / 1000));
            assert!(dequeued.parse::<i64>().unwrap() >= ready, "{store}");
            delivered += 1;
        }
        assert_eq!(delivered, 4, "{store}");
    }
}

#[test]
fn a_brokers_progress_reads_as_its_classes_read_it_and_writes_back_equal() {
    for store in ["timer", "timer-5.5.0", "delay-levels", "basic-clean"] {
        let bytes = golden_file(store, "config/timercheck");
        let check = TimerCheck::decode(&bytes).unwrap();
        assert_eq!(check.encode(), bytes, "{store}");
        let expected = &manifest(store)["timer"]["check"];
        assert_eq!(check.read_ms, number(&expected["lastReadTimeMs"]), "{store}");
        assert_eq!(check.log_flushed, number(&expected["lastTimerLogFlushPos"]), "{store}");
        assert_eq!(check.queue_offset, number(&expected["lastTimerQueueOffset"]), "{store}");
        let master = number(&expected["masterTimerQueueOffset"]);
        assert_eq!(check.master_queue_offset, master, "{store}");
        assert_eq!(check.version_state, number(&expected["stateVersion"]), "{store}");
        assert_eq!(check.version_ms, number(&expected["timestamp"]), "{store}");
        assert_eq!(check.version_counter, number(&expected["counter"]), "{store}");
    }
}
