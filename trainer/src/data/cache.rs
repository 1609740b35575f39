//! Decoded images in one memory-mapped file, shared by every trainer of a host: built once even
//! when several start together, found by a key over the files' names, lengths and times, and never
//! trusted unless every checksum in it is right (or was, see [`verified`]).
//!
//! ```text
//! 0    magic "SWEEPIMG"   8 bytes        all numbers little endian
//! 8    version u32, reserved u32
//! 16   images u64, list of bad images: offset u64, length u64, file length u64
//! 48   SHA-256 over bytes 0..48, the index and the list of bad images
//! 80   index: per image offset u64, width u32, height u32, first 16 bytes of the SHA-256 of its pixels,
//!      width and height of the file u32, u32
//! ...  pixels, RGB, row by row
//! ...  bad images: JSON [[index, cause], ...]
//! ```

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::decode::Form;
use super::listing::Entry;
use super::memory::Mapped;
use super::settle::Settling;
use super::site::{Site, build_all, trouble};
use super::verified;
use crate::error::TrainError;
use crate::link::Stop;
use crate::log::say;

pub(super) const MAGIC: &[u8; 8] = b"SWEEPIMG";
pub(super) const VERSION: u32 = 2;
pub(super) const HEAD: usize = 80;
pub(super) const SLOT: usize = 40;

/// Borrowed RGB pixels of one image.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `3 * width * height` bytes, row by row.
    pub rgb: &'a [u8],
}

/// An open cache file whose checksums were right.
#[derive(Debug)]
pub struct Cache {
    map: Mapped,
    slots: Vec<Slot>,
    bad: Vec<(u32, String)>,
    /// Of a file that this call built.
    pub(super) settling: Option<Settling>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) offset: u64,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) digest: [u8; 16],
    /// Width and height in the file, before anything was resized.
    pub(super) source: (u32, u32),
}

impl Slot {
    pub(super) const BAD: Self = Self { offset: 0, width: 0, height: 0, digest: [0; 16], source: (0, 0) };

    fn bytes(&self) -> u64 {
        3 * u64::from(self.width) * u64::from(self.height)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.width.to_le_bytes());
        out.extend_from_slice(&self.height.to_le_bytes());
        out.extend_from_slice(&self.digest);
        out.extend_from_slice(&self.source.0.to_le_bytes());
        out.extend_from_slice(&self.source.1.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            offset: u64_at(bytes, 0)?,
            width: u32_at(bytes, 8)?,
            height: u32_at(bytes, 12)?,
            digest: bytes.get(16..32)?.try_into().ok()?,
            source: (u32_at(bytes, 32)?, u32_at(bytes, 36)?),
        })
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

impl Cache {
    /// Opens the cache of `entries` (files below `root`) in `form`, building it in `folder` if it is
    /// missing, torn, or made from other files. Others that ask at the same time wait for one builder.
    pub fn open_or_build(
        folder: &Path,
        root: &Path,
        entries: &[&Entry],
        form: Form,
        stop: &Stop,
    ) -> Result<Self, TrainError> {
        let mut caches = Self::open_or_build_all(folder, root, entries, &[(entries.len(), form)], stop)?;
        Ok(caches.remove(0))
    }

    /// As [`open_or_build`](Self::open_or_build) for several forms, each of the first so many `entries`. Of those that
    /// are missing every image is decoded once.
    pub fn open_or_build_all(
        folder: &Path,
        root: &Path,
        entries: &[&Entry],
        forms: &[(usize, Form)],
        stop: &Stop,
    ) -> Result<Vec<Self>, TrainError> {
        fs::create_dir_all(folder).map_err(trouble("create the folder of", folder))?;
        let sites: Vec<Site> = (forms.iter())
            .map(|&(images, form)| Site::new(folder, root, &entries[..images.min(entries.len())], form))
            .collect();
        let mut caches: Vec<Option<Self>> = sites.iter().map(Site::open).collect();
        // Everybody locks in the same order, so nobody waits for one who waits for them.
        let mut locks = Vec::new();
        for (cache, site) in caches.iter_mut().zip(&sites).filter(|(cache, _)| cache.is_none()) {
            locks.push(site.lock(stop)?);
            *cache = site.open();
        }
        let missing: Vec<&Site> =
            sites.iter().zip(&caches).filter(|(_, cache)| cache.is_none()).map(|(site, _)| site).collect();
        let mut built = build_all(folder, root, entries, &missing, stop)?.into_iter();
        let whole = caches.into_iter().map(|cache| cache.or_else(|| built.next()));
        Ok(whole.map(|cache| cache.expect("what was missing has been built")).collect())
    }

    /// Maps and verifies; anything odd makes it absent.
    pub(super) fn open(path: &Path, images: usize) -> Option<Self> {
        let file = File::open(path).ok()?;
        let known = verified::is_known(path, &file);
        let cache = Self::parse(Mapped::new(&file).ok()?, images, known);
        match &cache {
            None => say(format_args!("{} is damaged, not used", path.display())),
            Some(_) if !known => verified::remember(path, &file, SystemTime::now()),
            Some(_) => {}
        }
        cache
    }

    /// `known`: the checksums of the pixels were right before.
    pub(super) fn parse(map: Mapped, images: usize, known: bool) -> Option<Self> {
        if map.get(..8)? != MAGIC
            || u32_at(&map, 8)? != VERSION
            || u64_at(&map, 16)? != images as u64
            || u64_at(&map, 40)? != map.len() as u64
        {
            return None;
        }
        let index = map.get(HEAD..HEAD.checked_add(images.checked_mul(SLOT)?)?)?;
        let bad_at = usize::try_from(u64_at(&map, 24)?).ok()?;
        let bad_length = usize::try_from(u64_at(&map, 32)?).ok()?;
        let bad = map.get(bad_at..bad_at.checked_add(bad_length)?)?;
        let head = seal(map.get(..48)?, index, bad);
        if map.get(48..HEAD)? != head.as_slice() {
            return None;
        }
        let bad = serde_json::from_slice(bad).ok()?;
        let slots: Vec<Slot> = index.chunks(SLOT).map(Slot::read).collect::<Option<_>>()?;
        let cache = Self { map, slots, bad, settling: None };
        let whole = (0..images).into_par_iter().all(|image| {
            let slot = &cache.slots[image];
            slot.width == 0 || cache.pixels(slot).is_some_and(|rgb| known || digest(rgb) == slot.digest)
        });
        whole.then_some(cache)
    }

    fn pixels(&self, slot: &Slot) -> Option<&[u8]> {
        let start = usize::try_from(slot.offset).ok()?;
        let end = start.checked_add(usize::try_from(slot.bytes()).ok()?)?;
        self.map.get(start..end)
    }

    /// The image at `index`, or `None` if it could not be decoded.
    pub fn picture(&self, index: usize) -> Option<Picture<'_>> {
        let slot = self.slots.get(index).filter(|slot| slot.width > 0)?;
        Some(Picture { width: slot.width as usize, height: slot.height as usize, rgb: self.pixels(slot)? })
    }

    /// Digest of the pixels at `index`; zeros for an image that could not be decoded.
    pub fn digest(&self, index: usize) -> [u8; 16] {
        self.slots.get(index).map_or([0; 16], |slot| slot.digest)
    }

    /// Width and height of the image at `index` as they are in its file; nothing if it could not be decoded.
    pub fn source_size(&self, index: usize) -> Option<(u32, u32)> {
        self.slots.get(index).filter(|slot| slot.width > 0).map(|slot| slot.source)
    }

    /// Images that could not be decoded, with the cause, in order.
    pub fn bad(&self) -> &[(u32, String)] {
        &self.bad
    }

    /// Whether this call built the file.
    pub fn was_built(&self) -> bool {
        self.settling.is_some()
    }

    /// Whether the file this call built has turned out not to be on the disk.
    ///
    /// # Errors
    /// [`TrainError::Cache`]: the disk did not take it. What is read through the map may be lost at any time.
    pub fn check(&self) -> Result<(), TrainError> {
        self.settling.as_ref().map_or(Ok(()), Settling::check)
    }
}

pub(super) fn digest(rgb: &[u8]) -> [u8; 16] {
    let full = Sha256::digest(rgb);
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    short
}

pub(super) fn seal(head: &[u8], index: &[u8], bad: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(head);
    hash.update(index);
    hash.update(bad);
    hash.finalize().into()
}

/// Name of a data set folder and what is kept of it, for people and for finding older files of the same.
pub(super) fn stem(root: &Path, label: &str) -> String {
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }
    };
    let name: String = name.chars().map(safe).take(40).collect();
    let place = hex(&Sha256::digest(root.as_os_str().as_bytes())[..4]);
    format!("{name}-{place}-{label}")
}

/// Another for other files.
pub(super) fn key(root: &Path, entries: &[&Entry], label: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(VERSION.to_le_bytes());
    hash.update(label);
    hash.update(root.as_os_str().as_bytes());
    for entry in entries {
        let name = entry.file.as_os_str().as_bytes();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(entry.bytes.to_le_bytes());
        hash.update(entry.changed_ns.to_le_bytes());
    }
    hex(&hash.finalize()[..8])
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
