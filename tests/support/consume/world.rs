//! A queue, and beside it what is expected of it.

use std::time::Duration;

use pocketmq::testing::TestQueue;
use pocketmq::{Consumer, Filter, Queue, Retry, Start, Topic};

use super::group::{Group, Holder, Log, Sent};
use super::ops::{Op, Order, Setup, Terms, To};
use super::settling::{RETRY, Received};

const JOBS: Topic<u64> = Topic::new("jobs");
const NOW: Duration = Duration::ZERO;
const NAMES: [&str; 2] = ["first", "second"];

/// More than anything waits.
const LONG: u64 = 1000;

pub(crate) struct World {
    queue: TestQueue,
    pub(super) consumers: [Vec<Consumer<u64>>; 2],
    pub(super) received: Vec<Received>,
    pub(super) groups: [Group; 2],
    log: Log,
    /// In seconds since the beginning.
    pub(super) now: u64,
    /// How often the queue was opened again.
    pub(super) life: u32,
    deliveries: u64,
}

fn consumers(queue: &Queue, group: usize, model: &Group) -> Vec<Consumer<u64>> {
    let Terms { order, attempts, lease, deaths } = model.terms;
    let join = |_| {
        let retry = Retry::fixed(Duration::from_secs(RETRY)).max_attempts(attempts);
        let mut builder = queue.consumer(JOBS, NAMES[group]).retry(retry);
        builder = match order {
            Order::Free => builder,
            Order::PerKey => builder.ordered(),
            Order::AtOnce(most) => builder.concurrency_per_key(most),
            Order::ByQueue => builder.ordered_by_queue().heartbeat_timeout(Duration::MAX),
        };
        if let Some(lease) = lease {
            builder = builder.lease(Duration::from_secs(lease));
        }
        if let Some(deaths) = deaths {
            builder = builder.poison_guard(deaths);
        }
        if let Some(tag) = model.wants {
            builder = builder.filter(Filter::tags(&format!("t{tag}")).unwrap());
        }
        builder.pull().unwrap()
    };
    (0..2).map(join).collect()
}

impl World {
    pub(crate) fn new(setup: &Setup) -> Self {
        let options = Queue::options().segment_size(1 << 20).queue_file_size(20 * 512);
        let queue = TestQueue::with(options.staging_size(64 << 10)).unwrap();
        queue.create_topic(JOBS.name(), setup.queues).unwrap();
        let wants = setup.filters.then_some(1);
        let groups = [Group::new(setup.terms[0], wants), Group::new(setup.terms[1], None)];
        let consumers = [0, 1].map(|group| consumers(&queue, group, &groups[group]));
        Self {
            queue,
            consumers,
            received: Vec::new(),
            groups,
            log: Log::new(),
            now: 0,
            life: 0,
            deliveries: 0,
        }
    }

    pub(crate) fn run(mut self, ops: &[Op]) {
        for op in ops {
            self.step(op);
            self.check();
        }
        self.finish();
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Send { key, tag, count } => (0..count).for_each(|_| self.send(key, tag)),
            Op::Receive { group, consumer, max } => drop(self.receive(group, consumer, max)),
            Op::Bounce { group, times } => {
                for _ in 0..times {
                    if self.receive(group, 0, 1) == 1 {
                        self.settle(&Op::Drop { which: 0 }, self.received.len() - 1);
                    }
                }
            }
            Op::Ack { which }
            | Op::Fail { which }
            | Op::RetryAfter { which, .. }
            | Op::Snooze { which, .. }
            | Op::Extend { which, .. }
            | Op::Drop { which } => self.settle(op, which),
            Op::AckAll { group } => self.ack_all(group),
            Op::Advance { seconds } => self.advance(seconds),
            Op::Seek { group, to } => self.seek(group, to),
            Op::RetrySetAside { group } => {
                let forgiven = self.queue.group(NAMES[group]).unwrap().retry_set_aside().unwrap();
                assert_eq!(forgiven, self.groups[group].forgive() as u64);
            }
            Op::Rejoin { group, terms } => self.rejoin(group, terms),
            Op::Reopen { terms } => self.open_again(terms, false),
            Op::Crash { terms } => self.open_again(terms, true),
        }
    }

    fn send(&mut self, key: Option<u8>, tag: Option<u8>) {
        let number = self.log.len() as u64;
        let producer = self.queue.producer(JOBS).unwrap();
        let mut message = producer.message(&number);
        if let Some(key) = key {
            message = message.order_by(format!("k{key}"));
        }
        if let Some(tag) = tag {
            message = message.tag(format!("t{tag}"));
        }
        let receipt = message.send().unwrap();
        let place = (receipt.queue.get(), receipt.queue_offset.get());
        assert!(self.log.insert(place, Sent { number, key, tag }).is_none(), "{place:?} twice");
    }

    /// How many came. Each of them might, and is what it was; and if there were fewer than asked for, nothing that had to come did not.
    fn receive(&mut self, group: usize, consumer: usize, max: usize) -> usize {
        let consumer = &self.consumers[group][consumer];
        let queues: Vec<u32> = consumer.queues().into_iter().map(Into::into).collect();
        let came = consumer.recv_batch(max, NOW).unwrap();
        let (count, model, now_ms) = (came.len(), &mut self.groups[group], self.now * 1000);
        assert!(count <= max);
        model.look(self.now);
        let batch = self.deliveries + 1;
        for delivery in came {
            let message = delivery.message();
            let place = (message.queue().get(), message.queue_offset().get());
            assert!(queues.contains(&place.0), "{place:?} came to somebody else");
            let objection = model.objection(&self.log, place, now_ms, batch);
            assert_eq!(objection, None, "{place:?} came: {:?}", self.log[&place]);
            let (sent, known) = (self.log[&place], model.known(place));
            assert_eq!(*delivery, sent.number);
            assert_eq!((delivery.attempt(), delivery.deaths()), (known.attempts + 1, known.deaths));
            self.deliveries += 1;
            let until = model.terms.lease.map(|lease| self.now + lease);
            model.held.insert(place, Holder { delivery: self.deliveries, batch, until });
            let (id, life) = (self.deliveries, self.life);
            self.received.push(Received { group, place, id, life, delivery });
        }
        if count < max {
            assert_eq!(model.missing(&self.log, now_ms, &queues), None, "it did not come");
            // The rest was passed over, where nobody has a queue of his own.
            let all = model.terms.order != Order::ByQueue;
            let unwanted = self.log.iter().filter(|(_, sent)| all && !model.wants(sent));
            let unwanted: Vec<_> = unwanted.map(|(place, _)| *place).collect();
            model.done.extend(unwanted);
        }
        count
    }

    fn advance(&mut self, seconds: u64) {
        self.queue.advance(Duration::from_secs(seconds));
        self.now += seconds;
    }

    fn seek(&mut self, group: usize, to: To) {
        let start = match to {
            To::Earliest => Start::Earliest,
            To::Latest => Start::Latest,
            To::Offset(offset) => Start::Offset(offset.into()),
        };
        self.queue.group(NAMES[group]).unwrap().seek(start).unwrap();
        let queues = self.queue.topics().unwrap()[0].1;
        for queue in 0..queues {
            let end = self.log.keys().filter(|place| place.0 == queue).count() as u64;
            let to = match to {
                To::Earliest => 0,
                To::Latest => end,
                To::Offset(offset) => offset.min(end),
            };
            self.groups[group].seek(&self.log, queue, to);
        }
    }

    fn rejoin(&mut self, group: usize, terms: Terms) {
        self.consumers[group].clear();
        let alive = |r: &Received| (r.group, r.life) == (group, self.life);
        let model = &mut self.groups[group];
        if !self.received.iter().any(alive) && terms != model.terms {
            model.begin_anew(terms);
        }
        self.consumers[group] = consumers(&self.queue, group, &self.groups[group]);
    }

    fn open_again(&mut self, terms: [Terms; 2], crash: bool) {
        self.consumers.iter_mut().for_each(Vec::clear);
        if crash { self.queue.crash_and_reopen() } else { self.queue.reopen() }.unwrap();
        self.life += 1;
        for (group, terms) in terms.into_iter().enumerate() {
            self.groups[group].ended(crash);
            self.groups[group].begin_anew(terms);
            self.consumers[group] = consumers(&self.queue, group, &self.groups[group]);
        }
    }

    /// What is counted.
    fn check(&self) {
        let stats = self.queue.stats().unwrap().groups;
        for (model, name) in self.groups.iter().zip(NAMES) {
            let group = stats.iter().find(|group| group.group == name).unwrap();
            let aside = model.aside();
            let failed = model.known.iter().filter(|(p, k)| k.attempts > 0 && !model.is_aside(**p));
            assert_eq!(
                (group.in_flight, group.failed, group.set_aside),
                (model.held.len() as u64, failed.count() as u64, aside.len() as u64),
                "in flight, failed, set aside of {name}"
            );
            let undone = || self.log.iter().filter(|(place, _)| !model.done.contains(place));
            // What is not wanted may have been passed over already.
            let wanted = undone().filter(|(_, sent)| model.wants(sent)).count() as u64;
            let range = wanted..=undone().count() as u64;
            assert!(range.contains(&group.backlog), "backlog {} of {range:?}", group.backlog);
            let group = self.queue.group(name).unwrap();
            let lag: u64 = group.lag().unwrap().iter().map(|lag| lag.backlog).sum();
            assert!(range.contains(&lag), "lag {lag} of {range:?}");
            let listed = group.set_aside().unwrap();
            let listed =
                listed.iter().map(|a| (a.queue.get(), a.offset.get(), a.attempts, a.deaths));
            let known = aside.iter().map(|place| (*place, model.known(*place)));
            let expected = known.map(|(p, known)| (p.0, p.1, known.attempts, known.deaths));
            assert_eq!(listed.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
    }

    /// Everything that is left comes once more, and then nothing.
    fn finish(mut self) {
        for drains in [true, false] {
            while !self.received.is_empty() {
                self.settle(&Op::Drop { which: 0 }, 0);
            }
            for (group, name) in NAMES.into_iter().enumerate() {
                // What waits before one that fails comes after it; each turn brings at least one of each key.
                while self.receive_all(group) > 0 || self.waits(group) {
                    assert!(drains, "nothing comes twice");
                    self.ack_all(group);
                    self.advance(LONG);
                }
                let aside = self.groups[group].aside().len() as u64;
                let lag = self.queue.group(name).unwrap().lag().unwrap();
                assert_eq!(lag.iter().map(|lag| lag.backlog).sum::<u64>(), aside);
            }
            self.check();
            self.open_again([self.groups[0].terms, self.groups[1].terms], drains);
        }
    }

    fn receive_all(&mut self, group: usize) -> usize {
        (0..2).map(|consumer| self.receive(group, consumer, 1000)).sum()
    }

    /// Whether something comes later.
    fn waits(&self, group: usize) -> bool {
        let model = &self.groups[group];
        self.log.iter().any(|(place, sent)| model.is_left(*place, sent))
    }
}
