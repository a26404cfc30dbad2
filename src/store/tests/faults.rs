//! Every operation of a history fails, once or from then on.

use crate::error::{Error, Result};
use crate::io::sim::{Fault, FaultKind, SimDisk};
use crate::options::Flush;

use super::model::Left;
use super::world::{Ack, LARGE, World, is_typed, tiny};

const STRIDE: usize = 5;
const KINDS: [FaultKind; 4] =
    [FaultKind::Eio, FaultKind::Enospc, FaultKind::Emfile, FaultKind::ShortWrite];

/// How far apart the operations are that are looked at: `POCKETMQ_SIM_STRIDE=1` looks at all of them, which takes minutes.
pub(super) fn stride() -> usize {
    let asked = std::env::var("POCKETMQ_SIM_STRIDE").ok().and_then(|value| value.parse().ok());
    asked.unwrap_or(STRIDE)
}

/// One step of the history.
type Step = fn(&mut World) -> Result<()>;

/// All that a store does, on as little disk as shows it.
pub(super) const HISTORY: &[Step] = &[
    |w| w.open(),
    |w| w.create_topic("many", 3),
    |w| repeat(5, || w.send("t", 300).map(drop)),
    |w| w.send_batch("many", &[200; 4]),
    |w| w.consume(("t", "g"), 4, |n| if n == 1 { Ack::No } else { Ack::Yes }).map(drop),
    |w| w.send("t", LARGE).map(drop),
    |w| w.submit("many", 500),
    |w| w.flush(),
    |w| repeat(3, || w.send("many", 900).map(drop)),
    |w| {
        w.chores();
        Ok(())
    },
    |w| repeat(25, || w.send("t", 1500).map(drop)),
    |w| w.consume(("many", "g"), 4, |n| if n == 2 { Ack::Durably } else { Ack::Yes }).map(drop),
    |w| w.sync(),
    |w| w.sync_progress(),
    |w| w.send_batch("t", &[100; 12]),
    |w| w.consume(("t", "h"), 9, |_| Ack::Yes).map(drop),
    |w| w.close(),
    |w| w.open(),
    |w| repeat(12, || w.send("late", 40).map(drop)),
    |w| w.consume(("t", "g"), 6, |_| Ack::Yes).map(drop),
    |w| w.commit(),
    |w| w.send("t", 700).map(drop),
    |w| w.flush(),
    |w| w.send("many", 20).map(drop),
];

/// The step that opens again.
const REOPEN: usize = 17;

/// Goes on after a failure, and returns the first.
fn repeat(times: usize, mut act: impl FnMut() -> Result<()>) -> Result<()> {
    let mut outcome = Ok(());
    for _ in 0..times {
        let acted = act();
        outcome = outcome.and(acted);
    }
    outcome
}

/// Runs the history as far as it goes. What fails, fails with an error that can be told apart; a store that could not be opened
/// is tried once more.
pub(super) fn run(world: &mut World, context: &str) {
    for (number, step) in HISTORY.iter().enumerate() {
        let context = format!("{context}, step {number}");
        let opens = !world.is_open();
        if opens && number > 0 && number != REOPEN {
            note(world.open().err(), &context);
        }
        if world.is_open() || number == 0 || number == REOPEN {
            note(step(world).err(), &context);
        }
        if opens && world.is_open() {
            look(world, &context);
        }
    }
}

/// An opening has settled what is there, and what is not; seen on a copy, which fails no more.
fn look(world: &mut World, context: &str) {
    let mut copy = world.next(world.disk.kill_image());
    let left = if world.lost() { Left::PowerCut } else { Left::Kill };
    copy.open_and_check(left, &format!("{context}, looked at"));
    world.model = copy.model.clone();
    world.disk_lost = false;
}

fn note(error: Option<Error>, context: &str) {
    if let Some(error) = error {
        assert!(is_typed(&error), "{context}: {error:?}");
    }
}

/// After the failure: what the next process finds, after a kill and after a power cut, and the same process.
fn judge(mut world: World, context: &str) {
    let context = |how| format!("{context}, {how}");
    if !world.is_open() {
        // Nobody holds it open: the disk as it is.
        let left = if world.disk_lost { Left::PowerCut } else { Left::Kill };
        world.open_and_check(left, &context("opened at last"));
        world.check_works(&context("opened at last"));
        return;
    }
    let left = if world.lost() { Left::PowerCut } else { Left::Kill };
    let mut killed = world.next(world.disk.kill_image());
    killed.open_and_check(left, &context("killed"));
    killed.check_works(&context("killed"));
    let mut cut = world.next(world.disk.power_image(world.disk.operations()));
    cut.open_and_check(Left::PowerCut, &context("power cut"));
    cut.check_works(&context("power cut"));
    world.forget();
    world.open_and_check(left, &context("same process"));
    world.check_works(&context("same process"));
}

fn fail_everywhere(kind: FaultKind, sticky: bool) {
    for flush in [Flush::default(), Flush::Sync] {
        for n in (1..).step_by(stride()) {
            let disk = SimDisk::new(n);
            disk.fail_at(n, Fault { kind, sticky });
            let mut world = World::on(disk, tiny(flush));
            let context = format!("{flush:?}, {kind:?}, sticky: {sticky}, operation {n}");
            run(&mut world, &context);
            let over = world.disk.operations() < n;
            world.disk.heal();
            if over {
                assert!(n > 100, "only {n} operations");
                break;
            }
            judge(world, &context);
        }
    }
}

macro_rules! every_operation {
    ($($once:ident $for_good:ident $kind:expr;)*) => {
        $(
            #[test]
            fn $once() {
                fail_everywhere($kind, false);
            }

            #[test]
            fn $for_good() {
                fail_everywhere($kind, true);
            }
        )*
    };
}

every_operation! {
    every_operation_may_fail_once_with_eio every_operation_may_fail_for_good_with_eio KINDS[0];
    every_operation_may_fail_once_with_enospc every_operation_may_fail_for_good_with_enospc KINDS[1];
    every_operation_may_fail_once_with_emfile every_operation_may_fail_for_good_with_emfile KINDS[2];
    every_operation_may_fail_once_in_the_middle every_operation_may_fail_for_good_in_the_middle KINDS[3];
}
