//! The pieces of the trials by themselves, against programs that are not under trial.

use std::process::Command;
use std::time::Duration;

use crate::support::camera::Camera;
use crate::support::child::{self, Child};
use crate::support::clip::Clip;
use crate::support::digits;
use crate::support::eye::{Area, Frame};
use crate::support::publisher::Publisher;
use crate::support::turn::Turn;

fn small() -> Clip {
    Clip { width: 640, height: 360, seconds: 12, ..Clip::obs() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_is_what_obs_is() {
    let _turn = Turn::take().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut sink = Command::new("ffmpeg");
    let url = format!("rtmp://127.0.0.1:{port}/live/key");
    sink.args(["-loglevel", "verbose", "-listen", "1", "-i", &url, "-t", "2", "-f", "null", "-"]);
    let mut sink = Child::spawn("sink", sink);
    let start = std::time::Instant::now();
    let mut publisher = loop {
        let mut publisher = Publisher::push(&url, &small());
        tokio::time::sleep(Duration::from_millis(500)).await;
        if publisher.ended().is_none() {
            break publisher;
        }
        assert!(start.elapsed() < Duration::from_secs(10));
    };
    let status = sink.end(Duration::from_secs(20)).await;
    assert!(status.success());
    let said = sink.said().join("\n");
    assert!(said.contains("h264 (High)"), "{said}");
    assert!(said.contains("48000 Hz, stereo"), "{said}");
    publisher.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_asks_for_its_password_and_comes_back() {
    let _turn = Turn::take().await;
    let mut camera = Camera::on(small()).await;
    for _ in 0..2 {
        let mut probe = Command::new("ffprobe");
        probe.args(["-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name", &camera.url()]);
        let out = String::from_utf8(child::run("ffprobe", probe, Duration::from_secs(20))).unwrap();
        assert!(out.contains("h264") && out.contains("aac"), "{out}");
        camera.switch_off();
        camera.switch_on().await;
    }
    let wrong = camera.url().replace("not-a-secret", "wrong");
    let out = Command::new("ffprobe").args(["-v", "error", "-rtsp_transport", "tcp", &wrong]).output().unwrap();
    assert!(String::from_utf8_lossy(&out.stderr).contains("401"), "{out:?}");
}

#[test]
fn digits_are_read_by_their_look() {
    for (size, colour, ground) in [(24, "white", "0x202020"), (40, "black", "0xF0F0F0"), (56, "0xFFD54F", "0xB00020")] {
        for text in ["0\\:59.3", "12\\:34.5", "01\\:26\\:78", "9\\:00.0", "6\\:88.9"] {
            let draw = format!(
                "drawtext=fontfile={}/src/overlay/fonts/NotoSans-Bold.ttf:text='{text}':fontsize={size}:fontcolor={colour}:x=20:y=20,format=yuv420p,format=gray",
                env!("CARGO_MANIFEST_DIR")
            );
            let mut ffmpeg = Command::new("ffmpeg");
            ffmpeg.args([
                "-loglevel",
                "error",
                "-f",
                "lavfi",
                "-i",
                &format!("color={ground}:s=320x100"),
                "-vf",
                &draw,
            ]);
            ffmpeg.args(["-frames:v", "1", "-f", "rawvideo", "-"]);
            let luma = child::run("ffmpeg", ffmpeg, Duration::from_secs(10));
            let frame = Frame { rtp: 0, width: 320, height: 100, luma, arrived: std::time::Instant::now(), part: true };
            let want: String = text.chars().filter(char::is_ascii_digit).collect();
            assert_eq!(digits::read(&frame.crop(Area { x: 8, y: 8, width: 304, height: 84 })), want, "{size} {text}");
        }
    }
}
