//! Who asks. One admin token today; handlers take an [`Operator`], so that more kinds of them change nothing there.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

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
        let Some(given) = parts.headers.get(header::AUTHORIZATION) else {
            return refuse(
                "Bearer realm=\"hawker\"",
                "the request has no token: send Authorization: Bearer with the admin token, which lies in the data folder",
            );
        };
        let given = given.to_str().ok().and_then(|given| given.split_once(' '));
        match given {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && api.admin_token.matches(token.trim()) => {
                Ok(Operator { role: Role::Admin })
            }
            _ => refuse(
                "Bearer realm=\"hawker\", error=\"invalid_token\"",
                "the token is not the admin token: it lies in the data folder, or is what HAWKER_ADMIN_TOKEN says",
            ),
        }
    }
}
