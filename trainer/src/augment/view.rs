//! Flips and crops as one movable window over the source: no pixel is copied until the end.

use super::Normalise;
use crate::data::cache::Picture;

/// Maps output pixels of a square to source pixels; outside `rows` and `columns` it is black.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    size: usize,
    /// Whether columns run backwards.
    mirrored: bool,
    /// Source column of output column 0 (of the last one, when mirrored counts backwards from it).
    left: isize,
    /// Source row of output row 0.
    top: isize,
    /// Output columns and rows that show the source, half open.
    columns: (isize, isize),
    rows: (isize, isize),
}

impl View {
    /// The source as it is.
    pub(super) fn new(size: usize) -> Self {
        let all = (0, size as isize);
        Self { size, mirrored: false, left: 0, top: 0, columns: all, rows: all }
    }

    /// Whether no crop has moved it.
    pub(super) fn is_flip_only(&self) -> bool {
        let all = (0, self.size as isize);
        let home = if self.mirrored { all.1 - 1 } else { 0 };
        (self.left, self.top, self.columns, self.rows) == (home, 0, all, all)
    }

    /// Mirrors left and right.
    pub(super) fn flip(&mut self) {
        let last = self.size as isize - 1;
        self.left = self.column(last);
        self.mirrored = !self.mirrored;
        self.columns = (last + 1 - self.columns.1, last + 1 - self.columns.0);
    }

    /// Moves the window by so many output pixels; what was outside of it is black.
    pub(super) fn shift(&mut self, right: isize, down: isize) {
        self.left = self.column(right);
        self.top += down;
        let moved = |(from, to): (isize, isize), by: isize| {
            let edge = self.size as isize;
            ((from - by).clamp(0, edge), (to - by).clamp(0, edge))
        };
        (self.columns, self.rows) = (moved(self.columns, right), moved(self.rows, down));
    }

    /// Source column of an output column.
    fn column(&self, x: isize) -> isize {
        if self.mirrored { self.left - x } else { self.left + x }
    }

    /// Calls `row(y, x range, source bytes of the lowest column, mirrored)` for visible rows.
    fn visible<'a>(&self, picture: Picture<'a>, mut row: impl FnMut(usize, std::ops::Range<usize>, &'a [u8])) {
        let (x0, x1) = self.columns;
        if x0 >= x1 {
            return;
        }
        let lowest = self.column(if self.mirrored { x1 - 1 } else { x0 }) as usize;
        for y in self.rows.0..self.rows.1 {
            let from = 3 * ((self.top + y) as usize * picture.width + lowest);
            let bytes = &picture.rgb[from..from + 3 * (x1 - x0) as usize];
            row(y as usize, x0 as usize..x1 as usize, bytes);
        }
    }

    /// Writes what the view shows as normalised `[3, size, size]`.
    pub(super) fn write(&self, picture: Picture<'_>, normalise: &Normalise, out: &mut [f32]) {
        let plane = self.size * self.size;
        let Normalise { scale, shift } = *normalise;
        let all = (0, self.size as isize);
        if (self.columns, self.rows) != (all, all) {
            for (channel, out) in out.chunks_exact_mut(plane).enumerate() {
                out.fill(shift[channel]);
            }
        }
        let (red, rest) = out.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        self.visible(picture, |y, columns, bytes| {
            let row = y * self.size + columns.start..y * self.size + columns.end;
            let targets = (red[row.clone()].iter_mut()).zip(&mut green[row.clone()]).zip(&mut blue[row]);
            let one = |((r, g), b): ((&mut f32, &mut f32), &mut f32), rgb: &[u8]| {
                *r = f32::from(rgb[0]) * scale[0] + shift[0];
                *g = f32::from(rgb[1]) * scale[1] + shift[1];
                *b = f32::from(rgb[2]) * scale[2] + shift[2];
            };
            if self.mirrored {
                for (target, rgb) in targets.zip(bytes.chunks_exact(3).rev()) {
                    one(target, rgb);
                }
            } else {
                for (target, rgb) in targets.zip(bytes.chunks_exact(3)) {
                    one(target, rgb);
                }
            }
        });
    }

    /// Writes what the view shows as RGB bytes, `3 * size * size` of them.
    pub(super) fn render(&self, picture: Picture<'_>, out: &mut Vec<u8>) {
        out.clear();
        out.resize(3 * self.size * self.size, 0);
        self.visible(picture, |y, columns, bytes| {
            let start = 3 * (y * self.size + columns.start);
            let row = &mut out[start..start + bytes.len()];
            if self.mirrored {
                for (target, rgb) in row.chunks_exact_mut(3).zip(bytes.chunks_exact(3).rev()) {
                    target.copy_from_slice(rgb);
                }
            } else {
                row.copy_from_slice(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What torchvision does, one step after the other on whole images.
    fn flip(image: &[u8], size: usize) -> Vec<u8> {
        let at = |x: usize, y: usize| &image[3 * (y * size + x)..][..3];
        (0..size).flat_map(|y| (0..size).rev().flat_map(move |x| at(x, y).to_vec())).collect()
    }

    fn shift(image: &[u8], size: usize, right: isize, down: isize) -> Vec<u8> {
        let inside = 0..size as isize;
        let at = |x: isize, y: isize| {
            if inside.contains(&x) && inside.contains(&y) {
                image[3 * (y as usize * size + x as usize)..][..3].to_vec()
            } else {
                vec![0; 3]
            }
        };
        let side = size as isize;
        (0..side).flat_map(|y| (0..side).flat_map(move |x| at(x + right, y + down))).collect()
    }

    #[test]
    fn any_chain_of_flips_and_shifts_shows_what_single_steps_show() {
        let size = 6;
        let image: Vec<u8> = (1..=3 * size * size).map(|value| value as u8).collect();
        let picture = Picture { width: size, height: size, rgb: &image };
        let mut random = crate::seed::stream(1, crate::seed::Purpose::Augment, &[]);
        for _ in 0..500 {
            let (mut view, mut slow) = (View::new(size), image.clone());
            for _ in 0..random.below(5) {
                if random.below(2) == 0 {
                    view.flip();
                    slow = flip(&slow, size);
                } else {
                    let (right, down) = (random.below(9) as isize - 4, random.below(9) as isize - 4);
                    view.shift(right, down);
                    slow = shift(&slow, size, right, down);
                }
            }
            let mut fast = Vec::new();
            view.render(picture, &mut fast);
            assert_eq!(fast, slow);
            let normalise = Normalise::new([0.5; 3], [0.25; 3]);
            let mut floats = vec![f32::NAN; 3 * size * size];
            view.write(picture, &normalise, &mut floats);
            for (place, value) in floats.iter().enumerate() {
                let (channel, pixel) = (place / (size * size), place % (size * size));
                let want = (f64::from(slow[3 * pixel + channel]) / 255.0 - 0.5) / 0.25;
                assert!((f64::from(*value) - want).abs() < 1e-5);
            }
        }
    }
}
