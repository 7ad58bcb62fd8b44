//! The short names that appear in addresses: of shows, of products.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// 1 to 64 of `a-z`, `0-9` and `-`: safe in an address, a file name, a label of a metric and a log line. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(Arc<str>);

/// A name that is no [`Slug`].
#[derive(Debug, thiserror::Error)]
#[error("{seen:?} is not a name: use 1 to {} of a-z, 0-9 and -", Slug::MAX_LENGTH)]
pub struct NotASlug {
    pub seen: String,
}

impl Slug {
    pub const MAX_LENGTH: usize = 64;

    pub fn parse(text: &str) -> Result<Slug, NotASlug> {
        let letters = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if letters && (1..=Slug::MAX_LENGTH).contains(&text.len()) {
            Ok(Slug(text.into()))
        } else {
            // What is quoted back is bounded, whatever was sent.
            Err(NotASlug { seen: text.chars().take(Slug::MAX_LENGTH + 1).collect() })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Slug {
    type Error = NotASlug;

    fn try_from(text: String) -> Result<Slug, NotASlug> {
        Slug::parse(&text)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> String {
        slug.0.as_ref().to_owned()
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_names_pass() {
        for good in ["a", "demo", "lipstick-03", "-", &"x".repeat(64)] {
            assert_eq!(Slug::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "Demo", "a b", "../etc", "a/b", "ü", "a\0", &"x".repeat(65)] {
            assert!(Slug::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_quotes_no_more_than_it_must() {
        assert_eq!(Slug::parse(&"ß".repeat(9000)).unwrap_err().seen.chars().count(), 65);
    }
}
