//! A buyer's browser: real Chromium, driven over WebDriver, with its decoded pixels read back.

use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::child::Child;
use super::eye::{Area, Frame};
use super::patience::eventually;
use super::strip;

pub struct Browser {
    client: Client,
    _driver: Child,
    _profile: TempDir,
}

/// One frame as the page presented it.
#[derive(Clone, Debug, Deserialize)]
pub struct Presented {
    /// The frame's own RTP timestamp; absent for what did not come over WebRTC.
    pub rtp: Option<u32>,
    /// `presentedFrames` of the video frame callback: counts what callbacks missed, too.
    pub presented: u64,
    /// Milliseconds since the page was opened.
    pub at: f64,
    pub width: usize,
    pub height: usize,
    /// Mean levels of the strip's squares.
    cells: Vec<u8>,
}

/// Starts chromedriver; gives its port. It takes a port that IPv6 has free and then asks for the same one of IPv4, where a trial
/// beside this one may hold it: chromedriver ends then, and another port is another chance.
async fn start_driver() -> (Child, u16) {
    let port = |line: &str| -> Option<u16> {
        line.split("started successfully on port ").nth(1)?.trim_end_matches('.').parse().ok()
    };
    for _ in 0..MOST_PORTS_TAKEN {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", KEEPER, "chromedriver", "--port=0", "--log-level=WARNING"]);
        let mut driver = Child::spawn("chromedriver", command);
        let taken = |line: &str| line.contains("IPv4 port not available").then_some(None);
        let told = |line: &str| port(line).map(Some).or_else(|| taken(line));
        if let Some(port) = driver.says("its port", STARTING, told).await {
            return (driver, port);
        }
    }
    panic!("chromedriver found {MOST_PORTS_TAKEN} ports taken, one after another");
}

/// Ports that may be taken before something else must be wrong.
const MOST_PORTS_TAKEN: usize = 5;

impl Presented {
    /// The number on the publisher's strip.
    pub fn number(&self) -> Option<u16> {
        strip::number(self.cells.as_slice().try_into().ok()?)
    }
}

impl Browser {
    pub async fn open() -> Browser {
        Browser::open_with(&[]).await
    }

    /// As `open`, with more arguments for Chromium.
    pub async fn open_with(more: &[&str]) -> Browser {
        let (driver, port) = start_driver().await;
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        let arguments: Vec<String> = CHROMIUM
            .iter()
            .chain(more)
            .map(|&argument| argument.to_owned())
            .chain([format!("--user-data-dir={}", profile.path().display())])
            .collect();
        // Certificates that the server under trial made for itself are taken, as a buyer would after a warning.
        let capabilities = json!({ "acceptInsecureCerts": true, "pageLoadStrategy": "eager", "goog:chromeOptions": { "args": arguments }, "goog:loggingPrefs": { "browser": "ALL" } });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().cloned().expect("it is an object"))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap_or_else(|error| panic!("Chromium does not start: {error}\n{:?}", driver.said()));
        Browser { client, _driver: driver, _profile: profile }
    }

    pub async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Everything from here on is asked of the page in the first frame.
    pub async fn enter_frame(&self) {
        let frame = self.client.find(fantoccini::Locator::Css("iframe")).await;
        let entered = frame.unwrap_or_else(|error| panic!("the page has a frame: {error}")).enter_frame().await;
        entered.unwrap_or_else(|error| panic!("the frame can be entered: {error}"));
    }

    /// The value of a JavaScript function body in the page.
    pub async fn evaluate(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// As `evaluate`, for a body that answers by calling its last argument.
    pub async fn evaluate_later(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute_async(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Starts to watch the page's video element, when there is one with a picture.
    pub async fn watch(&self) {
        eventually("the page has a video that plays", Duration::from_secs(20), async || {
            self.evaluate(PLAYS, Vec::new()).await.as_bool().filter(|&plays| plays)
        })
        .await;
        self.evaluate(WATCH, vec![json!(strip::CELLS)]).await;
    }

    /// The frames presented since `watch` (or the last call), oldest first.
    pub async fn presented(&self) -> Vec<Presented> {
        let frames = self.evaluate("return window.trial.frames.splice(0)", Vec::new()).await;
        serde_json::from_value(frames).expect("the page tells frames as agreed")
    }

    /// The next `count` frames' luma in each of `areas` (even numbers), one every `apart` frames.
    pub async fn parts(&self, areas: &[Area], count: usize, apart: usize) -> Vec<Vec<Frame>> {
        self.take(&areas.iter().copied().map(Some).collect::<Vec<_>>(), json!({ "count": count, "apart": apart })).await
    }

    /// The luma in each of `areas` of every frame from now to the first that is not before an RTP timestamp.
    pub async fn parts_until(&self, areas: &[Area], rtp: u32) -> Vec<Vec<Frame>> {
        self.take(&areas.iter().copied().map(Some).collect::<Vec<_>>(), json!({ "until": rtp, "apart": 1 })).await
    }

    /// As `parts`, of one area.
    pub async fn part(&self, area: Area, count: usize, apart: usize) -> Vec<Frame> {
        self.parts(&[area], count, apart).await.into_iter().flatten().collect()
    }

    /// The next frame, whole.
    pub async fn frame(&self) -> Frame {
        let mut taken = self.take(&[None], json!({ "count": 1, "apart": 1 })).await;
        Frame { part: false, ..taken.remove(0).remove(0) }
    }

    /// The next whole frame that `wanted` likes.
    pub async fn frame_where(&self, what: &str, limit: Duration, wanted: impl Fn(&Frame) -> bool) -> Frame {
        eventually(what, limit, async || Some(self.frame().await).filter(|frame| wanted(frame))).await
    }

    /// `areas` of the next frames, the whole picture where none is given.
    async fn take(&self, areas: &[Option<Area>], which: Value) -> Vec<Vec<Frame>> {
        let area = |area: Area| json!({ "x": area.x, "y": area.y, "width": area.width, "height": area.height });
        let areas: Vec<_> = areas.iter().map(|wanted| wanted.map(area)).collect();
        let taken = self.evaluate_later(TAKE, vec![json!(areas), which]).await;
        let taken: Vec<Taken> = serde_json::from_value(taken).expect("the page tells frames as agreed");
        taken.into_iter().map(Taken::frames).collect()
    }

    /// A value of the page's own `window.hawker`.
    pub async fn page(&self, name: &str) -> Value {
        self.evaluate("return window.hawker?.[arguments[0]] ?? null", vec![json!(name)]).await
    }

    /// Waits until the page says that it is in this state.
    pub async fn state(&self, state: &str, limit: Duration) {
        let what = format!("the page's state is {state}");
        eventually(&what, limit, async || (self.page("state").await == state).then_some(())).await;
    }

    /// Where the announced picture can be clicked, in pixels of a picture of this size.
    pub async fn hit(&self, layer: &str, width: usize, height: usize) -> Area {
        let what = format!("{layer} is announced");
        eventually(&what, Duration::from_secs(5), async || {
            let announced = self.page("announced").await;
            let hit = announced["hits"].as_array()?.iter().find(|hit| hit["id"] == layer)?;
            Some(Area::announced(hit, width, height))
        })
        .await
    }

    /// The text a person reads in the page.
    pub async fn text(&self) -> String {
        let text = self.evaluate("return document.body.innerText", Vec::new()).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// A user's click on the first element that the CSS selector finds.
    pub async fn click_on(&self, selector: &str) {
        let element = self.client.find(fantoccini::Locator::Css(selector)).await;
        let element = element.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Errors that the page wrote to its console or threw.
    pub async fn complaints(&self) -> Value {
        self.evaluate("return window.trial?.complaints ?? []", Vec::new()).await
    }

    /// Closes the browser in good order; dropped without it, it is killed.
    pub async fn close(self) {
        let _ = self.client.clone().close().await;
    }
}

#[derive(Deserialize)]
struct Taken {
    rtp: Option<u32>,
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    width: usize,
    height: usize,
    luma: String,
}

impl Taken {
    fn frames(self) -> Vec<Frame> {
        let rtp = self.rtp.unwrap_or_default();
        let frame = |part: Part| {
            let luma = STANDARD.decode(part.luma).expect("the page tells base64");
            assert_eq!(luma.len(), part.width * part.height, "a luma plane has one byte a pixel");
            Frame {
                rtp,
                width: part.width,
                height: part.height,
                luma,
                arrived: Instant::now(),
                chroma: Default::default(),
                part: true,
            }
        };
        self.parts.into_iter().map(frame).collect()
    }
}

/// Runs a program, and on SIGTERM kills the whole process group: should the trial itself be killed, the kernel tells this
/// shell, where chromedriver would leave its browser behind.
const KEEPER: &str = "trap 'kill -KILL 0' TERM; \"$0\" \"$@\" & wait $!";

const STARTING: Duration = Duration::from_secs(20);

/// A plain browser without a screen that phones nobody and plays what a muted page may play.
const CHROMIUM: [&str; 14] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--mute-audio",
    "--window-size=1400,900",
];

/// A camera and a microphone that are not there, and nobody to be asked for them: a disc that turns, and beeps. Pages may make sound
/// unasked, too.
pub const CAMERA: [&str; 3] = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
];

const PLAYS: &str = "const video = document.querySelector('video'); return !!video && video.videoWidth > 0";

/// Reads every presented frame. The pixels, the timestamp and the strip come from one `VideoFrame`, so that they belong
/// together whatever is presented meanwhile; planes are copied as decoded, without a conversion to RGB.
const WATCH: &str = r#"
const [cells] = arguments;
const video = document.querySelector('video');
const trial = window.trial = { frames: [], takers: [], complaints: [] };
addEventListener('error', event => trial.complaints.push(String(event.message)));
addEventListener('unhandledrejection', event => trial.complaints.push(String(event.reason)));

trial.luma = async (frame, rect) => {
    const bytes = new Uint8Array(frame.allocationSize({ rect }));
    const [plane] = await frame.copyTo(bytes, { rect });
    const luma = new Uint8Array(rect.width * rect.height);
    for (let row = 0; row < rect.height; row++) {
        const start = plane.offset + row * plane.stride;
        luma.set(bytes.subarray(start, start + rect.width), row * rect.width);
    }
    return luma;
};

const levels = async frame => {
    const { width, height } = frame.visibleRect;
    const side = Math.floor(width / 40) & ~1;
    const rect = { x: ((width - cells * side) / 2) & ~1, y: Math.floor(height * 2 / 5) & ~1, width: cells * side, height: side };
    const luma = await trial.luma(frame, rect);
    return Array.from({ length: cells }, (_, cell) => {
        let sum = 0, count = 0;
        for (let y = side >> 2; y < side - (side >> 2); y++)
            for (let x = side >> 2; x < side - (side >> 2); x++, count++)
                sum += luma[y * rect.width + cell * side + x];
        return Math.floor(sum / count);
    });
};

const read = async (now, callback) => {
    const frame = new VideoFrame(video);
    try {
        const own = frame.metadata?.().rtpTimestamp;
        const same = Math.abs(frame.timestamp - callback.mediaTime * 1e6) < 1000;
        const rtp = own ?? (same ? callback.rtpTimestamp : null) ?? null;
        const { width, height } = frame.visibleRect;
        trial.frames.push({ rtp, presented: callback.presentedFrames, at: now, width, height, cells: await levels(frame) });
        for (const taker of [...trial.takers]) await taker(frame, rtp);
    } catch (error) {
        trial.complaints.push(String(error));
    } finally {
        frame.close();
    }
};
const next = (now, callback) => { video.requestVideoFrameCallback(next); read(now, callback); };
video.requestVideoFrameCallback(next);
"#;

/// Takes frames' luma, as base64 that is made only when all are there.
const TAKE: &str = r#"
const [areas, { count, until, apart }, done] = arguments;
const base64 = bytes => {
    let text = '';
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return btoa(text);
};
const taken = [];
let seen = 0, whole = 0, last = false;
const taker = async (frame, rtp) => {
    if (last || seen++ % apart !== 0) return;
    const { width, height } = frame.visibleRect;
    const one = { rtp, parts: [] };
    taken.push(one);
    last = count ? taken.length === count : rtp !== null && ((rtp - until) | 0) >= 0;
    for (const area of areas) {
        const rect = area ?? { x: 0, y: 0, width: width & ~1, height: height & ~1 };
        one.parts.push({ width: rect.width, height: rect.height, luma: await trial.luma(frame, rect) });
    }
    if (++whole !== taken.length || !last) return;
    trial.takers.splice(trial.takers.indexOf(taker), 1);
    for (const { parts } of taken) for (const part of parts) part.luma = base64(part.luma);
    done(taken);
};
trial.takers.push(taker);
"#;
