//! A painted layer in the picture's own terms: premultiplied Y'CbCr with alpha, 4:2:0, only where there is ink.

use crate::media::Resolution;
use crate::media::frame::{Colour, Matrix, Range};

/// Straight-alpha RGBA, 8 bits, row by row: what a whole canvas looks like with nothing but one layer on it.
pub struct Painting {
    pub resolution: Resolution,
    pub rgba: Vec<u8>,
}

/// A rectangle in luma pixels of the canvas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub w: u32,
    pub h: u32,
}

impl Rect {
    pub fn is_empty(self) -> bool {
        self.w == 0 || self.h == 0
    }

    pub fn right(self) -> u32 {
        self.x + self.w
    }

    pub fn bottom(self) -> u32 {
        self.y + self.h
    }

    /// The smallest rectangle of whole chroma samples that covers this one.
    pub fn even(self) -> Rect {
        let (x, y) = (self.x & !1, self.y & !1);
        Rect { x, y, w: self.right().next_multiple_of(2) - x, h: self.bottom().next_multiple_of(2) - y }
    }

    /// The smallest rectangle that holds both.
    pub fn union(self, other: Rect) -> Rect {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        Rect { x, y, w: self.right().max(other.right()) - x, h: self.bottom().max(other.bottom()) - y }
    }

    fn contains(self, x: u32, y: u32) -> bool {
        (self.x..self.right()).contains(&x) && (self.y..self.bottom()).contains(&y)
    }
}

/// Ready to blend at its place: for each plane the runs of samples that cover anything.
///
/// A sample is `s = a · component`, 0..=65025 where `a` is alpha 0..=255, so that blending over `d` is
/// `x = s + d(255−a) + 128; d' = (x + (x>>8)) >> 8` in 16 bits.
#[derive(Debug, Default)]
pub struct Raster {
    pub(super) luma: Plane,
    pub(super) chroma: [Plane; 2],
}

/// One plane's runs, from top to bottom.
#[derive(Debug, Default)]
pub(super) struct Plane {
    pub(super) runs: Vec<Run>,
    pub(super) s: Vec<u16>,
    pub(super) a: Vec<u8>,
}

/// Neighbouring samples of one row; `start` is where they begin in the plane's samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Raster {
    /// What `painting` shows inside of `area`, without what it shows inside of `holes`; each rectangle is taken as
    /// whole chroma samples. Chroma is filtered before it is cut, so pieces of a painting laid side by side are the painting.
    pub fn of(painting: &Painting, colour: Colour, area: Rect, holes: &[Rect]) -> Raster {
        let canvas = painting.resolution;
        let area = area.even();
        let area = Rect {
            w: area.right().min(canvas.width).saturating_sub(area.x),
            h: area.bottom().min(canvas.height).saturating_sub(area.y),
            ..area
        };
        let convert = Convert::to(colour);
        let holes: Vec<Rect> = holes.iter().map(|hole| hole.even()).collect();
        let in_hole = |x: u32, y: u32| holes.iter().any(|hole| hole.contains(x, y));
        let mut raster = Raster::default();
        for y in area.y..area.bottom() {
            raster.luma.push_row(area.x, y, area.w, |x| {
                let pixel = painting.pixel(x, y);
                if pixel[3] == 0 || in_hole(x, y) { (0, 0) } else { convert.luma(pixel) }
            });
        }
        let mut rows = [vec![], vec![]];
        for y in area.y / 2..area.bottom() / 2 {
            rows.iter_mut().for_each(Vec::clear);
            for x in area.x / 2..area.right() / 2 {
                let [cb, cr] = if in_hole(2 * x, 2 * y) { [(0, 0); 2] } else { convert.chroma(painting, x, y) };
                rows[0].push(cb);
                rows[1].push(cr);
            }
            for (plane, row) in raster.chroma.iter_mut().zip(&rows) {
                plane.push_row(area.x / 2, y, area.w / 2, |x| row[(x - area.x / 2) as usize]);
            }
        }
        raster
    }

    /// Bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let plane = |plane: &Plane| plane.s.len() * 3 + plane.runs.len() * size_of::<Run>();
        plane(&self.luma) + self.chroma.iter().map(plane).sum::<usize>()
    }
}

impl Painting {
    /// Everything that the layer can change: its ink, and the chroma sample to the right that its last column leaks into.
    pub fn ink(&self) -> Rect {
        let ink = self.bounds(|pixel| pixel[3] != 0);
        let right = (ink.right() + 1).min(self.resolution.width);
        if ink.is_empty() { ink } else { Rect { w: right - ink.x, ..ink } }
    }

    /// The smallest rectangle that holds every pixel of a kind.
    pub fn bounds(&self, of: impl Fn([u8; 4]) -> bool) -> Rect {
        let mut bounds = Rect::default();
        let width = self.resolution.width as usize;
        for (y, row) in self.rgba.chunks_exact(width * 4).enumerate() {
            let pixels = row.as_chunks::<4>().0;
            let (Some(first), Some(last)) = (pixels.iter().position(|p| of(*p)), pixels.iter().rposition(|p| of(*p)))
            else {
                continue;
            };
            let row = Rect { x: first as u32, y: y as u32, w: (last - first + 1) as u32, h: 1 };
            bounds = bounds.union(row);
        }
        bounds
    }

    fn pixel(&self, x: u32, y: u32) -> [u8; 4] {
        let at = (y as usize * self.resolution.width as usize + x as usize) * 4;
        [self.rgba[at], self.rgba[at + 1], self.rgba[at + 2], self.rgba[at + 3]]
    }
}

impl Plane {
    /// Adds a row's samples, leaving out the gaps that are worth leaving out.
    fn push_row(&mut self, x: u32, y: u32, len: u32, sample: impl Fn(u32) -> (u16, u8)) {
        let mut gap = 0;
        let mut open: Option<Run> = None;
        for x in x..x + len {
            let (s, a) = sample(x);
            if a == 0 {
                gap += 1;
                continue;
            }
            if gap >= SHORTEST_GAP {
                self.runs.extend(open.take());
            }
            match &mut open {
                Some(run) => {
                    run.len += gap + 1;
                    self.s.resize(self.s.len() + gap as usize, 0);
                    self.a.resize(self.a.len() + gap as usize, 0);
                }
                None => open = Some(Run { x, y, start: self.s.len() as u32, len: 1 }),
            }
            self.s.push(s);
            self.a.push(a);
            gap = 0;
        }
        self.runs.extend(open);
    }
}

/// RGB to Y'CbCr (ITU-T H.273 §8.3): rows of coefficients for 8-bit R, G, B.
struct Convert {
    luma: [f32; 3],
    black: f32,
    chroma: [[f32; 3]; 2],
}

impl Convert {
    fn to(colour: Colour) -> Convert {
        let (kr, kb) = match colour.matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
        };
        let (luma, chroma, black) = match colour.range {
            Range::Limited => (219.0 / 255.0, 224.0 / 255.0, 16.0),
            Range::Full => (1.0, 1.0, 0.0),
        };
        let kg = 1.0 - kr - kb;
        let (cb, cr) = (chroma / (2.0 * (1.0 - kb)), chroma / (2.0 * (1.0 - kr)));
        Convert {
            luma: [luma * kr, luma * kg, luma * kb],
            black,
            chroma: [[-cb * kr, -cb * kg, cb * (1.0 - kb)], [cr * (1.0 - kr), -cr * kg, -cr * kb]],
        }
    }

    fn luma(&self, [r, g, b, a]: [u8; 4]) -> (u16, u8) {
        let y = self.black + dot(self.luma, [r, g, b].map(f32::from));
        (quantise(f32::from(a) * y, a), a)
    }

    /// The chroma sample at (x, y), sited left between its two rows (MPEG-2's place, H.264's default): the taps are
    /// 1 2 1 across and 1 1 down. The picture's edge stands in for what lies beyond it.
    fn chroma(&self, painting: &Painting, x: u32, y: u32) -> [(u16, u8); 2] {
        let mut alpha = 0;
        let mut rgb = [0u32; 3];
        for y in [2 * y, 2 * y + 1] {
            for (x, weight) in [((2 * x).saturating_sub(1), 1), (2 * x, 2), (2 * x + 1, 1)] {
                let [r, g, b, a] = painting.pixel(x, y).map(u32::from);
                alpha += weight * a;
                for (sum, c) in rgb.iter_mut().zip([r, g, b]) {
                    *sum += weight * a * c;
                }
            }
        }
        let a = ((alpha + 4) / 8) as u8;
        // The neutral part takes the rounded alpha, so that grey over grey stays exactly grey.
        let neutral = 128.0 * f32::from(a);
        self.chroma.map(|row| (quantise(neutral + dot(row, rgb.map(|c| c as f32)) / 8.0, a), a))
    }
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// To the nearest, and never more than `a` can hold, so that the blend's 16 bits do not overflow.
fn quantise(s: f32, a: u8) -> u16 {
    (s + 0.5).clamp(0.0, 255.0 * f32::from(a)) as u16
}

/// Samples: a shorter gap costs more as a second run than as transparent samples.
const SHORTEST_GAP: u32 = 32;
