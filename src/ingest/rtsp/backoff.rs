//! How long to wait before a camera is tried again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Pauses that double from half a second to eight, less up to a quarter by chance, so that many cameras behind one router
/// that restarted are not tried in step.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = SHORTEST.saturating_mul(1 << self.failures.min(DOUBLINGS)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // The standard library seeds its hashers at random, and that is random enough here.
        let chance = RandomState::new().hash_one(self.failures) as u16;
        pause.mul_f64(1.0 - f64::from(chance) / f64::from(u16::MAX) / 4.0)
    }

    /// It worked: the next failure is a first one.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);
const DOUBLINGS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_eight_seconds_and_start_afresh() {
        let mut backoff = Backoff::default();
        for full in [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0] {
            let pause = backoff.next_pause().as_secs_f64();
            assert!((full * 0.75 - 0.001..=full).contains(&pause), "{pause} for {full}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= SHORTEST);
        backoff.failures = u32::MAX;
        assert!(backoff.next_pause() <= LONGEST);
    }
}
