//! The audio stage: a publisher's audio units → one unbroken line of Opus packets → the feed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use super::health::Rounds;
use crate::codec::{AudioDecoder, OpusEncoder};
use crate::media::access_unit::AccessUnit;
use crate::media::queue::{Receiver, Recv};
use crate::media::{AudioConfig, EncodedAudio, MediaTime};
use crate::show::audio_line::AudioLine;

/// What came from the publication of that number. The unit's presentation time is media time since the epoch. Its
/// configuration travels with it: the queue may drop any job.
pub(super) struct Job {
    pub generation: u64,
    pub config: Arc<AudioConfig>,
    pub unit: AccessUnit,
}

/// Runs until the last publisher's end of the queue is gone.
pub(super) fn run(shared: &Shared, opus: Option<OpusEncoder>, units: &Receiver<Job>) {
    // The first one is opened where a failure can be told; a later beginning opens its own.
    let Some(mut opus) = opus.or_else(|| OpusEncoder::open().ok()) else {
        tracing::error!(show = %shared.name, "the sound encoder does not open: the show goes on in silence");
        while units.recv().is_some() {}
        return;
    };
    let mut decoder: Option<AudioDecoder> = None;
    let mut opened_with: Option<Arc<AudioConfig>> = None;
    let mut whose = 0;
    let mut line = AudioLine::new(shared.clock.now());
    let mut rounds = Rounds::begin(shared);
    loop {
        let job = match units.recv_until(shared.clock.instant(line.due())) {
            Recv::Item(job) => Some(job),
            Recv::TimedOut => None,
            Recv::Closed => return,
        };
        shared.step("audio");
        if let Some(Job { generation, config, unit }) = job
            && generation >= shared.publishing.generation()
        {
            if generation != whose {
                whose = generation;
                line.restart();
            }
            if !opened_with.as_ref().is_some_and(|opened| Arc::ptr_eq(opened, &config)) {
                decoder = open(shared, &config);
                opened_with = Some(config);
            }
            if let Some(decoder) = &mut decoder {
                take(shared, decoder, &mut line, &unit, |samples, now| rounds.hear(whose, samples, now));
            }
        }
        rounds.make(shared);
        line.advance(shared.clock.now());
        while let Some((at, samples)) = line.pop() {
            match opus.encode(samples) {
                Ok(Some(data)) => shared.feed.push_audio(EncodedAudio { at, data }),
                Ok(None) => {}
                Err(error) => {
                    Shared::count(&shared.stats.audio_errors);
                    tracing::debug!(show = %shared.name, %error, "a sound packet was lost");
                }
            }
        }
    }
}

fn open(shared: &Shared, config: &AudioConfig) -> Option<AudioDecoder> {
    let opened = AudioDecoder::open(config);
    opened
        .inspect_err(|error| {
            Shared::count(&shared.stats.audio_errors);
            tracing::warn!(show = %shared.name, %error, "the publisher's sound cannot be decoded");
        })
        .ok()
}

fn take(
    shared: &Shared,
    decoder: &mut AudioDecoder,
    line: &mut AudioLine,
    unit: &AccessUnit,
    mut hear: impl FnMut(&[f32], Instant),
) {
    let now = shared.clock.now();
    let decoded = decoder.decode(unit, |pts: Duration, samples| {
        hear(samples, shared.clock.instant(now));
        if !line.push(MediaTime::ZERO + pts, samples, now) {
            Shared::count(&shared.stats.audio_late);
        }
    });
    if let Some(source) = decoder.source() {
        shared.stats.set_audio_source(source);
    }
    if decoded.is_err() {
        Shared::count(&shared.stats.audio_errors);
    }
}
