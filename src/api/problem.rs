//! Errors as problem+json (RFC 9457): what is wrong, in which field, what was seen, and what to do about it.

use std::borrow::Cow;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::commerce::countdown;
use crate::deliver::whep;
use crate::ingest::{self, whip};
use crate::overlay::PhotoError;
use crate::show::{self, state::Refused};
use crate::store;

/// An error on its way to the client.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    kind: Cow<'static, str>,
    detail: String,
    field: Option<Cow<'static, str>>,
    current_rev: Option<u64>,
    headers: Vec<(HeaderName, &'static str)>,
}

/// A problem as it is sent.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body {
    /// Names the kind of problem, for programs: `urn:hawker:problem:not-lower`.
    r#type: String,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// What was seen, and what to do.
    detail: String,
    /// The field of the request that it is about, as a path: `price.currency`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    field: Option<Cow<'static, str>>,
    /// The revision of the show, where another one was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_rev: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &'static str, detail: impl ToString) -> Problem {
        let (kind, detail) = (Cow::Borrowed(kind), detail.to_string());
        Problem { status, kind, detail, field: None, current_rev: None, headers: Vec::new() }
    }

    /// A value that does not read.
    pub fn unreadable(detail: impl ToString) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "unreadable", detail)
    }

    /// A value that reads, but cannot be.
    pub fn invalid(kind: &'static str, detail: impl ToString) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, kind, detail)
    }

    pub fn in_field(mut self, field: impl Into<Cow<'static, str>>) -> Problem {
        self.field = Some(field.into());
        self
    }

    /// For a part of the request that lies under another one: `price` of `changes[0].value` is `changes[0].value.price`.
    pub fn under(mut self, parent: &str) -> Problem {
        let path = self.field.as_deref().map_or_else(|| parent.to_owned(), |field| format!("{parent}.{field}"));
        self.field = Some(path.into());
        self
    }

    /// For a field that the client called by another name.
    pub fn rename_field(mut self, from: &str, to: &'static str) -> Problem {
        if self.field.as_deref() == Some(from) {
            self.field = Some(to.into());
        }
        self
    }

    /// Whether it names a field of what is put on a layer.
    pub(super) fn is_about_a_value(&self) -> bool {
        self.field.as_deref().is_some_and(|field| !matches!(field, "at" | "at_media" | "changes" | "cue"))
    }

    /// Whether it is of a kind.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    pub fn with_status(mut self, status: StatusCode) -> Problem {
        self.status = status;
        self
    }

    pub fn with_header(mut self, name: HeaderName, value: &'static str) -> Problem {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem { status, kind, detail, field, current_rev, headers } = self;
        let body = Body {
            r#type: format!("urn:hawker:problem:{kind}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail,
            field,
            current_rev,
        };
        let mut response = (status, Json(body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        for (name, value) in headers {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

impl From<show::Error> for Problem {
    fn from(error: show::Error) -> Problem {
        let (status, kind, field) = match &error {
            show::Error::Unknown { .. } => (StatusCode::NOT_FOUND, "unknown-show", None),
            show::Error::Refused(refused) => of_refusal(refused),
            show::Error::Moved { .. } => (StatusCode::CONFLICT, "other-revision", None),
            show::Error::KeyTaken => (StatusCode::CONFLICT, "key-taken", Some("stream_key")),
            show::Error::CanvasFixed { .. } => (StatusCode::CONFLICT, "canvas-fixed", Some("canvas")),
            show::Error::UnknownTheme { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-theme", Some("theme")),
            show::Error::Full { .. } => (StatusCode::CONFLICT, "shows-full", None),
            show::Error::NotPainted { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "not-painted", None),
            show::Error::Store(store::Error::NotCommitted(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not-committed", None)
            }
            show::Error::Still { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "not-painted", None),
            show::Error::StillsBusy => (StatusCode::SERVICE_UNAVAILABLE, "stills-busy", None),
            show::Error::Stopping | show::Error::Store(store::Error::Closed) => {
                (StatusCode::SERVICE_UNAVAILABLE, "stopping", None)
            }
            show::Error::Store(_) | show::Error::Log { .. } | show::Error::Stages { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", None)
            }
        };
        let busy = matches!(error, show::Error::StillsBusy);
        if status.is_server_error() && !busy {
            tracing::error!(%error, "a request failed");
        }
        let current_rev = match &error {
            show::Error::Moved { current, .. } => Some(*current),
            _ => None,
        };
        let field = field.map(Cow::Borrowed);
        let problem = Problem { field, current_rev, ..Problem::new(status, kind, error) };
        if busy { problem.with_header(header::RETRY_AFTER, "1") } else { problem }
    }
}

fn of_refusal(refused: &Refused) -> (StatusCode, &'static str, Option<&'static str>) {
    use StatusCode as S;
    match refused {
        Refused::UnknownProduct { .. } => (S::NOT_FOUND, "unknown-product", Some("product")),
        Refused::OnStage { .. } => (S::CONFLICT, "on-stage", Some("product")),
        Refused::InCue { .. } => (S::CONFLICT, "in-cue", Some("product")),
        Refused::PriceHeld { .. } => (S::CONFLICT, "price-held", Some("price")),
        Refused::CatalogFull => (S::CONFLICT, "catalog-full", None),
        Refused::PriceTaken { .. } => (S::CONFLICT, "price-taken", Some("product")),
        Refused::Uncounted { .. } => (S::CONFLICT, "uncounted", Some("product")),
        Refused::Items { .. } => (S::UNPROCESSABLE_ENTITY, "item-count", Some("items")),
        Refused::Queued { .. } => (S::UNPROCESSABLE_ENTITY, "product-count", Some("products")),
        Refused::QueuedTwice { .. } => (S::UNPROCESSABLE_ENTITY, "named-twice", Some("products")),
        Refused::Lasts { .. } => (S::UNPROCESSABLE_ENTITY, "invalid", Some("for_seconds")),
        Refused::Changes { .. } => (S::UNPROCESSABLE_ENTITY, "change-count", Some("changes")),
        Refused::Twice { .. } => (S::UNPROCESSABLE_ENTITY, "changed-twice", Some("changes")),
        Refused::CuePast { .. } => (S::UNPROCESSABLE_ENTITY, "past", Some("at")),
        Refused::CueFar { .. } => (S::UNPROCESSABLE_ENTITY, "too-late", Some("at")),
        Refused::CuesFull => (S::CONFLICT, "cues-full", None),
        Refused::UnknownCue { .. } => (S::NOT_FOUND, "unknown-cue", Some("cue")),
        Refused::NothingToUndo => (S::CONFLICT, "nothing-to-undo", None),
        Refused::Offer(refused) => match refused {
            countdown::Refused::Currency { .. } => (S::UNPROCESSABLE_ENTITY, "other-currency", Some("price.currency")),
            countdown::Refused::NotLower { .. } => (S::UNPROCESSABLE_ENTITY, "not-lower", Some("price.minor")),
            countdown::Refused::TooSoon { .. } => (S::UNPROCESSABLE_ENTITY, "too-soon", Some("ends_at")),
            countdown::Refused::TooLate { .. } => (S::UNPROCESSABLE_ENTITY, "too-late", Some("ends_at")),
            countdown::Refused::SoldOut => (S::CONFLICT, "sold-out", Some("product")),
            countdown::Refused::Steps { .. } => (S::UNPROCESSABLE_ENTITY, "step-count", Some("steps")),
            countdown::Refused::StepNotLower { .. } => (S::UNPROCESSABLE_ENTITY, "not-lower", Some("steps")),
            countdown::Refused::StepTooSoon { .. } => (S::UNPROCESSABLE_ENTITY, "too-soon", Some("steps")),
            countdown::Refused::LeavesEarly { .. } => (S::UNPROCESSABLE_ENTITY, "leaves-early", Some("for_seconds")),
        },
    }
}

impl From<whep::Error> for Problem {
    fn from(error: whep::Error) -> Problem {
        match &error {
            whep::Error::TooLarge(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "offer-too-large", error),
            whep::Error::NotSdp(_) => Problem::unreadable(error),
            whep::Error::NoVideo | whep::Error::NoH264 { .. } => Problem::invalid("offer-without-video", error),
            whep::Error::Unanswerable(_) => Problem::invalid("offer-unanswerable", error),
            whep::Error::Full { .. } => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "viewers-full", error)
                .with_header(header::RETRY_AFTER, "10"),
            whep::Error::Busy => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "joins-full", error).with_header(header::RETRY_AFTER, "1")
            }
            whep::Error::Closed => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", error).with_header(header::RETRY_AFTER, "2")
            }
        }
    }
}

impl From<whip::Error> for Problem {
    fn from(error: whip::Error) -> Problem {
        match &error {
            whip::Error::Refused(ingest::Refused::UnknownKey) => {
                let detail = "no show has this stream key: send Authorization: Bearer with the show's stream key, which \
                              is OBS's Bearer Token";
                Problem::new(StatusCode::UNAUTHORIZED, "unknown-key", detail)
                    .with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"hawker\"")
            }
            whip::Error::Refused(ingest::Refused::Unavailable) | whip::Error::Closed => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", error).with_header(header::RETRY_AFTER, "2")
            }
            whip::Error::TooLarge(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "offer-too-large", error),
            whip::Error::NotSdp(_) => Problem::unreadable(error),
            whip::Error::SendsNothing => Problem::invalid("offer-sends-nothing", error),
            whip::Error::NoVideoCodec { .. } | whip::Error::NoAudioCodec { .. } => {
                Problem::invalid("offer-without-codec", error)
            }
            whip::Error::Unanswerable(_) => Problem::invalid("offer-unanswerable", error),
            whip::Error::Full { .. } => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "publishers-full", error)
                .with_header(header::RETRY_AFTER, "10"),
        }
    }
}

impl From<PhotoError> for Problem {
    fn from(error: PhotoError) -> Problem {
        match &error {
            PhotoError::TooManyBytes { .. } => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "image-too-large", error),
            PhotoError::UnknownFormat => Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "image-format", error),
            PhotoError::TooManyPixels { .. } | PhotoError::TooLarge { .. } => {
                Problem::invalid("image-too-large", error)
            }
            PhotoError::Damaged(_) => Problem::invalid("image-damaged", error),
        }
    }
}

/// Makes problems of the errors that were none yet: those of the router, the extractors and the layers.
pub(super) async fn everywhere(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let said = response.headers().get(header::CONTENT_TYPE) == Some(&PROBLEM_JSON);
    if said || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, MOST_QUOTED).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let detail = match (status, text.trim()) {
        (StatusCode::METHOD_NOT_ALLOWED, _) => "this address does not take that method: see the Allow header".into(),
        (StatusCode::SERVICE_UNAVAILABLE, "") => "the request was not done in time: send it faster, or again".into(),
        (_, "") => "the request cannot be served: see /api/openapi.json".into(),
        (_, text) => text.to_owned(),
    };
    let kind = status.canonical_reason().unwrap_or("error").to_lowercase().replace(' ', "-");
    let problem = Problem { status, kind: kind.into(), detail, field: None, current_rev: None, headers: Vec::new() };
    let mut response = problem.into_response();
    for (name, value) in &parts.headers {
        // What says how to do better (Allow, Retry-After, CORS) stays.
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

/// Bytes of a plain error's text that are quoted.
const MOST_QUOTED: usize = 4 << 10;
