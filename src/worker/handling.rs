//! Running a handler, and settling what it was given.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::codec::Decode;
use crate::consumer::{Handle, Overtaking};
use crate::handler::{
    Call, Cancel, Envelope, Events, HandlerError, Job, Outcome, Push, WorkerEvent,
};
use crate::observe;
use crate::sync::Arc;

use super::crew::{Busy, Crew, Post};
use super::settle::{Settled, count, note, settle, what_it_says};

/// What is done with messages of a topic.
pub(super) type Handling = Box<dyn Fn(&Desk<'_>, Vec<Handle>) + Send + Sync>;

/// What one handler said, or one for each message.
pub(super) enum Said {
    Same(Result<Outcome, HandlerError>),
    Each(Vec<Result<Outcome, HandlerError>>),
}

/// Where a thread handles.
pub(super) struct Desk<'a> {
    pub(super) crew: &'a Crew,
    pub(super) post: &'a Post,
    pub(super) push: &'a Push,
}

/// Decodes messages, hands them to `handler` together, and settles them as it says.
pub(super) fn handling<T, C, F>(handler: F) -> Handling
where
    T: ?Sized + 'static,
    C: Decode<T> + 'static,
    F: Fn(&[Job<C::Owned>]) -> Said + Send + Sync + 'static,
{
    Box::new(move |desk, messages| {
        let cancel = Arc::new(Cancel::new(&desk.crew.store));
        let (jobs, decoded) = desk.decode::<T, C>(messages, &cancel);
        if jobs.is_empty() {
            return;
        }
        let envelopes: Arc<[Envelope]> = jobs.iter().map(|job| job.envelope().clone()).collect();
        let said = seen(&decoded, || desk.run(&envelopes, &cancel, &mut || handler(&jobs)));
        desk.settle_all(&envelopes, decoded, said, &cancel);
    })
}

/// Runs a handler in sight of whoever observes.
fn seen<T>(messages: &[Handle], handler: impl FnOnce() -> T) -> T {
    match messages.first() {
        Some(first) => {
            observe::around_handler(first.names(), messages.iter().map(Handle::seen), handler)
        }
        None => handler(),
    }
}

impl Desk<'_> {
    fn events(&self) -> &Events {
        &self.push.events
    }

    /// Those whose body decodes. The others fail.
    fn decode<T: ?Sized, C: Decode<T>>(
        &self,
        handles: Vec<Handle>,
        cancel: &Arc<Cancel>,
    ) -> (Vec<Job<C::Owned>>, Vec<Handle>) {
        let (mut jobs, mut decoded) =
            (Vec::with_capacity(handles.len()), Vec::with_capacity(handles.len()));
        let mut overtaking = Overtaking::default();
        for handle in handles {
            if overtaking.has(&handle) {
                continue;
            }
            let envelope = handle.envelope(cancel);
            let value = catch_unwind(AssertUnwindSafe(|| C::decode(handle.body())));
            let error = match value {
                Ok(Ok(value)) => {
                    jobs.push(Job::new(value, envelope));
                    decoded.push(handle);
                    continue;
                }
                Ok(Err(error)) => HandlerError::from(error),
                Err(panic) => HandlerError::from(what_it_says(panic)),
            };
            self.events().tell(&WorkerEvent::Undecodable { job: &envelope, error: &error });
            overtaking.failed(handle.takes_back());
            let settled = settle(handle, &Err(error), cancel);
            self.note(&envelope, settled);
        }
        (jobs, decoded)
    }

    /// Runs what stands around the handler, and the handler.
    fn run(
        &self,
        jobs: &Arc<[Envelope]>,
        cancel: &Arc<Cancel>,
        handler: &mut dyn FnMut() -> Said,
    ) -> Said {
        let (jobs, since) = (Arc::clone(jobs), self.crew.store.clock.now());
        let busy = Busy { jobs: Arc::clone(&jobs), since, cancel: Arc::clone(cancel) };
        let ends = self.post.begin(busy);
        self.crew.watch.begun();
        let mut each = None;
        let said = catch_unwind(AssertUnwindSafe(|| {
            let mut handler = || match handler() {
                Said::Same(said) => said,
                Said::Each(said) => {
                    each = Some(said);
                    Ok(Outcome::Done)
                }
            };
            Call::new(&jobs, &self.push.layers, &mut handler).run()
        }));
        drop(ends);
        match said {
            // What stands around may have decided otherwise.
            Ok(Ok(Outcome::Done)) => each.map_or(Said::Same(Ok(Outcome::Done)), Said::Each),
            Ok(said) => Said::Same(said),
            Err(panic) => {
                let message = what_it_says(panic);
                for job in &*jobs {
                    count(&self.crew.counts.panicked);
                    self.events().tell(&WorkerEvent::Panicked { job, message: &message });
                }
                Said::Same(Err(HandlerError::from(message)))
            }
        }
    }

    fn settle_all(&self, jobs: &[Envelope], handles: Vec<Handle>, said: Said, cancel: &Cancel) {
        let (same, each) = match said {
            Said::Same(said) => (said, Vec::new()),
            Said::Each(each) => {
                let missing = "the handler said nothing of this message";
                (Err(HandlerError::from(missing)), each)
            }
        };
        let (mut done, mut done_jobs, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut each = each.iter();
        for (job, handle) in jobs.iter().zip(handles) {
            match each.next().unwrap_or(&same) {
                Ok(Outcome::Done) => {
                    done.push(handle);
                    done_jobs.push(job);
                }
                outcome => others.push((job, handle, outcome)),
            }
        }
        if others.iter().any(|(_, handle, _)| handle.takes_back().is_some()) {
            // So that each of them counts.
            others.reverse();
        }
        for (job, handle, outcome) in others {
            self.settle(job, handle, outcome, cancel);
        }
        // One entry for each run of messages that follow each other.
        for (job, acked) in done_jobs.into_iter().zip(Handle::ack_each(done)) {
            self.note(job, acked.map_or_else(Settled::Void, |()| Settled::Done));
        }
    }

    fn settle(
        &self,
        job: &Envelope,
        handle: Handle,
        outcome: &Result<Outcome, HandlerError>,
        cancel: &Cancel,
    ) {
        let settled = settle(handle, outcome, cancel);
        if matches!(settled, Settled::Failed { .. }) {
            self.events().tell(&WorkerEvent::Failed { job, error: outcome.as_ref().err() });
        }
        self.note(job, settled);
    }

    fn note(&self, job: &Envelope, settled: Settled) {
        note(&self.crew.counts, self.events(), job, settled);
    }
}
