//! A picture out of focus: what stands behind one of other proportions, and behind the slate.

use super::Error;
use super::scale::{Scaler, Shape, View};
use crate::media::{Colour, Picture, PictureMut, Pool, Resolution};
use std::sync::Arc;

/// Blurs pictures of one shape, dimmed so that what lies above stands out. Worked out on a sixteenth of the size: the eye
/// cannot tell, and it costs less than scaling.
pub struct Blur {
    down: Scaler,
    up: Scaler,
    small: Pool,
    large: Pool,
    colour: Colour,
}

impl Blur {
    /// For planar pictures of the canvas's own size and colour.
    pub fn new(canvas: Resolution, colour: Colour) -> Result<Blur, Error> {
        Blur::from(Shape::planar(canvas, colour), canvas, colour)
    }

    /// From any shape, which is stretched to the canvas.
    pub(super) fn from(shape: Shape, canvas: Resolution, colour: Colour) -> Result<Blur, Error> {
        let small = Resolution::new(sixteenth(canvas.width), sixteenth(canvas.height));
        Ok(Blur {
            down: Scaler::new(shape, small, colour)?,
            up: Scaler::new(Shape::planar(small, colour), canvas, colour)?,
            small: Pool::new(small),
            large: Pool::new(canvas),
            colour,
        })
    }

    /// A blurred copy of a picture of the canvas's size.
    pub fn picture(&mut self, picture: &Picture) -> Result<Arc<Picture>, Error> {
        let mut blurred = self.large.take(self.colour);
        self.draw(View::of_picture(picture), &mut blurred)?;
        Ok(blurred.freeze())
    }

    /// Fills `into`, of the canvas's size, with `view` out of focus.
    pub(super) fn draw(&mut self, view: View<'_>, into: &mut PictureMut) -> Result<(), Error> {
        let mut small = self.small.take(self.colour);
        self.down.scale(view, &mut small, 0, 0)?;
        let Resolution { width, height } = small.resolution();
        for (index, (plane, stride)) in small.planes_mut().into_iter().enumerate() {
            let shrunk = u32::from(index > 0);
            let (width, height) = ((width >> shrunk) as usize, (height >> shrunk) as usize);
            for _ in 0..PASSES {
                smooth(plane, stride, width, height, 3 - shrunk as usize);
            }
            if index == 0 {
                plane.iter_mut().for_each(|luma| *luma = dim(*luma));
            }
        }
        self.up.scale(View::of_picture(&small.freeze()), into, 0, 0)
    }
}

/// Box filters in a row come near to a Gaussian.
const PASSES: usize = 2;

fn sixteenth(side: u32) -> u32 {
    (side / 16).next_multiple_of(2).max(16)
}

/// Three fifths of the light, above black.
fn dim(luma: u8) -> u8 {
    16 + (u16::from(luma.max(16) - 16) * 3 / 5) as u8
}

/// A box filter of `2 × radius + 1` samples along the rows, then along the columns.
fn smooth(plane: &mut [u8], stride: usize, width: usize, height: usize, radius: usize) {
    let longest = width.max(height);
    let mut line = [0u8; MOST];
    if longest > MOST {
        return;
    }
    for y in 0..height {
        let row = &mut plane[y * stride..][..width];
        line[..width].copy_from_slice(row);
        average(&line[..width], radius, |x, value| row[x] = value);
    }
    for x in 0..width {
        for (y, value) in line[..height].iter_mut().enumerate() {
            *value = plane[y * stride + x];
        }
        average(&line[..height], radius, |y, value| plane[y * stride + x] = value);
    }
}

/// A sixteenth of the largest side that a canvas may have, and more.
const MOST: usize = 512;

/// The running mean around each sample; beyond the ends the last one goes on.
fn average(line: &[u8], radius: usize, mut put: impl FnMut(usize, u8)) {
    let last = line.len() - 1;
    let at = |index: isize| u32::from(line[index.clamp(0, last as isize) as usize]);
    let (reach, count) = (radius as isize, 2 * radius as u32 + 1);
    let mut sum: u32 = (-reach..=reach).map(at).sum();
    for index in 0..line.len() as isize {
        put(index as usize, ((sum + count / 2) / count) as u8);
        sum = sum + at(index + reach + 1) - at(index - reach);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_melt_and_light_is_kept_but_for_the_dimming() {
        let size = Resolution::new(320, 180);
        let mut sharp = Pool::new(size).take(Colour::BT709);
        sharp.fill([16, 128, 128]);
        let (luma, stride) = sharp.plane_mut(0);
        for row in luma.chunks_mut(stride) {
            row[160..320].fill(216);
        }
        let sharp = sharp.freeze();
        let blurred = Blur::new(size, Colour::BT709).unwrap().picture(&sharp).unwrap();
        assert_eq!(blurred.resolution(), size);
        let plane = blurred.plane(0);
        let at = |x: usize| i32::from(plane.data[90 * plane.stride + x]);
        assert!(at(2) <= 20 && (at(317) - 136).abs() <= 4, "{} and {}", at(2), at(317));
        assert!((at(160) - 76).abs() <= 20, "half-way at the edge: {}", at(160));
        let steepest = (1..320).map(|x| (at(x) - at(x - 1)).abs()).max().unwrap();
        assert!(steepest <= 6, "{steepest} from one pixel to the next");
    }

    #[test]
    fn an_even_plane_stays_even() {
        let mut plane = vec![77; 64 * 20];
        smooth(&mut plane, 64, 60, 20, 3);
        assert!(plane.iter().all(|&value| value == 77));
    }
}
