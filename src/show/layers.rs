//! A show's state as the layers of its picture: prices become texts, ends become media times.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::locale;
use super::state::State;
use super::system_time;
use crate::commerce::catalog::{ImageHash, Item, ProductId};
use crate::commerce::offer::{Countdown, Term};
use crate::media::{MediaClock, MediaTime};
use crate::overlay::{Ground, LayerSpec, Locale, PhaseSpec, Photo};

/// What stands in the picture's place before anybody publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    /// Nobody has published in this show yet.
    StartingSoon,
    /// The server came back, the publisher is still to.
    BackSoon,
}

impl Welcome {
    fn message(self) -> &'static str {
        match self {
            Welcome::StartingSoon => "Starting soon",
            Welcome::BackSoon => "Back in a moment",
        }
    }
}

/// Everything that the picture shows from `since` on, as far as it is known: a countdown's end is a phase of its layers, so
/// that digits, price and card turn in one frame and no timer is needed.
pub(super) fn layers(
    state: &State,
    clock: &MediaClock,
    since: MediaTime,
    photos: &BTreeMap<ImageHash, Arc<Photo>>,
    welcome: Option<Welcome>,
) -> Vec<LayerSpec> {
    let mut layers = Vec::new();
    if let Some(welcome) = welcome {
        let values = json!({ "title": state.title.as_str(), "message": welcome.message() });
        let phases = vec![PhaseSpec { values, ..PhaseSpec::default() }];
        layers.push(slate("starting_soon", phases));
    } else {
        let values = json!({ "title": state.title.as_str(), "message": Welcome::BackSoon.message() });
        layers.push(slate("slate", vec![PhaseSpec { values, ..PhaseSpec::default() }]));
    }
    if let Some((id, item)) = state.stage.card.as_ref().and_then(|id| Some((id, state.catalog.get(id)?))) {
        layers.push(card(state, clock, photos, id, item));
    }
    if let Some(countdown) = &state.stage.countdown
        && let Some(item) = state.catalog.get(&countdown.product)
    {
        layers.push(clock_layer(state.locale, countdown, item, clock, since));
    }
    layers
}

/// What says why no picture moves; gone with the first one that does.
fn slate(template: &str, phases: Vec<PhaseSpec>) -> LayerSpec {
    let ground = Some(Ground::Slate);
    LayerSpec { id: "slate".into(), template: template.into(), z: -10, ground, phases, hit: None }
}

/// Pictures that [`layers`] puts in.
pub(super) fn photos_of(state: &State) -> impl Iterator<Item = ImageHash> {
    state.stage.card.iter().filter_map(|id| state.catalog.get(id)?.image)
}

/// The media time of a moment on the wall.
pub(super) fn media_time(clock: &MediaClock, at: Timestamp) -> MediaTime {
    clock.at_wall(system_time(at))
}

fn card(
    state: &State,
    clock: &MediaClock,
    photos: &BTreeMap<ImageHash, Arc<Photo>>,
    id: &ProductId,
    item: &Item,
) -> LayerSpec {
    let photo = item.image.and_then(|hash| photos.get(&hash));
    let images: BTreeMap<_, _> = photo.map(|photo| ("photo".to_owned(), photo.clone())).into_iter().collect();
    let phase = |term: Term| {
        let price = term.price;
        let label = state.stage.countdown.as_ref().and_then(|countdown| countdown.label.as_ref());
        let values = json!({
            "title": item.product.title.as_str(),
            "price": locale::price(state.locale, price.now),
            "old_price": price.regular.map(|regular| locale::price(state.locale, regular)),
            "discount": price.discount().map(|percent| format!("-{percent}%")),
            "sold_out": price.sold_out,
            // A label belongs to the lower price, and goes with it.
            "label": label.filter(|_| price.regular.is_some()).map(|label| label.as_str()),
        });
        PhaseSpec {
            from: term.from.map(|from| media_time(clock, from)),
            until: term.until.map(|until| media_time(clock, until)),
            values,
            images: images.clone(),
            ends: None,
        }
    };
    let phases = state.stage.terms(id, &item.product).into_iter().map(phase).collect();
    LayerSpec { id: "card".into(), template: "card".into(), z: 10, ground: None, phases, hit: Some(id.to_string()) }
}

fn clock_layer(locale: Locale, countdown: &Countdown, item: &Item, clock: &MediaClock, since: MediaTime) -> LayerSpec {
    let ends = media_time(clock, countdown.ends);
    let values = |ended: bool| {
        json!({
            "title": item.product.title.as_str(),
            "price": locale::price(locale, countdown.price),
            "label": countdown.label.as_ref().map(|label| label.as_str()),
            "ended": ended,
        })
    };
    let ended = PhaseSpec { from: Some(ends), values: values(true), ends: Some(ends), ..PhaseSpec::default() };
    let mut phases = vec![ended];
    if since < ends {
        // Not from ever: digits for hours that are over need no painting.
        let (from, until) = (Some(since), Some(ends));
        phases.insert(0, PhaseSpec { from, until, values: values(false), ends: until, ..PhaseSpec::default() });
    }
    let (id, template, hit) = ("countdown".into(), "countdown".into(), Some(countdown.product.to_string()));
    LayerSpec { id, template, z: 20, ground: None, phases, hit }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;

    use super::*;
    use crate::commerce::line::{Label, Title};
    use crate::commerce::money::{Currency, Money};
    use crate::commerce::offer::Then;
    use crate::media::ManualClock;
    use crate::show::state::{Created, Event};
    use crate::show::{Canvas, StreamKey, wall};

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::parse("USD").unwrap()).unwrap()
    }

    /// A show with a card and a countdown of a minute, and its clock.
    fn selling(then: Then) -> (State, MediaClock) {
        let clock = ManualClock::new();
        let epoch = Timestamp::try_from(crate::media::Clock::wall(&*clock)).unwrap();
        let clock = MediaClock::new(clock, system_time(epoch), MediaTime::ZERO);
        let mut state = State::new(Created {
            rev: 1,
            epoch,
            rtp_base: 0,
            title: Title::parse("Evening sale").unwrap(),
            stream_key: StreamKey::random(),
            source: None,
            canvas: Canvas::default(),
        });
        let id = ProductId::parse("lipstick").unwrap();
        let product = crate::commerce::Product {
            title: Title::parse("Lipstick").unwrap(),
            price: usd(2490),
            stock: None,
            url: None,
        };
        let ends = epoch + SignedDuration::from_secs(60);
        let label = Some(Label::parse("Flash").unwrap());
        let countdown = Countdown { product: id.clone(), price: usd(990), ends, then, label };
        state.apply(Event::ProductPut { id: id.clone(), product });
        state.apply(Event::CardShown { product: id });
        state.apply(Event::CountdownStarted { countdown });
        (state, clock)
    }

    /// What a layer's values are at a moment.
    fn values(layers: &[LayerSpec], id: &str, at: MediaTime) -> serde_json::Value {
        let layer = layers.iter().find(|layer| layer.id == id).unwrap();
        let holds =
            |phase: &&PhaseSpec| phase.from.is_none_or(|from| from <= at) && phase.until.is_none_or(|until| at < until);
        layer.phases.iter().rfind(holds).unwrap().values.clone()
    }

    #[test]
    fn price_card_and_digits_turn_at_one_media_time() {
        let (state, clock) = selling(Then::Revert);
        let layers = layers(&state, &clock, MediaTime::ZERO, &BTreeMap::new(), None);
        let ends = MediaTime::ZERO + Duration::from_secs(60);
        let before = MediaTime::from_ticks(ends.ticks() - 1);
        assert_eq!(
            values(&layers, "card", before),
            json!({ "title": "Lipstick", "price": "$9.90", "old_price": "$24.90", "discount": "-60%", "sold_out": false, "label": "Flash" })
        );
        assert_eq!(
            values(&layers, "card", ends),
            json!({ "title": "Lipstick", "price": "$24.90", "old_price": null, "discount": null, "sold_out": false, "label": null })
        );
        assert_eq!(values(&layers, "countdown", before)["ended"], false);
        assert_eq!(values(&layers, "countdown", ends)["ended"], true);
    }

    #[test]
    fn taking_an_end_in_changes_nothing_on_the_picture() {
        for then in [Then::Revert, Then::SoldOut] {
            let (mut state, clock) = selling(then);
            let before = layers(&state, &clock, MediaTime::ZERO, &BTreeMap::new(), None);
            state.apply(Event::CountdownExpired);
            let ends = MediaTime::ZERO + Duration::from_secs(60);
            let after = layers(&state, &clock, ends, &BTreeMap::new(), None);
            for at in [ends, ends + Duration::from_secs(1), ends + Duration::from_secs(86_400)] {
                for id in ["card", "countdown"] {
                    assert_eq!(values(&before, id, at), values(&after, id, at), "{id} with {then:?}");
                }
            }
        }
    }

    #[test]
    fn a_welcome_lies_behind_what_is_sold() {
        let (state, clock) = selling(Then::Revert);
        let layers = layers(&state, &clock, MediaTime::ZERO, &BTreeMap::new(), Some(Welcome::StartingSoon));
        assert!(layers.iter().all(|layer| layer.id == "slate" || layer.z > layers[0].z));
        assert_eq!(
            values(&layers, "slate", clock.now()),
            json!({ "title": "Evening sale", "message": "Starting soon" })
        );
        assert_eq!(wall(&clock), state.epoch);
    }
}
