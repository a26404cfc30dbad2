//! The only source of chance: the same seed gives the same run.

/// The `SplitMix64` generator.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `max`, both included.
    pub(super) fn up_to(&mut self, max: usize) -> usize {
        let bound = (max as u64).saturating_add(1);
        usize::try_from(self.next() % bound).unwrap_or(max)
    }

    pub(super) fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

/// Which of the things that a power cut may take survive: often some, sometimes none, sometimes all.
#[derive(Debug)]
pub(super) struct Survival {
    rng: Rng,
    /// Of 256.
    chance: u64,
}

impl Survival {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let chance = match rng.next() % 8 {
            0 => 0,
            1 => 256,
            _ => rng.next() % 257,
        };
        Self { rng, chance }
    }

    pub(super) fn survives(&mut self) -> bool {
        self.rng.next() % 256 < self.chance
    }
}
