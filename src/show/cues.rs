//! Cues: changes of the stage that wait for their moment.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::stage::Change;
use crate::commerce::line::Label;

/// Names a cue within its show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CueId(u32);

/// Changes that take place together, in one frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cue {
    pub id: CueId,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// 1 to [`Change::MOST`], of as many layers.
    pub changes: Vec<Change>,
}

/// A cue that could not take place when its time came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    pub cue: Cue,
    pub reason: String,
}

/// A show's cues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cues {
    /// In the order in which they take place.
    pending: Vec<Cue>,
    dropped: VecDeque<Dropped>,
    next: CueId,
}

impl CueId {
    pub fn parse(text: &str) -> Option<CueId> {
        text.parse().ok().map(CueId)
    }
}

impl fmt::Display for CueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Cues {
    /// Cues that wait at a time.
    pub const MOST: usize = 64;
    /// How far ahead one may lie.
    pub const FARTHEST: Duration = Duration::from_secs(7 * 86_400);
    /// Dropped ones that are remembered.
    const MOST_DROPPED: usize = 16;

    /// Those that wait, in the order in which they take place.
    pub fn pending(&self) -> &[Cue] {
        &self.pending
    }

    /// The last ones that could not take place, the newest last.
    pub fn dropped(&self) -> impl Iterator<Item = &Dropped> {
        self.dropped.iter()
    }

    pub fn get(&self, id: CueId) -> Option<&Cue> {
        self.pending.iter().find(|cue| cue.id == id)
    }

    /// What the next one is to be called: no name comes twice.
    pub(super) fn next(&self) -> CueId {
        self.next
    }

    pub(super) fn add(&mut self, cue: Cue) {
        self.next = CueId(cue.id.0.saturating_add(1)).max(self.next);
        let place = self.pending.partition_point(|before| (before.at, before.id) < (cue.at, cue.id));
        self.pending.insert(place, cue);
    }

    pub(super) fn take(&mut self, id: CueId) -> Option<Cue> {
        let index = self.pending.iter().position(|cue| cue.id == id)?;
        Some(self.pending.remove(index))
    }

    pub(super) fn drop(&mut self, id: CueId, reason: String) {
        if let Some(cue) = self.take(id) {
            self.dropped.push_back(Dropped { cue, reason });
            if self.dropped.len() > Cues::MOST_DROPPED {
                self.dropped.pop_front();
            }
        }
    }
}
