//! One publisher, from its answered offer to its end. Does no I/O and reads no clock: datagrams and time come in as arguments,
//! datagrams and media are taken out.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::peer_connection::RTCPeerConnection;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::RTCDtlsTransportState;
use rtc::rtp_transceiver::RTCRtpReceiverId;
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use super::answer::Answered;
use super::inbox::{Arrived, Inbox};
use super::offer::Accepted;
use super::random;
use super::receiver::{Losses, Receiver};
use crate::media::Coded;

pub(super) struct Session {
    connection: RTCPeerConnection,
    inbox: Inbox,
    receiver: Receiver,
    /// The host candidates; `rtc` wants to know at which of them a datagram came in.
    candidates: Vec<SocketAddr>,
    /// Through which the state of DTLS can be read.
    through: Option<RTCRtpReceiverId>,
    state: State,
    /// When the connection has something to do.
    timer: Instant,
    proven: Vec<SocketAddr>,
    outgoing: Vec<(SocketAddr, BytesMut)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Joining,
    Connected,
    /// The publisher closed its connection, or answers no more.
    Gone,
}

impl Session {
    pub(super) fn new(answered: Answered, accepted: Accepted, candidates: Vec<SocketAddr>, now: Instant) -> Session {
        let Answered { connection, inbox, .. } = answered;
        let ssrc = u32::from_be_bytes(random()) | 1;
        let through = connection.get_receivers().next();
        Session {
            through,
            connection,
            inbox,
            receiver: Receiver::new(accepted, ssrc, now),
            candidates,
            state: State::Joining,
            timer: now,
            proven: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    /// A datagram came from the publisher, or from someone who claims to be.
    pub(super) fn receive(&mut self, now: Instant, arrived: Instant, from: SocketAddr, datagram: &[u8]) {
        let local = self.candidates.iter().find(|candidate| candidate.is_ipv4() == from.is_ipv4());
        let Some(&local_addr) = local else { return };
        let transport =
            TransportContext { local_addr, peer_addr: from, transport_protocol: TransportProtocol::UDP, ecn: None };
        // Told when it arrived, not when its turn came: the publisher measures the way by it.
        let message = TaggedBytesMut { now: arrived, transport, message: BytesMut::from(datagram) };
        if let Err(error) = self.connection.handle_read(message) {
            tracing::trace!(%error, "a datagram was not understood");
        }
        for arrival in self.inbox.take() {
            match arrival {
                Arrived::Media(packet) => self.receiver.rtp(arrived, packet),
                Arrived::Report { ssrc, timestamp, ntp } => self.receiver.report(ssrc, timestamp, ntp),
            }
        }
        self.turn(now);
        if datagram.first() == Some(&DTLS_ALERT) && self.is_closed() {
            self.state = State::Gone;
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.timer <= now
            && let Err(error) = self.connection.handle_timeout(now)
        {
            tracing::debug!(%error, "a timeout was not handled");
        }
        self.turn(now);
    }

    /// When [`Session::tick`] has something to do.
    pub(super) fn due(&self) -> Instant {
        self.receiver.due().map_or(self.timer, |due| due.min(self.timer))
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// The media that is whole by now.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Coded> {
        self.receiver.take(now)
    }

    /// A picture that was taken could not be handed on.
    pub(super) fn refused(&mut self, now: Instant) {
        self.receiver.refused(now);
    }

    /// The show needs a keyframe: the publisher is asked for one, while its pictures go on.
    pub(super) fn want_key(&mut self, now: Instant) {
        self.receiver.want_key(now);
        self.turn(now);
    }

    /// Datagrams to send, and to where.
    pub(super) fn outgoing(&mut self) -> std::vec::Drain<'_, (SocketAddr, BytesMut)> {
        self.outgoing.drain(..)
    }

    /// Addresses that proved to be the publisher's.
    pub(super) fn proven(&mut self) -> std::vec::Drain<'_, SocketAddr> {
        self.proven.drain(..)
    }

    pub(super) fn losses(&self) -> Losses {
        self.receiver.losses()
    }

    /// Tells the publisher that it is over.
    pub(super) fn close(&mut self) {
        if let Err(error) = self.connection.close() {
            tracing::debug!(%error, "a connection was not closed");
        }
        self.write();
        self.state = State::Gone;
    }

    /// Gives the connection what we have to say, and takes what it has.
    fn turn(&mut self, now: Instant) {
        if self.state == State::Connected {
            self.inbox.send(now, self.receiver.feedback(now));
        }
        loop {
            self.write();
            let Some(event) = self.connection.poll_event() else { break };
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                match state {
                    RTCPeerConnectionState::Connected if self.state == State::Joining => self.state = State::Connected,
                    RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => self.state = State::Gone,
                    _ => {}
                }
            }
        }
        // Data channels, of which none is wanted.
        while self.connection.poll_read().is_some() {}
        self.write();
        self.timer = self.connection.poll_timeout().unwrap_or(now + IDLE).max(now + Duration::from_millis(1));
    }

    fn write(&mut self) {
        while let Some(message) = self.connection.poll_write() {
            let to = message.transport.peer_addr;
            // A check was answered, so it was authentic: the address is the publisher's.
            if message.message.starts_with(&STUN_SUCCESS) {
                self.proven.push(to);
            }
            self.outgoing.push((to, message.message));
        }
    }

    /// Whether the publisher closed DTLS. `rtc` then still calls the connection connected.
    fn is_closed(&mut self) -> bool {
        let receiver = self.through.and_then(|id| self.connection.rtp_receiver(id));
        let state = receiver.and_then(|receiver| receiver.transport().map(|transport| transport.state()));
        matches!(state, Some(RTCDtlsTransportState::Closed | RTCDtlsTransportState::Failed))
    }
}

const IDLE: Duration = Duration::from_secs(1);
/// A binding success response (RFC 8489 §5).
const STUN_SUCCESS: [u8; 2] = [1, 1];
/// DTLS content type (RFC 5246 §6.2.1).
const DTLS_ALERT: u8 = 21;
