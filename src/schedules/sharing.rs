//! Consumers that share queues: whoever sleeps is woken when he gets those of another one.

use std::time::Duration;

use super::*;
use crate::options::LONGEST_WAIT;
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
