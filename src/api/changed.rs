//! What came of a change of the stage, and from which frame on it is seen.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::cue::CueBody;
use super::expect::{Expected, Tagged};
use super::warnings::{self, Warning};
use super::{Api, Problem};
use crate::show::stage::{Change, Content, Layer};
use crate::show::state::Event;
use crate::show::{Command, Done, Handle};

/// A change of the stage, and where it begins.
#[derive(Serialize, ToSchema)]
pub(super) struct Changed {
    /// The revision that shows it: a later one when another change came before it was seen. The ETag is the one that this change
    /// made: what to expect for the next one.
    rev: u64,
    /// The first frame that shows it, in 90 kHz ticks of the show's media time. Absent with 202: not even painted yet, or a cue.
    #[serde(skip_serializing_if = "Option::is_none")]
    media_time: Option<i64>,
    /// The RTP timestamp of that frame, the same for every viewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtp: Option<u32>,
    /// Whether that frame was seen to be made; else it is the one that was planned.
    shown: bool,
    #[serde(flatten)]
    end: Option<EndBody>,
    /// It waits as this cue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cue: Option<CueBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undone: Option<Undone>,
    /// What of its words will not look as it was meant to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<Warning>,
}

/// When a countdown reaches zero: the first frame at or after it shows what holds then.
#[derive(Serialize, ToSchema)]
pub(super) struct EndBody {
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    ends_media_time: i64,
    ends_rtp: u32,
}

impl EndBody {
    fn of(show: &Handle, ends_at: Timestamp) -> EndBody {
        let ends = show.media_time(ends_at);
        EndBody { ends_at, ends_media_time: ends.ticks(), ends_rtp: show.rtp(ends) }
    }
}

/// What an undo took back.
#[derive(Serialize, ToSchema)]
pub(super) struct Undone {
    /// The revision that had made the change.
    rev: u64,
    /// Layers that something had been put on.
    put: Vec<Layer>,
    /// Layers that something had been taken off.
    deleted: Vec<Layer>,
    /// Layers that stay empty, as what was there has ended or may not stand there any more.
    not_restored: Vec<Layer>,
}

/// Carries out a change of the stage, and tells what came of it.
pub(super) async fn change(
    api: &Api,
    show: &Handle,
    expected: &Expected,
    command: Command,
) -> Result<Tagged<Changed>, Problem> {
    let words = match &command {
        Command::Stage { changes } | Command::Schedule { changes, .. } => changes.as_slice(),
        _ => &[],
    };
    let words: Vec<String> = words.iter().flat_map(Change::texts).map(str::to_owned).collect();
    let Done { rev, events, on_picture, .. } = expected.run(show, command).await.map_err(of_stage)?;
    let mut changed = Changed {
        rev: on_picture.map_or(rev, |on_picture| on_picture.rev),
        media_time: on_picture.map(|on_picture| on_picture.at.ticks()),
        rtp: on_picture.map(|on_picture| show.rtp(on_picture.at)),
        shown: on_picture.is_some_and(|on_picture| on_picture.seen),
        end: None,
        cue: None,
        undone: None,
        // After the change: the picture waits for no font.
        warnings: warnings::of_texts(api, &words.iter().map(String::as_str).collect::<Vec<_>>()).await,
    };
    for event in events {
        match event {
            Event::Staged { at, changes, .. } => {
                let mut placed = changes.iter().filter_map(|change| change.placed(at));
                changed.end = placed.find_map(|placed| match placed.content {
                    Content::Countdown(countdown) => Some(EndBody::of(show, countdown.ends)),
                    _ => None,
                });
            }
            Event::CueScheduled { cue } => changed.cue = Some(CueBody::of(show, &cue)),
            Event::Undone { rev, put, deleted, lost } => {
                changed.undone = Some(Undone { rev, put, deleted, not_restored: lost });
            }
            _ => {}
        }
    }
    let status = if changed.media_time.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(Tagged { status, rev, body: changed })
}

/// Here a product is named by the body, so one that is not there is a wrong value, not a wrong address.
pub(super) fn of_stage(problem: Problem) -> Problem {
    if problem.is("unknown-product") { problem.with_status(StatusCode::UNPROCESSABLE_ENTITY) } else { problem }
}
