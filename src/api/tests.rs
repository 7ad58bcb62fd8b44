//! The router as its clients meet it, over shows without media.

use std::io::Cursor;
use std::net::Ipv4Addr;

use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, Method, Request};
use image::{DynamicImage, ImageFormat};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::ingest::whip;
use crate::media::{Colour, ManualClock, MediaTime, Pool, Resolution};
use crate::show::rehearsal;

mod products;
mod stage;

const TOKEN: &str = "an-admin-token";

/// A router over an empty data folder.
struct Face {
    router: Router,
    shows: Arc<Shows>,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status, the kind of problem and its field.
    #[track_caller]
    fn problem(&self) -> (u16, String, String) {
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json", "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{problem}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&problem["type"]).strip_prefix("urn:hawker:problem:").unwrap().to_owned();
        (self.status.as_u16(), kind, text(&problem["field"]))
    }
}

impl Face {
    async fn new() -> Face {
        Face::fetching(Fetcher::new()).await
    }

    /// With a fetcher that may reach this machine.
    async fn fetching(fetcher: Fetcher) -> Face {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::new();
        let shows = rehearsal::open(folder.path(), &clock).await;
        let socket = whip::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let whip = Whip::new(socket, Vec::new(), shows.clone(), whip::Limits::default()).unwrap();
        let mut api = Api::new(shows.clone(), Arc::new(whip), Secret::from(TOKEN), 100_000);
        api.fetcher = fetcher;
        let router = router(api);
        Face { router, shows, clock, _folder: folder }
    }

    /// With the show `demo`, and a lipstick in it.
    async fn selling() -> Face {
        Face::new().await.with_lipstick().await
    }

    async fn with_lipstick(self) -> Face {
        let face = self;
        assert_eq!(face.put("/api/v1/shows/demo", json!({ "title": "Evening sale" })).await.status, 201);
        let lipstick = json!({ "title": "Lipstick", "price": { "minor": 2490, "currency": "USD" }, "url": "https://shop.example/l" });
        assert_eq!(face.put("/api/v1/shows/demo/products/lipstick", lipstick).await.status, 201);
        face
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn ask(&self, method: Method, path: &str, body: impl Into<Body>, kind: &str) -> Answer {
        self.send(authorized(method, path).header(header::CONTENT_TYPE, kind).body(body.into()).unwrap()).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::PUT, path, body.to_string(), "application/json").await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, body.to_string(), "application/json").await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(authorized(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send(authorized(Method::DELETE, path).body(Body::empty()).unwrap()).await
    }

    /// Without a token, as viewers come.
    async fn public(&self, method: Method, path: &str) -> Answer {
        self.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
    }
}

fn authorized(method: Method, path: &str) -> Builder {
    Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
}

fn png(side: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(side, side).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn nothing_is_written_or_read_without_the_token() {
    let face = Face::selling().await;
    for (method, path) in [
        (Method::GET, "/api/v1/shows"),
        (Method::GET, "/api/v1/shows/demo"),
        (Method::GET, "/api/v1/shows/demo/key"),
        (Method::GET, "/api/v1/shows/demo/health"),
        (Method::GET, "/api/v1/shows/demo/still"),
        (Method::PUT, "/api/v1/shows/demo"),
        (Method::DELETE, "/api/v1/shows/demo"),
        (Method::PUT, "/api/v1/shows/demo/stage/card"),
        (Method::PUT, "/api/v1/shows/demo/products/lipstick/image"),
    ] {
        let answer = face.public(method.clone(), path).await;
        assert_eq!(answer.problem(), (401, "unauthorized".into(), String::new()), "{method} {path}");
        assert!(answer.header(header::WWW_AUTHENTICATE).starts_with("Bearer"));
        assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "");
    }
    for wrong in ["Bearer another", "Bearer ", "Basic YTpi", &format!("Bearer {TOKEN}x"), &format!("Token {TOKEN}")] {
        let request = Request::get("/api/v1/shows").header(header::AUTHORIZATION, wrong).body(Body::empty()).unwrap();
        assert_eq!(face.send(request).await.status, 401, "{wrong}");
    }
    for path in ["/healthz", "/metrics", "/api/openapi.json", "/s/demo/live.json"] {
        assert_eq!(face.public(Method::GET, path).await.status, 200, "{path}");
    }
    face.shows.shutdown().await;
}

#[tokio::test]
async fn what_is_wrong_is_named_by_its_field() {
    let face = Face::selling().await;
    let product = "/api/v1/shows/demo/products/mug";
    let price = json!({ "minor": 990, "currency": "USD" });
    let countdown = "/api/v1/shows/demo/stage/countdown";
    let started = |price: Value, extra: Value| {
        let mut body = json!({ "product": "lipstick", "price": price, "then": "revert" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    for (path, body, status, kind, field) in [
        ("/api/v1/shows/demo", json!({ "titel": "x" }), 422, "invalid", "titel"),
        ("/api/v1/shows/demo", json!({}), 422, "invalid", "title"),
        ("/api/v1/shows/demo", json!({ "title": "" }), 422, "invalid", "title"),
        ("/api/v1/shows/demo", json!({ "title": "x", "stream_key": "short" }), 422, "invalid", "stream_key"),
        ("/api/v1/shows/demo", json!({ "title": "x", "source": "http://cam" }), 422, "invalid", "source"),
        (
            "/api/v1/shows/demo",
            json!({ "title": "x", "canvas": { "width": 3, "height": 2, "fps": 30 } }),
            422,
            "invalid",
            "canvas",
        ),
        (
            "/api/v1/shows/demo",
            json!({ "title": "x", "canvas": { "width": 640, "height": 360, "fps": 30 } }),
            409,
            "canvas-fixed",
            "canvas",
        ),
        ("/api/v1/shows/demo", json!({ "title": "x", "locale": "tlh" }), 422, "invalid", "locale"),
        ("/api/v1/shows/demo", json!({ "title": "x", "theme": "../etc" }), 422, "invalid", "theme"),
        ("/api/v1/shows/demo", json!({ "title": "x", "theme": "nowhere" }), 422, "unknown-theme", "theme"),
        ("/api/v1/shows/Demo", json!({ "title": "x" }), 400, "unreadable", "show"),
        ("/api/v1/shows/nobody/products/mug", json!({ "title": "Mug", "price": price }), 404, "unknown-show", ""),
        (product, json!({ "title": "Mug", "price": { "minor": -1, "currency": "USD" } }), 422, "invalid", "price"),
        (
            product,
            json!({ "title": "Mug", "price": { "minor": 1.5, "currency": "USD" } }),
            422,
            "invalid",
            "price.minor",
        ),
        (
            product,
            json!({ "title": "Mug", "price": { "minor": 1, "currency": "usd" } }),
            422,
            "invalid",
            "price.currency",
        ),
        (
            product,
            json!({ "title": "Mug", "price": { "minor": 1, "currency": "USD", "major": 1 } }),
            422,
            "invalid",
            "price.major",
        ),
        (product, json!({ "title": "Mug", "price": price, "stock": -1 }), 422, "invalid", "stock"),
        (product, json!({ "title": "Mug", "price": price, "url": "javascript:alert(1)" }), 422, "invalid", "url"),
        ("/api/v1/shows/demo/stage/card", json!({ "product": "mug" }), 422, "unknown-product", "product"),
        (countdown, started(price.clone(), json!({})), 422, "no-end", "seconds"),
        (
            countdown,
            started(price.clone(), json!({ "seconds": 9, "ends_at": "2026-01-01T01:00:00Z" })),
            422,
            "two-ends",
            "ends_at",
        ),
        (countdown, started(price.clone(), json!({ "seconds": -9 })), 422, "invalid", "seconds"),
        (countdown, started(price.clone(), json!({ "seconds": 1e300 })), 422, "invalid", "seconds"),
        (countdown, started(price.clone(), json!({ "seconds": 1e9 })), 422, "too-late", "seconds"),
        (countdown, started(price.clone(), json!({ "seconds": 0.2 })), 422, "too-soon", "seconds"),
        (countdown, started(price.clone(), json!({ "ends_at": "2025-01-01T00:00:00Z" })), 422, "too-soon", "ends_at"),
        (countdown, started(price.clone(), json!({ "ends_at": "soon" })), 422, "invalid", "ends_at"),
        (
            countdown,
            started(json!({ "minor": 2490, "currency": "USD" }), json!({ "seconds": 9 })),
            422,
            "not-lower",
            "price.minor",
        ),
        (
            countdown,
            started(json!({ "minor": 1, "currency": "EUR" }), json!({ "seconds": 9 })),
            422,
            "other-currency",
            "price.currency",
        ),
    ] {
        let answer = face.put(path, body.clone()).await;
        assert_eq!(answer.problem(), (status, kind.into(), field.into()), "PUT {path} {body}: {}", answer.text());
    }
    face.shows.shutdown().await;
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let face = Face::selling().await;
    assert_eq!(face.get("/nothing").await.problem().0, 404);
    assert_eq!(face.get("/api/v1/shows/nobody").await.problem(), (404, "unknown-show".into(), String::new()));
    assert_eq!(face.get("/api/v1/shows/%FF").await.problem().0, 400);
    let answer = face.public(Method::PATCH, "/s/demo/whep").await;
    assert_eq!(answer.problem(), (405, "method-not-allowed".into(), String::new()));
    assert!(answer.header(header::ALLOW).contains("POST"));
    let show = "/api/v1/shows/demo";
    assert_eq!(face.ask(Method::PUT, show, "{", "application/json").await.problem().0, 400);
    assert_eq!(face.ask(Method::PUT, show, "[]", "application/json").await.problem().0, 422);
    assert_eq!(face.ask(Method::PUT, show, "{}", "text/plain").await.problem().1, "not-json");
    let long = format!("{{\"title\": \"{}\"}}", "x".repeat(MOST_JSON));
    assert_eq!(
        face.ask(Method::PUT, show, long, "application/json").await.problem(),
        (413, "too-large".into(), String::new())
    );
    assert_eq!(face.delete("/api/v1/shows/demo/products/mug").await.problem().1, "unknown-product");
    face.shows.shutdown().await;
}

#[tokio::test]
async fn keys_and_passwords_are_told_to_nobody_but_who_asks_for_the_key() {
    let face = Face::new().await;
    let body = json!({ "title": "Sale", "source": "rtsp://me:hush-hush@127.0.0.1:9/cam" });
    let made = face.put("/api/v1/shows/demo", body.clone()).await;
    let key = made.json()["stream_key"].as_str().unwrap().to_owned();
    assert_eq!(key.len(), 32);
    let again = face.put("/api/v1/shows/demo", body).await;
    assert_eq!(again.status, 200);
    assert_eq!(face.get("/api/v1/shows/demo/key").await.json(), json!({ "app": "live", "stream_key": key }));
    let mut answers = vec![again];
    for path in ["/api/v1/shows", "/api/v1/shows/demo", "/api/v1/shows/demo/health", "/metrics", "/s/demo/live.json"] {
        answers.push(face.get(path).await);
    }
    for answer in answers {
        assert!(!answer.text().contains(&key) && !answer.text().contains("hush"), "{}", answer.text());
    }
    // Kept by a PUT without one, taken away by null.
    let patch = |body: &'static str| face.ask(Method::PATCH, "/api/v1/shows/demo", body, "application/json");
    assert_eq!(patch("{\"title\": \"Night sale\"}").await.json()["source"], "rtsp://127.0.0.1:9/cam");
    assert_eq!(patch("{\"source\": null}").await.json()["source"], Value::Null);
    assert_eq!(face.get("/api/v1/shows/demo/key").await.json()["stream_key"], key.as_str());
    assert_eq!(face.ask(Method::PATCH, "/api/v1/shows/nobody", "{}", "application/json").await.problem().0, 404);
    face.shows.shutdown().await;
}

#[tokio::test]
async fn whip_asks_for_the_stream_key_before_anything_else() {
    let face = Face::selling().await;
    let key = face.get("/api/v1/shows/demo/key").await.json()["stream_key"].as_str().unwrap().to_owned();
    let post = async |path: &str, key: Option<&str>, kind: &str, body: &str| {
        let request = Request::builder().method(Method::POST).uri(path).header(header::CONTENT_TYPE, kind);
        let request = key
            .into_iter()
            .fold(request, |request, key| request.header(header::AUTHORIZATION, format!("Bearer {key}")));
        face.send(request.body(Body::from(body.to_owned())).unwrap()).await
    };
    let sdp = "application/sdp";
    for path in ["/whip", "/s/demo/whip"] {
        for wrong in [None, Some("wrong-key-2026"), Some("")] {
            let refused = post(path, wrong, sdp, "v=0\r\n").await;
            assert_eq!(refused.problem(), (401, "unknown-key".into(), String::new()), "{path} {wrong:?}");
            assert_eq!(refused.header(header::WWW_AUTHENTICATE), "Bearer realm=\"hawker\"");
            assert_eq!(refused.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
        }
        assert_eq!(post(path, Some(&key), sdp, "v=0\r\n").await.problem().0, 400, "{path}: the right key, no offer");
        assert_eq!(post(path, Some(&key), "application/json", "{}").await.problem().0, 415);
        assert_eq!(post(path, Some(&key), sdp, &"a".repeat(65 << 10)).await.problem().0, 413);
        let options = face.public(Method::OPTIONS, path).await;
        assert!(
            options.status == 204 && options.header(header::ACCESS_CONTROL_ALLOW_HEADERS).contains("Authorization")
        );
    }
    let backup = json!({ "title": "Evening sale", "backup_stream_key": "backup-key-2026" });
    assert_eq!(face.put("/api/v1/shows/demo", backup).await.status, 200);
    for path in ["/whip", "/s/demo/whip"] {
        let answer = post(path, Some("backup-key-2026"), sdp, "v=0\r\n").await;
        assert_eq!(answer.problem().0, 400, "{path}: the backup's key is as good");
        let refused = post(path, Some("wrong-key-2026"), sdp, &"a".repeat(65 << 10)).await;
        assert_eq!(refused.problem().0, 401, "{path}: a stranger's offer is not looked at");
    }
    assert_eq!(post("/s/nobody/whip", Some(&key), sdp, "v=0\r\n").await.problem().0, 404);
    let nobody = "/whip/0123456789abcdef0123456789abcdef";
    assert_eq!(face.public(Method::DELETE, nobody).await.problem().1, "no-session");
    let trickle = face.public(Method::PATCH, nobody).await;
    assert_eq!(trickle.problem().0, 405);
    assert!(trickle.header(header::ALLOW).contains("DELETE"));
}

#[tokio::test]
async fn whep_refuses_what_is_no_offer_and_answers_pages_of_any_origin() {
    let face = Face::selling().await;
    let post = |path: &'static str, kind: &'static str, body: Vec<u8>| {
        let request = Request::post(path).header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap();
        face.send(request)
    };
    let sdp = "application/sdp";
    assert_eq!(post("/s/demo/whep", "application/json", b"{}".to_vec()).await.problem().0, 415);
    assert_eq!(post("/s/demo/whep", sdp, vec![]).await.problem().0, 400);
    assert_eq!(post("/s/demo/whep", sdp, vec![0xFF; 20]).await.problem().0, 400);
    assert_eq!(post("/s/demo/whep", sdp, b"hello".to_vec()).await.problem().0, 400);
    assert_eq!(post("/s/demo/whep", sdp, vec![b'a'; 65 << 10]).await.problem().0, 413);
    assert_eq!(post("/s/nobody/whep", sdp, b"v=0\r\n".to_vec()).await.problem().0, 404);
    let refused = post("/s/demo/whep", sdp, b"hello".to_vec()).await;
    assert_eq!(refused.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    assert!(refused.header(header::ACCESS_CONTROL_EXPOSE_HEADERS).contains("Location"));

    let options = face.public(Method::OPTIONS, "/s/demo/whep").await;
    assert_eq!(options.status, 204);
    assert_eq!(options.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    assert!(options.header(header::ACCESS_CONTROL_ALLOW_METHODS).contains("POST"));
    assert!(options.header(header::ACCESS_CONTROL_ALLOW_HEADERS).contains("Content-Type"));
    let nobody = "/s/demo/whep/0123456789abcdef0123456789abcdef";
    assert!(face.public(Method::OPTIONS, nobody).await.header(header::ACCESS_CONTROL_ALLOW_METHODS).contains("DELETE"));
    assert_eq!(face.public(Method::DELETE, nobody).await.problem(), (404, "no-session".into(), String::new()));
    face.shows.shutdown().await;
}

#[tokio::test]
async fn metrics_are_read_off_the_running_shows() {
    let face = Face::selling().await;
    let text = face.public(Method::GET, "/metrics").await.text();
    assert!(text.contains("hawker_encode_frames_total{show=\"demo\"} 7"), "{text}");
    assert!(text.contains("hawker_show_revision{show=\"demo\"} 2"), "{text}");
    assert!(text.contains("hawker_ingest_warnings{show=\"demo\"} 0"), "{text}");
    let drawn = "hawker_compose_compositor_info{kind=\"cpu\",adapter=\"\",show=\"demo\"} 1";
    assert!(text.contains(drawn), "{text}");
    let blended = "hawker_compose_blend_seconds_bucket{le=\"0.0001\",show=\"demo\"} 0";
    assert!(text.contains(blended) && text.contains("hawker_raster_scene_seconds_count{show=\"demo\"} "), "{text}");
    assert!(text.ends_with("# EOF\n"));
    let health = face.get("/api/v1/shows/demo/health").await.json();
    assert_eq!(
        (&health["rev"], &health["on_air"], &health["output"]["width"]),
        (&json!(2), &json!(false), &json!(1280))
    );
    assert_eq!(health["compositor"], json!({"kind": "cpu", "adapter": null}));
    face.shows.shutdown().await;
}

#[tokio::test]
async fn themes_are_listed_with_the_data_that_their_layers_take() {
    let face = Face::new().await;
    let list = face.get("/api/v1/themes").await.json();
    let themes = list["themes"].as_array().unwrap();
    let base = themes.iter().find(|theme| theme["name"] == "base").unwrap();
    let card = base["kinds"].as_array().unwrap().iter().find(|kind| kind["name"] == "card").unwrap();
    assert_eq!((&card["fields"]["title"], &card["fields"]["old_price"]), (&json!("text"), &json!("text?")));
    assert!(card["variants"].is_array() && base["title"].is_string());
    assert_eq!(list["problems"], json!([]));
    face.shows.shutdown().await;
}

#[tokio::test]
async fn the_document_describes_every_route() {
    let face = Face::new().await;
    let document = face.public(Method::GET, "/api/openapi.json").await.json();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    for path in [
        "/api/v1/shows",
        "/api/v1/shows/{show}",
        "/api/v1/shows/{show}/key",
        "/api/v1/shows/{show}/health",
        "/api/v1/shows/{show}/products",
        "/api/v1/shows/{show}/products/{product}",
        "/api/v1/shows/{show}/products/{product}/image",
        "/api/v1/shows/{show}/still",
        "/api/v1/shows/{show}/stage",
        "/api/v1/shows/{show}/stage/undo",
        "/api/v1/shows/{show}/stage/{layer}",
        "/api/v1/shows/{show}/cues",
        "/api/v1/shows/{show}/cues/{cue}",
        "/api/v1/shows/{show}/cues/{cue}/now",
        "/api/v1/themes",
        "/s/{show}/live.json",
        "/s/{show}/whep",
        "/s/{show}/whep/{resource}",
        "/s/{show}/whip",
        "/whip",
        "/whip/{resource}",
        "/healthz",
        "/metrics",
    ] {
        assert!(paths.iter().any(|described| *described == path), "{path} is not in {paths:?}");
    }
    let image = &document["paths"]["/api/v1/shows/{show}/products/{product}/image"];
    assert!(["get", "put", "delete"].iter().all(|method| image[method].is_object()), "{image}");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert!(document["components"]["schemas"]["Money"]["properties"]["minor"].is_object());
    let codes = document["components"]["schemas"]["Code"].to_string();
    assert!(codes.contains("keyframe-interval") && codes.contains("unsupported-codec"), "{codes}");
    face.shows.shutdown().await;
}
