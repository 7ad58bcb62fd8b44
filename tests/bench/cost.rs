//! CPU of the whole path beside ffmpeg doing the same: paced input, decode, a card and ticking digits, x264 with the same
//! settings, AAC → Opus, RTP out. Five interleaved runs of 30 s.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::machine::{load, quantile};
use crate::support::child::Child;
use crate::support::clip::Clip;
use crate::support::hawker::Hawker;
use crate::support::viewer::{Appetite, Viewer};

const ROUNDS: usize = 5;
const RUN: Duration = Duration::from_secs(30);
const TURN: Duration = Duration::from_secs(15);

pub async fn measure(lines: &str) {
    let (width, height) = if lines == "1080" { (1920, 1080) } else { (1280, 720) };
    let clip = Clip { width, height, ..Clip::obs() };
    clip.path();
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    println!("{width}x{height} at 30, {ROUNDS} rounds of {} s; load {}", RUN.as_secs(), load());
    for round in 0..ROUNDS {
        let (hawker, kbit) = hawker(&clip).await;
        let ffmpeg = ffmpeg(&clip, kbit).await;
        println!(
            "round {round}: hawker {hawker:.3}, ffmpeg {ffmpeg:.3} CPU s/s at {kbit} kbit/s, ratio {:.3}",
            hawker / ffmpeg
        );
        ours.push(hawker);
        theirs.push(ffmpeg);
        ratios.push(hawker / ffmpeg);
    }
    println!(
        "median hawker {:.3}, ffmpeg {:.3}, ratio {:.3} ({:.3} to {:.3}); load {}",
        quantile(&mut ours, 0.5),
        quantile(&mut theirs, 0.5),
        quantile(&mut ratios, 0.5),
        quantile(&mut ratios, 0.0),
        quantile(&mut ratios, 1.0),
        load()
    );
}

/// CPU of one running server with a card, a countdown that ticks and a ticker on the picture, and without them, in turn.
pub async fn layers(lines: &str) {
    let (width, height) = if lines == "1080" { (1920, 1080) } else { (1280, 720) };
    let clip = Clip { width, height, ..Clip::obs() };
    let server = Hawker::start_with(&format!("canvas = {{ width = {width}, height = {height}, fps = 30 }}")).await;
    let _publisher = server.publish(&clip);
    let api = server.api();
    api.product("lamp", "A lamp for long evenings", 4900).await;
    let viewer = Viewer::try_join(&server.whep(), Appetite::Counting).await.expect("the viewer is let in");
    viewer.first_packet_took().await;
    println!("{width}x{height} at 30, {ROUNDS} rounds of twice {} s; load {}", TURN.as_secs(), load());
    let spent = async || {
        // What came or went has settled.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = server.cpu();
        tokio::time::sleep(TURN).await;
        (server.cpu() - before).as_secs_f64() / TURN.as_secs_f64()
    };
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let without = spent().await;
        api.card("lamp").await;
        api.countdown("lamp", 3900, 600.0, "revert").await;
        let ticker = json!({ "items": ["Free shipping on every order over $50", "Returns within 30 days"] });
        api.must(Method::PUT, "/api/v1/shows/demo/stage/ticker", Some(ticker)).await;
        let with = spent().await;
        for layer in ["ticker", "countdown", "card"] {
            api.remove(layer).await;
        }
        println!("round {round}: with {with:.3}, without {without:.3} CPU s/s, ratio {:.3}", with / without);
        ratios.push(with / without);
    }
    let [least, median, most] = [0.0, 0.5, 1.0].map(|share| quantile(&mut ratios, share));
    println!("median ratio {median:.3} ({least:.3} to {most:.3}); load {}", load());
}

/// CPU seconds a second of the server with a card, a running countdown and one decrypting viewer; and its bitrate.
async fn hawker(clip: &Clip) -> (f64, u64) {
    let canvas = format!("canvas = {{ width = {}, height = {}, fps = 30 }}", clip.width, clip.height);
    let server = Hawker::start_with(&canvas).await;
    let _publisher = server.publish(clip);
    let api = server.api();
    api.product("lamp", "A lamp for long evenings", 4900).await;
    api.card("lamp").await;
    api.countdown("lamp", 3900, 600.0, "revert").await;
    let viewer = Viewer::try_join(&server.whep(), Appetite::Counting).await.expect("the viewer is let in");
    viewer.first_packet_took().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let kbit = api.health().await["output"]["target_bitrate"].as_u64().expect("a bitrate") / 1000;
    let before = server.cpu();
    tokio::time::sleep(RUN).await;
    ((server.cpu() - before).as_secs_f64() / RUN.as_secs_f64(), kbit)
}

/// The same of ffmpeg, into a socket that reads nothing.
async fn ffmpeg(clip: &Clip, kbit: u64) -> f64 {
    let sink = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let port = sink.local_addr().expect("it is bound").port();
    let (scale, bottom) = (clip.height as f64 / 720.0, clip.height * 3 / 4);
    let (card_width, card_height) = ((474.0 * scale) as usize / 2 * 2, (154.0 * scale) as usize / 2 * 2);
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get()).clamp(1, 4);
    let draw = format!(
        "[0:v][1:v]overlay=32:{bottom}:eof_action=repeat,drawtext=fontfile={}/src/overlay/fonts/NotoSans-Bold.ttf:text='%{{eif\\:60-mod(t\\,60)\\:d}}':fontsize={}:fontcolor=white:box=1:boxcolor=black@0.8:boxborderw=24:x=w-tw-80:y=60[v]",
        env!("CARGO_MANIFEST_DIR"),
        (60.0 * scale) as u32
    );
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-re", "-stream_loop", "-1", "-threads", "1"]);
    command.arg("-i").arg(clip.path());
    let card = format!("color=c=0x202030@0.85:s={card_width}x{card_height}:d=0.04,format=yuva420p");
    command.args(["-f", "lavfi", "-i", &card, "-filter_complex", &draw, "-map", "[v]"]);
    command.args([
        "-c:v",
        "libx264",
        "-preset",
        "superfast",
        "-tune",
        "zerolatency",
        "-profile:v",
        "baseline",
        "-bf",
        "0",
    ]);
    command.args(["-g", "120", "-threads", &threads.to_string(), "-x264-params", "repeat-headers=1:scenecut=0"]);
    let (rate, buffer) = (format!("{kbit}k"), format!("{}k", kbit / 2));
    command.args(["-b:v", &rate, "-maxrate", &rate, "-bufsize", &buffer]);
    command.args(["-f", "rtp", &format!("rtp://127.0.0.1:{port}?pkt_size=1200")]);
    command.args([
        "-map",
        "0:a",
        "-c:a",
        "libopus",
        "-b:a",
        "96k",
        "-application",
        "lowdelay",
        "-frame_duration",
        "20",
    ]);
    command.args(["-f", "rtp", &format!("rtp://127.0.0.1:{port}?pkt_size=1200")]);
    let mut process = Child::spawn("ffmpeg", command);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = process.cpu();
    tokio::time::sleep(RUN).await;
    let used = process.cpu() - before;
    assert!(process.ended().is_none(), "ffmpeg gave up: {:?}", process.said());
    process.kill();
    used.as_secs_f64() / RUN.as_secs_f64()
}
