//! WHIP (RFC 9725): a publisher's offer in, our answer out. The stream key is the bearer token; open to pages of any origin.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::auth::bearer;
use super::{Api, Problem, sdp};
use crate::ingest::{Directory, Protocol, Publisher, Refused, whip};
use crate::show::registry::APP;

type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

/// Publishes into the show that the stream key leads to. The answer's `Location` is the session: DELETE it to stop.
///
/// H.264, VP8 or VP9 video and Opus sound. The newest publisher with the right key is on air, from its first keyframe on.
#[utoipa::path(post, path = "/whip", tag = "publishers",
    request_body(content = String, content_type = "application/sdp", description = "An SDP offer that sends, at most 64 KiB"),
    responses(
        (status = 201, content_type = "application/sdp", body = String, headers(("Location" = String), ("ETag" = String))),
        (status = 401, body = super::problem::Body, content_type = "application/problem+json",
            description = "`Authorization: Bearer` without a show's stream key"),
        (status = 415, body = super::problem::Body, content_type = "application/problem+json"),
        (status = 503, body = super::problem::Body, content_type = "application/problem+json",
            description = "No place now: try again after `Retry-After`"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ),
    security(("stream_key" = [])))]
pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let publisher = publisher(peer, &headers);
    // Before anything is read of the body: a stranger costs nothing.
    api.shows.check(&publisher).await.map_err(whip::Error::from)?;
    let offer = sdp::offer(&headers, body).await?;
    answer(&api, publisher, &headers, &offer).await
}

/// Publishes into a show, by its own address and with its key or its backup's.
#[utoipa::path(post, path = "/s/{show}/whip", tag = "publishers",
    params(("show" = String, Path)),
    request_body(content = String, content_type = "application/sdp", description = "An SDP offer that sends, at most 64 KiB"),
    responses(
        (status = 201, content_type = "application/sdp", body = String, headers(("Location" = String), ("ETag" = String))),
        (status = 401, body = super::problem::Body, content_type = "application/problem+json",
            description = "`Authorization: Bearer` without this show's stream key"),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
        (status = 415, body = super::problem::Body, content_type = "application/problem+json"),
        (status = 503, body = super::problem::Body, content_type = "application/problem+json",
            description = "No place now: try again after `Retry-After`"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ),
    security(("stream_key" = [])))]
pub(super) async fn publish_to(
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let show = api.show(&show)?;
    let publisher = publisher(peer, &headers);
    if show.state().role_of(&publisher.key).is_none() {
        return Err(whip::Error::Refused(Refused::UnknownKey).into());
    }
    let offer = sdp::offer(&headers, body).await?;
    answer(&api, publisher, &headers, &offer).await
}

fn publisher(peer: Peer, headers: &HeaderMap) -> Publisher {
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    Publisher {
        peer: peer
            .map_or(unknown, |Extension(ConnectInfo(peer))| SocketAddr::new(peer.ip().to_canonical(), peer.port())),
        protocol: Protocol::Whip,
        app: APP.to_owned(),
        key: bearer(headers).unwrap_or_default().to_owned(),
    }
}

async fn answer(api: &Api, publisher: Publisher, headers: &HeaderMap, offer: &str) -> Result<Response, Problem> {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let joined = api.whip.publish(offer, publisher, agent).await?;
    Ok(sdp::created(joined.answer, format!("/whip/{}", joined.resource)))
}

/// Stops publishing.
#[utoipa::path(delete, path = "/whip/{resource}", tag = "publishers",
    params(("resource" = String, Path, description = "From the answer's `Location`")),
    responses(
        (status = 200, description = "Stopped"),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn leave(State(api): State<Arc<Api>>, Path(resource): Path<String>) -> Result<StatusCode, Problem> {
    sdp::ended(api.whip.leave(&resource))
}

/// What may be asked here (CORS preflight and RFC 9725 §4.2).
#[utoipa::path(options, path = "/whip", tag = "publishers", responses((status = 204)))]
pub(super) async fn options() -> Response {
    sdp::preflight("POST, OPTIONS")
}

/// What may be asked of a show's own address.
#[utoipa::path(options, path = "/s/{show}/whip", tag = "publishers", params(("show" = String, Path)), responses((status = 204)))]
pub(super) async fn show_options() -> Response {
    sdp::preflight("POST, OPTIONS")
}

/// What may be asked of a session. No PATCH: candidates need not be told to us, and our ICE is never restarted.
#[utoipa::path(options, path = "/whip/{resource}", tag = "publishers", params(("resource" = String, Path)), responses((status = 204)))]
pub(super) async fn resource_options() -> Response {
    sdp::preflight("DELETE, OPTIONS")
}
