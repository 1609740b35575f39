//! A figure as PNG. Its letters are those of fonts inside this program, so that it comes out alike on every machine, also on one
//! without fonts.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use sweep_core::report::figures::{Figure, Page, fixed};

const FONTS: [&[u8]; 2] =
    [include_bytes!("../../../fonts/DejaVuSans.ttf"), include_bytes!("../../../fonts/DejaVuSans-Bold.ttf")];
/// What they have, as `fonts/LICENSE` says.
const LETTERS: [(char, char); 24] = [
    (' ', '~'),
    ('\u{a0}', '\u{17f}'),
    ('\u{192}', '\u{192}'),
    ('\u{218}', '\u{21b}'),
    ('\u{2c6}', '\u{2dd}'),
    ('\u{300}', '\u{304}'),
    ('\u{308}', '\u{308}'),
    ('\u{370}', '\u{3ff}'),
    ('\u{400}', '\u{45f}'),
    ('\u{490}', '\u{491}'),
    ('\u{1e9e}', '\u{1e9e}'),
    ('\u{2010}', '\u{2027}'),
    ('\u{2030}', '\u{203a}'),
    ('\u{2044}', '\u{2044}'),
    ('\u{2070}', '\u{209c}'),
    ('\u{20ac}', '\u{20ac}'),
    ('\u{2113}', '\u{2113}'),
    ('\u{2122}', '\u{2122}'),
    ('\u{2126}', '\u{2126}'),
    ('\u{2190}', '\u{21ff}'),
    ('\u{2200}', '\u{22ff}'),
    ('\u{25a0}', '\u{25cf}'),
    ('\u{2713}', '\u{2718}'),
    ('\n', '\n'),
];
/// A pixel of an SVG is the 96th part of an inch.
const PER_METRE: f64 = 96.0 / 0.0254;

/// Letters of a figure that the fonts do not have: a PNG leaves them out.
pub(super) fn lacking(figure: &Figure) -> BTreeSet<char> {
    let has = |letter: &char| LETTERS.iter().any(|(first, last)| (first..=last).contains(&letter));
    figure.svg.chars().filter(|letter| !has(letter)).collect()
}

/// The bytes of the file.
pub(super) fn png(figure: &Figure, page: Page, scale: u8) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let mut fonts = fontdb::Database::new();
    FONTS.iter().for_each(|font| fonts.load_font_data(font.to_vec()));
    let options = Options { fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(&fixed(&figure.svg, page), &options)?;
    let scale = f32::from(scale);
    let size = tree.size().to_int_size().scale_by(scale).ok_or("it has no size")?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or("it is too large")?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    // The page covers everything, so nothing shines through.
    let colours: Vec<u8> = pixels.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, size.width(), size.height());
    encoder.set_color(::png::ColorType::Rgb);
    encoder.set_depth(::png::BitDepth::Eight);
    let density = (PER_METRE * f64::from(scale)).round() as u32;
    encoder.set_pixel_dims(Some(::png::PixelDimensions { xppu: density, yppu: density, unit: ::png::Unit::Meter }));
    encoder.add_itxt_chunk("Description".to_owned(), figure.caption.clone())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&colours)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: [[u8; 3]; 2] = [[255, 255, 255], [0x15, 0x18, 0x1c]];
    const INK: [[u8; 3]; 2] = [[0x1b, 0x1f, 0x24], [0xe4, 0xe7, 0xeb]];

    /// Width and pixels of a drawing of 100 by 40 with this in it.
    fn drawn(inside: &str, page: Page, scale: u8) -> (u32, Vec<[u8; 3]>) {
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"fig\" viewBox=\"0 0 100 40\" width=\"100\" height=\"40\">\n{inside}\n</svg>\n"
        );
        let figure = Figure { caption: "größer ≥ 1".to_owned(), svg, tex: String::new() };
        let bytes = png(&figure, page, scale).unwrap();
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((frame.width, frame.height), (100 * u32::from(scale), 40 * u32::from(scale)));
        let info = reader.info();
        let dots = f64::from(info.pixel_dims.unwrap().xppu) * 0.0254;
        assert_eq!(dots.round(), 96.0 * f64::from(scale), "to the inch");
        assert_eq!(info.utf8_text[0].get_text().unwrap(), figure.caption);
        (frame.width, pixels.as_chunks().0.to_vec())
    }

    #[test]
    fn letters_are_drawn_where_they_stand_on_light_and_dark_pages() {
        for (at, page) in [Page::Light, Page::Dark].into_iter().enumerate() {
            let (_, empty) = drawn("", page, 2);
            assert!(empty.iter().all(|pixel| *pixel == PAPER[at]));
            let words = |words: &str, class: &str| {
                let text =
                    format!("<text class=\"{class}\" x=\"10.0\" y=\"25.0\">{words}<title>all of it</title></text>");
                let (width, pixels) = drawn(&text, page, 2);
                assert!(!words.is_ascii() || pixels.contains(&INK[at]), "{words} in the colour of words");
                let changed = pixels.iter().zip(0u32..).filter(|(pixel, _)| **pixel != PAPER[at]);
                let places: Vec<(u32, u32)> = changed.map(|(_, at)| (at % width, at / width)).collect();
                assert!(places.iter().all(|(x, y)| *x >= 18 && (20..60).contains(y)), "{words}: beside its place");
                (places.len(), places.iter().map(|(x, _)| *x).max().unwrap())
            };
            let (plain, narrow) = words("lr", "");
            let (_, wide) = words("lr = 0.1", "");
            let (bold, _) = words("lr", "strong");
            assert!(wide > narrow + 40 && bold > plain, "{narrow} {wide}, {plain} {bold}");
            let shapes = ["±", "µ", "η²", "…", "ж", "β₁", "ü", "≥"].map(|word| words(word, ""));
            assert_eq!(
                shapes.iter().collect::<BTreeSet<_>>().len(),
                shapes.len(),
                "no letter looks like another: {shapes:?}"
            );
        }
    }

    #[test]
    fn letters_that_the_fonts_lack_are_named() {
        let figure = |svg: &str| Figure { caption: String::new(), svg: svg.to_owned(), tex: String::new() };
        assert_eq!(lacking(&figure("<text>größer ≥ 1, β₁, ж…</text>\n")), BTreeSet::new());
        assert_eq!(lacking(&figure("<text>a\u{4e00}b\u{4e00}</text>")), ['\u{4e00}'].into());
    }

    #[test]
    fn sizes_and_series_are_those_of_the_svg() {
        for scale in [1, 3] {
            let line = r#"<line class="line c0" x1="0.0" y1="20.0" x2="100.0" y2="20.0"/>"#;
            let (width, pixels) = drawn(line, Page::Light, scale);
            let middle = (20 * u32::from(scale) * width + width / 2) as usize;
            assert_eq!(pixels[middle], [0x00, 0x72, 0xb2]);
            assert_eq!(pixels[0], PAPER[0]);
        }
    }
}
