//! When an encoder is asked for an IDR: many viewers' wishes are one, and an IDR costs ten frames' bits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::media::Rendition;

/// The shortest time between two IDRs that viewers cause: two a second.
pub(super) const SHORTEST_INTERVAL: Duration = Duration::from_millis(500);

/// Coalesces the wishes for a keyframe of one rendition.
pub(super) struct Keyframes {
    rendition: Arc<Rendition>,
    wanted: bool,
    /// When an IDR last came or was asked for.
    last: Option<Instant>,
}

impl Keyframes {
    pub(super) fn new(rendition: Arc<Rendition>) -> Keyframes {
        Keyframes { rendition, wanted: false, last: None }
    }

    /// Somebody needs an IDR. It is asked for at once or, after a recent one, by [`Keyframes::tick`]. True when asked.
    pub(super) fn want(&mut self, now: Instant) -> bool {
        self.wanted = true;
        self.tick(now)
    }

    /// An IDR came: it serves everyone who waits.
    pub(super) fn came(&mut self, now: Instant) {
        self.wanted = false;
        self.last = Some(now);
    }

    /// Asks for what is wanted once it may be. True when it did.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let asks = self.wanted && self.due().is_none_or(|due| due <= now);
        if asks {
            self.rendition.want_keyframe();
            // Still wanted until it comes: asked again if the encoder does not answer.
            self.last = Some(now);
        }
        asks
    }

    /// When [`Keyframes::tick`] has something to do, if it will.
    pub(super) fn next(&self) -> Option<Instant> {
        self.wanted.then(|| self.due()).flatten()
    }

    fn due(&self) -> Option<Instant> {
        self.last.map(|last| last + SHORTEST_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Resolution;

    #[test]
    fn at_most_two_keyframes_a_second_are_asked_for() {
        let rendition = Arc::new(Rendition::new(Resolution::new(1280, 720), 30, 1));
        let mut keyframes = Keyframes::new(rendition.clone());
        let start = Instant::now();
        let mut asked = 0;
        for millis in 0..3000 {
            let now = start + Duration::from_millis(millis);
            keyframes.want(now);
            if rendition.take_keyframe_wanted() {
                asked += 1;
                keyframes.came(now + Duration::from_millis(30));
            }
        }
        assert_eq!(asked, 6);
    }

    #[test]
    fn an_idr_that_comes_serves_those_who_wait() {
        let rendition = Arc::new(Rendition::new(Resolution::new(1280, 720), 30, 1));
        let mut keyframes = Keyframes::new(rendition.clone());
        let now = Instant::now();
        keyframes.came(now);
        assert!(!keyframes.want(now));
        assert_eq!(keyframes.next(), Some(now + SHORTEST_INTERVAL));
        keyframes.came(now);
        assert_eq!(keyframes.next(), None);
        assert!(!keyframes.tick(now + SHORTEST_INTERVAL));
        assert!(!rendition.keyframe_wanted());
    }
}
