//! The store in one SQLite file.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Row, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Error, Record};

/// The log and the pictures under a data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    readers: SqlitePool,
    /// Closed by taking the sender out.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Held as long as anybody has the store: the operating system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl Store {
    /// Opens the store in `folder`, which is made when absent (for this user only: it holds keys).
    pub async fn open(folder: &Path) -> Result<Store, Error> {
        let io = |source| Error::Io { path: folder.display().to_string(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        let lock = lock(folder)?;
        let path = folder.join("hawker.sqlite");
        // Made by us, so that its mode is ours; SQLite gives its side files the same one.
        File::options().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(io)?;

        let database = |source| Error::Database { path: path.display().to_string(), source };
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode NORMAL may lose the last commits with the power, and a price that was answered must hold. One sync
            // a transaction is what FULL costs, and waiting changes share it.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(database)?;
        prepare(&mut connection, &path).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await
            .map_err(database)?;

        let (jobs, waiting) = mpsc::channel(WAITING);
        let writer = tokio::spawn(write(connection, waiting));
        let inner =
            Inner { path, readers, jobs: Mutex::new(Some(jobs)), writer: Mutex::new(Some(writer)), _lock: lock };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// The whole log, oldest first.
    pub async fn load(&self) -> Result<Vec<Record>, Error> {
        let rows = sqlx::query("SELECT seq, show, body, at FROM log ORDER BY seq")
            .fetch_all(&self.inner.readers)
            .await
            .map_err(|source| self.database(source))?;
        rows.iter().map(|row| self.record(row)).collect()
    }

    /// Adds events of one show, all or none; they are on the disk when this returns. Waits while [`WAITING`] changes wait.
    pub async fn append(&self, show: &str, bodies: Vec<String>, at: Timestamp) -> Result<(), Error> {
        self.commit(Change::Events { show: show.to_owned(), bodies, at }).await
    }

    /// Keeps bytes under their hash; bytes that are there already are left.
    pub async fn put_blob(&self, hash: [u8; 32], bytes: Bytes) -> Result<(), Error> {
        self.commit(Change::Blob { hash, bytes }).await
    }

    pub async fn blob(&self, hash: &[u8; 32]) -> Result<Option<Bytes>, Error> {
        let row = sqlx::query("SELECT bytes FROM blob WHERE hash = ?")
            .bind(hash.to_vec())
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(|source| self.database(source))?;
        row.map(|row| row.try_get::<Vec<u8>, _>(0).map(Bytes::from)).transpose().map_err(|source| self.database(source))
    }

    /// Commits what waits and closes the file; later changes are refused.
    pub async fn close(&self) {
        drop(self.inner.jobs.lock().expect("nobody panics while holding the sender").take());
        let writer = self.inner.writer.lock().expect("nobody panics while holding the handle").take();
        if let Some(writer) = writer {
            // A panic of the writer has answered every waiting change already, by dropping it.
            let _ = writer.await;
        }
        self.inner.readers.close().await;
    }

    async fn commit(&self, change: Change) -> Result<(), Error> {
        let jobs = self.inner.jobs.lock().expect("nobody panics while holding the sender").clone();
        let (answer, answered) = oneshot::channel();
        jobs.ok_or(Error::Closed)?.send(Job { change, answer }).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?.map_err(Error::NotCommitted)
    }

    fn record(&self, row: &sqlx::sqlite::SqliteRow) -> Result<Record, Error> {
        let database = |source| self.database(source);
        let seq: i64 = row.try_get(0).map_err(database)?;
        let at: String = row.try_get(3).map_err(database)?;
        let at = at.parse().map_err(|error: jiff::Error| Error::Unreadable {
            path: self.inner.path.display().to_string(),
            seq,
            reason: error.to_string(),
        })?;
        Ok(Record { seq, show: row.try_get(1).map_err(database)?, body: row.try_get(2).map_err(database)?, at })
    }

    fn database(&self, source: sqlx::Error) -> Error {
        Error::Database { path: self.inner.path.display().to_string(), source }
    }
}

/// Changes that wait for the disk, at most. When full, whoever brings one waits: a command waits longer, media never does.
pub const WAITING: usize = 256;

/// Connections that read pictures while the writer writes.
const READERS: u32 = 2;

/// The format of the file, kept in its `user_version`.
const FORMAT: i64 = 1;

struct Job {
    change: Change,
    answer: oneshot::Sender<Result<(), String>>,
}

enum Change {
    Events { show: String, bodies: Vec<String>, at: Timestamp },
    Blob { hash: [u8; 32], bytes: Bytes },
}

/// Takes the folder for this process, or says who has it.
fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let io = |source| Error::Io { path: path.display().to_string(), source };
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: folder.display().to_string() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Makes the tables of a new file, and refuses one from the future.
async fn prepare(connection: &mut SqliteConnection, path: &Path) -> Result<(), Error> {
    let database = |source| Error::Database { path: path.display().to_string(), source };
    let row = sqlx::query("PRAGMA user_version").fetch_one(&mut *connection).await.map_err(database)?;
    match row.try_get::<i64, _>(0).map_err(database)? {
        FORMAT => Ok(()),
        0 => sqlx::raw_sql(TABLES).execute(connection).await.map(drop).map_err(database),
        seen => Err(Error::Newer { path: path.display().to_string(), seen, known: FORMAT }),
    }
}

/// The triggers hold what the name promises: nothing in the log is ever changed or taken out.
const TABLES: &str = "
    BEGIN IMMEDIATE;
    CREATE TABLE log (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        show TEXT NOT NULL,
        body TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER log_keeps_what_it_says BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
    CREATE TRIGGER log_keeps_all BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
    CREATE TABLE blob (hash BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
    COMMIT;
";

/// The one writer: takes what waits, commits it together, and only then answers. Ends when the last sender is gone.
async fn write(mut connection: SqliteConnection, mut waiting: mpsc::Receiver<Job>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, WAITING).await > 0 {
        let outcome = commit(&mut connection, &batch).await;
        if let Err(error) = &outcome {
            tracing::error!(changes = batch.len(), %error, "the log did not take a batch");
        }
        for job in batch.drain(..) {
            // Whoever does not wait any more needs no answer.
            let _ = job.answer.send(outcome.as_ref().copied().map_err(ToString::to_string));
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the log was not closed cleanly: it is repaired when it is opened next");
    }
}

async fn commit(connection: &mut SqliteConnection, batch: &[Job]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for job in batch {
        match &job.change {
            Change::Events { show, bodies, at } => {
                let at = at.to_string();
                for body in bodies {
                    sqlx::query("INSERT INTO log (show, body, at) VALUES (?, ?, ?)")
                        .bind(show)
                        .bind(body)
                        .bind(&at)
                        .execute(&mut *transaction)
                        .await?;
                }
            }
            Change::Blob { hash, bytes } => {
                sqlx::query("INSERT INTO blob (hash, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING")
                    .bind(hash.to_vec())
                    .bind(bytes.to_vec())
                    .execute(&mut *transaction)
                    .await?;
            }
        }
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    fn at() -> Timestamp {
        "2026-01-01T00:00:00.25Z".parse().unwrap()
    }

    #[tokio::test]
    async fn what_was_answered_is_there_after_a_restart_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.append("demo", vec!["{\"a\":1}".into(), "{\"b\":2}".into()], at()).await.unwrap();
        store.append("other", vec!["{}".into()], at()).await.unwrap();
        store.put_blob([7; 32], Bytes::from_static(b"picture")).await.unwrap();
        store.put_blob([7; 32], Bytes::from_static(b"picture")).await.unwrap();
        store.close().await;
        assert!(matches!(store.append("demo", vec![], at()).await, Err(Error::Closed)));
        drop(store);

        let store = Store::open(folder.path()).await.unwrap();
        let log = store.load().await.unwrap();
        let seen: Vec<_> = log.iter().map(|record| (record.show.as_str(), record.body.as_str())).collect();
        assert_eq!(seen, [("demo", "{\"a\":1}"), ("demo", "{\"b\":2}"), ("other", "{}")]);
        assert!(log.is_sorted_by_key(|record| record.seq));
        assert!(log.iter().all(|record| record.at == at()));
        assert_eq!(store.blob(&[7; 32]).await.unwrap().as_deref(), Some(&b"picture"[..]));
        assert_eq!(store.blob(&[8; 32]).await.unwrap(), None);
    }

    #[tokio::test]
    async fn changes_that_wait_together_are_all_committed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for show in 0..4 * WAITING {
            let store = store.clone();
            tasks.spawn(async move { store.append(&format!("show-{show}"), vec!["{}".into()], at()).await });
        }
        while let Some(outcome) = tasks.join_next().await {
            outcome.unwrap().unwrap();
        }
        assert_eq!(store.load().await.unwrap().len(), 4 * WAITING);
    }

    #[tokio::test]
    async fn the_log_only_grows() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.append("demo", vec!["{}".into()], at()).await.unwrap();
        store.close().await;
        let options = SqliteConnectOptions::new().filename(folder.path().join("hawker.sqlite"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        for change in ["UPDATE log SET body = ''", "DELETE FROM log"] {
            let error = sqlx::query(change).execute(&mut connection).await.unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_second_server_is_kept_off_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Store::open(folder.path()).await.unwrap();
        assert!(matches!(Store::open(folder.path()).await, Err(Error::InUse { .. })));
        // Another process, and one that does not know our code: flock(1) asks the same of the operating system.
        let lock = folder.path().join("lock");
        let asked = || Command::new("flock").arg("--nonblock").arg(&lock).arg("true").status().unwrap().success();
        assert!(!asked());
        first.close().await;
        drop(first);
        assert!(asked());
        Store::open(folder.path()).await.unwrap();
    }

    #[tokio::test]
    async fn only_the_owner_reads_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let store = Store::open(&data).await.unwrap();
        store.append("demo", vec!["{}".into()], at()).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data), 0o700);
        for entry in fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
        }
    }

    #[tokio::test]
    async fn a_file_of_a_newer_version_or_of_noise_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        Store::open(folder.path()).await.unwrap().close().await;
        let path = folder.path().join("hawker.sqlite");
        let mut connection =
            SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.unwrap();
        sqlx::query("PRAGMA user_version = 9").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let error = Store::open(folder.path()).await.unwrap_err();
        assert!(matches!(error, Error::Newer { seen: 9, .. }), "{error}");
        fs::write(&path, b"this is no database, though it is long enough to be looked at by SQLite".repeat(99))
            .unwrap();
        assert!(matches!(Store::open(folder.path()).await.unwrap_err(), Error::Database { .. }));
    }
}
