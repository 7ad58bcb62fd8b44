//! `pull` against a scripted camera over loopback TCP and UDP.

use super::*;
use crate::ingest::source::SourceInfo;
use crate::media::access_unit::{AudioCodec, VideoCodec};
use crate::media::{Coded, Resolution};
use async_trait::async_trait;
use retina::client::TeardownPolicy;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);
const PATIENCE: Patience = Patience { step: Duration::from_millis(300), picture: Duration::from_millis(300) };

/// x264's parameter sets for 320×180, as ffmpeg writes them into an SDP.
const VIDEO: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; \
    sprop-parameter-sets=Z0LADdkBQZ+fARAAAAMAEAAAAwPA8UKkgA==,aMuDyyA=; profile-level-id=42C00D\r\na=control:video\r\n";
const OPUS: &str = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:audio\r\n";
/// x265's parameter sets for 320×180, as ffmpeg writes them into an SDP.
const HEVC: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n\
    a=fmtp:96 sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwA8lZgJ; \
    sprop-sps=QgEBAWAAAAMAkAAAAwAAAwA8oAoIC595ZWaSTK8BaAgAAAMACAAAAwDwQA==; sprop-pps=RAHBcrRiQA==\r\na=control:video\r\n";
/// µ-law under its static payload type, which needs no `rtpmap` (RFC 3551 §6).
const PCMU: &str = "m=audio 0 RTP/AVP 0\r\na=control:audio\r\n";
const PCMA: &str = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 PCMA/16000/2\r\na=control:audio\r\n";
const MJPEG: &str = "m=video 0 RTP/AVP 26\r\na=control:video\r\n";

/// What the camera does when it is connected to.
#[derive(Clone, Copy)]
enum Script {
    /// Answers everything and sends this many packets on every stream; then it closes, or says nothing more.
    Play { sdp: &'static [&'static str], packets: u16, then_close: bool },
    /// The same over UDP, and nothing over TCP.
    PlayByUdp { sdp: &'static [&'static str], packets: u16, then_close: bool },
    /// Describes its streams and lets nobody have them.
    Stingy,
    /// Describes its streams, and hangs up when it is asked for one.
    Curt,
    /// Accepts the connection and says nothing.
    Hang,
    /// Wants other credentials, whatever it is given.
    Refuse,
}

impl Script {
    fn sdp(self) -> &'static [&'static str] {
        match self {
            Script::Play { sdp, .. } | Script::PlayByUdp { sdp, .. } => sdp,
            Script::Stingy | Script::Curt => &[VIDEO],
            Script::Hang | Script::Refuse => &[],
        }
    }

    /// What goes into a packet of the stream at this place in the description.
    fn payload(self, stream: usize) -> (u8, &'static [u8]) {
        match self.sdp()[stream] {
            VIDEO => (96, &[0x65, 0x88, 0x84, 0x00, 0x10]),
            // A coded slice of an IDR picture without leading pictures (ITU-T H.265 table 7-1: type 19).
            HEVC => (96, &[0x26, 0x01, 0xaf, 0x00, 0x10]),
            PCMU => (0, &[0xff; 160]),
            PCMA => (97, &[0xd5; 320]),
            other => unreachable!("{other} is not set up"),
        }
    }
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

    /// The same by an address that names the transport.
    fn source_by(&self, scheme: &str) -> Source {
        self.url.replace("rtsp:", &format!("{scheme}:")).parse().unwrap()
    }

    fn heard(&self, text: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|request| request.contains(text))
    }
}

async fn attend(stream: TcpStream, script: Script, asked: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    // What was set up: the stream's place in the description, and where it goes.
    let mut channels = Vec::new();
    let mut sockets = Vec::new();
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if stream.read_line(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        asked.lock().unwrap().push(request.clone());
        let method = request.split(' ').next().unwrap();
        let header = |name: &str| request.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let cseq = header("CSeq: ");
        let wanted =
            if request.lines().next().unwrap().contains("/video ") { "a=control:video" } else { "a=control:audio" };
        let at = script.sdp().iter().position(|media| media.contains(wanted)).unwrap_or_default();
        let reply = |status: &str, rest: &str| format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{rest}");
        let answer = match (script, method) {
            (Script::Hang, _) => continue,
            (Script::Refuse, _) => {
                reply("401 Unauthorized", "WWW-Authenticate: Digest realm=\"cam\", nonce=\"abc\"\r\n\r\n")
            }
            (_, "DESCRIBE") => {
                let sdp = script.sdp().concat();
                let sdp = format!("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=control:*\r\n{sdp}");
                let headers = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
                reply("200 OK", &headers)
            }
            (Script::Play { .. }, "SETUP") => {
                let transport = header("Transport: ");
                let channel = transport.split_once("interleaved=").unwrap().1.split('-').next().unwrap();
                channels.push((at, channel.parse::<u8>().unwrap()));
                reply("200 OK", &format!("Session: 1;timeout=60\r\nTransport: {transport}\r\n\r\n"))
            }
            (Script::PlayByUdp { .. }, "SETUP") if header("Transport: ").contains("client_port=") => {
                let transport = header("Transport: ");
                let port = transport.split_once("client_port=").unwrap().1.split('-').next().unwrap();
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                socket.connect(("127.0.0.1", port.parse().unwrap())).await.unwrap();
                let own = socket.local_addr().unwrap().port();
                sockets.push((at, socket));
                let transport = format!("{transport};server_port={own}-{}", own + 1);
                reply("200 OK", &format!("Session: 1;timeout=60\r\nTransport: {transport}\r\n\r\n"))
            }
            (Script::Curt, "SETUP") => return,
            (_, "SETUP") => reply("461 Unsupported Transport", "\r\n"),
            _ => reply("200 OK", "Session: 1\r\n\r\n"),
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        match script {
            Script::Play { packets, then_close, .. } if method == "PLAY" => {
                for number in 0..packets {
                    for &(at, channel) in &channels {
                        let packet = rtp_packet(script.payload(at), number);
                        let framed = [&[b'$', channel][..], &(packet.len() as u16).to_be_bytes(), &packet].concat();
                        stream.write_all(&framed).await.unwrap();
                    }
                }
                if then_close {
                    return;
                }
            }
            Script::PlayByUdp { packets, then_close, .. } if method == "PLAY" => {
                for number in 0..packets {
                    for (at, socket) in &sockets {
                        socket.send(&rtp_packet(script.payload(*at), number)).await.unwrap();
                    }
                }
                if then_close {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// One RTP packet of a stream (RFC 3550 §5.1): 3000 ticks after the one before.
fn rtp_packet((payload_type, payload): (u8, &[u8]), number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0x80 | payload_type];
    packet.extend(number.to_be_bytes());
    packet.extend((u32::from(number) * 3000).to_be_bytes());
    packet.extend([1, 2, 3, payload_type]);
    packet.extend(payload);
    packet
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
        let (states, token) = (sender.clone(), ended.clone());
        let pulling = tokio::spawn(async move {
            let mut open = |publisher: &Publisher| -> Box<dyn Publication> {
                sender.send(Seen::Opened(publisher.clone())).unwrap();
                Box::new(Tap { seen: sender.clone(), ended: token.clone() })
            };
            let mut on_state = |state| drop(states.send(Seen::State(state)));
            retry(&source, PATIENCE, &mut open, &mut on_state).await
        });
        Pull { seen, ended, pulling }
    }

    async fn next(&mut self) -> Seen {
        timeout(SOON, self.seen.recv()).await.expect("something is seen soon").expect("the pull runs")
    }

    /// The next that was coded, whatever is seen before it.
    async fn coded(&mut self) -> Coded {
        loop {
            match self.next().await {
                Seen::Coded(coded) => return coded,
                Seen::State(State::Waiting { reason, .. }) => panic!("the pull failed: {reason}"),
                _ => {}
            }
        }
    }

    /// What the camera was described as, whatever is seen before it.
    async fn described(&mut self) -> SourceInfo {
        loop {
            if let Seen::Described(info) = self.next().await {
                return info;
            }
        }
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
    let camera = Camera::start(&[Script::Play { sdp: &[OPUS, VIDEO], packets: 3, then_close: false }]).await;
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
    assert!(!camera.heard("/audio"), "sound that cannot be decoded is not set up");
    let complaint = info.complaint.unwrap();
    assert!(complaint.contains("opus") && complaint.contains("AAC"), "{complaint}");
}

#[tokio::test]
async fn h265_and_g711_are_taken() {
    let camera = Camera::start(&[Script::Play { sdp: &[PCMU, HEVC], packets: 2, then_close: false }]).await;
    let mut pull = Pull::start(camera.source());
    let Coded::VideoConfig(video) = pull.coded().await else { panic!() };
    assert_eq!(video.codec, VideoCodec::H265);
    assert_eq!((video.extradata[0], video.extradata[21] & 0b11), (1, 3), "a record with lengths of four bytes");
    let Coded::Video(picture) = pull.coded().await else { panic!() };
    assert!(picture.key);
    assert_eq!(picture.data[..], [0, 0, 0, 5, 0x26, 0x01, 0xaf, 0x00, 0x10]);
    let Coded::AudioConfig(audio) = pull.coded().await else { panic!() };
    assert_eq!((audio.codec, audio.format), (AudioCodec::Pcmu, Some((8_000, 1))));
    assert!(audio.extradata.is_empty());
    let Coded::Audio(sound) = pull.coded().await else { panic!() };
    assert_eq!(sound.data.len(), 160);

    let camera = Camera::start(&[Script::Play { sdp: &[VIDEO, PCMA], packets: 1, then_close: false }]).await;
    let mut pull = Pull::start(camera.source());
    let audio = loop {
        if let Coded::AudioConfig(audio) = pull.coded().await {
            break audio;
        }
    };
    assert_eq!((audio.codec, audio.format), (AudioCodec::Pcma, Some((16_000, 2))));
}

#[tokio::test]
async fn a_camera_whose_picture_cannot_be_decoded_is_heard() {
    let camera = Camera::start(&[Script::Play { sdp: &[MJPEG, PCMU], packets: 3, then_close: false }]).await;
    let mut pull = Pull::start(camera.source());
    let complaint = pull.described().await.complaint.unwrap();
    assert!(complaint.contains("MJPEG") && complaint.contains("H.264"), "{complaint}");
    assert!(matches!(pull.coded().await, Coded::AudioConfig(_)));
    assert!(matches!(pull.coded().await, Coded::Audio(_)));
    assert!(!camera.heard("SETUP rtsp://127.0.0.1/cam/video"));
    assert!(pull.failure().await.starts_with("no sound for"), "its silence ends it");
}

#[tokio::test]
async fn a_camera_that_refuses_tcp_is_asked_for_udp() {
    let camera = Camera::start(&[Script::PlayByUdp { sdp: &[VIDEO, PCMU], packets: 3, then_close: false }]).await;
    let mut pull = Pull::start(camera.source());
    assert!(matches!(pull.coded().await, Coded::VideoConfig(_)));
    let (mut pictures, mut sounds) = (0, 0);
    while pictures < 3 || sounds < 3 {
        match pull.coded().await {
            Coded::Video(_) => pictures += 1,
            Coded::Audio(_) => sounds += 1,
            _ => {}
        }
    }
    assert!(camera.heard("RTP/AVP/TCP"), "TCP is tried first");
    let described = |request: &&String| request.starts_with("DESCRIBE");
    assert_eq!(camera.asked.lock().unwrap().iter().filter(described).count(), 1, "one connection serves for both");
}

#[tokio::test]
async fn a_camera_that_hangs_up_over_tcp_is_asked_anew() {
    const SCRIPTS: &[Script] = &[Script::Curt, Script::PlayByUdp { sdp: &[VIDEO], packets: 1, then_close: false }];
    let camera = Camera::start(SCRIPTS).await;
    let mut pull = Pull::start(camera.source());
    assert!(matches!(pull.coded().await, Coded::VideoConfig(_)));
    assert!(!camera.heard("TEARDOWN"), "there was nothing to end");
}

#[tokio::test]
async fn the_address_may_name_the_transport() {
    let camera = Camera::start(&[Script::PlayByUdp { sdp: &[VIDEO], packets: 1, then_close: false }]).await;
    let mut pull = Pull::start(camera.source_by("rtspu"));
    assert!(matches!(pull.coded().await, Coded::VideoConfig(_)));
    assert!(!camera.heard("RTP/AVP/TCP"));
    let camera = Camera::start(&[Script::PlayByUdp { sdp: &[VIDEO], packets: 1, then_close: false }]).await;
    assert!(Pull::start(camera.source_by("rtspt")).failure().await.contains("461"));
    assert!(!camera.heard("client_port"));
}

#[tokio::test]
async fn a_camera_that_gives_its_streams_to_nobody_says_so_of_both_transports() {
    let reason = Pull::start(Camera::start(&[Script::Stingy]).await.source()).failure().await;
    assert!(reason.contains("TCP (SETUP: 461") && reason.contains("UDP (SETUP: 461"), "{reason}");
}

#[tokio::test]
async fn sessions_by_udp_that_cannot_be_ended_do_not_pile_up() {
    const SCRIPTS: &[Script] = &[
        Script::PlayByUdp { sdp: &[VIDEO], packets: 1, then_close: false },
        Script::PlayByUdp { sdp: &[VIDEO], packets: 1, then_close: true },
        Script::Hang,
    ];
    let camera = Camera::start(SCRIPTS).await;
    let (source, left) = (camera.source_by("rtspu"), Left::default());
    drop(Session::start(&source, PATIENCE, &left).await.unwrap());
    assert!(matches!(left.policy().await, TeardownPolicy::Auto));
    assert!(camera.heard("TEARDOWN"), "a session that is left is ended");
    // This camera is gone before it is told.
    drop(Session::start(&source, PATIENCE, &left).await.unwrap());
    assert!(matches!(left.policy().await, TeardownPolicy::Never));
}

#[tokio::test]
async fn a_session_that_came_to_udp_is_ended_before_the_next_begins() {
    let camera = Camera::start(&[Script::PlayByUdp { sdp: &[VIDEO], packets: 1, then_close: false }]).await;
    let left = Left::default();
    drop(Session::start(&camera.source(), PATIENCE, &left).await.unwrap());
    assert!(matches!(left.policy().await, TeardownPolicy::Auto));
    assert!(camera.heard("RTP/AVP/TCP") && camera.heard("client_port") && camera.heard("TEARDOWN"));
}

#[tokio::test]
async fn a_description_that_panics_its_reader_costs_one_connection() {
    const SCRIPTS: &[Script] = &[
        Script::Play { sdp: &["no line of SDP\r\n", "a=x\r\n", VIDEO], packets: 0, then_close: false },
        Script::Play { sdp: &[VIDEO], packets: 1, then_close: false },
    ];
    let mut pull = Pull::start(Camera::start(SCRIPTS).await.source());
    assert_eq!(pull.failure().await, session::Error::Reader.to_string());
    while !matches!(pull.next().await, Seen::Opened(_)) {}
}

#[tokio::test]
async fn a_camera_that_comes_back_is_a_new_publication() {
    const SCRIPTS: &[Script] = &[
        Script::Play { sdp: &[VIDEO], packets: 4, then_close: true },
        Script::Hang,
        Script::Play { sdp: &[VIDEO], packets: 4, then_close: false },
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
    let camera = Camera::start(&[Script::Play { sdp: &[VIDEO], packets: 2, then_close: false }]).await;
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
async fn a_camera_without_anything_that_plays_is_told_what_to_do() {
    let camera = Camera::start(&[Script::Play { sdp: &[MJPEG, OPUS], packets: 0, then_close: false }]).await;
    let reason = Pull::start(camera.source()).failure().await;
    assert!(reason.contains("MJPEG") && reason.contains("H.264"), "{reason}");
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
    let camera = Camera::start(&[Script::Play { sdp: &[VIDEO], packets: 2, then_close: false }]).await;
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
