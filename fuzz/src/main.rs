//! Runs a fuzz target without libFuzzer: inputs of its corpus, then changed ones, from a seed.
//!
//! ```sh
//! RUSTFLAGS='--cfg fuzzing' cargo run --release --bin drive -- TARGET [--seconds S] [--seed N] [--from ITERATION]
//! ```
//!
//! The input of an iteration follows from seed and number alone. One that panics, hangs or eats all memory ends the process; it is
//! kept in `artifacts/`, and `--seed N --from ITERATION` goes on there.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pocketmq_fuzz::mutate::{Random, mutate};
use pocketmq_fuzz::store::store;

/// One input may take so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Inputs do not grow beyond this.
const LONGEST: usize = 64 << 10;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let (mut seconds, mut seed, mut from) = (20, 1, 0);
    while let (Some(word), value) = (words.next(), words.next().and_then(|v| v.parse().ok())) {
        match (word.as_str(), value) {
            ("--seconds", Some(value)) => seconds = value,
            ("--seed", Some(value)) => seed = value,
            ("--from", Some(value)) => from = value,
            _ => return usage(),
        }
    }
    let known = pocketmq::fuzzing::TARGETS
        .into_iter()
        .chain([("store", store as pocketmq::fuzzing::Target)]);
    let Some((_, target)) = known.into_iter().find(|(known, _)| *known == name) else {
        return usage();
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = corpus(&root.join("corpus").join(&name));
    let artifacts = root.join("artifacts");
    fs::create_dir_all(&artifacts).expect("artifacts/");
    let current = artifacts.join(format!("{name}.current"));
    let file = File::create(&current).expect("a file for the current input");
    let done = watch(current.clone());
    if from == 0 {
        for (path, input) in &corpus {
            println!("{}", path.display());
            write(&file, input);
            target(input);
        }
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut iteration = from;
    while Instant::now() < end {
        let input = input(&corpus, seed, iteration);
        write(&file, &input);
        let kept = std::panic::catch_unwind(|| target(&input));
        if kept.is_err() {
            let path = artifacts.join(format!("{name}.{seed}.{iteration}"));
            fs::write(&path, &input).expect("an artifact");
            println!("{name} --seed {seed} --from {iteration}: {}", path.display());
            return ExitCode::FAILURE;
        }
        done.store(iteration + 1, Ordering::Relaxed);
        iteration += 1;
    }
    fs::remove_file(current).expect("the current input");
    println!(
        "{name}: {} inputs and {} changed ones, seed {seed}, {seconds} s",
        corpus.len(),
        iteration - from
    );
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    println!("usage: drive TARGET [--seconds S] [--seed N] [--from ITERATION]");
    ExitCode::from(2)
}

fn corpus(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .expect("a corpus")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), fs::read(path).expect("an input")))
        .collect();
    all.sort();
    all
}

fn input(corpus: &[(PathBuf, Vec<u8>)], seed: u64, iteration: u64) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x1000_0000_01b3) ^ iteration);
    let mut input = corpus[random.below(corpus.len())].1.clone();
    if random.below(3) == 0 {
        let len = 1 + random.below(64);
        input = (0..len).map(|_| random.draw().to_be_bytes()[0]).collect();
    }
    let other = &corpus[random.below(corpus.len())].1;
    mutate(&mut input, other, &mut random);
    input.truncate(LONGEST);
    input
}

/// So that it is there whatever happens to the process.
fn write(file: &File, input: &[u8]) {
    file.write_all_at(input, 0).expect("the current input");
    file.set_len(input.len() as u64).expect("the current input");
}

/// Ends the process when the count stands still.
fn watch(current: PathBuf) -> Arc<AtomicU64> {
    let done = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&done);
    std::thread::spawn(move || {
        let mut last = (u64::MAX, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let now = count.load(Ordering::Relaxed);
            if now != last.0 {
                last = (now, Instant::now());
            } else if last.1.elapsed() > PATIENCE {
                println!("hangs: {}", current.display());
                std::process::exit(3);
            }
        }
    });
    done
}
