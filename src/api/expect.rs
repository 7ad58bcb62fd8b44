//! Two operators at one show: a change may carry the revision that it is meant for.
//!
//! `?expect=REV` is ours: 409 with the current revision. `If-Match: "REV"` is HTTP's own (RFC 9110 §13.1.1), and answered with the
//! 412 that it asks for; the problem is the same.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::Problem;
use crate::commerce::catalog::{ImageHash, ProductId};
use crate::overlay::Photo;
use crate::show::{self, Command, Done, Handle};

/// What a change may ask for in its address.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Expect {
    /// The revision that the operator saw. Where the show has another one, nothing is changed and the answer is 409 with
    /// `current_rev`. `If-Match: "REV"` asks the same, and is answered with 412.
    expect: Option<u64>,
}

/// The revision that a change is meant for, if it says so.
pub(super) struct Expected {
    rev: Option<u64>,
    /// What another one is answered with.
    otherwise: StatusCode,
}

/// An answer about a show at a revision, which is its entity tag.
pub(super) struct Tagged<T> {
    pub(super) status: StatusCode,
    pub(super) rev: u64,
    pub(super) body: T,
}

impl Expected {
    pub(super) async fn run(&self, show: &Handle, command: Command) -> Result<Done, Problem> {
        show.run_expecting(command, self.rev).await.map_err(|error| self.problem(error))
    }

    pub(super) async fn set_image(
        &self,
        show: &Handle,
        id: ProductId,
        image: ImageHash,
        photo: Arc<Photo>,
    ) -> Result<Done, Problem> {
        show.set_image(id, image, photo, self.rev).await.map_err(|error| self.problem(error))
    }

    fn problem(&self, error: show::Error) -> Problem {
        let moved = matches!(error, show::Error::Moved { .. });
        let problem = Problem::from(error);
        if moved { problem.with_status(self.otherwise) } else { problem }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Expected {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Expected, Problem> {
        let Query(Expect { expect }) = Query::try_from_uri(&parts.uri).map_err(|_| {
            Problem::unreadable("expect is no revision: give the one that you saw, a whole number").in_field("expect")
        })?;
        if expect.is_some() {
            return Ok(Expected { rev: expect, otherwise: StatusCode::CONFLICT });
        }
        let otherwise = StatusCode::PRECONDITION_FAILED;
        let Some(tag) = parts.headers.get(header::IF_MATCH) else { return Ok(Expected { rev: None, otherwise }) };
        let tag = tag.to_str().unwrap_or_default().trim();
        if tag == "*" {
            return Ok(Expected { rev: None, otherwise });
        }
        let rev = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).and_then(|rev| rev.parse().ok());
        match rev {
            Some(rev) => Ok(Expected { rev: Some(rev), otherwise }),
            None => Err(Problem::unreadable("If-Match names no revision: give the ETag of an answer, as \"12\"")),
        }
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let tag = HeaderValue::try_from(format!("\"{}\"", self.rev)).expect("a number in quotes is a header value");
        let mut response = (self.status, Json(self.body)).into_response();
        response.headers_mut().insert(header::ETAG, tag);
        response
    }
}
