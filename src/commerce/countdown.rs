//! A price that holds until a moment.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::catalog::{Product, ProductId};
use super::line::Label;
use super::money::{Currency, Money};

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
    #[error("the ladder has {seen} steps: give it 1 to {most}")]
    Steps { seen: usize, most: usize },
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
        if left < SignedDuration::try_from(Countdown::SHORTEST).unwrap_or_default() {
            return Err(Refused::TooSoon { seen: self.ends });
        }
        if left > SignedDuration::try_from(Countdown::LONGEST).unwrap_or_default() {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lipstick() -> Product {
        serde_json::from_str(r#"{"title": "Lipstick", "price": {"minor": 2490, "currency": "USD"}, "stock": 3}"#)
            .unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn countdown(minor: i64, code: &str, seconds: i64, then: Then) -> Countdown {
        Countdown {
            product: ProductId::parse("lipstick").unwrap(),
            price: Money::new(minor, Currency::parse(code).unwrap()).unwrap(),
            begins: Some(now()),
            ends: now() + SignedDuration::from_secs(seconds),
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
}
