//! What a handler gets and what it returns, and how it is to be run: whoever runs it, a thread of a worker or a future.

mod call;
mod event;
mod job;
mod outcome;
mod push;

pub(crate) use event::Events;
pub(crate) use job::Cancel;
pub(crate) use push::Push;

pub use call::Call;
pub use event::WorkerEvent;
pub use job::{Envelope, Job};
pub use outcome::{HandlerError, OrFail, Outcome};
pub use push::DEFAULT_HANDLER_TIMEOUT;
