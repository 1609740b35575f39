//! A read-only file in memory: the one place with `unsafe` in this workspace.

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::Mmap;

/// The bytes of a file, shared with every process that maps it.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// Maps all of `file`.
    pub fn new(file: &File) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "memory maps have no safe form; see SAFETY")]
        // SAFETY: the bytes of a map must not change or vanish while it is borrowed. Only cache
        // files are mapped: they are written under a temporary name, synced, renamed and from then
        // on only ever unlinked, which leaves open maps intact. They lie in a folder that belongs
        // to the agent's user.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
