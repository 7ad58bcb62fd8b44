//! The server under trial: the real binary, on ports of its own choice, with a data folder that outlives its restarts.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Url;
use serde_json::json;
use tempfile::TempDir;

use super::api::Api;
use super::child::Child;
use super::clip::Clip;
use super::patience::eventually;
use super::publisher::Publisher;

pub struct Hawker {
    data: TempDir,
    show: String,
    environment: Vec<(String, String)>,
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
        Hawker::start_under(show, Vec::new()).await
    }

    /// As `start`, dressed in a theme whose layers come, change and go at once: for trials that look at single frames.
    pub async fn start_still() -> Hawker {
        let themes = still_theme().display().to_string();
        Hawker::start_under("theme = \"still\"", vec![("HAWKER_THEMES".to_owned(), themes)]).await
    }

    /// As `start`, with doors inside TLS too, and further variables such as `HAWKER_TLS__KEY`.
    pub async fn start_within_tls(further: &[(&str, &str)]) -> Hawker {
        let free = "127.0.0.1:0";
        let doors = [("HAWKER_LISTEN__HTTPS", free), ("HAWKER_LISTEN__RTMPS", free)];
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Hawker::start_under("", doors.iter().chain(further).map(owned).collect()).await
    }

    async fn start_under(show: &str, environment: Vec<(String, String)>) -> Hawker {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let free = "127.0.0.1:0";
        let (process, doors) = launch(data.path(), show, &environment, &[free, free, free]).await;
        let [http, rtmp, webrtc] = doors;
        let http = Url::parse(&http).unwrap_or_else(|error| panic!("{http}: {error}"));
        Hawker { data, show: show.to_owned(), environment, process, http, rtmp, webrtc }
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

    pub fn whip(&self) -> Url {
        self.url("/whip")
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

    /// Power off: SIGKILL.
    pub fn crash(&mut self) {
        self.process.kill();
    }

    /// What a C library does that finds itself broken: SIGABRT.
    pub fn abort(&mut self) {
        self.process.signal(libc::SIGABRT);
        self.process.wait();
    }

    /// SIGTERM, as a supervisor stops it.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.terminate(Duration::from_secs(10)).await
    }

    /// A new process on the same data folder and the same ports.
    pub async fn start_again(&mut self) {
        let http = self.http.authority().to_owned();
        let rtmp = self.rtmp.trim_start_matches("rtmp://").trim_end_matches("/live").to_owned();
        let doors = [&*http, &*rtmp, &*self.webrtc];
        let (process, _) = launch(self.data.path(), &self.show, &self.environment, &doors).await;
        self.process = process;
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// What the server wrote to stdout and stderr last.
    pub fn said(&self) -> Vec<String> {
        self.process.said()
    }

    /// What it printed under this label when it started, such as `https://HOST:PORT` under `HTTPS`.
    pub fn told(&self, label: &str) -> String {
        let said = self.said();
        let told = said.iter().find_map(|line| labelled(line, label));
        told.unwrap_or_else(|| panic!("nothing was told of {label}: {said:#?}"))
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Processor time used so far.
    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        let path = format!("/proc/{}/task", self.id());
        std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}")).count()
    }

    /// Memory of its own, in KiB (RssAnon of proc(5), /proc/PID/status).
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux tells RssAnon");
        line.trim().trim_end_matches(" kB").parse().expect("RssAnon is a number")
    }
}

/// A folder of themes with the plain theme in it, nothing of which moves. It goes with the machine's temporary files.
fn still_theme() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let cut = json!({ "kind": "cut" });
        let still = json!({ "enter": cut, "exit": cut, "change": cut, "digits": "cut" });
        let manifest = json!({ "title": "Still", "extends": "base", "layers": { "card": still, "countdown": still } });
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("themes");
        let write = |()| std::fs::write(folder.join("still/theme.json"), manifest.to_string());
        std::fs::create_dir_all(folder.join("still")).and_then(write).expect("a theme can be written");
        folder
    })
}

/// Starts the server and waits until it is ready; gives what it told of its HTTP, RTMP and WebRTC doors.
async fn launch(
    folder: &Path,
    show: &str,
    environment: &[(String, String)],
    listen: &[&str; 3],
) -> (Child, [String; 3]) {
    let [http, rtmp, webrtc] = listen;
    let config = format!(
        r#"
admin_token = "{ADMIN_TOKEN}"
data_dir = {data:?}
[listen]
http = "{http}"
rtmp = "{rtmp}"
webrtc = "{webrtc}"
whip = "127.0.0.1:0"
[[show]]
id = "{SHOW}"
stream_key = "{STREAM_KEY}"
{show}
"#,
        data = folder.join("data"),
    );
    let path = folder.join("hawker.toml");
    std::fs::write(&path, config).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let program = std::env::var_os("HAWKER_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_hawker").into());
    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(&path).current_dir(folder).envs(environment.iter().cloned());
    let mut process = Child::spawn("hawker", command);
    let told = |label: &'static str| move |line: &str| labelled(line, label);
    let http = process.says("its HTTP address", STARTING, told("HTTP")).await;
    let rtmp = process.says("its RTMP address", STARTING, told("RTMP")).await;
    let webrtc = process.says("its WebRTC address", STARTING, told("WebRTC")).await;
    eventually("/healthz answers 200", STARTING, async || {
        let response = reqwest::get(format!("{http}/healthz")).await.ok()?;
        response.status().is_success().then_some(())
    })
    .await;
    (process, [http, rtmp, webrtc.trim_start_matches("udp").trim().to_owned()])
}

/// The rest of a line that begins with this label.
fn labelled(line: &str, label: &str) -> Option<String> {
    line.strip_prefix(label).filter(|rest| rest.starts_with(' ')).map(|rest| rest.trim().to_owned())
}

const STARTING: Duration = Duration::from_secs(10);
