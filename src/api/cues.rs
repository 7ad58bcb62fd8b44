//! Cues: changes of the stage that wait for their moment, and changes that take place together.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Operator;
use super::body::Body;
use super::changed::{Changed, change};
use super::cue::{CueBody, CuePost, Wanted, in_change};
use super::expect::{Expect, Expected, Tagged};
use super::warnings::Warning;
use super::{Api, Problem};
use crate::show::Command;
use crate::show::cues::CueId;

/// A cue that could not take place when its time came.
#[derive(Serialize, ToSchema)]
pub(super) struct DroppedCue {
    #[serde(flatten)]
    cue: CueBody,
    reason: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CueList)]
pub(super) struct List {
    rev: u64,
    /// In the order in which they take place.
    cues: Vec<CueBody>,
    /// The last ones that could not take place when their time came, the newest last.
    dropped: Vec<DroppedCue>,
}

/// The cues that wait, in the order in which they take place.
#[utoipa::path(get, path = "/shows/{show}/cues", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path)),
    responses(
        (status = 200, body = List),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
) -> Result<Tagged<List>, Problem> {
    let show = api.show(&show)?;
    let state = show.state();
    let cues = state.cues.pending().iter().map(|cue| CueBody::of(&show, cue)).collect();
    let dropped = state.cues.dropped();
    let dropped =
        dropped.map(|dropped| DroppedCue { cue: CueBody::of(&show, &dropped.cue), reason: dropped.reason.clone() });
    let body = List { rev: state.rev, cues, dropped: dropped.collect() };
    Ok(Tagged { status: StatusCode::OK, rev: state.rev, body })
}

/// Changes several layers in one frame: now, or at a moment to come. What waits survives a restart; what was missed meanwhile takes
/// place at once, in order. Seconds in it count from when it takes place.
#[utoipa::path(post, path = "/shows/{show}/cues", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path), Expect),
    request_body = CuePost,
    responses(
        (status = 201, body = Waiting, description = "It waits"),
        (status = 200, body = Changed, description = "Without a time: it took place"),
        (status = 202, body = Changed, description = "Without a time: done, and not on the picture yet"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn post(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(show): Path<String>,
    expected: Expected,
    Body(body): Body<CuePost>,
) -> Result<Tagged<Posted>, Problem> {
    let show = api.show(&show)?;
    let time = body.time();
    let Wanted { at, label, changes } = body.read(&show)?;
    let command = match at {
        None if label.is_some() => {
            let detail = "a label is for a cue that waits: give it a time, or leave the label out";
            return Err(Problem::invalid("label-without-time", detail).in_field("label"));
        }
        None => Command::Stage { changes: changes.clone() },
        Some(at) => Command::Schedule { at, label, changes: changes.clone() },
    };
    let asked = change(&api, &show, &expected, command).await;
    let asked = asked.map_err(|problem| in_change(&show, &changes, at, problem.rename_field("at", time)));
    let Tagged { status, rev, body: mut changed } = asked?;
    Ok(match changed.cue.take() {
        Some(cue) => Tagged {
            status: StatusCode::CREATED,
            rev,
            body: Posted::Waits(Waiting { cue, warnings: changed.warnings }),
        },
        None => Tagged { status, rev, body: Posted::TookPlace(Box::new(changed)) },
    })
}

/// A cue that was taken.
#[derive(Serialize, ToSchema)]
pub(super) struct Waiting {
    #[serde(flatten)]
    cue: CueBody,
    /// What of its words will not look as it was meant to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

/// What became of changes that were posted.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Posted {
    Waits(Waiting),
    TookPlace(Box<Changed>),
}

/// Takes a waiting cue back.
#[utoipa::path(delete, path = "/shows/{show}/cues/{cue}", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path), ("cue" = String, Path), Expect),
    responses(
        (status = 204),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json", description = "None waits by this id"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn delete(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path((show, cue)): Path<(String, String)>,
    expected: Expected,
) -> Result<StatusCode, Problem> {
    let cue = cue_id(&cue)?;
    expected.run(&api.show(&show)?, Command::TakeBack { cue }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a waiting cue take place now.
#[utoipa::path(post, path = "/shows/{show}/cues/{cue}/now", tag = "stage", security(("bearer" = [])),
    params(("show" = String, Path), ("cue" = String, Path), Expect),
    responses(
        (status = 200, body = Changed),
        (status = 202, body = Changed, description = "Done, and not on the picture yet"),
        (status = 404, body = super::problem::Body, content_type = "application/problem+json", description = "None waits by this id"),
        (status = "4XX", body = super::problem::Body, content_type = "application/problem+json"),
    ))]
pub(super) async fn now(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path((show, cue)): Path<(String, String)>,
    expected: Expected,
) -> Result<Tagged<Changed>, Problem> {
    let cue = cue_id(&cue)?;
    change(&api, &api.show(&show)?, &expected, Command::RunCue { cue }).await
}

fn cue_id(id: &str) -> Result<CueId, Problem> {
    let unreadable = || Problem::unreadable(format!("{id:.40?} is no cue's id: see the list of cues")).in_field("cue");
    CueId::parse(id).ok_or_else(unreadable)
}
