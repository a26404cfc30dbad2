//! Random histories against plain sets, with kills and closes in between; and many threads at once.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Ack {
        cursor: u8,
        from: u64,
        count: u64,
    },
    Set {
        cursor: u8,
        offset: u64,
    },
    Take {
        cursor: u8,
        from: u64,
        count: u64,
    },
    /// What somebody holds at this offset or after it.
    Settle {
        cursor: u8,
        from: u64,
        how: How,
    },
    Define {
        cursor: u8,
        start: u64,
    },
    Topic {
        name: u8,
        queues: u32,
    },
    Group {
        name: u8,
    },
    Sync,
    /// The process dies and another one opens the store.
    Kill,
    Close,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Acked,
    GivenBack,
    Failed(u64),
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![Just(How::Acked), Just(How::GivenBack), (1..9u64).prop_map(How::Failed)]
}

fn step() -> impl Strategy<Value = Step> {
    let cursor = || 0..6u8;
    prop_oneof![
        30 => (cursor(), 0..90u64, 1..9u64)
            .prop_map(|(cursor, from, count)| Step::Take { cursor, from, count }),
        30 => (cursor(), 0..90u64, how())
            .prop_map(|(cursor, from, how)| Step::Settle { cursor, from, how }),
        40 => (cursor(), 0..90u64, 1..6u64)
            .prop_map(|(cursor, from, count)| Step::Ack { cursor, from, count }),
        1 => (cursor(), 0..90u64).prop_map(|(cursor, offset)| Step::Set { cursor, offset }),
        4 => (cursor(), 0..9u64).prop_map(|(cursor, start)| Step::Define { cursor, start }),
        1 => (0..4u8, 1..9u32).prop_map(|(name, queues)| Step::Topic { name, queues }),
        1 => (0..4u8).prop_map(|name| Step::Group { name }),
        1 => Just(Step::Sync),
        1 => Just(Step::Kill),
        1 => Just(Step::Close),
    ]
}

#[derive(Default)]
struct Model {
    topics: BTreeMap<String, u32>,
    groups: BTreeSet<String>,
    acked: BTreeMap<(String, u32), BTreeSet<u64>>,
    /// With the tokens.
    held: BTreeMap<(String, u32), BTreeMap<u64, u64>>,
    failed: BTreeMap<(String, u32), BTreeMap<u64, Failed>>,
}

impl Model {
    /// These are done.
    fn settle(&mut self, key: &(String, u32), range: std::ops::Range<u64>) {
        self.held.entry(key.clone()).or_default().retain(|offset, _| !range.contains(offset));
        self.failed.entry(key.clone()).or_default().retain(|offset, _| !range.contains(offset));
    }

    /// The process ended: if it died, that counts for what was held.
    fn ended(&mut self, died: bool) {
        for (key, held) in std::mem::take(&mut self.held) {
            for (offset, _) in held.into_iter().filter(|_| died) {
                self.failed.entry(key.clone()).or_default().entry(offset).or_default().deaths += 1;
            }
        }
    }

    fn check(&self, state: &State) {
        let topics: BTreeMap<_, _> =
            state.topics.iter().map(|t| (t.name.clone(), t.queues)).collect();
        assert_eq!(topics, self.topics);
        assert_eq!(state.groups.iter().cloned().collect::<BTreeSet<_>>(), self.groups);
        assert_eq!(state.cursors.len(), self.acked.len());
        for cursor in &state.cursors {
            let expected = &self.acked[&(cursor.group.clone(), cursor.queue)];
            for offset in 0..120 {
                assert_eq!(cursor.acked.contains(offset), expected.contains(&offset));
            }
            let key = (cursor.group.clone(), cursor.queue);
            let held = self.held.get(&key).map(|held| held.keys().copied().collect());
            let found: Vec<u64> = cursor.unsettled.hands.ranges().flatten().collect();
            assert_eq!(found, held.unwrap_or(vec![]));
            let failed = self.failed.get(&key).cloned().unwrap_or_default();
            assert_eq!(cursor.unsettled.failed().collect::<BTreeMap<_, _>>(), failed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_history_survives_kills_and_closes(steps in prop::collection::vec(step(), 1..700)) {
        let storage = memory();
        let (mut generation, mut model) = (1, Model::default());
        let mut progress = begin(&storage, generation, State::default());
        for step in steps {
            let names = |cursor: u8| (format!("g{}", cursor / 3), u32::from(cursor % 3));
            let find = |cursor| {
                let (group, queue) = names(cursor);
                progress.cursor(&group, "t", queue)
            };
            match step {
                Step::Ack { cursor, from, count } => {
                    let Some(handle) = find(cursor) else { continue };
                    let set = model.acked.get_mut(&names(cursor)).unwrap();
                    let fresh = (from..from + count).filter(|&o| set.insert(o)).count();
                    prop_assert_eq!(progress.ack(&handle, from..from + count).unwrap(), fresh as u64);
                    model.settle(&names(cursor), from..from + count);
                }
                Step::Take { cursor, from, count } => {
                    let Some(handle) = find(cursor) else { continue };
                    let acked = &model.acked[&names(cursor)];
                    let to = (from..from + count).find(|o| acked.contains(o)).unwrap_or(from + count);
                    if from == to {
                        continue;
                    }
                    prop_assert!(progress.take(&handle, handle.epoch() + 1, from..to, None).unwrap().is_none());
                    let taken = progress.take(&handle, handle.epoch(), from..to, None).unwrap().unwrap();
                    let failed = model.failed.entry(names(cursor)).or_default();
                    let known: Vec<_> = failed.range(from..to).map(|(o, f)| (*o, *f)).collect();
                    prop_assert_eq!(taken.failed, known);
                    let held = model.held.entry(names(cursor)).or_default();
                    held.extend((from..to).map(|offset| (offset, taken.token)));
                }
                Step::Settle { cursor, from, how } => {
                    let Some(handle) = find(cursor) else { continue };
                    let held = model.held.entry(names(cursor)).or_default();
                    let Some((&at, &token)) = held.range(from..).next() else { continue };
                    // Another's token settles nothing.
                    let stale = progress.ack_held(&handle, token + 1000, at..at + 1).unwrap_err();
                    prop_assert_eq!(stale.kind(), ErrorKind::Stale);
                    prop_assert!(!progress.give_back(&handle, token + 1000, at));
                    match how {
                        How::Acked => {
                            progress.ack_held(&handle, token, at..at + 1).unwrap();
                            model.acked.get_mut(&names(cursor)).unwrap().insert(at);
                            model.settle(&names(cursor), at..at + 1);
                        }
                        How::GivenBack => {
                            prop_assert!(progress.give_back(&handle, token, at));
                            held.remove(&at);
                        }
                        How::Failed(due_ms) => {
                            held.remove(&at);
                            let failed = model.failed.entry(names(cursor)).or_default();
                            let known = failed.entry(at).or_default();
                            known.attempts += 1;
                            known.due_ms = due_ms;
                            let change = |f: Failed| Failed { attempts: f.attempts + 1, due_ms, ..f };
                            prop_assert_eq!(progress.fail(&handle, token, at, change), Some(*known));
                        }
                    }
                }
                Step::Set { cursor, offset } => {
                    let Some(handle) = find(cursor) else { continue };
                    progress.set(&handle, offset).unwrap();
                    prop_assert!(!progress.dirty());
                    let held = model.held.remove(&names(cursor)).unwrap_or_default();
                    let failed = model.failed.entry(names(cursor)).or_default();
                    failed.retain(|at, f| {
                        *at >= offset || (f.attempts > 0 && !held.contains_key(at))
                    });
                    let done = (0..offset).filter(|o| !failed.contains_key(o)).collect();
                    model.acked.insert(names(cursor), done);
                }
                Step::Define { cursor, start } => {
                    let (group, queue) = names(cursor);
                    progress.define(&group, "t", queue, start).unwrap();
                    let acked = model.acked.entry((group, queue));
                    acked.or_insert_with(|| (0..start).collect());
                }
                Step::Topic { name, queues } => {
                    progress.add_topic(&format!("t{name}"), queues).unwrap();
                    let known = model.topics.entry(format!("t{name}")).or_default();
                    *known = queues.max(*known);
                }
                Step::Group { name } => {
                    progress.add_group(&format!("g{name}")).unwrap();
                    model.groups.insert(format!("g{name}"));
                }
                Step::Sync => progress.sync().unwrap(),
                Step::Kill | Step::Close => {
                    if matches!(step, Step::Close) {
                        progress.close().unwrap();
                    }
                    let mut loaded = found(&storage, generation);
                    loaded.state.died();
                    model.ended(matches!(step, Step::Kill));
                    prop_assert_eq!(loaded.notes, Vec::<String>::new());
                    generation += 1;
                    progress = begin(&storage, generation, loaded.state);
                    remove_older(&*storage, Path::new(DIR), generation).unwrap();
                }
            }
        }
        model.check(&progress.snapshot_state());
        model.check(&found(&storage, generation).state);
    }
}

#[test]
fn threads_that_ack_define_and_sync_at_once_lose_nothing() {
    const EACH: u64 = 2000;
    let storage = memory();
    let progress = begin(&storage, 1, State::default());
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let progress = &progress;
            scope.spawn(move || {
                let shared = progress.define("g", "shared", 0, 0).unwrap();
                for n in 0..EACH {
                    let offset = n * 4 + thread;
                    assert_eq!(progress.ack(&shared, offset..offset + 1).unwrap(), 1);
                    assert!(shared.is_acked(offset));
                    if n % 500 == 0 {
                        progress.add_topic(&format!("t{thread}.{n}"), 1).unwrap();
                        progress.sync().unwrap();
                    }
                }
            });
        }
    });
    let state = found(&storage, 1).state;
    assert_eq!(state, progress.snapshot_state());
    assert_eq!((state.cursors.len(), state.topics.len()), (1, 16));
    assert_eq!(state.cursors[0].acked, Acked::below(4 * EACH));
}
