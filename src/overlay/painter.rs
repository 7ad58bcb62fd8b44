//! Turns layer specs into scenes: values through templates to rasters, each painted once and kept while it fits.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::Serde;
use minijinja::{Value, context};
use sha2::{Digest, Sha256};

use super::digits::Face;
use super::html::{HtmlError, Page, Typesetter};
use super::photo::Photo;
use super::raster::{Painting, Raster, Rect};
use super::scene::{Cell, Layer, Look, Painted, Phase, Scene};
use super::template::{Template, TemplateError, Templates};
use super::{Canvas, LayerSpec, PhaseSpec};

/// Folders that go before and beside what is built in.
#[derive(Clone, Debug, Default)]
pub struct PainterConfig {
    /// `NAME.html` here goes before the built-in template of that name.
    pub templates: Option<PathBuf>,
    /// `*.ttf`, `*.otf` and `*.ttc` here serve what the embedded fonts lack, and templates by their family names.
    pub fonts: Option<PathBuf>,
}

/// Paints scenes. One serves every show; painting takes milliseconds, so it belongs on a raster worker.
pub struct Painter {
    templates: Templates,
    problems: Vec<TemplateError>,
    typesetter: Typesetter,
    kept: Mutex<Kept>,
}

#[derive(Debug, thiserror::Error)]
pub enum PaintError {
    #[error("layer {layer:?}: {source}")]
    Template { layer: String, source: TemplateError },
    #[error("layer {layer:?}, template {template:?}: {source}")]
    Html { layer: String, template: String, source: HtmlError },
    #[error("a canvas of {0} cannot be painted: width and height must be even and at most {most}", most = MOST_SIDE)]
    Canvas(crate::media::Resolution),
    #[error(transparent)]
    Fonts(#[from] HtmlError),
    #[error(transparent)]
    Templates(#[from] TemplateError),
}

impl Painter {
    /// Reads fonts and templates. A template that is wrong is left out, and told by [`Painter::problems`].
    pub fn new(config: PainterConfig) -> Result<Painter, PaintError> {
        let (templates, problems) = Templates::read(config.templates.as_deref())?;
        for problem in &problems {
            tracing::warn!("template left out: {problem}");
        }
        let typesetter = Typesetter::new(config.fonts.as_deref())?;
        Ok(Painter { templates, problems, typesetter, kept: Mutex::default() })
    }

    /// What was wrong in the templates folder.
    pub fn problems(&self) -> &[TemplateError] {
        &self.problems
    }

    /// Paints a scene: every phase of every layer, from what is kept where nothing changed.
    pub fn paint(&self, rev: u64, specs: &[LayerSpec], canvas: Canvas) -> Result<Scene, PaintError> {
        let size = canvas.resolution;
        let paintable = |side: u32| side > 0 && side <= MOST_SIDE && side.is_multiple_of(2);
        if !paintable(size.width) || !paintable(size.height) {
            return Err(PaintError::Canvas(size));
        }
        let mut specs: Vec<&LayerSpec> = specs.iter().collect();
        specs.sort_by_key(|spec| spec.z);
        let layers = specs.into_iter().map(|spec| self.layer(spec, canvas)).collect::<Result<_, _>>()?;
        Ok(Scene::new(rev, canvas, layers))
    }

    fn layer(&self, spec: &LayerSpec, canvas: Canvas) -> Result<Layer, PaintError> {
        let phases = spec.phases.iter().map(|phase| {
            let look = match phase.ends {
                None => Look::Still(self.painted(spec, phase, None, canvas)?),
                Some(ends) => {
                    let faces = Face::between(ends, phase.from, phase.until);
                    let paint = |face| Ok((face, self.painted(spec, phase, Some(face), canvas)?));
                    Look::Clock { ends, faces: faces.map(paint).collect::<Result<_, PaintError>>()? }
                }
            };
            Ok(Phase { from: phase.from, until: phase.until, look })
        });
        let phases = phases.collect::<Result<_, PaintError>>()?;
        Ok(Layer { id: spec.id.clone(), hit: spec.hit.clone(), phases })
    }

    /// A template's painting, by the template before the built-in one; where a folder's fails, the built-in one serves.
    fn painted(
        &self,
        spec: &LayerSpec,
        phase: &PhaseSpec,
        face: Option<Face>,
        canvas: Canvas,
    ) -> Result<Arc<Painted>, PaintError> {
        let in_template = |source| PaintError::Template { layer: spec.id.clone(), source };
        let template = self.templates.get(&spec.template).map_err(in_template)?;
        let job = Job { spec, phase, face, canvas };
        match (self.kept_or_painted(template, &job), self.templates.behind(&spec.template)) {
            (Err(error), Some(built_in)) => {
                tracing::warn!("the built-in template serves: {error}");
                self.kept_or_painted(built_in, &job)
            }
            (painted, _) => painted,
        }
    }

    fn kept_or_painted(&self, template: &Template, job: &Job<'_>) -> Result<Arc<Painted>, PaintError> {
        let key = job.key(template);
        if let Some(painted) = self.kept().get(&key) {
            return Ok(painted);
        }
        let painted = Arc::new(self.paint_anew(template, job)?);
        self.kept().put(key, painted.clone());
        Ok(painted)
    }

    fn paint_anew(&self, template: &Template, job: &Job<'_>) -> Result<Painted, PaintError> {
        let in_html =
            |source| PaintError::Html { layer: job.spec.id.clone(), template: job.spec.template.clone(), source };
        let size = job.canvas.resolution;
        let page = self.page(template, job, 0)?;
        self.typesetter.check(&page, &template.sheet, size).map_err(in_html)?;
        let painting = self.typesetter.paint(&page, &template.sheet, size).map_err(in_html)?;
        let landmarks = self.typesetter.landmarks(&page, &template.css, size).map_err(in_html)?;
        let cells = apart(&landmarks.cells);
        let hit = if landmarks.hit.is_empty() { painting.bounds(|pixel| pixel[3] > 0) } else { landmarks.hit };
        let cut = |painting: &Painting| -> Vec<Raster> {
            cells.iter().map(|cell| Raster::of(painting, job.canvas.colour, *cell, &[])).collect()
        };
        let base = Raster::of(&painting, job.canvas.colour, painting.ink(), &cells);
        // Every cell with the same digit, ten times over: a cell's look does not depend on its neighbours'.
        let mut looks: Vec<Vec<Raster>> = cells.iter().map(|_| Vec::with_capacity(10)).collect();
        for digit in 0..if cells.is_empty() { 0 } else { 10 } {
            let cuts = match digit {
                0 => cut(&painting),
                _ => {
                    let page = self.page(template, job, digit)?;
                    cut(&self.typesetter.paint(&page, &template.sheet, size).map_err(in_html)?)
                }
            };
            looks.iter_mut().zip(cuts).for_each(|(looks, cut)| looks.push(cut));
        }
        let cells = cells.into_iter().zip(looks).map(|(area, looks)| {
            let digits: Result<[Raster; 10], _> = looks.try_into();
            Cell { area, digits: digits.unwrap_or_default() }
        });
        Ok(Painted { base, cells: cells.collect(), hit })
    }

    /// The template with its values, and one digit in every cell.
    fn page(&self, template: &Template, job: &Job<'_>, digit: u8) -> Result<Page, PaintError> {
        let in_template = |source| PaintError::Template { layer: job.spec.id.clone(), source };
        let html = self.templates.render(template, &job.values(digit)).map_err(in_template)?;
        Page::parse(&html, &job.phase.images).map_err(|source| PaintError::Html {
            layer: job.spec.id.clone(),
            template: job.spec.template.clone(),
            source,
        })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // What is kept is whole at every moment: a panic elsewhere leaves nothing half-done in it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One painting to make.
struct Job<'a> {
    spec: &'a LayerSpec,
    phase: &'a PhaseSpec,
    face: Option<Face>,
    canvas: Canvas,
}

impl Job<'_> {
    /// Names everything that the painting depends on.
    fn key(&self, template: &Template) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        add(template.source.as_bytes());
        add(self.phase.values.to_string().as_bytes());
        for (name, photo) in &self.phase.images {
            add(name.as_bytes());
            add(&photo.hash());
        }
        add(format!("{:?} {:?}", self.face, self.canvas).as_bytes());
        hash.finalize().into()
    }

    /// What a template sees: the phase's values, `canvas`, the names in `images`, and the `clock` when digits are to be.
    fn values(&self, digit: u8) -> Value {
        let size = self.canvas.resolution;
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
        let portrait = size.height > size.width;
        context! {
            canvas => context! { width => size.width, height => size.height, portrait => portrait },
            images => images,
            clock => clock,
            ..Value::from(Serde(&self.phase.values))
        }
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

/// Paintings by what they depend on. Bounded: the one that was not used for the longest time goes first.
#[derive(Default)]
struct Kept {
    paintings: HashMap<[u8; 32], (Arc<Painted>, u64)>,
    bytes: usize,
    uses: u64,
}

impl Kept {
    fn get(&mut self, key: &[u8; 32]) -> Option<Arc<Painted>> {
        self.uses += 1;
        let (painted, used) = self.paintings.get_mut(key)?;
        *used = self.uses;
        Some(painted.clone())
    }

    fn put(&mut self, key: [u8; 32], painted: Arc<Painted>) {
        self.uses += 1;
        self.bytes += painted.weight();
        if let Some((before, _)) = self.paintings.insert(key, (painted, self.uses)) {
            self.bytes -= before.weight();
        }
        while self.bytes > MOST_KEPT_BYTES
            && self.paintings.len() > 1
            && let Some(oldest) = self.paintings.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key)
        {
            let gone = self.paintings.remove(&oldest);
            self.bytes -= gone.map_or(0, |(painted, _)| painted.weight());
        }
    }
}

/// Bytes of paintings kept for all shows: a card takes about half a megabyte at 1080p, a whole canvas nine.
const MOST_KEPT_BYTES: usize = 96 << 20;
/// The longest side of a canvas (2160p).
const MOST_SIDE: u32 = 4096;
