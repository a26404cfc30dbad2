//! What cannot be delivered as it is, and what cannot be sent.

use crate::error::ErrorKind;

use super::*;

#[test]
fn ordered_messages_are_not_delayed_and_level_0_is_none() {
    let bench = Bench::new(Flush::default());
    let producer = bench.producer("t");
    let ordered = producer.message(b"m").order_by("k").delay_level(1);
    assert_eq!(ordered.send().unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(ordered.submit().unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(ordered.send_one_way().unwrap_err().kind(), ErrorKind::InvalidArgument);
    let plain = producer.message(b"m").order_by("k").delay_level(0).send().unwrap();
    assert_eq!(&*plain.topic, "t");
    assert!(bench.store().delays.topic().is_none(), "nothing was delayed");
}

#[test]
fn a_level_above_the_table_counts_as_its_last() {
    let mut options = tiny(Flush::default());
    options.delay_levels = Some("2s 1m".to_owned());
    let mut bench = Bench::on(SimDisk::new(1), options).opened();
    bench.producer("t").message(b"m").delay_level(u32::MAX).send().unwrap();
    bench.producer("t").message(b"n").delay_level(1).send_one_way().unwrap();
    bench.advance(Duration::from_secs(2));
    assert_eq!(bench.stored("t").len(), 1);
    assert_eq!(bench.stored("SCHEDULE_TOPIC_XXXX")[0].property(name::DELAY), Some("2"));
    // What waits keeps its time, over a kill and whatever the table is then.
    bench = bench.next(bench.disk.kill_image());
    bench.options.delay_levels = None;
    bench.open().unwrap();
    bench.advance(Duration::from_millis(57_999));
    assert_eq!(bench.stored("t").len(), 1);
    bench.advance(Duration::from_millis(1));
    assert_eq!(bench.stored("t").len(), 2);
    bench.send(18);
    bench.check_all_come(|_| true, "a level that the old table did not have");
    bench.close();
    for table in ["", "1", "1s  2s", &"1s ".repeat(1025)] {
        bench.options.delay_levels = Some(table.to_owned());
        assert_eq!(bench.open().unwrap_err().kind(), ErrorKind::InvalidArgument, "{table:?}");
    }
    // Nothing was touched.
    bench.options.delay_levels = None;
    bench.open().unwrap();
    assert_eq!(bench.store().report.history, crate::History::Clean);
}

#[test]
fn a_topic_that_is_gone_is_made_again_also_where_none_is_made_on_first_use() {
    let options = tiny(Flush::default()).create_topics(false);
    let bench = Bench::on(SimDisk::new(1), options).opened();
    let gone = "gone-%RETRY%".to_owned();
    waits(&bench, &gone, "6");
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.stored(&gone)[0].queue().get(), 6);
    assert_eq!(bench.store().topics.get(&gone).unwrap().queue_count(), 7);
}

#[test]
fn what_can_be_delivered_nowhere_waits_again_and_holds_up_nobody() {
    let mut bench = Bench::new(Flush::default());
    for (topic, queue) in [("a/b", "0"), ("SCHEDULE_TOPIC_XXXX", "0"), ("t2", "1024"), ("t2", "x")]
    {
        waits(&bench, topic, queue);
    }
    bench.send(1);
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.delivered("beside them"), ["1/0"]);
    assert_eq!(bench.store().delays.waiting()[0], (0, 4));
    // A kill does not make more of them.
    let mut bench = bench.next(bench.disk.kill_image()).opened();
    assert_eq!(bench.store().delays.waiting()[0], (0, 4));
    bench.send(1);
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.delivered("again"), ["1/0", "1/1"]);
    assert_eq!(bench.store().delays.waiting()[0], (0, 4));
}

/// Stores a message of level 1 that says so of itself.
fn waits(bench: &Bench, topic: &str, queue: &str) {
    use crate::commitlog::format::{Draft, Host};
    use crate::message::properties::push;
    let schedule = bench.engine().delay().begin().unwrap();
    let mut block = Vec::new();
    for (name, value) in
        [(name::DELAY, "1"), (name::REAL_TOPIC, topic), (name::REAL_QUEUE_ID, queue)]
    {
        push(&mut block, name, value);
    }
    let draft = Draft {
        topic: schedule.name(),
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: Host::LOCALHOST,
        store_host: Host::LOCALHOST,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        properties: &block,
    };
    let made_ms = i64::try_from(bench.now()).unwrap();
    let mut drafts = crate::store::append::Drafts { made_ms, ..Default::default() };
    drafts.push(&draft, 0, |_| Ok(())).unwrap();
    drafts.delay_last(1000);
    bench.store().append(&schedule, 0, &mut drafts).unwrap();
}

#[test]
fn a_full_disk_delays_and_loses_nothing() {
    for flush in [Flush::default(), Flush::Sync] {
        let mut bench = Bench::new(flush);
        for n in 0..200 {
            bench.send(n % 3 + 1);
        }
        bench.disk.set_capacity(Some(bench.disk.used() + 2 * 4096));
        bench.advance(Duration::from_secs(60));
        let some = bench.delivered("no room").len();
        assert!(some < 200, "there was room for all");
        assert_eq!(bench.store().check_writable().map_err(|e| e.kind()), Ok(()));
        bench.disk.set_capacity(None);
        bench.check_all_come(|_| true, "room again");
        bench.close();
        bench.open().unwrap();
        bench.check_all_come(|_| true, "opened again");
    }
}
