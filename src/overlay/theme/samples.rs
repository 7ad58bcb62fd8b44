//! The values that a theme's templates are tried with when it is read.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::field::{self, Field, FieldKind};

/// Sample values of a kind for the fields that a theme gives it: what is known of the kind, and made-up values for the rest.
pub(super) fn of(kind: &str, fields: &BTreeMap<String, Field>) -> Vec<Value> {
    let mut known: BTreeMap<String, Vec<Map<String, Value>>> =
        serde_json::from_str(KNOWN).expect("the samples are objects, as a test holds");
    let known = known.remove(kind).unwrap_or_else(|| vec![Map::new()]);
    known.into_iter().map(|values| fitted(fields, values)).collect()
}

fn fitted(fields: &BTreeMap<String, Field>, mut values: Map<String, Value>) -> Value {
    let mut fitted = Map::new();
    for (name, field) in fields {
        let fits =
            |value: &Value| field::check(&BTreeMap::from([(name.clone(), *field)]), &json!({ name: value })).is_ok();
        match values.remove(name).filter(fits) {
            Some(value) => drop(fitted.insert(name.clone(), value)),
            None if field.optional => {}
            None => drop(fitted.insert(name.clone(), made_up(field.kind))),
        }
    }
    Value::Object(fitted)
}

fn made_up(kind: FieldKind) -> Value {
    match kind {
        FieldKind::Text => json!("Sample"),
        FieldKind::Number => json!(12),
        FieldKind::Percent => json!(40),
        FieldKind::Flag => json!(false),
        FieldKind::List => json!(["Sample", "Sample"]),
    }
}

const KNOWN: &str = include_str!("samples.json");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_of_the_fields_that_are_asked_for() {
        let fields = json!({"title": "text", "price": "number", "weight": "text", "label": "text?"});
        let fields = serde_json::from_value(fields).unwrap();
        let samples = of("card", &fields);
        assert_eq!(samples[0]["title"], "Linen Weekender Bag with Leather Straps");
        assert_eq!((&samples[0]["price"], &samples[0]["weight"]), (&json!(12), &json!("Sample")));
        assert!(samples.iter().all(|values| field::check(&fields, values).is_ok()));
        assert_eq!(of("lower_third", &fields).len(), 1);
    }
}
