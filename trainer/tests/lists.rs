//! Data sets described by CSV files: manifests, other labels, and images left out by their size.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::{Bench, folder_of_images, pixels, with_val, write_jpeg};
use sweep_trainer::TrainError;
use sweep_trainer::data::listing::{Layout, scan};
use sweep_trainer::data::{self, Dataset};
use sweep_trainer::inspect::inspect;
use sweep_trainer::link::Stop;

/// Opens data set `d` with more fields of `data`.
fn open(bench: &Bench, fields: &str) -> Result<Dataset, TrainError> {
    let recipe = format!(
        r#"{{"dataset":"d","model":"cifar-cnn","image_size":32,"epochs":1,"batch_size":2,"data":{{{fields}}}}}"#
    );
    let order = bench.order(&recipe);
    data::open(&order.work[0].recipe, &order.data_roots, &order.cache_dir, &Stop::default())
}

/// A CSV file that says of every image in `train/` and `val/` what its folder says.
fn manifest_of(root: &Path) -> String {
    let mut text = String::from("path,label,split\n");
    for split in ["train", "val"] {
        for class in 0..3 {
            let folder = root.join(format!("{split}/class{class}"));
            for item in fs::read_dir(folder).unwrap() {
                let name = item.unwrap().file_name().into_string().unwrap();
                text += &format!("{split}/class{class}/{name},class{class},{split}\n");
            }
        }
    }
    text
}

#[test]
fn a_manifest_is_the_same_data_set_as_the_folders_it_describes() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let root = bench.data().join("d");
    let folders = open(&bench, "").unwrap();
    let text = manifest_of(&root);
    fs::write(root.join("manifest.csv"), &text).unwrap();
    let listing = scan(&root, &[bench.data()]).unwrap();
    assert_eq!(listing.layout, Layout::Manifest);
    assert_eq!(inspect(&root).layout, Some("manifest"));
    assert_eq!(open(&bench, "").unwrap().digest, folders.digest);

    // The order of rows, a byte order mark, CRLF, quotes, other columns and ./ change nothing.
    let mut lines: Vec<&str> = text.lines().skip(1).collect();
    lines.reverse();
    let quoted: Vec<String> = lines
        .iter()
        .map(|line| {
            let [path, label, split] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
            format!("\"a, \"\"b\"\"\",{split},./{path},\"{label}\"\r\n")
        })
        .collect();
    let text = format!("\u{feff}note,split,path,label\r\n{}", quoted.concat());
    fs::write(root.join("manifest.csv"), text).unwrap();
    assert_eq!(open(&bench, "").unwrap().digest, folders.digest);
}

#[test]
fn a_manifest_without_splits_is_split_and_rows_of_a_test_set_are_kept_apart() {
    let bench = Bench::new();
    let root = bench.data().join("d");
    folder_of_images(&root.join("images"), 3, 10);
    let (mut all, mut some) = (String::from("path,label\n"), String::from("path,label,split\n"));
    for class in 0..3 {
        for number in 0..10 {
            let split = if number < 7 { "train" } else { "test" };
            all += &format!("images/class{class}/{number}.jpg,fruit {class}\n");
            some += &format!("images/class{class}/{number}.jpg,fruit {class},{split}\n");
        }
    }
    fs::write(root.join("manifest.csv"), all).unwrap();
    let dataset = open(&bench, r#""val_fraction":0.3"#).unwrap();
    assert_eq!((dataset.train.len(), dataset.val.len()), (21, 9));
    assert_eq!(dataset.classes, ["fruit 0", "fruit 1", "fruit 2"]);
    for class in 0..3 {
        assert_eq!(dataset.val.iter().filter(|item| item.class == class).count(), 3);
    }
    fs::write(root.join("manifest.csv"), some).unwrap();
    let dataset = open(&bench, r#""val_fraction":0.3"#).unwrap();
    assert_eq!((dataset.train.len(), dataset.val.len()), (15, 6), "7 of each class, 2 held out");
    assert_eq!(dataset.test.iter().map(|item| item.class).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

#[test]
fn a_wrong_line_is_named_with_what_to_do() {
    let bench = Bench::new();
    let root = bench.data().join("d");
    folder_of_images(&root.join("images"), 2, 2);
    fs::create_dir(bench.path("outside")).unwrap();
    write_jpeg(&bench.path("outside/x.jpg"), 40, 40, &pixels(0, 0, 40, 40));
    symlink(bench.path("outside"), root.join("away")).unwrap();
    symlink(bench.path("outside/x.jpg"), root.join("images/link.jpg")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(root.join("images/pipe.jpg")).status().unwrap();
    assert!(pipe.success());

    let good = "path,label\nimages/class0/0.jpg,a\nimages/class1/0.jpg,b\n";
    let outside = format!("{},a", bench.path("outside/x.jpg").display());
    for (line, reason, words) in [
        ("images/class0/1.jpg", "labels_mismatch", "1 field(s), the header has 2"),
        ("images/class0/1.jpg,a,b", "labels_mismatch", "3 field(s), the header has 2"),
        ("images/class0/1.jpg,", "labels_mismatch", "the label is empty"),
        (",a", "labels_mismatch", "the path is empty"),
        ("images/class0/9.jpg,a", "labels_mismatch", "there is no file"),
        ("images/class0/0.jpg,a", "labels_mismatch", "the same path as in line 2"),
        ("./images//class0/0.jpg,a", "labels_mismatch", "the same path as in line 2"),
        ("../d/images/class0/1.jpg,a", "path_not_regular", "leaves the data set"),
        (outside.as_str(), "path_not_regular", "leaves the data set"),
        ("away/x.jpg,a", "path_not_regular", "leaves the data set"),
        ("images/link.jpg,a", "path_not_regular", "leaves the data set"),
        ("images/pipe.jpg,a", "path_not_regular", "is not a regular file"),
        ("images/class0,a", "path_not_regular", "is not a regular file"),
    ] {
        fs::write(root.join("manifest.csv"), format!("{good}{line}\n")).unwrap();
        let error = open(&bench, "").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("manifest.csv:4: ") && text.contains(words), "{line}: {text}");
        assert_eq!(error.reason(), reason, "{line}: {text}");
    }
    let line = b"images/class0/1.jpg,caf\xe9\n";
    fs::write(root.join("manifest.csv"), [good.as_bytes(), line].concat()).unwrap();
    let text = open(&bench, "").unwrap_err().to_string();
    assert!(text.contains("manifest.csv:4: not UTF-8"), "{text}");

    for (whole, reason, words) in [
        ("", "labels_mismatch", "no CSV file with the column `path`"),
        ("path,class\n", "labels_mismatch", "`label`; the columns are path, class"),
        ("path,label\n", "dataset_empty", "without training images"),
        ("path,label\nimages/class0/0.jpg,a\n", "dataset_empty", "only one label"),
        ("path,label,split\nimages/class0/0.jpg,a,dev\n", "labels_mismatch", "manifest.csv:2: split \"dev\""),
        (
            "path,label,split\nimages/class0/0.jpg,a,train\nimages/class1/0.jpg,b,val\n",
            "labels_mismatch",
            "manifest.csv:3: no training image has the label \"b\"",
        ),
    ] {
        fs::write(root.join("manifest.csv"), whole).unwrap();
        let error = open(&bench, "").unwrap_err();
        assert!(error.to_string().contains(words), "{whole}: {error}");
        assert_eq!(error.reason(), reason, "{error}");
    }
}

#[test]
fn training_labels_come_from_the_column_that_is_asked_for() {
    let bench = Bench::new();
    with_val(&bench, "d");
    let root = bench.data().join("d");
    let clean = open(&bench, "").unwrap();
    // As Imagenette's: two of class0's images are wrong in the second column.
    let mut text = String::from("path,noisy_labels_0,noisy_labels_5,is_valid\n");
    for line in manifest_of(&root).lines().skip(1) {
        let [path, label, split] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let wrong = ["train/class0/1.jpg", "train/class0/2.jpg"].contains(&path) || split == "val";
        let noisy = if wrong { "class2" } else { label };
        text += &format!("{path},{label},{noisy},{}\n", if split == "val" { "True" } else { "False" });
    }
    fs::write(root.join("noisy_imagenette.csv"), &text).unwrap();
    assert_eq!(open(&bench, "").unwrap().digest, clean.digest, "not asked for");
    assert_eq!(open(&bench, r#""labels":"noisy_labels_0""#).unwrap().digest, clean.digest);
    let noisy = open(&bench, r#""labels":"noisy_labels_5""#).unwrap();
    assert_eq!(noisy.val, clean.val, "validation keeps its labels");
    let changed: Vec<_> = noisy.train.iter().zip(&clean.train).filter(|(a, b)| a != b).collect();
    assert_eq!(changed.len(), 2);
    assert!(changed.iter().all(|(a, b)| (a.class, b.class) == (2, 0) && a.image == b.image));
    assert_ne!(noisy.digest, clean.digest);

    let fails = |fields: &str, words: &str| {
        let error = open(&bench, fields).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.reason(), "labels_mismatch");
    };
    fails(r#""labels":"noisy_labels_7""#, "the columns are noisy_labels_0, noisy_labels_5, is_valid");
    fs::write(root.join("again.csv"), "path,noisy_labels_5\n").unwrap();
    fails(r#""labels":"noisy_labels_5""#, "several CSV files");
    fs::remove_file(root.join("again.csv")).unwrap();
    let list = |text: &str| fs::write(root.join("noisy_imagenette.csv"), text).unwrap();
    list(&text.replace("train/class0/1.jpg,class0,class2", "train/class0/1.jpg,class0,class7"));
    fails(r#""labels":"noisy_labels_5""#, "no training image has the label \"class7\"");
    list(&text.replace("train/class0/1.jpg", "train/class0/x.jpg"));
    fails(r#""labels":"noisy_labels_5""#, "image \"train/class0/1.jpg\" has no label");
}

#[test]
fn labels_of_a_manifest_and_a_held_out_split_stay_true_for_validation() {
    let bench = Bench::new();
    let root = bench.data().join("d");
    folder_of_images(&root, 2, 10);
    let mut text = String::from("path,label,shifted\n");
    for class in 0..2 {
        for number in 0..10 {
            text += &format!("class{class}/{number}.jpg,class{class},class{}\n", 1 - class);
        }
    }
    fs::write(root.join("manifest.csv"), text).unwrap();
    let true_labels = open(&bench, "").unwrap();
    let shifted = open(&bench, r#""labels":"shifted""#).unwrap();
    assert_eq!(shifted.val, true_labels.val);
    for (a, b) in shifted.train.iter().zip(&true_labels.train) {
        assert_eq!((a.image, a.class), (b.image, 1 - b.class));
    }
}

#[test]
fn images_of_another_size_are_left_out_before_the_split() {
    let bench = Bench::new();
    let root = bench.data().join("d");
    for class in 0..2 {
        for number in 0..10 {
            let (width, height) = if number % 5 == 0 { (50, 44) } else { (48, 40) };
            let path = root.join(format!("class{class}/{number}.jpg"));
            write_jpeg(&path, width, height, &pixels(class, number, width, height));
        }
    }
    let sizes = |fields: &str| open(&bench, fields).map(|dataset| (dataset.train.len(), dataset.val.len()));
    assert_eq!(sizes("").unwrap(), (16, 4));
    assert_eq!(sizes(r#""size":[48,40]"#).unwrap(), (12, 4), "8 of each class are left, 2 of them held out");
    assert_eq!(sizes(r#""size":[50,44]"#).unwrap(), (2, 2));
    assert_eq!(sizes(r#""min_side":41"#).unwrap(), (2, 2));
    assert_eq!(sizes(r#""min_side":40"#).unwrap(), (16, 4));
    // 48 x 40 is not 40 x 48.
    let error = sizes(r#""size":[40,48]"#).unwrap_err();
    assert!(error.to_string().contains("no usable image left for training"), "{error}");
    assert!(!open(&bench, r#""min_side":41"#).unwrap().square.was_built(), "the filter decodes nothing again");
}
