//! What happens between a look at the queues and the handing out of what it found.

use std::path::Path;

use super::super::{Found, Wait};
use super::*;
use crate::clock::ManualClock;
use crate::codec::Raw;
use crate::consumer::ConsumerBuilder;
use crate::engine::Engine;
use crate::filter::Filter;
use crate::io::memory::Memory;
use crate::options::Options;
use crate::producer::Producer;
use crate::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_the_filter_passed_over_is_done_though_a_lease_of_the_same_batch_ended_meanwhile() {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let options = Options { background: false, ..Options::default() };
    let storage = Arc::new(Memory::new(None));
    let engine =
        Engine::open_on(storage, Arc::clone(&clock) as _, Path::new("/q"), &options).unwrap();
    engine.store().create_topic("t", 1, true).unwrap();
    let topic = engine.store().topic("t").unwrap();
    let producer = Producer::<[u8], Raw>::new(&engine, Arc::clone(&topic));
    for tag in ["wanted", "other", "other"] {
        producer.message(b"m").tag(tag).send().unwrap();
    }
    let consumer = ConsumerBuilder::new(&engine, crate::Topic::<[u8], Raw>::new("t"), "g");
    let consumer =
        consumer.ordered_by_queue().lease(SECOND).filter(Filter::tags("wanted").unwrap());
    let consumer = consumer.pull().unwrap();
    let dispatch = engine.dispatches().remove(0);
    let by = By { member: 1, batch: 1 };
    let look = |found: &mut Found| {
        dispatch.reserve(1, &mut Wait::up_to(Duration::ZERO), found).unwrap();
    };
    let (mut first, mut second) =
        (Found { by, ..Found::default() }, Found { by, ..Found::default() });
    look(&mut first);
    assert_eq!(dispatch.hand_out(&mut first, 1, true, &mut |_, _| {}).unwrap(), 1);
    look(&mut second);
    assert_eq!(second.passed.len(), 1);
    clock.advance(SECOND);
    dispatch.end_leases();
    dispatch.hand_out(&mut second, 1, true, &mut |_, _| {}).unwrap();
    let left = dispatch.cursors[0].next_unacked(1).0;
    assert_eq!(left, 3, "they are done");
    drop(consumer);
}
