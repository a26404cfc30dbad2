//! Without the feature `tracing`: nothing is said.

use crate::error::Result;

use super::{Attempt, Names, Opened};

#[derive(Debug)]
pub(crate) struct Sending;

impl Sending {
    #[inline]
    pub(crate) fn to(_: &str, _: u32) -> Self {
        Self
    }

    #[inline]
    #[expect(clippy::unused_self, reason = "its twin has one")]
    pub(crate) fn around<T>(&self, send: impl FnOnce() -> Result<T>) -> Result<T> {
        send()
    }

    #[inline]
    #[expect(clippy::unused_self, reason = "its twin has one")]
    pub(crate) fn placed(&self, _: u64, _: usize, _: u64) {}
}

#[derive(Debug)]
pub(crate) struct Delivery;

impl Delivery {
    #[inline]
    pub(crate) fn of<'a, I: std::fmt::Display>(
        _: Names<'_>,
        _: (u32, u64),
        _: u32,
        _: impl FnOnce() -> I,
        _: impl FnOnce() -> Option<&'a str>,
    ) -> Self {
        Self
    }

    #[inline]
    #[expect(clippy::unused_self, reason = "its twin has one")]
    pub(crate) fn around<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }

    #[inline]
    #[expect(clippy::unused_self, reason = "its twin has one")]
    pub(crate) fn settled(&self, _: &'static str) {}
}

#[inline]
pub(crate) fn around_handler<'a, T>(
    _: Names<'a>,
    _: impl ExactSizeIterator<Item = &'a Delivery>,
    handler: impl FnOnce() -> T,
) -> T {
    handler()
}

#[inline]
pub(super) fn failed(_: Names<'_>, _: Attempt) {}

#[inline]
pub(super) fn expired(_: Names<'_>, _: Attempt) {}

#[inline]
pub(super) fn set_aside(_: Names<'_>, _: Attempt) {}

#[inline]
pub(crate) fn came(_: Names<'_>, _: impl FnOnce() -> usize) {}

#[inline]
pub(crate) fn poisoned(_: &str) {}

#[inline]
pub(super) fn opened(_: &Opened<'_>) {}
