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
async fn a_seller_puts_a_price_on_the_picture_and_buyers_read_it() {
    let face = Face::selling().await;
    let card = face.put("/api/v1/shows/demo/stage/card", json!({ "product": "lipstick" })).await;
    assert_eq!(card.status, 200, "{}", card.text());
    let card = card.json();
    assert_eq!((&card["rev"], &card["shown"]), (&json!(3), &json!(true)));
    assert!(card["media_time"].is_i64() && card["rtp"].is_u64());

    let countdown = json!({ "product": "lipstick", "price": { "minor": 990, "currency": "USD" }, "seconds": 60.5, "then": "sold_out", "label": "Flash" });
    let started = face.put("/api/v1/shows/demo/stage/countdown", countdown).await.json();
    assert_eq!(started["ends_at"], "2026-01-01T00:01:00.5Z");
    assert_eq!(started["ends_media_time"], 5_445_000);

    let live = face.public(Method::GET, "/s/demo/live.json").await;
    assert_eq!(live.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    let live = live.json();
    assert_eq!((&live["title"], &live["on_air"], &live["rev"]), (&json!("Evening sale"), &json!(false), &json!(4)));
    assert_eq!((&live["card"]["product"], &live["countdown"]["ended"]), (&json!("lipstick"), &json!(false)));
    let product = &live["products"][0];
    assert_eq!(live["products"].as_array().unwrap().len(), 1);
    assert_eq!((&product["price"]["minor"], &product["price_text"]), (&json!(990), &json!("$9.90")));
    assert_eq!((&product["regular"]["minor"], &product["discount"]), (&json!(2490), &json!("-60%")));
    assert_eq!((&product["price_text"], &product["regular_text"]), (&json!("$9.90"), &json!("$24.90")));

    // At zero the price that is read turns too, committed or not.
    face.clock.advance(Duration::from_millis(60_500));
    let live = face.public(Method::GET, "/s/demo/live.json").await.json();
    let product = &live["products"][0];
    assert_eq!((&product["price"]["minor"], &product["sold_out"]), (&json!(2490), &json!(true)));
    assert!(product.get("regular").is_none() && live["countdown"]["ended"] == true);

    assert_eq!(face.delete("/api/v1/shows/demo/stage/countdown").await.json()["rev"], 5);
    assert_eq!(face.delete("/api/v1/shows/demo/stage/card").await.json()["rev"], 6);
    let live = face.public(Method::GET, "/s/demo/live.json").await.json();
    assert_eq!((&live["card"], &live["countdown"], &live["products"]), (&Value::Null, &Value::Null, &json!([])));
    face.shows.shutdown().await;
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
async fn prices_are_written_in_the_shows_language() {
    let face = Face::selling().await;
    let show = face.get("/api/v1/shows/demo").await.json();
    assert_eq!((&show["locale"], &show["theme"]), (&json!("en"), &json!("boutique")));
    let body = json!({ "locale": "VI-vn", "theme": "flash" }).to_string();
    let show = face.ask(Method::PATCH, "/api/v1/shows/demo", body, "application/json").await.json();
    assert_eq!((&show["locale"], &show["theme"]), (&json!("vi-VN"), &json!("flash")));
    // A PUT that says nothing of them leaves them.
    let show = face.put("/api/v1/shows/demo", json!({ "title": "Tối nay" })).await.json();
    assert_eq!((&show["locale"], &show["theme"]), (&json!("vi-VN"), &json!("flash")));
    face.put("/api/v1/shows/demo/stage/card", json!({ "product": "lipstick" })).await;
    let live = face.public(Method::GET, "/s/demo/live.json").await.json();
    assert_eq!(live["products"][0]["price_text"], "24,90\u{A0}$");
    face.shows.shutdown().await;
}

#[tokio::test]
async fn pictures_are_taken_as_bytes_and_given_to_all() {
    let face = Face::selling().await;
    let image = "/api/v1/shows/demo/products/lipstick/image";
    assert_eq!(face.public(Method::GET, image).await.problem().1, "no-image");
    let bytes = png(64);
    let answer = face.ask(Method::PUT, image, bytes.clone(), "image/png").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let address = answer.json()["image"].as_str().unwrap().to_owned();
    let got = face.public(Method::GET, &address).await;
    assert_eq!((got.status, got.header(header::CONTENT_TYPE)), (StatusCode::OK, "image/jpeg"));
    assert_eq!(image::load_from_memory(&got.body).unwrap().width(), 64);
    // The same file again is the same picture, under the same address.
    assert_eq!(face.ask(Method::PUT, image, bytes.clone(), "image/png").await.json()["image"], address.as_str());
    let known =
        Request::get(&address).header(header::IF_NONE_MATCH, got.header(header::ETAG)).body(Body::empty()).unwrap();
    assert_eq!(face.send(known).await.status, 304);

    assert_eq!(
        face.ask(Method::PUT, image, "<svg/>", "image/png").await.problem(),
        (415, "image-format".into(), String::new())
    );
    assert_eq!(face.ask(Method::PUT, image, bytes[..40].to_vec(), "image/png").await.problem().1, "image-damaged");
    assert_eq!(face.ask(Method::PUT, image, vec![0; 100_001], "image/png").await.problem().0, 413);
    let nobody = "/api/v1/shows/demo/products/mug/image";
    assert_eq!(face.ask(Method::PUT, nobody, bytes, "image/png").await.problem().0, 404);
    // What was refused changed nothing.
    assert_eq!(face.get("/api/v1/shows/demo/products/lipstick").await.json()["image"], address.as_str());
    assert_eq!(face.delete(image).await.status, 204);
    assert_eq!(face.public(Method::GET, &address).await.status, 404);
    face.shows.shutdown().await;
}

#[tokio::test]
async fn a_picture_is_fetched_by_its_address_from_the_open_internet_only() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let shop = Router::new()
        .route("/a.png", get(|| std::future::ready(png(32))))
        .route("/huge.png", get(|| std::future::ready(vec![0; 100_001])));
    let shop = tokio::spawn(axum::serve(listener, shop).into_future());
    let nobody = |_, _| -> futures_util::future::BoxFuture<'static, _> { Box::pin(std::future::ready(Ok(vec![]))) };
    let face = Face::fetching(Fetcher::reaching(vec![at], Arc::new(nobody))).await.with_lipstick().await;
    let image = "/api/v1/shows/demo/products/lipstick/image";
    let put = |url: String| face.put(image, json!({ "url": url }));

    let answer = put(format!("http://{at}/a.png")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let address = answer.json()["image"].as_str().unwrap().to_owned();
    let got = face.public(Method::GET, &address).await;
    assert_eq!(image::load_from_memory(&got.body).unwrap().width(), 32);

    assert_eq!(put(format!("http://{at}/huge.png")).await.problem(), (413, "image-too-large".into(), "url".into()));
    assert_eq!(put(format!("http://{at}/none.png")).await.problem(), (422, "image-not-fetched".into(), "url".into()));
    for closed in ["http://127.0.0.1/a.png", "http://169.254.169.254/", "ftp://shop.example/a.png", "a.png"] {
        assert_eq!(put(closed.into()).await.problem(), (422, "image-address".into(), "url".into()), "{closed}");
    }
    assert_eq!(face.put(image, json!({ "uri": "x" })).await.problem(), (422, "invalid".into(), "uri".into()));
    assert_eq!(face.put(image, json!({ "url": "x".repeat(70_000) })).await.problem().0, 413);
    assert_eq!(face.get("/api/v1/shows/demo/products/lipstick").await.json()["image"], address.as_str());
    shop.abort();
    face.shows.shutdown().await;
}

#[tokio::test]
async fn characters_that_no_font_has_are_told_when_a_text_is_put() {
    let face = Face::selling().await;
    let product = "/api/v1/shows/demo/products/lipstick";
    let titled = |title: &str| json!({ "title": title, "price": { "minor": 2490, "currency": "USD" } });
    assert!(face.put(product, titled("Son môi Ồ")).await.json()["warnings"].is_null());
    // Devanagari, which no font that is looked for here has.
    let warning = face.put(product, titled("Lipstick \u{905}\u{906}")).await.json()["warnings"][0].clone();
    assert_eq!((&warning["type"], &warning["characters"]), (&json!("missing-glyphs"), &json!("\u{905}\u{906}")));
    assert!(warning["detail"].as_str().unwrap().contains("`fonts`"), "{warning}");
    assert!(face.get("/api/v1/shows/demo/health").await.json()["warnings"].is_null(), "it is not on the picture");
    face.put("/api/v1/shows/demo/stage/card", json!({ "product": "lipstick" })).await;
    assert_eq!(face.get("/api/v1/shows/demo/health").await.json()["warnings"][0], warning);
    // Other words are told when they are put, and when their cue is.
    face.delete("/api/v1/shows/demo/stage/card").await;
    let banner = json!({ "title": "Sale \u{905}\u{906}" });
    assert_eq!(face.put("/api/v1/shows/demo/stage/banner", banner.clone()).await.json()["warnings"][0], warning);
    assert_eq!(face.get("/api/v1/shows/demo/health").await.json()["warnings"][0], warning);
    let cue = json!({ "at_media": 900_000_000, "changes": [{ "put": "banner", "value": banner }] });
    assert_eq!(face.post("/api/v1/shows/demo/cues", cue).await.json()["warnings"][0], warning);
    face.shows.shutdown().await;
}

#[tokio::test]
async fn products_on_the_picture_and_prices_held_stay() {
    let face = Face::selling().await;
    face.put("/api/v1/shows/demo/stage/card", json!({ "product": "lipstick" })).await;
    let product = "/api/v1/shows/demo/products/lipstick";
    assert_eq!(face.delete(product).await.problem(), (409, "on-stage".into(), "product".into()));
    let countdown = json!({ "product": "lipstick", "price": { "minor": 990, "currency": "USD" }, "ends_at": "2026-01-01T01:00:00Z", "then": "revert" });
    assert_eq!(face.put("/api/v1/shows/demo/stage/countdown", countdown).await.status, 200);
    let dearer = json!({ "title": "Lipstick", "price": { "minor": 9990, "currency": "USD" } });
    assert_eq!(face.put(product, dearer).await.problem(), (409, "price-held".into(), "price".into()));
    face.delete("/api/v1/shows/demo/stage/card").await;
    face.delete("/api/v1/shows/demo/stage/countdown").await;
    assert_eq!(face.delete(product).await.status, 204);
    assert_eq!(face.get("/api/v1/shows/demo/products").await.json(), json!({ "products": [] }));
    assert_eq!(face.delete("/api/v1/shows/demo").await.status, 204);
    assert_eq!(face.public(Method::GET, "/s/demo/live.json").await.status, 404);
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
async fn a_still_shows_the_stage_at_any_moment() {
    let face = Face::selling().await;
    let still = async |query: &str| {
        let answer = face.get(&format!("/api/v1/shows/demo/still?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let picture = image::load_from_memory(&answer.body).unwrap().into_rgb8();
        (answer, picture)
    };
    // Before the first publisher the welcome is all there is.
    let (answer, welcome) = still("width=320").await;
    assert_eq!((answer.header(header::CONTENT_TYPE), answer.header(header::CACHE_CONTROL)), ("image/png", "no-store"));
    assert_eq!((answer.headers["hawker-rev"].to_str().unwrap(), welcome.dimensions()), ("2", (320, 180)));

    // Over what comes in: a grey picture, with a card and a countdown that turn at its end.
    let stages = rehearsal::stages(&face.shows.get(&show_id("demo").unwrap()).unwrap());
    let mut grey = Pool::new(Resolution::new(1280, 720)).take(Colour::BT709);
    grey.fill([126, 128, 128]);
    *stages.picture.lock().unwrap() = Some(grey.freeze());
    stages.go_on_air(true);
    let (_, bare) = still("format=webp").await;
    assert_eq!(bare.dimensions(), (1280, 720));
    assert!(bare.pixels().all(|pixel| pixel == &image::Rgb([128; 3])), "the stage is empty");
    face.put("/api/v1/shows/demo/stage/card", json!({ "product": "lipstick" })).await;
    let countdown =
        json!({ "product": "lipstick", "price": { "minor": 990, "currency": "USD" }, "seconds": 60, "then": "revert" });
    let started = face.put("/api/v1/shows/demo/stage/countdown", countdown).await.json();
    let ends = started["ends_media_time"].as_i64().unwrap();
    let (_, now) = still("").await;
    assert!(now != bare);
    let (before, running) = still(&format!("at={}", ends - 1)).await;
    let (_, over) = still(&format!("at={ends}")).await;
    assert_eq!(before.headers["hawker-media-time"], (ends - 1).to_string());
    assert!(running != now && running != over, "digits, then the price");
    // The old look fades away over the new one.
    let later = still(&format!("at={}", ends + 90_000)).await.1;
    assert!(later != over && later == still(&format!("at={}", ends + 90_000_000)).await.1);

    // A cue that waits is there at its moment; one that was not given yet can be looked at before.
    let banner = json!({ "put": "banner", "value": { "title": "Now half price" } });
    let at_media = ends + 900_000;
    let tried = async |body: Value| {
        let path = "/api/v1/shows/demo/still";
        let answer = face.post(path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        image::load_from_memory(&answer.body).unwrap().into_rgb8()
    };
    let preview = tried(json!({ "at_media": at_media, "changes": [banner] })).await;
    assert!(preview != later);
    assert!(tried(json!({ "changes": [{ "delete": "card" }] })).await != running);
    assert!(still(&format!("at={at_media}")).await.1 == later, "nothing was changed");
    face.post("/api/v1/shows/demo/cues", json!({ "at_media": at_media, "changes": [banner] })).await;
    assert!(still(&format!("at={at_media}")).await.1 == preview);
    // Whatever fraction of a tick its time has.
    let show = face.shows.get(&show_id("demo").unwrap()).unwrap();
    let beyond = show.wall_at(MediaTime::from_ticks(at_media + 900_000)).as_nanosecond();
    for nanos in [1, 3_000, 5_000, 8_000, 11_000] {
        let at = jiff::Timestamp::from_nanosecond(beyond + nanos).unwrap().to_string();
        let cue =
            face.post("/api/v1/shows/demo/cues", json!({ "at": at, "changes": [{ "delete": "banner" }] })).await.json();
        assert!(still(&format!("at={}", cue["at_media"])).await.1 == later, "{cue}");
        face.delete(&format!("/api/v1/shows/demo/cues/{}", cue["id"].as_str().unwrap())).await;
    }
    assert!(still(&format!("at={}", at_media - 90_000)).await.1 == later);
    face.clock.advance(Duration::from_secs(1));
    for (body, status, field) in [
        (json!({ "at_media": 1, "changes": [banner] }), 422, "at_media"),
        (json!({ "changes": [{ "put": "card", "value": { "product": "nobody" } }] }), 422, "changes[0].value.product"),
        (json!({ "changes": [] }), 422, "changes"),
    ] {
        let answer = face.post("/api/v1/shows/demo/still", body).await.problem();
        assert_eq!((answer.0, &*answer.2), (status, field));
    }

    for (query, status, field) in [
        ("at=-1", 422, "at"),
        ("at=9223372036854775807", 422, "at"),
        ("at=soon", 400, ""),
        ("width=0", 422, "width"),
        ("format=gif", 400, ""),
        ("size=3", 400, ""),
    ] {
        let answer = face.get(&format!("/api/v1/shows/demo/still?{query}")).await.problem();
        assert_eq!((answer.0, &*answer.2), (status, field), "{query}");
    }
    assert_eq!(face.get("/api/v1/shows/nobody/still").await.problem().0, 404);
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
async fn every_layer_of_the_stage_is_put_told_and_taken_off() {
    let face = Face::selling().await;
    let lipstick =
        json!({ "title": "Lipstick", "price": { "minor": 2490, "currency": "USD" }, "stock": 12, "sold": 318 });
    face.put("/api/v1/shows/demo/products/lipstick", lipstick.clone()).await;
    assert_eq!(face.get("/api/v1/shows/demo/products/lipstick").await.json()["sold"], 318);
    let usd = |minor: i64| json!({ "minor": minor, "currency": "USD" });
    let product = json!({ "product": "lipstick" });
    let ladder = json!({ "product": "lipstick", "steps": [
        { "price": usd(1990), "after_seconds": 0 }, { "price": usd(990), "at": "2026-01-01T00:01:00Z" }
    ] });
    let laid = json!({ "product": "lipstick", "label": null, "price": usd(1990), "steps": [
        { "price": usd(1990), "at": "2026-01-01T00:00:00Z" }, { "price": usd(990), "at": "2026-01-01T00:01:00Z" }
    ] });
    for (layer, put, told) in [
        ("card", product.clone(), product.clone()),
        ("ladder", ladder, laid),
        ("stock", product.clone(), json!({ "product": "lipstick", "left": 12, "total": 12 })),
        ("sold", product.clone(), json!({ "product": "lipstick", "sold": 318 })),
        ("ticker", json!({ "items": ["One", "Two"] }), json!({ "items": ["One", "Two"] })),
        (
            "coupon",
            json!({ "code": "LIVE20", "text": "20 % off" }),
            json!({ "code": "LIVE20", "text": "20 % off", "note": null }),
        ),
        ("banner", json!({ "title": "Hello" }), json!({ "title": "Hello", "text": null })),
        ("sold_out", product.clone(), product.clone()),
        ("queue", json!({ "products": ["lipstick"] }), json!({ "products": ["lipstick"] })),
        ("watermark", json!({}), json!({ "text": null })),
    ] {
        let path = format!("/api/v1/shows/demo/stage/{layer}");
        assert_eq!(face.get(&path).await.problem().1, "empty-layer");
        let answer = face.put(&path, put).await;
        assert_eq!(answer.status, 200, "{layer}: {}", answer.text());
        assert_eq!(answer.header(header::ETAG), format!("\"{}\"", answer.json()["rev"]));
        assert_eq!(face.get(&path).await.json(), told, "{layer}");
    }
    let stage = face.get("/api/v1/shows/demo/stage").await;
    assert_eq!((&stage.json()["rev"], stage.header(header::ETAG)), (&json!(13), "\"13\""));
    assert_eq!(stage.json().as_object().unwrap().len(), 12, "ten layers, the countdown's place and the revision");
    let live = face.public(Method::GET, "/s/demo/live.json").await.json();
    assert_eq!(
        (&live["products"][0]["price"]["minor"], &live["ladder"]["product"]),
        (&json!(1990), &json!("lipstick"))
    );
    assert_eq!(face.delete("/api/v1/shows/demo/products/lipstick").await.problem().1, "on-stage");
    for layer in crate::show::Layer::ALL {
        assert_eq!(face.delete(&format!("/api/v1/shows/demo/stage/{layer}")).await.status, 200);
    }
    assert_eq!(
        face.get("/api/v1/shows/demo/stage").await.json(),
        json!({ "rev": 23, "card": null, "countdown": null })
    );
    face.shows.shutdown().await;
}

#[tokio::test]
async fn what_a_layer_does_not_take_is_named_by_its_field() {
    let face = Face::selling().await;
    let usd = |minor: i64| json!({ "minor": minor, "currency": "USD" });
    let ladder = |steps: Value| json!({ "product": "lipstick", "steps": steps });
    let step = |minor: i64, seconds: i64| json!({ "price": usd(minor), "after_seconds": seconds });
    for (layer, body, status, kind, field) in [
        ("ticker", json!({ "items": [] }), 422, "item-count", "items"),
        ("ticker", json!({ "items": ["x".repeat(141)] }), 422, "invalid", "items[0]"),
        ("ticker", json!({ "items": ["two\nlines"] }), 422, "invalid", "items[0]"),
        ("coupon", json!({ "code": "x".repeat(25), "text": "y" }), 422, "invalid", "code"),
        ("banner", json!({ "titel": "x" }), 422, "invalid", "titel"),
        ("banner", json!({ "title": "x", "for_seconds": 0.5 }), 422, "invalid", "for_seconds"),
        ("banner", json!({ "title": "x", "for_seconds": -1 }), 422, "invalid", "for_seconds"),
        ("banner", json!({ "title": "x", "at": "2025-12-31T00:00:00Z" }), 422, "past", "at"),
        ("banner", json!({ "title": "x", "at_media": -1 }), 422, "past", "at_media"),
        ("banner", json!({ "title": "x", "at": "2026-02-01T00:00:00Z" }), 422, "too-late", "at"),
        ("banner", json!({ "title": "x", "at": "2026-01-01T00:01:00Z", "at_media": 1 }), 422, "two-times", "at_media"),
        ("stock", json!({ "product": "lipstick" }), 409, "uncounted", "product"),
        ("sold", json!({ "product": "lipstick", "count": 1000 }), 422, "invalid", "count"),
        ("queue", json!({ "products": ["lipstick", "lipstick"] }), 422, "named-twice", "products"),
        ("queue", json!({ "products": ["mug"] }), 422, "unknown-product", "product"),
        ("ladder", ladder(json!([])), 422, "step-count", "steps"),
        ("ladder", ladder(json!([step(990, 0), step(1990, 9)])), 422, "not-lower", "steps"),
        ("ladder", ladder(json!([step(1990, 9), step(990, 9)])), 422, "too-soon", "steps"),
        ("ladder", ladder(json!([{ "price": usd(990) }])), 422, "no-time", "steps[0].at"),
        ("fireworks", json!({}), 404, "unknown-layer", "layer"),
    ] {
        let answer = face.put(&format!("/api/v1/shows/demo/stage/{layer}"), body.clone()).await;
        assert_eq!(answer.problem(), (status, kind.into(), field.into()), "{layer} {body}: {}", answer.text());
    }
    assert_eq!(face.get("/api/v1/shows/demo/stage").await.json()["rev"], 2);
    face.shows.shutdown().await;
}

#[tokio::test]
async fn cues_wait_are_told_taken_back_and_let_go() {
    let face = Face::selling().await;
    let (cues, post) = ("/api/v1/shows/demo/cues", Method::POST);
    let at = "2026-01-01T00:10:00Z";
    let changes = json!([
        { "put": "card", "value": { "product": "lipstick", "for_seconds": 30.0 } },
        { "put": "countdown", "value": { "product": "lipstick", "price": { "minor": 990, "currency": "USD" }, "seconds": 60.0, "then": "revert" } },
        { "delete": "banner" },
    ]);
    let json = "application/json";
    let body = json!({ "at": at, "label": "Opening", "changes": changes }).to_string();
    let made = face.ask(post.clone(), cues, body, json).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let cue = made.json();
    assert_eq!((&cue["at"], &cue["at_media"], &cue["label"]), (&json!(at), &json!(54_000_000), &json!("Opening")));
    assert_eq!(cue["changes"], changes);
    let banner = json!({ "title": "Soon", "at_media": 27_000_000 });
    let waits = face.put("/api/v1/shows/demo/stage/banner", banner).await;
    assert_eq!((waits.status, &waits.json()["shown"]), (StatusCode::ACCEPTED, &json!(false)));
    let listed = face.get(cues).await.json();
    let ids: Vec<_> =
        listed["cues"].as_array().unwrap().iter().map(|cue| cue["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ids.len(), &listed["cues"][1], &listed["rev"]), (2, &cue, &json!(2)));
    assert_eq!(listed["cues"][0]["at"], "2026-01-01T00:05:00Z");
    assert_eq!(face.delete(&format!("{cues}/{}", ids[0])).await.status, 204);
    assert_eq!(face.delete(&format!("{cues}/{}", ids[0])).await.problem(), (404, "unknown-cue".into(), "cue".into()));
    assert_eq!(face.delete("/api/v1/shows/demo/products/lipstick").await.problem().1, "in-cue");

    let now = face.ask(post.clone(), &format!("{cues}/{}/now", ids[1]), "", json).await;
    assert_eq!(
        (now.status, &now.json()["rev"], &now.json()["ends_at"]),
        (StatusCode::OK, &json!(3), &json!("2026-01-01T00:01:00Z"))
    );
    assert_eq!(face.get("/api/v1/shows/demo/stage/card").await.json()["until"], "2026-01-01T00:00:30Z");
    assert_eq!(face.get(cues).await.json()["cues"], json!([]));

    // Together and at once.
    let together = json!({ "changes": [{ "delete": "card" }, { "put": "banner", "value": { "title": "Bye" } }] });
    let together = face.ask(post.clone(), cues, together.to_string(), json).await;
    assert_eq!((together.status, &together.json()["rev"]), (StatusCode::OK, &json!(4)));
    for (changes, kind, field) in [
        (json!([]), "change-count", "changes"),
        (json!([{ "put": "card" }]), "invalid", "changes[0].put"),
        (json!([{ "put": "fireworks", "value": {} }]), "invalid", "changes[0].put"),
        (
            json!([{ "delete": "card" }, { "put": "card", "value": { "product": "lipstick", "colour": 1 } }]),
            "invalid",
            "changes[1].value.colour",
        ),
        (
            json!([{ "put": "card", "value": { "product": "lipstick", "at_media": 1 } }]),
            "two-times",
            "changes[0].value",
        ),
        (json!([{ "delete": "card" }, { "delete": "card" }]), "changed-twice", "changes"),
    ] {
        let body = json!({ "at": at, "changes": changes });
        let answer = face.ask(post.clone(), cues, body.to_string(), json).await;
        assert_eq!(answer.problem(), (422, kind.into(), field.into()), "{body}: {}", answer.text());
    }
    face.shows.shutdown().await;
}

#[tokio::test]
async fn the_last_change_of_the_stage_is_taken_back() {
    let face = Face::selling().await;
    let undo = async || face.ask(Method::POST, "/api/v1/shows/demo/stage/undo", "", "application/json").await;
    assert_eq!(undo().await.problem(), (409, "nothing-to-undo".into(), String::new()));
    face.put("/api/v1/shows/demo/stage/card", json!({ "product": "lipstick" })).await;
    face.delete("/api/v1/shows/demo/stage/card").await;
    let undone = undo().await.json();
    assert_eq!((&undone["rev"], &undone["shown"]), (&json!(5), &json!(true)));
    assert_eq!(undone["undone"], json!({ "rev": 4, "put": [], "deleted": ["card"], "not_restored": [] }));
    assert_eq!(face.get("/api/v1/shows/demo/stage").await.json()["card"]["product"], "lipstick");
    assert_eq!(undo().await.json()["undone"]["put"], json!(["card"]));
    assert_eq!(face.get("/api/v1/shows/demo/stage").await.json()["card"], Value::Null);
    face.shows.shutdown().await;
}

#[tokio::test]
async fn of_two_operators_the_second_is_told_what_the_first_did() {
    let face = Face::selling().await;
    let card = json!({ "product": "lipstick" });
    let path = "/api/v1/shows/demo/stage/card?expect=2";
    assert_eq!(face.put(path, card.clone()).await.status, 200);
    let late = face.delete(path).await;
    assert_eq!(
        (late.problem(), &late.json()["current_rev"]),
        ((409, "other-revision".into(), String::new()), &json!(3))
    );
    let product = json!({ "title": "Other", "price": { "minor": 1, "currency": "USD" } });
    assert_eq!(face.put("/api/v1/shows/demo/products/lipstick?expect=2", product.clone()).await.status, 409);
    for path in ["products/lipstick?expect=2", "products/lipstick/image?expect=2"] {
        assert_eq!(face.delete(&format!("/api/v1/shows/demo/{path}")).await.problem().1, "other-revision", "{path}");
    }
    let image = face.ask(Method::PUT, "/api/v1/shows/demo/products/lipstick/image?expect=2", png(8), "image/png").await;
    assert_eq!(image.problem().1, "other-revision");
    let undo = face.ask(Method::POST, "/api/v1/shows/demo/stage/undo?expect=2", "", "application/json").await;
    assert_eq!(undo.status, 409);
    let cue = json!({ "at": "2026-01-01T00:10:00Z", "changes": [{ "delete": "card" }] }).to_string();
    assert_eq!(face.ask(Method::POST, "/api/v1/shows/demo/cues?expect=2", cue, "application/json").await.status, 409);
    assert_eq!(
        face.delete("/api/v1/shows/demo/stage/card?expect=x").await.problem(),
        (400, "unreadable".into(), "expect".into())
    );
    // HTTP's own way has its own status.
    let matched = async |tag: &str| {
        let request = authorized(Method::DELETE, "/api/v1/shows/demo/stage/card").header(header::IF_MATCH, tag);
        face.send(request.body(Body::empty()).unwrap()).await
    };
    let late = matched("\"2\"").await;
    assert_eq!((late.problem().0, &late.json()["current_rev"]), (412, &json!(3)));
    assert_eq!(matched("W/\"3\"").await.problem().0, 400);
    assert_eq!(face.get("/api/v1/shows/demo/stage").await.json()["rev"], 3, "nothing was changed");
    let matching = matched(face.get("/api/v1/shows/demo/stage").await.header(header::ETAG)).await;
    assert_eq!((matching.status, matching.header(header::ETAG)), (StatusCode::OK, "\"4\""));
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
