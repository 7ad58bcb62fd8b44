//! `theme.json` as it is written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::field::Field;
use super::files::named;
use super::problem::ThemeError;
use super::shape::Shape;
use crate::overlay::motion::{Anchor, Change, Digits, Emphasis, Film, Transition};
use crate::overlay::number;

/// A theme's manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// What people call it.
    #[serde(deserialize_with = "title")]
    pub(super) title: String,
    /// The theme that it takes from what it does not say itself; `base` when absent.
    pub(super) extends: Option<String>,
    /// Settings by kind.
    #[serde(default)]
    pub(super) layers: BTreeMap<String, Settings>,
    /// Values by kind that its templates are tried with: an object, or a list of them.
    #[serde(default)]
    pub(super) samples: BTreeMap<String, serde_json::Value>,
}

/// What a manifest says of a kind, or of a variant of it; what is absent stays as the extended theme says it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    pub(super) anchor: Option<Anchor>,
    #[serde(deserialize_with = "margin")]
    pub(super) margin: Option<f32>,
    #[serde(deserialize_with = "z")]
    pub(super) z: Option<i32>,
    pub(super) enter: Option<Transition>,
    pub(super) exit: Option<Transition>,
    pub(super) change: Option<Change>,
    /// `null` takes away what the extended theme says, here and below.
    #[serde(deserialize_with = "nullable")]
    pub(super) emphasis: Option<Option<Emphasis>>,
    pub(super) digits: Option<Digits>,
    #[serde(deserialize_with = "scroll")]
    pub(super) scroll: Option<Option<f32>>,
    #[serde(deserialize_with = "nullable")]
    pub(super) film: Option<Option<Film>>,
    pub(super) glass: Option<bool>,
    /// Of a kind only.
    pub(super) fields: Option<BTreeMap<String, Field>>,
    /// Of a kind only.
    pub(super) variants: BTreeMap<Shape, Settings>,
}

impl Manifest {
    pub(super) fn parse(file: &Path, text: &str) -> Result<Manifest, Vec<ThemeError>> {
        let manifest: Manifest = serde_json::from_str(text).map_err(|error| {
            // serde_json ends its message with the place, which is told apart here.
            let reason = error.to_string();
            let reason = reason.rsplit_once(" at line ").map_or(&*reason, |(reason, _)| reason);
            vec![ThemeError::at(file, error.line().max(1), reason)]
        })?;
        let wrong = manifest.wrong(&|path, reason| ThemeError::at(file, line_of(text, path), reason));
        if wrong.is_empty() { Ok(manifest) } else { Err(wrong) }
    }

    /// What each value alone does not show.
    fn wrong(&self, tell: &dyn Fn(&[&str], String) -> ThemeError) -> Vec<ThemeError> {
        let mut wrong = vec![];
        if self.layers.len() > MOST_KINDS {
            wrong.push(tell(&["layers"], format!("{} layers; a theme may have {MOST_KINDS}", self.layers.len())));
        }
        for (kind, layer) in &self.layers {
            let path = ["layers", kind];
            if !named(kind, b"_") {
                wrong.push(tell(&path, "a layer is called by a-z, 0-9 and _, beginning with a letter".into()));
            }
            let fields = layer.fields.iter().flatten();
            if fields.clone().count() > MOST_FIELDS {
                wrong.push(tell(&[&path[..], &["fields"]].concat(), format!("a layer may have {MOST_FIELDS} fields")));
            }
            for (field, _) in fields.filter(|(field, _)| !named(field, b"_") || RESERVED.contains(&field.as_str())) {
                let reason = format!("a field is called by a-z, 0-9 and _; {} are taken", RESERVED.join(", "));
                wrong.push(tell(&[&path[..], &["fields", field]].concat(), reason));
            }
            layer.motion(&path, tell, &mut wrong);
            for (shape, variant) in &layer.variants {
                let path = [&path[..], &["variants", shape.name()]].concat();
                if variant.fields.is_some() || !variant.variants.is_empty() {
                    let reason = "a variant changes settings only: fields and variants are the layer's".to_owned();
                    wrong.push(tell(&path, reason));
                }
                variant.motion(&path, tell, &mut wrong);
            }
        }
        wrong
    }
}

impl Settings {
    fn motion(&self, path: &[&str], tell: &dyn Fn(&[&str], String) -> ThemeError, wrong: &mut Vec<ThemeError>) {
        let mut refuse = |key, reason| wrong.push(tell(&[path, &[key]].concat(), reason));
        if let Some(Some(emphasis)) = self.emphasis {
            if emphasis.every_ms < SHORTEST_FLASH {
                let reason = format!(
                    "once every {} ms is more than 3 flashes a second, which can make people ill (WCAG 2.3.1): \
                     say every_ms {SHORTEST_FLASH} or more",
                    emphasis.every_ms
                );
                refuse("emphasis", reason);
            } else if emphasis.ms > emphasis.every_ms {
                refuse("emphasis", format!("it takes {} ms and comes every {} ms", emphasis.ms, emphasis.every_ms));
            }
        }
        if let Some(Some(film)) = self.film
            && film.frames() > Film::MOST_FRAMES
        {
            let (frames, most) = (film.frames(), Film::MOST_FRAMES);
            refuse("film", format!("{frames} frames; a film may have {most}: say fewer ms or a lower fps"));
        }
    }
}

/// The line of a key, in a text that reads as JSON; 1 where it is not to be found.
pub(super) fn line_of(text: &str, path: &[&str]) -> usize {
    let mut json = serde_json::Deserializer::from_str(text);
    Seek(path).deserialize(&mut json).map_or_else(|error| error.line().max(1), |()| 1)
}

/// Walks down to a key and stops there with an error, since the parser puts its line into errors only.
struct Seek<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((key, rest)) = self.0.split_first() else { return Ok(()) };
        while let Some(found) = map.next_key_seed(Key { key, last: rest.is_empty() })? {
            match found {
                true => map.next_value_seed(Seek(rest))?,
                false => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Key<'a> {
    key: &'a str,
    last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        let found = key == self.key;
        if found && self.last { Err(E::custom("here")) } else { Ok(found) }
    }
}

fn title<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let title = String::deserialize(from)?;
    let fits = (1..=64).contains(&title.trim().chars().count());
    if fits { Ok(title.trim().to_owned()) } else { Err(D::Error::custom("a title has 1 to 64 characters")) }
}

fn margin<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
    number::real(from, 0.0..=40.0).map(Some)
}

fn z<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
    number::whole(from, -100..=100).map(Some)
}

/// Rem a second, or `null`.
fn scroll<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<f32>>, D::Error> {
    struct Scroll(f32);
    impl<'de> Deserialize<'de> for Scroll {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Scroll, D::Error> {
            number::real(from, 0.0..=60.0).map(Scroll)
        }
    }
    Ok(Some(Option::<Scroll>::deserialize(from)?.map(|scroll| scroll.0)))
}

/// Tells `null` from nothing at all.
fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Names that every template sees anyway.
const RESERVED: [&str; 5] = ["canvas", "clock", "dir", "images", "locale"];
const MOST_KINDS: usize = 64;
const MOST_FIELDS: usize = 32;
/// Milliseconds: three a second, and no more.
pub(super) const SHORTEST_FLASH: u32 = 334;

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        let errors = Manifest::parse(Path::new("t/theme.json"), text).map(drop).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    }

    fn card(settings: &str) -> String {
        format!("{{\n \"title\": \"T\",\n \"layers\": {{\n  \"card\": {{\n   {settings}\n  }}\n }}\n}}")
    }

    #[test]
    fn the_manifest_of_the_documentation_reads() {
        let text = r#"{ "title": "Boutique", "extends": "base", "layers": { "card": {
            "anchor": "bottom-left", "margin": 4.4, "z": 10, "fields": { "title": "text", "old_price": "text?", "sold_out": "flag" },
            "enter": { "kind": "slide", "from": "left", "ms": 450, "ease": "out" }, "exit": { "kind": "slide", "to": "left" },
            "change": { "kind": "roll", "ms": 300 }, "emphasis": { "kind": "shimmer", "every_ms": 6000, "ms": 1200 },
            "glass": true, "digits": "flip", "scroll": 8, "film": { "ms": 2000, "fps": 15 },
            "variants": { "9:16": { "anchor": "bottom", "emphasis": null }, "1:1": { "margin": 3 } } } } }"#;
        let manifest = Manifest::parse(Path::new("theme.json"), text).unwrap();
        let card = &manifest.layers["card"];
        assert_eq!((card.margin, card.z, card.scroll), (Some(4.4), Some(10), Some(Some(8.0))));
        assert_eq!(card.variants[&Shape::Portrait].emphasis, Some(None), "null takes it away");
        assert!(card.variants[&Shape::Square].emphasis.is_none(), "absent leaves it");
    }

    #[test]
    fn numbers_out_of_their_bounds_are_told_by_their_line() {
        for (settings, why) in [
            (r#""margin": 40.5"#, "invalid value: floating point `40.5`, expected a number from 0 to 40"),
            (r#""z": -101"#, "invalid value: integer `-101`, expected a whole number from -100 to 100"),
            (r#""scroll": 61"#, "expected a number from 0 to 60"),
            (r#""enter": {"kind": "fade", "ms": 10001}"#, "expected a whole number from 0 to 10000"),
            (r#""film": {"ms": 1000, "fps": 31}"#, "expected a whole number from 1 to 30"),
            (r#""film": {"ms": 4001, "fps": 15}"#, "61 frames; a film may have 60"),
            (r#""emphasis": {"kind": "pulse", "every_ms": 333, "ms": 100}"#, "more than 3 flashes a second"),
            (r#""emphasis": {"kind": "pulse", "every_ms": 400, "ms": 401}"#, "it takes 401 ms and comes every 400 ms"),
            (r#""anchor": "middle""#, "unknown variant `middle`"),
            (r#""glass": "yes""#, "invalid type: string"),
            (r#""colour": 1"#, "unknown field `colour`"),
            (r#""fields": {"price": "money"}"#, "\"money\": a field is text, number, percent, flag or list"),
            (r#""fields": {"clock": "text"}"#, "are taken"),
            (r#""variants": {"4:3": {}}"#, "unknown variant `4:3`"),
            (r#""variants": {"1:1": {"fields": {}}}"#, "a variant changes settings only"),
        ] {
            let wrong = wrong(&card(settings));
            assert!(wrong[0].starts_with("t/theme.json:5: ") && wrong[0].contains(why), "{settings}: {wrong:?}");
        }
    }

    #[test]
    fn a_manifest_without_a_title_or_with_a_bad_one_is_refused() {
        assert!(wrong("{\n}")[0].contains("missing field `title`"));
        assert!(wrong("{\"title\": \" \"}")[0].contains("1 to 64 characters"));
        // A theme colours its own elements; there is nothing behind them that a key could colour.
        assert!(wrong("{\"title\": \"T\", \"background\": \"#000000\"}")[0].contains("unknown field `background`"));
        assert_eq!(wrong("{\n\"title\": \"T\",\n,}")[0], "t/theme.json:3: key must be a string");
    }

    #[test]
    fn keys_are_found_by_their_line() {
        let text = "{\n\"a\": [1,\n2], \"b\":\n{\"a\": 1,\n\"c\" : {}}}";
        assert_eq!([line_of(text, &["a"]), line_of(text, &["b", "c"]), line_of(text, &["b", "x"])], [2, 5, 1]);
    }
}
