//! The end of the log: what goes on from the staging buffer, what is cut, what must be zero.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::commitlog::scan::ScanFile;
use crate::error::{Error, Result};
use crate::io::small::{create_anew, remove_if_there};
use crate::io::{OpenMode, StoreFile};

use super::{Recovered, Recovery};

/// How much is read and copied at once.
const WINDOW: usize = 1 << 20;

impl Recovery<'_> {
    /// Step 4. On return the files hold the log up to its end, durably, and zeros after it.
    pub(super) fn make_log_true(
        &self,
        files: &[ScanFile],
        replay: &[u8],
        done: &mut Recovered,
    ) -> Result<()> {
        let scan_end = done.end;
        self.keep_what_is_cut(files, scan_end, replay, done)?;
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
        // One that was unfinished where the log goes on is the new one now.
        let listed = if holder.is_some() { keep_from } else { scan_end };
        done.bases = self.survey.files.iter().map(|f| f.0).filter(|base| *base < listed).collect();
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

    /// Copies what lies behind the end into `pocketmq/cut/`, for whoever wants to know what it was: durable before anything is
    /// cut. Bytes that the staging buffer is about to write again are not missing.
    fn keep_what_is_cut(
        &self,
        files: &[ScanFile],
        end: u64,
        replay: &[u8],
        done: &mut Recovered,
    ) -> Result<()> {
        // Looked at first and copied then, a window at a time: what is cut can be larger than memory.
        let (mut len, mut missing) = (0, false);
        self.each_written_window_behind(files, end, |at, window| {
            if let Some(last) = window.iter().rposition(|b| *b != 0) {
                len = at + last as u64 + 1;
                missing |= !is_replayed(at, window, replay);
            }
            Ok(())
        })?;
        if !missing {
            return Ok(());
        }
        let dir = self.layout.cut();
        let (path, there) = self.place_of_copy(files, end)?;
        done.bytes_cut += len;
        done.notes.push(format!(
            "{len} bytes behind the last good record were cut; a copy is in {}",
            path.display()
        ));
        if there {
            return Ok(());
        }
        let io = |e| Error::io(e, &path, "keep a copy of the torn end of the log");
        self.storage.create_dir_all(&dir).map_err(io)?;
        // Under its name it is whole.
        let unfinished = dir.join("unfinished");
        let copy = create_anew(&**self.storage, &unfinished).map_err(io)?;
        copy.set_len(len).map_err(io)?;
        self.each_written_window_behind(files, end, |at, window| {
            let written = window.iter().rposition(|b| *b != 0);
            let bytes = written.and_then(|last| window.get(..=last));
            bytes.map_or(Ok(()), |bytes| copy.write_at(at, bytes).map_err(io))
        })?;
        copy.sync().map_err(io)?;
        self.storage.rename(&unfinished, &path).map_err(io)?;
        self.storage.sync_dir(&dir).map_err(io)
    }

    /// Where the copy of what lies behind `end` goes, and whether one that has all of it is there already: of a recovery that was
    /// interrupted when it had cut a part, whose copy has more than what is left.
    fn place_of_copy(&self, files: &[ScanFile], end: u64) -> Result<(PathBuf, bool)> {
        let generation = self.survey.generation.as_ref().map_or(0, |g| g.number);
        let mut name = format!("{end:020}.{generation}");
        for next in 2.. {
            let path = self.layout.cut().join(&name);
            let copy = match self.storage.open(&path, OpenMode::Read) {
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok((path, false)),
                other => other,
            };
            let io = |e| Error::io(e, &path, "read the copy of the torn end of the log");
            let copy = copy.map_err(io)?;
            let (len, mut kept, mut buf) = (copy.len().map_err(io)?, true, window());
            self.each_written_window_behind(files, end, |at, window| {
                let there = usize::try_from(len.saturating_sub(at)).unwrap_or(WINDOW);
                let have = buf.get_mut(..there.min(window.len())).unwrap_or_default();
                if !have.is_empty() {
                    copy.read_at(at, have).map_err(io)?;
                }
                kept &= is_known(window, have);
                Ok(())
            })?;
            if kept {
                // Its name was perhaps not durable yet.
                let dir = self.layout.cut();
                self.storage.sync_dir(&dir).map_err(|e| Error::io(e, &dir, "sync the folder"))?;
                return Ok((path, true));
            }
            name = format!("{end:020}.{generation}.{next}");
        }
        Err(Error::closed())
    }

    /// Everything behind `end` that may not be zero, with its distance from there.
    fn each_written_window_behind(
        &self,
        files: &[ScanFile],
        end: u64,
        mut visit: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut buf = window();
        for file in files.iter().filter(|f| f.base + self.segment_size > end) {
            let io = |e| Error::io(e, &file.path, "read the end of the commit log");
            let mut from = end.max(file.base) - file.base;
            let size = self.segment_size;
            while let Some((at, bytes)) =
                next_written(&*file.file, from, size, &mut buf).map_err(io)?
            {
                visit(file.base + at - end, bytes)?;
                from = at + bytes.len() as u64;
            }
        }
        Ok(())
    }
}

/// Whether `replay` has everything in `window` that is not zero. A killed process may have written part of what it had staged.
fn is_replayed(at: u64, window: &[u8], replay: &[u8]) -> bool {
    let skip = usize::try_from(at).unwrap_or(usize::MAX);
    is_known(window, replay.get(skip..).unwrap_or_default())
}

/// Whether `known` has everything in `window` that is not zero.
fn is_known(window: &[u8], known: &[u8]) -> bool {
    let (inside, behind) = window.split_at(known.len().min(window.len()));
    inside.iter().zip(known).all(|(have, new)| *have == 0 || have == new)
        && behind.iter().all(|b| *b == 0)
}

/// Overwrites everything from `from` on with zeros, but leaves holes alone.
fn zero_from(file: &dyn StoreFile, mut from: u64, size: u64) -> std::io::Result<()> {
    let (mut buf, zeros) = (window(), window());
    while let Some((at, bytes)) = next_written(file, from, size, &mut buf)? {
        let written = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        if written > 0 {
            file.write_at(at, zeros.get(..written).unwrap_or_default())?;
        }
        from = at + bytes.len() as u64;
    }
    Ok(())
}

fn window() -> Vec<u8> {
    vec![0; WINDOW]
}

/// The next bytes at or after `from` that may not be zero, and where they are; as many as fit into `buf`.
fn next_written<'b>(
    file: &dyn StoreFile,
    from: u64,
    size: u64,
    buf: &'b mut [u8],
) -> std::io::Result<Option<(u64, &'b [u8])>> {
    if from >= size {
        return Ok(None);
    }
    let Some(data) = file.next_data(from)?.filter(|data| *data < size) else { return Ok(None) };
    let at = data.max(from);
    let len = usize::try_from(size - at).unwrap_or(WINDOW).min(buf.len());
    let bytes = buf.get_mut(..len).unwrap_or_default();
    file.read_at(at, bytes)?;
    Ok(Some((at, bytes)))
}
