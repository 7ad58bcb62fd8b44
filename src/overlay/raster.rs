//! A painted layer in the picture's own terms: premultiplied Y'CbCr with alpha, 4:2:0, only where there is ink.

use std::sync::atomic::{AtomicU64, Ordering};

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

/// Ready to blend: a layer's samples where it was painted, and where it may be moved to by whole pixels.
///
/// A sample is `s = a · component`, 0..=65025 where `a` is alpha 0..=255, so that blending over `d` is
/// `x = s + d(255−a) + 128; d' = (x + (x>>8)) >> 8` in 16 bits.
#[derive(Debug)]
pub struct Raster {
    /// Like no other raster's of this process: what a cache elsewhere knows it by.
    #[cfg_attr(not(feature = "gpu"), expect(dead_code))]
    pub(super) id: u64,
    pub(super) luma: Plane,
    /// By the parity of the move, `dx & 1 | (dy & 1) << 1`: an odd move pairs other pixels into a chroma sample. Absent where no
    /// such move was promised.
    pub(super) chroma: [Option<[Plane; 2]>; 4],
}

/// One plane, dense; places are in the plane's own samples, on a canvas that the layer was not moved on.
#[derive(Debug, Default)]
pub(super) struct Plane {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) w: u32,
    pub(super) h: u32,
    pub(super) s: Vec<u16>,
    pub(super) a: Vec<u8>,
    /// What covers anything, from top to bottom.
    pub(super) runs: Vec<Run>,
    /// Of a ring, each sample's angle: clockwise from the top, 256 to the turn. Else empty.
    pub(super) angles: Vec<u8>,
}

/// Neighbouring samples of one row, counted from the plane's corner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) len: u32,
}

/// By which parities a raster can be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moves(u8);

impl Moves {
    /// By even distances only.
    pub const EVEN: Moves = Moves(0b0001);
    pub const ACROSS: Moves = Moves(0b0011);
    pub const DOWN: Moves = Moves(0b0101);
    pub const ANY: Moves = Moves(0b1111);

    pub fn of(across: bool, down: bool) -> Moves {
        match (across, down) {
            (false, false) => Moves::EVEN,
            (true, false) => Moves::ACROSS,
            (false, true) => Moves::DOWN,
            (true, true) => Moves::ANY,
        }
    }

    pub fn and(self, other: Moves) -> Moves {
        let both = self.0 | other.0;
        // Across and down is also both at once.
        if both == Moves::ACROSS.0 | Moves::DOWN.0 { Moves::ANY } else { Moves(both) }
    }

    /// Bytes that a raster of so many pixels takes which can be moved by them: luma, and both chroma planes for each parity.
    pub fn weight(self, pixels: u64) -> u64 {
        pixels * (6 + 3 * self.parities().count() as u64) / 2
    }

    fn parities(self) -> impl Iterator<Item = usize> {
        (0..4).filter(move |parity| self.0 >> parity & 1 == 1)
    }
}

impl Raster {
    /// What `painting` shows inside of `area`, without what it shows inside of `holes`; each rectangle is taken as
    /// whole chroma samples. Chroma is filtered before it is cut, so pieces of a painting laid side by side are the painting.
    pub fn of(painting: &Painting, colour: Colour, area: Rect, holes: &[Rect], moves: Moves) -> Raster {
        let area = Span::of(area.even().within(painting.area));
        // An odd move brings the first column and row into samples before them.
        let area = if moves == Moves::EVEN || area.is_empty() { area } else { area.grown(2) };
        Raster::cut(painting, colour, area, holes, moves)
    }

    /// The same of what lies in another raster's hole: the samples before it that an odd move brings it into are the other's.
    pub fn piece(painting: &Painting, colour: Colour, area: Rect, holes: &[Rect], moves: Moves) -> Raster {
        Raster::cut(painting, colour, Span::of(area.even().within(painting.area)), holes, moves)
    }

    /// The same of an area cut into columns of an even width, which laid side by side are the area; none where nothing is in it.
    pub fn columns(painting: &Painting, colour: Colour, area: Rect, width: u32, moves: Moves) -> Vec<Raster> {
        let area = Span::of(area.even().within(painting.area)).grown(2);
        let column = |x: i32| Span { x, w: width.min((area.right() - x) as u32), ..area };
        let columns = (area.x..area.right()).step_by(width as usize).map(column);
        let rasters = columns.map(|column| Raster::cut(painting, colour, column, &[], moves));
        rasters.filter(|raster| !raster.is_empty()).collect()
    }

    fn cut(painting: &Painting, colour: Colour, area: Span, holes: &[Rect], moves: Moves) -> Raster {
        let convert = Convert::to(colour);
        let holes: Vec<Span> = holes.iter().map(|hole| Span::of(hole.even().within(painting.area))).collect();
        let (mut pixels, mut row) = (vec![], vec![]);
        let mut luma = Plane::new(area);
        for y in area.y..area.bottom() {
            painting.row(area.x, y, area.w as usize, &mut pixels);
            row.clear();
            row.extend(pixels.iter().map(|pixel| convert.luma(*pixel)));
            for hole in holes.iter().filter(|hole| (hole.y..hole.bottom()).contains(&y)) {
                hole.columns_of(area).for_each(|x| row[x] = (0, 0));
            }
            luma.push_row(&row);
        }
        let mut chroma = [const { None }; 4];
        for parity in moves.parities() {
            chroma[parity] = Some(chroma_planes(painting, &convert, area, &holes, parity));
        }
        Raster { id: next_id(), luma, chroma }
    }

    /// The same as a ring about the middle of `around`: each sample knows its angle.
    pub fn ring(mut self, around: Rect) -> Raster {
        let centre = (
            f64::from(around.x) + f64::from(around.w) / 2.0 - 0.5,
            f64::from(around.y) + f64::from(around.h) / 2.0 - 0.5,
        );
        self.luma.turn(|x, y| (f64::from(x) - centre.0, f64::from(y) - centre.1));
        for (parity, planes) in self.chroma.iter_mut().enumerate() {
            let (ox, oy) = ((parity & 1) as f64, (parity >> 1) as f64);
            for plane in planes.iter_mut().flatten() {
                let place = |x, y| (2.0 * f64::from(x) - ox - centre.0, 2.0 * f64::from(y) + 0.5 - oy - centre.1);
                plane.turn(place);
            }
        }
        self
    }

    /// Bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let plane = |plane: &Plane| plane.s.len() * 3 + plane.runs.len() * size_of::<Run>() + plane.angles.len();
        plane(&self.luma) + self.chroma.iter().flatten().flatten().map(plane).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.luma.runs.is_empty()
    }

    /// The nearest move that it can make.
    pub(super) fn possible(&self, dx: i32, dy: i32) -> (i32, i32) {
        let can = |dx, dy| self.chroma[parity(dx, dy)].is_some();
        let nearest = [(dx, dy), (dx, dy & !1), (dx & !1, dy)].into_iter().find(|(dx, dy)| can(*dx, *dy));
        nearest.unwrap_or((dx & !1, dy & !1))
    }
}

impl Default for Raster {
    fn default() -> Raster {
        Raster { id: next_id(), luma: Plane::default(), chroma: [Some(Default::default()), None, None, None] }
    }
}

/// Of a move, which of a raster's chroma planes it takes.
pub(super) fn parity(dx: i32, dy: i32) -> usize {
    (dx & 1 | (dy & 1) << 1) as usize
}

pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Both chroma planes of an area that was moved by a parity. A sample belongs to whichever piece its top left pixel belongs to.
fn chroma_planes(painting: &Painting, convert: &Convert, area: Span, holes: &[Span], parity: usize) -> [Plane; 2] {
    let (ox, oy) = ((parity & 1) as i32, (parity >> 1) as i32);
    let sampled = area.sampled(ox, oy);
    let mut planes = [Plane::new(sampled), Plane::new(sampled)];
    let (mut columns, mut row) = (Columns::default(), vec![]);
    for y in sampled.y..sampled.bottom() {
        let columns = columns.of(painting, 2 * sampled.x - ox - 1, 2 * y - oy, sampled.w as usize * 2 + 1);
        for (plane, coefficients) in planes.iter_mut().zip(convert.chroma) {
            row.clear();
            row.extend(columns.windows(3).step_by(2).map(|taps| chroma(coefficients, taps)));
            for hole in holes.iter().map(|hole| hole.sampled(ox, oy)) {
                if (hole.y..hole.bottom()).contains(&y) {
                    hole.columns_of(sampled).for_each(|x| row[x] = (0, 0));
                }
            }
            plane.push_row(&row);
        }
    }
    planes
}

/// A rectangle that may lie beyond the canvas.
#[derive(Clone, Copy)]
struct Span {
    x: i32,
    y: i32,
    w: u32,
    h: u32,
}

impl Span {
    fn of(rect: Rect) -> Span {
        Span { x: rect.x as i32, y: rect.y as i32, w: rect.w, h: rect.h }
    }

    fn is_empty(self) -> bool {
        self.w == 0 || self.h == 0
    }

    fn right(self) -> i32 {
        self.x + self.w as i32
    }

    fn bottom(self) -> i32 {
        self.y + self.h as i32
    }

    fn grown(self, by: u32) -> Span {
        Span { x: self.x - by as i32, y: self.y - by as i32, w: self.w + 2 * by, h: self.h + 2 * by }
    }

    /// The chroma samples whose top left pixels lie in it, once it was moved by an offset of 0 or 1.
    fn sampled(self, ox: i32, oy: i32) -> Span {
        Span { x: (self.x + ox + 1) >> 1, y: (self.y + oy + 1) >> 1, w: self.w / 2, h: self.h / 2 }
    }

    /// Its columns as places in a row of another.
    fn columns_of(self, other: Span) -> std::ops::Range<usize> {
        let place = |x: i32| (x - other.x).clamp(0, other.w as i32) as usize;
        place(self.x)..place(self.right())
    }
}

impl Painting {
    /// Everything that the layer can change, as whole chroma samples: its ink, and the sample to the right that its last
    /// column leaks into.
    pub fn ink(&self) -> Rect {
        let ink = self.seen();
        if ink.is_empty() { ink } else { Rect { w: ink.w + 1, ..ink }.even().within(self.canvas) }
    }

    /// The smallest rectangle that holds everything that is not transparent.
    pub fn seen(&self) -> Rect {
        let mut bounds = Rect::default();
        for (row, y) in self.rgba.chunks_exact((self.area.w as usize * 4).max(1)).zip(self.area.y..) {
            let pixels = row.as_chunks::<4>().0;
            // Without a way out, so that many are looked at together.
            if pixels.iter().fold(0, |any, pixel| any | pixel[3]) == 0 {
                continue;
            }
            let first = pixels.iter().position(|pixel| pixel[3] > 0).unwrap_or_default();
            let last = pixels.iter().rposition(|pixel| pixel[3] > 0).unwrap_or_default();
            bounds = bounds.union(Rect { x: self.area.x + first as u32, y, w: (last - first + 1) as u32, h: 1 });
        }
        bounds
    }

    /// Whether ink comes up to an edge of what was painted that is none of the canvas.
    pub fn may_go_on(&self, ink: Rect) -> bool {
        let (area, canvas) = (self.area, self.canvas);
        let across =
            (ink.x <= area.x && area.x > canvas.x) || (ink.right() >= area.right() && area.right() < canvas.right());
        let down = (ink.y <= area.y && area.y > canvas.y)
            || (ink.bottom() >= area.bottom() && area.bottom() < canvas.bottom());
        !ink.is_empty() && (across || down)
    }

    /// The smallest rectangles that hold every pixel of a kind, for each kind below `N`.
    pub fn bounds<const N: usize>(&self, kind: impl Fn([u8; 4]) -> Option<usize>) -> [Rect; N] {
        let mut bounds = [Rect::default(); N];
        let mut last = ([0; 4], None);
        for (row, y) in self.rgba.chunks_exact((self.area.w as usize * 4).max(1)).zip(self.area.y..) {
            let mut ends = [None; N];
            for (pixel, x) in row.as_chunks::<4>().0.iter().zip(self.area.x..) {
                if *pixel != last.0 {
                    last = (*pixel, kind(*pixel).filter(|kind| *kind < N));
                }
                if let Some(kind) = last.1 {
                    ends[kind] = Some((ends[kind].map_or(x, |(first, _)| first), x));
                }
            }
            for (bounds, ends) in bounds.iter_mut().zip(ends) {
                let row = ends.map_or(Rect::default(), |(first, last)| Rect { x: first, y, w: last - first + 1, h: 1 });
                *bounds = bounds.union(row);
            }
        }
        bounds
    }

    /// Where it differs from another painting of the same area.
    pub fn difference(&self, other: &Painting) -> Rect {
        let rows = self.rgba.as_chunks::<4>().0.iter().zip(other.rgba.as_chunks::<4>().0).enumerate();
        let width = self.area.w.max(1) as usize;
        let different = rows.filter(|(_, (a, b))| a != b).map(|(index, _)| index);
        let pixel = |index: usize| {
            let (x, y) = ((index % width) as u32, (index / width) as u32);
            Rect { x: self.area.x + x, y: self.area.y + y, w: 1, h: 1 }
        };
        different.map(pixel).fold(Rect::default(), Rect::union)
    }

    /// A part of it, painted no further than it is.
    pub fn part(&self, area: Rect) -> Painting {
        let area = area.within(self.area);
        let mut rgba = Vec::with_capacity(4 * area.w as usize * area.h as usize);
        for y in area.y..area.bottom() {
            let at = self.at(area.x, y);
            rgba.extend_from_slice(&self.rgba[at..at + 4 * area.w as usize]);
        }
        Painting { canvas: self.canvas, area, rgba }
    }

    /// Puts a part of another painting in its place.
    pub fn put(&mut self, part: &Painting) {
        let area = part.area.within(self.area);
        for y in area.y..area.bottom() {
            let (from, to, len) = (part.at(area.x, y), self.at(area.x, y), 4 * area.w as usize);
            self.rgba[to..to + len].copy_from_slice(&part.rgba[from..from + len]);
        }
    }

    /// Where a pixel of its area begins.
    fn at(&self, x: u32, y: u32) -> usize {
        4 * ((y - self.area.y) as usize * self.area.w as usize + (x - self.area.x) as usize)
    }

    /// A pixel of the canvas; transparent outside of what was painted.
    pub(super) fn pixel(&self, x: i32, y: i32) -> [u8; 4] {
        let (column, row) = (i64::from(x) - i64::from(self.area.x), i64::from(y) - i64::from(self.area.y));
        if (0..i64::from(self.area.w)).contains(&column) && (0..i64::from(self.area.h)).contains(&row) {
            self.rgba.as_chunks::<4>().0[row as usize * self.area.w as usize + column as usize]
        } else {
            [0; 4]
        }
    }

    /// A row's pixels from `x` on; transparent outside of what was painted.
    fn row(&self, x: i32, y: i32, len: usize, row: &mut Vec<[u8; 4]>) {
        row.clear();
        row.resize(len, [0; 4]);
        let area = Span::of(self.area);
        if !(area.y..area.bottom()).contains(&y) {
            return;
        }
        let asked = Span { x, y, w: len as u32, h: 1 };
        let (to, from) = (area.columns_of(asked), asked.columns_of(area));
        let painted = &self.rgba.as_chunks::<4>().0[(y - area.y) as usize * area.w as usize..][..area.w as usize];
        row[to].copy_from_slice(&painted[from]);
    }
}

/// Two rows' pixels, premultiplied and added up.
#[derive(Default)]
struct Columns {
    above: Vec<[u8; 4]>,
    below: Vec<[u8; 4]>,
    sums: Vec<[u32; 4]>,
}

impl Columns {
    fn of(&mut self, painting: &Painting, x: i32, y: i32, len: usize) -> &[[u32; 4]] {
        for (row, y) in [(&mut self.above, y), (&mut self.below, y + 1)] {
            painting.row(x, y, len, row);
            // The picture's left edge stands in for what lies beyond it.
            if painting.area.x == 0 && x < 0 {
                let beyond = (-x as usize).min(len - 1);
                let edge = row[beyond];
                row[..beyond].fill(edge);
            }
        }
        let premultiplied = |[r, g, b, a]: [u8; 4]| {
            let a = u32::from(a);
            [u32::from(r) * a, u32::from(g) * a, u32::from(b) * a, a]
        };
        self.sums.clear();
        self.sums.extend(self.above.iter().zip(&self.below).map(|(above, below)| {
            let (above, below) = (premultiplied(*above), premultiplied(*below));
            std::array::from_fn(|c| above[c] + below[c])
        }));
        &self.sums
    }
}

impl Plane {
    fn new(span: Span) -> Plane {
        let len = span.w as usize * span.h as usize;
        let (s, a) = (Vec::with_capacity(len), Vec::with_capacity(len));
        Plane { x: span.x, y: span.y, w: span.w, h: span.h, s, a, ..Plane::default() }
    }

    /// Adds the next row's samples, and the runs of those worth looking at.
    fn push_row(&mut self, row: &[(u16, u8)]) {
        let y = self.s.len() as u32 / self.w.max(1);
        self.s.extend(row.iter().map(|sample| sample.0));
        self.a.extend(row.iter().map(|sample| sample.1));
        let mut open: Option<Run> = None;
        for (x, _) in (0..).zip(row).filter(|(_, sample)| sample.1 != 0) {
            match &mut open {
                Some(run) if x - (run.x + run.len) < SHORTEST_GAP => run.len = x + 1 - run.x,
                _ => self.runs.extend(open.replace(Run { x, y, len: 1 })),
            }
        }
        self.runs.extend(open);
    }

    /// Gives every sample its angle, from where it lies as seen from the middle: x to the right, y down.
    fn turn(&mut self, place: impl Fn(i32, i32) -> (f64, f64)) {
        let angle = |x: i32, y: i32| {
            let (right, down) = place(x, y);
            let turn = (right.atan2(-down) / std::f64::consts::TAU).rem_euclid(1.0);
            (turn * 256.0).min(255.0) as u8
        };
        let (x, y) = (self.x, self.y);
        let rows = (y..).take(self.h as usize);
        self.angles =
            rows.flat_map(|y| (x..).take(self.w as usize).map(move |x| (x, y))).map(|(x, y)| angle(x, y)).collect();
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
