//! Media time: the one timescale that every stage of a show shares.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// Ticks of media time in one second (the RTP clock rate of video, RFC 6184 §8.2.1).
pub const TICKS_PER_SECOND: i64 = 90_000;

/// A moment of a show: 90 kHz ticks since the show's epoch, which is kept over restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaTime(i64);

impl MediaTime {
    pub const ZERO: MediaTime = MediaTime(0);

    pub const fn from_ticks(ticks: i64) -> MediaTime {
        MediaTime(ticks)
    }

    pub const fn ticks(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero when `earlier` is the later one.
    pub fn since(self, earlier: MediaTime) -> Duration {
        duration_of(self.0.saturating_sub(earlier.0).max(0))
    }
}

impl Add<Duration> for MediaTime {
    type Output = MediaTime;

    fn add(self, duration: Duration) -> MediaTime {
        MediaTime(self.0.saturating_add(ticks_of(duration)))
    }
}

impl AddAssign<Duration> for MediaTime {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for MediaTime {
    type Output = MediaTime;

    fn sub(self, duration: Duration) -> MediaTime {
        MediaTime(self.0.saturating_sub(ticks_of(duration)))
    }
}

impl fmt::Display for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0 as f64 / TICKS_PER_SECOND as f64)
    }
}

/// `duration` in ticks, to the nearest.
pub fn ticks_of(duration: Duration) -> i64 {
    let ticks = (duration.as_nanos() * TICKS_PER_SECOND as u128 + 500_000_000) / 1_000_000_000;
    i64::try_from(ticks).unwrap_or(i64::MAX)
}

/// `ticks` (not negative) as a duration, to the nearest nanosecond.
fn duration_of(ticks: i64) -> Duration {
    let nanos = (ticks as u128 * 1_000_000_000 + TICKS_PER_SECOND as u128 / 2) / TICKS_PER_SECOND as u128;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Where a show's RTP timestamps begin. Every viewer of a show shares it, so that a timestamp names the same frame for
/// everybody; it wraps at 32 bits (after 13 h of video) and is unwrapped near a known moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtpBase(u32);

impl RtpBase {
    pub const fn new(base: u32) -> RtpBase {
        RtpBase(base)
    }

    pub const fn get(self) -> u32 {
        self.0
    }

    /// The RTP timestamp of a video frame (90 kHz).
    pub fn video(self, at: MediaTime) -> u32 {
        self.0.wrapping_add(at.0 as u32)
    }

    /// The RTP timestamp of an audio packet (48 kHz, RFC 7587 §4.1).
    pub fn audio(self, at: MediaTime) -> u32 {
        self.0.wrapping_add(audio_samples(at) as u32)
    }

    /// The moment that a video RTP timestamp names, taken within ±6.6 h of `near`.
    pub fn unwrap_video(self, rtp: u32, near: MediaTime) -> MediaTime {
        let ahead = rtp.wrapping_sub(self.video(near)) as i32;
        MediaTime(near.0 + i64::from(ahead))
    }
}

/// 48 kHz samples since the epoch at a moment (rounded down: 8 samples are 15 ticks).
pub fn audio_samples(at: MediaTime) -> i64 {
    (at.0 * 8).div_euclid(15)
}

/// The moment of a 48 kHz sample.
pub fn at_audio_sample(sample: i64) -> MediaTime {
    MediaTime((sample * 15).div_euclid(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_trip_through_ticks() {
        for millis in [0, 1, 20, 33, 1000, 86_400_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!((MediaTime::ZERO + duration).since(MediaTime::ZERO), duration);
        }
        assert_eq!(MediaTime::ZERO.since(MediaTime::from_ticks(5)), Duration::ZERO);
    }

    #[test]
    fn rtp_wraps_and_unwraps_near_now() {
        let base = RtpBase::new(u32::MAX - 10);
        for ticks in [0, 9, 11, 12, i64::from(u32::MAX) + 77, 40 * 3600 * TICKS_PER_SECOND] {
            let at = MediaTime::from_ticks(ticks);
            for off in [-TICKS_PER_SECOND * 3600, 0, TICKS_PER_SECOND * 3600] {
                assert_eq!(base.unwrap_video(base.video(at), MediaTime::from_ticks(ticks + off)), at);
            }
        }
    }

    #[test]
    fn twenty_milliseconds_are_960_samples_everywhere() {
        for n in [0i64, 1, 7, 1_000_000] {
            let at = MediaTime::from_ticks(n * 1800);
            assert_eq!(audio_samples(at), n * 960);
            assert_eq!(at_audio_sample(n * 960), at);
        }
    }
}
