//! The contract of [`Storage`] and [`StoreFile`], kept by each implementation.

use std::io::ErrorKind;
use std::path::Path;

use super::disk::Disk;
use super::memory::Memory;
use super::sim::SimDisk;
use super::*;

/// Runs a test on each kind of storage, in an existing, empty folder.
fn each(test: fn(&dyn Storage, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    test(&Disk, folder.path());
    let storages: [&dyn Storage; 2] = [&Memory::new(None), &SimDisk::new(1)];
    for storage in storages {
        let root = Path::new("/a/store");
        storage.create_dir_all(root).unwrap();
        test(storage, root);
    }
}

fn create(storage: &dyn Storage, path: &Path, content: &[u8]) -> Arc<dyn StoreFile> {
    let file = storage.open(path, OpenMode::CreateNew).unwrap();
    file.write_at(0, content).unwrap();
    file
}

fn content(file: &dyn StoreFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn content_at(storage: &dyn Storage, path: &Path) -> Vec<u8> {
    content(&*storage.open(path, OpenMode::Read).unwrap())
}

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

fn listed(storage: &dyn Storage, dir: &Path) -> Vec<Entry> {
    let mut entries = storage.list(dir).unwrap();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}

#[test]
fn a_new_file_refuses_a_taken_name() {
    each(|storage, root| {
        create(storage, &root.join("file"), b"old");
        let again = storage.open(&root.join("file"), OpenMode::CreateNew);
        assert_eq!(kind(again), ErrorKind::AlreadyExists);
        assert_eq!(content_at(storage, &root.join("file")), b"old");
    });
}

#[test]
fn what_is_missing_is_not_found() {
    each(|storage, root| {
        let missing = root.join("missing");
        assert_eq!(kind(storage.open(&missing, OpenMode::Read)), ErrorKind::NotFound);
        assert_eq!(kind(storage.open(&missing, OpenMode::Write)), ErrorKind::NotFound);
        let inside = missing.join("file");
        assert_eq!(kind(storage.open(&inside, OpenMode::CreateNew)), ErrorKind::NotFound);
        assert_eq!(kind(storage.list(&missing)), ErrorKind::NotFound);
        assert_eq!(kind(storage.remove_file(&missing)), ErrorKind::NotFound);
        assert_eq!(kind(storage.remove_dir(&missing)), ErrorKind::NotFound);
        assert_eq!(kind(storage.rename(&missing, &root.join("to"))), ErrorKind::NotFound);
        assert_eq!(kind(storage.sync_dir(&missing)), ErrorKind::NotFound);
        assert_eq!(listed(storage, root), []);
    });
}

#[test]
fn a_folder_is_not_opened_as_a_file() {
    each(|storage, root| {
        assert_eq!(kind(storage.open(root, OpenMode::Read)), ErrorKind::InvalidInput);
        assert_eq!(kind(storage.open(root, OpenMode::Write)), ErrorKind::InvalidInput);
        assert_eq!(kind(storage.lock(root)), ErrorKind::InvalidInput);
    });
}

#[test]
fn growing_reads_as_zero_and_shrinking_cuts() {
    each(|storage, root| {
        let file = create(storage, &root.join("file"), b"0123456789");
        file.set_len(4).unwrap();
        assert_eq!(content(&*file), b"0123");
        file.set_len(8).unwrap();
        assert_eq!(content(&*file), b"0123\0\0\0\0");
        file.set_len(1 << 32).unwrap();
        let mut byte = [1];
        file.read_at((1 << 32) - 1, &mut byte).unwrap();
        assert_eq!(byte, [0]);
        file.set_len(2).unwrap();
        assert_eq!(content(&*file), b"01");
    });
}

#[test]
fn reading_past_the_end_fails_and_writing_there_grows() {
    each(|storage, root| {
        let file = create(storage, &root.join("file"), b"abc");
        assert_eq!(kind(file.read_at(1, &mut [0; 3])), ErrorKind::UnexpectedEof);
        assert_eq!(kind(file.read_at(1 << 40, &mut [0])), ErrorKind::UnexpectedEof);
        file.write_at(9000, b"xyz").unwrap();
        assert_eq!(file.len().unwrap(), 9003);
        let all = content(&*file);
        assert_eq!((&all[..4], &all[8999..]), (&b"abc\0"[..], &b"\0xyz"[..]));
    });
}

#[test]
fn mappings_and_the_file_show_the_same_bytes() {
    each(|storage, root| {
        let file = storage.open(&root.join("file"), OpenMode::CreateNew).unwrap();
        file.set_len(16_384).unwrap();
        file.allocate(0, 16_384).unwrap();
        let all = file.map(0, 16_384, MapAccess::Write).unwrap();
        let part = file.map(4096, 8000, MapAccess::Read).unwrap();
        let mut bytes = [0; 5];

        file.write_at(4100, b"first").unwrap();
        assert_eq!(all.slice(4100..4105), Some(&b"first"[..]));
        assert_eq!(part.slice(4..9), Some(&b"first"[..]));

        assert!(all.write(8192, b"other"));
        file.read_at(8192, &mut bytes).unwrap();
        assert_eq!(&bytes, b"other");
        assert!(part.read(4096, &mut bytes));
        assert_eq!(&bytes, b"other");

        assert!(all.store_u64(4096 + 64, 77));
        assert_eq!(part.load_u64(64), Some(77));
        assert!(!part.write(0, b"x") && !part.store_u64(0, 1));
        let again = storage.open(&root.join("file"), OpenMode::Read).unwrap();
        again.read_at(8192, &mut bytes).unwrap();
        assert_eq!(&bytes, b"other");
    });
}

#[test]
fn a_mapping_lies_within_its_file() {
    each(|storage, root| {
        let file = create(storage, &root.join("file"), &[1; 8192]);
        for (offset, len) in [(0, 8193), (4096, 4097), (8192, 1), (1, 10), (0, 0)] {
            assert_eq!(kind(file.map(offset, len, MapAccess::Read)), ErrorKind::InvalidInput);
        }
        assert_eq!(kind(file.map(u64::MAX - 4095, 4096, MapAccess::Read)), ErrorKind::InvalidInput);
        assert_eq!(file.map(4096, 4096, MapAccess::Write).unwrap().len(), 4096);
    });
}

#[test]
fn what_is_removed_stays_readable_through_handles_and_mappings() {
    each(|storage, root| {
        let path = root.join("file");
        let file = create(storage, &path, &[7; 5000]);
        let map = file.map(0, 5000, MapAccess::Read).unwrap();
        storage.remove_file(&path).unwrap();
        assert_eq!(content(&*file), [7; 5000]);
        create(storage, &path, &[8; 5000]);
        drop(file);
        assert_eq!(map.slice(0..5000), Some(&[7; 5000][..]));
        assert_eq!(content_at(storage, &path), [8; 5000]);
    });
}

#[test]
fn a_file_opened_for_reading_is_not_written() {
    each(|storage, root| {
        create(storage, &root.join("file"), &[3; 4096]);
        let file = storage.open(&root.join("file"), OpenMode::Read).unwrap();
        assert!(file.write_at(0, b"x").is_err());
        assert!(file.set_len(1).is_err());
        assert!(file.allocate(0, 1).is_err());
        assert!(file.map(0, 4096, MapAccess::Write).is_err());
        file.sync().unwrap();
        assert_eq!(content(&*file), [3; 4096]);
    });
}

#[test]
fn allocation_keeps_length_and_content() {
    each(|storage, root| {
        let file = create(storage, &root.join("file"), b"content");
        file.allocate(3, 100_000).unwrap();
        file.allocate(0, 0).unwrap();
        assert_eq!(content(&*file), b"content");
        assert!(file.allocate(u64::MAX, 2).is_err());
    });
}

#[test]
fn a_rename_replaces_and_the_replaced_stays_readable() {
    each(|storage, root| {
        storage.create_dir_all(&root.join("dir")).unwrap();
        let (from, to) = (root.join("new"), root.join("dir/name"));
        let old = create(storage, &to, b"old");
        create(storage, &from, b"new");
        storage.rename(&from, &to).unwrap();
        assert_eq!(content_at(storage, &to), b"new");
        assert_eq!(content(&*old), b"old");
        assert_eq!(kind(storage.open(&from, OpenMode::Read)), ErrorKind::NotFound);
        storage.rename(&to, &to).unwrap();
        assert_eq!(content_at(storage, &to), b"new");
        create(storage, &from, b"third");
        assert!(storage.rename(&from, &root.join("dir")).is_err());
        assert_eq!(content_at(storage, &from), b"third");
    });
}

#[test]
fn a_renamed_folder_takes_its_files_along() {
    each(|storage, root| {
        storage.create_dir_all(&root.join("a/b")).unwrap();
        storage.create_dir_all(&root.join("full/x")).unwrap();
        create(storage, &root.join("a/b/file"), b"deep");
        assert!(storage.rename(&root.join("a"), &root.join("full")).is_err());
        assert!(storage.rename(&root.join("a"), &root.join("a/b/c")).is_err());
        storage.rename(&root.join("a"), &root.join("z")).unwrap();
        assert_eq!(content_at(storage, &root.join("z/b/file")), b"deep");
        assert_eq!(kind(storage.list(&root.join("a"))), ErrorKind::NotFound);
    });
}

#[test]
fn only_an_empty_folder_is_removed() {
    each(|storage, root| {
        let dir = root.join("dir");
        storage.create_dir_all(&dir).unwrap();
        create(storage, &dir.join("file"), b"");
        assert_eq!(kind(storage.remove_dir(&dir)), ErrorKind::DirectoryNotEmpty);
        assert!(storage.remove_file(&dir).is_err());
        assert!(storage.remove_dir(&dir.join("file")).is_err());
        storage.remove_file(&dir.join("file")).unwrap();
        storage.remove_dir(&dir).unwrap();
        assert_eq!(listed(storage, root), []);
    });
}

#[test]
fn a_listing_tells_files_from_folders_and_ends_at_the_folder() {
    each(|storage, root| {
        storage.create_dir_all(&root.join("dir/deeper")).unwrap();
        create(storage, &root.join("dir/other"), b"12");
        create(storage, &root.join("dir.file"), b"12345");
        let entry = |name: &str, kind, len| Entry { name: name.to_owned(), kind, len };
        assert_eq!(
            listed(storage, root),
            [entry("dir", EntryKind::Dir, 0), entry("dir.file", EntryKind::File, 5)]
        );
        assert_eq!(kind(storage.list(&root.join("dir.file"))), ErrorKind::NotADirectory);
    });
}

#[test]
fn creating_folders_twice_is_fine_and_a_file_is_in_the_way() {
    each(|storage, root| {
        storage.create_dir_all(&root.join("a/b/c")).unwrap();
        storage.create_dir_all(&root.join("a/b/c")).unwrap();
        storage.create_dir_all(root).unwrap();
        create(storage, &root.join("a/file"), b"");
        assert_eq!(kind(storage.create_dir_all(&root.join("a/file"))), ErrorKind::NotADirectory);
        assert_eq!(kind(storage.create_dir_all(&root.join("a/file/b"))), ErrorKind::NotADirectory);
        let file = root.join("a/file/b");
        assert_eq!(kind(storage.open(&file, OpenMode::CreateNew)), ErrorKind::NotADirectory);
    });
}

#[test]
fn the_lock_keeps_out_a_second_opener_until_it_is_dropped() {
    each(|storage, root| {
        let path = root.join("lock");
        assert!(!storage.is_locked(&path).unwrap());
        let guard = storage.lock(&path).unwrap();
        assert_eq!(kind(storage.lock(&path)), ErrorKind::WouldBlock);
        assert!(storage.is_locked(&path).unwrap());
        assert_eq!(kind(storage.lock(&path)), ErrorKind::WouldBlock);
        // Any other use of the file loses nothing.
        drop(storage.open(&path, OpenMode::Write).unwrap());
        assert!(storage.is_locked(&path).unwrap());
        drop(guard);
        assert!(!storage.is_locked(&path).unwrap());
        drop(storage.lock(&path).unwrap());
    });
}

#[test]
fn what_was_synced_is_there_after_the_cache_is_dropped() {
    each(|storage, root| {
        let file = create(storage, &root.join("file"), &vec![5; 100_001]);
        storage.sync_dir(root).unwrap();
        storage.sync_all(root).unwrap();
        file.write_at(50_000, &[6; 1000]).unwrap();
        assert_eq!(file.evict().unwrap(), Eviction::Gone);
        let mut expected = vec![5; 100_001];
        expected[50_000..51_000].fill(6);
        assert_eq!(content(&*file), expected);
    });
}

#[test]
fn a_direct_read_gives_what_a_read_gives() {
    each(|storage, root| {
        let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| n.to_be_bytes()[3] ^ 0x5a).collect();
        let file = create(storage, &root.join("file"), &bytes);
        let len = bytes.len();
        let ranges = [0..len, 0..1, 4095..4097, 5..2_000_000, len - 1..len, 1 << 20..(1 << 20) + 3];
        for range in ranges {
            let mut got = vec![0; range.len()];
            match file.read_direct(range.start as u64, &mut got) {
                Ok(()) => assert_eq!(got, bytes[range]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported),
            }
        }
        let past = kind(file.read_direct(len as u64 - 2, &mut [0; 3]));
        assert!(matches!(past, ErrorKind::UnexpectedEof | ErrorKind::Unsupported));
        let far = kind(file.read_direct(1 << 30, &mut [0; 3]));
        assert!(matches!(far, ErrorKind::UnexpectedEof | ErrorKind::Unsupported));
    });
}

#[test]
fn a_memory_budget_refuses_what_is_over_it_and_gets_back_what_is_removed() {
    let storage = Memory::new(Some(10 * 4096));
    let open = |name: &str| storage.open(Path::new(name), OpenMode::CreateNew).unwrap();
    let file = open("a");
    file.set_len(1 << 30).unwrap();
    file.allocate(0, 8 * 4096).unwrap();
    // Allocated already.
    file.allocate(4096, 4096).unwrap();
    assert_eq!(kind(file.allocate(0, 11 * 4096)), ErrorKind::StorageFull);
    let other = open("b");
    other.write_at(0, &[1; 2 * 4096]).unwrap();
    assert_eq!(kind(other.write_at(2 * 4096, &[1])), ErrorKind::StorageFull);
    other.write_at(10, &[2; 100]).unwrap();
    storage.remove_file(Path::new("a")).unwrap();
    assert_eq!(kind(other.allocate(0, 10 * 4096)), ErrorKind::StorageFull);
    drop(file);
    other.allocate(0, 10 * 4096).unwrap();
    other.set_len(4096).unwrap();
    open("c").allocate(0, 9 * 4096).unwrap();
}
