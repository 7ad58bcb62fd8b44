//! How far a template's ink reaches beyond its boxes: shadows, outlines, letters that stand over. It is learned from what was
//! painted, so that the next painting takes no more of the canvas than it needs.

use std::sync::{Mutex, PoisonError};

use super::raster::Rect;
use crate::media::Resolution;

#[derive(Debug, Default)]
pub struct Reach(Mutex<Vec<(Resolution, Sides)>>);

/// In luma pixels.
#[derive(Clone, Copy, Debug, Default)]
struct Sides {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

impl Reach {
    /// The part of a canvas in which ink may lie around boxes; all of it while nothing is known.
    pub fn around(&self, boxes: Rect, canvas: Resolution) -> Rect {
        let whole = Rect::of(canvas);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, sides)) = known.iter().find(|(of, _)| *of == canvas).filter(|_| !boxes.is_empty()) else {
            return whole;
        };
        let (x, y) = (boxes.x.saturating_sub(sides.left + SLACK), boxes.y.saturating_sub(sides.top + SLACK));
        let (right, bottom) = (boxes.right() + sides.right + SLACK, boxes.bottom() + sides.bottom + SLACK);
        Rect { x, y, w: right - x, h: bottom - y }.even().within(whole)
    }

    /// Takes in where ink was found.
    pub fn learn(&self, boxes: Rect, ink: Rect, canvas: Resolution) {
        if boxes.is_empty() || ink.is_empty() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = known.iter().position(|(of, _)| *of == canvas).unwrap_or_else(|| {
            if known.len() >= MOST_CANVASES {
                known.remove(0);
            }
            known.push((canvas, Sides::default()));
            known.len() - 1
        });
        let sides = &mut known[index].1;
        sides.left = sides.left.max(boxes.x.saturating_sub(ink.x));
        sides.top = sides.top.max(boxes.y.saturating_sub(ink.y));
        sides.right = sides.right.max(ink.right().saturating_sub(boxes.right()));
        sides.bottom = sides.bottom.max(ink.bottom().saturating_sub(boxes.bottom()));
    }
}

/// Ink that comes this close to the edge of what was painted may go on beyond it.
const SLACK: u32 = 8;
/// A template is painted for few canvases; one that follows its source may bring more.
const MOST_CANVASES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const CANVAS: Resolution = Resolution::new(640, 360);

    #[test]
    fn what_was_seen_beyond_the_boxes_is_painted_next_time() {
        let (reach, whole) = (Reach::default(), Rect::of(CANVAS));
        let boxes = Rect { x: 100, y: 100, w: 80, h: 40 };
        assert_eq!(reach.around(boxes, CANVAS), whole);
        reach.learn(boxes, Rect { x: 90, y: 104, w: 90, h: 56 }, CANVAS);
        assert_eq!(reach.around(boxes, CANVAS), Rect { x: 82, y: 92, w: 106, h: 76 });
        // Wider content, with less ink, and at the canvas's edge.
        let wider = Rect { x: 2, y: 100, w: 600, h: 40 };
        reach.learn(wider, wider, CANVAS);
        assert_eq!(reach.around(wider, CANVAS), Rect { x: 0, y: 92, w: 610, h: 76 });
        assert_eq!(reach.around(Rect::default(), CANVAS), whole);
        assert_eq!(reach.around(boxes, Resolution::new(64, 64)), Rect::of(Resolution::new(64, 64)));
    }
}
