//! No room: said in time, nothing lost, and it goes on when there is room again.

use crate::error::ErrorKind;
use crate::io::sim::{Fault, FaultKind, SimDisk};
use crate::options::Flush;
use crate::store::report::History;

use super::model::Left;
use super::world::{Ack, LARGE, World, tiny};

/// Sends until there is no room. Returns how many messages found some.
fn fill(world: &mut World, mut send: impl FnMut(&mut World) -> crate::Result<()>) -> usize {
    for n in 0..1000 {
        match send(world) {
            Ok(()) => {}
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Full, "{e:?}");
                return n;
            }
        }
    }
    panic!("the disk is never full");
}

#[test]
fn a_full_disk_is_said_loses_nothing_and_is_over_when_there_is_room() {
    for flush in [Flush::default(), Flush::Sync] {
        for room in [1, 3, 7, 20] {
            for prepared in [false, true] {
                let context = format!("{flush:?}, {room} blocks, prepared: {prepared}");
                let mut world = World::new(flush);
                world.send_all("t", [500; 5]);
                world.disk.set_capacity(Some(world.disk.used() + room * 4096));
                let sent = fill(&mut world, |w| {
                    if prepared {
                        w.chores();
                    }
                    w.send("t", 700).map(drop)
                });
                // It stays full, and says so each time.
                for _ in 0..3 {
                    let error = world.send("t", 700).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Full, "{context}: {error:?}");
                }
                assert_eq!(world.disk.writes_into_holes(), [], "{context}");
                let mut killed = world.next(world.disk.kill_image());
                killed.disk.set_capacity(None);
                killed.open_and_check(Left::Kill, &context);
                assert_eq!(killed.model.stored_count(), 5 + sent, "{context}");

                world.disk.set_capacity(None);
                world.send_all("t", [700; 60]);
                world.flush().unwrap_or_else(|e| panic!("{context}: {e:?}"));
                world.close().unwrap_or_else(|e| panic!("{context}: {e:?}"));
                world.open_and_check(Left::Kill, &context);
                assert_eq!(world.history(), History::Clean, "{context}");
                assert_eq!(world.model.stored_count(), 65 + sent, "{context}");
            }
        }
    }
}

#[test]
fn large_records_and_batches_meet_a_full_disk_as_others_do() {
    for batch in [false, true] {
        let mut world = World::new(Flush::default());
        world.send_all("t", [500; 5]);
        world.disk.set_capacity(Some(world.disk.used() + 20 * 4096));
        fill(&mut world, |w| {
            if batch { w.send_batch("t", &[800; 20]) } else { w.send("t", LARGE).map(drop) }
        });
        world.after_kill_with_room();
        world.disk.set_capacity(None);
        world.send_batch("t", &[800; 20]).unwrap();
        world.send_all("t", [LARGE, 10, LARGE]);
        world.check_works("room again");
    }
}

#[test]
fn acknowledgements_meet_a_full_disk_without_harm() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [10; 40]);
    world.consumer("t", "g").unwrap();
    world.disk.set_capacity(Some(world.disk.used()));
    let outcome = world.consume(("t", "g"), 20, |_| Ack::Yes);
    if let Err(e) = outcome {
        assert_eq!(e.kind(), ErrorKind::Full, "{e:?}");
    }
    assert_eq!(world.disk.writes_into_holes(), []);
    world.after_kill_with_room();
    world.disk.set_capacity(None);
    world.consume(("t", "g"), 40, |_| Ack::Yes).unwrap();
    world.check_works("room again");
}

#[test]
fn a_store_on_a_full_disk_is_recovered_when_there_is_room() {
    for flush in [Flush::default(), Flush::Sync] {
        let mut world = World::new(flush);
        world.send_all("t", [500; 5]);
        world.disk.set_capacity(Some(world.disk.used() + 4 * 4096));
        let sent = fill(&mut world, |w| w.send("t", 700).map(drop));
        let closed = world.close();
        if let Err(e) = &closed {
            assert_eq!(e.kind(), ErrorKind::Full, "{e:?}");
        }
        // Without room it may not even open, but then it says why.
        if let Err(e) = world.open() {
            assert_eq!(e.kind(), ErrorKind::Full, "{e:?}");
        }
        world.forget();
        world.disk.set_capacity(None);
        world.open_and_check(Left::Kill, "room again");
        assert_eq!(world.model.stored_count(), 5 + sent);
        world.check_works("room again");
    }
}

impl World {
    fn after_kill_with_room(&self) {
        let mut next = self.next(self.disk.kill_image());
        next.disk.set_capacity(None);
        next.open_and_check(Left::Kill, "killed on a full disk");
        next.check_works("killed on a full disk");
    }
}

#[test]
fn a_log_file_that_found_no_room_is_not_left_behind() {
    for n in 1.. {
        let mut world = World::new(Flush::default());
        world.send_all("t", [900; 15]);
        world.consume(("t", "g"), 6, |n| if n == 2 { Ack::No } else { Ack::Yes }).unwrap();
        // The housekeeper gets the next file ready.
        world.disk.fail_at(n, Fault::once(FaultKind::Enospc));
        let before = world.disk.operations();
        world.chores();
        if world.disk.operations() < before + n {
            assert!(n > 4, "only {n} operations");
            break;
        }
        world.disk.heal();
        world.close().unwrap_or_else(|e| panic!("operation {n}: {e:?}"));
        world.open_and_check(Left::Kill, &format!("operation {n}"));
        assert_eq!(world.history(), History::Clean, "operation {n}");
    }
}

#[test]
fn no_space_for_a_write_into_allocated_space_stops_the_store_and_loses_nothing() {
    // What copy-on-write file systems and quotas do.
    let mut world = World::on(SimDisk::new(1), tiny(Flush::default()).segment_size(256 << 10));
    world.options.staging_size = 256 << 10;
    world.open().unwrap();
    // The log file and the staging buffer have all their room from now on.
    world.send_all("t", [2000]);
    loop {
        // A full chunk is written to its file by the send that fills it: that message is staged, and so it is stored.
        let before = world.disk.operations();
        world.disk.fail_at(1, Fault::once(FaultKind::Enospc));
        world.send("t", 2000).unwrap();
        world.disk.heal();
        if world.disk.operations() > before {
            break;
        }
    }
    assert_eq!(world.send("t", 2000).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(world.flush().unwrap_err().kind(), ErrorKind::Poisoned);
    world.after_kill().check_works("killed");
    assert_eq!(world.close().unwrap_err().kind(), ErrorKind::Poisoned);
    world.open_and_check(Left::Kill, "opened again");
    world.check_works("opened again");
}

#[test]
fn a_large_record_that_its_own_space_refuses_stops_the_store() {
    let mut stopped = 0;
    for n in 1.. {
        let mut world = World::new(Flush::default());
        world.send_all("t", [LARGE, 10]);
        world.disk.fail_at(n, Fault::once(FaultKind::Enospc));
        let sent = world.send("t", LARGE);
        world.disk.heal();
        match sent {
            Err(e) if e.kind() == ErrorKind::Full => world.send_all("t", [10]),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Io, "{e}");
                assert_eq!(world.send("t", 10).unwrap_err().kind(), ErrorKind::Poisoned);
                stopped += 1;
            }
            Ok(_) => break,
        }
        world.after_kill().check_works("killed");
    }
    assert!(stopped > 1, "neither what was staged nor the record itself: {stopped}");
}

#[test]
fn a_process_without_descriptors_keeps_its_units_until_it_has_some() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [300; 5]);
    world.disk.fail_at(1, Fault::for_good(FaultKind::Emfile));
    world.chores();
    world.chores();
    world.disk.heal();
    world.send_all("t", [300; 40]);
    world.chores();
    world.check_works("descriptors again");
    world.close().unwrap();
    world.open_and_check(Left::Kill, "closed");
    assert_eq!(world.history(), History::Clean);
}
