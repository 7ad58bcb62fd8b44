//! The stage, its cues and its stills.

use super::*;

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
