//! `pull` against a scripted camera over loopback TCP.

use super::*;
use crate::ingest::source::SourceInfo;
use crate::media::{Coded, Resolution};
use async_trait::async_trait;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);

/// x264's parameter sets for 320×180, as ffmpeg writes them into an SDP.
const VIDEO: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; \
    sprop-parameter-sets=Z0LADdkBQZ+fARAAAAMAEAAAAwPA8UKkgA==,aMuDyyA=; profile-level-id=42C00D\r\na=control:video\r\n";
const OPUS: &str = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:audio\r\n";
const HEVC: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=control:video\r\n";

/// What the camera does when it is connected to.
#[derive(Clone, Copy)]
enum Script {
    /// Answers everything and sends this many pictures; then it closes, or says nothing more.
    Play { sdp: &'static [&'static str], pictures: u16, then_close: bool },
    /// Accepts the connection and says nothing.
    Hang,
    /// Wants other credentials, whatever it is given.
    Refuse,
}

struct Camera {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Camera {
    /// A camera that follows one script a connection, and the last one from then on.
    async fn start(scripts: &'static [Script]) -> Camera {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("rtsp://admin:s3cret@{}/cam", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = asked.clone();
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(attend(stream, scripts[connection.min(scripts.len() - 1)], heard.clone()));
            }
        });
        Camera { url, asked }
    }

    fn source(&self) -> Source {
        self.url.parse().unwrap()
    }

    fn heard(&self, text: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|request| request.contains(text))
    }
}

async fn attend(stream: TcpStream, script: Script, asked: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if stream.read_line(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        asked.lock().unwrap().push(request.clone());
        let method = request.split(' ').next().unwrap();
        let cseq = request.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap().trim();
        let reply = |status: &str, rest: &str| format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{rest}");
        let (sdp, pictures, then_close) = match script {
            Script::Play { sdp, pictures, then_close } => (sdp, pictures, then_close),
            Script::Hang => continue,
            Script::Refuse => {
                let challenge =
                    reply("401 Unauthorized", "WWW-Authenticate: Digest realm=\"cam\", nonce=\"abc\"\r\n\r\n");
                stream.write_all(challenge.as_bytes()).await.unwrap();
                continue;
            }
        };
        let answer = match method {
            "DESCRIBE" => {
                let sdp = format!("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=control:*\r\n{}", sdp.concat());
                let headers = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
                reply("200 OK", &headers)
            }
            "SETUP" => {
                reply("200 OK", "Session: 1;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n")
            }
            _ => reply("200 OK", "Session: 1\r\n\r\n"),
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        if method == "PLAY" {
            for picture in 0..pictures {
                stream.write_all(&rtp_picture(picture)).await.unwrap();
            }
            if then_close {
                return;
            }
        }
    }
}

/// An IDR of one slice, in one RTP packet on interleaved channel 0.
fn rtp_picture(number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0x80 | 96];
    packet.extend(number.to_be_bytes());
    packet.extend((u32::from(number) * 3000).to_be_bytes());
    packet.extend([1, 2, 3, 4]);
    packet.extend([0x65, 0x88, 0x84, 0x00, 0x10]);
    [&[b'$', 0][..], &(packet.len() as u16).to_be_bytes(), &packet].concat()
}

struct Tap {
    seen: mpsc::UnboundedSender<Seen>,
    ended: CancellationToken,
}

#[derive(Debug)]
enum Seen {
    State(State),
    Opened(Publisher),
    Coded(Coded),
    Described(SourceInfo),
    Dropped,
}

#[async_trait]
impl Publication for Tap {
    async fn push(&mut self, coded: Coded) -> Result<(), Ended> {
        self.seen.send(Seen::Coded(coded)).map_err(|_| Ended)
    }

    fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    fn describe(&mut self, what: SourceInfo) {
        self.seen.send(Seen::Described(what)).unwrap();
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.seen.send(Seen::Dropped);
    }
}

/// A pull under way.
struct Pull {
    seen: mpsc::UnboundedReceiver<Seen>,
    ended: CancellationToken,
    pulling: tokio::task::JoinHandle<Ended>,
}

impl Pull {
    fn start(source: Source) -> Pull {
        let (sender, seen) = mpsc::unbounded_channel();
        let ended = CancellationToken::new();
        let patience = Patience { step: Duration::from_millis(300), picture: Duration::from_millis(300) };
        let (states, token) = (sender.clone(), ended.clone());
        let pulling = tokio::spawn(async move {
            let mut open = |publisher: &Publisher| -> Box<dyn Publication> {
                sender.send(Seen::Opened(publisher.clone())).unwrap();
                Box::new(Tap { seen: sender.clone(), ended: token.clone() })
            };
            let mut on_state = |state| drop(states.send(Seen::State(state)));
            retry(&source, patience, &mut open, &mut on_state).await
        });
        Pull { seen, ended, pulling }
    }

    async fn next(&mut self) -> Seen {
        timeout(SOON, self.seen.recv()).await.expect("something is seen soon").expect("the pull runs")
    }

    /// Why the connection failed, whatever was seen before.
    async fn failure(&mut self) -> String {
        loop {
            if let Seen::State(State::Waiting { reason, .. }) = self.next().await {
                return reason;
            }
        }
    }
}

#[tokio::test]
async fn a_camera_without_sound_becomes_a_publication() {
    let camera = Camera::start(&[Script::Play { sdp: &[OPUS, VIDEO], pictures: 3, then_close: false }]).await;
    let mut pull = Pull::start(camera.source());
    assert!(matches!(pull.next().await, Seen::State(State::Connecting)));
    assert!(matches!(pull.next().await, Seen::State(State::Playing)));
    assert!(matches!(pull.next().await, Seen::Opened(Publisher { protocol: Protocol::Rtsp, .. })));
    let Seen::Described(info) = pull.next().await else { panic!() };
    assert_eq!(info.resolution, Some(Resolution::new(320, 180)));
    let Seen::Coded(Coded::VideoConfig(config)) = pull.next().await else { panic!() };
    assert_eq!(config.extradata[..4], [1, 0x42, 0xc0, 0x0d]);
    let (Seen::Coded(Coded::Video(first)), Seen::Coded(Coded::Video(second))) = (pull.next().await, pull.next().await)
    else {
        panic!()
    };
    assert!(first.key);
    assert_eq!(first.data[..], [0, 0, 0, 5, 0x65, 0x88, 0x84, 0x00, 0x10]);
    assert_eq!((second.pts - first.pts).as_micros(), 33_333);
    assert!(!camera.heard("/audio"), "sound that is not AAC is not set up");
}

#[tokio::test]
async fn a_camera_that_comes_back_is_a_new_publication() {
    const SCRIPTS: &[Script] = &[
        Script::Play { sdp: &[VIDEO], pictures: 4, then_close: true },
        Script::Hang,
        Script::Play { sdp: &[VIDEO], pictures: 4, then_close: false },
    ];
    let mut pull = Pull::start(Camera::start(SCRIPTS).await.source());
    let mut happened = Vec::new();
    while happened.len() < 5 {
        match pull.next().await {
            Seen::Opened(_) => happened.push("opened".to_owned()),
            Seen::Dropped => happened.push("dropped".to_owned()),
            Seen::State(State::Waiting { reason, .. }) => happened.push(reason),
            _ => {}
        }
    }
    assert_eq!(happened[..2], ["opened", "dropped"]);
    assert!(happened[3].contains("DESCRIBE"), "{happened:?}");
    assert_eq!(happened[4], "opened");
}

#[tokio::test]
async fn pictures_that_stop_end_the_connection() {
    let camera = Camera::start(&[Script::Play { sdp: &[VIDEO], pictures: 2, then_close: false }]).await;
    assert!(Pull::start(camera.source()).failure().await.starts_with("no picture for"));
}

#[tokio::test]
async fn a_refusal_names_the_credentials_and_does_not_show_them() {
    let camera = Camera::start(&[Script::Refuse]).await;
    assert_eq!(Pull::start(camera.source()).failure().await, "the camera refuses user and password");
    assert!(camera.heard("Authorization: Digest username=\"admin\""));
    assert!(!camera.heard("s3cret"), "a digest does not show the password, nor does the URL that is asked for");
}

#[tokio::test]
async fn a_camera_without_h264_is_told_what_to_do() {
    let camera = Camera::start(&[Script::Play { sdp: &[HEVC], pictures: 0, then_close: false }]).await;
    let reason = Pull::start(camera.source()).failure().await;
    assert!(reason.contains("h265") && reason.contains("H.264"), "{reason}");
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut pull = Pull::start(format!("rtsp://{closed}/").parse().unwrap());
    assert!(pull.failure().await.contains("DESCRIBE"));
    pull.failure().await;
}

#[tokio::test]
async fn an_ended_publication_ends_the_pull() {
    let camera = Camera::start(&[Script::Play { sdp: &[VIDEO], pictures: 2, then_close: false }]).await;
    let mut pull = Pull::start(camera.source());
    while !matches!(pull.next().await, Seen::Opened(_)) {}
    pull.ended.cancel();
    assert_eq!(timeout(SOON, &mut pull.pulling).await.unwrap().unwrap(), Ended);
    while !matches!(pull.next().await, Seen::Dropped) {}
}

#[tokio::test]
async fn a_stopped_pull_returns_at_once() {
    let camera = Camera::start(&[Script::Hang]).await;
    let stop = CancellationToken::new();
    let open = |_: &Publisher| -> Box<dyn Publication> { unreachable!("the camera says nothing") };
    let pulling = tokio::spawn(pull(camera.source(), open, |_| {}, stop.clone()));
    stop.cancel();
    assert_eq!(timeout(SOON, pulling).await.unwrap().unwrap(), Ok(()));
}
