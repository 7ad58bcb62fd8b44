//! Tries a theme before it is taken: paints every kind with its samples on a canvas of every shape.
//!
//! This is the one place of the room that reads a clock, to refuse a template that would hold the painter up.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use minijinja::value::Serde;
use minijinja::{Value, context};

use super::problem::ThemeError;
use super::shape::Shape;
use super::{Kind, Template, Theme, contrast, flash};
use crate::media::Resolution;
use crate::overlay::html::{Page, Typesetter};
use crate::overlay::raster::Rect;

/// What is wrong with the kinds that a theme does not take as they are from the one it extends.
pub(super) fn wrong(theme: &Theme, extended: Option<&Theme>, typesetter: &Typesetter) -> Vec<ThemeError> {
    let taken = |kind: &Arc<Kind>| {
        let same = extended.and_then(|extended| extended.kinds.get(kind.name()));
        same.is_some_and(|same| Arc::ptr_eq(same, kind))
    };
    let mut wrong = vec![];
    for kind in theme.kinds().filter(|kind| !taken(kind)) {
        wrong.extend(flash::wrong(theme, kind));
        // A template can be anybody's, and what paints it is large.
        let tried = catch_unwind(AssertUnwindSafe(|| try_kind(kind, typesetter)));
        let broke_off = |_| vec![ThemeError::at(file(&kind.template), 1, "painting broke off: see the server's log")];
        wrong.extend(tried.unwrap_or_else(broke_off));
    }
    // The same line fails in several shapes, and with several samples.
    let mut told: BTreeSet<(PathBuf, Option<usize>)> = BTreeSet::new();
    wrong.retain(|error| match error.place() {
        (Some(file), line) => told.insert((file.to_owned(), line)),
        (None, _) => true,
    });
    wrong
}

fn try_kind(kind: &Kind, typesetter: &Typesetter) -> Vec<ThemeError> {
    let mut wrong = vec![];
    for shape in Shape::ALL {
        for sample in kind.samples() {
            let trial = Trial { kind, canvas: shape.trial(), values: values(sample, shape.trial()), typesetter };
            let tried = trial.layout(&kind.template).and_then(|page| {
                trial.paint(&kind.template, &page)?;
                kind.strip.as_ref().map(|strip| trial.layout(strip)).transpose()?;
                contrast::wrong(&trial)
            });
            match tried {
                Ok(faint) => wrong.extend(faint),
                // Nothing is gained by the same error three times over.
                Err(error) => return vec![error],
            }
        }
    }
    wrong
}

/// One kind with one sample on one canvas.
pub(super) struct Trial<'a> {
    pub(super) kind: &'a Kind,
    pub(super) canvas: Resolution,
    pub(super) values: Value,
    pub(super) typesetter: &'a Typesetter,
}

impl Trial<'_> {
    fn layout(&self, template: &Template) -> Result<Page, ThemeError> {
        let page = self.page(&template.render(&self.values)?).map_err(|reason| failed(template, reason))?;
        let checked = self.typesetter.check(&page, &template.sheet);
        checked.map_err(|error| failed(template, error.to_string()))?;
        Ok(page)
    }

    /// The painting alone; its pixels are looked at elsewhere.
    fn paint(&self, template: &Template, page: &Page) -> Result<(), ThemeError> {
        let begun = Instant::now();
        self.typesetter.paint(page, &template.sheet, 0).map_err(|error| failed(template, error.to_string()))?;
        match begun.elapsed() {
            took if took > LONGEST => {
                let reason = format!("painting it takes {took:.1?}, which would hold the picture's changes up");
                Err(failed(template, reason))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn page(&self, html: &str) -> Result<Page, String> {
        let whole = Rect::of(self.canvas);
        Page::parse(html, &BTreeMap::new(), self.canvas, self.kind.style(self.canvas), whole)
            .map_err(|error| error.to_string())
    }
}

pub(super) fn file(template: &Template) -> &Path {
    &template.markup().file
}

fn failed(template: &Template, reason: String) -> ThemeError {
    ThemeError::at(file(template), 1, reason)
}

/// A sample with what every template sees.
fn values(sample: &serde_json::Value, canvas: Resolution) -> Value {
    let mut cells = 0..;
    let place = |c: char| match c {
        '0' => context! { cell => cells.next().map(|n| format!("cell-{n}")), text => "0" },
        mark => context! { text => mark.to_string() },
    };
    let clock: Vec<Value> = "0:00.0".chars().map(place).collect();
    let (width, height) = (canvas.width, canvas.height);
    context! {
        canvas => context! { width, height, portrait => height > width, square => height == width },
        images => context! {},
        clock => clock,
        locale => "en",
        dir => "ltr",
        ..Value::from(Serde(sample))
    }
}

/// A card takes a few milliseconds; this is for a machine that has other work too.
const LONGEST: Duration = Duration::from_secs(2);
