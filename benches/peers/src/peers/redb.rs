//! `redb`: a B-tree in one file; the key is the message's number. Checksums of pages, a table for what would be a topic. Not durable means in
//! the memory of the process here, where a kill takes it.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::Result;
use crate::peer::{Living, Log, Peer, Plan, Seeing, Tail, Writing};

pub(crate) struct Redb;

const MESSAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("messages");

struct Messages {
    database: Arc<Database>,
    durable: bool,
}

fn open(dir: &Path, durable: bool) -> Result<Messages> {
    std::fs::create_dir_all(dir)?;
    let database = Arc::new(Database::create(dir.join("redb"))?);
    let creating = database.begin_write()?;
    creating.open_table(MESSAGES)?;
    creating.commit()?;
    Ok(Messages { database, durable })
}

impl Peer for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn durable(&self) -> Option<&'static str> {
        Some("fdatasync")
    }

    fn remark(&self) -> &'static str {
        "a kill takes it"
    }

    fn keeps_pace(&self) -> bool {
        false
    }

    fn write(&self, dir: &Path, plan: Plan, work: &mut Writing<'_>) -> Result<()> {
        let mut messages = open(dir, plan.durable)?;
        work(&mut messages)?;
        // Without a durable one at the end, nothing would ever be in the file.
        Ok(messages.database.begin_write()?.commit()?)
    }

    fn read(&self, dir: &Path, plan: Plan, seen: &mut Seeing<'_>) -> Result<()> {
        let messages = open(dir, plan.durable)?;
        for item in messages.database.begin_read()?.open_table(MESSAGES)?.iter()? {
            seen(item?.1.value());
        }
        Ok(())
    }

    fn live(&self, dir: &Path, plan: Plan, work: &mut Living<'_>) -> Result<()> {
        let mut messages = open(dir, plan.durable)?;
        let mut tail = Following { database: Arc::clone(&messages.database), at: 0 };
        work(&mut messages, &mut tail)
    }
}

impl Log for Messages {
    fn append(&mut self, body: &[u8]) -> Result<()> {
        self.append_many(body, 1)
    }

    fn append_many(&mut self, body: &[u8], count: u64) -> Result<()> {
        let mut writing = self.database.begin_write()?;
        writing.set_durability(if self.durable {
            Durability::Immediate
        } else {
            Durability::None
        })?;
        {
            let mut table = writing.open_table(MESSAGES)?;
            let first = table.last()?.map_or(0, |(number, _)| number.value() + 1);
            for number in first..first + count {
                table.insert(number, body)?;
            }
        }
        Ok(writing.commit()?)
    }

    fn another(&self) -> Option<Box<dyn Log>> {
        let (database, durable) = (Arc::clone(&self.database), self.durable);
        Some(Box::new(Self { database, durable }))
    }
}

struct Following {
    database: Arc<Database>,
    at: u64,
}

impl Tail for Following {
    fn next(&mut self, max: usize, seen: &mut Seeing<'_>) -> Result<usize> {
        let table = self.database.begin_read()?.open_table(MESSAGES)?;
        let mut read = 0;
        for item in table.range(self.at..)?.take(max) {
            seen(item?.1.value());
            read += 1;
        }
        self.at += read as u64;
        Ok(read)
    }
}
