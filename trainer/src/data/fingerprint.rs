//! What tells one copy of a data set from another without reading a single image: class names, and
//! for every image its path, length, class and side of the split, and the content of the CSV files
//! that may hold other labels. Times and places do not count, so copies on other hosts are equal.
//! An image that was replaced by another one of the same length is not seen here; the digest of the
//! decoded pixels that a trial reports tells those apart.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::cache::hex;
use super::listing::{Entry, Listing};
use crate::error::TrainError;

/// Says how a fingerprint was made; another way makes other copies of all.
const WAY: &str = "f1";

/// The fingerprint of the listed files, e.g. `f1-` and 32 hex digits.
pub fn fingerprint(listing: &Listing) -> Result<String, TrainError> {
    let mut hash = Sha256::new();
    let text = |hash: &mut Sha256, bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    text(&mut hash, listing.layout.as_str().as_bytes());
    hash.update((listing.classes.len() as u64).to_le_bytes());
    for class in &listing.classes {
        text(&mut hash, class.as_bytes());
    }
    let sides: [&[Entry]; 3] = [&listing.train, listing.val.as_deref().unwrap_or_default(), &listing.test];
    // A data set without test images has the fingerprint that it had before there were any.
    let sides = if listing.test.is_empty() { &sides[..2] } else { &sides };
    for side in sides {
        hash.update((side.len() as u64).to_le_bytes());
        for entry in *side {
            text(&mut hash, entry.file.as_os_str().as_bytes());
            hash.update(entry.bytes.to_le_bytes());
            hash.update(entry.class.to_le_bytes());
        }
    }
    let trouble = |path: &Path| {
        let path = path.to_path_buf();
        move |source| TrainError::DataRead { path, source }
    };
    let mut lists = Vec::new();
    for item in fs::read_dir(&listing.root).map_err(trouble(&listing.root))? {
        let path = item.map_err(trouble(&listing.root))?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv")) && path.is_file() {
            lists.push(path);
        }
    }
    lists.sort();
    for path in lists {
        text(&mut hash, path.file_name().unwrap_or_default().as_bytes());
        hash.update(content(&path).map_err(trouble(&path))?);
    }
    Ok(format!("{WAY}-{}", hex(&hash.finalize()[..16])))
}

fn content(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            length => hash.update(&buffer[..length]),
        }
    }
}
