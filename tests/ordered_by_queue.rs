//! Groups that are ordered by queue, from outside: who has which queue, and who takes over.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use pocketmq::{Consumer, ConsumerBuilder, ErrorKind, Job, Queue, Retry, Strategy, Topic};

const NUMBERS: Topic<u64> = Topic::new("numbers");
const LONG: Duration = Duration::from_secs(3600);

fn group(queue: &Queue) -> ConsumerBuilder<u64> {
    queue.consumer(NUMBERS, "g").ordered_by_queue()
}

fn send(queue: &Queue, to: u32, numbers: std::ops::Range<u64>) {
    let producer = queue.producer(NUMBERS).unwrap();
    for number in numbers {
        producer.message(&number).queue(to).send().unwrap();
    }
}

fn queues(consumer: &Consumer<u64>) -> Vec<u32> {
    consumer.queues().into_iter().map(Into::into).collect()
}

/// A topic's first queue is the first consumer's, and it holds a message of it.
fn holding(
    queue: &Queue,
    heartbeat: Duration,
) -> (Consumer<u64>, pocketmq::Delivery<u64>, Consumer<u64>) {
    let group = || group(queue).heartbeat_timeout(heartbeat);
    let (first, second) = (group().pull().unwrap(), group().pull().unwrap());
    assert!(queues(&first).contains(&0));
    send(queue, 0, 0..1);
    let held = first.recv(Duration::ZERO).unwrap().unwrap();
    (first, held, second)
}

#[test]
fn a_thread_that_sleeps_gets_the_queues_of_a_consumer_that_does_not_answer() {
    let queue = Queue::in_memory().unwrap();
    let (_dead, held, other) = holding(&queue, Duration::from_millis(50));
    let again = other.recv(LONG).unwrap().unwrap();
    assert_eq!((*again, again.attempt()), (0, 1));
    assert_eq!(held.ack().unwrap_err().kind(), ErrorKind::Stale);
    again.ack().unwrap();
    queue.close().unwrap();
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_future_that_waits_gets_the_queues_of_a_consumer_that_does_not_answer() {
    let queue = Queue::in_memory().unwrap();
    let (_dead, held, other) = holding(&queue, Duration::from_millis(50));
    let again = block_on(other.recv_async(LONG)).unwrap().unwrap();
    assert_eq!(held.ack().unwrap_err().kind(), ErrorKind::Stale);
    again.ack().unwrap();
    queue.close().unwrap();
}

#[test]
fn one_that_sleeps_notices_the_death_of_one_that_woke_up_after_it_fell_asleep() {
    let queue = Queue::in_memory().unwrap();
    let group = || group(&queue).heartbeat_timeout(Duration::from_millis(200));
    let (dies, other) = (group().pull().unwrap(), group().pull().unwrap());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| other.recv(LONG).unwrap().unwrap().ack());
        // Both sleep, or are about to: nobody has an alarm.
        let dies = scope.spawn(|| dies.recv(LONG).unwrap().unwrap());
        send(&queue, 0, 0..1);
        let held = dies.join().unwrap();
        other.join().unwrap().unwrap();
        assert_eq!(held.ack().unwrap_err().kind(), ErrorKind::Stale);
    });
    queue.close().unwrap();
}

#[test]
fn a_consumer_that_is_dropped_leaves_its_queues_to_one_that_sleeps() {
    let queue = Queue::in_memory().unwrap();
    let (first, held, second) = holding(&queue, LONG);
    std::thread::scope(|scope| {
        let second = scope.spawn(move || *second.recv(LONG).unwrap().unwrap());
        drop(first);
        drop(held);
        assert_eq!(second.join().unwrap(), 0);
    });
    queue.close().unwrap();
}

#[test]
fn the_threads_of_a_worker_have_queues_of_their_own_and_keep_each_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::options().default_queues(6).open(dir.path()).unwrap();
    let watcher = group(&queue).retry(Retry::fixed(Duration::ZERO)).pull().unwrap();
    let count = queues(&watcher).len();
    for to in 0..u32::try_from(count).unwrap() {
        send(&queue, to, 0..50);
    }
    let (told, heard) = channel();
    let busy = Mutex::new(vec![false; count]);
    let worker = group(&queue).retry(Retry::fixed(Duration::ZERO)).concurrency(3);
    let worker = worker.run(move |number| {
        let at = number.message().queue().get() as usize;
        assert!(!std::mem::replace(&mut busy.lock().unwrap()[at], true), "two are in a queue");
        let fails = number.attempt() == 1 && **number % 7 == 0;
        busy.lock().unwrap()[at] = false;
        if fails {
            return Err("once more".into());
        }
        told.send((at, **number))?;
        Ok(())
    });
    let worker = worker.unwrap();
    assert!(queues(&watcher).len() < count, "it shares with the threads");
    drop(watcher);
    let mut next = vec![0; count];
    for (at, number) in heard.iter().take(count * 50) {
        assert_eq!(number, next[at]);
        next[at] += 1;
    }
    assert!(worker.shutdown(LONG).unwrap().unfinished.is_empty());
    queue.close().unwrap();
}

#[test]
fn the_threads_of_a_worker_of_several_topics_keep_every_queue_of_each_in_order() {
    const OTHERS: Topic<u64> = Topic::new("others");
    let queue = Queue::options().default_queues(3).in_memory().unwrap();
    let others = queue.producer(OTHERS).unwrap();
    for to in 0..3 {
        send(&queue, to, 0..30);
        for number in 0..30 {
            others.message(&number).queue(to).send().unwrap();
        }
    }
    let (told, heard) = channel();
    let handler = |topic: usize| {
        let told = told.clone();
        move |number: &Job<u64>| {
            if number.attempt() == 1 && (**number).is_multiple_of(7) {
                return Err("once more".into());
            }
            told.send((topic, number.message().queue().get() as usize, **number))?;
            Ok(())
        }
    };
    let worker = queue.worker("g").retry(Retry::fixed(Duration::ZERO)).ordered_by_queue();
    let worker = worker.strategy(Strategy::Circle).heartbeat_timeout(LONG).concurrency(4);
    let worker = worker.on(NUMBERS, handler(0)).on(OTHERS, handler(1)).run().unwrap();
    let same = || group(&queue).retry(Retry::fixed(Duration::ZERO)).strategy(Strategy::Circle);
    let watcher = same().heartbeat_timeout(LONG).pull().unwrap();
    assert!(queues(&watcher).len() < 3, "it shares with the threads");
    assert_eq!(same().pull().unwrap_err().kind(), ErrorKind::InvalidArgument, "its heartbeat");
    drop(watcher);
    let mut next = [[0; 3]; 2];
    for (topic, at, number) in heard.iter().take(2 * 3 * 30) {
        assert_eq!(number, next[topic][at]);
        next[topic][at] += 1;
    }
    assert!(worker.shutdown(LONG).unwrap().unfinished.is_empty());
    let alone = queue.worker("h").strategy(Strategy::Circle).on(NUMBERS, handler(0)).run();
    assert_eq!(alone.unwrap_err().kind(), ErrorKind::InvalidArgument, "it goes with its order");
    queue.close().unwrap();
}

/// Gives others some turns.
async fn others_first() {
    let mut turns = 9;
    std::future::poll_fn(|cx| {
        if turns == 0 {
            return Poll::Ready(());
        }
        turns -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn handlers_that_are_futures_run_beside_each_other_for_different_queues_only() {
    let queue = Queue::options().default_queues(3).in_memory().unwrap();
    for to in 0..3 {
        send(&queue, to, 0..20);
    }
    let (told, heard) = channel();
    let busy = Arc::new(Mutex::new([false; 3]));
    let watched = Arc::clone(&busy);
    let (control, work) = group(&queue)
        .retry(Retry::fixed(Duration::ZERO))
        .concurrency(8)
        .run_async(move |number| {
            let (told, busy) = (told.clone(), Arc::clone(&busy));
            async move {
                let at = number.message().queue().get() as usize;
                assert!(!std::mem::replace(&mut busy.lock().unwrap()[at], true), "two are in it");
                others_first().await;
                let together = busy.lock().unwrap().iter().filter(|busy| **busy).count();
                busy.lock().unwrap()[at] = false;
                if number.attempt() == 1 && *number % 7 == 0 {
                    return Err("once more".into());
                }
                told.send((at, *number, together))?;
                Ok(())
            }
        })
        .unwrap();
    let drive = std::thread::spawn(|| block_on(work));
    let (mut next, mut together) = ([0; 3], 0);
    for (at, number, busy) in heard.iter().take(3 * 20) {
        assert_eq!(number, next[at]);
        next[at] += 1;
        together = together.max(busy);
    }
    assert_eq!(together, 3, "each queue has a handler");
    assert!(block_on(control.shutdown(LONG)).unwrap().unfinished.is_empty());
    drive.join().unwrap().unwrap();
    assert_eq!((control.stats().panicked, *watched.lock().unwrap()), (0, [false; 3]));
    queue.close().unwrap();
}

#[test]
fn a_work_that_has_ended_leaves_its_queues_though_its_future_is_still_there() {
    let queue = Queue::in_memory().unwrap();
    let (control, mut work) = group(&queue).run_async(|_| async { Ok(()) }).unwrap();
    let other = group(&queue).pull().unwrap();
    assert!(queues(&other).is_empty(), "it is the work's");
    let ends = control.shutdown(LONG);
    block_on(&mut work).unwrap();
    assert!(block_on(ends).unwrap().unfinished.is_empty());
    assert_eq!(queues(&other), [0]);
    drop(work);
    queue.close().unwrap();
}

#[cfg(feature = "stream")]
#[test]
fn a_stream_goes_on_with_a_queue_when_the_message_before_is_settled() {
    use futures_lite::{StreamExt, future::poll_once};

    let queue = Queue::in_memory().unwrap();
    send(&queue, 0, 0..3);
    let mut numbers = group(&queue).pull().unwrap().stream();
    for expected in 0..3 {
        let number = block_on(numbers.next()).unwrap().unwrap();
        assert_eq!(*number, expected);
        assert!(block_on(poll_once(numbers.next())).is_none(), "it is in hand");
        number.ack().unwrap();
    }
    queue.close().unwrap();
}

#[test]
fn a_batch_that_fails_in_a_worker_counts_as_an_attempt_of_each_and_comes_again_in_order() {
    let queue = Queue::in_memory().unwrap();
    send(&queue, 0, 0..4);
    let (told, heard) = channel();
    let worker = group(&queue).retry(Retry::fixed(Duration::ZERO));
    let worker = worker.run_batch(4, Duration::ZERO, move |numbers| {
        let batch: Vec<_> = numbers.iter().map(|number| (**number, number.attempt())).collect();
        told.send(batch)?;
        if numbers.iter().any(|number| number.attempt() == 1) {
            Err("all again".into())
        } else {
            Ok(())
        }
    });
    let worker = worker.unwrap();
    let first: Vec<_> = heard.iter().flatten().take(4).collect();
    assert_eq!(first, [(0, 1), (1, 1), (2, 1), (3, 1)]);
    let second: Vec<_> = heard.iter().flatten().take(4).collect();
    assert_eq!(second, [(0, 2), (1, 2), (2, 2), (3, 2)]);
    assert!(worker.shutdown(LONG).unwrap().unfinished.is_empty());
    queue.close().unwrap();
}

#[test]
fn a_handler_that_hangs_loses_its_queue_after_its_time() {
    let queue = Queue::in_memory().unwrap();
    send(&queue, 0, 0..1);
    let at_once = || Retry::fixed(Duration::ZERO);
    let group = || group(&queue).retry(at_once()).heartbeat_timeout(Duration::from_millis(20));
    let (begun, has_begun) = channel();
    let (let_go, held) = channel::<()>();
    let held = Mutex::new(held);
    let worker = group().handler_timeout(Duration::from_millis(100)).run(move |_| {
        begun.send(())?;
        held.lock().unwrap().recv().unwrap();
        Ok(())
    });
    let worker = worker.unwrap();
    has_begun.recv().unwrap();
    let other = group().pull().unwrap();
    let again = other.recv(LONG).unwrap().unwrap();
    assert_eq!((*again, again.attempt(), worker.stats().running), (0, 2, 1));
    let_go.send(()).unwrap();
    assert!(worker.shutdown(LONG).unwrap().unfinished.is_empty());
    assert_eq!(worker.stats().handled, 0, "it came too late");
    again.ack().unwrap();
    queue.close().unwrap();
}

#[test]
fn a_message_that_hangs_in_every_handler_is_set_aside_after_its_attempts_and_the_others_are_handled()
 {
    let queue = Queue::options().default_queues(4).in_memory().unwrap();
    for to in 0..4 {
        send(&queue, to, 0..2);
    }
    let (told, heard) = channel();
    let (let_go, held) = channel::<()>();
    let held = Mutex::new(held);
    let twice = Retry::fixed(Duration::ZERO).max_attempts(2);
    let worker = group(&queue).retry(twice).heartbeat_timeout(Duration::from_millis(20));
    let worker = worker.concurrency(4).handler_timeout(Duration::from_millis(100));
    let worker = worker.run(move |number| {
        let place = (number.message().queue().get(), **number);
        told.send((place, number.attempt()))?;
        if place == (0, 0) {
            let _ = held.lock().unwrap().recv();
        }
        Ok(())
    });
    let worker = worker.unwrap();
    let mut handled: Vec<_> = heard.iter().take(9).collect();
    handled.sort_unstable();
    let once = |to| [((to, 0), 1), ((to, 1), 1)];
    let mut expected = [[((0, 0), 1), ((0, 0), 2)], once(1), once(2), once(3)].concat();
    expected.insert(2, ((0, 1), 1));
    assert_eq!(handled, expected);
    assert_eq!(queue.group("g").unwrap().set_aside().unwrap().len(), 1);
    drop(let_go);
    assert!(worker.shutdown(LONG).unwrap().unfinished.is_empty());
    queue.close().unwrap();
}

#[test]
fn a_worker_that_is_paused_leaves_its_queues_to_one_that_sleeps_and_takes_its_part_again() {
    let queue = Queue::options().default_queues(2).in_memory().unwrap();
    let (told, heard) = channel();
    let worker = group(&queue).heartbeat_timeout(LONG).concurrency(2);
    let worker = worker.run(move |number| Ok(told.send(**number)?)).unwrap();
    let other = group(&queue).heartbeat_timeout(LONG).pull().unwrap();
    assert!(queues(&other).is_empty());
    std::thread::scope(|scope| {
        let received = scope.spawn(|| other.recv(LONG).unwrap().unwrap().ack());
        worker.pause();
        // Not taken by a thread that was about to pause, or given back by it.
        send(&queue, 0, 0..1);
        received.join().unwrap().unwrap();
    });
    assert_eq!(queues(&other), [0, 1]);
    worker.resume();
    drop(other);
    send(&queue, 0, 1..2);
    assert_eq!(heard.recv().unwrap(), 1);
    assert!(worker.shutdown(LONG).unwrap().unfinished.is_empty());
    queue.close().unwrap();
}
