//! A theme's files, as they are embedded or lie in a folder.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::problem::{Problem, ThemeError};

/// A theme's sources, unread.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    /// The theme's name, which is its folder's.
    pub(super) name: String,
    pub(super) manifest: String,
    pub(super) css: Option<String>,
    /// By kind: `card` is `card.html`.
    pub(super) templates: BTreeMap<String, String>,
}

impl Files {
    /// The themes that are part of the program.
    pub(super) fn built_in() -> Vec<Files> {
        let mut themes: Vec<Files> = vec![];
        for &(theme, file, text) in super::built_in::FILES {
            if themes.last().is_none_or(|last| last.name != theme) {
                themes.push(Files { name: theme.to_owned(), ..Files::default() });
            }
            if let Some(last) = themes.last_mut() {
                last.put(file, text.to_owned());
            }
        }
        themes
    }

    /// Reads a theme's folder, which lies inside of the folder of all themes.
    fn open(root: &Path, name: &str) -> Result<Files, ThemeError> {
        let mut files = Files { name: name.to_owned(), ..Files::default() };
        let listed = listed(root, name)?;
        if !listed.iter().any(|(file, _)| file == MANIFEST) {
            return Err(ThemeError::unreadable(&files.manifest_path(), "it is not there any more"));
        }
        for (file, path) in listed {
            let text = read(root, &files.path(&file), &path)?;
            files.put(&file, text);
        }
        Ok(files)
    }

    fn put(&mut self, file: &str, text: String) {
        match file.strip_suffix(".html") {
            Some(kind) => drop(self.templates.insert(kind.to_owned(), text)),
            None if file == MANIFEST => self.manifest = text,
            None => self.css = Some(text),
        }
    }

    /// A file as errors name it.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        Path::new(&self.name).join(file)
    }

    pub(super) fn manifest_path(&self) -> PathBuf {
        self.path(MANIFEST)
    }
}

/// Every theme of a folder: what could be read, and why the others could not. One that is `known` needs a folder only, so that
/// its missing manifest is told.
pub(super) fn open_all(root: &Path, known: impl Fn(&str) -> bool) -> Result<Vec<Result<Files, Problem>>, ThemeError> {
    let themes = names(root, known)?.into_iter().map(|name| {
        let opened = match named(&name, b"-_") {
            true => Files::open(root, &name),
            false => Err(ThemeError::unreadable(Path::new(&name), BAD_NAME)),
        };
        opened.map_err(|error| Problem { theme: Some(name), error })
    });
    Ok(themes.collect())
}

/// What tells that a file was changed, without reading it.
pub(in crate::overlay) type Stamp = (PathBuf, u64, Option<SystemTime>, (u64, i64));

/// The state of everything that [`open_all`] would read. What cannot be looked at has no stamp.
pub(in crate::overlay) fn stamps(root: &Path) -> Vec<Stamp> {
    let stamp = |path: PathBuf| {
        let metadata = fs::metadata(&path).ok()?;
        let (len, modified, inode) = (metadata.len(), metadata.modified().ok(), inode(&metadata));
        Some((path, len, modified, inode))
    };
    let files =
        names(root, |_| false).unwrap_or_default().into_iter().flat_map(|name| listed(root, &name).unwrap_or_default());
    let files = files.map(|(_, path)| path);
    std::iter::once(root.to_owned()).chain(files).filter_map(stamp).collect()
}

/// Whether a name is plain: letters and digits, and the marks given, beginning with a letter.
pub(super) fn named(name: &str, marks: &[u8]) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || marks.contains(&byte);
    (1..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(plain)
}

fn names(root: &Path, known: impl Fn(&str) -> bool) -> Result<Vec<String>, ThemeError> {
    let unreadable = |error| ThemeError::unreadable(root, error);
    let mut names = vec![];
    for entry in fs::read_dir(root).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // A folder without a manifest is no theme: designers keep drafts and pictures beside them. One that was a theme is being
        // edited.
        if fs::symlink_metadata(path.join(MANIFEST)).is_ok() || (known(&name) && path.is_dir()) {
            names.push(name);
        }
        if names.len() > MOST_THEMES {
            return Err(ThemeError::unreadable(
                root,
                format!("more than {MOST_THEMES} themes: is this the right one?"),
            ));
        }
    }
    names.sort();
    Ok(names)
}

/// The files of a theme that mean something, by name.
fn listed(root: &Path, name: &str) -> Result<Vec<(String, PathBuf)>, ThemeError> {
    let unreadable = |error| ThemeError::unreadable(Path::new(name), error);
    let mut files = vec![];
    for entry in fs::read_dir(root.join(name)).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file == MANIFEST || file == CSS || file.ends_with(".html") {
            files.push((file, path));
        }
        if files.len() > MOST_FILES {
            let reason = format!("more than {MOST_FILES} templates");
            return Err(ThemeError::unreadable(Path::new(name), reason));
        }
    }
    files.sort();
    Ok(files)
}

fn read(root: &Path, shown: &Path, path: &Path) -> Result<String, ThemeError> {
    let unreadable = |error| ThemeError::unreadable(shown, error);
    let root = fs::canonicalize(root).map_err(unreadable)?;
    let real = fs::canonicalize(path).map_err(unreadable)?;
    if !real.starts_with(&root) {
        return Err(ThemeError::unreadable(
            shown,
            "it is a link that leaves the themes folder: put the file itself here",
        ));
    }
    let metadata = fs::metadata(&real).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ThemeError::unreadable(shown, "it is not a plain file"));
    }
    if metadata.len() > MOST_BYTES {
        return Err(ThemeError::unreadable(shown, format!("{} bytes long; it may have {MOST_BYTES}", metadata.len())));
    }
    fs::read_to_string(&real).map_err(unreadable)
}

/// A file that was put in another's place may have its length and its time.
#[cfg(unix)]
fn inode(metadata: &Metadata) -> (u64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ino(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> (u64, i64) {
    (0, 0)
}

const MANIFEST: &str = "theme.json";
pub(super) const CSS: &str = "theme.css";
const BAD_NAME: &str = "a theme's folder is called by a-z, 0-9, - and _, 64 at most, beginning with a letter";
/// Themes of a folder.
const MOST_THEMES: usize = 64;
/// Files of a theme.
const MOST_FILES: usize = 64;
/// Bytes of one file.
const MOST_BYTES: u64 = 256 << 10;
