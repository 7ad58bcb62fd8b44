//! What is drawn over the picture: layers painted from HTML templates, and the blend that puts them in.
//!
//! ```text
//!  LayerSpec ──Painter::paint──► Scene ──frame(at)──► DrawList ──compose──► picture
//!    (raster worker, ahead of its moment)             (frame thread: no clock, no state)
//! ```
//!
//! A scene is a pure function of media time: painted once, it shows the same pixels for the same moment wherever and
//! whenever it is asked. Everything that will change (a price at the end of a countdown) is a phase that is painted ahead.
//! This room knows no prices: values are ready to show. Nothing on the way to the picture reads a clock.
//!
//! - `theme`: what a layer looks like, its motion and its data; `shelf`: the themes in use, read again when they change
//! - `html`: HTML → straight-alpha RGBA; `bidi`: values of one direction among texts of the other
//! - `fonts`, `locale`: which glyphs a text is set in, by its language
//! - `raster`: RGBA → premultiplied Y'CbCr with alpha, only where there is ink
//! - `reach`: how much of the canvas a painting needs
//! - `digits`: what a countdown reads at a moment
//! - `painter`, `scene`: layers with phases, and their cache
//! - `motion`, `pose`: how a layer comes, moves and goes
//! - `compose`: the blend
//! - `still`, `backdrop`: a frame as a picture to look at, and what lies under it where nobody publishes

pub mod backdrop;
mod bidi;
pub mod compose;
pub mod digits;
pub mod fonts;
pub mod html;
pub mod locale;
pub mod motion;
mod number;
pub mod painter;
pub mod photo;
mod pose;
pub mod raster;
mod reach;
pub mod scene;
pub mod shelf;
pub mod still;
pub mod theme;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use backdrop::Backdrop;
pub use compose::DrawList;
pub use fonts::Gap;
pub use locale::{Language, Locale};
pub use painter::{PaintError, Painter, PainterConfig};
pub use photo::{Photo, PhotoError};
pub use raster::Rect;
pub use scene::{Hit, Scene};
pub use shelf::Watch;
pub use still::{Still, StillError, StillFormat};
pub use theme::{Theme, ThemeError, Themes};

use crate::media::{Colour, MediaTime, Resolution};

/// One thing on the picture.
#[derive(Clone, Debug)]
pub struct LayerSpec {
    /// Unique in its scene.
    pub id: String,
    /// A kind of the theme: `card`, `countdown`, `starting_soon`, `slate`, or one of a theme's own.
    pub template: String,
    /// On which pictures it lies; on all of them when absent.
    pub ground: Option<Ground>,
    /// Added to the height that the theme says: higher lies in front; layers of the same height lie in the order they are given.
    pub z: i32,
    /// What it shows and when. Where two phases hold at once, the later in the list shows; where none does, nothing.
    pub phases: Vec<PhaseSpec>,
    /// What clicks on it mean, opaque here: the first on its element `hit` (on all of it where there is none) or `hit-0`, the next
    /// on `hit-1` and so on. Without any the layer is no target.
    pub hits: Vec<String>,
}

/// What lies under a frame's layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// A publisher's moving picture.
    Live,
    /// What stands in for it while nothing comes.
    Slate,
}

/// What a layer shows during a window of media time.
#[derive(Clone, Debug, Default)]
pub struct PhaseSpec {
    /// First moment; from the beginning of time when absent.
    pub from: Option<MediaTime>,
    /// First moment after it; for ever when absent.
    pub until: Option<MediaTime>,
    /// The template's values, an object.
    pub values: serde_json::Value,
    /// Pictures by the name that the template calls them.
    pub images: BTreeMap<String, Arc<Photo>>,
    /// Its digits count down to this moment. They are absent without it.
    pub ends: Option<MediaTime>,
    /// When they began to, which is when a ring was full.
    pub begins: Option<MediaTime>,
}

/// What a scene is painted for.
#[derive(Clone, Debug, PartialEq)]
pub struct Staging {
    pub canvas: Canvas,
    /// A theme's name.
    pub theme: String,
    pub locale: Locale,
}

/// The picture that a scene is painted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Canvas {
    pub resolution: Resolution,
    pub colour: Colour,
}
