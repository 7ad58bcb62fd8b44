//! One viewer, from its answered offer to its end. It does no I/O and reads no clock: datagrams and time come in as
//! arguments, datagrams go out through a [`Wire`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use rtc::data_channel::RTCDataChannelId;
use rtc::peer_connection::RTCPeerConnection;
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::RTCDtlsTransportState;
use rtc::rtcp;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::source_description::{SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use super::door::Seat;
use super::feed::{FeedId, OnAir};
use super::feedback::{Feedback, Inbox};
use super::mailbox::{Sound, Wire};
use super::outgoing::{MAX_DATAGRAM, Outgoing, Streams, Sum};
use super::packetize::Packets;
use super::resends::Resends;
use super::stats::{Meter, Stats};
use super::tap::Tap;
use super::view::View;
use super::whep::{Answered, STREAM, random};
use crate::media::Clock;

pub(super) type SessionId = u64;

/// A viewer.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) feed: FeedId,
    /// Our ICE username fragment, by which its first checks are known.
    pub(super) ufrag: String,
    /// The WHEP resource: who knows it may end the session.
    pub(super) resource: String,
    /// Addresses that proved to be the viewer's since the shard last looked.
    pub(super) proven: Vec<SocketAddr>,
    seat: Seat,
    connection: RTCPeerConnection,
    tap: Arc<Tap>,
    inbox: Inbox,
    streams: Streams,
    /// The host candidates; `rtc` wants to know at which of them a datagram came in.
    candidates: Vec<SocketAddr>,
    phase: Phase,
    /// Where media goes: the address pair that ICE chose.
    to: Option<SocketAddr>,
    channel: Option<RTCDataChannelId>,
    /// The newest announcement sent.
    told: u64,
    /// When the viewer last sent anything.
    heard: Instant,
    /// When the connection has something to do.
    timer: Instant,
    feedback: Vec<Feedback>,
}

enum Phase {
    Joining { until: Instant },
    Watching(Box<Watching>),
    Ended(End),
}

struct Watching {
    outgoing: Outgoing,
    view: View,
    /// No media before this: a viewer takes none until it has made its keys, which the answer to our last handshake
    /// message shows. Without one the moment passes.
    held: Option<Instant>,
    /// ICE hears nothing from the viewer: no media until it does.
    paused: bool,
    report: Instant,
    resends: Resends,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The viewer closed its connection, or its address answers no more.
    Lost,
    /// No connection came up in time.
    NeverConnected,
    /// Nothing was heard for long.
    Silent,
    /// The viewer's DELETE, the feed's end, or the server's.
    Left,
    /// Its connection came up without SRTP keys that we can seal with.
    Keyless,
}

/// What a session works with.
pub(super) struct Io<'a> {
    pub(super) wire: &'a mut dyn Wire,
    pub(super) datagram: &'a mut [u8; MAX_DATAGRAM],
    /// For latencies: media runs on it, the network on real time.
    pub(super) clock: &'a dyn Clock,
}

impl Session {
    pub(super) fn new(
        id: SessionId,
        feed: FeedId,
        seat: Seat,
        resource: String,
        candidates: Vec<SocketAddr>,
        answered: Answered,
        now: Instant,
    ) -> Session {
        Session {
            id,
            feed,
            ufrag: answered.ufrag,
            resource,
            proven: Vec::new(),
            seat,
            connection: answered.connection,
            tap: answered.tap,
            inbox: answered.inbox,
            streams: answered.streams,
            candidates,
            phase: Phase::Joining { until: now + JOIN_DEADLINE },
            to: None,
            channel: None,
            told: 0,
            heard: now,
            timer: now,
            feedback: Vec::new(),
        }
    }

    /// A datagram came from the viewer, or from someone who claims to be.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        feed: &mut OnAir,
        io: &mut Io<'_>,
    ) {
        let Some(local) = self.candidates.iter().find(|candidate| candidate.is_ipv4() == from.is_ipv4()) else {
            return;
        };
        self.heard = now;
        let transport = TransportContext {
            local_addr: *local,
            peer_addr: from,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        let was_watching = self.is_watching();
        let message = TaggedBytesMut { now, transport, message: BytesMut::from(datagram) };
        if let Err(error) = self.connection.handle_read(message) {
            tracing::trace!(viewer = self.id, %error, "a datagram was not understood");
        }
        self.turn(now, feed, io);
        if datagram.first() == Some(&DTLS_ALERT) && self.is_closed() {
            self.phase = Phase::Ended(End::Lost);
        }
        if let Phase::Watching(watching) = &mut self.phase
            && was_watching
            && datagram.first().is_some_and(|&first| first > STUN_LAST)
            && watching.held.take().is_some()
        {
            self.flow(now, feed, io);
        }
    }

    /// Whether the viewer closed DTLS. `rtc` then still calls the connection connected.
    fn is_closed(&self) -> bool {
        let dtls = self.connection.sctp().map(|sctp| sctp.transport().state());
        dtls.is_some_and(|state| matches!(state, RTCDtlsTransportState::Closed | RTCDtlsTransportState::Failed))
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant, feed: &mut OnAir, io: &mut Io<'_>) {
        if self.timer <= now {
            if let Err(error) = self.connection.handle_timeout(now) {
                tracing::debug!(viewer = self.id, %error, "a timeout was not handled");
            }
            self.turn(now, feed, io);
        }
        match &mut self.phase {
            Phase::Joining { until } if *until <= now => self.phase = Phase::Ended(End::NeverConnected),
            Phase::Watching(_) if now.saturating_duration_since(self.heard) >= SILENCE => {
                self.phase = Phase::Ended(End::Silent);
            }
            Phase::Watching(watching) => {
                watching.held = watching.held.filter(|&until| until > now);
                if watching.view.tick(now, &feed.ring) {
                    feed.core.meter.add(|stats| &stats.lagged, 1);
                    feed.want_keyframe(now);
                }
                if watching.report <= now {
                    self.report(now, feed);
                    self.turn(now, feed, io);
                }
                self.announce(now, feed, io);
                self.flow(now, feed, io);
            }
            _ => {}
        }
    }

    /// A frame of the feed was pushed: it is in the ring.
    pub(super) fn pushed(&mut self, now: Instant, frame: &Packets, feed: &mut OnAir, io: &mut Io<'_>) {
        let Phase::Watching(watching) = &mut self.phase else { return };
        if watching.paused {
            return;
        }
        watching.view.pushed(frame);
        self.flow(now, feed, io);
    }

    /// An audio packet of the feed came.
    pub(super) fn sound(&mut self, sound: &Sound, feed: &OnAir, io: &mut Io<'_>) {
        let (Phase::Watching(watching), Some(to)) = (&mut self.phase, self.to) else { return };
        if watching.paused || watching.held.is_some() {
            return;
        }
        if let Some(length) = watching.outgoing.audio(io.datagram, sound.timestamp, &sound.payload) {
            let mut tally = Tally::default();
            tally.send(to, length, io);
            tally.count(&feed.core.meter);
        }
    }

    /// Sends the feed's newest announcement, unless it was sent, or the channel still holds too much.
    pub(super) fn announce(&mut self, now: Instant, feed: &mut OnAir, io: &mut Io<'_>) {
        let Some(id) = self.channel.filter(|_| self.told < feed.announced.number) else { return };
        let Some(mut channel) = self.connection.data_channel(id) else { return };
        if channel.outstanding_bytes() > MOST_OUTSTANDING {
            return;
        }
        self.told = feed.announced.number;
        if let Err(error) = channel.send_text(now, &*feed.announced.text) {
            tracing::debug!(viewer = self.id, %error, "an announcement was not sent");
        }
        self.turn(now, feed, io);
    }

    /// Ends the session and tells the viewer.
    pub(super) fn leave(&mut self, feed: &mut OnAir, now: Instant, io: &mut Io<'_>) {
        if let Err(error) = self.connection.close() {
            tracing::debug!(viewer = self.id, %error, "a connection was not closed");
        }
        self.turn(now, feed, io);
        self.phase = Phase::Ended(End::Left);
    }

    pub(super) fn ended(&self) -> Option<End> {
        if let Phase::Ended(end) = self.phase { Some(end) } else { None }
    }

    pub(super) fn is_watching(&self) -> bool {
        matches!(self.phase, Phase::Watching(_))
    }

    /// When [`Session::tick`] has something to do.
    pub(super) fn due(&self) -> Instant {
        match &self.phase {
            Phase::Joining { until } => self.timer.min(*until),
            Phase::Watching(watching) => {
                let soon = watching.view.due();
                let due = self.timer.min(watching.report).min(self.heard + SILENCE);
                soon.into_iter().chain(watching.held).fold(due, Instant::min)
            }
            Phase::Ended(_) => self.timer,
        }
    }

    /// Whether packets wait for their turn: [`Session::tick`] again in [`PACE`].
    pub(super) fn is_behind(&self) -> bool {
        let Phase::Watching(watching) = &self.phase else { return false };
        !watching.paused && watching.held.is_none() && matches!(watching.view, View::Flowing { behind: Some(_), .. })
    }

    /// Takes everything from the connection that it has to say: datagrams, events, messages, feedback.
    fn turn(&mut self, now: Instant, feed: &mut OnAir, io: &mut Io<'_>) {
        loop {
            self.write(io);
            let Some(event) = self.connection.poll_event() else { break };
            match event {
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => self.state(state, now, feed),
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) => {
                    self.opened(id, now, feed, io)
                }
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(id)) if self.channel == Some(id) => {
                    self.channel = None;
                }
                _ => {}
            }
        }
        while self.connection.poll_read().is_some() {
            feed.core.meter.add(|stats| &stats.messages_dropped, 1);
        }
        self.write(io);
        self.inbox.swap(&mut self.feedback);
        if !self.feedback.is_empty() {
            self.answer_feedback(now, feed, io);
        }
        self.timer = self.connection.poll_timeout().unwrap_or(now + IDLE).max(now + Duration::from_millis(1));
    }

    /// Sends what the connection has written.
    fn write(&mut self, io: &mut Io<'_>) {
        while let Some(message) = self.connection.poll_write() {
            let (to, datagram) = (message.transport.peer_addr, &message.message);
            match datagram.first() {
                // A check was answered, so it was authentic: the address is the viewer's.
                Some(1) if datagram.get(1) == Some(&1) => {
                    if !self.proven.contains(&to) {
                        self.proven.push(to);
                    }
                }
                Some(0..=STUN_LAST) | None => {}
                // All but STUN goes where ICE chose.
                Some(_) => self.to = Some(to),
            }
            // Lost here is lost on the way: every protocol that speaks through `rtc` repeats itself.
            if let Err(error) = io.wire.send(to, datagram) {
                tracing::trace!(viewer = self.id, %error, "a datagram was not sent");
            }
        }
    }

    fn state(&mut self, state: RTCPeerConnectionState, now: Instant, feed: &mut OnAir) {
        match (&mut self.phase, state) {
            (Phase::Joining { .. }, RTCPeerConnectionState::Connected) => self.connected(now, feed),
            (Phase::Watching(watching), RTCPeerConnectionState::Connected) if watching.paused => {
                watching.paused = false;
                watching.view = View::wait(now);
                feed.want_keyframe(now);
            }
            (Phase::Watching(watching), RTCPeerConnectionState::Disconnected) => {
                watching.paused = true;
                watching.view = View::wait(now);
            }
            (
                Phase::Joining { .. } | Phase::Watching(_),
                RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed,
            ) => {
                self.phase = Phase::Ended(End::Lost);
            }
            _ => {}
        }
    }

    /// ICE and DTLS are through: from here on we send.
    fn connected(&mut self, now: Instant, feed: &mut OnAir) {
        let Some(keys) = self.tap.take() else {
            self.phase = Phase::Ended(End::Keyless);
            return;
        };
        let outgoing = Outgoing::new(&keys, &self.streams, || u16::from_be_bytes(random()));
        let view = View::join(now, &feed.ring);
        if view.waits() {
            feed.want_keyframe(now);
        }
        self.seat.settle();
        feed.core.meter.add(|stats| &stats.connected, 1);
        let resends = Resends::new(now);
        let watching =
            Watching { outgoing, view, held: Some(now + HOLD), paused: false, report: now + REPORT_INTERVAL, resends };
        self.phase = Phase::Watching(Box::new(watching));
        // The first report goes ahead of the first packets, so that sound and picture are in sync from the start.
        self.report(now, feed);
    }

    fn opened(&mut self, id: RTCDataChannelId, now: Instant, feed: &mut OnAir, io: &mut Io<'_>) {
        let ours = self.connection.data_channel(id).is_some_and(|channel| channel.label() == STREAM);
        if ours && self.channel.is_none() {
            self.channel = Some(id);
            self.announce(now, feed, io);
        }
    }

    /// Writes sender reports of both streams, relating their RTP time to the one wall clock of the feed (RFC 3550 §6.4.1).
    fn report(&mut self, now: Instant, feed: &OnAir) {
        let Phase::Watching(watching) = &mut self.phase else { return };
        watching.report = now + REPORT_INTERVAL;
        let (video, audio) = watching.outgoing.sums();
        let at = feed.core.clock.now();
        let ntp_time = ntp(feed.core.clock.wall(at));
        let reports = [Some((video, feed.core.rtp.video(at))), audio.map(|audio| (audio, feed.core.rtp.audio(at)))];
        for (sum, rtp_time) in reports.into_iter().flatten() {
            let Sum { ssrc, packets, octets } = sum;
            let report = SenderReport {
                ssrc,
                ntp_time,
                rtp_time,
                packet_count: packets,
                octet_count: octets,
                ..Default::default()
            };
            let name =
                SourceDescriptionItem { sdes_type: SdesType::SdesCname, text: Bytes::from_static(STREAM.as_bytes()) };
            let description =
                SourceDescription { chunks: vec![SourceDescriptionChunk { source: ssrc, items: vec![name] }] };
            let compound: Vec<Box<dyn rtcp::Packet>> = vec![Box::new(report), Box::new(description)];
            let message = TaggedRTCMessage { now, message: RTCMessage::RtcpPacket("video".into(), compound) };
            if let Err(error) = self.connection.handle_write(message) {
                tracing::debug!(viewer = self.id, %error, "a sender report was not written");
            }
        }
    }

    fn answer_feedback(&mut self, now: Instant, feed: &mut OnAir, io: &mut Io<'_>) {
        let (Phase::Watching(watching), Some(to)) = (&mut self.phase, self.to) else { return };
        let mut tally = Tally::default();
        for feedback in self.feedback.drain(..) {
            match feedback {
                Feedback::Keyframe => {
                    feed.core.meter.add(|stats| &stats.keyframe_requests, 1);
                    feed.want_keyframe(now);
                }
                Feedback::Lost { ssrc, sequences } if ssrc == watching.outgoing.video_ssrc() => {
                    feed.core.meter.add(|stats| &stats.nacked_packets, sequences.len() as u64);
                    for sequence in sequences {
                        let Some(sent) = watching.outgoing.sent(sequence) else { continue };
                        let Some((frame, nth)) = feed.ring.locate(sent.place) else { continue };
                        if !watching.resends.may(now, sent.place) {
                            continue;
                        }
                        let length = watching.outgoing.again(io.datagram, sent, frame, nth);
                        tally.resent += 1;
                        tally.send(to, length, io);
                    }
                }
                Feedback::Lost { .. } => {}
            }
        }
        tally.count(&feed.core.meter);
    }

    /// Sends packets up to the newest, at most [`BURST`] at a time.
    fn flow(&mut self, now: Instant, feed: &mut OnAir, io: &mut Io<'_>) {
        let (Phase::Watching(watching), Some(to)) = (&mut self.phase, self.to) else { return };
        let View::Flowing { next, behind, live } = &mut watching.view else { return };
        if watching.held.is_some() {
            return;
        }
        let mut tally = Tally::default();
        let mut lost_place = false;
        let end = feed.ring.end();
        while *next < end && tally.tried < BURST {
            let Some((frame, nth)) = feed.ring.locate(*next) else {
                lost_place = true;
                break;
            };
            let length = watching.outgoing.video(io.datagram, frame, nth);
            if !tally.send(to, length, io) {
                break;
            }
            watching.outgoing.advance(frame.payloads.get(nth).len());
            *next += 1;
            if *next == end
                && *live
                && let Some(arrived) = frame.arrived
            {
                feed.core.meter.latency(io.clock.now().saturating_duration_since(arrived));
            }
        }
        if lost_place {
            watching.view = View::wait(now);
        } else if *next >= end {
            (*behind, *live) = (None, true);
        } else {
            behind.get_or_insert(now);
        }
        tally.count(&feed.core.meter);
        if lost_place {
            feed.want_keyframe(now);
        }
    }
}

/// Media packets sent in one go, counted together.
#[derive(Default)]
struct Tally {
    tried: usize,
    packets: u64,
    bytes: u64,
    errors: u64,
    resent: u64,
}

impl Tally {
    /// Sends the datagram that was sealed; false when the socket takes no more for now. Any other failure is a loss on the
    /// way, and the viewer will ask for the packet.
    fn send(&mut self, to: SocketAddr, length: usize, io: &mut Io<'_>) -> bool {
        self.tried += 1;
        match io.wire.send(to, &io.datagram[..length]) {
            Ok(()) => {
                self.packets += 1;
                self.bytes += length as u64;
                true
            }
            Err(error) => {
                self.errors += 1;
                error.kind() != std::io::ErrorKind::WouldBlock
            }
        }
    }

    fn count(&self, meter: &Meter) {
        let add = |counter: fn(&Stats) -> &AtomicU64, amount: u64| {
            if amount > 0 {
                meter.add(counter, amount);
            }
        };
        add(|stats| &stats.sent_packets, self.packets);
        add(|stats| &stats.sent_bytes, self.bytes);
        add(|stats| &stats.send_errors, self.errors);
        add(|stats| &stats.retransmitted_packets, self.resent);
    }
}

/// NTP's 64 bits of seconds since 1900 (RFC 5905 §6).
fn ntp(wall: SystemTime) -> u64 {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    ((since.as_secs() + SECONDS_1900_TO_1970) << 32) | fraction
}

/// How soon one who is behind may be sent the next burst. 64 packets in 2 ms are 300 Mbit/s.
pub(super) const PACE: Duration = Duration::from_millis(2);
const BURST: usize = 64;
const JOIN_DEADLINE: Duration = Duration::from_secs(15);
/// Browsers check consent every few seconds (RFC 7675) and report every second.
const SILENCE: Duration = Duration::from_secs(30);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const HOLD: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_secs(1);
const MOST_OUTSTANDING: usize = 64 * 1024;
/// The first byte of STUN is at most this, of all else that comes more (RFC 7983).
const STUN_LAST: u8 = 3;
/// DTLS content type (RFC 5246 §6.2.1).
const DTLS_ALERT: u8 = 21;
const SECONDS_1900_TO_1970: u64 = 2_208_988_800;
