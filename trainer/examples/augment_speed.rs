//! Images per second of the training pipeline on one thread, from decoded bytes to normalised floats, per
//! augmentation: `cargo run --release -p sweep-trainer --example augment_speed -- [SIDE] [STEPS ...]`.

#![expect(clippy::print_stdout, reason = "figures are this program's output")]

use std::time::{Duration, Instant};

use sweep_core::recipe::Recipe;
use sweep_trainer::augment::{Normalise, Pipeline, Place, Scratch};
use sweep_trainer::data::cache::Picture;

/// How long each augmentation is measured.
const LONG: Duration = Duration::from_millis(1500);

const LISTS: &[&str] = &[
    r#"[]"#,
    r#"["flip"]"#,
    r#"["flip","crop"]"#,
    r#"["resized-crop","flip"]"#,
    r#"["rotation"]"#,
    r#"[{"color-jitter":{"brightness":0.4,"contrast":0.4,"saturation":0.4}}]"#,
    r#"[{"color-jitter":{"hue":0.1}}]"#,
    r#"["gaussian-blur"]"#,
    r#"["jpeg"]"#,
    r#"["rand-augment"]"#,
    r#"["trivial-augment"]"#,
    r#"["flip","crop","erasing"]"#,
];

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let side: usize = arguments.next().map_or(Ok(64), |side| side.parse())?;
    let given: Vec<String> = arguments.collect();
    let lists: Vec<&str> = if given.is_empty() { LISTS.to_vec() } else { given.iter().map(String::as_str).collect() };
    for list in lists {
        let json = format!(r#"{{"dataset":"d","image_size":{side},"augmentation":{list}}}"#);
        let recipe: Recipe = serde_json::from_str(&json)?;
        let pipeline = Pipeline::new(&recipe);
        // Whole images as the cache keeps them.
        let side_in = if pipeline.starts_whole(0) { 2 * side } else { side };
        let rgb: Vec<u8> = (0..64 * 3 * side_in * side_in).map(|value| (value * 7 % 251) as u8).collect();
        let mut out = vec![0f32; 3 * side * side];
        let (mut scratch, normalise) = (Scratch::default(), Normalise::new([0.5; 3], [0.25; 3]));
        let (began, mut images) = (Instant::now(), 0u32);
        while began.elapsed() < LONG {
            for (image, rgb) in rgb.chunks_exact(3 * side_in * side_in).enumerate() {
                let picture = Picture { width: side_in, height: side_in, rgb };
                let place = Place { epoch: images / 64 + 1, image, copy: 0 };
                pipeline.apply(picture, place, &normalise, &mut scratch, &mut out);
                images += 1;
            }
        }
        println!("{:>9.0} images/s  {side} px  {list}", f64::from(images) / began.elapsed().as_secs_f64());
    }
    Ok(())
}
