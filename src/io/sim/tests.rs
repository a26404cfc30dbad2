//! The simulated disk is as unkind as it says, and no more.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::*;
use crate::io::{Eviction, MapAccess};

const SEEDS: u64 = 200;

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

fn path(name: &str) -> &Path {
    Path::new(name)
}

fn open(disk: &SimDisk, name: &str) -> Arc<dyn StoreFile> {
    disk.open(path(name), OpenMode::Write).unwrap()
}

/// All that the names may lead to after a power cut.
fn outcomes(disk: &SimDisk, names: &[&str]) -> BTreeSet<String> {
    let show = |image: &SimDisk, name: &&str| match image.read_file(name) {
        Some(bytes) => format!("{name}={}", String::from_utf8(bytes).unwrap()),
        None => format!("{name}-"),
    };
    let outcome = |seed| {
        let image = disk.power_image(seed);
        names.iter().map(|name| show(&image, name)).collect::<Vec<_>>().join(" ")
    };
    (0..SEEDS).map(outcome).collect()
}

fn expect(disk: &SimDisk, names: &[&str], expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&one| one.to_owned()).collect();
    assert_eq!(outcomes(disk, names), expected);
}

#[test]
fn each_unsynced_sector_may_be_lost_alone() {
    let disk = SimDisk::new(1);
    disk.write_file("file", &[1; 8192]);
    let file = open(&disk, "file");
    let map = file.map(0, 8192, MapAccess::Write).unwrap();
    assert!(map.write(512, &[2; 1024]));
    let states: BTreeSet<Vec<u8>> =
        (0..SEEDS).map(|seed| disk.power_image(seed).read_file("file").unwrap()).collect();
    let firsts: BTreeSet<(u8, u8)> = states.iter().map(|bytes| (bytes[512], bytes[1024])).collect();
    assert_eq!(firsts, BTreeSet::from([(1, 1), (1, 2), (2, 1), (2, 2)]));
    for bytes in &states {
        assert!(bytes[..512].iter().chain(&bytes[1536..]).all(|&byte| byte == 1));
        assert!(bytes[512..1536].chunks(512).all(|sector| sector.iter().all(|&b| b == sector[0])));
    }
    assert_eq!(disk.kill_image().read_file("file").unwrap()[512], 2);
}

#[test]
fn what_was_synced_is_never_lost() {
    let disk = SimDisk::new(1);
    disk.create_dir_all(path("dir")).unwrap();
    let file = disk.open(path("dir/file"), OpenMode::CreateNew).unwrap();
    file.write_at(0, b"data").unwrap();
    file.sync().unwrap();
    disk.sync_dir(path("dir")).unwrap();
    expect(&disk, &["dir/file"], &["dir/file=data"]);
}

#[test]
fn length_and_content_of_a_new_file_may_be_lost() {
    let disk = SimDisk::new(1);
    let file = disk.open(path("a"), OpenMode::CreateNew).unwrap();
    disk.sync_dir(path("")).unwrap();
    file.write_at(0, b"data").unwrap();
    expect(&disk, &["a"], &["a=", "a=data", "a=\0\0\0\0"]);
}

#[test]
fn unsynced_names_may_be_lost_one_by_one() {
    let disk = SimDisk::new(1);
    disk.write_file("old", b"o");
    for name in ["a", "b"] {
        let file = disk.open(path(name), OpenMode::CreateNew).unwrap();
        file.write_at(0, b"n").unwrap();
        file.sync().unwrap();
    }
    disk.remove_file(path("old")).unwrap();
    let all = outcomes(&disk, &["a", "b", "old"]);
    assert_eq!(all.len(), 8, "{all:?}");
    disk.sync_dir(path("")).unwrap();
    expect(&disk, &["a", "b", "old"], &["a=n b=n old-"]);
}

#[test]
fn a_created_folder_is_sure_to_stay_and_makes_nothing_else_so() {
    let disk = SimDisk::new(1);
    disk.open(path("file"), OpenMode::CreateNew).unwrap();
    disk.create_dir_all(path("dir/sub")).unwrap();
    for seed in 0..SEEDS {
        assert_eq!(disk.power_image(seed).list(path("dir/sub")).unwrap(), []);
    }
    expect(&disk, &["file"], &["file=", "file-"]);
}

#[test]
fn a_replaced_name_leads_to_the_old_or_the_new_file() {
    let disk = SimDisk::new(1);
    disk.write_file("name", b"old");
    disk.write_file("new", b"new");
    disk.rename(path("new"), path("name")).unwrap();
    expect(&disk, &["name", "new"], &["name=old new=new", "name=new new-"]);
    assert_eq!(disk.kill_image().list_all(), [(PathBuf::from("name"), 3)]);
}

#[test]
fn a_file_replaced_by_hand_may_be_gone() {
    let disk = SimDisk::new(1);
    disk.write_file("name", b"old");
    disk.remove_file(path("name")).unwrap();
    let file = disk.open(path("name"), OpenMode::CreateNew).unwrap();
    file.write_at(0, b"new").unwrap();
    file.sync().unwrap();
    expect(&disk, &["name"], &["name=old", "name=new", "name-"]);
}

#[test]
fn a_renamed_file_has_one_of_its_names() {
    let disk = SimDisk::new(1);
    disk.write_file("x/a", b"1");
    disk.create_dir_all(path("y")).unwrap();
    disk.rename(path("x/a"), path("y/b")).unwrap();
    expect(&disk, &["x/a", "y/b"], &["x/a=1 y/b-", "x/a- y/b=1"]);
    disk.sync_dir(path("y")).unwrap();
    expect(&disk, &["x/a", "y/b"], &["x/a- y/b=1"]);
}

#[test]
fn a_chain_of_renames_loses_no_file() {
    let disk = SimDisk::new(1);
    disk.write_file("a", b"1");
    disk.write_file("a.new", b"2");
    disk.rename(path("a"), path("a.old")).unwrap();
    disk.rename(path("a.new"), path("a")).unwrap();
    expect(
        &disk,
        &["a", "a.new", "a.old"],
        &["a=1 a.new=2 a.old-", "a- a.new=2 a.old=1", "a=2 a.new- a.old=1"],
    );
}

#[test]
fn after_a_failed_sync_reads_show_new_bytes_until_the_cache_is_dropped() {
    let disk = SimDisk::new(1);
    disk.write_file("file", b"old bytes");
    let file = open(&disk, "file");
    file.write_at(0, b"new").unwrap();
    disk.fail_at(1, Fault::once(FaultKind::Eio));
    assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(Errno::EIO as i32));
    assert_eq!(disk.read_file("file").unwrap(), b"new bytes");
    // The lie that makes retrying a sync worthless.
    file.sync().unwrap();
    expect(&disk, &["file"], &["file=old bytes"]);
    let mut bytes = [0; 3];
    file.read_direct(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"old");
    assert_eq!(disk.kill_image().read_file("file").unwrap(), b"new bytes");

    let map = file.map(0, 9, MapAccess::Read).unwrap();
    assert_eq!(file.evict().unwrap(), Eviction::Stayed);
    assert_eq!(disk.read_file("file").unwrap(), b"new bytes");
    drop(map);
    assert_eq!(file.evict().unwrap(), Eviction::Gone);
    assert_eq!(disk.read_file("file").unwrap(), b"old bytes");
}

#[test]
fn writing_again_after_a_failed_sync_makes_the_page_dirty_again() {
    let disk = SimDisk::new(1);
    disk.write_file("file", &[b'o'; 8192]);
    let file = open(&disk, "file");
    file.write_at(0, b"new").unwrap();
    file.write_at(5000, b"new").unwrap();
    disk.fail_at(1, Fault::once(FaultKind::Eio));
    file.sync().unwrap_err();
    file.write_at(0, b"new").unwrap();
    file.sync().unwrap();
    file.evict().unwrap();
    let bytes = disk.read_file("file").unwrap();
    assert_eq!((&bytes[..3], &bytes[5000..5003]), (&b"new"[..], &b"ooo"[..]));
}

#[test]
fn a_failed_sync_loses_a_new_length_too() {
    let disk = SimDisk::new(1);
    disk.write_file("file", b"12");
    let file = open(&disk, "file");
    file.write_at(2, b"34").unwrap();
    disk.fail_at(1, Fault::once(FaultKind::Eio));
    disk.sync_all(path("")).unwrap_err();
    file.sync().unwrap();
    expect(&disk, &["file"], &["file=12"]);
    // The length counts as written, so that only new content can bring it along.
    file.write_at(2, b"56").unwrap();
    expect(&disk, &["file"], &["file=12", "file=1256"]);
    disk.fail_at(1, Fault::once(FaultKind::Eio));
    file.evict().unwrap_err();
    file.evict().unwrap();
    assert_eq!(disk.read_file("file").unwrap(), b"12\0\0");
}

#[test]
fn a_shorter_length_may_be_lost_until_it_is_synced() {
    let disk = SimDisk::new(1);
    disk.write_file("file", b"1234");
    let file = open(&disk, "file");
    file.write_at(0, b"5").unwrap();
    disk.fail_at(1, Fault::once(FaultKind::Eio));
    file.sync().unwrap_err();
    file.set_len(2).unwrap();
    expect(&disk, &["file"], &["file=1234", "file=12"]);
    file.sync().unwrap();
    expect(&disk, &["file"], &["file=12"]);
}

#[test]
fn the_nth_operation_fails_and_only_that_unless_it_sticks() {
    let disk = SimDisk::new(1);
    disk.write_file("file", b"abc");
    let file = open(&disk, "file");
    assert_eq!(disk.operations(), 1);
    disk.fail_at(2, Fault::once(FaultKind::Enospc));
    file.write_at(0, b"x").unwrap();
    file.len().unwrap();
    file.map(0, 3, MapAccess::Read).unwrap();
    assert_eq!(kind(file.write_at(1, b"y")), ErrorKind::StorageFull);
    file.write_at(2, b"z").unwrap();
    assert_eq!(disk.read_file("file").unwrap(), b"xbz");

    disk.fail_at(1, Fault::for_good(FaultKind::Emfile));
    for _ in 0..3 {
        let error = disk.open(path("file"), OpenMode::Read).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::EMFILE as i32));
    }
    disk.heal();
    disk.open(path("file"), OpenMode::Read).unwrap();
    assert_eq!(disk.operations(), 8);
}

#[test]
fn a_short_write_leaves_a_beginning_behind() {
    let mut lens = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        disk.write_file("file", b"....");
        disk.fail_at(2, Fault::once(FaultKind::ShortWrite));
        open(&disk, "file").write_at(0, b"1234").unwrap_err();
        let bytes = disk.read_file("file").unwrap();
        let len = bytes.iter().position(|&byte| byte == b'.').unwrap_or(4);
        assert_eq!(&bytes[..len], &b"1234"[..len]);
        assert_eq!(&bytes[len..], &b"...."[len..]);
        lens.insert(len);
    }
    assert_eq!(lens, (0..=4).collect());
}

#[test]
fn a_crash_stops_everything_and_images_show_its_moment() {
    let disk = SimDisk::new(1);
    disk.write_file("file", &[b'.'; 4]);
    let file = open(&disk, "file");
    let map = file.map(0, 4, MapAccess::Write).unwrap();
    let guard = disk.lock(path("lock")).unwrap();
    assert!(map.write(0, b"a"));
    disk.crash_at(2);
    file.write_at(1, b"b").unwrap();
    assert!(!disk.is_crashed());
    file.sync().unwrap_err();
    assert!(disk.is_crashed());
    // A dying thread.
    assert!(map.write(3, b"d"));
    assert!(disk.list(path("")).is_err());
    assert!(file.len().is_err());
    assert!(file.map(0, 4, MapAccess::Read).is_err());
    assert!(disk.is_locked(path("lock")).is_err());
    assert_eq!(disk.operations(), 4);

    let next = disk.kill_image();
    assert_eq!(next.read_file("file").unwrap(), b"ab..");
    assert!(!next.is_crashed());
    assert!(!next.is_locked(path("lock")).unwrap());
    expect(&disk, &["file"], &["file=....", "file=ab.."]);
    // Still dirty: the kill did not save it.
    expect(&next, &["file"], &["file=....", "file=ab.."]);
    drop(guard);
}

#[test]
fn images_are_disks_of_their_own() {
    let disk = SimDisk::new(1);
    disk.write_file("file", b"one");
    let map = open(&disk, "file").map(0, 3, MapAccess::Write).unwrap();
    let (killed, cut) = (disk.kill_image(), disk.power_image(0));
    assert!(map.write(0, b"two"));
    assert_eq!(killed.read_file("file").unwrap(), b"one");
    open(&cut, "file").write_at(0, b"tri").unwrap();
    assert_eq!(map.slice(0..3), Some(&b"two"[..]));
}

#[test]
fn the_same_seed_gives_the_same_image() {
    let build = || {
        let disk = SimDisk::new(9);
        for n in 0..20 {
            let file = disk.open(path(&format!("f{n}")), OpenMode::CreateNew).unwrap();
            file.write_at(0, &[n; 3000]).unwrap();
        }
        disk
    };
    let show = |disk: &SimDisk, seed| {
        let image = disk.power_image(seed);
        let files = image.list_all();
        files.into_iter().map(|(path, _)| (image.read_file(&path), path)).collect::<Vec<_>>()
    };
    let (one, other) = (build(), build());
    for seed in 0..20 {
        assert_eq!(show(&one, seed), show(&other, seed));
    }
    assert_ne!(show(&one, 2), show(&one, 3));
}

#[test]
fn a_full_disk_refuses_new_blocks_and_never_allocated_ones() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(4 * 4096));
    let file = disk.open(path("file"), OpenMode::CreateNew).unwrap();
    file.set_len(1 << 20).unwrap();
    file.allocate(0, 3 * 4096).unwrap();
    assert_eq!(kind(file.allocate(4 * 4096, 2 * 4096)), ErrorKind::StorageFull);
    assert_eq!(kind(file.write_at(4 * 4096 - 1, &[1; 4098])), ErrorKind::StorageFull);
    file.allocate(3 * 4096, 4096).unwrap();
    assert_eq!(disk.used(), 4 * 4096);
    file.write_at(0, &[1; 4 * 4096]).unwrap();
    assert_eq!(disk.kill_image().used(), disk.used());
    assert_eq!(kind(file.write_at(4 * 4096, &[1])), ErrorKind::StorageFull);
    file.set_len(4096).unwrap();
    assert_eq!(disk.used(), 4096);
}

#[test]
fn mapped_writes_into_holes_are_told() {
    let disk = SimDisk::new(1);
    let file = disk.open(path("file"), OpenMode::CreateNew).unwrap();
    file.set_len(16_384).unwrap();
    file.allocate(0, 4096).unwrap();
    let map = file.map(0, 16_384, MapAccess::Write).unwrap();
    assert!(map.write(100, b"fine"));
    assert_eq!(disk.writes_into_holes(), []);
    assert!(map.write(8192, b"deadly"));
    assert_eq!(disk.writes_into_holes(), [(PathBuf::from("file"), 8192)]);
}

#[test]
fn a_flipped_bit_is_on_the_disk() {
    let disk = SimDisk::new(1);
    disk.write_file("file", b"\x01\x01");
    disk.flip_bit("file", 9);
    open(&disk, "file").evict().unwrap();
    assert_eq!(disk.read_file("file").unwrap(), [1, 3]);
    assert_eq!(disk.power_image(1).read_file("file").unwrap(), [1, 3]);
}

#[test]
fn what_the_kernel_wrote_back_by_itself_survives() {
    let disk = SimDisk::new(1);
    disk.write_file("file", &vec![0; 64 * 4096]);
    open(&disk, "file").write_at(0, &vec![1; 64 * 4096]).unwrap();
    disk.write_back(5);
    let images: Vec<Vec<u8>> =
        (0..SEEDS).map(|seed| disk.power_image(seed).read_file("file").unwrap()).collect();
    let survives = |page: usize| images.iter().all(|image| image[page * 4096] == 1);
    let pages: BTreeSet<bool> = (0..64).map(survives).collect();
    assert_eq!(pages, BTreeSet::from([false, true]));
}
