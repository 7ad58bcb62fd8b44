//! What each layer of the stage takes and tells: bodies on their way to and from [`Change`].

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::Problem;
use super::body::shaped;
use super::products::MoneyBody;
use crate::commerce::catalog::ProductId;
use crate::commerce::countdown::Then;
use crate::commerce::line::{Code, Heading, Label, Sentence};
use crate::commerce::money::Money;
use crate::show::stage::{Change, Drop, Layer, Panel, Put, When};

/// When a change takes place; at once when neither is given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    pub(super) at: Option<Timestamp>,
    pub(super) at_media: Option<i64>,
}

/// A body for one layer: its own fields, and those that every layer takes.
macro_rules! body {
    ($(#[$doc:meta])* $name:ident($body:ident) { $($(#[$about:meta])* $field:ident: $kind:ty,)* } => $put:expr) => {
        $(#[$doc])*
        #[derive(Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$about])* $field: $kind,)*
            /// After so many seconds it is taken off again by itself, at an exact frame; it stays when absent.
            #[serde(default)]
            #[schema(minimum = 1, maximum = 604_800)]
            for_seconds: Option<f64>,
            /// When it takes place, at an exact frame; at once when absent. Not in a cue, which has its own.
            #[serde(default)]
            #[schema(value_type = Option<String>, format = DateTime)]
            at: Option<Timestamp>,
            /// The same in 90 kHz ticks of the show's media time.
            #[serde(default)]
            at_media: Option<i64>,
        }

        impl $name {
            fn read(self) -> Result<(Change, Moment), Problem> {
                let $body = self;
                let moment = Moment { at: $body.at, at_media: $body.at_media };
                let lasts = $body.for_seconds.map(|seconds| duration("for_seconds", seconds)).transpose()?;
                let value: Result<Put, Problem> = $put;
                Ok((Change::Put { value: value?, lasts }, moment))
            }
        }
    };
}

body! {
    /// The product whose card is to be on the picture.
    CardPut(body) {
        #[schema(value_type = String)]
        product: ProductId,
    } => Ok(Put::Card { product: body.product })
}

body! {
    /// A price that holds until zero. Either `seconds` or `ends_at` says when that is.
    CountdownPut(body) {
        #[schema(value_type = String)]
        product: ProductId,
        /// Below the product's own price, in its currency.
        #[schema(value_type = MoneyBody)]
        price: Money,
        /// From when it takes place; a fraction is taken to the millisecond.
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
    } => {
        let end = match (body.seconds, body.ends_at) {
            (Some(seconds), None) => Ok(When::In(duration("seconds", seconds)?)),
            (None, Some(ends_at)) => Ok(When::At(ends_at)),
            (None, None) => {
                Err(Problem::invalid("no-end", "the countdown has no end: give seconds or ends_at").in_field("seconds"))
            }
            (Some(_), Some(_)) => Err(Problem::invalid("two-ends", "seconds and ends_at are both given: leave one out")
                .in_field("ends_at")),
        };
        Ok(Put::Countdown { product: body.product, price: body.price, end: end?, then: body.then, label: body.label })
    }
}

body! {
    /// A price that drops at known times, each lower than the one before; the last one holds until the ladder is taken off. A
    /// product has a countdown or a ladder, not both.
    LadderPut(body) {
        #[schema(value_type = String)]
        product: ProductId,
        /// 1 to 8, in the order of time, at least a second apart.
        #[schema(value_type = Vec<StepPut>, min_items = 1, max_items = 8)]
        steps: Vec<StepPut>,
        /// In the place of "Next drop in".
        #[serde(default)]
        #[schema(value_type = Option<String>, min_length = 1, max_length = 40)]
        label: Option<Label>,
    } => {
        let steps = body.steps.into_iter().enumerate().map(|(index, step)| step.read(index)).collect::<Result<_, _>>()?;
        Ok(Put::Ladder { product: body.product, steps, label: body.label })
    }
}

/// One drop. Either `at` or `after_seconds` says when.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StepPut {
    #[schema(value_type = MoneyBody)]
    price: Money,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// From when the ladder takes place; 0 drops the price at once.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 604_800)]
    after_seconds: Option<f64>,
}

body! {
    /// How much of a product is left, as a bar: of the highest stock that the catalog had since this was put. The product needs
    /// `stock`.
    StockPut(body) {
        #[schema(value_type = String)]
        product: ProductId,
    } => Ok(Put::Panel(Panel::Stock { product: body.product }))
}

body! {
    /// How many were sold: the product's `sold`, which the shop sets.
    SoldPut(body) {
        #[schema(value_type = String)]
        product: ProductId,
    } => Ok(Put::Panel(Panel::Sold { product: body.product }))
}

body! {
    /// Lines that run along.
    TickerPut(body) {
        /// 1 to 10, of 140 characters at most.
        #[schema(value_type = Vec<String>, min_items = 1, max_items = 10)]
        items: Vec<Sentence>,
    } => Ok(Put::Panel(Panel::Ticker { items: body.items }))
}

body! {
    /// A code for the shop's checkout.
    CouponPut(body) {
        #[schema(value_type = String, min_length = 1, max_length = 24)]
        code: Code,
        #[schema(value_type = String, min_length = 1, max_length = 80)]
        text: Heading,
        #[serde(default)]
        #[schema(value_type = Option<String>, min_length = 1, max_length = 80)]
        note: Option<Heading>,
    } => Ok(Put::Panel(Panel::Coupon { code: body.code, text: body.text, note: body.note }))
}

body! {
    BannerPut(body) {
        #[schema(value_type = String, min_length = 1, max_length = 80)]
        title: Heading,
        #[serde(default)]
        #[schema(value_type = Option<String>, min_length = 1, max_length = 140)]
        text: Option<Sentence>,
    } => Ok(Put::Panel(Panel::Banner { title: body.title, text: body.text }))
}

body! {
    /// That a product is sold out. Seen for as long as it is, so it may be put ahead.
    SoldOutPut(body) {
        #[schema(value_type = String)]
        product: ProductId,
    } => Ok(Put::Panel(Panel::SoldOut { product: body.product }))
}

body! {
    /// What comes next, with prices and pictures; each can be clicked.
    QueuePut(body) {
        /// 1 to 3.
        #[schema(value_type = Vec<String>, min_items = 1, max_items = 3)]
        products: Vec<ProductId>,
    } => Ok(Put::Panel(Panel::Queue { products: body.products }))
}

body! {
    /// A mark over everything: "REHEARSAL", or other words.
    WatermarkPut(body) {
        #[serde(default)]
        #[schema(value_type = Option<String>, min_length = 1, max_length = 40)]
        text: Option<Label>,
    } => Ok(Put::Panel(Panel::Watermark { text: body.text }))
}

/// What a layer takes: which of these, its name says.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes to OpenAPI what `read` takes")]
pub(super) enum LayerPut {
    Card(CardPut),
    Countdown(CountdownPut),
    Ladder(LadderPut),
    Stock(StockPut),
    Sold(SoldPut),
    Ticker(TickerPut),
    Coupon(CouponPut),
    Banner(BannerPut),
    SoldOut(SoldOutPut),
    Queue(QueuePut),
    Watermark(WatermarkPut),
}

/// Reads what is to be on a layer, and when.
pub(super) fn read(layer: Layer, value: &Value) -> Result<(Change, Moment), Problem> {
    match layer {
        Layer::Card => shaped::<CardPut>(value)?.read(),
        Layer::Countdown => shaped::<CountdownPut>(value)?.read(),
        Layer::Ladder => shaped::<LadderPut>(value)?.read(),
        Layer::Stock => shaped::<StockPut>(value)?.read(),
        Layer::Sold => shaped::<SoldPut>(value)?.read(),
        Layer::Ticker => shaped::<TickerPut>(value)?.read(),
        Layer::Coupon => shaped::<CouponPut>(value)?.read(),
        Layer::Banner => shaped::<BannerPut>(value)?.read(),
        Layer::SoldOut => shaped::<SoldOutPut>(value)?.read(),
        Layer::Queue => shaped::<QueuePut>(value)?.read(),
        Layer::Watermark => shaped::<WatermarkPut>(value)?.read(),
    }
}

/// The value that [`read`] would make a change of.
pub(super) fn value_of(put: &Put, lasts: Option<Duration>) -> Value {
    let mut value = match put {
        Put::Card { product } => json!({ "product": product }),
        Put::Countdown { product, price, end, then, label } => {
            let (seconds, ends_at) = in_or_at(*end);
            json!({ "product": product, "price": price, "seconds": seconds, "ends_at": ends_at, "then": then, "label": label })
        }
        Put::Ladder { product, steps, label } => {
            let step = |step: &Drop| {
                let (after, at) = in_or_at(step.at);
                without_nulls(json!({ "price": step.price, "after_seconds": after, "at": at }))
            };
            json!({ "product": product, "steps": steps.iter().map(step).collect::<Vec<_>>(), "label": label })
        }
        Put::Panel(panel) => panel_value(panel),
    };
    value["for_seconds"] = json!(lasts.map(|lasts| lasts.as_secs_f64()));
    without_nulls(value)
}

fn panel_value(panel: &Panel) -> Value {
    match panel {
        Panel::Stock { product } | Panel::Sold { product } | Panel::SoldOut { product } => {
            json!({ "product": product })
        }
        Panel::Ticker { items } => json!({ "items": items }),
        Panel::Coupon { code, text, note } => json!({ "code": code, "text": text, "note": note }),
        Panel::Banner { title, text } => json!({ "title": title, "text": text }),
        Panel::Queue { products } => json!({ "products": products }),
        Panel::Watermark { text } => json!({ "text": text }),
    }
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
    }
    value
}

fn in_or_at(when: When) -> (Option<f64>, Option<Timestamp>) {
    match when {
        When::In(duration) => (Some(duration.as_secs_f64()), None),
        When::At(at) => (None, Some(at)),
    }
}

impl StepPut {
    fn read(self, index: usize) -> Result<Drop, Problem> {
        let field = |name: &str| format!("steps[{index}].{name}");
        let at = match (self.at, self.after_seconds) {
            (Some(at), None) => When::At(at),
            (None, Some(seconds)) => When::In(duration(&field("after_seconds"), seconds)?),
            (None, None) => {
                let detail = "the step has no time: give at or after_seconds";
                return Err(Problem::invalid("no-time", detail).in_field(field("at")));
            }
            (Some(_), Some(_)) => {
                let detail = "at and after_seconds are both given: leave one out";
                return Err(Problem::invalid("two-times", detail).in_field(field("at")));
            }
        };
        Ok(Drop { price: self.price, at })
    }
}

fn duration(field: &str, seconds: f64) -> Result<Duration, Problem> {
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| {
        Problem::invalid("invalid", format!("{field} is {seconds}: give how long, in seconds"))
            .in_field(field.to_owned())
    })?;
    Ok(Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}

/// A layer as it is on the stage now. Which fields there are, its name says.
#[derive(Serialize, ToSchema)]
pub(super) struct OnLayer {
    /// What was put there; moments are told as such, whatever way they were given.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    value: Value,
    /// When it is taken off by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl OnLayer {
    pub(super) fn of(state: &crate::show::State, layer: Layer, now: Timestamp) -> Option<OnLayer> {
        use crate::show::stage::{Content, Placed};
        let Placed { content, until } = state.layer(layer)?;
        let item = |id: &ProductId| state.catalog.get(id).map(|item| item.product.clone());
        let value = match content {
            Content::Card(product) => json!({ "product": product }),
            Content::Countdown(countdown) => json!({
                "product": countdown.product,
                "price": countdown.price,
                "ends_at": countdown.ends,
                "then": countdown.then,
                "label": countdown.label,
                // It has reached zero, and stays on the picture as ended until it is taken off.
                "ended": countdown.ended(now),
            }),
            Content::Ladder(ladder) => {
                let price = state.stage.price(&state.catalog, &ladder.product, now).map(|price| price.now);
                let (product, steps, label) = (ladder.product, ladder.steps, ladder.label);
                json!({ "product": product, "steps": steps, "label": label, "price": price })
            }
            Content::Panel(panel) => {
                let mut value = panel_value(&panel);
                match &panel {
                    Panel::Stock { product } => {
                        value["left"] = json!(item(product).and_then(|product| product.stock));
                        value["total"] = json!(state.stock_total);
                    }
                    Panel::Sold { product } => value["sold"] = json!(item(product).and_then(|product| product.sold)),
                    _ => {}
                }
                value
            }
        };
        Some(OnLayer { value, until })
    }
}
