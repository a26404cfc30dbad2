//! Makes the checksums of a store's files right again, so that what else is wrong with them is looked at.

use std::path::Path;

use crc32fast::{Hasher, hash};

/// Mends the content of the file at this path of a store, as far as it is one with checksums.
pub fn mend(path: &Path, bytes: &mut [u8]) {
    let text = path.to_string_lossy();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut parts = name.split('.');
    match (parts.next().unwrap_or_default(), parts.next()) {
        _ if text.contains("commitlog/") => pocketmq::fuzzing::mend_log(bytes),
        ("generation" | "clean" | "takeover" | "queues", None) => {
            let end = bytes.len().saturating_sub(4);
            put_hash(bytes, 0, end, end);
        }
        ("floor", Some(_)) => {
            put_hash(bytes, 0, 32, 32);
            put_hash(bytes, 512, 544, 544);
        }
        ("staging", Some(_)) => put_hash(bytes, 0, 40, 40),
        ("progress", Some(_)) => snapshot(bytes),
        ("journal", Some(generation)) => {
            let number = parts.next().and_then(|n| n.parse().ok());
            if let (Ok(generation), Some(number)) = (generation.parse(), number) {
                journal(bytes, generation, number);
            }
        }
        _ => {}
    }
}

/// The CRC-32 of `from..to`, stored at `at`.
fn put_hash(bytes: &mut [u8], from: usize, to: usize, at: usize) {
    let Some(crc) = bytes.get(from..to).map(hash) else { return };
    put(bytes, at, crc);
}

fn put(bytes: &mut [u8], at: usize, crc: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&crc.to_be_bytes());
    }
}

fn snapshot(bytes: &mut [u8]) {
    let mut crc = Hasher::new();
    crc.update(bytes.get(..12).unwrap_or_default());
    crc.update(bytes.get(16..).unwrap_or_default());
    put(bytes, 12, crc.finalize());
}

fn journal(bytes: &mut [u8], generation: u64, journal: u64) {
    let mut seed = Hasher::new();
    seed.update(&generation.to_be_bytes());
    seed.update(&journal.to_be_bytes());
    let (seed, mut at) = (seed.finalize(), 0);
    for number in 0_u64.. {
        let Some(&[a, b, _, _]) = bytes.get(at + 4..at + 8).and_then(|b| b.first_chunk()) else {
            return;
        };
        let end = at + 8 + usize::from(u16::from_be_bytes([a, b]));
        let Some(body) = bytes.get(at + 4..end) else { return };
        if body.iter().all(|byte| *byte == 0) {
            return;
        }
        let mut crc = Hasher::new_with_initial(seed);
        crc.update(&number.to_be_bytes());
        crc.update(body);
        put(bytes, at, crc.finalize());
        at = end;
    }
}
