//! Reading the log from end to end, as recovery, the offline tools and the rebuilding of queues do.
//!
//! Two rules decide what a bad record means. **Below the floor** (the position known to be durable) it is *damage*: it is
//! reported, and the scan goes on at the next place that is known to start a record. **At or above the floor** it is the
//! torn end of the log.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::io::StoreFile;
use crate::sync::Arc;

use super::format::{self, BLANK_LEN, Checks, Decoded, RecordCrc, RecordView};

/// How much is read at once: little enough to stay in a core's cache while it is checked.
const WINDOW: usize = 256 << 10;
/// How far ahead of that the disk is asked to read.
const AHEAD: u64 = 4 << 20;
/// A record cannot be larger than this: body, properties and fixed fields, with room to spare.
pub(crate) const MAX_RECORD: usize = 8 << 20;

/// A log file to scan.
#[derive(Debug, Clone)]
pub(crate) struct ScanFile {
    pub(crate) base: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn StoreFile>,
}

/// A fault found below the floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) path: PathBuf,
    /// Offset in the file.
    pub(crate) at: u64,
    /// Offset in the log.
    pub(crate) log_offset: u64,
    pub(crate) what: String,
}

/// What the scan needs to know.
pub(crate) struct Plan<'a> {
    pub(crate) files: &'a [ScanFile],
    pub(crate) segment_size: u64,
    /// Where to start: a place where a record starts, or the start of a file.
    pub(crate) from: u64,
    pub(crate) floor: u64,
    /// Whether the whole-record checksum proves damage at this offset: only where we wrote the record ourselves.
    pub(crate) own: &'a dyn Fn(u64) -> bool,
    /// The next place after the given offset, below the given end, where a record is known to start.
    pub(crate) resume: &'a mut dyn FnMut(u64, u64) -> Result<Option<u64>>,
    /// A good copy of the record that starts at the given offset, if there is one elsewhere.
    pub(crate) copy: &'a dyn Fn(u64) -> Option<Vec<u8>>,
}

/// What the scan found.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Where the log ends.
    pub(crate) end: u64,
    pub(crate) records: u64,
    pub(crate) faults: Vec<Fault>,
    /// How many of the faults do not even tell which queue they belong to.
    pub(crate) untold: u64,
}

/// Whether a record that the scan hands out is what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Soundness {
    /// As far as its checksums can say.
    Sound,
    /// Its checksums do not hold. But it names its own place, and another record starts where it says that it ends; or a copy
    /// elsewhere is good.
    Damaged,
}

/// Scans the log, handing every good record to `on_record` in physical order, and of the damaged ones those whose head can
/// still be made out.
///
/// A read error is an error, never the end of the log.
pub(crate) fn scan(
    plan: &mut Plan<'_>,
    on_record: &mut dyn FnMut(&RecordView<'_>, Soundness) -> Result<()>,
) -> Result<Scanned> {
    let mut found = Scanned { end: plan.from, ..Scanned::default() };
    let mut window = Window::default();
    let files = plan.files;
    for file in files {
        let file_end = file.base + plan.segment_size;
        if file_end <= plan.from {
            continue;
        }
        let mut at = file.base.max(plan.from);
        if at != found.end && found.end > plan.from {
            // A gap between files: the caller's listing promises that there is none.
            return Err(Error::corrupt(
                &file.path,
                0,
                "a commit log file is missing before this one",
            ));
        }
        loop {
            match step(plan, file, &mut window, at, on_record)? {
                Step::Record(len) => {
                    found.records += 1;
                    at += len;
                }
                Step::FileEnd => {
                    at = file_end;
                    break;
                }
                Step::Bad(what) => {
                    if at >= plan.floor {
                        found.end = at;
                        return Ok(found);
                    }
                    found.faults.push(Fault {
                        path: file.path.clone(),
                        at: at - file.base,
                        log_offset: at,
                        what: what.to_owned(),
                    });
                    let claimed = match claimed_end(plan, file, &mut window, at, on_record)? {
                        Some(end) => Some(end),
                        None => copied_end(plan, at, on_record)?,
                    };
                    found.untold += u64::from(claimed.is_none());
                    let mut known = (plan.resume)(at, file_end)?.filter(|next| *next > at);
                    // A start inside the record counts only if one is there: a queue's unit may be wrong.
                    if let (Some(start), Some(end)) = (known, claimed)
                        && start < end
                        && !followed(plan, file, &mut window, start)?
                    {
                        known = None;
                    }
                    let floor_here = (plan.floor < file_end).then_some(plan.floor);
                    let next = [claimed, known, floor_here]
                        .into_iter()
                        .flatten()
                        .min()
                        .unwrap_or(file_end);
                    if next >= file_end {
                        at = file_end;
                        break;
                    }
                    at = next;
                }
            }
        }
        found.end = at;
    }
    Ok(found)
}

enum Step {
    Record(u64),
    FileEnd,
    Bad(&'static str),
}

fn step(
    plan: &Plan<'_>,
    file: &ScanFile,
    window: &mut Window,
    at: u64,
    on_record: &mut dyn FnMut(&RecordView<'_>, Soundness) -> Result<()>,
) -> Result<Step> {
    let left = file.base + plan.segment_size - at;
    if left < BLANK_LEN as u64 {
        return Ok(Step::Bad("the file ends without an end mark"));
    }
    // The checksum of the whole record covers the body.
    let checks = if (plan.own)(at) {
        Checks { body_crc: false, record_crc: RecordCrc::Require }
    } else {
        Checks { body_crc: true, record_crc: RecordCrc::Ignore }
    };
    let mut want = WINDOW.min(usize::try_from(left).unwrap_or(WINDOW));
    loop {
        let bytes = window.get(plan, file, at, want)?;
        return Ok(match format::decode(bytes, checks) {
            Decoded::Record(record) => {
                if record.physical_offset != at {
                    Step::Bad("the record names another place than its own")
                } else if record.store_timestamp <= 0 {
                    Step::Bad("the record has no store time")
                } else {
                    on_record(&record, Soundness::Sound)?;
                    Step::Record(u64::from(record.size))
                }
            }
            Decoded::Blank { len } if u64::from(len) == left => Step::FileEnd,
            Decoded::Blank { .. } => Step::Bad("the end mark has a wrong length"),
            Decoded::Empty => Step::Bad("nothing is written here"),
            Decoded::Bad(what) => Step::Bad(what),
            Decoded::Incomplete { needed } => {
                let more = needed.max(want + 1);
                if more as u64 > left || more > MAX_RECORD {
                    Step::Bad("the record is longer than its file")
                } else {
                    want = more;
                    continue;
                }
            }
        });
    }
}

/// The end of the damaged record at `at`, if its head can be believed: it names its own place, and where it says that it
/// ends the next record (or the end of what is durable) is. Such a record is handed out.
fn claimed_end(
    plan: &Plan<'_>,
    file: &ScanFile,
    window: &mut Window,
    at: u64,
    on_record: &mut dyn FnMut(&RecordView<'_>, Soundness) -> Result<()>,
) -> Result<Option<u64>> {
    let file_end = file.base + plan.segment_size;
    let left = usize::try_from(file_end - at).unwrap_or(usize::MAX);
    let Decoded::Record(record) =
        format::decode(window.get(plan, file, at, MAX_RECORD.min(left))?, Checks::NONE)
    else {
        return Ok(None);
    };
    let (size, end) = (record.size as usize, at + u64::from(record.size));
    if record.physical_offset != at || end + BLANK_LEN as u64 > file_end || end > plan.floor {
        return Ok(None);
    }
    if end < plan.floor && !followed(plan, file, window, end)? {
        return Ok(None);
    }
    if let Decoded::Record(record) = format::decode(window.get(plan, file, at, size)?, Checks::NONE)
    {
        on_record(&record, Soundness::Damaged)?;
    }
    Ok(Some(end))
}

/// As [`claimed_end`], where the head cannot be read, but a copy of the record tells.
fn copied_end(
    plan: &Plan<'_>,
    at: u64,
    on_record: &mut dyn FnMut(&RecordView<'_>, Soundness) -> Result<()>,
) -> Result<Option<u64>> {
    let Some(copy) = (plan.copy)(at) else { return Ok(None) };
    let Decoded::Record(record) = format::decode(&copy, Checks::NONE) else { return Ok(None) };
    on_record(&record, Soundness::Damaged)?;
    Ok(Some(at + u64::from(record.size)))
}

/// Whether there is a record at `at`, sound or not, or the mark that ends the file.
fn followed(plan: &Plan<'_>, file: &ScanFile, window: &mut Window, at: u64) -> Result<bool> {
    let left = file.base + plan.segment_size - at;
    let len = MAX_RECORD.min(usize::try_from(left).unwrap_or(MAX_RECORD));
    Ok(match format::decode(window.get(plan, file, at, len)?, Checks::NONE) {
        Decoded::Record(record) => record.physical_offset == at,
        Decoded::Blank { len } => u64::from(len) == left,
        _ => false,
    })
}

/// The bytes last read from a file.
#[derive(Debug, Default)]
struct Window {
    at: u64,
    bytes: Vec<u8>,
    /// The file that the disk is asked to read ahead in, and how far.
    asked: (u64, u64),
}

impl Window {
    /// Has the disk read on while what is there is checked.
    fn ask_ahead(&mut self, file: &ScanFile, at: u64) {
        let asked = if self.asked.0 == file.base { self.asked.1 } else { 0 };
        if at + AHEAD / 2 >= asked {
            let from = asked.max(at);
            file.file.read_ahead(from, AHEAD);
            self.asked = (file.base, from + AHEAD);
        }
    }

    /// At least `min(want, up to the end of the file)` bytes from log offset `at`.
    fn get(&mut self, plan: &Plan<'_>, file: &ScanFile, at: u64, want: usize) -> Result<&[u8]> {
        let file_end = file.base + plan.segment_size;
        let skip = at.checked_sub(self.at).and_then(|s| usize::try_from(s).ok());
        let have = skip.and_then(|s| self.bytes.len().checked_sub(s)).unwrap_or(0);
        // A small rest of the window is as good as none: most records fit into what is left of a large one.
        let enough = want.min(WINDOW / 8);
        let at_file_end = self.at + self.bytes.len() as u64 == file_end;
        let reuse = have > 0
            && self.at >= file.base
            && (have >= want || (have >= enough && want == WINDOW) || at_file_end);
        if !reuse {
            let len = want.max(WINDOW).min(usize::try_from(file_end - at).unwrap_or(want));
            self.bytes.resize(len, 0);
            self.at = at;
            self.ask_ahead(file, at - file.base);
            file.file.read_at(at - file.base, &mut self.bytes).map_err(|e| {
                Error::io(e, &file.path, "read the commit log").at_offset(at - file.base)
            })?;
        }
        let skip = usize::try_from(at - self.at).unwrap_or(usize::MAX);
        Ok(self.bytes.get(skip..).unwrap_or_default())
    }
}
