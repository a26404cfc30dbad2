use super::*;
use crate::commitlog::format::{self, Checks, Decoded, Draft, Host};

/// A log that somebody else wrote: no checksum covers the queue offset.
fn foreign() -> Gathered<'static> {
    Gathered::in_memory(0, OwnRanges::default(), &Levels::default())
}

/// One that we wrote.
fn ours() -> Gathered<'static> {
    Gathered::in_memory(0, OwnRanges(vec![(0, u64::MAX)]), &Levels::default())
}

fn take(gathered: &mut Gathered<'_>, topic: &str, log_offset: u64, queue_offset: u64) {
    let draft = Draft {
        topic,
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: Host::LOCALHOST,
        store_host: Host::LOCALHOST,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        properties: b"",
    };
    let mut record = Vec::new();
    format::encode::<crate::Error>(&mut record, &draft, |out| {
        out.extend_from_slice(b"body");
        Ok(())
    })
    .unwrap();
    assert!(format::seal(&mut record, queue_offset, log_offset, 1));
    let Decoded::Record(record) = format::decode(&record, Checks::NONE) else {
        panic!("no record")
    };
    gathered.take(&record, Soundness::Sound).unwrap();
}

/// Puts records with these queue offsets one behind the other, 200 bytes apart, and gives what became of the queue: its first
/// offset, and where the record of each slot is, counted in records.
fn placed(mut gathered: Gathered<'_>, offsets: &[u64]) -> (u64, Vec<Option<u64>>, Vec<String>) {
    for (nth, offset) in (0..).zip(offsets) {
        take(&mut gathered, "t", nth * 200, *offset);
    }
    let queue = &gathered.queues["t"][&0];
    let place = |unit: &Unit| (!unit.is_filler()).then_some(unit.offset / 200);
    (queue.first, queue.units.iter().map(place).collect(), gathered.notes())
}

const FAR: u64 = 1 << 40;

#[test]
fn lost_records_leave_slots_that_read_as_corrupt() {
    let (first, units, notes) = placed(foreign(), &[0, 1, 4, 5]);
    assert_eq!((first, units), (0, vec![Some(0), Some(1), None, None, Some(2), Some(3)]));
    assert_eq!(notes, [""; 0]);
}

#[test]
fn a_gap_that_the_log_accounts_for_is_filled_however_long_it_is() {
    let mut gathered = foreign();
    take(&mut gathered, "t", 0, 0);
    take(&mut gathered, "t", 3_000_000 * 91, 3_000_000);
    assert_eq!(gathered.queues["t"][&0].next(), 3_000_001);
    assert_eq!(gathered.notes(), [""; 0]);
}

#[test]
fn a_record_that_jumps_far_hides_no_later_one() {
    // One that lies is left out, and its slot is lost.
    let (first, units, notes) = placed(foreign(), &[0, 1, FAR, 3, 4]);
    assert_eq!((first, units), (0, vec![Some(0), Some(1), None, Some(3), Some(4)]));
    assert!(notes[0].contains("it is left out") && notes.len() == 1, "{notes:?}");

    // Where the queue goes on from there, it begins there.
    let (first, units, notes) = placed(foreign(), &[0, 1, FAR, FAR + 1, FAR + 2]);
    assert_eq!((first, units), (FAR, vec![Some(2), Some(3), Some(4)]));
    assert!(notes[0].contains("goes on at offset 1099511627776 instead of 2"), "{notes:?}");

    // The last record of all has nobody to confirm it, unless its own checksum does.
    assert_eq!(placed(foreign(), &[0, 1, FAR]).0, 0);
    assert_eq!(placed(ours(), &[0, 1, FAR]).0, FAR);
    assert_eq!(placed(foreign(), &[0, 1, FAR]).2.len(), 1);
}

#[test]
fn a_first_record_that_lies_hides_no_later_one() {
    let (first, units, _) = placed(foreign(), &[FAR, 1, 2, 3]);
    assert_eq!((first, units), (1, vec![Some(1), Some(2), Some(3)]));
}

#[test]
fn offsets_that_were_taken_are_not_given_again() {
    let (first, units, notes) = placed(foreign(), &[0, 1, 2, 0, 1, 2, 3]);
    assert_eq!((first, units), (0, vec![Some(0), Some(1), Some(2), Some(6)]));
    assert!(notes[0].contains("so are 2 later ones") && notes.len() == 1, "{notes:?}");
}

#[test]
fn an_offset_that_no_file_can_hold_is_left_out() {
    let (first, units, notes) = placed(foreign(), &[0, i64::MAX as u64, LARGEST_OFFSET + 1, 1]);
    assert_eq!((first, units), (0, vec![Some(0), Some(3)]));
    assert!(notes[0].starts_with("2 records claim offsets"), "{notes:?}");
    let mut gathered = foreign();
    take(&mut gathered, "t", 0, i64::MAX as u64);
    assert!(gathered.queues.get("t").is_none_or(BTreeMap::is_empty));
}

#[test]
fn hostile_offsets_take_no_more_room_than_the_log_accounts_for() {
    let mut gathered = foreign();
    let mut next = [0_u64; 4];
    for nth in 0..400 {
        let queue = nth % 4;
        next[queue] += 400_000;
        take(&mut gathered, ["a", "b", "c", "d"][queue], nth as u64 * 200, next[queue]);
    }
    let units: usize =
        gathered.queues.values().flat_map(|q| q.values()).map(|q| q.units.len()).sum();
    assert!(units as u64 <= ALLOWANCE + 400 * 200 / FIXED_LEN_V1 as u64, "{units}");
    assert!(gathered.notes().len() <= 8);
}
