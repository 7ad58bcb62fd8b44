//! What viewers' pages are told about the picture before its first frame comes.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::layers::media_time;
use super::state::State;
use crate::commerce::catalog::ProductId;
use crate::commerce::line::Title;
use crate::commerce::money::Money;
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
}

/// A product's price for a span of frames.
#[derive(Debug, Serialize)]
pub struct Offer<'a> {
    pub product: &'a ProductId,
    pub title: &'a Title,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<&'a str>,
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
    /// Of a scene that is about to be armed `from` a moment.
    pub fn new(state: &'a State, scene: &Scene, from: MediaTime, clock: &MediaClock) -> Announcement<'a> {
        let base = RtpBase::new(state.rtp_base);
        let rtp = |at: Timestamp| base.video(media_time(clock, at));
        let stage = &state.stage;
        let mut staged: Vec<&ProductId> = stage.card.iter().collect();
        staged.extend(stage.countdown.iter().map(|countdown| &countdown.product));
        staged.dedup();
        let items = staged.into_iter().filter_map(|id| Some((id, state.catalog.get(id)?)));
        let offers = items.flat_map(|(id, item)| {
            stage.terms(id, &item.product).into_iter().map(move |term| Offer {
                product: id,
                title: &item.product.title,
                price: term.price.now,
                text: term.price.now.to_string(),
                regular: term.price.regular,
                regular_text: term.price.regular.map(|regular| regular.to_string()),
                discount: term.price.discount(),
                sold_out: term.price.sold_out,
                url: item.product.url.as_ref().map(|url| url.as_str()),
                rtp_from: term.from.map(rtp),
                rtp_until: term.until.map(rtp),
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
        }
    }

    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("an announcement has string keys and finite numbers only").into()
    }
}
