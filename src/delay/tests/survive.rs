//! Restarts, kills and power cuts: each message comes once.

use super::*;

/// Sends, moves the time and delivers; `pause` is called between any two of these.
fn history(bench: &mut Bench, mut pause: impl FnMut(&mut Bench, usize)) {
    let mut at = 0;
    for round in 0..12_u32 {
        for level in [1, 2, 1, 3] {
            if bench.try_send(level).is_err() {
                return;
            }
            pause(bench, at);
            at += 1;
        }
        bench.advance(Duration::from_millis(700 + u64::from(round) * 37));
        pause(bench, at);
        at += 1;
    }
}

#[test]
fn a_close_or_a_kill_anywhere_delivers_each_once() {
    for flush in [Flush::default(), Flush::Sync] {
        for every in [1, 2, 7] {
            for kills in [false, true] {
                let context = format!("{flush:?}, every {every}, kills: {kills}");
                let mut bench = Bench::new(flush);
                history(&mut bench, |bench, at| {
                    if at % every > 0 {
                        return;
                    }
                    if kills {
                        *bench = bench.next(bench.disk.kill_image());
                    } else {
                        bench.close();
                    }
                    let seen = bench.looked_at();
                    bench.open().unwrap_or_else(|e| panic!("{context}: {e}"));
                    let waiting: u64 = bench.store().delays.waiting().iter().map(|w| w.1).sum();
                    assert_eq!(seen as u64, waiting, "{context}: a look says so before");
                    bench.delivered(&context);
                });
                bench.check_all_come(|_| true, &context);
                let mut last = bench.next(bench.disk.kill_image()).opened();
                last.check_all_come(|_| true, &context);
                last.close();
                assert_eq!(last.opened().store().report.records_scanned, 0, "{context}");
            }
        }
    }
}

#[test]
fn a_power_cut_anywhere_loses_nothing_that_was_durable_and_doubles_nothing() {
    for flush in [Flush::default(), Flush::Sync] {
        for at in (0..60).step_by(5) {
            let mut bench = Bench::new(flush);
            let mut cuts = Vec::new();
            history(&mut bench, |bench, now| {
                if now == at {
                    cuts.extend((0..4).map(|seed| bench.next(bench.disk.power_image(seed))));
                    cuts.push(bench.next(bench.disk.kill_image()));
                }
            });
            for (seed, cut) in cuts.into_iter().enumerate() {
                let context = format!("{flush:?}, cut after {at}, {seed}");
                let mut cut = cut.opened();
                let before = cut.delivered(&context);
                // Once more, in the midst of going on.
                cut.deliver();
                (0..3).for_each(|_| cut.send(1));
                let mut again = cut.next(cut.disk.power_image(9)).opened();
                let durable = |sent: &Sent| sent.durable;
                again.check_all_come(durable, &context);
                cut.check_all_come(durable, &context);
                let after = cut.delivered(&context);
                assert_eq!(after.get(..before.len()), Some(&*before), "{context}");
                again.close();
            }
        }
    }
}

#[test]
fn a_process_that_dies_in_any_operation_delivers_each_once_in_the_end() {
    for n in (1..).step_by(23) {
        let context = format!("dead in operation {n}");
        let disk = SimDisk::new(n);
        disk.crash_at(n);
        let mut bench = Bench::on(disk, tiny(Flush::default()));
        if bench.open().is_ok() {
            history(&mut bench, |_, _| {});
            if bench.disk.kill_image().list_all().is_empty() {
                continue;
            }
        }
        let over = bench.disk.operations() < n;
        // Once more while the next one recovers.
        let mut next = bench.next(bench.disk.kill_image());
        next.disk.crash_at(1 + n % 90);
        let died = next.open().is_err();
        let mut last = if died { next.next(next.disk.kill_image()) } else { next };
        if died {
            last.open().unwrap_or_else(|e| panic!("{context}: {e}"));
            last.check_all_come(|_| true, &context);
        }
        if over {
            break;
        }
    }
}

#[test]
fn recovery_reads_no_more_of_the_log_than_one_file_or_so() {
    let mut bench = Bench::new(Flush::default());
    for _ in 0..400 {
        bench.send(1);
    }
    bench.send(18);
    bench.advance(Duration::from_secs(1));
    let producer = bench.producer("other");
    (0..200).for_each(|_| drop(producer.send(&[7; 500]).unwrap()));
    bench.store().flush().unwrap();
    let (_, durable, _) = bench.store().log_extent();
    assert!(durable > 8 * (20 << 10));
    bench.send(1);
    bench.advance(Duration::from_secs(1));
    let next = bench.next(bench.disk.kill_image()).opened();
    let scanned = next.store().report.records_scanned;
    assert!((1..200).contains(&scanned), "{scanned} records");
    assert_eq!(next.delivered("after the kill").len(), 401);
    next.check_all_come(|_| true, "in the end");
}

#[test]
fn without_its_file_the_log_tells_what_was_delivered() {
    for damaged in [false, true] {
        let mut bench = Bench::new(Flush::default());
        history(&mut bench, |_, _| {});
        bench.close();
        bench.open().unwrap();
        history(&mut bench, |_, _| {});
        let mut killed = bench.next(bench.disk.kill_image());
        let path = Layout::new(Path::new(ROOT)).delays();
        if damaged {
            killed.disk.flip_bit(&path, 100);
        } else {
            killed.disk.remove_file(&path).unwrap();
        }
        killed.open().unwrap();
        let said = killed.store().report.notes.iter().any(|note| note.contains("delays"));
        assert_eq!(said, damaged, "{:?}", killed.store().report.notes);
        let before = killed.delivered("opened").len();
        assert!(before > 20);
        killed.check_all_come(|_| true, "in the end");
    }
}

#[test]
fn a_brokers_progress_counts_after_it_used_the_store() {
    let mut bench = Bench::new(Flush::default());
    (0..4).for_each(|_| bench.send(1));
    bench.advance(Duration::from_secs(1));
    (0..2).for_each(|_| bench.send(1));
    bench.close();
    // It delivered one more, and wrote that down; its copy does not matter here.
    let path = Layout::new(Path::new(ROOT)).config().join("delayOffset.json");
    let text = String::from_utf8(bench.disk.read_file(&path).unwrap()).unwrap();
    assert!(text.contains("1:4"), "{text}");
    bench.disk.write_file(&path, text.replace("1:4", "1:5").as_bytes());
    bench.open().unwrap();
    assert_eq!(bench.store().report.history, crate::History::Foreign);
    assert_eq!(bench.store().delays.next(0), 5);
    // Also when the process dies before anything was delivered.
    let mut bench = bench.next(bench.disk.kill_image()).opened();
    assert_eq!(bench.store().delays.next(0), 5);
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.delivered("after the broker").last().unwrap(), "1/5");
    bench.close();
}
