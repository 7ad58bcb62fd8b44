//! Pictures of any shape onto the canvas.

use std::sync::Arc;

use ffmpeg::format::Pixel;
use ffmpeg_next as ffmpeg;

use super::Error;
use super::blur::Blur;
use super::scale::{Scaler, Shape, View};
use super::source::Source;
use crate::media::frame::{Plane, Range, Storage};
use crate::media::{Colour, Picture, Pool, Resolution};

/// How a picture of other proportions than the canvas's is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fitting {
    /// Whole, between black bars.
    Bars,
    /// Whole, before itself out of focus.
    #[default]
    Blur,
    /// Cut at two sides.
    Fill,
}

/// What every picture is brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub resolution: Resolution,
    pub colour: Colour,
    pub fitting: Fitting,
}

/// Brings pictures to a target: passed on untouched where they fit already.
pub struct Fit {
    target: Target,
    pool: Pool,
    plan: Option<Plan>,
}

/// The way from one shape to the target.
struct Plan {
    shape: Shape,
    aspect: (u32, u32),
    scaler: Scaler,
    /// Where the picture's upper left corner comes to lie.
    left: u32,
    top: u32,
    /// What of the picture is shown: from where, and how much.
    part: Part,
    behind: Behind,
}

#[derive(Clone, Copy)]
struct Part {
    left: u32,
    top: u32,
    size: Resolution,
}

enum Behind {
    Nothing,
    Black,
    Blurred { blur: Box<Blur>, part: Part },
}

impl Fit {
    pub fn new(target: Target) -> Fit {
        Fit { target, pool: Pool::new(target.resolution), plan: None }
    }

    pub fn target(&self) -> Target {
        self.target
    }

    /// A picture of another size, as it was composed for an earlier canvas.
    pub fn picture(&mut self, picture: &Arc<Picture>) -> Result<Arc<Picture>, Error> {
        let shape = Shape::planar(picture.resolution(), picture.colour());
        if shape.resolution == self.target.resolution && shape.colour == self.target.colour {
            return Ok(picture.clone());
        }
        self.draw(shape, (1, 1), View::of_picture(picture))
    }

    /// A decoded frame.
    pub(super) fn frame(&mut self, frame: ffmpeg::frame::Video, source: Source) -> Result<Arc<Picture>, Error> {
        let Source { resolution, colour, aspect, .. } = source;
        let planar = matches!(frame.format(), Pixel::YUV420P | Pixel::YUVJ420P);
        if planar && resolution == self.target.resolution && colour == self.target.colour && aspect.0 == aspect.1 {
            return Ok(Arc::new(Picture::new(resolution, colour, Box::new(Borrowed(frame)))));
        }
        let shape = Shape { format: frame.format(), resolution, colour };
        self.draw(shape, aspect, View::of_frame(&frame))
    }

    fn draw(&mut self, shape: Shape, aspect: (u32, u32), view: View<'_>) -> Result<Arc<Picture>, Error> {
        let plan = match &mut self.plan {
            Some(plan) if plan.shape == shape && plan.aspect == aspect => plan,
            slot => slot.insert(Plan::new(shape, aspect, self.target)?),
        };
        let mut picture = self.pool.take(self.target.colour);
        match &mut plan.behind {
            Behind::Nothing => {}
            Behind::Black => {
                let black = if self.target.colour.range == Range::Full { 0 } else { 16 };
                picture.fill([black, 128, 128]);
            }
            Behind::Blurred { blur, part } => blur.draw(view.part(part.left, part.top, part.size), &mut picture)?,
        }
        let part = plan.part;
        plan.scaler.scale(
            view.part(part.left, part.top, part.size),
            &mut picture,
            plan.left as usize,
            plan.top as usize,
        )?;
        Ok(picture.freeze())
    }
}

impl Plan {
    fn new(shape: Shape, aspect: (u32, u32), target: Target) -> Result<Plan, Error> {
        let Target { resolution: canvas, colour, fitting } = target;
        let size = shape.resolution;
        let whole = Part { left: 0, top: 0, size };
        // As wide as it is shown, were its pixels as high as they are.
        let shown = u64::from(size.width) * u64::from(aspect.0);
        let high = u64::from(size.height) * u64::from(aspect.1);
        let cover = covering(size, shown, high, canvas);
        let (mut wide, mut tall) = (canvas.width, canvas.height);
        if fitting != Fitting::Fill {
            if shown * u64::from(canvas.height) > high * u64::from(canvas.width) {
                tall = even(high * u64::from(canvas.width) / shown).min(canvas.height);
            } else {
                wide = even(shown * u64::from(canvas.height) / high).min(canvas.width);
            }
        }
        let covered = wide == canvas.width && tall == canvas.height;
        let part = if fitting == Fitting::Fill { cover } else { whole };
        let behind = match fitting {
            _ if covered => Behind::Nothing,
            Fitting::Blur => {
                let from = Shape { resolution: cover.size, ..shape };
                Behind::Blurred { blur: Box::new(Blur::from(from, canvas, colour)?), part: cover }
            }
            Fitting::Bars | Fitting::Fill => Behind::Black,
        };
        let from = Shape { resolution: part.size, ..shape };
        let scaler = Scaler::new(from, Resolution::new(wide, tall), colour)?;
        // Even offsets keep luma and chroma in step.
        let (left, top) = ((canvas.width - wide) / 4 * 2, (canvas.height - tall) / 4 * 2);
        Ok(Plan { shape, aspect, scaler, left, top, part, behind })
    }
}

/// The largest middle part of a picture that has the canvas's proportions.
fn covering(size: Resolution, shown: u64, high: u64, canvas: Resolution) -> Part {
    let (mut width, mut height) = (size.width, size.height);
    if shown * u64::from(canvas.height) > high * u64::from(canvas.width) {
        let wide = high * u64::from(canvas.width) / u64::from(canvas.height);
        width = (u64::from(size.width) * wide / shown).max(1) as u32;
    } else {
        let tall = shown * u64::from(canvas.height) / u64::from(canvas.width);
        height = (u64::from(size.height) * tall / high).max(1) as u32;
    }
    // A side that hardly differs is taken whole: a picture is not cut for a rounding.
    let near = |part: u32, whole: u32| if whole - part.min(whole) < Scaler::CROP { whole } else { part };
    let (width, height) = (near(width, size.width), near(height, size.height));
    let middle = |part: u32, whole: u32| (whole - part) / 2 / Scaler::CROP * Scaler::CROP;
    Part { left: middle(width, size.width), top: middle(height, size.height), size: Resolution::new(width, height) }
}

/// Even, and at least 2.
fn even(length: u64) -> u32 {
    (length as u32).next_multiple_of(2).max(2)
}

/// A decoder's own frame, which it still refers to and which nobody may write.
struct Borrowed(ffmpeg::frame::Video);

impl Storage for Borrowed {
    fn plane(&self, index: usize) -> Plane<'_> {
        Plane { data: self.0.data(index), stride: self.0.stride(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANVAS: Resolution = Resolution::new(320, 180);

    /// A portrait picture: dark left half, bright right half; its top and bottom eighths are black.
    fn portrait() -> Arc<Picture> {
        let mut picture = Pool::new(Resolution::new(180, 320)).take(Colour::BT709);
        picture.fill([16, 128, 128]);
        let (luma, stride) = picture.plane_mut(0);
        for row in luma.chunks_mut(stride).skip(40).take(240) {
            row[..90].fill(60);
            row[90..180].fill(220);
        }
        picture.freeze()
    }

    fn fitted(fitting: Fitting) -> impl Fn(usize, usize) -> u8 {
        let picture =
            Fit::new(Target { resolution: CANVAS, colour: Colour::BT709, fitting }).picture(&portrait()).unwrap();
        assert_eq!(picture.resolution(), CANVAS);
        move |x, y| {
            let plane = picture.plane(0);
            plane.data[y * plane.stride + x]
        }
    }

    #[test]
    fn bars_show_all_of_it_and_nothing_else() {
        let at = fitted(Fitting::Bars);
        assert_eq!((at(5, 90), at(314, 90)), (16, 16));
        assert!(at(140, 90).abs_diff(60) < 3 && at(180, 90).abs_diff(220) < 3);
        assert!(at(140, 5) < 20, "its top is there");
    }

    #[test]
    fn blurred_bars_are_the_picture_itself_dimmed() {
        let at = fitted(Fitting::Blur);
        assert!(at(140, 90).abs_diff(60) < 3 && at(180, 90).abs_diff(220) < 3, "the picture is whole and sharp");
        let (dark, bright) = (at(5, 90), at(314, 90));
        assert!((30..60).contains(&dark) && (110..150).contains(&bright), "{dark} and {bright}");
    }

    #[test]
    fn filling_cuts_the_far_sides() {
        let at = fitted(Fitting::Fill);
        assert!(at(2, 2).abs_diff(60) < 3 && at(317, 177).abs_diff(220) < 3, "no black is left of top or bottom");
    }

    #[test]
    fn wide_pixels_are_shown_wide() {
        // 160x180 of pixels twice as wide as high fill the canvas.
        let plan = Plan::new(
            Shape::planar(Resolution::new(160, 180), Colour::BT709),
            (2, 1),
            Target { resolution: CANVAS, colour: Colour::BT709, fitting: Fitting::Bars },
        );
        assert!(matches!(plan.unwrap().behind, Behind::Nothing));
    }

    #[test]
    fn no_shape_is_too_odd() {
        for (width, height) in [(16, 4096), (4096, 16), (853, 479), (17, 19), (321, 181)] {
            for fitting in [Fitting::Bars, Fitting::Blur, Fitting::Fill] {
                let mut frame = ffmpeg::frame::Video::new(Pixel::YUV444P10LE, width, height);
                for plane in 0..3 {
                    frame.data_mut(plane).fill(1);
                }
                let mut fit = Fit::new(Target { resolution: CANVAS, colour: Colour::BT709, fitting });
                let resolution = Resolution::new(width, height);
                let source = Source { resolution, colour: Colour::BT601, interlaced: false, aspect: (1, 1) };
                assert_eq!(fit.frame(frame, source).unwrap().resolution(), CANVAS);
            }
        }
    }
}
