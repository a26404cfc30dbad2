//! Identities that are not places.

use std::hash::{BuildHasher, RandomState};

use crate::sync::{AtomicU64, Ordering};

/// 32 upper-case hex digits each: a number drawn when the store was opened, and how many there were before.
#[derive(Debug)]
pub(super) struct Keys {
    opening: u64,
    next: AtomicU64,
}

impl Keys {
    pub(super) fn new() -> Self {
        // The one source of randomness that the standard library has.
        Self { opening: RandomState::new().hash_one(0_u64), next: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> String {
        format!("{:016X}{:016X}", self.opening, self.next.fetch_add(1, Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_keys_are_the_same_whoever_makes_them() {
        let openings = [Keys::new(), Keys::new(), Keys::new()];
        let keys: BTreeSet<_> =
            openings.iter().flat_map(|keys| (0..100).map(|_| keys.next())).collect();
        assert_eq!(keys.len(), 300);
        let upper_hex = |c: char| c.is_ascii_digit() || matches!(c, 'A'..='F');
        assert!(keys.iter().all(|key| key.len() == 32 && key.chars().all(upper_hex)));
    }
}
