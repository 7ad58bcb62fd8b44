//! A session's task: datagrams to the session, its media to the show.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Limits;
use super::port::send;
use super::routes::{Datagram, Route};
use super::session::{Session, State};
use crate::ingest::source::{Directory, Ended, Publication, Publisher, Refused, SourceInfo};
use crate::media::Coded;

/// How a session came to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the publisher stopped")]
    Finished,
    #[error("the server stops")]
    Stopped,
    #[error("the publisher's connection is gone")]
    Gone,
    #[error("no connection within {0:?}: its UDP packets may not reach us")]
    NeverConnected(Duration),
    #[error("no media for {0:?}")]
    Silent(Duration),
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// What a session's task works with.
pub(super) struct Relay {
    pub(super) session: Session,
    pub(super) route: Route,
    pub(super) datagrams: mpsc::Receiver<Datagram>,
    pub(super) socket: Arc<UdpSocket>,
    pub(super) limits: Limits,
    pub(super) publisher: Publisher,
    pub(super) encoder: Option<String>,
    pub(super) sends_video: bool,
    /// Configurations that came before the show let it in.
    pub(super) configs: Vec<Coded>,
    /// The publisher's DELETE.
    pub(super) leave: CancellationToken,
}

/// Where the media goes once the show has let it in.
struct OnAir {
    media: mpsc::Sender<Coded>,
    ended: CancellationToken,
    /// A picture did not fit: those after it wait for a keyframe.
    since: Instant,
}

impl Relay {
    /// Runs to the end of the session and tells the publisher of it.
    pub(super) async fn run(mut self, directory: &dyn Directory, stop: CancellationToken) -> End {
        let mut on_air = None;
        let end = tokio::select! {
            () = stop.cancelled() => End::Stopped,
            () = self.leave.clone().cancelled_owned() => End::Finished,
            end = self.relay(directory, &mut on_air) => end,
        };
        self.session.close();
        self.flush();
        if let Some(OnAir { since, .. }) = &on_air {
            let (losses, seconds) = (self.session.losses(), since.elapsed().as_secs());
            tracing::info!(%end, seconds, ?losses, "publisher left");
        }
        end
    }

    async fn relay(&mut self, directory: &dyn Directory, on_air: &mut Option<OnAir>) -> End {
        let connect_by = Instant::now() + self.limits.connect_within;
        let mut media_by = None;
        loop {
            let due = match (self.session.state(), media_by) {
                (State::Gone, _) => return End::Gone,
                (State::Joining, _) => connect_by,
                (State::Connected, media_by) => media_by.unwrap_or_else(|| Instant::now() + self.limits.media_within),
            };
            if self.session.state() == State::Connected {
                media_by = Some(due);
            }
            // Looked at here too: a peer that floods us with other things leaves the timer below no turn.
            if Instant::now() >= due {
                return match self.session.state() {
                    State::Joining => End::NeverConnected(self.limits.connect_within),
                    _ => End::Silent(self.limits.media_within),
                };
            }
            let ended = on_air.as_ref().map(|on_air| on_air.ended.clone());
            tokio::select! {
                () = async { match ended { Some(ended) => ended.cancelled().await, None => std::future::pending().await } } => {
                    return Ended.into();
                }
                datagram = self.datagrams.recv() => {
                    let Some(Datagram { from, bytes, arrived }) = datagram else { return End::Stopped };
                    self.session.receive(std::time::Instant::now(), arrived, from, &bytes);
                }
                () = tokio::time::sleep_until(due.min(self.session.due().into())) => {
                    self.session.tick(std::time::Instant::now());
                }
            }
            let media = self.session.take(std::time::Instant::now());
            if !media.is_empty() {
                match self.hand_on(directory, on_air, media).await {
                    Ok(true) => media_by = Some(Instant::now() + self.limits.media_within),
                    Ok(false) => {}
                    Err(end) => return end,
                }
            }
            self.flush();
        }
    }

    /// Hands media to the show, which lets it in with its first keyframe: whoever is on air until then stays there. False
    /// when there was nothing that it can be let in with.
    async fn hand_on(
        &mut self,
        directory: &dyn Directory,
        on_air: &mut Option<OnAir>,
        mut media: Vec<Coded>,
    ) -> Result<bool, End> {
        let on_air = match on_air {
            Some(on_air) => on_air,
            None => {
                let shows = |coded: &Coded| match coded {
                    Coded::Video(unit) => unit.key,
                    Coded::Audio(_) => !self.sends_video,
                    _ => false,
                };
                if !media.iter().any(shows) {
                    let is_config = |coded: &Coded| matches!(coded, Coded::VideoConfig(_) | Coded::AudioConfig(_));
                    self.configs.extend(media.into_iter().filter(is_config));
                    return Ok(false);
                }
                media.splice(..0, self.configs.drain(..));
                on_air.insert(self.admit(directory).await?)
            }
        };
        for coded in media {
            let is_picture = matches!(coded, Coded::Video(_));
            match on_air.media.try_send(coded) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => return Err(Ended.into()),
                // The show is behind by more than its own queue.
                Err(TrySendError::Full(_)) if is_picture => self.session.refused(std::time::Instant::now()),
                Err(TrySendError::Full(_)) => {}
            }
        }
        Ok(true)
    }

    async fn admit(&mut self, directory: &dyn Directory) -> Result<OnAir, End> {
        let mut publication = directory.admit(&self.publisher).await?;
        tracing::info!(app = ?self.publisher.app, encoder = ?self.encoder, "publisher on air");
        publication.describe(SourceInfo { encoder: self.encoder.clone(), ..SourceInfo::default() });
        let ended = publication.ended();
        let (media, waiting) = mpsc::channel(MOST_WAITING);
        tokio::spawn(carry(publication, waiting));
        Ok(OnAir { media, ended, since: Instant::now() })
    }

    /// Sends what the session has to send. Lost here is lost on the way: every protocol involved repeats itself.
    fn flush(&mut self) {
        for address in self.session.proven() {
            self.route.prove(address);
        }
        for (to, datagram) in self.session.outgoing() {
            if let Err(error) = send(&self.socket, to, &datagram) {
                tracing::trace!(%error, "a datagram was not sent");
            }
        }
    }
}

/// Pushes media into a publication, at the show's own pace, until either ends. The session goes on meanwhile: it has checks to
/// answer and losses to report.
async fn carry(mut publication: Box<dyn Publication>, mut media: mpsc::Receiver<Coded>) {
    while let Some(coded) = media.recv().await {
        if publication.push(coded).await.is_err() {
            return;
        }
    }
}

/// Pictures and sound packets that wait for a show that is behind: a second of both.
const MOST_WAITING: usize = 96;
