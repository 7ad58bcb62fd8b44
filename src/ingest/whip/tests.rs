//! The whole of WHIP over loopback UDP, with publishers of another make, which speak what OBS's library does: SRTP by CM with
//! SHA-1, no retransmission format, no transport-wide numbers.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_VP8};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, RTCSessionDescription, SettingEngineBuilder,
};

use super::*;
use crate::ingest::source::{Ended, Protocol, Publication};
use crate::media::Coded;
use crate::media::access_unit::{AudioCodec, VideoCodec};

const KEY: &str = "k3y-of-the-show";
const SOON: Duration = Duration::from_secs(20);
const VIDEO: (u32, u8) = (77, 96);
const AUDIO: (u32, u8) = (88, 111);

/// Admits [`KEY`], and tells what happens to its publications.
struct FakeDirectory {
    seen: mpsc::UnboundedSender<Seen>,
    ended: CancellationToken,
}

#[derive(Debug)]
enum Seen {
    Admitted(Publisher),
    Coded(Coded),
    Described(SourceInfo),
    Dropped,
}

struct FakePublication {
    seen: mpsc::UnboundedSender<Seen>,
    ended: CancellationToken,
}

#[async_trait]
impl Directory for FakeDirectory {
    async fn check(&self, publisher: &Publisher) -> Result<(), Refused> {
        if publisher.key == KEY { Ok(()) } else { Err(Refused::UnknownKey) }
    }

    async fn admit(&self, publisher: &Publisher) -> Result<Box<dyn Publication>, Refused> {
        self.check(publisher).await?;
        self.seen.send(Seen::Admitted(publisher.clone())).unwrap();
        Ok(Box::new(FakePublication { seen: self.seen.clone(), ended: self.ended.clone() }))
    }
}

#[async_trait]
impl Publication for FakePublication {
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

impl Drop for FakePublication {
    fn drop(&mut self) {
        let _ = self.seen.send(Seen::Dropped);
    }
}

struct Server {
    whip: Arc<Whip>,
    seen: mpsc::UnboundedReceiver<Seen>,
    ended: CancellationToken,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Server {
        let (sender, seen) = mpsc::unbounded_channel();
        let (ended, stop) = (CancellationToken::new(), CancellationToken::new());
        let directory = Arc::new(FakeDirectory { seen: sender, ended: ended.clone() });
        let socket = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let whip = Arc::new(Whip::new(socket, Vec::new(), directory, limits).unwrap());
        let (serving, stopping) = (whip.clone(), stop.clone());
        let serving = tokio::spawn(async move { serving.serve(stopping).await });
        Server { whip, seen, ended, stop, serving }
    }

    async fn publish(&self, offer: &str, key: &str) -> Result<Joined, Error> {
        let peer = (Ipv4Addr::LOCALHOST, 5).into();
        let publisher = Publisher { peer, protocol: Protocol::Whip, app: "live".into(), key: key.into() };
        self.whip.publish(offer, publisher, Some("OBS/31\n")).await
    }

    async fn next(&mut self) -> Seen {
        timeout(SOON, self.seen.recv()).await.expect("something is seen soon").expect("the server runs")
    }

    /// Waits until what is seen is `wanted`.
    async fn until(&mut self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        loop {
            let seen = self.next().await;
            if wanted(&seen) {
                return seen;
            }
        }
    }

    /// Waits until this many packets of media have been read, and what they lead to has had its time.
    async fn reads_media(&self, packets: usize) {
        let read = async {
            while self.whip.routes.media_read().is_none_or(|read| read < packets) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, read).await.expect("the packets arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    /// Waits for a free seat.
    async fn room(&self) {
        let seat = timeout(SOON, self.whip.seats.acquire()).await;
        drop(seat.expect("the session ends").unwrap());
    }
}

/// A publisher on the `webrtc` crate.
struct Client {
    connection: Arc<dyn PeerConnection>,
    video: Arc<TrackLocalStaticRTP>,
    audio: Arc<TrackLocalStaticRTP>,
    state: watch::Receiver<RTCPeerConnectionState>,
    sequence: u16,
}

struct Handler {
    state: watch::Sender<RTCPeerConnectionState>,
    gathered: mpsc::UnboundedSender<()>,
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.send(());
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }
}

fn codec(mime: &str, clock_rate: u32, channels: u16, payload_type: u8) -> RTCRtpCodecParameters {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.into(), parameter: parameter.into() };
    let rtcp_feedback = vec![feedback("nack", ""), feedback("nack", "pli"), feedback("goog-remb", "")];
    let mime_type = mime.into();
    let rtp_codec = RTCRtpCodec { mime_type, clock_rate, channels, sdp_fmtp_line: String::new(), rtcp_feedback };
    RTCRtpCodecParameters { rtp_codec, payload_type }
}

fn track(kind: RtpCodecKind, ssrc: u32, codec: RTCRtpCodec) -> Arc<TrackLocalStaticRTP> {
    let rtp_coding_parameters = RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() };
    let coding = RTCRtpEncodingParameters { rtp_coding_parameters, codec, ..Default::default() };
    let track = MediaStreamTrack::new("obs".into(), kind.to_string(), kind.to_string(), kind, vec![coding]);
    Arc::new(TrackLocalStaticRTP::new(track))
}

impl Client {
    async fn offer() -> (Client, String) {
        let (vp8, opus) = (codec(MIME_TYPE_VP8, 90_000, 0, VIDEO.1), codec(MIME_TYPE_OPUS, 48_000, 2, AUDIO.1));
        let mut engine = MediaEngine::default();
        engine.register_codec(vp8.clone(), RtpCodecKind::Video).unwrap();
        engine.register_codec(opus.clone(), RtpCodecKind::Audio).unwrap();
        let settings = SettingEngineBuilder::new()
            .with_include_loopback_candidate(true)
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80])
            .with_ice_connection_attempts(Some(Duration::from_millis(20)), Some(70))
            .build();
        let (state, states) = watch::channel(RTCPeerConnectionState::New);
        let (gathered, mut complete) = mpsc::unbounded_channel();
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_setting_engine(settings)
            .with_handler(Arc::new(Handler { state, gathered }))
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build()
            .await
            .unwrap();
        let video = track(RtpCodecKind::Video, VIDEO.0, vp8.rtp_codec);
        let audio = track(RtpCodecKind::Audio, AUDIO.0, opus.rtp_codec);
        connection.add_track(video.clone()).await.unwrap();
        connection.add_track(audio.clone()).await.unwrap();
        let offer = connection.create_offer(None).await.unwrap();
        connection.set_local_description(offer).await.unwrap();
        timeout(SOON, complete.recv()).await.unwrap();
        let offer = connection.local_description().await.unwrap().sdp;
        (Client { connection: Arc::new(connection), video, audio, state: states, sequence: 65_530 }, offer)
    }

    /// Connects with the right key.
    async fn connect(server: &Server) -> (Client, Joined) {
        let (mut client, offer) = Client::offer().await;
        let joined = server.publish(&offer, KEY).await.unwrap();
        let answer = RTCSessionDescription::answer(joined.answer.clone()).unwrap();
        client.connection.set_remote_description(answer).await.unwrap();
        client.until(|state| state == RTCPeerConnectionState::Connected).await;
        (client, joined)
    }

    async fn until(&mut self, wanted: impl Fn(RTCPeerConnectionState) -> bool) {
        timeout(SOON, self.state.wait_for(|state| wanted(*state))).await.expect("the state comes").unwrap();
    }

    fn packet((ssrc, payload_type): (u32, u8), sequence: u16, timestamp: u32, payload: Vec<u8>) -> rtc::rtp::Packet {
        let header = rtc::rtp::Header {
            version: 2,
            marker: true,
            payload_type,
            sequence_number: sequence,
            timestamp,
            ssrc,
            ..Default::default()
        };
        rtc::rtp::Packet { header, payload: Bytes::from(payload) }
    }

    /// A picture in one packet, and 20 ms of sound.
    async fn send(&mut self, key: bool) {
        let nth = self.sequence;
        self.sequence = nth.wrapping_add(1);
        let picture = Client::packet(VIDEO, nth, u32::from(nth) * 3000, vec![0x10, u8::from(!key), 7]);
        let sound = Client::packet(AUDIO, nth, u32::from(nth) * 1600, vec![0xfc, 1, 2]);
        self.audio.write_rtp(sound).await.unwrap();
        self.video.write_rtp(picture).await.unwrap();
    }

    /// Sends pictures until the server has put the publisher on air.
    async fn go_on_air(&mut self, server: &mut Server) -> Publisher {
        let on_air = async {
            loop {
                self.send(true).await;
                let seen = timeout(Duration::from_millis(50), server.seen.recv()).await;
                if let Ok(Some(Seen::Admitted(publisher))) = seen {
                    break publisher;
                }
            }
        };
        timeout(SOON, on_air).await.expect("it goes on air")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_as_obs_is_goes_on_air_with_its_first_keyframe() {
    let mut server = Server::start(Limits::default()).await;
    let (mut client, joined) = Client::connect(&server).await;
    for _ in 0..5 {
        client.send(false).await;
    }
    server.reads_media(10).await;
    assert!(server.seen.try_recv().is_err(), "whoever is on air stays so until there is something to show");

    let publisher = client.go_on_air(&mut server).await;
    assert_eq!((publisher.protocol, publisher.app.as_str(), publisher.key.as_str()), (Protocol::Whip, "live", KEY));
    let Seen::Described(info) = server.next().await else { panic!("it describes itself") };
    assert_eq!(info.encoder.as_deref(), Some("OBS/31"));
    let (mut video, mut audio, mut first) = (false, false, None);
    while !(audio && first.is_some()) {
        match server.next().await {
            Seen::Coded(Coded::VideoConfig(config)) => video = config.codec == VideoCodec::Vp8,
            Seen::Coded(Coded::AudioConfig(config)) => audio = config.codec == AudioCodec::Opus,
            Seen::Coded(Coded::Video(unit)) => {
                assert!(video && unit.key && unit.data[..] == [0, 7], "{unit:?}");
                first.get_or_insert(unit.pts);
            }
            Seen::Coded(Coded::Audio(unit)) => assert!(audio && unit.data[..] == [0xfc, 1, 2], "{unit:?}"),
            other => panic!("{other:?}"),
        }
    }
    client.send(false).await;
    server.until(|seen| matches!(seen, Seen::Coded(Coded::Video(unit)) if !unit.key)).await;

    assert!(server.whip.leave(&joined.resource));
    server.until(|seen| matches!(seen, Seen::Dropped)).await;
    client.until(|state| state != RTCPeerConnectionState::Connected).await;
    assert!(!server.whip.leave(&joined.resource), "it is gone");
    server.stop.cancel();
    timeout(SOON, server.serving).await.expect("it ends").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_another_took_over_from_is_sent_away() {
    let mut server = Server::start(Limits::default()).await;
    let (mut client, joined) = Client::connect(&server).await;
    client.go_on_air(&mut server).await;
    server.ended.cancel();
    server.until(|seen| matches!(seen, Seen::Dropped)).await;
    client.until(|state| state != RTCPeerConnectionState::Connected).await;
    assert!(!server.whip.leave(&joined.resource));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_closes_its_connection_is_off_at_once() {
    let mut server = Server::start(Limits::default()).await;
    let (mut client, _) = Client::connect(&server).await;
    client.go_on_air(&mut server).await;
    client.connection.close().await.unwrap();
    let gone = timeout(Duration::from_secs(4), server.until(|seen| matches!(seen, Seen::Dropped))).await;
    gone.expect("sooner than ICE would notice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_comes_before_everything() {
    let mut server = Server::start(Limits { publishers: 0, ..Limits::default() }).await;
    for offer in ["nonsense", &offer::tests::offer(&[(96, "VP8/90000", "")])] {
        for key in ["", "k3y-of-the-shoW"] {
            let refused = server.publish(offer, key).await.unwrap_err();
            assert!(matches!(refused, Error::Refused(Refused::UnknownKey)), "{refused}");
        }
    }
    assert!(matches!(server.publish("nonsense", KEY).await, Err(Error::NotSdp(_))));
    let offer = offer::tests::offer(&[(96, "VP8/90000", "")]);
    assert!(matches!(server.publish(&offer, KEY).await, Err(Error::Full { most: 0 })));
    assert!(server.seen.try_recv().is_err(), "nobody was let in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_connects_and_who_sends_nothing_is_given_up() {
    let limits =
        Limits { publishers: 1, connect_within: Duration::from_secs(2), media_within: Duration::from_secs(15) };
    let server = Server::start(limits).await;
    let offer = offer::tests::offer(&[(96, "VP8/90000", "")]);
    server.publish(&offer, KEY).await.unwrap();
    assert!(matches!(server.publish(&offer, KEY).await, Err(Error::Full { most: 1 })));
    server.room().await;

    let limits = Limits { publishers: 1, media_within: Duration::from_secs(2), ..Limits::default() };
    let mut server = Server::start(limits).await;
    let (mut client, _) = Client::connect(&server).await;
    client.go_on_air(&mut server).await;
    server.until(|seen| matches!(seen, Seen::Dropped)).await;
    server.room().await;
}
