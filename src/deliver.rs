//! Delivery: encoded media to viewers over WebRTC.
//!
//! ```text
//!  Feed::push_video ── packetize once ──► mailbox ──► shard thread ──► per viewer: header, seal, send
//!  Deliver::join ──── offer → answer ───►             ring with the running GOP, shared by all
//! ```
//!
//! A [`Feed`] is one show's way in. Pictures are packetized once on the thread that pushes them; payloads are shared by
//! `Arc`, and a viewer costs a header and an AES-128-GCM seal a packet. A shard, a thread with a UDP socket, owns its
//! viewers and needs no lock for a packet. There is one shard for now, it sends packet by packet, and DTLS handshakes run
//! on it too.
//!
//! `rtc`, a sans-I/O WebRTC stack, does SDP, ICE-lite, DTLS, the data channel and SRTCP; outgoing RTP is ours. Files:
//!
//! - [`whep`]: an offer to an answer. `door`: who may come in. `addresses`: where we can be found.
//! - `shard`: the thread. `mailbox`: the way to it. `session`: one viewer, sans-I/O. `view`: where in the feed it is.
//! - `feed`, `packetize`, `ring`, `keyframes`: what viewers share. `outgoing`, `srtp`, `tap`: what is a viewer's own.
//! - `feedback`: RTCP from viewers. `resends`: how often it is heeded. `stats`: counters.
//!
//! What bounds it: joins and viewers by `door`; a feed's way to the shard by [`MOST_QUEUED`]; the ring by packets and
//! bytes; a viewer more than 250 ms behind jumps to the next IDR; retransmissions by an allowance of each viewer. A viewer is
//! given up when it closes, when ICE fails, or after 30 s of silence. No address and no resource id is logged.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use mio::{Poll, Token, Waker};
use rtc::crypto::providers::AwsLcRsProvider;
use rtc::crypto::{RTCCryptoProvider, SignatureScheme};
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use socket2::{Domain, Protocol, Socket, Type};

mod addresses;
mod door;
mod feed;
mod feedback;
#[doc(hidden)]
pub mod fuzz;
mod keyframes;
#[cfg(test)]
mod loopback;
mod mailbox;
mod outgoing;
mod packetize;
mod resends;
mod ring;
mod session;
mod shard;
#[cfg(test)]
mod simulated;
mod srtp;
mod stats;
mod tap;
mod view;
pub mod whep;

pub use feed::{Feed, FeedConfig, MAX_ANNOUNCEMENT, MOST_QUEUED};
pub use stats::{Latency, Snapshot};

use crate::media::Clock;
use door::Door;
use feed::Core;
use mailbox::{Command, Mailbox};
use session::Session;
use shard::{Resources, Shard};
use stats::{Meter, Stats};

/// How delivery is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The UDP address of all viewers; port 0 for any that is free.
    pub listen: SocketAddr,
    /// What viewers are told to send to; when empty the host's own addresses.
    pub public: Vec<IpAddr>,
    pub max_viewers: usize,
    /// Frames' latency is told by it. The network runs on real time whatever it says.
    pub clock: Arc<dyn Clock>,
}

/// The delivery of all shows. Dropping it sends the viewers away and joins its thread.
pub struct Deliver {
    local: SocketAddr,
    public: Vec<IpAddr>,
    certificate: RTCCertificate,
    door: Arc<Door>,
    mailbox: Arc<Mailbox>,
    resources: Resources,
    stats: Arc<Stats>,
    ids: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

/// An answered offer.
#[derive(Clone, PartialEq, Eq)]
pub struct Joined {
    /// The SDP answer.
    pub answer: String,
    /// What [`Deliver::leave`] takes: 128 random bits in hex. Who knows it may end the session.
    pub resource: String,
}

/// Neither part is for a log.
impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined").finish_non_exhaustive()
    }
}

impl Deliver {
    /// Binds the socket and starts the shard's thread.
    pub fn bind(config: Config) -> io::Result<Deliver> {
        let certificate = certificate()?;
        let socket = bind(config.listen)?;
        let local = socket.local_addr()?;
        let poll = Poll::new()?;
        let mailbox = Arc::new(Mailbox::new(Waker::new(poll.registry(), WAKER)?));
        let resources: Resources = Arc::new(Mutex::new(HashMap::new()));
        let shard = Shard::new(poll, socket, mailbox.clone(), config.clock, resources.clone())?;
        let thread = std::thread::Builder::new().name("deliver-0".into()).spawn(move || shard.run())?;
        Ok(Deliver {
            local,
            public: config.public,
            certificate,
            door: Door::new(config.max_viewers),
            mailbox,
            resources,
            stats: Arc::default(),
            ids: AtomicU64::new(1),
            thread: Some(thread),
        })
    }

    /// Where viewers' datagrams come in.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Opens a show's feed.
    pub fn feed(&self, config: FeedConfig) -> Feed {
        let meter = Meter { feed: Arc::default(), all: self.stats.clone() };
        let core = Arc::new(Core::new(self.ids.fetch_add(1, Relaxed), config, meter));
        Feed::new(core, self.mailbox.clone())
    }

    /// Answers a viewer's offer. `peer` is who posted it: joins are counted by it, and a peer on this machine is told
    /// loopback. Takes a few milliseconds of this thread.
    pub fn join(&self, feed: &Feed, offer: &str, peer: IpAddr) -> Result<Joined, whep::Error> {
        let seat = self.door.admit(peer)?;
        let now = Instant::now();
        let candidates = addresses::candidates(self.local, &self.public, peer);
        let level = feed.core().rendition.level();
        let answered = answer(offer, level, &candidates, &self.certificate, now)?;
        let joined = Joined { answer: answered.sdp.clone(), resource: whep::random_hex::<16>() };
        let id = self.ids.fetch_add(1, Relaxed);
        let session = Session::new(id, feed.core().id, seat, joined.resource.clone(), candidates, answered, now);
        self.resources().insert(joined.resource.clone(), id);
        if !self.mailbox.send(Command::Join(Box::new(session))) {
            self.resources().remove(&joined.resource);
            return Err(whep::Error::Closed);
        }
        feed.core().meter.add(|stats| &stats.joins, 1);
        Ok(joined)
    }

    /// Ends a viewer's session; false when there is none by that resource.
    pub fn leave(&self, resource: &str) -> bool {
        let session = self.resources().remove(resource);
        session.is_some_and(|id| self.mailbox.send(Command::Leave(id)))
    }

    /// The counters of all feeds that there are and were.
    pub fn stats(&self) -> Snapshot {
        self.stats.snapshot()
    }

    fn resources(&self) -> std::sync::MutexGuard<'_, HashMap<String, session::SessionId>> {
        self.resources.lock().expect("no panic while resources are held")
    }
}

impl Drop for Deliver {
    fn drop(&mut self) {
        self.mailbox.send(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the delivery thread had failed");
        }
    }
}

/// Answers an offer, which is a stranger's, and its parser a library's: where that panics, the offer is at fault.
fn answer(
    offer: &str,
    level: u8,
    candidates: &[SocketAddr],
    certificate: &RTCCertificate,
    now: Instant,
) -> Result<whep::Answered, whep::Error> {
    let answered = catch_unwind(AssertUnwindSafe(|| {
        whep::answer(&whep::Offer::parse(offer)?, level, candidates, certificate, now)
    }));
    answered.unwrap_or_else(|_| Err(whep::Error::Unanswerable("it is malformed".into())))
}

/// Our DTLS certificate, as good for one run as any: an answer tells its fingerprint.
fn certificate() -> io::Result<RTCCertificate> {
    let provider = AwsLcRsProvider::new();
    let params = CertificateParams::new(vec!["hawker".into()]).map_err(io::Error::other)?;
    RTCCertificate::generate(provider.crypto(), SignatureScheme::EcdsaP256Sha256, params).map_err(io::Error::other)
}

fn bind(listen: SocketAddr) -> io::Result<mio::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    if listen.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Room for a keyframe to every viewer; the system may grant less.
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    Ok(mio::net::UdpSocket::from_std(socket.into()))
}

const WAKER: Token = Token(1);
const SOCKET_BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Deliver>();
        shared::<Feed>();
    }
}
