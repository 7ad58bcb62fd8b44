//! The compose stage: frames into the canvas's slots, the scene of each slot burned in, repeats where nothing came.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::on_air::SILENT;
use super::{Shared, Shown};
use crate::codec::{Blur, Fit};
use crate::media::queue::Recv;
use crate::media::slots::Slots;
use crate::media::{Frame, MediaTime, Picture, Pool, Resolution, queue};
use crate::overlay::compose::{Compositor, Drawn};
use crate::overlay::{Ground, Scene};

/// Which scene holds from when.
#[derive(Default)]
pub(super) struct Programme {
    /// Ordered by time; the last one that has begun holds.
    cues: Mutex<VecDeque<(MediaTime, Arc<Scene>)>>,
    newest: AtomicI64,
}

impl Programme {
    /// Scenes armed for the future at once; more than this and the earliest of them is given up.
    const MOST: usize = 64;

    /// Chooses the first slot that compose has surely not reached, or where that is later the first one that is `not_before` a
    /// moment, tells it, and arms `scene` for it. All under the lock that compose takes for each slot, so that what is told is
    /// what is shown, however this thread is held up.
    pub(super) fn arm(
        &self,
        slots: &Slots,
        now: MediaTime,
        scene: Arc<Scene>,
        not_before: Option<MediaTime>,
        tell: &mut dyn FnMut(MediaTime),
    ) -> MediaTime {
        let mut cues = self.cues();
        // The announcement is on its way before the lock is let go, so before the frame is even composed.
        let free = (self.newest() + slots.interval()).max(now);
        let from = slots.at_or_after(not_before.map_or(free, |at| at.max(free)));
        tell(from);
        // What holds until then, and what leaves with it, goes on moving.
        let before = cues.iter().rev().find(|cue| cue.0 < from).map(|cue| cue.1.clone());
        let scene = Arc::new(scene.following(before.as_deref(), from));
        // What was to come from here on is superseded.
        while cues.back().is_some_and(|cue| cue.0 >= from) {
            cues.pop_back();
        }
        cues.push_back((from, scene));
        // Of those that have begun a second ago only the last still matters.
        while cues.len() > 1 && (cues[1].0 + Duration::from_secs(1) < now || cues.len() > Programme::MOST) {
            cues.pop_front();
        }
        from
    }

    fn cues(&self) -> MutexGuard<'_, VecDeque<(MediaTime, Arc<Scene>)>> {
        // Whole at every moment: a panic of whoever is told leaves nothing half-done in it.
        self.cues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest slot that a scene was looked up for.
    fn newest(&self) -> MediaTime {
        MediaTime::from_ticks(self.newest.load(Ordering::Acquire))
    }

    fn scene(&self, at: MediaTime) -> Option<Arc<Scene>> {
        self.newest.store(at.ticks(), Ordering::Release);
        let cues = self.cues();
        cues.iter().rev().find(|cue| cue.0 <= at).map(|cue| cue.1.clone())
    }
}

/// What others hear of the picture.
pub(super) struct Told {
    pub shown: watch::Sender<Shown>,
    pub on_air: watch::Sender<bool>,
}

/// Runs until decode is gone. The grid of slots outlives a break: no timestamp is given out twice.
pub(super) fn run(
    shared: &Shared,
    slots: &mut Slots,
    frames: &queue::Receiver<Frame>,
    composed: &queue::Sender<Frame>,
    told: &Told,
) {
    let mut stage = Stage {
        shared,
        pool: Pool::new(shared.size()),
        picture: blank(shared),
        slate: None,
        blur: None,
        fit: None,
        compositor: shared.engine.compositor(),
        composed,
        shown: &told.shown,
        scene: None,
    };
    let mut pace = Pace::default();
    loop {
        let frame = match frames.recv_until(shared.clock.instant(slots.deadline())) {
            Recv::Item(frame) => Some(frame),
            Recv::TimedOut => None,
            Recv::Closed => return,
        };
        shared.step("compose");
        let now = shared.clock.now();
        if let Some(slot) = slots.overdue(now) {
            Shared::count(&shared.stats.repeated);
            stage.compose(slot, None, pace.ground(now));
        }
        if let Some(frame) = frame {
            pace.came(now);
            shared.newest.store(Some(frame.picture.clone()));
            let next = slots.next();
            match slots.place(frame.at, now) {
                Some(slot) => {
                    for empty in slots.skipped(next, slot, now) {
                        Shared::count(&shared.stats.repeated);
                        stage.compose(empty, None, Ground::Live);
                    }
                    stage.show(frame.picture);
                    stage.compose(slot, frame.arrived, Ground::Live);
                }
                // Newest wins: a repeat of this slot's time shows it.
                None => {
                    stage.show(frame.picture);
                    Shared::count(&shared.stats.compose_late);
                }
            }
        }
        let moving = pace.ground(now) == Ground::Live;
        told.on_air.send_if_modified(|before| std::mem::replace(before, moving) != moving);
    }
}

/// How fast pictures come. One that stands still for too long is nobody's; a slow source, a shared screen say, is allowed its
/// own pace.
#[derive(Debug, Default)]
struct Pace {
    newest: Option<MediaTime>,
    apart: Duration,
}

impl Pace {
    /// The slowest that a source may be without a slate between its pictures is two and a half times faster than this.
    const SLOWEST: Duration = Duration::from_secs(10);

    fn came(&mut self, now: MediaTime) {
        self.apart = self.newest.map_or(Duration::ZERO, |newest| now.since(newest));
        self.newest = Some(now);
    }

    fn ground(&self, now: MediaTime) -> Ground {
        let patience = (self.apart * 5 / 2).clamp(SILENT, Pace::SLOWEST);
        if self.newest.is_some_and(|newest| now.since(newest) < patience) { Ground::Live } else { Ground::Slate }
    }
}

struct Stage<'a> {
    shared: &'a Shared,
    pool: Pool,
    /// The newest clean picture: what a repeat starts from.
    picture: Arc<Picture>,
    /// The same out of focus, once it was needed.
    slate: Option<Arc<Picture>>,
    blur: Option<(Resolution, Blur)>,
    fit: Option<Fit>,
    compositor: Compositor,
    composed: &'a queue::Sender<Frame>,
    shown: &'a watch::Sender<Shown>,
    /// The scene of the newest frame.
    scene: Option<Arc<Scene>>,
}

impl Stage<'_> {
    fn show(&mut self, picture: Arc<Picture>) {
        (self.picture, self.slate) = (picture, None);
    }

    /// Brings the newest picture to the size of the scene, which a frame on its way may not have yet.
    fn resize(&mut self, size: Resolution) {
        self.shared.set_size(size);
        if self.pool.resolution() != size {
            self.pool = Pool::new(size);
        }
        if self.picture.resolution() == size {
            return;
        }
        let target = self.shared.target();
        let fit = match &mut self.fit {
            Some(fit) if fit.target() == target => fit,
            slot => slot.insert(Fit::new(target)),
        };
        match fit.picture(&self.picture) {
            Ok(picture) => self.show(picture),
            Err(error) => {
                tracing::error!(show = %self.shared.name, %error, "a picture was not resized");
                self.show(blank(self.shared));
            }
        }
    }

    /// The newest picture out of focus; as it is where that fails.
    fn slate(&mut self) -> Arc<Picture> {
        if self.slate.is_none() {
            let (size, colour) = (self.picture.resolution(), self.picture.colour());
            if self.blur.as_ref().is_none_or(|(of, _)| *of != size) {
                self.blur = Blur::new(size, colour).ok().map(|blur| (size, blur));
            }
            self.slate = self.blur.as_mut().and_then(|(_, blur)| blur.picture(&self.picture).ok());
        }
        self.slate.as_ref().unwrap_or(&self.picture).clone()
    }

    fn compose(&mut self, slot: MediaTime, arrived: Option<Instant>, ground: Ground) {
        let scene = self.shared.programme.scene(slot);
        if let Some(scene) = &scene {
            self.resize(scene.canvas().resolution);
        }
        let mut picture = match ground {
            Ground::Live => self.picture.clone(),
            Ground::Slate => self.slate(),
        };
        let stats = &self.shared.stats;
        if let Some(scene) = &scene {
            let layers = scene.frame(slot, ground);
            if !layers.is_empty() {
                let begun = Instant::now();
                let mut copy = self.pool.take(picture.colour());
                copy.copy_from(&picture);
                let copied = Instant::now();
                if self.compositor.draw(&layers, &mut copy) == Drawn::Rescued {
                    Shared::count(&stats.rescued);
                }
                picture = copy.freeze();
                stats.copy_time.add(copied - begun);
                stats.blend_time.add(copied.elapsed());
            }
        }
        Shared::count(&stats.composed);
        if let Ok(Some(_)) = self.composed.push_newest(Frame { at: slot, picture, arrived }) {
            Shared::count(&stats.encode_dropped);
        }
        if let Some(new) = scene.filter(|new| self.scene.as_ref().is_none_or(|scene| !Arc::ptr_eq(scene, new))) {
            self.shown.send_replace(Shown { rev: new.rev(), at: slot });
            self.scene = Some(new);
        }
    }
}

/// What lies under the overlay before the first publisher.
fn blank(shared: &Shared) -> Arc<Picture> {
    let mut picture = Pool::new(shared.size()).take(shared.colour());
    picture.fill([24, 128, 128]);
    picture.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Colour;
    use crate::overlay::Canvas;

    fn scene(rev: u64) -> Arc<Scene> {
        let canvas = Canvas { resolution: Resolution::new(128, 128), colour: Colour::BT601 };
        Arc::new(Scene::empty(rev, canvas))
    }

    fn rev(programme: &Programme, at: MediaTime) -> Option<u64> {
        programme.scene(at).map(|scene| scene.rev())
    }

    #[test]
    fn a_scene_holds_from_the_slot_that_was_told() {
        let (programme, slots) = (Programme::default(), Slots::new(30, MediaTime::ZERO));
        let mut told = Vec::new();
        let first = programme.arm(&slots, MediaTime::ZERO, scene(1), None, &mut |from| told.push(from));
        assert_eq!(rev(&programme, first - slots.interval()), None);
        assert_eq!(rev(&programme, first), Some(1));
        let second = programme.arm(&slots, first, scene(2), None, &mut |from| told.push(from));
        assert_eq!(told, [first, second]);
        assert_eq!(rev(&programme, second - slots.interval()), Some(1));
        assert_eq!(rev(&programme, second), Some(2));
    }

    #[test]
    fn a_scene_for_later_holds_from_its_moment_and_gives_way_to_what_comes_before_it() {
        let (programme, slots) = (Programme::default(), Slots::new(30, MediaTime::ZERO));
        let arm = |number, not_before| programme.arm(&slots, MediaTime::ZERO, scene(number), not_before, &mut |_| {});
        let moment = MediaTime::from_ticks(90_000 + 1);
        let now = arm(1, None);
        let cue = arm(2, Some(moment));
        assert_eq!(cue, slots.at_or_after(moment));
        assert_eq!((rev(&programme, cue - slots.interval()), rev(&programme, cue)), (Some(1), Some(2)));
        // A moment that is gone is no reason to promise a slot that is gone.
        assert!(arm(3, Some(now)) > cue);

        let programme = Programme::default();
        let arm = |number, not_before| programme.arm(&slots, MediaTime::ZERO, scene(number), not_before, &mut |_| {});
        arm(2, Some(moment));
        arm(3, None);
        assert_eq!(rev(&programme, cue), Some(3), "what was armed for later is superseded until it is armed again");
        arm(4, Some(moment));
    }

    #[test]
    fn a_slow_source_is_not_taken_for_a_silent_one() {
        let (mut pace, second) = (Pace::default(), |n: i64| MediaTime::from_ticks(n * 90_000));
        assert_eq!(pace.ground(second(0)), Ground::Slate);
        pace.came(second(1));
        assert_eq!(pace.ground(second(2)), Ground::Slate, "a second after the first picture");
        pace.came(second(3));
        assert_eq!(pace.ground(second(5)), Ground::Live, "one in two seconds");
        assert_eq!(pace.ground(second(8)), Ground::Slate);
        pace.came(second(60));
        pace.came(second(60) + Duration::from_millis(33));
        assert_eq!(pace.ground(second(62)), Ground::Slate, "a stall is forgotten with the next picture");
    }

    #[test]
    fn a_slot_that_was_looked_up_already_is_never_promised() {
        let (programme, slots) = (Programme::default(), Slots::new(30, MediaTime::ZERO));
        // Compose is ahead of the clock that the arming thread read before it was held up.
        let looked_up = slots.at_or_after(MediaTime::from_ticks(90_000));
        rev(&programme, looked_up);
        let from = programme.arm(&slots, MediaTime::ZERO, scene(7), None, &mut |_| {});
        assert!(from > looked_up);
        assert_eq!(rev(&programme, from), Some(7));
    }
}
