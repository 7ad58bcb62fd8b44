//! Whether memory and threads return to what they were: publishers that connect, publish a little and drop, fifty at a time.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::load;
use crate::pusher::{Film, Pusher};
use crate::support::clip::Clip;
use crate::support::hawker::{Hawker, STREAM_KEY};

const AT_A_TIME: usize = 50;
/// Shows that they publish to, ten each: the newest publisher of a show has it, the others are sent away.
const SHOWS: usize = 5;
const SETTLING: Duration = Duration::from_secs(30);

pub async fn measure(publishers: usize) {
    const CANVAS: &str = "canvas = { width = 320, height = 180, fps = 15 }";
    let more: String =
        (1..SHOWS).map(|n| format!("\n[[show]]\nid = \"show-{n}\"\nstream_key = \"{}\"\n{CANVAS}", key(n))).collect();
    let server = Hawker::start_with(&format!("{CANVAS}{more}")).await;
    let clip = Clip { width: 320, height: 180, seconds: 8, keyframe_every: 30, ..Clip::obs() };
    let film = Film::of(&clip);
    println!("cargo bench --bench measure -- churn {publishers}; load {}", load());
    tell(&server, "at the start");
    // What is made once and kept, such as the first decoders' tables, is no leak.
    wave(&server, &film, AT_A_TIME).await;
    tokio::time::sleep(SETTLING).await;
    let (memory, threads) = tell(&server, "after the first fifty and a pause");
    let (mut done, mut failed) = (0, 0);
    while done < publishers {
        let size = AT_A_TIME.min(publishers - done);
        failed += wave(&server, &film, size).await;
        done += size;
        if done % 200 == 0 {
            tell(&server, &format!("after {done} more"));
        }
    }
    tokio::time::sleep(SETTLING).await;
    let (memory_after, threads_after) = tell(&server, "after a pause");
    println!(
        "{done} publishers, {failed} of them not let in: memory {:+} KiB ({:+.1} %), threads {:+}; load {}",
        memory_after as i64 - memory as i64,
        (memory_after as f64 / memory as f64 - 1.0) * 100.0,
        threads_after as i64 - threads as i64,
        load()
    );
}

/// So many publishers beside each other, each from an address of its own: one address gets 32 connections at most. How many
/// were not let in.
async fn wave(server: &Hawker, film: &Arc<Film>, size: usize) -> usize {
    let publishers = (0..size).map(|n| {
        let (rtmp, film) = (server.rtmp.clone(), film.clone());
        tokio::spawn(async move {
            // Staggered over a second, on air for up to one and a half.
            tokio::time::sleep(Duration::from_millis(n as u64 * 20)).await;
            let from = Ipv4Addr::new(127, 0, 1, n as u8 + 1);
            let Ok(pusher) = Pusher::publish_from(from, &rtmp, &key(n % SHOWS), &film).await else { return false };
            tokio::time::sleep(Duration::from_millis(300 + n as u64 * 37 % 1200)).await;
            if n % 2 == 0 {
                pusher.reset().await
            } else {
                pusher.close().await
            }
            true
        })
    });
    let mut failed = 0;
    for publisher in publishers.collect::<Vec<_>>() {
        failed += usize::from(!publisher.await.expect("a publisher does not panic"));
    }
    failed
}

fn key(show: usize) -> String {
    if show == 0 { STREAM_KEY.to_owned() } else { format!("{STREAM_KEY}-{show}") }
}

fn tell(server: &Hawker, when: &str) -> (u64, usize) {
    let (memory, threads) = (server.memory(), server.threads());
    println!("{when}: RssAnon {memory} KiB, {threads} threads");
    (memory, threads)
}
