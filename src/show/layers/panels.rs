//! The layers that no price depends on, though they show prices and stock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{View, spec};
use crate::commerce::catalog::ProductId;
use crate::commerce::offer::Price;
use crate::overlay::{LayerSpec, PhaseSpec};
use crate::show::stage::{Layer, Panel};
use crate::show::words;

/// At or below this share of what there was, in percent, stock is low.
const LOW: u32 = 20;

impl View<'_> {
    /// The layer of a panel; none while the catalog cannot say what it would show.
    pub(super) fn panel(&self, panel: &Panel) -> Option<(Layer, LayerSpec)> {
        let layer = panel.layer();
        let spec = match panel {
            Panel::Stock { product } => {
                let stock = self.state.catalog.get(product)?.product.stock?;
                let values = |price: &Price| Some(self.stock(product, if price.sold_out { 0 } else { stock }));
                spec(layer, 15, self.product_phases(product, values)?, Some(product))
            }
            Panel::Sold { product } => {
                let sold = self.state.catalog.get(product)?.product.sold?;
                spec(layer, 15, always(json!({ "text": words::sold(self.state.locale, sold.into()) })), Some(product))
            }
            Panel::Ticker { items } => {
                let items: Vec<&str> = items.iter().map(|item| item.as_str()).collect();
                spec(layer, 5, always(json!({ "items": items })), None)
            }
            Panel::Coupon { code, text, note } => {
                let note = note.as_ref().map(|note| note.as_str());
                spec(layer, 30, always(json!({ "code": code.as_str(), "text": text.as_str(), "note": note })), None)
            }
            Panel::Banner { title, text } => {
                let text = text.as_ref().map(|text| text.as_str());
                spec(layer, 30, always(json!({ "title": title.as_str(), "text": text })), None)
            }
            Panel::SoldOut { product } => {
                let title = self.state.catalog.get(product)?.product.title.as_str();
                let values = json!({ "title": title, "message": self.words.sold_out });
                let while_it_is = |price: &Price| price.sold_out.then(|| values.clone());
                spec(layer, 40, self.product_phases(product, while_it_is)?, Some(product))
            }
            Panel::Queue { products } => {
                let known = products.iter().filter(|id| self.state.catalog.get(id).is_some());
                LayerSpec {
                    hits: known.map(ToString::to_string).collect(),
                    ..spec(layer, 12, self.queue(products), None)
                }
            }
            Panel::Watermark { text } => {
                let text = text.as_ref().map_or_else(|| self.words.rehearsal.to_owned(), |text| text.to_string());
                spec(layer, 50, always(json!({ "text": text })), None)
            }
        };
        Some((layer, spec))
    }

    fn product_phases(&self, id: &ProductId, values: impl Fn(&Price) -> Option<Value>) -> Option<Vec<PhaseSpec>> {
        Some(self.phases(id, self.state.catalog.get(id)?, |term| values(&term.price)))
    }

    fn stock(&self, id: &ProductId, left: u32) -> Value {
        // Not above 100: the total is the highest stock that was seen. Widened, so that it cannot overflow.
        let percent = (u64::from(left) * 100).checked_div(u64::from(self.state.stock_total)).unwrap_or(0);
        let text = if left == 0 { self.words.sold_out.to_owned() } else { words::left(self.state.locale, left.into()) };
        let title = self.state.catalog.get(id).map(|item| item.product.title.as_str());
        json!({ "text": text, "percent": percent, "low": percent <= u64::from(LOW), "title": title })
    }

    /// A phase for each span of time in which no price of the queue changes.
    fn queue(&self, products: &[ProductId]) -> Vec<PhaseSpec> {
        let items: Vec<_> = products.iter().filter_map(|id| Some((id, self.state.catalog.get(id)?))).collect();
        let terms: Vec<_> = items.iter().map(|(id, item)| self.state.stage.terms(id, &item.product)).collect();
        let mut turns: Vec<Option<Timestamp>> = terms.iter().flatten().map(|term| term.from).collect();
        turns.sort();
        turns.dedup();
        let photos = items
            .iter()
            .enumerate()
            .filter_map(|(index, (_, item))| Some((format!("item-{index}"), self.photos.get(&item.image?)?.clone())));
        let images: BTreeMap<_, _> = photos.collect();
        let phase = |(turn, from): (usize, &Option<Timestamp>)| {
            let rows = items.iter().zip(&terms).enumerate().map(|(index, ((_, item), terms))| {
                let price = terms.iter().rfind(|term| term.from <= *from).map(|term| self.price(term.price.now));
                let (image, hit) = (format!("item-{index}"), format!("hit-{index}"));
                let image = images.contains_key(&image).then_some(image);
                json!({ "title": item.product.title.as_str(), "price": price, "image": image, "hit": hit })
            });
            let values = json!({ "heading": self.words.next_up, "items": rows.collect::<Vec<_>>() });
            PhaseSpec {
                from: from.map(|at| self.media_time(at)),
                until: turns.get(turn + 1).copied().flatten().map(|at| self.media_time(at)),
                values,
                images: images.clone(),
                ..PhaseSpec::default()
            }
        };
        turns.iter().enumerate().map(phase).collect()
    }
}

fn always(values: Value) -> Vec<PhaseSpec> {
    vec![PhaseSpec { values, ..PhaseSpec::default() }]
}
