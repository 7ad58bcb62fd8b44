//! WHEP (RFC 9725): a viewer's offer in, our answer out. Public, and open to pages of any origin.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{Api, Problem};
use crate::deliver::whep::MAX_OFFER;
use crate::show;

/// Joins a show. The answer's `Location` is the session: DELETE it to leave.
#[utoipa::path(post, path = "/s/{show}/whep", tag = "viewers",
    params(("show" = String, Path)),
    request_body(content = String, content_type = "application/sdp", description = "An SDP offer that receives, at most 64 KiB"),
    responses(
        (status = 201, content_type = "application/sdp", body = String, headers(("Location" = String), ("ETag" = String))),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
        (status = 415, body = super::problem::Body, content_type = "application/problem+json"),
        (status = 503, body = super::problem::Body, content_type = "application/problem+json",
            description = "No place now: try again after `Retry-After`"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn join(
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let show = api.show(&show)?;
    if !is_sdp(&headers) {
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
    let offer = String::from_utf8(offer.into()).map_err(|_| Problem::unreadable("the offer is not UTF-8"))?;
    // Taken after the offer is here, so that slow senders hold no place; refused at once, so that no queue builds up.
    let place = api.joins.clone().try_acquire_owned().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "joins-full", "many viewers are joining: try again in a second")
            .with_header(header::RETRY_AFTER, "1")
    })?;
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(ConnectInfo(peer))| peer.ip().to_canonical());
    let (deliver, feed) = (api.shows.deliver().clone(), show.feed().clone());
    // Milliseconds of cryptography: not on the threads that wait for sockets.
    let joined = tokio::task::spawn_blocking(move || {
        let _place = place;
        deliver.join(&feed, &offer, peer)
    });
    let joined = joined.await.map_err(|_| Problem::from(show::Error::Stopping))??;
    let location = format!("/s/{}/whep/{}", show.id(), joined.resource);
    let mut response = (StatusCode::CREATED, joined.answer).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(header::LOCATION, HeaderValue::try_from(location).expect("an id and hex are a header value"));
    // The ICE session that this answer began (RFC 9725 §4.3.1); ours is never restarted, so it stays the only one.
    headers.insert(header::ETAG, HeaderValue::from_static("\"1\""));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// An offer is a few kilobytes: whoever takes longer to send it holds no place meanwhile.
const OFFER_WITHIN: std::time::Duration = std::time::Duration::from_secs(3);

/// What may be asked here (CORS preflight and RFC 9725 §4.2).
#[utoipa::path(options, path = "/s/{show}/whep", tag = "viewers", params(("show" = String, Path)), responses((status = 204)))]
pub(super) async fn options() -> Response {
    preflight("POST, OPTIONS")
}

/// Leaves a show.
#[utoipa::path(delete, path = "/s/{show}/whep/{resource}", tag = "viewers",
    params(("show" = String, Path), ("resource" = String, Path, description = "From the answer's `Location`")),
    responses(
        (status = 200, description = "Left"),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn leave(
    State(api): State<Arc<Api>>,
    Path((show, resource)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    api.show(&show)?;
    if api.shows.deliver().leave(&resource) {
        Ok(StatusCode::OK)
    } else {
        Err(Problem::new(StatusCode::NOT_FOUND, "no-session", "there is no such session: it ended, or never was"))
    }
}

/// What may be asked of a session.
#[utoipa::path(options, path = "/s/{show}/whep/{resource}", tag = "viewers",
    params(("show" = String, Path), ("resource" = String, Path)), responses((status = 204)))]
pub(super) async fn resource_options() -> Response {
    preflight("DELETE, OPTIONS")
}

/// Lets pages of any origin read the answer and what they need of its headers.
pub(super) async fn open_to_all(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers
        .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Location, Link, ETag, Retry-After"));
    response
}

fn preflight(methods: &'static str) -> Response {
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
const ACCEPT_POST: header::HeaderName = header::HeaderName::from_static("accept-post");
