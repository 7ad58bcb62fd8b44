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
use super::{Api, Problem};
use crate::commerce::catalog::{ProductId, WebUrl};
use crate::commerce::countdown::Then;
use crate::commerce::line::{Label, Title};
use crate::commerce::money::Money;
use crate::show::locale;
use crate::show::{Handle, State as ShowState};

/// A show as its viewers may know it.
#[derive(Serialize, ToSchema)]
pub(super) struct Live {
    #[schema(value_type = String)]
    title: Title,
    /// Whether the seller publishes now.
    on_air: bool,
    /// Grows with every change that the picture may show or that touches a price.
    rev: u64,
    card: Option<Card>,
    countdown: Option<Countdown>,
    /// The price ladder on the picture.
    ladder: Option<Card>,
    /// The products on the picture, at the prices that hold now.
    products: Vec<Product>,
    /// The server's time of this answer, to read `ends_at` by without trusting one's own clock.
    #[schema(value_type = String, format = DateTime)]
    server_time: Timestamp,
}

/// The card on the picture, or another layer of a product.
#[derive(Serialize, ToSchema)]
#[schema(as = LiveCard)]
pub(super) struct Card {
    #[schema(value_type = String)]
    product: ProductId,
}

/// The countdown on the picture.
#[derive(Serialize, ToSchema)]
#[schema(as = LiveCountdown)]
pub(super) struct Countdown {
    #[schema(value_type = String)]
    product: ProductId,
    #[schema(value_type = Option<String>)]
    label: Option<Label>,
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// The RTP timestamp at which it reaches zero.
    ends_rtp: u32,
    then: Then,
    ended: bool,
}

/// A product on the picture.
#[derive(Serialize, ToSchema)]
#[schema(as = LiveProduct)]
pub(super) struct Product {
    #[schema(value_type = String)]
    id: ProductId,
    #[schema(value_type = String)]
    title: Title,
    /// What it costs now.
    #[schema(value_type = MoneyBody)]
    price: Money,
    /// The same as the picture writes it.
    price_text: String,
    /// The regular price, where a lower one holds: to be struck through.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyBody>)]
    regular: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regular_text: Option<String>,
    /// As `-60%`, rounded down.
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<String>,
    sold_out: bool,
    #[schema(value_type = Option<String>)]
    url: Option<WebUrl>,
    image: Option<String>,
}

/// What is on, for the viewer's page.
#[utoipa::path(get, path = "/s/{show}/live.json", tag = "viewers",
    params(("show" = String, Path)),
    responses(
        (status = 200, body = Live),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn live(State(api): State<Arc<Api>>, Path(show): Path<String>) -> Result<impl IntoResponse, Problem> {
    let show = api.show(&show)?;
    let (state, now) = (show.state(), show.wall());
    let stage = &state.stage;
    let countdown = stage.countdown.as_ref();
    let live = Live {
        title: state.title.clone(),
        on_air: show.on_air(),
        rev: state.rev,
        card: stage.card.clone().map(|product| Card { product }),
        countdown: countdown.map(|countdown| Countdown {
            product: countdown.product.clone(),
            label: countdown.label.clone(),
            ends_at: countdown.ends,
            ends_rtp: show.rtp(show.media_time(countdown.ends)),
            then: countdown.then,
            ended: countdown.ended(now),
        }),
        ladder: stage.ladder.as_ref().map(|ladder| Card { product: ladder.product.clone() }),
        products: state.staged().into_iter().filter_map(|id| product(&show, &state, id, now)).collect(),
        server_time: now,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(live)))
}

fn product(show: &Handle, state: &ShowState, id: &ProductId, now: Timestamp) -> Option<Product> {
    let item = state.catalog.get(id)?;
    let price = state.stage.price(&state.catalog, id, now)?;
    let price_text = |price| locale::price(state.locale, price);
    Some(Product {
        id: id.clone(),
        title: item.product.title.clone(),
        price: price.now,
        price_text: price_text(price.now),
        regular: price.regular,
        regular_text: price.regular.map(price_text),
        discount: price.discount().map(|percent| format!("-{percent}%")),
        sold_out: price.sold_out,
        url: item.product.url.clone(),
        image: image_path(show, id, item),
    })
}
