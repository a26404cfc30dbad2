//! A whole directory: files of a small store are changed, and it is looked at and opened, by a process that must live.
//!
//! The input is a list of changes, seven bytes each: which file, what to do, where (two bytes), with what (two bytes), and one more.
//! The first byte says which store (closed, or as a killed process leaves it) and whether checksums are made right afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use pocketmq::{Conflict, Queue, Raw, ReadOnly, Topic};

use crate::mend::mend;

/// The longest run of zeros that can be appended, so that a file looks like a larger one.
const PADDING: usize = 64 << 10;

type Files = Vec<(PathBuf, Vec<u8>)>;

/// Changes a store as `data` says, and uses it.
pub fn store(data: &[u8]) {
    let Some((first, changes)) = data.split_first() else { return };
    let mut files = base(usize::from(first & 1)).clone();
    for change in changes.chunks_exact(7).take(16) {
        apply(&mut files, change);
    }
    if first & 2 == 0 {
        files.iter_mut().for_each(|(path, bytes)| mend(path, bytes));
    }
    let dir = tempfile::tempdir_in(memory()).expect("a folder");
    for (path, bytes) in &files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    look(dir.path());
    // Recovery, and what it leaves: whatever it was, a second open has nothing more to recover.
    if let Ok(queue) = options().open(dir.path()) {
        work(&queue);
        if queue.close().is_ok() {
            look(dir.path());
            let queue = options().open(dir.path()).expect("what was closed opens");
            assert!(queue.close().is_ok(), "and closes");
        }
    }
}

/// Disks take time, and nothing here is about them.
fn memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() }
}

fn options() -> pocketmq::Options {
    Queue::options()
        .segment_size(16 << 10)
        .queue_file_size(400)
        .staging_size(64 << 10)
        .on_conflict(Conflict::KeepConfig)
}

fn topic(name: &str) -> Topic<[u8], Raw> {
    Topic::named(name).expect("a name")
}

fn look(dir: &Path) {
    let Ok(look) = ReadOnly::open(dir) else { return };
    let count = look.records().count();
    for topic in look.topics() {
        for queue in topic.queues.iter().take(4) {
            // Of a large gap the beginning is enough.
            let messages = look.messages(&topic.name, queue.id).take(count + 10);
            assert!(messages.flatten().all(|message| message.topic() == topic.name));
        }
    }
    let _offsets = look.group_offsets();
}

fn work(queue: &Queue) {
    for name in ["one", "two"] {
        let Ok(consumer) = queue.consumer(topic(name), "group").pull() else { continue };
        for _ in 0..100 {
            match consumer.recv(Duration::ZERO) {
                Ok(Some(delivery)) => {
                    let _acked = delivery.ack();
                }
                Ok(None) => break,
                Err(_) => {}
            }
        }
        if let Ok(producer) = queue.producer(topic(name))
            && let Ok(receipt) = producer.send(b"after all that")
        {
            let dir = receipt.queue_offset;
            assert!(dir.get() < 1 << 62, "an offset beyond all measure: {dir}");
        }
    }
    let _stats = queue.stats();
}

/// The files of a small store that was closed (0), and of one that is still open (1).
fn base(number: usize) -> &'static Files {
    static BASES: OnceLock<[Files; 2]> = OnceLock::new();
    &BASES.get_or_init(|| {
        let dir = tempfile::tempdir_in(memory()).expect("a folder");
        let queue = options().open(dir.path()).expect("a new store");
        queue.create_topic("one", 1).expect("a topic");
        queue.create_topic("two", 2).expect("a topic");
        for n in 0..60_u8 {
            let producer = queue.producer(topic(["one", "two"][usize::from(n % 2)])).expect("one");
            let body = vec![n; usize::from(n) * 7];
            producer.message(&body).key("k").tag("t").send().expect("sent");
            if n == 40 {
                queue.flush().expect("flushed");
            }
        }
        let consumer = queue.consumer(topic("one"), "group").pull().expect("a consumer");
        for n in 0..20 {
            let delivery = consumer.recv(Duration::ZERO).expect("received").expect("one");
            if n % 3 != 0 {
                delivery.ack().expect("acknowledged");
            }
        }
        drop(consumer);
        let open = read(dir.path());
        queue.close().expect("closed");
        [read(dir.path()), open]
    })[number]
}

fn read(root: &Path) -> Files {
    fn walk(root: &Path, dir: &Path, files: &mut Files) {
        for entry in fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, files);
                continue;
            }
            let mut bytes = fs::read(&path).expect("a file");
            // A journal is mostly room.
            if bytes.len() > PADDING * 2 {
                bytes.truncate(PADDING);
            }
            files.push((path.strip_prefix(root).expect("below").to_path_buf(), bytes));
        }
    }
    let mut files = Vec::new();
    walk(root, root, &mut files);
    files.sort();
    files
}

fn apply(files: &mut Files, change: &[u8]) {
    let &[file, what, a, b, c, d, extra] = change else { return };
    let count = files.len();
    if count == 0 {
        return;
    }
    let index = usize::from(file) % count;
    let other = files[usize::from(extra) % count].1.clone();
    let (path, bytes) = &mut files[index];
    let place = usize::from(u16::from_be_bytes([a, b]));
    // Half of the changes near the beginning, where files say what they are.
    let at = if what & 0x80 == 0 { place } else { place % 256 } % bytes.len().max(1);
    let value = [0, 0, 0, 0, 0, 0, c, d];
    let wide = match extra % 4 {
        0 => value,
        1 => [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, c, d],
        2 => [0xff; 8],
        _ => [c, d, 0, 0, 0, 0, 0, extra],
    };
    match what % 10 {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << (c % 8),
        1 if !bytes.is_empty() => bytes[at] = c,
        2 => {
            let end = (at + 8).min(bytes.len());
            bytes[at..end].copy_from_slice(&wide[..end - at]);
        }
        3 => {
            let end = (at + 4).min(bytes.len());
            bytes[at..end].copy_from_slice(&wide[4..4 + end - at]);
        }
        4 => bytes.truncate(at),
        5 => bytes.resize((bytes.len() + place).min(bytes.len() + PADDING), 0),
        6 => {
            let end = (at + usize::from(c) * 8).min(bytes.len());
            bytes[at..end].fill(d);
        }
        7 => drop(files.remove(index)),
        8 => *bytes = other,
        _ => {
            // Another name: the next file's, in place of it.
            let number = place as u64 * if extra % 2 == 0 { 400 } else { 16 << 10 };
            let name = if what & 0x40 == 0 { format!("{number:020}") } else { format!("x{c}") };
            *path = path.with_file_name(name);
        }
    }
}
