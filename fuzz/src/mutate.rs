//! Reproducible changes to bytes: what a driver without coverage can do.

/// `SplitMix64`.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `end`; 0 if there is nothing below.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw() % end.max(1) as u64).unwrap_or_default()
    }
}

/// Numbers at the edges, which lengths and offsets like to break at.
const EDGES: [u64; 16] = [
    0,
    1,
    7,
    8,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Changes `bytes` in a few places, mostly one; `other` lends pieces.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..1 + random.below(4) * random.below(2) {
        once(bytes, other, random);
    }
}

fn once(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len());
    // The beginning holds what the rest is read by.
    let at = if random.below(3) == 0 { at.min(random.below(128)) } else { at };
    let len = (1 + random.below(64)).min(bytes.len() - at);
    match random.below(8) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.draw().to_be_bytes()[0],
        2 | 3 => {
            let edge =
                EDGES[random.below(EDGES.len())].wrapping_add(random.draw() % 3).to_be_bytes();
            let edge = &edge[[0, 4, 6, 7][random.below(4)]..];
            let end = (at + edge.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&edge[..end - at]);
        }
        4 => drop(bytes.drain(at..at + len)),
        5 => {
            let piece = bytes[at..at + len].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        6 if !other.is_empty() => {
            let from = random.below(other.len());
            let piece = &other[from..(from + len.max(8)).min(other.len())];
            let end = (at + piece.len() * random.below(2)).min(bytes.len());
            bytes.splice(at..end, piece.iter().copied());
        }
        _ => bytes.truncate(at.max(1)),
    }
}
