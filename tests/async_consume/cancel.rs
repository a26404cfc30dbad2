//! Futures that are dropped after any number of polls: nothing is lost, and nothing has failed.

use super::*;

/// Polls a future `polls` times and drops it. Says what it brought.
pub(super) async fn cancelled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if let Poll::Ready(out) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(out);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

/// For each number of polls, until `job` says that it came to an end by itself.
pub(super) fn at_every_poll(job: impl AsyncFn(usize) -> bool) {
    for polls in 0..1000 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        if runtime.block_on(job(polls)) {
            assert!(polls > 0, "it was cancelled nowhere");
            return;
        }
    }
    panic!("it never came to an end");
}

#[test]
fn a_work_that_is_dropped_after_any_poll_leaves_what_it_did_not_finish_as_it_was() {
    for concurrency in [1, 3] {
        at_every_poll(async |polls| {
            let queue = filled(7);
            let (control, work) = workers(&queue)
                .concurrency(concurrency)
                .run_async(|_| async {
                    yield_once().await;
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    Ok(())
                })
                .unwrap();
            assert!(cancelled(work, polls).await.is_none());
            let stats = control.stats();
            assert_eq!((stats.running, stats.failed), (0, 0));
            let left = left(&queue);
            assert_eq!(stats.handled + u64::try_from(left.len()).unwrap(), 7, "{polls} polls");
            assert!(left.iter().all(|(_, attempt)| *attempt == 1), "{left:?}");
            queue.close().unwrap();
            stats.handled == 7
        });
    }
}

#[test]
fn a_shutdown_that_is_dropped_after_any_poll_goes_on() {
    at_every_poll(async |polls| {
        let queue = filled(3);
        let (control, work) = workers(&queue)
            .concurrency(2)
            .run_async(|_| async {
                tokio::time::sleep(Duration::from_millis(3)).await;
                Ok(())
            })
            .unwrap();
        let work = tokio::spawn(work);
        while control.stats().running < 2 {
            tokio::task::yield_now().await;
        }
        let ended = cancelled(control.shutdown(LONG), polls).await;
        work.await.unwrap().unwrap();
        assert_eq!(control.stats().handled, 2, "those that ran");
        assert_eq!(left(&queue).len(), 1);
        queue.close().unwrap();
        ended.is_some_and(|report| report.unwrap().unfinished.is_empty())
    });
}

#[test]
fn a_receiver_that_is_dropped_after_any_poll_leaves_every_message() {
    at_every_poll(async |polls| {
        let queue = Queue::in_memory().unwrap();
        let consumer = puller(&queue);
        let others = [(); 2].map(|()| tokio::spawn(consumer.recv_async(LONG)));
        let filler = async {
            yield_once().await;
            fill(&queue, 3);
        };
        let waits = cancelled(consumer.recv_async(LONG), polls);
        let (received, ()) = futures_lite::future::zip(waits, filler).await;
        let ended = received.is_some();
        drop(received);
        for other in others {
            other.await.unwrap().unwrap().unwrap().ack().unwrap();
        }
        assert_eq!(left(&queue).len(), 1, "{polls} polls");
        queue.close().unwrap();
        ended
    });
}

#[test]
fn a_receiver_of_batches_that_is_dropped_after_any_poll_leaves_every_message() {
    at_every_poll(async |polls| {
        let queue = Queue::in_memory().unwrap();
        let consumer = puller(&queue);
        let filler = async {
            yield_once().await;
            fill(&queue, 5);
        };
        let waits = cancelled(consumer.recv_batch_async(3, LONG), polls);
        let (received, ()) = futures_lite::future::zip(waits, filler).await;
        let ended = received.is_some();
        drop(received);
        assert_eq!(left(&queue).len(), 5, "{polls} polls");
        queue.close().unwrap();
        ended
    });
}
