//! One frame of a scene as a picture to look at: composed by the compositor of the frames on air, then turned into RGB.

use std::io::Cursor;
use std::sync::Arc;

use image::imageops::{self, FilterType};
use image::{ImageFormat, RgbImage};

use super::compose::cpu;
use super::{Ground, Scene};
use crate::media::frame::{Matrix, Range};
use crate::media::{Colour, MediaTime, Picture, Pool, Resolution};

/// An RGB picture, 8 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Still(RgbImage);

/// How a still is written. Both are lossless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StillFormat {
    Png,
    WebP,
}

#[derive(Debug, thiserror::Error)]
pub enum StillError {
    #[error("a scene for {scene} does not go over a picture of {picture}")]
    Size { scene: Resolution, picture: Resolution },
    #[error("the picture was not encoded: {0}")]
    Encode(String),
}

impl Scene {
    /// The frame of a moment: what the scene shows then, over a picture of its size.
    pub fn over(
        &self,
        under: &Picture,
        at: MediaTime,
        ground: Ground,
        pool: &Pool,
    ) -> Result<Arc<Picture>, StillError> {
        let (scene, picture) = (self.canvas().resolution, under.resolution());
        if scene != picture || pool.resolution() != picture {
            return Err(StillError::Size { scene, picture });
        }
        let mut frame = pool.take(under.colour());
        frame.copy_from(under);
        cpu::draw(&self.frame(at, ground), &mut frame, &mut cpu::Scratch::default());
        Ok(frame.freeze())
    }

    /// The same as RGB.
    pub fn still(&self, under: &Picture, at: MediaTime, ground: Ground) -> Result<Still, StillError> {
        let frame = self.over(under, at, ground, &Pool::new(under.resolution()))?;
        Ok(Still::of(&frame))
    }
}

impl Still {
    /// A picture's colours, chroma taken for left-sited as the overlay is blended and encoders are told.
    pub fn of(picture: &Picture) -> Still {
        let Resolution { width, height } = picture.resolution();
        let (columns, rows) = (width as usize / 2, height as usize / 2);
        let decode = Decode::from(picture.colour());
        let [luma, cb, cr] = [0, 1, 2].map(|index| picture.plane(index));
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        // A row of chroma, four times over: a luma row lies a quarter of a chroma row off the nearest one.
        let mut between = [vec![0; columns + 1], vec![0; columns + 1]];
        for y in 0..height as usize {
            let near = y / 2;
            let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(rows - 1) };
            for (row, plane) in between.iter_mut().zip([cb, cr]) {
                let [near, far] = [near, far].map(|row| &plane.data[row * plane.stride..][..columns]);
                for ((sum, near), far) in row.iter_mut().zip(near).zip(far) {
                    *sum = 3 * i32::from(*near) + i32::from(*far) - 4 * 128;
                }
                row[columns] = row[columns - 1];
            }
            let [cb, cr] = &between;
            let line = &luma.data[y * luma.stride..][..width as usize];
            for (x, y) in line.iter().enumerate() {
                // Even columns lie on a chroma sample, odd ones between two.
                let at = |row: &[i32]| row[x / 2] + row[x / 2 + x % 2];
                rgb.extend(decode.rgb(*y, at(cb), at(cr)));
            }
        }
        Still(RgbImage::from_raw(width, height, rgb).expect("three bytes were written for each pixel"))
    }

    pub fn resolution(&self) -> Resolution {
        Resolution::new(self.0.width(), self.0.height())
    }

    /// Red, green, blue, row by row.
    pub fn rgb(&self) -> &[u8] {
        self.0.as_raw()
    }

    /// Made smaller, to a width. A still that is no wider stays as it is.
    pub fn narrowed(self, width: u32) -> Still {
        let (wide, high) = self.0.dimensions();
        if width == 0 || width >= wide {
            return self;
        }
        let height = (u64::from(high) * u64::from(width) / u64::from(wide)).max(1) as u32;
        Still(imageops::resize(&self.0, width, height, FilterType::CatmullRom))
    }

    pub fn encode(&self, format: StillFormat) -> Result<Vec<u8>, StillError> {
        let mut bytes = Cursor::new(Vec::new());
        let format = match format {
            StillFormat::Png => ImageFormat::Png,
            StillFormat::WebP => ImageFormat::WebP,
        };
        self.0.write_to(&mut bytes, format).map_err(|error| StillError::Encode(error.to_string()))?;
        Ok(bytes.into_inner())
    }
}

impl StillFormat {
    pub fn media_type(self) -> &'static str {
        match self {
            StillFormat::Png => "image/png",
            StillFormat::WebP => "image/webp",
        }
    }
}

impl From<RgbImage> for Still {
    fn from(image: RgbImage) -> Still {
        Still(image)
    }
}

/// Y'CbCr → R'G'B' in whole numbers of 1/65536 (ITU-T H.273 §8.3).
struct Decode {
    black: i32,
    luma: i32,
    red_of_cr: i32,
    green_of_cb: i32,
    green_of_cr: i32,
    blue_of_cb: i32,
}

impl Decode {
    fn from(colour: Colour) -> Decode {
        let (kr, kb) = weights(colour.matrix);
        let (black, of_luma, of_chroma) = spans(colour.range);
        // Chroma comes eight times over.
        let (luma, chroma) = (255.0 / of_luma * 65536.0, 255.0 / of_chroma * 65536.0 / 8.0);
        let (cr, cb, kg) = (2.0 * (1.0 - kr), 2.0 * (1.0 - kb), 1.0 - kr - kb);
        Decode {
            black: black as i32,
            luma: luma.round() as i32,
            red_of_cr: (cr * chroma).round() as i32,
            green_of_cb: (-cb * kb / kg * chroma).round() as i32,
            green_of_cr: (-cr * kr / kg * chroma).round() as i32,
            blue_of_cb: (cb * chroma).round() as i32,
        }
    }

    fn rgb(&self, y: u8, cb: i32, cr: i32) -> [u8; 3] {
        let y = (i32::from(y) - self.black) * self.luma + (1 << 15);
        let parts =
            [y + self.red_of_cr * cr, y + self.green_of_cb * cb + self.green_of_cr * cr, y + self.blue_of_cb * cb];
        parts.map(|part| (part >> 16).clamp(0, 255) as u8)
    }
}

/// How much red and blue make of luma.
pub(super) fn weights(matrix: Matrix) -> (f64, f64) {
    match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
    }
}

/// Black's luma, and the steps from black to white and from one end of chroma to the other.
pub(super) fn spans(range: Range) -> (f64, f64, f64) {
    match range {
        Range::Limited => (16.0, 219.0, 224.0),
        Range::Full => (0.0, 255.0, 255.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::{Backdrop, Canvas};

    const SIZE: Resolution = Resolution::new(64, 32);
    const COLOURS: [Colour; 4] = [
        Colour::BT709,
        Colour::BT601,
        Colour { matrix: Matrix::Bt709, range: Range::Full },
        Colour { matrix: Matrix::Bt601, range: Range::Full },
    ];

    #[test]
    fn colours_come_back_from_every_matrix_and_range() {
        for colour in COLOURS {
            for shade in [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 120, 40]] {
                let image = RgbImage::from_pixel(SIZE.width, SIZE.height, image::Rgb(shade));
                let picture = Backdrop::Photo(image).picture(Canvas { resolution: SIZE, colour });
                let still = Still::of(&picture);
                let far = still.rgb().as_chunks::<3>().0.iter().flat_map(|pixel| pixel.iter().zip(&shade));
                let worst = far.map(|(got, want)| got.abs_diff(*want)).max().unwrap();
                assert!(worst <= 3, "{colour:?} {shade:?}: off by {worst}");
            }
        }
    }

    #[test]
    fn chroma_lies_on_even_columns_and_between_rows() {
        let mut picture = Pool::new(Resolution::new(8, 4)).take(Colour::BT709);
        picture.fill([100, 128, 128]);
        let (cb, stride) = picture.plane_mut(1);
        // One sample in the second column of the first row.
        cb[1] = 128 + 40;
        assert!(stride >= 4);
        let still = Still::of(&picture.freeze());
        let blue = |x: usize, y: usize| i32::from(still.rgb()[(y * 8 + x) * 3 + 2]) - i32::from(still.rgb()[2 + 7 * 3]);
        // At its own column, half on both sides, nothing beyond; three quarters in its near row, a quarter in the next.
        let on = blue(2, 0);
        assert!(on > 60 && blue(1, 0) == blue(3, 0) && (blue(1, 0) * 2 - on).abs() <= 1, "{on}");
        assert!(blue(0, 0) == 0 && blue(4, 0) == 0);
        assert!((blue(2, 1) * 4 - on * 3).abs() <= 3 && (blue(2, 2) * 4 - on).abs() <= 3 && blue(2, 3) == 0);
    }

    #[test]
    fn a_still_is_written_without_loss_and_narrowed_in_proportion() {
        let image = RgbImage::from_fn(64, 32, |x, y| image::Rgb([x as u8 * 3, y as u8 * 7, 90]));
        let still = Still::from(image);
        for format in [StillFormat::Png, StillFormat::WebP] {
            let bytes = still.encode(format).unwrap();
            assert_eq!(Still::from(image::load_from_memory(&bytes).unwrap().into_rgb8()), still);
        }
        assert_eq!(still.clone().narrowed(20).resolution(), Resolution::new(20, 10));
        assert_eq!(still.clone().narrowed(640), still);
    }

    #[test]
    fn a_scene_of_another_size_is_refused() {
        let scene = Scene::empty(1, Canvas { resolution: SIZE, colour: Colour::BT709 });
        let canvas = Canvas { resolution: Resolution::new(32, 32), colour: Colour::BT709 };
        let refused = scene.still(&Backdrop::Black.picture(canvas), MediaTime::ZERO, Ground::Live);
        assert!(matches!(refused, Err(StillError::Size { .. })));
    }
}
