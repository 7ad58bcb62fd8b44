//! How others reach a running show.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::actor::Message;
use super::pipeline::Health;
use super::settings::{Role, ShowId};
use super::stages::Stages;
use super::state::{Command, State};
use super::still::Studio;
use super::{Done, Error, layers};
use crate::commerce::catalog::{ImageHash, ProductId};
use crate::deliver::Feed;
use crate::ingest::{Publication, Publisher, rtsp};
use crate::media::{MediaClock, MediaTime, RtpBase, Spent, Times};
use crate::overlay::Photo;

/// A running show: commands go to its owner, everything else is read. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) id: ShowId,
    pub(super) commands: mpsc::Sender<Message>,
    pub(super) state: watch::Receiver<Arc<State>>,
    pub(super) pull: watch::Receiver<Option<rtsp::State>>,
    pub(super) backup_pull: watch::Receiver<Option<rtsp::State>>,
    pub(super) stages: Arc<dyn Stages>,
    pub(super) feed: Feed,
    pub(super) clock: MediaClock,
    pub(super) studio: Studio,
    /// How long its scenes took to paint.
    pub(super) painting: Arc<Spent>,
    pub(super) stop: CancellationToken,
    /// Cancelled when the show's task is over and its stages are joined.
    pub(super) ended: CancellationToken,
}

impl Handle {
    pub fn id(&self) -> &ShowId {
        &self.inner.id
    }

    /// How long its scenes took to paint.
    pub fn painting_times(&self) -> Times {
        self.inner.painting.times()
    }

    /// The state as it was last committed.
    pub fn state(&self) -> Arc<State> {
        self.inner.state.borrow().clone()
    }

    /// Carries a command out: its events are in the log when this returns. A change of the stage waits, bounded, until it is on
    /// the picture.
    pub async fn run(&self, command: Command) -> Result<Done, Error> {
        self.send(command, None, None).await
    }

    /// The same, unless the show has another revision than `expect` says when its turn comes.
    pub async fn run_expecting(&self, command: Command, expect: Option<u64>) -> Result<Done, Error> {
        self.send(command, None, expect).await
    }

    /// Gives a product its picture. `hash` is of its bytes, which are in the store already.
    pub async fn set_image(
        &self,
        id: ProductId,
        image: ImageHash,
        photo: Arc<Photo>,
        expect: Option<u64>,
    ) -> Result<Done, Error> {
        self.send(Command::SetImage { id, image }, Some(photo), expect).await
    }

    /// The show's wall time: the one that its countdowns end by.
    pub fn wall(&self) -> Timestamp {
        super::wall(&self.inner.clock)
    }

    /// The media time of a moment on the wall.
    pub fn media_time(&self, at: Timestamp) -> MediaTime {
        layers::media_time(&self.inner.clock, at)
    }

    /// The moment on the wall of a media time.
    pub fn wall_at(&self, at: MediaTime) -> Timestamp {
        Timestamp::try_from(self.inner.clock.wall(at)).unwrap_or(Timestamp::MAX)
    }

    /// The RTP timestamp of the video frame at a media time.
    pub fn rtp(&self, at: MediaTime) -> u32 {
        RtpBase::new(self.state().rtp_base).video(at)
    }

    /// Whether a publisher's picture is on air.
    pub fn on_air(&self) -> bool {
        *self.inner.stages.on_air().borrow()
    }

    /// What viewers join.
    pub fn feed(&self) -> &Feed {
        &self.inner.feed
    }

    pub fn health(&self) -> Health {
        self.inner.stages.health()
    }

    /// How the pull of the show's source goes; absent without a source.
    pub fn pull(&self) -> Option<rtsp::State> {
        self.inner.pull.borrow().clone()
    }

    /// How the pull of the show's backup source goes; absent without one.
    pub fn backup_pull(&self) -> Option<rtsp::State> {
        self.inner.backup_pull.borrow().clone()
    }

    /// Puts the main or the backup source on the picture. False when nothing comes from there.
    pub fn give(&self, role: Role) -> bool {
        self.inner.stages.give(role)
    }

    pub(super) fn publish(&self, role: Role, publisher: &Publisher) -> Box<dyn Publication> {
        self.inner.stages.publish(role, publisher)
    }

    /// Ends the show's task and stages, and waits for it. What is committed stays.
    pub(super) async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.ended.cancelled().await;
    }

    async fn send(&self, command: Command, photo: Option<Arc<Photo>>, expect: Option<u64>) -> Result<Done, Error> {
        let (answer, answered) = oneshot::channel();
        self.inner.commands.send(Message { command, photo, expect, answer }).await.map_err(|_| Error::Stopping)?;
        answered.await.map_err(|_| Error::Stopping)?
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.inner.id)
    }
}
