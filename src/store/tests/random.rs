//! Histories that nobody thought of. A failure prints its seed; `POCKETMQ_SIM_SEED=<seed>` runs that one alone, and
//! `POCKETMQ_SIM_SEEDS=<count>` runs more, `POCKETMQ_SIM_IMAGES=<count>` looks at so many disks after each crash.

use std::time::Duration;

use crate::error::Result;
use crate::io::sim::SimDisk;
use crate::options::{Flush, Options, Reads};
use crate::store::report::History;

use super::model::Left;
use super::world::{Ack, LARGE, World, tiny};

const SEEDS: u64 = 60;
const IMAGES: u64 = 2;
const TOPICS: [&str; 3] = ["a", "b", "many"];
const GROUPS: [&str; 2] = ["g", "h"];

/// The same seed, the same numbers.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let at = usize::try_from(self.below(from.len() as u64)).unwrap();
        from[at]
    }

    fn len(&mut self) -> usize {
        let bound = self.pick(&[10, 200, 200, 1000, 3000, LARGE as u64]);
        usize::try_from(self.below(bound)).unwrap()
    }
}

fn options(chance: &mut Chance) -> Options {
    let flush = chance.pick(&[Flush::default(), Flush::Sync]);
    let queue_file = chance.pick(&[200, 400, 2000]);
    let reads = chance.pick(&[Reads::Mapped, Reads::Copied]);
    tiny(flush).queue_file_size(queue_file).reads(reads).line(3)
}

/// One thing that somebody does with the queue, or the background for it, or the kernel.
fn act(world: &mut World, chance: &mut Chance) -> Result<()> {
    let topic = chance.pick(&TOPICS);
    let group = chance.pick(&GROUPS);
    match chance.below(100) {
        0..40 => world.send(topic, chance.len()).map(drop),
        40..48 => {
            let lens: Vec<_> = (0..chance.below(12)).map(|_| chance.len() % 1000).collect();
            world.send_batch(topic, &lens)
        }
        48..58 => world.submit(topic, chance.len()),
        58..76 => {
            let max = 1 + usize::try_from(chance.below(20)).unwrap();
            let choices = [Ack::No, Ack::Yes, Ack::Yes, Ack::Yes, Ack::Durably];
            world.consume((topic, group), max, |_| chance.pick(&choices)).map(drop)
        }
        76..80 => world.commit(),
        80..83 => world.sync(),
        83..85 => world.sync_progress(),
        85..88 => world.flush(),
        88..92 => {
            world.chores();
            Ok(())
        }
        92..95 => {
            world.disk.write_back(chance.next());
            Ok(())
        }
        95..98 => {
            let ms = chance.below(5000);
            world.clock.advance(Duration::from_millis(ms));
            Ok(())
        }
        _ => {
            world.close()?;
            let mut look = world.next(world.disk.kill_image());
            look.open_and_check(Left::Kill, "closed");
            assert_eq!(look.history(), History::Clean);
            world.model = look.model.clone();
            world.open()
        }
    }
}

/// Opens, on copies, what some power cuts at this moment would leave. Each must keep everything that was durable.
fn look_at_power_cuts(world: &World, images: u64, chance: &mut Chance, context: &str) -> u64 {
    for _ in 0..images {
        let cut = chance.next();
        let mut look = world.next(world.disk.power_image(cut));
        look.open_and_check(Left::PowerCut, &format!("{context}, power cut {cut}"));
    }
    images
}

/// Returns how many disks were opened that a crash had left.
fn history(seed: u64, images: u64) -> u64 {
    let (mut opened, mut cuts) = (0, Chance::new(!seed));
    let mut chance = Chance::new(seed);
    let options = options(&mut chance);
    let mut world = World::on(SimDisk::new(seed), options);
    let (mut left, mut context) = (Left::Kill, "at the beginning".to_owned());
    for life in 0..7 {
        // What this life will find, looked at on a copy of the disk.
        let mut look = world.next(world.disk.kill_image());
        look.open_and_check(left, &context);
        opened += 1;
        let found = look.model.clone();
        if chance.below(4) == 0 {
            look.check_works(&context);
        }
        // The first lives are long, the last ones die young, some while they open.
        let operations = 1 + chance.below([2000, 600, 600, 200, 80, 40, 2000][life]);
        world.disk.crash_at(operations);
        if world.open().is_ok() {
            (world.model, left) = (found, Left::Kill);
            let created = world.create_topic("many", 3);
            assert!(created.is_ok() || world.disk.is_crashed(), "life {life}: {created:?}");
            for _ in 0..400 {
                if world.disk.is_crashed() || !world.is_open() {
                    break;
                }
                let done = act(&mut world, &mut chance);
                assert!(done.is_ok() || world.disk.is_crashed(), "life {life}: {done:?}");
            }
        }
        opened += look_at_power_cuts(&world, images, &mut cuts, &format!("life {life}"));
        let disk = if chance.below(2) == 0 {
            context = format!("life {life}, kill");
            world.disk.kill_image()
        } else {
            let cut = chance.next();
            left = Left::PowerCut;
            context = format!("life {life}, power cut {cut}");
            world.disk.power_image(cut)
        };
        world = world.next(disk);
    }
    world.open_and_check(left, &context);
    world.check_works(&context);
    opened + 1
}

#[test]
fn random_histories_keep_their_promises() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let seeds = match number("POCKETMQ_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("POCKETMQ_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let images = number("POCKETMQ_SIM_IMAGES").unwrap_or(IMAGES);
    let histories = seeds.end - seeds.start;
    let mut opened = 0;
    for seed in seeds {
        match std::panic::catch_unwind(|| history(seed, images)) {
            Ok(more) => opened += more,
            Err(panic) => {
                println!("to replay: POCKETMQ_SIM_SEED={seed} POCKETMQ_SIM_IMAGES={images}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{histories} histories, {opened} disks after crashes");
}
