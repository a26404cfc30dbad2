//! A worker without threads: a future that polls its handlers' futures, wherever it is polled itself.
//!
//! Each handler has a slot and a waker of its own (`slots.rs`, `bells.rs`), so that one that is ready is polled, and not all the others.
//! The messages come from `intake.rs`, which waits as [`Consumer::recv_async`](crate::Consumer::recv_async) does; `drive.rs` is one poll, and
//! `books.rs` what a handler's outcome leads to. What [`Control`] says and what it asks for is on the `board.rs`.

mod bells;
mod board;
mod books;
mod control;
mod drive;
mod intake;
mod slots;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::codec::Decode;
use crate::consumer::ConsumerBuilder;
use crate::engine::member::Member;
use crate::error::{Error, Result};
use crate::handler::{HandlerError, Job, Outcome};
use crate::sync::{Arc, Weak};
use crate::worker::settle::tell_already_set_aside;

use board::Board;
use drive::Drive;

pub use control::{Control, Shutdown};

/// Handlers that are futures, polled inside this one: see [`ConsumerBuilder::run_async`](crate::ConsumerBuilder::run_async).
///
/// Does nothing until it is polled. It keeps the queue open. Ends after [`Control::shutdown`] and when the queue is closed, and with an error
/// when the store has stopped writing ([`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned)). When it is dropped, its handlers are, and their
/// messages are received again; no attempt is used.
#[must_use = "a future does nothing until it is polled: spawn it, or await it"]
pub struct Work {
    board: Arc<Board>,
    drive: Pin<Box<dyn Future<Output = Result<()>> + Send>>,
}

impl Future for Work {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.drive.as_mut().poll(cx)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("board", &self.board).finish_non_exhaustive()
    }
}

impl<T: ?Sized + 'static, C: Decode<T> + 'static> ConsumerBuilder<T, C> {
    /// Runs `handler` for each message, inside the future that is returned: up to [`concurrency`](ConsumerBuilder::concurrency) at once, on
    /// any runtime, wherever that future is polled. The handlers may use whatever that runtime offers.
    ///
    /// What a handler returns settles its message, as with [`ConsumerBuilder::run`]. One that takes longer than the
    /// [`handler_timeout`](ConsumerBuilder::handler_timeout) is dropped: a failed attempt.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use pocketmq::{OrFail, Outcome, Queue, Topic};
    ///
    /// const ORDERS: Topic<u64> = Topic::new("orders");
    ///
    /// async fn charge(order: u64) -> std::io::Result<()> { Ok(()) }
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let queue = Queue::in_memory()?;
    /// queue.producer(ORDERS)?.send_batch([1, 2, 3])?;
    /// let (control, work) = queue.consumer(ORDERS, "charger").concurrency(64).run_async(|order| async move {
    ///     if *order == 0 {
    ///         return Ok(Outcome::Snooze(Duration::from_secs(60)));
    ///     }
    ///     charge(*order).await.or_retry_after(Duration::from_secs(30))?;
    ///     Ok(Outcome::Done)
    /// })?;
    /// let work = tokio::spawn(work);
    /// # while control.stats().handled < 3 { tokio::task::yield_now().await; }
    /// let report = control.shutdown(Duration::from_secs(30)).await?;
    /// assert!(report.unfinished.is_empty());
    /// work.await??;
    /// queue.close()?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ConsumerBuilder::pull`]; [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) also for a concurrency or handler timeout
    /// of 0, and for a [`middleware`](ConsumerBuilder::middleware), which stands around handlers on threads.
    pub fn run_async<F, Fut, R>(self, handler: F) -> Result<(Control, Work)>
    where
        F: Fn(Job<C::Owned>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: Into<Outcome>,
    {
        let (engine, push) = (Arc::clone(self.engine()), self.push()?.clone());
        push.check()?;
        if !push.layers.is_empty() {
            return Err(Error::invalid(
                "a middleware stands around handlers on threads: it cannot stand around a future",
            ));
        }
        let member = Member::join(self.join()?);
        let board = Board::new(engine.store(), push.events.clone());
        let standing_by: Weak<Board> = Arc::downgrade(&board);
        member.tell_of(standing_by);
        tell_already_set_aside(&push.events, &member);
        let drive = Drive::<T, C, F, Fut>::new(&engine, &board, member, &push, handler);
        Ok((Control::new(&board), Work { board, drive: Box::pin(drive) }))
    }
}
