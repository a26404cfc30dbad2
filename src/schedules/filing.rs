//! Several threads make queues durable, and with them the log.

use super::*;
use crate::io::memory::Memory;
use crate::sync::thread;

#[test]
fn queues_are_made_durable_by_one_after_the_other() {
    explore(|| {
        let options = options(Flush::default()).segment_size(16 << 10);
        let engine = open(Arc::new(Memory::new(None)), &options);
        let flushing = [(); 2].map(|()| {
            let (store, producer) = (Arc::clone(engine.store()), producer(&engine));
            // Each message goes into the next file of the log, and after that the queues are made durable.
            thread::spawn(move || {
                for _ in 0..2 {
                    producer.send(&[7; 9000]).unwrap();
                    store.flush().unwrap();
                }
            })
        });
        for flushing in flushing {
            flushing.join().unwrap();
        }
        engine.close().unwrap();
    });
}

/// The queues are made durable behind the log: whoever does that tells nobody who waits for the log.
#[test]
fn a_durable_send_returns_though_somebody_else_made_it_durable() {
    explore(|| {
        let options = options(Flush::Sync).segment_size(16 << 10);
        let engine = open(Arc::new(Memory::new(None)), &options);
        let senders = [(); 2].map(|()| {
            let producer = producer(&engine);
            thread::spawn(move || {
                for _ in 0..2 {
                    producer.send(&[7; 9000]).unwrap();
                }
            })
        });
        for sender in senders {
            sender.join().unwrap();
        }
        engine.close().unwrap();
    });
}
