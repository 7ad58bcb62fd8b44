//! What the server adds: from an access unit's arrival to the last packet of its frame, one viewer, no B-frames, 720p30.

use std::time::Duration;

use crate::machine::{load, quantile, sleep_jitter};
use crate::support::clip::Clip;
use crate::support::hawker::Hawker;
use crate::support::viewer::{Appetite, Viewer};

const RUN: Duration = Duration::from_secs(60);

pub async fn measure() {
    let server = Hawker::start().await;
    let _publisher = server.publish(&Clip { b_frames: 0, ..Clip::obs() });
    let viewer = Viewer::try_join(&server.whep(), Appetite::Counting).await.expect("the viewer is let in");
    viewer.first_packet_took().await;
    let mut late = tokio::task::spawn_blocking(|| sleep_jitter(RUN)).await.expect("a nap does not panic");
    let api = server.api();
    let mut millis = Vec::new();
    for name in ["p50", "p99", "max"] {
        let seconds = api.metric(&format!("deliver_latency_{name}_seconds")).await.expect("the latency is told");
        millis.push(format!("{name} {:.1} ms", seconds * 1e3));
    }
    let (p50, p99) = (quantile(&mut late, 0.5), quantile(&mut late, 0.99));
    println!(
        "added latency: {}; the machine's own sleep jitter: p50 {p50:.2} ms, p99 {p99:.2} ms; load {}",
        millis.join(", "),
        load()
    );
}
