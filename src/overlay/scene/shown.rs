//! What a painted layer draws at one moment: its ground, its digits and what moves by itself.

use std::time::Duration;

use super::{Cell, Film, Layer, Look, Painted, Phase, Strip};
use crate::media::MediaTime;
use crate::overlay::Canvas;
use crate::overlay::compose::{Draw, DrawList, Fx, Glass, Scale};
use crate::overlay::digits::Reading;
use crate::overlay::motion::{ChangeKind, Digits, EmphasisKind};
use crate::overlay::pose::{Pose, WHOLE, moved, swell, turn};
use crate::overlay::raster::{Raster, Rect};

/// A painting at a moment of its layer.
#[derive(Clone, Copy)]
pub(super) struct Shown<'s> {
    pub(super) layer: &'s Layer,
    pub(super) painted: &'s Painted,
    /// The moment that its digits and its ring tell.
    pub(super) at: MediaTime,
    /// How long the layer has been there.
    pub(super) here: Duration,
}

impl<'s> Shown<'s> {
    pub(super) fn draw(&self, pose: Pose, canvas: Canvas, list: &mut DrawList<'s>) {
        self.draw_glass(pose, list);
        self.draw_ground(pose, canvas, list);
        self.draw_digits(pose, list);
    }

    /// The old look makes way for this one. Digits take no part in it: they read what the time says.
    pub(super) fn change(
        &self,
        old: &Shown<'s>,
        kind: ChangeKind,
        share: f64,
        pose: Pose,
        canvas: Canvas,
        list: &mut DrawList<'s>,
    ) {
        if kind == ChangeKind::Roll {
            return self.roll(old, share, pose, canvas, list);
        }
        self.draw_glass(pose, list);
        self.draw_ground(pose, canvas, list);
        // The new look is the one that is read from the first frame on; what it was fades away over it.
        let fading = ((1.0 - share) * (1.0 - share) * 100.0) as u8;
        let first = list.draws.len();
        old.draw_ground(pose, canvas, list);
        for draw in &mut list.draws[first..] {
            draw.opacity = (u32::from(draw.opacity) * u32::from(fading) / 255) as u8;
        }
        self.draw_digits(pose, list);
    }

    /// The old look leaves upwards, the new one comes after it from below, both in the layer's own place: more than half of it is
    /// there in the first frame, which is the first that the new values hold for.
    fn roll(&self, old: &Shown<'s>, share: f64, pose: Pose, canvas: Canvas, list: &mut DrawList<'s>) {
        let place = self.painted.area.union(old.painted.area).even();
        let travel = (f64::from(place.h) * (1.0 - 0.4 * (1.0 - share).powi(3))).round() as i32;
        self.draw_glass(pose, list);
        for (shown, dy) in [(old, -travel), (self, place.h as i32 - travel)] {
            let first = list.draws.len();
            shown.draw_ground(Pose::REST, canvas, list);
            shown.draw_digits(Pose::REST, list);
            for draw in &mut list.draws[first..] {
                // What is cut already, a digit that turns, stays so.
                let clip = draw.clip.map_or(place, |own| moved(own, 0, dy).unwrap_or_default().within(place));
                let rolled = Draw { dy: draw.dy + dy, clip: Some(clip), ..*draw };
                *draw = pose.apply(rolled, self.painted.area);
            }
        }
    }

    fn draw_glass(&self, pose: Pose, list: &mut DrawList<'s>) {
        if let Some(mask) = &self.painted.glass {
            let (dx, dy) = pose.even_move();
            let opacity = if pose.is_moved_only() { pose.opacity } else { pose.presence };
            list.glasses.push(Glass { mask, dx, dy, opacity });
        }
    }

    /// Everything but the digits.
    fn draw_ground(&self, pose: Pose, canvas: Canvas, list: &mut DrawList<'s>) {
        let painted = self.painted;
        let emphasis = self.layer.motion.emphasis;
        let turn = emphasis.and_then(|emphasis| Some((emphasis.kind, turn(&emphasis, self.here)?)));
        let mut push = |draw: Draw<'s>| {
            if !draw.raster.is_empty() {
                list.draws.push(pose.apply(draw, painted.area));
            }
        };
        if let Some(glow) = &painted.glow {
            let opacity = match (emphasis.map(|emphasis| emphasis.kind), turn) {
                (Some(EmphasisKind::Glow), Some((_, turn))) => (swell(turn) * 255.0) as u8,
                (Some(EmphasisKind::Glow), None) => 0,
                _ => 255,
            };
            push(Draw { opacity, ..Draw::still(glow) });
        }
        let fx = match turn {
            Some((EmphasisKind::Shimmer, turn)) => shimmer(painted.area, canvas, turn),
            _ => Fx::None,
        };
        push(Draw { fx, ..Draw::still(&painted.base) });
        if let Some(film) = &painted.film
            && let Some(frame) = film.frame(self.here)
        {
            push(Draw::still(frame));
        }
        if let (Some(ring), Some(phase)) = (&painted.ring, self.layer.phase(self.at)) {
            push(Draw { fx: Fx::Ring { left: phase.left(self.at) }, ..Draw::still(ring) });
        }
        if let Some(strip) = &painted.strip {
            strip.draws(self.layer.motion.scroll, self.here, &mut push);
        }
    }

    fn draw_digits(&self, pose: Pose, list: &mut DrawList<'s>) {
        let Some(Phase { look: Look::Clock { ends, .. }, .. }) = self.layer.phase(self.at) else { return };
        let reading = Reading::at(*ends, self.at);
        for cell in &self.painted.cells {
            let Some(digit) = reading.digits().get(cell.place) else { continue };
            let turned = Reading::turned(*ends, self.at, cell.place).filter(|(_, since)| *since < TURN);
            let mut push = |draw: Draw<'s>| list.draws.push(pose.apply(draw, self.painted.area));
            match (self.layer.motion.digits, turned) {
                (Digits::Roll, Some((before, since))) => cell.roll(before, *digit, since, &mut push),
                (Digits::Flip, Some((before, since))) => cell.flip(before, *digit, since, &mut push),
                _ => push(Draw::still(cell.digit(*digit))),
            }
        }
    }
}

/// The bar of light that passes over an area in a turn.
fn shimmer(area: Rect, canvas: Canvas, turn: f64) -> Fx {
    let reach = (canvas.resolution.width.min(canvas.resolution.height) / 12).max(8) as i32;
    let (from, to) = (area.x as i32 + area.y as i32 / 2 - reach, (area.right() + area.bottom() / 2) as i32 + reach);
    Fx::Shimmer { phase: from + (f64::from(to - from) * turn) as i32, reach }
}

impl Cell {
    fn digit(&self, digit: u8) -> &Raster {
        &self.digits[usize::from(digit.min(9))]
    }

    /// The old digit leaves upwards, the new one follows.
    fn roll<'s>(&'s self, before: u8, digit: u8, since: Duration, push: &mut impl FnMut(Draw<'s>)) {
        let share = since.as_secs_f64() / TURN.as_secs_f64();
        let height = self.area.h as i32;
        let travel = (f64::from(height) * share * share * (3.0 - 2.0 * share)).round() as i32;
        let clip = Some(self.area);
        push(Draw { dy: -travel, clip, ..Draw::still(self.digit(before)) });
        push(Draw { dy: height - travel, clip, ..Draw::still(self.digit(digit)) });
    }

    /// As on a flip clock: the old digit's upper half falls, and turns into the new one's lower half.
    fn flip<'s>(&'s self, before: u8, digit: u8, since: Duration, push: &mut impl FnMut(Draw<'s>)) {
        let share = since.as_secs_f64() / TURN.as_secs_f64();
        let half = self.area.h / 4 * 2;
        let upper = Rect { h: half, ..self.area };
        let lower = Rect { y: self.area.y + half, h: self.area.h - half, ..self.area };
        let (new, old) = (self.digit(digit), self.digit(before));
        push(Draw { clip: Some(upper), ..Draw::still(new) });
        push(Draw { clip: Some(lower), ..Draw::still(old) });
        let (raster, clip, open) =
            if share < 0.5 { (old, upper, 1.0 - 2.0 * share) } else { (new, lower, 2.0 * share - 1.0) };
        let about = ((self.area.x + self.area.w / 2) as i32, (self.area.y + half) as i32);
        let scale = Scale { x: WHOLE, y: ((open * f64::from(WHOLE)) as u32).max(WHOLE / 16), about };
        push(Draw { clip: Some(clip), scale: Some(scale), ..Draw::still(raster) });
    }
}

impl Film {
    fn frame(&self, here: Duration) -> Option<&Raster> {
        let within = here.as_micros() % self.period.as_micros().max(1);
        let index = within * self.frames.len() as u128 / self.period.as_micros().max(1);
        self.frames.get(index as usize)
    }
}

impl Strip {
    /// As many turns of it as the window takes.
    fn draws<'s>(&'s self, speed: f64, here: Duration, push: &mut impl FnMut(Draw<'s>)) {
        let period = f64::from(self.period.max(2));
        let gone = (speed * here.as_secs_f64()).rem_euclid(period) as i32;
        let (left, right) = (self.window.x as i32, self.window.right() as i32);
        let mut x = left - gone;
        while x < right {
            for piece in &self.pieces {
                let (dx, dy) = piece.possible(x, self.window.y as i32);
                let from = piece.luma.x + dx;
                if from < right && from + piece.luma.w as i32 > left {
                    push(Draw { dx, dy, clip: Some(self.window), ..Draw::still(piece) });
                }
            }
            x += self.period.max(2) as i32;
        }
    }
}

/// How long a digit takes to turn.
const TURN: Duration = Duration::from_millis(240);
