//! A scene: every layer with every phase it will go through, as a pure function of media time.

use std::sync::Arc;

use serde::Serialize;

use super::compose::DrawList;
use super::digits::{Face, Reading};
use super::raster::{Raster, Rect};
use super::{Canvas, Ground};
use crate::media::MediaTime;

/// Painted layers, immutable. Asking it costs no more than walking its phases.
#[derive(Debug)]
pub struct Scene {
    rev: u64,
    canvas: Canvas,
    /// From the back to the front.
    layers: Vec<Layer>,
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

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) id: String,
    pub(super) hit: Option<String>,
    pub(super) ground: Option<Ground>,
    pub(super) phases: Vec<Phase>,
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
        ends: MediaTime,
        faces: Vec<(Face, Arc<Painted>)>,
    },
}

/// A template painted once.
#[derive(Debug, Default)]
pub(super) struct Painted {
    /// Everything but the digits.
    pub(super) base: Raster,
    pub(super) cells: Vec<Cell>,
    /// The part that is clicked.
    pub(super) hit: Rect,
}

/// A place for one digit: the ten ways it can look.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) area: Rect,
    pub(super) digits: [Raster; 10],
}

impl Scene {
    pub(super) fn new(rev: u64, canvas: Canvas, layers: Vec<Layer>) -> Scene {
        Scene { rev, canvas, layers }
    }

    /// A scene that shows nothing.
    pub fn empty(rev: u64, canvas: Canvas) -> Scene {
        Scene::new(rev, canvas, vec![])
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
        DrawList::new(self, at, ground)
    }

    /// What can be clicked at a moment, from the back to the front.
    pub fn hits(&self, at: MediaTime) -> Vec<Hit> {
        let size = self.canvas.resolution;
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let hit = |layer: &Layer| {
            let (tag, area) = (layer.hit.clone()?, layer.painted(at)?.hit);
            let (x, y) = (f64::from(area.x) / width, f64::from(area.y) / height);
            let (w, h) = (f64::from(area.w) / width, f64::from(area.h) / height);
            (!area.is_empty()).then(|| Hit { id: layer.id.clone(), tag, x, y, w, h })
        };
        self.layers.iter().filter_map(hit).collect()
    }

    /// The next moment after `at` when a phase begins or ends.
    pub fn next_change(&self, at: MediaTime) -> Option<MediaTime> {
        let phases = self.layers.iter().flat_map(|layer| &layer.phases);
        phases.flat_map(|phase| [phase.from, phase.until]).flatten().filter(|change| *change > at).min()
    }

    /// What a layer's digits read at a moment.
    pub fn clock_text(&self, layer: &str, at: MediaTime) -> Option<String> {
        self.layer(layer)?.phase(at)?.reading(at).map(|reading| reading.text())
    }

    /// Where a layer's digits stand at a moment, from the left.
    pub fn clock_cells(&self, layer: &str, at: MediaTime) -> Vec<Rect> {
        let painted = self.layer(layer).and_then(|layer| layer.painted(at));
        painted.map(|painted| painted.cells.iter().map(|cell| cell.area).collect()).unwrap_or_default()
    }

    /// Bytes of memory that its rasters take; rasters shared between phases count once for each.
    pub fn weight(&self) -> usize {
        let paintings = self.layers.iter().flat_map(|layer| &layer.phases).flat_map(|phase| phase.look.paintings());
        paintings.map(Painted::weight).sum()
    }

    pub(super) fn rasters(&self, at: MediaTime, ground: Ground) -> impl Iterator<Item = &Raster> {
        let layers = self.layers.iter().filter(move |layer| layer.ground.is_none_or(|wanted| wanted == ground));
        layers.filter_map(move |layer| layer.phase(at)).flat_map(move |phase| phase.rasters(at))
    }

    fn layer(&self, id: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.id == id)
    }
}

impl Layer {
    fn phase(&self, at: MediaTime) -> Option<&Phase> {
        self.phases.iter().rev().find(|phase| phase.holds(at))
    }

    fn painted(&self, at: MediaTime) -> Option<&Painted> {
        self.phase(at)?.painted(at)
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
            Look::Clock { ends, faces } => {
                let face = Reading::at(*ends, at).face();
                faces.iter().find(|(of, _)| *of == face).map(|(_, painted)| &**painted)
            }
        }
    }

    fn rasters(&self, at: MediaTime) -> impl Iterator<Item = &Raster> {
        let reading = self.reading(at);
        let painted = self.painted(at);
        let cells = painted.map(|painted| &painted.cells[..]).unwrap_or_default();
        let digits = cells.iter().enumerate().filter_map(move |(index, cell)| {
            let digit = *reading.as_ref()?.digits().get(index)?;
            cell.digits.get(usize::from(digit))
        });
        painted.map(|painted| &painted.base).into_iter().chain(digits)
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
        self.base.weight() + self.cells.iter().flat_map(|cell| &cell.digits).map(Raster::weight).sum::<usize>()
    }
}
