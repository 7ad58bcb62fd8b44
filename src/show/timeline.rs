//! A publisher's timestamps → media time.

use std::time::Duration;

use crate::media::MediaTime;
use crate::media::time::ticks_of;

/// Maps one publication's timestamps onto the show's media time.
///
/// The first video unit is taken to be due on arrival, at the beginning of a slot of the canvas; from there the
/// publisher's own spacing holds. A slow servo keeps the mapping near arrival while two clocks drift apart; what a servo
/// cannot explain (a burst from a camera's buffer, a jump of the timestamps, a path that grew slower for good) anchors the
/// mapping anew. Video leads: it is what waits for a slot. Audio follows the same mapping, so the two stay in step
/// whatever their order of arrival.
#[derive(Debug)]
pub struct Timeline {
    /// The canvas's frame interval.
    interval: Duration,
    /// Media ticks minus publisher ticks, once anchored.
    offset: Option<i64>,
    video: bool,
    last: Duration,
    /// When the newest unit came.
    newest: MediaTime,
    /// The least lateness seen in the running window, and when the window ends.
    least: i64,
    window_end: MediaTime,
    anchors: u64,
}

/// How long arrival is watched before the servo corrects.
const WINDOW: Duration = Duration::from_secs(2);
/// A unit this far ahead of its arrival cannot be real time: the anchor was late.
const AHEAD: Duration = Duration::from_millis(100);
/// Timestamps going back by more than this begin anew.
const BACK: Duration = Duration::from_millis(500);
/// A unit that comes this much later after the one before than its timestamp says was held up: a burst will follow, and says
/// nothing about the path.
const STALL: Duration = Duration::from_millis(500);
/// How long a burst after a stall may take to come to its end, before what comes is taken for the new pace.
const BURST: Duration = Duration::from_secs(1);
/// The servo's largest step a window: 0.5 ms a second, which neither eye nor ear notices.
const STEP: Duration = Duration::from_millis(1);

impl Timeline {
    pub fn new(interval: Duration) -> Timeline {
        Timeline {
            interval,
            offset: None,
            video: false,
            last: Duration::ZERO,
            newest: MediaTime::ZERO,
            least: i64::MAX,
            window_end: MediaTime::ZERO,
            anchors: 0,
        }
    }

    /// How often the mapping was anchored anew after its first time.
    pub fn jumps(&self) -> u64 {
        self.anchors.saturating_sub(1)
    }

    /// The media time of a publisher's timestamp; `None` before the first unit.
    pub fn media(&self, pts: Duration) -> Option<MediaTime> {
        self.offset.map(|offset| MediaTime::from_ticks(ticks_of(pts).saturating_add(offset)))
    }

    /// Takes note of a unit's decoding time at its arrival, before its presentation time is mapped.
    pub fn arrived(&mut self, video: bool, dts: Duration, now: MediaTime) {
        if self.video && !video {
            return;
        }
        let first = video && !self.video;
        self.video |= video;
        let back = dts + BACK < self.last;
        let stalled = now.since(self.newest) > dts.saturating_sub(self.last) + STALL;
        (self.last, self.newest) = (dts, now);
        let Some(at) = self.media(dts).filter(|_| !first && !back) else {
            return self.anchor(dts, now);
        };
        let late = now.ticks().saturating_sub(at.ticks());
        if late < -ticks_of(AHEAD + self.interval) {
            return self.anchor(dts, now);
        }
        if stalled {
            (self.least, self.window_end) = (i64::MAX, now + BURST);
        }
        self.least = self.least.min(late);
        if now < self.window_end {
            return;
        }
        let least = std::mem::replace(&mut self.least, i64::MAX);
        self.window_end = now + WINDOW;
        // A window in which everything came later than this: the path or the publisher changed for good. Pictures of that
        // lateness go by their slots and are shifted, sound is not: both have to move.
        if least > ticks_of(self.interval) * 3 / 4 {
            return self.anchor(dts, now);
        }
        // Wanted: units a little before their slot begins. In between nothing is touched.
        let (early, behind) = (-ticks_of(self.interval), 0);
        let step = match least {
            least if least > behind => (least - behind).min(ticks_of(STEP)),
            least if least < early => (least - early).max(-ticks_of(STEP)),
            _ => 0,
        };
        self.offset = self.offset.map(|offset| offset + step);
    }

    /// Makes `dts` due at the first slot that begins now or later.
    fn anchor(&mut self, dts: Duration, now: MediaTime) {
        let interval = ticks_of(self.interval).max(1);
        let slot = -(-now.ticks()).div_euclid(interval) * interval;
        self.offset = Some(slot.saturating_sub(ticks_of(dts)));
        self.least = i64::MAX;
        self.window_end = now + WINDOW;
        self.anchors += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_nanos(33_333_333);

    fn ms(millis: i64) -> MediaTime {
        MediaTime::from_ticks(millis * 90)
    }

    fn lateness(timeline: &Timeline, dts: Duration, now: MediaTime) -> i64 {
        (now.ticks() - timeline.media(dts).unwrap().ticks()) / 90
    }

    #[test]
    fn the_first_picture_is_due_at_the_next_slot() {
        let mut timeline = Timeline::new(INTERVAL);
        timeline.arrived(true, Duration::from_secs(500), ms(1001));
        assert_eq!(timeline.media(Duration::from_secs(500)), Some(MediaTime::from_ticks(31 * 3000)));
    }

    #[test]
    fn sound_that_comes_first_takes_the_pictures_mapping_later() {
        let mut timeline = Timeline::new(INTERVAL);
        timeline.arrived(false, Duration::from_millis(0), ms(1000));
        timeline.arrived(true, Duration::from_millis(10), ms(1200));
        timeline.arrived(false, Duration::from_millis(150), ms(1201));
        assert_eq!(timeline.media(Duration::from_millis(10)), Some(ms(1200)));
        assert_eq!(timeline.media(Duration::from_millis(150)), Some(ms(1340)));
    }

    #[test]
    fn a_burst_from_a_cameras_buffer_ends_at_now() {
        let mut timeline = Timeline::new(INTERVAL);
        for n in 0..60 {
            timeline.arrived(true, INTERVAL * n, ms(5000));
        }
        assert!(lateness(&timeline, INTERVAL * 59, ms(5000)).abs() <= 134, "at most the tolerance ahead of now");
    }

    #[test]
    fn a_drifting_publisher_is_followed_without_a_jump() {
        for drift in [-200i64, 200] {
            let mut timeline = Timeline::new(INTERVAL);
            let mut last = MediaTime::from_ticks(-1);
            // An hour at 30 frames a second, the publisher's clock off by 200 ppm.
            for n in 0..108_000i64 {
                let now = MediaTime::from_ticks(n * 3000);
                let dts = Duration::from_nanos((n * 33_333_333 + n * 33_333_333 * drift / 1_000_000) as u64);
                timeline.arrived(true, dts, now);
                let at = timeline.media(dts).unwrap();
                assert!(at > last, "strictly increasing");
                last = at;
                let late = lateness(&timeline, dts, now);
                assert!((-40..=25).contains(&late), "{late} ms late after {n} frames");
            }
            assert_eq!(timeline.jumps(), 0);
        }
    }

    #[test]
    fn a_path_that_grew_slower_moves_the_mapping_within_two_windows() {
        let mut timeline = Timeline::new(INTERVAL);
        let delay = |n: i64| if n < 100 { 0 } else { 133 * 90 };
        for n in 0..250 {
            timeline.arrived(true, INTERVAL * n as u32, MediaTime::from_ticks(n * 3000 + delay(n)));
        }
        let late = lateness(&timeline, INTERVAL * 249, MediaTime::from_ticks(249 * 3000 + delay(249)));
        assert!((-40..=5).contains(&late), "{late} ms late");
        assert_eq!(timeline.jumps(), 1);
    }

    #[test]
    fn timestamps_that_go_back_begin_anew_at_now() {
        let mut timeline = Timeline::new(INTERVAL);
        timeline.arrived(true, Duration::from_secs(100), ms(0));
        timeline.arrived(true, Duration::from_secs(3), ms(33));
        assert!(lateness(&timeline, Duration::from_secs(3), ms(33)).abs() <= 34);
        assert_eq!(timeline.jumps(), 1);
    }

    #[test]
    fn a_stall_and_its_burst_move_nothing_once_live_again() {
        let mut timeline = Timeline::new(INTERVAL);
        let dts = |n: i64| INTERVAL * n as u32;
        for n in 0..300 {
            timeline.arrived(true, dts(n), MediaTime::from_ticks(n * 3000));
        }
        // Three seconds of nothing, then all of it at once, then live.
        for n in 300..390 {
            timeline.arrived(true, dts(n), MediaTime::from_ticks(390 * 3000));
        }
        for n in 390..600 {
            timeline.arrived(true, dts(n), MediaTime::from_ticks(n * 3000));
        }
        let late = lateness(&timeline, dts(599), MediaTime::from_ticks(599 * 3000));
        assert!((-1..=1).contains(&late), "{late} ms late");
        assert_eq!(timeline.jumps(), 0);
    }

    #[test]
    fn a_publisher_who_paused_for_good_is_followed_soon() {
        let mut timeline = Timeline::new(INTERVAL);
        let dts = |n: i64| INTERVAL * n as u32;
        for n in 0..90 {
            timeline.arrived(true, dts(n), MediaTime::from_ticks(n * 3000));
        }
        // Ten seconds of nothing, and then its timestamps go on as if they had not been.
        let after = |n: i64| MediaTime::from_ticks((n + 300) * 3000);
        for n in 90..125 {
            timeline.arrived(true, dts(n), after(n));
        }
        let late = lateness(&timeline, dts(124), after(124));
        assert!((-40..=5).contains(&late), "{late} ms late");
        assert_eq!(timeline.jumps(), 1);
    }
}
