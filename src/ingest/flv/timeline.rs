//! A publisher's timeline: 32-bit milliseconds that wrap after 49 days, made into durations that do not.

use std::time::{Duration, Instant};

/// Unwraps the decoding times of all tracks together, so that they stay in step.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    raw: u32,
    at: Placed,
    arrived: Instant,
}

/// A decoding time, in milliseconds since the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed(i64);

impl Placed {
    /// The moment `milliseconds` later, or earlier when negative; never before the origin.
    pub(super) fn shifted(self, milliseconds: i32) -> Duration {
        Duration::from_millis(u64::try_from(self.0 + i64::from(milliseconds)).unwrap_or(0))
    }
}

impl Timeline {
    /// Places the next tag. The first lies a little after the origin, so that tracks which begin earlier, and negative
    /// composition times, still have room. Encoders restart their clock when a scene or a looped file does: a jump that no
    /// stall explains goes on from the last tag by the time that really passed.
    pub(super) fn place(&mut self, raw: u32, arrived: Instant) -> Placed {
        let at = match self.last {
            None => Placed(HEADROOM),
            Some(last) => {
                let step = i64::from(raw.wrapping_sub(last.raw) as i32);
                let passed = arrived.saturating_duration_since(last.arrived).as_millis();
                let passed = i64::try_from(passed).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
                let step = if (-LONGEST_STEP..=passed + LONGEST_STEP).contains(&step) { step } else { passed };
                Placed((last.at.0 + step).max(0))
            }
        };
        self.last = Some(Last { raw, at, arrived });
        at
    }
}

/// Milliseconds between the origin and the first tag.
const HEADROOM: i64 = 10_000;
/// Milliseconds; a publisher that is silent for longer is closed anyway.
const LONGEST_PAUSE: i64 = 60_000;
/// Milliseconds that a timestamp may lie before the last, or further after it than time has passed: tracks are interleaved
/// within far less, and a burst after a stall carries the timestamps of the stall.
const LONGEST_STEP: i64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn placed(timeline: &mut Timeline, raw: u32) -> i64 {
        timeline.place(raw, Instant::now()).0
    }

    #[test]
    fn timestamps_run_on_over_the_wrap() {
        let mut timeline = Timeline::default();
        let first = placed(&mut timeline, u32::MAX - 15);
        assert_eq!(placed(&mut timeline, 4) - first, 20);
        assert_eq!(placed(&mut timeline, u32::MAX) - first, 15, "the other track is still before the wrap");
        assert_eq!(placed(&mut timeline, 37) - first, 53);
    }

    #[test]
    fn a_small_step_back_is_a_step_back() {
        let mut timeline = Timeline::default();
        let first = placed(&mut timeline, 0);
        assert_eq!(placed(&mut timeline, 0u32.wrapping_sub(21)) - first, -21);
        assert_eq!(timeline.place(0, Instant::now()).shifted(-66), Duration::from_millis(HEADROOM as u64 - 66));
    }

    #[test]
    fn a_restarted_clock_goes_on_by_the_time_that_passed() {
        let mut timeline = Timeline::default();
        let now = Instant::now();
        let first = timeline.place(3_600_000, now).0;
        assert_eq!(timeline.place(0, now + Duration::from_millis(40)).0 - first, 40);
        assert_eq!(timeline.place(33, now + Duration::from_millis(41)).0 - first, 73);
        assert_eq!(timeline.place(0x7fff_0000, now + Duration::from_millis(50)).0 - first, 82);
    }

    #[test]
    fn a_stalls_gap_is_kept() {
        let mut timeline = Timeline::default();
        let now = Instant::now();
        let first = timeline.place(100, now).0;
        assert_eq!(timeline.place(14_100, now + Duration::from_secs(14)).0 - first, 14_000);
    }

    #[test]
    fn a_jump_ahead_goes_on_by_the_time_that_passed() {
        let mut timeline = Timeline::default();
        let now = Instant::now();
        let first = timeline.place(100, now).0;
        assert_eq!(timeline.place(30_100, now + Duration::from_millis(33)).0 - first, 33);
        assert_eq!(timeline.place(30_133, now + Duration::from_millis(66)).0 - first, 66);
    }

    #[test]
    fn tracks_that_are_a_minute_apart_run_side_by_side() {
        let mut timeline = Timeline::default();
        let now = Instant::now();
        let first = timeline.place(0, now).0;
        for n in 1..500u32 {
            let later = Duration::from_millis(u64::from(n) * 33);
            for (raw, moment) in [(n * 33, later), (60_000 + n * 33, later + Duration::from_millis(5))] {
                let off = timeline.place(raw, now + moment).0 - first - moment.as_millis() as i64;
                assert!(off.abs() <= 1, "{off} ms off at {moment:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_sequence_leaves_the_range(steps in proptest::collection::vec((any::<u32>(), -8_388_608i32..8_388_608), 1..64)) {
            let mut timeline = Timeline::default();
            for (raw, composition) in steps {
                let at = timeline.place(raw, Instant::now());
                prop_assert!(at.0 >= 0);
                prop_assert!(at.shifted(composition) < Duration::from_secs(100_000));
            }
        }
    }
}
