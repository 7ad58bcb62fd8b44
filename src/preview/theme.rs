//! The theme that is previewed, found by what a designer calls it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Error;
use super::sample::Sample;
use crate::overlay::{Canvas, LayerSpec, PaintError, Painter, PainterConfig, Scene};

/// Where a theme is, and whether all of it or one kind of its layers is meant.
#[derive(Clone, Debug)]
pub struct Found {
    /// Absent for what is built in.
    folder: Option<PathBuf>,
    kind: Option<String>,
}

/// A theme, ready to paint.
pub struct Theme {
    painter: Painter,
    kind: Option<String>,
}

impl Found {
    /// A folder, a template in one (FOLDER/card.html), a built-in theme's name, or a template of it (NAME/card.html).
    pub fn by(name: &str) -> Result<Found, Error> {
        let path = Path::new(name);
        if path.is_dir() {
            return Ok(Found { folder: Some(path.to_owned()), kind: None });
        }
        if BUILT_IN.contains(&name) {
            return Ok(Found { folder: None, kind: None });
        }
        let unknown = || Error::Theme { seen: name.to_owned(), known: BUILT_IN.to_vec() };
        let is_template = path.extension().is_some_and(|extension| extension == "html");
        let (Some(kind), Some(folder)) = (path.file_stem().filter(|_| is_template), path.parent()) else {
            return Err(unknown());
        };
        let kind = Some(kind.to_string_lossy().into_owned());
        if path.is_file() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            return Ok(Found { folder: Some(folder.to_owned()), kind });
        }
        match BUILT_IN.iter().any(|name| folder == Path::new(name)) {
            true => Ok(Found { folder: None, kind }),
            false => Err(unknown()),
        }
    }

    /// The one kind that is meant.
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// The files that it is made of.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = self.folder.iter().flat_map(fs::read_dir).flatten().flatten().map(|entry| entry.path());
        let of_theme =
            |path: &PathBuf| path.extension().is_some_and(|is| ["html", "css", "json"].iter().any(|of| is == *of));
        entries.filter(of_theme).collect()
    }

    /// Reads it. What is wrong in it is an error here; of one kind, what is wrong in that one.
    pub fn open(self, fonts: Option<PathBuf>) -> Result<Theme, Error> {
        let Found { folder, kind } = self;
        let painter = Painter::new(PainterConfig { templates: folder, fonts, strict: true })?;
        let meant = |problem: &String| kind.as_ref().is_none_or(|kind| problem.contains(&format!("{kind}.html:")));
        let problems: Vec<String> = painter.problems().iter().map(ToString::to_string).filter(meant).collect();
        if problems.is_empty() { Ok(Theme { painter, kind }) } else { Err(Error::Templates(problems)) }
    }
}

impl Theme {
    /// What it shows when nothing is given.
    pub fn sample(&self) -> Sample {
        Sample::built_in(self.kind.as_deref(), |kind| self.has(kind))
    }

    /// Whether it knows a kind of layer.
    pub fn has(&self, kind: &str) -> bool {
        self.painter.has(kind)
    }

    pub fn paint(
        &self,
        rev: u64,
        mut layers: Vec<LayerSpec>,
        canvas: Canvas,
        locale: &str,
    ) -> Result<Scene, PaintError> {
        for values in layers.iter_mut().flat_map(|layer| &mut layer.phases).map(|phase| &mut phase.values) {
            if let Value::Object(values) = values {
                values.entry("locale").or_insert_with(|| locale.into());
                values.entry("dir").or_insert_with(|| direction(locale).into());
            }
        }
        self.painter.paint(rev, &layers, canvas)
    }
}

/// Which way a language is written.
fn direction(locale: &str) -> &'static str {
    let language = locale.split(['-', '_']).next().unwrap_or_default();
    if ["ar", "fa", "he", "ur"].contains(&language) { "rtl" } else { "ltr" }
}

/// The built-in themes by name.
const BUILT_IN: [&str; 1] = ["built-in"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_follows_the_language() {
        let directions = ["ar", "he-IL", "en", "zh-Hant"].map(direction);
        assert_eq!(directions, ["rtl", "rtl", "ltr", "ltr"]);
    }
}
