//! A session's task: datagrams to the session, its media to the show.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

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
    /// Told when the show needs a keyframe.
    pub(super) key_wanted: Arc<Notify>,
    /// The publisher's DELETE.
    pub(super) leave: CancellationToken,
}

/// Where the media goes once the show has let it in.
struct OnAir {
    media: Queue,
    ended: CancellationToken,
    since: Instant,
    /// Ends with the session, and the publication with it.
    _carrier: AbortOnDropHandle<()>,
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
        let losses = self.session.losses();
        match (&on_air, &end) {
            (Some(OnAir { since, .. }), _) => {
                tracing::info!(%end, seconds = since.elapsed().as_secs(), ?losses, "publisher left");
            }
            (None, End::Finished | End::Stopped) => {}
            // It had the key: its owner wonders why nothing is to be seen.
            (None, _) => tracing::warn!(%end, ?losses, "a publisher did not get on air"),
        }
        end
    }

    async fn relay(&mut self, directory: &dyn Directory, on_air: &mut Option<OnAir>) -> End {
        let mut due = Instant::now() + self.limits.connect_within;
        let mut connected = false;
        // Of nobody until the show has let it in.
        let mut ended = CancellationToken::new();
        loop {
            match self.session.state() {
                State::Gone => return End::Gone,
                State::Connected if !connected => {
                    connected = true;
                    due = Instant::now() + self.limits.media_within;
                }
                State::Joining | State::Connected => {}
            }
            // Looked at here too: a peer that floods us with other things leaves the timer below no turn.
            if Instant::now() >= due {
                return match connected {
                    false => End::NeverConnected(self.limits.connect_within),
                    true => End::Silent(self.limits.media_within),
                };
            }
            tokio::select! {
                () = ended.cancelled() => return Ended.into(),
                () = self.key_wanted.notified() => self.session.want_key(std::time::Instant::now()),
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
                    Ok(Some(on_air)) => {
                        due = Instant::now() + self.limits.media_within;
                        ended.clone_from(&on_air.ended);
                    }
                    Ok(None) => {}
                    Err(end) => return end,
                }
            }
            self.flush();
        }
    }

    /// Hands media to the show, which lets it in with its first keyframe: whoever is on air until then stays there. None
    /// while there is nothing that it can be let in with.
    async fn hand_on<'a>(
        &mut self,
        directory: &dyn Directory,
        on_air: &'a mut Option<OnAir>,
        mut media: Vec<Coded>,
    ) -> Result<Option<&'a OnAir>, End> {
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
                    return Ok(None);
                }
                media.splice(..0, self.configs.drain(..));
                on_air.insert(self.admit(directory).await?)
            }
        };
        for coded in media {
            let is_picture = matches!(coded, Coded::Video(_));
            match on_air.media.offer(coded) {
                Ok(()) => {}
                Err(NotTaken::Closed) => return Err(Ended.into()),
                // The show is behind by more than its own queue.
                Err(NotTaken::Full) if is_picture => self.session.refused(std::time::Instant::now()),
                Err(NotTaken::Full) => {}
            }
        }
        Ok(Some(on_air))
    }

    async fn admit(&mut self, directory: &dyn Directory) -> Result<OnAir, End> {
        let mut publication = directory.admit(&self.publisher).await?;
        tracing::info!(app = ?self.publisher.app, encoder = ?self.encoder, "publisher on air");
        publication.describe(SourceInfo { encoder: self.encoder.clone(), ..SourceInfo::default() });
        let ended = publication.ended();
        let (media, waiting) = Queue::new();
        let carrier = AbortOnDropHandle::new(tokio::spawn(carry(publication, waiting, self.key_wanted.clone())));
        Ok(OnAir { media, ended, since: Instant::now(), _carrier: carrier })
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

/// Media that waits for the show: [`MOST_WAITING`] units, and of these [`MOST_WAITING_BYTES`].
struct Queue {
    units: mpsc::Sender<Waiting>,
    /// The bytes that may still be put into it.
    room: Arc<Semaphore>,
}

/// A unit, and the room that it takes while it waits.
type Waiting = (Coded, OwnedSemaphorePermit);

/// Why a unit did not come into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotTaken {
    Full,
    Closed,
}

impl Queue {
    fn new() -> (Queue, mpsc::Receiver<Waiting>) {
        let (units, waiting) = mpsc::channel(MOST_WAITING);
        (Queue { units, room: Arc::new(Semaphore::new(MOST_WAITING_BYTES)) }, waiting)
    }

    fn offer(&self, coded: Coded) -> Result<(), NotTaken> {
        if self.units.is_closed() {
            return Err(NotTaken::Closed);
        }
        let bytes = match &coded {
            Coded::Video(unit) | Coded::Audio(unit) => unit.data.len(),
            Coded::VideoConfig(_) | Coded::AudioConfig(_) => 0,
        };
        let bytes = u32::try_from(bytes).map_err(|_| NotTaken::Full)?;
        let room = self.room.clone().try_acquire_many_owned(bytes).map_err(|_| NotTaken::Full)?;
        self.units.try_send((coded, room)).map_err(|refused| match refused {
            TrySendError::Full(_) => NotTaken::Full,
            TrySendError::Closed(_) => NotTaken::Closed,
        })
    }
}

/// Pushes media into a publication, at the show's own pace, until either ends. The session goes on meanwhile: it has checks to
/// answer and losses to report. It is told through `key_wanted` when the show needs a keyframe.
async fn carry(mut publication: Box<dyn Publication>, mut media: mpsc::Receiver<Waiting>, key_wanted: Arc<Notify>) {
    while let Some((coded, room)) = media.recv().await {
        // What is being pushed waits here no longer.
        drop(room);
        if publication.push(coded).await.is_err() {
            return;
        }
        if publication.wants_keyframe() {
            key_wanted.notify_one();
        }
    }
}

/// Pictures and sound packets that wait for a show that is behind: a second of both.
const MOST_WAITING: usize = 96;
/// Bytes of them: two pictures of the largest size, or seconds of a fast stream.
const MOST_WAITING_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::media::access_unit::AccessUnit;

    fn picture(bytes: usize, key: bool) -> Coded {
        let (at, arrived) = (Duration::ZERO, std::time::Instant::now());
        Coded::Video(AccessUnit { pts: at, dts: at, key, data: Bytes::from(vec![0; bytes]), arrived })
    }

    #[test]
    fn what_waits_is_bounded_by_units_and_by_bytes() {
        let (queue, mut waiting) = Queue::new();
        let taken = (0..1000).take_while(|_| queue.offer(picture(1, false)).is_ok()).count();
        assert_eq!(taken, MOST_WAITING);

        while waiting.try_recv().is_ok() {}
        let taken = (0..1000).take_while(|_| queue.offer(picture(3 << 20, false)).is_ok()).count();
        assert_eq!(taken, 2);
        assert_eq!(queue.offer(picture(2 << 20, false)), Ok(()), "it fits into what is left");
        assert_eq!(queue.offer(picture(1, false)), Err(NotTaken::Full));
        drop(waiting.try_recv().unwrap());
        assert_eq!(queue.offer(picture(3 << 20, false)), Ok(()), "there is room again");

        drop(waiting);
        assert_eq!(queue.offer(picture(1, false)), Err(NotTaken::Closed));
    }

    /// Needs a keyframe after each picture that is none.
    #[derive(Default)]
    struct Needy(bool);

    #[async_trait]
    impl Publication for Needy {
        async fn push(&mut self, coded: Coded) -> Result<(), Ended> {
            self.0 = matches!(coded, Coded::Video(unit) if !unit.key);
            Ok(())
        }

        fn wants_keyframe(&mut self) -> bool {
            std::mem::take(&mut self.0)
        }

        fn ended(&self) -> CancellationToken {
            CancellationToken::new()
        }

        fn describe(&mut self, _: SourceInfo) {}
    }

    #[tokio::test]
    async fn a_session_hears_that_the_show_needs_a_keyframe() {
        for key in [true, false] {
            let (queue, waiting) = Queue::new();
            let wanted = Arc::new(Notify::new());
            queue.offer(picture(1, key)).unwrap();
            drop(queue);
            carry(Box::new(Needy::default()), waiting, wanted.clone()).await;
            let told = tokio::time::timeout(Duration::from_millis(20), wanted.notified()).await;
            assert_eq!(told.is_ok(), !key);
        }
    }
}
