//! A cue's changes come in the frame of its time, all of them in that one, and what changed in between holds with them.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::stage_in_the_picture::photo;
use crate::support::browser::Browser;
use crate::support::clip::Clip;
use crate::support::eye::Frame;
use crate::support::hawker::Hawker;
use crate::support::patience::eventually;
use crate::support::turn::Turn;

/// Ticks of media time in one frame of the canvas.
const FRAME: i64 = 3000;

#[tokio::test(flavor = "multi_thread")]
async fn a_card_comes_and_a_countdown_goes_in_the_frame_of_their_cue() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start_still().await;
    let _publisher = hawker.publish(&Clip { moving: false, ..Clip::obs() });
    let browser = Browser::open().await;
    browser.go(hawker.viewer_page().as_str()).await;
    browser.state("live", ON_AIR).await;
    browser.watch().await;
    let api = hawker.api();
    api.product("lipstick", "Velvet lipstick", 2490).await;
    api.photo("lipstick", "image/png", photo()).await;
    api.product("mug", "Mug", 1990).await;

    // Where both stand, and what their places look like with them and without.
    let bare = browser.frame_where("the seller's picture", ON_AIR, |frame| frame.number().is_some()).await;
    let shown = api.card("lipstick").await;
    let dressed = |frame: &Frame| frame.number().is_some() && shown.holds_at(frame.rtp);
    browser.frame_where("the card", Duration::from_secs(5), dressed).await;
    let card = browser.hit("card", 1280, 720).await;
    let with_old_card = browser.part(card, 1, 1).await.remove(0);
    api.remove("card").await;
    let counting = api.countdown("mug", 990, 120.0, "revert").await;
    let counted = |frame: &Frame| frame.number().is_some() && counting.holds_at(frame.rtp);
    browser.frame_where("the countdown", Duration::from_secs(5), counted).await;
    let panel = browser.hit("countdown", 1280, 720).await;
    let with_panel = browser.part(panel, 1, 1).await.remove(0);
    let (bare_card, bare_panel) = (bare.crop(card), bare.crop(panel));

    let now = api.health().await["media_time"].as_i64().expect("health tells the media time");
    let moment = (now / FRAME + 120) * FRAME;
    let changes = json!([{ "put": "card", "value": { "product": "lipstick" } }, { "delete": "countdown" }]);
    let body = json!({ "at_media": moment, "label": "Second product", "changes": changes });
    let (status, cue) = api.request(Method::POST, "/api/v1/shows/demo/cues", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{cue:#}");
    let at = cue["at_rtp"].as_u64().expect("a cue tells its timestamp") as u32;
    // Half-way between the arming of its scene and its time, the card in it is to be painted anew.
    let meanwhile = async {
        eventually("the cue is a second away", Duration::from_secs(10), async || {
            let now = api.health().await["media_time"].as_i64()?;
            (now > moment - 90_000).then_some(())
        })
        .await;
        api.product("lipstick", "Satin lipstick in another shade", 2490).await;
    };
    let places = [card, panel];
    let (frames, ()) = tokio::join!(browser.parts_until(&places, at.wrapping_add(90_000)), meanwhile);
    let (mut before, mut after) = (0, 0);
    for parts in &frames {
        let [card, panel] = parts.as_slice() else { panic!("two parts of each frame were asked for") };
        let reached = card.rtp.wrapping_sub(at) as i32 >= 0;
        let has_card = card.distance(&with_old_card) < card.distance(&bare_card);
        let has_panel = panel.distance(&with_panel) < panel.distance(&bare_panel);
        let off = card.rtp.wrapping_sub(at) as i32;
        assert_eq!((has_card, has_panel), (reached, !reached), "{off} ticks from the cue: {:?}", card.save("cue-card"));
        *(if reached { &mut after } else { &mut before }) += 1;
    }
    assert!(before >= 5 && after >= 5, "frames on both sides of the cue: {before}, {after}");
    let last = &frames[frames.len() - 1][0];
    assert!(last.distance(&with_old_card) > 0.5, "it has the new title: {:?}", last.save("cue-title"));
    let stage = api.must(Method::GET, "/api/v1/shows/demo/stage", None).await;
    assert_eq!((&stage["card"]["product"], &stage["countdown"]), (&json!("lipstick"), &json!(null)));

    // And back, as it was.
    let undone = api.must(Method::POST, "/api/v1/shows/demo/stage/undo", None).await;
    assert_eq!(undone["undone"]["put"], json!(["card"]));
    let from = undone["rtp"].as_u64().expect("a change tells its first frame") as u32;
    let holds = |frame: &Frame| frame.number().is_some() && frame.rtp.wrapping_sub(from) as i32 >= 0;
    let back = browser.frame_where("the stage as it was", Duration::from_secs(5), holds).await;
    let (card, panel) = (back.crop(card), back.crop(panel));
    assert!(card.distance(&bare_card) < card.distance(&with_old_card), "{:?}", back.save("cue-undone"));
    assert!(panel.distance(&with_panel) < panel.distance(&bare_panel), "{:?}", back.save("cue-undone"));
    browser.close().await;
}
