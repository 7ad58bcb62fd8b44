//! Themes: what layers look like, how they move, and which data they take.
//!
//! ```text
//!  theme.json ─┐                     ┌─ Kind "card" ── Template, Style for each shape, fields
//!  KIND.html ──┼─ Files ──► Theme ───┤
//!  theme.css ──┘     extends ▲       └─ Kind "countdown" …
//!                            └─ another Theme
//! ```
//!
//! A theme is a folder. What it does not have, it takes from the one that it extends: kind by kind, setting by setting, `base`
//! at the end. A setting of the theme's own wins over everything that the extended one says, in all its variants. A template
//! is dressed by its own `<style>`, then by the `theme.css` of its own theme and of each one down to the theme in use.
//!
//! A folder's theme is tried out when it is read (`checks`), and one with anything wrong is not taken: its last good version stays.

mod built_in;
mod checks;
mod contrast;
mod field;
mod files;
mod flash;
mod manifest;
mod problem;
mod samples;
mod shape;
mod sheet;
mod style;
mod template;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use field::{Field, FieldKind, ValueError};
pub use problem::{Problem, ThemeError};
pub use shape::Shape;
pub use style::Style;
pub use template::Template;

use self::files::Files;
use self::manifest::{Manifest, Settings, line_of};
use self::problem::line_at;
use self::template::Markup;
use super::html::Typesetter;
use crate::media::Resolution;

pub(super) use files::{Stamp, stamps};

/// The theme of a show that names none.
pub const DEFAULT: &str = "boutique";

/// Every theme by name: the built-in ones, and a folder's, which go before them.
#[derive(Debug)]
pub struct Themes {
    own: BTreeMap<String, Arc<Theme>>,
    built_in: BTreeMap<String, Arc<Theme>>,
    problems: Vec<Problem>,
}

/// One theme, with everything that it takes from others.
#[derive(Debug)]
pub struct Theme {
    name: String,
    title: String,
    kinds: BTreeMap<String, Arc<Kind>>,
    /// Of all its files and of those it extends.
    digest: [u8; 32],
    files: Files,
}

/// One kind of layer in a theme.
#[derive(Debug)]
pub struct Kind {
    name: String,
    pub template: Template,
    /// What moves inside of the element with `id="window"`.
    pub strip: Option<Template>,
    fields: BTreeMap<String, Field>,
    variants: BTreeSet<Shape>,
    /// In the order of [`Shape::ALL`].
    styles: [Style; 3],
    samples: Vec<serde_json::Value>,
    behind: Option<Arc<Kind>>,
}

/// Why values are not taken for a layer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotShown {
    #[error(transparent)]
    Kind(ThemeError),
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl Themes {
    /// The built-in themes alone.
    pub fn built_in() -> Result<Themes, ThemeError> {
        let untried = |_: &Theme, _: Option<&Theme>| vec![];
        let mut reading = Reading::new(Files::built_in(), BTreeMap::new(), None, &untried);
        reading.all();
        match reading.problems.pop() {
            Some(problem) => Err(problem.error),
            None => Ok(Themes { own: BTreeMap::new(), built_in: reading.themes(), problems: vec![] }),
        }
    }

    /// The same built-in themes, with those of a folder. Themes are tried by painting them; one that is as it was in `self`
    /// is taken over, and so is the last good version of one that is wrong.
    pub fn with_folder(&self, folder: &Path, typesetter: &Typesetter) -> Themes {
        let tried = |theme: &Theme, extended: Option<&Theme>| checks::wrong(theme, extended, typesetter);
        let (mut files, mut problems) = (vec![], vec![]);
        match files::open_all(folder, |name| self.own.contains_key(name)) {
            Err(error) => {
                problems.push(Problem { theme: None, error });
                return Themes { own: self.own.clone(), built_in: self.built_in.clone(), problems };
            }
            Ok(opened) => opened.into_iter().for_each(|opened| match opened {
                Ok(opened) => files.push(opened),
                Err(problem) => problems.push(problem),
            }),
        }
        let unread: Vec<String> = problems.iter().filter_map(|problem| problem.theme.clone()).collect();
        let mut reading = Reading::new(files, self.built_in.clone(), Some(self), &tried);
        for name in unread {
            let last = self.own.get(&name).cloned();
            reading.done.insert(name, last);
        }
        reading.problems = problems;
        reading.all();
        let problems = std::mem::take(&mut reading.problems);
        Themes { own: reading.themes(), built_in: self.built_in.clone(), problems }
    }

    /// A folder's theme before the built-in one.
    pub fn get(&self, name: &str) -> Result<&Arc<Theme>, ThemeError> {
        self.own.get(name).or_else(|| self.built_in.get(name)).ok_or_else(|| {
            let known: BTreeSet<&String> = self.own.keys().chain(self.built_in.keys()).collect();
            ThemeError::UnknownTheme { name: name.to_owned(), known: known.into_iter().cloned().collect() }
        })
    }

    /// Every theme, by name.
    pub fn list(&self) -> Vec<&Arc<Theme>> {
        let mut all: BTreeMap<&String, &Arc<Theme>> = self.built_in.iter().collect();
        all.extend(&self.own);
        all.into_values().collect()
    }

    /// The names of all.
    pub fn names(&self) -> Vec<String> {
        self.list().into_iter().map(|theme| theme.name.clone()).collect()
    }

    /// What is wrong in the folder.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Theme {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What people call it.
    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn kind(&self, kind: &str) -> Result<&Arc<Kind>, ThemeError> {
        self.kinds.get(kind).ok_or_else(|| ThemeError::UnknownKind {
            theme: self.name.clone(),
            kind: kind.to_owned(),
            known: self.kinds.keys().cloned().collect(),
        })
    }

    /// Every kind, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values()
    }

    /// Whether a layer of this kind can show these values.
    pub fn check_values(&self, kind: &str, values: &serde_json::Value) -> Result<(), NotShown> {
        let kind = self.kind(kind).map_err(NotShown::Kind)?;
        Ok(field::check(&kind.fields, values)?)
    }

    fn new(
        files: Files,
        manifest: Manifest,
        extended: Option<&Theme>,
        digest: [u8; 32],
    ) -> Result<Theme, Vec<ThemeError>> {
        let mut wrong = vec![];
        let css = files.css.clone().unwrap_or_default();
        let css_file = files.path(files::CSS);
        if let Some((at, reason)) = template::reaching_out(&css) {
            wrong.push(ThemeError::at(&css_file, line_at(&css, at), reason));
        } else if let Err(error) = template::check_css(&css_file, &css, 0, &css) {
            wrong.push(error);
        }
        let mut own: BTreeMap<&str, Arc<Markup>> = BTreeMap::new();
        for (name, source) in &files.templates {
            let file = files.path(&format!("{name}.html"));
            let kind = name.strip_suffix(STRIP).unwrap_or(name);
            if !files::named(kind, b"_") {
                let reason = "a template is called by a-z, 0-9 and _, 64 at most, beginning with a letter";
                wrong.push(ThemeError::unreadable(&file, reason));
                continue;
            }
            match Markup::parse(file, source.clone()) {
                Ok(markup) => drop(own.insert(name, Arc::new(markup))),
                Err(error) => wrong.push(error),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }

        let inherited = extended.iter().flat_map(|theme| theme.kinds.keys().map(String::as_str));
        let own_names = own.keys().map(|name| name.strip_suffix(STRIP).unwrap_or(name));
        let said = manifest.layers.keys().chain(manifest.samples.keys()).map(String::as_str);
        let names: BTreeSet<&str> = inherited.chain(own_names).chain(said).collect();
        let mut kinds = BTreeMap::new();
        for name in names {
            let parts = Parts {
                name,
                markup: own.get(name).cloned(),
                strip: own.get(format!("{name}{STRIP}").as_str()).cloned(),
                css: &css,
                settings: manifest.layers.get(name),
                samples: manifest.samples.get(name),
                behind: extended.and_then(|theme| theme.kinds.get(name)),
            };
            match parts.kind(&files) {
                Ok(kind) => drop(kinds.insert(name.to_owned(), kind)),
                Err(error) => wrong.push(error),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Theme { name: files.name.clone(), title: manifest.title, kinds, digest, files })
    }

    /// The line of a key in its manifest, for what the manifest turns out to say wrongly.
    fn at_key(&self, path: &[&str], reason: String) -> ThemeError {
        ThemeError::at(&self.files.manifest_path(), line_of(&self.files.manifest, path), reason)
    }
}

impl Kind {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its settings on a canvas.
    pub fn style(&self, canvas: Resolution) -> &Style {
        let shape = Shape::of(canvas);
        let at = Shape::ALL.iter().position(|of| *of == shape).unwrap_or(0);
        &self.styles[at]
    }

    /// The data that it takes, by name.
    pub fn fields(&self) -> &BTreeMap<String, Field> {
        &self.fields
    }

    /// The shapes of canvas that it has settings of its own for.
    pub fn variants(&self) -> impl Iterator<Item = Shape> {
        self.variants.iter().copied()
    }

    /// Values to try it with.
    pub fn samples(&self) -> &[serde_json::Value] {
        &self.samples
    }

    /// The same kind of the extended theme, which serves where this one cannot be painted.
    pub fn behind(&self) -> Option<&Arc<Kind>> {
        self.behind.as_ref()
    }
}

/// What a kind of a theme is made of.
struct Parts<'a> {
    name: &'a str,
    markup: Option<Arc<Markup>>,
    strip: Option<Arc<Markup>>,
    css: &'a str,
    settings: Option<&'a Settings>,
    samples: Option<&'a serde_json::Value>,
    behind: Option<&'a Arc<Kind>>,
}

impl Parts<'_> {
    fn kind(self, files: &Files) -> Result<Arc<Kind>, ThemeError> {
        let Parts { name, markup, strip, css, settings, samples, behind } = self;
        let nothing_own =
            markup.is_none() && strip.is_none() && css.is_empty() && settings.is_none() && samples.is_none();
        if let Some(behind) = behind.filter(|_| nothing_own) {
            return Ok(behind.clone());
        }
        let in_manifest = |path: &[&str], reason: String| {
            ThemeError::at(&files.manifest_path(), line_of(&files.manifest, path), reason)
        };
        let dressed = |own: Option<Arc<Markup>>, behind: Option<&Template>| match (own, behind) {
            (Some(own), _) => Template::new(own, css).map(Some),
            (None, Some(behind)) => behind.with(css).map(Some),
            (None, None) => Ok(None),
        };
        let template = dressed(markup, behind.map(|behind| &behind.template))?;
        let Some(template) = template else {
            let path = if settings.is_some() { ["layers", name] } else { ["samples", name] };
            return Err(in_manifest(
                &path,
                format!("there is no {name}.html, neither here nor in a theme that it extends"),
            ));
        };
        let strip = dressed(strip, behind.and_then(|behind| behind.strip.as_ref()))?;

        let own_fields = settings.and_then(|settings| settings.fields.clone());
        let fields = own_fields.or_else(|| behind.map(|behind| behind.fields.clone())).unwrap_or_default();
        let given: Vec<serde_json::Value> = match samples {
            None => vec![],
            Some(serde_json::Value::Array(samples)) => samples.clone(),
            Some(sample) => vec![sample.clone()],
        };
        if given.len() > MOST_SAMPLES {
            return Err(in_manifest(&["samples", name], format!("a layer may have {MOST_SAMPLES} samples")));
        }
        for sample in &given {
            field::check(&fields, sample).map_err(|error| in_manifest(&["samples", name], error.to_string()))?;
        }
        let fits = |kind: &&Arc<Kind>| kind.samples.iter().all(|sample| field::check(&fields, sample).is_ok());
        let samples = match (given.is_empty(), behind.filter(fits)) {
            (false, _) => given,
            (true, Some(behind)) => behind.samples.clone(),
            (true, None) => samples::of(name, &fields),
        };

        let none = Settings::default();
        let settings = settings.unwrap_or(&none);
        let mut styles = behind.map_or([Style::default(); 3], |behind| behind.styles);
        for (style, shape) in styles.iter_mut().zip(Shape::ALL) {
            *style = style.with(settings).with(settings.variants.get(&shape).unwrap_or(&none));
        }
        let variants = behind.iter().flat_map(|behind| behind.variants()).chain(settings.variants.keys().copied());
        Ok(Arc::new(Kind {
            name: name.to_owned(),
            template,
            strip,
            variants: variants.collect(),
            fields,
            styles,
            samples,
            behind: behind.cloned(),
        }))
    }
}

/// Tells what is wrong with a theme, beside the one that it extends.
type Tried<'a> = dyn Fn(&Theme, Option<&Theme>) -> Vec<ThemeError> + 'a;

/// Themes being read, each after the one that it extends.
struct Reading<'a> {
    files: BTreeMap<String, Files>,
    /// What they may extend besides one another.
    built_in: BTreeMap<String, Arc<Theme>>,
    last: Option<&'a Themes>,
    tried: &'a Tried<'a>,
    /// What became of each; nothing where there never was a good one.
    done: BTreeMap<String, Option<Arc<Theme>>>,
    problems: Vec<Problem>,
}

impl<'a> Reading<'a> {
    fn new(
        files: Vec<Files>,
        built_in: BTreeMap<String, Arc<Theme>>,
        last: Option<&'a Themes>,
        tried: &'a Tried<'a>,
    ) -> Reading<'a> {
        let files = files.into_iter().map(|files| (files.name.clone(), files)).collect();
        Reading { files, built_in, last, tried, done: BTreeMap::new(), problems: vec![] }
    }

    fn all(&mut self) {
        let names: Vec<String> = self.files.keys().cloned().collect();
        names.iter().for_each(|name| drop(self.theme(name, &mut vec![])));
    }

    fn themes(self) -> BTreeMap<String, Arc<Theme>> {
        self.done.into_iter().filter_map(|(name, theme)| Some((name, theme?))).collect()
    }

    /// A theme, or its last good version. `under` are the themes that wait for it because they extend it.
    fn theme(&mut self, name: &str, under: &mut Vec<String>) -> Option<Arc<Theme>> {
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        let files = self.files.get(name)?.clone();
        under.push(name.to_owned());
        let anew = self.anew(files, under);
        under.pop();
        let theme = match anew {
            Ok(theme) => Some(theme),
            Err(wrong) => {
                let problem = |error| Problem { theme: Some(name.to_owned()), error };
                self.problems.extend(wrong.into_iter().map(problem));
                self.last.and_then(|last| last.own.get(name).cloned())
            }
        };
        self.done.insert(name.to_owned(), theme.clone());
        theme
    }

    fn anew(&mut self, files: Files, under: &mut Vec<String>) -> Result<Arc<Theme>, Vec<ThemeError>> {
        let manifest = Manifest::parse(&files.manifest_path(), &files.manifest)?;
        let extended = self.extended(&files, &manifest, under).map_err(|reason| {
            let line = line_of(&files.manifest, &["extends"]);
            vec![ThemeError::at(&files.manifest_path(), line, reason)]
        })?;
        let digest = digest(&files, extended.as_deref());
        if let Some(same) = self.last.and_then(|last| last.own.get(&files.name)).filter(|same| same.digest == digest) {
            return Ok(same.clone());
        }
        let theme = Theme::new(files, manifest, extended.as_deref(), digest)?;
        let wrong = (self.tried)(&theme, extended.as_deref());
        if wrong.is_empty() { Ok(Arc::new(theme)) } else { Err(wrong) }
    }

    fn extended(
        &mut self,
        files: &Files,
        manifest: &Manifest,
        under: &mut Vec<String>,
    ) -> Result<Option<Arc<Theme>>, String> {
        let wanted = match &manifest.extends {
            Some(wanted) => wanted.as_str(),
            // The built-in one is where all others end.
            None if files.name == BASE && self.built_in.is_empty() => return Ok(None),
            None => BASE,
        };
        // A folder's theme that has a built-in one's name extends that one, not itself.
        let built_in = self.built_in.get(wanted).cloned();
        if wanted == files.name {
            return built_in.map(Some).ok_or_else(|| "a theme cannot extend itself".to_owned());
        }
        if let Some(at) = under.iter().position(|name| name == wanted) {
            return Err(format!("themes cannot extend one another: {} → {wanted}", under[at..].join(" → ")));
        }
        if self.files.contains_key(wanted) || self.done.contains_key(wanted) {
            let theme = self.theme(wanted, under);
            return theme.map(Some).ok_or_else(|| format!("it extends {wanted:?}, which has an error itself"));
        }
        let known: BTreeSet<&String> = self.files.keys().chain(self.built_in.keys()).collect();
        let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
        built_in.map(Some).ok_or_else(|| format!("there is no theme {wanted:?}; there are: {}", known.join(", ")))
    }
}

fn digest(files: &Files, extended: Option<&Theme>) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    add(&files.manifest);
    add(files.css.as_deref().unwrap_or_default());
    for (name, source) in &files.templates {
        add(name);
        add(source);
    }
    hash.update(extended.map_or([0; 32], |theme| theme.digest));
    hash.finalize().into()
}

/// The theme that every other one extends in the end.
const BASE: &str = "base";
/// `ticker-strip.html` is what moves in `ticker.html`.
const STRIP: &str = "-strip";
/// Samples of a kind.
const MOST_SAMPLES: usize = 4;

#[cfg(test)]
mod tests;
