//! What a show's owner asks of its running media stages.

use std::sync::Arc;

use tokio::sync::watch;

use super::pipeline::{Health, Pipeline, Shown};
use crate::ingest::{Publication, Publisher};
use crate::media::MediaTime;
use crate::overlay::Scene;

/// The running stages of one show. [`Pipeline`] is the real one; tests stand in for it without threads and encoders.
pub trait Stages: Send + Sync {
    /// Shows a scene from the next free slot on, until another one is armed. That slot is told before it can be seen, and given
    /// back.
    fn arm(&self, scene: Arc<Scene>, tell: &mut dyn FnMut(MediaTime)) -> MediaTime;

    /// The newest revision on air and the first frame that showed it.
    fn shown(&self) -> watch::Receiver<Shown>;

    /// Whether a publisher's picture is on air.
    fn on_air(&self) -> watch::Receiver<bool>;

    /// Takes a publisher in; the newest wins.
    fn publish(&self, publisher: &Publisher) -> Box<dyn Publication>;

    /// Ends the publisher that is on air, if any.
    fn end_publication(&self);

    fn health(&self) -> Health;

    /// Ends every stage and joins its threads: blocks.
    fn stop(&self);
}

impl Stages for Pipeline {
    fn arm(&self, scene: Arc<Scene>, tell: &mut dyn FnMut(MediaTime)) -> MediaTime {
        Pipeline::arm(self, scene, tell)
    }

    fn shown(&self) -> watch::Receiver<Shown> {
        Pipeline::shown(self)
    }

    fn on_air(&self) -> watch::Receiver<bool> {
        Pipeline::on_air(self)
    }

    fn publish(&self, publisher: &Publisher) -> Box<dyn Publication> {
        Pipeline::publish(self, publisher)
    }

    fn end_publication(&self) {
        Pipeline::end_publication(self);
    }

    fn health(&self) -> Health {
        Pipeline::health(self)
    }

    fn stop(&self) {
        Pipeline::stop(self);
    }
}
