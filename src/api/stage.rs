//! The stage: what is on the picture now. An answer says from which frame on a change is seen.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Operator;
use super::body::Body;
use super::products::MoneyBody;
use super::{Api, Problem};
use crate::commerce::catalog::ProductId;
use crate::commerce::line::Label;
use crate::commerce::money::Money;
use crate::commerce::offer::Then;
use crate::show::state::Refused;
use crate::show::{self, Command, Done, End, Handle};

/// The product whose card is to be on the picture.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CardPut {
    #[schema(value_type = String)]
    product: ProductId,
}

/// A price that holds until zero. Either `seconds` or `ends_at` says when that is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CountdownPut {
    #[schema(value_type = String)]
    product: ProductId,
    /// Below the product's own price, in its currency.
    #[schema(value_type = MoneyBody)]
    price: Money,
    /// From now; a fraction is taken to the millisecond.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 604_800)]
    seconds: Option<f64>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
    /// What holds after zero.
    then: Then,
    /// A few words beside the price.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 40)]
    label: Option<Label>,
}

/// A change of the stage, and where it begins.
#[derive(Serialize, ToSchema)]
pub(super) struct Changed {
    /// The revision that shows it: a later one when another change came before it was seen.
    rev: u64,
    /// The first frame that shows it, in 90 kHz ticks of the show's media time. Absent with 202: not even painted yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    media_time: Option<i64>,
    /// The RTP timestamp of that frame, the same for every viewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtp: Option<u32>,
    /// Whether that frame was seen to be made; else it is the one that was planned.
    shown: bool,
    #[serde(flatten)]
    end: Option<EndBody>,
}

/// When a countdown reaches zero: the first frame at or after it shows what holds then.
#[derive(Serialize, ToSchema)]
pub(super) struct EndBody {
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    ends_media_time: i64,
    ends_rtp: u32,
}

/// What is on the picture.
#[derive(Serialize, ToSchema)]
pub(super) struct OnStage {
    card: Option<CardOnStage>,
    countdown: Option<CountdownOnStage>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CardOnStage {
    #[schema(value_type = String)]
    product: ProductId,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CountdownOnStage {
    #[schema(value_type = String)]
    product: ProductId,
    #[schema(value_type = MoneyBody)]
    price: Money,
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    then: Then,
    #[schema(value_type = Option<String>)]
    label: Option<Label>,
    /// It has reached zero, and stays on the picture as ended until it is taken off.
    ended: bool,
}

pub(super) fn on_stage(state: &show::State, now: Timestamp) -> OnStage {
    let stage = &state.stage;
    OnStage {
        card: stage.card.clone().map(|product| CardOnStage { product }),
        countdown: stage.countdown.as_ref().map(|countdown| CountdownOnStage {
            product: countdown.product.clone(),
            price: countdown.price,
            ends_at: countdown.ends,
            then: countdown.then,
            label: countdown.label.clone(),
            ended: countdown.ended(now),
        }),
    }
}

/// Shows a product's card, in the place of the one before.
#[utoipa::path(put, path = "/shows/{show}/stage/card", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path)),
    request_body = CardPut,
    responses(
        (status = 200, body = Changed),
        (status = 202, body = Changed, description = "Done, and not on the picture yet"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn put_card(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
    Body(CardPut { product }): Body<CardPut>,
) -> Result<(StatusCode, Json<Changed>), Problem> {
    change(&api.show(&show)?, Command::ShowCard { product }).await
}

/// Takes the card off the picture.
#[utoipa::path(delete, path = "/shows/{show}/stage/card", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path)),
    responses(
        (status = 200, body = Changed),
        (status = 202, body = Changed, description = "Done, and not off the picture yet"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete_card(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
) -> Result<(StatusCode, Json<Changed>), Problem> {
    change(&api.show(&show)?, Command::HideCard).await
}

/// Starts a price that holds until zero, in the place of the one before. At zero digits, card and price turn in one frame.
#[utoipa::path(put, path = "/shows/{show}/stage/countdown", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path)),
    request_body = CountdownPut,
    responses(
        (status = 200, body = Changed),
        (status = 202, body = Changed, description = "Done, and not on the picture yet"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn put_countdown(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
    Body(body): Body<CountdownPut>,
) -> Result<(StatusCode, Json<Changed>), Problem> {
    let show = api.show(&show)?;
    let CountdownPut { product, price, seconds, ends_at, then, label } = body;
    let end = match (seconds, ends_at) {
        (Some(seconds), None) => End::In(milliseconds(seconds)?),
        (None, Some(ends_at)) => End::At(ends_at),
        (None, None) => {
            return Err(
                Problem::invalid("no-end", "the countdown has no end: give seconds or ends_at").in_field("seconds")
            );
        }
        (Some(_), Some(_)) => {
            return Err(
                Problem::invalid("two-ends", "seconds and ends_at are both given: leave one out").in_field("ends_at")
            );
        }
    };
    let by_seconds = matches!(end, End::In(_));
    let changed = change(&show, Command::StartCountdown { product, price, end, then, label }).await;
    changed.map_err(|problem| if by_seconds { problem.rename_field("ends_at", "seconds") } else { problem })
}

/// Takes the countdown off the picture. If it was running, the regular price holds at once.
#[utoipa::path(delete, path = "/shows/{show}/stage/countdown", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path)),
    responses(
        (status = 200, body = Changed),
        (status = 202, body = Changed, description = "Done, and not off the picture yet"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete_countdown(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
) -> Result<(StatusCode, Json<Changed>), Problem> {
    change(&api.show(&show)?, Command::StopCountdown).await
}

async fn change(show: &Handle, command: Command) -> Result<(StatusCode, Json<Changed>), Problem> {
    let starts = matches!(command, Command::StartCountdown { .. });
    let Done { state, on_picture } = show.run(command).await.map_err(of_stage)?;
    let countdown = state.stage.countdown.as_ref().filter(|_| starts);
    let end = countdown.map(|countdown| {
        let ends = show.media_time(countdown.ends);
        EndBody { ends_at: countdown.ends, ends_media_time: ends.ticks(), ends_rtp: show.rtp(ends) }
    });
    let changed = Changed {
        rev: on_picture.map_or(state.rev, |on_picture| on_picture.rev),
        media_time: on_picture.map(|on_picture| on_picture.at.ticks()),
        rtp: on_picture.map(|on_picture| show.rtp(on_picture.at)),
        shown: on_picture.is_some_and(|on_picture| on_picture.seen),
        end,
    };
    let status = if changed.media_time.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(changed)))
}

/// Here a product is named by the body, so one that is not there is a wrong value, not a wrong address.
fn of_stage(error: show::Error) -> Problem {
    let named = matches!(error, show::Error::Refused(Refused::UnknownProduct { .. }));
    let problem = Problem::from(error);
    if named { problem.with_status(StatusCode::UNPROCESSABLE_ENTITY) } else { problem }
}

fn milliseconds(seconds: f64) -> Result<Duration, Problem> {
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| {
        Problem::invalid("invalid", format!("seconds is {seconds}: give how long the price is to hold"))
            .in_field("seconds")
    })?;
    Ok(Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}
