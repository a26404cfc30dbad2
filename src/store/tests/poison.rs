//! After a failed write or sync: nothing more is promised, and the next opening shows what the disk has.

use crate::error::ErrorKind;
use crate::io::sim::{Fault, FaultKind};
use crate::options::Flush;
use crate::store::report::History;

use super::model::{Left, read};
use super::world::{Ack, World, layout};

const EIO: Fault = Fault { kind: FaultKind::Eio, sticky: false };

/// Three durable messages, and the next send's sync fails: it writes, then syncs.
fn failed_sync() -> World {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [100; 3]);
    world.disk.fail_at(2, EIO);
    let error = world.send("t", 100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unconfirmed, "{error}");
    assert_eq!(error.receipt().unwrap().queue_offset.get(), 3);
    world
}

#[test]
fn after_a_failed_sync_nothing_more_is_accepted_and_readers_stop() {
    let mut world = failed_sync();
    assert_eq!(world.send("t", 100).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(world.submit("t", 100).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(world.send_batch("t", &[1, 2]).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(world.flush().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(world.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    // What was durable is still handed out, what was not never is.
    let got = world.store().topic("t").unwrap();
    assert!(read(world.store(), &got, 0, 2).is_ok());
    assert_eq!(read(world.store(), &got, 0, 3).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_reader_of_a_stopped_store_gets_what_was_visible_and_then_the_reason() {
    let mut world = World::new(Flush::Sync);
    let consumer = world.consumer("t", "g").unwrap();
    world.send_all("t", [100; 3]);
    world.disk.fail_at(2, EIO);
    world.send("t", 100).unwrap_err();
    let received = world.receive(&consumer, 10).unwrap();
    assert_eq!(received.len(), 3);
    let error = world.receive(&consumer, 10).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    drop(received);
    assert_eq!(world.receive(&consumer, 10).unwrap().len(), 3, "given back, taken again");
}

#[test]
fn closing_a_stopped_store_is_an_error_and_leaves_it_marked() {
    let mut world = failed_sync();
    let error = world.close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    let exists = |path| world.disk.read_file(path).is_some();
    assert!(exists(layout().marker()));
    assert!(exists(layout().abort()));
    assert!(!exists(layout().clean()));
}

#[test]
fn opening_after_a_failed_sync_shows_what_the_disk_has() {
    for mapped in [false, true] {
        let mut world = failed_sync();
        // A message in somebody's hands keeps the log file mapped, so that its pages cannot be dropped.
        let topic = world.store().topic("t").unwrap();
        let held = mapped.then(|| read(world.store(), &topic, 0, 0).unwrap());
        world.close().unwrap_err();
        world.open_and_check(Left::PowerCut, "opened again");
        assert_eq!(world.history(), History::Crashed);
        // The staging buffer had the fourth, or it is gone for good; in no case does it come and go.
        let there = world.model.stored_count();
        world.check_works("opened again");
        let next = world.after_power_cut(7);
        assert_eq!(next.model.stored_count(), there + 1);
        assert_eq!(held.is_some(), mapped);
    }
}

#[test]
fn a_failed_sync_of_an_asynchronous_store_stops_it_too() {
    let mut world = World::new(Flush::default());
    let consumer = world.consumer("t", "g").unwrap();
    world.send_all("t", [100; 3]);
    assert_eq!(world.receive(&consumer, 10).unwrap().len(), 3);
    world.send_all("t", [100; 2]);
    world.disk.fail_at(2, EIO);
    world.flush().unwrap_err();
    assert_eq!(world.send("t", 100).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(world.close().unwrap_err().kind(), ErrorKind::Poisoned);
    world.open_and_check(Left::PowerCut, "opened again");
    world.check_works("opened again");
}

#[test]
fn a_failed_sync_is_never_followed_by_one_that_says_it_worked() {
    for kind in [FaultKind::Eio, FaultKind::Enospc, FaultKind::Emfile] {
        for flush in [Flush::default(), Flush::Sync] {
            let mut world = World::new(flush);
            world.send_all("t", [100; 3]);
            world.flush().unwrap();
            world.disk.fail_at(2, Fault::once(kind));
            let first = world.send("t", 100).map(drop).and_then(|()| world.flush());
            assert!(first.is_err(), "{kind:?}");
            let second = world.flush();
            assert_eq!(second.unwrap_err().kind(), ErrorKind::Poisoned, "{kind:?}");
            world.after_power_cut(0);
        }
    }
}

#[test]
fn a_failed_write_is_made_good_from_the_staging_buffer() {
    for kind in [FaultKind::Eio, FaultKind::ShortWrite] {
        let mut world = World::new(Flush::default());
        world.send_all("t", [400; 10]);
        world.disk.fail_at(1, Fault::once(kind));
        world.commit().unwrap_err();
        assert_eq!(world.send("t", 100).unwrap_err().kind(), ErrorKind::Poisoned);
        let mut next = world.after_kill();
        assert_eq!(next.model.stored_count(), 10);
        next.check_works("killed");
        world.close().unwrap_err();
        world.open_and_check(Left::Kill, "in the same process");
        assert_eq!(world.model.stored_count(), 10);
    }
}

#[test]
fn a_reader_that_could_not_read_gets_the_message_later() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 3]);
    world.close().unwrap();
    for n in 1..8 {
        let mut world = world.next(world.disk.kill_image());
        world.open_and_check(Left::Kill, "closed");
        let group = format!("g{n}");
        let consumer = world.consumer("t", &group).unwrap();
        world.close().unwrap();
        world.open().unwrap();
        drop(consumer);
        let consumer = world.consumer("t", &group).unwrap();
        world.disk.fail_at(n, Fault::once(FaultKind::Emfile));
        let mut got = 0;
        // At most one try fails.
        for _ in 0..3 {
            let received = world.receive(&consumer, 10);
            if let Ok(received) = received {
                for delivery in received {
                    delivery.ack().unwrap();
                    got += 1;
                }
            }
        }
        assert_eq!(got, 3, "operation {n}");
    }
}

#[test]
fn acknowledging_in_a_stopped_store_keeps_or_refuses_but_never_pretends() {
    let mut world = World::new(Flush::Sync);
    world.consumer("t", "g").unwrap();
    world.send_all("t", [100; 3]);
    world.disk.fail_at(2, EIO);
    world.send("t", 100).unwrap_err();
    let _ = world.consume(("t", "g"), 3, |_| Ack::Durably);
    world.after_kill();
    world.after_power_cut(3);
}

#[test]
fn after_a_failure_readers_see_no_more_than_before_it() {
    let mut world = World::new(Flush::default());
    let consumer = world.consumer("t", "g").unwrap();
    world.send_all("t", [100; 3]);
    assert_eq!(world.receive(&consumer, 10).unwrap().len(), 3);
    // Staged, and not seen yet when the sync of something else fails.
    world.send_all("t", [100; 2]);
    world.store().poisoned_by(crate::Error::new(ErrorKind::Io, "a sync failed"));
    for error in [world.commit().unwrap_err(), world.sync().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
        assert!(error.to_string().contains("a sync failed"), "{error}");
    }
    let topic = world.store().topic("t").unwrap();
    assert_eq!(read(world.store(), &topic, 0, 3).unwrap_err().kind(), ErrorKind::NotFound);
    // Nothing of it is lost.
    assert_eq!(world.after_kill().model.stored_count(), 5);
}

#[cfg(feature = "tracing")]
#[test]
fn that_a_store_stopped_is_an_event_once() {
    use crate::flush::housekeeper::House;
    use tracing::subscriber::with_default;

    let world = failed_sync();
    let errors = super::events::Errors::default();
    with_default(errors.clone(), || {
        world.store().alarm();
        world.store().alarm();
    });
    let said = errors.take();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said.iter().all(|error| error.contains("the store stopped writing")), "{said:?}");
}
