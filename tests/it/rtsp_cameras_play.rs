//! Whatever a camera sends over RTSP plays, or the seller is told what to set at it.

use std::time::Duration;

use crate::support::camera::{Camera, Coding, Transport};
use crate::support::clip::Clip;
use crate::support::hawker::Hawker;
use crate::support::patience::eventually;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

#[tokio::test(flavor = "multi_thread")]
async fn h265_with_g711_sound_plays() {
    let _turn = Turn::take().await;
    let camera = Camera::on_as(small(), Coding::H265AndG711, Transport::AsAsked).await;
    let hawker = pulling(&camera.url()).await;
    let viewer = Viewer::join(&hawker.whep()).await;
    moves_and_sounds(&viewer).await;
    let input = hawker.api().health().await["input"].clone();
    assert_eq!(input["video"]["codec"], "H.265", "{input:#}");
    assert!(input["audio"]["codec"].as_str().is_some_and(|codec| codec.starts_with("G.711")), "{input:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_sends_by_udp_only_plays() {
    let _turn = Turn::take().await;
    let camera = Camera::on_as(small(), Coding::OfTheClip, Transport::UdpOnly).await;
    let hawker = pulling(&camera.url()).await;
    let viewer = Viewer::join(&hawker.whep()).await;
    moves_and_sounds(&viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_of_another_codec_is_heard_and_the_seller_told_what_to_set() {
    let _turn = Turn::take().await;
    let camera = Camera::on_as(small(), Coding::MjpegAndG711, Transport::AsAsked).await;
    let hawker = pulling(&camera.url()).await;
    let viewer = Viewer::join(&hawker.whep()).await;
    hears(&viewer).await;
    let health = hawker.api().health().await;
    let complaint = health["input"]["complaint"].as_str().unwrap_or_default();
    assert!(complaint.contains("MJPEG") && complaint.contains("H.264"), "{health:#}");
}

async fn pulling(source: &str) -> Hawker {
    Hawker::start_with(&format!("source = {source:?}")).await
}

/// A second of the camera's pictures, each with a number above the one before, and beeps.
async fn moves_and_sounds(viewer: &Viewer) {
    eventually("the camera's pictures advance", PULLED, async || {
        let numbers: Vec<u16> = viewer.numbers().into_iter().filter_map(|(_, number)| number).collect();
        let advances = numbers.windows(2).filter(|pair| pair[1] > pair[0]).count();
        let back = numbers.windows(2).filter(|pair| pair[1] < pair[0]).count();
        // It may start over, for its clip ends.
        (advances >= small().frames_per_second && back <= 1).then_some(())
    })
    .await;
    hears(viewer).await;
}

async fn hears(viewer: &Viewer) {
    eventually("the camera is heard", PULLED, async || (viewer.beeps().len() >= 2).then_some(())).await;
}

/// A camera's second stream, small enough that H.265 is made and decoded beside everything else.
fn small() -> Clip {
    Clip { width: 640, height: 360, b_frames: 0, ..Clip::obs() }
}

/// From a camera's start to its picture, backoff included.
const PULLED: Duration = Duration::from_secs(25);
