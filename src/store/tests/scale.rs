//! Many topics cost little.

use std::path::Path;

use crate::clock::ManualClock;
use crate::consumequeue::ConsumeQueue;
use crate::engine::Engine;
use crate::io::Storage;
use crate::io::memory::Memory;
use crate::options::Flush;
use crate::store::report::History;
use crate::store::topics::Topic;
use crate::sync::Arc;

use super::world::{ROOT, tiny};

const TOPICS: usize = 10_000;

#[test]
fn an_idle_topic_is_a_few_hundred_bytes() {
    // Two names, a slot in the table, the topic and its queue.
    let bytes = size_of::<Topic>() + size_of::<ConsumeQueue>() + 2 * size_of::<Arc<str>>() + 64;
    assert!(bytes < 400, "{bytes} bytes");
}

#[test]
fn ten_thousand_topics_are_opened_and_closed() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new(None));
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let open = || {
        let (storage, clock) = (Arc::clone(&storage), Arc::clone(&clock));
        Engine::open_on(storage, clock, Path::new(ROOT), &tiny(Flush::default())).unwrap()
    };
    let engine = open();
    for n in 0..TOPICS {
        engine.store().create_topic(&format!("topic-{n}"), 1, true).unwrap();
    }
    engine.close().unwrap();
    for _ in 0..2 {
        let engine = open();
        assert_eq!(engine.store().report.history, History::Clean);
        assert_eq!(engine.store().topics.all().len(), TOPICS);
        engine.close().unwrap();
    }
    // Topics without a message have no files.
    let queues = storage.list(Path::new("/store/consumequeue"));
    assert!(queues.is_err() || queues.unwrap().is_empty());
}
