//! The accounts: what the children said before they were killed, and what must therefore be in the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::plan::{AUDITOR, BATCH, DURABLE, GROUPS, Id, PLAIN, SUBMIT, TICKETS, TOPICS, WINDOW};

/// Where a message is: topic (an index into [`TOPICS`]), queue, offset.
pub(crate) type Place = (usize, u32, u64);

/// What is known from the outside.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Acknowledged to a producer.
    sent: BTreeMap<Place, Id>,
    /// How many messages of a run and producer were acknowledged: always its first ones.
    confirmed: HashMap<(u64, u8), u64>,
    /// Found in the log before: it must stay there, acknowledged or not.
    seen: BTreeMap<Place, Id>,
    groups: [Group; GROUPS.len()],
}

#[derive(Debug, Default)]
struct Group {
    /// The acknowledgement returned.
    acked: BTreeSet<Place>,
    /// An acknowledgement was begun since the last audit. If it did not return it may or may not have happened.
    begun: BTreeSet<Place>,
    /// Those begun by the run that goes on.
    in_hand: BTreeSet<Place>,
}

impl Ledger {
    /// Every line but the last is whole: a line is one write, made after a call returned and before the next one.
    pub(crate) fn note(&mut self, run: u64, line: &str) {
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        let mut number = || words.next().expect(line).parse::<u64>().expect(line);
        let index = |n: u64| usize::try_from(n).expect(line);
        let place = |topic, word: &str| -> Place {
            let (queue, offset) = word.split_once(':').expect(line);
            (topic, queue.parse().expect(line), offset.parse().expect(line))
        };
        if kind == "S" {
            let producer = u8::try_from(number()).expect(line);
            let (first, topic) = (number(), index(number()));
            for (seq, word) in (first..).zip(words) {
                self.sent(Id { run, producer, seq }, place(topic, word));
            }
            return;
        }
        let (group, topic) = (index(number()), index(number()));
        for word in words {
            let place = place(topic, word);
            if kind == "a" { self.begins(group, place) } else { self.acked(group, place) }
        }
    }

    /// A call that sends returned `Ok` for this message.
    pub(crate) fn sent(&mut self, id: Id, place: Place) {
        let confirmed = self.confirmed.entry((id.run, id.producer)).or_default();
        assert_eq!(id.seq, *confirmed, "a producer confirms in order: {id:?}");
        *confirmed += 1;
        if let Some(other) = self.sent.insert(place, id).or_else(|| self.seen.get(&place).copied())
        {
            panic!("{place:?} was given to {id:?} and belongs to {other:?}");
        }
    }

    /// A consumer is about to acknowledge this message.
    fn begins(&mut self, group: usize, place: Place) {
        let name = GROUPS[group];
        let group = &mut self.groups[group];
        assert!(
            !group.acked.contains(&place),
            "{place:?} came to {name} after it was acknowledged"
        );
        assert!(group.in_hand.insert(place), "{place:?} is in two hands of {name} at once");
        group.begun.insert(place);
    }

    /// The acknowledgement returned.
    fn acked(&mut self, group: usize, place: Place) {
        self.groups[group].acked.insert(place);
    }

    /// The process that acknowledged lives, and does it now.
    pub(crate) fn acked_here(&mut self, group: usize, place: Place) {
        assert!(self.groups[group].acked.insert(place), "{place:?} came twice");
    }

    /// A new process: all that was in hands is void.
    pub(crate) fn run_begins(&mut self) {
        for group in &mut self.groups {
            group.in_hand.clear();
        }
    }

    /// How many of a producer's messages beyond the confirmed ones may be there.
    fn slack(run: u64, producer: u8, confirmed: u64) -> u64 {
        match producer {
            PLAIN | DURABLE => 1,
            _ if TICKETS.contains(&producer) => 1,
            BATCH => Id { run, producer, seq: confirmed }.batch_len(),
            SUBMIT => WINDOW,
            _ => 0,
        }
    }

    /// Compares everything that is in the log with the accounts.
    pub(crate) fn check_log(&mut self, found: BTreeMap<Place, Id>) {
        for (place, id) in self.sent.iter().chain(&self.seen) {
            assert_eq!(found.get(place), Some(id), "{id:?} is not where it was: {place:?}");
        }
        let mut ends = BTreeMap::new();
        let mut runs: BTreeMap<(u64, u8), BTreeSet<u64>> = BTreeMap::new();
        let mut orders = HashMap::new();
        for ((topic, queue, offset), id) in &found {
            let next = ends.entry((*topic, *queue)).or_insert(0);
            assert_eq!(offset, next, "queue {queue} of {} has a gap", TOPICS[*topic].0);
            *next += 1;
            let fresh = runs.entry((id.run, id.producer)).or_default().insert(id.seq);
            assert!(fresh, "{id:?} is there twice");
            let before = orders.insert((*topic, *queue, id.run, id.producer), id.seq);
            assert!(before < Some(id.seq), "{id:?} was overtaken by {before:?}");
        }
        for ((run, producer), seqs) in &runs {
            let there = seqs.len() as u64;
            assert_eq!(seqs.last(), Some(&(there - 1)), "run {run}, producer {producer}: a hole");
            let confirmed = self.confirmed.get(&(*run, *producer)).copied().unwrap_or_default();
            let most = confirmed + Self::slack(*run, *producer, confirmed);
            assert!(there <= most, "run {run}, producer {producer}: {there}, at most {most} sent");
        }
        self.seen = found;
    }

    /// Compares what a group receives (and has not given back) with the accounts. From then on it is certain.
    pub(crate) fn check_group(&mut self, group: usize, received: &[Place]) {
        let name = GROUPS[group];
        let group = &mut self.groups[group];
        let set: BTreeSet<Place> = received.iter().copied().collect();
        assert_eq!(set.len(), received.len(), "{name} received a message twice");
        for place in &set {
            assert!(!group.acked.contains(place), "{place:?} came back to {name}");
            assert!(self.seen.contains_key(place), "{name} received {place:?}, which is not there");
        }
        for place in self.seen.keys().filter(|p| !set.contains(p) && !group.acked.contains(p)) {
            assert!(group.begun.contains(place), "{name} never receives {place:?}");
        }
        group.acked = self.seen.keys().filter(|p| !set.contains(p)).copied().collect();
        group.begun.clear();
    }

    /// The next number of a message sent by the process that counts.
    pub(crate) fn next_own(&self, run: u64) -> Id {
        let seq = self.confirmed.get(&(run, AUDITOR)).copied().unwrap_or_default();
        Id { run, producer: AUDITOR, seq }
    }

    pub(crate) fn messages(&self) -> usize {
        self.seen.len()
    }
}
