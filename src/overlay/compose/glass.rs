//! Frosted glass: a part of the picture blurred, where a layer's shape says so.
//!
//! Blocks of four by four samples are added up, blurred by three boxes of five blocks each way, and laid back between the
//! blocks' middles. Blocks lie on the picture's own grid, so glass that moves does not make its ground tremble. All in whole
//! numbers: the blur is divided once, so every order of work gives the same bits.

use std::ops::Range;

use super::{Extent, Glass};
use crate::media::{PictureMut, Resolution};
use crate::overlay::raster::{Painting, Rect};

/// The shape of a piece of glass: how much of each sample is frosted, 255 all of it.
#[derive(Debug)]
pub struct Mask {
    #[cfg_attr(not(feature = "gpu"), expect(dead_code))]
    pub(super) id: u64,
    /// Luma and chroma.
    pub(super) shapes: [Shape; 2],
}

/// One plane's, in the plane's samples.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) w: u32,
    pub(super) h: u32,
    pub(super) a: Vec<u8>,
}

/// Buffers that are reused.
#[derive(Debug, Default)]
pub struct Scratch {
    blocks: Vec<u32>,
    across: Vec<u32>,
    /// A line of blocks with its first and last repeated on both sides.
    padded: Vec<u32>,
    /// Lines of blocks as samples, each eight times over.
    lines: Vec<u16>,
}

impl Mask {
    /// The alpha of what was painted inside of an area.
    pub fn of(painting: &Painting, area: Rect) -> Mask {
        let area = area.even().within(painting.area);
        let alpha = |x, y| u32::from(painting.pixel(x as i32, y as i32)[3]);
        let luma: Vec<u8> = (area.y..area.bottom())
            .flat_map(|y| (area.x..area.right()).map(move |x| (x, y)))
            .map(|(x, y)| alpha(x, y) as u8)
            .collect();
        let chroma: Vec<u8> = (area.y..area.bottom())
            .step_by(2)
            .flat_map(|y| (area.x..area.right()).step_by(2).map(move |x| (x, y)))
            .map(|(x, y)| (alpha(x, y) + alpha(x, y + 1)).div_ceil(2) as u8)
            .collect();
        let shape = |halved: u32, a| Shape {
            x: (area.x >> halved) as i32,
            y: (area.y >> halved) as i32,
            w: area.w >> halved,
            h: area.h >> halved,
            a,
        };
        Mask { id: crate::overlay::raster::next_id(), shapes: [shape(0, luma), shape(1, chroma)] }
    }

    /// Bytes of memory it takes.
    pub fn weight(&self) -> usize {
        self.shapes.iter().map(|shape| shape.a.len()).sum()
    }
}

impl Glass<'_> {
    /// Which samples of the picture's plane it may change.
    pub(super) fn extent(&self, index: usize, picture: Resolution) -> Extent {
        let halved = i32::from(index > 0);
        let shape = &self.mask.shapes[index.min(1)];
        let (x, y) = (shape.x + (self.dx >> halved), shape.y + (self.dy >> halved));
        let place = Extent { x, y, right: x + shape.w as i32, bottom: y + shape.h as i32 };
        let (width, height) = ((picture.width >> halved) as i32, (picture.height >> halved) as i32);
        place.within(Extent { x: 0, y: 0, right: width, bottom: height })
    }

    /// Blurs the picture under it.
    pub(super) fn frost(&self, picture: &mut PictureMut, scratch: &mut Scratch) {
        let resolution = picture.resolution();
        for (index, (samples, stride)) in picture.planes_mut().into_iter().enumerate() {
            let extent = self.extent(index, resolution);
            if !extent.is_empty() {
                let halved = u32::from(index > 0);
                let size = (resolution.width as usize >> halved, resolution.height as usize >> halved);
                self.frost_plane(index, extent, Plane { samples, stride, size }, scratch);
            }
        }
    }

    fn frost_plane(&self, index: usize, extent: Extent, plane: Plane<'_>, scratch: &mut Scratch) {
        let (halved, shape) = (i32::from(index > 0), &self.mask.shapes[index.min(1)]);
        let (left, top) = (shape.x + (self.dx >> halved), shape.y + (self.dy >> halved));
        let pane = Pane { shape, left, top, opacity: u32::from(self.opacity), extent };
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { frost_avx2(&pane, plane, scratch) };
        }
        pane.frost(plane, scratch);
    }
}

/// The plain code once more, for wider registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn frost_avx2(pane: &Pane<'_>, plane: Plane<'_>, scratch: &mut Scratch) {
    pane.frost(plane, scratch);
}

/// One plane's part of a piece of glass, where it lies now.
struct Pane<'a> {
    shape: &'a Shape,
    left: i32,
    top: i32,
    opacity: u32,
    extent: Extent,
}

impl Pane<'_> {
    #[inline(always)]
    fn frost(&self, plane: Plane<'_>, scratch: &mut Scratch) {
        let (extent, shape) = (self.extent, self.shape);
        let grid = Grid::around(extent, plane.size);
        plane.add_up(&grid, &mut scratch.blocks);
        grid.blur(scratch);
        let (lowest, highest) =
            (neighbours(extent.y, grid.y, grid.h).0, neighbours(extent.bottom - 1, grid.y, grid.h).1);
        grid.between_columns(lowest..highest + 1, scratch);
        let (from, len) = ((extent.x - SIDE * grid.x) as usize, (extent.right - extent.x) as usize);
        let line = |block: usize| &scratch.lines[(block - lowest) * grid.w * SIDE as usize + from..][..len];
        for y in extent.y..extent.bottom {
            let (first, second, weight) = neighbours(y, grid.y, grid.h);
            let blurred = line(first).iter().zip(line(second));
            let at = y as usize * plane.stride + extent.x as usize;
            let mask = (y - self.top) as usize * shape.w as usize + (extent.x - self.left) as usize;
            let samples = plane.samples[at..at + len].iter_mut().zip(&shape.a[mask..mask + len]);
            for ((d, m), (first, second)) in samples.zip(blurred) {
                let blurred = (u32::from(*first) * (8 - weight) + u32::from(*second) * weight + 32) >> 6;
                let m = by_255(u32::from(*m) * self.opacity + 127);
                *d = glass_mix(u32::from(*d), blurred, m) as u8;
            }
        }
    }
}

/// A picture's sample under glass: `blurred` is sixteen times a sample's size.
#[inline(always)]
fn glass_mix(d: u32, blurred: u32, m: u32) -> u32 {
    // Divided by 16 · 255.
    by_255((blurred * m + d * 16 * (255 - m) + 2040) >> 4)
}

/// What is left of a division by 255, for anything below 65535.
#[inline(always)]
fn by_255(v: u32) -> u32 {
    (v + 1 + (v >> 8)) >> 8
}

struct Plane<'a> {
    samples: &'a mut [u8],
    stride: usize,
    /// Width and height in samples.
    size: (usize, usize),
}

impl Plane<'_> {
    /// The sum of each block's samples, the picture's last ones repeated beyond its edges.
    #[inline(always)]
    fn add_up(&self, grid: &Grid, blocks: &mut Vec<u32>) {
        blocks.clear();
        blocks.resize(grid.w * grid.h, 0);
        let (width, height) = self.size;
        let from = (grid.x * SIDE) as usize;
        for (j, line) in blocks.chunks_exact_mut(grid.w).enumerate() {
            for row in 0..SIDE {
                let y = (((grid.y + j as i32) * SIDE + row) as usize).min(height - 1);
                let samples = &self.samples[y * self.stride + from..][..width - from];
                let (whole, rest) = samples.as_chunks::<4>();
                for (sum, four) in line.iter_mut().zip(whole) {
                    let four = u32::from_le_bytes(*four);
                    let two = (four & 0x00FF_00FF) + ((four >> 8) & 0x00FF_00FF);
                    *sum += (two & 0xFFFF) + (two >> 16);
                }
                if let (Some(sum), [.., last]) = (line.get_mut(whole.len()), rest) {
                    let there: u32 = rest.iter().map(|sample| u32::from(*sample)).sum();
                    *sum += there + u32::from(*last) * (SIDE as u32 - rest.len() as u32);
                }
            }
        }
    }
}

/// The blocks that an extent's blur takes in.
pub(super) struct Grid {
    /// Of the first block, in blocks of the picture's grid; may lie beyond its edge.
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) w: usize,
    pub(super) h: usize,
}

impl Grid {
    pub(super) fn around(extent: Extent, size: (usize, usize)) -> Grid {
        let last = |len: usize| (len as i32 - 1) / SIDE;
        let (x, y) = (((extent.x / SIDE) - MARGIN).max(0), ((extent.y / SIDE) - MARGIN).max(0));
        let right = ((extent.right - 1) / SIDE + MARGIN).min(last(size.0));
        let bottom = ((extent.bottom - 1) / SIDE + MARGIN).min(last(size.1));
        Grid { x, y, w: (right - x + 1) as usize, h: (bottom - y + 1) as usize }
    }

    /// Three boxes of five blocks across and down, edges repeated.
    #[inline(always)]
    fn blur(&self, Scratch { blocks, across, padded, .. }: &mut Scratch) {
        let reach = KERNEL.len() / 2;
        across.clear();
        across.resize(blocks.len(), 0);
        for (line, sums) in blocks.chunks_exact(self.w).zip(across.chunks_exact_mut(self.w)) {
            pad(line, reach, padded);
            for (tap, k) in KERNEL.iter().enumerate() {
                sums.iter_mut().zip(&padded[tap..]).for_each(|(sum, value)| *sum += k * value);
            }
        }
        for (j, line) in blocks.chunks_exact_mut(self.w).enumerate() {
            line.fill(DIVISOR / 2);
            for (tap, k) in KERNEL.iter().enumerate() {
                let from = (j + tap).saturating_sub(reach).min(self.h - 1);
                line.iter_mut().zip(&across[from * self.w..]).for_each(|(sum, value)| *sum += k * value);
            }
            line.iter_mut().for_each(|sum| *sum /= DIVISOR);
        }
    }

    /// The samples of some lines of blocks, each eight times over. A block's middle lies one and a half samples from its first.
    #[inline(always)]
    fn between_columns(&self, lines: Range<usize>, Scratch { blocks, padded, lines: wide, .. }: &mut Scratch) {
        let width = self.w * SIDE as usize;
        wide.resize(lines.len() * width, 0);
        for (line, wide) in blocks.chunks_exact(self.w).skip(lines.start).zip(wide.chunks_exact_mut(width)) {
            pad(line, 1, padded);
            for (four, [before, block, after]) in wide.as_chunks_mut::<4>().0.iter_mut().zip(padded.array_windows()) {
                let sums = [before * 3 + block * 5, before + block * 7, block * 7 + after, block * 5 + after * 3];
                *four = sums.map(|sum| sum as u16);
            }
        }
    }
}

/// A line with its ends repeated.
#[inline(always)]
fn pad(line: &[u32], by: usize, padded: &mut Vec<u32>) {
    padded.clear();
    if let (Some(first), Some(last)) = (line.first(), line.last()) {
        padded.resize(by, *first);
        padded.extend_from_slice(line);
        padded.resize(line.len() + 2 * by, *last);
    }
}

/// Between which two of `len` blocks from `first` on a sample lies, and how many eighths of the way.
fn neighbours(sample: i32, first: i32, len: usize) -> (usize, usize, u32) {
    // A block's middle lies one and a half samples from its first.
    let eighths = 2 * sample - 3 - 2 * SIDE * first;
    let block = eighths.div_euclid(8);
    let place = |block: i32| block.clamp(0, len as i32 - 1) as usize;
    (place(block), place(block + 1), eighths.rem_euclid(8) as u32)
}

/// Samples of a block's side.
const SIDE: i32 = 4;
/// Blocks around an extent that its blur takes in.
const MARGIN: i32 = 7;
/// A box of five, three times over.
const KERNEL: [u32; 13] = [1, 3, 6, 10, 15, 18, 19, 18, 15, 10, 6, 3, 1];
/// The kernel's sum, squared.
const DIVISOR: u32 = 125 * 125;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Colour, Pool};

    const SIZE: Resolution = Resolution::new(138, 94);

    fn mask(area: Rect, alpha: u8) -> Mask {
        let rgba = [0, 0, 0, alpha].repeat(area.w as usize * area.h as usize);
        Mask::of(&Painting { canvas: Rect::of(SIZE), area, rgba }, area)
    }

    fn noisy() -> PictureMut {
        let mut picture = Pool::new(SIZE).take(Colour::BT709);
        let mut state = 9u32;
        for (samples, _) in picture.planes_mut() {
            samples.iter_mut().for_each(|sample| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *sample = (state >> 24) as u8;
            });
        }
        picture
    }

    fn frosted(mask: &Mask, dx: i32, dy: i32, opacity: u8) -> PictureMut {
        let mut picture = noisy();
        Glass { mask, dx, dy, opacity }.frost(&mut picture, &mut Scratch::default());
        picture
    }

    /// The same blur in real numbers, sample by sample.
    fn reference(samples: &[u8], stride: usize, size: (i32, i32), x: i32, y: i32) -> f64 {
        let sample = |x: i32, y: i32| {
            f64::from(samples[y.clamp(0, size.1 - 1) as usize * stride + x.clamp(0, size.0 - 1) as usize])
        };
        let last = |len: i32| (len - 1) / SIDE;
        let block = |i: i32, j: i32| -> f64 {
            let (i, j) = (i.clamp(0, last(size.0)) * SIDE, j.clamp(0, last(size.1)) * SIDE);
            (0..SIDE).flat_map(|dy| (0..SIDE).map(move |dx| (dx, dy))).map(|(dx, dy)| sample(i + dx, j + dy)).sum()
        };
        let taps = || KERNEL.iter().zip(-6..).map(|(k, tap)| (f64::from(*k), tap));
        let blurred = |i: i32, j: i32| -> f64 {
            let (i, j) = (i.clamp(0, last(size.0)), j.clamp(0, last(size.1)));
            taps().flat_map(|(a, dy)| taps().map(move |(b, dx)| a * b * block(i + dx, j + dy))).sum::<f64>()
                / f64::from(DIVISOR)
        };
        let place = |v: i32| ((f64::from(v) - 1.5) / 4.0).floor() as i32;
        let weight = |v: i32| (f64::from(v) - 1.5) / 4.0 - f64::from(place(v));
        let (i, j, u, v) = (place(x), place(y), weight(x), weight(y));
        let row = |j| blurred(i, j) * (1.0 - u) + blurred(i + 1, j) * u;
        (row(j) * (1.0 - v) + row(j + 1) * v) / 16.0
    }

    #[test]
    fn glass_is_the_blur_of_what_lies_behind_it() {
        let area = Rect { x: 20, y: 10, w: 60, h: 40 };
        for (dx, dy) in [(0, 0), (-30, -14), (70, 60)] {
            let (mut before, mut after) = (noisy(), frosted(&mask(area, 255), dx, dy, 255));
            for index in 0..3 {
                let halved = i32::from(index > 0);
                let size = (SIZE.width as i32 >> halved, SIZE.height as i32 >> halved);
                let (before, stride) = before.plane_mut(index);
                let (after, _) = after.plane_mut(index);
                for (y, x) in (0..size.1).flat_map(|y| (0..size.0).map(move |x| (y, x))) {
                    let at = y as usize * stride + x as usize;
                    let (left, top) = ((20 + dx) >> halved, (10 + dy) >> halved);
                    let inside = (left..left + (60 >> halved)).contains(&x) && (top..top + (40 >> halved)).contains(&y);
                    let want = if inside { reference(before, stride, size, x, y) } else { f64::from(before[at]) };
                    let off = (f64::from(after[at]) - want).abs();
                    assert!(off <= 0.6, "plane {index} at {x},{y}: {} for {want}", after[at]);
                }
            }
        }
    }

    #[test]
    fn a_division_by_255_leaves_what_it_should() {
        assert!((0..65_535).all(|v| by_255(v) == v / 255));
    }

    #[test]
    fn clear_glass_is_no_glass() {
        let area = Rect { x: 20, y: 10, w: 60, h: 40 };
        let mut untouched = noisy();
        for mut picture in [
            frosted(&mask(area, 0), 0, 0, 255),
            frosted(&mask(area, 255), 0, 0, 0),
            frosted(&mask(area, 255), 500, 0, 255),
        ] {
            for index in 0..3 {
                assert!(picture.plane_mut(index).0 == untouched.plane_mut(index).0);
            }
        }
    }
}
