//! What a viewer's page shows beside the picture: public, and asked often.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::products::{MoneyBody, image_path};
use super::{Context, Problem};
use crate::commerce::catalog::{ProductId, WebUrl};
use crate::commerce::line::{Label, Title};
use crate::commerce::money::Money;
use crate::commerce::offer::{Price, Then};
use crate::show::{Handle, State as ShowState};

/// A show as its viewers may know it.
#[derive(Serialize, ToSchema)]
pub(super) struct Live {
    #[schema(value_type = String)]
    title: Title,
    /// Whether the seller publishes now.
    on_air: bool,
    rev: u64,
    card: Option<Card>,
    countdown: Option<Countdown>,
    /// The server's time of this answer, to read `ends_at` by without trusting one's own clock.
    #[schema(value_type = String, format = DateTime)]
    server_time: Timestamp,
}

/// The product on the picture, at the price that holds now.
#[derive(Serialize, ToSchema)]
pub(super) struct Card {
    #[schema(value_type = String)]
    product: ProductId,
    #[schema(value_type = String)]
    title: Title,
    /// As the picture writes it.
    price: String,
    #[schema(value_type = MoneyBody)]
    amount: Money,
    /// The regular price, where a lower one holds: to be struck through.
    old_price: Option<String>,
    /// As `-60%`, rounded down.
    discount: Option<String>,
    #[schema(value_type = Option<String>)]
    url: Option<WebUrl>,
    image: Option<String>,
    sold_out: bool,
}

/// The countdown on the picture.
#[derive(Serialize, ToSchema)]
pub(super) struct Countdown {
    #[schema(value_type = String)]
    product: ProductId,
    #[schema(value_type = String)]
    title: Title,
    price: String,
    #[schema(value_type = Option<String>)]
    label: Option<Label>,
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// The RTP timestamp at which it reaches zero.
    ends_rtp: u32,
    then: Then,
    ended: bool,
}

/// What is on, for the viewer's page.
#[utoipa::path(get, path = "/s/{show}/live.json", tag = "viewers",
    params(("show" = String, Path)),
    responses(
        (status = 200, body = Live),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn live(
    State(context): State<Arc<Context>>,
    Path(show): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let show = context.show(&show)?;
    let (state, now) = (show.state(), show.wall());
    let live = Live {
        title: state.title.clone(),
        on_air: show.on_air(),
        rev: state.rev,
        card: card(&show, &state, now),
        countdown: countdown(&show, &state, now),
        server_time: now,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(live)))
}

fn card(show: &Handle, state: &ShowState, now: Timestamp) -> Option<Card> {
    let id = state.stage.card.as_ref()?;
    let item = state.catalog.get(id)?;
    let price: Price = state.stage.price(&state.catalog, id, now)?;
    Some(Card {
        product: id.clone(),
        title: item.product.title.clone(),
        price: price.now.to_string(),
        amount: price.now,
        old_price: price.regular.map(|regular| regular.to_string()),
        discount: price.discount().map(|percent| format!("-{percent}%")),
        url: item.product.url.clone(),
        image: image_path(show, id, item),
        sold_out: price.sold_out,
    })
}

fn countdown(show: &Handle, state: &ShowState, now: Timestamp) -> Option<Countdown> {
    let countdown = state.stage.countdown.as_ref()?;
    let item = state.catalog.get(&countdown.product)?;
    Some(Countdown {
        product: countdown.product.clone(),
        title: item.product.title.clone(),
        price: countdown.price.to_string(),
        label: countdown.label.clone(),
        ends_at: countdown.ends,
        ends_rtp: show.rtp(show.media_time(countdown.ends)),
        then: countdown.then,
        ended: countdown.ended(now),
    })
}
