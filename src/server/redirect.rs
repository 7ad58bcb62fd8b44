//! The plain HTTP door when it only sends people to the one inside TLS.

use axum::Router;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};

/// `router`, whose every address but those that monitors ask leads to `https://` on `port`, on the host that was asked for.
pub(super) fn to_https(router: Router, port: u16) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| async move {
        if PLAIN.contains(&request.uri().path()) { next.run(request).await } else { redirect(&request, port) }
    }))
}

/// What answers without TLS too.
const PLAIN: [&str; 2] = ["/healthz", "/metrics"];

/// Not for good (307): browsers would remember it when the operator has long taken it back.
fn redirect(request: &Request, port: u16) -> Response {
    let asked = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(asked) = asked.and_then(|host| host.parse::<Authority>().ok()) else {
        return (StatusCode::BAD_REQUEST, "this server is reached by https:// only, and the request names no host\n")
            .into_response();
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    Redirect::temporary(&format!("https://{}{port}{path}", asked.host())).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn ask(port: u16, host: &str, path: &str) -> Response {
        let router = Router::new().route("/healthz", get(|| async { "ok" })).route("/s/demo", get(|| async { "page" }));
        let request = Request::get(path).header(header::HOST, host).body(Body::empty()).unwrap();
        to_https(router, port).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn people_are_sent_to_the_same_page_and_monitors_are_answered() {
        for (port, host, path, to) in [
            (8443, "shop.example:8080", "/s/demo?x=1", "https://shop.example:8443/s/demo?x=1"),
            (443, "[2001:db8::7]:8080", "/", "https://[2001:db8::7]/"),
            (443, "shop.example", "//evil.example/", "https://shop.example//evil.example/"),
        ] {
            let response = ask(port, host, path).await;
            assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
            assert_eq!(response.headers()[header::LOCATION], to);
        }
        assert_eq!(ask(443, "shop.example", "/healthz").await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_request_without_a_proper_host_is_refused() {
        for host in ["", "a b", "shop.example/@evil"] {
            assert_eq!(ask(443, host, "/s/demo").await.status(), StatusCode::BAD_REQUEST, "{host:?}");
        }
    }
}
