//! A storage that remembers what was asked of it and dies when told to.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::io::{Entry, Eviction, LockGuard, MapAccess, Mapping, OpenMode, Storage, StoreFile};
use crate::sync::{Arc, Mutex};

#[derive(Debug, Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Arc<Mutex<Vec<u8>>>>,
    /// The calls that change or secure something, as `verb name`.
    calls: Vec<String>,
    /// So many more of these calls work.
    lives: Option<usize>,
}

#[derive(Debug)]
struct RecordedFile {
    recorder: Recorder,
    path: PathBuf,
    content: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    pub(super) fn put(&self, path: &str, content: &[u8]) {
        self.0.lock().files.insert(path.into(), Arc::new(Mutex::new(content.to_vec())));
    }

    pub(super) fn content(&self, path: &str) -> Option<Vec<u8>> {
        let file = self.0.lock().files.get(Path::new(path)).cloned();
        file.map(|content| content.lock().clone())
    }

    pub(super) fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().calls)
    }

    /// From the call with this number on, counted from 0, every changing call fails.
    pub(super) fn die_at(&self, call: Option<usize>) {
        self.0.lock().lives = call;
    }

    fn call(&self, verb: &str, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        match &mut state.lives {
            Some(0) => return Err(io::ErrorKind::StorageFull.into()),
            Some(lives) => *lives -= 1,
            None => {}
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        state.calls.push(format!("{verb} {name}"));
        Ok(())
    }
}

impl Storage for Recorder {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoreFile>> {
        if mode == OpenMode::CreateNew {
            self.call("create", path)?;
            if self.0.lock().files.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            self.put(path.to_str().unwrap(), b"");
        }
        let content = self.0.lock().files.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(RecordedFile { recorder: self.clone(), path: path.into(), content }))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<Entry>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("rename", from)?;
        let files = &mut self.0.lock().files;
        let content = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.into(), content);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        if !self.0.lock().files.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.call("remove", path)?;
        self.0.lock().files.remove(path);
        Ok(())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call("sync", dir)
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn LockGuard>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn is_locked(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }
}

impl StoreFile for RecordedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.content.lock().len()).unwrap())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        buf.copy_from_slice(&self.content.lock()[start..start + buf.len()]);
        Ok(())
    }

    /// Half of it arrives if the disk dies here.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        assert_eq!(offset, 0);
        let called = self.recorder.call("write", &self.path);
        let arrived = if called.is_ok() { data } else { &data[..data.len() / 2] };
        *self.content.lock() = arrived.to_vec();
        called
    }

    fn sync(&self) -> io::Result<()> {
        self.recorder.call("sync", &self.path)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn map(&self, _: u64, _: usize, _: MapAccess) -> io::Result<Mapping> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn evict(&self) -> io::Result<Eviction> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read_direct(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
