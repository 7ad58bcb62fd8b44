//! The data that a layer shows: what a manifest asks for, and whether given values are that.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// A field's type, written `text` or, where it may be absent, `text?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub kind: FieldKind,
    pub optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Up to 300 characters, ready to show.
    Text,
    Number,
    /// 0 to 100.
    Percent,
    /// True or false; absent is false.
    Flag,
    /// Up to 20 texts, numbers or flags, or objects of them.
    List,
}

/// Why values are not what a layer shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ValueError {
    /// As a path: `items[3].title`.
    pub field: String,
    pub reason: String,
}

/// Checks that `values` are an object with every field that is asked for, and no other.
pub(super) fn check(fields: &BTreeMap<String, Field>, values: &Value) -> Result<(), ValueError> {
    let refuse = |field: &str, reason: String| Err(ValueError { field: field.to_owned(), reason });
    let Value::Object(values) = values else {
        return refuse("values", format!("an object with fields is needed, not {}", seen(values)));
    };
    if let Some(unknown) = values.keys().find(|name| !fields.contains_key(*name)) {
        let known: Vec<&str> = fields.keys().map(String::as_str).collect();
        let name: String = unknown.chars().take(64).collect();
        return refuse(&name, format!("this layer has no such field; it has: {}", known.join(", ")));
    }
    for (name, field) in fields {
        match values.get(name).filter(|value| !value.is_null()) {
            Some(value) => field.kind.check(name, value)?,
            None if field.optional || field.kind == FieldKind::Flag => {}
            None => return refuse(name, format!("it is missing: {} is needed", field.kind.wanted())),
        }
    }
    Ok(())
}

impl FieldKind {
    fn check(self, path: &str, value: &Value) -> Result<(), ValueError> {
        let fits = match (self, value) {
            (FieldKind::Text, Value::String(text)) => return short(path, text),
            (FieldKind::List, Value::Array(items)) => return list(path, items),
            (FieldKind::Number, Value::Number(number)) => number.as_f64().is_some_and(f64::is_finite),
            (FieldKind::Percent, Value::Number(number)) => {
                number.as_f64().is_some_and(|number| (0.0..=100.0).contains(&number))
            }
            (FieldKind::Flag, Value::Bool(_)) => true,
            _ => false,
        };
        match fits {
            true => Ok(()),
            false => Err(ValueError {
                field: path.to_owned(),
                reason: format!("{} is needed, not {}", self.wanted(), seen(value)),
            }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            FieldKind::Text => "text",
            FieldKind::Number => "number",
            FieldKind::Percent => "percent",
            FieldKind::Flag => "flag",
            FieldKind::List => "list",
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            FieldKind::Text => "a text",
            FieldKind::Number => "a number",
            FieldKind::Percent => "a number from 0 to 100",
            FieldKind::Flag => "true or false",
            FieldKind::List => "a list",
        }
    }

    const ALL: [FieldKind; 5] =
        [FieldKind::Text, FieldKind::Number, FieldKind::Percent, FieldKind::Flag, FieldKind::List];
}

fn short(path: &str, text: &str) -> Result<(), ValueError> {
    match text.chars().count() {
        0..=MOST_CHARACTERS => Ok(()),
        count => Err(ValueError {
            field: path.to_owned(),
            reason: format!("{count} characters; a text may have {MOST_CHARACTERS}"),
        }),
    }
}

fn list(path: &str, items: &[Value]) -> Result<(), ValueError> {
    let refuse = |field: String, reason: String| Err(ValueError { field, reason });
    if items.len() > MOST_ITEMS {
        return refuse(path.to_owned(), format!("{} items; a list may have {MOST_ITEMS}", items.len()));
    }
    let plain = |path: String, value: &Value| match value {
        Value::String(text) => short(&path, text),
        Value::Array(_) | Value::Object(_) => refuse(path, format!("a text is needed, not {}", seen(value))),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    };
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match item {
            Value::Object(parts) if parts.len() > MOST_PARTS => {
                return refuse(path, format!("{} parts; an item may have {MOST_PARTS}", parts.len()));
            }
            Value::Object(parts) => {
                for (name, part) in parts {
                    short(&path, name)?;
                    plain(format!("{path}.{name}"), part)?;
                }
            }
            Value::Null => return refuse(path, "an item is needed, not null".to_owned()),
            plain_item => plain(path, plain_item)?,
        }
    }
    Ok(())
}

fn seen(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.name(), if self.optional { "?" } else { "" })
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Field, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's type")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Field, E> {
                let (name, optional) = text.strip_suffix('?').map_or((text, false), |name| (name, true));
                let kind = FieldKind::ALL.into_iter().find(|kind| kind.name() == name);
                let unknown =
                    || E::custom(format!("{text:?}: a field is text, number, percent, flag or list, or text?"));
                kind.map(|kind| Field { kind, optional }).ok_or_else(unknown)
            }
        }
        from.deserialize_str(Written)
    }
}

const MOST_CHARACTERS: usize = 300;
const MOST_ITEMS: usize = 20;
/// Parts of one item.
const MOST_PARTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(values: Value) -> (String, String) {
        let fields = json!({"title": "text", "note": "text?", "left": "number?", "full": "percent?", "sold": "flag", "items": "list?"});
        match check(&serde_json::from_value(fields).unwrap(), &values) {
            Ok(()) => Default::default(),
            Err(ValueError { field, reason }) => (field, reason),
        }
    }

    #[test]
    fn whole_values_are_taken() {
        let items = json!(["a", 1, true, {"title": "b", "price": null}]);
        for values in [
            json!({"title": ""}),
            json!({"title": "ü".repeat(300), "note": null, "left": -1.5, "full": 100, "sold": true, "items": items}),
        ] {
            assert_eq!(refused(values), Default::default());
        }
    }

    #[test]
    fn wrong_values_are_refused_by_the_name_of_their_field() {
        let deep = json!({"title": "a", "items": [{"price": {"minor": 1}}]});
        for (values, field, why) in [
            (json!({}), "title", "missing: a text is needed"),
            (json!({"title": null}), "title", "missing"),
            (json!({"title": 9}), "title", "a text is needed, not 9"),
            (json!({"title": "x".repeat(301)}), "title", "301 characters; a text may have 300"),
            (json!({"title": "a", "colour": "red"}), "colour", "no such field; it has: full, items, left"),
            (json!({"title": "a", "full": 101}), "full", "from 0 to 100 is needed, not 101"),
            (json!({"title": "a", "left": "3"}), "left", "a number is needed, not a text"),
            (json!({"title": "a", "sold": "no"}), "sold", "true or false is needed"),
            (json!({"title": "a", "items": vec!["x"; 21]}), "items", "21 items; a list may have 20"),
            (json!({"title": "a", "items": ["a", "y".repeat(301)]}), "items[1]", "301 characters"),
            (json!({"title": "a", "items": [["a"]]}), "items[0]", "a text is needed, not a list"),
            (deep, "items[0].price", "not an object"),
            (json!([]), "values", "an object with fields is needed"),
        ] {
            let (at, reason) = refused(values);
            assert!(at == field && reason.contains(why), "{field}: {at}: {reason}");
        }
    }
}
