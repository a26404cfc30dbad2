//! Files that are torn, damaged, missing or of another life.

use super::*;

#[test]
fn a_torn_entry_ends_the_replay() {
    let storage = memory();
    let progress = begin(&storage, 1, sample());
    let cursor = progress.cursor("billing", "orders", 3).unwrap();
    let mut states = vec![progress.snapshot_state()];
    for offset in 0..10 {
        progress.ack(&cursor, 2 * offset..2 * offset + 1).unwrap();
        states.push(progress.snapshot_state());
    }
    let size = u64::try_from(format::ACK).unwrap();
    let intact = read(&storage, "journal.1.1");
    for byte in 0..10 * size {
        let index = usize::try_from(byte).unwrap();
        write(&storage, "journal.1.1", byte, &[!intact[index]]);
        let loaded = found(&storage, 1);
        assert_eq!(loaded.state, states[index / format::ACK], "byte {byte}");
        assert!(loaded.notes.len() == 1, "byte {byte}");
        write(&storage, "journal.1.1", byte, &[intact[index]]);
    }
    // A hole, as an un-synced page leaves it.
    write(&storage, "journal.1.1", 4 * size, &[0; format::ACK]);
    assert_eq!(found(&storage, 1).state, states[4]);
}

#[test]
fn an_entry_of_an_older_generation_is_never_replayed() {
    let storage = memory();
    let old = begin(&storage, 1, sample());
    old.ack(&old.cursor("billing", "orders", 3).unwrap(), 0..50).unwrap();
    let new = begin(&storage, 2, sample());
    write(&storage, "journal.2.1", 0, &read(&storage, "journal.1.1"));
    let loaded = found(&storage, 2);
    assert_eq!(loaded.state, new.snapshot_state());
    assert_eq!(loaded.state, sample());
    assert_eq!(loaded.notes.len(), 1);
}

#[test]
fn a_damaged_snapshot_is_reported_and_the_other_one_leads_to_the_present() {
    for close in [false, true] {
        let storage = memory();
        let progress = turned_over(&storage);
        if close {
            progress.close().unwrap();
        }
        for slot in ["progress.1.a", "progress.1.b"] {
            let intact = read(&storage, slot);
            write(&storage, slot, 40, &[0xff]);
            let loaded = found(&storage, 1);
            let mut state = progress.snapshot_state();
            if close {
                state.let_go();
            }
            assert_eq!(loaded.state, state, "{slot}, close: {close}");
            assert!(loaded.notes.iter().any(|note| note.contains(slot)), "{:?}", loaded.notes);
            put(&storage, slot, &intact);
        }
    }
}

fn load_error(storage: &Arc<dyn Storage>) -> ErrorKind {
    load(&**storage, Path::new(DIR), 1).unwrap_err().kind()
}

#[test]
fn files_without_a_way_to_the_present_are_never_an_empty_state() {
    let path = |name: &str| Path::new(DIR).join(name);
    let storage = memory();
    assert_eq!(found(&storage, 1), Loaded { state: State::default(), notes: vec![] });
    drop(turned_over(&storage));

    // The journal of the newest snapshot (5: slot a) is gone.
    let journal = read(&storage, "journal.1.5");
    storage.remove_file(&path("journal.1.5")).unwrap();
    assert_eq!(load_error(&storage), ErrorKind::Corrupt);
    put(&storage, "journal.1.5", &journal);

    // That snapshot is damaged, and the journal that would lead there from the other one is too.
    let (slot, before) = (read(&storage, "progress.1.a"), read(&storage, "journal.1.4"));
    write(&storage, "progress.1.a", 0, b"x");
    write(&storage, "journal.1.4", 100, &[!before[100]]);
    assert_eq!(load_error(&storage), ErrorKind::Corrupt);
    storage.remove_file(&path("journal.1.4")).unwrap();
    assert_eq!(load_error(&storage), ErrorKind::Corrupt);
    put(&storage, "journal.1.4", &before);
    assert_eq!(found(&storage, 1).notes.len(), 1);

    // Both are damaged; one is and the other is not there; both are gone.
    write(&storage, "progress.1.b", 0, b"x");
    assert_eq!(load_error(&storage), ErrorKind::Corrupt);
    storage.remove_file(&path("progress.1.b")).unwrap();
    assert_eq!(load_error(&storage), ErrorKind::Corrupt);
    storage.remove_file(&path("progress.1.a")).unwrap();
    assert_eq!(load_error(&storage), ErrorKind::Corrupt);
    put(&storage, "progress.1.a", &slot);
    assert_eq!(found(&storage, 1).notes, Vec::<String>::new());
}

#[test]
fn a_snapshot_of_a_newer_version_is_not_called_damaged() {
    let storage = memory();
    drop(begin(&storage, 1, sample()));
    let mut bytes = read(&storage, "progress.1.a");
    bytes[11] = 3;
    let mut covered = bytes[..12].to_vec();
    covered.extend_from_slice(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc32fast::hash(&covered).to_be_bytes());
    put(&storage, "progress.1.a", &bytes);
    assert_eq!(load_error(&storage), ErrorKind::UnsupportedVersion);
}

proptest! {
    #[test]
    fn whatever_the_files_hold_loading_ends_well(
        snapshot in prop::collection::vec(any::<u8>(), 0..300),
        journal in prop::collection::vec(any::<u8>(), 0..300),
        cut in 0..200usize,
    ) {
        let storage = memory();
        drop(begin(&storage, 1, sample()));
        // A valid snapshot whose journal is noise, or a part of itself.
        put(&storage, "journal.1.1", &journal);
        prop_assert_eq!(found(&storage, 1).state, sample());
        let valid = read(&storage, "progress.1.a");
        put(&storage, "progress.1.a", &valid[..cut.min(valid.len() - 1)]);
        prop_assert_eq!(load_error(&storage), ErrorKind::Corrupt);
        put(&storage, "progress.1.a", &snapshot);
        prop_assert_eq!(load_error(&storage), ErrorKind::Corrupt);
    }
}
