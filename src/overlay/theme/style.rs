//! A kind's settings for one shape of canvas.

use super::manifest::Settings;
use crate::overlay::html::Place;
use crate::overlay::motion::{
    Anchor, Change, ChangeKind, Digits, Ease, Emphasis, Film, Side, Transition, TransitionKind,
};
use crate::overlay::raster::Moves;

/// How a layer lies on the picture and moves, with everything said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    pub place: Place,
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
            place: Place {
                anchor: settings.anchor.unwrap_or(self.place.anchor),
                margin: settings.margin.unwrap_or(self.place.margin),
            },
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

impl Style {
    /// By which odd distances its rasters are moved.
    pub fn moves(&self) -> Moves {
        let moved = |transition: &Transition, sides: [Side; 2]| {
            matches!(transition.kind, TransitionKind::Slide | TransitionKind::Spring)
                && sides.contains(&transition.from)
        };
        let either = |sides| moved(&self.enter, sides) || moved(&self.exit, sides);
        let across = either([Side::Left, Side::Right]);
        Moves::of(across, either([Side::Top, Side::Bottom]) || self.change.kind == ChangeKind::Roll)
    }

    /// Those of its digits.
    pub fn digit_moves(&self) -> Moves {
        if self.digits == Digits::Roll { self.moves().and(Moves::DOWN) } else { self.moves() }
    }
}

impl Default for Style {
    /// What holds where no manifest says anything.
    fn default() -> Style {
        let fade = |ms| Transition { kind: TransitionKind::Fade, from: Side::default(), ms, ease: Ease::Out };
        Style {
            place: Place { anchor: Anchor::default(), margin: 4.4 },
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
