//! How soon the picture is live again after the publisher's socket stood still for ten seconds and all of it came in a burst.

use std::time::{Duration, Instant};

use crate::machine::{load, quantile, spread};
use crate::pusher::{Film, Pusher};
use crate::support::clip::Clip;
use crate::support::hawker::{Hawker, STREAM_KEY};
use crate::support::viewer::Viewer;

const STALL: Duration = Duration::from_secs(10);
const BEFORE: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_secs(8);
/// Latency within this of its old value is the old value: a frame interval.
const SAME_MS: f64 = 34.0;

pub async fn measure(tries: usize) {
    let server = Hawker::start().await;
    let film = Film::of(&Clip { b_frames: 0, ..Clip::obs() });
    println!("cargo bench --bench measure -- stall {tries}; load {}", load());
    let (mut old, mut worst, mut back, mut settled) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..tries {
        let pusher = Pusher::publish(&server.rtmp, STREAM_KEY, &film).await;
        let viewer = Viewer::join(&server.whep()).await;
        viewer.numbered_frame(Duration::from_secs(20)).await;
        let mut before: Vec<f64> =
            latencies(&viewer, &pusher, BEFORE).await.into_iter().map(|(_, late)| late).collect();
        let usual = quantile(&mut before, 0.5);
        pusher.hold();
        tokio::time::sleep(STALL).await;
        let resumed = Instant::now();
        pusher.go();
        let after = latencies(&viewer, &pusher, AFTER).await;
        // From the newest frame that was still late to the next.
        let late = after.iter().rposition(|(_, late)| *late > usual + SAME_MS);
        let live = late.map_or(after.first(), |late| after.get(late + 1));
        let mut last: Vec<f64> = after[after.len() * 3 / 4..].iter().map(|(_, late)| *late).collect();
        old.push(usual);
        worst.push(after.iter().map(|(_, late)| *late).fold(0.0, f64::max));
        back.push(live.map_or(f64::INFINITY, |(seen, _)| seen.saturating_duration_since(resumed).as_secs_f64() * 1e3));
        settled.push(quantile(&mut last, 0.5));
        pusher.close().await;
        viewer.leave().await;
    }
    println!("latency before: {} ms; of the latest frame after the stall: {} ms", spread(&mut old), spread(&mut worst));
    println!(
        "back within {SAME_MS:.0} ms of it after {} ms (wanted: at most 2000); at the end {} ms; load {}",
        spread(&mut back),
        spread(&mut settled),
        load()
    );
}

/// For `span`: when the viewer had a new picture, and how many milliseconds after a camera would have had it.
async fn latencies(viewer: &Viewer, pusher: &Pusher, span: Duration) -> Vec<(Instant, f64)> {
    let (begun, mut latencies, mut last) = (Instant::now(), Vec::new(), None);
    while begun.elapsed() < span {
        let frame = viewer.numbered_frame(Duration::from_secs(20)).await;
        // A repeated picture is not late, it is old.
        let repeated = last.replace(frame.number()) == Some(frame.number());
        let due = frame.number().and_then(|number| pusher.due(number, frame.arrived));
        if let Some(due) = due.filter(|_| !repeated) {
            let late = frame.arrived.saturating_duration_since(due).as_secs_f64() * 1e3;
            latencies.push((frame.arrived, late));
        }
    }
    latencies
}
