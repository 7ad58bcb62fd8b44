//! RTSP ingest: pulls a camera, for as long as the show wants it (RFC 2326, by `retina`).
//!
//! H.264 or H.265 with AAC, G.711 or no sound; a camera without a picture that can be decoded is heard, and the seller is told
//! what to set. Media comes within the TCP connection, and by UDP from a camera that refuses that, or when the address says
//! so (`rtspu://`). UDP is for the camera on the same network: packets that arrive out of order are dropped like lost ones,
//! nothing tells the camera of losses, and no router on the way translates addresses for it.
//!
//! Cameras hang, reboot and forget: every step has a deadline, and a connection that brings no picture for five seconds is
//! given up. Then it is tried again, after a pause that doubles up to eight seconds and starts afresh once media flowed.
//! Every connection is a new [`Publication`], with a timeline of its own.

mod backoff;
mod session;
mod source;
mod timeline;
mod tracks;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::task::Poll;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::backoff::Backoff;
use self::session::{Left, Patience, Session};
pub use self::source::{BadSource, Source};
use super::source::{Ended, Protocol, Publication, Publisher};

/// Where a pull stands, for the seller to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Connecting,
    Playing,
    /// It failed, and is tried again after the pause. The reason holds no credentials.
    Waiting {
        reason: String,
        pause: Duration,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Connecting => f.write_str("connecting to the camera"),
            State::Playing => f.write_str("playing"),
            State::Waiting { reason, pause } => write!(f, "{reason}; trying again in {:.1} s", pause.as_secs_f32()),
        }
    }
}

/// Pulls `source` until `stop` is cancelled. `open` is called once a connection plays, for a publication to put it into.
///
/// Returns `Err` when a publication was ended from the other side: a newer publisher took the place. To take it back at
/// once would throw that one out, so the caller decides when to pull again.
pub async fn pull(
    source: Source,
    mut open: impl FnMut(&Publisher) -> Box<dyn Publication> + Send,
    mut on_state: impl FnMut(State) + Send,
    stop: CancellationToken,
) -> Result<(), Ended> {
    let span = tracing::info_span!("ingest", peer = %source);
    let pulling = retry(&source, Patience::default(), &mut open, &mut on_state);
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = pulling.instrument(span) => Err(ended),
    }
}

/// Connects again and again, until a publication is ended from the other side.
async fn retry(
    source: &Source,
    patience: Patience,
    open: &mut (impl FnMut(&Publisher) -> Box<dyn Publication> + Send),
    on_state: &mut (impl FnMut(State) + Send),
) -> Ended {
    let mut backoff = Backoff::default();
    let mut told = String::new();
    let left = Left::default();
    loop {
        on_state(State::Connecting);
        let opened = &mut |publisher: &Publisher| {
            backoff.reset();
            told.clear();
            on_state(State::Playing);
            open(publisher)
        };
        let reason = match guarded(connect(source, patience, &left, opened)).await {
            Ok(ended) => return ended,
            Err(failure) => source.redact(&failure.to_string()),
        };
        let pause = backoff.next_pause();
        if reason == told {
            tracing::debug!(reason, ?pause, "the camera is tried again");
        } else {
            tracing::warn!(reason, ?pause, "the camera is tried again, until it works");
            told.clone_from(&reason);
        }
        on_state(State::Waiting { reason, pause });
        tokio::time::sleep(pause).await;
    }
}

/// One connection, from its first step to the end of its publication or its failure.
async fn connect(
    source: &Source,
    patience: Patience,
    left: &Left,
    open: &mut (impl FnMut(&Publisher) -> Box<dyn Publication> + Send),
) -> Result<Ended, session::Error> {
    let peer = session::resolve(source, patience).await?;
    let mut session = Session::start(source, patience, left).await?;
    let mut coded = session.next().await?;
    tracing::info!(%peer, "camera on air");
    let publisher = Publisher { peer, protocol: Protocol::Rtsp, app: String::new(), key: String::new() };
    let mut publication = open(&publisher);
    let ended = publication.ended();
    let relay = async {
        loop {
            if let Some(info) = session.take_info() {
                publication.describe(info);
            }
            for coded in coded {
                if let Err(ended) = publication.push(coded).await {
                    return Ok(ended);
                }
            }
            coded = session.next().await?;
        }
    };
    tokio::select! {
        () = ended.cancelled() => Ok(Ended),
        relayed = relay => relayed,
    }
}

/// A panic within a connection is a failure of that connection: `retina` and the reader of SDP under it assert a few things
/// that only a sound camera holds.
async fn guarded(connection: impl Future<Output = Result<Ended, session::Error>>) -> Result<Ended, session::Error> {
    let mut connection = std::pin::pin!(connection);
    std::future::poll_fn(|context| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| connection.as_mut().poll(context)));
        polled.unwrap_or(Poll::Ready(Err(session::Error::Reader)))
    })
    .await
}

#[cfg(test)]
mod tests;
