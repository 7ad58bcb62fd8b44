//! A frame's work in the shaders' terms: which parts of the picture are sent, what is blended into each, and the tables that say so.

use std::collections::HashMap;

use super::super::glass::{Grid, Mask};
use super::super::{Draw, DrawList, Extent, Fx, cpu};
use crate::media::{Colour, Resolution};
use crate::overlay::raster::Plane;

/// A frame's work. Samples come in words of four; a region's rows are whole words, and each region begins on a workgroup.
pub(super) struct Plan<'s> {
    /// Ordered by where they begin; no two of a plane overlap.
    pub(super) regions: Vec<Region>,
    /// By region, in it from the back to the front.
    blits: Vec<Blit<'s>>,
    panes: Vec<[Pane<'s>; 3]>,
    pub(super) groups: u32,
    /// Words of [`Plan::panes`]' blocks; pieces of glass are frosted one after the other and share them.
    pub(super) blocks: u32,
    /// Whether any blit is more than faded.
    pub(super) effects: bool,
    white: [u32; 3],
}

/// A part of one plane of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    /// 0 luma, 1 Cb, 2 Cr.
    pub(super) plane: usize,
    /// In the plane's samples, `x` and `right` multiples of four.
    pub(super) place: Extent,
    group: u32,
    blits: (u32, u32),
}

/// One plane of one draw.
struct Blit<'s> {
    region: u32,
    index: usize,
    extent: Extent,
    draw: Draw<'s>,
    plane: &'s Plane,
}

/// One plane of a piece of glass.
struct Pane<'s> {
    region: u32,
    grid: Grid,
    extent: Extent,
    mask: &'s Mask,
    index: usize,
    left: i32,
    top: i32,
    opacity: u8,
    /// Width and height of the plane.
    size: (u32, u32),
}

/// Samples of a layer that the shaders read, wherever the atlas keeps them.
#[derive(Clone, Copy)]
pub(super) enum Samples<'s> {
    Raster(&'s Plane),
    Mask(&'s [u8]),
}

impl Samples<'_> {
    pub(super) fn len(&self) -> u32 {
        match self {
            Samples::Raster(plane) => plane.a.len() as u32,
            Samples::Mask(alpha) => alpha.len() as u32,
        }
    }
}

/// What an atlas knows samples by: a raster's or a mask's id, and which of its planes.
pub(super) type Key = (u64, u8);

impl<'s> Plan<'s> {
    /// `width` is the invocations of a workgroup.
    pub(super) fn of(list: &DrawList<'s>, size: Resolution, colour: Colour, width: u32) -> Plan<'s> {
        let mut plan = Plan {
            regions: vec![],
            blits: vec![],
            panes: vec![],
            groups: 0,
            blocks: 0,
            effects: false,
            white: [0, 1, 2].map(|index| cpu::white(colour, index)),
        };
        let draws = list.draws().iter().filter(|draw| draw.opacity > 0);
        for (draw, index) in draws.flat_map(|draw| (0..3).map(move |index| (draw, index))) {
            let (extent, Some(plane)) = (draw.extent(index, size), draw.plane(index)) else { continue };
            if !extent.is_empty() {
                plan.effects |= draw.scale.is_some() || draw.fx != Fx::None;
                plan.blits.push(Blit { region: 0, index, extent, draw: *draw, plane });
            }
        }
        for glass in list.glasses().iter().filter(|glass| glass.opacity > 0) {
            let pane = |index: usize| {
                let (extent, shape) = (glass.extent(index, size), &glass.mask.shapes[index.min(1)]);
                let halved = u32::from(index > 0);
                let size = (size.width >> halved, size.height >> halved);
                Pane {
                    region: 0,
                    grid: Grid::around(extent, (size.0 as usize, size.1 as usize)),
                    extent,
                    mask: glass.mask,
                    index,
                    left: shape.x + (glass.dx >> halved),
                    top: shape.y + (glass.dy >> halved),
                    opacity: glass.opacity,
                    size,
                }
            };
            // Whole chroma samples: off the picture in one plane is off it in all.
            if (0..3).all(|index| !glass.extent(index, size).is_empty()) {
                plan.panes.push([0, 1, 2].map(pane));
            }
        }
        plan.lay_out(width);
        plan
    }

    pub(super) fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// The layers that the frame needs, each as often as it is used.
    pub(super) fn samples(&self) -> impl Iterator<Item = (Key, Samples<'s>)> {
        let blits = self.blits.iter().map(|blit| (blit.key(), Samples::Raster(blit.plane)));
        let panes = self.panes.iter().flatten();
        blits.chain(panes.map(|pane| (pane.key(), Samples::Mask(&pane.mask.shapes[pane.index.min(1)].a))))
    }

    /// Samples of those layers, each counted once.
    pub(super) fn samples_len(&self) -> u64 {
        let lens: HashMap<Key, u32> = self.samples().map(|(key, samples)| (key, samples.len())).collect();
        lens.into_values().map(u64::from).sum()
    }

    /// Bytes of the tables.
    pub(super) fn tables_len(&self) -> usize {
        4 * (HEADER + MOST_REGIONS * REGION + self.blits.len().max(1) * BLIT)
    }

    /// Bytes of the panes.
    pub(super) fn panes_len(&self) -> usize {
        self.panes.len() * PIECE
    }

    /// Invocations that each step of a piece of glass takes a plane: for the blocks, and for laying them back.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (u32, u32)> {
        self.panes.iter().map(|panes| {
            let blocks = panes.iter().map(|pane| pane.grid.w * pane.grid.h).max().unwrap_or(0);
            let words = panes.iter().map(|pane| {
                let place = aligned(pane.extent);
                (place.right - place.x) / 4 * (place.bottom - place.y)
            });
            (blocks as u32, words.max().unwrap_or(0) as u32)
        })
    }

    /// Writes the tables as the shaders read them. `address` tells where in the layers' buffer samples begin.
    pub(super) fn write_tables(&self, address: impl Fn(Key) -> u32, into: &mut Vec<u8>) {
        let begun = into.len();
        words(into, [self.groups, self.regions.len() as u32, 0, 0]);
        for region in &self.regions {
            let Extent { x, y, right, bottom } = region.place;
            let (first, end) = region.blits;
            let size = [((right - x) / 4) as u32, (bottom - y) as u32];
            words(into, [region.group, size[0], size[1], x as u32, y as u32, first, end, 0]);
        }
        into.resize(begun + 4 * (HEADER + MOST_REGIONS * REGION), 0);
        for blit in &self.blits {
            words(into, blit.words(address(blit.key()), self.white[blit.index]));
        }
        into.resize(begun + self.tables_len(), 0);
    }

    /// Writes the panes as the shaders read them, each piece of glass at a multiple of [`PIECE`].
    pub(super) fn write_panes(&self, address: impl Fn(Key) -> u32, into: &mut Vec<u8>) {
        let begun = into.len();
        for (piece, panes) in self.panes.iter().enumerate() {
            let mut blocks = 0;
            for pane in panes {
                words(into, pane.words(address(pane.key()), blocks));
                blocks += pane.blocks();
            }
            into.resize(begun + (piece + 1) * PIECE, 0);
        }
    }

    /// Makes the regions, and gives every blit and pane its own.
    fn lay_out(&mut self, width: u32) {
        for index in 0..3 {
            let blits = self.blits.iter().filter(|blit| blit.index == index).map(|blit| blit.extent);
            let panes = self.panes.iter().map(|panes| panes[index].reads());
            for place in apart(blits.chain(panes).map(aligned)) {
                self.regions.push(Region { plane: index, place, group: 0, blits: (0, 0) });
            }
        }
        for region in &mut self.regions {
            region.group = self.groups;
            let Extent { x, y, right, bottom } = region.place;
            self.groups += ((right - x) as u32 / 4 * (bottom - y) as u32).div_ceil(width);
        }
        let holding = |index: usize, extent: Extent| {
            let holds = |region: &Region| region.plane == index && extent.within(region.place) == extent;
            self.regions.iter().position(holds).expect("every extent went into a region") as u32
        };
        for blit in &mut self.blits {
            blit.region = holding(blit.index, blit.extent);
        }
        for pane in self.panes.iter_mut().flatten() {
            pane.region = holding(pane.index, pane.reads());
        }
        // Stable: within a region the order of the draws stays.
        self.blits.sort_by_key(|blit| blit.region);
        let mut first = 0;
        for (region, number) in self.regions.iter_mut().zip(0..) {
            let end = first + self.blits[first..].iter().take_while(|blit| blit.region == number).count();
            region.blits = (first as u32, end as u32);
            first = end;
        }
        let blocks = self.panes.iter().map(|panes| panes.iter().map(Pane::blocks).sum());
        self.blocks = blocks.max().unwrap_or(0);
    }
}

impl Region {
    /// Where its words begin in the picture's buffer, in bytes.
    pub(super) fn start(&self, width: u32) -> usize {
        4 * self.group as usize * width as usize
    }
}

impl Blit<'_> {
    fn key(&self) -> Key {
        let which = if self.index == 0 { 0 } else { 2 * self.draw.parity() + self.index };
        (self.draw.raster.id, which as u8)
    }

    /// `struct Blit` of `overlay.wgsl`.
    fn words(&self, samples: u32, white: u32) -> [u32; BLIT] {
        let Extent { x, y, right, bottom } = self.extent;
        let (plane, draw, step) = (self.plane, &self.draw, if self.index == 0 { 1 } else { 2 });
        let shift = draw.shift(self.index);
        let (left, top) = (plane.x.wrapping_add(shift.0), plane.y.wrapping_add(shift.1));
        let (effect, phase, reach) = match draw.fx {
            Fx::None => (0, 0, 0),
            Fx::Ring { left } => (1, left as i32, 0),
            Fx::Shimmer { phase, reach } => (2, phase, reach),
        };
        let (u0, du, v0, dv) = draw
            .sampling(self.index)
            .map_or((0, 0, 0, 0), |scaled| (scaled.u0 as i32, scaled.du, scaled.v0 as i32, scaled.dv));
        let place = [x, y, right, bottom].map(|v| v as u32);
        let at = [left, top, plane.x * step, plane.y * step, step].map(|v| v as u32);
        let motion = [phase, reach, u0, du, v0, dv].map(|v| v as u32);
        let mut all = [0; BLIT];
        all[..4].copy_from_slice(&place);
        all[4..8].copy_from_slice(&[samples, plane.w, plane.h, effect]);
        all[8..13].copy_from_slice(&at);
        all[13..15].copy_from_slice(&[u32::from(draw.opacity), white]);
        all[15..21].copy_from_slice(&motion);
        all
    }
}

impl Pane<'_> {
    fn key(&self) -> Key {
        (self.mask.id, self.index.min(1) as u8)
    }

    /// Words of its blocks, and of the sums across them.
    fn blocks(&self) -> u32 {
        2 * (self.grid.w * self.grid.h) as u32
    }

    /// The samples that its blur takes in.
    fn reads(&self) -> Extent {
        let (x, y) = (4 * self.grid.x, 4 * self.grid.y);
        let all = Extent { x: 0, y: 0, right: self.size.0 as i32, bottom: self.size.1 as i32 };
        Extent { x, y, right: x + 4 * self.grid.w as i32, bottom: y + 4 * self.grid.h as i32 }.within(all)
    }

    /// `struct Pane` of `glass.wgsl`.
    fn words(&self, mask: u32, blocks: u32) -> [u32; PANE] {
        let Extent { x, y, right, bottom } = self.extent;
        let grid = [self.grid.x as u32, self.grid.y as u32, self.grid.w as u32, self.grid.h as u32];
        let place = [x, y, right, bottom].map(|v| v as u32);
        let mut all = [0; PANE];
        all[..4].copy_from_slice(&grid);
        all[4..8].copy_from_slice(&place);
        let columns = self.mask.shapes[self.index.min(1)].w;
        all[8..12].copy_from_slice(&[self.left as u32, self.top as u32, columns, mask]);
        all[12..14].copy_from_slice(&[self.size.0, self.size.1]);
        all[14..17].copy_from_slice(&[self.region, u32::from(self.opacity), blocks]);
        all
    }
}

/// Widened to whole words: a picture's rows are padded to more than that.
fn aligned(extent: Extent) -> Extent {
    Extent { x: extent.x & !3, right: (extent.right + 3) & !3, ..extent }
}

/// Rectangles that overlap become one that holds both; too many become one that holds all.
fn apart(places: impl Iterator<Item = Extent>) -> Vec<Extent> {
    let mut apart: Vec<Extent> = vec![];
    for mut place in places {
        while let Some(other) = apart.iter().position(|other| !other.within(place).is_empty()) {
            place = union(place, apart.swap_remove(other));
        }
        apart.push(place);
    }
    if apart.len() > MOST_REGIONS / 3 { apart.into_iter().reduce(union).into_iter().collect() } else { apart }
}

fn union(one: Extent, other: Extent) -> Extent {
    Extent {
        x: one.x.min(other.x),
        y: one.y.min(other.y),
        right: one.right.max(other.right),
        bottom: one.bottom.max(other.bottom),
    }
}

fn words<const N: usize>(into: &mut Vec<u8>, words: [u32; N]) {
    words.iter().for_each(|word| into.extend_from_slice(&word.to_le_bytes()));
}

/// Sizes of the shaders' structs, in words.
const HEADER: usize = 4;
const REGION: usize = 8;
const BLIT: usize = 24;
const PANE: usize = 20;
/// Bytes from one piece of glass to the next: what every device takes for the offset of a uniform.
pub(super) const PIECE: usize = 256;
/// As many as `struct Tables` of `overlay.wgsl` holds.
const MOST_REGIONS: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(x: i32, y: i32, w: i32, h: i32) -> Extent {
        Extent { x, y, right: x + w, bottom: y + h }
    }

    #[test]
    fn regions_never_overlap_and_hold_every_place() {
        let mut noise = 1u32;
        let mut next = |below: i32| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 8) as i32 % below
        };
        for count in [1, 2, 5, 9, 60] {
            let places: Vec<_> =
                (0..count).map(|_| aligned(extent(next(900), next(900), 1 + next(60), 1 + next(60)))).collect();
            let regions = apart(places.iter().copied());
            for (n, region) in regions.iter().enumerate() {
                assert!(regions[..n].iter().all(|other| other.within(*region).is_empty()));
                assert_eq!((region.x % 4, region.right % 4), (0, 0));
            }
            assert!(places.iter().all(|place| regions.iter().any(|region| place.within(*region) == *place)));
        }
    }

    #[test]
    fn a_ticker_and_a_card_do_not_send_what_lies_between_them() {
        let places = [extent(40, 780, 480, 180), extent(0, 1012, 1920, 60), extent(60, 800, 30, 30)];
        assert_eq!(apart(places.into_iter()).len(), 2);
    }

    #[test]
    fn very_many_places_are_taken_as_one() {
        let places = (0..40).map(|n| extent(8 * n, 8 * n, 4, 4));
        assert_eq!(apart(places), [extent(0, 0, 316, 316)]);
    }
}
