//! A server that is killed comes back as it was: same show, same stage, the countdown as far along as if nothing had been.

use std::time::Duration;

use reqwest::StatusCode;

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::stage_in_the_picture::photo;
use crate::support::clip::Clip;
use crate::support::digits;
use crate::support::eye::Area;
use crate::support::hawker::Hawker;
use crate::support::patience::eventually;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_comes_back_with_its_stage_and_its_running_countdown() {
    let _turn = Turn::take().await;
    let mut hawker = Hawker::start_still().await;
    let clip = Clip { moving: false, ..Clip::obs() };
    let api = hawker.api();
    api.product("lipstick", "Velvet lipstick", 2490).await;
    api.photo("lipstick", "image/png", photo()).await;
    api.card("lipstick").await;
    let change = api.countdown("lipstick", 990, 120.0, "sold_out").await;
    let before = api.show().await;
    let time_before = api.health().await["media_time"].as_i64().expect("health tells the media time");

    hawker.crash();
    let down = std::time::Instant::now();
    hawker.start_again().await;
    println!("back after {:?}", down.elapsed());
    let api = hawker.api();
    let after = api.show().await;
    assert_eq!(after["stage"], before["stage"], "the stage is what it was");
    assert_eq!((&after["title"], &after["rev"]), (&before["title"], &before["rev"]));
    let time_after = api.health().await["media_time"].as_i64().expect("health tells the media time");
    assert!(time_after > time_before, "media time runs on from {time_before}: {time_after}");
    let (status, _) = api.send(reqwest::Method::GET, "/s/demo/products/lipstick/image", "", Vec::new()).await;
    assert!(status == StatusCode::OK || status == StatusCode::NOT_FOUND, "{status}");

    // The old timestamps still name the countdown's end, in the picture too.
    let _publisher = hawker.publish(&clip);
    let viewer = Viewer::join(&hawker.whep()).await;
    viewer.numbered_frame(ON_AIR).await;
    let hits = eventually("the picture is announced", Duration::from_secs(5), async || {
        let newest: serde_json::Value = serde_json::from_str(viewer.messages().last()?).ok()?;
        Some(newest["hits"].clone())
    })
    .await;
    let hit = hits.as_array().and_then(|hits| hits.iter().find(|hit| hit["id"] == "countdown")).expect("a countdown");
    let panel = Area::announced(hit, clip.width, clip.height);
    let line = eventually("digits that change", Duration::from_secs(5), async || {
        // Of the seller's picture: before it came, the panel stood on another ground.
        let frames = viewer.frames().into_iter().filter(|frame| frame.number().is_some());
        let frames: Vec<_> = frames.map(|frame| frame.crop(panel)).collect();
        digits::changing_line(&frames)
    })
    .await;
    let frame = viewer.numbered_frame(ON_AIR).await;
    let read = digits::read(&frame.crop(panel).crop(line));
    assert_eq!(read, digits::expected(change.left_at(frame.rtp)), "{:?}", frame.save("restart"));

    // And an orderly end is an end.
    assert!(hawker.terminate().await.success(), "SIGTERM ends it in good order");
}
