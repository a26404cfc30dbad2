//! The store of a broker that stopped while messages waited.

use crate::tests::{expected_states, golden_files, manifest};

use super::*;

/// The store, and the time when the broker stopped.
fn unpacked() -> (SimDisk, u64, serde_json::Value) {
    let manifest = manifest("delay-levels");
    let disk = SimDisk::new(3);
    for (path, bytes) in golden_files("delay-levels", "") {
        disk.write_file(Path::new(ROOT).join(path), &bytes);
    }
    let stored = |record: &serde_json::Value| record["storeTimestamp"].as_u64().unwrap();
    let last = manifest["records"].as_array().unwrap().iter().map(stored).max().unwrap();
    (disk, last, manifest)
}

#[test]
fn as_long_as_nothing_is_due_a_brokers_store_stays_as_it_is_and_its_queues_can_be_rebuilt() {
    let (disk, last, manifest) = unpacked();
    let queues = |disk: &SimDisk| -> BTreeMap<_, _> {
        let files = disk.list_all().into_iter().map(|(path, _)| path);
        let files = files.filter(|path| path.starts_with("store/consumequeue"));
        files.map(|path| (path.clone(), disk.read_file(&path).unwrap())).collect()
    };
    let before = queues(&disk);
    assert!(before.len() > 8, "{:?}", before.keys());
    for path in before.keys() {
        disk.remove_file(&Path::new("/").join(path)).unwrap();
    }
    let options = Options { background: false, ..Options::default().queue_file_size(2000) };
    let mut bench = Bench::on(disk, options);
    bench.clock.set_wall_ms(last + 1);
    bench.open().unwrap();
    bench.close();
    assert_eq!(queues(&bench.disk), before);
    let storage: Arc<dyn Storage> = Arc::new(bench.disk.clone());
    let image = crate::store::readonly::Image::of(&storage, Path::new(ROOT)).unwrap();
    assert_eq!(image.records.len(), manifest["records"].as_array().unwrap().len());
    assert_eq!(image.waiting().count(), 8);
}

#[test]
fn what_waited_in_a_brokers_store_comes_at_its_time_and_what_it_delivered_does_not() {
    let (disk, last, manifest) = unpacked();
    let options = Options { background: false, ..Options::default() };
    let records = manifest["records"].as_array().unwrap();
    let mut bench = Bench::on(disk, options);
    bench.clock.set_wall_ms(last + 1);
    bench.open().unwrap();
    let keys = |bench: &Bench| -> Vec<String> {
        let keys = |message: &Message| message.property(name::KEYS).unwrap().to_owned();
        bench.stored("g14_Delay").iter().map(keys).collect()
    };
    let states = expected_states(&manifest, "delay");
    let delivered: Vec<_> =
        states.iter().filter(|(_, state)| *state == "delivered").map(|(key, _)| key).collect();
    let mut before = keys(&bench);
    before.sort();
    assert_eq!(before.iter().collect::<Vec<_>>(), delivered);
    bench.deliver();
    assert_eq!(keys(&bench).len(), delivered.len(), "nothing is due yet");
    assert_eq!(bench.looked_at(), 8);

    let mut pending: Vec<_> = records
        .iter()
        .filter(|record| record["topic"] == "SCHEDULE_TOPIC_XXXX")
        .map(|record| (record["dispatch"]["tagsCode"].as_u64().unwrap(), record))
        .map(|(due, record)| (due, record["properties"]["KEYS"].as_str().unwrap().to_owned()))
        .filter(|(_, key)| states[key] == "pending")
        .collect();
    pending.sort();
    assert_eq!(pending.len(), 8);
    let mut expected = keys(&bench);
    for (at, (due, key)) in pending.into_iter().enumerate() {
        if bench.now() < due {
            bench.advance(Duration::from_millis(due - 1 - bench.now()));
            assert_eq!(keys(&bench), expected, "{key} came early");
            bench.advance(Duration::from_millis(1));
        }
        expected.push(key);
        assert_eq!(keys(&bench), expected);
        assert_eq!(bench.looked_at(), 7 - at);
        match at {
            2 => bench = bench.next(bench.disk.kill_image()).opened(),
            4 => {
                bench.close();
                bench.open().unwrap();
            }
            _ => {}
        }
    }
    bench.close();
    let text = bench.disk.read_file(Layout::new(Path::new(ROOT)).config().join("delayOffset.json"));
    let value = crate::config::json::parse(&text.unwrap()).unwrap();
    let offsets = crate::config::offsets::DelayOffsets::from_value(Some(&value)).unwrap();
    let expected = [(1, 2), (2, 2), (3, 1), (4, 1), (5, 2), (9, 1), (14, 1), (18, 3)];
    assert_eq!(offsets.iter().collect::<Vec<_>>(), expected);
}
