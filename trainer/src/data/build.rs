//! Writes the file of decoded images that [`cache`](super::cache) maps: decodes and resizes on all threads of the
//! pool, one chunk of images while the one before it is written.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::mem;
use std::path::Path;
use std::time::{Duration, Instant};

use fast_image_resize::Resizer;
use rayon::prelude::*;

use super::cache::{HEAD, MAGIC, SLOT, Slot, VERSION, digest, seal};
use super::decode::{BadImage, Form, Pixels, decode, prepare};
use super::listing::Entry;
use crate::link::Stop;
use crate::log::say;

/// Images decoded between two looks at the stop flag.
const CHUNK: usize = 128;
/// Time between two lines about the progress.
const TELL: Duration = Duration::from_secs(2);

/// One image on its way into the file.
struct Decoded {
    pixels: Pixels,
    digest: [u8; 16],
    /// Width and height in its file.
    source: (u32, u32),
}

fn decode_all(root: &Path, entries: &[&Entry], form: Form) -> Vec<Result<Decoded, BadImage>> {
    entries
        .par_iter()
        .map_init(Resizer::new, |resizer, entry| {
            let whole = decode(&root.join(&entry.file))?;
            let source = (whole.width, whole.height);
            let pixels = prepare(whole, form, resizer);
            let digest = digest(&pixels.rgb);
            Ok(Decoded { pixels, digest, source })
        })
        .collect()
}

/// Decodes `entries` (files below `root`) into a new file at `temporary`, complete but not yet synced.
pub(super) fn build(temporary: &Path, root: &Path, entries: &[&Entry], form: Form, stop: &Stop) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(temporary)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut offset = HEAD + entries.len() * SLOT;
    io::copy(&mut io::Read::take(io::repeat(0), offset as u64), &mut out)?;
    let mut index = Vec::with_capacity(entries.len() * SLOT);
    let mut bad = Vec::new();
    let mut decoded: Vec<Result<Decoded, BadImage>> = Vec::new();
    let mut told = Instant::now();
    // One chunk is decoded while the one before it is written.
    for (number, next) in entries.chunks(CHUNK).chain([&[][..]]).enumerate() {
        if stop.cause().is_some() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let write = || -> io::Result<()> {
            for (place, result) in mem::take(&mut decoded).into_iter().enumerate() {
                match result {
                    Ok(Decoded { pixels, digest, source }) => {
                        let (width, height) = (pixels.width, pixels.height);
                        let slot = Slot { offset: offset as u64, width, height, digest, source };
                        slot.write(&mut index);
                        out.write_all(&pixels.rgb)?;
                        offset += pixels.rgb.len();
                    }
                    Err(cause) => {
                        Slot::BAD.write(&mut index);
                        bad.push((((number - 1) * CHUNK + place) as u32, cause.to_string()));
                    }
                }
            }
            Ok(())
        };
        let (written, pictures) = rayon::join(write, || decode_all(root, next, form));
        written?;
        decoded = pictures;
        if told.elapsed() >= TELL {
            told = Instant::now();
            let done = entries.len().min((number + 1) * CHUNK);
            say(format_args!("decoded {done} of {} images ({} %)", entries.len(), 100 * done / entries.len()));
        }
    }
    let bad = serde_json::to_vec(&bad)?;
    out.write_all(&bad)?;
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&0u32.to_le_bytes());
    for number in [entries.len(), offset, bad.len(), offset + bad.len()] {
        head.extend_from_slice(&(number as u64).to_le_bytes());
    }
    let sum = seal(&head, &index, &bad);
    head.extend_from_slice(&sum);
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&head)?;
    file.write_all(&index)?;
    Ok(file)
}
