//! A message that was set aside is given another chance while others receive.

use std::time::Duration;

use super::*;
use crate::consumer::Delivery;
use crate::engine::dispatch::Place;
use crate::retry::Retry;
use crate::sync::thread;

type Got = Delivery<Box<[u8]>>;

/// Consumers with other terms begin anew with what they meet.
fn builder(engine: &Arc<Engine>, deaths: u32) -> ConsumerBuilder<[u8], Raw> {
    let topic = crate::Topic::<[u8], Raw>::new("t");
    ConsumerBuilder::new(engine, topic, "g").retry(Retry::never()).poison_guard(deaths)
}

fn take(consumer: &Consumer<[u8], Raw>) -> Option<Got> {
    consumer.recv(Duration::ZERO).unwrap()
}

fn place(got: &Got) -> Place {
    (got.message().queue().get(), got.message().queue_offset().get())
}

#[test]
fn a_message_that_is_forgiven_while_somebody_comes_to_it_has_one_holder() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        producer(&engine).send(b"m").unwrap();
        let failing = take(&builder(&engine, 5).pull().unwrap()).unwrap();
        let aside = place(&failing);
        failing.fail().unwrap();
        let consumer = builder(&engine, 6).pull().unwrap();
        let dispatch = engine.dispatches().pop().unwrap();
        let taker = {
            let consumer = consumer.clone();
            thread::spawn(move || [take(&consumer), take(&consumer)])
        };
        assert!(dispatch.forgive(aside).unwrap());
        let taken = taker.join().unwrap();
        let mut holders: Vec<_> = taken.into_iter().flatten().collect();
        holders.extend(take(&consumer));
        assert_eq!(holders.len(), 1);
        holders.pop().unwrap().ack().unwrap();
        engine.close().unwrap();
    });
}

#[test]
fn a_message_that_is_forgiven_as_it_fails_keeps_its_place_in_the_order() {
    explore(|| {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(Flush::default()));
        let producer = producer(&engine);
        for _ in 0..2 {
            producer.message(b"m").order_by("k").send().unwrap();
        }
        let consumer = builder(&engine, 5).ordered().pull().unwrap();
        let failing = take(&consumer).unwrap();
        let aside = place(&failing);
        assert!(take(&consumer).is_none());
        let dispatch = engine.dispatches().pop().unwrap();
        let failure = thread::spawn(move || failing.fail().unwrap());
        let forgiven = dispatch.forgive(aside).unwrap();
        let first = take(&consumer);
        failure.join().unwrap();
        if first.is_some() {
            assert!(take(&consumer).is_none(), "two of a key are held; forgiven: {forgiven}");
        }
        drop(first);
        engine.close().unwrap();
    });
}
