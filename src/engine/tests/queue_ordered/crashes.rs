//! The process dies, or the power goes, while messages of every queue are in hand.

use super::*;
use crate::io::sim::SimDisk;

const QUEUES: u32 = 3;
const EACH: u8 = 40;
const LIVES: u64 = 6;

/// What is known of a queue.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// All below were acknowledged.
    acked: u8,
    /// Somebody keeps what he has of it.
    kept: bool,
    /// Acknowledgements may be lost: it goes on there or before.
    unsure: bool,
}

impl Account {
    fn delivered(&mut self, number: u8, at: usize) {
        assert!(!self.kept, "{number} came though it is in hand");
        if std::mem::take(&mut self.unsure) {
            assert!(number <= self.acked, "{number} came: {self:?}");
            self.acked = number;
        }
        assert_eq!(usize::from(number), usize::from(self.acked) + at, "{self:?}");
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

fn open(disk: &SimDisk) -> Arc<Engine> {
    let options = Options::default().flush(Flush::Sync).segment_size(64 << 10);
    let options = options.staging_size(64 << 10).queue_file_size(20 * 512);
    let clock = Arc::new(ManualClock::at(1_000_000));
    Engine::open_on(Arc::new(disk.clone()), clock, Path::new("/q"), &options).unwrap()
}

fn join(engine: &Arc<Engine>) -> Bytes {
    let at_once = Retry::fixed(Duration::ZERO).max_attempts(u32::MAX);
    builder(engine).retry(at_once).pull().unwrap()
}

/// A life of the process: what is in hand in the end.
fn live(engine: &Arc<Engine>, accounts: &mut [Account], random: &mut Random) -> Vec<Got> {
    let mut consumers = [join(engine), join(engine)];
    let mut in_hand = Vec::new();
    for _ in 0..30 {
        let who = usize::try_from(random.below(2)).unwrap();
        if random.below(10) == 0 {
            consumers[who] = join(engine);
        }
        let max = if random.below(2) == 0 { 1 } else { 5 };
        let mut runs: Vec<Vec<Got>> = (0..QUEUES).map(|_| Vec::new()).collect();
        for got in consumers[who].recv_batch(max, Duration::ZERO).unwrap() {
            let queue = got.message().queue().get() as usize;
            accounts[queue].delivered(got.body()[0], runs[queue].len());
            runs[queue].push(got);
        }
        for (account, run) in accounts.iter_mut().zip(runs) {
            for got in run {
                match random.below(20) {
                    _ if account.kept => in_hand.push(got),
                    0 => {
                        account.kept = true;
                        in_hand.push(got);
                    }
                    1 | 2 => {
                        got.fail().unwrap();
                        break;
                    }
                    3 => break,
                    _ => {
                        got.ack().unwrap();
                        account.acked += 1;
                    }
                }
            }
        }
    }
    in_hand
}

#[test]
fn each_queue_goes_on_where_it_was_after_deaths_and_power_cuts() {
    for seed in 0..4 {
        let (mut disk, mut random) = (SimDisk::new(seed), Random(seed));
        let mut accounts = [Account::default(); QUEUES as usize];
        let mut engine = open(&disk);
        engine.store().create_topic("t", QUEUES, true).unwrap();
        for queue in 0..QUEUES {
            send(&engine, queue, 0..EACH);
        }
        for life in 0..LIVES {
            let in_hand = live(&engine, &mut accounts, &mut random);
            let cut = random.below(3) == 0;
            disk = if cut { disk.power_image(seed * LIVES + life) } else { disk.kill_image() };
            for account in &mut accounts {
                account.kept = false;
                account.unsure |= cut;
            }
            drop(in_hand);
            engine.close().unwrap();
            engine = open(&disk);
        }
        let consumer = join(&engine);
        while let Some(got) = next(&consumer) {
            let account = &mut accounts[got.message().queue().get() as usize];
            account.delivered(got.body()[0], 0);
            got.ack().unwrap();
            account.acked += 1;
        }
        assert_eq!(
            accounts.map(|account| account.acked),
            [EACH; QUEUES as usize],
            "nothing is lost"
        );
        engine.close().unwrap();
    }
}
