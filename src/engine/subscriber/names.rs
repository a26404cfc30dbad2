//! Which durable subscriptions are in use: two of one name would take each other's position along.

use std::collections::HashSet;

use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;
use crate::sync::{Arc, Mutex};

/// The names that live subscribers go by, each with its topic.
#[derive(Debug, Default)]
pub(in crate::engine) struct Names(Arc<Mutex<HashSet<(String, String)>>>);

/// A name that is in use until this is dropped.
#[derive(Debug)]
pub(super) struct Live {
    names: Arc<Mutex<HashSet<(String, String)>>>,
    /// The name, and the topic.
    own: (String, String),
    store: Arc<Store>,
}

impl Names {
    /// # Errors
    ///
    /// `Busy` if it is in use.
    pub(super) fn take(&self, store: &Arc<Store>, name: &str, topic: &str) -> Result<Live> {
        let own = (name.to_owned(), topic.to_owned());
        if !self.0.lock().insert(own.clone()) {
            let what = format!("subscription {name} of topic {topic} is open already");
            return Err(Error::new(ErrorKind::Busy, what));
        }
        Ok(Live { names: Arc::clone(&self.0), own, store: Arc::clone(store) })
    }
}

impl Live {
    pub(super) fn name(&self) -> &str {
        &self.own.0
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Before the lock: in a forked child its holder may not exist.
        if self.store.check_parent().is_ok() {
            self.names.lock().remove(&self.own);
        }
    }
}
