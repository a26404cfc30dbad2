//! Opening what was closed, and refusing what makes no sense.

use crate::error::ErrorKind;
use crate::io::Storage;
use crate::options::{Flush, Options};
use crate::store::report::History;
use crate::sync::Arc;

use super::model::Left;
use super::world::{Ack, QUEUE_FILE, SEGMENT, World, layout, tiny};

/// A closed store of some segments.
fn closed(messages: usize) -> World {
    let mut world = World::new(Flush::default());
    for topic in ["a", "b"] {
        world.send_all(topic, (0..messages).map(|n| 100 + n % 700));
    }
    world
        .consume(("a", "g"), messages / 2, |n| if n % 3 == 1 { Ack::No } else { Ack::Yes })
        .unwrap();
    world.close().unwrap();
    world
}

#[test]
fn a_clean_open_reads_no_record_and_takes_as_long_whatever_is_stored() {
    let operations = [30, 300].map(|messages| {
        let mut world = closed(messages);
        world.disk = world.disk.kill_image();
        world.open().unwrap();
        let operations = world.disk.operations();
        assert_eq!(world.history(), History::Clean);
        assert_eq!(world.report().records_scanned, 0);
        world.check(Left::Kill, "opened");
        world.check_works("opened");
        operations
    });
    assert_eq!(operations[0], operations[1]);
    assert!(operations[0] < 120, "{operations:?}");
}

#[test]
fn a_clean_open_is_possible_again_and_again() {
    let mut world = closed(50);
    for round in 0..5 {
        world.open_and_check(Left::Kill, &format!("round {round}"));
        assert_eq!(world.history(), History::Clean, "round {round}");
        world.send_all("a", [10]);
        world.close().unwrap();
    }
    // A power cut after a close takes nothing.
    for seed in 0..8 {
        let next = world.after_power_cut(seed);
        assert_eq!(next.history(), History::Clean, "seed {seed}");
    }
}

#[test]
fn a_store_that_was_only_opened_closes_cleanly() {
    let mut world = World::new(Flush::default());
    world.close().unwrap();
    world.open().unwrap();
    assert_eq!(world.history(), History::Clean);
    world.close().unwrap();
    let log = layout().commitlog();
    assert_eq!(world.disk.list(&log).unwrap(), [], "no file without a message");
    world.open().unwrap();
    world.check_works("empty");
}

#[test]
fn an_option_that_disagrees_with_the_store_is_an_error_and_changes_nothing() {
    let world = closed(30);
    let before = world.disk.list_all();
    let wrong: [(&str, Options); 2] = [
        ("segment size", tiny(Flush::default()).segment_size(SEGMENT + 4096)),
        ("consume queue file size", tiny(Flush::default()).queue_file_size(QUEUE_FILE + 20)),
    ];
    for (what, options) in wrong {
        let mut next = world.next(world.disk.kill_image());
        next.options = options;
        let error = next.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(next.disk.list_all(), before);
        next.options =
            Options { segment_size: None, queue_file_size: None, ..world.options.clone() };
        next.open_and_check(Left::Kill, "without the option");
        assert_eq!(next.history(), History::Clean);
    }
}

#[test]
fn a_foreign_file_among_the_log_files_is_refused_by_name() {
    let world = closed(30);
    for name in [".DS_Store", "00000000000000000000.bak", "1"] {
        let mut next = world.next(world.disk.kill_image());
        let path = layout().commitlog().join(name);
        next.disk.write_file(&path, b"stray");
        let error = next.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert_eq!(error.path(), Some(path.as_path()));
        next.disk.remove_file(&path).unwrap();
        next.open_and_check(Left::Kill, "moved away");
        assert_eq!(next.history(), History::Clean);
    }
}

#[test]
fn a_missing_log_file_is_an_error_that_names_it() {
    let mut world = closed(250);
    let segments = world.disk.list(&layout().commitlog()).unwrap().len() as u64;
    assert!(segments > 3);
    let check = |world: &World, base: u64, how: &str| {
        let path = layout().segment(base);
        let mut next = world.next(world.disk.kill_image());
        let file = next.disk.read_file(&path).unwrap();
        next.disk.remove_file(&path).unwrap();
        let error = next.open().expect_err(how);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{how} {base}: {error}");
        assert_eq!(error.path(), Some(path.as_path()), "{how} {base}: {error}");
        // Refusing changed nothing that matters.
        next.disk.write_file(&path, &file);
        next.open_and_check(Left::Kill, &format!("{how} {base}, put back"));
    };
    let middle = SEGMENT;
    let last = (segments - 1) * SEGMENT;
    check(&world, middle, "middle, closed");
    check(&world, last, "last, closed");
    world.open_and_check(Left::Kill, "open");
    check(&world, middle, "middle, crashed");
    check(&world, last, "last, crashed");
}

#[test]
fn a_second_opener_is_locked_out_and_harms_nothing() {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [100; 3]);
    let mut second = world.next(world.disk.clone());
    assert_eq!(second.open().unwrap_err().kind(), ErrorKind::Locked);
    world.send_all("t", [100; 3]);
    world.close().unwrap();
    second.model = world.model.clone();
    second.open_and_check(Left::Kill, "after the first");
    assert_eq!(second.history(), History::Clean);
}

/// Somebody who was about to write down where the queues end, when closing came first.
#[test]
fn what_was_late_writes_nothing_into_a_directory_that_was_given_up() {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [100; 3]);
    let store = Arc::clone(world.store());
    world.close().unwrap();
    let before = world.disk.operations();
    assert_eq!(store.sync_queues(false).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(world.disk.operations(), before);
}
