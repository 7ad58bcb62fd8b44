//! A scene: every layer with every phase it will go through, as a pure function of media time.
//!
//! Scenes follow one another. [`Scene::following`] takes over from the one before when each layer came, keeps those that leave
//! until they are gone, and remembers what a layer looked like before it changed, so that motion runs on over any number of
//! changes: what is on the picture is a function of the scenes and their moments, and of nothing else.

mod shown;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use shown::Shown;

use super::compose::DrawList;
use super::compose::glass::Mask;
use super::digits::{Face, Reading};
use super::motion::{Change, ChangeKind, Digits, Emphasis, Transition};
use super::pose::{Pose, length, share};
use super::raster::{Raster, Rect};
use super::{Canvas, Ground};
use crate::media::MediaTime;

/// Painted layers, immutable. Asking it costs no more than walking its phases.
#[derive(Debug)]
pub struct Scene {
    rev: u64,
    canvas: Canvas,
    /// From the back to the front.
    layers: Vec<Placed>,
}

/// A place on the picture that can be clicked. Normalised: 0..1 of the picture's width and height.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// The layer's id.
    pub id: String,
    /// What it means, as the layer's spec said.
    pub tag: String,
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

/// A layer and its time on the picture.
#[derive(Clone, Debug)]
struct Placed {
    layer: Arc<Layer>,
    /// When it came; it was there from the beginning when absent.
    came: Option<MediaTime>,
    /// When it was taken off: it is on its way out.
    gone: Option<MediaTime>,
    /// What it was until when, where a change made it another.
    was: Option<(Arc<Layer>, MediaTime)>,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) id: String,
    pub(super) z: i32,
    /// What its clickable parts mean, in their order.
    pub(super) hits: Vec<String>,
    pub(super) ground: Option<Ground>,
    pub(super) phases: Vec<Phase>,
    pub(super) motion: Motion,
}

/// How a layer moves.
#[derive(Clone, Debug)]
pub(super) struct Motion {
    pub(super) enter: Transition,
    pub(super) exit: Transition,
    pub(super) change: Change,
    pub(super) emphasis: Option<Emphasis>,
    pub(super) digits: Digits,
    /// By how many pixels a second its strip runs to the left; to the right when negative.
    pub(super) scroll: f64,
}

#[derive(Debug)]
pub(super) struct Phase {
    pub(super) from: Option<MediaTime>,
    pub(super) until: Option<MediaTime>,
    pub(super) look: Look,
}

/// What a phase shows.
#[derive(Debug)]
pub(super) enum Look {
    Still(Arc<Painted>),
    /// One painting for each face that the countdown goes through.
    Clock {
        /// When it began to run, which says how much of a ring is full.
        begins: Option<MediaTime>,
        ends: MediaTime,
        faces: Vec<(Face, Arc<Painted>)>,
    },
}

/// A template painted once.
#[derive(Debug, Default)]
pub(super) struct Painted {
    /// Everything but the digits and what moves by itself.
    pub(super) base: Raster,
    /// The turn of a template's own animation: lies over the base.
    pub(super) film: Option<Film>,
    pub(super) cells: Vec<Cell>,
    /// What empties with the time left.
    pub(super) ring: Option<Raster>,
    /// What swells and fades.
    pub(super) glow: Option<Raster>,
    /// The shape behind which the picture is frosted.
    pub(super) glass: Option<Mask>,
    pub(super) strip: Option<Strip>,
    /// Everything that it covers.
    pub(super) area: Rect,
    /// The parts that are clicked.
    pub(super) hits: Vec<Rect>,
}

/// A place for one digit: the ten ways it can look.
#[derive(Debug)]
pub(super) struct Cell {
    /// Which of the face's digits it shows, from the left.
    pub(super) place: usize,
    pub(super) area: Rect,
    pub(super) digits: [Raster; 10],
}

/// Frames that are shown in turn.
#[derive(Debug)]
pub(super) struct Film {
    pub(super) period: Duration,
    pub(super) frames: Vec<Raster>,
}

/// What runs through a window.
#[derive(Debug)]
pub(super) struct Strip {
    /// Side by side, painted from the canvas's corner on.
    pub(super) pieces: Vec<Raster>,
    /// Pixels from one turn to the next; even.
    pub(super) period: u32,
    pub(super) window: Rect,
}

impl Scene {
    pub(super) fn new(rev: u64, canvas: Canvas, layers: Vec<Layer>) -> Scene {
        let placed = |layer| Placed { layer: Arc::new(layer), came: None, gone: None, was: None };
        Scene { rev, canvas, layers: layers.into_iter().map(placed).collect() }
    }

    /// A scene that shows nothing.
    pub fn empty(rev: u64, canvas: Canvas) -> Scene {
        Scene::new(rev, canvas, vec![])
    }

    /// The same scene, taking over from another one at a moment: layers that both have stay where they are, new ones come in
    /// from then on, and the old one's others leave.
    pub fn following(&self, before: Option<&Scene>, from: MediaTime) -> Scene {
        let Some(before) = before.filter(|before| before.canvas == self.canvas) else {
            // Nothing of another size can stay.
            return Scene { rev: self.rev, canvas: self.canvas, layers: self.layers.clone() };
        };
        let mut layers: Vec<Placed> = self.layers.iter().map(|placed| placed.following(before, from)).collect();
        let leaving = before.layers.iter().filter(|old| !self.layers.iter().any(|new| new.layer.id == old.layer.id));
        let leaving = leaving.map(|old| Placed { gone: old.gone.or(Some(from)), ..old.clone() });
        layers.extend(leaving.filter(|old| !old.is_over(from)));
        // Stable: new layers keep their order, and what leaves lies before them at the same height.
        layers.sort_by_key(|placed| placed.layer.z);
        Scene { rev: self.rev, canvas: self.canvas, layers }
    }

    /// The revision of the show that it shows.
    pub fn rev(&self) -> u64 {
        self.rev
    }

    pub fn canvas(&self) -> Canvas {
        self.canvas
    }

    /// What it shows at a moment, over a ground.
    pub fn frame(&self, at: MediaTime, ground: Ground) -> DrawList<'_> {
        let mut list = DrawList::new(self.canvas().resolution);
        for placed in &self.layers {
            if placed.layer.ground.is_none_or(|wanted| wanted == ground) {
                placed.draw(at, self.canvas, &mut list);
            }
        }
        list
    }

    /// What can be clicked at a moment, from the back to the front: where it comes to rest, since a click on a card that slides in
    /// is meant for the card.
    pub fn hits(&self, at: MediaTime) -> Vec<Hit> {
        let size = self.canvas.resolution;
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let hits = |placed: &Placed| {
            let layer = placed.layer.clone();
            let areas =
                if placed.gone.is_none() { layer.painted(at).map(|painted| painted.hits.clone()) } else { None };
            areas.unwrap_or_default().into_iter().enumerate().filter_map(move |(index, area)| {
                let tag = layer.hits.get(index)?.clone();
                let (x, y) = (f64::from(area.x) / width, f64::from(area.y) / height);
                let (w, h) = (f64::from(area.w) / width, f64::from(area.h) / height);
                (!area.is_empty()).then(|| Hit { id: layer.id.clone(), tag, x, y, w, h })
            })
        };
        self.layers.iter().flat_map(hits).collect()
    }

    /// What a layer's digits read at a moment.
    pub fn clock_text(&self, layer: &str, at: MediaTime) -> Option<String> {
        self.layer(layer)?.phase(at)?.reading(at).map(|reading| reading.text())
    }

    /// Bytes of memory that its rasters take; rasters shared between phases count once for each.
    pub fn weight(&self) -> usize {
        let phases = self.layers.iter().flat_map(|placed| &placed.layer.phases);
        phases.flat_map(|phase| phase.look.paintings()).map(Painted::weight).sum()
    }

    fn layer(&self, id: &str) -> Option<&Layer> {
        self.layers.iter().map(|placed| &*placed.layer).find(|layer| layer.id == id)
    }
}

impl Placed {
    /// The same layer where another scene had one of its name.
    fn following(&self, before: &Scene, from: MediaTime) -> Placed {
        let old = before.layers.iter().find(|old| old.layer.id == self.layer.id && old.gone.is_none());
        let Some(old) = old else { return Placed { came: Some(from), ..self.clone() } };
        let same = match (old.layer.painted(from), self.layer.painted(from)) {
            (Some(old), Some(new)) => std::ptr::eq(old, new),
            _ => true,
        };
        let was = if same { old.was.clone() } else { Some((old.layer.clone(), from)) };
        Placed { layer: self.layer.clone(), came: old.came, gone: None, was }
    }

    fn is_over(&self, at: MediaTime) -> bool {
        self.gone.is_some_and(|gone| at >= gone + length(&self.layer.motion.exit))
    }

    fn draw<'s>(&'s self, at: MediaTime, canvas: Canvas, list: &mut DrawList<'s>) {
        let motion = &self.layer.motion;
        let Some(time) = self.time(at) else { return };
        let Some(painted) = self.layer.painted(time.look) else { return };
        let area = painted.area;
        let pose = match time.left {
            Some(left) => match Pose::leaving(&motion.exit, at.since(left), area, canvas.resolution) {
                Some(pose) => pose,
                None => return,
            },
            None => match time.came {
                Some(came) if at.since(came) < length(&motion.enter) => {
                    Pose::entering(&motion.enter, at.since(came), area, canvas.resolution)
                }
                _ => Pose::REST,
            },
        };
        let here = at.since(time.came.unwrap_or(MediaTime::ZERO));
        let pose = match &motion.emphasis {
            Some(emphasis) if pose == Pose::REST => Pose::emphasised(emphasis, here),
            _ => pose,
        };
        let look = Shown { layer: &self.layer, painted, at: time.look, here };
        match self.change(at, &time) {
            None => look.draw(pose, canvas, list),
            Some((old, share)) => {
                let old = Shown { here, ..old };
                look.change(&old, motion.change.kind, share, pose, canvas, list);
            }
        }
    }

    /// Where in its time the layer is. None when it shows nothing.
    fn time(&self, at: MediaTime) -> Option<Time> {
        let until = self.gone.unwrap_or(MediaTime::from_ticks(i64::MAX));
        let look = if at < until { at } else { MediaTime::from_ticks(until.ticks() - 1) };
        if let Some(phase) = self.layer.phase(look) {
            let came = later(self.layer.there_since(phase), self.came);
            return Some(Time { look, came, left: self.gone.filter(|gone| at >= *gone) });
        }
        // The last phase that is over may still be on its way out.
        let over = |phase: &&Phase| phase.until.is_some_and(|until| until <= look);
        let last = self.layer.phases.iter().filter(over).max_by_key(|phase| phase.until)?;
        let left = last.until?;
        let look = MediaTime::from_ticks(left.ticks() - 1);
        let holds = last.holds(look) && at.since(left) < length(&self.layer.motion.exit);
        holds.then(|| Time { look, came: later(last.from, self.came), left: Some(left) })
    }

    /// What it looked like in the moment before its newest change, and how far the change has come; None when that is over.
    fn change(&self, at: MediaTime, time: &Time) -> Option<(Shown<'_>, f64)> {
        let Change { kind, ms } = self.layer.motion.change;
        if kind == ChangeKind::Cut || time.left.is_some() {
            return None;
        }
        let long = Duration::from_millis(u64::from(ms));
        let recent = |since: MediaTime| since <= at && at.since(since) < long;
        let phase = self.layer.phase(at)?;
        let (layer, since) = match (phase.from, &self.was) {
            (Some(from), _) if recent(from) => (&self.layer, from),
            (_, Some((was, since))) if recent(*since) => (was, *since),
            _ => return None,
        };
        let before = MediaTime::from_ticks(since.ticks() - 1);
        let (old, new) = (layer.painted(before)?, self.layer.painted(at)?);
        let old = Shown { layer, painted: old, at: before, here: Duration::ZERO };
        (!std::ptr::eq(old.painted, new)).then(|| (old, share(at.since(since), ms)))
    }
}

/// Where in a layer's time a moment lies.
struct Time {
    /// The moment whose look it shows: the last one while it leaves.
    look: MediaTime,
    came: Option<MediaTime>,
    left: Option<MediaTime>,
}

/// The later of two beginnings, of which none is the beginning of time.
fn later(a: Option<MediaTime>, b: Option<MediaTime>) -> Option<MediaTime> {
    a.max(b)
}

impl Layer {
    fn phase(&self, at: MediaTime) -> Option<&Phase> {
        self.phases.iter().rev().find(|phase| phase.holds(at))
    }

    fn painted(&self, at: MediaTime) -> Option<&Painted> {
        self.phase(at)?.painted(at)
    }

    /// Since when one phase after another has held.
    fn there_since(&self, phase: &Phase) -> Option<MediaTime> {
        let mut since = phase.from?;
        while let Some(before) = self.phase(MediaTime::from_ticks(since.ticks() - 1)) {
            match before.from {
                Some(from) if from < since => since = from,
                _ => return None,
            }
        }
        Some(since)
    }
}

impl Phase {
    fn holds(&self, at: MediaTime) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    fn reading(&self, at: MediaTime) -> Option<Reading> {
        match self.look {
            Look::Still(_) => None,
            Look::Clock { ends, .. } => Some(Reading::at(ends, at)),
        }
    }

    fn painted(&self, at: MediaTime) -> Option<&Painted> {
        match &self.look {
            Look::Still(painted) => Some(painted),
            Look::Clock { ends, faces, .. } => {
                let face = Reading::at(*ends, at).face();
                faces.iter().find(|(of, _)| *of == face).map(|(_, painted)| &**painted)
            }
        }
    }

    /// How much of a ring is full, of 256; rounded up, so that it empties at the end.
    fn left(&self, at: MediaTime) -> u32 {
        match self.look {
            Look::Clock { begins: Some(begins), ends, .. } if begins < ends => {
                let (whole, left) = (ends.ticks() - begins.ticks(), ends.ticks().saturating_sub(at.ticks()));
                (left.clamp(0, whole) * 256).div_euclid(whole) as u32 + u32::from(left > 0 && left < whole)
            }
            _ => 256,
        }
    }
}

impl Look {
    fn paintings(&self) -> impl Iterator<Item = &Painted> {
        let (still, faces) = match self {
            Look::Still(painted) => (Some(&**painted), &[][..]),
            Look::Clock { faces, .. } => (None, &faces[..]),
        };
        still.into_iter().chain(faces.iter().map(|(_, painted)| &**painted))
    }
}

impl Painted {
    /// Bytes of memory it takes.
    pub(super) fn weight(&self) -> usize {
        let film = self.film.iter().flat_map(|film| &film.frames);
        let strip = self.strip.iter().flat_map(|strip| &strip.pieces);
        let digits = self.cells.iter().flat_map(|cell| &cell.digits);
        let pieces = self.ring.iter().chain(&self.glow).chain(film).chain(strip).chain(digits);
        let mask = self.glass.as_ref().map_or(0, Mask::weight);
        self.base.weight() + mask + pieces.map(Raster::weight).sum::<usize>()
    }
}

#[cfg(test)]
impl Scene {
    /// The next moment after `at` when a phase begins or ends.
    pub fn next_change(&self, at: MediaTime) -> Option<MediaTime> {
        let phases = self.layers.iter().flat_map(|placed| &placed.layer.phases);
        phases.flat_map(|phase| [phase.from, phase.until]).flatten().filter(|change| *change > at).min()
    }
}

#[cfg(test)]
impl Motion {
    /// Everything at once.
    pub(super) const NONE: Motion = Motion {
        enter: Transition::CUT,
        exit: Transition::CUT,
        change: Change::CUT,
        emphasis: None,
        digits: Digits::Cut,
        scroll: 0.0,
    };
}
