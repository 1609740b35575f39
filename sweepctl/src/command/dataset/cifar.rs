//! CIFAR's binary batches made image files: `train/<class>/<number>.png` and `test/<class>/<number>.png`.
//! The format is that of <https://www.cs.toronto.edu/~kriz/cifar.html>: for each image the label bytes,
//! then 1,024 red, 1,024 green and 1,024 blue values, row by row.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::path::Path;

/// Pixels of an image.
const PIXELS: usize = 32 * 32;

/// How one of the two sets is laid out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batches {
    /// The folder in the archive.
    folder: &'static str,
    /// The file with the classes' names.
    names: &'static str,
    /// How many there are.
    classes: usize,
    /// Label bytes before each image; the last one counts.
    labels: usize,
    /// Files to train on.
    train: &'static [&'static str],
    /// Files to test with.
    test: &'static [&'static str],
}

/// CIFAR-10.
pub(super) static CIFAR_10: Batches = Batches {
    folder: "cifar-10-batches-bin",
    names: "batches.meta.txt",
    classes: 10,
    labels: 1,
    train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    test: &["test_batch.bin"],
};

/// CIFAR-100, with its fine labels.
pub(super) static CIFAR_100: Batches = Batches {
    folder: "cifar-100-binary",
    names: "fine_label_names.txt",
    classes: 100,
    labels: 2,
    train: &["train.bin"],
    test: &["test.bin"],
};

/// Makes image files in `to` of the batches in `from`; `done` is called with the images of each batch.
pub(super) fn unfold(batches: &Batches, from: &Path, to: &Path, mut done: impl FnMut(u64)) -> io::Result<()> {
    let from = from.join(batches.folder);
    let names = fs::read_to_string(from.join(batches.names))?;
    let names: Vec<&str> = names.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if names.len() != batches.classes || !names.iter().all(plain) {
        return Err(odd(format!("{} does not name {} classes", batches.names, batches.classes)));
    }
    for (side, files) in [("train", batches.train), ("test", batches.test)] {
        for name in &names {
            fs::create_dir_all(to.join(side).join(name))?;
        }
        let mut number = 0u32;
        for file in files {
            let mut bytes = Vec::new();
            File::open(from.join(file))?.read_to_end(&mut bytes)?;
            let record = batches.labels + 3 * PIXELS;
            if bytes.is_empty() || bytes.len() % record != 0 {
                return Err(odd(format!("{file} is not made of records of {record} bytes")));
            }
            for record in bytes.chunks_exact(record) {
                let (labels, planes) = record.split_at(batches.labels);
                let label = labels[batches.labels - 1];
                let name = names.get(usize::from(label)).ok_or_else(|| odd(format!("{file} has the label {label}")))?;
                image(&to.join(side).join(name).join(format!("{number:05}.png")), planes)?;
                number += 1;
            }
            done((bytes.len() / record) as u64);
        }
    }
    Ok(())
}

fn odd(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Writes three planes as a PNG file.
fn image(path: &Path, planes: &[u8]) -> io::Result<()> {
    let mut rgb = Vec::with_capacity(3 * PIXELS);
    for pixel in 0..PIXELS {
        rgb.extend([planes[pixel], planes[PIXELS + pixel], planes[2 * PIXELS + pixel]]);
    }
    let mut encoder = png::Encoder::new(BufWriter::new(File::create_new(path)?), 32, 32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(labels: &[u8], value: u8) -> Vec<u8> {
        let planes = [value, value + 1, value + 2].into_iter().flat_map(|value| [value; PIXELS]);
        labels.iter().copied().chain(planes).collect()
    }

    #[test]
    fn every_record_becomes_a_file_of_its_class() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("cifar-100-binary");
        fs::create_dir(&from).unwrap();
        let names: Vec<_> = (0..100).map(|class| format!("class_{class}")).collect();
        fs::write(from.join("fine_label_names.txt"), names.join("\n") + "\n\n").unwrap();
        fs::write(from.join("train.bin"), [record(&[7, 99], 10), record(&[7, 0], 20)].concat()).unwrap();
        fs::write(from.join("test.bin"), record(&[0, 1], 30)).unwrap();
        let (to, mut images) = (folder.path().join("out"), 0);
        unfold(&CIFAR_100, folder.path(), &to, |more| images += more).unwrap();
        assert_eq!(images, 3);
        let mut png = png::Decoder::new(io::BufReader::new(File::open(to.join("train/class_99/00000.png")).unwrap()))
            .read_info()
            .unwrap();
        let mut rgb = vec![0; png.output_buffer_size().unwrap()];
        png.next_frame(&mut rgb).unwrap();
        assert_eq!((rgb.len(), &rgb[..4]), (3 * PIXELS, &[10, 11, 12, 10][..]));
        assert!(to.join("train/class_0/00001.png").is_file() && to.join("test/class_1/00000.png").is_file());
    }

    #[test]
    fn what_is_not_cifar_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("cifar-10-batches-bin");
        fs::create_dir(&from).unwrap();
        let run = |name: &str| unfold(&CIFAR_10, folder.path(), &folder.path().join(name), |_| {}).unwrap_err();
        fs::write(from.join("batches.meta.txt"), "a\nb\n../c\nd\ne\nf\ng\nh\ni\nj\n").unwrap();
        assert!(run("1").to_string().contains("does not name 10 classes"));
        fs::write(from.join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n").unwrap();
        fs::write(from.join("data_batch_1.bin"), record(&[10], 0)).unwrap();
        assert!(run("2").to_string().contains("label 10"));
        fs::write(from.join("data_batch_1.bin"), &record(&[1], 0)[1..]).unwrap();
        assert!(run("3").to_string().contains("records of 3073 bytes"));
    }
}
