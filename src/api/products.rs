//! What a show sells, and the pictures of it.

use std::sync::Arc;

use axum::Json;
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Operator;
use super::body::Body;
use super::expect::{Expect, Expected, Tagged};
use super::warnings::{self, Warning};
use super::{Api, Problem};
use crate::commerce::catalog::{self, ImageHash, Item, ProductId, WebUrl};
use crate::commerce::line::Title;
use crate::commerce::money::Money;
use crate::overlay::{Photo, PhotoError};
use crate::show::state::Refused;
use crate::show::{self, Command, Handle};

/// An amount of money: `{"minor": 2490, "currency": "USD"}` is $24.90.
#[derive(ToSchema)]
#[schema(as = Money)]
#[expect(dead_code, reason = "describes commerce::Money to OpenAPI")]
pub(super) struct MoneyBody {
    /// In the currency's minor unit: cents, or whole yen.
    #[schema(minimum = 0)]
    minor: i64,
    /// ISO 4217.
    currency: String,
}

/// A product as it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductPut {
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Title,
    /// The regular price. A countdown sets a lower one for a while.
    #[schema(value_type = MoneyBody)]
    price: Money,
    /// How many are left; not counted when absent. Zero is sold out.
    #[serde(default)]
    stock: Option<u32>,
    /// How many the shop has sold, by its own count; not counted when absent. The picture's sold counter shows this number.
    #[serde(default)]
    sold: Option<u32>,
    /// Where the buyer finds it: http or https.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    url: Option<WebUrl>,
}

/// A product as it is.
#[derive(Serialize, ToSchema)]
pub(super) struct Product {
    id: String,
    #[schema(value_type = String)]
    title: Title,
    #[schema(value_type = MoneyBody)]
    price: Money,
    stock: Option<u32>,
    sold: Option<u32>,
    #[schema(value_type = Option<String>)]
    url: Option<WebUrl>,
    /// Where its picture is, if it has one.
    image: Option<String>,
    /// What is on the picture only in part: characters that no font has. Told by the PUT.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

/// A picture by its address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageUrl {
    /// `https://` or `http://`, on the open internet.
    url: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct List {
    products: Vec<Product>,
}

impl Product {
    fn of(show: &Handle, id: &ProductId, item: &Item) -> Product {
        let catalog::Product { title, price, stock, sold, url } = item.product.clone();
        let (image, warnings) = (image_path(show, id, item), vec![]);
        Product { id: id.to_string(), title, price, stock, sold, url, image, warnings }
    }
}

/// The public address of a product's picture. It changes with the picture, so that it may be kept for good.
pub(super) fn image_path(show: &Handle, id: &ProductId, item: &Item) -> Option<String> {
    let version = item.image?.to_string();
    Some(format!("/api/v1/shows/{}/products/{id}/image?v={}", show.id(), &version[..16]))
}

fn product_id(id: &str) -> Result<ProductId, Problem> {
    ProductId::parse(id).map_err(|error| Problem::unreadable(error).in_field("product"))
}

fn unknown(id: &ProductId) -> Problem {
    show::Error::Refused(Refused::UnknownProduct { seen: id.clone() }).into()
}

/// Every product of a show, by id.
#[utoipa::path(get, path = "/shows/{show}/products", tag = "products", security(("bearer" = [])),
    params(("show" = String, Path)),
    responses(
        (status = 200, body = List),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
) -> Result<Json<List>, Problem> {
    let show = api.show(&show)?;
    let state = show.state();
    Ok(Json(List { products: state.catalog.iter().map(|(id, item)| Product::of(&show, id, item)).collect() }))
}

/// Puts a product into the catalog, or changes it. Its picture stays. The answer's ETag is the show's revision.
#[utoipa::path(put, path = "/shows/{show}/products/{product}", tag = "products", security(("bearer" = [])),
    params(("show" = String, Path), ("product" = String, Path, description = "1 to 64 of a-z, 0-9 and -"), Expect),
    request_body = ProductPut,
    responses(
        (status = 201, body = Product, description = "Added"),
        (status = 200, body = Product, description = "Changed"),
        (status = 409, body = super::problem::Body, content_type = "application/problem+json",
            description = "Its price was to change while a countdown or a ladder holds it; or the show has another revision"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn put(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path((show, product)): Path<(String, String)>,
    expected: Expected,
    Body(body): Body<ProductPut>,
) -> Result<Tagged<Product>, Problem> {
    let (show, id) = (api.show(&show)?, product_id(&product)?);
    let ProductPut { title, price, stock, sold, url } = body;
    let known = show.state().catalog.get(&id).is_some();
    let product = catalog::Product { title, price, stock, sold, url };
    let done = expected.run(&show, Command::PutProduct { id: id.clone(), product }).await?;
    let item = done.state.catalog.get(&id).ok_or_else(|| unknown(&id))?;
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    let warnings = warnings::of_texts(&api, &[item.product.title.as_str()]).await;
    Ok(Tagged { status, rev: done.rev, body: Product { warnings, ..Product::of(&show, &id, item) } })
}

/// A product as it is.
#[utoipa::path(get, path = "/shows/{show}/products/{product}", tag = "products", security(("bearer" = [])),
    params(("show" = String, Path), ("product" = String, Path)),
    responses(
        (status = 200, body = Product),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn get(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path((show, product)): Path<(String, String)>,
) -> Result<Json<Product>, Problem> {
    let (show, id) = (api.show(&show)?, product_id(&product)?);
    let state = show.state();
    let item = state.catalog.get(&id).ok_or_else(|| unknown(&id))?;
    Ok(Json(Product::of(&show, &id, item)))
}

/// Takes a product out of the catalog. One that is on the picture is to be taken off the stage first.
#[utoipa::path(delete, path = "/shows/{show}/products/{product}", tag = "products", security(("bearer" = [])),
    params(("show" = String, Path), ("product" = String, Path), Expect),
    responses(
        (status = 204),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path((show, product)): Path<(String, String)>,
    expected: Expected,
) -> Result<StatusCode, Problem> {
    let id = product_id(&product)?;
    expected.run(&api.show(&show)?, Command::RemoveProduct { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a product its picture: the bytes of a JPEG, PNG or WebP, or where they are. It is kept no larger than a card can show, and
/// without what a camera wrote into it.
#[utoipa::path(put, path = "/shows/{show}/products/{product}/image", tag = "products", security(("bearer" = [])),
    params(("show" = String, Path), ("product" = String, Path), Expect),
    request_body(description = "JPEG, PNG or WebP, at most 50 megapixels and the configured bytes (8 MiB)",
        content(([u8] = "application/octet-stream"), (ImageUrl = "application/json"))),
    responses(
        (status = 200, body = Product),
        (status = 413, body = super::problem::Body, content_type = "application/problem+json"),
        (status = 415, body = super::problem::Body, content_type = "application/problem+json"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn put_image(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path((show, product)): Path<(String, String)>,
    expected: Expected,
    request: Request,
) -> Result<Json<Product>, Problem> {
    let (show, id) = (api.show(&show)?, product_id(&product)?);
    if show.state().catalog.get(&id).is_none() {
        return Err(unknown(&id));
    }
    let stopping = |_| Problem::from(show::Error::Stopping);
    let _upload = api.uploads.acquire().await.map_err(stopping)?;
    let bytes = match is_json(request.headers()) {
        true => {
            let Body(ImageUrl { url }) = Body::from_request(request, &()).await?;
            api.fetcher.fetch(&url, api.most_image_bytes).await?.into()
        }
        false => uploaded(request, api.most_image_bytes).await?,
    };
    let decoding = api.decodings.acquire().await.map_err(stopping)?;
    let decode = move || {
        let copy = Photo::copy(&bytes)?;
        // Of the copy, which is what a restart finds: the picture is the same before and after.
        Ok((Photo::decode(&copy)?, ImageHash::of(&copy), Bytes::from(copy)))
    };
    let decoded: Result<_, PhotoError> = tokio::task::spawn_blocking(decode)
        .await
        .map_err(|_| Problem::invalid("image-damaged", "the picture is damaged"))?;
    drop(decoding);
    let (photo, image, copy) = decoded?;
    api.shows.store().put_blob(*image.as_bytes(), copy).await.map_err(show::Error::from)?;
    let done = expected.set_image(&show, id.clone(), image, Arc::new(photo)).await?;
    let item = done.state.catalog.get(&id).ok_or_else(|| unknown(&id))?;
    Ok(Json(Product::of(&show, &id, item)))
}

fn is_json(headers: &HeaderMap) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
    said.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A body of at most so many bytes.
async fn uploaded(request: Request, most: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the picture has more than {most} bytes: make it smaller");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "image-too-large", detail)
    };
    let said =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|bytes| bytes > most) {
        return Err(too_large());
    }
    to_bytes(request.into_body(), most).await.map_err(|_| too_large())
}

/// Takes a product's picture away.
#[utoipa::path(delete, path = "/shows/{show}/products/{product}/image", tag = "products", security(("bearer" = [])),
    params(("show" = String, Path), ("product" = String, Path), Expect),
    responses(
        (status = 204),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete_image(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path((show, product)): Path<(String, String)>,
    expected: Expected,
) -> Result<StatusCode, Problem> {
    let id = product_id(&product)?;
    expected.run(&api.show(&show)?, Command::RemoveImage { id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A product's picture: a copy of the one that was given, at most 960 pixels long.
#[utoipa::path(get, path = "/api/v1/shows/{show}/products/{product}/image", tag = "viewers",
    params(("show" = String, Path), ("product" = String, Path)),
    responses(
        (status = 200, content_type = "image/*", body = [u8]),
        (status = 304, description = "It is the one that If-None-Match names"),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn get_image(
    State(api): State<Arc<Api>>,
    Path((show, product)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (show, id) = (api.show(&show)?, product_id(&product)?);
    let state = show.state();
    let none = || Problem::new(StatusCode::NOT_FOUND, "no-image", format!("{id} has no picture"));
    let image = state.catalog.get(&id).ok_or_else(|| unknown(&id))?.image.ok_or_else(none)?;
    let tag = format!("\"{image}\"");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let bytes = api.shows.store().blob(image.as_bytes()).await.map_err(show::Error::from)?.ok_or_else(none)?;
    let mut response = (StatusCode::OK, bytes.clone()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(&bytes)));
    // Somebody else's bytes on our own origin: a picture and nothing else.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(header::ETAG, HeaderValue::try_from(tag).expect("a hash in quotes is a header value"));
    Ok(response)
}

/// By the first bytes; only these three were let in.
fn content_type(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xFF, 0xD8, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        _ => "image/webp",
    }
}
