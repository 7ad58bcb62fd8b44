//! Request bodies: JSON that is checked as it is read, and why one does not read.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::Problem;

/// A JSON body of a known shape.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(value)) => Ok(Body(value)),
            Err(rejection) => Err(of_rejection(&rejection)),
        }
    }
}

/// A JSON value as a known shape, checked as a body is.
pub(super) fn shaped<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, Problem> {
    match Json::from_bytes(value.to_string().as_bytes()) {
        Ok(Json(shaped)) => Ok(shaped),
        Err(rejection) => Err(of_rejection(&rejection)),
    }
}

fn of_rejection(rejection: &JsonRejection) -> Problem {
    let text = rejection.body_text();
    match rejection {
        JsonRejection::MissingJsonContentType(_) => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "the body's type is not said to be JSON: send Content-Type: application/json",
        ),
        JsonRejection::JsonDataError(_) => {
            let (field, detail) = field_and_detail(&text);
            let problem = Problem::invalid("invalid", detail);
            match field {
                Some(field) => problem.in_field(field),
                None => problem,
            }
        }
        JsonRejection::JsonSyntaxError(_) => {
            let reason = text.split_once(": ").map_or(&*text, |(_, reason)| reason);
            Problem::unreadable(format!("the body is no JSON: {reason}"))
        }
        rejection if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(rejection.status(), "too-large", format!("the body has more than {} bytes", super::MOST_JSON))
        }
        rejection => Problem::unreadable(text).with_status(rejection.status()),
    }
}

/// Takes axum's `Failed to …: price.minor: reason at line 1 column 9` apart. Its type has no other way to the path.
fn field_and_detail(text: &str) -> (Option<String>, String) {
    let text = text.split_once("target type: ").map_or(text, |(_, rest)| rest);
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    let is_path = |path: &&str| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.[]-?".contains(&byte));
    let (path, detail) = match text.split_once(": ") {
        Some((path, detail)) if is_path(&path) => (path, detail),
        _ => ("", text),
    };
    // A missing or unknown field is named by the reason, its parent by the path.
    let named =
        ["missing field `", "unknown field `"].iter().find_map(|start| detail.strip_prefix(start)?.split('`').next());
    let parts: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
    let mut field = parts.join(".");
    if let Some(named) = named
        && parts.last() != Some(&named)
    {
        field = if field.is_empty() { named.to_owned() } else { format!("{field}.{named}") };
    }
    let detail = match detail {
        detail if detail.starts_with("unknown field") => format!("{detail}: leave it out"),
        detail if detail.starts_with("missing field") => format!("{detail}: it is needed"),
        detail => detail.to_owned(),
    };
    ((!field.is_empty()).then_some(field), detail)
}

/// For a field where `null` is not the same as absence: with `#[serde(default)]`, absent is `None` and null `Some(None)`.
pub(super) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}
