//! One RTMP connection: a stranger until its key was accepted, then a publisher until it ends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtmp_runtime::RtmpError;
use rtmp_runtime::server::{ServerConfig, ServerEvent, ServerSession};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{timeout, timeout_at};

use super::Limits;
use super::address::Address;
use super::preamble::Preamble;
use super::status::Status;
use crate::ingest::flv::{Demuxer, Unsupported};
use crate::ingest::source::{Directory, Ended, Protocol, Publication, Publisher, Refused, SourceInfo};
use crate::media::Coded;

/// How a connection came to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the publisher stopped")]
    Finished,
    #[error("the server stops")]
    Stopped,
    #[error("the peer closed the connection")]
    Dropped,
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("no connection inside TLS: {0}")]
    Transport(std::io::Error),
    #[error("nothing was published within {0:?}")]
    NotPublished(Duration),
    #[error("no media for {0:?}")]
    Silent(Duration),
    #[error("the peer does not take what it is sent")]
    NotReading,
    #[error("more than {PREAMBLE_LIMIT} bytes before anything was published")]
    Chatty,
    #[error("the peer does not speak RTMP as we know it: {0}")]
    Protocol(#[from] RtmpError),
    #[error("a second publish on one connection")]
    PublishedTwice,
    #[error("somebody wants to watch by RTMP, which is for publishing only")]
    Play,
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    #[error(transparent)]
    Ended(#[from] Ended),
}

pub(super) struct Connection<S> {
    stream: S,
    peer: SocketAddr,
    limits: Limits,
    session: ServerSession,
    /// The message stream that was published on, for messages about it.
    stream_id: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, peer: SocketAddr, limits: Limits) -> Connection<S> {
        let config = ServerConfig::default().with_max_in_progress_bytes(limits.bytes_in_flight);
        Connection { stream, peer, limits, session: ServerSession::new(config), stream_id: 0 }
    }

    /// Runs to the end of the connection and closes it. By `due` a `publish` has to be accepted.
    pub(super) async fn run(mut self, directory: &dyn Directory, due: tokio::time::Instant) -> End {
        let late = Err(End::NotPublished(self.limits.publish_within));
        let greeted = timeout_at(due, self.greet(directory)).await.unwrap_or(late);
        let end = match greeted {
            Ok(greeted) => self.relay(greeted).await,
            Err(end) => end,
        };
        self.close(&end).await;
        end
    }

    /// Leads a stranger from the handshake to an admitted `publish`.
    async fn greet(&mut self, directory: &dyn Directory) -> Result<Greeted, End> {
        let mut buffer = vec![0; PREAMBLE_READ];
        let (mut received, mut connected, mut preamble) = (0, false, Preamble::new());
        loop {
            let read = self.stream.read(&mut buffer).await?;
            if read == 0 {
                return Err(End::Dropped);
            }
            received += read;
            if received > PREAMBLE_LIMIT {
                return Err(End::Chatty);
            }
            let plays = preamble.hear(&buffer[..read]);
            let (reply, events) = self.session.handle_data(&buffer[..read])?;
            let reply = preamble.answer(reply);
            let mut events = events.into_iter();
            for event in events.by_ref() {
                match event {
                    ServerEvent::Connected { .. } => connected = true,
                    ServerEvent::Publish { app, stream_key, stream_id } => {
                        self.stream_id = stream_id;
                        // The reply says that publishing began, so it has to wait for this.
                        let publication = self.admit(directory, &app, &stream_key).await?;
                        self.send(&reply).await?;
                        return Ok(Greeted { publication, events: events.collect() });
                    }
                    ServerEvent::Eof => return Err(End::Finished),
                    _ => {}
                }
            }
            self.send(&reply).await?;
            // The session ignores it, and the player would wait for its time to run out.
            if plays && connected {
                return Err(End::Play);
            }
        }
    }

    async fn admit(&mut self, directory: &dyn Directory, app: &str, name: &str) -> Result<Box<dyn Publication>, End> {
        let Address { app, key } = Address::parse(app, name).ok_or(Refused::UnknownKey)?;
        let publisher = Publisher { peer: self.peer, protocol: Protocol::Rtmp, app, key };
        let publication = directory.admit(&publisher).await?;
        tracing::info!(app = ?publisher.app, "publisher on air");
        Ok(publication)
    }

    /// Hands a publisher's media on until it ends. While the show holds it up, nothing is read, so TCP holds the peer up.
    async fn relay(&mut self, Greeted { mut publication, events }: Greeted) -> End {
        let mut demuxer = Demuxer::default();
        let began = Instant::now();
        let ended = publication.ended();
        let relayed = tokio::select! {
            () = ended.cancelled() => Err(Ended.into()),
            relayed = self.pump(publication.as_mut(), &mut demuxer, events) => relayed,
        };
        let end = relayed.unwrap_or_else(|end| end);
        if let End::Unsupported(codec) = &end {
            publication.describe(SourceInfo { complaint: Some(codec.to_string()), ..demuxer.info().clone() });
        }
        let (skipped, seconds) = (demuxer.skipped(), began.elapsed().as_secs());
        if skipped.total() > 0 {
            tracing::warn!(
                malformed = skipped.malformed,
                early = skipped.early,
                "tags of the publisher brought nothing"
            );
        }
        tracing::info!(%end, seconds, "publisher left");
        end
    }

    async fn pump(
        &mut self,
        publication: &mut dyn Publication,
        demuxer: &mut Demuxer,
        mut events: Vec<ServerEvent>,
    ) -> Result<End, End> {
        let mut buffer = vec![0; MEDIA_READ];
        let mut coded = Vec::new();
        let mut arrived = Instant::now();
        let mut media_due = tokio::time::Instant::now() + self.limits.media_within;
        loop {
            for event in events.drain(..) {
                match event {
                    ServerEvent::Media { flv } => demuxer.push(flv.into(), arrived, &mut coded)?,
                    // Told twice by most encoders, by `FCUnpublish` and `deleteStream`; the first will do.
                    ServerEvent::Eof => {
                        push_all(publication, &mut coded).await?;
                        return Ok(End::Finished);
                    }
                    ServerEvent::Publish { .. } => return Err(End::PublishedTwice),
                    _ => {}
                }
            }
            if let Some(info) = demuxer.take_info() {
                tracing::info!(encoder = ?info.encoder, resolution = ?info.resolution, "publisher described itself");
                publication.describe(info);
            }
            if !coded.is_empty() {
                push_all(publication, &mut coded).await?;
                media_due = tokio::time::Instant::now() + self.limits.media_within;
            }
            // Looked at here too: `timeout_at` reads first, and a peer that floods us with other things is always ready.
            if tokio::time::Instant::now() >= media_due {
                return Err(End::Silent(self.limits.media_within));
            }
            let read = timeout_at(media_due, self.stream.read(&mut buffer)).await;
            let read = read.map_err(|_| End::Silent(self.limits.media_within))??;
            if read == 0 {
                return Err(End::Dropped);
            }
            arrived = Instant::now();
            let (reply, more) = self.session.handle_data(&buffer[..read])?;
            events = more;
            self.send(&reply).await?;
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        if bytes.is_empty() {
            return Ok(());
        }
        // Flushed, as TLS may hold the last of it back.
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        Ok(timeout(self.limits.write_within, sent).await.map_err(|_| End::NotReading)??)
    }

    /// Tells the peer why, and closes without cutting off what it was told: a socket that is closed with bytes unread
    /// resets the connection, and the reset overtakes the message.
    async fn close(&mut self, end: &End) {
        let status = match end {
            End::Refused(_) => Some(Status::BadName),
            End::Ended(_) => Some(Status::Replaced),
            End::Unsupported(_) => Some(Status::Denied),
            End::Play => Some(Status::PlayFailed),
            End::Finished => None,
            _ => return,
        };
        let farewell = async {
            if let Some(status) = status {
                self.stream.write_all(&status.to_chunks(self.stream_id)).await?;
            }
            self.stream.shutdown().await?;
            let mut unread = [0; 4096];
            while self.stream.read(&mut unread).await? > 0 {}
            std::io::Result::Ok(())
        };
        // The peer is gone, or slow: either way nothing is owed to it.
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// A publisher that was let in, and what it sent along with its `publish`.
struct Greeted {
    publication: Box<dyn Publication>,
    events: Vec<ServerEvent>,
}

async fn push_all(publication: &mut dyn Publication, coded: &mut Vec<Coded>) -> Result<(), Ended> {
    for coded in coded.drain(..) {
        publication.push(coded).await?;
    }
    Ok(())
}

/// What a stranger may send, in bytes: the handshake takes 3 KiB, the commands less than one.
const PREAMBLE_LIMIT: usize = 64 * 1024;
const PREAMBLE_READ: usize = 8 * 1024;
/// The session moves what it has not parsed yet once a message, so a read full of empty messages costs its square.
const MEDIA_READ: usize = 16 * 1024;
const FAREWELL: Duration = Duration::from_secs(1);
