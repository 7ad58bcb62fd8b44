//! One trial at a time: two cores cannot carry two live shows and a browser beside each other and stay on time.

use std::fs::File;
use std::path::Path;

/// Held for the length of a trial that loads the machine. A file lock, so that it also holds between test processes.
#[must_use = "a turn lasts as long as it is held"]
pub struct Turn(#[allow(dead_code, reason = "the lock lives in the open file")] File);

impl Turn {
    /// Waits for the machine.
    pub async fn take() -> Turn {
        tokio::task::spawn_blocking(|| {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("turn.lock");
            let file = File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            file.lock().expect("a file on a local disk can be locked");
            Turn(file)
        })
        .await
        .expect("waiting for a lock does not panic")
    }
}
