//! What lies under a scene where no publisher's picture does: in previews, tests, and stills of a show that is off air.

use std::sync::Arc;

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::Canvas;
use super::photo::{self, PhotoError};
use super::still::{spans, weights};
use crate::media::{Colour, Picture, Pool, Resolution};

/// A still picture to compose onto.
#[derive(Clone, Debug, Default)]
pub enum Backdrop {
    /// A soft, neutral light from above.
    #[default]
    Studio,
    Black,
    White,
    /// Light and dark squares: shows how much of the picture a layer lets through.
    Checker,
    /// A picture, cut to the canvas's proportions.
    Photo(RgbImage),
}

impl Backdrop {
    /// A JPEG, PNG or WebP, turned as its EXIF orientation says.
    pub fn photo(bytes: &[u8]) -> Result<Backdrop, PhotoError> {
        Ok(Backdrop::Photo(photo::upright(bytes)?.into_rgb8()))
    }

    /// The picture for a canvas.
    pub fn picture(&self, canvas: Canvas) -> Arc<Picture> {
        let size = canvas.resolution;
        let image = match self {
            Backdrop::Studio => RgbImage::from_fn(size.width, size.height, |x, y| studio(size, x, y)),
            Backdrop::Black => RgbImage::new(size.width, size.height),
            Backdrop::White => RgbImage::from_pixel(size.width, size.height, Rgb([255; 3])),
            Backdrop::Checker => {
                let side = (size.width.min(size.height) / 18).max(2);
                let light = |x: u32, y: u32| (x / side + y / side).is_multiple_of(2);
                RgbImage::from_fn(size.width, size.height, |x, y| Rgb([if light(x, y) { 204 } else { 153 }; 3]))
            }
            Backdrop::Photo(image) => covering(image, size),
        };
        encode(&image, canvas.colour)
    }
}

/// Lighter at the upper middle, falling off to the sides and downwards.
fn studio(size: Resolution, x: u32, y: u32) -> Rgb<u8> {
    let across = f64::from(x) / f64::from(size.width) - 0.5;
    let down = f64::from(y) / f64::from(size.height) - 0.2;
    let far = across * across * 0.9 + down * down;
    let dark = far / (far + 0.25);
    let shade = |light: f64, dim: f64| (light + (dim - light) * dark).round() as u8;
    Rgb([shade(160.0, 20.0), shade(164.0, 24.0), shade(172.0, 32.0)])
}

/// The largest middle part of the proportions of `size`, in that size.
fn covering(image: &RgbImage, size: Resolution) -> RgbImage {
    let (width, height) = image.dimensions();
    let (wide, high) = (u64::from(width) * u64::from(size.height), u64::from(height) * u64::from(size.width));
    let (w, h) = match wide > high {
        true => ((high / u64::from(size.height)).max(1) as u32, height),
        false => (width, (wide / u64::from(size.width)).max(1) as u32),
    };
    let part = imageops::crop_imm(image, (width - w) / 2, (height - h) / 2, w, h);
    imageops::resize(&*part, size.width, size.height, FilterType::CatmullRom)
}

/// R'G'B' → Y'CbCr (ITU-T H.273 §8.3), chroma filtered to the left-sited samples that the overlay is blended into.
fn encode(image: &RgbImage, colour: Colour) -> Arc<Picture> {
    let (kr, kb) = weights(colour.matrix);
    let (black, of_luma, of_chroma) = spans(colour.range);
    let (width, height) = image.dimensions();
    let (width, height) = (width as usize, height as usize);
    let pixels = image.as_raw().as_chunks::<3>().0;
    let [kr, kb, black] = [kr, kb, black].map(|k| k as f32);
    let (luma, chroma) = ((of_luma / 255.0) as f32, (of_chroma / 255.0) as f32);
    let gray = |[r, g, b]: [f32; 3]| kr * r + (1.0 - kr - kb) * g + kb * b;
    let mut picture = Pool::new(Resolution::new(width as u32, height as u32)).take(colour);
    let [(lumas, stride), (cbs, chroma_stride), (crs, _)] = picture.planes_mut();
    for (to, from) in lumas.chunks_mut(stride).zip(pixels.chunks(width)) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = (black + luma * gray(from.map(f32::from))).round() as u8;
        }
    }
    for y in 0..height / 2 {
        let rows = [&pixels[2 * y * width..][..width], &pixels[(2 * y + 1) * width..][..width]];
        for x in 0..width / 2 {
            let mut sum = [0.0; 3];
            for row in rows {
                for (tap, weight) in [((2 * x).saturating_sub(1), 0.125), (2 * x, 0.25), (2 * x + 1, 0.125)] {
                    (0..3).for_each(|part| sum[part] += weight * f32::from(row[tap][part]));
                }
            }
            let y_of = gray(sum);
            let sample = |part: f32, k: f32| (128.0 + chroma * (part - y_of) / (2.0 * (1.0 - k))).round() as u8;
            cbs[y * chroma_stride + x] = sample(sum[2], kb);
            crs[y * chroma_stride + x] = sample(sum[0], kr);
        }
    }
    picture.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::Still;

    const CANVAS: Canvas = Canvas { resolution: Resolution::new(160, 90), colour: Colour::BT709 };

    #[test]
    fn a_photo_covers_the_canvas_and_is_cut_at_the_far_sides() {
        // Red, green and blue thirds from the left; a canvas of half the proportions shows the green one's surroundings only.
        let image = RgbImage::from_fn(900, 100, |x, _| Rgb([[255, 0, 0], [0, 255, 0], [0, 0, 255]][x as usize / 300]));
        let still = Still::of(&Backdrop::Photo(image).picture(CANVAS));
        assert_eq!(still.resolution(), CANVAS.resolution);
        assert!(still.rgb().as_chunks::<3>().0.iter().all(|[r, g, b]| *g > 245 && *r < 10 && *b < 10));
    }

    #[test]
    fn the_studio_is_lighter_above_than_below() {
        let still = Still::of(&Backdrop::Studio.picture(CANVAS));
        let row = |y: usize| still.rgb()[y * 160 * 3..][..160 * 3].iter().map(|part| u32::from(*part)).sum::<u32>();
        assert!(row(20) > row(85) + 160 * 3 * 20);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(matches!(Backdrop::photo(b"GIF89a"), Err(PhotoError::UnknownFormat)));
    }
}
