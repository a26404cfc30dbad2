//! The bytes of `timerwheel`, `timerlog` and `config/timercheck`, and the steps of time that they count in.
//!
//! A timed message lies in the commit log, under the topic `rmq_sys_wheel_timer`. For each of them the timer log has a unit that
//! points to it, and the units that are due in the same step are a chain, newest first, which begins in the wheel's slot.

pub(crate) mod check;
pub(crate) mod log;
#[cfg(test)]
mod tests;
pub(crate) mod ticks;
pub(crate) mod wheel;
