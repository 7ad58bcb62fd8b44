//! A camera is pulled by RTSP; when it dies and comes back, its viewers only notice a pause.

use std::time::Duration;

use crate::support::camera::{Camera, PASSWORD};
use crate::support::clip::Clip;
use crate::support::hawker::Hawker;
use crate::support::patience::eventually;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_may_be_killed_and_restarted_under_its_viewers() {
    let _turn = Turn::take().await;
    let clip = Clip { b_frames: 0, ..Clip::obs() };
    let mut camera = Camera::on(clip).await;
    let hawker = Hawker::start_with(&format!("source = {:?}", camera.url())).await;
    let viewer = Viewer::join(&hawker.whep()).await;
    let before = viewer.numbered_frame(PULLED).await;
    assert_eq!(before.added_to(&clip), None, "the camera's own pixels: {:?}", before.save("camera"));
    eventually("the camera is heard", PULLED, async || viewer.beeps().len().ge(&2).then_some(())).await;

    camera.switch_off();
    eventually("the show notices", Duration::from_secs(10), async || {
        (hawker.api().health().await["on_air"] == false).then_some(())
    })
    .await;
    // Viewers get pictures all the while.
    viewer.frame("a frame without a camera", Duration::from_secs(2), |_| true).await;

    camera.switch_on().await;
    let after = viewer.numbered_frame(PULLED).await;
    assert!(after.rtp.wrapping_sub(before.rtp) < i32::MAX as u32, "media time runs on: {before:?}, {after:?}");
    assert_eq!(hawker.api().metric("deliver_joins_total").await, Some(1.0), "it is the same viewer");

    let told = hawker.api().show().await.to_string() + &hawker.api().health().await.to_string();
    assert!(!told.contains(PASSWORD), "the API tells the camera's password: {told}");
    assert!(!hawker.said().join("\n").contains(PASSWORD), "the log tells the camera's password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_without_sound_is_seen() {
    let _turn = Turn::take().await;
    let camera = Camera::on(Clip { sound: None, b_frames: 0, ..Clip::obs() }).await;
    let hawker = Hawker::start_with(&format!("source = {:?}", camera.url())).await;
    let viewer = Viewer::join(&hawker.whep()).await;
    viewer.numbered_frame(PULLED).await;
    eventually("silence is sent", PULLED, async || (viewer.heard() > 20).then_some(())).await;
}

/// From a camera's start to its picture, backoff included.
const PULLED: Duration = Duration::from_secs(25);
