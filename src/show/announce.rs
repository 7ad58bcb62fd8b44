//! What viewers' pages are told about the picture before its first frame comes.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::layers::media_time;
use super::locale;
use super::state::State;
use crate::commerce::catalog::ProductId;
use crate::commerce::money::Money;
use crate::commerce::offer::Term;
use crate::deliver::MAX_ANNOUNCEMENT;
use crate::media::{MediaClock, MediaTime, RtpBase};
use crate::overlay::{Hit, Scene};

/// One revision of the picture: where it begins, what can be clicked in it, and for which price.
#[derive(Debug, Serialize)]
pub struct Announcement<'a> {
    pub rev: u64,
    /// RTP timestamp of the first frame that shows it.
    pub rtp_from: u32,
    pub hits: Vec<Hit>,
    pub offers: Vec<Offer<'a>>,
    pub countdown: Option<Ending<'a>>,
    /// What is to follow at times that are known: it is told here once more, as only the newest announcement is sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<Announcement<'a>>,
}

/// A product's price for a span of frames.
#[derive(Debug, Serialize)]
pub struct Offer<'a> {
    pub product: &'a ProductId,
    pub price: Money,
    /// The price as the picture shows it.
    pub text: String,
    /// The product's own price, where a lower one holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regular: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regular_text: Option<String>,
    /// Percent below the regular price, rounded down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<u8>,
    pub sold_out: bool,
    /// RTP timestamp of the first frame that it holds for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_from: Option<u32>,
    /// RTP timestamp of the first frame that it does not hold for any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_until: Option<u32>,
}

/// When the countdown on the picture reaches zero.
#[derive(Debug, Serialize)]
pub struct Ending<'a> {
    pub product: &'a ProductId,
    pub ends_at: Timestamp,
    pub ends_rtp: u32,
}

impl<'a> Announcement<'a> {
    /// How long one holds: an RTP timestamp tells before from after within 6.6 hours only, so what lies further than
    /// three times this ahead is left out, and told in good time by the same announcement made anew.
    pub const HOLDS: Duration = Duration::from_secs(3600);

    /// Of a scene that is shown `from` a moment.
    pub fn new(state: &'a State, scene: &Scene, from: MediaTime, clock: &MediaClock) -> Announcement<'a> {
        let base = RtpBase::new(state.rtp_base);
        let rtp = |at: Timestamp| base.video(media_time(clock, at));
        let far = from + Announcement::HOLDS * 3;
        let is_far = |at: Timestamp| media_time(clock, at) > far;
        let stage = &state.stage;
        let items = state.staged().into_iter().filter_map(|id| Some((id, state.catalog.get(id)?)));
        let offers = items.flat_map(|(id, item)| {
            let told = move |term: &Term| {
                !term.from.is_some_and(is_far) && term.until.is_none_or(|until| media_time(clock, until) > from)
            };
            stage.terms(id, &item.product).into_iter().filter(told).map(move |term| Offer {
                product: id,
                price: term.price.now,
                text: locale::price(state.locale, term.price.now),
                regular: term.price.regular,
                regular_text: term.price.regular.map(|regular| locale::price(state.locale, regular)),
                discount: term.price.discount(),
                sold_out: term.price.sold_out,
                rtp_from: term.from.filter(|begins| media_time(clock, *begins) > from).map(rtp),
                rtp_until: term.until.filter(|until| !is_far(*until)).map(rtp),
            })
        });
        let countdown = stage.countdown.as_ref().map(|countdown| Ending {
            product: &countdown.product,
            ends_at: countdown.ends,
            ends_rtp: rtp(countdown.ends),
        });
        Announcement {
            rev: scene.rev(),
            rtp_from: base.video(from),
            hits: scene.hits(from),
            offers: offers.collect(),
            countdown,
            next: Vec::new(),
        }
    }

    /// Of scenes that follow one another, as it is sent: the first, with what is to follow it as far as one message holds it.
    pub fn of<'s>(scenes: impl Iterator<Item = (&'s State, &'s Scene, MediaTime)>, clock: &MediaClock) -> Bytes {
        let mut parts = scenes.map(|(state, scene, from)| Announcement::new(state, scene, from, clock));
        let Some(mut first) = parts.next() else { return Bytes::new() };
        first.next = parts.collect();
        loop {
            let bytes = serde_json::to_vec(&first).expect("an announcement has string keys and finite numbers only");
            if bytes.len() <= MAX_ANNOUNCEMENT || first.next.pop().is_none() {
                return bytes.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::commerce::countdown::Then;
    use crate::commerce::line::Title;
    use crate::commerce::money::Currency;
    use crate::media::{Colour, ManualClock, Resolution};
    use crate::overlay::Canvas;
    use crate::show::settings::StreamKey;
    use crate::show::stage::{Change, Put, When};
    use crate::show::state::{Created, Event};

    fn created() -> Created {
        Created {
            rev: 1,
            epoch: Timestamp::UNIX_EPOCH,
            rtp_base: 0,
            title: Title::parse("Evening sale").unwrap(),
            stream_key: StreamKey::random(),
            source: None,
            canvas: crate::show::Canvas::default(),
        }
    }

    #[test]
    fn prices_are_told_as_far_as_timestamps_reach() {
        let clock = MediaClock::new(ManualClock::new(), std::time::UNIX_EPOCH, MediaTime::ZERO);
        let canvas = Canvas { resolution: Resolution::new(128, 128), colour: Colour::BT601 };
        let mut state = State::new(created());
        let id = ProductId::parse("lipstick").unwrap();
        let product = serde_json::from_str(r#"{"title": "Lipstick", "price": {"minor": 2490, "currency": "USD"}}"#);
        state.apply(Event::ProductPut { id: id.clone(), product: product.unwrap() });
        let hours = |n: u64| Duration::from_secs(n * 3600);
        let price = Money::new(990, Currency::parse("USD").unwrap()).unwrap();
        let value = Put::Countdown { product: id, price, end: When::In(hours(24)), then: Then::Revert, label: None };
        let changes = vec![Change::Put { value, lasts: None }];
        state.apply(Event::Staged { at: state.epoch, changes, cue: None });
        let scene = Scene::empty(7, canvas);
        let told = |hour: u64| {
            let from = MediaTime::ZERO + hours(hour);
            let told = Announcement::new(&state, &scene, from, &clock);
            told.offers.iter().map(|offer| (offer.price.minor(), offer.rtp_until, offer.rtp_from)).collect::<Vec<_>>()
        };
        let end = RtpBase::new(state.rtp_base).video(MediaTime::ZERO + hours(24));
        assert_eq!(told(0), [(990, None, None)]);
        assert_eq!(told(22), [(990, Some(end), None), (2490, None, Some(end))]);
        assert_eq!(told(31), [(2490, None, None)]);
    }

    #[test]
    fn what_is_to_come_is_told_with_what_is() {
        let clock = MediaClock::new(ManualClock::new(), std::time::UNIX_EPOCH, MediaTime::ZERO);
        let state = State::new(created());
        let canvas = Canvas { resolution: Resolution::new(128, 128), colour: Colour::BT601 };
        let scenes: Vec<_> = (7..9).map(|rev| Scene::empty(rev, canvas)).collect();
        let second = |n| MediaTime::ZERO + Duration::from_secs(n);
        let parts = scenes.iter().enumerate().map(|(n, scene)| (&state, scene, second(n as u64)));
        let told: Value = serde_json::from_slice(&Announcement::of(parts, &clock)).unwrap();
        assert_eq!((&told["rev"], &told["rtp_from"]), (&json!(7), &json!(0)));
        assert_eq!((&told["next"][0]["rev"], &told["next"][0]["rtp_from"]), (&json!(8), &json!(90_000)));
        let alone: Value =
            serde_json::from_slice(&Announcement::of([(&state, &scenes[1], second(1))].into_iter(), &clock)).unwrap();
        assert_eq!((&alone["rev"], alone.get("next")), (&json!(8), None));
    }
}
