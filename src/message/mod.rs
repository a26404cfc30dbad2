//! What a message is made of: names and properties.

pub(crate) mod names;
pub(crate) mod properties;

pub(crate) use crate::id::{LogOffset, MessageId, QueueId, QueueOffset, Receipt};
