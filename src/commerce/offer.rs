//! What is on the picture now, and the price that holds at a moment.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, Product, ProductId};
use super::ladder::Ladder;
use super::line::Label;
use super::money::{Currency, Money};

/// What a seller has put on the picture that prices depend on: one product's card, one price countdown, one price ladder. A
/// product is in one of the two at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    pub card: Option<ProductId>,
    pub countdown: Option<Countdown>,
    /// The countdown's end was taken into the catalog: it says that it ended, and holds no price any more.
    pub expired: bool,
    pub ladder: Option<Ladder>,
}

/// A lower price for one product that holds until a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countdown {
    pub product: ProductId,
    pub price: Money,
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<Timestamp>,
    /// The first moment at which the price does not hold any more.
    pub ends: Timestamp,
    pub then: Then,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
}

/// What holds after a countdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The regular price again.
    Revert,
    /// Nothing is left: the product's stock becomes zero.
    SoldOut,
}

/// Why a countdown or a ladder may not begin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the price is in {seen}, the product's in {regular}: use the product's currency")]
    Currency { seen: Currency, regular: Currency },
    #[error("the price {seen} is not below the product's own price {regular}: choose a lower one")]
    NotLower { seen: Money, regular: Money },
    #[error("it would end at {seen}, less than {} s from now: choose a later end", Countdown::SHORTEST.as_secs())]
    TooSoon { seen: Timestamp },
    #[error("it would end at {seen}, more than {} days from now: choose an earlier end", Countdown::LONGEST.as_secs() / 86_400)]
    TooLate { seen: Timestamp },
    #[error("the product is sold out: give it stock first")]
    SoldOut,
    #[error("the ladder has {seen} steps: give it 1 to {}", Ladder::MOST_STEPS)]
    Steps { seen: usize },
    #[error("step {number} is at {seen}, which is not below {above} before it: make each step lower than the last")]
    StepNotLower { number: usize, seen: Money, above: Money },
    #[error("step {number} is at {seen}: give it a time from {earliest} on")]
    StepTooSoon { number: usize, seen: Timestamp, earliest: Timestamp },
    #[error(
        "it would be taken off at {until}, before its last price at {last}: leave for_seconds out, or make it longer"
    )]
    LeavesEarly { until: Timestamp, last: Timestamp },
}

impl Countdown {
    pub const SHORTEST: Duration = Duration::from_secs(1);
    pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);

    /// Whether it may begin `now`.
    pub fn check(&self, product: &Product, now: Timestamp) -> Result<(), Refused> {
        let regular = product.price;
        if self.price.currency() != regular.currency() {
            return Err(Refused::Currency { seen: self.price.currency(), regular: regular.currency() });
        }
        if self.price.minor() >= regular.minor() {
            return Err(Refused::NotLower { seen: self.price, regular });
        }
        let left = self.ends.duration_since(now);
        if left < jiff::SignedDuration::try_from(Countdown::SHORTEST).unwrap_or_default() {
            return Err(Refused::TooSoon { seen: self.ends });
        }
        if left > jiff::SignedDuration::try_from(Countdown::LONGEST).unwrap_or_default() {
            return Err(Refused::TooLate { seen: self.ends });
        }
        if product.sold_out() {
            return Err(Refused::SoldOut);
        }
        Ok(())
    }

    pub fn ended(&self, at: Timestamp) -> bool {
        at >= self.ends
    }
}

/// What a product costs at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub now: Money,
    /// The product's own price, where a lower one holds.
    pub regular: Option<Money>,
    pub sold_out: bool,
}

impl Price {
    /// How many percent it lies below the regular price, rounded down: computed, never typed.
    pub fn discount(&self) -> Option<u8> {
        self.regular.and_then(|regular| self.now.percent_below(regular))
    }
}

/// A price and the span of time that it holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// The first moment; since ever when absent.
    pub from: Option<Timestamp>,
    /// The first moment after it; without end when absent.
    pub until: Option<Timestamp>,
    pub price: Price,
}

impl Stage {
    /// A product's prices over time as they stand now, in order, without gaps.
    pub fn terms(&self, id: &ProductId, product: &Product) -> Vec<Term> {
        let regular = Price { now: product.price, regular: None, sold_out: product.sold_out() };
        let running = self.countdown.as_ref().filter(|countdown| countdown.product == *id && !self.expired);
        let Some(countdown) = running else {
            return match self.ladder.as_ref().filter(|ladder| ladder.product == *id) {
                Some(ladder) => rungs(ladder, regular),
                None => vec![Term { from: None, until: None, price: regular }],
            };
        };
        let lower = Price { now: countdown.price, regular: Some(product.price), sold_out: product.sold_out() };
        let after = Price { sold_out: product.sold_out() || countdown.then == Then::SoldOut, ..regular };
        vec![
            Term { from: None, until: Some(countdown.ends), price: lower },
            Term { from: Some(countdown.ends), until: None, price: after },
        ]
    }

    /// The price that holds for a product at a moment.
    pub fn price(&self, catalog: &Catalog, id: &ProductId, at: Timestamp) -> Option<Price> {
        let product = &catalog.get(id)?.product;
        let terms = self.terms(id, product);
        terms.iter().rfind(|term| term.from.is_none_or(|from| at >= from)).map(|term| term.price)
    }

    /// Whether a countdown or a ladder holds a product's price, so that it may not be changed under it.
    pub fn holds(&self, id: &ProductId) -> bool {
        let counted = !self.expired && self.countdown.as_ref().is_some_and(|countdown| countdown.product == *id);
        counted || self.ladder.as_ref().is_some_and(|ladder| ladder.product == *id)
    }

    /// The countdown whose end has come, and is still to be taken into the catalog.
    pub fn due(&self, now: Timestamp) -> Option<&Countdown> {
        self.countdown.as_ref().filter(|countdown| !self.expired && countdown.ended(now))
    }
}

/// A ladder's prices over time: the regular one, each lower one, and after its end the regular one again.
fn rungs(ladder: &Ladder, regular: Price) -> Vec<Term> {
    let lower =
        ladder.steps.iter().map(|step| (step.at, Price { now: step.price, regular: Some(regular.now), ..regular }));
    let turns: Vec<_> = lower.chain(ladder.until.map(|until| (until, regular))).collect();
    let first = Term { from: None, until: turns.first().map(|(at, _)| *at), price: regular };
    let later = turns.iter().enumerate().map(|(index, (from, price))| {
        let until = turns.get(index + 1).map(|(at, _)| *at);
        Term { from: Some(*from), until, price: *price }
    });
    std::iter::once(first).chain(later).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commerce::ladder::Step;

    fn product(json: &str) -> Product {
        serde_json::from_str(json).unwrap()
    }

    fn lipstick() -> Product {
        product(r#"{"title": "Lipstick", "price": {"minor": 2490, "currency": "USD"}, "stock": 3}"#)
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn countdown(minor: i64, code: &str, seconds: i64, then: Then) -> Countdown {
        Countdown {
            product: ProductId::parse("lipstick").unwrap(),
            price: Money::new(minor, Currency::parse(code).unwrap()).unwrap(),
            begins: Some(now()),
            ends: now() + jiff::SignedDuration::from_secs(seconds),
            then,
            label: None,
        }
    }

    #[test]
    fn only_a_lower_price_in_the_same_currency_with_a_near_end_begins() {
        let check = |minor, code, seconds| countdown(minor, code, seconds, Then::Revert).check(&lipstick(), now());
        assert_eq!(check(990, "USD", 60), Ok(()));
        assert!(matches!(check(990, "EUR", 60), Err(Refused::Currency { .. })));
        assert!(matches!(check(2490, "USD", 60), Err(Refused::NotLower { .. })));
        assert!(matches!(check(990, "USD", 0), Err(Refused::TooSoon { .. })));
        assert!(matches!(check(990, "USD", -60), Err(Refused::TooSoon { .. })));
        assert!(matches!(check(990, "USD", 8 * 86_400), Err(Refused::TooLate { .. })));
        let sold_out = Product { stock: Some(0), ..lipstick() };
        assert_eq!(countdown(990, "USD", 60, Then::Revert).check(&sold_out, now()), Err(Refused::SoldOut));
    }

    #[test]
    fn the_price_turns_at_the_very_end() {
        let id = ProductId::parse("lipstick").unwrap();
        let mut catalog = Catalog::default();
        catalog.put(id.clone(), lipstick());
        for then in [Then::Revert, Then::SoldOut] {
            let countdown = countdown(990, "USD", 60, then);
            let ends = countdown.ends;
            let stage = Stage { countdown: Some(countdown), ..Stage::default() };
            let before = stage.price(&catalog, &id, ends - jiff::SignedDuration::from_nanos(1)).unwrap();
            assert_eq!((before.now.minor(), before.discount(), before.sold_out), (990, Some(60), false));
            assert_eq!(before.regular, Some(lipstick().price));
            let after = stage.price(&catalog, &id, ends).unwrap();
            assert_eq!((after.now, after.regular, after.sold_out), (lipstick().price, None, then == Then::SoldOut));
        }
    }

    #[test]
    fn a_ladder_is_a_price_for_each_of_its_steps() {
        let id = ProductId::parse("lipstick").unwrap();
        let usd = |minor| Money::new(minor, Currency::parse("USD").unwrap()).unwrap();
        let after = |seconds| now() + jiff::SignedDuration::from_secs(seconds);
        let steps = vec![Step { price: usd(1990), at: after(10) }, Step { price: usd(990), at: after(20) }];
        let ladder = Ladder { product: id.clone(), steps, label: None, until: Some(after(30)) };
        let stage = Stage { ladder: Some(ladder), ..Stage::default() };
        let mut catalog = Catalog::default();
        catalog.put(id.clone(), lipstick());
        let at = |seconds| {
            let price = stage.price(&catalog, &id, after(seconds)).unwrap();
            (price.now.minor(), price.regular.is_some())
        };
        assert_eq!(
            [0, 9, 10, 19, 20, 29].map(at),
            [(2490, false), (2490, false), (1990, true), (1990, true), (990, true), (990, true)]
        );
        assert_eq!(at(30), (2490, false));
        let terms = stage.terms(&id, &lipstick());
        assert!(terms.windows(2).all(|pair| pair[0].until == pair[1].from));
        assert!(stage.holds(&id));
    }

    #[test]
    fn other_products_keep_their_price() {
        let stage = Stage { countdown: Some(countdown(990, "USD", 60, Then::SoldOut)), ..Stage::default() };
        let mug = ProductId::parse("mug").unwrap();
        let terms = stage.terms(&mug, &lipstick());
        assert_eq!(terms.len(), 1);
        assert_eq!(terms[0].price, Price { now: lipstick().price, regular: None, sold_out: false });
        assert!(!stage.holds(&mug));
    }
}
