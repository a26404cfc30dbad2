//! Recovery that is cut short, and what comes after it: another kill, a power cut, another recovery.

use std::path::PathBuf;

use crate::io::sim::{Fault, FaultKind, SimDisk};
use crate::options::Flush;

use super::model::Left;
use super::world::{World, files_in, layout};

fn contents(disk: &SimDisk) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let paths = files_in(disk, &layout().consumequeue());
    paths.into_iter().map(|(path, _)| (path.clone(), disk.read_file(path))).collect()
}

fn assert_queues_are_durable(world: &World, context: &str) {
    let now = contents(&world.disk);
    assert!(!now.is_empty(), "{context}");
    for seed in 0..20 {
        let left = contents(&world.disk.power_image(seed));
        assert!(left == now, "{context}, power cut {seed}: other queue files");
    }
}

#[test]
fn units_that_recovery_found_in_the_cache_are_on_disk_afterwards() {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [100; 25]);
    world.send_all("u", [100; 3]);
    // Written, and not synced: neither the units nor the names of their files.
    world.chores();
    assert_queues_are_durable(&world.after_kill(), "after a kill");
}

#[test]
fn units_that_a_failed_sync_left_in_the_cache_alone_are_written_again() {
    let mut failed = 0;
    for n in 1.. {
        let mut world = World::new(Flush::Sync);
        world.send_all("t", [100; 25]);
        world.chores();
        world.disk.fail_at(n, Fault::once(FaultKind::Eio));
        let Err(error) = world.store().sync_queues(false) else { break };
        failed += u32::from(error.to_string().contains("consume queue"));
        let mut next = world.next(world.disk.kill_image());
        next.open_and_check(Left::PowerCut, "after a failed sync");
        assert_queues_are_durable(&next, &format!("operation {n}: {error}"));
    }
    assert!(failed >= 3, "{failed}");
}
