//! Closing: everything durable, the directory as a broker expects it, the stamp that makes the next open quick.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::groups::Groups;
use crate::config::json::Value;
use crate::config::offsets::{ConsumerOffsets, DelayOffsets};
use crate::config::topics::{TopicConfig, Topics as TopicsFile};
use crate::config::{self, to_text};
use crate::error::{Error, ErrorKind, Result};
use crate::flush::Target;
use crate::io::Storage;
use crate::io::small::{read_small, remove_if_there, write_small};
use crate::layout::Layout;
use crate::message::names::{is_loadable_topic, subscription_of, validate_group};
use crate::progress::{Acked, CursorRecord, Unsettled};
use crate::sync::thread::{self, ThreadId};
use crate::sync::{Arc, Ordering};

use super::append::Notices;
use super::checkpoint::Checkpoint;
use super::state::CleanStamp;
use super::survey::{CONFIG_FILES, DELAY_FILE};
use super::{Store, Threads};

/// Queues, readable and writable: RocketMQ's permission bits 4 and 2.
const PERM_READ_WRITE: u32 = 6;

/// The files of `config/` that we take part in. What we do not know in them is kept.
#[derive(Debug)]
pub(crate) struct Config {
    topics: TopicsFile,
    groups: Groups,
    offsets: ConsumerOffsets,
    delays: DelayOffsets,
}

impl Config {
    pub(crate) fn load(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        let dir = layout.config();
        let at = |name: &str| dir.join(name);
        let value = |name: &str| -> Result<Option<Value>> {
            Ok(config::load(storage, &dir, name)?.map(|loaded| loaded.value))
        };
        let group_ok = |name: &str| !name.is_empty() && name.len() <= 255;
        let [topics, groups, offsets] = CONFIG_FILES;
        Ok(Self {
            topics: TopicsFile::from_value(value(topics)?.as_ref(), &is_loadable_topic)
                .map_err(|e| e.at(&at(topics)))?,
            groups: Groups::from_value(value(groups)?.as_ref(), &group_ok)
                .map_err(|e| e.at(&at(groups)))?,
            offsets: ConsumerOffsets::from_value(
                value(offsets)?.as_ref(),
                &is_loadable_topic,
                &group_ok,
            )
            .map_err(|e| e.at(&at(offsets)))?,
            delays: DelayOffsets::from_value(value(DELAY_FILE)?.as_ref())
                .map_err(|e| e.at(&at(DELAY_FILE)))?,
        })
    }

    /// Topics and how many queues each has, the larger of its read and write count.
    pub(crate) fn topic_counts(&self) -> impl Iterator<Item = (&str, u32)> {
        self.topics.iter().map(|t| (t.name.as_str(), t.read_queues.max(t.write_queues)))
    }

    /// Group, topic, queue, next offset.
    pub(crate) fn group_offsets(&self) -> impl Iterator<Item = (&str, &str, u32, u64)> {
        self.offsets.iter().flat_map(|(topic, group, queues)| {
            queues.iter().map(move |(queue, next)| (group, topic, *queue, *next))
        })
    }

    /// How far the messages of a delay level were delivered.
    pub(crate) fn delivered(&self, level: u32) -> Option<u64> {
        self.delays.get(level)
    }

    pub(crate) fn notices(&self) -> impl Iterator<Item = &String> {
        let known = self.topics.notices().iter().chain(self.groups.notices());
        known.chain(self.offsets.notices()).chain(self.delays.notices())
    }
}

/// What [`Store::close`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Messages that were acknowledged above one that was not: `consumerOffset.json` cannot say so, and a broker
    /// delivers them again.
    pub(crate) acked_above_gaps: u64,
    /// A broker may open the directory.
    pub(crate) broker_ready: bool,
}

impl Threads {
    pub(crate) fn ids(&self) -> Vec<ThreadId> {
        self.0.iter().map(|thread| thread.thread().id()).collect()
    }
}

impl Store {
    /// `Closed` in a forked child: the store belongs to the parent; its files, locks and threads are none of the child's
    /// business.
    pub(crate) fn check_parent(&self) -> Result<()> {
        if !self.fork.in_child() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Closed,
            "this handle belongs to the parent process; open the queue in the process that uses it",
        ))
    }

    /// Writes everything down and gives the directory up. Later calls on any handle fail with
    /// [`ErrorKind::Closed`]; a second close does nothing. Not to be called in a forked child.
    pub(crate) fn close(&self, threads: Threads) -> Result<Closed> {
        if self.shut_the_door() {
            return Ok(Closed::default());
        }
        let own = threads.is_current();
        // Those who wait for durability get it, if the disk answers.
        if own {
            let _ = Target::sync(self);
        } else if self.settings.threaded {
            let end = self.log.staged();
            let _ = self.wait_durable(end);
        }
        self.end_threads(threads);
        let outcome = self.shut();
        self.refuse_the_rest();
        if own {
            self.poison.set("it was closed");
        }
        // Last, whatever happened: the next opener must find everything written.
        self.unlock();
        outcome
    }

    /// From here on everything is refused. `true` if it was already.
    pub(super) fn shut_the_door(&self) -> bool {
        // Under the append lock: no append is half done when the flag is seen.
        let _appending = self.appender.lock();
        self.closed.swap(true, Ordering::SeqCst)
    }

    /// Ends the store's threads, and wakes those who wait for messages.
    pub(super) fn end_threads(&self, threads: Threads) {
        self.stop_threads();
        for thread in threads.0 {
            // A thread cannot wait for its own end; this one has nothing more to do when it comes back from here.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
        for topic in self.topics.all() {
            topic.arrived(usize::MAX);
        }
    }

    /// Tells those in line that nobody will let them in any more.
    pub(super) fn refuse_the_rest(&self) {
        let mut notices = Notices::default();
        self.refuse_line(&mut self.appender.lock(), &mut notices);
        notices.tell();
    }

    /// Gives the directory up.
    pub(super) fn unlock(&self) {
        let lock = self.lock.lock().take();
        if let Some(lock) = lock {
            lock.release();
        }
    }

    fn shut(&self) -> Result<Closed> {
        // A reader that derives queues again writes to their files; none may begin after this.
        let _nobody_heals = self.healed.lock();
        self.poison.check()?;
        self.admit()?;
        let queues_crc = self.sync_queues(true)?;
        self.progress.close()?;
        self.log.remove_unused()?;
        let acked_above_gaps = self.write_config()?;
        self.close_delays()?;
        let damaged = self.damaged.load(Ordering::SeqCst);
        if damaged {
            // A broker's own recovery would cut the log at the damage: the marker stays, and the next open looks again.
            return Ok(Closed { acked_above_gaps, broker_ready: false });
        }
        self.write_stamp(queues_crc)?;
        let root = self.layout.root();
        for (path, dir) in [
            (self.layout.abort(), root.to_path_buf()),
            (self.layout.marker(), self.layout.commitlog()),
        ] {
            remove_if_there(&*self.storage, &path).map_err(|e| Error::io(e, &path, "remove"))?;
            self.storage.sync_dir(&dir).map_err(|e| Error::io(e, &dir, "sync the folder"))?;
        }
        Ok(Closed { acked_above_gaps, broker_ready: true })
    }

    /// RocketMQ's checkpoint: up to which store time log and queues are flushed.
    pub(super) fn write_checkpoint(&self) -> Result<()> {
        let last = self.appender.lock().last_ms;
        let checkpoint = Checkpoint {
            physic_timestamp: last,
            logics_timestamp: last,
            index_timestamp: last,
            master_flushed_offset: 0,
            confirm_offset: i64::try_from(self.log.durable()).unwrap_or(0),
        };
        write_small(&*self.storage, &self.layout.checkpoint(), &checkpoint.encode())
    }

    /// `config/` as RocketMQ has it. Returns how many acknowledged messages its offsets cannot express.
    fn write_config(&self) -> Result<u64> {
        let now = self.clock.wall_ms();
        let mut config = self.config.lock();
        for topic in self.topics.all() {
            let count = topic.queue_count();
            let known = config.topics.get(topic.name());
            let queues = known.map_or(0, |t| t.read_queues.max(t.write_queues));
            let perm = known.map_or(PERM_READ_WRITE, |t| t.perm);
            if queues < count {
                config.topics.insert(TopicConfig {
                    name: topic.name().to_string(),
                    read_queues: count,
                    write_queues: count,
                    perm,
                })?;
            }
        }
        let mut above = 0;
        for cursor in &self.group_progress() {
            if validate_group(&cursor.group).is_ok() && !config.groups.contains(&cursor.group) {
                config.groups.insert(&cursor.group);
            }
            let watermark = cursor.acked.watermark();
            above += cursor.acked.acked_above();
            config.offsets.set(&cursor.topic, &cursor.group, cursor.queue, watermark);
        }
        let dir = self.layout.config();
        let [topics, groups, offsets] = CONFIG_FILES;
        let values = [
            (topics, config.topics.to_value(now)),
            (groups, config.groups.to_value(now)),
            (offsets, config.offsets.to_value(now)),
        ];
        for (name, value) in values {
            config::save(&*self.storage, &dir, name, to_text(&value).as_bytes())?;
        }
        if let Some(schedule) = self.delays.topic() {
            // A level without a place would begin with its first message, and one that no queue has is none of a broker's business.
            for (id, _) in schedule.queues().filter(|(_, queue)| queue.extent().next > 0) {
                config.delays.set(id + 1, self.delays.next(id));
            }
            let text = to_text(&config.delays.to_value(now));
            config::save(&*self.storage, &dir, DELAY_FILE, text.as_bytes())?;
        }
        self.write_broker_conf()?;
        Ok(above)
    }

    /// How far each group is in all queues of the topics that it consumes. Subscriptions are no groups.
    ///
    /// Also in queues that appeared after it last looked: there it begins with their oldest message. A broker has rules of its own
    /// for a queue without an offset, and may pass over what is there.
    pub(crate) fn group_progress(&self) -> Vec<CursorRecord> {
        let mut cursors = self.progress.snapshot_state().cursors;
        cursors.retain(|cursor| subscription_of(&cursor.group).is_none());
        let mut known: BTreeMap<(&str, &str), BTreeSet<u32>> = BTreeMap::new();
        for cursor in &cursors {
            known.entry((&cursor.topic, &cursor.group)).or_default().insert(cursor.queue);
        }
        let mut without = Vec::new();
        for ((name, group), queues) in known {
            let Some(topic) = self.topics.get(name) else { continue };
            let unknown = topic.queues().filter(|(id, _)| !queues.contains(id));
            without.extend(unknown.map(|(id, queue)| CursorRecord {
                group: group.to_owned(),
                topic: name.to_owned(),
                queue: id,
                acked: Acked::below(queue.extent().min),
                unsettled: Unsettled::default(),
            }));
        }
        cursors.append(&mut without);
        cursors
    }

    /// The settings that a broker needs to open this directory, where they are not its defaults.
    fn write_broker_conf(&self) -> Result<()> {
        let text = format!(
            "# What a RocketMQ broker needs to open this store. Add your own names and addresses.\n\
             storePathRootDir={}\n\
             mappedFileSizeCommitLog={}\n\
             mappedFileSizeConsumeQueue={}\n\
             storeType=default\n\
             # PocketMQ's records carry a whole-record checksum; a broker need not write it.\n\
             enabledAppendPropCRC=false\n\
             # Set before the first start: a broker deletes files by their age.\n\
             fileReservedTime=72\n",
            self.layout.root().display(),
            self.geometry.segment_size,
            self.geometry.queue_file_size,
        );
        write_small(&*self.storage, &self.layout.broker_conf(), text.as_bytes())
    }

    fn write_stamp(&self, queues_crc: u32) -> Result<()> {
        let mut configs = Vec::new();
        for name in CONFIG_FILES {
            let path = self.layout.config().join(name);
            let text = read_small(&*self.storage, &path, 1 << 30)?.unwrap_or_default();
            configs.push((name.to_owned(), crc32fast::hash(&text)));
        }
        let delays = self.layout.config().join(DELAY_FILE);
        if let Some(text) = read_small(&*self.storage, &delays, 1 << 30)? {
            configs.push((DELAY_FILE.to_owned(), crc32fast::hash(&text)));
        }
        let segments = self.log.segments();
        let base = |s: Option<&Arc<crate::commitlog::segment::Segment>>| s.map_or(0, |s| s.base());
        let stamp = CleanStamp {
            generation: self.generation,
            log_end: self.log.durable(),
            files: u32::try_from(segments.len()).unwrap_or(u32::MAX),
            first_base: base(segments.first()),
            last_base: base(segments.last()),
            queues_crc,
            configs,
        };
        stamp.write(&*self.storage, &self.layout)
    }

    /// Says why closing could not finish, when an earlier failure stopped the store.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poison.check().is_err_and(|e| e.kind() == ErrorKind::Poisoned)
    }
}
