//! What a seller is told before the picture shows it: texts with characters that no font here has.

use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use crate::overlay::Gap;
use crate::show::State;

/// Something that is taken as it is, and will not look as it was meant to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Warning {
    /// `missing-glyphs`
    #[serde(rename = "type")]
    kind: &'static str,
    /// What is wrong and what to do.
    detail: String,
    /// The characters that stay blank on the picture.
    characters: String,
    /// The Debian package that has them, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    install: Option<&'static str>,
}

/// What no font has of some texts.
pub(super) async fn of_texts(api: &Api, texts: &[&str]) -> Vec<Warning> {
    if texts.is_empty() {
        return Vec::new();
    }
    let (painter, text) = (api.shows.painter().clone(), texts.join("\n"));
    // Fonts may be read for it: tens of megabytes, once.
    let gaps = tokio::task::spawn_blocking(move || painter.missing_in(&text)).await;
    gaps.unwrap_or_default().into_iter().map(Warning::of).collect()
}

/// What no font has of the texts that a show has on its picture.
pub(super) async fn of_stage(api: &Api, state: &State) -> Vec<Warning> {
    let staged = state.texts();
    let texts: Vec<&str> = staged.iter().map(String::as_str).chain([state.title.as_str()]).collect();
    of_texts(api, &texts).await
}

impl Warning {
    fn of(Gap { characters, install }: Gap) -> Warning {
        let listed: Vec<String> = characters.chars().map(String::from).collect();
        let advice = match install {
            Some(package) => format!("install {package} and start hawker again"),
            None => "put a font that has them into the folder that `fonts` names, and start hawker again".to_owned(),
        };
        let detail = format!("no font here has {}: {advice}", listed.join(" "));
        Warning { kind: "missing-glyphs", detail, characters, install }
    }
}
