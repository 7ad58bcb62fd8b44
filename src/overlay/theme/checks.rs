//! Tries a theme before it is taken: paints every kind with its samples on a canvas of every shape.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use super::problem::ThemeError;
use super::shape::Shape;
use super::trial::{Trial, file, values};
use super::{Kind, Theme, contrast, flash};
use crate::overlay::html::Typesetter;

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
