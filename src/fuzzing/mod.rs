//! Doors for fuzzing: each takes any bytes, and says by panicking that a promise does not hold. Not part of the library: compiled
//! with `--cfg fuzzing` only, and for the test that replays the corpora in `fuzz/corpus`.

mod delayed;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::commitlog::format::{self, Checks, Decoded, RecordCrc};
use crate::commitlog::scan::{Plan, ScanFile, Soundness, scan};
use crate::config::groups::Groups;
use crate::config::json::{parse, to_text};
use crate::config::metrics::TimerMetrics;
use crate::config::offsets::{ConsumerOffsets, DelayOffsets};
use crate::config::topics::Topics;
use crate::consumequeue::files::QueueFiles;
use crate::consumequeue::format::Unit;
use crate::filter::Filter;
use crate::io::memory::Memory;
use crate::io::{OpenMode, Storage, StoreFile};
use crate::layout::{Layout, file_name};
use crate::message::names::{is_loadable_topic, java_hash, validate_group, validate_topic};
use crate::message::properties::{self, CRC_TAIL_LEN, Properties};
use crate::store::checkpoint::Checkpoint;
use crate::sync::Arc;

pub use delayed::{index, timer_log, timer_wheel};

const STRICT: Checks = Checks { body_crc: true, record_crc: RecordCrc::Require };

/// What a target is: it takes any bytes, and panics if a promise does not hold.
pub type Target = fn(&[u8]);

/// All of them by name.
pub const TARGETS: [(&str, Target); 11] = [
    ("record", record),
    ("segment", segment),
    ("queue_file", queue_file),
    ("checkpoint", checkpoint),
    ("json", json),
    ("properties", properties),
    ("names", names),
    ("filter", filter),
    ("timer_log", timer_log),
    ("timer_wheel", timer_wheel),
    ("index", index),
];

/// Makes the checksums of the record at the beginning right, whatever it says; its size, if it is one.
pub fn mend_record(bytes: &mut [u8]) -> Option<usize> {
    let Decoded::Record(view) = format::decode(bytes, Checks::NONE) else { return None };
    let size = usize::try_from(view.size).ok()?;
    let body_crc = format::masked_crc(view.body).to_be_bytes();
    let (queue_offset, offset, stored) =
        (view.queue_offset, view.physical_offset, view.store_timestamp);
    let (empty, has_tail) = (view.body.is_empty(), view.properties.len() >= CRC_TAIL_LEN);
    let record = bytes.get_mut(..size)?;
    if !empty {
        record.get_mut(8..12)?.copy_from_slice(&body_crc);
    }
    if has_tail {
        // If it is one: other properties have no more to mend.
        let _sealed = format::seal(record, queue_offset, offset, stored);
    }
    Some(size)
}

/// Makes the checksums of all records right that follow each other from the beginning.
pub fn mend_log(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(size) = bytes.get_mut(at..).and_then(mend_record).filter(|size| *size > 0) {
        at += size;
    }
}

/// What decodes stays within its bytes; with its checksums made right it decodes strictly, and never shorter.
pub fn record(bytes: &[u8]) {
    let mut copy = bytes.to_vec();
    let strict = format::decode(bytes, STRICT);
    match format::decode(bytes, Checks::NONE) {
        Decoded::Record(view) => {
            let size = usize::try_from(view.size).unwrap_or(usize::MAX);
            assert!(size <= bytes.len() && view.body.len() + view.properties.len() < size);
            let _read = (view.tags_code(&[1000, 5000]), view.transaction_type(), view.offset_id());
            assert_eq!(mend_record(&mut copy), Some(size));
            let loose = Checks { record_crc: RecordCrc::Ignore, ..STRICT };
            assert!(matches!(format::decode(&copy, loose), Decoded::Record(_)));
        }
        Decoded::Incomplete { needed } => assert!(needed > bytes.len()),
        Decoded::Blank { .. } | Decoded::Empty | Decoded::Bad(_) => {
            assert!(!matches!(strict, Decoded::Record(_)), "strict takes what loose does not");
        }
    }
}

/// A log of two files ends at a place in it, and is scanned once: no record overlaps another. The first byte says where the floor
/// is, and whether the checksums are made right first.
pub fn segment(bytes: &[u8]) {
    const SIZE: usize = 16 << 10;
    let (head, log) = bytes.split_at_checked(2).unwrap_or((&[0, 0], &[]));
    let (floor, own) = match head {
        [floor, flags] => (u64::from(*floor) << 7, flags & 1 == 1),
        _ => return,
    };
    let mut log = log.to_vec();
    log.resize(2 * SIZE, 0);
    log.chunks_mut(SIZE).for_each(mend_log);
    let memory = Memory::new(None);
    let files: Vec<ScanFile> = (0..)
        .zip(log.chunks(SIZE))
        .filter_map(|(number, content)| {
            let base = number * SIZE as u64;
            let path = Path::new("/").join(file_name(base));
            Some(ScanFile { base, file: filled(&memory, &path, content)?, path })
        })
        .collect();
    assert_eq!(files.len(), 2);
    let mut last = 0;
    let mut plan = Plan {
        files: &files,
        segment_size: SIZE as u64,
        from: 0,
        floor,
        own: &|_| own,
        copy: &|_| None,
        resume: &mut |_, _| Ok(None),
    };
    let scanned = scan(&mut plan, &mut |view, soundness| {
        assert!(view.physical_offset >= last, "a record inside another");
        if soundness == Soundness::Sound {
            last = view.physical_offset + u64::from(view.size);
        }
        Ok(())
    });
    if let Ok(scanned) = scanned {
        assert!(scanned.end <= 2 * SIZE as u64 && last <= scanned.end.max(floor));
        assert!(scanned.faults.iter().all(|fault| fault.log_offset < floor));
    }
}

/// Units come from whole slots only, and say the same again.
pub fn queue_file(bytes: &[u8]) {
    let memory: Arc<dyn Storage> = Arc::new(Memory::new(None));
    let layout = Layout::new(Path::new("/"));
    let files = QueueFiles::new(&memory, &layout, 400);
    let dir = layout.queue_dir("t", 0);
    assert!(memory.create_dir_all(&dir).is_ok());
    for (number, content) in (0..).zip(bytes.chunks(400)) {
        assert!(filled(&*memory, &dir.join(file_name(number * 400)), content).is_some());
    }
    let mut units = Vec::new();
    assert!(files.read(("t", 0), 0, 1000, &mut units).is_ok());
    assert!(units.len() <= bytes.len() / 20);
    for (unit, stored) in units.iter().zip(bytes.as_chunks::<20>().0) {
        assert_eq!((unit.encode(), Unit::decode(stored)), (*stored, *unit));
    }
    let _extent = files.extent(("t", 0));
    let _cut = files.cut(("t", 0), 7);
    let mut cut = Vec::new();
    assert!(files.read(("t", 0), 7, 1, &mut cut).is_ok());
}

/// Any time is only a time.
pub fn checkpoint(bytes: &[u8]) {
    if let Some(read) = Checkpoint::decode(bytes) {
        assert!(read.min_timestamp() >= 0);
        assert_eq!(Checkpoint::decode(&read.encode()), Some(read));
    }
}

/// What parses is written in a form that parses to the same; tables made of it too.
pub fn json(bytes: &[u8]) {
    let Ok(value) = parse(bytes) else { return };
    assert_eq!(parse(to_text(&value).as_bytes()).ok().as_ref(), Some(&value));
    let file = Some(&value);
    let again = |table: crate::config::json::Value| {
        assert!(parse(to_text(&table).as_bytes()).is_ok());
    };
    if let Ok(table) = Topics::from_value(file, &is_loadable_topic) {
        assert!(table.iter().all(|topic| table.get(&topic.name).is_some()));
        again(table.to_value(1));
    }
    if let Ok(table) = Groups::from_value(file, &|_| true) {
        again(table.to_value(1));
    }
    if let Ok(table) = ConsumerOffsets::from_value(file, &is_loadable_topic, &|_| true) {
        again(table.to_value(1));
    }
    if let Ok(table) = DelayOffsets::from_value(file) {
        again(table.to_value(1));
    }
    if let Ok(table) = TimerMetrics::from_value(file, &is_loadable_topic) {
        assert!(parse(table.to_text(1).as_bytes()).is_ok());
    }
}

/// What is read of a block makes a block that reads the same.
pub fn properties(bytes: &[u8]) {
    let all = Properties::parse_all(bytes);
    let mut block = Vec::new();
    for (name, value) in all.iter() {
        assert!(properties::get(bytes, name).is_some());
        properties::push(&mut block, name, value);
    }
    assert!(block.len() <= bytes.len() + 1);
    assert!(Properties::parse_all(&block) == all, "read again it is another");
    let _without_checksum = Properties::parse(bytes);
}

/// A name that is taken is one folder below its parent, and no other name's.
pub fn names(bytes: &[u8]) {
    let Ok(name) = std::str::from_utf8(bytes) else { return };
    let layout = Layout::new(Path::new("/store"));
    if validate_topic(name).is_ok() {
        assert!(is_loadable_topic(name), "a topic that could not be loaded again");
    }
    let _group = validate_group(name);
    if is_loadable_topic(name) {
        let dir = layout.queue_dir(name, 3);
        let mut parts = dir.strip_prefix(layout.consumequeue()).into_iter().flatten();
        assert_eq!((parts.next(), parts.next()), (Some(name.as_ref()), Some("3".as_ref())));
        assert_eq!(parts.next(), None);
    }
}

/// An expression, a zero byte, and a block of properties. What is refused has a place; what is taken says the same of a block as of
/// what a reader finds in it, and a queue's entry hides nothing that passes.
pub fn filter(bytes: &[u8]) {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (text, block) = bytes.split_at(end);
    let block = block.get(1..).unwrap_or_default();
    let Ok(text) = std::str::from_utf8(text) else { return };
    match Filter::sql(text) {
        Ok(filter) => {
            let read = filter.evaluate(|name| properties::get(block, name));
            assert_eq!(
                filter.verdict(block),
                read,
                "a block is read otherwise than its properties"
            );
            assert_eq!(Filter::sql(&filter.to_string()).ok(), Some(filter));
        }
        Err(refused) => {
            assert!(text.is_char_boundary(refused.offset()) && refused.to_string().len() < 1000);
        }
    }
    if let Ok(filter) = Filter::tags(text)
        && filter.matches_properties(block)
    {
        let tag = properties::get(block, properties::name::TAGS).unwrap_or_default();
        assert!(filter.may_match(java_hash(tag).into()), "a queue's entry hides a message");
    }
}

fn filled(storage: &dyn Storage, path: &Path, content: &[u8]) -> Option<Arc<dyn StoreFile>> {
    let file = storage.open(path, OpenMode::CreateNew).ok()?;
    file.write_at(0, content).ok()?;
    Some(file)
}
