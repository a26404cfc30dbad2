//! What the feature `metrics` counts, under which names.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/observe/recorder.rs"]
mod recorder;

use std::time::Duration;

use pocketmq::{Queue, Receipt, Retry, Ticket, Topic};

use recorder::recorder;

/// Long enough for whatever will come.
const PATIENCE: Duration = Duration::from_secs(60);

fn bytes(receipts: &[Receipt]) -> u64 {
    receipts.iter().map(|receipt| u64::from(receipt.size)).sum()
}

fn counter(name: &str, labels: &str) -> Option<u64> {
    recorder().counter(&format!("{name}{{{labels}}}"))
}

fn gauge(name: &str, labels: &str) -> Option<f64> {
    recorder().gauge(&format!("{name}{{{labels}}}"))
}

#[test]
fn what_comes_in_is_counted_by_topic() {
    recorder();
    let queue = Queue::in_memory().unwrap();
    let sent = queue.producer(Topic::<u64>::new("in")).unwrap();
    let mut receipts = vec![sent.send(&1).unwrap()];
    receipts.extend(sent.send_batch([2, 3]).unwrap());
    receipts.push(sent.submit(&4).unwrap().wait().unwrap());
    sent.message(&5).queue(9).send().unwrap_err();

    assert_eq!(counter("rocketmq_messages_in_total", r#"topic="in""#), Some(4));
    assert_eq!(counter("rocketmq_throughput_in_total", r#"topic="in""#), Some(bytes(&receipts)));
    queue.close().unwrap();
}

#[test]
fn what_waited_in_line_is_counted_when_it_is_stored() {
    recorder();
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::options().staging_size(64 << 10).open(dir.path()).unwrap();
    let sent = queue.producer(Topic::<String>::new("line")).unwrap();
    let body = "x".repeat(40 << 10);
    let mut tickets = Vec::new();
    while tickets.iter().all(|ticket: &Ticket| ticket.receipt().is_some()) {
        tickets.push(sent.submit(&body).unwrap());
    }
    let receipts: Vec<_> = tickets.into_iter().map(|ticket| ticket.wait().unwrap()).collect();
    queue.close().unwrap();

    assert_eq!(
        counter("rocketmq_messages_in_total", r#"topic="line""#),
        Some(receipts.len() as u64)
    );
    assert_eq!(counter("rocketmq_throughput_in_total", r#"topic="line""#), Some(bytes(&receipts)));
}

#[test]
fn what_goes_out_and_how_it_is_settled_is_counted_by_topic_and_group() {
    const TOPIC: Topic<u64> = Topic::new("out");
    recorder();
    let queue = Queue::in_memory().unwrap();
    let receipts = queue.producer(TOPIC).unwrap().send_batch([1, 2, 3]).unwrap();
    let retry = Retry::fixed(Duration::ZERO).max_attempts(2);
    let consumer = queue.consumer(TOPIC, "mailer").retry(retry).pull().unwrap();
    let all = consumer.recv_batch(3, PATIENCE).unwrap();
    let mut all = all.into_iter();
    all.next().unwrap().fail().unwrap();
    consumer.ack_all(all).unwrap();
    consumer.recv(PATIENCE).unwrap().unwrap().fail().unwrap();
    // Another group has figures of its own.
    let other = queue.consumer(TOPIC, "books").pull().unwrap();
    other.recv(PATIENCE).unwrap().unwrap().ack().unwrap();

    let of = |name: &str, group: &str| {
        counter(name, &format!(r#"topic="out",consumer_group="{group}""#))
    };
    assert_eq!(of("rocketmq_messages_out_total", "mailer"), Some(4));
    let again = bytes(&receipts) + bytes(&receipts[..1]);
    assert_eq!(of("rocketmq_throughput_out_total", "mailer"), Some(again));
    assert_eq!(of("pocketmq_messages_acked_total", "mailer"), Some(2));
    assert_eq!(of("pocketmq_attempts_failed_total", "mailer"), Some(2));
    assert_eq!(of("pocketmq_messages_set_aside_total", "mailer"), Some(1));
    assert_eq!(of("pocketmq_leases_expired_total", "mailer"), Some(0));
    assert_eq!(of("rocketmq_messages_out_total", "books"), Some(1));
    assert_eq!(of("pocketmq_messages_acked_total", "books"), Some(1));
    queue.close().unwrap();
}

#[test]
fn a_lease_that_ends_is_counted() {
    const TOPIC: Topic<u64> = Topic::new("leased");
    recorder();
    let queue = Queue::in_memory().unwrap();
    queue.producer(TOPIC).unwrap().send(&1).unwrap();
    let consumer = queue.consumer(TOPIC, "g").lease(Duration::from_millis(1)).pull().unwrap();
    let held = consumer.recv(Duration::ZERO).unwrap().unwrap();
    consumer.recv(PATIENCE).unwrap().unwrap().ack().unwrap();
    held.ack().unwrap_err();

    let labels = r#"topic="leased",consumer_group="g""#;
    assert_eq!(counter("pocketmq_leases_expired_total", labels), Some(1));
    assert_eq!(counter("pocketmq_attempts_failed_total", labels), Some(0));
    assert_eq!(counter("pocketmq_messages_acked_total", labels), Some(1));
    queue.close().unwrap();
}

#[test]
fn gauges_are_set_when_asked_and_not_before() {
    const TOPIC: Topic<u64> = Topic::new("gauged");
    recorder();
    let queue = Queue::in_memory().unwrap();
    queue.producer(TOPIC).unwrap().send_batch([1, 2, 3, 4, 5]).unwrap();
    let retry = Retry::fixed(Duration::from_secs(3600)).max_attempts(2);
    let consumer = queue.consumer(TOPIC, "mailer").retry(retry).pull().unwrap();
    let mut all = consumer.recv_batch(4, PATIENCE).unwrap().into_iter();
    all.next().unwrap().ack().unwrap();
    all.next().unwrap().fail().unwrap();

    let of = |name: &str| gauge(name, r#"topic="gauged",consumer_group="mailer""#);
    assert_eq!(of("rocketmq_consumer_lag_messages"), None);
    queue.record_metrics().unwrap();
    assert_eq!(of("rocketmq_consumer_lag_messages"), Some(4.0));
    assert_eq!(of("rocketmq_consumer_inflight_messages"), Some(2.0));
    assert_eq!(of("pocketmq_failed_messages"), Some(1.0));
    assert_eq!(of("pocketmq_set_aside_messages"), Some(0.0));
    let oldest = queue.group("mailer").unwrap().lag().unwrap().remove(0).oldest.unwrap();
    let age = of("rocketmq_consumer_lag_latency").unwrap();
    assert!((0.0..=oldest.as_secs_f64() * 1e3).contains(&age), "{age}");

    assert_eq!(recorder().gauge("rocketmq_topic_number"), Some(1.0));
    assert_eq!(recorder().gauge("rocketmq_consumer_group_number"), Some(1.0));
    assert_eq!(recorder().gauge("pocketmq_poisoned"), Some(0.0));
    let log = queue.stats().unwrap().log;
    assert!(log.next.get() > 0);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let size = (log.next.get() - log.min.get()) as f64;
    assert_eq!(recorder().gauge("rocketmq_storage_size"), Some(size));
    assert!(recorder().gauge("rocketmq_storage_flush_behind_bytes").unwrap() <= size);

    assert_eq!(recorder().without_description(), Vec::<String>::new());
    queue.close().unwrap();
    assert!(queue.record_metrics().is_err());
}
