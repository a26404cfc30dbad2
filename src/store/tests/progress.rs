//! What was acknowledged, after a crash.

use crate::consumer::{ConsumerBuilder, Start};
use crate::error::ErrorKind;
use crate::io::sim::{Fault, FaultKind};
use crate::options::Flush;

use super::model::Left;
use super::world::{Ack, Bytes, World};

#[test]
fn an_acknowledgement_survives_the_process() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 30]);
    world.consume(("t", "g"), 20, |n| if n % 3 == 0 { Ack::No } else { Ack::Yes }).unwrap();
    let mut next = world.after_kill();
    let left = next.consume(("t", "g"), 100, |_| Ack::Yes).unwrap();
    assert_eq!(left, 10 + 7);
    next.check_works("killed");
}

#[test]
fn a_durable_acknowledgement_survives_a_power_cut() {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [100; 30]);
    world.consume(("t", "g"), 20, |n| if n == 19 { Ack::Durably } else { Ack::Yes }).unwrap();
    for seed in 0..20 {
        let mut next = world.after_power_cut(seed);
        assert_eq!(next.consume(("t", "g"), 100, |_| Ack::No).unwrap(), 10, "seed {seed}");
    }
}

#[test]
fn a_new_message_at_the_offset_of_a_lost_one_is_delivered() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 5]);
    world.flush().unwrap();
    world.send_all("t", [100; 20]);
    // The acknowledgements are durable, the messages are not.
    world.consume(("t", "g"), 100, |_| Ack::Durably).unwrap();
    let mut reused = 0;
    for seed in 0..40 {
        let mut next = world.after_power_cut(seed);
        let kept = next.model.stored_count();
        next.send_all("t", [70; 20]);
        let delivered = next.consume(("t", "g"), 100, |_| Ack::Yes).unwrap();
        assert_eq!(delivered, 20, "seed {seed}: {kept} of 25 were kept");
        reused += usize::from(kept < 25);
        next.after_kill().check_works(&format!("seed {seed}"));
    }
    assert!(reused > 10, "only {reused} seeds lost a message");
}

#[test]
fn where_a_group_begins_is_durable_when_it_is_made() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 5]);
    world.flush().unwrap();
    let late = ConsumerBuilder::new(&world.engine(), Bytes::named("t").unwrap(), "late")
        .start(Start::Latest)
        .pull()
        .unwrap();
    drop(late);
    for offset in 0..5 {
        // Passed over from the beginning.
        world.model.acked(&("late".to_owned(), "t".to_owned(), 0), offset, Ok(true));
    }
    for seed in 0..8 {
        let mut next = world.after_power_cut(seed);
        next.send_all("t", [100; 2]);
        assert_eq!(next.consume(("t", "late"), 100, |_| Ack::No).unwrap(), 2, "seed {seed}");
    }
    world.send_all("t", [100; 2]);
    let mut next = world.after_kill();
    assert_eq!(next.consume(("t", "late"), 100, |_| Ack::No).unwrap(), 2);
}

#[test]
fn acknowledgements_that_find_no_space_on_the_disk_after_all_stop_the_store() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 5]);
    world.consume(("t", "g"), 5, |_| Ack::Yes).unwrap();
    world.disk.fail_at(1, Fault::once(FaultKind::Enospc));
    let error = world.sync_progress().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
    assert_eq!(world.send("t", 100).unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(world.close().is_err());
}

#[test]
fn an_acknowledgement_that_cannot_open_a_file_is_refused_and_the_store_goes_on() {
    // Of a journal's turn-over: the snapshot's file, the next journal.
    for n in [2, 3] {
        let mut world = World::new(Flush::default());
        world.send_all("t", [10; 700]);
        let consumer = world.consumer("t", "g").unwrap();
        let mut received = world.receive(&consumer, 700).unwrap();
        assert_eq!(received.len(), 700);
        world.disk.fail_at(n, Fault::once(FaultKind::Emfile));
        let refused = loop {
            let delivery = received.pop().expect("the journal is full before all are acknowledged");
            if let Err(refused) = delivery.ack() {
                break refused;
            }
        };
        assert_eq!(refused.kind(), ErrorKind::Full, "operation {n}: {refused:?}");
        assert!(!world.store().is_poisoned(), "operation {n}");
        world.send("t", 10).unwrap();
        for delivery in received {
            delivery.ack().unwrap();
        }
        // The refused one was given back.
        assert_eq!(world.receive(&consumer, 10).unwrap().len(), 2, "operation {n}");
        assert!(world.engine().close().unwrap().broker_ready);
    }
}

#[test]
fn gaps_survive_a_clean_close() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 30]);
    world.consume(("t", "g"), 30, |n| if n % 5 == 2 { Ack::No } else { Ack::Yes }).unwrap();
    let closed = world.engine().close().unwrap();
    assert_eq!(closed.acked_above_gaps, 22);
    assert!(closed.broker_ready);
    world.open_and_check(Left::Kill, "closed");
    assert_eq!(world.consume(("t", "g"), 100, |_| Ack::Yes).unwrap(), 6);
}

#[test]
fn where_a_group_was_moved_to_survives_a_power_cut_at_any_moment_after() {
    for (seed, target) in (0..20).flat_map(|seed| [(seed, 0), (seed, 3), (seed, 10)]) {
        let mut world = World::new(Flush::default());
        world.send_all("t", [100; 10]);
        world.consume(("t", "g"), 6, |_| Ack::Yes).unwrap();
        world.flush().unwrap();
        let engine = world.engine();
        let topic = world.store().topic("t").unwrap();
        let dispatch = engine.join("g", &topic, Start::Earliest, None).unwrap();
        dispatch.seek(&[(0, target)]).unwrap();
        let mut next = world.next(world.disk.power_image(seed));
        next.open().unwrap();
        let cursor = next.store().progress.cursor("g", "t", 0).unwrap();
        assert_eq!((cursor.watermark(), cursor.reach()), (target, target), "seed {seed}");
    }
}

#[test]
fn a_crash_while_a_group_is_moved_leaves_it_where_it_was_or_where_it_goes() {
    for n in 1.. {
        let mut world = World::new(Flush::default());
        world.send_all("t", [100; 10]);
        world.consume(("t", "g"), 6, |_| Ack::Yes).unwrap();
        world.flush().unwrap();
        let topic = world.store().topic("t").unwrap();
        let dispatch = world.engine().join("g", &topic, Start::Earliest, None).unwrap();
        world.disk.crash_at(n);
        let moved = dispatch.seek(&[(0, 2)]);
        let crashed = world.disk.is_crashed();
        for disk in [world.disk.kill_image(), world.disk.power_image(n)] {
            let mut next = world.next(disk);
            next.open().unwrap();
            let at = next.store().progress.cursor("g", "t", 0).unwrap().watermark();
            assert!(at == 2 || (crashed && at == 6), "operation {n}: {at}, {moved:?}");
        }
        if !crashed {
            break;
        }
    }
}
