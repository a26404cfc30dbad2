//! System calls of a real process fail, one after the other, and nothing that was acknowledged is lost.
//!
//! A child opens a store, uses it, and closes it, while a small library that is loaded before everything else
//! (`tools/faults.c`, built with `cc`) lets one of its calls fail. Afterwards the store is opened here, without faults, and its
//! contents are compared with what the child said. The number of the call goes up until a child ends without meeting it.
//!
//! `POCKETMQ_FAULTS_STRIDE` is the distance between the calls that are tried; 1 tries all. `POCKETMQ_SMALL_DISK` and
//! `POCKETMQ_READONLY_DISK` name file systems that `tools/faults-by-syscall.sh` has mounted.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]
#![expect(clippy::indexing_slicing, reason = "this is a test")]
#![expect(clippy::disallowed_methods, reason = "it looks at files from outside")]
#![expect(clippy::print_stdout, reason = "a campaign says what it has done")]

mod support {
    pub(crate) mod faults {
        pub(crate) mod child;
        pub(crate) mod host;
    }
    pub(crate) mod kill {
        #[expect(dead_code, reason = "the part that plays the killed child is not used here")]
        pub(crate) mod child;
        #[expect(dead_code, reason = "only the kill campaign sends from here")]
        pub(crate) mod ledger;
        pub(crate) mod look;
        #[expect(dead_code, reason = "only the kill campaign sends from here")]
        pub(crate) mod plan;
    }
}

use std::collections::BTreeMap;
use std::sync::Mutex;

use support::faults::host::{Fault, Host, Left, number, run_if_child};

const STRIDE: &str = "POCKETMQ_FAULTS_STRIDE";
/// The most descriptors a process may need in these scenarios, with room to spare.
const MANY_DESCRIPTORS: u64 = 200;

/// Errors that can be, and where.
const FAULTS: [Fault; 10] = [
    Fault::new("EIO once", 5, ""),
    Fault::new("EIO from then on", 5, "").sticky(),
    Fault::new("ENOSPC once", 28, "open,mkdir,rename,write,pwrite,fallocate,ftruncate,fdatasync"),
    Fault::new(
        "ENOSPC from then on",
        28,
        "open,mkdir,rename,write,pwrite,fallocate,ftruncate,fdatasync",
    )
    .sticky(),
    Fault::new("EMFILE once", 24, "open,opendir"),
    Fault::new("EMFILE from then on", 24, "open,opendir").sticky(),
    Fault::new("ENOMEM once", 12, "mmap"),
    Fault::new("ENOMEM from then on", 12, "mmap").sticky(),
    Fault::new("a short write once", 0, "write,pwrite").short(),
    Fault::new("short writes from then on", 0, "write,pwrite").short().sticky(),
];

#[test]
fn a_call_that_fails_loses_nothing_that_was_acknowledged() {
    run_if_child();
    let Some(host) = Host::new("a_call_that_fails_loses_nothing_that_was_acknowledged") else {
        println!("SKIPPED: no calls failed, there is no C compiler `cc`");
        return;
    };
    let stride = number(STRIDE).unwrap_or(101);
    let tried = Mutex::new(BTreeMap::<String, u64>::new());
    for sync in [false, true] {
        for left in [Left::New, Left::Closed, Left::Killed] {
            let template = host.template(left, sync);
            std::thread::scope(|scope| {
                // Not every fault at the same calls. Mostly they wait for the disk: side by side, then.
                for (first, fault) in (0..).map(|n| 1 + n * 7 % stride).zip(FAULTS) {
                    let (host, template, tried) = (&host, &template, &tried);
                    scope.spawn(move || {
                        let mut at = first;
                        while let Some(name) = host.check_with(template, sync, fault, at) {
                            *tried.lock().unwrap().entry(name).or_default() += 1;
                            at += stride;
                        }
                    });
                }
            });
        }
    }
    let tried = tried.into_inner().unwrap();
    let runs: u64 = tried.values().sum();
    println!("{runs} calls failed, stride {stride}: {tried:?}");
    assert!(runs > 10_000 / stride, "hardly anything failed");
}

#[test]
fn without_descriptors_nothing_that_was_acknowledged_is_lost() {
    run_if_child();
    let Some(host) = Host::new("without_descriptors_nothing_that_was_acknowledged_is_lost") else {
        println!("SKIPPED: there is no C compiler `cc`");
        return;
    };
    let step = number(STRIDE).unwrap_or(29).min(5);
    for left in [Left::New, Left::Killed] {
        let template = host.template(left, true);
        let mut limit = 4;
        while !host.check_with_descriptors(&template, true, limit) {
            limit += step;
            assert!(limit < MANY_DESCRIPTORS, "never enough descriptors");
        }
        println!("{left:?}: {limit} descriptors are enough");
        assert!(limit > 8, "the limit was not felt");
    }
}

#[test]
fn on_a_full_file_system_sending_ends_and_goes_on_when_there_is_room() {
    run_if_child();
    let Some(disk) = std::env::var_os("POCKETMQ_SMALL_DISK") else {
        println!("SKIPPED: no small file system was filled (POCKETMQ_SMALL_DISK)");
        return;
    };
    support::faults::host::fill_up(disk.as_ref());
}

#[test]
fn on_a_read_only_file_system_opening_is_an_error_and_looking_is_not() {
    run_if_child();
    let Some(disk) = std::env::var_os("POCKETMQ_READONLY_DISK") else {
        println!("SKIPPED: nothing was opened on a read-only file system (POCKETMQ_READONLY_DISK)");
        return;
    };
    support::faults::host::look_only(disk.as_ref());
}

#[test]
#[ignore = "writes the store that the script then makes read-only: POCKETMQ_READONLY_DISK, still writable"]
fn write_a_store_for_the_read_only_file_system() {
    let disk = std::env::var_os("POCKETMQ_READONLY_DISK").expect("a folder");
    support::faults::host::write_a_little(disk.as_ref());
}
