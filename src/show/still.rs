//! Stills of a show: any state's layers at any moment as a picture, painted apart from the frames on air.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::layers::{self, Welcome};
use super::state::State;
use super::{Error, Handle};
use crate::codec::{Blur, Fit, Fitting, Target};
use crate::media::{Colour, MediaTime, Picture};
use crate::overlay::{Backdrop, Canvas, Ground, Painter, Photo, Staging, StillFormat};
use crate::store::Store;

/// What a still is to be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Now when absent.
    pub at: Option<MediaTime>,
    pub format: StillFormat,
    /// Of the canvas's own width when absent, and never wider.
    pub width: Option<u32>,
}

/// A still that was made.
#[derive(Clone, Debug)]
pub struct Shot {
    /// The revision and the moment that it shows.
    pub rev: u64,
    pub at: MediaTime,
    pub format: StillFormat,
    pub bytes: Vec<u8>,
}

/// Where a show's stills are made: one at a time, and [`Studio::MOST`] at a time of all shows.
pub(super) struct Studio {
    painter: Arc<Painter>,
    store: Store,
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

impl Studio {
    /// Stills of all shows being made at a time: each takes a core, and the memory of some frames and photos.
    pub(super) const MOST: usize = 2;

    /// `all` is shared by every show, with [`Studio::MOST`] permits.
    pub(super) fn new(painter: Arc<Painter>, store: Store, all: Arc<Semaphore>) -> Studio {
        Studio { painter, store, own: Arc::new(Semaphore::new(1)), all }
    }
}

impl Handle {
    /// Shows what a state puts on the picture at a moment, with what time brings until then: over the newest picture that came,
    /// over a neutral ground before the first one. The state need not be the show's own.
    pub async fn still(&self, state: Arc<State>, wanted: Wanted) -> Result<Shot, Error> {
        let studio = &self.inner.studio;
        let (at, rev) = (wanted.at.unwrap_or_else(|| self.inner.clock.now()), state.rev);
        let turn = async {
            // Its own first: who waits behind the same show keeps no place from other shows.
            let own = studio.own.clone().acquire_owned().await;
            (own, studio.all.clone().acquire_owned().await)
        };
        let turn = timeout(PATIENCE, turn).await.map_err(|_| Error::StillsBusy)?;
        // A cue belongs to the tick nearest to it.
        let state = state.at(self.wall_at(at).checked_add(HALF_TICK).unwrap_or(Timestamp::MAX));
        let mut photos = Vec::new();
        for hash in layers::photos_of(&state) {
            // A card whose picture is gone is shown without, as on air.
            photos.extend(studio.store.blob(hash.as_bytes()).await?.map(|bytes| (hash, bytes)));
        }
        let (show, painter) = (self.clone(), studio.painter.clone());
        let make = move || {
            // Held until it is made, even when nobody waits for it any more.
            let _turn = turn;
            let photos =
                photos.into_iter().filter_map(|(hash, bytes)| Some((hash, Arc::new(Photo::decode(&bytes).ok()?))));
            let bytes = show.shoot(&painter, &state, &photos.collect(), at, wanted)?;
            Ok(Shot { rev, at, format: wanted.format, bytes })
        };
        let broke_off = |_| Error::Still { reason: "painting broke off: see the server's log".to_owned() };
        tokio::task::spawn_blocking(make).await.map_err(broke_off)?
    }

    fn shoot(
        &self,
        painter: &Painter,
        state: &State,
        photos: &layers::Photos,
        at: MediaTime,
        wanted: Wanted,
    ) -> Result<Vec<u8>, Error> {
        let failed = |error: &dyn std::error::Error| Error::Still { reason: error.to_string() };
        let (stages, clock) = (&self.inner.stages, &self.inner.clock);
        let newest = stages.picture();
        let ground = if *stages.on_air().borrow() { Ground::Live } else { Ground::Slate };
        let welcome = newest.is_none().then_some(if state.opened { Welcome::BackSoon } else { Welcome::StartingSoon });
        let layers = layers::layers(state, clock, at, photos, welcome);
        let canvas = Canvas {
            resolution: state.canvas.resolution_for(*stages.source().borrow()),
            colour: Colour::unsaid(state.canvas.resolution().height),
        };
        let staging = Staging { canvas, theme: state.theme.to_string(), locale: state.locale };
        let scene = painter.paint(state.rev, &layers, &staging).map_err(|error| failed(&error))?;
        let under = match newest {
            Some(picture) => under(&picture, canvas, ground).map_err(|error| failed(&error))?,
            None => Backdrop::Studio.picture(canvas),
        };
        let mut still = scene.still(&under, at, ground).map_err(|error| failed(&error))?;
        if let Some(width) = wanted.width {
            still = still.narrowed(width);
        }
        still.encode(wanted.format).map_err(|error| failed(&error))
    }
}

/// A picture as compose brings it under the layers.
fn under(picture: &Arc<Picture>, canvas: Canvas, ground: Ground) -> Result<Arc<Picture>, crate::codec::Error> {
    let Canvas { resolution, colour } = canvas;
    let fitted = Fit::new(Target { resolution, colour, fitting: Fitting::Blur }).picture(picture)?;
    match ground {
        Ground::Live => Ok(fitted),
        Ground::Slate => Blur::new(resolution, colour)?.picture(&fitted),
    }
}

/// Of media time.
const HALF_TICK: Duration = Duration::from_nanos(5_556);
/// How long a still waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::ManualClock;
    use crate::show::{ShowId, registry, rehearsal};

    #[tokio::test]
    async fn a_second_still_of_a_show_waits_and_is_then_sent_away() {
        let folder = tempfile::tempdir().unwrap();
        let shows = rehearsal::open(folder.path(), &ManualClock::new()).await;
        let show = shows.put(ShowId::parse("demo").unwrap(), registry::Wanted::default()).await.unwrap().show;
        let wanted = Wanted { at: None, format: StillFormat::Png, width: Some(64) };
        let turn = show.inner.studio.own.clone().acquire_owned().await.unwrap();
        tokio::time::pause();
        assert!(matches!(show.still(show.state(), wanted).await, Err(Error::StillsBusy)));
        tokio::time::resume();
        drop(turn);
        let shot = show.still(show.state(), wanted).await.unwrap();
        assert_eq!(image::load_from_memory(&shot.bytes).unwrap().width(), 64);
        assert_eq!((show.inner.studio.own.available_permits(), shot.rev), (1, 1));
        shows.shutdown().await;
    }
}
