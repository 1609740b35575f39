//! Flips and crops as one movable window over the source: no pixel is copied until the end.

use pulp::Arch;
use sweep_core::recipe::Augment;

use super::Normalise;
use super::planes::Row;
use crate::data::cache::Picture;
use crate::seed::Stream;

/// Maps output pixels to source pixels; outside `rows` and `columns` it is black.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    width: usize,
    height: usize,
    /// Whether columns run backwards.
    mirrored: bool,
    /// Whether rows run backwards.
    upside_down: bool,
    /// Source column of output column 0 (of the last one, when mirrored counts backwards from it).
    left: isize,
    /// Source row of output row 0, likewise.
    top: isize,
    /// Output columns and rows that show the source, half open.
    columns: (isize, isize),
    rows: (isize, isize),
}

impl View {
    /// A source of this size as it is.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let (columns, rows) = ((0, width as isize), (0, height as isize));
        Self { width, height, mirrored: false, upside_down: false, left: 0, top: 0, columns, rows }
    }

    /// Pixels in a row and rows that come out.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Whether all of a source of this size is shown, however it is mirrored.
    pub(super) fn is_flip_only(&self, width: usize, height: usize) -> bool {
        *self == self.same_flips(width, height)
    }

    /// A source of this size, mirrored as this view is.
    pub(super) fn same_flips(&self, width: usize, height: usize) -> Self {
        let mut view = Self::new(width, height);
        if self.mirrored {
            view.flip();
        }
        if self.upside_down {
            view.vflip();
        }
        view
    }

    /// Mirrors left and right.
    pub(super) fn flip(&mut self) {
        let last = self.width as isize - 1;
        self.left = self.column(last);
        self.mirrored = !self.mirrored;
        self.columns = (last + 1 - self.columns.1, last + 1 - self.columns.0);
    }

    /// Mirrors top and bottom.
    pub(super) fn vflip(&mut self) {
        let last = self.height as isize - 1;
        self.top = self.row(last);
        self.upside_down = !self.upside_down;
        self.rows = (last + 1 - self.rows.1, last + 1 - self.rows.0);
    }

    /// Cuts a window that begins so many output pixels further; what was outside is black.
    pub(super) fn crop(&mut self, right: isize, down: isize, width: usize, height: usize) {
        self.left = self.column(right);
        self.top = self.row(down);
        let moved = |(from, to): (isize, isize), by: isize, edge: usize| {
            let edge = edge as isize;
            ((from - by).clamp(0, edge), (to - by).clamp(0, edge))
        };
        (self.columns, self.rows) = (moved(self.columns, right, width), moved(self.rows, down, height));
        (self.width, self.height) = (width, height);
    }

    /// Takes a step that only moves the window; returns whether it was one.
    pub(super) fn step(&mut self, step: &Augment, image_size: usize, random: &mut Stream) -> bool {
        let or = |side: u32| if side == 0 { image_size } else { side as usize };
        match step {
            Augment::Flip(flip) => {
                if random.unit() < flip.p {
                    self.flip();
                }
            }
            Augment::Vflip(flip) => {
                if random.unit() < flip.p {
                    self.vflip();
                }
            }
            Augment::Crop(crop) => {
                let (border, window) = (crop.border(image_size as u32) as usize, or(crop.size));
                let place = |length: usize, random: &mut Stream| {
                    random.below((length + 2 * border).saturating_sub(window) + 1) as isize - border as isize
                };
                let left = place(self.width, random);
                let top = place(self.height, random);
                self.crop(left, top, window, window);
            }
            Augment::CenterCrop(crop) => {
                let window = or(crop.size);
                // torchvision rounds half to even, and pads with zeros what is too small.
                let start = |length: usize| match length < window {
                    true => -((window - length) as isize / 2),
                    false => ((length - window) as f64 / 2.0).round_ties_even() as isize,
                };
                self.crop(start(self.width), start(self.height), window, window);
            }
            _ => return false,
        }
        true
    }

    /// Source row that output row `y` shows, unless it is outside.
    pub(super) fn row_of(&self, y: usize) -> Option<usize> {
        (self.rows.0..self.rows.1).contains(&(y as isize)).then(|| self.row(y as isize) as usize)
    }

    /// Source column that output column `x` shows, unless it is outside.
    pub(super) fn column_of(&self, x: usize) -> Option<usize> {
        (self.columns.0..self.columns.1).contains(&(x as isize)).then(|| self.column(x as isize) as usize)
    }

    /// Source column of an output column.
    fn column(&self, x: isize) -> isize {
        if self.mirrored { self.left - x } else { self.left + x }
    }

    /// Source row of an output row.
    fn row(&self, y: isize) -> isize {
        if self.upside_down { self.top - y } else { self.top + y }
    }

    /// Calls `row(y, x range, source bytes of the lowest column, mirrored)` for visible rows.
    fn visible<'a>(&self, picture: Picture<'a>, mut row: impl FnMut(usize, std::ops::Range<usize>, &'a [u8])) {
        let (x0, x1) = self.columns;
        if x0 >= x1 {
            return;
        }
        let lowest = self.column(if self.mirrored { x1 - 1 } else { x0 }) as usize;
        for y in self.rows.0..self.rows.1 {
            let from = 3 * (self.row(y) as usize * picture.width + lowest);
            let bytes = &picture.rgb[from..from + 3 * (x1 - x0) as usize];
            row(y as usize, x0 as usize..x1 as usize, bytes);
        }
    }

    /// Writes what the view shows as normalised `[3, height, width]`.
    pub(super) fn write(&self, picture: Picture<'_>, normalise: &Normalise, out: &mut [f32]) {
        let plane = self.width * self.height;
        let Normalise { scale, shift } = *normalise;
        self.black(out, shift);
        let arch = Arch::new();
        let (red, rest) = out.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        self.visible(picture, |y, columns, bytes| {
            let row = y * self.width + columns.start..y * self.width + columns.end;
            let planes = [&mut red[row.clone()], &mut green[row.clone()], &mut blue[row]];
            Row { bytes, mirrored: self.mirrored, planes, scale, shift }.write(arch);
        });
    }

    /// Writes black where nothing of the source is shown, in every channel.
    fn black(&self, out: &mut [f32], black: [f32; 3]) {
        let (x0, x1) = (self.columns.0 as usize, self.columns.1.max(self.columns.0) as usize);
        let (y0, y1) = (self.rows.0 as usize, self.rows.1.max(self.rows.0) as usize);
        for (out, black) in out.chunks_exact_mut(self.width * self.height).zip(black) {
            if x0 == x1 || y0 == y1 {
                out.fill(black);
                continue;
            }
            out[..y0 * self.width].fill(black);
            out[y1 * self.width..].fill(black);
            if (x0, x1) != (0, self.width) {
                for row in out[y0 * self.width..y1 * self.width].chunks_exact_mut(self.width) {
                    row[..x0].fill(black);
                    row[x1..].fill(black);
                }
            }
        }
    }

    /// Writes what the view shows as RGB bytes, `3 * width * height` of them.
    pub(super) fn render(&self, picture: Picture<'_>, out: &mut Vec<u8>) {
        out.clear();
        out.resize(3 * self.width * self.height, 0);
        self.visible(picture, |y, columns, bytes| {
            let start = 3 * (y * self.width + columns.start);
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
            let (mut view, mut slow) = (View::new(size, size), image.clone());
            for _ in 0..random.below(5) {
                let kind = random.below(3);
                if kind == 0 {
                    view.flip();
                    slow = flip(&slow, size);
                } else if kind == 1 {
                    view.vflip();
                    slow = slow.chunks(3 * size).rev().flatten().copied().collect();
                } else {
                    let (right, down) = (random.below(9) as isize - 4, random.below(9) as isize - 4);
                    view.crop(right, down, size, size);
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
