//! The canvas's fixed frame rate: which slot a source frame fills, and when an empty one repeats the last picture.

use std::time::Duration;

use super::time::{MediaTime, TICKS_PER_SECOND};

/// A grid of slots, one a frame interval, counted from the show's epoch. The first frame whose time falls into a slot is
/// composed on arrival and the slot is gone; a slot nobody filled is repeated one and a half intervals after it began, or two and
/// a half after the last frame was here: frames come before their slots begin, and whoever watches waits from frame to frame.
#[derive(Debug)]
pub struct Slots {
    interval: i64,
    /// The newest slot given out.
    last: i64,
    /// When it was given out to a frame; half an interval before it was given out to a repeat.
    filled: Option<MediaTime>,
}

impl Slots {
    /// `frames_per_second` divides 90000, so that slots begin on whole ticks: see [`Slots::divides`].
    pub fn new(frames_per_second: u32, now: MediaTime) -> Slots {
        let interval = TICKS_PER_SECOND / i64::from(frames_per_second);
        Slots { interval, last: now.ticks().div_euclid(interval) - 1, filled: None }
    }

    /// Whether a frame rate has slots of whole ticks.
    pub fn divides(frames_per_second: u32) -> bool {
        frames_per_second > 0 && TICKS_PER_SECOND % i64::from(frames_per_second) == 0
    }

    pub fn interval(&self) -> Duration {
        MediaTime::from_ticks(self.interval).since(MediaTime::ZERO)
    }

    /// The first slot that begins at or after `at`.
    pub fn at_or_after(&self, at: MediaTime) -> MediaTime {
        self.start(-(-at.ticks()).div_euclid(self.interval))
    }

    /// The next slot that has not been given out.
    pub fn next(&self) -> MediaTime {
        self.start(self.last + 1)
    }

    /// The slot for a source frame of time `at` that is here `now`; `None` when its time is taken and the next one is not
    /// due, so the frame is not needed.
    ///
    /// A frame goes to the nearest slot, with a tenth of an interval of tolerance, so that a source at the canvas's own
    /// rate whose timestamps jitter around the middle between two slots still fills every one. A frame whose slot went by
    /// as a repeat takes the next slot once that is due as well: a path that grew slower shifts, it does not freeze. As soon
    /// as frames come in time again, one is left out and the rest lie in their own slots, in step with the sound.
    pub fn place(&mut self, at: MediaTime, now: MediaTime) -> Option<MediaTime> {
        let next = self.last + 1;
        let tolerated = self.interval * 6 / 10;
        let from_next = at.ticks() - next * self.interval;
        let slot = if from_next.abs() <= tolerated {
            next
        } else if from_next > 0 {
            (at.ticks() + self.interval / 2).div_euclid(self.interval)
        } else if next * self.interval + self.interval / 4 <= now.ticks() {
            next
        } else {
            return None;
        };
        // Nothing a publisher says takes the grid further ahead than this.
        if slot * self.interval > now.ticks() + AHEAD_INTERVALS * self.interval {
            return None;
        }
        (self.last, self.filled) = (slot, Some(now));
        Some(self.start(slot))
    }

    /// The slots from `next` up to a `placed` one that have begun by `now`: a slower source left them empty, and a rate that is
    /// fixed fills them. What lies ahead of now stays empty: a jump of the source is not run after.
    pub fn skipped(
        &self,
        next: MediaTime,
        placed: MediaTime,
        now: MediaTime,
    ) -> impl Iterator<Item = MediaTime> + use<> {
        let (first, interval) = (next.ticks(), self.interval);
        (0..)
            .map(move |n| MediaTime::from_ticks(first + n * interval))
            .take_while(move |slot| *slot < placed && *slot <= now)
    }

    /// When the next slot is to be repeated, if nothing fills it.
    pub fn deadline(&self) -> MediaTime {
        let by_the_grid = MediaTime::from_ticks((self.last + 1) * self.interval + self.interval * 3 / 2);
        let by_the_frame = self.filled.map(|filled| MediaTime::from_ticks(filled.ticks() + self.interval * 5 / 2));
        by_the_frame.map_or(by_the_grid, |frame| frame.min(by_the_grid))
    }

    /// The slot to repeat the last picture in, when one is overdue. After a pause it is the newest overdue one: the grid
    /// does not run after lost time.
    pub fn overdue(&mut self, now: MediaTime) -> Option<MediaTime> {
        if now < self.deadline() {
            return None;
        }
        let newest = (now.ticks() - self.interval * 3 / 2).div_euclid(self.interval);
        // A grid that frames took ahead is run up to at half its rate.
        let shown = MediaTime::from_ticks(now.ticks() - self.interval / 2);
        (self.last, self.filled) = (newest.max(self.last + 1), Some(shown));
        Some(self.start(self.last))
    }

    fn start(&self, slot: i64) -> MediaTime {
        MediaTime::from_ticks(slot * self.interval)
    }
}

/// How many intervals before its slot begins a frame may be composed.
const AHEAD_INTERVALS: i64 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 3000;

    fn at(ticks: i64) -> MediaTime {
        MediaTime::from_ticks(ticks)
    }

    /// Feeds frames of (time, arrival) and repeats overdue slots between; gives (slot, whether it shows a new frame).
    fn run(frames: &[(i64, i64)]) -> Vec<(i64, bool)> {
        let mut slots = Slots::new(30, at(0));
        let mut out = Vec::new();
        for &(time, arrival) in frames {
            while slots.deadline() <= at(arrival) {
                let due = slots.deadline();
                out.push((slots.overdue(due).unwrap().ticks() / T, false));
            }
            let next = slots.next();
            if let Some(slot) = slots.place(at(time), at(arrival)) {
                out.extend(slots.skipped(next, slot, at(arrival)).map(|slot| (slot.ticks() / T, false)));
                out.push((slot.ticks() / T, true));
            }
        }
        out
    }

    #[test]
    fn jitter_around_a_slots_edge_loses_no_frame() {
        // Timestamps in whole milliseconds, half an interval off the grid: the worst phase there is.
        let frames: Vec<_> = (0..300).map(|n| (n * 1000 / 30 * 90 + T / 2, n * T + T / 2)).collect();
        let out = run(&frames);
        assert_eq!(out.len(), 300);
        assert!(out.iter().all(|slot| slot.1));
        assert!(out.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
    }

    #[test]
    fn nobody_waits_longer_for_a_repeat_because_the_last_frame_came_early() {
        for early in [0, T / 2, T - 1, 5 * T] {
            let mut slots = Slots::new(30, at(0));
            let here = at(10 * T - early);
            assert_eq!(slots.place(at(10 * T), here), Some(at(10 * T)));
            let (mut before, mut next) = (here, 10);
            for _ in 0..5 {
                let due = slots.deadline();
                assert!(due.ticks() - before.ticks() <= T * 5 / 2, "{early} early: {due} after {before}");
                next += 1;
                assert_eq!(slots.overdue(due), Some(at(next * T)));
                before = due;
                if due.ticks() > 12 * T {
                    break;
                }
            }
        }
    }

    #[test]
    fn sixty_frames_a_second_fill_thirty_slots() {
        let frames: Vec<_> = (0..120).map(|n| (n * T / 2, n * T / 2)).collect();
        let out = run(&frames);
        assert!(out.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
        assert!((60..=61).contains(&out.len()), "{} slots", out.len());
    }

    #[test]
    fn a_slower_source_still_gives_the_canvas_its_rate() {
        for fps in [10, 15, 24, 25] {
            let frames: Vec<_> = (0..fps * 4).map(|n| (n * 30 * T / fps, n * 30 * T / fps)).collect();
            let out = run(&frames);
            assert!(out.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "{fps} frames a second: {out:?}");
            assert_eq!(out.iter().filter(|slot| slot.1).count() as i64, fps * 4);
        }
    }

    #[test]
    fn a_jump_ahead_is_not_run_after() {
        let mut slots = Slots::new(30, at(0));
        let next = slots.next();
        let slot = slots.place(at(5 * T), at(T)).unwrap();
        assert_eq!(slot, at(5 * T));
        assert_eq!(slots.skipped(next, slot, at(T)).collect::<Vec<_>>(), [at(0), at(T)]);
    }

    #[test]
    fn an_empty_slot_is_repeated_an_interval_and_a_half_later() {
        let mut slots = Slots::new(30, at(0));
        assert_eq!(slots.place(at(0), at(0)), Some(at(0)));
        assert_eq!(slots.deadline(), at(T + T * 3 / 2));
        assert_eq!(slots.overdue(at(T + T * 3 / 2 - 1)), None);
        assert_eq!(slots.overdue(at(T + T * 3 / 2)), Some(at(T)));
        assert_eq!(slots.overdue(at(T + T * 3 / 2)), None);
    }

    #[test]
    fn a_path_grown_slower_shifts_and_does_not_freeze() {
        let frames: Vec<_> = (0..90).map(|n| (n * T, if n < 30 { n * T } else { n * T + 4 * T })).collect();
        let out = run(&frames);
        let fresh = out.iter().filter(|slot| slot.1).count();
        assert!(fresh >= 89, "{fresh} of 90 frames shown");
        assert!(out.windows(2).all(|pair| pair[1].0 > pair[0].0));
    }

    #[test]
    fn one_late_frame_shifts_nothing_for_good() {
        // Arrivals 0.8 of an interval after their time, and one hiccup.
        let late = |n: i64| if n == 30 { T * 2 } else { T * 8 / 10 };
        let frames: Vec<_> = (0..90).map(|n| (n * T, n * T + late(n))).collect();
        let out = run(&frames);
        assert!(out.iter().filter(|slot| slot.1).count() >= 89);
        assert_eq!(out.last(), Some(&(89, true)), "frames are back in their own slots");
    }

    #[test]
    fn a_burst_after_a_stall_never_runs_ahead_of_now() {
        let mut slots = Slots::new(30, at(0));
        let now = at(300 * T);
        slots.overdue(now);
        // Ten seconds of frames, all of them here at once, their slots long repeated.
        let placed: Vec<_> = (0..300).filter_map(|n| slots.place(at(n * T), now)).collect();
        assert!(!placed.is_empty() && placed.len() <= 3, "the burst is caught up, not played: {placed:?}");
        assert!(placed.iter().all(|slot| *slot <= now), "{placed:?}");
    }

    #[test]
    fn absurd_times_take_no_slot() {
        let mut slots = Slots::new(30, at(0));
        assert_eq!(slots.place(at(i64::MAX / 4), at(0)), None);
        assert_eq!(slots.place(at(i64::MIN / 4), at(-T)), None);
        assert_eq!(slots.place(at(0), at(0)), Some(at(0)));
    }

    #[test]
    fn after_a_pause_only_the_newest_slot_is_repeated() {
        let mut slots = Slots::new(30, at(0));
        assert_eq!(slots.overdue(at(100 * T)), Some(at(98 * T)));
        assert_eq!(slots.deadline(), at(99 * T + T * 3 / 2));
    }

    #[test]
    fn the_grid_is_found_from_any_time() {
        let slots = Slots::new(30, at(0));
        assert_eq!(slots.at_or_after(at(T)), at(T));
        assert_eq!(slots.at_or_after(at(T + 1)), at(2 * T));
        assert!(Slots::divides(30) && Slots::divides(25) && Slots::divides(60) && !Slots::divides(7 * 11));
    }
}
