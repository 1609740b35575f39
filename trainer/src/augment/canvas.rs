//! A picture that steps change, and the buffers that live from image to image.

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::resized_crop::Window;
use super::view::View;
use crate::data::cache::Picture;

/// RGB bytes of a picture, row by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) rgb: Vec<u8>,
}

impl Canvas {
    /// Its pixels, borrowed.
    pub(super) fn picture(&self) -> Picture<'_> {
        Picture { width: self.width, height: self.height, rgb: &self.rgb }
    }
}

/// Buffers that live from image to image.
#[derive(Debug, Default)]
pub struct Scratch {
    resizer: Resizer,
    pub(super) canvas: Canvas,
    spare: Vec<u8>,
}

impl Scratch {
    /// Draws what `view` shows of `picture` (or of the canvas) on the canvas.
    pub(super) fn draw(&mut self, view: &View, picture: Option<Picture<'_>>) {
        view.render(picture.unwrap_or(self.canvas.picture()), &mut self.spare);
        std::mem::swap(&mut self.canvas.rgb, &mut self.spare);
        (self.canvas.width, self.canvas.height) = view.size();
    }

    /// Resizes `window` of `picture` (or of the canvas) onto the canvas, bilinear with antialias.
    pub(super) fn resize(&mut self, picture: Option<Picture<'_>>, window: Window, width: usize, height: usize) {
        let picture = picture.unwrap_or(self.canvas.picture());
        let source = ImageRef::new(picture.width as u32, picture.height as u32, picture.rgb, PixelType::U8x3)
            .expect("a picture has width x height RGB pixels");
        let mut buffer = std::mem::take(&mut self.spare);
        buffer.resize(3 * width * height, 0);
        let mut target = Image::from_vec_u8(width as u32, height as u32, buffer, PixelType::U8x3)
            .expect("the buffer was sized for it");
        // Cut first, as torchvision does: what lies beside the window has no weight in it.
        let [left, top, w, h] = [window.left, window.top, window.width, window.height].map(|pixels| pixels as u32);
        let source = CroppedImage::new(&source, left, top, w, h).expect("the window lies inside the picture");
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
        self.resizer.resize(&source, &mut target, &options).expect("both images have three bytes a pixel");
        self.spare = std::mem::replace(&mut self.canvas.rgb, target.into_vec());
        (self.canvas.width, self.canvas.height) = (width, height);
    }
}
