//! Rows of RGB bytes to rows of normalised floats, one for each channel: the innermost loop of every
//! pipeline. Compiled for AVX2 too; no multiplication is fused with its addition, so the bits are the same with and without.

use pulp::{Arch, NullaryFnOnce};

/// Pixels in a block of known length, which the compiler makes whole registers of.
const N: usize = 32;

/// One row.
pub(super) struct Row<'a> {
    /// Three bytes a pixel.
    pub(super) bytes: &'a [u8],
    /// Whether the last pixel comes first.
    pub(super) mirrored: bool,
    /// As many floats as there are pixels, for red, green and blue.
    pub(super) planes: [&'a mut [f32]; 3],
    /// What a byte is multiplied with, then what is added, by channel.
    pub(super) scale: [f32; 3],
    /// See `scale`.
    pub(super) shift: [f32; 3],
}

impl Row<'_> {
    /// Writes the planes.
    pub(super) fn write(self, arch: Arch) {
        arch.dispatch(self);
    }
}

impl NullaryFnOnce for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        if self.mirrored { self.go::<true>() } else { self.go::<false>() }
    }
}

impl Row<'_> {
    #[inline(always)]
    fn go<const MIRRORED: bool>(self) {
        let Self { bytes, planes: [red, green, blue], scale, shift, .. } = self;
        let (red, red_rest) = red.as_chunks_mut::<N>();
        let (green, green_rest) = green.as_chunks_mut::<N>();
        let (blue, blue_rest) = blue.as_chunks_mut::<N>();
        // The pixels that fill no block are the last ones that come out.
        let (blocks, rest) = if MIRRORED {
            let (rest, blocks) = bytes.as_rchunks::<{ 3 * N }>();
            (blocks, rest)
        } else {
            bytes.as_chunks::<{ 3 * N }>()
        };
        let value = |byte: u8, channel: usize| f32::from(byte) * scale[channel] + shift[channel];
        let one = |rgb: &[u8; 3 * N], red: &mut [f32; N], green: &mut [f32; N], blue: &mut [f32; N]| {
            for x in 0..N {
                let to = if MIRRORED { N - 1 - x } else { x };
                red[to] = value(rgb[3 * x], 0);
                green[to] = value(rgb[3 * x + 1], 1);
                blue[to] = value(rgb[3 * x + 2], 2);
            }
        };
        let targets = red.iter_mut().zip(green).zip(blue);
        if MIRRORED {
            blocks.iter().rev().zip(targets).for_each(|(rgb, ((red, green), blue))| one(rgb, red, green, blue));
        } else {
            blocks.iter().zip(targets).for_each(|(rgb, ((red, green), blue))| one(rgb, red, green, blue));
        }
        let count = rest.len() / 3;
        for (channel, target) in [red_rest, green_rest, blue_rest].into_iter().enumerate() {
            for (x, target) in target.iter_mut().enumerate() {
                let from = if MIRRORED { count - 1 - x } else { x };
                *target = value(rest[3 * from + channel], channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_length_are_written_both_ways() {
        let (scale, shift) = ([0.017, 0.018, 0.019], [-2.1, -2.0, -1.8]);
        for pixels in [0, 1, 31, 32, 33, 64, 100] {
            let bytes: Vec<u8> = (0..3 * pixels).map(|at| (at * 37 % 251) as u8).collect();
            for mirrored in [false, true] {
                let mut planes = [(); 3].map(|()| vec![f32::NAN; pixels]);
                let [red, green, blue] = &mut planes;
                Row { bytes: &bytes, mirrored, planes: [red, green, blue], scale, shift }.write(Arch::new());
                for (channel, plane) in planes.iter().enumerate() {
                    for (x, found) in plane.iter().enumerate() {
                        let from = if mirrored { pixels - 1 - x } else { x };
                        let wanted = f32::from(bytes[3 * from + channel]) * scale[channel] + shift[channel];
                        assert_eq!(
                            found.to_bits(),
                            wanted.to_bits(),
                            "{pixels} pixels, {mirrored}, channel {channel}, {x}"
                        );
                    }
                }
            }
        }
    }
}
