//! One painting: a template with its values, taken apart into what is cached, what moves by itself and what is clicked.

use std::sync::Arc;
use std::time::Duration;

use minijinja::value::Serde;
use minijinja::{Value, context};
use sha2::{Digest, Sha256};
use takumi::prelude::StyleSheet;

use super::PaintError;
use crate::overlay::compose::glass::Mask;
use crate::overlay::digits::Face;
use crate::overlay::html::{HtmlError, Page, Part, Typesetter};
use crate::overlay::motion;
use crate::overlay::photo::Photo;
use crate::overlay::raster::{Moves, Painting, Raster, Rect};
use crate::overlay::scene::{Cell, Film, Painted, Strip};
use crate::overlay::theme::{Kind, Style, Template, ThemeError};
use crate::overlay::{Canvas, LayerSpec, PhaseSpec, Staging};

#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) typesetter: &'a Typesetter,
    pub(super) kind: &'a Kind,
    pub(super) spec: &'a LayerSpec,
    pub(super) phase: &'a PhaseSpec,
    pub(super) style: &'a Style,
    pub(super) face: Option<Face>,
    pub(super) staging: &'a Staging,
}

impl Job<'_> {
    /// Names everything that the painting depends on.
    pub(super) fn key(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        add(self.template().source.as_bytes());
        add(self.kind.strip.as_ref().map_or("", |strip| &*strip.source).as_bytes());
        add(self.phase.values.to_string().as_bytes());
        for (name, photo) in &self.phase.images {
            add(name.as_bytes());
            add(&photo.hash());
        }
        add(format!("{:?} {:?} {:?} {}", self.face, self.canvas(), self.style, self.staging.locale).as_bytes());
        hash.finalize().into()
    }

    pub(super) fn paint(&self) -> Result<Painted, PaintError> {
        let (painted, everything, mut area) = self.everything()?;
        let mut seen = everything.seen();
        let parted = self.has("ring") || self.has("glow");
        let part = if parted { Part::Ground } else { Part::Everything };
        let ground_sheet = self.sheet(part)?;
        let ground = if parted { self.painting(&painted, &ground_sheet, 0)? } else { everything };
        let turn = self.turn(&painted, &ground_sheet, &ground)?;
        // What an animation shows later is the layer's as well.
        (area, seen) = (area.union(turn.ink), seen.union(turn.seen));
        let page = self.page(0, self.cropped(area))?;
        let landmarks = self.template().landmark_sheet().and_then(|sheet| self.typesetter.landmarks(&page, sheet));
        let landmarks = landmarks.map_err(|source| self.failed(source))?;
        let (places, cells): (Vec<usize>, Vec<Rect>) = landmarks.cells.into_iter().unzip();
        let cells = apart(&cells);
        let hits = if landmarks.hits.is_empty() { vec![seen] } else { landmarks.hits };
        let moves = self.style.moves();
        let holes: Vec<Rect> = cells.iter().copied().chain((!turn.moving.is_empty()).then_some(turn.moving)).collect();
        Ok(Painted {
            base: self.raster(&ground, area, &holes, moves),
            film: self.film(&turn, &ground, &cells),
            cells: self.cells(&places, &cells, &ground, &ground_sheet)?,
            ring: self.piece("ring", &page)?.map(|painting| {
                let area = painting.ink();
                self.raster(&painting, area, &[], moves).ring(painting.seen())
            }),
            glow: self.piece("glow", &page)?.map(|painting| self.raster(&painting, painting.ink(), &[], moves)),
            glass: self.glass(&page)?,
            strip: self.strip(landmarks.window)?,
            area,
            hits,
        })
    }

    /// The page with all that it shows, its painting, and where there is ink: of as much of the canvas as is known to be enough.
    fn everything(&self) -> Result<(Page, Painting, Rect), PaintError> {
        let (template, canvas) = (self.template(), self.canvas().resolution);
        let mut page = self.page(0, Rect::of(canvas))?;
        let boxes = self.typesetter.check(&page, &template.sheet).map_err(|source| self.failed(source))?;
        let part = self.cropped(template.reach.around(boxes, canvas));
        // Where an animation takes its elements, no box tells.
        if part != page.area() && self.style.film.is_none() {
            page = self.page(0, part)?;
        }
        let mut painting = self.painting(&page, &template.sheet, 0)?;
        let mut ink = painting.ink();
        if painting.may_go_on(ink) {
            page = self.page(0, Rect::of(canvas))?;
            painting = self.painting(&page, &template.sheet, 0)?;
            ink = painting.ink();
        }
        template.reach.learn(boxes, ink, canvas);
        Ok((page, painting, ink))
    }

    /// Every cell with the same digit, ten times over: a cell's look does not depend on its neighbours'.
    fn cells(
        &self,
        places: &[usize],
        cells: &[Rect],
        zero: &Painting,
        sheet: &Arc<StyleSheet>,
    ) -> Result<Vec<Cell>, PaintError> {
        let moves = self.style.digit_moves();
        let cut = |painting: &Painting| -> Vec<Raster> {
            cells.iter().map(|cell| Raster::piece(painting, self.canvas().colour, *cell, &[], moves)).collect()
        };
        let area = self.cropped(around(cells).within(Rect::of(self.canvas().resolution)));
        let mut looks: Vec<Vec<Raster>> = cells.iter().map(|_| Vec::with_capacity(10)).collect();
        for digit in 0..if cells.is_empty() { 0 } else { 10 } {
            let cuts = match digit {
                0 => cut(zero),
                _ => cut(&self.painting(&self.page(digit, area)?, sheet, 0)?),
            };
            looks.iter_mut().zip(cuts).for_each(|(looks, cut)| looks.push(cut));
        }
        let cells = places.iter().zip(cells).zip(looks).map(|((place, area), looks)| {
            let digits: Result<[Raster; 10], _> = looks.try_into();
            Cell { place: *place, area: *area, digits: digits.unwrap_or_default() }
        });
        Ok(cells.collect())
    }

    /// What the template's own animation makes of its first moment in a turn. Of each painting only what differs is kept: a
    /// canvas takes megabytes, and a film has many.
    fn turn(&self, page: &Page, sheet: &Arc<StyleSheet>, first: &Painting) -> Result<Turn, PaintError> {
        let mut turn = Turn::default();
        let Some(film) = self.style.film else { return Ok(turn) };
        let count = film.frames().min(motion::Film::MOST_FRAMES);
        turn.period = Duration::from_millis(u64::from(film.ms));
        for index in 1..count {
            let time = u64::from(film.ms) * u64::from(index) / u64::from(count);
            let painting = self.painting(page, sheet, time)?;
            let change = painting.difference(first);
            // A column more, for the chroma that the last one leaks into.
            let leaking = if change.is_empty() { change } else { Rect { w: change.w + 1, ..change } };
            turn.moving = turn.moving.union(leaking.even().within(page.area()));
            let Rect { w: width, h: height, .. } = turn.moving;
            if self.style.moves().weight(u64::from(width) * u64::from(height) * u64::from(count)) > MOST_FILM_BYTES {
                return Err(self.failed(HtmlError::Film { frames: count, width, height }));
            }
            turn.ink = turn.ink.union(painting.ink());
            turn.seen = turn.seen.union(painting.seen());
            turn.changes.push(painting.part(change));
        }
        Ok(turn)
    }

    /// The frames of a turn: what moves in it, as it lies over the first one's.
    fn film(&self, turn: &Turn, first: &Painting, cells: &[Rect]) -> Option<Film> {
        if turn.moving.is_empty() {
            return None;
        }
        // The chroma at its edges takes in what lies beside it.
        let around = first.part(around(&[turn.moving]));
        let frame = |change: Option<&Painting>| {
            let mut painting = around.part(around.area);
            change.into_iter().for_each(|change| painting.put(change));
            Raster::piece(&painting, self.canvas().colour, turn.moving, cells, self.style.moves())
        };
        let frames = std::iter::once(None).chain(turn.changes.iter().map(Some)).map(frame).collect();
        Some(Film { period: turn.period, frames })
    }

    /// An element that is drawn by itself.
    fn piece(&self, id: &'static str, page: &Page) -> Result<Option<Painting>, PaintError> {
        if !self.has(id) {
            return Ok(None);
        }
        self.painting(page, &self.sheet(Part::Only(id))?, 0).map(Some)
    }

    fn glass(&self, page: &Page) -> Result<Option<Mask>, PaintError> {
        if !self.style.glass || !self.has("glass") {
            return Ok(None);
        }
        let painting = self.painting(page, &self.sheet(Part::GlassShape)?, 0)?;
        let area = painting.seen();
        Ok((!area.is_empty()).then(|| Mask::of(&painting, area)))
    }

    /// What runs through the window: the template `KIND-strip` in one line.
    fn strip(&self, window: Rect) -> Result<Option<Strip>, PaintError> {
        let window = window.even().within(Rect::of(self.canvas().resolution));
        let Some(template) = self.kind.strip.as_ref().filter(|_| !window.is_empty()) else { return Ok(None) };
        let html = template.render(&self.values(0)).map_err(|source| self.in_template(source))?;
        let canvas = self.canvas().resolution;
        let most = (MOST_STRIP_PIXELS / window.h) & !1;
        let page =
            Page::strip(&html, &self.phase.images, canvas, most, window.h).map_err(|source| self.failed(source))?;
        let page = page.speaking(self.staging.locale);
        let width = self.typesetter.strip_width(&page, &template.sheet).map_err(|source| self.failed(source))?.ceil();
        if width >= most as f32 {
            let (layer, template) = (self.spec.id.clone(), self.spec.template.clone());
            return Err(PaintError::Strip { layer, template, width, most });
        }
        let width = (width as u32).max(2).next_multiple_of(2);
        let painting = self.painting(&page.of_width(width), &template.sheet, 0)?;
        let painting = Painting { canvas: painting.area, ..painting };
        // In pieces, of which a window shows few: a scaled draw reaches no further than 32768 samples of a raster, and a graphics
        // processor need not hold what is far away.
        let (ink, moves) = (painting.ink(), Moves::ACROSS.and(self.style.moves()));
        let pieces = Raster::columns(&painting, self.canvas().colour, ink, STRIP_PIECE, moves);
        Ok(Some(Strip { pieces, period: width.max(window.w), window }))
    }

    fn raster(&self, painting: &Painting, area: Rect, holes: &[Rect], moves: Moves) -> Raster {
        Raster::of(painting, self.canvas().colour, area, holes, moves)
    }

    fn painting(&self, page: &Page, sheet: &Arc<StyleSheet>, time_ms: u64) -> Result<Painting, PaintError> {
        self.typesetter.paint(page, sheet, time_ms).map_err(|source| self.failed(source))
    }

    fn sheet(&self, part: Part) -> Result<Arc<StyleSheet>, PaintError> {
        match part {
            Part::Everything => Ok(self.template().sheet.clone()),
            part => self.typesetter.sheet_of(part, &self.template().css).map_err(|source| self.failed(source)),
        }
    }

    /// The template with its values, and one digit in every cell.
    fn page(&self, digit: u8, area: Rect) -> Result<Page, PaintError> {
        let html = self.template().render(&self.values(digit)).map_err(|source| self.in_template(source))?;
        let page = Page::parse(&html, &self.phase.images, self.canvas().resolution, self.style.place, area);
        Ok(page.map_err(|source| self.failed(source))?.speaking(self.staging.locale))
    }

    /// A part of the canvas, or all of it where a template looks different on a part.
    fn cropped(&self, area: Rect) -> Rect {
        if self.template().croppable { area } else { Rect::of(self.canvas().resolution) }
    }

    /// Whether the template has an element of that id; a value cannot bring one in.
    fn has(&self, id: &str) -> bool {
        self.template().source.contains(&format!("id=\"{id}\""))
    }

    /// What a template sees: the phase's values, `canvas`, `locale` and `dir`, the names in `images`, and the `clock` when digits are
    /// to be.
    pub(super) fn values(&self, digit: u8) -> Value {
        let size = self.canvas().resolution;
        let sized = |photo: &Photo| context! { width => photo.width(), height => photo.height() };
        let images = Value::from_pairs(self.phase.images.iter().map(|(name, photo)| (&**name, sized(photo))));
        let mut cells = 0..;
        // `cell` is for `id`; a mark between digits has none.
        let clock: Option<Vec<Value>> = self.face.map(|face| {
            let place = |c| match c {
                '0' => context! { cell => cells.next().map(|n| format!("cell-{n}")), text => digit.to_string() },
                mark => context! { text => mark.to_string() },
            };
            face.pattern().chars().map(place).collect()
        });
        let (portrait, square) = (size.height > size.width, size.height == size.width);
        context! {
            canvas => context! { width => size.width, height => size.height, portrait => portrait, square => square },
            images => images,
            clock => clock,
            locale => self.staging.locale.to_string(),
            dir => self.staging.locale.direction().as_str(),
            ..Value::from(Serde(&self.phase.values))
        }
    }

    fn template(&self) -> &Template {
        &self.kind.template
    }

    fn canvas(&self) -> Canvas {
        self.staging.canvas
    }

    fn failed(&self, source: HtmlError) -> PaintError {
        PaintError::Html { layer: self.spec.id.clone(), template: self.spec.template.clone(), source }
    }

    fn in_template(&self, source: ThemeError) -> PaintError {
        PaintError::Template { layer: self.spec.id.clone(), source }
    }
}

/// Cells as whole chroma samples, none over another. Cells that a template sets two pixels apart are cut exactly.
fn apart(cells: &[Rect]) -> Vec<Rect> {
    let mut apart: Vec<Rect> = vec![];
    for cell in cells {
        let mut cell = cell.even();
        if let Some(before) = apart.last()
            && before.y < cell.bottom()
            && cell.y < before.bottom()
            && (before.x..before.right()).contains(&cell.x)
        {
            let right = cell.right();
            cell.x = before.right();
            cell.w = right.saturating_sub(cell.x);
        }
        apart.push(cell);
    }
    apart
}

/// Pieces, and the pixels beside them that their chroma takes in.
fn around(pieces: &[Rect]) -> Rect {
    let all = pieces.iter().copied().fold(Rect::default(), Rect::union);
    let (x, y) = (all.x.saturating_sub(2), all.y.saturating_sub(2));
    Rect { x, y, w: all.right() + 2 - x, h: all.bottom() + 2 - y }
}

/// How a template's own animation changes what it shows at first.
#[derive(Default)]
struct Turn {
    period: Duration,
    /// Of each frame but the first, what differs from that.
    changes: Vec<Painting>,
    /// The part of the canvas that any of them changes.
    moving: Rect,
    /// What the layer covers in any of them.
    ink: Rect,
    /// The same, to the pixel.
    seen: Rect,
}

/// Bytes of rasters that one layer's animation may take: seven million pixels in all its frames, moved to wherever.
const MOST_FILM_BYTES: u64 = 64 << 20;
/// Pixels of a strip, painted at once: the longest ticker that the API takes, in the built-in themes on the largest canvas.
const MOST_STRIP_PIXELS: u32 = 48 << 20;
/// How wide a piece of a strip is.
const STRIP_PIECE: u32 = 4096;
