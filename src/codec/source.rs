//! What a publisher's pictures are, as the decoder finds them.

use ffmpeg::format::Pixel;
use ffmpeg_next as ffmpeg;

use super::{Error, MAX_PIXELS};
use crate::media::frame::{Matrix, Range};
use crate::media::{Colour, Resolution};

/// What a publisher really sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub resolution: Resolution,
    pub colour: Colour,
    pub interlaced: bool,
    /// Width to height of one pixel.
    pub aspect: (u32, u32),
}

impl Source {
    /// The size at which it is shown: with its pixels as wide as they are high.
    pub fn shown(&self) -> Resolution {
        let Resolution { width, height } = self.resolution;
        Resolution { width: (width * self.aspect.0 / self.aspect.1).max(2), height }
    }

    /// Of a decoded frame; refuses what is larger than any canvas needs.
    pub(super) fn of(frame: &ffmpeg::frame::Video) -> Result<Source, Error> {
        let (width, height) = (frame.width(), frame.height());
        // Damaged parameter sets have made frames of 336x11728: the decoder's own limit counts pixels only.
        if !(16..=4096).contains(&width)
            || !(16..=4096).contains(&height)
            || i64::from(width) * i64::from(height) > MAX_PIXELS
        {
            return Err(Error::Size { width, height });
        }
        let unsaid = Colour::unsaid(height);
        let matrix = match frame.color_space() {
            ffmpeg::color::Space::BT709 => Matrix::Bt709,
            ffmpeg::color::Space::BT470BG | ffmpeg::color::Space::SMPTE170M => Matrix::Bt601,
            _ => unsaid.matrix,
        };
        let range = match frame.color_range() {
            ffmpeg::color::Range::JPEG => Range::Full,
            _ => Range::Limited,
        };
        let full = matches!(frame.format(), Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P);
        Ok(Source {
            resolution: Resolution::new(width, height),
            colour: Colour { matrix, range: if full { Range::Full } else { range } },
            interlaced: frame.is_interlaced(),
            aspect: aspect_of(frame),
        })
    }
}

/// Width to height of one pixel; square where nothing sensible is said.
fn aspect_of(frame: &ffmpeg::frame::Video) -> (u32, u32) {
    let said = frame.aspect_ratio();
    let side = |said: i32| u32::try_from(said).ok().filter(|side| (1..=4096).contains(side));
    let sides = side(said.numerator()).zip(side(said.denominator()));
    sides.filter(|(wide, high)| *wide <= high * 4 && *high <= wide * 4).unwrap_or((1, 1))
}
