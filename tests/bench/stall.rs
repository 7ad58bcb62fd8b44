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
const WINDOW: Duration = Duration::from_millis(250);
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
        let begun = Instant::now();
        tokio::time::sleep(BEFORE).await;
        let mut before: Vec<f64> = latencies(&viewer, &pusher, begun).await.into_iter().map(|(_, late)| late).collect();
        let usual = quantile(&mut before, 0.5);
        pusher.hold();
        tokio::time::sleep(STALL).await;
        let resumed = Instant::now();
        pusher.go();
        tokio::time::sleep(AFTER).await;
        let after = latencies(&viewer, &pusher, resumed).await;
        let live = live_after(&after, resumed, usual + SAME_MS);
        let mut last: Vec<f64> = after[after.len() * 3 / 4..].iter().map(|(_, late)| *late).collect();
        old.push(usual);
        worst.push(after.iter().map(|(_, late)| *late).fold(0.0, f64::max));
        back.push(live);
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

/// Milliseconds from `resumed` until latency is at most `wanted` for good, by the median of short windows: a machine that is late
/// once is not what is measured.
fn live_after(latencies: &[(Instant, f64)], resumed: Instant, wanted: f64) -> f64 {
    let windows = (AFTER.as_millis() / WINDOW.as_millis()) as usize;
    let window = |(seen, _): &(Instant, f64)| {
        (seen.saturating_duration_since(resumed).as_millis() / WINDOW.as_millis()) as usize
    };
    let late = (0..windows).rposition(|n| {
        let mut within: Vec<f64> = latencies.iter().filter(|one| window(one) == n).map(|(_, late)| *late).collect();
        within.is_empty() || quantile(&mut within, 0.5) > wanted
    });
    late.map_or(0.0, |late| (late + 1) as f64 * WINDOW.as_secs_f64() * 1e3)
}

/// Since `begun`: when the viewer had a new picture, and how many milliseconds after a camera would have had it.
async fn latencies(viewer: &Viewer, pusher: &Pusher, begun: Instant) -> Vec<(Instant, f64)> {
    let seen = viewer.caught_up().await;
    let mut last = None;
    // A repeated picture is not late, it is old.
    let new = seen.into_iter().filter(|(_, number)| number.is_some() && last.replace(*number) != Some(*number));
    let late = new.filter(|(arrival, _)| arrival.last > begun).filter_map(|(arrival, number)| {
        let due = pusher.due(number?, arrival.last)?;
        Some((arrival.last, arrival.last.saturating_duration_since(due).as_secs_f64() * 1e3))
    });
    late.collect()
}
