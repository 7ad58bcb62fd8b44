//! The seller's hand: the JSON API, as an integration would call it.

use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use super::hawker::SHOW;

#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: Url,
    token: String,
}

/// A change of the stage, as the server answered it.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct Change {
    pub rev: u64,
    /// The first frame that shows it: 90 kHz ticks since the show's epoch.
    pub media_time: i64,
    /// The same frame's RTP timestamp, the same for every viewer.
    pub rtp: u32,
    /// Of a countdown: the RTP timestamp at which it is zero.
    pub ends_rtp: Option<u32>,
}

impl Change {
    /// Whether a frame is late enough to show it.
    pub fn holds_at(&self, rtp: u32) -> bool {
        rtp.wrapping_sub(self.rtp) as i32 >= 0
    }

    /// Ticks until the countdown's zero at a frame; negative after it.
    pub fn left_at(&self, rtp: u32) -> i64 {
        let ends = self.ends_rtp.expect("the change is a countdown");
        i64::from(ends.wrapping_sub(rtp) as i32)
    }
}

impl Api {
    pub fn new(base: Url, token: &str) -> Api {
        Api { http: reqwest::Client::new(), base, token: token.to_owned() }
    }

    /// Any request with the admin token; status and body.
    pub async fn request(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, self.url(path)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// A request with a body that is not JSON.
    pub async fn send(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> (StatusCode, Value) {
        let request = self.http.request(method, self.url(path)).bearer_auth(&self.token);
        answer(request.header("content-type", kind).body(body)).await
    }

    /// A request that must succeed.
    pub async fn must(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.request(method.clone(), path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer:#}");
        answer
    }

    /// Puts a product into the catalogue: `price` in minor units of US dollars.
    pub async fn product(&self, id: &str, title: &str, price: u64) {
        let body = json!({ "title": title, "price": { "minor": price, "currency": "USD" } });
        self.must(Method::PUT, &format!("/api/v1/shows/{SHOW}/products/{id}"), Some(body)).await;
    }

    pub async fn photo(&self, id: &str, kind: &str, bytes: Vec<u8>) {
        let path = format!("/api/v1/shows/{SHOW}/products/{id}/image");
        let (status, answer) = self.send(Method::PUT, &path, kind, bytes).await;
        assert!(status.is_success(), "PUT {path}: {status} {answer:#}");
    }

    pub async fn card(&self, product: &str) -> Change {
        self.stage(Method::PUT, "card", Some(json!({ "product": product }))).await
    }

    /// A price that holds for `seconds`, then `then` (`revert` or `sold_out`).
    pub async fn countdown(&self, product: &str, price: u64, seconds: f64, then: &str) -> Change {
        let price = json!({ "minor": price, "currency": "USD" });
        let body = json!({ "product": product, "price": price, "seconds": seconds, "then": then });
        self.stage(Method::PUT, "countdown", Some(body)).await
    }

    pub async fn remove(&self, layer: &str) -> Change {
        self.stage(Method::DELETE, layer, None).await
    }

    async fn stage(&self, method: Method, layer: &str, body: Option<Value>) -> Change {
        let path = format!("/api/v1/shows/{SHOW}/stage/{layer}");
        let answer = self.must(method.clone(), &path, body).await;
        serde_json::from_value(answer.clone()).unwrap_or_else(|error| panic!("{method} {path}: {error} in {answer:#}"))
    }

    pub async fn show(&self) -> Value {
        self.must(Method::GET, &format!("/api/v1/shows/{SHOW}"), None).await
    }

    pub async fn health(&self) -> Value {
        self.must(Method::GET, &format!("/api/v1/shows/{SHOW}/health"), None).await
    }

    /// The sum of a Prometheus metric (without its prefix `hawker_`) over its labels; none when the server does not have it.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let (text, name) = (self.metrics().await, format!("hawker_{name}"));
        let values: Vec<f64> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&name))
            .filter(|rest| rest.starts_with(['{', ' ']))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    pub async fn metrics(&self) -> String {
        let response = self.http.get(self.url("/metrics")).send().await.expect("/metrics answers");
        response.text().await.expect("/metrics is text")
    }

    pub fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("a path joins to a URL")
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap_or_else(|error| panic!("no answer: {error}"));
    let status = response.status();
    let body = response.text().await.unwrap_or_else(|error| panic!("no body: {error}"));
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}
