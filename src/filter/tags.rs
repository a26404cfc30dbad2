//! Tags, several with `||` between them.

use std::collections::BTreeSet;

use super::error::FilterError;
use crate::message::names::java_hash;

/// The tags of a filter, and their hashes, which a queue's entries have.
#[derive(Debug)]
pub(super) struct Tags {
    tags: BTreeSet<Box<str>>,
    hashes: BTreeSet<i32>,
}

impl Tags {
    /// `RocketMQ`'s way: pieces between `||`, without the blanks around; empty ones do not count.
    pub(super) fn parse(filter: &str) -> Result<Self, FilterError> {
        let mut tags = BTreeSet::<Box<str>>::new();
        let mut at = 0;
        for piece in filter.split("||") {
            let tag = piece.trim_matches(|c| c <= ' ');
            if tag == "*" {
                let place = at + piece.find('*').unwrap_or(0);
                let what = "among tags * would be a tag of that name: for all messages write it alone, without blanks";
                return Err(FilterError::new(filter, place, what).deviating("star-among-tags"));
            }
            if !tag.is_empty() {
                tags.insert(tag.into());
            }
            at += piece.len() + 2;
        }
        if tags.is_empty() {
            let what = "no tag is named: for all messages write * or nothing";
            return Err(FilterError::new(filter, 0, what).deviating("no-tags"));
        }
        let hashes = tags.iter().map(|tag| java_hash(tag)).collect();
        Ok(Self { tags, hashes })
    }

    /// Whether a queue's entry may be of a message with one of the tags. What is no hash, says nothing.
    pub(super) fn may_match(&self, tags_code: i64) -> bool {
        i32::try_from(tags_code).map_or(true, |hash| self.hashes.contains(&hash))
    }

    pub(super) fn matches(&self, tag: Option<&str>) -> bool {
        tag.is_some_and(|tag| self.tags.contains(tag))
    }
}
