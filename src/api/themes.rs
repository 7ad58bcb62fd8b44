//! The themes that there are, and what is wrong with those of the folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::auth::Operator;
use crate::overlay::theme::{Kind, Problem, Shape, Theme};

/// Every theme, and every problem.
#[derive(Serialize, ToSchema)]
pub(super) struct Themes {
    themes: Vec<Listed>,
    problems: Vec<Wrong>,
}

/// A theme that shows can have.
#[derive(Serialize, ToSchema)]
struct Listed {
    /// What a show calls it.
    name: String,
    title: String,
    kinds: Vec<Layer>,
}

/// A kind of layer.
#[derive(Serialize, ToSchema)]
struct Layer {
    name: String,
    /// The data that it takes: `text`, `number`, `percent`, `flag` or `list`, with a `?` where it may be absent.
    fields: BTreeMap<String, String>,
    /// The shapes of canvas that it has settings of its own for: `16:9`, `9:16`, `1:1`.
    variants: Vec<&'static str>,
}

/// Why a theme of the folder is not taken as it is. Its last good version stays, if there was one.
#[derive(Serialize, ToSchema)]
struct Wrong {
    /// Absent where the folder itself is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    theme: Option<String>,
    /// From the themes folder on.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    reason: String,
}

/// The themes with their layers, and what is wrong in the themes folder.
#[utoipa::path(get, path = "/themes", tag = "themes", security(("bearer" = [])),
    responses((status = 200, description = "By name", body = Themes)))]
pub(super) async fn list(_: Operator, State(api): State<Arc<Api>>) -> Json<Themes> {
    let themes = api.shows.painter().themes();
    Json(Themes {
        themes: themes.list().into_iter().map(|theme| listed(theme)).collect(),
        problems: themes.problems().iter().map(wrong).collect(),
    })
}

fn listed(theme: &Theme) -> Listed {
    let layer = |kind: &Arc<Kind>| Layer {
        name: kind.name().to_owned(),
        fields: kind.fields().iter().map(|(name, field)| (name.clone(), field.to_string())).collect(),
        variants: kind.variants().map(Shape::name).collect(),
    };
    Listed { name: theme.name().to_owned(), title: theme.title().to_owned(), kinds: theme.kinds().map(layer).collect() }
}

fn wrong(Problem { theme, error }: &Problem) -> Wrong {
    let (file, line) = error.place();
    Wrong { theme: theme.clone(), file: file.map(|file| file.display().to_string()), line, reason: error.reason() }
}
