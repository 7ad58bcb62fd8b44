//! HTTP: the JSON API under `/api/v1`, WHIP for publishers, WHEP and what a viewer's page asks, health and metrics.
//!
//! The domain below knows no HTTP; here its errors become problem+json (RFC 9457), once. Every route is declared with its
//! documentation, so `/api/openapi.json` cannot say other than what is served.

pub mod auth;
mod body;
mod changed;
mod cue;
mod cues;
mod expect;
pub mod fetcher;
mod layers;
mod linger;
mod live;
mod metrics;
mod problem;
mod products;
mod sdp;
mod shows;
mod stage;
mod still;
mod themes;
mod warnings;
mod whep;
mod whip;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::Semaphore;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use auth::{Operator, Role};
pub use problem::Problem;

use fetcher::Fetcher;

use crate::config::Secret;
use crate::ingest::whip::Whip;
use crate::overlay::Photo;
use crate::show::{Handle, ShowId, Shows};

/// What the routes work on.
pub struct Api {
    shows: Arc<Shows>,
    whip: Arc<Whip>,
    /// What an operator must bring.
    admin_token: Secret,
    /// What gets pictures that are named by their address.
    fetcher: Fetcher,
    /// Bytes of one uploaded picture.
    most_image_bytes: usize,
    /// Uploads held in memory at a time; further ones wait.
    uploads: Semaphore,
    /// Pictures decoded at a time (200 MB each at the worst); further ones wait.
    decodings: Semaphore,
    /// Joins being answered at a time; further ones are sent away, for a browser to try again.
    joins: Arc<Semaphore>,
}

/// Every route but the pages'.
pub fn router(api: Api) -> Router {
    let (routes, document) = documented().split_for_parts();
    let document = Arc::new(document);
    let describe = get(move || std::future::ready(Json(document.clone())));
    routes
        .route("/api/openapi.json", describe)
        .fallback(nothing_here)
        .with_state(Arc::new(api))
        .layer(DefaultBodyLimit::max(MOST_JSON))
        .layer(middleware::from_fn(linger::linger))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, LONGEST))
        .layer(middleware::from_fn(problem::everywhere))
}

/// Bytes of a JSON body.
const MOST_JSON: usize = 64 << 10;
/// Requests of a kind (operators', public, viewers', publishers') being worked on; further ones wait, within [`LONGEST`]. Health and metrics
/// never wait.
const AT_A_TIME: usize = 256;
/// How long any request may take, its upload included.
const LONGEST: Duration = Duration::from_secs(30);

impl Api {
    /// `most_image_bytes` bounds one uploaded picture; what [`Photo`] takes bounds it too.
    pub fn new(shows: Arc<Shows>, whip: Arc<Whip>, admin_token: Secret, most_image_bytes: usize) -> Api {
        Api {
            shows,
            whip,
            admin_token,
            fetcher: Fetcher::new(),
            most_image_bytes: most_image_bytes.min(Photo::MOST_BYTES),
            uploads: Semaphore::new(4),
            decodings: Semaphore::new(1),
            joins: Arc::new(Semaphore::new(32)),
        }
    }

    /// The running show that an address names.
    fn show(&self, id: &str) -> Result<Handle, Problem> {
        Ok(self.shows.get(&show_id(id)?)?)
    }
}

fn show_id(id: &str) -> Result<ShowId, Problem> {
    ShowId::parse(id).map_err(|error| Problem::unreadable(error).in_field("show"))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "hawker",
        description = "A live-shopping video server. Writes need `Authorization: Bearer` with the admin token. Unknown \
                       fields are refused; every error is problem+json (RFC 9457).",
    ),
    components(schemas(problem::Body)),
    tags(
        (name = "shows", description = "Shows and how they are set up"),
        (name = "products", description = "What a show sells"),
        (name = "stage", description = "What is on the picture now, and what is to come"),
        (name = "themes", description = "What the layers look like"),
        (name = "publishers", description = "WHIP: OBS and browsers publish with a show's stream key"),
        (name = "viewers", description = "What a viewer's page asks: public"),
        (name = "operation", description = "Is it well, what does it do"),
    )
)]
struct Document;

fn documented() -> OpenApiRouter<Arc<Api>> {
    let mut document = Document::openapi();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let mut stream_key = Http::new(HttpAuthScheme::Bearer);
    stream_key.description = Some("A show's stream key".into());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", bearer);
    components.add_security_scheme("stream_key", SecurityScheme::Http(stream_key));

    let operators = OpenApiRouter::new()
        .routes(routes!(shows::list))
        .routes(routes!(shows::put, shows::get, shows::patch, shows::delete))
        .routes(routes!(shows::key))
        .routes(routes!(shows::put_input))
        .routes(routes!(shows::health))
        .routes(routes!(products::list))
        .routes(routes!(products::put, products::get, products::delete))
        .routes(routes!(products::put_image, products::delete_image))
        .routes(routes!(themes::list))
        .routes(routes!(still::get, still::post))
        .routes(routes!(stage::get))
        .routes(routes!(stage::undo))
        .routes(routes!(stage::put_layer, stage::get_layer, stage::delete_layer))
        .routes(routes!(cues::list, cues::post))
        .routes(routes!(cues::delete))
        .routes(routes!(cues::now))
        .layer(GlobalConcurrencyLimitLayer::new(AT_A_TIME))
        .layer(middleware::map_response(unstored));
    let public = OpenApiRouter::new()
        .routes(routes!(live::live))
        .routes(routes!(products::get_image))
        .layer(GlobalConcurrencyLimitLayer::new(AT_A_TIME));
    // Apart, so that a rush of viewers holds up neither the console nor the pages of those who watch.
    let viewers = OpenApiRouter::new()
        .routes(routes!(whep::join, whep::options))
        .routes(routes!(whep::leave, whep::resource_options))
        .layer(GlobalConcurrencyLimitLayer::new(AT_A_TIME));
    let publishers = OpenApiRouter::new()
        .routes(routes!(whip::publish, whip::options))
        .routes(routes!(whip::publish_to, whip::show_options))
        .routes(routes!(whip::leave, whip::resource_options))
        .layer(GlobalConcurrencyLimitLayer::new(AT_A_TIME));
    let public = public.merge(viewers).merge(publishers).layer(middleware::map_response(sdp::open_to_all));
    OpenApiRouter::with_openapi(document)
        .nest("/api/v1", operators)
        .merge(public)
        .routes(routes!(healthz))
        .routes(routes!(metrics::metrics))
}

/// Whether the server is ready.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "Ready")))]
async fn healthz() -> &'static str {
    "ok\n"
}

async fn nothing_here(request: Request) -> Problem {
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::new(StatusCode::NOT_FOUND, "nothing-here", format!("there is nothing at {path}: see /api/openapi.json"))
}

/// What an operator reads is kept by no cache.
async fn unstored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
