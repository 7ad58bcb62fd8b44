//! An IP camera: Debian's GStreamer RTSP server, behind digest authentication.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::child::{self, Child};
use super::clip::Clip;

pub struct Camera {
    /// What it plays, and the names that `camera.py` has for its streams.
    clip: PathBuf,
    streams: &'static str,
    transport: Transport,
    port: u16,
    server: Option<Child>,
}

/// What a camera makes of its picture and sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// The clip's own: H.264, and AAC when it has sound.
    OfTheClip,
    /// H.265 and G.711 µ-law at 8 kHz, mono.
    H265AndG711,
    /// MJPEG and G.711.
    MjpegAndG711,
}

/// How a camera sends its media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    AsAsked,
    /// By UDP; who asks for TCP is refused.
    UdpOnly,
}

impl Camera {
    /// Switches a camera on that shows `clip`, on a port that is free.
    pub async fn on(clip: Clip) -> Camera {
        Camera::on_as(clip, Coding::OfTheClip, Transport::AsAsked).await
    }

    pub async fn on_as(clip: Clip, coding: Coding, transport: Transport) -> Camera {
        let streams = match coding {
            Coding::OfTheClip if clip.sound.is_none() => "h264",
            Coding::OfTheClip => "h264+aac",
            Coding::H265AndG711 => "h265+pcmu",
            Coding::MjpegAndG711 => "mjpeg+pcmu",
        };
        let mut camera = Camera { clip: recorded(&clip, coding), streams, transport, port: 0, server: None };
        camera.switch_on().await;
        camera
    }

    /// The camera's address with its credentials, as a show's `source` takes it.
    pub fn url(&self) -> String {
        format!("rtsp://{USER}:{PASSWORD}@127.0.0.1:{}/cam", self.port)
    }

    /// Someone pulls the plug.
    pub fn switch_off(&mut self) {
        self.server = None;
    }

    /// Switches it on again, on the port it had; its clip starts over.
    pub async fn switch_on(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_clients/camera.py");
        // Debian's own python: it is the one that has the GStreamer bindings, whatever comes first in PATH.
        let mut python = Command::new("/usr/bin/python3");
        python.arg(script).arg(self.port.to_string()).arg(&self.clip).args([USER, PASSWORD, self.streams]);
        if self.transport == Transport::UdpOnly {
            python.arg("udp");
        }
        let mut server = Child::spawn("the camera", python);
        let ready = |line: &str| line.strip_prefix("ready ").and_then(|port| port.parse().ok());
        self.port = server.says("ready", Duration::from_secs(15), ready).await;
        self.server = Some(server);
    }
}

/// The clip as the camera codes it; made now when this machine has not made it yet.
fn recorded(clip: &Clip, coding: Coding) -> PathBuf {
    let original = clip.path();
    let (name, video): (_, &[&str]) = match coding {
        Coding::OfTheClip => return original,
        Coding::H265AndG711 => {
            ("h265", &["libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=60", "-tag:v", "hvc1"])
        }
        // RTP carries none but the default Huffman tables (RFC 2435 §3.1.5).
        Coding::MjpegAndG711 => ("mjpeg", &["mjpeg", "-pix_fmt", "yuvj420p", "-huffman", "default", "-q:v", "8"]),
    };
    let path = original.with_extension(format!("{name}.mov"));
    if !path.exists() {
        let unfinished = original.with_extension(format!("{name}.{}.mov", std::process::id()));
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-loglevel", "error", "-y", "-i"]).arg(&original).arg("-c:v").args(video);
        ffmpeg.args(["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"]).arg(&unfinished);
        child::run("the camera's encoder", ffmpeg, Duration::from_secs(120));
        std::fs::rename(&unfinished, &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    path
}

pub const USER: &str = "trial";
pub const PASSWORD: &str = "not-a-secret-2026";
