//! One line of text that people read: titles and labels.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// 1 to `MAX` characters on one line, without control characters and without white space at either end. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Line<const MAX: usize>(Arc<str>);

/// What a product or a show is called.
pub type Title = Line<200>;

/// A few words on the picture beside a price.
pub type Label = Line<40>;

/// What a buyer types in for a lower price.
pub type Code = Line<24>;

/// A heading on the picture, or a line under one.
pub type Heading = Line<80>;

/// A sentence on the picture.
pub type Sentence = Line<140>;

/// A text that is no such line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the text is empty: write 1 to {max} characters")]
    Empty { max: usize },
    #[error("the text has {seen} characters: shorten it to {max}")]
    Long { seen: usize, max: usize },
    #[error("the text has the control character {seen:?}: write one line of plain text")]
    Control { seen: char },
}

impl<const MAX: usize> Line<MAX> {
    pub fn parse(text: &str) -> Result<Line<MAX>, Error> {
        let text = text.trim();
        if let Some(seen) = text.chars().find(|char| char.is_control()) {
            return Err(Error::Control { seen });
        }
        match text.chars().count() {
            0 => Err(Error::Empty { max: MAX }),
            seen if seen > MAX => Err(Error::Long { seen, max: MAX }),
            _ => Ok(Line(text.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> TryFrom<String> for Line<MAX> {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Line::parse(&text)
    }
}

impl<const MAX: usize> From<Line<MAX>> for String {
    fn from(line: Line<MAX>) -> String {
        line.0.as_ref().to_owned()
    }
}

impl<const MAX: usize> fmt::Display for Line<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> fmt::Debug for Line<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_counted_in_characters_and_trimmed() {
        assert_eq!(Label::parse("  Son môi đỏ ").unwrap().as_str(), "Son môi đỏ");
        assert!(Label::parse(&"đ".repeat(40)).is_ok());
        assert!(matches!(Label::parse(&"đ".repeat(41)), Err(Error::Long { seen: 41, max: 40 })));
        assert!(matches!(Label::parse(" \t"), Err(Error::Empty { .. })));
        assert!(matches!(Label::parse("two\nlines"), Err(Error::Control { seen: '\n' })));
    }
}
