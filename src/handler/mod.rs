//! What a handler gets and what it returns, whoever runs it: a thread of a worker, or a future.

mod job;
mod outcome;

pub(crate) use job::Cancel;

pub use job::{Envelope, Job};
pub use outcome::{HandlerError, OrFail, Outcome};
