//! Writes the files of decoded images that [`cache`](super::cache) maps: decodes each image once, resizes it to every
//! form that is asked for, on all threads of the pool, one chunk of images while the one before it is written.

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

/// Images decoded between two looks at the stop flag; two chunks are in memory at a time.
const CHUNK: usize = 128;

/// A file to be written: the first `images` of the entries in one form.
pub(super) struct Target<'a> {
    pub(super) temporary: &'a Path,
    pub(super) images: usize,
    pub(super) form: Form,
}

/// Who hears how far it is, and how often.
pub(super) struct Progress<'a> {
    /// Time between two calls.
    pub(super) every: Duration,
    /// Gets the images that are decoded, and all of them.
    pub(super) tell: &'a dyn Fn(usize, usize),
}

/// One image on its way into the files.
struct Decoded {
    /// Width and height in its file.
    source: (u32, u32),
    /// For each target that has it, with the digest.
    forms: Vec<Option<(Pixels, [u8; 16])>>,
}

fn decode_all(root: &Path, entries: &[&Entry], first: usize, targets: &[Target]) -> Vec<Result<Decoded, BadImage>> {
    let one = |resizer: &mut Resizer, (place, entry): (usize, &&Entry)| {
        let whole = decode(&root.join(&entry.file))?;
        let form = |target: &Target| {
            (first + place < target.images).then(|| {
                let pixels = prepare(&whole, target.form, resizer);
                let digest = digest(&pixels.rgb);
                (pixels, digest)
            })
        };
        Ok(Decoded { source: (whole.width, whole.height), forms: targets.iter().map(form).collect() })
    };
    entries.par_iter().enumerate().map_init(Resizer::new, one).collect()
}

/// A file that grows.
struct Growing {
    out: BufWriter<File>,
    images: usize,
    offset: usize,
    index: Vec<u8>,
    bad: Vec<(u32, String)>,
}

impl Growing {
    fn create(target: &Target<'_>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(target.temporary)?;
        // Larger images go past the buffer, without another copy.
        let mut out = BufWriter::with_capacity(1 << 16, file);
        let offset = HEAD + target.images * SLOT;
        io::copy(&mut io::Read::take(io::repeat(0), offset as u64), &mut out)?;
        let index = Vec::with_capacity(target.images * SLOT);
        Ok(Self { out, images: target.images, offset, index, bad: Vec::new() })
    }

    fn put(&mut self, source: (u32, u32), pixels: &Pixels, digest: [u8; 16]) -> io::Result<()> {
        let Pixels { width, height, ref rgb } = *pixels;
        Slot { offset: self.offset as u64, width, height, digest, source }.write(&mut self.index);
        self.out.write_all(rgb)?;
        self.offset += rgb.len();
        Ok(())
    }

    fn put_bad(&mut self, image: usize, cause: &BadImage) {
        Slot::BAD.write(&mut self.index);
        self.bad.push((image as u32, cause.to_string()));
    }

    fn finish(mut self) -> io::Result<File> {
        let bad = serde_json::to_vec(&self.bad)?;
        self.out.write_all(&bad)?;
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&0u32.to_le_bytes());
        for number in [self.images, self.offset, bad.len(), self.offset + bad.len()] {
            head.extend_from_slice(&(number as u64).to_le_bytes());
        }
        let sum = seal(&head, &self.index, &bad);
        head.extend_from_slice(&sum);
        let mut file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&head)?;
        file.write_all(&self.index)?;
        Ok(file)
    }
}

/// Decodes `entries` (files below `root`) into a new file for each target, complete but not yet synced. No target has
/// more images than there are entries.
pub(super) fn build(
    targets: &[Target<'_>],
    root: &Path,
    entries: &[&Entry],
    stop: &Stop,
    progress: &Progress<'_>,
) -> io::Result<Vec<File>> {
    let mut files = targets.iter().map(Growing::create).collect::<io::Result<Vec<_>>>()?;
    let mut decoded: Vec<Result<Decoded, BadImage>> = Vec::new();
    let mut told = Instant::now();
    let mut written = 0;
    // One chunk is decoded while the one before it is written.
    for (number, next) in entries.chunks(CHUNK).chain([&[][..]]).enumerate() {
        if stop.cause().is_some() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let write = || -> io::Result<()> {
            for result in mem::take(&mut decoded) {
                match result {
                    Ok(Decoded { source, forms }) => {
                        for (file, form) in files.iter_mut().zip(forms) {
                            form.map_or(Ok(()), |(pixels, digest)| file.put(source, &pixels, digest))?;
                        }
                    }
                    Err(cause) => {
                        let with = files.iter_mut().filter(|file| written < file.images);
                        with.for_each(|file| file.put_bad(written, &cause));
                    }
                }
                written += 1;
            }
            Ok(())
        };
        let (wrote, pictures) = rayon::join(write, || decode_all(root, next, number * CHUNK, targets));
        wrote?;
        decoded = pictures;
        if told.elapsed() >= progress.every {
            told = Instant::now();
            (progress.tell)(entries.len().min((number + 1) * CHUNK), entries.len());
        }
    }
    files.into_iter().map(Growing::finish).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// So many small images, the second of which is none, in a folder.
    fn images(folder: &Path, count: usize) -> Vec<Entry> {
        let file = |image: usize| PathBuf::from(format!("{image:04}.png"));
        for image in 0..count {
            let pixel = |x, y| image::Rgb([(x * 7 + image as u32) as u8, (y * 5) as u8, image as u8]);
            image::RgbImage::from_fn(24, 16, pixel).save(folder.join(file(image))).unwrap();
        }
        fs::write(folder.join(file(1)), "no image").unwrap();
        (0..count).map(|image| Entry { file: file(image), class: 0, bytes: 1, changed_ns: 0 }).collect()
    }

    #[test]
    fn several_forms_in_one_pass_are_the_files_that_each_alone_would_be() {
        let folder = tempfile::tempdir().unwrap();
        let entries = images(folder.path(), CHUNK + 9);
        let entries: Vec<&Entry> = entries.iter().collect();
        let make = |forms: &[(&str, usize, Form)]| -> Vec<Vec<u8>> {
            let paths: Vec<PathBuf> = forms.iter().map(|(name, ..)| folder.path().join(name)).collect();
            let targets: Vec<Target<'_>> = (forms.iter().zip(&paths))
                .map(|(&(_, images, form), temporary)| Target { temporary, images, form })
                .collect();
            let most = forms.iter().map(|&(_, images, _)| images).max().unwrap();
            let silent = Progress { every: Duration::MAX, tell: &|_, _| {} };
            build(&targets, folder.path(), &entries[..most], &Stop::default(), &silent).unwrap();
            paths.iter().map(|path| fs::read(path).unwrap()).collect()
        };
        let (square, whole) = (("square", CHUNK + 9, Form::Square(8)), ("whole", CHUNK + 2, Form::Whole(12)));
        let both = make(&[square, whole]);
        assert_eq!(both, [make(&[square]), make(&[whole])].concat());
        assert_ne!(both[0].len(), both[1].len());
        // 4.5 pixels become 4: the short side is 12, the long one 18.
        assert!(both[1].len() > (CHUNK + 1) * 3 * 12 * 18, "one of them is no image");
    }

    #[test]
    fn it_is_told_how_far_it_is_and_ends_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let entries = images(folder.path(), 2 * CHUNK + 5);
        let entries: Vec<&Entry> = entries.iter().collect();
        let temporary = folder.path().join("t");
        let targets = [Target { temporary: &temporary, images: entries.len(), form: Form::Square(8) }];
        let (told, stop) = (RefCell::new(Vec::new()), Stop::default());
        let progress = Progress { every: Duration::ZERO, tell: &|done, all| told.borrow_mut().push((done, all)) };
        build(&targets, folder.path(), &entries, &stop, &progress).unwrap();
        let all = 2 * CHUNK + 5;
        assert_eq!(*told.borrow(), [CHUNK, 2 * CHUNK, all, all].map(|done| (done, all)));

        told.borrow_mut().clear();
        let leaving = Progress {
            every: Duration::ZERO,
            tell: &|done, all| {
                told.borrow_mut().push((done, all));
                stop.ask();
            },
        };
        let error = build(&targets, folder.path(), &entries, &stop, &leaving).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        assert_eq!(*told.borrow(), [(CHUNK, all)], "it went on");
    }
}
