//! What must be there after a power cut, and what may.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::kill::ledger::Place;
use crate::support::kill::plan::{DURABLE, Id};

/// What the children said.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Confirmed as durable, or found by an open.
    durable: BTreeMap<Place, Id>,
    /// Acknowledged durably by the first group, and in which run: a message sent later than that is another one in the same place.
    acked: BTreeMap<Place, u64>,
    /// Acknowledged, or begun to be.
    begun: BTreeMap<Place, u64>,
}

impl Account {
    /// A line of the child. `before` the power was cut: only then it proves anything.
    pub(crate) fn note(&mut self, run: u64, sync: bool, line: &str, before: bool) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().expect(line);
        let place = |topic: u64, word: &str| -> Place {
            let (queue, offset) = word.split_once(':').expect(line);
            let topic = usize::try_from(topic).expect(line);
            (topic, queue.parse().expect(line), offset.parse().expect(line))
        };
        match words[0] {
            "S" => {
                let producer = u8::try_from(number(1)).expect(line);
                for (seq, word) in (number(2)..).zip(&words[4..]) {
                    let (place, id) = (place(number(3), word), Id { run, producer, seq });
                    if before && (sync || producer == DURABLE) {
                        self.durable.insert(place, id);
                    }
                }
            }
            "a" | "A" | "D" if number(1) == 0 => {
                for word in &words[3..] {
                    let place = place(number(2), word);
                    self.begun.insert(place, run);
                    if words[0] == "D" && before {
                        self.acked.insert(place, run);
                    }
                }
            }
            _ => {}
        }
    }

    /// All that is durable is there; each producer's messages without a hole, in order, once. From now on all of it is durable.
    pub(crate) fn check_log(&mut self, found: BTreeMap<Place, Id>) {
        for (place, id) in &self.durable {
            assert_eq!(found.get(place), Some(id), "{place:?} was durable");
        }
        let mut runs: BTreeMap<(u64, u8), BTreeSet<u64>> = BTreeMap::new();
        for id in found.values() {
            let fresh = runs.entry((id.run, id.producer)).or_default().insert(id.seq);
            assert!(fresh, "{id:?} is there twice");
        }
        for (who, seqs) in &runs {
            assert_eq!(seqs.last(), Some(&(seqs.len() as u64 - 1)), "{who:?}: a hole");
        }
        let still =
            |place: &Place, run: &mut u64| found.get(place).is_some_and(|id| id.run <= *run);
        self.begun.retain(still);
        self.acked.retain(still);
        self.durable = found;
    }

    /// The first group receives all that it never acknowledged, and nothing that it acknowledged durably.
    pub(crate) fn check_group(&mut self, received: &[Place]) {
        let received: BTreeSet<Place> = received.iter().copied().collect();
        for place in self.acked.keys() {
            assert!(!received.contains(place), "{place:?} was acknowledged durably, and came back");
        }
        for place in self.durable.keys() {
            let done = self.begun.contains_key(place);
            assert!(
                done || received.contains(place),
                "{place:?}, {:?}, is never received",
                self.durable.get(place)
            );
        }
        // What an open found to be done stays so.
        self.begun.retain(|place, _| !received.contains(place));
        self.acked.clone_from(&self.begun);
    }

    pub(crate) fn messages(&self) -> usize {
        self.durable.len()
    }
}
