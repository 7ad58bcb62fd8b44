//! Shows: each has one owner of its state, its running stages, and a place in the log.
//!
//! ```text
//!  api ──Command──► Handle ──► actor ──events──► store
//!                                │ layers
//!                                ▼
//!                              raster ──Scene──► actor ──announce──► deliver
//!                                                  └────arm────────► pipeline
//! ```
//!
//! `state` is the fold of the log and its rules; `actor` owns it while it runs; `layers` turns it into what overlay paints, so
//! that overlay knows no prices; `registry` opens, makes and ends shows, and lets publishers in by their key.

mod actor;
pub mod announce;
mod audio_line;
pub mod cues;
mod handle;
mod layers;
pub mod locale;
pub mod pipeline;
mod pull;
mod raster;
pub mod registry;
#[cfg(test)]
pub(crate) mod rehearsal;
pub mod settings;
pub mod stage;
pub mod stages;
pub mod state;
pub mod still;
mod timeline;
pub mod words;

use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

pub use handle::Handle;
pub use registry::Shows;
pub use settings::{Canvas, Fit, Role, ShowId, SourceUrl, StreamKey, ThemeName, WantedCanvas};
pub use stage::{Change, Layer};
pub use stages::Stages;
pub use state::{Changes, Command, State};

use crate::media::{MediaClock, MediaTime};
use crate::store;

/// A command that was carried out: its events are in the log.
#[derive(Clone, Debug)]
pub struct Done {
    /// The revision that it left the show at.
    pub rev: u64,
    /// The state when this was answered, which may be further.
    pub state: Arc<State>,
    /// What it came to: none when nothing was to be changed.
    pub events: Vec<state::Event>,
    /// Where a change of the stage is on the picture. Absent for other changes, and when it was not even painted in time.
    pub on_picture: Option<OnPicture>,
}

/// A revision on the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnPicture {
    /// The one that was asked for, or a later one that took its place before it was shown.
    pub rev: u64,
    /// The first frame that shows it.
    pub at: MediaTime,
    /// Whether that frame was seen to leave the compositor; else it is the one that was planned.
    pub seen: bool,
}

/// Why a show did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no show {seen}: make it first")]
    Unknown { seen: ShowId },
    #[error(transparent)]
    Refused(#[from] state::Refused),
    #[error("revision {expected} was expected, the show is at {current}: look at what has changed, then try again")]
    Moved { expected: u64, current: u64 },
    #[error("another show has this stream key: leave it out to have one made")]
    KeyTaken,
    #[error(
        "size and rate of the canvas of {show} are {canvas} while the server runs: set them in the configuration and restart, or make another show"
    )]
    CanvasFixed { show: ShowId, canvas: Canvas },
    #[error("there is no theme {seen}: use one of {}", known.join(", "))]
    UnknownTheme { seen: ThemeName, known: Vec<String> },
    #[error("there are {most} shows, which is the most that run here: delete one first")]
    Full { most: usize },
    #[error("revision {rev} is in the log, but could not be painted: {reason}")]
    NotPainted { rev: u64, reason: String },
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("entry {seq} of the log, for show {show}: {reason}: was it written by a newer hawker?")]
    Log { seq: i64, show: String, reason: String },
    #[error("the stages of {show} did not start: {reason}")]
    Stages { show: ShowId, reason: String },
    #[error("the still was not made: {reason}")]
    Still { reason: String },
    #[error("other stills are being made, one at a time of a show: ask again in a second")]
    StillsBusy,
    #[error("the show is ending")]
    Stopping,
}

/// The wall time of a show's clock, to the millisecond: what is decided now is decided at this time. No step of the machine's
/// wall clock moves it while the show is open.
fn wall(clock: &MediaClock) -> Timestamp {
    let now = Timestamp::try_from(clock.wall(clock.now())).unwrap_or(Timestamp::MAX);
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// The same moment for the clocks of `media`.
fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::try_from(at).expect("every timestamp is a time that this system can tell")
}
