//! The rules of a show: what is refused, what time brings, and that the log replays.

use jiff::SignedDuration;
use proptest::prelude::*;

use std::time::Duration;

use super::*;
use crate::commerce::money::Currency;
use crate::show::stage::{Drop, Put, When};

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
    Product { title: Title::parse("Lipstick").unwrap(), price: usd(minor), stock: None, sold: None, url: None }
}

fn put(name: &str, minor: i64) -> Command {
    Command::PutProduct { id: id(name), product: product(minor) }
}

fn countdown(name: &str, minor: i64, seconds: u64, then: Then) -> Command {
    let end = When::In(Duration::from_secs(seconds));
    stage([put_on(Put::Countdown { product: id(name), price: usd(minor), end, then, label: None })])
}

fn stage<const N: usize>(changes: [Change; N]) -> Command {
    Command::Stage { changes: changes.into() }
}

fn put_on(value: Put) -> Change {
    Change::Put { value, lasts: None }
}

fn card(name: &str) -> Command {
    stage([Change::card(id(name))])
}

fn off(layer: Layer) -> Command {
    stage([Change::Delete(layer)])
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
    assert_eq!(rev_after(card("a")), 3);
    assert_eq!(rev_after(card("a")), 3);
    let stream_key = Some(StreamKey::random());
    assert_eq!(rev_after(Command::Change(Box::new(Changes { stream_key, ..Changes::default() }))), 3);
    assert_eq!(rev_after(Command::Open), 3);
    assert_eq!(rev_after(countdown("a", 990, 60, Then::Revert)), 4);
    assert_eq!(rev_after(off(Layer::Card)), 5);
    assert_eq!(rev_after(off(Layer::Card)), 5);
}

#[test]
fn commands_that_cannot_be_are_refused_and_change_nothing() {
    let mut state = State::new(created());
    carry_out(&mut state, put("a", 2490), start()).unwrap();
    carry_out(&mut state, card("a"), start()).unwrap();
    carry_out(&mut state, countdown("a", 990, 60, Then::Revert), start()).unwrap();
    let before = state.clone();
    let mut refuse = |command| carry_out(&mut state, command, after(1)).unwrap_err();
    assert!(matches!(refuse(card("b")), Refused::UnknownProduct { .. }));
    assert!(matches!(refuse(countdown("b", 990, 60, Then::Revert)), Refused::UnknownProduct { .. }));
    assert!(matches!(refuse(countdown("a", 2490, 60, Then::Revert)), Refused::Offer(_)));
    assert!(matches!(refuse(countdown("a", 990, u64::MAX, Then::Revert)), Refused::Offer(_)));
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
        Err(Refused::Offer(countdown::Refused::SoldOut))
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
    assert_eq!((state.rev, state.title.as_str(), state.opened), (6, "Night sale", true));
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
        (0..20u8, name, 1..3000i64, 0..90u64, then).prop_map(|(kind, name, minor, seconds, then)| match kind {
            0 => stocked(name, minor, seconds as u32),
            1..=2 => put(name, minor),
            3 => Command::RemoveProduct { id: id(name) },
            4 => Command::SetImage { id: id(name), image: ImageHash::of(&minor.to_le_bytes()) },
            5 => Command::RemoveImage { id: id(name) },
            6 => card(name),
            7 => off(Layer::Card),
            8 | 9 => countdown(name, minor, seconds, then),
            10 => off(Layer::Countdown),
            11 => stage([ladder(name, &[(minor, seconds), (minor / 2, seconds + 30)])]),
            12 => stage([panel(Panel::Stock { product: id(name) }), panel(Panel::SoldOut { product: id(name) })]),
            13 => Command::Undo,
            14 => {
                let value = Put::Panel(Panel::Queue { products: vec![id(name)] });
                stage([Change::Put { value, lasts: Some(Duration::from_secs(seconds)) }])
            }
            15 => cue(minor, [Change::card(id(name)), ladder(name, &[(minor, 0)])]),
            16 => cue(minor / 10, [Change::Delete(Layer::Card), banner(name)]),
            17 => Command::Schedule { at: after(minor), label: None, changes: vec![Change::Delete(Layer::Ladder)] },
            18 => Command::RunCue { cue: CueId::parse(&(minor % 5).to_string()).unwrap() },
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
            for id in state.staged() {
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

fn stocked(name: &str, minor: i64, stock: u32) -> Command {
    Command::PutProduct { id: id(name), product: Product { stock: Some(stock), ..product(minor) } }
}

fn ladder(name: &str, steps: &[(i64, u64)]) -> Change {
    let step = |(minor, seconds): &(i64, u64)| Drop { price: usd(*minor), at: When::In(Duration::from_secs(*seconds)) };
    put_on(Put::Ladder { product: id(name), steps: steps.iter().map(step).collect(), label: None })
}

fn panel(panel: Panel) -> Change {
    put_on(Put::Panel(panel))
}

fn banner(text: &str) -> Change {
    panel(Panel::Banner { title: crate::commerce::line::Heading::parse(text).unwrap(), text: None })
}

fn cue<const N: usize>(seconds: i64, changes: [Change; N]) -> Command {
    Command::Schedule { at: after(seconds), label: None, changes: changes.into() }
}

fn state_with(commands: impl IntoIterator<Item = Command>) -> State {
    let mut state = State::new(created());
    for command in commands {
        carry_out(&mut state, command, start()).unwrap();
    }
    state
}

#[test]
fn changes_together_are_one_revision_whatever_their_order() {
    let mut state = state_with([put("a", 2490), put("b", 990), countdown("a", 1990, 60, Then::Revert)]);
    let rev = state.rev;
    // The ladder takes the product over from a countdown that goes in the same breath.
    let changes = [ladder("a", &[(1490, 0), (990, 30)]), Change::card(id("a")), Change::Delete(Layer::Countdown)];
    assert_eq!(carry_out(&mut state, stage(changes), after(1)).unwrap(), 1);
    assert_eq!((state.rev, state.stage.countdown.is_none()), (rev + 1, true));
    let price = |seconds| state.stage.price(&state.catalog, &id("a"), after(seconds)).unwrap().now;
    assert_eq!((price(1), price(30), price(31)), (usd(1490), usd(1490), usd(990)));
    // What changes nothing is no revision.
    assert_eq!(
        carry_out(&mut state, stage([Change::card(id("a")), Change::Delete(Layer::Banner)]), after(2)).unwrap(),
        0
    );
    let twice = stage([banner("One"), Change::Delete(Layer::Banner)]);
    assert!(matches!(state.decide(twice, after(2)), Err(Refused::Twice { layer: Layer::Banner })));
    assert!(matches!(state.decide(stage([]), after(2)), Err(Refused::Changes { seen: 0 })));
}

#[test]
fn a_product_has_a_countdown_or_a_ladder() {
    let mut state = state_with([put("a", 2490), put("b", 2490), stage([ladder("a", &[(1990, 10)])])]);
    let refused = state.decide(countdown("a", 990, 60, Then::Revert), after(1)).unwrap_err();
    assert!(matches!(refused, Refused::PriceTaken { by: Layer::Ladder, .. }), "{refused}");
    assert!(matches!(state.decide(put("a", 9990), after(1)), Err(Refused::PriceHeld { .. })));
    carry_out(&mut state, countdown("b", 990, 60, Then::Revert), after(1)).unwrap();
    let refused = state.decide(stage([ladder("b", &[(1990, 10)])]), after(1)).unwrap_err();
    assert!(matches!(refused, Refused::PriceTaken { by: Layer::Countdown, .. }), "{refused}");
    assert!(matches!(
        state.decide(stage([ladder("a", &[(1990, 10), (1990, 20)])]), after(1)),
        Err(Refused::Offer(countdown::Refused::StepNotLower { number: 2, .. }))
    ));
}

#[test]
fn what_stands_already_is_judged_beside_what_comes() {
    let steps = vec![Drop { price: usd(1990), at: When::At(after(60)) }];
    let ladder = || put_on(Put::Ladder { product: id("a"), steps: steps.clone(), label: None });
    let end = When::At(after(90));
    let countdown =
        || put_on(Put::Countdown { product: id("a"), price: usd(990), end, then: Then::Revert, label: None });
    for (stands, comes) in [(ladder(), countdown()), (countdown(), ladder())] {
        let state = state_with([put("a", 2490), stage([stands.clone()])]);
        for both in [[stands.clone(), comes.clone()], [comes, stands]] {
            let refused = state.decide(stage(both), after(1)).unwrap_err();
            assert!(matches!(refused, Refused::PriceTaken { .. }), "{refused}");
        }
    }
}

#[test]
fn a_countdown_keeps_when_it_began() {
    let end = When::At(after(60));
    let lower = Put::Countdown { product: id("a"), price: usd(990), end, then: Then::Revert, label: None };
    let mut state = state_with([put("a", 2490), stage([put_on(lower.clone())])]);
    let begins = |state: &State| state.stage.countdown.as_ref().unwrap().begins;
    // Put anew for a while, it goes on.
    let again = Change::Put { value: lower, lasts: Some(Duration::from_secs(600)) };
    assert_eq!(carry_out(&mut state, stage([again]), after(20)).unwrap(), 1);
    assert_eq!(begins(&state), Some(start()));
    // An older log says nothing of it.
    let countdown = Countdown { begins: None, ..state.stage.countdown.clone().unwrap() };
    state.apply(Event::CountdownStarted { countdown });
    assert_eq!(begins(&state), None);
}

#[test]
fn what_is_put_for_a_while_leaves_by_itself() {
    let mut state = state_with([put("a", 2490)]);
    let for_a = |seconds, value| Change::Put { value, lasts: Some(Duration::from_secs(seconds)) };
    let card = for_a(10, Put::Card { product: id("a") });
    carry_out(&mut state, stage([card]), start()).unwrap();
    let rev = state.rev;
    assert_eq!(carry_out(&mut state, Command::Tick, after(9)).unwrap(), 0);
    assert_eq!(carry_out(&mut state, Command::Tick, after(10)).unwrap(), 1);
    assert_eq!((state.rev, &state.stage.card), (rev + 1, &None));
    // Not before the price that it shows has ended.
    let end = When::In(Duration::from_secs(60));
    let countdown = Put::Countdown { product: id("a"), price: usd(990), end, then: Then::Revert, label: None };
    let early = state.decide(stage([for_a(60, countdown.clone())]), after(11)).unwrap_err();
    assert!(matches!(early, Refused::Offer(countdown::Refused::LeavesEarly { .. })), "{early}");
    carry_out(&mut state, stage([for_a(61, countdown)]), after(11)).unwrap();
    assert_eq!(carry_out(&mut state, Command::Tick, after(100)).unwrap(), 2);
    assert!(state.stage.countdown.is_none());
    let brief = for_a(0, Put::Panel(Panel::Watermark { text: None }));
    assert!(matches!(state.decide(stage([brief]), after(100)), Err(Refused::Lasts { .. })));
}

#[test]
fn counts_come_from_the_catalog() {
    let mut state = state_with([put("a", 2490), stocked("b", 990, 8)]);
    let stock = |name| panel(Panel::Stock { product: id(name) });
    let sold = |name| panel(Panel::Sold { product: id(name) });
    assert!(matches!(
        state.decide(stage([stock("a")]), start()),
        Err(Refused::Uncounted { counted: Layer::Stock, .. })
    ));
    assert!(matches!(state.decide(stage([sold("b")]), start()), Err(Refused::Uncounted { counted: Layer::Sold, .. })));
    carry_out(&mut state, stage([stock("b")]), start()).unwrap();
    let totals = [12, 3].map(|left| {
        carry_out(&mut state, stocked("b", 990, left), after(1)).unwrap();
        state.stock_total
    });
    assert_eq!(totals, [12, 12], "the highest stock since it was put");
    let again =
        Change::Put { value: Put::Panel(Panel::Stock { product: id("b") }), lasts: Some(Duration::from_secs(9)) };
    carry_out(&mut state, stage([again]), after(1)).unwrap();
    assert_eq!(state.stock_total, 12, "the same bar for a while");
    carry_out(&mut state, off(Layer::Stock), after(1)).unwrap();
    carry_out(&mut state, Command::Undo, after(1)).unwrap();
    assert_eq!(state.stock_total, 12, "it was there before");
    assert!(matches!(
        state.decide(Command::RemoveProduct { id: id("b") }, after(1)),
        Err(Refused::OnStage { layer: Layer::Stock, .. })
    ));
    let queue = |names: &[&str]| panel(Panel::Queue { products: names.iter().map(|name| id(name)).collect() });
    assert!(matches!(state.decide(stage([queue(&[])]), start()), Err(Refused::Queued { seen: 0 })));
    assert!(matches!(state.decide(stage([queue(&["a", "a"])]), start()), Err(Refused::QueuedTwice { .. })));
    assert!(matches!(state.decide(stage([queue(&["a", "c"])]), start()), Err(Refused::UnknownProduct { .. })));
    assert_eq!(state.staged(), [&id("b")]);
}

#[test]
fn cues_take_place_at_their_time_in_order() {
    let mut state = state_with([put("a", 2490)]);
    carry_out(&mut state, cue(20, [Change::Delete(Layer::Banner)]), start()).unwrap();
    carry_out(&mut state, cue(10, [banner("One"), Change::card(id("a"))]), start()).unwrap();
    let rev = state.rev;
    assert_eq!(state.rev, 2, "what waits is not on the picture");
    assert_eq!(state.at(after(15)).rev, rev + 1);
    assert_eq!(carry_out(&mut state, Command::Tick, after(15)).unwrap(), 1);
    assert!(state.panels.contains_key(&Layer::Banner) && state.stage.card.is_some());
    assert_eq!(carry_out(&mut state, Command::Tick, after(30)).unwrap(), 1);
    assert!(state.panels.is_empty() && state.cues.pending().is_empty());
    assert_eq!(state.rev, rev + 2);
    assert!(matches!(state.decide(cue(30, [banner("Two")]), after(30)), Err(Refused::CuePast { .. })));
    assert!(matches!(state.decide(cue(8 * 86_400, [banner("Two")]), after(30)), Err(Refused::CueFar { .. })));
    let taken = Command::TakeBack { cue: CueId::default() };
    assert!(matches!(state.decide(taken, after(30)), Err(Refused::UnknownCue { .. })));
    for n in 0..Cues::MOST as i64 {
        carry_out(&mut state, cue(100 + n, [banner("Two")]), after(30)).unwrap();
    }
    assert!(matches!(state.decide(cue(500, [banner("Two")]), after(30)), Err(Refused::CuesFull)));
}

#[test]
fn a_cue_that_cannot_be_is_refused_at_once_or_dropped_with_its_reason() {
    let mut state = state_with([put("a", 2490)]);
    assert!(matches!(state.decide(cue(10, [Change::card(id("b"))]), start()), Err(Refused::UnknownProduct { .. })));
    // A time of its own that is over when the cue comes.
    let late =
        Put::Countdown { product: id("a"), price: usd(990), end: When::At(after(5)), then: Then::Revert, label: None };
    assert!(matches!(
        state.decide(cue(10, [put_on(late)]), start()),
        Err(Refused::Offer(countdown::Refused::TooSoon { .. }))
    ));
    let end = When::In(Duration::from_secs(60));
    let lower = Put::Countdown { product: id("a"), price: usd(990), end, then: Then::Revert, label: None };
    carry_out(&mut state, cue(10, [put_on(lower)]), start()).unwrap();
    assert!(matches!(state.decide(Command::RemoveProduct { id: id("a") }, start()), Err(Refused::InCue { .. })));
    carry_out(&mut state, put("a", 500), after(1)).unwrap();
    let rev = state.rev;
    carry_out(&mut state, Command::Tick, after(10)).unwrap();
    assert_eq!((state.rev, state.stage.countdown.is_none()), (rev, true));
    let dropped: Vec<_> = state.cues.dropped().collect();
    assert!(dropped.len() == 1 && dropped[0].reason.contains("not below"), "{dropped:?}");
}

#[test]
fn a_cue_counts_from_when_it_takes_place() {
    let end = When::In(Duration::from_secs(60));
    let lower = Put::Countdown { product: id("a"), price: usd(990), end, then: Then::Revert, label: None };
    let waiting = state_with([put("a", 2490), cue(10, [put_on(lower)])]);
    let ends = |state: &State| state.stage.countdown.as_ref().unwrap().ends;
    assert_eq!(ends(&waiting.at(after(12))), after(70), "though it is taken in a little later");
    let mut now = waiting.clone();
    let id = now.cues.pending()[0].id;
    carry_out(&mut now, Command::RunCue { cue: id }, after(3)).unwrap();
    assert_eq!((ends(&now), now.cues.pending().len()), (after(63), 0));
    // Nobody was there at its time.
    let mut missed = waiting;
    carry_out(&mut missed, Command::Wake, after(600)).unwrap();
    assert_eq!(ends(&missed), after(660));
}

#[test]
fn an_undo_takes_back_changes_of_the_stage_and_nothing_else() {
    let mut state = state_with([
        put("a", 2490),
        card("a"),
        stage([banner("One")]),
        stage([banner("Two"), Change::Delete(Layer::Card)]),
    ]);
    carry_out(&mut state, put("a", 1990), after(1)).unwrap();
    let rev = state.rev;
    let undone = state.decide(Command::Undo, after(2)).unwrap();
    let expected = Event::Undone { rev: rev - 1, put: vec![Layer::Banner], deleted: vec![Layer::Card], lost: vec![] };
    assert_eq!(undone, [expected]);
    carry_out(&mut state, Command::Undo, after(2)).unwrap();
    assert_eq!((state.rev, state.stage.card.is_some()), (rev + 1, true));
    assert_eq!(state.panels[&Layer::Banner], {
        let Change::Put { value: Put::Panel(panel), .. } = banner("One") else { unreachable!() };
        panel
    });
    assert_eq!(state.catalog.get(&id("a")).unwrap().product.price, usd(1990), "the shop's price stays");
    carry_out(&mut state, Command::Undo, after(2)).unwrap();
    carry_out(&mut state, Command::Undo, after(2)).unwrap();
    assert!(state.panels.is_empty() && state.stage.card.is_none());
    assert!(matches!(state.decide(Command::Undo, after(2)), Err(Refused::NothingToUndo)));
    for n in 0..30 {
        carry_out(&mut state, stage([banner(&n.to_string())]), after(3)).unwrap();
    }
    let undos = (0..30).take_while(|_| carry_out(&mut state, Command::Undo, after(4)).is_ok()).count();
    assert_eq!(undos, 20);
}

#[test]
fn an_undo_brings_no_ended_price_back() {
    let mut state = state_with([put("a", 2490), countdown("a", 990, 60, Then::Revert), off(Layer::Countdown)]);
    let mut back = state.clone();
    carry_out(&mut back, Command::Undo, after(30)).unwrap();
    assert_eq!(back.stage.countdown.as_ref().unwrap().ends, after(60));
    carry_out(&mut state, Command::Undo, after(60)).unwrap();
    assert_eq!(state.stage.countdown, None);
    // A ladder returns in the middle of its steps.
    let mut state = state_with([put("a", 2490), stage([ladder("a", &[(1990, 10), (990, 50)])]), off(Layer::Ladder)]);
    carry_out(&mut state, Command::Undo, after(30)).unwrap();
    assert_eq!(state.stage.price(&state.catalog, &id("a"), after(30)).unwrap().now, usd(1990));
}

#[test]
fn what_would_be_is_told_without_being_done() {
    let state = state_with([put("a", 2490), cue(10, [banner("One")])]);
    let before = state.clone();
    let with = state.with(&[Change::card(id("a"))], after(20), after(1)).unwrap();
    assert!(with.stage.card.is_some() && with.panels.contains_key(&Layer::Banner));
    assert!(matches!(state.with(&[Change::card(id("b"))], after(20), after(1)), Err(Refused::UnknownProduct { .. })));
    assert_eq!(state, before);
}
