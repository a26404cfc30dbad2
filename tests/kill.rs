//! A process that uses the queue with all its might is killed, again and again, and the accounts are compared.
//!
//! Each test starts this program again as a child that sends and consumes, and says so, line by line, after each call has
//! returned. The child is killed at some line, or at some moment while it opens or closes the store. Then the store is opened
//! here, and everything that the lines promise must hold.
//!
//! `POCKETMQ_KILLS` is the number of kills per test (20), `POCKETMQ_SEED` repeats the choices of an earlier campaign.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]
#![expect(clippy::indexing_slicing, reason = "this is a test")]
#![expect(clippy::disallowed_methods, reason = "kills happen at real moments")]
#![expect(clippy::print_stdout, reason = "a failure must name its seed")]

mod support {
    pub(crate) mod kill {
        pub(crate) mod child;
        pub(crate) mod ledger;
        pub(crate) mod lines;
        pub(crate) mod look;
        pub(crate) mod plan;
    }
}

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pocketmq::{History, OpenReport, Queue};
use tempfile::TempDir;

use support::kill::child::{Bytes, Role, play};
use support::kill::ledger::{Ledger, Place};
use support::kill::lines::lines_of;
use support::kill::look::{contents, receive};
use support::kill::plan::{GROUPS, Rng, TOPICS};

/// A child that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// A new store after so many kills.
const KILLS_PER_STORE: u64 = 10;

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    campaign("a_killed_process_loses_nothing_that_was_acknowledged", false);
}

#[test]
fn a_killed_process_loses_nothing_that_was_durable() {
    campaign("a_killed_process_loses_nothing_that_was_durable", true);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn campaign(test: &'static str, sync: bool) {
    if let Some(role) = Role::mine() {
        return play(role);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("POCKETMQ_SEED").unwrap_or_else(|| u64::from(now.subsec_nanos()));
    println!("POCKETMQ_SEED={seed}");
    let mut rng = Rng::new(seed);
    let all = number("POCKETMQ_KILLS").unwrap_or(20);
    let (mut left, mut messages) = (all, 0);
    while left > 0 {
        let mut life = Life::new(test, sync, rng.next());
        let kills = left.min(KILLS_PER_STORE);
        life.run(kills);
        left -= kills;
        messages += life.ledger.messages();
        println!("{} messages; {:?}", life.ledger.messages(), life.tally);
    }
    let kind = if sync { "durable" } else { "acknowledged" };
    println!("{all} kills, {messages} messages, all that was {kind} is there");
}

/// When the child dies.
#[derive(Debug, Clone, Copy)]
enum Aim {
    /// When it has said so much.
    Lines(u64),
    /// While it opens the store.
    Opening,
    /// While it closes the store, after so many messages.
    Closing(u64),
}

/// What opening did, summed up: a campaign without replays or cuts would prove little.
#[derive(Debug, Default)]
struct Tally {
    clean: u64,
    crashed: u64,
    /// Kills while the store was being opened, and closed.
    half_opened: u64,
    half_closed: u64,
    scanned: u64,
    replayed: u64,
    bytes_cut: u64,
    mended: u64,
}

/// One store from its creation on.
struct Life {
    test: &'static str,
    dir: Option<TempDir>,
    path: PathBuf,
    role: Role,
    rng: Rng,
    ledger: Ledger,
    tally: Tally,
    /// How the store may have been left.
    left: Vec<History>,
    opening: Duration,
    closing: Duration,
}

impl Drop for Life {
    /// A store that went wrong is worth a look.
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take().filter(|_| std::thread::panicking()) {
            println!("the store is kept: {}", dir.keep().display());
        }
    }
}

impl Life {
    fn new(test: &'static str, sync: bool, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let segment_size = (64 << 10) << (2 * rng.below(3));
        Self {
            test,
            path: dir.path().to_path_buf(),
            dir: Some(dir),
            role: Role { run: 0, seed, sync, segment_size, close_after: 0 },
            rng,
            ledger: Ledger::default(),
            tally: Tally::default(),
            left: vec![History::New],
            opening: Duration::from_millis(20),
            closing: Duration::from_millis(20),
        }
    }

    fn run(&mut self, kills: u64) {
        for kill in 0..kills {
            let aim = match self.rng.below(10) {
                0..2 => Aim::Opening,
                2 => Aim::Closing(self.rng.size(10)),
                _ => Aim::Lines(self.rng.size(13)),
            };
            self.kill(aim);
            // At times the next child has to recover, and may be killed while it does.
            if kill + 1 == kills || !self.rng.one_in(3) {
                self.audit();
            }
        }
    }

    /// Starts a child and kills it.
    fn kill(&mut self, aim: Aim) {
        self.role.run += 1;
        self.role.seed = self.rng.next();
        self.role.close_after = if let Aim::Closing(n) = aim { n } else { 0 };
        self.ledger.run_begins();
        println!("run {}: {aim:?}", self.role.run);
        let mut command = self.role.command(self.test, &self.path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut victim = Victim(command.spawn().unwrap());
        let lines = lines_of(&mut victim.0);
        self.listen(aim, &lines);
        victim.0.kill().unwrap();
        for line in &lines {
            self.hear(&line);
        }
        match self.left.as_slice() {
            [.., History::Crashed, History::Clean] => self.tally.half_closed += 1,
            [_, .., History::Crashed] => self.tally.half_opened += 1,
            _ => {}
        }
        let status = victim.0.wait().unwrap();
        let closed = self.left == [History::Clean];
        assert!(closed || status.code().is_none(), "the child ended by itself: {status}");
    }

    /// Hears the child out until it is time to kill it, or it has ended.
    fn listen(&mut self, aim: Aim, lines: &Receiver<String>) {
        let (mut deadline, mut patient) = (Instant::now() + PATIENCE, true);
        let (mut count, mut since) = (0, Instant::now());
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            let line = match lines.recv_timeout(wait) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) if patient => panic!("the child hangs"),
                Err(RecvTimeoutError::Timeout) => {
                    // Next time a little later, so that the end is reached at last.
                    match aim {
                        Aim::Closing(_) => self.closing = self.closing * 3 / 2,
                        _ => self.opening = self.opening * 3 / 2,
                    }
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.hear(&line);
            match line.as_bytes()[0] {
                b'B' | b'C' => since = Instant::now(),
                b'O' => self.opening = since.elapsed(),
                b'E' => self.closing = since.elapsed(),
                _ => count += 1,
            }
            let within = match (aim, line.as_str()) {
                (Aim::Lines(n), _) if count >= n => return,
                (Aim::Opening, "B") => self.opening,
                (Aim::Closing(_), "C") => self.closing,
                _ if patient => {
                    deadline = Instant::now() + PATIENCE;
                    continue;
                }
                _ => continue,
            };
            // Some moments lie behind the end, too.
            let micros = u64::try_from(within.as_micros()).unwrap() * 5 / 4 + 1;
            deadline = since + Duration::from_micros(self.rng.below(micros));
            patient = false;
        }
    }

    /// What a line says about the store as a whole is noted here, the rest in the ledger.
    fn hear(&mut self, line: &str) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("B", _) => self.left.push(History::Crashed),
            ("O", history) => {
                self.expect_history(history);
                self.left = vec![History::Crashed];
            }
            ("C", _) => self.left.push(History::Clean),
            ("E", _) => self.left = vec![History::Clean],
            ("S" | "a" | "A" | "D", _) => self.ledger.note(self.role.run, line),
            _ => panic!("the child says: {line}"),
        }
    }

    fn expect_history(&self, found: &str) {
        let possible = self.left.iter().any(|history| format!("{history:?}") == found);
        assert!(possible, "found {found}, expected one of {:?}", self.left);
    }

    /// Opens the store here and compares everything; then uses it, and closes it.
    fn audit(&mut self) {
        let queue = self.role.options().open(&self.path).unwrap();
        self.expect_history(&format!("{:?}", queue.report().history));
        self.count(queue.report());
        self.check_log(&queue);
        for group in 0..GROUPS.len() {
            self.check_group(&queue, group);
        }
        self.write(&queue);
        let closed = queue.close_with_report().unwrap();
        assert!(closed.broker_ready);
        self.left = vec![History::Clean];
        for file in ["abort", "commitlog/IN-USE-BY-POCKETMQ"] {
            assert!(!exists(&self.path.join(file)), "{file} is still there after a close");
        }
    }

    fn count(&mut self, report: &OpenReport) {
        assert!(report.damage.is_empty(), "{report:?}");
        match report.history {
            History::Clean => self.tally.clean += 1,
            _ => self.tally.crashed += 1,
        }
        self.tally.scanned += report.records_scanned;
        self.tally.replayed += report.records_replayed;
        self.tally.bytes_cut += report.bytes_cut;
        self.tally.mended += report.units_mended;
    }

    /// A group that never acknowledges receives the whole log each time.
    fn check_log(&mut self, queue: &Queue) {
        let found = contents(queue);
        self.ledger.check_log(found);
    }

    fn check_group(&mut self, queue: &Queue, group: usize) {
        let mut deliveries = receive(queue, GROUPS[group]);
        let places: Vec<Place> = deliveries.iter().map(|d| d.0).collect();
        self.ledger.check_group(group, &places);
        let stats = queue.stats().unwrap();
        let own = stats.groups.iter().filter(|g| g.group == GROUPS[group]);
        assert_eq!(own.map(|g| g.backlog).sum::<u64>(), places.len() as u64);
        // Some of what is left over is acknowledged here, with gaps; the rest goes back.
        self.rng.shuffle(&mut deliveries);
        let some = self.rng.index(deliveries.len() + 1) / 2;
        for (place, delivery) in deliveries.drain(..some) {
            delivery.ack().unwrap();
            self.ledger.acked_here(group, place);
        }
    }

    /// The store takes messages, and puts them at the end.
    fn write(&mut self, queue: &Queue) {
        for _ in 0..4 {
            let id = self.ledger.next_own(self.role.run);
            let topic = id.topic();
            let receipt =
                queue.producer(Bytes::new(TOPICS[topic].0)).unwrap().send(&id.body()).unwrap();
            self.ledger.sent(id, (topic, receipt.queue.get(), receipt.queue_offset.get()));
        }
    }
}

fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}

/// A child that does not outlive a failed assertion.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
