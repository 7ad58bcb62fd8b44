//! A show's state as the layers of its picture: prices become texts, ends become media times.

mod panels;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::locale;
use super::stage::{Layer, Panel};
use super::state::State;
use super::system_time;
use super::words::{self, Words};
use crate::commerce::catalog::{ImageHash, Item, ProductId};
use crate::commerce::countdown::Countdown;
use crate::commerce::ladder::Ladder;
use crate::commerce::money::Money;
use crate::commerce::offer::Term;
use crate::media::{MediaClock, MediaTime};
use crate::overlay::{Ground, LayerSpec, PhaseSpec, Photo};

/// Products' pictures, decoded.
pub(super) type Photos = BTreeMap<ImageHash, Arc<Photo>>;

/// What stands in the picture's place before anybody publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    /// Nobody has published in this show yet.
    StartingSoon,
    /// The server came back, the publisher is still to.
    BackSoon,
}

/// Everything that the picture shows from `since` on, as far as it is known: a countdown's end, a ladder's step and the moment
/// when a layer leaves are phases, so that digits, price and card turn in one frame and no timer is needed.
pub(super) fn layers(
    state: &State,
    clock: &MediaClock,
    since: MediaTime,
    photos: &Photos,
    welcome: Option<Welcome>,
) -> Vec<LayerSpec> {
    let view = View { state, clock, since, photos, words: words::of(state.locale) };
    let stage = &state.stage;
    let item = |id| state.catalog.get(id);
    let staged = [
        stage.card.as_ref().and_then(|id| Some(view.card(id, item(id)?))),
        stage.countdown.as_ref().and_then(|countdown| Some(view.countdown(countdown, item(&countdown.product)?))),
        stage.ladder.as_ref().and_then(|ladder| Some(view.ladder(ladder, item(&ladder.product)?))),
    ];
    let panels = state.panels.values().filter_map(|panel| view.panel(panel));
    let staged = staged.into_iter().flatten().chain(panels).map(|(layer, spec)| match state.until.get(&layer) {
        Some(until) => leaving(spec, media_time(clock, *until)),
        None => spec,
    });
    std::iter::once(view.slate(welcome)).chain(staged).collect()
}

/// Pictures that [`layers`] puts in.
pub(super) fn photos_of(state: &State) -> impl Iterator<Item = ImageHash> {
    let queued = match state.panels.get(&Layer::Queue) {
        Some(Panel::Queue { products }) => &products[..],
        _ => &[],
    };
    state.stage.card.iter().chain(queued).filter_map(|id| state.catalog.get(id)?.image)
}

/// The media time of a moment on the wall.
pub(super) fn media_time(clock: &MediaClock, at: Timestamp) -> MediaTime {
    clock.at_wall(system_time(at))
}

/// A state from a moment on, as it is made into layers.
struct View<'a> {
    state: &'a State,
    clock: &'a MediaClock,
    since: MediaTime,
    photos: &'a BTreeMap<ImageHash, Arc<Photo>>,
    words: &'static Words,
}

impl View<'_> {
    /// What says why no picture moves; gone with the first one that does.
    fn slate(&self, welcome: Option<Welcome>) -> LayerSpec {
        let (template, message) = match welcome {
            Some(Welcome::StartingSoon) => ("starting_soon", self.words.starting_soon),
            Some(Welcome::BackSoon) => ("starting_soon", self.words.back_in_a_moment),
            None => ("slate", self.words.back_in_a_moment),
        };
        let values = json!({ "title": self.state.title.as_str(), "message": message });
        let phases = vec![PhaseSpec { values, ..PhaseSpec::default() }];
        LayerSpec {
            id: "slate".into(),
            template: template.into(),
            z: -10,
            ground: Some(Ground::Slate),
            phases,
            hits: vec![],
        }
    }

    fn card(&self, id: &ProductId, item: &Item) -> (Layer, LayerSpec) {
        let photo = item.image.and_then(|hash| self.photos.get(&hash));
        let images: BTreeMap<_, _> = photo.map(|photo| ("photo".to_owned(), photo.clone())).into_iter().collect();
        let stage = &self.state.stage;
        let countdown = stage.countdown.as_ref().filter(|countdown| countdown.product == *id);
        let ladder = stage.ladder.as_ref().filter(|ladder| ladder.product == *id);
        let label = countdown.and_then(|countdown| countdown.label.as_ref());
        let label = label.or(ladder.and_then(|ladder| ladder.label.as_ref()));
        let product = &item.product;
        let values = |term: &Term| {
            let price = term.price;
            json!({
                "title": product.title.as_str(),
                "price": self.price(price.now),
                "old_price": price.regular.map(|regular| self.price(regular)),
                "discount": price.discount().map(|percent| format!("-{percent}%")),
                "sold_out": price.sold_out,
                // A label belongs to the lower price, and goes with it.
                "label": label.filter(|_| price.regular.is_some()).map(|label| label.as_str()),
                "left": product.stock.filter(|_| !price.sold_out).map(|left| words::left(self.state.locale, left.into())),
                "sold": product.sold.map(|sold| words::sold(self.state.locale, sold.into())),
            })
        };
        let phases = self.phases(id, item, |term| Some(values(term)));
        let phases = phases.into_iter().map(|phase| PhaseSpec { images: images.clone(), ..phase }).collect();
        (Layer::Card, spec(Layer::Card, 10, phases, Some(id)))
    }

    fn countdown(&self, countdown: &Countdown, item: &Item) -> (Layer, LayerSpec) {
        let ends = self.media_time(countdown.ends);
        let values = |ended: bool| {
            json!({
                "title": item.product.title.as_str(),
                "price": self.price(countdown.price),
                "label": countdown.label.as_ref().map_or(self.words.flash_price, |label| label.as_str()),
                "ended": ended,
            })
        };
        // Where no beginning is known, digits for hours that are over need no painting.
        let begins = Some(countdown.begins.map_or(self.since, |begins| self.media_time(begins)));
        let until = Some(ends);
        let ended = PhaseSpec { from: until, values: values(true), begins, ends: until, ..PhaseSpec::default() };
        let mut phases = vec![ended];
        if self.since < ends {
            phases.insert(0, PhaseSpec { until, values: values(false), begins, ends: until, ..PhaseSpec::default() });
        }
        (Layer::Countdown, spec(Layer::Countdown, 20, phases, Some(&countdown.product)))
    }

    /// A phase for each price, with the clock of the next one.
    fn ladder(&self, ladder: &Ladder, item: &Item) -> (Layer, LayerSpec) {
        let prices: Vec<Money> =
            std::iter::once(item.product.price).chain(ladder.steps.iter().map(|step| step.price)).collect();
        let turns: Vec<MediaTime> = ladder.steps.iter().map(|step| self.media_time(step.at)).collect();
        let phase = |now: usize| {
            let rung = |(index, price): (usize, &Money)| {
                let state = match index.cmp(&now) {
                    std::cmp::Ordering::Less => "past",
                    std::cmp::Ordering::Equal => "now",
                    std::cmp::Ordering::Greater => "next",
                };
                json!({ "price": self.price(*price), "state": state })
            };
            let next = prices.get(now + 1);
            let own = ladder.label.as_ref().map(|label| label.to_string());
            let values = json!({
                "title": item.product.title.as_str(),
                "steps": prices.iter().enumerate().map(rung).collect::<Vec<_>>(),
                "label": own.or_else(|| next.map(|_| self.words.next_drop_in.to_owned())),
                "next": next.map(|price| self.price(*price)),
            });
            let from = now.checked_sub(1).map(|before| turns[before]);
            let until = turns.get(now).copied();
            // What is over needs no painting.
            let over = until.is_some_and(|until| until <= self.since);
            let begins = from.or(until.map(|_| self.since));
            (!over).then(|| PhaseSpec { from, until, values, begins, ends: until, ..PhaseSpec::default() })
        };
        let phases = (0..prices.len()).filter_map(phase).collect();
        (Layer::Ladder, spec(Layer::Ladder, 20, phases, Some(&ladder.product)))
    }

    /// A phase for each of a product's prices; none where `values` gives none.
    fn phases(&self, id: &ProductId, item: &Item, values: impl Fn(&Term) -> Option<Value>) -> Vec<PhaseSpec> {
        let terms = self.state.stage.terms(id, &item.product);
        let phase = |term: &Term| {
            let (from, until) = (term.from.map(|at| self.media_time(at)), term.until.map(|at| self.media_time(at)));
            Some(PhaseSpec { from, until, values: values(term)?, ..PhaseSpec::default() })
        };
        terms.iter().filter_map(phase).collect()
    }

    fn price(&self, price: Money) -> String {
        locale::price(self.state.locale, price)
    }

    fn media_time(&self, at: Timestamp) -> MediaTime {
        media_time(self.clock, at)
    }
}

fn spec(layer: Layer, z: i32, phases: Vec<PhaseSpec>, hit: Option<&ProductId>) -> LayerSpec {
    let name = layer.as_str();
    LayerSpec {
        id: name.into(),
        template: name.into(),
        z,
        ground: None,
        phases,
        hits: hit.map(ToString::to_string).into_iter().collect(),
    }
}

/// The same, gone from a moment on.
fn leaving(mut layer: LayerSpec, until: MediaTime) -> LayerSpec {
    layer.phases.retain(|phase| phase.from.is_none_or(|from| from < until));
    for phase in &mut layer.phases {
        phase.until = Some(phase.until.map_or(until, |before| before.min(until)));
    }
    layer
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;

    use super::*;
    use crate::commerce::Product;
    use crate::commerce::countdown::Then;
    use crate::commerce::line::{Label, Title};
    use crate::commerce::money::{Currency, Money};
    use crate::media::ManualClock;
    use crate::show::stage::{Change, Drop, Put, When};
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
        let product =
            Product { title: Title::parse("Lipstick").unwrap(), price: usd(2490), stock: None, sold: None, url: None };
        let ends = epoch + SignedDuration::from_secs(60);
        let label = Some(Label::parse("Flash").unwrap());
        let begins = Some(epoch);
        let countdown = Countdown { product: id.clone(), price: usd(990), begins, ends, then, label };
        state.apply(Event::ProductPut { id: id.clone(), product });
        state.apply(Event::CardShown { product: id });
        state.apply(Event::CountdownStarted { countdown });
        (state, clock)
    }

    /// What a layer's values are at a moment.
    fn values(layers: &[LayerSpec], id: &str, at: MediaTime) -> Value {
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
            json!({ "title": "Lipstick", "price": "$9.90", "old_price": "$24.90", "discount": "-60%", "sold_out": false, "label": "Flash", "left": null, "sold": null })
        );
        assert_eq!(
            values(&layers, "card", ends),
            json!({ "title": "Lipstick", "price": "$24.90", "old_price": null, "discount": null, "sold_out": false, "label": null, "left": null, "sold": null })
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

    /// With more on the stage.
    fn with(state: &State, changes: &[Change]) -> State {
        state.with(changes, state.epoch, state.epoch).unwrap()
    }

    fn panel(panel: Panel) -> Change {
        Change::Put { value: Put::Panel(panel), lasts: None }
    }

    fn product(title: &str, minor: i64, stock: Option<u32>) -> Product {
        Product { title: Title::parse(title).unwrap(), price: usd(minor), stock, sold: Some(318), url: None }
    }

    #[test]
    fn a_ladder_turns_card_queue_and_rungs_at_each_of_its_steps() {
        let (mut state, clock) = selling(Then::Revert);
        let mug = ProductId::parse("mug").unwrap();
        state.apply(Event::ProductPut { id: mug.clone(), product: product("Mug", 2000, None) });
        let step = |minor, seconds| Drop { price: usd(minor), at: When::In(Duration::from_secs(seconds)) };
        let ladder = Put::Ladder { product: mug.clone(), steps: vec![step(1500, 10), step(900, 20)], label: None };
        let lipstick = state.stage.card.clone().unwrap();
        let state = with(
            &state,
            &[
                Change::Put { value: ladder, lasts: Some(Duration::from_secs(30)) },
                Change::card(mug.clone()),
                panel(Panel::Queue { products: vec![lipstick, mug] }),
            ],
        );
        let layers = layers(&state, &clock, MediaTime::ZERO, &BTreeMap::new(), None);
        let at = |seconds| MediaTime::ZERO + Duration::from_secs(seconds);
        let just_before = |seconds| MediaTime::from_ticks(at(seconds).ticks() - 1);
        let price = |at| values(&layers, "card", at)["price"].clone();
        assert_eq!(
            [just_before(10), at(10), just_before(20), at(20), at(30)].map(price),
            ["$20.00", "$15.00", "$15.00", "$9.00", "$20.00"]
        );
        let rungs = |at| {
            let values = values(&layers, "ladder", at);
            let states: Vec<_> = values["steps"].as_array().unwrap().iter().map(|step| step["state"].clone()).collect();
            (states, values["next"].clone(), values["label"].clone())
        };
        assert_eq!(
            rungs(at(0)),
            (vec!["now".into(), "next".into(), "next".into()], json!("$15.00"), json!("Next drop in"))
        );
        assert_eq!(rungs(at(20)), (vec!["past".into(), "past".into(), "now".into()], json!(null), json!(null)));
        let ladder = layers.iter().find(|layer| layer.id == "ladder").unwrap();
        let ends: Vec<_> = ladder.phases.iter().map(|phase| (phase.ends, phase.until)).collect();
        assert_eq!(ends, [(Some(at(10)), Some(at(10))), (Some(at(20)), Some(at(20))), (None, Some(at(30)))]);
        let queued = |at| [0, 1].map(|item| values(&layers, "queue", at)["items"][item]["price"].clone());
        assert_eq!(queued(at(20)), ["$9.90", "$9.00"]);
        // The other product's countdown ends at 60.
        assert_eq!(queued(at(60)), ["$24.90", "$20.00"]);
    }

    #[test]
    fn stock_is_gone_in_the_frame_in_which_the_price_ends() {
        let (mut state, clock) = selling(Then::SoldOut);
        let id = state.stage.card.clone().unwrap();
        state.apply(Event::ProductPut { id: id.clone(), product: product("Lipstick", 2490, Some(40)) });
        let mut state = with(
            &state,
            &[
                panel(Panel::Stock { product: id.clone() }),
                panel(Panel::Sold { product: id.clone() }),
                panel(Panel::SoldOut { product: id.clone() }),
            ],
        );
        state.apply(Event::ProductPut { id, product: product("Lipstick", 2490, Some(7)) });
        let layers = layers(&state, &clock, MediaTime::ZERO, &BTreeMap::new(), None);
        let (ends, stock) = (MediaTime::ZERO + Duration::from_secs(60), |at| values(&layers, "stock", at));
        assert_eq!(
            stock(MediaTime::ZERO),
            json!({ "text": "7 left", "percent": 17, "low": true, "title": "Lipstick" })
        );
        assert_eq!((&stock(ends)["text"], &stock(ends)["percent"]), (&json!("SOLD OUT"), &json!(0)));
        assert_eq!(values(&layers, "card", MediaTime::ZERO)["left"], "7 left");
        assert_eq!(values(&layers, "card", ends)["left"], json!(null));
        assert_eq!(values(&layers, "sold", ends), json!({ "text": "318 sold" }));
        let sold_out = layers.iter().find(|layer| layer.id == "sold_out").unwrap();
        assert_eq!(sold_out.phases.iter().map(|phase| phase.from).collect::<Vec<_>>(), [Some(ends)]);
    }

    #[test]
    fn what_is_put_for_a_while_ends_as_a_phase() {
        let (state, clock) = selling(Then::Revert);
        let value = Put::Panel(Panel::Watermark { text: None });
        let state = with(&state, &[Change::Put { value, lasts: Some(Duration::from_secs(5)) }]);
        let layers = layers(&state, &clock, MediaTime::ZERO, &BTreeMap::new(), None);
        let watermark = layers.iter().find(|layer| layer.id == "watermark").unwrap();
        assert_eq!(watermark.phases.len(), 1);
        assert_eq!(watermark.phases[0].until, Some(MediaTime::ZERO + Duration::from_secs(5)));
        assert_eq!(watermark.phases[0].values, json!({ "text": "REHEARSAL" }));
    }
}
