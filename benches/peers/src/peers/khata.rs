//! `khata-rs`: a mapped file of one day and of a size that is settled beforehand, for a single writer. No checksum unless asked for (it is not
//! asked here), no topic.

use std::path::Path;

use khata_rs::{Queue, Reader, Writer};

use crate::Result;
use crate::peer::{Living, Log, Peer, Plan, Seeing, Tail, Writing};

pub(crate) struct Khata;

/// Before each message, and for the file's own header.
const HEADER: u64 = 8;
const SPARE: u64 = 1 << 20;

fn open(dir: &Path, plan: Plan) -> Result<Queue> {
    let room = plan.messages * (plan.body + HEADER) + SPARE;
    Ok(Queue::new(dir).block_size(usize::try_from(room)?).build()?)
}

impl Peer for Khata {
    fn name(&self) -> &'static str {
        "khata-rs"
    }

    fn durable(&self) -> Option<&'static str> {
        Some("msync of the whole file")
    }

    fn remark(&self) -> &'static str {
        "no checksums"
    }

    fn write(&self, dir: &Path, plan: Plan, work: &mut Writing<'_>) -> Result<()> {
        let queue = open(dir, plan)?;
        work(&mut Appending { writer: queue.writer()?, durable: plan.durable })
    }

    fn read(&self, dir: &Path, plan: Plan, seen: &mut Seeing<'_>) -> Result<()> {
        let queue = open(dir, plan)?;
        // It does not find its own file again before a writer has opened it.
        let _writer = queue.writer()?;
        let mut reader = queue.reader()?;
        while let Some(body) = reader.read()? {
            seen(body);
        }
        Ok(())
    }

    fn live(&self, dir: &Path, plan: Plan, work: &mut Living<'_>) -> Result<()> {
        let queue = open(dir, plan)?;
        let mut writer = Appending { writer: queue.writer()?, durable: plan.durable };
        work(&mut writer, &mut queue.reader()?)
    }
}

struct Appending<'q> {
    writer: Writer<'q>,
    durable: bool,
}

impl Log for Appending<'_> {
    fn append(&mut self, body: &[u8]) -> Result<()> {
        self.append_many(body, 1)
    }

    fn append_many(&mut self, body: &[u8], count: u64) -> Result<()> {
        for _ in 0..count {
            self.writer.write(body)?;
        }
        if self.durable {
            self.writer.flush()?;
        }
        Ok(())
    }
}

impl Tail for Reader<'_> {
    fn next(&mut self, max: usize, seen: &mut Seeing<'_>) -> Result<usize> {
        for read in 0..max {
            match self.read()? {
                Some(body) => seen(body),
                None => return Ok(read),
            }
        }
        Ok(max)
    }
}
