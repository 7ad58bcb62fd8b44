//! A painted layer in the picture's own terms: premultiplied Y'CbCr with alpha, 4:2:0, only where there is ink.

use crate::media::Resolution;
use crate::media::frame::{Colour, Matrix, Range};

/// Straight-alpha RGBA, 8 bits, row by row: what a part of the canvas looks like with nothing but one layer on it. Outside
/// of the part it is transparent.
pub struct Painting {
    pub canvas: Rect,
    pub area: Rect,
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
    /// A whole canvas.
    pub fn of(resolution: Resolution) -> Rect {
        Rect { x: 0, y: 0, w: resolution.width, h: resolution.height }
    }

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

    /// The part of it that lies inside of another.
    pub fn within(self, other: Rect) -> Rect {
        let (x, y) = (self.x.clamp(other.x, other.right()), self.y.clamp(other.y, other.bottom()));
        let (right, bottom) = (self.right().clamp(x, other.right()), self.bottom().clamp(y, other.bottom()));
        Rect { x, y, w: right.max(x) - x, h: bottom.max(y) - y }
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
        let area = area.even().within(painting.area);
        let convert = Convert::to(colour);
        let holes: Vec<Rect> = holes.iter().map(|hole| hole.even().within(area)).collect();
        let mut raster = Raster::default();
        let mut row = vec![];
        for y in area.y..area.bottom() {
            row.clear();
            row.extend(painting.row(y, area).iter().map(|pixel| convert.luma(*pixel)));
            for hole in holes.iter().filter(|hole| (hole.y..hole.bottom()).contains(&y)) {
                row[(hole.x - area.x) as usize..][..hole.w as usize].fill((0, 0));
            }
            raster.luma.push_row(area.x, y, &row);
        }
        let mut columns = vec![];
        let [cb, cr] = &mut raster.chroma;
        for y in (area.y..area.bottom()).step_by(2) {
            painting.columns(y, area, &mut columns);
            for (plane, coefficients) in [(&mut *cb, convert.chroma[0]), (&mut *cr, convert.chroma[1])] {
                row.clear();
                row.extend(columns.windows(3).step_by(2).map(|taps| chroma(coefficients, taps)));
                for hole in holes.iter().filter(|hole| (hole.y..hole.bottom()).contains(&y)) {
                    row[((hole.x - area.x) / 2) as usize..][..hole.w as usize / 2].fill((0, 0));
                }
                plane.push_row(area.x / 2, y / 2, &row);
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
    /// Everything that the layer can change, as whole chroma samples: its ink, and the sample to the right that its last
    /// column leaks into.
    pub fn ink(&self) -> Rect {
        let ink = self.bounds(|pixel| pixel[3] != 0);
        if ink.is_empty() { ink } else { Rect { w: ink.w + 1, ..ink }.even().within(self.canvas) }
    }

    /// The smallest rectangle that holds every pixel of a kind.
    pub fn bounds(&self, of: impl Fn([u8; 4]) -> bool) -> Rect {
        let mut bounds = Rect::default();
        if self.area.is_empty() {
            return bounds;
        }
        for (row, y) in self.rgba.chunks_exact(self.area.w as usize * 4).zip(self.area.y..) {
            let pixels = row.as_chunks::<4>().0;
            let first = pixels.iter().position(|pixel| of(*pixel));
            let (Some(first), Some(last)) = (first, pixels.iter().rposition(|pixel| of(*pixel))) else {
                continue;
            };
            let row = Rect { x: self.area.x + first as u32, y, w: (last - first + 1) as u32, h: 1 };
            bounds = bounds.union(row);
        }
        bounds
    }

    /// A row's pixels inside of `area`, which lies inside of the painting's.
    fn row(&self, y: u32, area: Rect) -> &[[u8; 4]] {
        let start = (y - self.area.y) as usize * self.area.w as usize + (area.x - self.area.x) as usize;
        &self.rgba.as_chunks::<4>().0[start..start + area.w as usize]
    }

    /// Two rows' pixels added up, premultiplied, from one column left of `area` on.
    fn columns(&self, y: u32, area: Rect, columns: &mut Vec<[u32; 4]>) {
        let left = area.x.saturating_sub(1).max(self.area.x);
        let wide = Rect { x: left, w: area.right() - left, ..area };
        columns.clear();
        let premultiplied = |[r, g, b, a]: [u32; 4]| [r * a, g * a, b * a, a];
        let rows = self.row(y, wide).iter().zip(self.row(y + 1, wide));
        columns.extend(rows.map(|(above, below)| {
            let (above, below) = (premultiplied(above.map(u32::from)), premultiplied(below.map(u32::from)));
            std::array::from_fn(|c| above[c] + below[c])
        }));
        if left == area.x {
            // The picture's edge stands in for what lies beyond it; beyond the painting's own there is nothing.
            let beyond = if area.x == 0 { columns.first().copied() } else { None };
            columns.insert(0, beyond.unwrap_or_default());
        }
    }
}

impl Plane {
    /// Adds a row's samples, leaving out the gaps that are worth leaving out.
    fn push_row(&mut self, x: u32, y: u32, row: &[(u16, u8)]) {
        let mut gap = 0;
        let mut open: Option<Run> = None;
        for (x, &(s, a)) in (x..).zip(row) {
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
}

/// A chroma sample, sited left between its two rows (MPEG-2's place, H.264's default): the taps are 1 2 1 across and, in the
/// columns already, 1 1 down.
fn chroma(coefficients: [f32; 3], taps: &[[u32; 4]]) -> (u16, u8) {
    let [r, g, b, alpha] = std::array::from_fn(|c| taps[0][c] + 2 * taps[1][c] + taps[2][c]);
    if alpha == 0 {
        return (0, 0);
    }
    let a = ((alpha + 4) / 8) as u8;
    // The neutral part takes the rounded alpha, so that grey over grey stays exactly grey.
    let neutral = 128.0 * f32::from(a);
    (quantise(neutral + dot(coefficients, [r, g, b].map(|c| c as f32)) / 8.0, a), a)
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
