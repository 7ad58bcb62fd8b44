//! The encoder and the packetizer run once, whatever the number of viewers.

use std::time::Duration;

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::support::api::Api;
use crate::support::clip::Clip;
use crate::support::hawker::Hawker;
use crate::support::patience::eventually;
use crate::support::turn::Turn;
use crate::support::viewer::{Appetite, Viewer};

#[tokio::test(flavor = "multi_thread")]
async fn ten_viewers_cost_the_encoder_and_the_packetizer_what_one_does() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    let _publisher = hawker.publish(&Clip::obs());
    let first = Viewer::join(&hawker.whep()).await;
    first.numbered_frame(ON_AIR).await;
    let api = hawker.api();
    let with_one = Work::over(&api, SPAN).await;

    let mut others = Vec::new();
    for _ in 0..9 {
        others.push(Viewer::try_join(&hawker.whep(), Appetite::Counting).await.expect("there is room for ten"));
    }
    for viewer in &others {
        viewer.first_packet_took().await;
    }
    let with_ten = Work::over(&api, SPAN).await;

    println!("with one viewer {with_one:?}, with ten {with_ten:?}");
    for work in [&with_one, &with_ten] {
        // A busy machine may lose a slot now and then; more than the canvas's rate there never is.
        assert!((24.0..31.5).contains(&work.encoded), "frames encoded a second: {work:?}");
        assert!((work.packetized - work.encoded).abs() < 1.0, "each is packetized once: {work:?}");
    }
    let ratio = with_ten.sent / with_one.sent;
    assert!((7.0..13.0).contains(&ratio), "ten get what one got: {ratio}");
    assert_eq!(api.metric("deliver_viewers").await, Some(10.0));
}

const SPAN: Duration = Duration::from_secs(4);

/// Counts a second of media time.
#[derive(Debug)]
struct Work {
    encoded: f64,
    packetized: f64,
    sent: f64,
}

impl Work {
    async fn over(api: &Api, span: Duration) -> Work {
        let (from, before) = Work::now(api).await;
        let (until, after) = eventually("time passes", span * 3, async || {
            let now = Work::now(api).await;
            (now.0 - from > span.as_secs_f64()).then_some(now)
        })
        .await;
        let a_second = |after: f64, before: f64| (after - before) / (until - from);
        Work {
            encoded: a_second(after.encoded, before.encoded),
            packetized: a_second(after.packetized, before.packetized),
            sent: a_second(after.sent, before.sent),
        }
    }

    async fn now(api: &Api) -> (f64, Work) {
        let count = async |name: &str| api.metric(name).await.unwrap_or_else(|| panic!("/metrics has no {name}"));
        let at = api.health().await["media_time"].as_i64().expect("health tells the media time") as f64 / 90_000.0;
        let work = Work {
            encoded: count("encode_frames_total").await,
            packetized: count("deliver_video_frames_total").await,
            sent: count("deliver_sent_packets_total").await,
        };
        (at, work)
    }
}
