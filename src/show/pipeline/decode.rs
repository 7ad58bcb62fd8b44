//! The decode stage: a publisher's video units → frames of the canvas's size, in display order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Shared;
use crate::codec::Decoder;
use crate::media::access_unit::AccessUnit;
use crate::media::{Frame, MediaTime, VideoConfig, queue};

/// What came from the publication of that number. A unit's presentation time is media time since the epoch.
pub(super) struct Job {
    pub generation: u64,
    pub what: What,
}

pub(super) enum What {
    Config(VideoConfig),
    Unit(AccessUnit),
}

/// The configuration in force and whose it is: what a new beginning of the stage opens its decoder with, since publishers
/// send it once.
#[derive(Default)]
pub(super) struct Memory {
    whose: u64,
    config: Option<VideoConfig>,
}

/// Runs until the last publisher's end of the queue is gone.
pub(super) fn run(shared: &Shared, memory: &mut Memory, units: &queue::Receiver<Job>, frames: &queue::Sender<Frame>) {
    let mut decoder = memory.config.as_ref().and_then(|config| open(shared, config));
    shared.key_wanted.store(decoder.is_some(), Ordering::Relaxed);
    let mut errors = Losses::default();
    let mut catching_up = CatchingUp::default();
    while let Some(Job { generation, what }) = units.recv() {
        shared.step("decode");
        if generation < shared.publishing.generation() {
            continue;
        }
        if generation != memory.whose {
            *memory = Memory { whose: generation, config: None };
            decoder = None;
        }
        match what {
            What::Config(config) => {
                decoder = open(shared, &config);
                memory.config = Some(config);
            }
            What::Unit(unit) => {
                let Some(decoder) = &mut decoder else {
                    Shared::count(&shared.stats.decode_dropped);
                    continue;
                };
                let (before, pictures) = (std::time::Instant::now(), decoder.pictures());
                let (now, due) = (shared.clock.now(), MediaTime::ZERO + unit.pts);
                let target = catching_up.shows(units.waiting(), due, now).then(|| shared.target());
                let decoded = decoder.decode(&unit, target, |decoded| {
                    let at = MediaTime::ZERO + decoded.pts;
                    // The unit that set a picture free is the last thing that it waited for.
                    let frame = Frame { at, picture: decoded.picture, arrived: Some(unit.arrived) };
                    if let Ok(Some(_)) = frames.push_newest(frame) {
                        Shared::count(&shared.stats.compose_dropped);
                    }
                });
                shared.stats.decode_time.add(before.elapsed());
                let pictures = decoder.pictures() - pictures;
                shared.stats.decoded.fetch_add(pictures, Ordering::Relaxed);
                if target.is_none() {
                    shared.stats.compose_late.fetch_add(pictures, Ordering::Relaxed);
                }
                if let Some(source) = decoder.source() {
                    shared.stats.set_source(source);
                    let shown = source.shown();
                    shared.source.send_if_modified(|seen| seen.replace(shown) != Some(shown));
                }
                if let Err(error) = decoded {
                    Shared::count(&shared.stats.decode_errors);
                    errors.note(shared, &error);
                }
            }
        }
    }
}

fn open(shared: &Shared, config: &VideoConfig) -> Option<Decoder> {
    let opened = Decoder::open(config);
    opened
        .inspect_err(|error| {
            Shared::count(&shared.stats.decode_errors);
            tracing::warn!(show = %shared.name, %error, "the publisher's video cannot be decoded");
        })
        .ok()
}

/// What is shown while decode is behind. After a stall everything is decoded as fast as it goes, and nobody wants to watch that:
/// pictures are passed over until now is reached. For a path or a decoder that is slow for good one is shown all the same once
/// in a while.
#[derive(Debug, Default)]
struct CatchingUp {
    since: Option<MediaTime>,
}

impl CatchingUp {
    /// Units that may wait behind a picture that is shown: what jitter makes.
    const BACKLOG: usize = 4;
    /// A picture may be this late.
    const LATE: Duration = Duration::from_millis(300);
    /// For how long pictures are passed over at most.
    const PATIENCE: Duration = Duration::from_secs(1);

    fn shows(&mut self, waiting: usize, due: MediaTime, now: MediaTime) -> bool {
        if waiting <= CatchingUp::BACKLOG && now <= due + CatchingUp::LATE {
            self.since = None;
            return true;
        }
        let since = *self.since.get_or_insert(now);
        let shows = now > since + CatchingUp::PATIENCE;
        if shows {
            self.since = Some(now);
        }
        shows
    }
}

/// Damaged units are reported in aggregate: one line at most every ten seconds.
#[derive(Default)]
struct Losses {
    reported: Option<(std::time::Instant, u64)>,
}

impl Losses {
    const EVERY: Duration = Duration::from_secs(10);

    fn note(&mut self, shared: &Shared, error: &crate::codec::Error) {
        let now = std::time::Instant::now();
        let total = shared.stats.decode_errors.load(Ordering::Relaxed);
        let before = match self.reported {
            Some((at, _)) if now.duration_since(at) < Losses::EVERY => return,
            Some((_, count)) => count,
            None => 0,
        };
        tracing::warn!(show = %shared.name, new = total - before, %error, "video units could not be decoded");
        self.reported = Some((now, total));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: i64) -> MediaTime {
        MediaTime::from_ticks(millis * 90)
    }

    #[test]
    fn a_burst_after_a_stall_is_passed_over_until_now() {
        let mut catching_up = CatchingUp::default();
        assert!(catching_up.shows(0, ms(0), ms(5)));
        // Ten seconds late: the first, with nothing behind it yet, and those that find the queue full.
        assert!(!catching_up.shows(0, ms(33), ms(10_000)));
        for n in 0..300 {
            assert!(!catching_up.shows(64, ms(n * 33), ms(10_000 + n * 3)));
        }
        assert!(catching_up.shows(2, ms(10_890), ms(10_900)), "live again");
    }

    #[test]
    fn a_decoder_that_is_slow_for_good_still_shows_one_in_a_while() {
        let mut catching_up = CatchingUp::default();
        let shown = (0..300).filter(|n| catching_up.shows(64, ms(n * 33), ms(n * 66))).count();
        assert!((15..=25).contains(&shown), "{shown} in twenty seconds");
    }
}
