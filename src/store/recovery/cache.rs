//! Reading what the disk holds, not what the page cache remembers.
//!
//! After a failed sync the kernel keeps the new bytes in memory, calls them clean, and answers later syncs with "fine". A
//! recovery that reads them would vouch for records that a power cut then takes away. So each file is synced and its
//! pages dropped before it is read; where they cannot be dropped, the file is read past the cache and copied to a new one.

use crate::commitlog::scan::ScanFile;
use crate::error::{Error, Result};
use crate::io::small::create_anew;
use crate::io::{Eviction, OpenMode, StoreFile};
use crate::sync::Arc;

use super::Recovery;

const COPY: usize = 1 << 20;

impl Recovery<'_> {
    /// The log's files from the one that holds `from` on, each showing what is on disk.
    pub(super) fn truthful_files(
        &self,
        from: u64,
        notes: &mut Vec<String>,
    ) -> Result<Vec<ScanFile>> {
        let mut files = Vec::new();
        for (base, len) in &self.survey.files {
            let path = self.layout.segment(*base);
            if base + self.segment_size <= from {
                continue;
            }
            if *len != self.segment_size {
                // The creation of this file was cut short, so nothing in it was ever promised.
                notes
                    .push(format!("an unfinished commit log file was removed: {}", path.display()));
                break;
            }
            let open = |mode| {
                self.storage
                    .open(&path, mode)
                    .map_err(|e| Error::io(e, &path, "open the commit log"))
            };
            let mut file = open(OpenMode::Write)?;
            let evicted = file
                .evict()
                .map_err(|e| Error::io(e, &path, "drop cached pages of the commit log"))?;
            if evicted == Eviction::Stayed {
                let copied = self.copy_past_the_cache(&path, &file)?;
                notes.push(if copied {
                    format!("{} was mapped by another process and was copied", path.display())
                } else {
                    format!(
                        "cached pages of {} could not be dropped, and its file system does not read past the page cache: if a \
                         sync had failed before, what was read may be in memory only",
                        path.display()
                    )
                });
                file = open(OpenMode::Write)?;
            }
            files.push(ScanFile { base: *base, path, file });
        }
        Ok(files)
    }

    /// `false` where the file system cannot read past its cache: then nothing else can be read than what the cache shows.
    fn copy_past_the_cache(
        &self,
        path: &std::path::Path,
        file: &Arc<dyn StoreFile>,
    ) -> Result<bool> {
        let io = |e| Error::io(e, path, "copy the commit log past the page cache");
        let copy_path = self.layout.own().join("copied-log-file");
        let copy = create_anew(&**self.storage, &copy_path).map_err(io)?;
        copy.set_len(self.segment_size).map_err(io)?;
        let mut buf = vec![0; COPY];
        let mut at = 0;
        while at < self.segment_size {
            let len = usize::try_from((self.segment_size - at).min(COPY as u64)).unwrap_or(COPY);
            let chunk = buf.get_mut(..len).unwrap_or_default();
            match file.read_direct(at, chunk) {
                Err(e) if e.kind() == std::io::ErrorKind::Unsupported => {
                    self.storage.remove_file(&copy_path).map_err(io)?;
                    return Ok(false);
                }
                other => other.map_err(io)?,
            }
            if chunk.iter().any(|b| *b != 0) {
                copy.write_at(at, chunk).map_err(io)?;
            }
            at += len as u64;
        }
        copy.sync().map_err(io)?;
        self.storage.rename(&copy_path, path).map_err(io)?;
        self.storage.sync_dir(&self.layout.commitlog()).map_err(io)?;
        self.storage.sync_dir(&self.layout.own()).map_err(io)?;
        Ok(true)
    }
}
