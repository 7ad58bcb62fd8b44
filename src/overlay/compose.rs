//! How a scene's layers get into the picture.
//!
//! A [`DrawList`] says it in the compositors' terms: which cached rasters, moved by how many whole pixels, how opaque, cut where.
//! Whatever moves on the picture is a transform of something that was painted ahead.

pub mod compositor;
pub mod cpu;
pub mod fx;
pub mod glass;
#[cfg(feature = "gpu")]
pub mod gpu;

use super::raster::{Raster, Rect, parity};
use crate::media::Resolution;

pub use compositor::{Choice, Compositor, Drawn, Engine, Error};

/// What a scene shows at one moment. It borrows the scene's rasters.
pub struct DrawList<'s> {
    /// The picture that it is for.
    size: Resolution,
    /// Where the picture is frosted before anything is drawn.
    pub(super) glasses: Vec<Glass<'s>>,
    /// From the back to the front.
    pub(super) draws: Vec<Draw<'s>>,
}

/// One raster, where and how it is blended.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'s> {
    pub raster: &'s Raster,
    /// Whole luma pixels from where it was painted.
    pub dx: i32,
    pub dy: i32,
    /// 255 is as it was painted.
    pub opacity: u8,
    /// The luma pixels of the canvas that it may change, as whole chroma samples; all of them when absent.
    pub clip: Option<Rect>,
    pub scale: Option<Scale>,
    pub fx: Fx,
}

/// Larger or smaller than it was painted, about a point of the canvas that stays where it is (before the move).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// 65536 is as it was painted.
    pub x: u32,
    pub y: u32,
    /// In luma pixels.
    pub about: (i32, i32),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fx {
    #[default]
    None,
    /// Of a ring, so much of its turn is shown, of 256, clockwise from the top.
    Ring { left: u32 },
    /// A bar of light: `fx::fx_shimmer` with pixels counted from the canvas's corner, before the move.
    Shimmer { phase: i32, reach: i32 },
}

/// A part of the picture that is frosted: blurred where a mask covers it.
#[derive(Clone, Copy, Debug)]
pub struct Glass<'s> {
    pub mask: &'s glass::Mask,
    /// Whole chroma samples.
    pub dx: i32,
    pub dy: i32,
    pub opacity: u8,
}

/// Where in a raster's plane a scaled draw finds the sample for a place of the picture's plane: `u0 + x · du` is the column and
/// `v0 + y · dv` the row, in 1/65536 samples from the raster plane's corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    pub u0: i64,
    pub du: i32,
    pub v0: i64,
    pub dv: i32,
}

/// What one draw changes of one plane of the picture, in the plane's samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub x: i32,
    pub y: i32,
    pub right: i32,
    pub bottom: i32,
}

impl<'s> DrawList<'s> {
    pub(super) fn new(size: Resolution) -> DrawList<'s> {
        DrawList { size, glasses: vec![], draws: vec![] }
    }

    /// The size of the pictures that it can be drawn into.
    pub fn size(&self) -> Resolution {
        self.size
    }

    /// Whether the picture can go on as it is.
    pub fn is_empty(&self) -> bool {
        self.draws.is_empty() && self.glasses.is_empty()
    }

    /// What to blend, from the back to the front.
    pub fn draws(&self) -> &[Draw<'s>] {
        &self.draws
    }

    /// What to frost before anything is blended.
    pub fn glasses(&self) -> &[Glass<'s>] {
        &self.glasses
    }
}

impl<'s> Draw<'s> {
    /// A raster as and where it was painted.
    pub(super) fn still(raster: &'s Raster) -> Draw<'s> {
        Draw { raster, dx: 0, dy: 0, opacity: 255, clip: None, scale: None, fx: Fx::None }
    }

    /// Which chroma planes of its raster it draws.
    pub(super) fn parity(&self) -> usize {
        // What is scaled is sampled between its pixels anyway.
        if self.scale.is_some() { 0 } else { parity(self.dx, self.dy) }
    }

    /// The raster's plane (0 luma, 1 Cb, 2 Cr) that it draws.
    pub(super) fn plane(&self, index: usize) -> Option<&'s super::raster::Plane> {
        match index {
            0 => Some(&self.raster.luma),
            _ => self.raster.chroma[self.parity()].as_ref()?.get(index - 1),
        }
    }

    /// By how much an unscaled plane is moved, in its samples.
    pub(super) fn shift(&self, index: usize) -> (i32, i32) {
        // An odd move's first half is in the plane already.
        if index == 0 { (self.dx, self.dy) } else { (self.dx >> 1, self.dy >> 1) }
    }

    /// Which samples of the picture's plane it may change: its raster's place, inside of its clip and of the picture.
    pub(super) fn extent(&self, index: usize, picture: Resolution) -> Extent {
        let Some(plane) = self.plane(index) else { return Extent::NOTHING };
        let halved = u32::from(index > 0);
        let all =
            Extent { x: 0, y: 0, right: (picture.width >> halved) as i32, bottom: (picture.height >> halved) as i32 };
        let clip = self.clip.map_or(all, |clip| {
            let clip = clip.even();
            let part = |v: u32| (v >> halved) as i32;
            Extent { x: part(clip.x), y: part(clip.y), right: part(clip.right()), bottom: part(clip.bottom()) }
        });
        let place = match self.sampling(index) {
            None => {
                let (dx, dy) = self.shift(index);
                let (x, y) = (plane.x + dx, plane.y + dy);
                Extent { x, y, right: x + plane.w as i32, bottom: y + plane.h as i32 }
            }
            Some(sampling) => sampling.extent(plane.w, plane.h),
        };
        place.within(clip).within(all)
    }

    /// Of a scaled draw, where the samples of a plane come from.
    pub(super) fn sampling(&self, index: usize) -> Option<Sampling> {
        let scale = self.scale?;
        let plane = self.plane(index)?;
        // In 1/65536 of the plane's samples: the fixed point, the move, and one sample's step in the raster.
        let axis = |about: i32, moved: i32, factor: u32, down: bool, first: i32| {
            let du = ((1i64 << 32) / i64::from(factor.max(1 << 12))) as i32;
            let (about, moved) = match index {
                // From the edge between pixels to the middle of one.
                0 => ((i64::from(about) << 16) - (1 << 15), i64::from(moved) << 16),
                // A chroma sample lies on the first of its columns, and between its rows.
                _ if down => ((i64::from(about) << 15) - (1 << 15), i64::from(moved) << 15),
                _ => ((i64::from(about) << 15) - (1 << 14), i64::from(moved) << 15),
            };
            let u0 = about - (((moved + about) * i64::from(du)) >> 16) - (i64::from(first) << 16);
            (u0, du)
        };
        let (u0, du) = axis(scale.about.0, self.dx, scale.x, false, plane.x);
        let (v0, dv) = axis(scale.about.1, self.dy, scale.y, true, plane.y);
        Some(Sampling { u0, du, v0, dv })
    }
}

impl Sampling {
    /// The column for a place: 32 bits that wrap on the way are enough for one that lies in the plane.
    pub fn u(&self, x: i32) -> i32 {
        (self.u0 as i32).wrapping_add(x.wrapping_mul(self.du))
    }

    /// The row for a place.
    pub fn v(&self, y: i32) -> i32 {
        (self.v0 as i32).wrapping_add(y.wrapping_mul(self.dv))
    }

    /// The places whose samples lie in a plane of that size or touch it.
    fn extent(&self, w: u32, h: u32) -> Extent {
        let first = |u0: i64, du: i32| (-(1i64 << 16) - u0).div_euclid(i64::from(du)) + 1;
        let last = |u0: i64, du: i32, len: u32| ((i64::from(len) << 16) - u0).div_euclid(i64::from(du)) + 1;
        let place = |v: i64| v.clamp(-(1 << 20), 1 << 20) as i32;
        Extent {
            x: place(first(self.u0, self.du)),
            y: place(first(self.v0, self.dv)),
            right: place(last(self.u0, self.du, w)),
            bottom: place(last(self.v0, self.dv, h)),
        }
    }
}

impl Extent {
    pub const NOTHING: Extent = Extent { x: 0, y: 0, right: 0, bottom: 0 };

    pub fn is_empty(self) -> bool {
        self.right <= self.x || self.bottom <= self.y
    }

    pub fn within(self, other: Extent) -> Extent {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        Extent { x, y, right: self.right.min(other.right).max(x), bottom: self.bottom.min(other.bottom).max(y) }
    }
}
