//! Who asks. One admin token today; handlers take an [`Operator`], so that more kinds of them change nothing there.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use subtle::ConstantTimeEq;

use super::{Context, Problem};

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

/// A secret to compare with; only its hash is kept.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    pub fn new(secret: &str) -> Token {
        Token(hash(secret))
    }

    /// Hashes of one length are compared, so the time tells neither where a guess went wrong nor how long the token is.
    fn is(&self, offered: &str) -> bool {
        self.0.ct_eq(&hash(offered)).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn hash(secret: &str) -> [u8; 32] {
    digest(&SHA256, secret.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl FromRequestParts<Arc<Context>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Operator, Problem> {
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
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && context.admin_token.is(token.trim()) => {
                Ok(Operator { role: Role::Admin })
            }
            _ => refuse(
                "Bearer realm=\"hawker\", error=\"invalid_token\"",
                "the token is not the admin token: it lies in the data folder, or is what HAWKER_ADMIN_TOKEN says",
            ),
        }
    }
}
