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
    let mut errors = Losses::default();
    let mut passing = MediaTime::ZERO;
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
                let before = std::time::Instant::now();
                let decoded = decoder.decode(&unit, shared.target(), |decoded| {
                    Shared::count(&shared.stats.decoded);
                    let at = MediaTime::ZERO + decoded.pts;
                    // After a stall everything is decoded as fast as it goes, and nobody wants to watch that: a picture is passed
                    // over while newer ones wait. Now and then one is shown all the same, for a decoder that is slow for good.
                    let now = shared.clock.now();
                    if units.waiting() > BACKLOG && now < passing + PASSING {
                        Shared::count(&shared.stats.compose_late);
                        return;
                    }
                    passing = now;
                    // The unit that set a picture free is the last thing that it waited for.
                    let frame = Frame { at, picture: decoded.picture, arrived: Some(unit.arrived) };
                    if let Ok(Some(_)) = frames.push_newest(frame) {
                        Shared::count(&shared.stats.compose_dropped);
                    }
                });
                shared.stats.decode_time.add(before.elapsed());
                if let Some(source) = decoder.source() {
                    shared.stats.set_source(source);
                    shared.source.send_if_modified(|seen| seen.replace(source.resolution) != Some(source.resolution));
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

/// Units that may wait behind a picture that is shown: what jitter makes.
const BACKLOG: usize = 4;
/// For how long pictures are passed over at most.
const PASSING: Duration = Duration::from_secs(1);

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
