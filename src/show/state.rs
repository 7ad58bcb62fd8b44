//! A show as its log tells it: a pure fold of events, and the rules by which commands become events.
//!
//! Neither has a clock: `now` is an argument. Replaying the log gives the state that was answered from, and so the same picture.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::settings::{Canvas, Fit, Role, SourceUrl, StreamKey, ThemeName};
use crate::commerce::catalog::{Catalog, ImageHash, Item, Product, ProductId};
use crate::commerce::line::{Label, Title};
use crate::commerce::money::Money;
use crate::commerce::offer::{self, Countdown, Stage, Then};
use crate::overlay::Locale;

/// Everything that is known of a show. Made by its [`Created`] event, changed by [`State::apply`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Grows with every change that the picture may show or that touches a price or its terms. A countdown's end, which its
    /// start announced, is none.
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
    pub catalog: Catalog,
    pub stage: Stage,
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
    CardShown {
        product: ProductId,
    },
    CardHidden,
    CountdownStarted {
        countdown: Countdown,
    },
    CountdownStopped,
    CountdownExpired,
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
    ShowCard {
        product: ProductId,
    },
    HideCard,
    StartCountdown {
        product: ProductId,
        price: Money,
        end: End,
        then: Then,
        label: Option<Label>,
    },
    StopCountdown,
    /// A publisher is on air.
    Open,
    /// Takes in what time alone has brought: the end of a countdown.
    Tick,
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

/// When a countdown is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    In(Duration),
    At(Timestamp),
}

/// Why a command may not be carried out. The state is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the show has no product {seen}: put it into the catalog first")]
    UnknownProduct { seen: ProductId },
    #[error("{seen} is on the picture: take its card and countdown off the stage first")]
    OnStage { seen: ProductId },
    #[error(
        "a countdown holds the price of {product} at its regular {regular}: end the countdown first, then set {seen}"
    )]
    PriceHeld { product: ProductId, regular: Money, seen: Money },
    #[error("the show has {} products, which is the most it may have: remove one first", Catalog::MAX_PRODUCTS)]
    CatalogFull,
    #[error(transparent)]
    Countdown(#[from] offer::Refused),
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
            catalog: Catalog::default(),
            stage: Stage::default(),
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
            Event::ProductPut { id, product } => self.catalog.put(id, product),
            Event::ProductRemoved { id } => self.catalog.remove(&id),
            Event::ImageSet { id, image } => self.catalog.set_image(&id, Some(image)),
            Event::ImageRemoved { id } => self.catalog.set_image(&id, None),
            Event::CardShown { product } => self.stage.card = Some(product),
            Event::CardHidden => self.stage.card = None,
            Event::CountdownStarted { countdown } => {
                self.stage.countdown = Some(countdown);
                self.stage.expired = false;
            }
            Event::CountdownStopped => {
                self.stage.countdown = None;
                self.stage.expired = false;
            }
            Event::CountdownExpired => {
                self.stage.expired = true;
                if let Some(countdown) = &self.stage.countdown
                    && countdown.then == Then::SoldOut
                {
                    self.catalog.set_stock(&countdown.product, Some(0));
                }
            }
        }
    }

    /// The events that carry out a command `now`: none when there is nothing to change. A countdown whose end has come is
    /// taken in first, whatever the command.
    pub fn decide(&self, command: Command, now: Timestamp) -> Result<Vec<Event>, Refused> {
        if self.stage.due(now).is_none() {
            return self.decide_settled(command, now);
        }
        let mut settled = self.clone();
        settled.apply(Event::CountdownExpired);
        let mut events = vec![Event::CountdownExpired];
        events.extend(settled.decide_settled(command, now)?);
        Ok(events)
    }

    fn decide_settled(&self, command: Command, now: Timestamp) -> Result<Vec<Event>, Refused> {
        Ok(match command {
            Command::Change(changes) => self.decide_changes(*changes),
            Command::PutProduct { id, product } => self.decide_product(id, product)?,
            Command::RemoveProduct { id } => {
                self.item(&id)?;
                let counted = self.stage.countdown.as_ref().is_some_and(|countdown| countdown.product == id);
                if self.stage.card.as_ref() == Some(&id) || counted {
                    return Err(Refused::OnStage { seen: id });
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
            Command::ShowCard { product } => {
                self.item(&product)?;
                unless(self.stage.card.as_ref() == Some(&product), Event::CardShown { product })
            }
            Command::HideCard => unless(self.stage.card.is_none(), Event::CardHidden),
            Command::StartCountdown { product, price, end, then, label } => {
                let ends = match end {
                    // An end beyond all time is refused below, as one that is too late.
                    End::In(duration) => now.checked_add(duration).unwrap_or(Timestamp::MAX),
                    End::At(ends) => ends,
                };
                let countdown = Countdown { product, price, ends, then, label };
                let same = !self.stage.expired && self.stage.countdown.as_ref() == Some(&countdown);
                if !same {
                    countdown.check(&self.item(&countdown.product)?.product, now)?;
                }
                unless(same, Event::CountdownStarted { countdown })
            }
            Command::StopCountdown => unless(self.stage.countdown.is_none(), Event::CountdownStopped),
            Command::Open => unless(self.opened, Event::Opened),
            Command::Tick => Vec::new(),
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
            | Event::CanvasChanged { .. }
            | Event::LocaleChanged { .. }
            | Event::ThemeChanged { .. } => true,
            Event::Created(_)
            | Event::KeyChanged { .. }
            | Event::SourceChanged { .. }
            | Event::BackupKeyChanged { .. }
            | Event::BackupSourceChanged { .. }
            | Event::Opened
            | Event::CountdownExpired
            | Event::Deleted => false,
        }
    }
}

impl Command {
    /// Whether it changes what is on the stage, so that who gives it waits for the picture.
    pub fn is_stage(&self) -> bool {
        matches!(
            self,
            Command::ShowCard { .. } | Command::HideCard | Command::StartCountdown { .. } | Command::StopCountdown
        )
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
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::commerce::money::Currency;

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn after(seconds: i64) -> Timestamp {
        start() + SignedDuration::from_secs(seconds)
    }

    fn created() -> Created {
        Created {
            rev: 1,
            epoch: start(),
            rtp_base: 7,
            title: Title::parse("Evening sale").unwrap(),
            stream_key: StreamKey::parse("key-of-the-show").unwrap(),
            source: None,
            canvas: Canvas::default(),
        }
    }

    fn id(name: &str) -> ProductId {
        ProductId::parse(name).unwrap()
    }

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::parse("USD").unwrap()).unwrap()
    }

    fn product(minor: i64) -> Product {
        Product { title: Title::parse("Lipstick").unwrap(), price: usd(minor), stock: None, url: None }
    }

    fn put(name: &str, minor: i64) -> Command {
        Command::PutProduct { id: id(name), product: product(minor) }
    }

    fn countdown(name: &str, minor: i64, seconds: u64, then: Then) -> Command {
        let end = End::In(Duration::from_secs(seconds));
        Command::StartCountdown { product: id(name), price: usd(minor), end, then, label: None }
    }

    /// Carries a command out and says how many events that took.
    fn carry_out(state: &mut State, command: Command, now: Timestamp) -> Result<usize, Refused> {
        let events = state.decide(command, now)?;
        let count = events.len();
        events.into_iter().for_each(|event| state.apply(event));
        Ok(count)
    }

    #[test]
    fn the_revision_grows_with_what_can_be_seen_only() {
        let mut state = State::new(created());
        let mut rev_after = |command| {
            carry_out(&mut state, command, start()).unwrap();
            state.rev
        };
        assert_eq!(rev_after(put("a", 2490)), 2);
        assert_eq!(rev_after(put("a", 2490)), 2);
        assert_eq!(rev_after(Command::ShowCard { product: id("a") }), 3);
        assert_eq!(rev_after(Command::ShowCard { product: id("a") }), 3);
        let stream_key = Some(StreamKey::random());
        assert_eq!(rev_after(Command::Change(Box::new(Changes { stream_key, ..Changes::default() }))), 3);
        assert_eq!(rev_after(Command::Open), 3);
        let change = |changes| Command::Change(Box::new(changes));
        let english = Some(Locale::default());
        assert_eq!(rev_after(change(Changes { locale: english, ..Changes::default() })), 3);
        assert_eq!(rev_after(countdown("a", 990, 60, Then::Revert)), 4);
        assert_eq!(rev_after(Command::HideCard), 5);
        assert_eq!(rev_after(Command::HideCard), 5);
        let vietnamese = Some(Locale::parse("vi").unwrap());
        assert_eq!(rev_after(change(Changes { locale: vietnamese, ..Changes::default() })), 6);
        let theme = Some(ThemeName::parse("flash").unwrap());
        assert_eq!(rev_after(change(Changes { theme: theme.clone(), ..Changes::default() })), 7);
        assert_eq!(rev_after(change(Changes { theme, ..Changes::default() })), 7);
    }

    #[test]
    fn commands_that_cannot_be_are_refused_and_change_nothing() {
        let mut state = State::new(created());
        carry_out(&mut state, put("a", 2490), start()).unwrap();
        carry_out(&mut state, Command::ShowCard { product: id("a") }, start()).unwrap();
        carry_out(&mut state, countdown("a", 990, 60, Then::Revert), start()).unwrap();
        let before = state.clone();
        let mut refuse = |command| carry_out(&mut state, command, after(1)).unwrap_err();
        assert!(matches!(refuse(Command::ShowCard { product: id("b") }), Refused::UnknownProduct { .. }));
        assert!(matches!(refuse(countdown("b", 990, 60, Then::Revert)), Refused::UnknownProduct { .. }));
        assert!(matches!(refuse(countdown("a", 2490, 60, Then::Revert)), Refused::Countdown(_)));
        assert!(matches!(refuse(countdown("a", 990, u64::MAX, Then::Revert)), Refused::Countdown(_)));
        assert!(matches!(refuse(Command::RemoveProduct { id: id("a") }), Refused::OnStage { .. }));
        assert!(matches!(refuse(Command::RemoveProduct { id: id("b") }), Refused::UnknownProduct { .. }));
        assert!(matches!(refuse(put("a", 9990)), Refused::PriceHeld { .. }));
        assert!(matches!(refuse(Command::RemoveImage { id: id("b") }), Refused::UnknownProduct { .. }));
        assert_eq!(state, before);
    }

    #[test]
    fn a_countdowns_end_is_taken_in_before_anything_else() {
        let mut state = State::new(created());
        carry_out(&mut state, put("a", 2490), start()).unwrap();
        carry_out(&mut state, countdown("a", 990, 60, Then::SoldOut), start()).unwrap();
        assert_eq!(carry_out(&mut state, Command::Tick, after(59)).unwrap(), 0);
        let rev = state.rev;
        assert_eq!(carry_out(&mut state, Command::Tick, after(60)).unwrap(), 1);
        assert!(state.stage.expired && state.catalog.get(&id("a")).unwrap().product.sold_out());
        assert_eq!(state.rev, rev);
        // Stock puts it on sale again, and no ended countdown stands in the way.
        carry_out(&mut state, put("a", 1990), after(61)).unwrap();
        let price = state.stage.price(&state.catalog, &id("a"), after(61)).unwrap();
        assert_eq!((price.now, price.sold_out), (usd(1990), false));

        carry_out(&mut state, countdown("a", 990, 60, Then::SoldOut), after(62)).unwrap();
        assert!(matches!(
            state.decide(countdown("a", 990, 60, Then::Revert), after(200)),
            Err(Refused::Countdown(offer::Refused::SoldOut))
        ));
        let events = state.decide(put("a", 5), after(200)).unwrap();
        assert_eq!(events[0], Event::CountdownExpired);
        assert_eq!(events.len(), 2);
    }

    #[test]
    fn the_log_replays_as_old_versions_wrote_it() {
        let log = [
            r#"{"event":"created","rev":1,"epoch":"2026-01-01T00:00:00Z","rtp_base":7,"title":"Evening sale","stream_key":"key-of-the-show","source":"rtsp://a:b@cam/1","canvas":{"width":1280,"height":720,"fps":30,"fit":"blur"}}"#,
            r#"{"event":"titled","title":"Night sale"}"#,
            r#"{"event":"key_changed","stream_key":"another-key"}"#,
            r#"{"event":"source_changed","source":null}"#,
            r#"{"event":"backup_key_changed","stream_key":"second-key"}"#,
            r#"{"event":"backup_source_changed","source":"rtsp://cam/2"}"#,
            r#"{"event":"locale_changed","locale":"zh-Hant-HK"}"#,
            r#"{"event":"theme_changed","theme":"flash"}"#,
            r#"{"event":"opened"}"#,
            r#"{"event":"product_put","id":"a","product":{"title":"Lipstick","price":{"minor":2490,"currency":"USD"},"stock":3,"url":"https://shop.example/a"}}"#,
            r#"{"event":"image_set","id":"a","image":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#,
            r#"{"event":"card_shown","product":"a"}"#,
            r#"{"event":"countdown_started","countdown":{"product":"a","price":{"minor":990,"currency":"USD"},"ends":"2026-01-01T00:01:00Z","then":"sold_out","label":"Flash"}}"#,
            r#"{"event":"countdown_expired"}"#,
        ];
        let mut replayed = None;
        for line in log {
            let event: Event = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&event).unwrap(), line);
            replayed = Some(Replayed::apply(replayed, event).unwrap());
        }
        let Some(Replayed::Open(state)) = replayed else { panic!("the show is open") };
        assert_eq!((state.rev, state.title.as_str(), state.opened), (8, "Night sale", true));
        assert!(state.catalog.get(&id("a")).unwrap().product.sold_out());
        assert_eq!((state.role_of("another-key"), state.role_of("second-key")), (Some(Role::Main), Some(Role::Backup)));
        assert_eq!(state.role_of("key-of-the-show"), None);
        for line in [
            r#"{"event":"countdown_stopped"}"#,
            r#"{"event":"card_hidden"}"#,
            r#"{"event":"image_removed","id":"a"}"#,
            r#"{"event":"product_removed","id":"a"}"#,
            r#"{"event":"deleted"}"#,
        ] {
            let event: Event = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&event).unwrap(), line);
        }
    }

    #[test]
    fn a_show_made_again_starts_anew_above_its_old_revision() {
        let open = Replayed::apply(None, Event::Created(created())).unwrap();
        let gone = Replayed::apply(Some(open), Event::Deleted).unwrap();
        assert_eq!(gone, Replayed::Deleted { rev: 1 });
        assert!(Replayed::apply(Some(gone.clone()), Event::CardHidden).is_err());
        assert!(Replayed::apply(None, Event::Deleted).is_err());
        let again = Replayed::apply(Some(gone), Event::Created(Created { rev: 2, ..created() })).unwrap();
        assert!(matches!(again, Replayed::Open(state) if state.rev == 2));
    }

    fn commands() -> impl Strategy<Value = (Command, u64)> {
        let name = prop_oneof![Just("a"), Just("b"), Just("c")];
        let then = prop_oneof![Just(Then::Revert), Just(Then::SoldOut)];
        let command =
            (0..12u8, name, 1..3000i64, 0..90u64, then).prop_map(|(kind, name, minor, seconds, then)| match kind {
                0..=2 => put(name, minor),
                3 => Command::RemoveProduct { id: id(name) },
                4 => Command::SetImage { id: id(name), image: ImageHash::of(&minor.to_le_bytes()) },
                5 => Command::RemoveImage { id: id(name) },
                6 => Command::ShowCard { product: id(name) },
                7 => Command::HideCard,
                8 | 9 => countdown(name, minor, seconds, then),
                10 => Command::StopCountdown,
                _ => Command::Tick,
            });
        (command, 0..40u64)
    }

    proptest! {
        #[test]
        fn replay_gives_the_state_that_was_answered_from(steps in prop::collection::vec(commands(), 0..60)) {
            let mut state = State::new(created());
            let mut log = vec![serde_json::to_string(&Event::Created(created())).unwrap()];
            let mut now = start();
            for (command, passed) in steps {
                now += SignedDuration::from_secs(passed as i64);
                let before = state.clone();
                match state.decide(command, now) {
                    Err(_) => prop_assert_eq!(&state, &before),
                    Ok(events) => {
                        for event in events {
                            log.push(serde_json::to_string(&event).unwrap());
                            state.apply(event);
                        }
                    }
                }
                prop_assert!(state.rev >= before.rev);
                // What is on the stage exists, and what holds is a lower price than the regular one.
                let staged = state.stage.card.iter().chain(state.stage.countdown.iter().map(|countdown| &countdown.product));
                for id in staged {
                    let price = state.stage.price(&state.catalog, id, now);
                    prop_assert!(price.is_some_and(|price| price.regular.is_none_or(|regular| price.now.minor() < regular.minor())));
                }
            }
            let mut replayed = None;
            for line in log {
                replayed = Some(Replayed::apply(replayed, serde_json::from_str(&line).unwrap()).unwrap());
            }
            prop_assert_eq!(replayed, Some(Replayed::Open(Box::new(state))));
        }
    }
}
