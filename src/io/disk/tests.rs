//! What only real files do.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::io::{Eviction, MapAccess};

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

#[test]
fn links_and_pipes_are_refused_and_listed_as_neither() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), b"content").unwrap();
    fs::create_dir(path("dir")).unwrap();
    symlink(path("file"), path("link")).unwrap();
    symlink(path("dir"), path("dirlink")).unwrap();
    symlink(path("nothing"), path("dangling")).unwrap();
    nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();

    for name in ["link", "dirlink", "dangling", "fifo"] {
        for mode in [OpenMode::Read, OpenMode::Write] {
            let error = Disk.open(&path(name), mode).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name} {mode:?}");
            let what = if name == "fifo" { "a FIFO" } else { "a symbolic link" };
            assert!(error.to_string().starts_with(what), "{name}: {error}");
        }
        assert_eq!(kind(Disk.lock(&path(name))), ErrorKind::InvalidInput);
    }
    assert_eq!(kind(Disk.create_dir_all(&path("dirlink"))), ErrorKind::NotADirectory);
    // A link further up is how people move a store to another disk.
    Disk.create_dir_all(&path("dirlink/sub")).unwrap();
    assert!(!path("nothing").exists());

    let mut kinds: Vec<_> = Disk.list(folder.path()).unwrap();
    kinds.retain(|entry| entry.kind == EntryKind::Other);
    assert_eq!(kinds.len(), 4);
}

#[test]
fn a_name_that_is_not_text_is_listed_as_something_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(OsStr::from_bytes(b"bad\xff")), b"12345").unwrap();
    let entries = Disk.list(folder.path()).unwrap();
    let expected = Entry { name: "bad\u{fffd}".to_owned(), kind: EntryKind::Other, len: 0 };
    assert_eq!(entries, [expected]);
}

#[test]
fn nobody_else_may_read_what_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a/b");
    Disk.create_dir_all(&dir).unwrap();
    Disk.open(&dir.join("file"), OpenMode::CreateNew).unwrap();
    Disk.lock(&dir.join("lock")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.path().join("a")), mode(&dir)), (0o700, 0o700));
    assert_eq!((mode(&dir.join("file")), mode(&dir.join("lock"))), (0o600, 0o600));
}

#[test]
fn allocated_blocks_are_really_there_and_a_grown_file_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let file = Disk.open(&path, OpenMode::CreateNew).unwrap();
    file.set_len(1 << 30).unwrap();
    assert!(fs::metadata(&path).unwrap().blocks() * 512 < 1 << 20);
    file.allocate(0, 1 << 20).unwrap();
    assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 1 << 20);
    assert_eq!(file.len().unwrap(), 1 << 30);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "stands for another program")]
fn either_kind_of_lock_keeps_us_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let other = File::create(&path).unwrap();

    other.try_lock().unwrap();
    assert_eq!(kind(Disk.lock(&path)), ErrorKind::WouldBlock);
    other.unlock().unwrap();
    drop(Disk.lock(&path).unwrap());

    let record = lock::first_byte();
    nix::fcntl::fcntl(&other, nix::fcntl::FcntlArg::F_OFD_SETLK(&record)).unwrap();
    assert_eq!(kind(Disk.lock(&path)), ErrorKind::WouldBlock);
    assert!(Disk.is_locked(&path).unwrap());
    drop(other);
    drop(Disk.lock(&path).unwrap());

    let guard = Disk.lock(&path).unwrap();
    assert!(File::open(&path).unwrap().try_lock_shared().is_err());
    drop(guard);
    File::open(&path).unwrap().try_lock_shared().unwrap();
}

#[test]
fn pages_that_somebody_maps_are_reported_to_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let file = Disk.open(&path, OpenMode::CreateNew).unwrap();
    file.write_at(0, &vec![9; 1 << 20]).unwrap();
    let map = file.map(0, 1 << 20, MapAccess::Read).unwrap();
    assert_eq!(map.slice(4096..4097), Some(&[9][..]));
    assert!(map.resident_pages().unwrap() > 0);

    #[expect(clippy::disallowed_methods, reason = "to ask for the file system")]
    let no_cache = evict::cache_is_content(&File::open(&path).unwrap()).unwrap();
    let expected = if no_cache { Eviction::Gone } else { Eviction::Stayed };
    assert_eq!(file.evict().unwrap(), expected);
    drop(map);
    assert_eq!(file.evict().unwrap(), Eviction::Gone);
    if !no_cache {
        let map = file.map(0, 1 << 20, MapAccess::Read).unwrap();
        assert_eq!(map.resident_pages().unwrap(), 0);
    }
}
