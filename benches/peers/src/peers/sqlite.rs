//! `SQLite` through `rusqlite`, as most people would set it up for a queue: a table, write-ahead logging, a transaction for each message.
//! Checksums of log frames only.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::Result;
use crate::peer::{JobPeer, Jobs, Living, Log, Peer, Plan, Seeing, Tail, Working, Writing};

pub(crate) struct Sqlite;

struct Messages(Connection);

fn open(dir: &Path, durable: bool) -> Result<Connection> {
    std::fs::create_dir_all(dir)?;
    let connection = Connection::open(dir.join("queue.sqlite"))?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS messages(id INTEGER PRIMARY KEY, body BLOB NOT NULL);
         CREATE TABLE IF NOT EXISTS jobs(id INTEGER PRIMARY KEY, taken INTEGER NOT NULL DEFAULT 0, body BLOB NOT NULL);
         CREATE INDEX IF NOT EXISTS waiting ON jobs(id) WHERE taken = 0;",
    )?;
    Ok(connection)
}

impl Peer for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn durable(&self) -> Option<&'static str> {
        Some("synchronous=FULL")
    }

    fn keeps_pace(&self) -> bool {
        false
    }

    fn write(&self, dir: &Path, plan: Plan, work: &mut Writing<'_>) -> Result<()> {
        work(&mut Messages(open(dir, plan.durable)?))
    }

    fn read(&self, dir: &Path, plan: Plan, seen: &mut Seeing<'_>) -> Result<()> {
        let connection = open(dir, plan.durable)?;
        let mut select = connection.prepare("SELECT body FROM messages ORDER BY id")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            seen(row.get_ref(0)?.as_blob()?);
        }
        Ok(())
    }

    fn live(&self, dir: &Path, plan: Plan, work: &mut Living<'_>) -> Result<()> {
        let mut messages = Messages(open(dir, plan.durable)?);
        work(&mut messages, &mut Following { connection: open(dir, plan.durable)?, at: 0 })
    }
}

const INSERT: &str = "INSERT INTO messages(body) VALUES (?1)";

impl Log for Messages {
    fn append(&mut self, body: &[u8]) -> Result<()> {
        self.0.prepare_cached(INSERT)?.execute([body])?;
        Ok(())
    }

    fn append_many(&mut self, body: &[u8], count: u64) -> Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for _ in 0..count {
                insert.execute([body])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

struct Following {
    connection: Connection,
    at: i64,
}

impl Tail for Following {
    fn next(&mut self, max: usize, seen: &mut Seeing<'_>) -> Result<usize> {
        let mut select = self
            .connection
            .prepare_cached("SELECT id, body FROM messages WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        let mut rows = select.query(params![self.at, i64::try_from(max)?])?;
        let mut read = 0;
        while let Some(row) = rows.next()? {
            self.at = row.get(0)?;
            seen(row.get_ref(1)?.as_blob()?);
            read += 1;
        }
        Ok(read)
    }
}

impl JobPeer for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn work(&self, dir: &Path, work: &mut Working<'_>) -> Result<()> {
        work(&mut Messages(open(dir, false)?))
    }
}

impl Jobs for Messages {
    fn send(&mut self, body: &[u8]) -> Result<()> {
        self.0.prepare_cached("INSERT INTO jobs(body) VALUES (?1)")?.execute([body])?;
        Ok(())
    }

    fn take(&mut self) -> Result<Option<u64>> {
        let mut update = self.0.prepare_cached(
            "UPDATE jobs SET taken = 1 WHERE id = (SELECT id FROM jobs WHERE taken = 0 ORDER BY id LIMIT 1) RETURNING id, body",
        )?;
        let id: Option<i64> = update.query_row([], |row| row.get(0)).optional()?;
        Ok(id.map(u64::try_from).transpose()?)
    }

    fn ack(&mut self, job: u64) -> Result<()> {
        let mut delete = self.0.prepare_cached("DELETE FROM jobs WHERE id = ?1")?;
        delete.execute([i64::try_from(job)?])?;
        Ok(())
    }
}
