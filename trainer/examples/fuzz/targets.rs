//! What must hold for all bytes as a checkpoint and as an image. The others are in `tests/src/fuzz/`.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use fast_image_resize::Resizer;
use serde_json::Value;
use sweep_core::attempt::CheckpointKind;
use sweep_core::recipe::Model;
use sweep_fuzzing::Target;
use sweep_trainer::checkpoint::{Header, Store, Tensors, digest, load};
use sweep_trainer::data::decode::{Form, MAX_SIDE, decode_bytes, prepare};
use sweep_trainer::link::Stop;
use sweep_trainer::logits::logits;
use tch::Tensor;

/// All of them.
pub(crate) const TARGETS: [Target; 2] = [
    Target { name: "checkpoint", run: checkpoint, words: &WORDS, share: 1000 },
    Target { name: "image", run: image, words: &[], share: 400 },
];

/// What the headers of safetensors files are made of.
const WORDS: [&str; 12] = [
    "\"dtype\":\"F32\"",
    "\"F64\"",
    "\"I64\"",
    "\"BOOL\"",
    "\"shape\":[2,2]",
    "\"data_offsets\":[0,16]",
    "\"__metadata__\"",
    "\"sweep\"",
    "\\\"classes\\\":[]",
    "\\\"format\\\":1",
    "18446744073709551615",
    "[0,4611686018427387904]",
];

/// Largest forms that images are brought into.
const FORMS: [Form; 3] = [Form::Square(224), Form::Whole(256), Form::Square(8)];

fn kind(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// A checkpoint is refused, or it is what its bytes say, by a reader that shares no code with the one that is tried; written again
/// it is the same; and a network that takes its weights computes.
fn checkpoint(bytes: &[u8]) -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("sweep-fuzz-{}-{number}", std::process::id()));
    fs::create_dir(&folder).expect("there is room for a checkpoint");
    let path = folder.join("input.safetensors");
    fs::write(&path, bytes).expect("there is room for a checkpoint");
    let outcome = load(&path).map(|(header, tensors)| {
        same(bytes, &header, &tensors);
        again(&folder, &header, &tensors);
        // Those of other networks take long.
        let small = matches!(header.recipe.model, Model::Mlp(_));
        let computed =
            small.then(|| logits(&path, Some(8), 1).map(|found| found.logits.len()).map_err(|error| error.reason()));
        (tensors.len(), header.position.batch > 0, computed)
    });
    fs::remove_dir_all(&folder).expect("what was made can be removed");
    // What stands in quotes or is a number differs from file to file.
    kind(outcome.map_err(|error| error.to_string().split(['"', '`']).step_by(2).map(letters).collect::<String>()))
}

fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphabetic).take(40).collect()
}

fn same(bytes: &[u8], header: &Header, tensors: &Tensors) {
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let (text, data) = bytes[8..].split_at(length);
    let entries: BTreeMap<String, Value> = serde_json::from_slice(text).expect("the header is JSON");
    let mut known = 0;
    for (name, entry) in entries {
        if name == "__metadata__" {
            let said: Header = serde_json::from_str(entry["sweep"].as_str().expect("a text")).expect("a header");
            assert!(said == *header, "the header is not what the file says");
            continue;
        }
        let tensor = tensors.get(&name).unwrap_or_else(|| panic!("tensor {name:?} is left out"));
        let numbers = |value: &Value| -> Vec<u64> { serde_json::from_value(value.clone()).expect("numbers") };
        let (shape, place) = (numbers(&entry["shape"]), numbers(&entry["data_offsets"]));
        assert_eq!(tensor.size().iter().map(|side| *side as u64).collect::<Vec<_>>(), shape, "the shape of {name:?}");
        let mut found = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.copy_data_u8(&mut found, tensor.numel());
        assert!(found == data[place[0] as usize..place[1] as usize], "the values of {name:?}");
        known += found.len();
    }
    assert_eq!(known, data.len(), "bytes that belong to no tensor");
}

fn again(folder: &std::path::Path, header: &Header, tensors: &Tensors) {
    let named: Vec<(String, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
    let mut store = Store::new(folder.join("ckpt")).expect("there is room for a checkpoint");
    let written = store.write(CheckpointKind::Last, 0, header, &named, &Stop::default()).expect("there is room");
    let (other, read) = load(&folder.join("ckpt").join(written.file)).expect("what was written is read");
    assert!(other == *header, "the header is another one when written again");
    let of = |tensors: &Tensors| digest(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)));
    assert_eq!(of(&read), of(tensors), "the values are others when written again");
}

/// An image is refused, or it has the pixels that it says, and every form that the cache keeps can be made of it.
fn image(bytes: &[u8]) -> u64 {
    match decode_bytes(bytes) {
        Ok(pixels) => {
            let (width, height) = (pixels.width, pixels.height);
            assert!((1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height), "{width} x {height} pixels");
            assert_eq!(pixels.rgb.len(), 3 * width as usize * height as usize, "pixels are missing");
            let mut resizer = Resizer::new();
            for form in FORMS {
                let made = prepare(&pixels, form, &mut resizer);
                assert_eq!(made.rgb.len(), 3 * made.width as usize * made.height as usize, "{form:?}");
                let short = made.width.min(made.height);
                match form {
                    Form::Square(side) => assert_eq!((made.width, made.height), (side, side)),
                    Form::Whole(side) => assert_eq!(short, side.min(width).min(height)),
                }
            }
            kind((width.ilog2(), height.ilog2()))
        }
        Err(error) => kind((error.reason(), letters(&error.to_string()))),
    }
}
