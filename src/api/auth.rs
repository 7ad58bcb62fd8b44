//! Who asks. One admin token today; handlers take an [`Operator`], so that more kinds of them change nothing there.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};

use super::{Api, Problem};

/// Somebody who has shown that they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    pub role: Role,
}

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything, with every show.
    Admin,
}

impl FromRequestParts<Arc<Api>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Operator, Problem> {
        let refuse = |challenge, detail| {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
                .with_header(header::WWW_AUTHENTICATE, challenge))
        };
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return refuse(
                "Bearer realm=\"hawker\"",
                "the request has no token: send Authorization: Bearer with the admin token, which lies in the data folder",
            );
        }
        match bearer(&parts.headers) {
            Some(token) if api.admin_token.matches(token) => Ok(Operator { role: Role::Admin }),
            _ => refuse(
                "Bearer realm=\"hawker\", error=\"invalid_token\"",
                "the token is not the admin token: it lies in the data folder, or is what HAWKER_ADMIN_TOKEN says",
            ),
        }
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
