//! Looking at a whole data set: every kind of bad image is named, copies and leaks are found, and the
//! numbers about the training images are kept until a file changes.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use common::{Bench, folder_of_images, pixels, real_data, write_jpeg};
use sweep_core::attempt::FailureClass;
use sweep_trainer::data::check::{Checked, Side, check};
use sweep_trainer::data::look::Odd;
use sweep_trainer::data::stats::stats;
use sweep_trainer::inspect::inspect;

/// A data set `d` without copies; 3 classes, each with 8 images to train on and 3 to validate.
fn distinct(bench: &Bench) {
    folder_of_images(&bench.data().join("d/train"), 3, 8);
    for class in 0..3 {
        for number in 0..3 {
            let path = bench.data().join(format!("d/val/class{class}/{number}.jpg"));
            write_jpeg(&path, 36, 34, &pixels(class, 1000 + number, 36, 34));
        }
    }
}

/// Files that are named as bad, and why.
fn reasons(checked: &Checked) -> BTreeMap<&str, &str> {
    let named = checked.bad.iter().filter_map(|bad| Some((bad.file.as_ref()?.to_str().unwrap(), bad.reason)));
    named.collect()
}

#[test]
fn every_file_that_cannot_be_used_is_named() {
    let bench = Bench::new();
    distinct(&bench);
    let root = bench.data().join("d");
    assert_eq!(check(&root).problems, 0);

    let place = root.join("train/class0");
    let good = fs::read(place.join("1.jpg")).unwrap();
    fs::write(place.join("cut.jpg"), &good[..good.len() / 2]).unwrap();
    fs::write(place.join("empty.jpg"), b"").unwrap();
    fs::write(place.join("words.jpg"), b"this is not an image").unwrap();
    let mut huge = good.clone();
    let frame = huge.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    huge[frame + 5..frame + 9].fill(0xff);
    fs::write(place.join("huge.jpg"), huge).unwrap();
    assert!(Command::new("mkfifo").arg(place.join("pipe.jpg")).status().unwrap().success());
    let outside = bench.path("outside.jpg");
    write_jpeg(&outside, 30, 30, &pixels(0, 99, 30, 30));
    symlink(&outside, place.join("link.jpg")).unwrap();
    symlink(bench.path("nowhere"), place.join("dangling.jpg")).unwrap();
    fs::create_dir(root.join("val/unknown")).unwrap();

    let checked = check(&root);
    let found: Vec<_> = reasons(&checked).into_iter().collect();
    let expected = [
        ("train/class0/cut.jpg", "truncated"),
        ("train/class0/dangling.jpg", "data_unreadable"),
        ("train/class0/empty.jpg", "empty"),
        ("train/class0/huge.jpg", "undecodable"),
        ("train/class0/link.jpg", "path_not_regular"),
        ("train/class0/pipe.jpg", "path_not_regular"),
        ("train/class0/words.jpg", "not_an_image"),
    ];
    assert_eq!(found, expected);
    // A class of the validation folder that is not trained on names a folder, not a file.
    assert_eq!(checked.problems, expected.len() + 1);
    assert!(checked.bad.iter().any(|bad| bad.reason == "labels_mismatch" && bad.message.contains("unknown")));
}

#[test]
fn unusual_images_are_told_but_are_no_problem() {
    let bench = Bench::new();
    distinct(&bench);
    let place = bench.data().join("d/train/class1");
    let picture: Vec<u8> = (0..4 * 20 * 20u32).map(|i| (i % 251) as u8).collect();
    image::save_buffer(place.join("x.png"), &picture, 20, 20, image::ExtendedColorType::Rgba8).unwrap();
    fs::rename(place.join("x.png"), place.join("png.jpg")).unwrap();
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cmyk.jpg"), place.join("ink.JPG")).unwrap();
    image::save_buffer(place.join("gray.png"), &picture[..400], 20, 20, image::ExtendedColorType::L8).unwrap();
    write_jpeg(&place.join("jpeg.png"), 30, 30, &pixels(1, 77, 30, 30));

    let checked = check(&bench.data().join("d"));
    let odd: Vec<_> =
        checked.odd.iter().map(|odd| (odd.file.file_name().unwrap().to_str().unwrap(), odd.what)).collect();
    let expected = [
        ("ink.JPG", Odd::Cmyk),
        ("jpeg.png", Odd::JpegNamedPng),
        ("png.jpg", Odd::PngNamedJpeg),
        ("png.jpg", Odd::Transparent),
    ];
    assert_eq!(odd, expected);
    assert_eq!((checked.problems, checked.warnings, checked.gray), (0, 4, 1));
}

#[test]
fn copies_leaks_and_contradictions_are_told_apart() {
    let bench = Bench::new();
    distinct(&bench);
    let at = |file: &str| bench.data().join("d").join(file);
    let copy = |from: &str, to: &str| {
        fs::create_dir_all(at(to).parent().unwrap()).unwrap();
        fs::copy(at(from), at(to)).unwrap();
    };
    copy("train/class0/1.jpg", "train/class0/again.jpg");
    copy("train/class1/2.jpg", "train/class2/other.jpg");
    copy("train/class1/3.jpg", "val/class1/leak.jpg");
    copy("val/class2/1.jpg", "test/images/leak.jpg");
    // The same picture saved without loss: other bytes.
    let rgb = image::open(at("train/class2/4.jpg")).unwrap().into_rgb8();
    rgb.save(at("train/class2/saved.png")).unwrap();

    let checked = check(&at(""));
    let told = |same, leak, labels_differ, files: &[(Side, &str)]| {
        let files: Vec<_> = files.iter().map(|(side, file)| (*side, (*file).to_owned())).collect();
        (same, leak, labels_differ, files)
    };
    let found: Vec<_> = (checked.copies.iter())
        .map(|group| {
            let files = group.files.iter().map(|one| (one.side, one.file.to_str().unwrap().to_owned()));
            (group.same, group.leak, group.labels_differ, files.collect::<Vec<_>>())
        })
        .collect();
    use Side::{Test, Train, Val};
    let expected = [
        told("bytes", false, false, &[(Train, "train/class0/1.jpg"), (Train, "train/class0/again.jpg")]),
        told("bytes", false, true, &[(Train, "train/class1/2.jpg"), (Train, "train/class2/other.jpg")]),
        told("bytes", true, false, &[(Train, "train/class1/3.jpg"), (Val, "val/class1/leak.jpg")]),
        told("pixels", false, false, &[(Train, "train/class2/4.jpg"), (Train, "train/class2/saved.png")]),
        told("bytes", true, false, &[(Val, "val/class2/1.jpg"), (Test, "test/images/leak.jpg")]),
    ];
    assert_eq!(found, expected);
    assert_eq!(checked.images, [27, 10, 1]);
    assert_eq!((checked.problems, checked.warnings), (3, 2));
    assert_eq!((checked.balance[2].train, checked.balance[2].val), (10, 3));
}

#[test]
fn a_manifest_is_looked_at_line_by_line() {
    let bench = Bench::new();
    folder_of_images(&bench.data().join("d/images"), 2, 3);
    let lines = [
        "path,label,split",
        "images/class0/0.jpg,a,train",
        "images/class0/1.jpg,a,train",
        "images/class1/0.jpg,b,train",
        "images/class1/1.jpg,b,val",
        "images/class1/2.jpg,c,val",
        "images/class0/2.jpg,a,test",
        "../x.jpg,a,train",
        "images/none.jpg,a,train",
    ];
    fs::write(bench.data().join("d/manifest.csv"), lines.join("\n")).unwrap();
    fs::copy(bench.data().join("d/images/class0/0.jpg"), bench.data().join("d/images/class0/2.jpg")).unwrap();
    let checked = check(&bench.data().join("d"));
    let words: Vec<_> = checked.bad.iter().map(|bad| bad.message.as_str()).collect();
    assert_eq!(checked.images, [3, 1, 1], "{words:?}");
    assert_eq!(checked.bad.len(), 3, "{words:?}");
    for line in ["csv:6:", "csv:8:", "csv:9:"] {
        assert!(words.iter().any(|words| words.contains(line)), "{line}: {words:?}");
    }
    assert_eq!((checked.copies.len(), checked.copies[0].leak), (1, true));
}

#[test]
fn what_is_not_a_data_set_is_said_and_counts_as_a_problem() {
    let bench = Bench::new();
    for (path, reason) in [("none", "dataset_unknown"), ("", "dataset_empty")] {
        let checked = check(&bench.data().join(path));
        assert_eq!(checked.error.map(|error| error.reason), Some(reason));
        assert_eq!(checked.problems, 1);
    }
}

#[test]
fn statistics_are_kept_until_a_file_changes() {
    let bench = Bench::new();
    distinct(&bench);
    let (root, cache) = (bench.data().join("d"), bench.path("numbers"));
    let first = stats(&root, &cache);
    let measured = first.measured.clone().unwrap();
    assert_eq!((first.cached, first.train_images, first.val_images, measured.images), (false, 24, 9, 24));
    assert_eq!((measured.width.min, measured.width.max), (36, 40));
    let again = stats(&root, &cache);
    assert_eq!((again.cached, again.measured), (true, Some(measured.clone())));

    // A cut file is left out and counted; one that is whole changes the mean.
    let white = bench.data().join("d/train/class0/white.jpg");
    write_jpeg(&white, 200, 200, &[255; 200 * 200 * 3]);
    fs::write(bench.data().join("d/train/class0/cut.jpg"), b"\xff\xd8\xff").unwrap();
    let changed = stats(&root, &cache).measured.unwrap();
    assert_eq!((changed.images, changed.unreadable), (25, 1));
    assert!(changed.mean[0] > measured.mean[0] + 0.1, "{changed:?}");

    // Torn: measured again.
    let file = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let text = fs::read(&file).unwrap();
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    let mended = stats(&root, &cache);
    assert_eq!((mended.cached, mended.measured), (false, Some(changed)));
    assert_eq!(stats(&bench.data().join("x"), &cache).error.unwrap().reason, "dataset_unknown");
}

#[test]
fn a_fingerprint_tells_copies_apart_and_takes_equal_ones_for_equal() {
    let bench = Bench::new();
    distinct(&bench);
    let print = |path: &Path| inspect(path).fingerprint.unwrap();
    let (one, two) = (bench.data().join("d"), bench.path("elsewhere/other-name"));
    fs::create_dir(bench.path("elsewhere")).unwrap();
    assert!(Command::new("cp").arg("-r").args([&one, &two]).status().unwrap().success());
    let first = print(&one);
    assert!(first.starts_with("f1-") && first.len() == 35, "{first}");
    assert_eq!(print(&two), first, "place, name and times do not count");

    let mut seen = vec![first.clone()];
    let mut changed = |what: &str| {
        let now = print(&two);
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    let image = two.join("train/class0/0.jpg");
    let bytes = fs::read(&image).unwrap();
    fs::write(&image, [bytes.as_slice(), b"x"].concat()).unwrap();
    changed("another length");
    fs::remove_file(&image).unwrap();
    changed("a file less");
    fs::rename(two.join("val/class1/0.jpg"), two.join("train/class1/v.jpg")).unwrap();
    changed("another side");
    fs::rename(two.join("train/class1/v.jpg"), two.join("train/class2/v.jpg")).unwrap();
    changed("another class");
    fs::create_dir_all(two.join("test/class2")).unwrap();
    fs::rename(two.join("train/class2/v.jpg"), two.join("test/class2/v.jpg")).unwrap();
    changed("a test image");
    fs::write(two.join("noisy.csv"), "path,noise\ntrain/class0/1.jpg,class1\n").unwrap();
    changed("other labels");
    fs::write(two.join("noisy.csv"), "path,noise\ntrain/class0/1.jpg,class2\n").unwrap();
    changed("the same length, other labels");
    fs::create_dir_all(two.join("test/class1")).unwrap();
    fs::copy(two.join("train/class1/1.jpg"), two.join("test/class1/t.jpg")).unwrap();
    changed("a test image more");
}

#[test]
fn a_trial_is_not_trained_on_another_copy_than_it_was_granted_for() {
    let bench = Bench::new();
    distinct(&bench);
    let mut order = bench.order(r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":1,"batch_size":8}"#);
    order.work[0].fingerprint = inspect(&bench.data().join("d")).fingerprint;
    bench.run("right", &order).weights();
    fs::remove_file(bench.data().join("d/train/class0/0.jpg")).unwrap();
    let told = bench.run("changed", &order);
    let (class, reason, message) = told.failed();
    assert_eq!((class, reason), (FailureClass::Host, "dataset_changed"));
    assert!(message.contains(order.work[0].fingerprint.as_ref().unwrap()), "{message}");
}

#[test]
fn the_real_sets_are_sound() {
    for (name, train, val, gray) in
        [("imagenette-small", 1500, 500, 41), ("cifar10-small", 5000, 1000, 0), ("tiny-imagenet-small", 2000, 500, 38)]
    {
        let Some(root) = real_data(name) else { continue };
        let checked = check(&root.join(name));
        assert_eq!((checked.images, checked.gray), ([train, val, 0], gray), "{name}");
        assert_eq!((checked.problems, checked.warnings), (0, 0), "{name}: {:?}", checked.copies);
    }
}
