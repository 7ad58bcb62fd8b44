//! Sessions in simulated time over a network that loses, with `rtc` itself as the viewer.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::crypto::providers::AwsLcRsProvider;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{Interceptor, Packet, Registry, Slot, StreamInfo, TaggedPacket};
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::{
    CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCIceCandidate, RTCIceCandidateInit,
};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use super::door::Door;
use super::feed::{Core, FeedConfig, OnAir};
use super::mailbox::Wire;
use super::outgoing::MAX_DATAGRAM;
use super::ring::tests::frame;
use super::session::{End, Io, PACE, Session};
use super::stats::{Meter, Snapshot};
use super::{RTCCertificate, whep};
use crate::media::{ManualClock, MediaClock, MediaTime, Rendition, Resolution, RtpBase};

const OURS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 8189);
const THEIRS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9)), 40_000);

/// The way to the viewer: 20 ms long.
#[derive(Default)]
struct Link {
    on_the_way: VecDeque<(Instant, Vec<u8>)>,
    now: Option<Instant>,
    /// One media packet of so many is lost.
    loses_one_of: Option<u64>,
    sent: u64,
    blocked: bool,
}

impl Wire for Link {
    fn send(&mut self, to: SocketAddr, datagram: &[u8]) -> std::io::Result<()> {
        assert_eq!(to, THEIRS);
        if self.blocked {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        self.sent += 1;
        // RTCP has its packet type where RTP has marker and payload type (RFC 5761 §4).
        let media = datagram[0] >= 128 && !(200..=206).contains(&datagram[1]);
        if !media
            || self
                .loses_one_of
                .is_none_or(|of| self.sent.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 0xffff > 0xffff / of)
        {
            self.on_the_way.push_back((self.now.unwrap() + ONE_WAY, datagram.to_vec()));
        }
        Ok(())
    }
}

const ONE_WAY: Duration = Duration::from_millis(20);
const FRAME: Duration = Duration::from_millis(33);

struct World {
    now: Instant,
    clock: Arc<ManualClock>,
    session: Session,
    feed: OnAir,
    link: Link,
    viewer: RTCPeerConnection,
    /// The viewer hears and says nothing.
    dead: bool,
    back: VecDeque<(Instant, Vec<u8>)>,
    burst: Instant,
    next_frame: Option<Instant>,
    made: u64,
    /// Packets that the viewer opened, by sequence number, with timestamp and payload.
    seen: BTreeMap<u16, (u32, Vec<u8>)>,
    /// The payload that came first since this was cleared.
    first: Option<Vec<u8>>,
    reports: Reports,
}

impl World {
    fn new(role: RTCDtlsRole) -> World {
        let clock = ManualClock::new();
        let now = crate::media::Clock::now(&*clock);
        let reports = Reports::default();
        let mut viewer = viewer(now, reports.clone());
        let offer = viewer.create_offer(None).unwrap();
        viewer.set_local_description(now, offer).unwrap();
        let text = viewer.local_description().unwrap().sdp;
        let offer = whep::Offer::parse(&text).unwrap();
        let answered = whep::negotiate(&offer, 31, &[OURS], &certificate(), now, role).unwrap();
        viewer.set_remote_description(now, RTCSessionDescription::answer(answered.sdp.clone()).unwrap()).unwrap();

        let rendition = Arc::new(Rendition::new(Resolution::new(1280, 720), 30, 1));
        let clock_of_media = MediaClock::new(clock.clone(), crate::media::Clock::wall(&*clock), MediaTime::ZERO);
        let config = FeedConfig { name: "show".into(), rendition, rtp: RtpBase::new(0), clock: clock_of_media };
        let meter = Meter { feed: Arc::default(), all: Arc::default() };
        let feed = OnAir::new(Arc::new(Core::new(1, config, meter)));
        let seat = Door::new(1).admit(THEIRS.ip()).unwrap();
        let session = Session::new(7, 1, seat, "resource".into(), vec![OURS], answered, now);
        World {
            now,
            clock,
            session,
            feed,
            link: Link::default(),
            viewer,
            dead: false,
            back: VecDeque::new(),
            burst: now,
            next_frame: None,
            made: 0,
            seen: BTreeMap::new(),
            first: None,
            reports,
        }
    }

    /// Lets time pass, a millisecond at a time.
    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end && self.session.ended().is_none() {
            self.step();
        }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        self.clock.advance(Duration::from_millis(1));
        let now = self.now;
        self.link.now = Some(now);
        let mut datagram = [0; MAX_DATAGRAM];
        let mut io = Io { wire: &mut self.link, datagram: &mut datagram, clock: &*self.clock };
        while self.back.front().is_some_and(|(at, _)| *at <= now) {
            let (_, datagram) = self.back.pop_front().unwrap();
            self.session.receive(now, THEIRS, &datagram, &mut self.feed, &mut io);
        }
        if self.next_frame.is_some_and(|at| at <= now) {
            self.next_frame = Some(now + FRAME);
            let key = self.feed.core.rendition.take_keyframe_wanted() || self.made == 0;
            let next = frame(self.made, if key { 20 } else { 5 }, key);
            self.made = next.end();
            if key {
                self.feed.keyframes.came(now);
            }
            self.feed.ring.push(now, next.clone());
            self.session.pushed(now, &next, &mut self.feed, &mut io);
        }
        let bursts = self.session.is_behind() && self.burst <= now;
        if self.session.due() <= now || bursts {
            self.burst = now + PACE;
            self.session.tick(now, &mut self.feed, &mut io);
        }
        self.feed.keyframes.tick(now);
        self.step_viewer();
    }

    fn step_viewer(&mut self) {
        let now = self.now;
        while self.link.on_the_way.front().is_some_and(|(at, _)| *at <= now) {
            let (_, datagram) = self.link.on_the_way.pop_front().unwrap();
            let transport = TransportContext {
                local_addr: THEIRS,
                peer_addr: OURS,
                transport_protocol: TransportProtocol::UDP,
                ecn: None,
            };
            if !self.dead {
                let message = BytesMut::from(&datagram[..]);
                self.viewer.handle_read(TaggedBytesMut { now, transport, message }).unwrap();
                while self.viewer.poll_event().is_some() {}
            }
        }
        if self.dead {
            return;
        }
        if self.viewer.poll_timeout().is_some_and(|at| at <= now) {
            self.viewer.handle_timeout(now).unwrap();
        }
        while self.viewer.poll_event().is_some() {}
        while let Some(message) = self.viewer.poll_read() {
            if let RTCMessage::RtpPacket(_, packet) = message.message {
                let payload = packet.payload.to_vec();
                self.first.get_or_insert_with(|| payload.clone());
                self.seen.insert(packet.header.sequence_number, (packet.header.timestamp, payload));
            }
        }
        while let Some(message) = self.viewer.poll_write() {
            self.back.push_back((now + ONE_WAY, message.message.to_vec()));
        }
    }

    /// Runs until the viewer watches and frames flow.
    fn connect(&mut self) {
        self.next_frame = Some(self.now);
        let start = self.now;
        while !self.session.is_watching() || self.seen.is_empty() {
            self.step();
            assert!(self.now < start + Duration::from_secs(10), "connected in time");
        }
    }

    fn stats(&self) -> Snapshot {
        self.feed.core.meter.feed.snapshot()
    }

    /// The sequence numbers that are missing between the first and the last seen.
    fn holes(&self) -> usize {
        let (first, last) = (self.seen.keys().next().unwrap(), self.seen.keys().next_back().unwrap());
        usize::from(last - first) + 1 - self.seen.len()
    }
}

fn viewer(now: Instant, reports: Reports) -> RTCPeerConnection {
    let mut engine = MediaEngine::default();
    engine.register_default_codecs().unwrap();
    let copier = Copier { reports, ..Copier::default() };
    let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
    let registry = registry.with(Slot::JitterBuffer, copier);
    let setting = SettingEngineBuilder::new()
        .with_crypto_provider(Arc::new(AwsLcRsProvider::new()))
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .build();
    let mut viewer = RTCPeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .with_setting_engine(setting)
        .build(now)
        .unwrap();
    for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
        let direction = RTCRtpTransceiverDirection::Recvonly;
        let init = RTCRtpTransceiverInit { direction, streams: vec![], send_encodings: vec![] };
        viewer.add_transceiver_from_kind(kind, Some(init)).unwrap();
    }
    viewer.create_data_channel("hawker", None).unwrap();
    let base_config = CandidateConfig {
        network: "udp".into(),
        address: THEIRS.ip().to_string(),
        port: THEIRS.port(),
        component: 1,
        ..CandidateConfig::default()
    };
    let candidate = CandidateHostConfig { base_config, ..CandidateHostConfig::default() }.new_candidate_host().unwrap();
    viewer.add_local_candidate(RTCIceCandidate::from(&candidate).to_json().unwrap()).unwrap();
    viewer.add_local_candidate(RTCIceCandidateInit::default()).unwrap();
    viewer
}

fn certificate() -> RTCCertificate {
    super::certificate().unwrap()
}

#[test]
fn the_outbound_keys_are_heard_in_both_dtls_roles() {
    for role in [RTCDtlsRole::Server, RTCDtlsRole::Client] {
        let mut world = World::new(role);
        world.connect();
        world.run(Duration::from_millis(500));
        assert!(world.seen.len() > 50, "{role:?}: {} packets opened", world.seen.len());
    }
}

#[test]
fn lost_packets_come_again() {
    let mut world = World::new(RTCDtlsRole::Server);
    world.connect();
    world.link.loses_one_of = Some(10);
    world.run(Duration::from_secs(5));
    world.link.loses_one_of = None;
    world.run(Duration::from_secs(1));
    let stats = world.stats();
    assert!(stats.retransmitted_packets > 50, "{stats:?}");
    assert_eq!(world.holes(), 0, "{stats:?}");
    for (timestamp, payload) in world.seen.values() {
        // What came is what was made, first time or again.
        let (frame, _) = match world.feed.ring.locate(u64::from(*timestamp / 3000)) {
            Some(found) => found,
            None => continue,
        };
        assert!((0..frame.payloads.len()).any(|nth| frame.payloads.get(nth) == payload));
    }
}

#[test]
fn a_viewer_that_falls_silent_gets_no_media_and_then_is_gone() {
    let mut world = World::new(RTCDtlsRole::Server);
    world.connect();
    world.run(Duration::from_secs(1));
    world.dead = true;
    let died = world.now;
    world.run(Duration::from_secs(12));
    let sent = world.stats().sent_packets;
    world.run(Duration::from_secs(3));
    assert_eq!(world.stats().sent_packets, sent, "no media into the void");
    world.run(Duration::from_secs(30));
    assert!(matches!(world.session.ended(), Some(End::Lost | End::Silent)));
    assert!(world.now - died <= Duration::from_secs(31), "{:?}", world.now - died);
}

#[test]
fn a_viewer_that_comes_back_goes_on_from_an_idr() {
    let mut world = World::new(RTCDtlsRole::Server);
    world.connect();
    world.run(Duration::from_secs(1));
    world.dead = true;
    world.run(Duration::from_secs(11));
    world.dead = false;
    world.first = None;
    world.run(Duration::from_secs(4));
    assert!(world.session.ended().is_none());
    let first = world.first.expect("media flows again");
    assert_eq!((first[0] & 0x1f, first[1]), (28, 0x85), "an IDR's first fragment");
}

#[test]
fn who_never_connects_is_gone_after_fifteen_seconds() {
    let mut world = World::new(RTCDtlsRole::Server);
    world.dead = true;
    let start = world.now;
    world.run(Duration::from_secs(60));
    assert_eq!(world.session.ended(), Some(End::NeverConnected));
    assert!(world.now - start <= Duration::from_millis(15_100), "{:?}", world.now - start);
}

#[test]
fn who_is_held_up_goes_on_from_an_idr() {
    let mut world = World::new(RTCDtlsRole::Server);
    world.connect();
    world.run(Duration::from_secs(1));
    world.link.blocked = true;
    world.run(Duration::from_millis(600));
    assert!(world.stats().lagged >= 1);
    world.link.blocked = false;
    world.first = None;
    world.run(Duration::from_secs(1));
    assert!(world.stats().send_errors > 0);
    let first = world.first.expect("media flows again");
    assert_eq!((first[0] & 0x1f, first[1]), (28, 0x85), "an IDR's first fragment");
}

#[test]
fn sound_and_picture_are_related_to_one_wall_clock() {
    let mut world = World::new(RTCDtlsRole::Server);
    world.connect();
    world.run(Duration::from_millis(3500));
    let reports = world.reports.0.lock().unwrap();
    assert!(reports.len() >= 8, "two a second, the first at once: {}", reports.len());
    // 2026-01-01, in NTP's seconds.
    let start: u64 = 1_767_225_600 + 2_208_988_800;
    for pair in reports.chunks_exact(2) {
        let [video, audio] = pair else { panic!("in pairs") };
        assert_ne!(video.ssrc, audio.ssrc);
        assert_eq!(video.ntp_time, audio.ntp_time);
        // The show and its wall clock began together, and RTP time at 0.
        let seconds = (video.ntp_time - (start << 32)) as f64 / 2f64.powi(32);
        assert!((seconds - f64::from(video.rtp_time) / 90_000.0).abs() < 1e-4, "{seconds}: {video:?}");
        assert!((seconds - f64::from(audio.rtp_time) / 48_000.0).abs() < 1e-4, "{seconds}: {audio:?}");
    }
    assert!(reports.last().unwrap().packet_count == 0, "no sound was made");
    assert!(reports[reports.len() - 2].packet_count > 300);
}

/// The sender reports that reach the viewer.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<SenderReport>>>);

/// Copies sender reports as they pass.
#[derive(Default)]
struct Copier {
    reports: Reports,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Copier {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = rtc::shared::error::Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Self::Error> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            let reports = packets.iter().filter_map(|packet| packet.as_any().downcast_ref::<SenderReport>());
            self.reports.0.lock().unwrap().extend(reports.cloned());
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Self::Error> {
        self.writes.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for Copier {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
