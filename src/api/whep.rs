//! WHEP (RFC 9725): a viewer's offer in, our answer out. Public, and open to pages of any origin.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::{Api, Problem, sdp};
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
    let offer = sdp::offer(&headers, body).await?;
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
    Ok(sdp::created(joined.answer, location))
}

/// What may be asked here (CORS preflight and RFC 9725 §4.2).
#[utoipa::path(options, path = "/s/{show}/whep", tag = "viewers", params(("show" = String, Path)), responses((status = 204)))]
pub(super) async fn options() -> Response {
    sdp::preflight("POST, OPTIONS")
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
    sdp::ended(api.shows.deliver().leave(&resource))
}

/// What may be asked of a session.
#[utoipa::path(options, path = "/s/{show}/whep/{resource}", tag = "viewers",
    params(("show" = String, Path), ("resource" = String, Path)), responses((status = 204)))]
pub(super) async fn resource_options() -> Response {
    sdp::preflight("DELETE, OPTIONS")
}
