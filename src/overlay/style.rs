//! How a layer lies and moves: what a theme says of a kind, for one shape of canvas.

use super::motion::{Anchor, Change, ChangeKind, Digits, Emphasis, Film, Side, Transition, TransitionKind};
use super::raster::Moves;

/// Sizes are in rem, hundredths of the canvas's shorter side (a little more on a portrait canvas).
#[derive(Clone, Debug, PartialEq)]
pub struct Style {
    /// Where in the safe area it lies.
    pub anchor: Anchor,
    /// From the canvas's edges to the safe area.
    pub margin: f32,
    /// Higher lies in front.
    pub z: i32,
    pub enter: Transition,
    pub exit: Transition,
    pub change: Change,
    pub emphasis: Option<Emphasis>,
    pub digits: Digits,
    /// Whether the element with `id="glass"` frosts the picture behind it.
    pub glass: bool,
    /// How far its strip runs in a second.
    pub scroll: f32,
    pub film: Option<Film>,
}

impl Default for Style {
    /// The whole canvas, and everything at once.
    fn default() -> Style {
        Style {
            anchor: Anchor::Fill,
            margin: 0.0,
            z: 0,
            enter: Transition::CUT,
            exit: Transition::CUT,
            change: Change::CUT,
            emphasis: None,
            digits: Digits::Cut,
            glass: false,
            scroll: 0.0,
            film: None,
        }
    }
}

impl Style {
    /// By which odd distances its rasters are moved.
    pub(super) fn moves(&self) -> Moves {
        let moved = |transition: &Transition, sides: [Side; 2]| {
            matches!(transition.kind, TransitionKind::Slide | TransitionKind::Spring)
                && sides.contains(&transition.from)
        };
        let either = |sides| moved(&self.enter, sides) || moved(&self.exit, sides);
        let across = either([Side::Left, Side::Right]);
        Moves::of(across, either([Side::Top, Side::Bottom]) || self.change.kind == ChangeKind::Roll)
    }

    /// Those of its digits.
    pub(super) fn digit_moves(&self) -> Moves {
        if self.digits == Digits::Roll { self.moves().and(Moves::DOWN) } else { self.moves() }
    }
}
