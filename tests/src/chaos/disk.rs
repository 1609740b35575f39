//! A small disk that can be filled: a tmpfs, for which this process needs the right to mount.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a disk of so many megabytes at a folder, which is made if needed. Nothing where that is not allowed.
    pub fn mount(at: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(at);
        let done = mount.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        done.success().then(|| Self(at.to_owned()))
    }

    /// Writes until nothing more fits.
    ///
    /// # Errors
    /// When the file that fills it cannot be made.
    pub fn fill(&self) -> io::Result<()> {
        let mut file = File::create(self.filler())?;
        for size in [1 << 20, 1 << 16, 1 << 12, 1] {
            let bytes = vec![0; size];
            while file.write_all(&bytes).is_ok() {}
        }
        Ok(())
    }

    /// There is room again.
    pub fn clear(&self) {
        // It may be clear already.
        let _ = std::fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
