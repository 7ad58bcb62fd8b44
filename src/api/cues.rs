//! Cues: changes of the stage that wait for their moment, and changes that take place together.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::Operator;
use super::body::Body;
use super::expect::{Expect, Expected, Tagged};
use super::layers::{self, LayerPut, Moment, value_of};
use super::stage::{Changed, change};
use super::{Api, Problem};
use crate::commerce::line::Label;
use crate::media::MediaTime;
use crate::show::cues::{Cue, CueId};
use crate::show::stage::{Change, Layer};
use crate::show::{Command, Handle};

/// Changes of the stage that take place together: one revision, one frame. At once without `at` and `at_media`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CuePost {
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// The same in 90 kHz ticks of the show's media time.
    #[serde(default)]
    at_media: Option<i64>,
    /// What operators call it; not on the picture.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 40)]
    label: Option<Label>,
    /// 1 to 16, each of another layer. Either `put` with a `value`, or `delete`.
    #[schema(min_items = 1, max_items = 16)]
    changes: Vec<ChangeBody>,
}

/// `{"put": "card", "value": {"product": "lipstick"}}` or `{"delete": "countdown"}`.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    put: Option<Layer>,
    /// What `PUT …/stage/{layer}` takes, without a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<LayerPut>)]
    value: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delete: Option<Layer>,
}

/// A cue that waits.
#[derive(Serialize, ToSchema)]
#[schema(as = Cue)]
pub(super) struct CueBody {
    id: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The same in 90 kHz ticks: the first frame at or after it shows the change.
    at_media: i64,
    /// The RTP timestamp of that moment.
    at_rtp: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    label: Option<Label>,
    changes: Vec<ChangeBody>,
}

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

impl CueBody {
    pub(super) fn of(show: &Handle, cue: &Cue) -> CueBody {
        let at = show.media_time(cue.at);
        let change = |change: &Change| match change {
            Change::Put { value, lasts } => {
                ChangeBody { put: Some(value.layer()), value: Some(value_of(value, *lasts)), delete: None }
            }
            Change::Delete(layer) => ChangeBody { put: None, value: None, delete: Some(*layer) },
        };
        CueBody {
            id: cue.id.to_string(),
            at: cue.at,
            at_media: at.ticks(),
            at_rtp: show.rtp(at),
            label: cue.label.clone(),
            changes: cue.changes.iter().map(change).collect(),
        }
    }
}

impl ChangeBody {
    fn read(self) -> Result<Change, Problem> {
        let ChangeBody { put, value, delete } = self;
        match (put, value, delete) {
            (None, None, Some(layer)) => Ok(Change::Delete(layer)),
            (Some(layer), Some(value), None) => {
                let (change, moment) = layers::read(layer, &value).map_err(|problem| problem.under("value"))?;
                if moment.at.is_some() || moment.at_media.is_some() {
                    let detail = "a change in a cue has no time of its own: give it to the cue, or make another cue";
                    return Err(Problem::invalid("two-times", detail).in_field("value"));
                }
                Ok(change)
            }
            _ => Err(Problem::invalid("invalid", "a change is either put with a value, or delete").in_field("put")),
        }
    }
}

impl CuePost {
    fn read(self, show: &Handle) -> Result<Command, Problem> {
        let at = moment(show, Moment { at: self.at, at_media: self.at_media })?;
        let change = |(index, change): (usize, ChangeBody)| {
            change.read().map_err(|problem| problem.under(&format!("changes[{index}]")))
        };
        let changes = self.changes.into_iter().enumerate().map(change).collect::<Result<_, _>>()?;
        Ok(match at {
            None => Command::Stage { changes },
            Some(at) => Command::Schedule { at, label: self.label, changes },
        })
    }
}

/// The moment on the wall that a body names, if any.
pub(super) fn moment(show: &Handle, moment: Moment) -> Result<Option<Timestamp>, Problem> {
    match (moment.at, moment.at_media) {
        (None, None) => Ok(None),
        (Some(at), None) => Ok(Some(at)),
        (None, Some(ticks)) if ticks < 0 => {
            Err(Problem::invalid("past", "at_media is below zero: give ticks since the show's beginning")
                .in_field("at_media"))
        }
        (None, Some(ticks)) => Ok(Some(show.wall_at(MediaTime::from_ticks(ticks)))),
        (Some(_), Some(_)) => {
            Err(Problem::invalid("two-times", "at and at_media are both given: leave one out").in_field("at_media"))
        }
    }
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
        (status = 201, body = CueBody, description = "It waits"),
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
    let Tagged { status, rev, body: mut changed } = change(&show, &expected, body.read(&show)?).await?;
    Ok(match changed.cue.take() {
        Some(cue) => Tagged { status: StatusCode::CREATED, rev, body: Posted::Waits(cue) },
        None => Tagged { status, rev, body: Posted::TookPlace(Box::new(changed)) },
    })
}

/// What became of changes that were posted.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Posted {
    Waits(CueBody),
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
    change(&api.show(&show)?, &expected, Command::RunCue { cue }).await
}

fn cue_id(id: &str) -> Result<CueId, Problem> {
    let unreadable = || Problem::unreadable(format!("{id:.40?} is no cue's id: see the list of cues")).in_field("cue");
    CueId::parse(id).ok_or_else(unreadable)
}
