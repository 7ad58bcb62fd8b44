//! A camera's timeline: the RTP times of its tracks, each with its own clock rate, on one origin.

use std::time::Duration;

use retina::Timestamp;

/// Places the units of one connection.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    video: Track,
    audio: Track,
    /// Nanoseconds that the sound is moved by; fixed by the first pair of sender reports.
    audio_shift: Option<i64>,
}

#[derive(Debug, Default)]
struct Track {
    /// Nanoseconds since the stream's start of the newest unit.
    newest: Option<i64>,
    /// By the newest sender report: the sender's wall clock at the stream's start, in nanoseconds.
    wall_at_start: Option<i64>,
}

/// The track's clock leapt; only a new connection helps.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the camera's clock leapt by {0:.1} s")]
pub(super) struct Leap(f64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
}

impl Timeline {
    /// When a unit is to be shown.
    pub(super) fn place(&mut self, kind: Kind, timestamp: Timestamp) -> Result<Duration, Leap> {
        let at = nanoseconds(timestamp.elapsed(), timestamp.clock_rate().get());
        let track = self.track(kind);
        if let Some(newest) = track.newest {
            let step = at.saturating_sub(newest);
            if !(-LONGEST_STEP_BACK..=LONGEST_STEP).contains(&step) {
                return Err(Leap(step as f64 / 1e9));
            }
        }
        track.newest = track.newest.max(Some(at));
        let shift = match kind {
            Kind::Video => 0,
            Kind::Audio => self.audio_shift.unwrap_or(0),
        };
        let since_origin = HEADROOM.saturating_add(at).saturating_add(shift);
        Ok(Duration::from_nanos(u64::try_from(since_origin).unwrap_or(0)))
    }

    /// Learns from a sender report (RFC 3550 §6.4.1) which wall time a track's timestamp stands for. Cameras that give no
    /// common start of their tracks in `RTP-Info` are put in step by this.
    pub(super) fn sender_report(&mut self, kind: Kind, timestamp: Timestamp, ntp: u64) {
        let elapsed = nanoseconds(timestamp.elapsed(), timestamp.clock_rate().get());
        // Both halves of the 32.32 fixed point, in nanoseconds.
        let wall = (ntp >> 32) as i64 * NANOSECONDS + (((ntp & 0xffff_ffff) * NANOSECONDS as u64) >> 32) as i64;
        self.track(kind).wall_at_start = wall.checked_sub(elapsed);
        if self.audio_shift.is_some() {
            return;
        }
        if let (Some(video), Some(audio)) = (self.video.wall_at_start, self.audio.wall_at_start) {
            let shift = audio.saturating_sub(video);
            // Less is within what the ear forgives and the clocks deserve; more is a clock that was never set.
            let credible = (SMALLEST_SHIFT..=LARGEST_SHIFT).contains(&shift.saturating_abs());
            self.audio_shift = Some(if credible { shift } else { 0 });
        }
    }

    fn track(&mut self, kind: Kind) -> &mut Track {
        match kind {
            Kind::Video => &mut self.video,
            Kind::Audio => &mut self.audio,
        }
    }
}

fn nanoseconds(ticks: i64, clock_rate: u32) -> i64 {
    let nanoseconds = i128::from(ticks) * i128::from(NANOSECONDS) / i128::from(clock_rate);
    i64::try_from(nanoseconds).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

const NANOSECONDS: i64 = 1_000_000_000;
/// Between the origin and the streams' start: a track may begin before it.
const HEADROOM: i64 = 10 * NANOSECONDS;
const LONGEST_STEP: i64 = 60 * NANOSECONDS;
const LONGEST_STEP_BACK: i64 = 10 * NANOSECONDS;
const SMALLEST_SHIFT: i64 = 5_000_000;
const LARGEST_SHIFT: i64 = 5 * NANOSECONDS;

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn at(ticks: i64, clock_rate: u32) -> Timestamp {
        Timestamp::new(ticks, NonZeroU32::new(clock_rate).unwrap(), 0).unwrap()
    }

    #[test]
    fn tracks_of_different_clock_rates_share_an_origin() {
        let mut timeline = Timeline::default();
        let video = timeline.place(Kind::Video, at(90_000, 90_000)).unwrap();
        let audio = timeline.place(Kind::Audio, at(48_000, 48_000)).unwrap();
        assert_eq!(video, audio);
        assert_eq!(timeline.place(Kind::Video, at(93_000, 90_000)).unwrap() - video, Duration::from_nanos(33_333_333));
        assert!(timeline.place(Kind::Video, at(-90_000, 90_000)).is_ok(), "before the start is still after the origin");
    }

    #[test]
    fn a_leap_of_the_clock_ends_the_connection() {
        let mut timeline = Timeline::default();
        timeline.place(Kind::Video, at(0, 90_000)).unwrap();
        assert_eq!(timeline.place(Kind::Video, at(90_000 * 3600, 90_000)), Err(Leap(3600.0)));
        assert_eq!(timeline.place(Kind::Video, at(90_000 * -11, 90_000)), Err(Leap(-11.0)));
        assert!(timeline.place(Kind::Video, at(i64::MAX, 1)).is_err());
    }

    #[test]
    fn sender_reports_put_the_sound_in_step_once() {
        let mut timeline = Timeline::default();
        let wall = 3_900_000_000u64 << 32;
        let before = timeline.place(Kind::Audio, at(0, 48_000)).unwrap();
        timeline.sender_report(Kind::Video, at(90_000, 90_000), wall);
        // A second into the video is a quarter of a second into the sound: it began 750 ms later.
        timeline.sender_report(Kind::Audio, at(12_000, 48_000), wall);
        let after = timeline.place(Kind::Audio, at(0, 48_000)).unwrap();
        assert_eq!(after - before, Duration::from_millis(750));
        timeline.sender_report(Kind::Audio, at(48_000, 48_000), wall);
        assert_eq!(timeline.place(Kind::Audio, at(0, 48_000)).unwrap(), after, "the sound is not moved twice");
    }

    #[test]
    fn clocks_that_were_never_set_move_nothing() {
        let mut timeline = Timeline::default();
        timeline.sender_report(Kind::Video, at(0, 90_000), 3_900_000_000 << 32);
        timeline.sender_report(Kind::Audio, at(0, 48_000), 0);
        assert_eq!(timeline.audio_shift, Some(0));
    }
}
