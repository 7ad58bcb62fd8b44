//! The pages that people open: `/` lists the shows, `/s/{show}` is where a buyer watches one.
//!
//! Plain HTML, CSS and JS modules, embedded in the program and served from our own origin alone, under a content security
//! policy that allows nothing inline. Assets lie under a folder named by the hash of all of them, so browsers keep them for
//! good and a new program brings new addresses. The pages know the public faces only: `/s/{show}/whep` and
//! `/s/{show}/live.json`.

mod assets;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use serde::Serialize;

use assets::Assets;

/// A public show, as the list and the head of its page tell of it.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    pub id: String,
    pub title: String,
    /// Whether somebody publishes now.
    pub on_air: bool,
}

/// Tells the public shows of this moment, in the order to list them.
pub type Shows = Arc<dyn Fn() -> Vec<Listed> + Send + Sync>;

/// `/`, `/s/{show}` and `/assets/…`.
pub fn router(shows: Shows) -> Router {
    let pages = Arc::new(Pages { shows, templates: templates(), assets: Assets::embedded() });
    Router::new()
        .route("/", get(lobby))
        .route("/s/{show}", get(viewer))
        .route("/assets/{version}/{name}", get(asset))
        .with_state(pages)
}

struct Pages {
    shows: Shows,
    templates: Environment<'static>,
    assets: Assets,
}

impl Pages {
    fn render(&self, status: StatusCode, template: &str, values: Value) -> Response {
        let rendered = self.templates.get_template(template).and_then(|template| template.render(values));
        match rendered {
            Ok(page) => (status, page_headers(), Html(page)).into_response(),
            Err(error) => {
                tracing::error!(template, %error, "a page cannot be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

async fn lobby(State(pages): State<Arc<Pages>>) -> Response {
    let mut shows = (pages.shows)();
    // Who is on air comes first; otherwise the given order stays.
    shows.sort_by_key(|show| !show.on_air);
    pages.render(StatusCode::OK, "lobby.html", context! { assets => pages.assets.base(), shows => Serde(&shows) })
}

async fn viewer(State(pages): State<Arc<Pages>>, Path(show): Path<String>) -> Response {
    match (pages.shows)().into_iter().find(|listed| listed.id == show) {
        Some(show) => pages.render(
            StatusCode::OK,
            "viewer.html",
            context! { assets => pages.assets.base(), show => Serde(&show) },
        ),
        None => pages.render(StatusCode::NOT_FOUND, "nowhere.html", context! { assets => pages.assets.base() }),
    }
}

async fn asset(State(pages): State<Arc<Pages>>, Path((version, name)): Path<(String, String)>, uri: Uri) -> Response {
    let Some(asset) = pages.assets.get(&name) else {
        tracing::debug!(%uri, "no such asset");
        return StatusCode::NOT_FOUND.into_response();
    };
    // A page that is older than the program still gets its modules, but must not keep them under the old name.
    let keep = if pages.assets.is_current(&version) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, keep),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, asset.bytes).into_response()
}

fn page_headers() -> [(HeaderName, HeaderValue); 5] {
    [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // A shop may know which show sent a buyer, by origin; not more.
        (header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
        (
            HeaderName::from_static("permissions-policy"),
            HeaderValue::from_static("camera=(), microphone=(), geolocation=()"),
        ),
    ]
}

fn templates() -> Environment<'static> {
    let mut environment = Environment::new();
    // Names that end in .html are autoescaped.
    for (name, source) in [
        ("lobby.html", include_str!("pages/lobby/lobby.html")),
        ("nowhere.html", include_str!("pages/lobby/nowhere.html")),
        ("viewer.html", include_str!("pages/viewer/viewer.html")),
    ] {
        environment.add_template(name, source).expect("the embedded templates parse, as a test holds");
    }
    environment
}

/// Nothing inline, nothing foreign. Framing is allowed: shops embed the viewer.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; \
    connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'";

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    fn open(shows: Vec<Listed>) -> Router {
        router(Arc::new(move || shows.clone()))
    }

    fn listed(id: &str, title: &str, on_air: bool) -> Listed {
        Listed { id: id.into(), title: title.into(), on_air }
    }

    async fn fetch(router: &Router, path: &str) -> (StatusCode, axum::http::HeaderMap, String) {
        let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Every address that a page or module of ours refers to.
    fn references(text: &str) -> Vec<String> {
        text.split('"').filter(|part| part.starts_with("/assets/")).map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn titles_are_escaped_wherever_they_stand() {
        let router = open(vec![listed("demo", "<script>alert(1)</script> \"&\"", true)]);
        for path in ["/", "/s/demo"] {
            let (status, _, page) = fetch(&router, path).await;
            assert_eq!(status, StatusCode::OK);
            assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
        }
    }

    #[tokio::test]
    async fn everything_a_page_refers_to_is_there_and_kept_for_good() {
        let router = open(vec![listed("demo", "Demo", false)]);
        for path in ["/", "/s/demo", "/s/nobody"] {
            let (_, _, page) = fetch(&router, path).await;
            let references = references(&page);
            assert!(references.len() >= 2, "{path} has no assets");
            for reference in references {
                let (status, headers, _) = fetch(&router, &reference).await;
                assert_eq!(status, StatusCode::OK, "{reference}");
                assert!(headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
            }
        }
    }

    #[tokio::test]
    async fn modules_import_only_modules_that_are_there() {
        let router = open(Vec::new());
        let pages = Assets::embedded();
        for (name, asset) in pages.iter().filter(|(name, _)| name.ends_with(".js")) {
            let source = std::str::from_utf8(asset.bytes).unwrap();
            for import in source.split("from \"./").skip(1) {
                let import = import.split('"').next().unwrap();
                let (status, headers, _) = fetch(&router, &format!("{}/{import}", pages.base())).await;
                assert_eq!(status, StatusCode::OK, "{name} imports {import}");
                assert_eq!(headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
            }
        }
    }

    #[tokio::test]
    async fn pages_carry_a_strict_policy_and_nothing_inline() {
        let router = open(vec![listed("demo", "Demo", true)]);
        for path in ["/", "/s/demo", "/s/nobody"] {
            let (_, headers, page) = fetch(&router, path).await;
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"));
            assert!(
                !policy.contains("frame-ancestors") && !headers.contains_key(header::X_FRAME_OPTIONS),
                "shops frame it"
            );
            assert!(!page.contains("<style") && !page.contains("style=\"") && !page.contains("onclick"));
            assert!(page.matches("<script").count() == page.matches("<script type=\"module\" src=").count());
        }
    }

    #[tokio::test]
    async fn an_unknown_show_is_not_found_and_an_empty_house_is_friendly() {
        let router = open(Vec::new());
        let (status, _, page) = fetch(&router, "/s/nobody").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(page.contains("href=\"/\""));
        let (status, _, page) = fetch(&router, "/").await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.contains("No shows yet"));
    }

    #[tokio::test]
    async fn a_page_older_than_the_program_gets_modules_that_it_does_not_keep() {
        let (status, headers, _) = fetch(&open(Vec::new()), "/assets/0123456789abcdef/whep.js").await;
        assert_eq!((status, &headers[header::CACHE_CONTROL]), (StatusCode::OK, &HeaderValue::from_static("no-cache")));
        assert_eq!(fetch(&open(Vec::new()), "/assets/x/..%2Fsecret").await.0, StatusCode::NOT_FOUND);
    }
}
