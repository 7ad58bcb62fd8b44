//! Where in the feed a viewer is: waiting for a frame to begin with, or flowing.

use std::time::{Duration, Instant};

use super::keyframes::SHORTEST_INTERVAL;
use super::packetize::Packets;
use super::ring::Ring;

/// A viewer's place. Nothing is ever sent that its decoder could not begin with or go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// For the next IDR. One who joins takes the running GOP instead if no IDR comes for [`PATIENCE`].
    Waiting { since: Instant, joining: bool },
    /// The place of the next packet to send. `behind` says since when the newest was out of reach, `live` whether it was
    /// ever reached.
    Flowing { next: u64, behind: Option<Instant>, live: bool },
}

impl View {
    /// A viewer's first place. An IDR younger than the shortest interval is sooner replayed with what followed it than
    /// waited for anew.
    pub(super) fn join(now: Instant, ring: &Ring) -> View {
        match ring.group() {
            Some((first, since)) if now.saturating_duration_since(since) < SHORTEST_INTERVAL => {
                View::replay(now, first)
            }
            _ => View::Waiting { since: now, joining: true },
        }
    }

    /// The place of one who is to go on from the next IDR.
    pub(super) fn wait(now: Instant) -> View {
        View::Waiting { since: now, joining: false }
    }

    fn replay(now: Instant, first: u64) -> View {
        View::Flowing { next: first, behind: Some(now), live: false }
    }

    pub(super) fn waits(&self) -> bool {
        matches!(self, View::Waiting { .. })
    }

    /// A frame was pushed. An IDR is for all to begin with: also those behind go on from it.
    pub(super) fn pushed(&mut self, frame: &Packets) {
        match self {
            _ if !frame.key => {}
            View::Waiting { .. } => *self = View::Flowing { next: frame.first, behind: None, live: true },
            View::Flowing { next, .. } => *next = frame.first,
        }
    }

    /// Time passed. True when the viewer had fallen behind and now waits.
    pub(super) fn tick(&mut self, now: Instant, ring: &Ring) -> bool {
        match *self {
            View::Waiting { since, joining: true } if now.saturating_duration_since(since) >= PATIENCE => {
                // Without a running GOP the next keyframe begins it, whenever it comes.
                *self = ring.group().map_or_else(|| View::wait(now), |(first, _)| View::replay(now, first));
            }
            View::Flowing { behind: Some(since), .. } if now.saturating_duration_since(since) > MOST_BEHIND => {
                *self = View::wait(now);
                return true;
            }
            _ => {}
        }
        false
    }

    /// When [`View::tick`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        match *self {
            View::Waiting { since, joining: true } => Some(since + PATIENCE),
            View::Flowing { behind: Some(since), .. } => Some(since + MOST_BEHIND),
            _ => None,
        }
    }
}

/// How long a joining viewer waits for the IDR that was asked for.
const PATIENCE: Duration = Duration::from_millis(250);
/// How far behind a viewer may be before it jumps to the next IDR.
const MOST_BEHIND: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::super::ring::tests::frame;
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn who_joins_waits_for_an_idr_unless_there_was_one_just_now() {
        let (mut ring, start) = (Ring::default(), Instant::now());
        assert!(View::join(start, &ring).waits());
        ring.push(start, frame(0, 2, true));
        ring.push(start, frame(2, 1, false));
        let soon = View::join(start + millis(100), &ring);
        assert_eq!(soon, View::Flowing { next: 0, behind: Some(start + millis(100)), live: false });
        let mut later = View::join(start + millis(700), &ring);
        assert!(later.waits());
        later.pushed(&frame(3, 1, false));
        assert!(later.waits(), "not from the middle of a GOP");
        later.pushed(&frame(4, 5, true));
        assert_eq!(later, View::Flowing { next: 4, behind: None, live: true });
    }

    #[test]
    fn who_joins_takes_the_running_group_when_the_encoder_does_not_answer() {
        let (mut ring, start) = (Ring::default(), Instant::now());
        ring.push(start, frame(0, 2, true));
        let mut view = View::join(start + millis(700), &ring);
        view.tick(start + millis(800), &ring);
        assert!(view.waits());
        assert_eq!(view.due(), Some(start + millis(950)));
        view.tick(start + millis(950), &ring);
        assert_eq!(view, View::Flowing { next: 0, behind: Some(start + millis(950)), live: false });
    }

    #[test]
    fn slow_viewer_resumes_at_idr() {
        let (ring, start) = (Ring::default(), Instant::now());
        let mut view = View::Flowing { next: 3, behind: Some(start), live: true };
        assert!(!view.tick(start + millis(250), &ring));
        assert!(view.tick(start + millis(251), &ring));
        view.pushed(&frame(9, 1, false));
        assert!(view.waits());
        view.pushed(&frame(10, 1, true));
        assert!(matches!(view, View::Flowing { next: 10, .. }));
    }
}
