//! The same on different runtimes.

use std::sync::Mutex;

use super::*;

/// Which messages were handled, in order.
fn noted(handled: &Mutex<Vec<u8>>) -> Vec<u8> {
    let mut handled = handled.lock().unwrap().clone();
    handled.sort_unstable();
    handled
}

#[test]
fn on_one_thread_of_tokio_handlers_sleep_beside_each_other() {
    current_thread().block_on(async {
        let queue = filled(40);
        let together = Arc::new(tokio::sync::Barrier::new(8));
        let (control, work) = workers(&queue)
            .concurrency(8)
            .run_async(move |_| {
                let together = Arc::clone(&together);
                async move {
                    // Nobody gets through unless eight run at once.
                    together.wait().await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    Ok(())
                }
            })
            .unwrap();
        let work = tokio::spawn(work);
        handled(&control, 40).await;
        let report = control.shutdown(LONG).await.unwrap();
        assert!(report.unfinished.is_empty());
        work.await.unwrap().unwrap();
        assert_eq!(left(&queue), []);
        queue.close().unwrap();
    });
}

#[test]
fn on_threads_of_tokio_several_works_of_a_group_handle_each_message_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let queue = Queue::in_memory().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let works = [(); 3].map(|()| {
            let seen = Arc::clone(&seen);
            let (control, work) = workers(&queue)
                .concurrency(4)
                .run_async(move |job| {
                    let seen = Arc::clone(&seen);
                    async move {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        seen.lock().unwrap().extend(job.body());
                        Ok(())
                    }
                })
                .unwrap();
            (control, tokio::spawn(work))
        });
        // Some come while all sleep, some while all work.
        let filler = queue.clone();
        tokio::task::spawn_blocking(move || fill(&filler, 250)).await.unwrap();
        while works.iter().map(|(control, _)| control.stats().handled).sum::<u64>() < 250 {
            tokio::task::yield_now().await;
        }
        queue.close().unwrap();
        for (_, work) in works {
            work.await.unwrap().unwrap();
        }
        assert_eq!(noted(&seen), (0..250).collect::<Vec<u8>>());
    });
}

#[test]
fn on_a_small_executor_with_several_threads_each_message_is_handled_once() {
    let executor = async_executor::Executor::new();
    let queue = Queue::in_memory().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noting = Arc::clone(&seen);
    let (control, work) = workers(&queue)
        .concurrency(16)
        .run_async(move |job| {
            let seen = Arc::clone(&noting);
            async move {
                for _ in 0..*job.body().first().unwrap() % 5 {
                    yield_once().await;
                }
                seen.lock().unwrap().extend(job.body());
                Ok(())
            }
        })
        .unwrap();
    let work = executor.spawn(work);
    std::thread::scope(|scope| {
        let threads = [(); 3].map(|()| {
            scope
                .spawn(|| futures_lite::future::block_on(executor.run(yields_until(&control, 200))))
        });
        fill(&queue, 200);
        for thread in threads {
            thread.join().unwrap();
        }
        let ended = async {
            control.shutdown(LONG).await.unwrap();
            work.await.unwrap();
        };
        futures_lite::future::block_on(executor.run(ended));
    });
    assert_eq!(noted(&seen), (0..200).collect::<Vec<u8>>());
    queue.close().unwrap();
}

#[test]
fn on_smol_handlers_sleep_beside_each_other_by_its_own_timers() {
    let executor = smol::Executor::new();
    smol::block_on(executor.run(async {
        let queue = Queue::in_memory().unwrap();
        let together = Arc::new(smol::lock::Barrier::new(8));
        let (control, work) = workers(&queue)
            .concurrency(8)
            .run_async(move |_| {
                let together = Arc::clone(&together);
                async move {
                    // Nobody gets through unless eight run at once.
                    together.wait().await;
                    smol::Timer::after(Duration::from_millis(1)).await;
                    Ok(())
                }
            })
            .unwrap();
        let work = executor.spawn(work);
        let filler = queue.clone();
        smol::unblock(move || fill(&filler, 40)).await;
        while control.stats().handled < 40 {
            smol::Timer::after(Duration::from_millis(1)).await;
        }
        let report = control.shutdown(LONG).await.unwrap();
        assert!(report.unfinished.is_empty());
        work.await.unwrap();
        assert_eq!(left(&queue), []);
        queue.close().unwrap();
    }));
}

async fn yields_until(control: &Control, count: u64) {
    while control.stats().handled < count {
        futures_lite::future::yield_now().await;
    }
}

#[test]
fn handlers_that_are_always_ready_let_other_tasks_run() {
    current_thread().block_on(async {
        let queue = filled(2);
        let enough = Arc::new(AtomicUsize::new(0));
        let waits = Arc::clone(&enough);
        let (control, work) = workers(&queue)
            .concurrency(2)
            .run_async(move |_| {
                let enough = Arc::clone(&waits);
                async move {
                    while enough.load(Ordering::SeqCst) == 0 {
                        yield_once().await;
                    }
                    Ok(())
                }
            })
            .unwrap();
        let work = tokio::spawn(work);
        while control.stats().running < 2 {
            tokio::task::yield_now().await;
        }
        enough.store(1, Ordering::SeqCst);
        handled(&control, 2).await;
        queue.close().unwrap();
        work.await.unwrap().unwrap();
    });
}
