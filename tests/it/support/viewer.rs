//! A viewer that can say what it was sent: WHEP, ICE, DTLS and SRTP by the `webrtc` crate, then eyes and ears.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::{StatusCode, Url};
use rtc::interceptor::{Attribute, Interceptor, Packet, Slot, StreamInfo, TaggedPacket};
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtp::codec::h264::H264Packet;
use rtc::rtp::packetizer::Depacketizer;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder,
    register_default_interceptors,
};

use super::ear::{Beep, Ear};
use super::eye::{Eye, Frame};
use super::patience::eventually;

/// One viewer, from its POST until it is dropped.
pub struct Viewer {
    connection: Arc<dyn PeerConnection>,
    http: reqwest::Client,
    resource: Url,
    seen: Arc<Seen>,
    posted: Instant,
    answered: Instant,
}

/// How much a viewer does with what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appetite {
    /// Decrypts, decodes, keeps the last frames and all sound.
    Watching,
    /// Decrypts and counts: fifty of these fit on a machine.
    Counting,
}

/// When a picture's packets came: the first of them and the last.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub rtp: u32,
    pub first: Instant,
    pub last: Instant,
}

/// Why a viewer was not let in.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub body: String,
}

impl Viewer {
    /// Joins at a WHEP address and watches.
    pub async fn join(whep: &Url) -> Viewer {
        Viewer::try_join(whep, Appetite::Watching).await.unwrap_or_else(|refusal| panic!("{whep}: {refusal:?}"))
    }

    pub async fn try_join(whep: &Url, appetite: Appetite) -> Result<Viewer, Refusal> {
        let seen = Arc::new(Seen::default());
        let watch = match appetite {
            Appetite::Watching => Some(Seen::watch(seen.clone())),
            Appetite::Counting => None,
        };
        let (gathered, mut gathering) = tokio::sync::mpsc::unbounded_channel();
        let handler = Arc::new(Handler { seen: seen.clone(), watch, gathered });
        let connection = connect(handler).await.expect("a peer connection can be made");
        let offer = connection.create_offer(None).await.expect("an offer can be made");
        connection.set_local_description(offer).await.expect("our own offer is good");
        gathering.recv().await.expect("candidates are gathered");
        let offer = connection.local_description().await.expect("the offer was set").sdp;

        let http = reqwest::Client::new();
        let posted = Instant::now();
        let request = http.post(whep.clone()).header("content-type", "application/sdp").body(offer);
        let response = request.send().await.unwrap_or_else(|error| panic!("{whep}: {error}"));
        let (status, location) = (response.status(), response.headers().get("location").cloned());
        let body = response.text().await.unwrap_or_else(|error| panic!("{whep}: {error}"));
        if status != StatusCode::CREATED {
            let _ = connection.close().await;
            return Err(Refusal { status, body });
        }
        let location = location.expect("a 201 of WHEP has a Location (RFC 9725 §4.2)");
        let resource = whep.join(location.to_str().expect("a Location is ASCII")).expect("a Location is a URL");
        let answer = RTCSessionDescription::answer(body).expect("the answer is SDP");
        connection.set_remote_description(answer).await.expect("the answer fits the offer");
        Ok(Viewer { connection, http, resource, seen, posted, answered: Instant::now() })
    }

    /// From the POST to its answer.
    pub fn answer_took(&self) -> Duration {
        self.answered - self.posted
    }

    /// From the POST to the first decrypted RTP packet.
    pub async fn first_packet_took(&self) -> Duration {
        let first = eventually("a first RTP packet", JOINING, async || self.seen.lock().first_packet).await;
        first - self.posted
    }

    /// From the POST to the first decoded frame.
    pub async fn first_frame_took(&self) -> Duration {
        let first = eventually("a first decoded frame", JOINING, async || self.seen.lock().first_frame).await;
        first - self.posted
    }

    /// The next frame, not yet decoded when this is called, that `wanted` likes.
    pub async fn frame(&self, what: &str, limit: Duration, wanted: impl Fn(&Frame) -> bool) -> Frame {
        let mut next = self.seen.lock().decoded;
        eventually(what, limit, async || {
            let (frames, decoded) = {
                let seen = self.seen.lock();
                let new = (seen.decoded - next).min(seen.frames.len());
                (seen.frames.range(seen.frames.len() - new..).cloned().collect::<Vec<_>>(), seen.decoded)
            };
            next = decoded;
            frames.into_iter().find(|frame| wanted(frame)).map(|frame| (*frame).clone())
        })
        .await
    }

    /// The next frame with a strip in it.
    pub async fn numbered_frame(&self, limit: Duration) -> Frame {
        self.frame("a frame with the publisher's number", limit, |frame| frame.number().is_some()).await
    }

    /// The last frames, oldest first (at most `FRAMES_KEPT`).
    pub fn frames(&self) -> Vec<Arc<Frame>> {
        self.seen.lock().frames.iter().cloned().collect()
    }

    /// Every frame so far: its RTP timestamp and the publisher's number in it.
    pub fn numbers(&self) -> Vec<(u32, Option<u16>)> {
        self.seen.lock().numbers.clone()
    }

    /// Every picture that has arrived so far, decoded by then or not.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.seen.lock().arrivals.clone()
    }

    /// Waits until all that has arrived by now is decoded, and gives it with the publisher's numbers: a viewer that decodes slower
    /// than it is sent does not tell when pictures came.
    pub async fn caught_up(&self) -> Vec<(Arrival, Option<u16>)> {
        let arrivals = self.arrivals();
        let newest = arrivals.last().map_or(0, |arrival| arrival.rtp);
        eventually("what has arrived is decoded", JOINING * 3, async || {
            let decoded = self.seen.lock().numbers.last().map(|(rtp, _)| *rtp)?;
            (decoded.wrapping_sub(newest) as i32 >= 0).then_some(())
        })
        .await;
        let numbers: HashMap<u32, Option<u16>> = self.numbers().into_iter().collect();
        arrivals.into_iter().map(|arrival| (arrival, numbers.get(&arrival.rtp).copied().flatten())).collect()
    }

    /// RTP packets so far: video, audio.
    pub fn packets(&self) -> (usize, usize) {
        (self.seen.video_packets.load(Ordering::Relaxed), self.seen.audio_packets.load(Ordering::Relaxed))
    }

    /// Decoded Opus packets so far.
    pub fn heard(&self) -> usize {
        self.seen.lock().heard
    }

    /// The beeps so far, with the RTP timestamps that they began at.
    pub fn beeps(&self) -> Vec<(Beep, u32)> {
        self.seen.lock().ear.as_ref().map(Ear::beeps).unwrap_or_default()
    }

    /// The sound so far: mono, 48 kHz.
    pub fn samples(&self) -> Vec<f32> {
        self.seen.lock().ear.as_ref().map(|ear| ear.samples.clone()).unwrap_or_default()
    }

    /// How many samples of sound it heard so far.
    pub fn samples_heard(&self) -> usize {
        self.seen.lock().ear.as_ref().map_or(0, |ear| ear.samples.len())
    }

    /// The beeps after that many samples.
    pub fn beeps_after(&self, sample: usize) -> Vec<(Beep, u32)> {
        self.seen.lock().ear.as_ref().map(|ear| ear.beeps_after(sample)).unwrap_or_default()
    }

    /// Messages of the data channel, oldest first.
    pub fn messages(&self) -> Vec<String> {
        self.seen.lock().messages.clone()
    }

    /// The sender's wall clock, in seconds, at a video timestamp: by its newest sender report (RFC 3550 §6.4.1).
    pub fn video_moment(&self, rtp: u32) -> Option<f64> {
        self.seen.lock().video_report.as_ref().map(|report| moment(report, rtp, 90_000.0))
    }

    /// The same at an audio timestamp.
    pub fn audio_moment(&self, rtp: u32) -> Option<f64> {
        self.seen.lock().audio_report.as_ref().map(|report| moment(report, rtp, 48_000.0))
    }

    pub fn state(&self) -> RTCPeerConnectionState {
        self.seen.lock().state
    }

    /// The WHEP resource, to be deleted when leaving.
    pub fn resource(&self) -> &Url {
        &self.resource
    }

    /// Leaves as a good client does: DELETE, then close. Gives the status of the DELETE.
    pub async fn leave(self) -> StatusCode {
        let response = self.http.delete(self.resource.clone()).send().await;
        let status = response.unwrap_or_else(|error| panic!("{}: {error}", self.resource)).status();
        let _ = self.connection.close().await;
        status
    }

    /// Closes without a word to the server's HTTP side.
    pub async fn vanish(self) {
        let _ = self.connection.close().await;
    }
}

fn moment(report: &SenderReport, rtp: u32, rate: f64) -> f64 {
    let ntp = report.ntp_time as f64 / (1u64 << 32) as f64;
    ntp + f64::from(rtp.wrapping_sub(report.rtp_time) as i32) / rate
}

async fn connect(handler: Arc<Handler>) -> Result<Arc<dyn PeerConnection>, Error> {
    let mut media = MediaEngine::default();
    for (codec, kind) in codecs() {
        media.register_codec(codec, kind)?;
    }
    media.register_header_extension(
        RTCRtpHeaderExtensionCapability { uri: PLAYOUT_DELAY.into() },
        RtpCodecKind::Video,
        None,
    )?;
    let registry = register_default_interceptors(Registry::new(), &mut media)?;
    let registry = registry.with(Slot::JitterBuffer, ReportsToApplication::default());
    let settings = SettingEngineBuilder::new()
        .with_include_loopback_candidate(true)
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        // As browsers pace their checks (RFC 8445 §14.2); the crate's own 200 ms would be most of a join.
        .with_ice_connection_attempts(Some(Duration::from_millis(20)), Some(70))
        .build();
    let connection = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_media_engine(media)
        .with_interceptor_registry(registry)
        .with_setting_engine(settings)
        .with_handler(handler.clone())
        .with_udp_addrs(vec!["127.0.0.1:0"])
        .build()
        .await?;
    for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
        let receive = RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Recvonly, ..Default::default() };
        connection.add_transceiver_from_kind(kind, Some(receive)).await?;
    }
    let channel = connection.create_data_channel("hawker", None).await?;
    tokio::spawn(collect(channel, handler.seen.clone()));
    Ok(Arc::new(connection))
}

/// What Chromium offers, as far as it matters here.
fn codecs() -> [(RTCRtpCodecParameters, RtpCodecKind); 3] {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.into(), parameter: parameter.into() };
    let codec = |mime: &str, clock_rate, channels, fmtp: &str, rtcp_feedback, payload_type| RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: mime.into(),
            clock_rate,
            channels,
            sdp_fmtp_line: fmtp.into(),
            rtcp_feedback,
        },
        payload_type,
    };
    let h264 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
    let wishes = vec![feedback("nack", ""), feedback("nack", "pli"), feedback("ccm", "fir")];
    [
        (codec(MIME_TYPE_H264, 90_000, 0, h264, wishes, 102), RtpCodecKind::Video),
        (codec(MIME_TYPE_RTX, 90_000, 0, "apt=102", Vec::new(), 103), RtpCodecKind::Video),
        (codec(MIME_TYPE_OPUS, 48_000, 2, "minptime=10;useinbandfec=1", Vec::new(), 111), RtpCodecKind::Audio),
    ]
}

const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// What the connection's callbacks write and the trial reads.
#[derive(Default)]
struct Seen {
    inner: Mutex<Record>,
    video_packets: AtomicUsize,
    audio_packets: AtomicUsize,
}

#[derive(Default)]
struct Record {
    state: RTCPeerConnectionState,
    first_packet: Option<Instant>,
    first_frame: Option<Instant>,
    decoded: usize,
    frames: VecDeque<Arc<Frame>>,
    numbers: Vec<(u32, Option<u16>)>,
    arrivals: Vec<Arrival>,
    ear: Option<Ear>,
    heard: usize,
    messages: Vec<String>,
    video_report: Option<SenderReport>,
    audio_report: Option<SenderReport>,
}

impl Record {
    fn note_arrival(&mut self, rtp: u32, at: Instant) {
        match self.arrivals.last_mut() {
            Some(newest) if newest.rtp == rtp => newest.last = at,
            // A packet that comes again belongs to a picture that was there.
            Some(newest) if (rtp.wrapping_sub(newest.rtp) as i32) < 0 => {}
            _ => self.arrivals.push(Arrival { rtp, first: at, last: at }),
        }
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.inner.lock().expect("no panic while the record is held")
    }

    /// A thread that decodes what it is given until the viewer is gone.
    fn watch(seen: Arc<Seen>) -> mpsc::Sender<Heard> {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut eye = Eye::open();
            seen.lock().ear = Some(Ear::open());
            for heard in receiver {
                match heard {
                    Heard::Picture { access_unit, rtp, arrived } => {
                        let Some(frame) = eye.see(&access_unit, rtp, arrived) else { continue };
                        let number = frame.number();
                        let mut record = seen.lock();
                        record.first_frame.get_or_insert_with(Instant::now);
                        record.numbers.push((frame.rtp, number));
                        record.decoded += 1;
                        if record.frames.len() == FRAMES_KEPT {
                            record.frames.pop_front();
                        }
                        record.frames.push_back(Arc::new(frame));
                    }
                    Heard::Sound { packet, rtp } => {
                        let mut record = seen.lock();
                        let good = record.ear.as_mut().is_some_and(|ear| ear.hear(&packet, rtp));
                        record.heard += usize::from(good);
                    }
                }
            }
        });
        sender
    }
}

/// Three seconds at 30 frames a second.
pub const FRAMES_KEPT: usize = 90;
const JOINING: Duration = Duration::from_secs(20);

enum Heard {
    Picture { access_unit: Vec<u8>, rtp: u32, arrived: Instant },
    Sound { packet: Bytes, rtp: u32 },
}

struct Handler {
    seen: Arc<Seen>,
    watch: Option<mpsc::Sender<Heard>>,
    gathered: tokio::sync::mpsc::UnboundedSender<()>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.send(());
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.seen.lock().state = state;
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        tokio::spawn(collect(channel, self.seen.clone()));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let (seen, watch) = (self.seen.clone(), self.watch.clone());
        match track.kind().await {
            RtpCodecKind::Audio => tokio::spawn(listen(track, seen, watch)),
            _ => tokio::spawn(look(track, seen, watch)),
        };
    }
}

async fn collect(channel: Arc<dyn DataChannel>, seen: Arc<Seen>) {
    while let Some(event) = channel.poll().await {
        if let DataChannelEvent::OnMessage(message) = event {
            seen.lock().messages.push(String::from_utf8_lossy(&message.data).into_owned());
        }
    }
}

async fn listen(track: Arc<dyn TrackRemote>, seen: Arc<Seen>, watch: Option<mpsc::Sender<Heard>>) {
    while let Some(event) = track.poll().await {
        match event {
            TrackRemoteEvent::OnRtpPacket(packet) => {
                seen.audio_packets.fetch_add(1, Ordering::Relaxed);
                if let Some(watch) = &watch {
                    let _ = watch.send(Heard::Sound { packet: packet.payload, rtp: packet.header.timestamp });
                }
            }
            TrackRemoteEvent::OnRtcpPacket(packets) => {
                if let Some(report) = report_in(&packets) {
                    seen.lock().audio_report = Some(report);
                }
            }
            _ => {}
        }
    }
}

async fn look(track: Arc<dyn TrackRemote>, seen: Arc<Seen>, watch: Option<mpsc::Sender<Heard>>) {
    let mut assembly = Assembly { broken: true, ..Assembly::default() };
    while let Some(event) = track.poll().await {
        match event {
            TrackRemoteEvent::OnRtpPacket(packet) => {
                let arrived = Instant::now();
                if seen.video_packets.fetch_add(1, Ordering::Relaxed) == 0 {
                    seen.lock().first_packet = Some(arrived);
                }
                seen.lock().note_arrival(packet.header.timestamp, arrived);
                let Some(watch) = &watch else { continue };
                let ssrc = packet.header.ssrc;
                let mut lost = false;
                assembly.take(packet, arrived, |assembled| match assembled {
                    Assembled::AccessUnit { bytes, rtp } => {
                        let _ = watch.send(Heard::Picture { access_unit: bytes, rtp, arrived });
                    }
                    Assembled::Loss => lost = true,
                });
                if lost {
                    let wish = PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc };
                    let _ = track.write_rtcp(vec![Box::new(wish)]).await;
                }
            }
            TrackRemoteEvent::OnRtcpPacket(packets) => {
                if let Some(report) = report_in(&packets) {
                    seen.lock().video_report = Some(report);
                }
            }
            _ => {}
        }
    }
}

fn report_in(packets: &[Box<dyn rtc::rtcp::Packet>]) -> Option<SenderReport> {
    packets.iter().find_map(|packet| packet.as_any().downcast_ref::<SenderReport>().cloned())
}

/// Packets back to access units (RFC 6184). Retransmitted packets are waited for; after a loss nothing is given until the
/// next IDR.
#[derive(Default)]
struct Assembly {
    /// Packets that came before one that is missing, by their unwrapped sequence numbers.
    waiting: BTreeMap<i64, (Instant, rtc::rtp::Packet)>,
    next: Option<i64>,
    depacketizer: H264Packet,
    access_unit: Vec<u8>,
    /// A part of the access unit in hand is missing.
    torn: bool,
    /// Nothing can be decoded before an IDR.
    broken: bool,
}

enum Assembled {
    AccessUnit { bytes: Vec<u8>, rtp: u32 },
    Loss,
}

impl Assembly {
    fn take(&mut self, packet: rtc::rtp::Packet, now: Instant, mut give: impl FnMut(Assembled)) {
        let sequence = packet.header.sequence_number;
        let next = *self.next.get_or_insert(i64::from(sequence));
        let sequence = next + i64::from(sequence.wrapping_sub(next as u16) as i16);
        if sequence < next {
            return;
        }
        self.waiting.insert(sequence, (now, packet));
        while let Some(first) = self.waiting.first_entry() {
            let patience = now.duration_since(first.get().0);
            let lost = self.next.is_some_and(|next| *first.key() != next);
            if lost && patience < RETRANSMISSION {
                return;
            }
            if lost {
                (self.torn, self.broken) = (true, true);
                give(Assembled::Loss);
            }
            let (sequence, (_, packet)) = first.remove_entry();
            self.next = Some(sequence + 1);
            if let Some(access_unit) = self.add(packet) {
                give(access_unit);
            }
        }
    }

    fn add(&mut self, packet: rtc::rtp::Packet) -> Option<Assembled> {
        match self.depacketizer.depacketize(&packet.payload) {
            Ok(part) => self.access_unit.extend_from_slice(&part),
            Err(_) => self.torn = true,
        }
        if !packet.header.marker {
            return None;
        }
        let bytes = std::mem::take(&mut self.access_unit);
        if std::mem::take(&mut self.torn) {
            self.depacketizer = H264Packet::default();
            self.broken = true;
            return None;
        }
        self.broken &= !has_idr(&bytes);
        (!self.broken).then_some(Assembled::AccessUnit { bytes, rtp: packet.header.timestamp })
    }
}

/// How long a missing packet is waited for.
const RETRANSMISSION: Duration = Duration::from_millis(300);

fn has_idr(access_unit: &[u8]) -> bool {
    access_unit.windows(5).any(|bytes| bytes[..4] == [0, 0, 0, 1] && bytes[4] & 0x1f == 5)
}

/// Marks sender reports for the application: `rtc` drops inbound RTCP otherwise.
#[derive(Default)]
struct ReportsToApplication {
    read: VecDeque<TaggedPacket>,
    written: VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for ReportsToApplication {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        if matches!(packet.message.packet, Packet::Rtcp(_)) {
            packet.message.attributes.push(Attribute::DeliverToApplication);
        }
        self.read.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.written.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.written.pop_front()
    }
}

impl Interceptor for ReportsToApplication {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
