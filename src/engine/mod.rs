//! The running queue behind all handles: the store, its threads, and the groups that consume from it.

mod closing;
pub(crate) mod dispatch;
pub(crate) mod join;
pub(crate) mod member;
pub(crate) mod subscriber;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::path::Path;

use crate::clock::{Clock, SystemClock};
use crate::delay::Delay;
use crate::error::Result;
use crate::io::Storage;
use crate::io::disk::{Disk, resolve};
use crate::io::memory::Memory;
use crate::observe::{self, Opened};
use crate::options::Options;
use crate::store::Store;
use crate::store::close::Closed;
use crate::sync::{Arc, Condvar, Mutex};

use closing::{Closer, Closing};
use join::Hall;
use subscriber::Names;

/// Size of the log's files in memory, and of its queues' files: small, so that memory is given back early, but the largest
/// message fits.
const MEMORY_SEGMENT: u64 = 8 << 20;
const MEMORY_QUEUE_FILE: u64 = 20 * 4096;

/// What every handle shares. The last one to go closes the store.
#[derive(Debug)]
pub(crate) struct Engine {
    store: Arc<Store>,
    delay: Arc<Delay>,
    closing: Arc<Closing>,
    /// Taken before a dispatch's own lock.
    groups: Arc<Groups>,
    /// Nobody does anything to some group any more.
    visit_over: Condvar,
    /// Short: nothing is taken while it is locked.
    subscriptions: Names,
}

/// By group and topic.
type Groups = Mutex<HashMap<(String, String), Hall>>;

impl Engine {
    pub(crate) fn open(root: &Path, options: &Options) -> Result<Arc<Self>> {
        Self::open_on(disk(), Arc::new(SystemClock), &resolve(root)?, options)
    }

    pub(crate) fn in_memory(options: &Options) -> Result<Arc<Self>> {
        let options = Options {
            segment_size: options.segment_size.or(Some(MEMORY_SEGMENT)),
            queue_file_size: options.queue_file_size.or(Some(MEMORY_QUEUE_FILE)),
            volatile: true,
            ..options.clone()
        };
        let memory = Memory::new(Some(options.memory_budget));
        Self::open_on(Arc::new(memory), Arc::new(SystemClock), Path::new("/"), &options)
    }

    pub(crate) fn open_on(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        root: &Path,
        options: &Options,
    ) -> Result<Arc<Self>> {
        let (store, threads) = Store::open(storage, clock, root, options)?;
        let report = &store.report;
        observe::opened(&Opened {
            path: store.layout.root(),
            history: &report.history,
            records_scanned: report.records_scanned,
            records_replayed: report.records_replayed,
            bytes_cut: report.bytes_cut,
            units_mended: report.units_mended,
            damaged: report.damage.len(),
        });
        let engine = Arc::new(Self {
            delay: Delay::new(&store),
            store,
            closing: Arc::new(Closing::new(threads)),
            groups: Arc::default(),
            visit_over: Condvar::new(),
            subscriptions: Names::default(),
        });
        engine.delay.go_on()?;
        Ok(engine)
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn delay(&self) -> &Arc<Delay> {
        &self.delay
    }

    #[cfg(test)]
    pub(crate) fn dispatches(&self) -> Vec<Arc<dispatch::Dispatch>> {
        self.groups.lock().values().map(|hall| Arc::clone(&hall.dispatch)).collect()
    }

    /// See [`Queue::close`](crate::Queue::close).
    pub(crate) fn close(&self) -> Result<Closed> {
        // Before any lock: in a forked child its holder may not exist.
        self.store.check_parent()?;
        self.closer().close(closing::spawn)
    }

    /// Ends as a killed process does, but for its locks: what it leaves can be looked at while `image` runs.
    #[cfg(feature = "testing")]
    pub(crate) fn crash(&self, image: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.store.check_parent()?;
        self.closer().crash(image)
    }

    /// The clock was moved: whoever waits for a time looks again.
    #[cfg(feature = "testing")]
    pub(crate) fn time_moved(&self) {
        self.store.time_moved();
        self.delay.time_moved();
        let groups = self.groups.lock();
        let dispatches: Vec<_> = groups.values().map(|hall| Arc::clone(&hall.dispatch)).collect();
        drop(groups);
        for dispatch in dispatches {
            dispatch.wake_all();
        }
    }

    fn closer(&self) -> Closer {
        Closer {
            store: Arc::clone(&self.store),
            delay: Arc::clone(&self.delay),
            groups: Arc::clone(&self.groups),
            closing: Arc::clone(&self.closing),
        }
    }
}

/// The real disk.
pub(crate) fn disk() -> Arc<dyn Storage> {
    Arc::new(Disk)
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.store.check_parent().is_err() {
            // Threads of the parent's, which this process cannot even let go.
            let _stay = ManuallyDrop::new((Arc::clone(&self.closing), Arc::clone(&self.delay)));
            return;
        }
        // Nobody is left to tell; whoever wants to know calls `close`.
        let _ = self.closer().close(closing::spawn);
    }
}
