//! What is on the picture now, and the price that holds at a moment.

use jiff::Timestamp;

use super::catalog::{Catalog, Product, ProductId};
use super::countdown::{Countdown, Then};
use super::ladder::Ladder;
use super::money::Money;

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
        let running = self.countdown.as_ref().filter(|_| self.counts_down(id));
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
        self.counts_down(id) || self.ladder.as_ref().is_some_and(|ladder| ladder.product == *id)
    }

    /// Whether a product has a countdown that has not ended.
    pub fn counts_down(&self, id: &ProductId) -> bool {
        !self.expired && self.countdown.as_ref().is_some_and(|countdown| countdown.product == *id)
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
    use crate::commerce::money::Currency;

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
