//! What each step does, in a line, and the README's table of all of them.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Augment, Augmentation, BUILT_IN, STEP_NAMES, Stage};

impl Augment {
    /// What the step does, for people.
    pub fn summary(&self) -> &'static str {
        match self {
            Self::Flip(_) => "mirror left and right with probability `p`",
            Self::Vflip(_) => "mirror top and bottom with probability `p`",
            Self::Crop(_) => "add a border of zeros, cut out a random window",
            Self::CenterCrop(_) => "cut out the centre",
            Self::Resize(_) => "resize the short side, bilinear with antialias",
            Self::ResizedCrop(_) => "cut out a random window (3/4 to 4/3 aspect), resize it to the image size",
            Self::Rotation(_) => "turn around the centre",
            Self::Scale(_) => "make larger or smaller around the centre; the image keeps its size",
            Self::ColorJitter(_) => "change brightness, contrast, saturation and hue, in random order",
            Self::GaussianBlur(_) => "blur",
            Self::Grayscale(_) => "make gray with probability `p`",
            Self::Jpeg(_) => "lose what a JPEG file of a random quality loses",
            Self::RandAugment(_) => "`n` random operations of one strength (Cubuk et al. 2019)",
            Self::TrivialAugment(_) => "one random operation of random strength (Müller & Hutter 2021)",
            Self::Erasing(_) => "overwrite a random rectangle with probability `p` (Zhong et al. 2017)",
            Self::Cutout(_) => "overwrite a square around a random pixel with the mean colour (DeVries & Taylor 2017)",
            Self::Mixup(_) => "blend each image of a batch with another one, and their labels (Zhang et al. 2017)",
            Self::Cutmix(_) => "paste a rectangle of another image of the batch, and mix labels (Yun et al. 2019)",
        }
    }
}

/// All steps with their default options, and the built-in names, as Markdown.
pub fn markdown_table() -> String {
    let mut table = "| step | works on | what it does | options and defaults |\n|---|---|---|---|\n".to_owned();
    for name in STEP_NAMES {
        let step = one(name);
        let stage = match step.stage() {
            Stage::Pixels => "pixels",
            Stage::Values => "normalised values",
            Stage::Batch => "a batch",
        };
        let value = serde_json::to_value(&step).expect("a step is plain JSON");
        let options = value[*name].as_object().into_iter().flatten();
        let options: Vec<_> = options.map(|(option, value)| format!("`{option} = {}`", toml(value))).collect();
        let options = if options.is_empty() { "none".to_owned() } else { options.join(", ") };
        let _ = writeln!(table, "| `{name}` | {stage} | {} | {options} |", step.summary());
    }
    table += "\n| built-in name | steps |\n|---|---|\n";
    for name in BUILT_IN {
        let steps = Augmentation::built_in(name).unwrap_or_default();
        let steps: Vec<_> = steps.0.iter().map(|step| format!("`{}`", step.name())).collect();
        let _ = writeln!(
            table,
            "| `{name}` | {} |",
            if steps.is_empty() { "no change".to_owned() } else { steps.join(", ") }
        );
    }
    table
}

/// A step with its defaults.
fn one(name: &str) -> Augment {
    serde_json::from_value(json!(name)).expect("every step has defaults")
}

/// A value as a sweep file writes it.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
