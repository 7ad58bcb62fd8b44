//! What the process says of itself while it runs: tracing to standard error. Metrics are `api`'s.

use std::io::{self, IsTerminal};

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

/// Our own states at info; libraries only when something is wrong. The `rtc` crates write viewers' addresses into warnings, so
/// only their errors pass.
const DEFAULT_FILTER: &str = "warn,hawker=info,rtc=error";
