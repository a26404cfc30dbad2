//! Without the feature `metrics`: nothing is counted.

use super::Names;

#[derive(Debug, Default)]
pub(crate) struct TopicMeter(());

impl TopicMeter {
    #[inline]
    #[expect(clippy::unused_self, reason = "its twin has one")]
    pub(crate) fn came_in(&self, _: &str, _: usize, _: u64) {}
}

#[derive(Debug, Default)]
pub(crate) struct GroupMeter(());

#[expect(clippy::unused_self, reason = "its twin has one")]
impl GroupMeter {
    #[inline]
    pub(crate) fn went_out(&self, _: Names<'_>, _: usize, _: impl FnOnce() -> u64) {}

    #[inline]
    pub(crate) fn acked(&self, _: Names<'_>, _: u64) {}

    #[inline]
    pub(super) fn failed(&self, _: Names<'_>) {}

    #[inline]
    pub(super) fn expired(&self, _: Names<'_>) {}

    #[inline]
    pub(super) fn set_aside(&self, _: Names<'_>) {}
}
