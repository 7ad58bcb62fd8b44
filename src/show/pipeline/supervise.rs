//! Keeps a stage's thread at work: a panic in it is counted, told and followed by a new beginning.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Shared;

/// Tells threads that wait between two beginnings that the show is over.
#[derive(Default)]
pub(super) struct Stop {
    told: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn tell(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for at most `pause`; true when the show is over.
    fn wait(&self, pause: Duration) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(told, pause, |told| !*told);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What broke, for the health to tell.
#[derive(Default)]
pub(super) struct Breaks(Mutex<(u64, Option<(&'static str, Instant)>)>);

impl Breaks {
    /// How often any thread of the show broke off.
    pub(super) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The stage that broke off last, while that is news.
    pub(super) fn newest(&self, now: Instant) -> Option<&'static str> {
        let (_, newest) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest.filter(|(_, at)| now.saturating_duration_since(*at) < Breaks::NEWS).map(|(stage, _)| stage)
    }

    const NEWS: Duration = Duration::from_secs(60);

    fn note(&self, stage: &'static str, now: Instant) -> u64 {
        let mut broke = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *broke = (broke.0 + 1, Some((stage, now)));
        broke.0
    }
}

/// The pause before a stage begins again: none at first, then doubling while it keeps breaking.
#[derive(Debug, Default)]
struct Backoff {
    pause: Duration,
    broke: Option<Instant>,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);
    /// A stage that ran for this long is taken for sound again.
    const SOUND: Duration = Duration::from_secs(30);

    fn broke(&mut self, now: Instant) -> Duration {
        let sound = self.broke.is_none_or(|before| now.saturating_duration_since(before) >= Backoff::SOUND);
        self.broke = Some(now);
        let pause = if sound { Duration::ZERO } else { self.pause };
        self.pause = (pause * 2).clamp(Backoff::FIRST, Backoff::LONGEST);
        pause
    }
}

/// Calls `run` until it returns in order, or the show is over. What it owned when it panicked is dropped; what it borrowed
/// (its queues) is still there for the next beginning.
pub(super) fn supervise(shared: &Shared, stage: &'static str, mut run: impl FnMut()) {
    let mut backoff = Backoff::default();
    // Nothing that `run` borrows is left half-changed: queues hold their locks for single steps, the rest are atomics.
    while catch_unwind(AssertUnwindSafe(&mut run)).is_err() {
        let now = shared.clock.clock().now();
        let pause = backoff.broke(now);
        let times = shared.breaks.note(stage, now);
        tracing::error!(show = %shared.name, stage, times, ?pause, "a media thread broke off and begins again");
        if shared.stop.wait(pause) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_new_beginning_is_at_once_and_the_next_ones_are_later() {
        let (mut backoff, start) = (Backoff::default(), Instant::now());
        let at = |millis: u64| start + Duration::from_millis(millis);
        let pauses: Vec<_> = (0..10).map(|n| backoff.broke(at(n * 100))).collect();
        assert_eq!(pauses[..4], [0, 50, 100, 200].map(Duration::from_millis));
        assert_eq!(pauses[9], Backoff::LONGEST);
        assert_eq!(backoff.broke(at(900) + Backoff::SOUND), Duration::ZERO);
    }

    #[test]
    fn a_wait_ends_when_the_show_does() {
        let stop = Stop::default();
        assert!(!stop.wait(Duration::ZERO));
        stop.tell();
        assert!(stop.wait(Duration::from_secs(3600)));
    }
}
