//! A look at a store that its writer does not stop changing.

use std::io;
use std::path::Path;

use crate::error::ErrorKind;
use crate::io::sim::SimDisk;
use crate::io::{Entry, LockGuard, OpenMode, Storage, StoreFile};
use crate::options::{Flush, Options};
use crate::store::readonly::Image;
use crate::sync::{Arc, Mutex};

use super::world::{Ack, ROOT, World, layout, tiny};

fn look(disk: &SimDisk) -> crate::Result<Image> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    Image::of(&storage, Path::new(ROOT))
}

/// A disk on which something happens just before the first file with a certain name is opened.
struct Busy {
    disk: SimDisk,
    name: &'static str,
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Busy").finish_non_exhaustive()
    }
}

impl Storage for Busy {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoreFile>> {
        if path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(self.name)) {
            let act = self.act.lock().take();
            if let Some(act) = act {
                act();
            }
        }
        self.disk.open(path, mode)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn sync_all(&self, root: &Path) -> io::Result<()> {
        self.disk.sync_all(root)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.disk.lock(path)
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.disk.is_locked(path)
    }
}

#[test]
fn while_the_durable_position_is_being_written_a_look_does_not_take_the_store_for_empty() {
    let mut world = World::new(Flush::Sync);
    world.send_all("t", [100; 5]);
    assert_eq!(look(&world.disk).unwrap().records.len(), 5);
    // The first half of the pair is new, the second is not yet.
    let staging = layout().staging(1);
    world.disk.flip_bit(&staging, 80 * 8);
    assert_eq!(
        look(&world.disk).map(|image| image.records.len()).unwrap_err().kind(),
        ErrorKind::Busy
    );
    world.disk.flip_bit(&staging, 80 * 8);
    assert_eq!(look(&world.disk).unwrap().records.len(), 5);
}

#[test]
fn what_is_acknowledged_during_a_look_is_not_said_to_be_lost() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 5]);
    world.consume(("t", "g"), 2, |_| Ack::Yes).unwrap();
    world.flush().unwrap();
    let disk = world.disk.clone();
    let act = move || {
        world.send_all("t", [100; 5]);
        world.flush().unwrap();
        world.consume(("t", "g"), 10, |_| Ack::Yes).unwrap();
        // Stays open.
        Box::leak(Box::new(world));
    };
    let busy = Busy { disk, name: "journal.", act: Mutex::new(Some(Box::new(act))) };
    let storage: Arc<dyn Storage> = Arc::new(busy);
    let image = Image::of(&storage, Path::new(ROOT)).unwrap();
    assert!(image.live);
    assert_eq!(image.records.len(), 5);
    assert_eq!(image.cursors[0].acked.watermark(), 5);
    assert_eq!(image.report.notes, [""; 0]);
}

#[test]
fn a_store_made_anew_with_smaller_files_is_read_from_its_beginning() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [1000; 17]);
    world.flush().unwrap();
    let mut image = look(&world.disk).unwrap();
    assert!(image.records.last().unwrap().0 > 16 << 10);
    let options = Options { segment_size: Some(16 << 10), ..tiny(Flush::default()) };
    let mut other = World::on(SimDisk::new(2), options);
    other.open().unwrap();
    other.send_all("x", [100; 30]);
    other.flush().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(other.disk.clone());
    image.refresh(&storage, Path::new(ROOT)).unwrap();
    assert_eq!(image.records.len(), 30);
}
