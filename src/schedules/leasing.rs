//! A lease ends while its holder settles the message, or holds on to it, and others come for it.

use std::time::{Duration, Instant};

use super::*;
use crate::ErrorKind;
use crate::consumer::Delivery;
use crate::error::Result;
use crate::retry::Retry;
use crate::sync::{AtomicBool, Ordering, thread};

type Got = Delivery<Box<[u8]>>;

const LEASE: Duration = Duration::from_secs(60);
const MESSAGES: usize = 2;

/// What is known of one message.
#[derive(Debug, Default)]
struct Account {
    /// How many acknowledgements were good.
    acked: Mutex<usize>,
    /// Somebody has it whose lease does not end any more.
    taken: AtomicBool,
}

type Accounts = Arc<[Account; MESSAGES]>;

fn account<'a>(accounts: &'a Accounts, got: &Got) -> &'a Account {
    let offset = usize::try_from(got.message().queue_offset().get()).unwrap();
    accounts.get(offset).unwrap()
}

/// Whether it was good; if not, then because the message is somebody else's.
fn good(settled: Result<()>) -> bool {
    match settled {
        Ok(()) => true,
        Err(e) if e.kind() == ErrorKind::Stale => false,
        Err(e) => panic!("{e}"),
    }
}

fn ack(account: &Account, got: Got) -> bool {
    let good = good(got.ack());
    *account.acked.lock() += usize::from(good);
    good
}

/// Whose lease may have ended.
fn settle(accounts: &Accounts, got: Got) {
    let account = account(accounts, &got);
    let taken = account.taken.load(Ordering::SeqCst);
    let good = match model::choose(5) {
        0 => ack(account, got),
        1 => good(got.fail()),
        2 => good(got.snooze(Duration::ZERO)),
        3 => {
            drop(got);
            return;
        }
        _ => {
            let holds = good(got.extend(2 * LEASE));
            assert_eq!(ack(account, got), holds, "the lease was extended");
            holds
        }
    };
    assert!(!good || !taken, "somebody else has it");
}

/// Who comes when the time is over has a lease that does not end.
fn take(consumer: &Consumer<[u8], Raw>, accounts: &Accounts, over: Instant) {
    let stays = model::now() >= over;
    for got in consumer.recv_batch(MESSAGES, Duration::ZERO).unwrap() {
        let account = account(accounts, &got);
        if stays {
            account.taken.store(true, Ordering::SeqCst);
        }
        assert!(ack(account, got) || !stays, "it was taken out of his hands");
    }
}

#[test]
fn a_message_whose_lease_ends_has_one_holder_and_the_old_one_is_told() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        producer(&engine).send_batch([[b'm']; MESSAGES]).unwrap();
        let topic = crate::Topic::<[u8], Raw>::new("t");
        let builder = ConsumerBuilder::new(&engine, topic, "g").lease(LEASE);
        let consumer = builder.retry(Retry::fixed(Duration::ZERO)).pull().unwrap();
        let accounts = Accounts::default();
        let over = model::now() + LEASE;
        let held = consumer.recv_batch(MESSAGES, Duration::ZERO).unwrap();
        assert_eq!(held.len(), MESSAGES);
        let mut threads = Vec::new();
        for got in held {
            let accounts = Arc::clone(&accounts);
            threads.push(thread::spawn(move || settle(&accounts, got)));
        }
        for _ in 0..2 {
            let (consumer, accounts) = (consumer.clone(), Arc::clone(&accounts));
            threads.push(thread::spawn(move || take(&consumer, &accounts, over)));
        }
        model::spend(LEASE);
        for thread in threads {
            thread.join().unwrap();
        }
        // Whatever nobody acknowledged is there.
        take(&consumer, &accounts, over);
        for account in &*accounts {
            assert_eq!(*account.acked.lock(), 1);
        }
        engine.close().unwrap();
    });
}
