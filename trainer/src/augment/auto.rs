//! RandAugment and TrivialAugmentWide with torchvision's tables of operations and 31 strengths.

use sweep_core::recipe::augment::Interpolation;

use super::affine::{Inverse, affine};
use super::canvas::Canvas;
use super::colour::{self, Tone};
use crate::seed::Stream;

/// The largest strength; there are this many and one.
const LAST: f64 = 30.0;

/// How strong the operations can become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    shear: f64,
    shift: (f64, f64),
    turn: f64,
    tone: f64,
    bits: f64,
}

/// TrivialAugmentWide's.
pub(super) const TRIVIAL: Reach = Reach { shear: 0.99, shift: (32.0, 32.0), turn: 135.0, tone: 0.99, bits: 6.0 };

/// RandAugment's for an image of this size.
pub(super) fn rand_reach(width: usize, height: usize) -> Reach {
    let shift = (150.0 / 331.0 * width as f64, 150.0 / 331.0 * height as f64);
    Reach { shear: 0.3, shift, turn: 30.0, tone: 0.9, bits: 4.0 }
}

/// An operation of the table, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Colour,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

use Operation as Op;

/// All of them.
pub(super) const OPERATIONS: [Op; 14] = [
    Op::Identity,
    Op::ShearX,
    Op::ShearY,
    Op::TranslateX,
    Op::TranslateY,
    Op::Rotate,
    Op::Brightness,
    Op::Colour,
    Op::Contrast,
    Op::Sharpness,
    Op::Posterize,
    Op::Solarize,
    Op::AutoContrast,
    Op::Equalize,
];

/// `n` operations of strength `magnitude` (0 to 30).
pub(super) fn rand_augment(canvas: &mut Canvas, n: u32, magnitude: u32, random: &mut Stream) {
    for (operation, strength) in draw_rand(canvas.width, canvas.height, n, magnitude, random) {
        apply(canvas, operation, strength);
    }
}

/// The operations that RandAugment draws for an image of this size, with their strengths.
pub(super) fn draw_rand(width: usize, height: usize, n: u32, magnitude: u32, random: &mut Stream) -> Vec<(Op, f64)> {
    let reach = rand_reach(width, height);
    let one = |_| {
        let operation = OPERATIONS[random.below(OPERATIONS.len())];
        let sign = sign(random);
        (operation, strength(operation, reach, magnitude, sign))
    };
    (0..n).map(one).collect()
}

/// One operation of any strength.
pub(super) fn trivial_augment(canvas: &mut Canvas, random: &mut Stream) {
    let (operation, strength) = draw_trivial(random);
    apply(canvas, operation, strength);
}

/// The operation that TrivialAugmentWide draws, with its strength.
pub(super) fn draw_trivial(random: &mut Stream) -> (Op, f64) {
    let operation = OPERATIONS[random.below(OPERATIONS.len())];
    let bin = random.below(LAST as usize + 1) as u32;
    let sign = sign(random);
    (operation, strength(operation, TRIVIAL, bin, sign))
}

fn sign(random: &mut Stream) -> f64 {
    if random.unit() < 0.5 { -1.0 } else { 1.0 }
}

/// The strength of an operation at `bin`, 0 to 30.
pub(super) fn strength(operation: Op, reach: Reach, bin: u32, sign: f64) -> f64 {
    let part = f64::from(bin) / LAST;
    match operation {
        Op::Identity | Op::AutoContrast | Op::Equalize => 0.0,
        Op::ShearX | Op::ShearY => sign * part * reach.shear,
        Op::TranslateX => sign * part * reach.shift.0,
        Op::TranslateY => sign * part * reach.shift.1,
        Op::Rotate => sign * part * reach.turn,
        Op::Brightness | Op::Colour | Op::Contrast | Op::Sharpness => sign * part * reach.tone,
        Op::Posterize => (8.0 - part * reach.bits).round_ties_even(),
        Op::Solarize => 255.0 * (1.0 - part),
    }
}

/// What an operation does to the pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// By the nearest pixel.
    Map(Inverse),
    Tone(Tone, f64),
    Sharpness(f64),
    /// Bits that stay.
    Posterize(u32),
    Solarize(f64),
    Autocontrast,
    Equalize,
}

/// What an operation of a given strength does to an image of this size, as torchvision's table means it.
pub(super) fn change(operation: Op, strength: f64, width: usize, height: usize) -> Option<Change> {
    let factor = 1.0 + strength;
    let map = match operation {
        Op::ShearX => Inverse::shear_x(strength, height),
        Op::ShearY => Inverse::shear_y(strength, width),
        Op::TranslateX => Inverse::shift(strength.trunc(), 0.0),
        Op::TranslateY => Inverse::shift(0.0, strength.trunc()),
        Op::Rotate => Inverse::rotation(strength),
        Op::Identity => return None,
        Op::Brightness => return Some(Change::Tone(Tone::Brightness, factor)),
        Op::Colour => return Some(Change::Tone(Tone::Saturation, factor)),
        Op::Contrast => return Some(Change::Tone(Tone::Contrast, factor)),
        Op::Sharpness => return Some(Change::Sharpness(factor)),
        Op::Posterize => return Some(Change::Posterize(strength as u32)),
        Op::Solarize => return Some(Change::Solarize(strength)),
        Op::AutoContrast => return Some(Change::Autocontrast),
        Op::Equalize => return Some(Change::Equalize),
    };
    Some(Change::Map(map))
}

/// One operation of a given strength.
pub(super) fn apply(canvas: &mut Canvas, operation: Op, strength: f64) {
    match change(operation, strength, canvas.width, canvas.height) {
        None => {}
        Some(Change::Map(map)) => affine(canvas, map, Interpolation::Nearest),
        Some(Change::Tone(tone, factor)) => colour::change(canvas, tone, factor),
        Some(Change::Sharpness(factor)) => colour::sharpness(canvas, factor),
        Some(Change::Posterize(bits)) => colour::posterize(canvas, bits),
        Some(Change::Solarize(threshold)) => colour::solarize(canvas, threshold),
        Some(Change::Autocontrast) => colour::autocontrast(canvas),
        Some(Change::Equalize) => colour::equalize(canvas),
    }
}
