//! The source that a show is pulled from, if it has one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::settings::{Role, SourceUrl};
use super::stages::Stages;
use crate::ingest::rtsp;

/// Keeps at most one pull running: the source's newest address. Dropping it ends the pull.
pub(super) struct Pull {
    role: Role,
    stages: Arc<dyn Stages>,
    tasks: TaskTracker,
    running: Option<(SourceUrl, CancellationToken)>,
    state: watch::Sender<Option<rtsp::State>>,
}

impl Pull {
    /// For a place in the show. Its tasks are counted by `tasks`.
    pub(super) fn new(role: Role, stages: Arc<dyn Stages>, tasks: TaskTracker) -> Pull {
        Pull { role, stages, tasks, running: None, state: watch::Sender::new(None) }
    }

    /// How the pull goes; absent without a source, and while a publisher has taken over.
    pub(super) fn state(&self) -> watch::Receiver<Option<rtsp::State>> {
        self.state.subscribe()
    }

    /// Pulls from `source` from now on, or from nowhere.
    pub(super) fn set(&mut self, source: Option<&SourceUrl>) {
        if self.running.as_ref().map(|(running, _)| running) == source {
            return;
        }
        if let Some((_, stop)) = self.running.take() {
            stop.cancel();
        }
        self.state.send_replace(None);
        let Some(url) = source else { return };
        let stop = CancellationToken::new();
        self.tasks.spawn(keep_pulling(
            url.source().clone(),
            self.role,
            self.stages.clone(),
            self.state.clone(),
            stop.clone(),
        ));
        self.running = Some((url.clone(), stop));
    }
}

/// Pulls until stopped. A publisher who takes the show over has it until they leave.
async fn keep_pulling(
    source: rtsp::Source,
    role: Role,
    stages: Arc<dyn Stages>,
    state: watch::Sender<Option<rtsp::State>>,
    stop: CancellationToken,
) {
    loop {
        let open = |publisher: &_| stages.publish(role, publisher);
        // A pull that was replaced says nothing about the one after it.
        let on_state = |now| {
            if !stop.is_cancelled() {
                state.send_replace(Some(now));
            }
        };
        if rtsp::pull(source.clone(), open, on_state, stop.clone()).await.is_ok() {
            return;
        }
        state.send_replace(None);
        // Gone is gone: a picture that stands still for a while is a publisher's all the same.
        let gone = async {
            loop {
                tokio::time::sleep(COURTESY).await;
                if !stages.publishes(role) {
                    return;
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = gone => {}
        }
    }
}

/// How often a publisher who took over is looked for; the first time when they have surely begun.
const COURTESY: Duration = Duration::from_secs(5);

impl Drop for Pull {
    fn drop(&mut self) {
        if let Some((_, stop)) = &self.running {
            stop.cancel();
        }
    }
}
