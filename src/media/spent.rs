//! How long a stage takes, frame by frame: counted where it happens, read by whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Times of one kind of work.
#[derive(Debug, Default)]
pub struct Spent {
    nanoseconds: AtomicU64,
    /// One for each of [`Spent::BOUNDS`], and one for what is beyond them.
    counts: [AtomicU64; Spent::BOUNDS.len() + 1],
}

/// What was counted until some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    pub seconds: f64,
    /// How many took as long as each of [`Spent::BOUNDS`] at most and longer than the one before; the last ones took longer.
    pub counts: [u64; Spent::BOUNDS.len() + 1],
}

impl Spent {
    /// In seconds: from a blend's share of a frame to several frames.
    pub const BOUNDS: [f64; 13] =
        [25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 20e-3, 33e-3, 66e-3, 0.25];

    pub fn add(&self, time: Duration) {
        let bucket = Spent::BOUNDS.partition_point(|bound| *bound < time.as_secs_f64());
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn times(&self) -> Times {
        Times {
            seconds: self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9,
            counts: std::array::from_fn(|bucket| self.counts[bucket].load(Ordering::Relaxed)),
        }
    }
}

impl Times {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_counted_once_in_its_place() {
        let spent = Spent::default();
        for micros in [10, 25, 26, 100, 4_000, 300_000, 2_000_000] {
            spent.add(Duration::from_micros(micros));
        }
        let times = spent.times();
        assert_eq!((times.count(), times.counts[0], times.counts[1], times.counts[2]), (7, 2, 1, 1));
        assert_eq!((times.counts[7], times.counts[13]), (1, 2));
        assert!((times.seconds - 2.304_161).abs() < 1e-9);
    }
}
