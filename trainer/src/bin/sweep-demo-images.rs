//! Draws a small image data set for demonstrations and tests: real JPEG files of textured shapes
//! with random colours, places, sizes, clutter and noise, the same for the same options. Hard enough
//! that learning rates differ. Does nothing when the folder is complete already.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use sweep_trainer::log::say;
use sweep_trainer::seed::{Purpose, Stream, stream};

const HELP: &str = "\
Draws a small image data set (JPEG files in train/<class>/ and val/<class>/).

Usage: sweep-demo-images DIR [--classes 4] [--train 240] [--val 80] [--size 40] [--seed 0]

--train and --val are numbers of images over all classes, --size the mean side in pixels.
Does nothing when DIR is complete already; refuses a folder that it did not make.
";

/// In the order in which `--classes` takes them.
const SHAPES: [&str; 8] = ["disk", "stripes", "cross", "ring", "checker", "triangle", "dots", "frame"];
/// Written last: says that the folder is complete, and with which options.
const MARK: &str = ".sweep-demo-images";
const QUALITY: u8 = 88;

#[derive(Clone, Debug, PartialEq)]
struct Options {
    classes: usize,
    train: usize,
    val: usize,
    size: usize,
    seed: u64,
}

fn main() -> ExitCode {
    match program() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn program() -> anyhow::Result<()> {
    let mut folder = None;
    let mut options = Options { classes: 4, train: 240, val: 80, size: 40, seed: 0 };
    let mut words = std::env::args_os().skip(1);
    while let Some(word) = words.next() {
        let mut number = || -> anyhow::Result<usize> {
            let value = words.next().and_then(|value| value.into_string().ok());
            let value = value.with_context(|| format!("{} needs a number", word.display()))?;
            Ok(value.parse()?)
        };
        match word.to_str() {
            Some("--help" | "-h") => {
                say(HELP);
                return Ok(());
            }
            Some("--classes") => options.classes = number()?,
            Some("--train") => options.train = number()?,
            Some("--val") => options.val = number()?,
            Some("--size") => options.size = number()?,
            Some("--seed") => options.seed = number()? as u64,
            Some(other) if other.starts_with('-') => bail!("unknown option {other}\n\n{HELP}"),
            _ => folder = Some(PathBuf::from(word)),
        }
    }
    let folder = folder.with_context(|| HELP.to_owned())?;
    ensure!((2..=SHAPES.len()).contains(&options.classes), "--classes: 2 to {}", SHAPES.len());
    ensure!((16..=512).contains(&options.size), "--size: 16 to 512 pixels");
    let least = options.train.min(options.val);
    ensure!(least >= options.classes, "--train and --val: at least one image a class");
    draw_all(&folder, &options)
}

fn draw_all(folder: &Path, options: &Options) -> anyhow::Result<()> {
    let mark = format!("1 {options:?}\n");
    match fs::read_to_string(folder.join(MARK)) {
        Ok(found) if found == mark => {
            say(format_args!("{} is complete", folder.display()));
            return Ok(());
        }
        Ok(_) => bail!("{} was made with other options; remove it first", folder.display()),
        Err(_) => {}
    }
    let name = folder.file_name().context("DIR must end in a name")?;
    ensure!(
        fs::read_dir(folder).map_or(true, |mut items| items.next().is_none()),
        "{} has other files in it",
        folder.display()
    );
    // Drawn beside the folder and renamed, so that it is never there in part.
    let mut temporary = name.to_owned();
    temporary.push(".tmp");
    let temporary = folder.with_file_name(temporary);
    if temporary.exists() {
        fs::remove_dir_all(&temporary)?;
    }
    for (part, (name, images)) in [("train", options.train), ("val", options.val)].into_iter().enumerate() {
        for (class, shape) in SHAPES.iter().take(options.classes).enumerate() {
            let place = temporary.join(name).join(shape);
            fs::create_dir_all(&place)?;
            let first = class * images / options.classes;
            for number in 0..(class + 1) * images / options.classes - first {
                let keys = [part as u64, class as u64, number as u64];
                let mut random = stream(options.seed, Purpose::Augment, &keys);
                let path = place.join(format!("{number:04}.jpg"));
                let jpeg = draw(class, options, &mut random)?;
                fs::write(&path, jpeg).with_context(|| format!("{}", path.display()))?;
            }
        }
    }
    fs::write(temporary.join(MARK), mark)?;
    fs::rename(&temporary, folder)?;
    say(format_args!("drew {} + {} images in {}", options.train, options.val, folder.display()));
    Ok(())
}

type Colour = [f64; 3];

/// Evenly from `low` to `high`.
fn between(random: &mut Stream, low: f64, high: f64) -> f64 {
    low + (high - low) * random.unit()
}

/// Two colours that can be told apart by brightness; hue says nothing about the class.
fn colours(random: &mut Stream) -> (Colour, Colour) {
    let mut colour = |light: f64| -> Colour { [0; 3].map(|_| (light + between(random, -0.2, 0.2)).clamp(0.0, 1.0)) };
    let (dark, bright) = (colour(0.25), colour(0.75));
    if random.unit() < 0.5 { (dark, bright) } else { (bright, dark) }
}

fn draw(class: usize, options: &Options, random: &mut Stream) -> anyhow::Result<Vec<u8>> {
    let mut side = || (options.size as f64 * between(random, 0.8, 1.2)).round() as usize;
    let (width, height) = (side(), side());
    let (back, front) = colours(random);
    let scene = Scene::new(class, random);
    let clutter: Vec<_> = (0..3).map(|_| Blot::new(random)).collect();
    let tilt = [between(random, -0.2, 0.2), between(random, -0.2, 0.2)];
    let noise = between(random, 0.03, 0.12);
    let mut rgb = Vec::with_capacity(3 * width * height);
    for row in 0..height {
        for column in 0..width {
            let x = (column as f64 + 0.5) / width as f64 * 2.0 - 1.0;
            let y = (row as f64 + 0.5) / height as f64 * 2.0 - 1.0;
            let inside = scene.covers(x, y);
            let mut colour = if inside { front } else { back };
            for blot in &clutter {
                if blot.covers(x, y) {
                    colour = blot.colour;
                }
            }
            let light = tilt[0] * x + tilt[1] * y;
            for value in colour {
                // The sum of three even numbers is near enough to a bell.
                let grain: f64 = (0..3).map(|_| random.unit() - 0.5).sum();
                let value = value + light + grain * 2.0 * noise;
                rgb.push((value.clamp(0.0, 1.0) * 255.0).round() as u8);
            }
        }
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).write_image(
        &rgb,
        width as u32,
        height as u32,
        ExtendedColorType::Rgb8,
    )?;
    Ok(jpeg)
}

/// A shape somewhere in the image; coordinates run from -1 to 1.
struct Scene {
    class: usize,
    centre: [f64; 2],
    radius: f64,
    turn: f64,
    wave: f64,
    phase: f64,
}

impl Scene {
    fn new(class: usize, random: &mut Stream) -> Self {
        Self {
            class,
            centre: [between(random, -0.2, 0.2), between(random, -0.2, 0.2)],
            radius: between(random, 0.45, 0.85),
            turn: between(random, -0.3, 0.3),
            wave: between(random, 2.5, 3.5),
            phase: between(random, 0.0, 1.0),
        }
    }

    fn covers(&self, x: f64, y: f64) -> bool {
        let (x, y) = (x - self.centre[0], y - self.centre[1]);
        let (sin, cos) = self.turn.sin_cos();
        let (x, y) = (x * cos + y * sin, y * cos - x * sin);
        let distance = x.hypot(y) / self.radius;
        let square = x.abs().max(y.abs()) / self.radius;
        let odd = |value: f64| (value * self.wave + self.phase).rem_euclid(1.0) < 0.5;
        match SHAPES[self.class] {
            "disk" => distance < 1.0,
            "stripes" => odd(y),
            "cross" => square < 1.0 && x.abs().min(y.abs()) < 0.3 * self.radius,
            "ring" => (0.55..1.0).contains(&distance),
            "checker" => odd(x) != odd(y),
            "triangle" => y > -0.7 * self.radius && y + 1.7 * x.abs() < 0.9 * self.radius,
            "dots" => {
                let dot = |value: f64| (value * self.wave + self.phase).rem_euclid(1.0) - 0.5;
                dot(x).hypot(dot(y)) < 0.33
            }
            _ => (0.65..1.0).contains(&square),
        }
    }
}

/// A small ellipse that has nothing to do with the class.
struct Blot {
    centre: [f64; 2],
    radius: [f64; 2],
    colour: Colour,
}

impl Blot {
    fn new(random: &mut Stream) -> Self {
        Self {
            centre: [between(random, -1.0, 1.0), between(random, -1.0, 1.0)],
            radius: [between(random, 0.05, 0.25), between(random, 0.05, 0.25)],
            colour: [random.unit(), random.unit(), random.unit()],
        }
    }

    fn covers(&self, x: f64, y: f64) -> bool {
        let x = (x - self.centre[0]) / self.radius[0];
        let y = (y - self.centre[1]) / self.radius[1];
        x.hypot(y) < 1.0
    }
}
