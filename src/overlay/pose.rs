//! How a layer stands at a moment of its coming, staying and going: a transform of what was painted once. Pure functions of
//! media time.

use std::time::Duration;

use super::compose::{Draw, Scale};
use super::motion::{Ease, Emphasis, EmphasisKind, Side, Transition, TransitionKind};
use super::raster::Rect;
use crate::media::Resolution;

/// What becomes of everything in a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    /// Whole luma pixels.
    dx: i32,
    dy: i32,
    pub(super) opacity: u8,
    /// In 1/65536.
    scale: u32,
    /// The part of the canvas that it shows in.
    clip: Option<Rect>,
    /// How much of it is there, 255 all: what cannot be cut or scaled goes by this.
    pub(super) presence: u8,
}

impl Pose {
    /// As it was painted.
    pub(super) const REST: Pose = Pose { dx: 0, dy: 0, opacity: 255, scale: WHOLE, clip: None, presence: 255 };

    /// On its way in: `since` it came. `area` is what it covers at rest.
    pub(super) fn entering(transition: &Transition, since: Duration, area: Rect, canvas: Resolution) -> Pose {
        let progress = share(since, transition.ms);
        Pose::of(transition, eased(transition, progress), area, canvas)
    }

    /// On its way out: `since` it began to leave. None when it is gone.
    pub(super) fn leaving(transition: &Transition, since: Duration, area: Rect, canvas: Resolution) -> Option<Pose> {
        if transition.kind == TransitionKind::Cut || since >= length(transition) {
            return None;
        }
        // The same way back, slow where it was slow.
        let progress = 1.0 - share(since, transition.ms);
        Some(Pose::of(transition, eased(transition, progress), area, canvas))
    }

    fn of(transition: &Transition, there: f64, area: Rect, canvas: Resolution) -> Pose {
        let presence = (there.clamp(0.0, 1.0) * 255.0).round() as u8;
        let pose = Pose { presence, ..Pose::REST };
        match transition.kind {
            TransitionKind::Cut => Pose::REST,
            TransitionKind::Fade => Pose { opacity: presence, ..pose },
            TransitionKind::Slide | TransitionKind::Spring => {
                let (x, y) = beyond(transition.from, area, canvas);
                let away = 1.0 - there;
                Pose { dx: (away * f64::from(x)).round() as i32, dy: (away * f64::from(y)).round() as i32, ..pose }
            }
            TransitionKind::Scale => {
                let scale = (SMALLEST + (1.0 - SMALLEST) * there) * f64::from(WHOLE);
                Pose { scale: scale.round() as u32, opacity: (there * 2.0 * 255.0).clamp(0.0, 255.0) as u8, ..pose }
            }
            TransitionKind::Wipe => {
                Pose { clip: Some(uncovered(transition.from, area, there.clamp(0.0, 1.0))), ..pose }
            }
        }
    }

    /// What an emphasis adds while the layer stays.
    pub(super) fn emphasised(emphasis: &Emphasis, since: Duration) -> Pose {
        match (emphasis.kind, turn(emphasis, since)) {
            (EmphasisKind::Pulse, Some(turn)) => {
                let scale = (1.0 + PULSE * swell(turn)) * f64::from(WHOLE);
                Pose { scale: scale.round() as u32, ..Pose::REST }
            }
            _ => Pose::REST,
        }
    }

    /// The same draw in this pose; `area` is the layer's at rest.
    pub(super) fn apply<'s>(&self, mut draw: Draw<'s>, area: Rect) -> Draw<'s> {
        let middle = middle(area);
        if self.scale != WHOLE {
            let scale = draw.scale.get_or_insert(Scale { x: WHOLE, y: WHOLE, about: middle });
            scale.x = ((u64::from(scale.x) * u64::from(self.scale)) >> 16) as u32;
            scale.y = ((u64::from(scale.y) * u64::from(self.scale)) >> 16) as u32;
        }
        // What is squeezed already, a digit that turns, is so about its own point, which goes where the layer's points go.
        let (x, y) = draw.scale.map_or((0, 0), |scale| scale.about);
        let to = self.point((x + draw.dx, y + draw.dy), middle);
        (draw.dx, draw.dy) = (to.0 - x, to.1 - y);
        draw.clip = match draw.clip.map(|own| placed(own, |point| self.point(point, middle)).unwrap_or_default()) {
            Some(own) => Some(own.within(self.clip.unwrap_or(own))),
            None => self.clip,
        };
        if draw.scale.is_none() {
            (draw.dx, draw.dy) = draw.raster.possible(draw.dx, draw.dy);
        }
        draw.opacity = ((u32::from(draw.opacity) * u32::from(self.opacity) + 127) / 255) as u8;
        draw
    }

    /// Where a point of a layer comes to lie that is scaled about its middle.
    fn point(&self, (x, y): (i32, i32), middle: (i32, i32)) -> (i32, i32) {
        let along = |v: i32, about: i32, moved: i32| {
            let from = i64::from(v - about) * i64::from(self.scale);
            about + ((from + i64::from(WHOLE / 2)) >> 16) as i32 + moved
        };
        (along(x, middle.0, self.dx), along(y, middle.1, self.dy))
    }

    /// Its move in whole chroma samples.
    pub(super) fn even_move(&self) -> (i32, i32) {
        (self.dx & !1, self.dy & !1)
    }

    /// Whether something is seen of it that cannot be moved with it: cut or scaled.
    pub(super) fn is_moved_only(&self) -> bool {
        self.scale == WHOLE && self.clip.is_none()
    }
}

/// How long a transition takes.
pub(super) fn length(transition: &Transition) -> Duration {
    match transition.kind {
        TransitionKind::Cut => Duration::ZERO,
        _ => Duration::from_millis(u64::from(transition.ms)),
    }
}

/// How far an emphasis's turn has come, 0..1; None between turns.
pub(super) fn turn(emphasis: &Emphasis, since: Duration) -> Option<f64> {
    let (every, long) = (u64::from(emphasis.every_ms.max(emphasis.ms).max(1)), u64::from(emphasis.ms));
    // The first one waits, so that it does not fall into the entrance.
    let within = since.as_micros() as u64 % (every * 1000);
    let begun = within.checked_sub((every - long) * 1000)?;
    Some(begun as f64 / (long.max(1) * 1000) as f64)
}

/// Up and back down, smoothly: 0 at both ends, 1 in the middle.
pub(super) fn swell(turn: f64) -> f64 {
    let rise = if turn < 0.5 { turn * 2.0 } else { 2.0 - turn * 2.0 };
    rise * rise * (3.0 - 2.0 * rise)
}

/// The share of a duration that has passed, 0..=1.
pub(super) fn share(since: Duration, ms: u32) -> f64 {
    if ms == 0 { 1.0 } else { (since.as_secs_f64() * 1000.0 / f64::from(ms)).clamp(0.0, 1.0) }
}

fn eased(transition: &Transition, progress: f64) -> f64 {
    match (transition.kind, transition.ease) {
        (TransitionKind::Spring, _) | (_, Ease::Spring) => sprung(progress),
        (_, Ease::Linear) => progress,
        (_, Ease::In) => progress * progress * progress,
        (_, Ease::Out) => 1.0 - (1.0 - progress).powi(3),
        (_, Ease::InOut) => progress * progress * (3.0 - 2.0 * progress),
    }
}

/// A tenth too far, and back: the polynomial through 0 and 1 that rests at its end.
fn sprung(progress: f64) -> f64 {
    let left = progress - 1.0;
    1.0 + left * left * ((OVERSHOOT + 1.0) * left + OVERSHOOT)
}

/// How far a layer must move to be out of sight.
fn beyond(side: Side, area: Rect, canvas: Resolution) -> (i32, i32) {
    match side {
        Side::Left => (-(area.right() as i32), 0),
        Side::Right => (canvas.width as i32 - area.x as i32, 0),
        Side::Top => (0, -(area.bottom() as i32)),
        Side::Bottom => (0, canvas.height as i32 - area.y as i32),
    }
}

/// A share of an area, from a side on.
fn uncovered(side: Side, area: Rect, share: f64) -> Rect {
    let (w, h) = ((f64::from(area.w) * share) as u32, (f64::from(area.h) * share) as u32);
    match side {
        Side::Left => Rect { w, ..area },
        Side::Right => Rect { x: area.right() - w, w, ..area },
        Side::Top => Rect { h, ..area },
        Side::Bottom => Rect { y: area.bottom() - h, h, ..area },
    }
}

fn middle(area: Rect) -> (i32, i32) {
    ((area.x + area.w / 2) as i32, (area.y + area.h / 2) as i32)
}

/// A rectangle elsewhere, without what would lie beyond the canvas's corner.
pub(super) fn moved(rect: Rect, dx: i32, dy: i32) -> Option<Rect> {
    placed(rect, |(x, y)| (x + dx, y + dy))
}

/// The same with its corners anywhere.
fn placed(rect: Rect, to: impl Fn((i32, i32)) -> (i32, i32)) -> Option<Rect> {
    let (x, y) = to((rect.x as i32, rect.y as i32));
    let (right, bottom) = to((rect.right() as i32, rect.bottom() as i32));
    let (x, y) = (x.max(0), y.max(0));
    (right > x && bottom > y).then(|| Rect { x: x as u32, y: y as u32, w: (right - x) as u32, h: (bottom - y) as u32 })
}

/// A scale of one.
pub(super) const WHOLE: u32 = 1 << 16;
/// How small a layer is that grows onto the picture.
const SMALLEST: f64 = 0.6;
/// How much a pulse adds.
const PULSE: f64 = 0.045;
const OVERSHOOT: f64 = 1.4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Colour;
    use crate::overlay::raster::{Moves, Painting, Raster};

    const HD: Resolution = Resolution::new(1280, 720);
    const AREA: Rect = Rect { x: 100, y: 500, w: 400, h: 120 };

    fn transition(kind: TransitionKind, from: Side) -> Transition {
        Transition { kind, from, ms: 400, ease: Ease::Out }
    }

    fn at(kind: TransitionKind, from: Side, ms: u64) -> Pose {
        Pose::entering(&transition(kind, from), Duration::from_millis(ms), AREA, HD)
    }

    #[test]
    fn every_entrance_ends_at_rest_and_begins_out_of_sight() {
        use TransitionKind::*;
        for kind in [Cut, Fade, Slide, Scale, Wipe, Spring] {
            for side in [Side::Left, Side::Right, Side::Top, Side::Bottom] {
                let rest = Pose { clip: None, ..at(kind, side, 400) };
                assert_eq!(rest, Pose::REST, "{kind:?} {side:?}");
                let begin = at(kind, side, 0);
                let hidden = match kind {
                    Cut => true,
                    Fade | Scale => begin.opacity == 0,
                    Wipe => begin.clip.is_some_and(Rect::is_empty),
                    Slide | Spring => {
                        moved(AREA, begin.dx, begin.dy).is_none_or(|place| place.x >= HD.width || place.y >= HD.height)
                    }
                };
                assert!(hidden, "{kind:?} {side:?}: {begin:?}");
            }
        }
    }

    #[test]
    fn what_leaves_goes_the_way_that_it_would_have_come() {
        let slide = transition(TransitionKind::Slide, Side::Left);
        let out = |ms| Pose::leaving(&slide, Duration::from_millis(ms), AREA, HD);
        assert_eq!(out(0), Some(Pose::REST));
        assert!(out(200).is_some_and(|pose| pose.dx < 0 && pose.dy == 0));
        assert_eq!(out(400), None);
        assert_eq!(Pose::leaving(&Transition::CUT, Duration::ZERO, AREA, HD), None);
    }

    #[test]
    fn a_spring_goes_too_far_and_comes_back() {
        let farthest = (0..40).map(|step| at(TransitionKind::Spring, Side::Left, step * 10).dx).max();
        assert!(farthest.is_some_and(|dx| (10..80).contains(&dx)), "{farthest:?}");
    }

    #[test]
    fn an_emphasis_comes_round_and_leaves_rest_between() {
        let pulse = Emphasis { kind: EmphasisKind::Pulse, every_ms: 4000, ms: 1000 };
        let at = |ms| Pose::emphasised(&pulse, Duration::from_millis(ms)).scale;
        assert_eq!([at(0), at(2999), at(4000), at(6000)], [WHOLE; 4]);
        assert_eq!(at(3500), at(7500));
        assert!(at(3500) > WHOLE);
    }

    #[test]
    fn an_impossible_move_goes_to_the_nearest_possible_one() {
        let painting = Painting { canvas: Rect::of(HD), area: AREA, rgba: vec![255; 400 * 120 * 4] };
        for (moves, want) in [(Moves::EVEN, (-2, 6)), (Moves::ACROSS, (-1, 6)), (Moves::ANY, (-1, 7))] {
            let raster = Raster::of(&painting, Colour::BT709, AREA, &[], moves);
            let draw = Pose { dx: -1, dy: 7, ..Pose::REST }.apply(Draw::still(&raster), AREA);
            assert_eq!((draw.dx, draw.dy), want, "{moves:?}");
        }
    }

    #[test]
    fn what_is_clipped_takes_its_clip_along() {
        let raster = Raster::default();
        let clipped = Draw { clip: Some(Rect { x: 10, y: 10, w: 20, h: 20 }), ..Draw::still(&raster) };
        let pose = Pose { dx: -20, clip: Some(Rect { x: 0, y: 0, w: 4, h: 40 }), ..Pose::REST };
        assert_eq!(pose.apply(clipped, AREA).clip, Some(Rect { x: 0, y: 10, w: 4, h: 20 }));
        let away = Pose { dx: -40, clip: None, ..pose }.apply(clipped, AREA).clip;
        assert!(away.is_some_and(Rect::is_empty), "cut away, not uncut");
    }

    #[test]
    fn what_is_scaled_already_or_moved_is_scaled_with_its_layer() {
        let raster = Raster::default();
        let (middle, own) = (middle(AREA), (120, 520));
        for (scale, k, dx, dy) in [(0.6, 0.3, 0, 10), (1.045, 1.0, -30_001, 0), (0.83, 0.7, 41, -9)] {
            let whole = |share: f64| (share * f64::from(WHOLE)).round() as u32;
            let pose = Pose { scale: whole(scale), ..Pose::REST };
            let squeezed = Scale { x: WHOLE, y: whole(k), about: own };
            let draw = pose.apply(Draw { dx, dy, scale: Some(squeezed), ..Draw::still(&raster) }, AREA);
            let by = draw.scale.unwrap();
            for (x, y) in [(100, 500), (160, 540), (499, 619)] {
                let along = |v: i32, about: i32, middle: i32, k: f64, moved: i32| {
                    let drawn = f64::from(about) + k * f64::from(v - about) + f64::from(moved);
                    f64::from(middle) + scale * (drawn - f64::from(middle))
                };
                let is = |v: i32, about: i32, by: u32, moved: i32| {
                    f64::from(about) + f64::from(by) / f64::from(WHOLE) * f64::from(v - about) + f64::from(moved)
                };
                let want = (along(x, own.0, middle.0, 1.0, dx), along(y, own.1, middle.1, k, dy));
                let is = (is(x, own.0, by.x, draw.dx), is(y, own.1, by.y, draw.dy));
                assert!((is.0 - want.0).abs() < 0.6 && (is.1 - want.1).abs() < 0.6, "{x},{y}: {is:?}, not {want:?}");
            }
        }
        let clip = Some(Rect { x: 200, y: 540, w: 100, h: 20 });
        let half = Pose { scale: WHOLE / 2, ..Pose::REST };
        let draw = half.apply(Draw { clip, ..Draw::still(&raster) }, AREA);
        assert_eq!(draw.clip, Some(Rect { x: 250, y: 550, w: 50, h: 10 }), "so is what it is cut to");
    }
}
