//! An IP camera: Debian's GStreamer RTSP server, behind digest authentication.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::child::Child;
use super::clip::Clip;

pub struct Camera {
    clip: Clip,
    port: u16,
    server: Option<Child>,
}

impl Camera {
    /// Switches a camera on that shows `clip`, on a port that is free.
    pub async fn on(clip: Clip) -> Camera {
        let mut camera = Camera { clip, port: 0, server: None };
        camera.switch_on().await;
        camera
    }

    /// The camera's address with its credentials, as a show's `source` takes it.
    pub fn url(&self) -> String {
        let path = if self.clip.sound.is_some() { "cam" } else { "silent" };
        format!("rtsp://{USER}:{PASSWORD}@127.0.0.1:{}/{path}", self.port)
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
        python.arg(script).arg(self.port.to_string()).arg(self.clip.path()).args([USER, PASSWORD]);
        let mut server = Child::spawn("the camera", python);
        let ready = |line: &str| line.strip_prefix("ready ").and_then(|port| port.parse().ok());
        self.port = server.says("ready", Duration::from_secs(15), ready).await;
        self.server = Some(server);
    }
}

pub const USER: &str = "trial";
pub const PASSWORD: &str = "not-a-secret-2026";
