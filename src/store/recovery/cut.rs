//! The end of the log: what goes on from the staging buffer, what is cut, what must be zero.

use crate::commitlog::scan::ScanFile;
use crate::error::{Error, Result};
use crate::io::StoreFile;
use crate::io::small::{create_anew, remove_if_there};

use super::{Recovered, Recovery};

const WINDOW: u64 = 1 << 20;

impl Recovery<'_> {
    /// Step 4. On return the files hold the log up to its end, durably, and zeros after it.
    pub(super) fn make_log_true(
        &self,
        files: &[ScanFile],
        replay: &[u8],
        done: &mut Recovered,
    ) -> Result<()> {
        let scan_end = done.end;
        self.keep_what_is_cut(files, scan_end, replay.len() as u64, done)?;
        done.end += replay.len() as u64;
        let holder =
            files.iter().find(|f| (f.base..f.base + self.segment_size).contains(&scan_end));
        if let Some(last) = holder {
            let io = |e| Error::io(e, &last.path, "mend the end of the commit log");
            if !replay.is_empty() {
                let at = scan_end - last.base;
                last.file.allocate(at, replay.len() as u64).map_err(io)?;
                last.file.write_at(at, replay).map_err(io)?;
            }
            zero_from(&*last.file, done.end - last.base, self.segment_size).map_err(io)?;
            last.file.sync().map_err(io)?;
        } else if !replay.is_empty() {
            // The log had just moved to a new file whose name did not survive.
            self.write_new_file(scan_end, replay)?;
        }
        let keep_from = if done.end == scan_end && holder.is_some_and(|h| h.base == scan_end) {
            scan_end
        } else {
            holder.map_or_else(|| scan_end.max(done.end), |h| h.base + self.segment_size)
        };
        self.remove_files_from(keep_from)?;
        done.bases =
            self.survey.files.iter().map(|f| f.0).filter(|base| *base < keep_from).collect();
        if holder.is_none() && !replay.is_empty() {
            done.bases.push(scan_end);
        }
        Ok(())
    }

    fn write_new_file(&self, base: u64, content: &[u8]) -> Result<()> {
        let path = self.layout.segment(base);
        let write = || {
            let file = create_anew(&**self.storage, &path)?;
            file.set_len(self.segment_size)?;
            file.write_at(0, content)?;
            file.sync()?;
            self.storage.sync_dir(&self.layout.commitlog())
        };
        write().map_err(|e| Error::io(e, &path, "replay the staging buffer into a new file"))
    }

    /// Removes the log files that start at or after `from`: an inode never gets a second life.
    pub(super) fn remove_files_from(&self, from: u64) -> Result<()> {
        let dir = self.layout.commitlog();
        // The last one first, each durably gone before the next: a power cut in between must not leave a gap.
        for (base, _) in self.survey.files.iter().rev().take_while(|f| f.0 >= from) {
            let path = self.layout.segment(*base);
            remove_if_there(&**self.storage, &path)
                .map_err(|e| Error::io(e, &path, "remove a commit log file"))?;
            self.storage.sync_dir(&dir).map_err(|e| Error::io(e, &dir, "sync the folder"))?;
        }
        Ok(())
    }

    /// Copies what lies behind the end into `pocketmq/cut/`, for whoever wants to know what it was. Bytes that the staging
    /// buffer is about to write again are not missing.
    fn keep_what_is_cut(
        &self,
        files: &[ScanFile],
        end: u64,
        replayed: u64,
        done: &mut Recovered,
    ) -> Result<()> {
        let mut cut = Vec::new();
        for file in files.iter().filter(|f| f.base + self.segment_size > end) {
            let from = end.max(file.base) - file.base;
            let tail = written_bytes(&*file.file, from, self.segment_size)
                .map_err(|e| Error::io(e, &file.path, "read the end of the commit log"))?;
            if !tail.is_empty() {
                cut.resize(usize::try_from(file.base + from - end).unwrap_or(0), 0);
                cut.extend_from_slice(&tail);
            }
        }
        // A killed process may have written part of what it had staged.
        if cut.len() as u64 <= replayed {
            return Ok(());
        }
        let dir = self.layout.cut();
        let generation = self.survey.generation.as_ref().map_or(0, |g| g.number);
        let path = dir.join(format!("{end:020}.{generation}"));
        let keep = || {
            self.storage.create_dir_all(&dir)?;
            let file = create_anew(&**self.storage, &path)?;
            file.write_at(0, &cut)?;
            file.sync()?;
            self.storage.sync_dir(&dir)
        };
        keep().map_err(|e| Error::io(e, &path, "keep a copy of the torn end of the log"))?;
        done.bytes_cut += cut.len() as u64;
        done.notes.push(format!(
            "{} bytes behind the last good record were cut; a copy is in {}",
            cut.len(),
            path.display()
        ));
        Ok(())
    }
}

/// The bytes from `from` up to the last one that is not zero.
fn written_bytes(file: &dyn StoreFile, from: u64, size: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    each_written_window(file, from, size, |at, window| {
        if let Some(last) = window.iter().rposition(|b| *b != 0) {
            bytes.resize(usize::try_from(at - from).unwrap_or(0), 0);
            bytes.extend_from_slice(window.get(..=last).unwrap_or_default());
        }
        Ok(())
    })?;
    Ok(bytes)
}

/// Overwrites everything from `from` on with zeros, but leaves holes alone.
fn zero_from(file: &dyn StoreFile, from: u64, size: u64) -> std::io::Result<()> {
    each_written_window(file, from, size, |at, window| {
        let Some(last) = window.iter().rposition(|b| *b != 0) else { return Ok(()) };
        file.write_at(at, &vec![0; last + 1])
    })
}

fn each_written_window(
    file: &dyn StoreFile,
    from: u64,
    size: u64,
    mut visit: impl FnMut(u64, &[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut buf = vec![0; usize::try_from(WINDOW).unwrap_or(0)];
    let mut at = from;
    while at < size {
        let Some(data) = file.next_data(at)?.filter(|data| *data < size) else { return Ok(()) };
        at = data.max(at);
        let len = usize::try_from((size - at).min(WINDOW)).unwrap_or(0);
        let window = buf.get_mut(..len).unwrap_or_default();
        file.read_at(at, window)?;
        visit(at, window)?;
        at += len as u64;
    }
    Ok(())
}
