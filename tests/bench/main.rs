//! Measures the running server against real peers. Run by hand, on a quiet machine:
//!
//! ```text
//! cargo bench --bench measure -- cost [720|1080]   CPU of the whole path against ffmpeg doing the same job
//! cargo bench --bench measure -- layers [720|1080] the same path with three layers, and without
//! cargo bench --bench measure -- overlay           the overlay's share of a 1080p frame, beside ffmpeg's filter
//! cargo bench --bench measure -- latency           from an access unit's arrival to its last packet's way out
//! cargo bench --bench measure -- joins             from the POST to the first packet, and to Chromium's first frame
//! cargo bench --bench measure -- frames            different source frames a second that Chromium shows
//! cargo bench --bench measure -- viewers [SECONDS] CPU a packet and memory a viewer at 50 viewers, memory over time
//! cargo bench --bench measure -- resume [TRIES]    the publisher is killed by a TCP reset and back after 5 s: what viewers notice
//! cargo bench --bench measure -- takeover [TRIES]  a second publisher takes over: what viewers notice
//! cargo bench --bench measure -- stall [TRIES]     the publisher's socket stalls for 10 s, then bursts: when latency is back
//! cargo bench --bench measure -- restart [TRIES]   the process aborts and a new one takes its place: when viewers have a picture
//! cargo bench --bench measure -- gpu [720|1080]    a frame's layers by the CPU and by whatever Vulkan there is
//! cargo bench --bench measure -- churn [PUBLISHERS] fifty publishers at a time come and go: memory and threads
//! ```
//!
//! `HAWKER_BIN` names another binary to measure.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

#[allow(dead_code, reason = "the trials use what the measurements do not")]
#[path = "../it/support/mod.rs"]
mod support;

mod churn;
mod cost;
mod frames;
#[cfg(feature = "gpu")]
mod gpu;
mod interruption;
mod joins;
mod latency;
mod machine;
mod overlay;
mod pusher;
mod restart;
mod stall;
mod viewers;

use interruption::Interruption;

fn main() {
    // `cargo bench` adds --bench; anything else that begins with a dash is not ours either.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let second = arguments.get(1).map(String::as_str);
    let number = |usual: usize| second.and_then(|number| number.parse().ok()).unwrap_or(usual);
    runtime.block_on(async {
        match arguments.first().map(String::as_str) {
            Some("cost") => cost::measure(second.unwrap_or("720")).await,
            Some("layers") => cost::layers(second.unwrap_or("720")).await,
            Some("overlay") => overlay::measure(),
            Some("latency") => latency::measure().await,
            Some("joins") => joins::measure().await,
            Some("frames") => frames::measure().await,
            #[cfg(feature = "gpu")]
            Some("gpu") => gpu::measure(second.unwrap_or("1080")),
            Some("viewers") => viewers::measure(number(60) as u64).await,
            Some("resume") => interruption::measure(Interruption::Killed, number(20)).await,
            Some("takeover") => interruption::measure(Interruption::TakenOver, number(20)).await,
            Some("stall") => stall::measure(number(5)).await,
            Some("restart") => restart::measure(number(10)).await,
            Some("churn") => churn::measure(number(1000)).await,
            _ => println!(
                "what to measure: cost, layers, overlay, gpu, latency, joins, frames, viewers, resume, takeover, stall, restart or churn"
            ),
        }
    });
}
