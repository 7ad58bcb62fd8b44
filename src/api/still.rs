//! Stills: what is on the picture, or would be at another moment, for consoles and checks.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::auth::Operator;
use super::body::Body;
use super::changed::of_stage;
use super::cue::{self, CuePost};
use super::{Api, Problem};
use crate::media::MediaTime;
use crate::overlay::StillFormat;
use crate::show::{self, Handle, still};

/// Which still is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StillQuery {
    at: Option<i64>,
    #[serde(default)]
    format: Format,
    width: Option<u32>,
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Png,
    Webp,
}

/// What is on the picture, or will be at another moment as far as it is known, cues that wait included: layers over the newest
/// picture that came.
#[utoipa::path(get, path = "/shows/{show}/still", tag = "stage", security(("bearer" = [])),
    params(
        ("show" = String, Path),
        ("at" = Option<i64>, Query, minimum = 0,
            description = "The moment to show, in 90 kHz ticks of the show's media time; now without it"),
        ("format" = Option<Format>, Query, description = "Both are lossless; PNG without it"),
        ("width" = Option<u32>, Query, minimum = 16, description = "Pixels; the canvas's own width without it, and never more"),
    ),
    responses(
        (status = 200, content_type = "image/*", body = [u8], headers(
            ("Hawker-Rev" = u64, description = "The revision that it shows"),
            ("Hawker-Media-Time" = i64, description = "The moment that it shows"),
        )),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
        (status = 503, body = super::problem::Body, content_type = "application/problem+json",
            description = "Other stills are being made: ask again"),
    ))]
pub(super) async fn get(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
    query: Result<Query<StillQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let show = api.show(&show)?;
    let Query(query) = query.map_err(|rejection| Problem::unreadable(rejection.body_text()))?;
    picture(&show, show.state(), query).await
}

/// What changes of the stage would look like: those of a cue, at its moment, or at once without one. Nothing is changed.
#[utoipa::path(post, path = "/shows/{show}/still", tag = "stage", security(("bearer" = [])),
    params(
        ("show" = String, Path),
        ("at" = Option<i64>, Query, minimum = 0,
            description = "The moment to show, in 90 kHz ticks of the show's media time; that of the changes without it"),
        ("format" = Option<Format>, Query, description = "Both are lossless; PNG without it"),
        ("width" = Option<u32>, Query, minimum = 16, description = "Pixels; the canvas's own width without it, and never more"),
    ),
    request_body = CuePost,
    responses(
        (status = 200, content_type = "image/*", body = [u8], headers(
            ("Hawker-Rev" = u64, description = "The revision that the changes were tried on"),
            ("Hawker-Media-Time" = i64, description = "The moment that it shows"),
        )),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json",
            description = "As for the cue: the changes may not take place then"),
        (status = 503, body = super::problem::Body, content_type = "application/problem+json",
            description = "Other stills are being made: ask again"),
    ))]
pub(super) async fn post(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
    query: Result<Query<StillQuery>, QueryRejection>,
    Body(body): Body<CuePost>,
) -> Result<Response, Problem> {
    let show = api.show(&show)?;
    let Query(mut query) = query.map_err(|rejection| Problem::unreadable(rejection.body_text()))?;
    let time = body.time();
    let cue::Wanted { at, changes, .. } = body.read(&show)?;
    let (state, now) = (show.state(), show.wall());
    let at = at.unwrap_or(now);
    let state = state.with(&changes, at, now).map_err(|refused| {
        let problem = of_stage(show::Error::from(refused).into()).rename_field("at", time);
        cue::in_change(&show, &changes, Some(at), problem)
    })?;
    query.at.get_or_insert_with(|| show.media_time(at).ticks());
    picture(&show, Arc::new(state), query).await
}

async fn picture(show: &Handle, state: Arc<show::State>, query: StillQuery) -> Result<Response, Problem> {
    let StillQuery { at, format, width } = query;
    if at.is_some_and(|at| !(0..=MOST_TICKS).contains(&at)) {
        return Err(Problem::invalid("invalid", format!("a moment is from 0 to {MOST_TICKS}")).in_field("at"));
    }
    if width.is_some_and(|width| width < LEAST_WIDTH) {
        return Err(Problem::invalid("invalid", format!("a still is at least {LEAST_WIDTH} wide")).in_field("width"));
    }
    let format = match format {
        Format::Png => StillFormat::Png,
        Format::Webp => StillFormat::WebP,
    };
    let shot = show.still(state, still::Wanted { at: at.map(MediaTime::from_ticks), format, width }).await?;
    let mut response = shot.bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(shot.format.media_type()));
    headers.insert(REV, shot.rev.into());
    headers.insert(MEDIA_TIME, shot.at.ticks().into());
    Ok(response)
}

const REV: HeaderName = HeaderName::from_static("hawker-rev");
const MEDIA_TIME: HeaderName = HeaderName::from_static("hawker-media-time");
/// Three thousand years, and exact in JavaScript's numbers.
const MOST_TICKS: i64 = 1 << 53;
const LEAST_WIDTH: u32 = 16;
