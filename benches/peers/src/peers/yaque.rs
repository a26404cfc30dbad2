//! `yaque`: one sender, one receiver, files that are removed when they were received. No checksums of messages (a length with its parity),
//! no sync, no topic.

use std::path::Path;

use yaque::{Receiver, Sender, TryRecvError};

use crate::Result;
use crate::peer::{Living, Log, Peer, Plan, Seeing, Tail, Writing};

pub(crate) struct Yaque;

/// Received at once where everything is read.
const BATCH: usize = 1000;

impl Peer for Yaque {
    fn name(&self) -> &'static str {
        "yaque"
    }

    fn durable(&self) -> Option<&'static str> {
        None
    }

    fn remark(&self) -> &'static str {
        "no checksums"
    }

    fn write(&self, dir: &Path, _: Plan, work: &mut Writing<'_>) -> Result<()> {
        work(&mut Sender::open(dir)?)
    }

    fn read(&self, dir: &Path, _: Plan, seen: &mut Seeing<'_>) -> Result<()> {
        let mut receiver = Receiver::open(dir)?;
        while receiver.next(BATCH, seen)? > 0 {}
        Ok(())
    }

    fn live(&self, dir: &Path, _: Plan, work: &mut Living<'_>) -> Result<()> {
        let mut sender = Sender::open(dir)?;
        work(&mut sender, &mut Receiver::open(dir)?)
    }
}

impl Log for Sender {
    fn append(&mut self, body: &[u8]) -> Result<()> {
        Ok(self.try_send(body).map_err(|e| e.to_string())?)
    }

    fn append_many(&mut self, body: &[u8], count: u64) -> Result<()> {
        let bodies = std::iter::repeat_n(body, usize::try_from(count)?);
        Ok(self.try_send_batch(bodies).map_err(|e| e.to_string())?)
    }
}

impl Tail for Receiver {
    fn next(&mut self, max: usize, seen: &mut Seeing<'_>) -> Result<usize> {
        let batch = match self.try_recv_batch_up_to(max) {
            Ok(batch) => batch,
            Err(TryRecvError::QueueEmpty) => return Ok(0),
            Err(TryRecvError::Io(e)) => return Err(e.into()),
        };
        batch.iter().for_each(|body| seen(body));
        let received = batch.len();
        batch.commit()?;
        Ok(received)
    }
}
