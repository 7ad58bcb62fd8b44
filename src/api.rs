//! (stub)
use std::sync::Arc;
use std::net::{IpAddr, Ipv4Addr};
use axum::{Router, routing::{get,post}, extract::{Path,State}, response::{IntoResponse,Response}};
use crate::{show::{Shows,ShowId}, config::Secret};
#[derive(Clone)] pub struct Api { shows: Arc<Shows> }
impl Api { pub fn new(shows: Arc<Shows>, _t: Secret, _m: usize) -> Api { Api{shows} } }
async fn whep(State(api): State<Api>, Path(show): Path<String>, body: String) -> Response {
    let Ok(show) = api.shows.get(&ShowId::parse(&show).unwrap()) else { return axum::http::StatusCode::NOT_FOUND.into_response() };
    let d = api.shows.deliver().clone();
    let r = tokio::task::spawn_blocking(move || d.join(show.feed(), &body, IpAddr::V4(Ipv4Addr::LOCALHOST))).await.unwrap();
    match r { Ok(j) => (axum::http::StatusCode::CREATED, [("content-type","application/sdp".to_string()),("location",format!("whep/{}",j.resource))], j.answer).into_response(), Err(e) => (axum::http::StatusCode::BAD_REQUEST, e.to_string()).into_response() }
}
async fn health(State(api): State<Api>, Path(show): Path<String>) -> Response {
    axum::Json(api.shows.get(&ShowId::parse(&show).unwrap()).unwrap().health()).into_response()
}
pub fn router(api: Api) -> Router { Router::new().route("/healthz", get(|| async {"ok"})).route("/s/{show}/whep", post(whep)).route("/health/{show}", get(health)).with_state(api) }
