//! Consumers that share queues: whoever sleeps is woken when he gets those of another one, and who is taken for dead has settled what he held or has not.

use std::time::Duration;

use super::*;
use crate::ErrorKind;
use crate::options::LONGEST_WAIT;
use crate::retry::Retry;
use crate::sync::thread;

fn member(engine: &Arc<Engine>) -> Consumer<[u8], Raw> {
    let consumer = ConsumerBuilder::new(engine, crate::Topic::<[u8], Raw>::new("t"), "g");
    consumer.ordered_by_queue().pull().unwrap()
}

#[test]
fn a_consumer_that_leaves_wakes_the_one_who_gets_its_queues() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let (leaves, stays) = (member(&engine), member(&engine));
        // The first queue is the first one's.
        producer(&engine).message(b"m").queue(0).send().unwrap();
        let stays =
            thread::spawn(move || stays.recv(LONGEST_WAIT).unwrap().unwrap().ack().unwrap());
        drop(leaves);
        stays.join().unwrap();
        engine.close().unwrap();
    });
}

#[test]
fn what_a_consumer_holds_that_left_wakes_the_new_owner_when_it_is_settled() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let (leaves, stays) = (member(&engine), member(&engine));
        for body in [b"1", b"2"] {
            producer(&engine).message(body).queue(0).send().unwrap();
        }
        let held = leaves.recv(Duration::ZERO).unwrap().unwrap();
        let stays = thread::spawn(move || {
            let second = stays.recv(LONGEST_WAIT).unwrap().unwrap();
            assert_eq!(second.body(), b"2");
            second.ack().unwrap();
        });
        drop(leaves);
        held.ack().unwrap();
        stays.join().unwrap();
        engine.close().unwrap();
    });
}

const HEARTBEAT: Duration = Duration::from_secs(60);

/// What is known of one message.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// Somebody is about to acknowledge it, or has.
    tried: bool,
    /// How many acknowledgements were good.
    acked: usize,
}

type Accounts = Arc<Mutex<[Account; 2]>>;
type Got = crate::consumer::Delivery<Box<[u8]>>;

/// Whether it was good; if not, then because the message is somebody else's.
fn ack(accounts: &Accounts, got: Got) -> bool {
    let offset = usize::try_from(got.message().queue_offset().get()).unwrap();
    accounts.lock().get_mut(offset).unwrap().tried = true;
    let settled = got.ack().map_err(|e| e.kind());
    let good = settled.is_ok();
    assert!(good || settled == Err(ErrorKind::Stale), "{settled:?}");
    accounts.lock().get_mut(offset).unwrap().acked += usize::from(good);
    good
}

/// Whoever takes over gets what is not acknowledged, in order, and has it.
fn take(consumer: &Consumer<[u8], Raw>, accounts: &Accounts) -> bool {
    let Some(got) = consumer.recv(Duration::ZERO).unwrap() else { return false };
    if got.message().queue_offset().get() == 1 {
        assert!(accounts.lock()[0].tried, "it overtakes the first one");
    }
    assert!(ack(accounts, got), "it was taken out of his hands");
    true
}

#[test]
fn a_consumer_that_is_taken_for_dead_has_settled_its_message_or_somebody_else_has_it() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let topic = || crate::Topic::<[u8], Raw>::new("t");
        let member = || {
            let builder = ConsumerBuilder::new(&engine, topic(), "g").ordered_by_queue();
            let builder = builder.retry(Retry::fixed(Duration::ZERO));
            builder.heartbeat_timeout(HEARTBEAT).pull().unwrap()
        };
        let (dies, other) = (member(), member());
        producer(&engine).send_batch([*b"1", *b"2"]).unwrap();
        let held = dies.recv_batch(2, Duration::ZERO).unwrap();
        assert_eq!(held.len(), 2);
        let accounts = Accounts::default();
        let settles = {
            let accounts = Arc::clone(&accounts);
            thread::spawn(move || {
                for got in held {
                    match model::choose(4) {
                        0 => drop(got),
                        1 => drop(got.fail()),
                        _ => drop(ack(&accounts, got)),
                    }
                }
            })
        };
        let takes = {
            let accounts = Arc::clone(&accounts);
            thread::spawn(move || {
                for _ in 0..3 {
                    take(&other, &accounts);
                }
                other
            })
        };
        model::spend(HEARTBEAT);
        settles.join().unwrap();
        let other = takes.join().unwrap();
        drop(dies);
        while take(&other, &accounts) {}
        assert_eq!(accounts.lock().map(|account| account.acked), [1, 1]);
        engine.close().unwrap();
    });
}
