//! The synchronisation primitives the crate uses, in one place, so that a schedule checker can take their place.
//!
//! In tests built with `--cfg shuttle` the checker decides who runs next, and when a wait times out (`model.rs`).

#[cfg(test)]
#[cfg(shuttle)]
pub(crate) mod model;

#[cfg(all(test, shuttle))]
pub(crate) use {
    model::{Condvar, Mutex, MutexGuard, RwLock},
    shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    shuttle::thread,
};

#[cfg(not(all(test, shuttle)))]
pub(crate) use {
    parking_lot::{Condvar, Mutex, MutexGuard, RwLock},
    std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    std::thread,
};

/// Bytes that no primitive guards change here: in a model another thread may run before they do.
#[inline]
pub(crate) fn point() {
    #[cfg(all(test, shuttle))]
    model::point();
}

// What is initialised twice is made twice and kept once, so nobody ever waits in a `OnceLock`.
pub(crate) use std::sync::{Arc, OnceLock, Weak};
