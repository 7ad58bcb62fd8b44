//! What viewers notice when the publisher changes under them: killed by a TCP reset and back after five seconds, or taken over by
//! a second one with the right key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::machine::{load, spread};
use crate::pusher::{Film, Pusher};
use crate::support::browser::Browser;
use crate::support::clip::Clip;
use crate::support::hawker::{Hawker, STREAM_KEY};
use crate::support::viewer::Viewer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// By a TCP reset; it is back after [`AWAY`].
    Killed,
    TakenOver,
}

const AWAY: Duration = Duration::from_secs(5);
/// On air before each interruption, so that old pictures have numbers that new ones have not.
const SETTLED: u16 = 120;
const NEW: u16 = 60;
/// Watched after the new picture is there.
const AFTER: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn measure(what: Interruption, tries: usize) {
    let server = Hawker::start().await;
    let film = Film::of(&Clip::obs());
    let command = if what == Interruption::Killed { "resume" } else { "takeover" };
    println!("cargo bench --bench measure -- {command} {tries}; load {}", load());
    seen_by_the_test_client(&server, &film, what, tries).await;
    seen_by_chromium(&server, &film, what, tries).await;
}

async fn seen_by_the_test_client(server: &Hawker, film: &Arc<Film>, what: Interruption, tries: usize) {
    let api = server.api();
    let mut pusher = publish(server, film).await;
    let viewer = Viewer::join(&server.whep()).await;
    let joins = api.metric("deliver_joins_total").await;
    let (mut gaps, mut pictures) = (Vec::new(), Vec::new());
    settled(&viewer).await;
    let undisturbed = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let calm = longest_gap(&viewer, undisturbed);
    for _ in 0..tries {
        settled(&viewer).await;
        let cut = Instant::now();
        pusher = interrupt(server, film, what, pusher).await;
        let keyframe = pusher.first_keyframe().await;
        tokio::time::sleep(AFTER).await;
        gaps.push(longest_gap(&viewer, cut));
        let seen = viewer.caught_up().await;
        let new = seen.iter().find(|(arrival, number)| arrival.last > cut && number.is_some_and(|number| number < NEW));
        let (picture, _) = new.expect("the new publisher's picture comes within two seconds of its keyframe");
        pictures.push(picture.last.saturating_duration_since(keyframe).as_secs_f64() * 1e3);
    }
    pusher.close().await;
    println!(
        "longest gap between RTP frames: {} ms (wanted: at most 100); undisturbed {calm:.0} ms",
        spread(&mut gaps)
    );
    println!("from the first keyframe's arrival to its picture: {} ms (wanted: at most 300)", spread(&mut pictures));
    println!(
        "joins before {:?} and after {:?} (wanted: the same); load {}",
        joins.unwrap_or_default(),
        api.metric("deliver_joins_total").await.unwrap_or_default(),
        load()
    );
    viewer.leave().await;
}

async fn seen_by_chromium(server: &Hawker, film: &Arc<Film>, what: Interruption, tries: usize) {
    let mut pusher = publish(server, film).await;
    let browser = Browser::open().await;
    browser.go(server.viewer_page().as_str()).await;
    browser.state("live", PATIENCE).await;
    browser.evaluate(RECORD, Vec::new()).await;
    let joins = server.api().metric("deliver_joins_total").await;
    // Chromium's own start, and one GOP.
    tokio::time::sleep(Duration::from_secs(5)).await;
    recorded(&browser).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let calm = recorded(&browser).await;
    let mut gaps = Vec::new();
    for _ in 0..tries {
        tokio::time::sleep(Duration::from_secs(4)).await;
        recorded(&browser).await;
        pusher = interrupt(server, film, what, pusher).await;
        pusher.first_keyframe().await;
        tokio::time::sleep(AFTER).await;
        gaps.push(recorded(&browser).await);
    }
    pusher.close().await;
    println!(
        "longest gap between frames that Chromium presents: {} ms (wanted: p95 at most 250); undisturbed {calm:.0} ms; {} joins \
         since it came (wanted: 0); load {}",
        spread(&mut gaps),
        server.api().metric("deliver_joins_total").await.unwrap_or_default() - joins.unwrap_or_default(),
        load()
    );
    browser.close().await;
}

async fn publish(server: &Hawker, film: &Arc<Film>) -> Pusher {
    Pusher::publish(&server.rtmp, STREAM_KEY, film).await
}

/// Does it, and gives the publisher that is on air afterwards.
async fn interrupt(server: &Hawker, film: &Arc<Film>, what: Interruption, pusher: Pusher) -> Pusher {
    match what {
        Interruption::Killed => {
            pusher.reset().await;
            tokio::time::sleep(AWAY).await;
            publish(server, film).await
        }
        Interruption::TakenOver => {
            let second = publish(server, film).await;
            // The server has ended the first, which only notices.
            pusher.close().await;
            second
        }
    }
}

async fn settled(viewer: &Viewer) {
    let old = |number: Option<u16>| number.is_some_and(|number| number > SETTLED);
    viewer.frame("four seconds on air", PATIENCE, |frame| old(frame.number())).await;
}

/// Between the first packets of two pictures, in milliseconds, from the last one before `since` on.
fn longest_gap(viewer: &Viewer, since: Instant) -> f64 {
    let arrivals = viewer.arrivals();
    let from = arrivals.partition_point(|arrival| arrival.first < since).saturating_sub(1);
    let gaps = arrivals[from..].windows(2).map(|pair| (pair[1].first - pair[0].first).as_secs_f64() * 1e3);
    gaps.fold(0.0, f64::max)
}

/// The longest time between two presented frames since the last call, in milliseconds; the newest frame is kept for the next.
async fn recorded(browser: &Browser) -> f64 {
    browser.evaluate(LONGEST, Vec::new()).await.as_f64().expect("a number")
}

/// Only notes when frames are presented: reading their pixels would hold the page up.
const RECORD: &str = "
const video = document.querySelector('video');
window.shown = [];
const next = (now, frame) => { window.shown.push(frame.presentationTime); video.requestVideoFrameCallback(next); };
video.requestVideoFrameCallback(next);";

const LONGEST: &str = "
const shown = window.shown.splice(0, Math.max(0, window.shown.length - 1)).concat(window.shown);
let longest = 0;
for (let n = 1; n < shown.length; n++) longest = Math.max(longest, shown[n] - shown[n - 1]);
return longest;";
