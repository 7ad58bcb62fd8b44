//! The themes in use: read at the start, and again whenever a file of theirs changes.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::html::Typesetter;
use super::theme::{Stamp, ThemeError, Themes, stamps};

/// Holds the themes, and reads them again. Shared with the thread that looks after them.
#[derive(Clone)]
pub(super) struct Shelf(Arc<Inner>);

struct Inner {
    folder: Option<PathBuf>,
    typesetter: Arc<Typesetter>,
    themes: ArcSwap<Themes>,
    /// What the files were like when they were read; held while they are.
    read: Mutex<Vec<Stamp>>,
    changes: watch::Sender<u64>,
}

/// Looks after the themes folder; ends when it is dropped.
pub struct Watch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Shelf {
    pub(super) fn new(folder: Option<PathBuf>, typesetter: Arc<Typesetter>) -> Result<Shelf, ThemeError> {
        let built_in = Arc::new(Themes::built_in()?);
        let (themes, read) = (ArcSwap::new(built_in), Mutex::default());
        let shelf = Shelf(Arc::new(Inner { folder, typesetter, themes, read, changes: watch::Sender::new(0) }));
        shelf.look();
        Ok(shelf)
    }

    pub(super) fn themes(&self) -> Arc<Themes> {
        self.0.themes.load_full()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Reads the folder if anything in it is not as it was.
    pub(super) fn look(&self) {
        let Inner { folder: Some(folder), typesetter, themes, read, changes } = &*self.0 else { return };
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamps(folder);
        let before = themes.load_full();
        // The first look has to tell what is wrong even of a folder that has no file.
        let first = *changes.borrow() == 0;
        if *read == now && !first {
            return;
        }
        // Taken before the files are read: what changes meanwhile is seen by the next look.
        *read = now;
        let after = before.with_folder(folder, typesetter);
        for problem in after.problems().iter().filter(|problem| !before.problems().contains(problem)) {
            tracing::warn!("a theme is not taken: {problem}");
        }
        themes.store(Arc::new(after));
        changes.send_modify(|version| *version += 1);
    }

    pub(super) fn watch(&self) -> io::Result<Watch> {
        if self.0.folder.is_none() {
            return Ok(Watch { stop: None, thread: None });
        }
        let (stop, stopped) = mpsc::channel();
        let shelf = self.clone();
        let thread = thread::Builder::new().name("themes".to_owned()).spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                shelf.look();
            }
        })?;
        Ok(Watch { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Panics of painting are caught within.
            let _ = thread.join();
        }
    }
}

/// Between two looks at the folder.
const INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn shelf(folder: &Path) -> Shelf {
        Shelf::new(Some(folder.to_owned()), Arc::new(Typesetter::new(None).unwrap())).unwrap()
    }

    fn put(folder: &Path, file: &str, text: &str) {
        fs::create_dir_all(folder.join("mine")).unwrap();
        fs::write(folder.join("mine").join(file), text).unwrap();
    }

    fn title(shelf: &Shelf) -> Option<String> {
        shelf.themes().get("mine").ok().map(|theme| theme.title().to_owned())
    }

    #[test]
    fn a_changed_theme_is_read_again_and_a_wrong_one_leaves_the_last_good() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        let mut changes = shelf.changes();
        assert_eq!(title(&shelf), None);
        put(folder.path(), "theme.json", r#"{"title": "One"}"#);
        shelf.look();
        assert_eq!(title(&shelf).as_deref(), Some("One"));
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        shelf.look();
        assert!(!changes.has_changed().unwrap(), "nothing is read twice");

        put(folder.path(), "theme.json", "{\n\"title\": \"Broken\",\n\"layers\": 5\n}");
        shelf.look();
        assert_eq!(title(&shelf).as_deref(), Some("One"));
        let told: Vec<String> = shelf.themes().problems().iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].starts_with("mine/theme.json:3: invalid type"), "{told:?}");

        put(folder.path(), "theme.json", r#"{"title": "Mended"}"#);
        put(folder.path(), "theme.css", ".card { padding: 2rem }");
        shelf.look();
        assert_eq!(title(&shelf).as_deref(), Some("Mended"));
        assert!(shelf.themes().problems().is_empty());
        let card = shelf.themes().get("mine").unwrap().kind("card").unwrap().clone();
        assert!(card.template.css.ends_with(".card { padding: 2rem }"));

        fs::remove_dir_all(folder.path().join("mine")).unwrap();
        shelf.look();
        assert_eq!(title(&shelf), None);
    }

    #[test]
    fn the_thread_sees_a_change_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        let watch = shelf.watch().unwrap();
        let mut changes = shelf.changes();
        put(folder.path(), "theme.json", r#"{"title": "One"}"#);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let seen = async { tokio::time::timeout(Duration::from_secs(30), changes.changed()).await };
        runtime.block_on(seen).unwrap().unwrap();
        assert_eq!(title(&shelf).as_deref(), Some("One"));
        drop(watch);
    }
}
