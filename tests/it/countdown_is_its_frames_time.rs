//! A countdown's digits are a function of the frame's own timestamp: while the seller's picture moves, while it stands, and at
//! zero, where digits, card and price turn in one frame.

use std::time::Duration;

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::stage_in_the_picture::photo;
use crate::support::api::Change;
use crate::support::browser::Browser;
use crate::support::clip::Clip;
use crate::support::digits;
use crate::support::eye::{Area, Frame};
use crate::support::hawker::Hawker;
use crate::support::patience::eventually;
use crate::support::publisher::Publisher;
use crate::support::turn::Turn;

#[tokio::test(flavor = "multi_thread")]
async fn digits_match_their_timestamps_with_the_publisher_stalled_too() {
    let _turn = Turn::take().await;
    let (_hawker, publisher, browser, change) = on_air(75.0, "revert").await;
    let panel = browser.hit("countdown", 1280, 720).await;
    let line = line(&browser, panel, &change).await;

    let moving = browser.part(panel, 8, 7).await;
    matches(&moving, line, &change);

    publisher.stall();
    // The last picture repeats; the digits go on over it.
    let stalled = browser.part(panel, 14, 6).await;
    let span = stalled[stalled.len() - 1].rtp.wrapping_sub(stalled[0].rtp);
    assert!(span > 2 * 90_000, "the frames reach well into the stall");
    matches(&stalled, line, &change);
    publisher.resume();
    browser.frame_where("the seller's picture", ON_AIR, |frame| frame.number().is_some()).await;
    matches(&browser.part(panel, 2, 5).await, line, &change);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_turns_digits_and_price_in_one_frame_back_to_the_regular_price() {
    zero_turns_all("revert").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_turns_digits_and_card_in_one_frame_to_sold_out() {
    zero_turns_all("sold_out").await;
}

async fn zero_turns_all(then: &str) {
    let _turn = Turn::take().await;
    let (hawker, _publisher, browser, change) = on_air(12.0, then).await;
    let panel = browser.hit("countdown", 1280, 720).await;
    let card = browser.hit("card", 1280, 720).await;
    let line = line(&browser, panel, &change).await;
    let before = browser.part(card, 1, 1).await.remove(0);
    assert!(change.left_at(before.rtp) > 0, "the countdown is still running");

    // From two seconds before zero to one after it, every frame that Chromium presents.
    eventually("zero is near", Duration::from_secs(15), async || {
        let last = browser.presented().await.last().and_then(|frame| frame.rtp)?;
        (change.left_at(last) < 2 * 90_000).then_some(())
    })
    .await;
    let ends = change.ends_rtp.expect("a countdown tells its end");
    let mut frames = browser.parts_until(&[panel, card], ends.wrapping_add(90_000)).await;
    frames.sort_by_key(|parts| -change.left_at(parts[0].rtp));
    let after = frames[frames.len() - 1][1].clone();
    assert!(change.left_at(after.rtp) < 0, "the frames reach over zero");
    let turned = before.distance(&after);
    assert!(
        turned > 1.0,
        "the card looks different after zero: {:?} {:?}",
        before.save("zero-before"),
        after.save("zero-after")
    );

    let (mut running, mut over) = (0, 0);
    for parts in &frames {
        let [panel, card] = parts.as_slice() else { panic!("two parts of each frame were asked for") };
        let left = change.left_at(panel.rtp);
        let read = digits::read(&panel.crop(line));
        assert_eq!(read, digits::expected(left), "{left} ticks before zero: {:?}", panel.save("zero-digits"));
        let is_over = card.distance(&after) < card.distance(&before);
        assert_eq!(is_over, left <= 0, "{left} ticks before zero the card: {:?}", card.save("zero-card"));
        *(if is_over { &mut over } else { &mut running }) += 1;
    }
    assert!(running >= 5 && over >= 5, "frames on both sides of zero: {running}, {over}");

    // The API and the page's own words follow.
    let live = reqwest::get(hawker.url("/s/demo/live.json")).await.unwrap().json::<serde_json::Value>().await.unwrap();
    let product = &live["products"][0];
    match then {
        "revert" => assert_eq!(product["price"]["minor"], 2490, "{live:#}"),
        _ => assert_eq!(product["sold_out"], true, "{live:#}"),
    }
    browser.close().await;
}

/// A show on air in Chromium, with a card and a countdown of `seconds` on it.
async fn on_air(seconds: f64, then: &str) -> (Hawker, Publisher, Browser, Change) {
    let hawker = Hawker::start_still().await;
    let publisher = hawker.publish(&Clip { moving: false, ..Clip::obs() });
    let browser = Browser::open().await;
    browser.go(hawker.viewer_page().as_str()).await;
    browser.state("live", ON_AIR).await;
    browser.watch().await;
    let api = hawker.api();
    api.product("lipstick", "Velvet lipstick", 2490).await;
    api.photo("lipstick", "image/png", photo()).await;
    api.card("lipstick").await;
    let change = api.countdown("lipstick", 990, seconds, then).await;
    let ends = change.ends_rtp.expect("a countdown tells its end");
    let span = f64::from(ends.wrapping_sub(change.rtp)) / 90_000.0;
    assert!(span <= seconds && span > seconds - 2.0, "it runs for {span} s of {seconds}");
    (hawker, publisher, browser, change)
}

/// The rows of the panel that hold the digits, found by their changing.
async fn line(browser: &Browser, panel: Area, change: &Change) -> Area {
    eventually("digits that change", Duration::from_secs(5), async || {
        let frames: Vec<Frame> = browser.part(panel, 5, 5).await;
        // Not while it is still coming in.
        if !change.holds_at(frames[0].rtp.wrapping_sub(90_000)) {
            return None;
        }
        digits::changing_line(&frames)
    })
    .await
}

fn matches(frames: &[Frame], line: Area, change: &Change) {
    let mut seen = std::collections::BTreeSet::new();
    for panel in frames {
        let read = digits::read(&panel.crop(line));
        let expected = digits::expected(change.left_at(panel.rtp));
        assert_eq!(read, expected, "digits at rtp {}: {:?}", panel.rtp, panel.save("countdown-digits"));
        seen.insert(read);
    }
    assert!(seen.len() >= 2, "different frames show different digits: {seen:?}");
}
