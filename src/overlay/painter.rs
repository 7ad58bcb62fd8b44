//! Turns layer specs into scenes: values through templates to rasters, each painted once and kept while it fits.

mod job;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use job::Job;

use super::digits::Face;
use super::fonts::Gap;
use super::html::{HtmlError, Typesetter, rem};
use super::locale::Direction;
use super::scene::{Layer, Look, Motion, Painted, Phase, Scene};
use super::shelf::{Shelf, Watch};
use super::theme::{self, Kind, Problem, Style, Theme, ThemeError, Themes};
use super::{LayerSpec, Staging};

/// Folders that go before and beside what is built in.
#[derive(Clone, Debug, Default)]
pub struct PainterConfig {
    /// Each folder in it that has a `theme.json` is a theme, and goes before the built-in one of that name.
    pub themes: Option<PathBuf>,
    /// `*.ttf`, `*.otf` and `*.ttc` here serve what the embedded fonts lack, before Debian's, and templates by their family
    /// names.
    pub fonts: Option<PathBuf>,
    /// A template that fails is an error, whatever is built in behind it: for previews.
    pub strict: bool,
}

/// Paints scenes. One serves every show; painting takes milliseconds, so it belongs on a raster worker.
pub struct Painter {
    shelf: Shelf,
    typesetter: Arc<Typesetter>,
    strict: bool,
    kept: Mutex<Kept>,
}

#[derive(Debug, thiserror::Error)]
pub enum PaintError {
    #[error("layer {layer:?}: {source}")]
    Template { layer: String, source: ThemeError },
    #[error("layer {layer:?}, template {template:?}: {source}")]
    Html { layer: String, template: String, source: HtmlError },
    #[error(
        "layer {layer:?}, template {template:?}: what runs through its window is {width:.0} pixels wide; it may be {most}: say less in it"
    )]
    Strip { layer: String, template: String, width: f32, most: u32 },
    #[error("a canvas of {0} cannot be painted: width and height must be even and at most {most}", most = MOST_SIDE)]
    Canvas(crate::media::Resolution),
    #[error(transparent)]
    Fonts(#[from] HtmlError),
    #[error(transparent)]
    Themes(#[from] ThemeError),
}

impl Painter {
    /// Reads fonts and themes. A theme that is wrong is left out, and told by [`Painter::problems`].
    pub fn new(config: PainterConfig) -> Result<Painter, PaintError> {
        let typesetter = Arc::new(Typesetter::new(config.fonts.as_deref())?);
        let shelf = Shelf::new(config.themes, typesetter.clone())?;
        Ok(Painter { shelf, typesetter, strict: config.strict, kept: Mutex::default() })
    }

    /// The themes as they are now.
    pub fn themes(&self) -> Arc<Themes> {
        self.shelf.themes()
    }

    /// What is wrong in the themes folder.
    pub fn problems(&self) -> Vec<Problem> {
        self.themes().problems().to_vec()
    }

    /// Grows with every change of a theme: what is on a picture is to be painted again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shelf.changes()
    }

    /// Reads the themes folder if anything in it is not as it was.
    pub fn look(&self) {
        self.shelf.look();
    }

    /// Keeps an eye on the themes folder until the answer is dropped, which blocks while themes are being read.
    pub fn watch(&self) -> io::Result<Watch> {
        self.shelf.watch()
    }

    /// What of a text no font has, so that it can be told before it is seen. Reads the fonts that it needs: blocks for tens of
    /// milliseconds the first time.
    pub fn missing_in(&self, text: &str) -> Vec<Gap> {
        self.typesetter.fonts().missing(text)
    }

    /// Paints a scene: every phase of every layer, from what is kept where nothing changed.
    pub fn paint(&self, rev: u64, specs: &[LayerSpec], staging: &Staging) -> Result<Scene, PaintError> {
        let size = staging.canvas.resolution;
        let paintable = |side: u32| side > 0 && side <= MOST_SIDE && side.is_multiple_of(2);
        if !paintable(size.width) || !paintable(size.height) {
            return Err(PaintError::Canvas(size));
        }
        let themes = self.themes();
        let theme = themes.get(&staging.theme).or_else(|error| {
            // A folder's theme that a show wore may be gone.
            tracing::warn!("the theme {} serves: {error}", theme::DEFAULT);
            themes.get(theme::DEFAULT)
        })?;
        let layers = specs.iter().map(|spec| self.layer(theme, spec, staging));
        let mut layers = layers.collect::<Result<Vec<Layer>, _>>()?;
        layers.sort_by_key(|layer| layer.z);
        Ok(Scene::new(rev, staging.canvas, layers))
    }

    fn layer(&self, theme: &Theme, spec: &LayerSpec, staging: &Staging) -> Result<Layer, PaintError> {
        let kind = theme.kind(&spec.template);
        let kind = kind.map_err(|source| PaintError::Template { layer: spec.id.clone(), source })?;
        let size = staging.canvas.resolution;
        let style = *kind.style(size);
        let phases = spec.phases.iter().map(|phase| {
            let painted = |face| {
                self.painted(&Job { typesetter: &self.typesetter, kind, spec, phase, style: &style, face, staging })
            };
            let look = match phase.ends {
                None => Look::Still(painted(None)?),
                Some(ends) => {
                    let faces = Face::between(ends, phase.from.or(phase.begins), phase.until);
                    let paint = |face| Ok((face, painted(Some(face))?));
                    Look::Clock {
                        begins: phase.begins,
                        ends,
                        faces: faces.map(paint).collect::<Result<_, PaintError>>()?,
                    }
                }
            };
            Ok(Phase { from: phase.from, until: phase.until, look })
        });
        let phases = phases.collect::<Result<_, PaintError>>()?;
        let Style { enter, exit, change, emphasis, digits, scroll, .. } = style;
        let towards = match staging.locale.direction() {
            Direction::LeftToRight => 1.0,
            Direction::RightToLeft => -1.0,
        };
        let scroll = towards * f64::from(scroll.unwrap_or(0.0) * rem(size));
        let motion = Motion { enter, exit, change, emphasis, digits, scroll };
        let (id, hits) = (spec.id.clone(), spec.hits.clone());
        Ok(Layer { id, z: spec.z + style.z, hits, ground: spec.ground, phases, motion })
    }

    /// A kind's painting; where a theme's template fails, that of the theme it extends serves.
    fn painted(&self, job: &Job<'_>) -> Result<Arc<Painted>, PaintError> {
        let mut painted = self.kept_or_painted(job);
        let mut behind: Option<&Arc<Kind>> = job.kind.behind().filter(|_| !self.strict);
        while let (Err(error), Some(kind)) = (&painted, behind) {
            tracing::warn!("the extended theme's template serves: {error}");
            painted = self.kept_or_painted(&Job { kind, ..*job });
            behind = kind.behind();
        }
        painted
    }

    fn kept_or_painted(&self, job: &Job<'_>) -> Result<Arc<Painted>, PaintError> {
        let key = job.key();
        if let Some(painted) = self.kept().get(&key) {
            return Ok(painted);
        }
        let painted = Arc::new(job.paint()?);
        self.kept().put(key, painted.clone());
        Ok(painted)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // What is kept is whole at every moment: a panic elsewhere leaves nothing half-done in it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

#[cfg(test)]
mod tests {
    use super::super::html::Page;
    use super::super::locale::Locale;
    use super::super::photo::Photo;
    use super::super::raster::{Moves, Painting, Raster, Rect};
    use super::super::{Canvas, PhaseSpec};
    use super::*;
    use crate::media::{Colour, MediaTime, Pool, Resolution};
    use crate::overlay::Ground;
    use crate::overlay::compose::cpu;
    use minijinja::{Value, context};
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::fs;
    use std::time::Duration;

    const HD: Canvas = Canvas { resolution: Resolution::new(1280, 720), colour: Colour::BT709 };

    /// The plain theme, in English.
    fn on(canvas: Canvas) -> Staging {
        Staging { canvas, theme: "base".into(), locale: Locale::default() }
    }
    const ENDS: MediaTime = MediaTime::from_ticks(60 * 90_000);

    fn painter() -> Painter {
        Painter::new(PainterConfig::default()).unwrap()
    }

    fn countdown() -> LayerSpec {
        let running = json!({"price": "$9.90", "title": "Candle", "ended": false});
        let over = json!({"price": "$24.90", "title": "Candle", "ended": true});
        LayerSpec {
            id: "countdown".into(),
            template: "countdown".into(),
            z: 1,
            ground: None,
            hits: vec![],
            phases: vec![
                PhaseSpec {
                    from: Some(MediaTime::ZERO),
                    until: Some(ENDS),
                    values: running,
                    ends: Some(ENDS),
                    ..PhaseSpec::default()
                },
                PhaseSpec { from: Some(ENDS), values: over, ends: Some(ENDS), ..PhaseSpec::default() },
            ],
        }
    }

    fn card() -> LayerSpec {
        let offer =
            json!({"title": "Candle", "price": "$9.90", "old_price": "$24.90", "discount": "-60%", "sold_out": false});
        let regular = json!({"title": "Candle", "price": "$24.90", "sold_out": false});
        LayerSpec {
            id: "card".into(),
            template: "card".into(),
            z: 0,
            ground: None,
            hits: vec!["candle".into()],
            phases: vec![
                PhaseSpec { until: Some(ENDS), values: offer, ..PhaseSpec::default() },
                PhaseSpec { from: Some(ENDS), values: regular, ..PhaseSpec::default() },
            ],
        }
    }

    /// All three planes of a grey picture with a scene on it.
    fn pixels(scene: &Scene, at: MediaTime) -> Vec<u8> {
        let canvas = scene.canvas();
        let mut picture = Pool::new(canvas.resolution).take(canvas.colour);
        picture.fill([90, 120, 140]);
        cpu::draw(&scene.frame(at, Ground::Live), &mut picture, &mut cpu::Scratch::default());
        picture.planes_mut().into_iter().flat_map(|(samples, _)| samples.iter().copied()).collect()
    }

    /// A scene of a painting as it is.
    fn still(painting: &Painting, canvas: Canvas) -> Scene {
        let base = Raster::of(painting, canvas.colour, painting.ink(), &[], Moves::EVEN);
        let look = Look::Still(Arc::new(Painted { base, ..Painted::default() }));
        let phases = vec![Phase { from: None, until: None, look }];
        let layer = Layer { id: "still".into(), z: 0, hits: vec![], ground: None, phases, motion: Motion::NONE };
        Scene::new(1, canvas, vec![layer])
    }

    #[test]
    fn what_was_painted_before_changes_no_picture() {
        let staging = |theme: &str| Staging { theme: theme.into(), ..on(HD) };
        for theme in ["boutique", "flash", "minimal"] {
            let used = painter();
            // A short title first, so that less is known to be needed than the next one needs; then one that needs less.
            for title in ["Ox", "A candle that burns for forty hours, in beeswax, with a lid of oak and a card", "Ox"] {
                let mut card = card();
                card.phases.iter_mut().for_each(|phase| phase.values["title"] = title.into());
                let layers = [card, countdown()];
                let (first, next) =
                    (painter().paint(1, &layers, &staging(theme)), used.paint(1, &layers, &staging(theme)));
                assert!(pixels(&first.unwrap(), MediaTime::ZERO) == pixels(&next.unwrap(), MediaTime::ZERO), "{theme}");
            }
        }
    }

    fn left(time: Duration) -> MediaTime {
        ENDS - time
    }

    #[test]
    fn digits_put_together_are_the_text_painted_at_once() {
        let (painter, spec) = (painter(), countdown());
        let at = left(Duration::from_millis(29_650));
        for canvas in [HD, Canvas { resolution: Resolution::new(720, 1280), colour: Colour::BT601 }] {
            let scene = painter.paint(1, std::slice::from_ref(&spec), &on(canvas)).unwrap();
            let text = scene.clock_text("countdown", at).unwrap();
            assert_eq!(text, "0:29.7");
            let mut cells = 0..;
            let clock: Vec<Value> = text
                .chars()
                .map(|c| match c.is_ascii_digit() {
                    true => context! { cell => cells.next().map(|n| format!("cell-{n}")), text => c.to_string() },
                    false => context! { text => c.to_string() },
                })
                .collect();
            let (themes, staging) = (painter.themes(), on(canvas));
            let kind = themes.get("base").unwrap().kind("countdown").unwrap();
            let style = kind.style(canvas.resolution);
            let (phase, face) = (&spec.phases[0], Some(Face::Minutes));
            let typesetter = &painter.typesetter;
            let job = Job { typesetter, kind, spec: &spec, phase, style, face, staging: &staging };
            let values = context! { clock => clock, ..job.values(0) };
            let html = kind.template.render(&values).unwrap();
            let page =
                Page::parse(&html, &BTreeMap::new(), canvas.resolution, style.place, Rect::of(canvas.resolution))
                    .unwrap();
            let painting = painter.typesetter.paint(&page, &kind.template.sheet, 0).unwrap();
            let whole = still(&painting, canvas);
            assert!(pixels(&scene, at) == pixels(&whole, at), "{canvas:?}");
        }
    }

    #[test]
    fn a_template_may_leave_digits_out() {
        let folder = tempfile::tempdir().unwrap();
        let theme = folder.path().join("seconds");
        fs::create_dir(&theme).unwrap();
        fs::write(theme.join("theme.json"), json!({"title": "Seconds"}).to_string()).unwrap();
        // Of 0:29.7 the 9 alone.
        let only = "{% for place in clock %}{% if place.cell %}{% if place.cell == 'cell-2' %}<b id=\"{{ place.cell }}\" class=\"c\">{{ place.text }}</b>\
            {% endif %}{% endif %}{% endfor %}";
        let style = "<style>.c { width: 10rem; font: 9rem \"Noto Sans\"; color: #fff; background: #222 }</style>";
        fs::write(theme.join("countdown.html"), format!("{style}{only}")).unwrap();
        let config = PainterConfig { themes: Some(folder.path().into()), ..PainterConfig::default() };
        let painter = Painter::new(config).unwrap();
        assert!(painter.problems().is_empty(), "{:?}", painter.problems());
        let scene = painter.paint(1, &[countdown()], &Staging { theme: "seconds".into(), ..on(HD) }).unwrap();
        let reads = |tenths: u64| pixels(&scene, left(Duration::from_millis(tenths * 100)));
        assert!(reads(297) == reads(291) && reads(297) == reads(197), "the digit of the seconds, and no other");
        assert!(reads(297) != reads(287) && reads(297) != reads(200));
    }

    #[test]
    fn price_digits_and_state_flip_in_the_frame_of_the_end() {
        let scene = painter().paint(4, &[countdown(), card()], &on(HD)).unwrap();
        let tick = MediaTime::from_ticks(ENDS.ticks() - 1);
        assert_eq!(scene.rev(), 4);
        assert_eq!(scene.clock_text("countdown", tick).unwrap(), "0:00.1");
        assert_eq!(scene.clock_text("countdown", ENDS).unwrap(), "0:00.0");
        assert_eq!(scene.clock_text("card", ENDS), None);
        // Every frame of the last tenth is one picture, every frame after the end another.
        assert!(pixels(&scene, tick) == pixels(&scene, left(Duration::from_millis(100))));
        assert!(pixels(&scene, tick) != pixels(&scene, ENDS));
        // What it was before fades away over it.
        let later = |seconds| pixels(&scene, ENDS + Duration::from_secs(seconds));
        assert!(later(1) == later(100) && later(1) != pixels(&scene, tick));
        // The card alone flips there too.
        let card = painter().paint(4, &[card()], &on(HD)).unwrap();
        assert!(pixels(&card, MediaTime::ZERO) == pixels(&card, tick));
        assert!(pixels(&card, tick) != pixels(&card, ENDS));
    }

    #[test]
    fn a_layer_shows_nothing_outside_of_its_phases() {
        let mut spec = card();
        spec.phases.truncate(1);
        let scene = painter().paint(1, &[spec], &on(HD)).unwrap();
        assert!(!scene.frame(MediaTime::ZERO, Ground::Live).is_empty());
        assert!(scene.hits(ENDS).is_empty());
        let gone = ENDS + Duration::from_secs(1);
        assert!(scene.frame(gone, Ground::Live).is_empty());
        assert!(pixels(&scene, gone) == pixels(&Scene::empty(0, HD), gone), "the source's bytes are left as they are");
    }

    #[test]
    fn painters_and_scenes_go_between_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Painter>();
        shared::<Scene>();
        shared::<Photo>();
    }

    #[test]
    fn a_picture_of_another_size_is_left_alone() {
        let scene = painter().paint(1, &[card()], &on(HD)).unwrap();
        let mut picture = Pool::new(Resolution::new(640, 360)).take(Colour::BT601);
        picture.fill([1, 2, 3]);
        cpu::draw(&scene.frame(MediaTime::ZERO, Ground::Live), &mut picture, &mut cpu::Scratch::default());
        assert!(picture.plane_mut(0).0.iter().all(|luma| *luma == 1));
    }

    #[test]
    fn layers_and_hits_scale_with_the_canvas() {
        let painter = painter();
        let hit = |resolution, specs: &[LayerSpec]| {
            let scene = painter.paint(1, specs, &on(Canvas { resolution, colour: Colour::BT709 })).unwrap();
            scene.hits(MediaTime::ZERO).remove(0)
        };
        let (small, large) = (
            hit(Resolution::new(1280, 720), &[card(), countdown()]),
            hit(Resolution::new(1920, 1080), &[card(), countdown()]),
        );
        assert_eq!((&*small.id, &*small.tag), ("card", "candle"));
        for (a, b) in [(small.x, large.x), (small.y, large.y), (small.w, large.w), (small.h, large.h)] {
            assert!((a - b).abs() < 0.003, "{small:?} {large:?}");
        }
        // On a portrait canvas it takes most of the width.
        let tall = hit(Resolution::new(720, 1280), &[card()]);
        assert!(tall.w > 0.7 && tall.x + tall.w < 0.98 && tall.y + tall.h < 0.98, "{tall:?}");
    }

    #[test]
    fn what_did_not_change_is_not_painted_again() {
        let painter = painter();
        let first = painter.paint(1, &[card(), countdown()], &on(HD)).unwrap();
        let made = painter.kept().paintings.len();
        let second = painter.paint(2, &[card(), countdown()], &on(HD)).unwrap();
        assert_eq!(painter.kept().paintings.len(), made);
        assert!(std::ptr::eq(
            first.frame(MediaTime::ZERO, Ground::Live).draws()[0].raster,
            second.frame(MediaTime::ZERO, Ground::Live).draws()[0].raster
        ));
        let mut changed = card();
        changed.phases[0].values["title"] = "Lamp".into();
        painter.paint(3, &[changed], &on(HD)).unwrap();
        assert_eq!(painter.kept().paintings.len(), made + 1);
    }

    #[test]
    fn the_longest_unused_painting_goes_first() {
        let large = || {
            let painting = Painting {
                canvas: Rect { w: 4096, h: 2048, ..Rect::default() },
                area: Rect { w: 4096, h: 2048, ..Rect::default() },
                rgba: vec![255; 4096 * 2048 * 4],
            };
            let base = Raster::of(&painting, Colour::BT709, painting.ink(), &[], Moves::EVEN);
            Arc::new(Painted { base, ..Painted::default() })
        };
        let mut kept = Kept::default();
        let painted = large();
        assert!(painted.weight() * 2 < MOST_KEPT_BYTES && painted.weight() * 3 > MOST_KEPT_BYTES);
        kept.put([1; 32], painted.clone());
        kept.put([2; 32], painted.clone());
        assert!(kept.get(&[1; 32]).is_some());
        kept.put([3; 32], painted);
        assert!(kept.get(&[2; 32]).is_none());
        assert!(kept.get(&[1; 32]).is_some() && kept.get(&[3; 32]).is_some());
        assert!(kept.bytes <= MOST_KEPT_BYTES);
    }

    #[test]
    fn the_extended_template_serves_where_a_themes_fails() {
        let folder = tempfile::tempdir().unwrap();
        let theme = folder.path().join("boutique");
        fs::create_dir(&theme).unwrap();
        let manifest =
            json!({"title": "Mine", "extends": "boutique", "layers": {"lower": {"fields": {"title": "text"}}}});
        fs::write(theme.join("theme.json"), manifest.to_string()).unwrap();
        // Right with its samples, wrong with what is in our card.
        fs::write(
            theme.join("card.html"),
            "<p>{% if title == 'Candle' and not sold_out %}{{ nothing }}{% endif %}</p>",
        )
        .unwrap();
        fs::write(theme.join("lower.html"), "<p>{% if title == 'Candle' %}{{ nothing }}{% endif %}</p>").unwrap();
        let painter =
            Painter::new(PainterConfig { themes: Some(folder.path().into()), ..PainterConfig::default() }).unwrap();
        let mine = Staging { theme: "boutique".into(), ..on(HD) };
        assert!(painter.problems().is_empty(), "{:?}", painter.problems());
        let scene = painter.paint(1, &[card()], &mine).unwrap();
        let built_in = Painter::new(PainterConfig::default()).unwrap().paint(1, &[card()], &mine).unwrap();
        assert!(pixels(&scene, ENDS) == pixels(&built_in, ENDS));
        for (name, why) in [("lower", "boutique/lower.html:1: undefined value"), ("none", "has no layer \"none\"")] {
            let spec = LayerSpec { template: name.into(), ..card() };
            let error = painter.paint(1, &[spec], &mine).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("card"), "{error}");
        }
        assert!(painter.paint(1, &[], &on(Canvas { resolution: Resolution::new(7, 8), ..HD })).is_err());
    }

    /// A theme whose layer `lower` is one template with a film.
    fn filmed(film: &str, template: &str) -> (Painter, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let theme = folder.path().join("mine");
        fs::create_dir(&theme).unwrap();
        let layers = format!(
            r#"{{"lower": {{"fields": {{"title": "text"}}, "film": {film}, "enter": {{"kind": "slide", "from": "left", "ms": 1}}}}}}"#
        );
        let manifest = format!(r#"{{"title": "Mine", "extends": "base", "layers": {layers}}}"#);
        fs::write(theme.join("theme.json"), manifest).unwrap();
        fs::write(theme.join("lower.html"), template).unwrap();
        let config = PainterConfig { themes: Some(folder.path().into()), ..PainterConfig::default() };
        let painter = Painter::new(config).unwrap();
        assert!(painter.problems().is_empty(), "{:?}", painter.problems());
        (painter, folder)
    }

    fn lower() -> LayerSpec {
        let values = json!({"title": "Candle"});
        LayerSpec { template: "lower".into(), phases: vec![PhaseSpec { values, ..PhaseSpec::default() }], ..card() }
    }

    #[test]
    fn a_film_is_the_page_at_its_moments_over_and_over() {
        let box_of = |more: &str| {
            format!(
                "<style>@keyframes come {{ from {{ opacity: 0; transform: translateX(0) }} to {{ opacity: 1; transform: translateX(23rem) }} }}
                .a {{ width: 9rem; height: 9rem; background: #c3352b; animation: come 1000ms linear infinite }}
                .p {{ width: 30rem; height: 4rem; background: rgba(20, 30, 90, 0.5) }}</style>{more}<div class=\"a\"></div>"
            )
        };
        // What is not there at first, and what moves on and beyond a ground that is seen through.
        for (template, empty) in [(box_of(""), true), (box_of("<div class=\"p\"></div>"), false)] {
            let (painter, _folder) = filmed(r#"{"ms": 1000, "fps": 4}"#, &template);
            let mine = Staging { theme: "mine".into(), ..on(HD) };
            let scene = painter.paint(1, &[lower()], &mine).unwrap();
            let themes = painter.themes();
            let kind = themes.get("mine").unwrap().kind("lower").unwrap();
            let values = context! { title => "Candle", canvas => context! {}, images => context! {} };
            let html = kind.template.render(&values).unwrap();
            let (place, whole) = (kind.style(HD.resolution).place, Rect::of(HD.resolution));
            let page = Page::parse(&html, &BTreeMap::new(), HD.resolution, place, whole).unwrap();
            let page = page.speaking(mine.locale);
            let mut seen = vec![];
            for ms in [0, 250, 500, 750] {
                let painting = painter.typesetter.paint(&page, &kind.template.sheet, ms).unwrap();
                let want = pixels(&still(&painting, HD), MediaTime::ZERO);
                for turn in [0, 1, 7] {
                    let at = MediaTime::ZERO + Duration::from_millis(ms + 1000 * turn + 120);
                    assert!(pixels(&scene, at) == want, "{ms} ms, turn {turn}");
                }
                assert!(!seen.contains(&want), "{ms} ms");
                seen.push(want);
            }
            assert_eq!(seen[0] == pixels(&Scene::empty(0, HD), MediaTime::ZERO), empty);
        }
    }

    #[test]
    fn a_film_that_takes_too_much_is_refused() {
        let template = "<style>@keyframes f { to { opacity: 0.5 } }
            .a { width: 120rem; height: 80rem; background: #c3352b; animation: f 2s infinite }</style><div class=\"a\"></div>";
        let (painter, _folder) = filmed(r#"{"ms": 2000, "fps": 30}"#, template);
        let mine = Staging { theme: "mine".into(), ..on(HD) };
        let error = painter.paint(1, &[lower()], &mine).unwrap_err().to_string();
        assert!(error.contains("the animation's 60 frames change 866x576 pixels"), "{error}");
    }

    #[test]
    fn the_longest_ticker_is_painted_to_its_end_and_a_longer_one_refused() {
        let paint = |lines: usize, long: usize, resolution| {
            let painter = painter();
            let values = json!({"items": vec!["W".repeat(long); lines]});
            let phases = vec![PhaseSpec { values, ..PhaseSpec::default() }];
            let ticker = LayerSpec { template: "ticker".into(), phases, ..card() };
            painter.paint(1, &[ticker], &on(Canvas { resolution, ..HD }))?;
            let painted = painter.kept().paintings.values().next().unwrap().0.clone();
            Ok::<_, PaintError>(painted)
        };
        let tall = Resolution::new(720, 1280);
        let (one, ten) = (paint(1, 140, tall).unwrap(), paint(10, 140, tall).unwrap());
        let (one, ten) = (one.strip.as_ref().unwrap(), ten.strip.as_ref().unwrap());
        assert!(one.period > 3000 && ten.period.abs_diff(10 * one.period) <= 20, "{} {}", one.period, ten.period);
        // The mark behind its last line is its end.
        let last = &ten.pieces.last().unwrap().luma;
        assert!((last.x as u32 + last.w).abs_diff(ten.period) <= 4, "{} {} of {}", last.x, last.w, ten.period);
        assert!(ten.pieces.iter().all(|piece| piece.luma.w <= 4100));
        let error = paint(25, 1600, tall).unwrap_err().to_string();
        assert!(error.contains("what runs through its window is"), "{error}");
    }

    #[test]
    fn a_layer_for_the_slate_lies_on_nothing_else() {
        let slate = LayerSpec { template: "slate".into(), ground: Some(Ground::Slate), ..card() };
        let scene = painter().paint(1, &[slate], &on(HD)).unwrap();
        assert!(!scene.frame(MediaTime::ZERO, Ground::Slate).is_empty());
        assert!(scene.frame(MediaTime::ZERO, Ground::Live).is_empty());
    }

    #[test]
    fn a_photo_is_shown_and_text_cannot_bring_one_in() {
        let painter = painter();
        let red = image::RgbImage::from_pixel(8, 8, image::Rgb([255, 0, 0]));
        let mut png = io::Cursor::new(vec![]);
        red.write_to(&mut png, image::ImageFormat::Png).unwrap();
        let photo = Arc::new(Photo::decode(png.get_ref()).unwrap());
        let mut with = card();
        with.phases[0].images = BTreeMap::from([("photo".to_owned(), photo)]);
        let mut injected = card();
        injected.phases[0].values["title"] = "<img src=\"photo\">".into();
        let paint = |spec: LayerSpec| pixels(&painter.paint(1, &[spec], &on(HD)).unwrap(), MediaTime::ZERO);
        let redness = |pixels: &[u8]| pixels.iter().filter(|sample| **sample > 230).count();
        let (bare, with, injected) = (redness(&paint(card())), redness(&paint(with)), redness(&paint(injected)));
        assert!(with > bare + 2000, "{with} {bare}");
        assert!(injected < bare + 2000, "{injected} {bare}");
    }
}
