//! Clocks: the machine's, one moved by hand for tests, and a show's media clock over either.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::time::MediaTime;

/// Where the time comes from. Wall time serves the edges only (schedules, tokens); media runs on the monotonic one.
pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> Instant;
    fn wall(&self) -> SystemTime;
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that moves when told, for tests: wall time starts at 2026-01-01T00:00:00Z.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    passed: Mutex<Duration>,
}

impl ManualClock {
    pub fn new() -> Arc<ManualClock> {
        Arc::new(ManualClock { start: Instant::now(), passed: Mutex::new(Duration::ZERO) })
    }

    pub fn advance(&self, by: Duration) {
        *self.passed.lock().expect("no panic while a manual clock is held") += by;
    }

    fn passed(&self) -> Duration {
        *self.passed.lock().expect("no panic while a manual clock is held")
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + self.passed()
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_767_225_600) + self.passed()
    }
}

/// A show's clock: media time runs with the monotonic clock from an anchor taken once, when the show is opened, so a
/// step of the wall clock while on air moves nothing.
#[derive(Clone, Debug)]
pub struct MediaClock {
    clock: Arc<dyn Clock>,
    origin: Instant,
    wall_origin: SystemTime,
    at_origin: MediaTime,
}

impl MediaClock {
    /// `epoch` is the wall time of the show's media time zero. `floor` is a media time that the show is known to have
    /// reached: a wall clock set back while the server was down does not take the show into its past.
    pub fn new(clock: Arc<dyn Clock>, epoch: SystemTime, floor: MediaTime) -> MediaClock {
        let (origin, wall) = (clock.now(), clock.wall());
        let passed = wall.duration_since(epoch).unwrap_or_default();
        let at_origin = (MediaTime::ZERO + passed).max(floor);
        MediaClock { clock, origin, wall_origin: wall, at_origin }
    }

    pub fn now(&self) -> MediaTime {
        self.at(self.clock.now())
    }

    /// The media time at an instant; instants before the show was opened count as its opening.
    pub fn at(&self, instant: Instant) -> MediaTime {
        self.at_origin + instant.saturating_duration_since(self.origin)
    }

    /// The instant at which a media time is or was now; earlier times than the opening give the opening.
    pub fn instant(&self, at: MediaTime) -> Instant {
        self.origin + at.since(self.at_origin)
    }

    pub fn wall(&self, at: MediaTime) -> SystemTime {
        if at >= self.at_origin {
            self.wall_origin + at.since(self.at_origin)
        } else {
            self.wall_origin - self.at_origin.since(at)
        }
    }

    pub fn at_wall(&self, wall: SystemTime) -> MediaTime {
        match wall.duration_since(self.wall_origin) {
            Ok(later) => self.at_origin + later,
            Err(earlier) => self.at_origin - earlier.duration(),
        }
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_time_runs_from_the_epoch_over_restarts() {
        let clock = ManualClock::new();
        let epoch = clock.wall();
        clock.advance(Duration::from_secs(10));
        let first = MediaClock::new(clock.clone(), epoch, MediaTime::ZERO);
        assert_eq!(first.now(), MediaTime::ZERO + Duration::from_secs(10));
        clock.advance(Duration::from_secs(5));
        let again = MediaClock::new(clock.clone(), epoch, MediaTime::ZERO);
        assert_eq!(again.now(), first.now());
        assert_eq!(first.wall(again.now()), clock.wall());
        assert_eq!(first.at_wall(clock.wall()), again.now());
        assert_eq!(again.wall(MediaTime::ZERO), epoch);
    }

    #[test]
    fn a_wall_clock_set_back_does_not_turn_a_show_back() {
        let clock = ManualClock::new();
        let epoch = clock.wall() + Duration::from_secs(3600);
        let reached = MediaTime::from_ticks(90_000 * 60);
        assert_eq!(MediaClock::new(clock, epoch, reached).now(), reached);
    }

    #[test]
    fn instants_and_media_times_convert_both_ways() {
        let clock = ManualClock::new();
        let media = MediaClock::new(clock.clone(), clock.wall() - Duration::from_secs(7), MediaTime::ZERO);
        let at = media.now() + Duration::from_millis(1500);
        assert_eq!(media.at(media.instant(at)), at);
    }
}
