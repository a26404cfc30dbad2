//! Many consumers that join, leave and do not answer, and an account of every queue.

use super::*;
use crate::sync::RwLock;

const QUEUES: usize = 6;
const EACH: u8 = 150;

/// What is known of a queue.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// All below were acknowledged.
    acked: u8,
    /// All below were acknowledged, or somebody is about to and does not know yet whether it worked.
    tried: u8,
    /// Who holds messages of it, and how many.
    holder: Option<usize>,
    held: usize,
}

type Accounts = Mutex<Vec<Account>>;

impl Account {
    fn delivered(&mut self, number: u8, to: usize, at: usize) {
        // A batch is in order and without gaps.
        let first = usize::from(number) - at;
        let known = usize::from(self.acked)..=usize::from(self.tried);
        assert!(known.contains(&first), "{number}, place {at} of a batch, came: {self:?}");
        assert!(self.holder.is_none_or(|holder| holder == to), "two have a queue: {self:?}");
        self.holder = Some(to);
        self.held += 1;
    }

    fn lets_go(&mut self, how_many: usize) {
        self.held -= how_many;
        if self.held == 0 {
            self.holder = None;
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// Settles the messages of one queue, somehow: from the front.
fn settle(run: Vec<Got>, account: impl Fn(&mut dyn FnMut(&mut Account)), random: &mut Random) {
    let mut run = run.into_iter();
    while let Some(delivery) = run.next() {
        let number = delivery.body()[0];
        if random.below(8) < 6 {
            account(&mut |known| known.tried = number + 1);
            // What was taken back is nobody's: it is let go before anybody else can have it.
            let last = run.len() == 0;
            if last {
                account(&mut |known| known.lets_go(1));
            }
            delivery.ack().unwrap();
            account(&mut |known| {
                known.acked = known.acked.max(number + 1);
                if !last {
                    known.lets_go(1);
                }
            });
            continue;
        }
        // It comes back, and so do those behind it.
        let behind: Vec<Got> = run.collect();
        account(&mut |known| known.lets_go(1 + behind.len()));
        if random.below(2) == 0 {
            delivery.fail().unwrap();
        } else {
            drop(delivery);
        }
        for taken_back in behind {
            if random.below(2) == 0 {
                assert_eq!(taken_back.ack().unwrap_err().kind(), ErrorKind::Stale);
            }
        }
        return;
    }
}

/// What all threads share.
struct World {
    engine: Arc<Engine>,
    strategy: Strategy,
    clock: Arc<ManualClock>,
    /// Read by whoever holds messages and lives: time goes on while only the dead hold some.
    time: RwLock<()>,
    accounts: Accounts,
}

impl World {
    fn join(&self) -> Bytes {
        let retry = Retry::fixed(Duration::ZERO).max_attempts(u32::MAX);
        builder(&self.engine).retry(retry).strategy(self.strategy).pull().unwrap()
    }

    fn is_done(&self) -> bool {
        self.accounts.lock().iter().all(|account| account.acked == EACH)
    }
}

/// A consumer that was not heard of has no queue, and what it holds is others'.
fn die(world: &World, consumer: &Bytes, runs: Vec<Vec<Got>>) {
    {
        let _only_the_dead_hold_some = world.time.write();
        world.clock.advance(30 * SECOND);
    }
    assert!(consumer.queues().is_empty());
    for late in runs.into_iter().flatten() {
        assert_eq!(late.ack().unwrap_err().kind(), ErrorKind::Stale);
    }
}

fn work(world: &World, who: usize, mut random: Random) {
    let (at_once, accounts) = (|| world.join(), &world.accounts);
    let mut consumer = at_once();
    while !world.is_done() {
        let lives = world.time.read();
        match random.below(12) {
            0 => consumer = at_once(),
            1 => consumer = consumer.clone(),
            _ => {}
        }
        let max = if random.below(2) == 0 { 1 } else { 5 };
        let got = consumer.recv_batch(max, Duration::from_millis(1)).unwrap();
        let mut runs: Vec<Vec<Got>> = (0..QUEUES).map(|_| Vec::new()).collect();
        for delivery in got {
            let queue = delivery.message().queue().get() as usize;
            let at = runs[queue].len();
            accounts.lock()[queue].delivered(delivery.body()[0], who, at);
            runs[queue].push(delivery);
        }
        if random.below(20) == 0 {
            for (account, run) in accounts.lock().iter_mut().zip(&runs) {
                account.lets_go(run.len());
            }
            drop(lives);
            die(world, &consumer, runs);
            continue;
        }
        if random.below(10) == 0 {
            // Deliveries outlive their consumer.
            consumer = at_once();
        }
        for (queue, run) in runs.into_iter().enumerate() {
            settle(run, |change| change(&mut accounts.lock()[queue]), &mut random);
        }
    }
}

#[test]
fn each_queue_is_acknowledged_in_order_and_nobody_is_in_it_beside_another_whoever_joins_leaves_or_dies()
 {
    for strategy in [Strategy::Average, Strategy::Circle, Strategy::ConsistentHash] {
        let (engine, clock) = engine(6);
        for queue in 0..6 {
            send(&engine, queue, 0..EACH);
        }
        let accounts = Accounts::new(vec![Account::default(); QUEUES]);
        let world = World { engine, strategy, clock, time: RwLock::new(()), accounts };
        std::thread::scope(|scope| {
            for who in 0..8 {
                let world = &world;
                let seed = 1000 * strategy as u64 + who as u64;
                scope.spawn(move || work(world, who, Random(seed)));
            }
        });
        assert!(world.accounts.lock().iter().all(|account| account.held == 0));
        assert_eq!(world.engine.dispatches()[0].in_flight(), 0);
        world.engine.close().unwrap();
    }
}
