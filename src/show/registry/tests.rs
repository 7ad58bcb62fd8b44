//! Shows as a seller has them: made, changed, found by their key, back after a restart.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::commerce::catalog::{Product, ProductId};
use crate::commerce::countdown::Then;
use crate::commerce::money::{Currency, Money};
use crate::ingest::Protocol;
use crate::media::{ManualClock, Resolution};
use crate::overlay::{Ground, PainterConfig, Scene};
use crate::show::rehearsal::{open, open_configured, open_painted, stages};
use crate::show::stage::{Put, When};
use crate::show::{Canvas, Change, Layer};

fn demo() -> ShowId {
    ShowId::parse("demo").unwrap()
}

fn lipstick() -> ProductId {
    ProductId::parse("lipstick").unwrap()
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").unwrap()).unwrap()
}

fn put_product() -> Command {
    let product =
        Product { title: Title::parse("Lipstick").unwrap(), price: usd(2490), stock: None, sold: None, url: None };
    Command::PutProduct { id: lipstick(), product }
}

fn show_card() -> Command {
    stage([Change::card(lipstick())])
}

fn stage<const N: usize>(changes: [Change; N]) -> Command {
    Command::Stage { changes: changes.into() }
}

fn hide_card() -> Command {
    stage([Change::Delete(Layer::Card)])
}

fn countdown(seconds: u64, then: Then) -> Command {
    let end = When::In(Duration::from_secs(seconds));
    let value = Put::Countdown { product: lipstick(), price: usd(990), end, then, label: None };
    stage([Change::Put { value, lasts: None }])
}

async fn make(shows: &Shows) -> Handle {
    shows.put(demo(), Wanted::default()).await.unwrap().show
}

fn publisher(app: &str, key: &str) -> Publisher {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    Publisher { peer, protocol: Protocol::Rtmp, app: app.to_owned(), key: key.to_owned() }
}

#[tokio::test]
async fn a_change_of_the_stage_is_answered_with_its_first_frame() {
    let folder = tempfile::tempdir().unwrap();
    let shows = open(folder.path(), &ManualClock::new()).await;
    let show = make(&shows).await;
    assert!(show.run(put_product()).await.unwrap().on_picture.is_none());
    let done = show.run(show_card()).await.unwrap();
    let on_picture = done.on_picture.unwrap();
    let (from, scene) = stages(&show).scene(done.state.rev).await;
    assert_eq!((on_picture.rev, on_picture.at, on_picture.seen), (scene.rev(), from, true));
    let hits = scene.hits(from);
    assert_eq!((hits.len(), hits[0].tag.as_str()), (1, "lipstick"));
    // Asked for again, it is on the picture already.
    assert_eq!(show.run(show_card()).await.unwrap().on_picture, Some(on_picture));
    shows.shutdown().await;
}

#[tokio::test]
async fn digits_and_price_turn_at_the_same_media_time() {
    let folder = tempfile::tempdir().unwrap();
    let shows = open(folder.path(), &ManualClock::new()).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    show.run(show_card()).await.unwrap();
    let done = show.run(countdown(60, Then::SoldOut)).await.unwrap();
    let ends = show.media_time(done.state.stage.countdown.as_ref().unwrap().ends);
    let (_, scene) = stages(&show).scene(done.state.rev).await;
    let tick = Duration::from_nanos(11_112);
    assert_eq!(scene.clock_text("countdown", ends - tick).as_deref(), Some("0:00.1"));
    assert_eq!(scene.clock_text("countdown", ends).as_deref(), Some("0:00.0"));
    assert_eq!(scene.next_change(ends - tick), Some(ends));
    shows.shutdown().await;
}

#[tokio::test]
async fn a_restart_brings_everything_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let shows = open(folder.path(), &clock).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    show.run(show_card()).await.unwrap();
    let done = show.run(countdown(60, Then::SoldOut)).await.unwrap();
    let ends = show.media_time(done.state.stage.countdown.as_ref().unwrap().ends);
    shows.shutdown().await;
    assert!(stages(&show).stopped.load(Ordering::Relaxed));
    assert!(matches!(show.run(show_card()).await, Err(Error::Stopping)));
    drop((shows, show));

    clock.advance(Duration::from_secs(20));
    let shows = open(folder.path(), &clock).await;
    let show = shows.get(&demo()).unwrap();
    assert_eq!(show.state(), done.state);
    // The countdown runs on to its old end, on the same media time.
    let (_, scene) = stages(&show).scene(done.state.rev).await;
    assert_eq!(show.media_time(done.state.stage.countdown.as_ref().unwrap().ends), ends);
    assert_eq!(scene.clock_text("countdown", ends - Duration::from_secs(40)).as_deref(), Some("0:40.0"));
    shows.shutdown().await;
    drop((shows, show));

    // One that ended while the server was down shows that it ended.
    clock.advance(Duration::from_secs(600));
    let shows = open(folder.path(), &clock).await;
    let show = shows.get(&demo()).unwrap();
    let (from, scene) = stages(&show).scene(done.state.rev).await;
    assert_eq!(scene.clock_text("countdown", from).as_deref(), Some("0:00.0"));
    let state = show.state();
    assert!(state.stage.expired && state.catalog.get(&lipstick()).unwrap().product.sold_out());
    assert_eq!(state.rev, done.state.rev);
    shows.shutdown().await;
}

#[tokio::test]
async fn the_end_of_a_countdown_comes_into_the_state_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let shows = open(folder.path(), &clock).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    let done = show.run(countdown(1, Then::SoldOut)).await.unwrap();
    // The owner sleeps until the end by its clock, which this test has moved there already when it wakes up.
    clock.advance(Duration::from_secs(1));
    let mut state = show.inner.state.clone();
    let expired = state.wait_for(|state| state.stage.expired);
    tokio::time::timeout(Duration::from_secs(5), expired).await.unwrap().unwrap();
    assert_eq!(show.state().rev, done.state.rev);
    shows.shutdown().await;
}

#[tokio::test]
async fn a_change_that_is_not_seen_is_answered_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let shows = open(folder.path(), &ManualClock::new()).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    stages(&show).holds_back.store(true, Ordering::Relaxed);
    let asked = tokio::spawn({
        let show = show.clone();
        async move { show.run(show_card()).await }
    });
    let (from, scene) = stages(&show).scene(3).await;
    tokio::time::pause();
    let on_picture = asked.await.unwrap().unwrap().on_picture.unwrap();
    assert_eq!((on_picture.rev, on_picture.at, on_picture.seen), (scene.rev(), from, false));
    tokio::time::resume();
    shows.shutdown().await;
}

#[tokio::test]
async fn changes_at_once_are_all_answered_with_a_frame_that_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let shows = open(folder.path(), &ManualClock::new()).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    let commands = (0..40).map(|n| if n % 2 == 0 { show_card() } else { hide_card() });
    let asked: Vec<_> = commands
        .map(|command| {
            let show = show.clone();
            tokio::spawn(async move { show.run(command).await })
        })
        .collect();
    for (n, asked) in asked.into_iter().enumerate() {
        let on_picture = asked.await.unwrap().unwrap().on_picture.unwrap();
        assert!(on_picture.seen && on_picture.rev >= 3 + n as u64, "{on_picture:?}");
    }
    assert_eq!(show.state().rev, 42);
    shows.shutdown().await;
}

#[tokio::test]
async fn what_the_log_does_not_take_does_not_happen() {
    let folder = tempfile::tempdir().unwrap();
    let shows = open(folder.path(), &ManualClock::new()).await;
    let show = make(&shows).await;
    shows.store().close().await;
    let before = show.state();
    assert!(matches!(show.run(put_product()).await, Err(Error::Store(_))));
    assert_eq!(show.state(), before);
    shows.shutdown().await;
}

#[tokio::test]
async fn publishers_are_let_in_by_the_key_of_their_show() {
    let folder = tempfile::tempdir().unwrap();
    let shows = open(folder.path(), &ManualClock::new()).await;
    let show = make(&shows).await;
    let other = shows.put(ShowId::parse("other").unwrap(), Wanted::default()).await.unwrap().show;
    let key = show.state().stream_key.reveal().to_owned();
    assert!(shows.admit(&publisher("live", &key)).await.is_ok());
    assert_eq!(stages(&show).published.load(Ordering::Relaxed), 1);
    assert_eq!(stages(&other).published.load(Ordering::Relaxed), 0);
    for (app, key) in [("live", "wrong"), ("live", ""), ("other", key.as_str()), ("live", &key[1..])] {
        assert!(matches!(shows.admit(&publisher(app, key)).await, Err(Refused::UnknownKey)));
    }
    // A new key shuts the old one out, and its publisher.
    let changes = Changes { stream_key: Some(StreamKey::random()), ..Changes::default() };
    shows.change(&demo(), changes).await.unwrap();
    assert!(matches!(shows.admit(&publisher("live", &key)).await, Err(Refused::UnknownKey)));
    assert_eq!(stages(&show).ended.load(Ordering::Relaxed), 1);
    // One key leads to one show.
    let taken = Changes { stream_key: Some(other.state().stream_key.clone()), ..Changes::default() };
    assert!(matches!(shows.change(&demo(), taken).await, Err(Error::KeyTaken)));
    shows.shutdown().await;
}

#[tokio::test]
async fn a_deleted_show_is_gone_for_good_and_may_be_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let shows = open(folder.path(), &clock).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    shows.delete(&demo()).await.unwrap();
    assert!(stages(&show).stopped.load(Ordering::Relaxed));
    assert!(matches!(shows.delete(&demo()).await, Err(Error::Unknown { .. })));
    let key = show.state().stream_key.reveal().to_owned();
    assert!(shows.admit(&publisher("live", &key)).await.is_err());
    shows.shutdown().await;
    drop((shows, show));

    let shows = open(folder.path(), &clock).await;
    assert!(shows.list().is_empty());
    let show = make(&shows).await;
    assert_eq!((show.state().rev, show.state().catalog.len()), (3, 0));
    shows.shutdown().await;
}

#[tokio::test]
async fn the_configuration_makes_shows_and_wins_over_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let wanted = |title: &str, key: &str| Wanted {
        title: Some(Title::parse(title).unwrap()),
        stream_key: Some(StreamKey::parse(key).unwrap()),
        ..Wanted::default()
    };
    let shows = open_configured(folder.path(), &clock, vec![(demo(), wanted("One", "first-key"))]).await.unwrap();
    shows.get(&demo()).unwrap().run(put_product()).await.unwrap();
    shows.shutdown().await;
    drop(shows);

    let shows = open_configured(folder.path(), &clock, vec![(demo(), wanted("Two", "second-key"))]).await.unwrap();
    let state = shows.get(&demo()).unwrap().state();
    assert_eq!((state.title.as_str(), state.catalog.len()), ("Two", 1));
    assert!(state.stream_key.is("second-key"));
    let small = WantedCanvas::new(Canvas::new(640, 360, 30).unwrap(), None);
    let other_canvas = Wanted { canvas: Some(small), ..Wanted::default() };
    assert!(matches!(shows.put(demo(), other_canvas.clone()).await, Err(Error::CanvasFixed { .. })));
    shows.shutdown().await;
    drop(shows);

    let again = other_canvas.clone();
    let shows = open_configured(folder.path(), &clock, vec![(demo(), other_canvas)]).await.unwrap();
    assert_eq!(
        shows.get(&demo()).unwrap().state().canvas.resolution(),
        Resolution::new(640, 360),
        "a restart takes it"
    );
    let (locale, theme) = (Locale::parse("ja").unwrap(), ThemeName::parse("minimal").unwrap());
    let (fit, locale, theme) = (Some(Fit::Fill), Some(locale), Some(theme));
    let fill = Changes { fit, locale, theme, ..Changes::default() };
    shows.change(&demo(), fill).await.unwrap();
    shows.shutdown().await;
    drop(shows);
    let shows = open_configured(folder.path(), &clock, vec![(demo(), again)]).await.unwrap();
    let state = shows.get(&demo()).unwrap().state();
    assert_eq!(state.canvas.fit(), Fit::Fill, "a configuration that says nothing of it");
    assert_eq!((state.locale.to_string().as_str(), state.theme.as_str()), ("ja", "minimal"));
    shows.shutdown().await;
}

#[tokio::test]
async fn the_first_publisher_takes_the_welcome_away_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let shows = open(folder.path(), &clock).await;
    let show = make(&shows).await;
    let rehearsal = stages(&show);
    let (_, welcome) = rehearsal.scene(1).await;
    assert!(welcome.weight() > 100_000, "a welcome over the whole canvas");
    assert!(welcome.frame(MediaTime::ZERO, Ground::Live).is_empty(), "and not over a picture that moves");
    rehearsal.go_on_air(true);
    let mut state = show.inner.state.clone();
    tokio::time::timeout(Duration::from_secs(5), state.wait_for(|state| state.opened)).await.unwrap().unwrap();
    // What takes its place is the note over the blurred picture, for when it stands still.
    let note = async {
        while rehearsal.armed.lock().unwrap().last().is_none_or(|(_, scene)| scene.weight() > welcome.weight() / 2) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), note).await.unwrap();
    assert_eq!(show.state().rev, 1);
    shows.shutdown().await;
}

#[tokio::test]
async fn a_changed_theme_is_on_the_picture_without_a_new_revision() {
    let (folder, themes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let theme = themes.path().join("boutique");
    std::fs::create_dir(&theme).unwrap();
    std::fs::write(theme.join("theme.json"), r#"{"title": "Mine", "extends": "boutique"}"#).unwrap();
    let config = PainterConfig { themes: Some(themes.path().to_owned()), ..PainterConfig::default() };
    let painter = Painter::new(config).unwrap();
    let shows = open_painted(folder.path(), &ManualClock::new(), Vec::new(), painter).await.unwrap();
    let show = make(&shows).await;
    let rehearsal = stages(&show);
    let (_, before) = rehearsal.scene(1).await;
    std::fs::write(
        theme.join("starting_soon.html"),
        "<p>{{ title }}</p><style>p { color: #fff; background: #000 }</style>",
    )
    .unwrap();
    shows.painter().look();
    assert!(shows.painter().problems().is_empty(), "{:?}", shows.painter().problems());
    let repainted = async {
        while rehearsal.armed.lock().unwrap().last().is_none_or(|(_, scene)| scene.weight() >= before.weight() / 2) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), repainted).await.unwrap();
    assert_eq!((rehearsal.armed.lock().unwrap().last().unwrap().1.rev(), show.state().rev), (1, 1));
    shows.shutdown().await;
}

#[tokio::test]
async fn a_wall_clock_set_back_while_down_keeps_media_time_going_on() {
    let folder = tempfile::tempdir().unwrap();
    let ahead = ManualClock::new();
    ahead.advance(Duration::from_secs(3600));
    let shows = open(folder.path(), &ahead).await;
    let show = make(&shows).await;
    ahead.advance(Duration::from_secs(100));
    show.run(put_product()).await.unwrap();
    let reached = show.media_time(show.wall());
    shows.shutdown().await;
    drop((shows, show));

    let shows = open(folder.path(), &ManualClock::new()).await;
    let show = shows.get(&demo()).unwrap();
    assert!(show.health().media_time >= reached.ticks());
    assert_eq!(reached.ticks(), 9_000_000);
    let day = show.wall() + SignedDuration::from_hours(24);
    assert_eq!(show.media_time(day).since(show.media_time(show.wall())), Duration::from_secs(86_400));
    shows.shutdown().await;
}

/// A cue so long from now, by the show's clock.
fn cue(show: &Handle, after: Duration, changes: impl IntoIterator<Item = Change>) -> Command {
    let at = show.wall() + SignedDuration::try_from(after).unwrap();
    Command::Schedule { at, label: None, changes: changes.into_iter().collect() }
}

/// The show's state once it is as wanted.
async fn state_where(show: &Handle, wanted: impl FnMut(&Arc<State>) -> bool) -> Arc<State> {
    let mut state = show.inner.state.clone();
    let found = tokio::time::timeout(Duration::from_secs(5), state.wait_for(wanted)).await;
    found.expect("the state is as wanted within 5 s").unwrap().clone()
}

/// The newest scene that was armed, once it is as wanted.
async fn armed_where(show: &Handle, wanted: impl Fn(MediaTime, &Scene) -> bool) -> (MediaTime, Arc<Scene>) {
    let rehearsal = stages(show);
    for _ in 0..5_000 {
        let newest = rehearsal.armed.lock().unwrap().last().cloned();
        if let Some((from, scene)) = newest.filter(|(from, scene)| wanted(*from, scene)) {
            return (from, scene);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("no such scene was armed within 5 s");
}

fn layers_at(scene: &Scene, at: MediaTime) -> Vec<String> {
    scene.hits(at).into_iter().map(|hit| hit.id).collect()
}

#[tokio::test]
async fn a_cue_is_armed_for_its_moment_and_committed_when_it_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let shows = open(folder.path(), &clock).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    let scheduled = show.run(cue(&show, Duration::from_secs(1), [Change::card(lipstick())])).await.unwrap();
    assert_eq!((scheduled.rev, scheduled.on_picture), (2, None));
    let moment = show.media_time(scheduled.state.cues.pending()[0].at);
    let (from, scene) = armed_where(&show, |_, scene| scene.rev() == 3).await;
    assert_eq!((from, layers_at(&scene, from)), (moment, vec!["card".to_owned()]));
    assert_eq!((show.state().rev, show.state().stage.card.clone()), (2, None), "its moment is still to come");
    let armed = stages(&show).armed.lock().unwrap().len();
    clock.advance(Duration::from_secs(1));
    let state = state_where(&show, |state| state.stage.card.is_some()).await;
    assert_eq!((state.rev, state.cues.pending().len()), (3, 0));
    assert_eq!(stages(&show).armed.lock().unwrap().len(), armed, "nothing is painted again");
    // The same card again is on the picture already.
    stages(&show).show(3, from);
    let again = show.run(show_card()).await.unwrap().on_picture.unwrap();
    assert_eq!((again.rev, again.at, again.seen), (3, from, true));
    shows.shutdown().await;
}

#[tokio::test]
async fn what_comes_close_behind_a_cue_is_armed_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let shows = open(folder.path(), &ManualClock::new()).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    show.run(cue(&show, Duration::from_millis(2900), [Change::Delete(Layer::Card)])).await.unwrap();
    let both = show.run(cue(&show, Duration::from_secs(1), [Change::card(lipstick())])).await.unwrap();
    let moment = show.media_time(both.state.cues.pending()[1].at);
    let (from, _) = armed_where(&show, |_, scene| scene.rev() == 4).await;
    assert_eq!((from, show.state().rev), (moment, 2));
    shows.shutdown().await;
}

#[tokio::test]
async fn a_change_before_an_armed_cue_holds_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let shows = open(folder.path(), &clock).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    show.run(cue(&show, Duration::from_secs(1), [Change::card(lipstick())])).await.unwrap();
    let (moment, _) = armed_where(&show, |_, scene| scene.rev() == 3).await;
    let done = show.run(countdown(60, Then::Revert)).await.unwrap();
    let shown = done.on_picture.unwrap();
    assert_eq!((done.rev, shown.rev, shown.seen), (3, 3, true));
    assert!(shown.at < moment);
    let (from, scene) = armed_where(&show, |_, scene| scene.rev() == 4).await;
    assert_eq!((from, layers_at(&scene, from).len()), (moment, 2), "the cue on top of the change");
    clock.advance(Duration::from_secs(1));
    assert_eq!(state_where(&show, |state| state.stage.card.is_some()).await.rev, 4);
    shows.shutdown().await;
}

#[tokio::test]
async fn a_cue_that_was_seen_is_taken_in_before_what_comes_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let shows = open(folder.path(), &ManualClock::new()).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    show.run(cue(&show, Duration::from_secs(1), [Change::card(lipstick())])).await.unwrap();
    let (moment, _) = armed_where(&show, |_, scene| scene.rev() == 3).await;
    // Frames are composed a little before their time.
    stages(&show).show(3, moment);
    let done = show.run(hide_card()).await.unwrap();
    assert_eq!((done.rev, done.events.len()), (4, 1));
    shows.shutdown().await;
}

#[tokio::test]
async fn a_cue_taken_back_is_off_the_programme() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let shows = open(folder.path(), &clock).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    let scheduled = show.run(cue(&show, Duration::from_secs(1), [Change::card(lipstick())])).await.unwrap();
    let (moment, _) = armed_where(&show, |_, scene| scene.rev() == 3).await;
    let id = scheduled.state.cues.pending()[0].id;
    assert_eq!(show.run(Command::TakeBack { cue: id }).await.unwrap().rev, 2);
    let (from, _) = armed_where(&show, |_, scene| scene.rev() == 2).await;
    assert!(from < moment, "the scene of now takes its place");
    clock.advance(Duration::from_secs(2));
    assert_eq!(show.run(Command::Tick).await.unwrap().state.stage.card, None);
    shows.shutdown().await;
}

#[tokio::test]
async fn cues_missed_while_the_server_was_down_take_place_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let shows = open(folder.path(), &clock).await;
    let show = make(&shows).await;
    show.run(put_product()).await.unwrap();
    let lower = Put::Countdown {
        product: lipstick(),
        price: usd(990),
        end: When::In(Duration::from_secs(60)),
        then: Then::Revert,
        label: None,
    };
    let lower = Change::Put { value: lower, lasts: None };
    show.run(cue(&show, Duration::from_secs(100), [Change::card(lipstick()), lower])).await.unwrap();
    let later = show.run(cue(&show, Duration::from_secs(900), [Change::Delete(Layer::Card)])).await.unwrap();
    shows.shutdown().await;
    drop((shows, show));

    clock.advance(Duration::from_secs(500));
    let shows = open(folder.path(), &clock).await;
    let show = shows.get(&demo()).unwrap();
    let state = state_where(&show, |state| state.stage.card.is_some()).await;
    assert_eq!(state.stage.countdown.as_ref().unwrap().ends, show.wall() + SignedDuration::from_secs(60));
    assert_eq!(state.cues.pending(), &later.state.cues.pending()[1..]);
    shows.shutdown().await;
}

#[tokio::test]
async fn a_change_for_another_revision_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let shows = open(folder.path(), &ManualClock::new()).await;
    let show = make(&shows).await;
    show.run_expecting(put_product(), Some(1)).await.unwrap();
    let late = show.run_expecting(show_card(), Some(1)).await;
    assert!(matches!(late, Err(Error::Moved { expected: 1, current: 2 })));
    assert_eq!(show.state().stage.card, None);
    assert_eq!(show.run_expecting(show_card(), Some(2)).await.unwrap().rev, 3);
    shows.shutdown().await;
}
