//! How a configuration file gets from and to the disk.

use std::path::Path;

use super::storage::Recorder;
use crate::config::{Loaded, load, save};
use crate::error::{ErrorKind, Result};

const MAIN: &str = "c/x.json";
const BACKUP: &str = "c/x.json.bak";
const NEW: &[u8] = b"{\"new\":1}";
const OLD: &[u8] = b"{\"old\":1}";

fn loaded(disk: &Recorder) -> Result<Option<Loaded>> {
    load(disk, Path::new("c"), "x.json")
}

fn saved(disk: &Recorder, text: &[u8]) -> Result<()> {
    save(disk, Path::new("c"), "x.json", text)
}

#[test]
fn a_missing_file_without_backup_is_none() {
    let disk = Recorder::default();
    assert!(loaded(&disk).unwrap().is_none());
    disk.put(MAIN, b"");
    assert!(loaded(&disk).unwrap().is_none());
    disk.put(BACKUP, b"");
    assert!(loaded(&disk).unwrap().is_none());
}

#[test]
fn a_good_file_wins_over_its_backup() {
    let disk = Recorder::default();
    disk.put(MAIN, NEW);
    disk.put(BACKUP, b"{damaged");
    let found = loaded(&disk).unwrap().unwrap();
    assert_eq!((found.text.as_slice(), found.from_backup), (NEW, false));
    assert_eq!(found.value.get("new").unwrap().as_i64(), Some(1));
}

#[test]
fn a_missing_empty_or_damaged_file_gives_way_to_its_backup() {
    for main in [None, Some(&b""[..]), Some(b"{\"new\":"), Some(&[0; 64]), Some(b"[]")] {
        let disk = Recorder::default();
        disk.put(BACKUP, OLD);
        if let Some(main) = main {
            disk.put(MAIN, main);
        }
        let found = loaded(&disk).unwrap().unwrap();
        assert_eq!((found.text.as_slice(), found.from_backup), (OLD, true), "{main:?}");
    }
}

#[test]
fn damage_is_never_taken_for_absence() {
    for backup in [None, Some(&b""[..]), Some(b"}")] {
        let disk = Recorder::default();
        disk.put(MAIN, b"{\"a\":?}");
        if let Some(backup) = backup {
            disk.put(BACKUP, backup);
        }
        let error = loaded(&disk).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!((error.path(), error.offset()), (Some(Path::new(MAIN)), Some(5)));
    }
    let disk = Recorder::default();
    disk.put(BACKUP, b"{");
    let error = loaded(&disk).unwrap_err();
    assert_eq!((error.path(), error.offset()), (Some(Path::new(BACKUP)), Some(1)));
}

#[test]
fn a_file_is_synced_before_it_takes_the_name_and_the_folder_after() {
    let disk = Recorder::default();
    disk.put(MAIN, OLD);
    disk.put("c/x.json.tmp", b"left over");
    saved(&disk, NEW).unwrap();
    assert_eq!(disk.content(MAIN).unwrap(), NEW);
    assert_eq!(disk.content("c/x.json.tmp"), None);
    let [temporary, folder] = ["x.json.tmp", "c"];
    let expected = [
        ("remove", temporary),
        ("create", temporary),
        ("write", temporary),
        ("sync", temporary),
        ("rename", temporary),
        ("sync", folder),
    ];
    assert_eq!(disk.take_calls(), expected.map(|(verb, name)| format!("{verb} {name}")));
}

#[test]
fn an_unchanged_file_is_made_durable_but_not_written() {
    let disk = Recorder::default();
    disk.put(MAIN, NEW);
    saved(&disk, NEW).unwrap();
    assert_eq!(disk.take_calls(), ["sync x.json", "sync c"]);
}

#[test]
fn a_save_that_fails_anywhere_leaves_the_old_or_the_new_file() {
    let mut failures = 0;
    for call in 0.. {
        let disk = Recorder::default();
        disk.put(MAIN, OLD);
        disk.put("c/x.json.tmp", b"left over");
        disk.die_at(Some(call));
        let outcome = saved(&disk, NEW);
        disk.die_at(None);
        let content = loaded(&disk).unwrap().unwrap();
        assert!(!content.from_backup);
        if outcome.is_ok() {
            assert_eq!(content.text, NEW);
            break;
        }
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Full);
        assert!(content.text == OLD || content.text == NEW, "{call}");
        failures += 1;

        saved(&disk, NEW).unwrap();
        assert_eq!(loaded(&disk).unwrap().unwrap().text, NEW);
        assert_eq!(disk.content("c/x.json.tmp"), None);
    }
    assert_eq!(failures, 6);
}
