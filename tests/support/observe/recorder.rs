//! Keeps the value of every counter and gauge of the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// By name and labels: `name{label="value",…}`.
type Values = BTreeMap<String, Arc<AtomicU64>>;

#[derive(Debug, Default)]
pub(crate) struct Keeping {
    counters: Mutex<Values>,
    /// The bits of a float.
    gauges: Mutex<Values>,
    described: Mutex<BTreeMap<String, String>>,
}

/// Begins to keep, once for the process.
pub(crate) fn recorder() -> &'static Keeping {
    static KEEPING: OnceLock<Arc<Keeping>> = OnceLock::new();
    KEEPING.get_or_init(|| {
        let keeping = Arc::new(Keeping::default());
        metrics::set_global_recorder(Arc::clone(&keeping)).unwrap();
        keeping
    })
}

impl Keeping {
    pub(crate) fn counter(&self, name: &str) -> Option<u64> {
        let counters = self.counters.lock().unwrap();
        counters.get(name).map(|value| value.load(Ordering::SeqCst))
    }

    pub(crate) fn gauge(&self, name: &str) -> Option<f64> {
        let gauges = self.gauges.lock().unwrap();
        gauges.get(name).map(|value| f64::from_bits(value.load(Ordering::SeqCst)))
    }

    /// The names that have values and no description.
    pub(crate) fn without_description(&self) -> Vec<String> {
        let described = self.described.lock().unwrap();
        let (counters, gauges) = (self.counters.lock().unwrap(), self.gauges.lock().unwrap());
        let names = counters.keys().chain(gauges.keys());
        let names = names.map(|name| name.split('{').next().unwrap().to_owned());
        names.filter(|name| !described.contains_key(name)).collect()
    }

    fn value(values: &Mutex<Values>, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={:?}", label.key(), label.value())).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let name = format!("{}{labels}", key.name());
        Arc::clone(values.lock().unwrap().entry(name).or_default())
    }

    fn describe(&self, name: &KeyName, what: &SharedString) {
        self.described.lock().unwrap().insert(name.as_str().to_owned(), what.to_string());
    }
}

impl Recorder for Keeping {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, what: SharedString) {
        self.describe(&name, &what);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, what: SharedString) {
        self.describe(&name, &what);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, what: SharedString) {
        self.describe(&name, &what);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Self::value(&self.counters, key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Self::value(&self.gauges, key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
