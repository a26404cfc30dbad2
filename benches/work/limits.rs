//! What the machine can do at best: loops of bare system calls.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FallocateFlags, fallocate};

use crate::figures::{Sample, latency_buffer, nanos};
use crate::ground::{Ground, evict_file, remove};
use crate::meter::Spent;
use crate::{Result, joined};

/// What a full staging buffer is written in.
const CHUNK: usize = 64 << 10;
/// What a scan reads at once.
const WINDOW: usize = 1 << 20;

/// A new file of so many bytes, its blocks allocated and its size durable.
fn allocated(path: &Path, len: u64) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    file.set_len(len)?;
    fallocate(&file, FallocateFlags::empty(), 0, i64::try_from(len)?)?;
    file.sync_all()?;
    Ok(file)
}

/// Writes `bytes` in chunks. Returns what it took.
fn write_chunks(ground: &Ground, file: &File, bytes: u64) -> Result<Spent> {
    let chunk = vec![0x5A; CHUNK];
    let meter = ground.meter()?;
    let mut at = 0;
    while at < bytes {
        let len = usize::try_from(bytes - at).unwrap_or(CHUNK).min(CHUNK);
        file.write_all_at(chunk.get(..len).unwrap_or_default(), at)?;
        at += len as u64;
    }
    meter.stop()
}

/// `messages` records of `record` bytes, in 64 KiB chunks into allocated space; synced in between, by a thread of its own, if
/// there is an interval.
pub(crate) fn chunks(
    ground: &Ground,
    messages: u64,
    record: u64,
    sync_every: Option<Duration>,
) -> Result<Sample> {
    let (path, bytes) = (ground.path("limit"), messages * record);
    let file = allocated(&path, bytes)?;
    let spent = match sync_every {
        None => write_chunks(ground, &file, bytes)?,
        Some(interval) => beside_syncs(&file, interval, || write_chunks(ground, &file, bytes))?,
    };
    drop(file);
    ground.clear()?;
    Ok(Sample { count: messages, bytes, spent, ..Sample::default() })
}

/// As [`chunks`], but each record is put together by itself: copied into the chunk, with the two checksums that the format has, of the
/// body and of nearly the whole record. What one thread can do at best that writes this format.
pub(crate) fn records(ground: &Ground, messages: u64, body: &[u8], record: u64) -> Result<Sample> {
    /// The record's own checksum does not cover itself.
    const TAIL: usize = 20;
    let (path, bytes) = (ground.path("limit"), messages * record);
    let file = allocated(&path, bytes)?;
    let size = usize::try_from(record)?;
    let mut one = vec![0x5A; size];
    let mut chunk = Vec::with_capacity(CHUNK + one.len());
    let meter = ground.meter()?;
    let mut at = 0;
    for n in 0..messages {
        let Some((head, tail)) = one.split_at_mut_checked(size - TAIL) else { break };
        if let Some(place) = head.get_mut(88..88 + body.len()) {
            place.copy_from_slice(body);
        }
        let body_crc = crc32fast::hash(std::hint::black_box(body));
        if let Some(place) = head.first_chunk_mut::<12>() {
            place[..8].copy_from_slice(&n.to_be_bytes());
            place[8..].copy_from_slice(&body_crc.to_be_bytes());
        }
        let crc = crc32fast::hash(head);
        if let Some(place) = tail.first_chunk_mut::<4>() {
            *place = crc.to_be_bytes();
        }
        chunk.extend_from_slice(&one);
        if chunk.len() >= CHUNK || n + 1 == messages {
            file.write_all_at(&chunk, at)?;
            at += chunk.len() as u64;
            chunk.clear();
        }
    }
    let spent = meter.stop()?;
    drop(file);
    ground.clear()?;
    Ok(Sample { count: messages, bytes, spent, ..Sample::default() })
}

/// Does `work` while another thread syncs the file again and again.
fn beside_syncs<T>(file: &File, interval: Duration, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let (done, over) = channel::<()>();
    thread::scope(|scope| {
        let syncing = scope.spawn(move || -> Result<()> {
            while over.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                file.sync_data()?;
            }
            Ok(())
        });
        let result = work();
        drop(done);
        joined(syncing.join())?;
        result
    })
}

/// Each record in a `pwrite` of its own into allocated space, never synced.
pub(crate) fn each(ground: &Ground, messages: u64, record: u64) -> Result<Sample> {
    let path = ground.path("limit");
    let file = allocated(&path, messages * record)?;
    let data = vec![0x5A; usize::try_from(record)?];
    let meter = ground.meter()?;
    for message in 0..messages {
        file.write_all_at(&data, message * record)?;
    }
    let spent = meter.stop()?;
    drop(file);
    ground.clear()?;
    Ok(Sample { count: messages, bytes: messages * record, spent, ..Sample::default() })
}

/// One `pwrite` of each record into allocated space, and a second thread that is woken after each, syncs the file or does nothing,
/// and wakes the first.
pub(crate) fn there_and_back(
    ground: &Ground,
    messages: u64,
    record: u64,
    synced: bool,
) -> Result<Sample> {
    let path = ground.path("limit");
    let file = allocated(&path, messages * record)?;
    let data = vec![0x5A; usize::try_from(record)?];
    let (there, arrived) = crossbeam_channel::bounded::<()>(1);
    let (back, returned) = crossbeam_channel::bounded::<()>(1);
    let mut latencies = latency_buffer(messages);
    let spent = thread::scope(|scope| -> Result<_> {
        let syncing = synced.then(|| file.try_clone()).transpose()?;
        let second = scope.spawn(move || -> Result<()> {
            for () in arrived {
                syncing.as_ref().map_or(Ok(()), File::sync_data)?;
                back.send(())?;
            }
            Ok(())
        });
        let meter = ground.meter()?;
        for message in 0..messages {
            let before = Instant::now();
            file.write_all_at(&data, message * record)?;
            there.send(())?;
            returned.recv()?;
            latencies.push(nanos(before.elapsed()));
        }
        let spent = meter.stop()?;
        drop(there);
        joined(second.join())?;
        Ok(spent)
    })?;
    drop(file);
    ground.clear()?;
    Ok(Sample { count: messages, bytes: messages * record, spent, latencies, ..Sample::default() })
}

/// `rounds` times: `records` records in one `pwrite` into allocated space, then `fdatasync`. Counts records.
pub(crate) fn synced(ground: &Ground, rounds: u64, records: u64, record: u64) -> Result<Sample> {
    let path = ground.path("limit");
    let len = records * record;
    let file = allocated(&path, rounds * len)?;
    let data = vec![0x5A; usize::try_from(len)?];
    let mut latencies = latency_buffer(rounds);
    let meter = ground.meter()?;
    for round in 0..rounds {
        let before = Instant::now();
        file.write_all_at(&data, round * len)?;
        file.sync_data()?;
        latencies.push(nanos(before.elapsed()));
    }
    let spent = meter.stop()?;
    drop(file);
    ground.clear()?;
    let count = rounds * records;
    Ok(Sample { count, bytes: rounds * len, spent, latencies, ..Sample::default() })
}

/// Syncs a file of `bytes` that was just written, drops its pages and reads it from the disk.
pub(crate) fn sync_and_read(ground: &Ground, messages: u64, bytes: u64) -> Result<Sample> {
    let path = ground.path("limit");
    let file = allocated(&path, bytes)?;
    write_chunks(ground, &file, bytes)?;
    let meter = ground.meter()?;
    evict_file(&file)?;
    read_all(&file)?;
    let spent = meter.stop()?;
    drop(file);
    remove(&path)?;
    Ok(Sample { count: messages, bytes, spent, ..Sample::default() })
}

/// Reads a file of `bytes` that is on the disk and not in memory.
pub(crate) fn cold_read(ground: &Ground, messages: u64, bytes: u64) -> Result<Sample> {
    let path = ground.path("limit");
    let file = allocated(&path, bytes)?;
    write_chunks(ground, &file, bytes)?;
    evict_file(&file)?;
    let meter = ground.meter()?;
    read_all(&file)?;
    let spent = meter.stop()?;
    drop(file);
    remove(&path)?;
    Ok(Sample { count: messages, bytes, spent, ..Sample::default() })
}

fn read_all(file: &File) -> Result<()> {
    let mut window = vec![0; WINDOW];
    let mut at = 0;
    loop {
        match file.read_at(&mut window, at)? {
            0 => return Ok(()),
            read => at += read as u64,
        }
    }
}
