//! How soon a server that was aborted is on air again: SIGABRT, a new process on the same data as a supervisor starts it, then a
//! viewer's first packet with the stage as it was.

use std::time::{Duration, Instant};

use crate::machine::{load, spread};
use crate::support::clip::Clip;
use crate::support::hawker::Hawker;
use crate::support::viewer::{Appetite, Viewer};

pub async fn measure(tries: usize) {
    let mut server = Hawker::start().await;
    println!("cargo bench --bench measure -- restart {tries}; load {}", load());
    let api = server.api();
    api.product("lipstick", "Velvet lipstick", 2490).await;
    api.card("lipstick").await;
    api.countdown("lipstick", 990, 86_400.0, "sold_out").await;
    let stage = api.show().await["stage"].clone();
    let publisher = server.publish(&Clip::obs());
    tokio::time::sleep(Duration::from_secs(3)).await;
    drop(publisher);
    let (mut ready, mut packets) = (Vec::new(), Vec::new());
    for _ in 0..tries {
        server.abort();
        let down = Instant::now();
        server.start_again().await;
        ready.push(down.elapsed().as_secs_f64() * 1e3);
        let viewer = Viewer::try_join(&server.whep(), Appetite::Counting).await.expect("the viewer is let in");
        viewer.first_packet_took().await;
        packets.push(down.elapsed().as_secs_f64() * 1e3);
        assert_eq!(server.api().show().await["stage"], stage, "the stage is what it was");
        viewer.leave().await;
    }
    println!("from the abort to an answer at /healthz: {} ms", spread(&mut ready));
    println!(
        "from the abort to a viewer's first packet: {} ms (wanted: at most 2000, less the supervisor's 200); load {}",
        spread(&mut packets),
        load()
    );
}
