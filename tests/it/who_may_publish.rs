//! The key decides who is seen: a wrong one is turned away by name, and of two right ones the newest holds the show.

use std::time::Duration;

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::support::clip::Clip;
use crate::support::hawker::{Hawker, STREAM_KEY};
use crate::support::patience::throughout;
use crate::support::publisher::Publisher;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_by_name() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    for url in [
        format!("{}/wrong-key-2026", hawker.rtmp),
        format!("{}/{STREAM_KEY}x", hawker.rtmp),
        format!("{}x/{STREAM_KEY}", hawker.rtmp),
    ] {
        let mut publisher = Publisher::push(&url, &Clip::obs());
        let (status, said) = publisher.end(Duration::from_secs(10)).await;
        assert!(!status.success(), "{url}: ffmpeg must not get through");
        let said = said.join("\n");
        assert!(!said.contains("Broken pipe"), "{url}: refused before anything is sent: {said}");
    }
    assert_eq!(hawker.api().health().await["on_air"], false);
    let log = hawker.said().join("\n");
    assert!(!log.contains("wrong-key-2026") && !log.contains(STREAM_KEY), "keys stay out of the log: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_publisher_with_the_right_key_wins() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    let (old, new) = (Clip::obs(), Clip { moving: false, ..Clip::obs() });
    let mut first = hawker.publish(&old);
    let viewer = Viewer::join(&hawker.whep()).await;
    viewer.frame("the first publisher", ON_AIR, |frame| shows(frame, &old)).await;

    let mut second = hawker.publish(&new);
    viewer.frame("the second publisher", ON_AIR, |frame| shows(frame, &new)).await;
    first.end(Duration::from_secs(10)).await;
    throughout("the second publisher stays", Duration::from_secs(2), async || second.ended().is_none()).await;
    viewer.frame("the second publisher still", ON_AIR, |frame| shows(frame, &new)).await;
    assert_eq!(hawker.api().metric("deliver_joins_total").await, Some(1.0), "it is the same viewer");
}

fn shows(frame: &crate::support::eye::Frame, clip: &Clip) -> bool {
    // The first frames of both clips are alike.
    frame.number().is_some_and(|number| number % 40 > 5) && frame.added_to(clip).is_none()
}
