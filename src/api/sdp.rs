//! What WHEP and WHIP share over HTTP (RFC 9725 §4.2): an SDP offer as a body, an answer with the address of its session, and
//! pages of any origin.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Problem;
use crate::deliver::whep;
use crate::ingest::whip::MAX_OFFER;

// One bound for both: what is read here is what either of them takes.
const _: () = assert!(MAX_OFFER == whep::MAX_OFFER);
/// An offer is a few kilobytes: whoever takes longer to send it holds no place meanwhile.
const OFFER_WITHIN: std::time::Duration = std::time::Duration::from_secs(3);

/// The offer of a request.
pub(super) async fn offer(headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    if !is_sdp(headers) {
        let detail = "the body is not said to be SDP: send the offer with Content-Type: application/sdp";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-sdp", detail).with_header(ACCEPT_POST, SDP));
    }
    let too_large = |_| {
        let detail = format!("the offer has more than {MAX_OFFER} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "offer-too-large", detail)
    };
    let late =
        |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "offer-late", "the offer did not come in time: send it at once");
    let offer = tokio::time::timeout(OFFER_WITHIN, axum::body::to_bytes(body, MAX_OFFER)).await.map_err(late)?;
    let offer = offer.map_err(too_large)?;
    String::from_utf8(offer.into()).map_err(|_| Problem::unreadable("the offer is not UTF-8"))
}

/// The answer, and where its session can be ended.
pub(super) fn created(answer: String, location: String) -> Response {
    let mut response = (StatusCode::CREATED, answer).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(header::LOCATION, HeaderValue::try_from(location).expect("an id and hex are a header value"));
    // The ICE session that this answer began (RFC 9725 §4.3.1); ours is never restarted, so it stays the only one.
    headers.insert(header::ETAG, HeaderValue::from_static("\"1\""));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The end of a session, if there was one.
pub(super) fn ended(was_there: bool) -> Result<StatusCode, Problem> {
    if was_there {
        Ok(StatusCode::OK)
    } else {
        Err(Problem::new(StatusCode::NOT_FOUND, "no-session", "there is no such session: it ended, or never was"))
    }
}

/// Lets pages of any origin read the answer and what they need of its headers.
pub(super) async fn open_to_all(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers
        .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Location, Link, ETag, Retry-After"));
    response
}

pub(super) fn preflight(methods: &'static str) -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type, Authorization, If-Match"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        (header::ALLOW, methods),
        (ACCEPT_POST, SDP),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn is_sdp(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok());
    given.is_some_and(|given| given.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SDP)))
}

const SDP: &str = "application/sdp";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
