//! A price that drops step by step, each at a known time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::catalog::{Product, ProductId};
use super::countdown::{Countdown, Refused};
use super::line::Label;
use super::money::Money;

/// Lower and lower prices for one product; the last one holds until the ladder is taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    pub product: ProductId,
    /// 1 to [`Ladder::MOST_STEPS`], in the order of time.
    pub steps: Vec<Step>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The first moment at which it is gone, and the regular price holds again; stays when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// One drop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub price: Money,
    /// The first moment at which the price holds.
    pub at: Timestamp,
}

impl Ladder {
    pub const MOST_STEPS: usize = 8;
    /// Between one drop and the next.
    pub const CLOSEST: Duration = Duration::from_secs(1);

    /// Whether it may begin `now`.
    pub fn check(&self, product: &Product, now: Timestamp) -> Result<(), Refused> {
        let steps = self.steps.len();
        if !(1..=Ladder::MOST_STEPS).contains(&steps) {
            return Err(Refused::Steps { seen: steps, most: Ladder::MOST_STEPS });
        }
        let (regular, mut above, mut before) = (product.price, product.price, None);
        for (index, step) in self.steps.iter().enumerate() {
            let number = index + 1;
            if step.price.currency() != regular.currency() {
                return Err(Refused::Currency { seen: step.price.currency(), regular: regular.currency() });
            }
            if step.price.minor() >= above.minor() {
                return Err(Refused::StepNotLower { number, seen: step.price, above });
            }
            let earliest = match before {
                None => now,
                Some(before) => later(before, Ladder::CLOSEST),
            };
            if step.at < earliest {
                return Err(Refused::StepTooSoon { number, seen: step.at, earliest });
            }
            if step.at > later(now, Countdown::LONGEST) {
                return Err(Refused::TooLate { seen: step.at });
            }
            (above, before) = (step.price, Some(step.at));
        }
        if let (Some(until), Some(last)) = (self.until, before)
            && until <= last
        {
            return Err(Refused::LeavesEarly { until, last });
        }
        if product.sold_out() {
            return Err(Refused::SoldOut);
        }
        Ok(())
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commerce::money::Currency;

    fn lipstick() -> Product {
        serde_json::from_str(r#"{"title": "Lipstick", "price": {"minor": 2490, "currency": "USD"}}"#).unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn check(steps: &[(i64, i64)], until: Option<i64>) -> Result<(), Refused> {
        let usd = Currency::parse("USD").unwrap();
        let after = |seconds| now() + SignedDuration::from_secs(seconds);
        let step =
            |(minor, seconds): &(i64, i64)| Step { price: Money::new(*minor, usd).unwrap(), at: after(*seconds) };
        let steps = steps.iter().map(step).collect();
        let product = ProductId::parse("lipstick").unwrap();
        Ladder { product, steps, label: None, until: until.map(after) }.check(&lipstick(), now())
    }

    #[test]
    fn only_prices_that_drop_in_time_make_a_ladder() {
        assert_eq!(check(&[(1990, 0), (1490, 30), (990, 60)], Some(90)), Ok(()));
        assert_eq!(check(&[], None), Err(Refused::Steps { seen: 0, most: 8 }));
        let nine: Vec<_> = (0..9).map(|n| (2000 - n, n * 10)).collect();
        assert_eq!(check(&nine, None), Err(Refused::Steps { seen: 9, most: 8 }));
        assert!(matches!(check(&[(2490, 0)], None), Err(Refused::StepNotLower { number: 1, .. })));
        assert!(matches!(check(&[(1990, 0), (1990, 9)], None), Err(Refused::StepNotLower { number: 2, .. })));
        assert!(matches!(check(&[(1990, -1)], None), Err(Refused::StepTooSoon { number: 1, .. })));
        assert!(matches!(check(&[(1990, 9), (1490, 9)], None), Err(Refused::StepTooSoon { number: 2, .. })));
        assert!(matches!(check(&[(1990, 8 * 86_400)], None), Err(Refused::TooLate { .. })));
        assert!(matches!(check(&[(1990, 9), (1490, 30)], Some(30)), Err(Refused::LeavesEarly { .. })));
    }
}
