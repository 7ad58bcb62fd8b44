//! How a layer comes, goes and moves: what a theme's manifest says of it.

use serde::Deserialize;

use super::number;

/// How a layer comes onto the picture, or leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    pub kind: TransitionKind,
    /// Where it comes from, or where it leaves to. A slide, a spring and a wipe have a direction; others have none.
    #[serde(default, alias = "to")]
    pub from: Side,
    /// How long it takes, in milliseconds.
    #[serde(default = "brief", deserialize_with = "number::milliseconds")]
    pub ms: u32,
    #[serde(default)]
    pub ease: Ease,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransitionKind {
    /// At once.
    Cut,
    Fade,
    /// From beyond its own edge.
    Slide,
    /// Grows from nothing.
    Scale,
    /// Uncovered from one side.
    Wipe,
    /// A slide that goes a little too far and swings back.
    Spring,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    Left,
    Right,
    Top,
    #[default]
    Bottom,
}

/// How progress runs against time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ease {
    Linear,
    /// Slow at first.
    In,
    /// Slow at last.
    #[default]
    Out,
    InOut,
    /// Goes too far and swings back.
    Spring,
}

/// How a layer's old look makes way for its new one while it stays.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub kind: ChangeKind,
    /// How long it takes, in milliseconds.
    #[serde(default = "brief", deserialize_with = "number::milliseconds")]
    pub ms: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    Cut,
    Fade,
    /// The old one leaves upwards, the new one follows from below.
    Roll,
}

/// What draws the eye to a layer now and then.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emphasis {
    pub kind: EmphasisKind,
    /// From one beginning to the next, in milliseconds; never less than `ms`.
    #[serde(deserialize_with = "number::milliseconds")]
    pub every_ms: u32,
    /// How long one takes, in milliseconds.
    #[serde(deserialize_with = "number::milliseconds")]
    pub ms: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmphasisKind {
    /// The layer grows a little and shrinks back.
    Pulse,
    /// A band of light passes over it.
    Shimmer,
    /// The element with `id="glow"` swells and fades.
    Glow,
}

/// How a countdown's digit makes way for the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Digits {
    #[default]
    Cut,
    Roll,
    Flip,
}

/// One turn of a template's CSS `@keyframes`, painted once and shown over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Film {
    /// How long one turn is, in milliseconds.
    #[serde(deserialize_with = "number::milliseconds")]
    pub ms: u32,
    /// Frames a second.
    #[serde(deserialize_with = "frame_rate")]
    pub fps: u32,
}

/// Where in the safe area a layer lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anchor {
    TopLeft,
    Top,
    TopRight,
    Left,
    #[default]
    Center,
    Right,
    BottomLeft,
    Bottom,
    BottomRight,
    /// The whole canvas, beyond the safe area.
    Fill,
}

impl Transition {
    pub const CUT: Transition = Transition { kind: TransitionKind::Cut, from: Side::Bottom, ms: 0, ease: Ease::Out };
}

impl Change {
    pub const CUT: Change = Change { kind: ChangeKind::Cut, ms: 0 };
}

impl Film {
    /// Frames of one turn; at least one.
    pub fn frames(self) -> u32 {
        (self.ms * self.fps).div_ceil(1000).max(1)
    }

    /// Frames that one turn may have: each of them is a painting that is kept.
    pub const MOST_FRAMES: u32 = 60;
}

fn frame_rate<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    number::whole(from, 1..=30).map(i32::unsigned_abs)
}

/// What a transition takes when the manifest does not say, in milliseconds.
fn brief() -> u32 {
    300
}
