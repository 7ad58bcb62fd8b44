//! Where a publisher's media enters the pipeline: maps its timestamps, feeds the two queues, ends when another takes over.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::health::Meter;
use super::{Inputs, Shared, audio, decode};
use crate::ingest::{Ended, Protocol, Publication, Publisher, SourceInfo};
use crate::media::access_unit::AccessUnit;
use crate::media::slots::Slots;
use crate::media::{AudioConfig, Coded, MediaTime};
use crate::show::timeline::Timeline;

/// Who has the show now. The newest publisher with the right key wins.
#[derive(Default)]
pub(super) struct OnAir(Mutex<State>);

#[derive(Default)]
struct State {
    generation: u64,
    current: Option<Current>,
}

struct Current {
    ended: CancellationToken,
    about: About,
}

/// What is known of the publisher on air.
#[derive(Clone)]
pub(super) struct About {
    pub protocol: Protocol,
    pub since: Instant,
    pub info: SourceInfo,
    pub meter: Arc<Meter>,
}

impl OnAir {
    /// The number of the newest publication: what older ones left in the queues is thrown away.
    pub(super) fn generation(&self) -> u64 {
        self.state().generation
    }

    pub(super) fn about(&self) -> Option<About> {
        self.state().current.as_ref().map(|current| current.about.clone())
    }

    pub(super) fn end(&self) {
        let mut state = self.state();
        state.generation += 1;
        if let Some(current) = state.current.take() {
            current.ended.cancel();
        }
    }

    fn begin(&self, ended: CancellationToken, about: About) -> u64 {
        let mut state = self.state();
        state.generation += 1;
        if let Some(before) = state.current.replace(Current { ended, about }) {
            before.ended.cancel();
        }
        state.generation
    }

    fn leave(&self, generation: u64) {
        let mut state = self.state();
        if state.generation == generation {
            state.current = None;
        }
    }

    fn describe(&self, generation: u64, info: SourceInfo) {
        let mut state = self.state();
        if state.generation == generation
            && let Some(current) = &mut state.current
        {
            current.about.info = info;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while the publisher's name is held")
    }
}

/// One publication on its way into the pipeline.
pub(super) struct Inlet {
    shared: Arc<Shared>,
    inputs: Option<Inputs>,
    ended: CancellationToken,
    generation: u64,
    timeline: Timeline,
    meter: Arc<Meter>,
    jumps: u64,
    audio: Option<Arc<AudioConfig>>,
}

impl Inlet {
    pub(super) fn open(shared: Arc<Shared>, inputs: Option<Inputs>, publisher: &Publisher) -> Inlet {
        let ended = CancellationToken::new();
        if inputs.is_none() {
            ended.cancel();
        }
        let meter = Arc::new(Meter::default());
        shared.stats.forget_source();
        let generation = shared.publishing.begin(
            ended.clone(),
            About {
                protocol: publisher.protocol,
                since: shared.clock.clock().now(),
                info: SourceInfo::default(),
                meter: meter.clone(),
            },
        );
        tracing::info!(show = %shared.name, peer = %publisher.peer, protocol = %publisher.protocol, "publisher on");
        let timeline = Timeline::new(Slots::new(shared.canvas.fps, MediaTime::ZERO).interval());
        Inlet { shared, inputs, ended, generation, timeline, meter, jumps: 0, audio: None }
    }

    /// The unit with its presentation time put on the show's timeline.
    fn map(&mut self, unit: AccessUnit, video: bool) -> AccessUnit {
        let now = self.shared.clock.at(unit.arrived);
        self.timeline.arrived(video, unit.dts, now);
        if self.timeline.jumps() > self.jumps {
            self.jumps = self.timeline.jumps();
            tracing::info!(show = %self.shared.name, jumps = self.jumps, "the publisher's timestamps jumped");
        }
        let at = self.timeline.media(unit.pts).unwrap_or(now);
        AccessUnit { pts: at.since(MediaTime::ZERO), ..unit }
    }
}

#[async_trait]
impl Publication for Inlet {
    async fn push(&mut self, coded: Coded) -> Result<(), Ended> {
        if self.ended.is_cancelled() {
            return Err(Ended);
        }
        let Some(inputs) = self.inputs.clone() else { return Err(Ended) };
        let generation = self.generation;
        match coded {
            Coded::VideoConfig(config) => {
                self.meter.video_config(&config);
                let job = decode::Job { generation, what: decode::What::Config(config) };
                inputs.video.push(job).await.map_err(|_| Ended)
            }
            Coded::Video(unit) => {
                self.meter.video(&unit);
                let unit = self.map(unit, true);
                let job = decode::Job { generation, what: decode::What::Unit(unit) };
                tokio::select! {
                    pushed = inputs.video.push(job) => pushed.map_err(|_| Ended),
                    () = self.ended.cancelled() => Err(Ended),
                }
            }
            Coded::AudioConfig(config) => {
                self.meter.audio_config(&config);
                self.audio = Some(Arc::new(config));
                Ok(())
            }
            Coded::Audio(unit) => {
                let Some(config) = self.audio.clone() else { return Ok(()) };
                self.meter.audio(&unit);
                let unit = self.map(unit, false);
                let job = audio::Job { generation, config, unit };
                let dropped = inputs.audio.push_newest(job).map_err(|_| Ended)?;
                if dropped.is_some() {
                    self.shared.stats.audio_dropped.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }
        }
    }

    fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    fn describe(&mut self, what: SourceInfo) {
        self.shared.stats.note_complaint(&what, self.shared.clock.clock().now());
        self.shared.publishing.describe(self.generation, what);
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.shared.publishing.leave(self.generation);
        tracing::info!(show = %self.shared.name, taken_over = self.ended.is_cancelled(), "publisher off");
    }
}
