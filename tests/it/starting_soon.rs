//! A show without a publisher is no black hole: who joins gets a picture that says so, and sound that is silence.

use std::time::Duration;

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::support::clip::Clip;
use crate::support::eye::Frame;
use crate::support::hawker::Hawker;
use crate::support::patience::eventually;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

#[tokio::test(flavor = "multi_thread")]
async fn starting_soon_shows_before_the_first_publisher() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    assert_eq!(hawker.api().health().await["on_air"], false);
    let viewer = Viewer::join(&hawker.whep()).await;
    let written = |frame: &Frame| frame.contrast() > 120;
    let slate = viewer.frame("a picture with writing on it", Duration::from_secs(10), written).await;
    assert_eq!((slate.width, slate.height), (1280, 720));
    assert_eq!(slate.number(), None);
    let from = viewer.numbers().len();
    eventually("the canvas keeps its rate", Duration::from_secs(10), async || {
        (viewer.numbers().len() > from + 60).then_some(())
    })
    .await;
    eventually("silence is sent", Duration::from_secs(5), async || (viewer.heard() > 50).then_some(())).await;

    let _publisher = hawker.publish(&Clip::obs());
    viewer.numbered_frame(ON_AIR).await;
    assert_eq!(hawker.api().metric("deliver_joins_total").await, Some(1.0), "it is the same viewer");
}
