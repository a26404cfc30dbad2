//! Pausing, shutting down, closing.

use super::*;

/// Handlers that go on when they are told.
struct Gate(Arc<tokio::sync::Semaphore>);

impl Gate {
    fn shut() -> Self {
        Self(Arc::new(tokio::sync::Semaphore::new(0)))
    }

    fn let_through(&self, count: usize) {
        self.0.add_permits(count);
    }

    fn work(&self, queue: &Queue, concurrency: usize) -> (Control, ByHand<pocketmq::Work>) {
        let gate = Arc::clone(&self.0);
        let (control, work) = workers(queue)
            .concurrency(concurrency)
            .run_async(move |_| {
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await?.forget();
                    Ok(())
                }
            })
            .unwrap();
        (control, ByHand::new(work))
    }
}

#[test]
fn nothing_is_taken_before_the_work_is_polled() {
    let queue = filled(2);
    let (control, work) = Gate::shut().work(&queue, 2);
    assert_eq!(left(&queue), [(0, 1), (1, 1)]);
    assert_eq!(control.stats().running, 0);
    drop(work);
    queue.close().unwrap();
}

#[test]
fn a_shutdown_lets_handlers_finish_and_takes_nothing_more() {
    let (queue, gate) = (filled(3), Gate::shut());
    let (control, mut work) = gate.work(&queue, 2);
    assert!(work.settle().is_pending());
    let mut shutdown = ByHand::new(control.shutdown(LONG));
    assert!(shutdown.poll().is_pending());
    gate.let_through(1);
    assert!(work.settle().is_pending());
    assert!(shutdown.poll().is_pending());
    gate.let_through(2);
    assert!(matches!(work.settle(), Poll::Ready(Ok(()))));
    assert!(shutdown.rings() > 0);
    let Poll::Ready(report) = shutdown.poll() else { panic!("it is over") };
    assert!(report.unwrap().unfinished.is_empty());
    assert_eq!(control.stats().handled, 2);
    assert_eq!(left(&queue), [(2, 1)]);
    queue.close().unwrap();
}

#[test]
fn a_shutdown_whose_time_is_over_says_what_is_not_finished_and_gives_it_back() {
    current_thread().block_on(async {
        let (queue, gate) = (filled(3), Gate::shut());
        let (control, mut work) = gate.work(&queue, 2);
        assert!(work.settle().is_pending());
        // On the queue's own clock, whether the work is polled or not.
        let report = control.shutdown(Duration::from_millis(5)).await.unwrap();
        let mut offsets: Vec<_> = report.unfinished.iter().map(|job| job.offset.get()).collect();
        offsets.sort_unstable();
        assert_eq!(offsets, [0, 1]);
        assert!(work.rings() > 0);
        assert!(matches!(work.settle(), Poll::Ready(Ok(()))));
        assert_eq!(left(&queue), [(0, 1), (1, 1), (2, 1)]);
        queue.close().unwrap();
    });
}

#[test]
fn the_time_of_a_shutdown_that_nobody_awaits_is_over_too() {
    current_thread().block_on(async {
        let (queue, gate) = (filled(1), Gate::shut());
        let (control, work) = gate.work(&queue, 1);
        let work = tokio::spawn(work.future);
        while control.stats().running == 0 {
            tokio::task::yield_now().await;
        }
        drop(control.shutdown(Duration::from_millis(5)));
        work.await.unwrap().unwrap();
        assert_eq!(left(&queue), [(0, 1)]);
        queue.close().unwrap();
    });
}

#[test]
fn a_shutdown_of_a_work_that_is_gone_is_over() {
    let queue = filled(0);
    let (control, work) = Gate::shut().work(&queue, 1);
    let mut waiting = ByHand::new(control.shutdown(LONG));
    assert!(waiting.poll().is_pending());
    drop(work);
    assert!(waiting.rings() > 0);
    assert!(waiting.poll().is_ready());
    assert!(ByHand::new(control.shutdown(LONG)).poll().is_ready());
    queue.close().unwrap();
}

#[test]
fn a_paused_work_leaves_messages_to_others_until_it_is_resumed() {
    let (queue, gate) = (Queue::in_memory().unwrap(), Gate::shut());
    gate.let_through(100);
    let (control, mut work) = gate.work(&queue, 2);
    assert!(work.settle().is_pending());
    let consumer = puller(&queue);
    let mut other = ByHand::new(consumer.recv_async(LONG));
    assert!(other.poll().is_pending());
    // It was woken for the message, and does not take it.
    fill(&queue, 1);
    control.pause();
    assert!(work.settle().is_pending());
    let Poll::Ready(got) = other.settle() else { panic!("it was told of nothing") };
    got.unwrap().unwrap().ack().unwrap();
    assert_eq!(control.stats().handled, 0);
    let rings = work.rings();
    fill(&queue, 1);
    assert_eq!(work.rings(), rings, "what comes is nothing to it");
    control.resume();
    assert!(work.rings() > rings);
    assert!(work.settle().is_pending());
    assert_eq!(control.stats().handled, 1);
    queue.close().unwrap();
}

#[test]
fn a_close_ends_a_work_that_waits_and_one_that_is_paused() {
    let queue = filled(0);
    let (_waiting, mut first) = Gate::shut().work(&queue, 1);
    let (paused, mut second) = Gate::shut().work(&queue, 1);
    paused.pause();
    assert!(first.settle().is_pending());
    assert!(second.settle().is_pending());
    let rings = (first.rings(), second.rings());
    queue.close().unwrap();
    assert!(first.rings() > rings.0);
    assert!(second.rings() > rings.1);
    assert!(matches!(first.settle(), Poll::Ready(Ok(()))));
    assert!(matches!(second.settle(), Poll::Ready(Ok(()))));
}

#[test]
fn after_a_close_handlers_run_to_their_end_and_their_messages_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    fill(&queue, 2);
    let gate = Gate::shut();
    let (control, mut work) = gate.work(&queue, 2);
    assert!(work.settle().is_pending());
    queue.close().unwrap();
    gate.let_through(1);
    assert!(work.settle().is_pending(), "one still runs");
    gate.let_through(1);
    assert!(matches!(work.settle(), Poll::Ready(Ok(()))));
    assert_eq!(control.stats().handled, 0);
    drop(work);
    let queue = Queue::open(dir.path()).unwrap();
    assert_eq!(left(&queue), [(0, 1), (1, 1)]);
    queue.close().unwrap();
}

#[test]
fn a_work_keeps_the_queue_open_and_a_control_does_not() {
    let queue = filled(1);
    let (control, work) = workers(&queue).run_async(|_| async { Ok(()) }).unwrap();
    drop(queue);
    let mut work = ByHand::new(work);
    assert!(work.settle().is_pending());
    assert_eq!(control.stats().handled, 1);
    drop(work);
    assert!(ByHand::new(control.shutdown(LONG)).poll().is_ready());
}
