//! The language of a show: which of several forms a character takes, and which way its text runs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A language that hawker speaks, and where: a BCP 47 tag such as `vi`, `pt-BR` or `zh-Hant-HK`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Locale {
    language: Language,
    region: Option<Region>,
}

/// The languages that there are words and fonts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    English,
    Vietnamese,
    SimplifiedChinese,
    TraditionalChinese,
    Japanese,
    Korean,
    Thai,
    Arabic,
    Hebrew,
    Spanish,
    Portuguese,
    French,
    German,
    Indonesian,
}

/// Which way a text runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    LeftToRight,
    RightToLeft,
}

/// Two letters of ISO 3166 or three digits of UN M.49, the last byte zero where there are two.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Region([u8; 3]);

/// A text that names no language that is spoken here.
#[derive(Debug, thiserror::Error)]
#[error(
    "{seen:?} is no language that hawker speaks: use one of {}, with a region if it matters, as pt-BR",
    Language::tags()
)]
pub struct NotALocale {
    seen: String,
}

impl Locale {
    /// English, and numbers as it writes them.
    pub const ENGLISH: Locale = Locale { language: Language::English, region: None };

    /// Reads `LANGUAGE[-Script][-REGION]` in any case. A script stands with Chinese only; without one the region decides, as
    /// `zh-TW` is written in traditional characters.
    pub fn parse(tag: &str) -> Result<Locale, NotALocale> {
        Locale::read(tag).ok_or_else(|| NotALocale { seen: tag.chars().take(35).collect() })
    }

    fn read(tag: &str) -> Option<Locale> {
        let mut parts = tag.split('-').peekable();
        let language = parts.next()?.to_ascii_lowercase();
        let script = parts.next_if(|part| part.len() == 4).map(str::to_ascii_lowercase);
        let region = match parts.next() {
            Some(part) => Some(Region::read(part)?),
            None => None,
        };
        if parts.next().is_some() {
            return None;
        }
        let language = match (&*language, script.as_deref()) {
            ("zh", Some("hans")) => Language::SimplifiedChinese,
            ("zh", Some("hant")) => Language::TraditionalChinese,
            ("zh", None) if region.is_some_and(Region::writes_traditional) => Language::TraditionalChinese,
            ("zh", None) => Language::SimplifiedChinese,
            (_, Some(_)) => return None,
            (language, None) => Language::ALL.into_iter().find(|known| known.tag() == language)?,
        };
        Some(Locale { language, region })
    }

    pub fn language(self) -> Language {
        self.language
    }

    /// ISO 3166 in capitals, or three digits of UN M.49.
    pub fn region(&self) -> Option<&str> {
        self.region.as_ref().map(Region::as_str)
    }

    pub fn direction(self) -> Direction {
        match self.language {
            Language::Arabic | Language::Hebrew => Direction::RightToLeft,
            _ => Direction::LeftToRight,
        }
    }

    /// Whether its characters are those of Hong Kong.
    pub(super) fn is_of_hong_kong(self) -> bool {
        self.language == Language::TraditionalChinese && matches!(self.region(), Some("HK" | "MO"))
    }
}

impl Language {
    pub const ALL: [Language; 14] = [
        Language::English,
        Language::Vietnamese,
        Language::SimplifiedChinese,
        Language::TraditionalChinese,
        Language::Japanese,
        Language::Korean,
        Language::Thai,
        Language::Arabic,
        Language::Hebrew,
        Language::Spanish,
        Language::Portuguese,
        Language::French,
        Language::German,
        Language::Indonesian,
    ];

    /// Its BCP 47 tag.
    pub fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Vietnamese => "vi",
            Language::SimplifiedChinese => "zh-Hans",
            Language::TraditionalChinese => "zh-Hant",
            Language::Japanese => "ja",
            Language::Korean => "ko",
            Language::Thai => "th",
            Language::Arabic => "ar",
            Language::Hebrew => "he",
            Language::Spanish => "es",
            Language::Portuguese => "pt",
            Language::French => "fr",
            Language::German => "de",
            Language::Indonesian => "id",
        }
    }

    fn tags() -> String {
        Language::ALL.map(Language::tag).join(", ")
    }
}

impl Direction {
    /// As HTML's `dir` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::LeftToRight => "ltr",
            Direction::RightToLeft => "rtl",
        }
    }
}

impl Region {
    fn read(text: &str) -> Option<Region> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Region([a.to_ascii_uppercase(), b.to_ascii_uppercase(), 0]))
            }
            [a, b, c] if [a, b, c].iter().all(|byte| byte.is_ascii_digit()) => Some(Region([*a, *b, *c])),
            _ => None,
        }
    }

    fn as_str(&self) -> &str {
        let length = if self.0[2] == 0 { 2 } else { 3 };
        str::from_utf8(&self.0[..length]).expect("letters and digits of ASCII are text")
    }

    fn writes_traditional(self) -> bool {
        matches!(self.as_str(), "TW" | "HK" | "MO")
    }
}

impl Default for Locale {
    fn default() -> Locale {
        Locale::ENGLISH
    }
}

/// Its tag, in the case that BCP 47 writes it.
impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.language.tag())?;
        match self.region() {
            Some(region) => write!(f, "-{region}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locale({self})")
    }
}

impl TryFrom<String> for Locale {
    type Error = NotALocale;

    fn try_from(tag: String) -> Result<Locale, NotALocale> {
        Locale::parse(&tag)
    }
}

impl From<Locale> for String {
    fn from(locale: Locale) -> String {
        locale.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_in_any_case_and_written_in_one() {
        for (tag, written) in [
            ("vi", "vi"),
            ("PT-br", "pt-BR"),
            ("zh", "zh-Hans"),
            ("zh-CN", "zh-Hans-CN"),
            ("zh-tw", "zh-Hant-TW"),
            ("zh-HK", "zh-Hant-HK"),
            ("zh-hant", "zh-Hant"),
            ("zh-Hans-HK", "zh-Hans-HK"),
            ("es-419", "es-419"),
        ] {
            assert_eq!(Locale::parse(tag).unwrap().to_string(), written);
            assert_eq!(Locale::parse(written).unwrap(), Locale::parse(tag).unwrap());
        }
        for language in Language::ALL {
            assert_eq!(Locale::parse(language.tag()).unwrap().language(), language);
        }
    }

    #[test]
    fn other_texts_are_refused_and_told_what_there_is() {
        let long = "en-".repeat(999);
        for text in ["", "tlh", "en_US", "en-USA", "en-Latn", "zh-Latn", "vi-", "pt-BR-x-a", "ar-é", &long] {
            let error = Locale::parse(text).unwrap_err().to_string();
            assert!(error.contains("zh-Hant") && error.len() < 300, "{error}");
        }
    }

    #[test]
    fn arabic_and_hebrew_run_from_right_to_left() {
        let rtl: Vec<&str> = Language::ALL
            .into_iter()
            .map(Language::tag)
            .filter(|tag| Locale::parse(tag).unwrap().direction().as_str() == "rtl")
            .collect();
        assert_eq!(rtl, ["ar", "he"]);
    }
}
