//! Stores that somebody else wrote, or changed while they were closed.

use std::path::{Path, PathBuf};

use crate::commitlog::format::{self, Host};
use crate::error::ErrorKind;
use crate::io::Storage;
use crate::io::sim::SimDisk;
use crate::options::{Conflict, Flush};
use crate::store::report::History;

use super::model::body_of;
use super::world::{Ack, SEGMENT, World, files_in, layout};

const CURSOR: (&str, &str, u32) = ("g", "t", 0);

/// Twenty messages; 0, 1, 2 and 5 are acknowledged.
pub(super) fn closed() -> World {
    let mut world = World::new(Flush::default());
    world.send_all("t", [200; 20]);
    world.consume(("t", "g"), 6, |n| if [3, 4].contains(&n) { Ack::No } else { Ack::Yes }).unwrap();
    world.close().unwrap();
    world
}

/// Which of the first ten messages are done.
fn done(world: &World) -> Vec<u64> {
    let (group, topic, queue) = CURSOR;
    let cursor = world.store().progress.cursor(group, topic, queue).expect("a cursor");
    (0..10).filter(|offset| cursor.is_acked(*offset)).collect()
}

pub(super) fn set_config_offset(disk: &SimDisk, from: u64, to: u64) {
    let path = layout().config().join("consumerOffset.json");
    let text = String::from_utf8(disk.read_file(&path).unwrap()).unwrap();
    let (old, new) = (format!("0:{from}"), format!("0:{to}"));
    assert!(text.contains(&old), "{text}");
    disk.write_file(&path, text.replace(&old, &new).as_bytes());
}

/// A record as a broker writes it: without our checksum.
pub(super) fn broker_record(queue_offset: u64, log_offset: u64, body: &[u8]) -> Vec<u8> {
    let block = b"WAIT\x01true\x02";
    let draft = format::Draft {
        topic: "t",
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1_700_000_100_000,
        born_host: Host::LOCALHOST,
        store_host: Host::LOCALHOST,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        properties: block,
    };
    let mut record = Vec::new();
    format::encode::<crate::Error>(&mut record, &draft, |out| {
        out.extend_from_slice(body);
        Ok(())
    })
    .unwrap();
    assert!(format::seal(&mut record, queue_offset, log_offset, 1_700_000_100_000));
    let len = record.len() - format::CRC_TAIL_LEN;
    record.truncate(len);
    record[..4].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
    let at = len - block.len() - 2;
    record[at..at + 2].copy_from_slice(&u16::try_from(block.len()).unwrap().to_be_bytes());
    record
}

/// A broker ran on the directory and stored one more message.
fn broker_sends(world: &mut World, log_end: u64) {
    let (id, body) = world.model.draft("t", 150);
    assert_eq!(body, body_of(id, 150));
    let base = log_end / SEGMENT * SEGMENT;
    let path = layout().segment(base);
    let mut file = world.disk.read_file(&path).unwrap();
    let record = broker_record(20, log_end, &body);
    let at = usize::try_from(log_end - base).unwrap();
    file[at..at + record.len()].copy_from_slice(&record);
    world.disk.write_file(&path, &file);
}

#[test]
fn a_brokers_store_opens_with_its_groups_offsets() {
    let mut world = closed();
    for (path, _) in files_in(&world.disk, &layout().own()) {
        world.disk.remove_file(&path).unwrap();
    }
    world.disk.remove_dir(&layout().own()).unwrap();
    world.open().unwrap();
    assert_eq!(world.history(), History::Foreign);
    // What lies above a gap cannot be said in a broker's offset file.
    assert_eq!(done(&world), [0, 1, 2]);
    world.check_log("a broker's");
    assert_eq!(world.model.stored_count(), 20);
    world.check_works("a broker's");
}

#[test]
fn a_changed_config_file_means_that_somebody_was_here() {
    let mut world = closed();
    set_config_offset(&world.disk, 3, 8);
    world.open().unwrap();
    assert_eq!(world.history(), History::Foreign);
    assert_eq!(done(&world), [0, 1, 2, 3, 4, 5, 6, 7]);
    world.close().unwrap();
    world.open().unwrap();
    assert_eq!(world.history(), History::Clean);
    assert_eq!(done(&world), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_group_has_an_offset_in_every_queue_also_in_those_it_never_saw() {
    let mut world = closed();
    let config = layout().config();
    let topics = config.join("topics.json");
    let text = String::from_utf8(world.disk.read_file(&topics).unwrap()).unwrap();
    let more = text.replace("QueueNums\":1", "QueueNums\":3");
    assert_ne!(more, text);
    world.disk.write_file(&topics, more.as_bytes());
    world.open().unwrap();
    assert_eq!(world.store().topics.get("t").unwrap().queue_count(), 3);
    // The group asks for nothing, so it has no progress in the new queues.
    assert!(world.store().progress.cursor("g", "t", 1).is_none());
    world.close().unwrap();
    let offsets = world.disk.read_file(config.join("consumerOffset.json")).unwrap();
    let offsets = String::from_utf8(offsets).unwrap();
    let offsets: String = offsets.split_whitespace().collect();
    assert!(offsets.contains("\"t@g\":{0:3,1:0,2:0}"), "{offsets}");
    world.open().unwrap();
    assert_eq!(world.history(), History::Clean);
    world.check_log("grown");
    world.check_works("grown");
}

#[test]
fn a_log_that_grew_means_that_somebody_was_here() {
    let mut world = closed();
    let end = log_end(&world);
    broker_sends(&mut world, end);
    world.open().unwrap();
    assert_eq!(world.history(), History::Foreign);
    assert_eq!(done(&world), [0, 1, 2]);
    world.check_log("grown");
    assert_eq!(world.model.stored_count(), 21);
    world.check_works("grown");
}

/// Where the log of a closed store ends.
pub(super) fn log_end(world: &World) -> u64 {
    let mut look = world.next(world.disk.kill_image());
    look.open().unwrap();
    look.store().log.staged()
}

#[test]
fn a_crash_while_taking_over_from_a_broker_changes_nothing_about_who_wins() {
    let mut world = closed();
    let end = log_end(&world);
    broker_sends(&mut world, end);
    set_config_offset(&world.disk, 3, 8);
    let finished = take_over_with_a_crash(&world, u64::MAX);
    assert!(!finished.disk.is_crashed());
    for n in 1..=finished.disk.operations() {
        let crashed = take_over_with_a_crash(&world, n);
        let images = [(crashed.disk.kill_image(), "kill")]
            .into_iter()
            .chain((0..3).map(|seed| (crashed.disk.power_image(seed), "power cut")));
        for (disk, how) in images {
            let context = format!("{how} in operation {n}");
            let mut next = world.next(disk);
            next.open().unwrap_or_else(|e| panic!("{context}: {e:?}"));
            assert_eq!(done(&next), [0, 1, 2, 3, 4, 5, 6, 7], "{context}: {:?}", next.report());
            next.check_log(&context);
            assert_eq!(next.model.stored_count(), 21, "{context}: {:?}", next.report());
        }
    }
}

/// A broker that starts on what was changed by half would believe it; the marker keeps it out.
#[test]
fn nothing_is_changed_before_the_marker_is_there() {
    let mut grown = closed();
    let end = log_end(&grown);
    broker_sends(&mut grown, end);
    let strangers = grown.next(grown.disk.kill_image());
    for (path, _) in files_in(&strangers.disk, &layout().own()) {
        strangers.disk.remove_file(&path).unwrap();
    }
    strangers.disk.remove_dir(&layout().own()).unwrap();
    for (who, world) in [("closed", closed()), ("grown", grown), ("a broker's", strangers)] {
        let before = brokers_files(&world.disk);
        for n in 1.. {
            let crashed = take_over_with_a_crash(&world, n);
            if !crashed.disk.is_crashed() {
                assert!(n > 30, "{who}: only {n} operations");
                break;
            }
            let cuts = (0..4).map(|seed| crashed.disk.power_image(seed));
            for (nth, disk) in cuts.chain([crashed.disk.kill_image()]).enumerate() {
                let marked = disk.read_file(layout().marker()).is_some();
                let same = brokers_files(&disk) == before;
                assert!(marked || same, "{who}: operation {n}, image {nth}");
            }
        }
    }
}

#[test]
fn a_closed_store_is_durable_to_its_last_file() {
    let world = closed();
    let whole = brokers_files(&world.disk);
    assert!(whole.len() > 5, "{whole:?}");
    for seed in 0..16 {
        assert_eq!(brokers_files(&world.disk.power_image(seed)), whole, "power cut {seed}");
    }
}

/// What a broker reads.
fn brokers_files(disk: &SimDisk) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let ours = [layout().own(), layout().marker(), layout().lock()];
    let names =
        files_in(disk, layout().root()).into_iter().map(|(path, _)| Path::new("/").join(path));
    let theirs = names.filter(|path| !ours.iter().any(|own| path.starts_with(own)));
    theirs.map(|path| (path.clone(), disk.read_file(&path))).collect()
}

/// Opens a copy of the disk, crashing in operation `n`.
fn take_over_with_a_crash(world: &World, n: u64) -> World {
    let mut next = world.next(world.disk.kill_image());
    if n < u64::MAX {
        next.disk.crash_at(n);
    }
    let opened = next.open();
    assert_eq!(opened.is_err(), next.disk.is_crashed());
    next
}

#[test]
fn a_store_without_the_files_that_say_how_it_was_left_is_refused_until_told_what_wins() {
    let world = closed();
    set_config_offset(&world.disk, 3, 8);
    let stamp = layout().clean();
    let tampered = |conflict| {
        let mut next = world.next(world.disk.kill_image());
        next.disk.remove_file(&stamp).unwrap();
        next.options.conflict = conflict;
        next
    };
    let mut refused = tampered(Conflict::Refuse);
    let before = refused.disk.list_all();
    let error = refused.open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("on_conflict"), "{error}");
    assert_eq!(refused.disk.list_all(), before, "refusing changes nothing");

    let mut own = tampered(Conflict::KeepOwn);
    own.open().unwrap();
    assert_eq!(done(&own), [0, 1, 2, 5]);
    own.check_works("own");

    let mut config = tampered(Conflict::KeepConfig);
    config.open().unwrap();
    assert_eq!(done(&config), [0, 1, 2, 3, 4, 5, 6, 7]);
    config.check_log("config");
    config.check_works("config");
}

#[test]
fn a_crash_does_not_change_what_was_chosen_to_win() {
    let world = closed();
    set_config_offset(&world.disk, 3, 8);
    world.disk.remove_file(&layout().clean()).unwrap();
    for (conflict, expected) in [
        (Conflict::KeepConfig, vec![0, 1, 2, 3, 4, 5, 6, 7]),
        (Conflict::KeepOwn, vec![0, 1, 2, 5]),
    ] {
        let mut n = 0;
        loop {
            n += 1;
            let mut world = world.next(world.disk.kill_image());
            world.options.conflict = conflict;
            world.disk.crash_at(n);
            if world.open().is_ok() {
                break;
            }
            let mut next = world.next(world.disk.kill_image());
            next.open().unwrap();
            assert_eq!(done(&next), expected, "{conflict:?}, crash in operation {n}");
        }
        assert!(n > 10);
    }
}

#[test]
fn a_close_that_is_interrupted_by_a_power_cut_keeps_every_acknowledgement() {
    for n in 1.. {
        let mut world = World::new(Flush::default());
        // The log ends with a full file: the next one, prepared and empty, goes away at close.
        world.send_all("t", [900; 19]);
        world.chores();
        world
            .consume(("t", "g"), 6, |n| if [3, 4].contains(&n) { Ack::No } else { Ack::Yes })
            .unwrap();
        world.flush().unwrap();
        world.disk.crash_at(n);
        let closed = world.engine().close();
        if closed.is_ok() {
            assert!(n > 20, "only {n} operations");
            break;
        }
        for seed in 0..6 {
            let next = world.after_power_cut(seed);
            assert_eq!(done(&next), [0, 1, 2, 5], "operation {n}, seed {seed}");
            assert_ne!(next.history(), History::Foreign, "operation {n}, seed {seed}");
        }
    }
}
