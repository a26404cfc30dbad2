//! Notes every span and event of the process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

pub(crate) type Fields = BTreeMap<&'static str, String>;

/// A span, or an event in one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) fields: Fields,
    /// The spans that it follows from, or for an event those that it is in, the innermost last.
    pub(crate) others: Vec<u64>,
    pub(crate) closed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// A span's number is its place, counted from 1.
    pub(crate) spans: Vec<Seen>,
    pub(crate) events: Vec<Seen>,
}

static NOTES: Mutex<Notes> = Mutex::new(Notes { spans: Vec::new(), events: Vec::new() });

thread_local! {
    static INSIDE: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Begins to note, once for the process, and lends the notes.
pub(crate) fn notes() -> MutexGuard<'static, Notes> {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| tracing::subscriber::set_global_default(Noting).unwrap());
    lock()
}

/// A test that fails with the notes in hand does not take the others along.
fn lock() -> MutexGuard<'static, Notes> {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Notes {
    /// The spans of that name and topic.
    pub(crate) fn spans(&self, name: &str, topic: &str) -> Vec<(u64, Seen)> {
        let numbered = (1..).zip(&self.spans);
        let of = numbered.filter(|(_, seen)| seen.name == name && seen.is("topic", topic));
        of.map(|(number, seen)| (number, seen.clone())).collect()
    }

    /// The events whose field has that value.
    pub(crate) fn events(&self, field: &str, value: &str) -> Vec<Seen> {
        self.events.iter().filter(|seen| seen.is(field, value)).cloned().collect()
    }
}

impl Seen {
    pub(crate) fn is(&self, field: &str, value: &str) -> bool {
        self.get(field) == Some(value)
    }

    pub(crate) fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }
}

struct Noting;

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Noting {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "pocketmq" || metadata.target().starts_with("observe")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut seen = Seen { name: span.metadata().name().to_owned(), ..Seen::default() };
        span.record(&mut Into(&mut seen.fields));
        let mut notes = lock();
        notes.spans.push(seen);
        Id::from_u64(notes.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut Into(&mut lock().spans[at(span)].fields));
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        lock().spans[at(span)].others.push(follows.into_u64());
    }

    fn event(&self, event: &Event<'_>) {
        let mut seen = Seen { name: event.metadata().level().to_string(), ..Seen::default() };
        event.record(&mut Into(&mut seen.fields));
        seen.others = INSIDE.with_borrow(Clone::clone);
        lock().events.push(seen);
    }

    fn enter(&self, span: &Id) {
        INSIDE.with_borrow_mut(|inside| inside.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        let left = INSIDE.with_borrow_mut(Vec::pop);
        assert_eq!(left, Some(span.into_u64()), "spans are left in the order they were entered");
    }

    fn try_close(&self, span: Id) -> bool {
        lock().spans[at(&span)].closed = true;
        true
    }
}

fn at(span: &Id) -> usize {
    usize::try_from(span.into_u64()).unwrap() - 1
}
