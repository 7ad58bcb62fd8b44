//! How long a viewer waits: 50 joins of the test client to the first packet, ten of Chromium to the first decoded frame.

use std::time::Duration;

use crate::machine::{load, quantile};
use crate::support::browser::Browser;
use crate::support::clip::Clip;
use crate::support::hawker::Hawker;
use crate::support::patience::eventually;
use crate::support::viewer::{Appetite, Viewer};

pub async fn measure() {
    let server = Hawker::start().await;
    let _publisher = server.publish(&Clip::obs());
    let api = server.api();
    eventually("the show is on air", Duration::from_secs(20), async || {
        api.health().await["on_air"].as_bool().filter(|&on_air| on_air)
    })
    .await;
    let mut packets = Vec::new();
    for n in 0..50u64 {
        let viewer = Viewer::try_join(&server.whep(), Appetite::Counting).await.expect("the viewer is let in");
        packets.push(viewer.first_packet_took().await.as_secs_f64() * 1e3);
        viewer.leave().await;
        // Away from any rhythm of the stream.
        tokio::time::sleep(Duration::from_millis(100 + n * 37 % 113)).await;
    }
    println!(
        "POST to first packet, 50 joins: p50 {:.0} ms, p95 {:.0} ms, most {:.0} ms; load {}",
        quantile(&mut packets, 0.5),
        quantile(&mut packets, 0.95),
        quantile(&mut packets, 1.0),
        load()
    );
    let browser = Browser::open().await;
    let mut frames = Vec::new();
    for _ in 0..10 {
        browser.go("about:blank").await;
        browser.go(server.viewer_page().as_str()).await;
        let first = eventually("Chromium's first frame", Duration::from_secs(20), async || {
            browser.evaluate("return window.hawker?.firstFrameMs ?? null", Vec::new()).await.as_f64()
        });
        frames.push(first.await);
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    println!(
        "POST to Chromium's first frame, 10 joins: p50 {:.0} ms, most {:.0} ms ({}); load {}",
        quantile(&mut frames, 0.5),
        quantile(&mut frames, 1.0),
        frames.iter().map(|millis| format!("{millis:.0}")).collect::<Vec<_>>().join(" "),
        load()
    );
    browser.close().await;
}
