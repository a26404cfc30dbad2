//! Recovery reads what the disk holds. Where it cannot, it says so.

use crate::io::sim::{Fault, FaultKind, SimDisk};
use crate::io::{MapAccess, Mapping, OpenMode, Storage};
use crate::options::Flush;

use super::world::{SEGMENT, World, layout};

/// Three messages are on disk; two more are in the page cache alone, since their sync failed.
fn failed() -> World {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 3]);
    world.flush().unwrap();
    world.send_all("t", [100; 2]);
    world.commit().unwrap();
    world.disk.fail_at(1, Fault::once(FaultKind::Eio));
    world.sync().unwrap_err();
    world
}

/// What the next process finds, without the staging buffer, while somebody maps the log.
fn mapped(world: &World) -> (SimDisk, Mapping) {
    let disk = world.disk.kill_image();
    disk.remove_file(&layout().staging(1)).unwrap();
    let file = disk.open(&layout().segment(0), OpenMode::Read).unwrap();
    let len = usize::try_from(SEGMENT).unwrap();
    let map = file.map(0, len, MapAccess::Read).unwrap();
    (disk, map)
}

fn count(world: &World) -> u64 {
    world.store().topic("t").unwrap().queue(0).unwrap().extent().next
}

#[test]
fn after_a_failed_sync_only_what_the_disk_holds_is_vouched_for() {
    let world = failed();
    let (disk, _map) = mapped(&world);
    let mut next = world.next(disk);
    next.open().unwrap();
    assert_eq!(count(&next), 3);
    let notes = next.report().notes.join("; ");
    assert!(notes.contains("was mapped by another process and was copied"), "{notes}");
    assert!(!notes.contains("could not be dropped"), "{notes}");
}

#[test]
fn where_only_the_page_cache_can_be_read_the_report_says_so() {
    let world = failed();
    let (disk, map) = mapped(&world);
    disk.forbid_direct_reads();
    let mut next = world.next(disk);
    next.open().unwrap();
    assert_eq!(count(&next), 5);
    let notes = next.report().notes.join("; ");
    assert!(
        notes.contains("cached pages of /store/commitlog/00000000000000000000 could not"),
        "{notes}"
    );
    assert!(next.disk.read_file(layout().own().join("copied-log-file")).is_none());

    // Without anybody who maps it there is nothing to say.
    drop(map);
    let mut again = world.next(next.disk.kill_image());
    again.disk.forbid_direct_reads();
    again.open().unwrap();
    assert!(!again.report().notes.iter().any(|n| n.contains("could not be dropped")));
}
