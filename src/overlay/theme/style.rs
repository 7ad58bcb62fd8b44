//! A kind's settings for one shape of canvas.

use super::manifest::Settings;
use crate::overlay::motion::{Anchor, Change, Digits, Ease, Emphasis, Film, Side, Transition, TransitionKind};

/// How a layer lies on the picture and moves, with everything said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    pub anchor: Anchor,
    /// Between the safe area and the canvas's edge, in rem.
    pub margin: f32,
    pub z: i32,
    pub enter: Transition,
    pub exit: Transition,
    pub change: Change,
    pub emphasis: Option<Emphasis>,
    pub digits: Digits,
    /// How fast what is in the window moves, in rem a second.
    pub scroll: Option<f32>,
    pub film: Option<Film>,
    /// Whether the picture behind the element with `id="glass"` is frosted.
    pub glass: bool,
}

impl Style {
    /// This one with what a manifest says over it.
    pub(super) fn with(self, settings: &Settings) -> Style {
        Style {
            anchor: settings.anchor.unwrap_or(self.anchor),
            margin: settings.margin.unwrap_or(self.margin),
            z: settings.z.unwrap_or(self.z),
            enter: settings.enter.unwrap_or(self.enter),
            exit: settings.exit.unwrap_or(self.exit),
            change: settings.change.unwrap_or(self.change),
            emphasis: settings.emphasis.unwrap_or(self.emphasis),
            digits: settings.digits.unwrap_or(self.digits),
            scroll: settings.scroll.unwrap_or(self.scroll),
            film: settings.film.unwrap_or(self.film),
            glass: settings.glass.unwrap_or(self.glass),
        }
    }
}

impl Default for Style {
    /// What holds where no manifest says anything.
    fn default() -> Style {
        let fade = |ms| Transition { kind: TransitionKind::Fade, from: Side::default(), ms, ease: Ease::Out };
        Style {
            anchor: Anchor::default(),
            margin: 4.4,
            z: 0,
            enter: fade(300),
            exit: fade(200),
            change: Change::CUT,
            emphasis: None,
            digits: Digits::Cut,
            scroll: None,
            film: None,
            glass: false,
        }
    }
}
