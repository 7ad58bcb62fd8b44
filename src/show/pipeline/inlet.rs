//! Where a publisher's media enters the pipeline: maps its timestamps, feeds the two queues or stands by, ends when another
//! takes its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::health::Meter;
use super::on_air::{About, Sign, Turn};
use super::{Inputs, Shared, audio, decode};
use crate::ingest::{Ended, Publication, Publisher, SourceInfo};
use crate::media::access_unit::AccessUnit;
use crate::media::slots::Slots;
use crate::media::{AudioConfig, Coded, MediaTime, VideoConfig};
use crate::show::settings::Role;
use crate::show::timeline::Timeline;

/// One publication on its way into the pipeline.
pub(super) struct Inlet {
    shared: Arc<Shared>,
    inputs: Option<Inputs>,
    ended: CancellationToken,
    role: Role,
    number: u64,
    /// Under which its units went to the picture last.
    generation: u64,
    timeline: Timeline,
    meter: Arc<Meter>,
    jumps: u64,
    video: Option<VideoConfig>,
    audio: Option<Arc<AudioConfig>>,
    standby: Standby,
    wants_keyframe: bool,
}

/// What a source that stands by has sent since its last keyframe: where its picture begins when it takes over.
#[derive(Default)]
struct Standby {
    units: Vec<AccessUnit>,
    bytes: usize,
}

impl Standby {
    /// Ten seconds at 60 frames a second, and what a generous encoder puts into them.
    const MOST_UNITS: usize = 600;
    const MOST_BYTES: usize = 8 * 1024 * 1024;

    /// False while there is no keyframe to begin at: before the first one, and after more than is held.
    fn keep(&mut self, unit: AccessUnit) -> bool {
        if unit.key {
            *self = Standby::default();
        } else if self.units.is_empty() {
            return false;
        }
        self.bytes += unit.data.len();
        self.units.push(unit);
        if self.units.len() > Standby::MOST_UNITS || self.bytes > Standby::MOST_BYTES {
            *self = Standby::default();
        }
        !self.units.is_empty()
    }
}

impl Inlet {
    pub(super) fn open(shared: Arc<Shared>, inputs: Option<Inputs>, role: Role, publisher: &Publisher) -> Inlet {
        let ended = CancellationToken::new();
        if inputs.is_none() {
            ended.cancel();
        }
        let meter = Arc::new(Meter::default());
        let now = shared.clock.clock().now();
        let about =
            About { protocol: publisher.protocol, since: now, info: SourceInfo::default(), meter: meter.clone() };
        let number = shared.publishing.begin(role, ended.clone(), about);
        if shared.publishing.active() == role {
            shared.stats.forget_source();
        }
        tracing::info!(show = %shared.name, %role, peer = %publisher.peer, protocol = %publisher.protocol, "publisher on");
        let timeline = Inlet::timeline(&shared);
        Inlet {
            shared,
            inputs,
            ended,
            role,
            number,
            generation: 0,
            timeline,
            meter,
            jumps: 0,
            video: None,
            audio: None,
            standby: Standby::default(),
            wants_keyframe: false,
        }
    }

    fn timeline(shared: &Shared) -> Timeline {
        Timeline::new(Slots::new(shared.canvas.fps, MediaTime::ZERO).interval())
    }

    /// Its units go to the picture from here on: its configuration again, its timestamps anchored anew, and what it has sent
    /// since its last keyframe.
    async fn take_over(&mut self, generation: u64) -> Result<(), Ended> {
        if self.generation > 0 || !self.standby.units.is_empty() {
            tracing::info!(show = %self.shared.name, role = %self.role, "this source has the picture now");
            self.shared.stats.forget_source();
        }
        // In mid-stream, and without a keyframe to begin at: one is needed now.
        self.wants_keyframe |= self.generation > 0 && self.standby.units.is_empty();
        self.generation = generation;
        self.timeline = Inlet::timeline(&self.shared);
        self.jumps = 0;
        if let Some(config) = self.video.clone() {
            self.send(decode::What::Config(config)).await?;
        }
        for unit in std::mem::take(&mut self.standby).units {
            // Each is a sign of life: a long group takes its time to decode, and the other source must not take that for silence.
            if self.turn(Sign::Picture) != Turn::Live(generation) {
                return Ok(());
            }
            let unit = self.map(unit, true);
            self.send(decode::What::Unit(unit)).await?;
        }
        Ok(())
    }

    fn turn(&self, what: Sign) -> Turn {
        self.shared.publishing.turn(self.role, self.number, what, self.shared.clock.clock().now())
    }

    async fn send(&self, what: decode::What) -> Result<(), Ended> {
        let inputs = self.inputs.as_ref().ok_or(Ended)?;
        let job = decode::Job { generation: self.generation, what };
        tokio::select! {
            pushed = inputs.video.push(job) => pushed.map_err(|_| Ended),
            () = self.ended.cancelled() => Err(Ended),
        }
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
        let what = match &coded {
            Coded::Video(_) => Sign::Picture,
            Coded::Audio(_) => Sign::Sound,
            Coded::VideoConfig(_) | Coded::AudioConfig(_) => Sign::Promise,
        };
        let live = match self.turn(what) {
            Turn::Live(generation) => {
                if generation != self.generation {
                    self.take_over(generation).await?;
                }
                true
            }
            Turn::Standby => false,
        };
        match coded {
            Coded::VideoConfig(config) => {
                self.meter.video_config(&config);
                self.video = Some(config.clone());
                self.standby = Standby::default();
                if live { self.send(decode::What::Config(config)).await } else { Ok(()) }
            }
            Coded::Video(unit) => {
                self.meter.video(&unit);
                if !live {
                    self.wants_keyframe |= !self.standby.keep(unit);
                    return Ok(());
                }
                let unit = self.map(unit, true);
                self.send(decode::What::Unit(unit)).await
            }
            Coded::AudioConfig(config) => {
                self.meter.audio_config(&config);
                self.audio = Some(Arc::new(config));
                Ok(())
            }
            Coded::Audio(unit) => {
                let Some(config) = self.audio.clone() else { return Ok(()) };
                self.meter.audio(&unit);
                if !live {
                    return Ok(());
                }
                let unit = self.map(unit, false);
                let job = audio::Job { generation: self.generation, config, unit };
                let inputs = self.inputs.as_ref().ok_or(Ended)?;
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

    fn wants_keyframe(&mut self) -> bool {
        let live = self.generation == self.shared.publishing.generation();
        let decode = live && self.shared.key_wanted.swap(false, Ordering::Relaxed);
        std::mem::take(&mut self.wants_keyframe) || decode
    }

    fn describe(&mut self, what: SourceInfo) {
        self.shared.stats.note_complaint(&what, self.shared.clock.clock().now());
        self.shared.publishing.describe(self.role, self.number, what);
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.shared.publishing.leave(self.role, self.number);
        tracing::info!(show = %self.shared.name, role = %self.role, taken_over = self.ended.is_cancelled(), "publisher off");
    }
}
