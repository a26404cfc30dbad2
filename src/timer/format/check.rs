//! The bytes of `config/timercheck`: how far the timer has come.
//!
//! ```text
//! read time i64 | timer log flushed i64 | queue offset i64 | master's queue offset i64 |
//! version: state i64 | timestamp i64 | counter i64 | zeros
//! ```

/// The size of the file.
pub(crate) const CHECK_LEN: usize = 4096;

const FIELDS: usize = 7;

/// The numbers, as they stand in the file. There is no checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TimerCheck {
    /// The beginning of the tick to deliver next, in milliseconds: everything before it is delivered.
    pub(crate) read_ms: i64,
    /// The timer log is on disk up to this position.
    pub(crate) log_flushed: i64,
    /// The timer topic is put into the wheel up to this offset of its queue.
    pub(crate) queue_offset: i64,
    /// The same, for a master with replicas; of a lone broker, equal. It puts nothing into the wheel beyond this.
    pub(crate) master_queue_offset: i64,
    /// The data version's `stateVersion`.
    pub(crate) version_state: i64,
    /// When the data version was raised last, in milliseconds.
    pub(crate) version_ms: i64,
    /// How often the data version was raised.
    pub(crate) version_counter: i64,
}

impl TimerCheck {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CHECK_LEN);
        for field in [
            self.read_ms,
            self.log_flushed,
            self.queue_offset,
            self.master_queue_offset,
            self.version_state,
            self.version_ms,
            self.version_counter,
        ] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.resize(CHECK_LEN, 0);
        bytes
    }

    /// `None` if the bytes end before the last field.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let fields: &[[u8; 8]; FIELDS] = bytes.as_chunks().0.first_chunk()?;
        let [read, flushed, queue, master, state, ms, counter] = fields.map(i64::from_be_bytes);
        Some(Self {
            read_ms: read,
            log_flushed: flushed,
            queue_offset: queue,
            master_queue_offset: master,
            version_state: state,
            version_ms: ms,
            version_counter: counter,
        })
    }
}
