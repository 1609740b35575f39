//! What the options of augmentation steps may be, and which lists of steps end with an image that fits.

use super::{Augment, Mixing, Stage};
use crate::recipe::{Bounds, Recipe};

/// Longest side that a step may make, pixels.
const MAX_SIDE: u32 = 2048;
/// Most copies of one image.
const MAX_COPIES: usize = 32;

/// Everything about the augmentation of a recipe.
pub(in crate::recipe) fn check(recipe: &Recipe, b: &mut Bounds) {
    let Recipe { augmentation: each, copies, image_size, .. } = recipe;
    let image_size = *image_size;
    let many = copies.len();
    b.require(many <= MAX_COPIES, "copies", format!("{many} lists"), "at most 32 lists of steps");
    for (path, list) in [("augmentation", each)].into_iter().chain(copies.iter().map(|list| ("copies", list))) {
        let many = list.0.len();
        b.require(many <= 32, path, format!("{many} steps"), "at most 32 steps");
        for step in &list.0 {
            options(path, step, b);
            order_alone(path, step, b);
        }
    }
    if copies.is_empty() {
        order("augmentation", &each.0, b);
        size(&each.0, image_size, b);
    }
    for copy in copies.iter().take(MAX_COPIES) {
        let steps = [copy.0.as_slice(), &each.0].concat();
        order("copies", &steps, b);
        size(&steps, image_size, b);
    }
}

/// Batches are made after copies, so that only `augmentation` can mix them.
fn order_alone(path: &str, step: &Augment, b: &mut Bounds) {
    let batch = step.stage() == Stage::Batch;
    let allowed = "steps on single images: mixup and cutmix belong to `augmentation`";
    b.require(path != "copies" || !batch, path, step.name(), allowed);
}

/// Steps on pixels come before steps on values, those before steps on the batch.
fn order(path: &str, steps: &[Augment], b: &mut Bounds) {
    for pair in steps.windows(2) {
        let ok = pair[0].stage() <= pair[1].stage();
        let value = format!("{} before {}", pair[0].name(), pair[1].name());
        let allowed = "steps on pixels first, then erasing and cutout (after normalisation), then mixup and cutmix";
        b.require(ok, path, value, allowed);
    }
    let both = |wanted: fn(&Augment) -> bool| steps.iter().filter(|step| wanted(step)).count();
    for (name, count) in [
        ("mixup", both(|step| matches!(step, Augment::Mixup(_)))),
        ("cutmix", both(|step| matches!(step, Augment::Cutmix(_)))),
    ] {
        b.require(count <= 1, path, format!("{name} {count} times"), "one mixup and one cutmix at most");
    }
}

/// What is known about the size of an image on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Size {
    /// A square of this side.
    Square(u32),
    /// The short side is this long, the other one differs from image to image.
    Short(u32),
    /// As the file has it.
    Whole,
}

/// The steps must end with a square of the recipe's image size. Said about `image_size`: the steps alone may be
/// right.
fn size(steps: &[Augment], image_size: u32, b: &mut Bounds) {
    let or = |side: u32| if side == 0 { image_size } else { side };
    let mut size = if starts_whole(steps) { Size::Whole } else { Size::Square(image_size) };
    for step in steps {
        size = match (step, size) {
            (Augment::Resize(resize), Size::Square(_)) => Size::Square(or(resize.side)),
            (Augment::Resize(resize), _) => Size::Short(or(resize.side)),
            (Augment::ResizedCrop(_), _) => Size::Square(image_size),
            (Augment::CenterCrop(crop), _) => Size::Square(or(crop.size)),
            (Augment::Crop(crop), Size::Square(side) | Size::Short(side)) => {
                let (window, room) = (or(crop.size), side.saturating_add(crop.border(image_size).saturating_mul(2)));
                let allowed = format!("at most {room} here: crop cannot cut {window} pixels out of {room}");
                b.require(window <= room, "image_size", image_size, allowed);
                Size::Square(window)
            }
            (_, size) => size,
        };
    }
    let (ok, allowed) = match size {
        Size::Square(side) => (side == image_size, format!("{side}, the side that the augmentation's steps end with")),
        Size::Short(_) | Size::Whole => (false, "made by a step: add crop or center-crop after resize".to_owned()),
    };
    b.require(ok, "image_size", image_size, allowed);
}

/// Whether steps begin with the whole image, not with the square of the image size: the first one that changes
/// the size decides.
pub fn starts_whole(steps: &[Augment]) -> bool {
    let sizes = |step: &&Augment| {
        matches!(step, Augment::Crop(_) | Augment::CenterCrop(_) | Augment::Resize(_) | Augment::ResizedCrop(_))
    };
    let first = steps.iter().find(sizes);
    matches!(first, Some(Augment::Resize(_) | Augment::ResizedCrop(_)))
}

fn options(path: &str, step: &Augment, b: &mut Bounds) {
    let step_name = step.name();
    let mut require = |ok: bool, option: &str, value: String, allowed: &str| {
        b.require(ok, format!("{path}.{step_name}.{option}"), value, allowed);
    };
    let share = |value: f64| (0.0..=1.0).contains(&value);
    let range = |[low, high]: [f64; 2], from: f64, to: f64| from <= low && low <= high && high <= to;
    let text = |[low, high]: [f64; 2]| format!("[{low}, {high}]");
    match step {
        Augment::Flip(flip) | Augment::Vflip(flip) => require(share(flip.p), "p", flip.p.to_string(), "0 to 1"),
        Augment::Crop(crop) => {
            let ok = (0.0..=0.5).contains(&crop.padding);
            require(ok, "padding", crop.padding.to_string(), "0 to 0.5 of the image side");
            require(crop.pixels <= 512, "pixels", crop.pixels.to_string(), "0 to 512 pixels");
            require(crop.size <= MAX_SIDE, "size", crop.size.to_string(), "0 to 2048 pixels");
        }
        Augment::CenterCrop(crop) => {
            require(crop.size <= MAX_SIDE, "size", crop.size.to_string(), "0 to 2048 pixels");
        }
        Augment::Resize(resize) => {
            require(resize.side <= MAX_SIDE, "side", resize.side.to_string(), "0 to 2048 pixels");
        }
        Augment::ResizedCrop(crop) => {
            let ok = crop.scale_min > 0.0 && crop.scale_min <= 1.0;
            require(ok, "scale_min", crop.scale_min.to_string(), "above 0 and at most 1");
        }
        Augment::Rotation(rotation) => {
            let ok = range(rotation.degrees, -360.0, 360.0);
            require(ok, "degrees", text(rotation.degrees), "[low, high] within -360 to 360");
        }
        Augment::Scale(scale) => {
            require(range(scale.range, 0.1, 10.0), "range", text(scale.range), "[low, high] within 0.1 to 10");
        }
        Augment::ColorJitter(jitter) => {
            let strengths =
                [("brightness", jitter.brightness), ("contrast", jitter.contrast), ("saturation", jitter.saturation)];
            for (option, value) in strengths {
                require((0.0..=10.0).contains(&value), option, value.to_string(), "0 to 10");
            }
            require((0.0..=0.5).contains(&jitter.hue), "hue", jitter.hue.to_string(), "0 to 0.5");
            let any = strengths.iter().any(|(_, value)| *value != 0.0) || jitter.hue != 0.0;
            require(any, "brightness", "0".to_owned(), "above 0, or contrast, saturation or hue: this changes nothing");
        }
        Augment::GaussianBlur(blur) => {
            let ok = blur.kernel % 2 == 1 && blur.kernel <= 63;
            require(ok, "kernel", blur.kernel.to_string(), "odd, 1 to 63 pixels");
            let ok = range(blur.sigma, 0.0, 100.0) && blur.sigma[0] > 0.0;
            require(ok, "sigma", text(blur.sigma), "[low, high] above 0 and at most 100");
        }
        Augment::Grayscale(gray) => require(share(gray.p), "p", gray.p.to_string(), "0 to 1"),
        Augment::Jpeg(jpeg) => {
            let quality = jpeg.quality.map(f64::from);
            require(range(quality, 1.0, 100.0), "quality", text(quality), "[low, high] within 1 to 100");
        }
        Augment::RandAugment(augment) => {
            require((1..=14).contains(&augment.n), "n", augment.n.to_string(), "1 to 14");
            require(augment.magnitude <= 30, "magnitude", augment.magnitude.to_string(), "0 to 30");
        }
        Augment::TrivialAugment(_) => {}
        Augment::Erasing(erasing) => {
            require(share(erasing.p), "p", erasing.p.to_string(), "0 to 1");
            require(range(erasing.scale, 0.0, 1.0), "scale", text(erasing.scale), "[low, high] within 0 to 1");
            let ok = range(erasing.ratio, 0.01, 100.0);
            require(ok, "ratio", text(erasing.ratio), "[low, high] within 0.01 to 100");
            let ok = (-1000.0..=1000.0).contains(&erasing.value);
            require(ok, "value", erasing.value.to_string(), "-1000 to 1000");
        }
        Augment::Cutout(cutout) => {
            require((1..=MAX_SIDE).contains(&cutout.size), "size", cutout.size.to_string(), "1 to 2048 pixels");
        }
        Augment::Mixup(Mixing { alpha }) | Augment::Cutmix(Mixing { alpha }) => {
            let ok = *alpha > 0.0 && *alpha <= 100.0;
            require(ok, "alpha", alpha.to_string(), "above 0 and at most 100");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::recipe::Recipe;

    fn wrong(json: &str) -> Vec<(String, String)> {
        let recipe: Recipe = serde_json::from_str(&format!(r#"{{"dataset":"d",{json}}}"#)).unwrap();
        recipe.check().into_iter().map(|error| (error.path, error.allowed)).collect()
    }

    #[test]
    fn the_lists_of_the_studies_are_good() {
        for json in [
            // B.
            r#""image_size":224,"augmentation":[{"resize":{"side":280}},{"crop":{"padding":0.0}},"flip","erasing"]"#,
            // D, both sets, one after the other.
            r#""copies":[["flip",{"center-crop":{"size":56}},{"resize":{"side":64}}],
                ["rotation","flip","vflip",{"gaussian-blur":{"kernel":5,"sigma":[0.1,2.0]}}]]"#,
            // C: made once, and the usual changes on top.
            r#""copies":[[],[{"flip":{"p":1.0}}],["scale",{"rotation":{"degrees":[-15.0,15.0]}}]],
                "fixed_copies":true,"augmentation":["flip","mixup","cutmix"]"#,
        ] {
            assert_eq!(wrong(json), [], "{json}");
        }
    }

    #[test]
    fn lists_that_cannot_work_are_refused_with_the_way_out() {
        for (json, path, part) in [
            (r#""augmentation":["erasing","flip"]"#, "augmentation", "steps on pixels first"),
            (r#""augmentation":["mixup","cutout"]"#, "augmentation", "steps on pixels first"),
            (r#""augmentation":["mixup","mixup"]"#, "augmentation", "one mixup"),
            (r#""copies":[["mixup"]]"#, "copies", "belong to `augmentation`"),
            (r#""copies":[["erasing"]],"augmentation":["flip"]"#, "copies", "steps on pixels first"),
            (r#""copies":[["flip"],[{"jpeg":{"quality":[0,50]}}]]"#, "copies.jpeg.quality", "1 to 100"),
            (r#""augmentation":["resize"]"#, "image_size", "add crop or center-crop"),
            (r#""augmentation":[{"center-crop":{"size":56}}]"#, "image_size", "56, the side"),
            (r#""augmentation":[{"resize":{"side":60}},{"crop":{"padding":0.0}}]"#, "image_size", "at most 60"),
            (r#""augmentation":["color-jitter"]"#, "augmentation.color-jitter.brightness", "changes nothing"),
            (r#""augmentation":[{"rotation":{"degrees":[5.0,-5.0]}}]"#, "augmentation.rotation.degrees", "[low, high]"),
        ] {
            let found = wrong(json);
            assert!(found.iter().any(|(at, allowed)| at == path && allowed.contains(part)), "{json}: {found:?}");
        }
    }
}
