//! The process dies, or the power goes, in every operation of a history; and again while the next one recovers.

use crate::io::sim::SimDisk;
use crate::options::Flush;

use super::faults;
use super::model::Left;
use super::random::Chance;
use super::world::{World, tiny};

/// Power cuts looked at for each operation.
const CUTS: u64 = 3;
/// How often recovery is interrupted in a row.
const CHAIN: usize = 5;

fn crash_everywhere(mut look: impl FnMut(&World, &str)) {
    for flush in [Flush::default(), Flush::Sync] {
        for n in (1..).step_by(faults::stride()) {
            let disk = SimDisk::new(n);
            disk.crash_at(n);
            let mut world = World::on(disk, tiny(flush));
            let context = format!("{flush:?}, crash in operation {n}");
            faults::run(&mut world, &context);
            if !world.disk.is_crashed() {
                assert!(n > 100, "only {n} operations");
                break;
            }
            look(&world, &context);
        }
    }
}

fn images(world: &World, seed: u64) -> Vec<(SimDisk, Left, String)> {
    let cut = |nth| {
        let seed = seed * CUTS + nth;
        (world.disk.power_image(seed), Left::PowerCut, format!("power cut {seed}"))
    };
    let kill = (world.disk.kill_image(), Left::Kill, "kill".to_owned());
    [kill].into_iter().chain((0..CUTS).map(cut)).collect()
}

#[test]
fn a_crash_at_every_operation_loses_nothing_acknowledged() {
    let mut seed = 0;
    crash_everywhere(|world, context| {
        seed += 1;
        for (disk, left, how) in images(world, seed) {
            let mut next = world.next(disk);
            next.open_and_check(left, &format!("{context}, {how}"));
            next.check_works(&format!("{context}, {how}"));
        }
    });
}

#[test]
fn crashes_in_a_row_while_recovering_lose_nothing_either() {
    let mut chance = Chance::new(1);
    crash_everywhere(|world, context| {
        let mut context = context.to_owned();
        let mut left = Left::Kill;
        let mut next = world.next(world.disk.kill_image());
        for _ in 0..CHAIN {
            next.disk.crash_at(1 + chance.below(120));
            if next.open().is_ok() {
                break;
            }
            let (disk, how) = if chance.below(2) == 0 {
                (next.disk.kill_image(), "kill".to_owned())
            } else {
                left = Left::PowerCut;
                let seed = chance.next();
                (next.disk.power_image(seed), format!("power cut {seed}"))
            };
            context = format!("{context}, then {how} in operation {}", next.disk.operations());
            next = next.next(disk);
        }
        // The last one survives.
        let mut last = next.next(next.disk.kill_image());
        last.open_and_check(left, &context);
        last.check_works(&context);
    });
}
