//! What the feature `tracing` says of the queue's work, and what it never says.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/observe/subscriber.rs"]
mod subscriber;

use std::sync::mpsc::channel;
use std::time::Duration;

use pocketmq::{ErrorKind, HandlerError, Queue, Retry, Topic};

use subscriber::{Seen, notes};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Long enough for whatever will come.
const PATIENCE: Duration = Duration::from_secs(60);

fn topic(name: &'static str) -> Topic<String> {
    Topic::new(name)
}

/// The fields of a span or event, as one text.
fn line(seen: &Seen, fields: &[&str]) -> String {
    let of = |field: &&str| format!("{field}={}", seen.get(field).unwrap_or("-"));
    fields.iter().map(of).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_send_is_a_span_that_says_where_and_how_much() {
    drop(notes());
    let queue = Queue::in_memory().unwrap();
    let sent = queue.producer(topic("sent")).unwrap();
    let one = sent.send(&"one".to_owned()).unwrap();
    let two = sent.send_batch(["two".to_owned(), "three".to_owned()]).unwrap();
    sent.submit(&"four".to_owned()).unwrap().wait().unwrap();
    let named = sent.message(&"five".to_owned()).queue(7).send().unwrap_err();
    assert_eq!(named.kind(), ErrorKind::NotFound);
    queue.close().unwrap();
    assert_eq!(sent.send(&"six".to_owned()).unwrap_err().kind(), ErrorKind::Closed);

    let spans = notes().spans("send", "sent");
    let lines: Vec<_> =
        spans.iter().map(|(_, seen)| line(seen, &["queue", "offset", "count", "error"])).collect();
    assert_eq!(
        lines,
        [
            "queue=0 offset=0 count=1 error=-",
            "queue=0 offset=1 count=2 error=-",
            "queue=0 offset=3 count=1 error=-",
            "queue=0 offset=- count=- error=Closed",
        ]
    );
    let sizes: Vec<u32> =
        spans[..2].iter().map(|(_, seen)| seen.get("size").unwrap().parse().unwrap()).collect();
    assert_eq!(sizes, [one.size, two.iter().map(|receipt| receipt.size).sum()]);
    assert!(spans.iter().all(|(_, seen)| seen.closed));
}

#[test]
fn a_delivery_is_a_span_until_it_is_settled() {
    drop(notes());
    let queue = Queue::in_memory().unwrap();
    let pulled = queue.producer(topic("pulled")).unwrap();
    let receipt = pulled.message(&"one".to_owned()).property("traceparent", PARENT).send().unwrap();
    pulled.send_batch(["two".to_owned(), "three".to_owned(), "four".to_owned()]).unwrap();
    pulled.message(&"five".to_owned()).property("traceparent", "my name").send().unwrap();
    let consumer = queue.consumer(topic("pulled"), "mailer").pull().unwrap();
    let mut deliveries = consumer.recv_batch(10, Duration::ZERO).unwrap().into_iter();
    assert!(notes().spans("delivery", "pulled").iter().all(|(_, seen)| !seen.closed));

    let first = deliveries.next().unwrap();
    first.span().in_scope(|| tracing::info!(target: "observe", topic = "pulled", "at work"));
    let id = first.message().id().to_string();
    first.ack().unwrap();
    deliveries.next().unwrap().snooze(Duration::from_secs(3600)).unwrap();
    drop(deliveries.next().unwrap());
    consumer.ack_all(deliveries).unwrap();
    assert_eq!(id, receipt.id.to_string());

    let spans = notes().spans("delivery", "pulled");
    let said = ["group", "queue", "offset", "attempt", "traceparent", "outcome"];
    let lines: Vec<_> = spans.iter().map(|(_, seen)| line(seen, &said)).collect();
    assert_eq!(
        lines,
        [
            format!("group=mailer queue=0 offset=0 attempt=1 traceparent={PARENT} outcome=acked"),
            "group=mailer queue=0 offset=1 attempt=1 traceparent=- outcome=put off".to_owned(),
            "group=mailer queue=0 offset=2 attempt=1 traceparent=- outcome=given back".to_owned(),
            "group=mailer queue=0 offset=3 attempt=1 traceparent=- outcome=acked".to_owned(),
            "group=mailer queue=0 offset=4 attempt=1 traceparent=- outcome=acked".to_owned(),
        ]
    );
    assert!(spans.iter().all(|(_, seen)| seen.closed));
    assert_eq!(spans[0].1.get("message_id"), Some(id.as_str()));
    assert_eq!(notes().events("message", "at work")[0].others, [spans[0].0]);
    queue.close().unwrap();
}

#[test]
fn a_handler_runs_in_the_span_of_its_message() {
    drop(notes());
    let queue = Queue::in_memory().unwrap();
    queue.producer(topic("handled")).unwrap().send_batch(["one".to_owned()]).unwrap();
    let (told, handled) = channel();
    let worker = queue.consumer(topic("handled"), "mailer").run(move |_| {
        tracing::info!(target: "observe", "mailing");
        Ok(told.send(())?)
    });
    let worker = worker.unwrap();
    handled.recv_timeout(PATIENCE).unwrap();
    worker.shutdown(PATIENCE).unwrap();

    let spans = notes().spans("delivery", "handled");
    assert_eq!(line(&spans[0].1, &["offset", "outcome"]), "offset=0 outcome=acked");
    assert_eq!(notes().events("message", "mailing")[0].others, [spans[0].0]);
    queue.close().unwrap();
}

#[test]
fn a_handler_of_many_runs_in_a_span_that_follows_from_theirs() {
    drop(notes());
    let queue = Queue::in_memory().unwrap();
    let all = ["one", "two", "three"].map(str::to_owned);
    queue.producer(topic("together")).unwrap().send_batch(all).unwrap();
    let (told, handled) = channel();
    let consumer = queue.consumer(topic("together"), "mailer");
    let worker = consumer.run_batch(3, PATIENCE, move |jobs| {
        tracing::info!(target: "observe", "booking");
        Ok(told.send(jobs.len())?)
    });
    let worker = worker.unwrap();
    assert_eq!(handled.recv_timeout(PATIENCE).unwrap(), 3);
    worker.shutdown(PATIENCE).unwrap();

    let notes = notes();
    let (number, batch) = notes.spans("batch", "together").pop().unwrap();
    assert_eq!(line(&batch, &["group", "count"]), "group=mailer count=3");
    let deliveries: Vec<_> =
        notes.spans("delivery", "together").iter().map(|(number, _)| *number).collect();
    assert_eq!(batch.others, deliveries);
    assert_eq!(notes.events("message", "booking")[0].others, [number]);
    drop(notes);
    queue.close().unwrap();
}

#[test]
fn every_failed_attempt_is_an_event_and_the_last_one_says_that_the_message_is_set_aside() {
    drop(notes());
    let queue = Queue::in_memory().unwrap();
    queue.producer(topic("failing")).unwrap().send(&"one".to_owned()).unwrap();
    let consumer = || queue.consumer(topic("failing"), "mailer");
    let twice = consumer().retry(Retry::fixed(Duration::ZERO).max_attempts(2)).pull().unwrap();
    twice.recv(Duration::ZERO).unwrap().unwrap().fail().unwrap();
    twice.recv(PATIENCE).unwrap().unwrap().fail().unwrap();
    drop(twice);

    let spans = notes().spans("delivery", "failing");
    let of = |seen: &Seen| line(seen, &["message", "group", "queue", "offset", "attempt"]);
    let events = notes().events("topic", "failing");
    assert_eq!(
        events.iter().map(of).collect::<Vec<_>>(),
        [
            "message=an attempt failed group=mailer queue=0 offset=0 attempt=1",
            "message=an attempt failed group=mailer queue=0 offset=0 attempt=2",
            "message=a message is set aside group=mailer queue=0 offset=0 attempt=-",
        ]
    );
    assert_eq!(events[2].get("attempts"), Some("2"));
    let inside: Vec<_> = events.iter().map(|seen| seen.others.clone()).collect();
    assert_eq!(inside, [vec![spans[0].0], vec![spans[1].0], vec![spans[1].0]]);
    assert!(spans.iter().all(|(_, seen)| seen.is("outcome", "failed")));

    // Whoever comes to it later is told as well.
    drop(consumer().retry(Retry::fixed(Duration::from_secs(1)).max_attempts(1)).pull().unwrap());
    let later = notes().events("topic", "failing").pop().unwrap();
    assert_eq!(line(&later, &["message", "count"]), "message=messages are set aside count=1");
    queue.close().unwrap();
}

#[test]
fn a_lease_that_ends_is_an_event() {
    drop(notes());
    let queue = Queue::in_memory().unwrap();
    queue.producer(topic("leased")).unwrap().send(&"one".to_owned()).unwrap();
    let consumer =
        queue.consumer(topic("leased"), "mailer").lease(Duration::from_millis(1)).pull().unwrap();
    let held = consumer.recv(Duration::ZERO).unwrap().unwrap();
    let again = consumer.recv(PATIENCE).unwrap().unwrap();
    assert_eq!(held.ack().unwrap_err().kind(), ErrorKind::Stale);

    let ended = notes().events("topic", "leased").remove(0);
    assert_eq!(
        line(&ended, &["message", "group", "queue", "offset", "attempt"]),
        "message=a lease ended group=mailer queue=0 offset=0 attempt=1"
    );
    assert_eq!(again.attempt(), 2);
    assert!(notes().spans("delivery", "leased")[1].1.is("attempt", "2"));
    queue.close().unwrap();
}

#[test]
fn opening_says_what_it_found() {
    drop(notes());
    let dir = tempfile::tempdir().unwrap();
    let path = std::fs::canonicalize(dir.path()).unwrap().display().to_string();
    Queue::open(dir.path()).unwrap().close().unwrap();
    Queue::open(dir.path()).unwrap().close().unwrap();
    let opened = notes().events("path", &path);
    let said = ["history", "records_scanned", "bytes_cut", "units_mended", "damaged"];
    assert_eq!(
        opened.iter().map(|seen| line(seen, &said)).collect::<Vec<_>>(),
        [
            "history=New records_scanned=0 bytes_cut=0 units_mended=0 damaged=0",
            "history=Clean records_scanned=0 bytes_cut=0 units_mended=0 damaged=0",
        ]
    );
}

#[test]
fn bodies_property_values_and_error_texts_are_never_said() {
    drop(notes());
    let queue = Queue::in_memory().unwrap();
    let secret = "hunter2".to_owned();
    let producer = queue.producer(topic("discreet")).unwrap();
    let message = producer.message(&secret).key(&secret).tag(&secret).order_by(&secret);
    let message = message.property("colour", &secret).property("traceparent", &secret);
    message.send().unwrap();
    message.submit().unwrap().wait().unwrap();
    let (told, failed) = channel();
    let say = move |event: &pocketmq::WorkerEvent<'_>| told.send(format!("{event:?}")).unwrap();
    let retry = Retry::fixed(Duration::ZERO).max_attempts(1);
    let tell = |consumer: pocketmq::ConsumerBuilder<String>| {
        let consumer = consumer.retry(retry.clone()).on_event(say.clone());
        let worker = consumer.run(|job| Err::<(), _>(HandlerError::from(job.value().as_str())));
        let worker = worker.unwrap();
        while !failed.recv_timeout(PATIENCE).unwrap().contains("hunter2") {}
        worker.shutdown(PATIENCE).unwrap();
    };
    tell(queue.consumer(topic("discreet"), "mailer"));
    // A number it is not: serde's error quotes it.
    let numbers = queue.consumer(Topic::<u64>::new("discreet"), "books").retry(retry.clone());
    assert!(numbers.pull().unwrap().recv(Duration::ZERO).unwrap().is_none());
    queue.close().unwrap();

    let notes = notes();
    assert!(notes.events("topic", "discreet").len() >= 4);
    assert!(!notes.spans("delivery", "discreet").is_empty());
    assert!(!format!("{notes:?}").contains("hunter2"));
}
