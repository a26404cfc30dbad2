//! Copying a stored message into another topic: what a broker does too, and what is ours in it.

use crate::commitlog::format::Draft;
use crate::error::Result;
use crate::message::properties::{NAME_END, PIECE_END};
use crate::timer::levels::Levels;

use super::append::Drafts;
use super::message::Message;

impl Message {
    /// Drafts a copy: body, flags, hosts, birth time and attempts are the same. It says where its source ends in the log, in the field that
    /// points from a committed message to its half; a broker does not look at it in others.
    pub(super) fn copy_to(
        &self,
        (topic, queue): (&str, u32),
        properties: &[u8],
        tags_code: i64,
        drafts: &mut Drafts,
    ) -> Result<()> {
        let view = self.view();
        let end = view.physical_offset + u64::from(view.size);
        let draft = Draft {
            topic,
            queue_id: queue,
            flag: view.flag,
            sys_flag: view.sys_flag,
            born_timestamp: view.born_timestamp,
            born_host: view.born_host,
            store_host: view.store_host,
            reconsume_times: view.reconsume_times,
            prepared_transaction_offset: i64::try_from(end).unwrap_or(i64::MAX),
            properties,
        };
        drafts.push(&draft, tags_code, |out| {
            out.extend_from_slice(view.body);
            Ok(())
        })
    }

    /// When a message of the schedule topic is due.
    pub(crate) fn due_ms(&self, levels: &Levels) -> i64 {
        self.view().tags_code(levels.as_ms())
    }

    /// The property block as stored, byte by byte, without some names.
    pub(super) fn properties_without(&self, names: &[&str]) -> Vec<u8> {
        let block = self.view().properties;
        let is_left_out = |piece: &[u8]| {
            let name = piece.split(|byte| *byte == NAME_END).next().unwrap_or_default();
            names.iter().any(|left_out| left_out.as_bytes() == name)
        };
        let mut kept = Vec::with_capacity(block.len());
        for piece in block.split_inclusive(|byte| *byte == PIECE_END) {
            if !is_left_out(piece) {
                kept.extend_from_slice(piece);
            }
        }
        kept
    }
}
