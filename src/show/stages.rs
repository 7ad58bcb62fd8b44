//! What a show's owner asks of its running media stages.

use std::sync::Arc;

use tokio::sync::watch;

use super::pipeline::{Health, Pipeline, Shown};
use super::settings::Role;
use crate::codec::Fitting;
use crate::ingest::{Publication, Publisher};
use crate::media::{MediaTime, Picture, Resolution};
use crate::overlay::Scene;

/// The running stages of one show. [`Pipeline`] is the real one; tests stand in for it without threads and encoders.
pub trait Stages: Send + Sync {
    /// Shows a scene from the next free slot on that is `not_before` a moment, until another one is armed: what was armed for
    /// that slot or later is given up. The slot is told before it can be seen, and given back.
    fn arm(&self, scene: Arc<Scene>, not_before: Option<MediaTime>, tell: &mut dyn FnMut(MediaTime)) -> MediaTime;

    /// The newest revision on air and the first frame that showed it.
    fn shown(&self) -> watch::Receiver<Shown>;

    /// Whether a publisher's picture is on air.
    fn on_air(&self) -> watch::Receiver<bool>;

    /// The size of the publisher's picture, once one is decoded.
    fn source(&self) -> watch::Receiver<Option<Resolution>>;

    /// The newest picture that came, without layers, once one has.
    fn picture(&self) -> Option<Arc<Picture>>;

    /// How pictures of other proportions are shown from now on.
    fn fit(&self, fitting: Fitting);

    /// Takes a publisher into a place; the newest wins.
    fn publish(&self, role: Role, publisher: &Publisher) -> Box<dyn Publication>;

    /// Ends the publisher in a place, if any.
    fn end_publication(&self, role: Role);

    /// Puts a source on the picture. False when nothing comes from there.
    fn give(&self, role: Role) -> bool;

    /// Whether somebody publishes in a place.
    fn publishes(&self, role: Role) -> bool;

    fn health(&self) -> Health;

    /// Ends every stage and joins its threads: blocks.
    fn stop(&self);
}

impl Stages for Pipeline {
    fn arm(&self, scene: Arc<Scene>, not_before: Option<MediaTime>, tell: &mut dyn FnMut(MediaTime)) -> MediaTime {
        Pipeline::arm(self, scene, not_before, tell)
    }

    fn shown(&self) -> watch::Receiver<Shown> {
        Pipeline::shown(self)
    }

    fn on_air(&self) -> watch::Receiver<bool> {
        Pipeline::on_air(self)
    }

    fn source(&self) -> watch::Receiver<Option<Resolution>> {
        Pipeline::source(self)
    }

    fn picture(&self) -> Option<Arc<Picture>> {
        Pipeline::picture(self)
    }

    fn fit(&self, fitting: Fitting) {
        Pipeline::fit(self, fitting);
    }

    fn publish(&self, role: Role, publisher: &Publisher) -> Box<dyn Publication> {
        Pipeline::publish(self, role, publisher)
    }

    fn end_publication(&self, role: Role) {
        Pipeline::end_publication(self, role);
    }

    fn give(&self, role: Role) -> bool {
        Pipeline::give(self, role)
    }

    fn publishes(&self, role: Role) -> bool {
        Pipeline::publishes(self, role)
    }

    fn health(&self) -> Health {
        Pipeline::health(self)
    }

    fn stop(&self) {
        Pipeline::stop(self);
    }
}
