//! A small file system of its own, whose power can be cut.

use std::path::{Path, PathBuf};
use std::process::Command;

/// An image that `tools/power-cuts.sh` has made a file system in, and where it is mounted.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) name: String,
    image: PathBuf,
    pub(crate) mounted: PathBuf,
}

impl Disk {
    /// From `name:image:folder`.
    pub(crate) fn of(words: &str) -> Self {
        let parts: Vec<&str> = words.split(':').collect();
        let [name, image, mounted] = parts[..] else { panic!("{words}") };
        let disk = Self { name: name.to_owned(), image: image.into(), mounted: mounted.into() };
        // What follows must never happen to a file system that something else is on.
        let own = disk.mounted.join("pocketmq-power-cuts");
        assert!(own.is_file(), "{} is not there", own.display());
        disk
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.mounted.join("store")
    }

    /// What was removed before does not come back.
    pub(crate) fn sync(&self) {
        must(Command::new("sync").arg("-f").arg(&self.mounted));
    }

    /// From now on nothing reaches the disk, and what its journal has not is lost.
    pub(crate) fn cut(&self) {
        must(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.mounted));
    }

    /// The power is back. Nobody may have a file open.
    pub(crate) fn restart(&self) {
        must(Command::new("umount").arg(&self.mounted));
        must(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mounted));
    }

    /// Takes away what the image lies on where the file was allocated and never written, so that writes there are `EIO`.
    pub(crate) fn break_down(&self, file: &Path) -> Broken {
        let extents = must(Command::new("filefrag").args(["-e", "-b1024"]).arg(file));
        let mut count = 0;
        for line in extents.lines().filter(|line| line.contains("unwritten")) {
            // `1:  4.. 255:  34052..  34303:  252:  unwritten`
            let fields: Vec<&str> = line.split(':').collect();
            let number = |text: &str| text.trim().parse::<u64>().expect(line);
            let from = number(fields[2].split("..").next().expect(line));
            let mut punch = Command::new("fallocate");
            punch.args(["--punch-hole", "--offset"]).arg((from * 1024).to_string());
            punch.arg("--length").arg((number(fields[3]) * 1024).to_string()).arg(&self.image);
            must(&mut punch);
            count += 1;
        }
        assert!(count > 0, "nothing to break: {extents}");
        let path = self.image.with_file_name("ballast");
        let mut command = Command::new("dd");
        command.args(["if=/dev/zero", "bs=4096"]).arg(format!("of={}", path.display()));
        let output = command.output().expect("dd");
        assert!(!output.status.success(), "there is room without end for {}", path.display());
        Broken { path }
    }
}

/// A disk that fails until this is dropped.
#[derive(Debug)]
pub(crate) struct Broken {
    path: PathBuf,
}

impl Drop for Broken {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    std::fs::remove_file(path).expect("the ballast can be removed");
}

fn must(command: &mut Command) -> String {
    let output = command.output().expect("a command of the system");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
