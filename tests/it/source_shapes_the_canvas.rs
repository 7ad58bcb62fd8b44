//! A source of any shape comes onto the canvas as the seller chose: whole before its own blur, cut, or the canvas follows it.
//! Viewers negotiate nothing anew.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::support::clip::Clip;
use crate::support::eye::Frame;
use crate::support::hawker::{Hawker, SHOW};
use crate::support::patience::eventually;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

/// A telephone held upright.
fn upright() -> Clip {
    Clip { width: 720, height: 1280, seconds: 10, ..Clip::obs() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upright_source_lies_before_its_own_blur_or_fills_the_canvas() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    let _publisher = hawker.publish(&upright());
    let viewer = Viewer::join(&hawker.whep()).await;
    eventually("the seller's picture", ON_AIR, async || (hawker.api().health().await["on_air"] == true).then_some(()))
        .await;
    // 405 pixels of the width are the picture; beside it are its own colours, without its edges.
    let side = |frame: &Frame| {
        let column = |x: usize| (0..frame.height).map(move |y| frame.luma[y * frame.width + x]);
        let steps = column(200).zip(column(200).skip(1)).map(|(a, b)| u32::from(a.abs_diff(b)));
        (column(200).map(u32::from).sum::<u32>() / 720, steps.max().unwrap_or(0))
    };
    let blurred = |frame: &Frame| matches!(side(frame), (40..=110, 0..=12));
    let frame = viewer.frame("blurred bars", Duration::from_secs(10), blurred).await;
    assert_eq!((frame.width, frame.height), (1280, 720));

    let path = format!("/api/v1/shows/{SHOW}");
    hawker.api().must(Method::PATCH, &path, Some(json!({ "fit": "bars" }))).await;
    viewer.frame("black bars", Duration::from_secs(10), |frame| matches!(side(frame), (14..=18, 0..=3))).await;
    hawker.api().must(Method::PATCH, &path, Some(json!({ "fit": "fill" }))).await;
    viewer.frame("no bars", Duration::from_secs(10), |frame| side(frame).1 > 12).await;
    assert_eq!(hawker.api().show().await["canvas"]["fit"], "fill");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canvas_that_follows_turns_upright_with_its_overlay() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start_with("canvas = { width = 1280, height = 720, fit = \"follow\" }").await;
    let api = hawker.api();
    api.product("lipstick", "Velvet lipstick", 2490).await;
    api.card("lipstick").await;
    let mut publisher = hawker.publish(&Clip::obs());
    let viewer = Viewer::join(&hawker.whep()).await;
    let frame = viewer.numbered_frame(ON_AIR).await;
    assert_eq!((frame.width, frame.height), (1280, 720));
    publisher.kill();

    let _publisher = hawker.publish(&upright());
    let turned = |frame: &Frame| frame.width == 720 && frame.number().is_some();
    let frame = viewer.frame("an upright picture", ON_AIR, turned).await;
    assert_eq!(frame.height, 1280);
    let card = frame.added_to(&upright()).expect("the card is in the picture");
    let hit = eventually("the card is announced where it lies", Duration::from_secs(5), async || {
        let newest: Value = serde_json::from_str(viewer.messages().last()?).ok()?;
        newest["hits"].as_array()?.iter().find(|hit| hit["id"] == "card").cloned()
    })
    .await;
    let (left, top) = (hit["x"].as_f64().unwrap() * 720.0, hit["y"].as_f64().unwrap() * 1280.0);
    assert!((left - card.x as f64).abs() < 40.0 && (top - card.y as f64).abs() < 40.0, "{hit:#} and {card:?}");
    assert_eq!(api.metric("deliver_joins_total").await, Some(1.0), "it is the same viewer");
    assert_eq!(api.health().await["output"]["width"], 720);
}
