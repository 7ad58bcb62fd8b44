//! CPU a packet and memory a viewer at 50 viewers, and whether memory grows with time.

use std::time::Duration;

use crate::machine::load;
use crate::support::api::Api;
use crate::support::clip::Clip;
use crate::support::hawker::Hawker;
use crate::support::viewer::{Appetite, Viewer};

const VIEWERS: usize = 50;
const RUN: Duration = Duration::from_secs(20);

pub async fn measure(seconds: u64) {
    let server = Hawker::start().await;
    let _publisher = server.publish(&Clip::obs());
    let api = server.api();
    let mut viewers = vec![join(&server).await];
    let (cpu_of_one, packets_of_one) = run(&server, &api).await;
    let memory_of_one = server.memory();
    while viewers.len() < VIEWERS {
        viewers.push(join(&server).await);
    }
    let (cpu, packets) = run(&server, &api).await;
    let memory = server.memory();
    println!(
        "{VIEWERS} viewers: {:.2} µs of CPU a packet ({:.3} CPU s/s and {:.0} packets/s, of one viewer {cpu_of_one:.3} and {packets_of_one:.0}); {:.0} KiB a viewer; load {}",
        (cpu - cpu_of_one) / (packets - packets_of_one) * 1e6,
        cpu,
        packets,
        memory.saturating_sub(memory_of_one) as f64 / (VIEWERS - 1) as f64,
        load()
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    let first = server.memory();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let last = server.memory();
    println!(
        "memory after a minute {first} KiB, {seconds} s later {last} KiB: {:.2} MiB a minute; load {}",
        (last as f64 - first as f64) / 1024.0 / (seconds as f64 / 60.0),
        load()
    );
}

async fn join(server: &Hawker) -> Viewer {
    let viewer = Viewer::try_join(&server.whep(), Appetite::Counting).await.expect("the viewer is let in");
    viewer.first_packet_took().await;
    viewer
}

/// CPU seconds and sent packets a second, over a while.
async fn run(server: &Hawker, api: &Api) -> (f64, f64) {
    tokio::time::sleep(Duration::from_secs(3)).await;
    let sent = async || api.metric("deliver_sent_packets_total").await.expect("packets are counted");
    let (cpu, packets) = (server.cpu(), sent().await);
    tokio::time::sleep(RUN).await;
    let seconds = RUN.as_secs_f64();
    ((server.cpu() - cpu).as_secs_f64() / seconds, (sent().await - packets) / seconds)
}
