//! A cue as the API writes it, and a change of the stage in one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Problem;
use super::layers::{self, LayerPut, Moment, value_of};
use crate::commerce::line::Label;
use crate::media::MediaTime;
use crate::show::Handle;
use crate::show::cues::Cue;
use crate::show::stage::{Change, Layer};

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

/// A cue that is asked for.
pub(super) struct Wanted {
    /// At once when absent.
    pub(super) at: Option<Timestamp>,
    pub(super) label: Option<Label>,
    pub(super) changes: Vec<Change>,
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
    pub(super) fn read(self) -> Result<Change, Problem> {
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
    /// What its time is called.
    pub(super) fn time(&self) -> &'static str {
        if self.at_media.is_some() { "at_media" } else { "at" }
    }

    pub(super) fn read(self, show: &Handle) -> Result<Wanted, Problem> {
        let at = moment(show, Moment { at: self.at, at_media: self.at_media })?;
        let change = |(index, change): (usize, ChangeBody)| {
            change.read().map_err(|problem| problem.under(&format!("changes[{index}]")))
        };
        let changes = self.changes.into_iter().enumerate().map(change).collect::<Result<_, _>>()?;
        Ok(Wanted { at, label: self.label, changes })
    }
}

/// What is wrong with changes, with the change that it is about.
pub(super) fn in_change(show: &Handle, changes: &[Change], at: Option<Timestamp>, problem: Problem) -> Problem {
    let (state, now) = (show.state(), show.wall());
    let refused = |count: &usize| state.with(&changes[..*count], at.unwrap_or(now), now).is_err();
    match (1..=changes.len()).find(refused) {
        Some(count) if problem.is_about_a_value() => problem.under(&format!("changes[{}].value", count - 1)),
        _ => problem,
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
