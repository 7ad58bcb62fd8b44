//! The stage: what is on the picture now. An answer says from which frame on a change is seen.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::Operator;
use super::body::Body;
use super::changed::{Changed, change};
use super::cue::moment;
use super::expect::{Expect, Expected, Tagged};
use super::layers::{self, LayerPut, OnLayer};
use super::{Api, Problem};
use crate::show::stage::{Change, Layer};
use crate::show::{self, Command};

/// What is on the picture, by layer.
#[derive(Serialize, ToSchema)]
pub(super) struct OnStage {
    card: Option<OnLayer>,
    countdown: Option<OnLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ladder: Option<OnLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stock: Option<OnLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sold: Option<OnLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticker: Option<OnLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coupon: Option<OnLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    banner: Option<OnLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sold_out: Option<OnLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<OnLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watermark: Option<OnLayer>,
}

/// The stage at a revision.
#[derive(Serialize, ToSchema)]
pub(super) struct StageBody {
    rev: u64,
    #[serde(flatten)]
    stage: OnStage,
}

pub(super) fn on_stage(state: &show::State, now: Timestamp) -> OnStage {
    let layer = |layer| OnLayer::of(state, layer, now);
    OnStage {
        card: layer(Layer::Card),
        countdown: layer(Layer::Countdown),
        ladder: layer(Layer::Ladder),
        stock: layer(Layer::Stock),
        sold: layer(Layer::Sold),
        ticker: layer(Layer::Ticker),
        coupon: layer(Layer::Coupon),
        banner: layer(Layer::Banner),
        sold_out: layer(Layer::SoldOut),
        queue: layer(Layer::Queue),
        watermark: layer(Layer::Watermark),
    }
}

/// Everything that is on the stage.
#[utoipa::path(get, path = "/shows/{show}/stage", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path)),
    responses(
        (status = 200, body = StageBody, description = "Its ETag is the revision"),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
) -> Result<Tagged<StageBody>, Problem> {
    let show = api.show(&show)?;
    let (state, now) = (show.state(), show.wall());
    let body = StageBody { rev: state.rev, stage: on_stage(&state, now) };
    Ok(Tagged { status: StatusCode::OK, rev: state.rev, body })
}

/// What is on one layer.
#[utoipa::path(get, path = "/shows/{show}/stage/{layer}", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path), ("layer" = Layer, Path)),
    responses(
        (status = 200, body = OnLayer, description = "Its ETag is the revision"),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json", description = "Nothing"),
    ))]
pub(super) async fn get_layer(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path((show, layer)): Path<(String, String)>,
) -> Result<Tagged<OnLayer>, Problem> {
    let (show, layer) = (api.show(&show)?, layer_of(&layer)?);
    let (state, now) = (show.state(), show.wall());
    let nothing =
        || Problem::new(StatusCode::NOT_FOUND, "empty-layer", format!("there is nothing on {layer}: put it first"));
    let body = OnLayer::of(&state, layer, now).ok_or_else(nothing)?;
    Ok(Tagged { status: StatusCode::OK, rev: state.rev, body })
}

/// Puts something on a layer, in the place of what is there: now, or with `at` or `at_media` as a cue.
///
/// `card`: a product's card. `countdown`: a price that holds until zero, where digits, card and price turn in one frame. `ladder`: a
/// price that drops at known times. `stock`, `sold`: a product's stock bar and sold counter. `ticker`, `coupon`, `banner`: words.
/// `sold_out`: says so while a product is. `queue`: what comes next. `watermark`: over everything.
#[utoipa::path(put, path = "/shows/{show}/stage/{layer}", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path), ("layer" = Layer, Path), Expect),
    request_body = LayerPut,
    responses(
        (status = 200, body = Changed),
        (status = 202, body = Changed, description = "Done, and not on the picture yet; or waiting as `cue`"),
        (status = 409, body = super::problem::Body, content_type = "application/problem+json",
            description = "The show has another revision than was expected, or what is on the stage stands in the way"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn put_layer(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path((show, layer)): Path<(String, String)>,
    expected: Expected,
    Body(value): Body<Value>,
) -> Result<Tagged<Changed>, Problem> {
    let (show, layer) = (api.show(&show)?, layer_of(&layer)?);
    let (put, at) = layers::read(layer, &value)?;
    let by_seconds = value.get("seconds").is_some();
    let changed = match moment(&show, at)? {
        None => change(&api, &show, &expected, Command::Stage { changes: vec![put] }).await,
        Some(at) => change(&api, &show, &expected, Command::Schedule { at, label: None, changes: vec![put] }).await,
    };
    changed.map_err(|problem| if by_seconds { problem.rename_field("ends_at", "seconds") } else { problem })
}

/// Takes off what is on a layer. If that was a running countdown or a ladder, the regular price holds at once.
#[utoipa::path(delete, path = "/shows/{show}/stage/{layer}", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path), ("layer" = Layer, Path), Expect),
    responses(
        (status = 200, body = Changed),
        (status = 202, body = Changed, description = "Done, and not off the picture yet"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete_layer(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path((show, layer)): Path<(String, String)>,
    expected: Expected,
) -> Result<Tagged<Changed>, Problem> {
    let layer = layer_of(&layer)?;
    change(&api, &api.show(&show)?, &expected, Command::Stage { changes: vec![Change::Delete(layer)] }).await
}

/// Takes back the last change of the stage that was not taken back yet: twice goes further back, up to 20. Products and
/// prices stay as the shop set them; a countdown comes back only while it has not ended.
#[utoipa::path(post, path = "/shows/{show}/stage/undo", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path), Expect),
    responses(
        (status = 200, body = Changed, description = "`undone` says what was taken back, as a new revision"),
        (status = 202, body = Changed, description = "Done, and not on the picture yet"),
        (status = 409, body = super::problem::Body, content_type = "application/problem+json",
            description = "Nothing is left to take back"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn undo(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
    expected: Expected,
) -> Result<Tagged<Changed>, Problem> {
    change(&api, &api.show(&show)?, &expected, Command::Undo).await
}

pub(super) fn layer_of(name: &str) -> Result<Layer, Problem> {
    Layer::parse(name).ok_or_else(|| {
        let known: Vec<&str> = Layer::ALL.into_iter().map(Layer::as_str).collect();
        let detail = format!("the stage has no layer {name:.40?}; it has: {}", known.join(", "));
        Problem::new(StatusCode::NOT_FOUND, "unknown-layer", detail).in_field("layer")
    })
}
