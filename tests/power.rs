//! The power of a real file system is cut while a process uses a store on it, and again while the store is recovered.
//!
//! `tools/power-cuts.sh` makes the file systems and names them in `POCKETMQ_POWER_DISKS`, and, for disks that fail, in
//! `POCKETMQ_FAILING_DISKS`; each word is `name:image:folder`. `POCKETMQ_POWER_CUTS` is the number of cuts for each file system.
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "this is a test")]
#![expect(clippy::indexing_slicing, reason = "this is a test")]
#![expect(clippy::disallowed_methods, reason = "power goes at real moments")]
#![expect(clippy::print_stdout, reason = "a campaign says what it has done")]

mod support {
    pub(crate) mod kill {
        pub(crate) mod child;
        #[expect(
            dead_code,
            reason = "a place is a place, but power cuts have accounts of their own"
        )]
        pub(crate) mod ledger;
        pub(crate) mod lines;
        pub(crate) mod look;
        pub(crate) mod plan;
    }
    pub(crate) mod power {
        pub(crate) mod account;
        pub(crate) mod disk;
    }
}

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use pocketmq::Queue;
use support::kill::child::{Bytes, Role, play};
use support::kill::ledger::Place;
use support::kill::lines::lines_of;
use support::kill::look::{contents, receive};
use support::kill::plan::{GROUPS, Rng, TOPICS};
use support::power::account::Account;
use support::power::disk::Disk;

const CAMPAIGN: &str = "a_power_cut_loses_nothing_that_was_durable";
/// A child that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// A new store after so many cuts.
const CUTS_PER_STORE: u64 = 10;

fn disks(name: &str) -> Vec<Disk> {
    let words = std::env::var(name).unwrap_or_default();
    if words.is_empty() {
        println!("SKIPPED: no file system whose power can be cut ({name})");
    }
    words.split_whitespace().map(Disk::of).collect()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn a_power_cut_loses_nothing_that_was_durable() {
    if let Some(role) = Role::mine() {
        return play(role);
    }
    let cuts = number("POCKETMQ_POWER_CUTS").unwrap_or(20);
    let seed = number("POCKETMQ_SEED").unwrap_or(1);
    for disk in disks("POCKETMQ_POWER_DISKS") {
        let mut rng = Rng::new(seed);
        let (mut left, mut messages) = (cuts, 0);
        while left > 0 {
            let some = left.min(CUTS_PER_STORE);
            messages += life(&disk, &mut rng, some);
            left -= some;
        }
        println!("{cuts} power cuts on {}, {messages} messages, seed {seed}", disk.name);
    }
}

/// One store, from its creation on; the number of messages at its end.
fn life(disk: &Disk, rng: &mut Rng, cuts: u64) -> usize {
    if disk.store().exists() {
        std::fs::remove_dir_all(disk.store()).unwrap();
    }
    std::fs::create_dir(disk.store()).unwrap();
    disk.sync();
    let sync = rng.one_in(2);
    let mut role = Role { run: 0, seed: 0, sync, segment_size: 64 << 10, close_after: 0 };
    let mut account = Account::default();
    for cut in 0..cuts {
        role.run += 1;
        role.seed = rng.next();
        let after = if rng.one_in(4) { rng.below(3) } else { rng.size(11) };
        use_and_cut(disk, &role, &mut account, after);
        if cut + 1 == cuts || !rng.one_in(3) {
            audit(disk, &role, &mut account);
        }
    }
    account.messages()
}

/// A child uses the store; the power goes after so many lines.
fn use_and_cut(disk: &Disk, role: &Role, account: &mut Account, after: u64) {
    let mut command = role.command(CAMPAIGN, &disk.store());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = lines_of(&mut child);
    for _ in 0..after {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => account.note(role.run, role.sync, &line, true),
            Err(e) => panic!("the child hangs, or has ended: {e}"),
        }
    }
    // What was said until now was said before.
    for line in lines.try_iter() {
        assert!(!line.starts_with('X'), "the child says: {line}");
        account.note(role.run, role.sync, &line, true);
    }
    disk.cut();
    child.kill().unwrap();
    for line in &lines {
        account.note(role.run, role.sync, &line, false);
    }
    child.wait().unwrap();
    disk.restart();
}

/// Opens the store here, compares everything, and closes it.
fn audit(disk: &Disk, role: &Role, account: &mut Account) {
    let queue = role.options().open(disk.store()).unwrap();
    assert!(queue.report().damage.is_empty(), "{:?}", queue.report());
    account.check_log(contents(&queue));
    let places: Vec<_> = receive(&queue, GROUPS[0]).into_iter().map(|(place, _)| place).collect();
    account.check_group(&places);
    assert!(queue.close_with_report().unwrap().broker_ready);
}

#[test]
fn after_a_failed_sync_the_reopened_store_shows_what_the_disk_holds() {
    for disk in disks("POCKETMQ_FAILING_DISKS") {
        let role = Role { run: 0, seed: 0, sync: true, segment_size: 1 << 20, close_after: 0 };
        let queue = role.options().open(disk.store()).unwrap();
        let producer = queue.producer(Bytes::new(TOPICS[0].0)).unwrap();
        let mut confirmed = 0;
        // Where the record ends, and how much of it is not the body.
        let mut send = |len: u64| {
            let receipt = producer.send(&vec![b'x'; usize::try_from(len).unwrap()])?;
            confirmed += 1;
            let size = u64::from(receipt.size);
            Ok::<_, pocketmq::Error>((receipt.log_offset.get() + size, size - len))
        };
        for len in 0..100 {
            send(len * 9).unwrap();
        }
        // Up to the end of a block: a write that fails in the middle is a success to a loop device.
        let (end, around) = send(0).unwrap();
        let (end, _) = send(2 * 4096 - (end + around) % 4096).unwrap();
        assert_eq!(end % 4096, 0);
        let broken = disk.break_down(&disk.store().join("commitlog/00000000000000000000"));
        let error = send(700).unwrap_err();
        println!("{}: after {confirmed} messages a failed sync: {error}", disk.name);
        assert!(queue.close().is_err());
        drop((producer, queue));
        drop(broken);
        // The disk works again, and the page cache may still have what never reached it.
        let queue = role.options().open(disk.store()).unwrap();
        assert!(queue.report().damage.is_empty(), "{:?}", queue.report());
        let shown = bodies(&queue);
        assert!(shown.len() >= confirmed, "{} shown, {confirmed} were durable", shown.len());
        disk.cut();
        drop(queue);
        disk.restart();
        let queue = role.options().open(disk.store()).unwrap();
        let held = bodies(&queue);
        assert!(shown == held, "{} messages were shown, {} are there", shown.len(), held.len());
        println!("{}: {} messages shown, and held by the disk", disk.name, shown.len());
        queue.close().unwrap();
    }
}

fn bodies(queue: &Queue) -> BTreeMap<Place, Vec<u8>> {
    let all = receive(queue, "auditor").into_iter();
    all.map(|(place, delivery)| (place, delivery.body().to_vec())).collect()
}
