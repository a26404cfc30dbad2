//! The whole store on a disk that fails, tears and forgets.
//!
//! [`world`] runs a store on the simulated disk and remembers what it promised; [`model`] is that memory, and the judge of what
//! the next process finds. There are no background threads: whoever waits does the work, and a test that wants the flusher or
//! the housekeeper to have run calls what they would have called.

mod model;
mod world;

mod again;
mod cache;
mod clean;
mod crashes;
mod cut;
mod damage;
mod ends;
#[cfg(feature = "tracing")]
mod events;
mod faults;
mod foreign;
mod full;
mod hostile;
mod jumps;
mod poison;
mod progress;
mod queues;
mod random;
mod readonly;
mod readonly_live;
mod scale;
mod subscriptions;
mod takeover;
mod times;
