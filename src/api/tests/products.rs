//! What is sold: prices, texts and pictures.

use super::*;

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
