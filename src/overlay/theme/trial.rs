//! One painting of a template on trial: with a sample's values, on a canvas of some shape.
//!
//! This is the one place of the room that reads a clock, to refuse a template that would hold the painter up.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use minijinja::value::Serde;
use minijinja::{Value, context};

use super::problem::ThemeError;
use super::{Kind, Template};
use crate::media::Resolution;
use crate::overlay::html::{Page, Typesetter};
use crate::overlay::raster::Rect;

/// One kind with one sample on one canvas.
pub(super) struct Trial<'a> {
    pub(super) kind: &'a Kind,
    pub(super) canvas: Resolution,
    pub(super) values: Value,
    pub(super) typesetter: &'a Typesetter,
}

impl Trial<'_> {
    pub(super) fn layout(&self, template: &Template) -> Result<Page, ThemeError> {
        let page = self.page(&template.render(&self.values)?).map_err(|reason| failed(template, reason))?;
        let checked = self.typesetter.check(&page, &template.sheet);
        checked.map_err(|error| failed(template, error.to_string()))?;
        Ok(page)
    }

    /// The painting alone; its pixels are looked at elsewhere.
    pub(super) fn paint(&self, template: &Template, page: &Page) -> Result<(), ThemeError> {
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
        Page::parse(html, &BTreeMap::new(), self.canvas, self.kind.style(self.canvas).place, whole)
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
pub(super) fn values(sample: &serde_json::Value, canvas: Resolution) -> Value {
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
