//! The rules of the stage: what may be put there, what time takes off it, what an undo brings back.

use jiff::{SignedDuration, Timestamp};

use super::{Event, Past, Refused, State};
use crate::commerce::catalog::ProductId;
use crate::commerce::countdown::{self, Countdown};
use crate::commerce::line::Label;
use crate::show::cues::{Cue, CueId, Cues};
use crate::show::stage::{Change, Content, Layer, Panel, Placed, Put, When};

/// Changes of the stage that can be taken back.
const MOST_PAST: usize = 20;

/// What time brings next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    pub at: Timestamp,
    what: What,
}

/// In the order in which they are taken in when they come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    CountdownEnds,
    Leaves(Layer),
    Cue(CueId),
}

/// What becomes of a cue whose time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// It took place at its time: the picture turned then.
    TookPlace,
    /// Nobody was there at its time.
    TakesPlaceNow,
}

impl State {
    /// What is on a layer.
    pub fn layer(&self, layer: Layer) -> Option<Placed> {
        let content = match layer {
            Layer::Card => Content::Card(self.stage.card.clone()?),
            Layer::Countdown => Content::Countdown(self.stage.countdown.clone()?),
            Layer::Ladder => Content::Ladder(self.stage.ladder.clone()?),
            panel => Content::Panel(self.panels.get(&panel)?.clone()),
        };
        Some(Placed { content, until: self.until.get(&layer).copied() })
    }

    /// The products on the stage, each once, those with a price of their own first.
    pub fn staged(&self) -> Vec<&ProductId> {
        let stage = &self.stage;
        let priced = stage.card.iter().chain(stage.countdown.iter().map(|countdown| &countdown.product));
        let priced = priced.chain(stage.ladder.iter().map(|ladder| &ladder.product));
        let mut staged: Vec<&ProductId> = Vec::new();
        for id in priced.chain(self.panels.values().flat_map(Panel::products)) {
            if !staged.contains(&id) {
                staged.push(id);
            }
        }
        staged
    }

    /// Every text on the stage that somebody wrote.
    pub fn texts(&self) -> Vec<String> {
        let titles = self.staged().into_iter().filter_map(|id| self.catalog.get(id));
        let titles = titles.map(|item| item.product.title.as_str().to_owned());
        let placed = Layer::ALL.into_iter().filter_map(|layer| self.layer(layer));
        let own = placed.flat_map(|placed| placed.content.texts().into_iter().map(str::to_owned).collect::<Vec<_>>());
        titles.chain(own).collect()
    }

    /// The state after changes that take place `at` a moment from `now` on, with what time brings until then. Nothing is committed.
    pub fn with(&self, changes: &[Change], at: Timestamp, now: Timestamp) -> Result<State, Refused> {
        if at < now {
            return Err(Refused::CuePast { seen: at });
        }
        near(at, now)?;
        let mut state = self.at(at);
        let changes = state.effective(changes, at)?;
        if !changes.is_empty() {
            state.apply(Event::Staged { at, changes, cue: None });
        }
        Ok(state)
    }

    /// The state as time alone makes it until a moment.
    pub fn at(&self, at: Timestamp) -> State {
        self.settle(at, Missed::TookPlace).0
    }

    /// Whether the picture and the prices of both are the same. Whatever else they depend on counts as a revision.
    pub fn looks_like(&self, other: &State) -> bool {
        let of = |state: &State| (state.rev, state.stock_total);
        let staged = self.stage == other.stage && self.panels == other.panels && self.until == other.until;
        staged && of(self) == of(other)
    }

    /// What time brings next, if anything.
    pub fn next_due(&self) -> Option<Due> {
        let countdown = self.stage.countdown.as_ref().filter(|_| !self.stage.expired);
        let countdown = countdown.map(|countdown| Due { at: countdown.ends, what: What::CountdownEnds });
        let leaves = self.until.iter().map(|(layer, at)| Due { at: *at, what: What::Leaves(*layer) });
        // They are in order.
        let cue = self.cues.pending().first().map(|cue| Due { at: cue.at, what: What::Cue(cue.id) });
        leaves.chain(countdown).chain(cue).min()
    }

    /// Takes in what time has brought until `now`, in order.
    pub(super) fn settle(&self, now: Timestamp, missed: Missed) -> (State, Vec<Event>) {
        let (mut state, mut events) = (self.clone(), Vec::new());
        // Ends: each takes away what was due, and only cues, which are few, bring more.
        while let Some(due) = state.next_due().filter(|due| due.at <= now) {
            let event = match due.what {
                What::CountdownEnds => Event::CountdownExpired,
                What::Leaves(layer) => Event::LayerLeft { layer },
                What::Cue(id) => {
                    let at = if missed == Missed::TakesPlaceNow { now } else { due.at };
                    let changes = state.cues.get(id).map(|cue| cue.changes.clone()).unwrap_or_default();
                    match state.effective(&changes, at) {
                        Ok(changes) => Event::Staged { at, changes, cue: Some(id) },
                        Err(refused) => Event::CueDropped { cue: id, reason: refused.to_string() },
                    }
                }
            };
            state.apply(event.clone());
            events.push(event);
        }
        (state, events)
    }

    /// Those of the changes that change something, when all may take place together `at` a moment.
    pub(super) fn effective(&self, changes: &[Change], at: Timestamp) -> Result<Vec<Change>, Refused> {
        if !(1..=Change::MOST).contains(&changes.len()) {
            return Err(Refused::Changes { seen: changes.len() });
        }
        // What is replaced stands in nobody's way, in whatever order the changes are given.
        let mut after = self.clone();
        for (index, change) in changes.iter().enumerate() {
            let layer = change.layer();
            if changes[..index].iter().any(|before| before.layer() == layer) {
                return Err(Refused::Twice { layer });
            }
            after.set(layer, None);
        }
        let mut effective = Vec::new();
        for change in changes {
            let (layer, placed) = (change.layer(), self.placed(change, at));
            let ended = layer == Layer::Countdown && self.stage.expired;
            if placed != self.layer(layer) || (placed.is_some() && ended) {
                if let Some(placed) = &placed {
                    after.check(change, placed, at)?;
                }
                effective.push(change.clone());
            }
            after.set(layer, placed);
        }
        // What stays as it is was not judged: beside what comes it may not stand.
        if let Some(ladder) = after.stage.ladder.as_ref().filter(|ladder| after.stage.counts_down(&ladder.product)) {
            return Err(Refused::PriceTaken { product: ladder.product.clone(), by: Layer::Ladder });
        }
        Ok(effective)
    }

    /// What a change leaves on its layer.
    fn placed(&self, change: &Change, at: Timestamp) -> Option<Placed> {
        let mut placed = change.placed(at);
        // The same countdown again goes on as it began.
        if let (Some(Placed { content: Content::Countdown(new), .. }), Some(old)) = (&mut placed, &self.stage.countdown)
            && *new == (Countdown { begins: new.begins, ..old.clone() })
        {
            new.begins = old.begins;
        }
        placed
    }

    /// Whether something may be placed on the stage as it is.
    fn check(&self, change: &Change, placed: &Placed, at: Timestamp) -> Result<(), Refused> {
        if let Change::Put { lasts: Some(lasts), .. } = change
            && !(Change::SHORTEST..=Change::LONGEST).contains(lasts)
        {
            return Err(Refused::Lasts { seen: *lasts });
        }
        match &placed.content {
            Content::Card(product) => drop(self.item(product)?),
            Content::Countdown(countdown) => {
                countdown.check(&self.item(&countdown.product)?.product, at)?;
                if let Some(until) = placed.until.filter(|until| *until <= countdown.ends) {
                    return Err(countdown::Refused::LeavesEarly { until, last: countdown.ends }.into());
                }
                if self.stage.ladder.as_ref().is_some_and(|ladder| ladder.product == countdown.product) {
                    return Err(Refused::PriceTaken { product: countdown.product.clone(), by: Layer::Ladder });
                }
            }
            Content::Ladder(ladder) => {
                ladder.check(&self.item(&ladder.product)?.product, at)?;
                if self.stage.holds(&ladder.product) {
                    return Err(Refused::PriceTaken { product: ladder.product.clone(), by: Layer::Countdown });
                }
            }
            Content::Panel(panel) => self.check_panel(panel)?,
        }
        Ok(())
    }

    fn check_panel(&self, panel: &Panel) -> Result<(), Refused> {
        for product in panel.products() {
            self.item(product)?;
        }
        let uncounted = |product: &ProductId, counted| Err(Refused::Uncounted { product: product.clone(), counted });
        match panel {
            Panel::Stock { product } if self.item(product)?.product.stock.is_none() => uncounted(product, Layer::Stock),
            Panel::Sold { product } if self.item(product)?.product.sold.is_none() => uncounted(product, Layer::Sold),
            Panel::Ticker { items } if !(1..=Panel::MOST_ITEMS).contains(&items.len()) => {
                Err(Refused::Items { seen: items.len() })
            }
            Panel::Queue { products } if !(1..=Panel::MOST_QUEUED).contains(&products.len()) => {
                Err(Refused::Queued { seen: products.len() })
            }
            Panel::Queue { products } => {
                let twice = products.iter().enumerate().find(|(index, product)| products[..*index].contains(product));
                match twice {
                    Some((_, product)) => Err(Refused::QueuedTwice { seen: product.clone() }),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// The layer that a product is on.
    pub(super) fn layer_of(&self, id: &ProductId) -> Option<Layer> {
        let on = |layer: &Layer| match self.layer(*layer).map(|placed| placed.content) {
            Some(Content::Card(product)) => product == *id,
            Some(Content::Countdown(countdown)) => countdown.product == *id,
            Some(Content::Ladder(ladder)) => ladder.product == *id,
            Some(Content::Panel(panel)) => panel.products().contains(&id),
            None => false,
        };
        Layer::ALL.into_iter().find(on)
    }

    pub(super) fn decide_cue(
        &self,
        at: Timestamp,
        label: Option<Label>,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<Event, Refused> {
        if at <= now {
            return Err(Refused::CuePast { seen: at });
        }
        near(at, now)?;
        if self.cues.pending().len() >= Cues::MOST {
            return Err(Refused::CuesFull);
        }
        // As far as is known now; what comes in between may still stand in its way.
        self.at(at).effective(&changes, at)?;
        Ok(Event::CueScheduled { cue: Cue { id: self.cues.next(), at, label, changes } })
    }

    /// The event that takes back the newest change of the stage.
    pub(super) fn undoing(&self, now: Timestamp) -> Option<Event> {
        let past = self.history.back()?;
        let mut bare = self.clone();
        past.touched.iter().for_each(|(layer, ..)| bare.set(*layer, None));
        let mut lost = Vec::new();
        for (layer, _, before) in &past.touched {
            let Some(before) = before else { continue };
            if bare.may_return(before, now) { bare.set(*layer, Some(before.clone())) } else { lost.push(*layer) }
        }
        let layers =
            |put: bool| past.touched.iter().filter(|touched| touched.1 == put).map(|touched| touched.0).collect();
        Some(Event::Undone { rev: past.rev, put: layers(true), deleted: layers(false), lost })
    }

    /// Whether something that stood on the stage may stand there again.
    fn may_return(&self, placed: &Placed, now: Timestamp) -> bool {
        if placed.until.is_some_and(|until| until <= now) {
            return false;
        }
        // A ladder returns in the middle of its steps: they are judged as when the first one came.
        let at = match &placed.content {
            Content::Ladder(ladder) => ladder.steps.first().map_or(now, |step| step.at.min(now)),
            _ => now,
        };
        let as_it_was = Change::Delete(Layer::Card);
        self.check(&as_it_was, placed, at).is_ok()
    }

    pub(super) fn take_back(&mut self, lost: &[Layer]) {
        let Some(past) = self.history.pop_back() else { return };
        for (layer, _, before) in past.touched {
            let back = before.filter(|_| !lost.contains(&layer));
            let total = if layer == Layer::Stock && back.is_some() { past.stock_total } else { 0 };
            self.set(layer, back);
            self.stock_total = self.stock_total.max(total);
        }
    }

    /// Changes the stage as an event says, and remembers what was there.
    pub(super) fn change_stage(&mut self, changes: &[Change], at: Timestamp) {
        let touched = changes.iter().map(|change| {
            let layer = change.layer();
            (layer, matches!(change, Change::Put { .. }), self.layer(layer))
        });
        let past = Past { rev: self.rev, touched: touched.collect(), stock_total: self.stock_total };
        for change in changes {
            self.set(change.layer(), self.placed(change, at));
        }
        if !past.touched.is_empty() {
            self.history.push_back(past);
        }
        if self.history.len() > MOST_PAST {
            self.history.pop_front();
        }
    }

    pub(super) fn start_countdown(&mut self, countdown: Countdown) {
        let Countdown { product, price, begins, ends, then, label } = countdown;
        let value = Put::Countdown { product, price, end: When::At(ends), then, label };
        self.change_stage(&[Change::Put { value, lasts: None }], self.epoch);
        if let Some(countdown) = &mut self.stage.countdown {
            countdown.begins = begins;
        }
    }

    pub(super) fn set(&mut self, layer: Layer, placed: Option<Placed>) {
        let panel = placed.as_ref().and_then(|placed| match &placed.content {
            Content::Panel(panel) => Some(panel),
            _ => None,
        });
        let same_panel = self.panels.get(&layer) == panel;
        match layer {
            Layer::Card => self.stage.card = None,
            Layer::Countdown => (self.stage.countdown, self.stage.expired) = (None, false),
            Layer::Ladder => self.stage.ladder = None,
            panel => drop(self.panels.remove(&panel)),
        }
        self.until.remove(&layer);
        let Some(Placed { content, until }) = placed else { return };
        match content {
            Content::Card(product) => self.stage.card = Some(product),
            Content::Countdown(countdown) => self.stage.countdown = Some(countdown),
            Content::Ladder(ladder) => self.stage.ladder = Some(ladder),
            Content::Panel(panel) => {
                self.panels.insert(layer, panel);
                if layer == Layer::Stock {
                    if !same_panel {
                        self.stock_total = 0;
                    }
                    self.count_stock();
                }
            }
        }
        if let Some(until) = until {
            self.until.insert(layer, until);
        }
    }

    /// Keeps the highest stock that was seen.
    pub(super) fn count_stock(&mut self) {
        if let Some(Panel::Stock { product }) = self.panels.get(&Layer::Stock)
            && let Some(stock) = self.catalog.get(product).and_then(|item| item.product.stock)
        {
            self.stock_total = self.stock_total.max(stock);
        }
    }
}

/// Refuses what lies too far ahead for a cue.
fn near(at: Timestamp, now: Timestamp) -> Result<(), Refused> {
    let far = at.duration_since(now) > SignedDuration::try_from(Cues::FARTHEST).unwrap_or_default();
    if far { Err(Refused::CueFar { seen: at }) } else { Ok(()) }
}
