//! What lasts: an append-only log of every show's events, and the pictures that were uploaded.
//!
//! Every change is in the log, on the disk, before it is answered; a show is its events replayed. One task writes, so that
//! changes which wait together share one transaction. Nothing here knows what an event means: it keeps JSON texts in order.

pub mod sqlite;

use jiff::Timestamp;

pub use sqlite::Store;

/// One event of a show, as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Grows over the whole log.
    pub seq: i64,
    pub show: String,
    pub body: String,
    /// The show's wall time at which it was decided.
    pub at: Timestamp,
}

/// Why the store cannot be opened, or did not take a change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} is in use by another hawker: stop that one, or give this one its own data_dir")]
    InUse { path: String },
    #[error("{path}: {source}: is the folder there, writable by this user, with space left?")]
    Io { path: String, source: std::io::Error },
    #[error("{path} was written by a newer hawker (format {seen}, this one knows {known}): use that version")]
    Newer { path: String, seen: i64, known: i64 },
    #[error("{path}: entry {seq} of the log does not read: {reason}")]
    Unreadable { path: String, seq: i64, reason: String },
    #[error("the log in {path}: {source}")]
    Database { path: String, source: sqlx::Error },
    #[error("nothing was committed: {0}: see to the disk, then try again")]
    NotCommitted(String),
    #[error("the store is closed: the server is stopping")]
    Closed,
}
