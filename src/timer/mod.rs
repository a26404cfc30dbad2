//! Delayed messages as `RocketMQ` keeps them: for a level of delay in a queue of the schedule topic, for any other time in a
//! wheel of slots that point into a log.
//!
//! Here: the bytes, and the arithmetic of due times. Everything in it is pure: no files, no clock, no threads.

pub(crate) mod format;
pub(crate) mod levels;
