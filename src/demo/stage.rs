//! What the sample show sells, and the run of its evening: a product comes on the card, its price countdown runs to zero,
//! the regular price stands again for a moment, the next product comes.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::ServiceExt;

use super::SHOW;
use crate::config::Secret;

/// Fills the catalog, then runs countdowns one after another until dropped. When somebody else changes the card, the stage is
/// theirs, until they take their card down.
pub(super) async fn run(api: &Api) {
    if let Err(refusal) = furnish(api).await {
        tracing::warn!(%refusal, "the sample products cannot be put up");
        return;
    }
    for product in PRODUCTS.iter().cycle() {
        while let Err(refusal) = present(api, product).await {
            tracing::warn!(%refusal, "the sample stage cannot be set; trying again");
            sleep(AFTER_REFUSAL).await;
        }
        sleep(COUNTDOWN + BREATH).await;
        while api.card().await.is_some_and(|card| card != product.id) {
            sleep(AFTER_REFUSAL).await;
        }
    }
}

async fn furnish(api: &Api) -> Result<(), Refusal> {
    for product in PRODUCTS {
        let path = format!("/api/v1/shows/{SHOW}/products/{}", product.id);
        let body = json!({ "title": product.title, "price": money(product.price), "url": product.url });
        api.put(&path, body).await?;
        api.send(Method::PUT, &format!("{path}/image"), "image/jpeg", product.picture.into()).await?;
    }
    Ok(())
}

async fn present(api: &Api, product: &Product) -> Result<(), Refusal> {
    api.put(&format!("/api/v1/shows/{SHOW}/stage/card"), json!({ "product": product.id })).await?;
    let countdown = json!({
        "product": product.id,
        "price": money(product.deal),
        "seconds": COUNTDOWN.as_secs(),
        "then": "revert",
        "label": "Live price",
    });
    api.put(&format!("/api/v1/shows/{SHOW}/stage/countdown"), countdown).await
}

fn money(minor: u32) -> Value {
    json!({ "minor": minor, "currency": "USD" })
}

/// The server's HTTP API, called in the same process.
pub(super) struct Api {
    http: Router,
    admin: Secret,
}

impl Api {
    pub(super) fn new(http: Router, admin: Secret) -> Api {
        Api { http, admin }
    }

    /// Whether anybody publishes to the show.
    pub(super) async fn on_air(&self) -> bool {
        self.live().await.is_some_and(|live| live["on_air"] == true)
    }

    /// The product on the card now.
    async fn card(&self) -> Option<String> {
        self.live().await?["card"]["product"].as_str().map(str::to_owned)
    }

    async fn live(&self) -> Option<Value> {
        let body =
            self.send(Method::GET, &format!("/s/{SHOW}/live.json"), "application/json", Body::empty()).await.ok()?;
        serde_json::from_slice(&body).ok()
    }

    async fn put(&self, path: &str, body: Value) -> Result<(), Refusal> {
        self.send(Method::PUT, path, "application/json", body.to_string().into()).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: Body) -> Result<Vec<u8>, Refusal> {
        let refuse = |reason: String| Refusal { path: path.to_owned(), reason };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.admin.expose()))
            .header(header::CONTENT_TYPE, kind)
            .body(body)
            .map_err(|error| refuse(error.to_string()))?;
        let response = match self.http.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let body = to_bytes(response.into_body(), ANSWER_LIMIT).await.map_err(|error| refuse(error.to_string()))?;
        match status {
            StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(body.into()),
            _ => Err(refuse(format!("{status}: {}", String::from_utf8_lossy(&body)))),
        }
    }
}

/// A request of ours that the API did not take.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub(super) struct Refusal {
    path: String,
    reason: String,
}

struct Product {
    id: &'static str,
    title: &'static str,
    /// US cents.
    price: u32,
    deal: u32,
    url: &'static str,
    picture: &'static [u8],
}

const PRODUCTS: [Product; 3] = [
    Product {
        id: "lipstick",
        title: "Velvet Matte Lipstick, Rosewood",
        price: 24_90,
        deal: 9_90,
        url: "https://example.com/velvet-matte-lipstick",
        picture: include_bytes!("../../samples/products/lipstick.jpg"),
    },
    Product {
        id: "weekender",
        title: "Linen Weekender Bag, Sand",
        price: 68_00,
        deal: 39_00,
        url: "https://example.com/linen-weekender",
        picture: include_bytes!("../../samples/products/weekender.jpg"),
    },
    Product {
        id: "candle",
        title: "Amber & Fig Candle, 220 g",
        price: 29_00,
        deal: 17_50,
        url: "https://example.com/amber-fig-candle",
        picture: include_bytes!("../../samples/products/candle.jpg"),
    },
];

const COUNTDOWN: Duration = Duration::from_secs(60);
/// How long the regular price stands after zero, for everybody to see that it came back.
const BREATH: Duration = Duration::from_secs(8);
const AFTER_REFUSAL: Duration = Duration::from_secs(3);
const ANSWER_LIMIT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::extract::Request as Received;
    use axum::response::IntoResponse;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn products_come_on_stage_in_turn_with_a_countdown_each() {
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = calls.clone();
        let http = Router::new().fallback(move |request: Received| {
            let seen = seen.clone();
            async move {
                assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer secret");
                seen.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
                "{}".into_response()
            }
        });
        let api = Api::new(http, Secret::from("secret"));
        let two_rounds = COUNTDOWN + BREATH + Duration::from_secs(1);
        assert!(tokio::time::timeout(two_rounds, run(&api)).await.is_err());
        let calls = calls.lock().unwrap();
        let count = |call: &str| calls.iter().filter(|seen| seen.as_str() == call).count();
        assert_eq!(count("PUT /api/v1/shows/demo/products/candle/image"), 1);
        assert_eq!(count("PUT /api/v1/shows/demo/stage/card"), 2);
        assert_eq!(count("PUT /api/v1/shows/demo/stage/countdown"), 2);
    }

    #[tokio::test]
    async fn a_refusal_says_what_the_api_said() {
        let http = Router::new().fallback(async || (StatusCode::CONFLICT, "the show is gone"));
        let refusal = Api::new(http, Secret::from("secret")).put("/x", json!({})).await.unwrap_err().to_string();
        assert!(refusal.contains("409") && refusal.contains("the show is gone"), "{refusal}");
    }
}
