//! Delivery whole, over loopback, with viewers of another make.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::sync::mpsc;
use webrtc::data_channel::DataChannelEvent;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, RTCSessionDescription, Registry, register_default_interceptors,
};
use webrtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};

use super::*;
use crate::media::{EncodedAudio, EncodedVideo, MediaClock, MediaTime, Rendition, Resolution, RtpBase, SystemClock};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const BASE: RtpBase = RtpBase::new(0xffff_f000);
const DEADLINE: Duration = Duration::from_secs(20);

fn deliver() -> Deliver {
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    Deliver::bind(Config { listen, public: vec![], max_viewers: 100, clock: Arc::new(SystemClock) }).unwrap()
}

fn rendition() -> Arc<Rendition> {
    Arc::new(Rendition::new(Resolution::new(1280, 720), 30, 2_500_000))
}

fn feed(deliver: &Deliver, rendition: &Arc<Rendition>) -> Feed {
    let clock = MediaClock::new(Arc::new(SystemClock), std::time::SystemTime::now(), MediaTime::ZERO);
    deliver.feed(FeedConfig { name: "test".into(), rendition: rendition.clone(), rtp: BASE, clock })
}

/// A stand-in for an encoder: 30 frames a second of recognisable bytes, an IDR when asked, and Opus.
struct Encoder {
    stop: Arc<AtomicBool>,
    /// The slice of each frame by its RTP timestamp.
    slices: Arc<Mutex<BTreeMap<u32, Vec<u8>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Encoder {
    fn start(feed: &Feed, rendition: &Arc<Rendition>) -> Encoder {
        let (stop, slices) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeMap::new())));
        let (feed, rendition, stopped, made) = (feed.clone(), rendition.clone(), stop.clone(), slices.clone());
        let thread = std::thread::spawn(move || {
            for n in 0i64.. {
                if stopped.load(Relaxed) {
                    return;
                }
                let at = MediaTime::from_ticks(n * 3000);
                let key = n == 0 || rendition.take_keyframe_wanted();
                let mut slice = vec![if key { 0x65 } else { 0x41 }];
                slice.extend((0..if key { 30_000 } else { 5_000 }).map(|byte| (byte * 31 + n) as u8 | 1));
                let mut data = Vec::new();
                if key {
                    data.extend([0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 1, 0, 0, 0, 1, 0x68, 0xce, 1]);
                }
                data.extend([0, 0, 0, 1]);
                data.extend(&slice);
                made.lock().unwrap().insert(BASE.video(at), slice);
                feed.push_video(EncodedVideo { at, key, data: data.into(), arrived: Some(Instant::now()) });
                for half in 0..2 {
                    let at = MediaTime::from_ticks(n * 3000 + half * 1500);
                    feed.push_audio(EncodedAudio { at, data: Bytes::from(vec![7, n as u8, half as u8]) });
                }
                std::thread::sleep(Duration::from_millis(33));
            }
        });
        Encoder { stop, slices, thread: Some(thread) }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// What a viewer saw.
#[derive(Debug)]
enum Seen {
    Packet { video: bool, packet: rtc::rtp::Packet },
    Message(String),
    ChannelClosed,
    State(RTCPeerConnectionState),
}

struct Viewer {
    connection: Arc<dyn PeerConnection>,
    track: Arc<Mutex<Option<Arc<dyn TrackRemote>>>>,
    seen: mpsc::UnboundedReceiver<Seen>,
}

#[derive(Clone)]
struct Handler {
    seen: mpsc::UnboundedSender<Seen>,
    gathered: mpsc::UnboundedSender<()>,
    track: Arc<Mutex<Option<Arc<dyn TrackRemote>>>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.send(());
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let _ = self.seen.send(Seen::State(state));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let video = track.kind().await == RtpCodecKind::Video;
        if video {
            *self.track.lock().unwrap() = Some(track.clone());
        }
        let seen = self.seen.clone();
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let _ = seen.send(Seen::Packet { video, packet });
                }
            }
        });
    }
}

impl Viewer {
    /// Offers to receive video, and audio if so, with a data channel; the offer still awaits its answer.
    async fn offer(audio: bool) -> (Viewer, String) {
        let mut engine = MediaEngine::default();
        engine.register_default_codecs().unwrap();
        let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
        let (seen, received) = mpsc::unbounded_channel();
        let (gathered, mut complete) = mpsc::unbounded_channel();
        let track = Arc::new(Mutex::new(None));
        let handler = Handler { seen: seen.clone(), gathered, track: track.clone() };
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(handler))
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build()
            .await
            .unwrap();
        let connection: Arc<dyn PeerConnection> = Arc::new(connection);
        for kind in [Some(RtpCodecKind::Video), audio.then_some(RtpCodecKind::Audio)].into_iter().flatten() {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                streams: vec![],
                send_encodings: vec![],
            };
            connection.add_transceiver_from_kind(kind, Some(init)).await.unwrap();
        }
        let channel = connection.create_data_channel("hawker", None).await.unwrap();
        tokio::spawn(async move {
            while let Some(event) = channel.poll().await {
                let _ = match event {
                    DataChannelEvent::OnMessage(message) => {
                        seen.send(Seen::Message(String::from_utf8(message.data.to_vec()).unwrap()))
                    }
                    DataChannelEvent::OnClose => seen.send(Seen::ChannelClosed),
                    _ => Ok(()),
                };
            }
        });
        let offer = connection.create_offer(None).await.unwrap();
        connection.set_local_description(offer).await.unwrap();
        tokio::time::timeout(DEADLINE, complete.recv()).await.unwrap();
        let offer = connection.local_description().await.unwrap().sdp;
        (Viewer { connection, track, seen: received }, offer)
    }

    async fn join(deliver: &Deliver, feed: &Feed, audio: bool) -> (Viewer, Joined) {
        let (viewer, offer) = Viewer::offer(audio).await;
        let joined = deliver.join(feed, &offer, LOCAL).unwrap();
        let answer = RTCSessionDescription::answer(joined.answer.clone()).unwrap();
        viewer.connection.set_remote_description(answer).await.unwrap();
        (viewer, joined)
    }

    async fn next(&mut self) -> Seen {
        tokio::time::timeout(DEADLINE, self.seen.recv()).await.expect("something comes in time").unwrap()
    }

    /// Reads until `frames` whole frames and, if it should, some sound and a message have come.
    async fn watch(&mut self, frames: usize, audio: bool, message: bool) -> Watched {
        let mut watched = Watched::default();
        while watched.slices.len() < frames
            || audio && watched.sounds.len() < 5
            || message && watched.messages.is_empty()
        {
            match self.next().await {
                Seen::Packet { video: true, packet } => watched.video(packet),
                Seen::Packet { video: false, packet } => watched.sounds.push(packet),
                Seen::Message(message) => watched.messages.push(message),
                Seen::ChannelClosed => panic!("the server closed"),
                Seen::State(state) => assert_ne!(state, RTCPeerConnectionState::Failed),
            }
        }
        watched
    }
}

#[derive(Default)]
struct Watched {
    /// Slices put together again, by RTP timestamp.
    slices: BTreeMap<u32, Vec<u8>>,
    sounds: Vec<rtc::rtp::Packet>,
    messages: Vec<String>,
    partial: Vec<u8>,
    last: Option<u16>,
}

impl Watched {
    fn video(&mut self, packet: rtc::rtp::Packet) {
        let sequence = packet.header.sequence_number;
        assert!(self.last.is_none_or(|last| sequence == last.wrapping_add(1)), "{:?} then {sequence}", self.last);
        self.last = Some(sequence);
        let payload = &packet.payload;
        match payload[0] & 0x1f {
            28 => {
                if payload[1] & 0x80 != 0 {
                    self.partial = vec![payload[0] & 0xe0 | payload[1] & 0x1f];
                }
                self.partial.extend_from_slice(&payload[2..]);
            }
            24 => {}
            _ => self.partial = payload.to_vec(),
        }
        if packet.header.marker {
            self.slices.insert(packet.header.timestamp, std::mem::take(&mut self.partial));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_gets_picture_sound_and_announcement() {
    let (deliver, rendition) = (deliver(), rendition());
    let feed = feed(&deliver, &rendition);
    feed.announce(Bytes::from_static(b"old"));
    feed.announce(Bytes::from_static(br#"{"rev":7}"#));
    let encoder = Encoder::start(&feed, &rendition);
    let (mut viewer, joined) = Viewer::join(&deliver, &feed, true).await;
    let watched = viewer.watch(30, true, true).await;

    let made = encoder.slices.lock().unwrap().clone();
    for (timestamp, slice) in &watched.slices {
        assert!(made[timestamp] == *slice, "frame {timestamp}");
    }
    let first = watched.slices.iter().min_by_key(|(timestamp, _)| timestamp.wrapping_sub(BASE.get())).unwrap().1;
    assert_eq!(first[0] & 0x1f, 5, "it begins with an IDR");
    assert!(watched.sounds.iter().all(|packet| packet.payload[0] == 7));
    let gaps = watched.sounds.windows(2).map(|pair| pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp));
    assert!(gaps.into_iter().all(|gap| gap == 800));
    assert_eq!(watched.messages, [r#"{"rev":7}"#], "the newest alone");
    assert_eq!((feed.viewers(), rendition.watching()), (1, 1));

    feed.announce(Bytes::from_static(br#"{"rev":8}"#));
    while !matches!(viewer.next().await, Seen::Message(message) if message == r#"{"rev":8}"#) {}

    // A stuck decoder asks, and the encoder is asked.
    let asked = feed.stats().keyframes_asked;
    let track = viewer.track.lock().unwrap().clone().unwrap();
    let media_ssrc = track.ssrcs().await[0];
    let pli =
        rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication { sender_ssrc: 1, media_ssrc };
    track.write_rtcp(vec![Box::new(pli)]).await.unwrap();
    until(|| feed.stats().keyframes_asked > asked).await;

    let stats = feed.stats();
    assert_eq!((stats.joins, stats.connected, stats.left, stats.send_errors), (1, 1, 0, 0));
    assert!(stats.latency.count > 20 && stats.latency.p99 < Duration::from_millis(60), "{stats:?}");
    assert!(stats.keyframe_requests >= 1);

    assert!(deliver.leave(&joined.resource));
    assert!(!deliver.leave(&joined.resource), "once");
    while !matches!(viewer.next().await, Seen::ChannelClosed) {}
    until(|| feed.viewers() == 0 && rendition.watching() == 0).await;
    assert_eq!(deliver.stats().left, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_viewers_cost_one_packetizing() {
    let (deliver, rendition) = (deliver(), rendition());
    let feed = feed(&deliver, &rendition);
    let encoder = Encoder::start(&feed, &rendition);
    let mut viewers = Vec::new();
    for n in 0..10 {
        viewers.push(Viewer::join(&deliver, &feed, n % 2 == 0).await.0);
    }
    for (n, viewer) in viewers.iter_mut().enumerate() {
        assert!(!viewer.watch(10, n % 2 == 0, false).await.slices.is_empty());
    }
    drop(encoder);
    let stats = feed.stats();
    until(|| feed.viewers() == 10).await;
    assert!(stats.sent_packets > 5 * stats.video_packets.min(stats.sent_packets / 6));
    let again = feed.stats();
    assert_eq!((again.video_frames, again.video_packets), (stats.video_frames, stats.video_packets));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_are_sent_away_with_their_feed() {
    let (deliver, rendition) = (deliver(), rendition());
    let feed = feed(&deliver, &rendition);
    let encoder = Encoder::start(&feed, &rendition);
    let (mut viewer, joined) = Viewer::join(&deliver, &feed, false).await;
    viewer.watch(3, false, false).await;
    drop(encoder);
    drop(feed);
    while !matches!(viewer.next().await, Seen::ChannelClosed) {}
    until(|| deliver.stats().left == 1).await;
    assert!(!deliver.leave(&joined.resource));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_says_what_we_are() {
    let (deliver, rendition) = (deliver(), rendition());
    let feed = feed(&deliver, &rendition);
    let (_viewer, offer) = Viewer::offer(true).await;
    let answer = deliver.join(&feed, &offer, LOCAL).unwrap().answer;
    let has = |text: &str| assert!(answer.contains(text), "{text} in\n{answer}");
    has("a=ice-lite\r\n");
    has("a=setup:passive\r\n");
    has("a=sendonly\r\n");
    has(&format!(" 127.0.0.1 {} typ host", deliver.local_addr().port()));
    has("profile-level-id=42e01f");
    assert!(!answer.contains(".local"));
    assert!(!answer.contains("a=setup:active"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_closes_is_gone_at_once() {
    let (deliver, rendition) = (deliver(), rendition());
    let feed = feed(&deliver, &rendition);
    let encoder = Encoder::start(&feed, &rendition);
    let (mut viewer, _) = Viewer::join(&deliver, &feed, true).await;
    viewer.watch(3, false, false).await;
    let closing = Instant::now();
    viewer.connection.close().await.unwrap();
    until(|| feed.viewers() == 0).await;
    assert!(closing.elapsed() < Duration::from_secs(2), "{:?}", closing.elapsed());
    drop(encoder);
}

async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
