//! What the process says of itself while it runs: tracing to standard error. Metrics are `api`'s.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;

/// Starts tracing, once a process. `HAWKER_LOG` filters it (`debug`, `hawker::ingest=trace,info`); a filter that cannot be
/// read is reported and replaced by the default.
pub fn init() {
    let asked = std::env::var("HAWKER_LOG").ok();
    let parsed = asked.as_deref().map(EnvFilter::try_new);
    let (filter, refused) = match parsed {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(DEFAULT_FILTER), Some(error)),
        None => (EnvFilter::new(DEFAULT_FILTER), None),
    };
    let started = tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
    if started.is_ok()
        && let Some(error) = refused
    {
        tracing::warn!(%error, "HAWKER_LOG is not a filter; using {DEFAULT_FILTER}");
    }
}

/// Counts a kind of event that strangers can cause at will, so that it is told at most once in ten seconds.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    told: Option<Instant>,
    untold: u64,
}

impl Tally {
    /// Counts one; when it is time to tell, how many there were since the last time.
    pub fn count(&self, now: Instant) -> Option<u64> {
        let mut counted = self.0.lock().expect("no panic while a tally is held");
        counted.untold += 1;
        if counted.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY) {
            return None;
        }
        counted.told = Some(now);
        Some(std::mem::take(&mut counted.untold))
    }
}

const TELL_EVERY: Duration = Duration::from_secs(10);

/// Our own states at info; libraries only when something is wrong. The `rtc` crates write viewers' addresses into warnings, so
/// only their errors pass.
const DEFAULT_FILTER: &str = "warn,hawker=info,rtc=error";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_cause_is_told_in_aggregate() {
        let tally = Tally::default();
        let start = Instant::now();
        assert_eq!(tally.count(start), Some(1));
        for _ in 0..99 {
            assert_eq!(tally.count(start + TELL_EVERY / 2), None);
        }
        assert_eq!(tally.count(start + TELL_EVERY), Some(100));
    }
}
