//! Opening: who was here last, what wins, and the order in which things are made true again.

use std::io::ErrorKind as IoKind;
use std::path::Path;

use crate::clock::Clock;
use crate::commitlog::{CommitLog, LogStart};
use crate::consumequeue::ConsumeQueue;
use crate::consumequeue::files::QueueFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::flush::Flusher;
use crate::flush::housekeeper::Housekeeper;
use crate::io::mapping::ForkGuard;
use crate::io::{LockGuard, OpenMode, Storage};
use crate::layout::{Layout, MARKER_TEXT};
use crate::message::names::SCHEDULE_TOPIC;
use crate::options::{DEFAULT_QUEUE_FILE_SIZE, DEFAULT_SEGMENT_SIZE, Flush, MAX_QUEUES, Options};
use crate::progress::{self, State};
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex};
use crate::timer::levels::Levels;

use super::append::Appender;
use super::close::Config;
use super::delays::Delays;
use super::poison::Poison;
use super::recovery::{Recovered, Recovery};
use super::report::{Damage, History, OpenReport};
use super::state::{
    DelayMark, FloorFile, FloorMark, Generation, Kept, QueueEnds, TAKEOVER, Takeover,
};
use super::survey::Survey;
use super::topics::{Topic, Topics};
use super::{Settings, Store, Threads};

impl Store {
    /// Opens (or creates) the store in `root`.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        root: &Path,
        options: &Options,
    ) -> Result<(Arc<Self>, Threads)> {
        options.check()?;
        let levels = levels_of(options)?;
        let layout = Layout::new(root);
        storage.create_dir_all(root).map_err(|e| Error::io(e, root, "create the store folder"))?;
        // Before anything is read: what is read must still be so when it is acted upon.
        let lock = take_lock(&*storage, &layout)?;
        let survey = Survey::of(&*storage, &layout)?;
        let history = survey.history(options.conflict)?;
        survey.check_complete(&layout)?;
        let mut generation = next_generation(&survey, history, options)?;
        if history == History::Foreign {
            // Before the marker: with it there, `abort` no longer tells how the broker ended.
            let note = Takeover {
                generation: survey.generation.as_ref().map_or(0, |g| g.number),
                broker_died: survey.broker_died,
                stamp: survey.stamp.clone().unwrap_or_default(),
            };
            note.write(&*storage, &layout)?;
        }
        mark_in_use(&*storage, &layout)?;

        let files = QueueFiles::new(&storage, &layout, generation.queue_file_size);
        let levels_before = survey.levels(&levels);
        let recovery = Recovery {
            storage: &storage,
            layout: &layout,
            survey: &survey,
            history,
            segment_size: generation.segment_size,
            files: &files,
            levels: &levels_before,
        };
        let mut recovered = recovery.run()?;
        let config = Config::load(&*storage, &layout)?;
        let mut state = recovery.progress(&config, &mut recovered)?;
        recovered.notes.extend(config.notices().cloned());
        let next = recovery.delays(&config, &mut recovered)?;
        let topics = gather_topics(&config, &state, &recovered, &levels);
        let delays = FoundDelays { levels, next, stale: survey.delays != Kept::Nothing };
        if history == History::Clean {
            state.topics.clear();
            state.groups.clear();
        }
        generation.own.open_at(recovered.end);

        let store = Self::start(
            Start {
                storage,
                clock,
                layout,
                lock,
                generation,
                recovered,
                state,
                topics,
                files,
                config,
                delays,
            },
            options,
        )?;
        let store = Arc::new(store);
        let threads = store.spawn()?;
        Ok((store, threads))
    }

    /// New staging buffer, journal and floor file first; the generation rises last. A kill in between leaves the old
    /// generation's files untouched, and the same recovery runs again.
    fn start(start: Start, options: &Options) -> Result<Self> {
        let Start {
            storage,
            clock,
            layout,
            mut lock,
            generation,
            recovered,
            state,
            topics,
            files,
            config,
            delays,
        } = start;
        let number = generation.number;
        let own = layout.own();
        let log_start = LogStart {
            generation: number,
            segment_size: generation.segment_size,
            bases: recovered.bases.clone(),
            end: recovered.end,
            staging_size: options.staging_size,
            lock_staging: options.lock_staging,
            durable_only: options.flush == Flush::Sync,
        };
        let (log, tail) = CommitLog::start(&storage, &layout, &log_start)?;
        let progress =
            progress::start(Arc::clone(&storage), &own, number, state, options.journal_size)?;
        let mark = FloorMark { durable: recovered.end, queues: recovered.end };
        let floor = FloorFile::create(&*storage, &layout, number, mark)?;
        QueueEnds::of(number, &topics).write(&*storage, &layout)?;
        let schedule = topics.get(SCHEDULE_TOPIC);
        if schedule.is_some() || delays.stale {
            delays.mark(number, recovered.end).write(&*storage, &layout)?;
        }
        generation.write(&*storage, &layout)?;
        remove_older(&*storage, &layout, number)?;

        let (settings, report) = (Settings::of(options, delays.levels), report_of(&recovered));
        Ok(Self {
            flusher: Flusher::new(Arc::clone(&clock), settings.flush_interval(), settings.threaded),
            housekeeper: Housekeeper::new(Arc::clone(&clock)),
            appender: Mutex::new(Appender::new(tail, recovered.last_timestamp)),
            damaged: AtomicBool::new(!report.damage.is_empty()),
            queues_durable: AtomicU64::new(recovered.end),
            storage,
            layout,
            clock,
            settings,
            topics,
            progress,
            delays: Delays::new(schedule, delays.next),
            report,
            generation: number,
            log,
            files,
            poison: Poison::default(),
            closed: AtomicBool::new(false),
            own: generation.own.clone(),
            geometry: generation,
            floor: Mutex::new(floor),
            queues_over: Mutex::new(false),
            filing: Mutex::new(()),
            joining: Mutex::new(()),
            creating: Mutex::new(()),
            healed: Mutex::new(false),
            config: Mutex::new(config),
            acks_armed: AtomicBool::new(false),
            fork: ForkGuard::new(),
            lock: Mutex::new(lock.0.take()),
        })
    }
}

/// Everything that opening has put together.
struct Start {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    layout: Layout,
    lock: FreshLock,
    generation: Generation,
    recovered: Recovered,
    state: State,
    topics: Topics,
    files: QueueFiles,
    config: Config,
    delays: FoundDelays,
}

/// What opening found about delayed messages.
struct FoundDelays {
    /// How long the levels wait from now on.
    levels: Levels,
    /// How far the schedule topic's queues were delivered.
    next: Vec<u64>,
    /// There is a file of another life, which must not count in this one.
    stale: bool,
}

impl FoundDelays {
    fn mark(&self, generation: u64, log_end: u64) -> DelayMark {
        let levels = self.levels.as_ms().iter().map(|ms| ms.unsigned_abs()).collect();
        DelayMark { generation, log_offset: log_end, next: self.next.clone(), levels }
    }
}

/// The lock of a store that is being opened. Given up for every copy of the file if that fails: a child that is just being
/// started somewhere in this process has one.
struct FreshLock(Option<Box<dyn LockGuard>>);

impl Drop for FreshLock {
    fn drop(&mut self) {
        if let Some(lock) = self.0.take() {
            lock.release();
        }
    }
}

fn take_lock(storage: &dyn Storage, layout: &Layout) -> Result<FreshLock> {
    let path = layout.lock();
    let lock = storage.lock(&path).map_err(|e| match e.kind() {
        IoKind::WouldBlock => Error::new(
            ErrorKind::Locked,
            "another process, or another handle in this one, has this store open",
        )
        .at(layout.root()),
        _ => Error::io(e, &path, "lock the store"),
    })?;
    Ok(FreshLock(Some(lock)))
}

/// An option that disagrees with an existing store is an error; what the store does not tell comes from the options.
fn next_generation(survey: &Survey, history: History, options: &Options) -> Result<Generation> {
    let pick =
        |what: &str, stored: Option<u64>, asked: Option<u64>, default: u64| match (stored, asked) {
            (Some(stored), Some(asked)) if stored != asked => Err(Error::invalid(format!(
                "this store has a {what} of {stored} bytes, not {asked}; leave the option out"
            ))),
            (Some(size), _) | (None, Some(size)) => Ok(size),
            (None, None) => Ok(default),
        };
    let old = survey.generation.clone().unwrap_or_default();
    let mut own = old.own;
    if history == History::Foreign {
        // Whoever wrote since then wrote without our checksums, or we do not know since when.
        own.close_at(survey.stamp.as_ref().map_or(0, |s| s.log_end));
    }
    Ok(Generation {
        number: old.number + 1,
        segment_size: pick(
            "segment size",
            survey.segment_size.filter(|_| history != History::New),
            options.segment_size,
            DEFAULT_SEGMENT_SIZE,
        )?,
        queue_file_size: pick(
            "consume queue file size",
            survey.queue_file_size,
            options.queue_file_size,
            DEFAULT_QUEUE_FILE_SIZE,
        )?,
        own,
    })
}

fn levels_of(options: &Options) -> Result<Levels> {
    let levels =
        options.delay_levels.as_deref().map_or_else(|| Ok(Levels::default()), Levels::parse)?;
    if levels.highest().get() > MAX_QUEUES {
        return Err(Error::invalid(format!("there are at most {MAX_QUEUES} delay levels")));
    }
    Ok(levels)
}

/// Before any file changes: the marker that stops a broker, no stamp, `abort`. Each durable before the next.
fn mark_in_use(storage: &dyn Storage, layout: &Layout) -> Result<()> {
    for dir in [layout.commitlog(), layout.own(), layout.config()] {
        storage.create_dir_all(&dir).map_err(|e| Error::io(e, &dir, "create a store folder"))?;
    }
    storage
        .write_in_place(&layout.own())
        .map_err(|e| Error::io(e, &layout.own(), "look at the file system of"))?;
    let marker = layout.marker();
    put_file(storage, &marker, MARKER_TEXT.as_bytes())?;
    let clean = layout.clean();
    match storage.remove_file(&clean) {
        Ok(()) => storage
            .sync_dir(&layout.own())
            .map_err(|e| Error::io(e, &layout.own(), "sync the folder"))?,
        Err(e) if e.kind() == IoKind::NotFound => {}
        Err(e) => return Err(Error::io(e, &clean, "remove the clean stamp")),
    }
    put_file(storage, &layout.abort(), std::process::id().to_string().as_bytes())
}

/// Writes a file in place, durably: for the two files whose existence alone has a meaning.
fn put_file(storage: &dyn Storage, path: &Path, content: &[u8]) -> Result<()> {
    let put = || {
        let file = match storage.open(path, OpenMode::CreateNew) {
            Err(e) if e.kind() == IoKind::AlreadyExists => storage.open(path, OpenMode::Write)?,
            other => other?,
        };
        file.set_len(content.len() as u64)?;
        file.write_at(0, content)?;
        file.sync()?;
        storage.sync_dir(path.parent().unwrap_or(path))
    };
    put().map_err(|e| Error::io(e, path, "write"))
}

/// Removes what older generations left in `pocketmq/`.
fn remove_older(storage: &dyn Storage, layout: &Layout, generation: u64) -> Result<()> {
    let own = layout.own();
    progress::remove_older(storage, &own, generation)?;
    let entries = storage.list(&own).map_err(|e| Error::io(e, &own, "list"))?;
    for entry in entries {
        let older = ["staging.", "floor."]
            .iter()
            .find_map(|prefix| entry.name.strip_prefix(prefix))
            .and_then(|n| n.parse::<u64>().ok())
            .is_some_and(|n| n != generation);
        if older || entry.name == TAKEOVER {
            let path = own.join(&entry.name);
            storage.remove_file(&path).map_err(|e| Error::io(e, &path, "remove"))?;
        }
    }
    storage.sync_dir(&own).map_err(|e| Error::io(e, &own, "sync the folder"))
}

/// A topic has as many queues as its configuration, its journal entry, its folders or its records say, whichever is most.
fn gather_topics(config: &Config, state: &State, recovered: &Recovered, levels: &Levels) -> Topics {
    let mut counts: std::collections::BTreeMap<&str, u32> = std::collections::BTreeMap::new();
    let mut at_least = |name, queues: u32| {
        let count = counts.entry(name).or_default();
        *count = queues.max(*count).max(1);
    };
    for (name, queues) in config.topic_counts() {
        at_least(name, queues);
    }
    for topic in &state.topics {
        at_least(&topic.name, topic.queues);
    }
    for (name, extents) in &recovered.extents {
        at_least(name, u32::try_from(extents.len()).unwrap_or(u32::MAX));
    }
    // Every level has its queue, whichever were used so far.
    if let Some(count) = counts.get_mut(SCHEDULE_TOPIC) {
        *count = levels.highest().get().max(*count);
    }
    let topics = Topics::default();
    for (name, count) in counts {
        let extents = recovered.extents.get(name);
        let extent = |id| extents.and_then(|e| e.get(id)).copied().unwrap_or_default();
        let queue = |id: u32| ConsumeQueue::new(extent(id as usize));
        topics.insert(Topic::new(name, (0..count).map(queue)));
    }
    topics
}

fn report_of(recovered: &Recovered) -> OpenReport {
    OpenReport {
        history: recovered.history,
        records_scanned: recovered.scanned,
        records_replayed: recovered.replayed,
        bytes_cut: recovered.bytes_cut,
        units_mended: recovered.mended,
        damage: recovered.faults.iter().map(Damage::from).collect(),
        notes: recovered.notes.clone(),
    }
}
