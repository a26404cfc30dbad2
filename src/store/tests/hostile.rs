//! Numbers in files that no store can have: an error, or as if they were not there.

use crate::consumequeue::format::Unit;
use crate::io::Storage;
use crate::io::sim::SimDisk;
use crate::options::Flush;
use crate::store::report::History;

use super::model::Left;
use super::world::{SEGMENT, World, layout, tiny};

#[test]
fn a_unit_that_points_to_the_end_of_all_numbers_is_no_unit() {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [100; 5]);
    world.store().sync_queues(false).unwrap();
    world.send_all("t", [100; 5]);
    let disk = world.disk.kill_image();
    let path = layout().queue_dir("t", 0).join("00000000000000000000");
    let mut file = disk.read_file(&path).unwrap();
    let unit = Unit { offset: u64::MAX - 1, size: 188, tags_code: 0 };
    file[4 * 20..5 * 20].copy_from_slice(&unit.encode());
    disk.write_file(&path, &file);
    let mut next = world.next(disk);
    next.open_and_check(Left::Kill, "a wild unit");
    assert_eq!(next.history(), History::Crashed);
    assert!(next.report().units_mended > 0);
}

#[test]
fn a_log_file_whose_name_no_offset_has_is_an_error() {
    for name in ["18446744073709551615", "09223372036854775808"] {
        let mut world = World::on(SimDisk::new(1), tiny(Flush::Sync));
        let path = layout().commitlog().join(name);
        world.disk.write_file(&path, &vec![1; usize::try_from(SEGMENT).unwrap()]);
        let error = world.open().unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        world.disk.remove_file(&path).unwrap();
        world.open().unwrap();
        world.check_works(name);
    }
}

#[test]
fn a_queue_file_that_became_far_too_long_is_cut_to_its_size() {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [100; 5]);
    world.store().sync_queues(false).unwrap();
    let disk = world.disk.kill_image();
    let path = layout().queue_dir("t", 0).join("00000000000000000000");
    let mut file = disk.read_file(&path).unwrap();
    let right = file.clone();
    file.extend([9; 5000]);
    disk.write_file(&path, &file);
    let mut next = world.next(disk);
    next.open_and_check(Left::Kill, "too long");
    assert!(next.disk.read_file(&path) == Some(right));
}

#[test]
fn ends_of_queues_that_are_too_many_to_read_are_found_in_the_log() {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [100; 5]);
    world.close().unwrap();
    world.disk.write_file(layout().queue_ends(), &vec![0; (64 << 20) + 1]);
    world.open_and_check(Left::Kill, "too large");
    assert_eq!(world.report().records_scanned, 5);
    world.check_works("too large");
}
