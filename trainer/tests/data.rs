//! Finding, decoding, caching and splitting images, with everything that can be wrong about them.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use common::{Bench, Told, folder_of_images, pixels, with_val, write_jpeg};
use sweep_core::attempt::{Body, FailureClass, OrderFile};
use sweep_trainer::data::decode::{BadImage, decode};
use sweep_trainer::data::listing::{Layout, resolve, scan};
use sweep_trainer::data::{self, Dataset, verified};
use sweep_trainer::link::Stop;

const RECIPE: &str = r#"{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":1,"batch_size":4}"#;

fn open(order: &OrderFile) -> Dataset {
    let recipe = &order.work[0].recipe;
    data::open(recipe, &order.data_roots, &order.cache_dir, &Stop::default()).unwrap()
}

fn cache_files(bench: &Bench) -> Vec<PathBuf> {
    let items = fs::read_dir(bench.path("cache")).unwrap();
    let mut files: Vec<_> = items
        .map(|item| item.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "images"))
        .collect();
    files.sort();
    files
}

#[test]
fn gray_alpha_sixteen_bit_and_cmyk_become_rgb() {
    let bench = Bench::new();
    let at = |name: &str| bench.data().join(name);
    let (w, h) = (20, 16);
    let gray: Vec<u8> = (0..w * h).map(|i| (i % 251) as u8).collect();
    image::save_buffer(at("gray.png"), &gray, w, h, image::ExtendedColorType::L8).unwrap();
    image::save_buffer(at("gray.jpg"), &gray, w, h, image::ExtendedColorType::L8).unwrap();
    let alpha: Vec<u8> = (0..w * h).flat_map(|_| [10, 200, 30, 0]).collect();
    image::save_buffer(at("alpha.png"), &alpha, w, h, image::ExtendedColorType::Rgba8).unwrap();
    let deep: Vec<u8> = (0..w * h * 3).flat_map(|_| [0u8, 0x80]).collect();
    image::save_buffer(at("deep.png"), &deep, w, h, image::ExtendedColorType::Rgb16).unwrap();
    // The content decides, not the name.
    fs::copy(at("gray.png"), at("really-a-png.jpg")).unwrap();

    for name in ["gray.png", "gray.jpg", "alpha.png", "deep.png", "really-a-png.jpg"] {
        let image = decode(&at(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((image.width, image.height), (w, h), "{name}");
        assert_eq!(image.rgb.len(), (3 * w * h) as usize, "{name}");
    }
    let gray_png = decode(&at("gray.png")).unwrap().rgb;
    assert_eq!(&gray_png[30..33], [10, 10, 10]);
    assert_eq!(&decode(&at("alpha.png")).unwrap().rgb[..3], [10, 200, 30]);
    let deep = decode(&at("deep.png")).unwrap().rgb[0];
    assert!((127..=128).contains(&deep), "{deep}");

    // A 16 x 16 CMYK JPEG with Adobe's marker: left half red (0, 255, 255, 0), right half white.
    let cmyk = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cmyk.jpg");
    let image = decode(&cmyk).unwrap();
    assert_eq!((image.width, image.height), (16, 16));
    let (left, right) = (&image.rgb[6..9], &image.rgb[36..39]);
    assert!(left[0] > 200 && left[1] < 60 && left[2] < 60, "{left:?}");
    assert!(right.iter().all(|&value| value > 220), "{right:?}");
}

#[test]
fn files_that_are_not_whole_images_are_told_apart() {
    let bench = Bench::new();
    let good = bench.path("good.jpg");
    write_jpeg(&good, 40, 40, &pixels(0, 0, 40, 40));
    let jpeg = fs::read(&good).unwrap();
    let check = |name: &str, bytes: &[u8], expected: fn(&BadImage) -> bool| {
        let path = bench.path(name);
        fs::write(&path, bytes).unwrap();
        match decode(&path) {
            Err(error) => assert!(expected(&error), "{name}: {error}"),
            Ok(_) => panic!("{name} was decoded"),
        }
    };
    for length in [jpeg.len() / 4, jpeg.len() / 2, jpeg.len() - 3, jpeg.len() - 1] {
        check("cut.jpg", &jpeg[..length], |e| matches!(e, BadImage::Truncated));
    }
    let png = bench.path("good.png");
    image::save_buffer(&png, &[9; 48 * 48 * 3], 48, 48, image::ExtendedColorType::Rgb8).unwrap();
    let png = fs::read(&png).unwrap();
    check("cut.png", &png[..png.len() / 2], |e| matches!(e, BadImage::Decode(_)));
    check("words.jpg", b"this is not an image", |e| matches!(e, BadImage::Format));
    check("empty.jpg", b"", |e| matches!(e, BadImage::Empty));
    check("gif.png", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", |e| matches!(e, BadImage::Format));
    // A PNG header that promises 65535 x 65535 pixels.
    let mut huge = png.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    check("huge.png", &huge, |e| matches!(e, BadImage::Decode(_)));
    // The same in a JPEG's start of frame: marker, length, precision, height, width.
    let mut huge = jpeg.clone();
    let frame = huge.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    huge[frame + 5..frame + 9].fill(0xff);
    check("huge.jpg", &huge, |e| matches!(e, BadImage::Decode(_)));
    // Bytes after the end of a JPEG do no harm.
    fs::write(&good, [jpeg.as_slice(), b"trailing"].concat()).unwrap();
    decode(&good).unwrap();
}

#[test]
fn a_cache_is_built_once_by_many_and_found_again() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(RECIPE);
    let start = Barrier::new(4);
    let built: Vec<bool> = std::thread::scope(|scope| {
        let one = || {
            start.wait();
            open(&order).square.was_built()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(built.iter().filter(|&&built| built).count(), 1, "{built:?}");
    assert!(!open(&order).square.was_built());
    assert_eq!(cache_files(&bench).len(), 1);
}

#[test]
fn a_torn_or_changed_cache_is_never_trusted() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(RECIPE);
    let digest = open(&order).digest;
    let path = cache_files(&bench).remove(0);
    let length = fs::metadata(&path).unwrap().len();
    // Header, index, pixels, list of bad images: one flipped byte anywhere, and any cut.
    for place in [0, 9, 20, 50, 85, 200, 3000, length / 2, length - 1] {
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], place).unwrap();
        drop(file);
        let dataset = open(&order);
        assert!(dataset.square.was_built(), "flipped at {place}");
        assert_eq!(dataset.digest, digest);
    }
    for length in [0, 10, 79, 100, length / 2, length - 1] {
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(length).unwrap();
        drop(file);
        assert!(open(&order).square.was_built(), "cut at {length}");
    }
    assert!(!open(&order).square.was_built());
}

#[test]
fn checksums_that_were_right_are_not_computed_again_until_the_file_changes() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(RECIPE);
    let digest = open(&order).digest;
    let path = cache_files(&bench).remove(0);
    let later = SystemTime::now() + Duration::from_secs(5);
    verified::remember(&path, &File::open(&path).unwrap(), later);
    assert!(verified::is_known(&path, &File::open(&path).unwrap()));
    assert!(!open(&order).square.was_built());
    assert_eq!(open(&order).digest, digest);
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let mut byte = [0];
    let middle = file.metadata().unwrap().len() / 2;
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], middle).unwrap();
    drop(file);
    let dataset = open(&order);
    assert!(dataset.square.was_built());
    assert_eq!(dataset.digest, digest);
}

#[test]
fn changed_images_make_a_new_cache_and_the_old_one_goes() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let order = bench.order(RECIPE);
    let before = open(&order).digest;
    let first = cache_files(&bench);
    let image = bench.data().join("d/train/class1/3.jpg");
    write_jpeg(&image, 36, 36, &pixels(2, 99, 36, 36));
    let after = open(&order);
    assert!(after.square.was_built());
    assert_ne!(after.digest, before);
    let second = cache_files(&bench);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first, second);
}

#[test]
fn layouts_are_recognised() {
    let bench = Bench::new();
    with_val(&bench, "both");
    folder_of_images(&bench.data().join("train-only/train"), 2, 3);
    folder_of_images(&bench.data().join("bare"), 2, 3);
    fs::write(bench.data().join("bare/class0/.hidden"), "x").unwrap();
    fs::write(bench.data().join("bare/readme.txt"), "x").unwrap();
    let roots = [bench.data()];
    let look = |name: &str| {
        let root = resolve(name, &roots).unwrap();
        let listing = scan(&root, &roots).unwrap();
        let val = listing.val.map(|val| val.len());
        (listing.layout, listing.classes.len(), listing.train.len(), val)
    };
    assert_eq!(look("both"), (Layout::Folder, 3, 24, Some(9)));
    assert_eq!(look("train-only"), (Layout::Folder, 2, 6, None));
    assert_eq!(look("bare"), (Layout::Folder, 2, 6, None));
    let whole = bench.data().join("bare");
    assert_eq!(resolve(whole.to_str().unwrap(), &roots).unwrap(), whole.canonicalize().unwrap());
}

/// Tiny ImageNet as distributed: two classes, three images each, four for validation.
fn tiny(bench: &Bench) -> PathBuf {
    let root = bench.data().join("tiny");
    let mut labels = String::new();
    for (class, name) in ["n02", "n01"].iter().enumerate() {
        for number in 0..3 {
            let path = root.join(format!("train/{name}/images/{name}_{number}.JPEG"));
            write_jpeg(&path, 34, 34, &pixels(class, number, 34, 34));
        }
        fs::write(root.join(format!("train/{name}/{name}_boxes.txt")), "x 0 0 1 1").unwrap();
        for number in 0..2 {
            let file = format!("val_{class}{number}.JPEG");
            write_jpeg(&root.join("val/images").join(&file), 34, 34, &pixels(class, 9, 34, 34));
            labels += &format!("{file}\t{name}\t0\t0\t9\t9\n");
        }
    }
    fs::write(root.join("wnids.txt"), "n02\nn01\n").unwrap();
    fs::write(root.join("val/val_annotations.txt"), labels).unwrap();
    root
}

#[test]
fn tiny_imagenets_layout_is_read_with_its_labels() {
    let bench = Bench::new();
    let root = tiny(&bench);
    let listing = scan(&root, &[bench.data()]).unwrap();
    assert_eq!(listing.layout, Layout::TinyImagenet);
    assert_eq!(listing.classes, ["n01", "n02"]);
    assert_eq!(listing.train.len(), 6);
    let labels: Vec<_> = listing.val.unwrap().iter().map(|entry| entry.class).collect();
    assert_eq!(labels, [1, 1, 0, 0]);
}

/// Expects a trial on `dataset` to fail with `reason`, naming `words`; returns the run.
fn check_bad(bench: &Bench, dataset: &str, change: &str, reason: &str, words: &[&str]) -> Told {
    let mut fields: serde_json::Value = serde_json::from_str(RECIPE).unwrap();
    fields["dataset"] = dataset.into();
    let more: serde_json::Map<_, _> = serde_json::from_str(change).unwrap();
    fields.as_object_mut().unwrap().extend(more);
    let order = bench.order(&fields.to_string());
    let attempt = fs::read_dir(bench.path("")).unwrap().count();
    let told = bench.run(&format!("attempt{attempt}"), &order);
    let (class, found, message) = told.failed();
    assert_eq!(found, reason, "{message}");
    let expected = match reason {
        "value_out_of_range" => FailureClass::Recipe,
        _ => FailureClass::Data,
    };
    assert_eq!(class, expected);
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
    assert!(told.lines.is_empty(), "nothing was said before");
    told
}

#[test]
fn bad_names_and_folders_fail_with_their_reason() {
    let bench = Bench::new();
    with_val(&bench, "good");
    let data = bench.data();
    let outside = bench.path("outside");
    folder_of_images(&outside, 2, 3);
    symlink(&outside, data.join("escape")).unwrap();
    fs::write(data.join("file"), "x").unwrap();
    fs::create_dir(data.join("nothing")).unwrap();
    folder_of_images(&data.join("one-class/train"), 1, 3);
    folder_of_images(&data.join("hole/train"), 2, 3);
    fs::create_dir(data.join("hole/train/class9")).unwrap();
    folder_of_images(&data.join("stranger/train"), 2, 3);
    folder_of_images(&data.join("stranger/val"), 3, 3);
    folder_of_images(&data.join("singles"), 3, 1);
    folder_of_images(&data.join("link/train"), 2, 3);
    symlink(outside.join("class0/0.jpg"), data.join("link/train/class0/x.jpg")).unwrap();
    folder_of_images(&data.join("pipe/train"), 2, 3);
    let pipe = std::process::Command::new("mkfifo").arg(data.join("pipe/train/class1/p.jpg")).status().unwrap();
    assert!(pipe.success());

    let outside = outside.to_str().unwrap();
    for (dataset, reason, words) in [
        ("missing", "dataset_unknown", ["missing", "data"]),
        ("../outside", "dataset_unknown", ["../outside", ""]),
        (".", "dataset_unknown", ["", ""]),
        ("good/train", "dataset_unknown", ["good/train", ""]),
        ("/nowhere/at/all", "dataset_unknown", ["/nowhere", ""]),
        (outside, "path_not_regular", ["outside", "`--data` of its agent"]),
        ("escape", "path_not_regular", ["escape", "`--data` of its agent"]),
        ("file", "path_not_regular", ["file", "not a folder"]),
        ("nothing", "dataset_empty", ["nothing", "no class folders"]),
        ("one-class", "dataset_empty", ["one-class", "only one class"]),
        ("hole", "dataset_empty", ["class9", "without images"]),
        ("stranger", "labels_mismatch", ["class2", "no training images"]),
        ("singles", "dataset_empty", ["singles", "validation"]),
        ("link", "path_not_regular", ["x.jpg", "`--data` of its agent"]),
        ("pipe", "path_not_regular", ["p.jpg", "not a regular file"]),
    ] {
        check_bad(&bench, dataset, "{}", reason, &words);
    }
    let escaping = format!("{}/../../outside", data.join("good").display());
    check_bad(&bench, &escaping, "{}", "path_not_regular", &["leads out", "`--data`"]);
    check_bad(&bench, "good", r#"{"batch_size":25}"#, "value_out_of_range", &["batch_size = 25", "24 training images"]);
    check_bad(&bench, "good", r#"{"epochs":0}"#, "value_out_of_range", &["epochs = 0"]);
}

#[test]
fn bad_labels_of_tiny_imagenet_fail_with_their_place() {
    let bench = Bench::new();
    let root = tiny(&bench);
    let labels = root.join("val/val_annotations.txt");
    let good = fs::read_to_string(&labels).unwrap();
    for (text, words) in [
        (good.replace("n02", "n77"), ["val_annotations.txt", "n77"]),
        (good.lines().skip(1).collect::<Vec<_>>().join("\n"), ["val_00.JPEG", "no label"]),
        (format!("{good}\nonly one column"), ["line 6", "<class>"]),
    ] {
        fs::write(&labels, text).unwrap();
        check_bad(&bench, "tiny", r#"{"image_size":32}"#, "labels_mismatch", &words);
    }
    fs::write(&labels, good).unwrap();
    fs::write(root.join("wnids.txt"), "n01\nn02\nn03\n").unwrap();
    check_bad(&bench, "tiny", "{}", "labels_mismatch", &["n03", "no folder"]);
}

#[test]
fn unreadable_images_fail_the_trial_or_are_left_out_up_to_the_cap() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let place = bench.data().join("d");
    fs::write(place.join("train/class0/broken.jpg"), "no image").unwrap();
    let whole = fs::read(place.join("train/class1/0.jpg")).unwrap();
    fs::write(place.join("val/class2/cut.jpg"), &whole[..whole.len() / 2]).unwrap();
    let words = ["2 unreadable", "broken.jpg is neither", "cut.jpg is a JPEG that ends"];
    check_bad(&bench, "d", "{}", "bad_image", &words);
    check_bad(&bench, "d", r#"{"data":{"skip_bad":1}}"#, "bad_image", &words);

    let recipe = RECIPE.replace("\"epochs\"", "\"data\":{\"skip_bad\":2},\"epochs\"");
    let told = bench.run("skips", &bench.order(&recipe));
    let Some(Body::Started(started)) = told.lines.first() else { panic!("{:?}", told.lines.first()) };
    assert_eq!((started.train_images, started.val_images), (24, 9));
    assert!(matches!(told.last, Body::Done(_)));
}

#[test]
fn without_a_validation_folder_a_share_of_every_class_is_held_out() {
    let bench = Bench::new();
    folder_of_images(&bench.data().join("d"), 3, 10);
    let order = bench.order(RECIPE);
    let dataset = open(&order);
    assert_eq!((dataset.train.len(), dataset.val.len()), (24, 6));
    for class in 0..3 {
        assert_eq!(dataset.val.iter().filter(|item| item.class == class).count(), 2);
    }
    assert!(dataset.val.iter().all(|item| !dataset.train.contains(item)));
    let mut other = order.clone();
    other.work[0].recipe.data.split_seed = 1;
    assert_ne!(open(&other).val, dataset.val);
    other.work[0].recipe.data.split_seed = 0;
    other.work[0].recipe.seed = 77;
    assert_eq!(open(&other).val, dataset.val, "the trial's seed does not move the split");
}

#[test]
fn real_images_are_read() {
    for (name, train, val) in
        [("imagenette-small", 1500, 500), ("cifar10-small", 5000, 1000), ("tiny-imagenet-small", 2000, 500)]
    {
        let Some(root) = common::real_data(name) else {
            continue;
        };
        let bench = Bench::new();
        let mut order = bench.order(RECIPE);
        order.work[0].recipe.dataset = name.to_owned();
        order.data_roots = vec![root];
        let dataset = open(&order);
        assert_eq!((dataset.train.len(), dataset.val.len()), (train, val), "{name}");
        assert_eq!(dataset.classes.len(), 10, "{name}");
        assert!(dataset.square.bad().is_empty(), "{name}");
    }
}
