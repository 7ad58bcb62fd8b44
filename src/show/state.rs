//! A show as its log tells it: a pure fold of events, and the rules by which commands become events.
//!
//! Neither has a clock: `now` is an argument. Replaying the log gives the state that was answered from, and so the same picture.

mod staging;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cues::{Cue, CueId, Cues};
use super::settings::{Canvas, Fit, Role, SourceUrl, StreamKey, ThemeName};
use super::stage::{Change, Layer, Panel, Placed};
use crate::commerce::catalog::{Catalog, ImageHash, Item, Product, ProductId};
use crate::commerce::countdown::{self, Countdown, Then};
use crate::commerce::line::{Label, Title};
use crate::commerce::money::Money;
use crate::commerce::offer::Stage;
use crate::overlay::Locale;
pub use staging::Due;
use staging::Missed;

/// Everything that is known of a show. Made by its [`Created`] event, changed by [`State::apply`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Grows with every change that the picture may show or that touches a price or its terms. A countdown's end and a ladder's
    /// step, which their start announced, are none.
    pub rev: u64,
    /// Wall time of media time zero.
    pub epoch: Timestamp,
    /// Where the RTP timestamps of its viewers begin.
    pub rtp_base: u32,
    pub title: Title,
    pub stream_key: StreamKey,
    pub source: Option<SourceUrl>,
    /// What takes over when the main source is silent.
    pub backup: Backup,
    pub canvas: Canvas,
    /// Its language: words, numbers and the forms of characters.
    pub locale: Locale,
    pub theme: ThemeName,
    /// A publisher has been on air at least once.
    pub opened: bool,
    /// Shared by the states that are tried out beside this one.
    pub catalog: Arc<Catalog>,
    /// What is on the stage that prices depend on.
    pub stage: Stage,
    /// Everything else that is on the stage.
    pub panels: BTreeMap<Layer, Panel>,
    /// When a layer is taken off by itself.
    pub until: BTreeMap<Layer, Timestamp>,
    /// The highest stock of the product on the stock panel since it was put there.
    pub stock_total: u32,
    pub cues: Cues,
    /// The last changes of the stage, the newest last: what an undo takes back.
    history: VecDeque<Past>,
}

/// A change of the stage that took place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Past {
    /// The revision that it made.
    rev: u64,
    /// The layers that it touched, whether something was put there, and what was there before.
    touched: Vec<(Layer, bool, Option<Placed>)>,
    /// What the stock bar counted from before.
    stock_total: u32,
}

/// The way in of a second source; either or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    pub stream_key: Option<StreamKey>,
    pub source: Option<SourceUrl>,
}

/// What happened to a show, as the log keeps it. A kind is never taken out or given another meaning: old logs must replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Created(Created),
    Titled {
        title: Title,
    },
    KeyChanged {
        stream_key: StreamKey,
    },
    SourceChanged {
        source: Option<SourceUrl>,
    },
    BackupKeyChanged {
        stream_key: Option<StreamKey>,
    },
    BackupSourceChanged {
        source: Option<SourceUrl>,
    },
    /// Size and rate only between two runs of the server: a running show keeps them.
    CanvasChanged {
        canvas: Canvas,
    },
    LocaleChanged {
        locale: Locale,
    },
    ThemeChanged {
        theme: ThemeName,
    },
    Opened,
    ProductPut {
        id: ProductId,
        product: Product,
    },
    ProductRemoved {
        id: ProductId,
    },
    ImageSet {
        id: ProductId,
        image: ImageHash,
    },
    ImageRemoved {
        id: ProductId,
    },
    /// This and the next three are of older logs: [`Event::Staged`] takes their place.
    CardShown {
        product: ProductId,
    },
    CardHidden,
    CountdownStarted {
        countdown: Countdown,
    },
    CountdownStopped,
    CountdownExpired,
    /// Changes of the stage took place, as one revision.
    Staged {
        at: Timestamp,
        changes: Vec<Change>,
        /// The cue that they waited as.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cue: Option<CueId>,
    },
    /// What was put on a layer for a while is gone.
    LayerLeft {
        layer: Layer,
    },
    /// The newest change of the stage that was not taken back yet is.
    Undone {
        /// The revision that it had made.
        rev: u64,
        /// The layers that it had put something on.
        put: Vec<Layer>,
        /// The layers that it had taken something off.
        deleted: Vec<Layer>,
        /// The layers that stay empty: what was there has ended, or may not stand there any more.
        lost: Vec<Layer>,
    },
    CueScheduled {
        cue: Cue,
    },
    CueTakenBack {
        cue: CueId,
    },
    /// A cue could not take place when its time came.
    CueDropped {
        cue: CueId,
        reason: String,
    },
    Deleted,
}

/// The beginning of a show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Its first revision: above every one that an earlier show of this name had.
    pub rev: u64,
    pub epoch: Timestamp,
    pub rtp_base: u32,
    pub title: Title,
    pub stream_key: StreamKey,
    pub source: Option<SourceUrl>,
    pub canvas: Canvas,
}

/// What somebody wants of a show.
#[derive(Clone, Debug)]
pub enum Command {
    Change(Box<Changes>),
    PutProduct {
        id: ProductId,
        product: Product,
    },
    RemoveProduct {
        id: ProductId,
    },
    SetImage {
        id: ProductId,
        image: ImageHash,
    },
    RemoveImage {
        id: ProductId,
    },
    /// Changes the stage now, all in one revision.
    Stage {
        changes: Vec<Change>,
    },
    /// Takes back the last change of the stage.
    Undo,
    /// Changes the stage at a moment to come, all in one revision and one frame.
    Schedule {
        at: Timestamp,
        label: Option<Label>,
        changes: Vec<Change>,
    },
    /// Takes a waiting cue back.
    TakeBack {
        cue: CueId,
    },
    /// Lets a waiting cue take place now.
    RunCue {
        cue: CueId,
    },
    /// A publisher is on air.
    Open,
    /// Takes in what time alone has brought: the end of a countdown, the moment of a cue.
    Tick,
    /// The same when the show is opened: cues whose time went by meanwhile take place now.
    Wake,
    Delete,
}

/// Settings to change; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub title: Option<Title>,
    pub stream_key: Option<StreamKey>,
    /// `Some(None)` takes the source away.
    pub source: Option<Option<SourceUrl>>,
    /// `Some(None)` takes the key away.
    pub backup_stream_key: Option<Option<StreamKey>>,
    pub backup_source: Option<Option<SourceUrl>>,
    pub fit: Option<Fit>,
    pub locale: Option<Locale>,
    /// One that the painter has: [`Shows`](super::Shows) sees to it.
    pub theme: Option<ThemeName>,
}

/// Why a command may not be carried out. The state is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the show has no product {seen}: put it into the catalog first")]
    UnknownProduct { seen: ProductId },
    #[error("{seen} is on the picture: take it off the stage first ({layer})")]
    OnStage { seen: ProductId, layer: Layer },
    #[error("cue {cue} needs {seen}: take the cue back first")]
    InCue { seen: ProductId, cue: CueId },
    #[error(
        "a countdown or a ladder holds the price of {product} at its regular {regular}: take it off first, then set {seen}"
    )]
    PriceHeld { product: ProductId, regular: Money, seen: Money },
    #[error("the show has {} products, which is the most it may have: remove one first", Catalog::MAX_PRODUCTS)]
    CatalogFull,
    #[error(transparent)]
    Offer(#[from] countdown::Refused),
    #[error("the {by} on the stage holds the price of {product}: take it off first, a product has one of the two")]
    PriceTaken { product: ProductId, by: Layer },
    #[error("the {counted} of {product} is not counted: set {counted} of the product first")]
    Uncounted { product: ProductId, counted: Layer },
    #[error("{seen} lines: give the ticker 1 to {}", Panel::MOST_ITEMS)]
    Items { seen: usize },
    #[error("{seen} products: give the queue 1 to {}", Panel::MOST_QUEUED)]
    Queued { seen: usize },
    #[error("{seen} is in the queue twice: name it once")]
    QueuedTwice { seen: ProductId },
    #[error("for {seen:?}: give 1 second to 7 days")]
    Lasts { seen: std::time::Duration },
    #[error("{seen} changes at once: give 1 to {}", Change::MOST)]
    Changes { seen: usize },
    #[error("{layer} is changed twice at once: change it once")]
    Twice { layer: Layer },
    #[error("{seen} is past: leave the time out to have it at once")]
    CuePast { seen: Timestamp },
    #[error("{seen} is more than {} days away: choose an earlier time", Cues::FARTHEST.as_secs() / 86_400)]
    CueFar { seen: Timestamp },
    #[error("there are {} cues waiting, which is the most: take one back first", Cues::MOST)]
    CuesFull,
    #[error("no cue {seen} is waiting: see the list of cues")]
    UnknownCue { seen: CueId },
    #[error("no change of the stage is left to take back")]
    NothingToUndo,
}

impl State {
    pub fn new(created: Created) -> State {
        let Created { rev, epoch, rtp_base, title, stream_key, source, canvas } = created;
        State {
            rev,
            epoch,
            rtp_base,
            title,
            stream_key,
            source,
            backup: Backup::default(),
            canvas,
            locale: Locale::default(),
            theme: ThemeName::default(),
            opened: false,
            catalog: Arc::default(),
            stage: Stage::default(),
            panels: BTreeMap::new(),
            until: BTreeMap::new(),
            stock_total: 0,
            cues: Cues::default(),
            history: VecDeque::new(),
        }
    }

    /// Which of the show's sources a key is for. Both keys are compared, in a time that tells nothing about them.
    pub fn role_of(&self, key: &str) -> Option<Role> {
        let main = self.stream_key.is(key);
        let backup = self.backup.stream_key.as_ref().is_some_and(|backup| backup.is(key));
        if main { Some(Role::Main) } else { backup.then_some(Role::Backup) }
    }

    /// Takes an event in. [`Event::Created`] and [`Event::Deleted`] begin and end a state; they change nothing here.
    pub fn apply(&mut self, event: Event) {
        if event.shows() {
            self.rev += 1;
        }
        match event {
            Event::Created(_) | Event::Deleted => {}
            Event::Titled { title } => self.title = title,
            Event::KeyChanged { stream_key } => self.stream_key = stream_key,
            Event::SourceChanged { source } => self.source = source,
            Event::BackupKeyChanged { stream_key } => self.backup.stream_key = stream_key,
            Event::BackupSourceChanged { source } => self.backup.source = source,
            Event::CanvasChanged { canvas } => self.canvas = canvas,
            Event::LocaleChanged { locale } => self.locale = locale,
            Event::ThemeChanged { theme } => self.theme = theme,
            Event::Opened => self.opened = true,
            Event::ProductPut { id, product } => {
                Arc::make_mut(&mut self.catalog).put(id, product);
                self.count_stock();
            }
            Event::ProductRemoved { id } => Arc::make_mut(&mut self.catalog).remove(&id),
            Event::ImageSet { id, image } => Arc::make_mut(&mut self.catalog).set_image(&id, Some(image)),
            Event::ImageRemoved { id } => Arc::make_mut(&mut self.catalog).set_image(&id, None),
            Event::CardShown { product } => self.change_stage(&[Change::card(product)], self.epoch),
            Event::CardHidden => self.change_stage(&[Change::Delete(Layer::Card)], self.epoch),
            Event::CountdownStarted { countdown } => self.start_countdown(countdown),
            Event::CountdownStopped => self.change_stage(&[Change::Delete(Layer::Countdown)], self.epoch),
            Event::CountdownExpired => {
                self.stage.expired = true;
                if let Some(countdown) = &self.stage.countdown
                    && countdown.then == Then::SoldOut
                {
                    Arc::make_mut(&mut self.catalog).set_stock(&countdown.product, Some(0));
                }
            }
            Event::Staged { at, changes, cue } => {
                cue.and_then(|cue| self.cues.take(cue));
                self.change_stage(&changes, at);
            }
            Event::LayerLeft { layer } => self.set(layer, None),
            Event::Undone { lost, .. } => self.take_back(&lost),
            Event::CueScheduled { cue } => self.cues.add(cue),
            Event::CueTakenBack { cue } => drop(self.cues.take(cue)),
            Event::CueDropped { cue, reason } => self.cues.drop(cue, reason),
        }
    }

    /// The events that carry out a command `now`: none when there is nothing to change. What time has brought until then is
    /// taken in first, whatever the command.
    pub fn decide(&self, command: Command, now: Timestamp) -> Result<Vec<Event>, Refused> {
        let missed = if matches!(command, Command::Wake) { Missed::TakesPlaceNow } else { Missed::TookPlace };
        if self.next_due().is_none_or(|due| due.at > now) {
            return self.decide_settled(command, now);
        }
        let (settled, mut events) = self.settle(now, missed);
        events.extend(settled.decide_settled(command, now)?);
        Ok(events)
    }

    fn decide_settled(&self, command: Command, now: Timestamp) -> Result<Vec<Event>, Refused> {
        Ok(match command {
            Command::Change(changes) => self.decide_changes(*changes),
            Command::PutProduct { id, product } => self.decide_product(id, product)?,
            Command::RemoveProduct { id } => {
                self.item(&id)?;
                if let Some(layer) = self.layer_of(&id) {
                    return Err(Refused::OnStage { seen: id, layer });
                }
                let needs = |cue: &&Cue| cue.changes.iter().any(|change| change.products().contains(&&id));
                if let Some(cue) = self.cues.pending().iter().find(needs).map(|cue| cue.id) {
                    return Err(Refused::InCue { seen: id, cue });
                }
                vec![Event::ProductRemoved { id }]
            }
            Command::SetImage { id, image } => {
                let same = self.item(&id)?.image == Some(image);
                unless(same, Event::ImageSet { id, image })
            }
            Command::RemoveImage { id } => {
                let none = self.item(&id)?.image.is_none();
                unless(none, Event::ImageRemoved { id })
            }
            Command::Stage { changes } => {
                let changes = self.effective(&changes, now)?;
                unless(changes.is_empty(), Event::Staged { at: now, changes, cue: None })
            }
            Command::Undo => vec![self.undoing(now).ok_or(Refused::NothingToUndo)?],
            Command::Schedule { at, label, changes } => vec![self.decide_cue(at, label, changes, now)?],
            Command::TakeBack { cue } => {
                self.cue(cue)?;
                vec![Event::CueTakenBack { cue }]
            }
            Command::RunCue { cue } => {
                let changes = self.effective(&self.cue(cue)?.changes, now)?;
                vec![Event::Staged { at: now, changes, cue: Some(cue) }]
            }
            Command::Open => unless(self.opened, Event::Opened),
            Command::Tick | Command::Wake => Vec::new(),
            Command::Delete => vec![Event::Deleted],
        })
    }

    fn decide_changes(&self, changes: Changes) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(title) = changes.title.filter(|title| *title != self.title) {
            events.push(Event::Titled { title });
        }
        if let Some(stream_key) = changes.stream_key.filter(|key| *key != self.stream_key) {
            events.push(Event::KeyChanged { stream_key });
        }
        if let Some(source) = changes.source.filter(|source| *source != self.source) {
            events.push(Event::SourceChanged { source });
        }
        if let Some(stream_key) = changes.backup_stream_key.filter(|key| *key != self.backup.stream_key) {
            events.push(Event::BackupKeyChanged { stream_key });
        }
        if let Some(source) = changes.backup_source.filter(|source| *source != self.backup.source) {
            events.push(Event::BackupSourceChanged { source });
        }
        if let Some(fit) = changes.fit.filter(|fit| *fit != self.canvas.fit()) {
            events.push(Event::CanvasChanged { canvas: self.canvas.with_fit(fit) });
        }
        if let Some(locale) = changes.locale.filter(|locale| *locale != self.locale) {
            events.push(Event::LocaleChanged { locale });
        }
        if let Some(theme) = changes.theme.filter(|theme| *theme != self.theme) {
            events.push(Event::ThemeChanged { theme });
        }
        events
    }

    fn decide_product(&self, id: ProductId, product: Product) -> Result<Vec<Event>, Refused> {
        match self.catalog.get(&id) {
            // A regular price that moved under a countdown would make its discount a lie.
            Some(item) if self.stage.holds(&id) && item.product.price != product.price => {
                Err(Refused::PriceHeld { product: id, regular: item.product.price, seen: product.price })
            }
            Some(item) => Ok(unless(item.product == product, Event::ProductPut { id, product })),
            None if self.catalog.len() >= Catalog::MAX_PRODUCTS => Err(Refused::CatalogFull),
            None => Ok(vec![Event::ProductPut { id, product }]),
        }
    }

    fn cue(&self, id: CueId) -> Result<&Cue, Refused> {
        self.cues.get(id).ok_or(Refused::UnknownCue { seen: id })
    }

    fn item(&self, id: &ProductId) -> Result<&Item, Refused> {
        self.catalog.get(id).ok_or_else(|| Refused::UnknownProduct { seen: id.clone() })
    }
}

impl Event {
    /// Whether it changes what the picture may show, or a price or its terms.
    fn shows(&self) -> bool {
        match self {
            Event::Titled { .. }
            | Event::ProductPut { .. }
            | Event::ProductRemoved { .. }
            | Event::ImageSet { .. }
            | Event::ImageRemoved { .. }
            | Event::CardShown { .. }
            | Event::CardHidden
            | Event::CountdownStarted { .. }
            | Event::CountdownStopped
            | Event::LayerLeft { .. }
            | Event::Undone { .. }
            | Event::LocaleChanged { .. }
            | Event::ThemeChanged { .. }
            | Event::CanvasChanged { .. } => true,
            Event::Staged { changes, .. } => !changes.is_empty(),
            Event::Created(_)
            | Event::KeyChanged { .. }
            | Event::SourceChanged { .. }
            | Event::BackupKeyChanged { .. }
            | Event::BackupSourceChanged { .. }
            | Event::Opened
            | Event::CountdownExpired
            | Event::CueScheduled { .. }
            | Event::CueTakenBack { .. }
            | Event::CueDropped { .. }
            | Event::Deleted => false,
        }
    }
}

impl Command {
    /// Whether it changes what is on the stage, so that who gives it waits for the picture.
    pub fn is_stage(&self) -> bool {
        matches!(self, Command::Stage { .. } | Command::Undo | Command::RunCue { .. })
    }
}

fn unless(same: bool, event: Event) -> Vec<Event> {
    if same { Vec::new() } else { vec![event] }
}

/// What a show's part of the log leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    Open(Box<State>),
    /// It was deleted, at this revision.
    Deleted {
        rev: u64,
    },
}

/// An event that cannot stand where it stands in the log.
#[derive(Debug, thiserror::Error)]
#[error("{event} comes where no show is open")]
pub struct OutOfPlace {
    event: &'static str,
}

impl Replayed {
    /// Takes the next event of the log in; `None` is the state before the first one.
    pub fn apply(before: Option<Replayed>, event: Event) -> Result<Replayed, OutOfPlace> {
        match (before, event) {
            (_, Event::Created(created)) => Ok(Replayed::Open(Box::new(State::new(created)))),
            (Some(Replayed::Open(state)), Event::Deleted) => Ok(Replayed::Deleted { rev: state.rev }),
            (Some(Replayed::Open(mut state)), event) => {
                state.apply(event);
                Ok(Replayed::Open(state))
            }
            (None | Some(Replayed::Deleted { .. }), Event::Deleted) => Err(OutOfPlace { event: "a deletion" }),
            (None | Some(Replayed::Deleted { .. }), _) => Err(OutOfPlace { event: "a change" }),
        }
    }
}

#[cfg(test)]
mod tests;
