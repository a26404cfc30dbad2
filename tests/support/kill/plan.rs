//! What is sent: every message's topic and body follow from its number, so that whoever finds one can say whether it was
//! sent, and what it must look like.

/// Topics and their number of queues.
pub(crate) const TOPICS: [(&str, u32); 2] = [("one", 1), ("four", 4)];
/// The groups that consume.
pub(crate) const GROUPS: [&str; 2] = ["left", "right"];
/// How many submitted messages are unconfirmed at most.
pub(crate) const WINDOW: u64 = 8;
/// The largest body: larger than a quarter of the staging buffer, so that it goes around it.
const LARGE: u64 = 30_000;

/// The producers of a run: `send`, `send_batch`, `submit`, the process that counts, and `send` that waits for the disk.
pub(crate) const PLAIN: u8 = 0;
pub(crate) const BATCH: u8 = 1;
pub(crate) const SUBMIT: u8 = 2;
pub(crate) const AUDITOR: u8 = 3;
pub(crate) const DURABLE: u8 = 4;
/// Producers with one message under way at most, which may fail while another's arrives.
pub(crate) const TICKETS: [u8; 3] = [5, 6, 7];

/// A message: the `seq`-th of a producer in a run of the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    pub(crate) run: u64,
    pub(crate) producer: u8,
    pub(crate) seq: u64,
}

impl Id {
    fn rng(self) -> Rng {
        Rng::new(self.run << 40 ^ u64::from(self.producer) << 32 ^ self.seq)
    }

    /// The topic it goes to, as an index into [`TOPICS`].
    pub(crate) fn topic(self) -> usize {
        self.rng().index(TOPICS.len())
    }

    /// The number of messages in the batch that begins with this one.
    pub(crate) fn batch_len(self) -> u64 {
        1 + self.rng().below(9)
    }

    /// The body: the number in words, and filling of a length that varies.
    pub(crate) fn body(self) -> Vec<u8> {
        let mut rng = self.rng();
        let large = rng.one_in(40);
        let len = match self.producer {
            BATCH if large => rng.below(4000),
            _ if large => rng.below(LARGE),
            _ => rng.below(600),
        };
        let mut body = format!("{} {} {}\n", self.run, self.producer, self.seq).into_bytes();
        let end = body.len() + usize::try_from(len).unwrap_or_default();
        while body.len() < end {
            body.extend_from_slice(&rng.next().to_be_bytes());
        }
        body.truncate(end);
        body
    }

    /// The message with this body; `None` if there is none.
    pub(crate) fn of(body: &[u8]) -> Option<Self> {
        let head = body.split(|b| *b == b'\n').next()?;
        let mut words = std::str::from_utf8(head).ok()?.split(' ');
        let id = Self {
            run: words.next()?.parse().ok()?,
            producer: words.next()?.parse().ok()?,
            seq: words.next()?.parse().ok()?,
        };
        (id.body() == body).then_some(id)
    }
}

/// Reproducible numbers: splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.next() % len as u64).unwrap_or_default()
    }

    /// From 1 to `2^bits - 1`, small numbers as often as large ones.
    pub(crate) fn size(&mut self, bits: u64) -> u64 {
        let top = 1 << self.below(bits);
        top + self.below(top)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.index(at + 1));
        }
    }
}
