//! WHIP ingest (RFC 9725): browsers and OBS publish over WebRTC.
//!
//! ```text
//!  offer ─► offer ─► answer ─► session ◄── datagrams ── routes ◄── port (one UDP socket)
//!                                 │ RTP: inbox ─► receiver ─► reorder ─► pictures, timeline
//!                                 └──media::Coded──► relay ─► Publication (the show's)
//! ```
//!
//! This room turns an offer into an answer and knows no HTTP. `rtc`, a sans-I/O WebRTC stack, does SDP, ICE-lite, DTLS and
//! SRTP; what is in the packets is ours. H.264, VP8, VP9 and Opus are taken as they are, with no transcoding before the show's
//! own decoders.
//!
//! A session is a task of its own. The show's present publisher is not sent away before the new one's first keyframe is there.
//!
//! What bounds it: sessions by [`Limits::publishers`]; a handshake and the silence of a publisher by deadlines; datagrams and
//! media that wait by queues of fixed length, which drop; pictures by their bytes. Until a check has proven an address,
//! nothing from it is looked at but checks. No resource id and no key is logged.

mod addresses;
mod answer;
mod inbox;
mod offer;
mod pictures;
mod port;
mod receiver;
mod relay;
mod reorder;
mod routes;
mod session;
mod timeline;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rtc::crypto::providers::AwsLcRsProvider;
use rtc::crypto::{RTCCryptoProvider, SignatureScheme};
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

pub use offer::MAX_OFFER;
pub use port::bind;

use self::answer::Answered;
use self::offer::Offer;
use self::relay::Relay;
use self::routes::Routes;
use self::session::Session;
use super::source::{Directory, Publisher, Refused, SourceInfo};

/// What one session, and all of them together, may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions at a time, publishing or still shaking hands.
    pub publishers: usize,
    /// From the answer to a connection.
    pub connect_within: Duration,
    /// From the connection to the first media, and between one access unit and the next.
    pub media_within: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { publishers: 64, connect_within: Duration::from_secs(10), media_within: Duration::from_secs(15) }
    }
}

/// All publishers by WHIP.
pub struct Whip {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    public: Vec<IpAddr>,
    certificate: RTCCertificate,
    directory: Arc<dyn Directory>,
    limits: Limits,
    seats: Arc<Semaphore>,
    routes: Routes,
    resources: Resources,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What ends the session that a WHIP resource names.
type Resources = Arc<Mutex<HashMap<String, CancellationToken>>>;

/// An answered offer.
#[derive(Clone, PartialEq, Eq)]
pub struct Joined {
    /// The SDP answer.
    pub answer: String,
    /// What [`Whip::leave`] takes: 128 random bits in hex. Who knows it may end the session.
    pub resource: String,
}

/// Neither part is for a log.
impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined").finish_non_exhaustive()
    }
}

/// Why an offer got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("the offer has {0} bytes; at most {MAX_OFFER} are read")]
    TooLarge(usize),
    #[error("this is no SDP offer: {0}")]
    NotSdp(String),
    #[error("the offer sends nothing: add a sendonly video or audio track")]
    SendsNothing,
    #[error("the offer's video is {offered}, of which none is taken: choose H.264, VP8 or VP9 as the video encoder")]
    NoVideoCodec { offered: String },
    #[error("the offer's sound is {offered}, of which none is taken: choose Opus as the audio encoder")]
    NoAudioCodec { offered: String },
    #[error("the offer cannot be answered: {0}")]
    Unanswerable(String),
    #[error("all {most} places for publishers by WHIP are taken")]
    Full { most: usize },
    #[error("the server takes no publisher now")]
    Closed,
}

impl Whip {
    /// Over a socket of [`bind`]; `public` are the addresses that publishers are told, the host's own when it is empty.
    pub fn new(
        socket: UdpSocket,
        public: Vec<IpAddr>,
        directory: Arc<dyn Directory>,
        limits: Limits,
    ) -> io::Result<Whip> {
        Ok(Whip {
            local: socket.local_addr()?,
            socket: Arc::new(socket),
            public,
            certificate: certificate()?,
            directory,
            seats: Arc::new(Semaphore::new(limits.publishers)),
            limits,
            routes: Routes::default(),
            resources: Resources::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Where publishers' datagrams come in.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves publishers until `stop` is cancelled; returns when the last session has ended.
    pub async fn serve(&self, stop: CancellationToken) {
        port::read(&self.socket, &self.routes, stop).await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Answers a publisher's offer. Its key is looked at first, so that a stranger learns nothing and costs nothing; the show's
    /// present publisher stays until the new one's first keyframe. `agent` is what the client calls itself.
    pub async fn publish(&self, offer: &str, publisher: Publisher, agent: Option<&str>) -> Result<Joined, Error> {
        self.directory.check(&publisher).await?;
        let offer = Offer::parse(offer)?;
        let full = |_| Error::Full { most: self.limits.publishers };
        let seat = self.seats.clone().try_acquire_owned().map_err(full)?;
        let candidates = addresses::candidates(self.local, &self.public, publisher.peer.ip());
        let accepted = offer.accepted.clone();
        let answered = self.answer(offer, candidates.clone()).await?;
        if self.stop.is_cancelled() {
            return Err(Error::Closed);
        }

        let (route, datagrams) = self.routes.open(&answered.ufrag);
        let joined = Joined { answer: answered.sdp.clone(), resource: random_hex::<16>() };
        let leave = CancellationToken::new();
        self.resources().insert(joined.resource.clone(), leave.clone());
        let forget = Forget { resources: self.resources.clone(), resource: joined.resource.clone() };
        let span = tracing::info_span!("ingest", peer = %publisher.peer);
        let relay = Relay {
            sends_video: accepted.video.is_some(),
            configs: Vec::new(),
            key_wanted: Arc::default(),
            session: Session::new(answered, accepted, candidates, Instant::now()),
            route,
            datagrams,
            socket: self.socket.clone(),
            limits: self.limits.clone(),
            publisher,
            encoder: agent.and_then(SourceInfo::name),
            leave,
        };
        let (directory, stop) = (self.directory.clone(), self.stop.clone());
        let attended = async move {
            let end = relay.run(directory.as_ref(), stop).await;
            tracing::debug!(%end, "session closed");
            drop((seat, forget));
        };
        self.tasks.spawn(attended.instrument(span));
        Ok(joined)
    }

    /// Ends a session; false when there is none by that resource.
    pub fn leave(&self, resource: &str) -> bool {
        let session = self.resources().remove(resource);
        session.inspect(CancellationToken::cancel).is_some()
    }

    /// Milliseconds of cryptography, which the threads that wait for sockets do not have.
    async fn answer(&self, offer: Offer, candidates: Vec<SocketAddr>) -> Result<Answered, Error> {
        let certificate = self.certificate.clone();
        let answered = tokio::task::spawn_blocking(move || {
            // The offer is a stranger's and its parser a library's.
            catch_unwind(AssertUnwindSafe(|| answer::answer(&offer, &candidates, &certificate, Instant::now())))
        });
        match answered.await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => Err(Error::Unanswerable("it is malformed".into())),
            Err(_) => Err(Error::Closed),
        }
    }

    fn resources(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.resources.lock().expect("no panic while resources are held")
    }
}

/// Takes a resource away when its session ends, however that comes.
struct Forget {
    resources: Resources,
    resource: String,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.resources.lock().expect("no panic while resources are held").remove(&self.resource);
    }
}

/// Our DTLS certificate, as good for one run as any: an answer tells its fingerprint.
fn certificate() -> io::Result<RTCCertificate> {
    let provider = AwsLcRsProvider::new();
    let params = CertificateParams::new(vec!["hawker".into()]).map_err(io::Error::other)?;
    RTCCertificate::generate(provider.crypto(), SignatureScheme::EcdsaP256Sha256, params).map_err(io::Error::other)
}

fn random_hex<const BYTES: usize>() -> String {
    hex::encode(random::<BYTES>())
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests;
