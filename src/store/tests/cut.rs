//! What recovery cuts off the end of the log is kept, exactly as it was.

use crate::io::sim::SimDisk;
use crate::options::{Flush, Options};

use super::model::Left;
use super::world::{SEGMENT, World, files_in, layout, tiny};

fn copies(disk: &SimDisk) -> Vec<Vec<u8>> {
    let paths = files_in(disk, &layout().cut());
    paths.into_iter().map(|(path, _)| disk.read_file(path).unwrap()).collect()
}

/// Puts bytes behind the end of the log, in place.
fn scribble(disk: &SimDisk, log_offset: u64, size: u64, bytes: &[u8]) {
    let path = layout().segment(log_offset / size * size);
    let mut file = disk.read_file(&path).unwrap();
    let at = usize::try_from(log_offset % size).unwrap();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    disk.write_file(path, &file);
}

#[test]
fn what_is_cut_is_kept_byte_for_byte_however_much_it_is() {
    const LARGE_SEGMENT: u64 = 4 << 20;
    let options = Options { segment_size: Some(LARGE_SEGMENT), ..tiny(Flush::default()) };
    let mut world = World::on(SimDisk::new(1), options);
    world.open().unwrap();
    world.send_all("t", [100; 10]);
    world.flush().unwrap();
    let end = world.store().log.staged();
    // Torn places far from each other: at once, across the border of what is read at a time, and near the end of the file.
    let border = end + (1 << 20);
    let torn = [
        (end, vec![7; 3]),
        (border - 5, (1..=10).collect::<Vec<u8>>()),
        (LARGE_SEGMENT - 2000, vec![9; 1500]),
    ];
    let disk = world.disk.kill_image();
    for (at, bytes) in &torn {
        scribble(&disk, *at, LARGE_SEGMENT, bytes);
    }
    let last = LARGE_SEGMENT - 2000 + 1500;
    let expected = disk.read_file(layout().segment(0)).unwrap()
        [usize::try_from(end).unwrap()..usize::try_from(last).unwrap()]
        .to_vec();
    let mut next = world.next(disk);
    next.open_and_check(Left::Kill, "torn");
    assert_eq!(next.report().bytes_cut, last - end);
    assert!(copies(&next.disk) == [expected], "the copy differs");
    let log = next.disk.read_file(layout().segment(0)).unwrap();
    assert!(log[usize::try_from(end).unwrap()..].iter().all(|b| *b == 0), "the tail is zero");
}

#[test]
fn of_what_the_staging_buffer_writes_again_nothing_is_kept_unless_it_differs() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 4]);
    world.commit().unwrap();
    let (committed, first) = (world.store().log.committed(), 0);
    world.send_all("t", [300; 3]);
    assert_eq!(committed % SEGMENT, committed, "one file");

    // The same bytes are in the file already.
    let mut same = world.next(world.disk.kill_image());
    same.open_and_check(Left::Kill, "the same");
    assert_eq!((same.report().bytes_cut, copies(&same.disk).len()), (0, 0));

    // A record above the floor is damaged in the file; the buffer still has it.
    let mut other = world.next(world.disk.kill_image());
    other.disk.flip_bit(layout().segment(first), 60 * 8);
    let torn = other.disk.read_file(layout().segment(first)).unwrap();
    other.open_and_check(Left::Kill, "another");
    assert_eq!(other.report().records_replayed, 7);
    let kept = copies(&other.disk);
    assert_eq!(kept.len(), 1, "{:?}", other.report());
    let written = usize::try_from(committed).unwrap();
    assert!(kept[0][..] == torn[..kept[0].len()] && kept[0].len() <= written);
}

#[test]
fn the_copy_is_durable_before_anything_is_cut() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 10]);
    world.flush().unwrap();
    let end = world.store().log.staged();
    let torn = world.disk.kill_image();
    scribble(&torn, end, SEGMENT, &[7; 700]);
    scribble(&torn, end + 2000, SEGMENT, &[8; 700]);
    for n in 1.. {
        let mut next = world.next(torn.kill_image());
        next.disk.crash_at(n);
        if next.open().is_ok() {
            assert!(n > 40);
            break;
        }
        for seed in 0..6 {
            let disk = next.disk.power_image(seed);
            let log = disk.read_file(layout().segment(0)).unwrap();
            let left = &log[usize::try_from(end).unwrap()..];
            let whole = left[..700] == [7; 700] && left[2000..2700] == [8; 700];
            let kept = copies(&disk).iter().any(|copy| {
                copy.len() == 2700 && copy[..700] == [7; 700] && copy[2000..] == [8; 700]
            });
            assert!(whole || kept, "operation {n}, power cut {seed}");
        }
    }
}
