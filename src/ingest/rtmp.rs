//! RTMP ingest: takes publishers in over TCP as OBS and ffmpeg speak it (Adobe RTMP 1.0, Enhanced RTMP v2).
//!
//! `rtmp-runtime` knows the protocol and does no I/O; this room owns the sockets, the time limits and the doors. A
//! connection is a stranger until its key was accepted: until then it may send 64 KiB and take ten seconds, and a
//! publisher holds at most [`Limits::bytes_in_flight`] of unfinished messages.

mod address;
mod capabilities;
mod connection;
mod door;
mod preamble;
mod status;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::connection::{Connection, End};
use self::door::{Door, Pass};
use super::source::Directory;

/// What one connection, and all of them together, may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time from one address (one /64 network of IPv6).
    pub connections_from_one_address: usize,
    /// From the TCP connection to an accepted `publish`.
    pub publish_within: Duration,
    /// Between one access unit of a publisher and the next.
    pub media_within: Duration,
    /// For the peer to take what it is sent.
    pub write_within: Duration,
    /// What the unfinished messages of one publisher may come to; the largest access unit has to fit.
    pub bytes_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 256,
            connections_from_one_address: 32,
            publish_within: Duration::from_secs(10),
            media_within: Duration::from_secs(15),
            write_within: Duration::from_secs(5),
            bytes_in_flight: 8 * 1024 * 1024,
        }
    }
}

/// Serves publishers until `stop` is cancelled; returns when the last connection is closed.
pub async fn serve(listener: TcpListener, directory: Arc<dyn Directory>, limits: Limits, stop: CancellationToken) {
    let door = Door::new(limits.connections, limits.connections_from_one_address);
    let connections = TaskTracker::new();
    let turned_away = Tally::default();
    let refused = Arc::new(Tally::default());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match door.enter(peer.ip()) {
                Ok(pass) => {
                    let span = tracing::info_span!("ingest", %peer);
                    let connection = Connection::new(stream, peer, limits.clone());
                    let attended = attend(connection, pass, directory.clone(), refused.clone(), stop.clone());
                    connections.spawn(attended.instrument(span));
                }
                Err(full) => {
                    if let Some(times) = turned_away.count(Instant::now()) {
                        tracing::warn!(%peer, reason = %full, times, "RTMP connections turned away");
                    }
                }
            },
            Err(error) => {
                // Out of file descriptors, most likely; to try at once would spin.
                if let Some(times) = turned_away.count(Instant::now()) {
                    tracing::warn!(%error, times, "no RTMP connection could be accepted");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// One connection from its first byte to its last.
async fn attend(
    connection: Connection,
    pass: Pass,
    directory: Arc<dyn Directory>,
    refused: Arc<Tally>,
    stop: CancellationToken,
) {
    let end = tokio::select! {
        () = stop.cancelled() => End::Stopped,
        end = connection.run(directory.as_ref()) => end,
    };
    match end {
        End::Refused(_) | End::Unsupported(_) => {
            if let Some(times) = refused.count(Instant::now()) {
                tracing::warn!(%end, times, "publishers refused");
            }
        }
        // Strangers come and go by the thousand; a publisher that was on air has told already.
        _ => tracing::debug!(%end, "connection closed"),
    }
    drop(pass);
}

/// Counts a kind of event that strangers can cause at will, so that it is told at most once in ten seconds.
#[derive(Debug, Default)]
struct Tally(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    told: Option<Instant>,
    untold: u64,
}

impl Tally {
    /// Counts one; when it is time to tell, how many there were since the last time.
    fn count(&self, now: Instant) -> Option<u64> {
        let mut counted = self.0.lock().expect("no panic while a tally is held");
        counted.untold += 1;
        if counted.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY) {
            return None;
        }
        counted.told = Some(now);
        Some(std::mem::take(&mut counted.untold))
    }
}

const TELL_EVERY: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
