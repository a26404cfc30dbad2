//! A list that is mostly one item long, which then lies in it and not on the heap: most receivers take one message at a time.

#[derive(Debug)]
pub(super) struct Few<T> {
    first: Option<T>,
    /// Behind the first.
    more: Vec<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: None, more: Vec::new() }
    }
}

impl<T> Few<T> {
    pub(super) fn push(&mut self, item: T) {
        if self.first.is_none() {
            self.first = Some(item);
        } else {
            self.more.push(item);
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.more)
    }

    /// Takes all out, in order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.first.take().into_iter().chain(self.more.drain(..))
    }

    pub(super) fn sort_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K) {
        if self.more.is_empty() {
            return;
        }
        self.more.extend(self.first.take());
        self.more.sort_unstable_by_key(key);
        let all = std::mem::take(&mut self.more);
        for item in all {
            self.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list() {
        let mut few = Few::default();
        assert!(few.is_empty() && few.drain().next().is_none());
        for items in [vec![3], vec![3, 1, 2]] {
            for item in &items {
                few.push(*item);
            }
            assert_eq!((few.len(), few.is_empty()), (items.len(), false));
            few.sort_by_key(|item| *item);
            let mut sorted = items.clone();
            sorted.sort_unstable();
            assert_eq!(few.drain().collect::<Vec<_>>(), sorted);
            assert!(few.is_empty());
            assert_eq!(few.len(), 0, "and it counts so");
        }
    }
}
