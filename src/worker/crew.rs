//! What a worker's threads and its handle share.

use std::collections::HashSet;
use std::fmt;
use std::task::{Wake, Waker};
use std::time::Instant;

use crate::engine::dispatch::{Bystander, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::handler::{Cancel, Envelope, Events, Push, WorkerEvent};
use crate::store::Store;
use crate::sync::thread::{self, ThreadId};
use crate::sync::{Arc, AtomicBool, AtomicU64, Condvar, Mutex, Ordering, Weak};

use super::settle::tell_set_aside;
use super::watch::Watch;
use super::{Unfinished, WorkerStats};

/// The threads of a worker, seen together.
pub(super) struct Crew {
    pub(super) store: Arc<Store>,
    /// One for each thread that handles.
    posts: Vec<Arc<Post>>,
    paused: AtomicBool,
    stopped: AtomicBool,
    present: Mutex<Present>,
    left: Condvar,
    pub(super) watch: Watch,
    pub(super) counts: Counts,
    events: Events,
}

/// Who is there. Short, and taken before nothing.
#[derive(Debug, Default)]
struct Present {
    threads: HashSet<ThreadId>,
    /// Those among them that handle.
    handling: usize,
}

/// Where one thread sleeps, and what it is at.
pub(super) struct Post {
    rung: Mutex<bool>,
    bell: Condvar,
    busy: Mutex<Option<Busy>>,
}

/// A handler that runs.
#[derive(Clone)]
pub(super) struct Busy {
    pub(super) jobs: Arc<[Envelope]>,
    pub(super) since: Instant,
    pub(super) cancel: Arc<Cancel>,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) handled: AtomicU64,
    pub(super) put_off: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) panicked: AtomicU64,
    pub(super) timed_out: AtomicU64,
}

impl Crew {
    pub(super) fn new(store: &Arc<Store>, push: &Push) -> Arc<Self> {
        let post = || Arc::new(Post::new());
        let crew = Arc::new(Self {
            store: Arc::clone(store),
            posts: std::iter::repeat_with(post).take(push.concurrency).collect(),
            paused: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            present: Mutex::default(),
            left: Condvar::new(),
            watch: Watch::new(push.timeout),
            counts: Counts::default(),
            events: push.events.clone(),
        });
        let sleeper: Weak<Self> = Arc::downgrade(&crew);
        store.clock.tell_when_moved(sleeper);
        crew
    }

    pub(super) fn posts(&self) -> &[Arc<Post>] {
        &self.posts
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
        self.ring_all();
    }

    /// No message is taken any more.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.ring_all();
    }

    fn ring_all(&self) {
        for post in &self.posts {
            post.ring();
        }
    }

    /// Starts a thread that counts as present until its job is done.
    pub(super) fn spawn(
        self: &Arc<Self>,
        name: &str,
        handles: bool,
        job: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let mut present = self.present.lock();
        let crew = Arc::clone(self);
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _leaves = Leaves { crew, handles };
            job();
        });
        let root = self.store.layout.root();
        let thread = spawned.map_err(|e| Error::io(e, root, "start a thread for a worker"))?;
        present.threads.insert(thread.thread().id());
        present.handling += usize::from(handles);
        Ok(())
    }

    /// Waits until everybody has left; from the deadline on, tells those who are still at it to give up, and says what they are at.
    pub(super) fn wait_for_all(&self, deadline: Instant) -> Result<Vec<Unfinished>> {
        let mut present = self.present.lock();
        if present.threads.contains(&thread::current().id()) {
            let why = "a worker cannot be waited for on one of its own threads; it takes no more messages";
            return Err(Error::new(ErrorKind::Busy, why));
        }
        while !present.threads.is_empty() && self.store.clock.os_now() < deadline {
            self.left.wait_until(&mut present, deadline);
        }
        drop(present);
        let mut unfinished = Vec::new();
        for busy in self.busy() {
            busy.cancel.interrupt();
            let running = self.store.clock.now().saturating_duration_since(busy.since);
            unfinished.extend(busy.jobs.iter().map(|job| Unfinished::new(job, running)));
        }
        Ok(unfinished)
    }

    /// The handlers that run.
    pub(super) fn busy(&self) -> Vec<Busy> {
        self.posts.iter().filter_map(|post| post.busy.lock().clone()).collect()
    }

    #[cfg(test)]
    pub(super) fn is_deserted(&self) -> bool {
        self.present.lock().threads.is_empty()
    }

    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Sized {
        let posts: Vec<_> = self.posts.iter().map(|p| (p.rung.lock(), p.busy.lock())).collect();
        (self.present.lock(), posts)
    }

    pub(super) fn stats(&self, running: usize) -> WorkerStats {
        self.counts.stats(running)
    }
}

impl Bystander for Crew {
    fn set_aside(&self, topic: &str, place: Place) {
        tell_set_aside(&self.events, &self.busy(), (topic, place));
    }

    fn crowded(&self, topic: &str, queue: u32) {
        self.events.tell(&WorkerEvent::ReadAheadFull { topic, queue: queue.into() });
    }
}

impl Counts {
    pub(super) fn stats(&self, running: usize) -> WorkerStats {
        let count = |of: &AtomicU64| of.load(Ordering::SeqCst);
        WorkerStats {
            running,
            handled: count(&self.handled),
            put_off: count(&self.put_off),
            failed: count(&self.failed),
            panicked: count(&self.panicked),
            timed_out: count(&self.timed_out),
        }
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("posts", &self.posts.len()).finish_non_exhaustive()
    }
}

/// A thread that leaves, however it ends.
struct Leaves {
    crew: Arc<Crew>,
    handles: bool,
}

impl Drop for Leaves {
    fn drop(&mut self) {
        let mut present = self.crew.present.lock();
        present.threads.remove(&thread::current().id());
        present.handling -= usize::from(self.handles);
        let watched = present.handling > 0;
        drop(present);
        if !watched {
            self.crew.watch.end();
        }
        self.crew.left.notify_all();
    }
}

impl Post {
    fn new() -> Self {
        Self { rung: Mutex::new(false), bell: Condvar::new(), busy: Mutex::new(None) }
    }

    /// Whoever is here looks around once more.
    pub(super) fn ring(&self) {
        *self.rung.lock() = true;
        self.bell.notify_one();
    }

    /// Sleeps until the bell rings, or rang since it was last listened to.
    pub(super) fn listen(&self, until: Option<Instant>) {
        let mut rung = self.rung.lock();
        while !*rung {
            match until {
                None => self.bell.wait(&mut rung),
                Some(until) if self.bell.wait_until(&mut rung, until).timed_out() => break,
                Some(_) => {}
            }
        }
        *rung = false;
    }

    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// A handler runs here until the guard is dropped.
    pub(super) fn begin(&self, busy: Busy) -> impl Sized {
        *self.busy.lock() = Some(busy);
        Ends(self)
    }
}

impl Wake for Post {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

struct Ends<'a>(&'a Post);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let ended = self.0.busy.lock().take();
        drop(ended);
    }
}
