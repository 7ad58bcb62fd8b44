//! The server under trial: the real binary, on ports of its own choice, with a data folder that outlives its restarts.

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use reqwest::Url;
use tempfile::TempDir;

use super::api::Api;
use super::child::Child;
use super::clip::Clip;
use super::patience::eventually;
use super::publisher::Publisher;

pub struct Hawker {
    data: TempDir,
    config: String,
    process: Child,
    pub http: Url,
    /// `rtmp://HOST:PORT/live`
    pub rtmp: String,
    /// `HOST:PORT` of the WebRTC socket.
    pub webrtc: String,
}

pub const SHOW: &str = "demo";
pub const STREAM_KEY: &str = "trial-stream-key-2026";
pub const ADMIN_TOKEN: &str = "trial-admin-token-2026";

impl Hawker {
    /// A server with one show, `SHOW`, without a source.
    pub async fn start() -> Hawker {
        Hawker::start_with("").await
    }

    /// As `start`, with more lines in the show's part of the configuration.
    pub async fn start_with(show: &str) -> Hawker {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let config = format!(
            r#"
admin_token = "{ADMIN_TOKEN}"
data_dir = {data:?}
[listen]
http = "127.0.0.1:0"
rtmp = "127.0.0.1:0"
webrtc = "127.0.0.1:0"
[[show]]
id = "{SHOW}"
stream_key = "{STREAM_KEY}"
{show}
"#,
            data = data.path().join("data"),
        );
        let (process, http, rtmp, webrtc) = launch(data.path(), &config).await;
        Hawker { data, config, process, http, rtmp, webrtc }
    }

    pub fn api(&self) -> Api {
        Api::new(self.http.clone(), ADMIN_TOKEN)
    }

    pub fn url(&self, path: &str) -> Url {
        self.http.join(path).expect("a path joins to a URL")
    }

    pub fn whep(&self) -> Url {
        self.url(&format!("/s/{SHOW}/whep"))
    }

    pub fn viewer_page(&self) -> Url {
        self.url(&format!("/s/{SHOW}"))
    }

    pub fn publish_url(&self) -> String {
        format!("{}/{STREAM_KEY}", self.rtmp)
    }

    pub fn publish(&self, clip: &Clip) -> Publisher {
        Publisher::push(&self.publish_url(), clip)
    }

    /// Power off and on: SIGKILL, then a new process on the same data folder. Its ports are new.
    pub async fn crash_and_restart(&mut self) {
        self.process.kill();
        self.restart().await;
    }

    /// SIGTERM, as a supervisor stops it.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.terminate(Duration::from_secs(10)).await
    }

    pub async fn restart(&mut self) {
        let (process, http, rtmp, webrtc) = launch(self.data.path(), &self.config).await;
        (self.process, self.http, self.rtmp, self.webrtc) = (process, http, rtmp, webrtc);
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// What the server wrote to stdout and stderr last.
    pub fn said(&self) -> Vec<String> {
        self.process.said()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Processor time used so far.
    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    /// Memory of its own, in KiB (RssAnon of proc(5), /proc/PID/status).
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux tells RssAnon");
        line.trim().trim_end_matches(" kB").parse().expect("RssAnon is a number")
    }
}

async fn launch(folder: &Path, config: &str) -> (Child, Url, String, String) {
    let path = folder.join("hawker.toml");
    std::fs::write(&path, config).expect("a temporary file can be written");
    let program = std::env::var_os("HAWKER_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_hawker").into());
    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(&path).current_dir(folder);
    command.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or("info".into()));
    let mut process = Child::spawn("hawker", command);
    let after = |label: &'static str| {
        move |line: &str| {
            line.strip_prefix(label).filter(|rest| rest.starts_with(' ')).map(|rest| rest.trim().to_owned())
        }
    };
    let http = process.says("its HTTP address", STARTING, after("HTTP")).await;
    let rtmp = process.says("its RTMP address", STARTING, after("RTMP")).await;
    let webrtc = process.says("its WebRTC address", STARTING, after("WebRTC")).await;
    let http = Url::parse(&http).unwrap_or_else(|error| panic!("{http}: {error}"));
    let healthz = http.join("/healthz").expect("a path joins to a URL");
    eventually("/healthz answers 200", STARTING, async || {
        let response = reqwest::get(healthz.clone()).await.ok()?;
        response.status().is_success().then_some(())
    })
    .await;
    (process, http, rtmp, webrtc.trim_start_matches("udp").trim().to_owned())
}

const STARTING: Duration = Duration::from_secs(10);
