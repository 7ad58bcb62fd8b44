//! RTMP ingest: takes publishers in over TCP as OBS and ffmpeg speak it (Adobe RTMP 1.0, Enhanced RTMP v2).
//!
//! `rtmp-runtime` knows the protocol and does no I/O; this room owns the sockets, the time limits and the doors. What lies
//! between TCP and RTMP, nothing or TLS, is the server's to say ([`Transport`]). A connection is a stranger until its key was
//! accepted: until then it may send 64 KiB and take ten seconds, and a publisher holds at most [`Limits::bytes_in_flight`] of
//! unfinished messages.

mod address;
mod capabilities;
mod connection;
mod door;
mod preamble;
mod status;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::connection::{Connection, End};
use self::door::{Door, Pass};
use super::source::Directory;
use crate::telemetry::Tally;

/// What one connection, and all of them together, may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time from one address (one /64 network of IPv6).
    pub connections_from_one_address: usize,
    /// From the TCP connection to an accepted `publish`, a TLS handshake included.
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

/// What carries RTMP over a TCP connection: the connection itself, or TLS inside it.
pub trait Transport: Clone + Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Opens it on an accepted connection. Whoever calls sets the deadline.
    fn open(&self, connection: TcpStream) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// RTMP on bare TCP.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Transport for Plain {
    type Stream = TcpStream;

    async fn open(&self, connection: TcpStream) -> io::Result<TcpStream> {
        Ok(connection)
    }
}

/// The RTMP doors of a server, which share the limits. Clones are the same doors.
#[derive(Clone)]
pub struct Doors {
    directory: Arc<dyn Directory>,
    limits: Limits,
    door: Door,
    turned_away: Arc<Tally>,
    refused: Arc<Tally>,
}

impl Doors {
    pub fn new(directory: Arc<dyn Directory>, limits: Limits) -> Doors {
        let door = Door::new(limits.connections, limits.connections_from_one_address);
        Doors { directory, limits, door, turned_away: Arc::default(), refused: Arc::default() }
    }

    /// Serves publishers until `stop` is cancelled; returns when the last connection is closed.
    pub async fn serve(self, listener: TcpListener, transport: impl Transport, stop: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match self.door.enter(peer.ip()) {
                    Ok(pass) => {
                        let span = tracing::info_span!("ingest", %peer);
                        let attended = self.clone().attend(stream, peer, transport.clone(), pass, stop.clone());
                        connections.spawn(attended.instrument(span));
                    }
                    Err(full) => {
                        if let Some(times) = self.turned_away.count(Instant::now()) {
                            tracing::warn!(%peer, reason = %full, times, "RTMP connections turned away");
                        }
                    }
                },
                Err(error) => {
                    // Out of file descriptors, most likely; to try at once would spin.
                    if let Some(times) = self.turned_away.count(Instant::now()) {
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
        self,
        stream: TcpStream,
        peer: SocketAddr,
        transport: impl Transport,
        pass: Pass,
        stop: CancellationToken,
    ) {
        let end = tokio::select! {
            () = stop.cancelled() => End::Stopped,
            end = self.receive(stream, peer, transport) => end,
        };
        match end {
            End::Refused(_) | End::Unsupported(_) => {
                if let Some(times) = self.refused.count(Instant::now()) {
                    tracing::warn!(%end, times, "publishers refused");
                }
            }
            // An encoder that does not trust our certificate looks like any stranger: it must be told.
            End::Transport(_) => {
                if let Some(times) = self.refused.count(Instant::now()) {
                    tracing::warn!(%end, times, "publishers did not get through to RTMP");
                }
            }
            // Strangers come and go by the thousand; a publisher that was on air has told already.
            _ => tracing::debug!(%end, "connection closed"),
        }
        drop(pass);
    }

    async fn receive(&self, stream: TcpStream, peer: SocketAddr, transport: impl Transport) -> End {
        let within = self.limits.publish_within;
        let due = tokio::time::Instant::now() + within;
        // Acknowledgements and replies are short and awaited.
        if let Err(error) = stream.set_nodelay(true) {
            return End::Broken(error);
        }
        match timeout_at(due, transport.open(stream)).await {
            Ok(Ok(stream)) => {
                Connection::new(stream, peer, self.limits.clone()).run(self.directory.as_ref(), due).await
            }
            Ok(Err(error)) => End::Transport(error),
            Err(_) => End::NotPublished(within),
        }
    }
}

/// One connection over any stream, without a socket and its door: for `fuzz`.
pub(super) async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, directory: &dyn Directory) {
    let (peer, limits) = (([127, 0, 0, 1], 0).into(), Limits::default());
    let due = tokio::time::Instant::now() + limits.publish_within;
    Connection::new(stream, peer, limits).run(directory, due).await;
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
