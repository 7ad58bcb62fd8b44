//! Sees what a viewer is sent: access units decoded into pictures whose numbers and differences can be read.

use std::time::Instant;

use ffmpeg_next as ffmpeg;

use super::clip::Clip;
use super::strip::Strip;

/// A decoded frame, without padding.
#[derive(Clone)]
pub struct Frame {
    /// The RTP timestamp it was sent under.
    pub rtp: u32,
    pub width: usize,
    pub height: usize,
    pub luma: Vec<u8>,
    /// Cb and Cr, half as wide and high; empty where only luma was looked at.
    pub chroma: [Vec<u8>; 2],
    /// When its last packet arrived.
    pub arrived: Instant,
    /// A part cut out of a frame: it has no strip.
    pub part: bool,
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

impl Area {
    /// From what the server announces: parts of the picture's width and height. Rounded outwards to even numbers.
    pub fn announced(hit: &serde_json::Value, width: usize, height: usize) -> Area {
        let part = |name: &str, of: usize| {
            let part = hit[name].as_f64().unwrap_or_else(|| panic!("{hit} has no {name}"));
            (part * of as f64).clamp(0.0, of as f64)
        };
        let (x, y) = (part("x", width) as usize & !1, part("y", height) as usize & !1);
        let right = ((part("x", width) + part("w", width)).ceil() as usize).next_multiple_of(2).min(width);
        let bottom = ((part("y", height) + part("h", height)).ceil() as usize).next_multiple_of(2).min(height);
        Area { x, y, width: right - x, height: bottom - y }
    }

    /// Whether `other` lies in it, give or take `margin` pixels.
    pub fn holds(&self, other: Area, margin: usize) -> bool {
        other.x + margin >= self.x
            && other.y + margin >= self.y
            && other.x + other.width <= self.x + self.width + margin
            && other.y + other.height <= self.y + self.height + margin
    }
}

impl Frame {
    /// The number on the publisher's strip.
    pub fn number(&self) -> Option<u16> {
        if self.part { None } else { Strip::of(self.width, self.height).read(&self.luma, self.width) }
    }

    /// Where this frame differs visibly from `other` (of the same size): the smallest rectangle that holds every 8 × 8
    /// block whose mean is off by more than `by`, the strip left out. None when the two look alike.
    pub fn difference(&self, other: &[u8], by: u32) -> Option<Area> {
        let strip = Strip::of(self.width, self.height);
        let mut found: Option<(usize, usize, usize, usize)> = None;
        for y in (0..self.height / 8 * 8).step_by(8) {
            for x in (0..self.width / 8 * 8).step_by(8) {
                if !self.part && (strip.covers(x, y) || strip.covers(x + 7, y + 7)) {
                    continue;
                }
                let sum = |luma: &[u8]| -> u32 {
                    let rows = (y..y + 8).map(|row| &luma[row * self.width + x..row * self.width + x + 8]);
                    rows.flatten().map(|&pixel| u32::from(pixel)).sum()
                };
                if sum(&self.luma).abs_diff(sum(other)) > by * 64 {
                    let (left, top, right, bottom) = found.unwrap_or((x, y, x, y));
                    found = Some((left.min(x), top.min(y), right.max(x), bottom.max(y)));
                }
            }
        }
        found.map(|(left, top, right, bottom)| Area {
            x: left,
            y: top,
            width: right + 8 - left,
            height: bottom + 8 - top,
        })
    }

    /// Where this frame differs visibly from the one that the publisher sent under the same number.
    pub fn added_to(&self, clip: &Clip) -> Option<Area> {
        let number = self.number().expect("the frame shows the publisher's strip");
        let original = clip.frame(usize::from(number));
        self.difference(&original[..self.width * self.height], VISIBLE)
    }

    /// Mean distance of a pixel's luma from another frame's of the same size.
    pub fn distance(&self, other: &Frame) -> f64 {
        let sum: u64 = self.luma.iter().zip(&other.luma).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / self.luma.len() as f64
    }

    /// Mean luma, Cb and Cr of a part of it.
    pub fn colour(&self, area: Area) -> [u8; 3] {
        let mean = |plane: &[u8], by: usize| {
            let width = self.width / by;
            let rows = (area.y / by..(area.y + area.height) / by).map(|row| row * width);
            let pixels = rows.flat_map(|row| &plane[row + area.x / by..row + (area.x + area.width) / by]);
            let (sum, count) = pixels.fold((0, 0), |(sum, count), &pixel| (sum + u32::from(pixel), count + 1));
            (sum / count) as u8
        };
        [mean(&self.luma, 1), mean(&self.chroma[0], 2), mean(&self.chroma[1], 2)]
    }

    /// Between the darkest and the lightest pixel.
    pub fn contrast(&self) -> u8 {
        let (darkest, lightest) = (self.luma.iter().min(), self.luma.iter().max());
        lightest.zip(darkest).map_or(0, |(lightest, darkest)| lightest - darkest)
    }

    /// Mean luma.
    pub fn brightness(&self) -> f64 {
        self.luma.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / self.luma.len() as f64
    }

    /// The luma of a part of it.
    pub fn crop(&self, area: Area) -> Frame {
        let rows = (area.y..area.y + area.height).map(|row| {
            let start = row * self.width + area.x;
            &self.luma[start..start + area.width]
        });
        let luma = rows.flatten().copied().collect();
        Frame { width: area.width, height: area.height, luma, chroma: Default::default(), part: true, ..*self }
    }

    /// Saves the luma as a PGM picture among the build's temporary files, for the one who looks into a failure.
    pub fn save(&self, name: &str) -> std::path::PathBuf {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pgm"));
        let mut bytes = format!("P5 {} {} 255\n", self.width, self.height).into_bytes();
        bytes.extend_from_slice(&self.luma);
        std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "frame of {}x{} at rtp {}, number {:?}", self.width, self.height, self.rtp, self.number())
    }
}

/// How far a block's mean may be off after two lossy encoders before a person would call it another picture.
const VISIBLE: u32 = 22;

/// An H.264 decoder that gives each frame as soon as its access unit is in.
pub struct Eye {
    decoder: ffmpeg::decoder::Video,
    picture: ffmpeg::frame::Video,
}

impl Eye {
    pub fn open() -> Eye {
        let codec = ffmpeg::decoder::find(ffmpeg::codec::Id::H264).expect("FFmpeg has an H.264 decoder");
        let mut context = ffmpeg::codec::Context::new_with_codec(codec);
        context.set_flags(ffmpeg::codec::Flags::LOW_DELAY);
        let decoder = context.decoder().open_as(codec).and_then(|opened| opened.video());
        Eye { decoder: decoder.expect("the decoder opens"), picture: ffmpeg::frame::Video::empty() }
    }

    /// Decodes one access unit (Annex B); none when it cannot be decoded by itself.
    pub fn see(&mut self, access_unit: &[u8], rtp: u32, arrived: Instant) -> Option<Frame> {
        let mut packet = ffmpeg::Packet::copy(access_unit);
        packet.set_pts(Some(i64::from(rtp)));
        self.decoder.send_packet(&packet).ok()?;
        self.decoder.receive_frame(&mut self.picture).ok()?;
        let (width, height) = (self.picture.width() as usize, self.picture.height() as usize);
        let rtp = self.picture.pts().map_or(rtp, |pts| pts as u32);
        let plane = |index: usize, width: usize, height: usize| {
            // Row by row: pixel by pixel an unoptimised viewer falls behind.
            let mut pixels = Vec::with_capacity(width * height);
            for row in self.picture.data(index).chunks(self.picture.stride(index)).take(height) {
                pixels.extend_from_slice(&row[..width]);
            }
            pixels
        };
        let chroma = [1, 2].map(|index| plane(index, width / 2, height / 2));
        Some(Frame { rtp, width, height, luma: plane(0, width, height), chroma, arrived, part: false })
    }
}
