//! The theme that is previewed, found by what a designer calls it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Error;
use super::sample::Sample;
use crate::overlay::theme::{NotShown, Problem};
use crate::overlay::{Canvas, LayerSpec, Locale, PaintError, Painter, PainterConfig, Scene, Staging, Themes};

/// Where a theme is, and whether all of it or one kind of its layers is meant.
#[derive(Clone, Debug)]
pub struct Found {
    /// Absent for what is built in.
    folder: Option<PathBuf>,
    name: String,
    kind: Option<String>,
}

/// A theme, ready to paint.
pub struct Theme {
    painter: Painter,
    name: String,
    kind: Option<String>,
}

impl Found {
    /// A folder, a template in one (FOLDER/card.html), a built-in theme's name, or a template of it (NAME/card.html).
    pub fn by(name: &str) -> Result<Found, Error> {
        let path = Path::new(name);
        if path.is_dir() {
            return Found::at(path, None);
        }
        let known: Vec<String> = Themes::built_in().map_err(PaintError::from)?.names();
        if known.iter().any(|known| known == name) {
            return Ok(Found { folder: None, name: name.to_owned(), kind: None });
        }
        let unknown = || Error::Theme { seen: name.to_owned(), known: known.clone() };
        let is_template = path.extension().is_some_and(|extension| extension == "html");
        let (Some(kind), Some(folder)) = (path.file_stem().filter(|_| is_template), path.parent()) else {
            return Err(unknown());
        };
        let kind = Some(kind.to_string_lossy().into_owned());
        if path.is_file() {
            return Found::at(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }, kind);
        }
        match known.iter().find(|name| folder == Path::new(name)) {
            Some(name) => Ok(Found { folder: None, name: name.clone(), kind }),
            None => Err(unknown()),
        }
    }

    fn at(folder: &Path, kind: Option<String>) -> Result<Found, Error> {
        let unreadable = |source| Error::Unreadable { file: folder.to_owned(), source };
        let folder = folder.canonicalize().map_err(unreadable)?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Found { folder: Some(folder), name, kind })
    }

    /// The one kind that is meant.
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// The files that it is made of, and those of its neighbours that it extends.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = self.folders().into_iter().flat_map(fs::read_dir).flatten().flatten().map(|entry| entry.path());
        let of_theme =
            |path: &PathBuf| path.extension().is_some_and(|is| ["html", "css", "json"].iter().any(|of| is == *of));
        entries.filter(of_theme).collect()
    }

    /// Its folder, and one after the other that it extends. One that does not read may do so soon, and then leads on.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = vec![];
        let mut next = self.folder.clone();
        while let Some(folder) = next.filter(|folder| folder.is_dir() && !folders.contains(folder)) {
            let manifest = fs::read(folder.join("theme.json")).unwrap_or_default();
            let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
            let wanted = manifest["extends"].as_str().unwrap_or("base");
            // A neighbour has a plain name.
            let neighbour = Path::new(wanted).file_name().filter(|name| *name == wanted);
            next = neighbour.map(|name| folder.with_file_name(name));
            folders.push(folder);
        }
        folders
    }

    /// Reads it. What is wrong in it is an error here.
    pub fn open(self, fonts: Option<PathBuf>) -> Result<Theme, Error> {
        let Found { folder, name, kind } = self;
        // Its neighbours are read too: it may extend one of them.
        let themes = folder.as_deref().and_then(Path::parent).map(Path::to_owned);
        let painter = Painter::new(PainterConfig { themes, fonts, strict: true })?;
        let own = |problem: &&Problem| problem.theme.as_ref().is_none_or(|of| *of == name);
        let problems: Vec<String> =
            painter.problems().iter().filter(own).map(|wrong| wrong.error.to_string()).collect();
        if folder.is_some() && !problems.is_empty() {
            return Err(Error::Templates(problems));
        }
        Ok(Theme { painter, name, kind })
    }
}

impl Theme {
    /// What it shows when nothing is given.
    pub fn sample(&self) -> Sample {
        Sample::built_in(self.kind.as_deref(), |kind| self.has(kind))
    }

    /// Whether it knows a kind of layer.
    pub fn has(&self, kind: &str) -> bool {
        self.painter.themes().get(&self.name).is_ok_and(|theme| theme.kind(kind).is_ok())
    }

    /// Whether its layers take a sample's values, from the first to the last; or which of them does not, and why.
    pub fn check(&self, sample: &Sample) -> Result<(), (String, NotShown)> {
        let themes = self.painter.themes();
        for (kind, layer) in &sample.layers {
            let refused = |why| (kind.clone(), why);
            let theme = themes.get(&self.name).map_err(|error| refused(NotShown::Kind(error)))?;
            let mut values = layer.values.clone();
            for step in std::iter::once(None).chain(layer.then.iter().map(Some)) {
                values.extend(step.into_iter().flat_map(|(_, step)| step.clone()));
                theme.check_values(kind, &Value::Object(values.clone())).map_err(refused)?;
            }
        }
        Ok(())
    }

    pub fn paint(&self, rev: u64, layers: &[LayerSpec], canvas: Canvas, locale: Locale) -> Result<Scene, PaintError> {
        self.painter.paint(rev, layers, &Staging { canvas, theme: self.name.clone(), locale })
    }
}
