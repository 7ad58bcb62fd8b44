//! What is wrong in a theme, and where.

use std::path::{Path, PathBuf};

/// Why a theme is not taken, or not found. Files are named from the themes folder on: `flash/card.html`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThemeError {
    #[error("{}:{line}: {reason}", file.display())]
    Invalid { file: PathBuf, line: usize, reason: String },
    #[error("{}: {reason}", file.display())]
    Unreadable { file: PathBuf, reason: String },
    #[error("there is no theme {name:?}; there are: {}", known.join(", "))]
    UnknownTheme { name: String, known: Vec<String> },
    #[error("the theme {theme:?} has no layer {kind:?}; it has: {}", known.join(", "))]
    UnknownKind { theme: String, kind: String, known: Vec<String> },
}

/// Something wrong in the themes folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Problem {
    /// The theme that is not taken for it; absent where the folder itself is meant.
    pub theme: Option<String>,
    pub error: ThemeError,
}

impl ThemeError {
    pub(super) fn at(file: &Path, line: usize, reason: impl Into<String>) -> ThemeError {
        ThemeError::Invalid { file: file.to_owned(), line, reason: reason.into() }
    }

    pub(super) fn unreadable(file: &Path, reason: impl ToString) -> ThemeError {
        ThemeError::Unreadable { file: file.to_owned(), reason: reason.to_string() }
    }

    /// The file and line it is about, where it is about any.
    pub fn place(&self) -> (Option<&Path>, Option<usize>) {
        match self {
            ThemeError::Invalid { file, line, .. } => (Some(file), Some(*line)),
            ThemeError::Unreadable { file, .. } => (Some(file), None),
            ThemeError::UnknownTheme { .. } | ThemeError::UnknownKind { .. } => (None, None),
        }
    }

    /// What is wrong, without the place.
    pub fn reason(&self) -> String {
        match self {
            ThemeError::Invalid { reason, .. } | ThemeError::Unreadable { reason, .. } => reason.clone(),
            ThemeError::UnknownTheme { .. } | ThemeError::UnknownKind { .. } => self.to_string(),
        }
    }
}

/// The line of a place in a text, from 1 on.
pub(super) fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}
