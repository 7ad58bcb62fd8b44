//! Nothing that happens to a seller's connection throws a viewer out: a cut, a takeover, a backup. One WebRTC session sees it all.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::support::clip::Clip;
use crate::support::eye::Frame;
use crate::support::hawker::{Hawker, SHOW};
use crate::support::patience::eventually;
use crate::support::publisher::Publisher;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_seller_leaves_a_slate_and_comes_back_live() {
    let _turn = Turn::take().await;
    let (hawker, clip) = (Hawker::start().await, Clip::obs());
    let mut publisher = hawker.publish(&clip);
    let viewer = Viewer::join(&hawker.whep()).await;
    let live = viewer.numbered_frame(ON_AIR).await;
    publisher.kill();
    // The strip melts and the picture darkens, but for the note in white.
    let slate = |frame: &Frame| {
        frame.number().is_none() && frame.brightness() < live.brightness() * 0.8 && frame.contrast() > 120
    };
    let stands = viewer.frame("the slate", Duration::from_secs(5), slate).await;
    assert_eq!((stands.width, stands.height), (live.width, live.height));
    assert_eq!(hawker.api().health().await["on_air"], false);
    let from = viewer.numbers().len();
    eventually("the canvas keeps its rate", Duration::from_secs(10), async || {
        (viewer.numbers().len() > from + 60).then_some(())
    })
    .await;
    let heard = viewer.heard();
    eventually("silence is sent", Duration::from_secs(5), async || (viewer.heard() > heard + 50).then_some(())).await;

    let _publisher = hawker.publish(&clip);
    let after = viewer.numbered_frame(ON_AIR).await;
    assert!(ticks(&after, &stands) > 60 * 3000, "media time runs on");
    assert_eq!(after.added_to(&clip), None, "the slate went with the first live picture: {:?}", after.save("back"));
    assert_eq!(hawker.api().metric("deliver_joins_total").await, Some(1.0), "it is the same viewer");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_publisher_with_the_key_takes_over_at_once() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    let mut first = hawker.publish(&Clip::obs());
    let viewer = Viewer::join(&hawker.whep()).await;
    viewer.numbered_frame(ON_AIR).await;
    let since = |health: &Value| health["input"]["seconds"].as_u64();
    eventually("the first one has been on for a while", Duration::from_secs(10), async || {
        since(&hawker.api().health().await).filter(|seconds| *seconds >= 3)
    })
    .await;
    // Another size, rate and number of B-frames: another computer.
    let second = Clip { width: 640, height: 360, frames_per_second: 25, b_frames: 0, seconds: 10, ..Clip::obs() };
    let _second = hawker.publish(&second);
    eventually("the first one is told to go", Duration::from_secs(10), async || first.ended()).await;
    eventually("the second one's picture", ON_AIR, async || {
        (hawker.api().health().await["input"]["video"]["width"] == 640).then_some(())
    })
    .await;
    let frame = viewer.numbered_frame(ON_AIR).await;
    assert_eq!((frame.width, frame.height), (1280, 720), "viewers keep their canvas");
    assert_eq!(hawker.api().metric("deliver_joins_total").await, Some(1.0), "it is the same viewer");
    let gap = viewer.numbers().windows(2).map(|pair| pair[1].0.wrapping_sub(pair[0].0)).max();
    // One slot is 3000 ticks: every one of them was filled or repeated, but for what a loaded machine misses.
    assert!(gap.is_some_and(|gap| gap <= 5 * 3000), "{gap:?} ticks without a frame");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_takes_over_from_a_dead_source_and_gives_back_on_command() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start_with("backup_stream_key = \"the-other-encoder\"").await;
    let role = async |place: &str| hawker.api().health().await[place]["role"].clone();
    let mut main = hawker.publish(&Clip::obs());
    let viewer = Viewer::join(&hawker.whep()).await;
    viewer.numbered_frame(ON_AIR).await;
    let url = format!("{}/the-other-encoder", hawker.rtmp);
    // A source of its own size: which one is on the picture is what its decoder says.
    let small = Clip { width: 640, height: 360, frames_per_second: 25, b_frames: 0, seconds: 10, ..Clip::obs() };
    let _backup = Publisher::push(&url, &small);
    let decoded = async |width: u32| {
        eventually("a source's own pictures", ON_AIR, async || {
            (hawker.api().health().await["input"]["video"]["width"] == width).then_some(())
        })
        .await;
        viewer.numbered_frame(ON_AIR).await;
    };
    eventually("the backup stands by", ON_AIR, async || (role("standby").await == "backup").then_some(())).await;
    assert_eq!(role("input").await, "main");

    main.stall();
    eventually("the backup has the picture", Duration::from_secs(5), async || {
        (role("input").await == "backup").then_some(())
    })
    .await;
    decoded(640).await;
    let path = format!("/api/v1/shows/{SHOW}/input");
    let give_back = async || hawker.api().request(Method::PUT, &path, Some(json!({ "use": "main" }))).await;
    let (status, problem) = give_back().await;
    assert_eq!(status, StatusCode::CONFLICT, "a silent source is not put on the picture: {problem:#}");
    main.resume();
    eventually("the main source sends again, and is put back", ON_AIR, async || {
        give_back().await.0.is_success().then_some(())
    })
    .await;
    assert_eq!(role("input").await, "main");
    decoded(1280).await;

    main.kill();
    eventually("the backup again", Duration::from_secs(5), async || (role("input").await == "backup").then_some(()))
        .await;
    assert_eq!(hawker.api().metric("deliver_joins_total").await, Some(1.0), "it is the same viewer");
}

fn ticks(later: &Frame, earlier: &Frame) -> i32 {
    later.rtp.wrapping_sub(earlier.rtp) as i32
}
