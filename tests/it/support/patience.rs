//! Waiting for a condition, with a deadline; nothing in the trials sleeps for luck.

use std::time::{Duration, Instant};

/// Asks `check` every 20 ms until it gives a value, and panics with `what` when it has not within `limit`.
#[track_caller]
pub fn eventually<T, F>(what: &str, limit: Duration, check: F) -> impl Future<Output = T>
where
    F: AsyncFnMut() -> Option<T>,
{
    let caller = std::panic::Location::caller();
    eventually_at(caller, what.to_owned(), limit, check)
}

async fn eventually_at<T, F>(
    caller: &'static std::panic::Location<'static>,
    what: String,
    limit: Duration,
    mut check: F,
) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    let start = Instant::now();
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(start.elapsed() < limit, "{caller}: waited {limit:?} in vain: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Asks `check` for the whole of `span` and panics with `what` as soon as it says no: for what must *not* happen.
#[track_caller]
pub fn throughout<F>(what: &str, span: Duration, check: F) -> impl Future<Output = ()>
where
    F: AsyncFnMut() -> bool,
{
    let caller = std::panic::Location::caller();
    throughout_at(caller, what.to_owned(), span, check)
}

async fn throughout_at<F>(caller: &'static std::panic::Location<'static>, what: String, span: Duration, mut check: F)
where
    F: AsyncFnMut() -> bool,
{
    let start = Instant::now();
    while start.elapsed() < span {
        assert!(check().await, "{caller}: not so after {:?}: {what}", start.elapsed());
        tokio::time::sleep(POLL).await;
    }
}

const POLL: Duration = Duration::from_millis(20);
