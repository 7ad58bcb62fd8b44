//! What comes in, what goes out, what was lost on the way: counted by the stages, read by the API.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::doctor::arrival::Arrival;
use super::doctor::cadence::Cadence;
use super::doctor::loudness::Loudness;
use super::doctor::signs::{Signs, Sound};
use super::doctor::{Advice, Doctor};
use super::on_air::About;
use crate::codec::Source;
use crate::ingest::SourceInfo;
use crate::media::access_unit::AccessUnit;
use crate::media::frame::{Matrix, Range};
use crate::media::{AudioConfig, Spent, Times, VideoConfig};
use crate::show::settings::Role;

/// Counts since the show was opened.
#[derive(Default)]
pub(super) struct Stats {
    pub decoded: AtomicU64,
    pub decode_errors: AtomicU64,
    pub decode_dropped: AtomicU64,
    pub compose_dropped: AtomicU64,
    pub compose_late: AtomicU64,
    pub composed: AtomicU64,
    pub repeated: AtomicU64,
    pub encode_dropped: AtomicU64,
    encoded: AtomicU64,
    encoded_bytes: AtomicU64,
    keyframes: AtomicU64,
    pub audio_dropped: AtomicU64,
    pub audio_late: AtomicU64,
    pub audio_errors: AtomicU64,
    pub decode_time: Spent,
    pub copy_time: Spent,
    pub blend_time: Spent,
    pub rescued: AtomicU64,
    pub encode_time: Spent,
    source: Mutex<Option<Source>>,
    audio_source: Mutex<Option<(u32, u16)>>,
    refused: Mutex<Option<(Instant, String)>>,
    out: Mutex<Window>,
}

impl Stats {
    pub(super) fn encoded(&self, bytes: usize, key: bool) {
        self.encoded.fetch_add(1, Ordering::Relaxed);
        self.encoded_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if key {
            self.keyframes.fetch_add(1, Ordering::Relaxed);
        }
        if let Ok(mut out) = self.out.lock() {
            out.note(Instant::now(), bytes);
        }
    }

    pub(super) fn set_source(&self, source: Source) {
        if let (Ok(mut seen), Ok(mut refused)) = (self.source.lock(), self.refused.lock()) {
            // A picture: whatever was wrong with a codec is no more.
            (*seen, *refused) = (Some(source), None);
        }
    }

    /// Keeps what a source was refused for: it is gone with its connection, and its seller still wants to know why.
    pub(super) fn note_complaint(&self, of: &SourceInfo, now: Instant) {
        if let (Some(complaint), Ok(mut refused)) = (&of.complaint, self.refused.lock()) {
            *refused = Some((now, complaint.clone()));
        }
    }

    fn complaint(&self, now: Instant) -> Option<String> {
        let refused = self.refused.lock().ok()?;
        refused
            .as_ref()
            .filter(|(at, _)| now.saturating_duration_since(*at) < COMPLAINT_KEPT)
            .map(|(_, why)| why.clone())
    }

    /// A new publisher: what the last one sent is not theirs.
    pub(super) fn forget_source(&self) {
        if let (Ok(mut video), Ok(mut audio)) = (self.source.lock(), self.audio_source.lock()) {
            (*video, *audio) = (None, None);
        }
    }

    pub(super) fn set_audio_source(&self, source: (u32, u16)) {
        if let Ok(mut seen) = self.audio_source.lock() {
            *seen = Some(source);
        }
    }
}

/// How long a refusal is told after it.
const COMPLAINT_KEPT: Duration = Duration::from_secs(60);

/// What one publication sends, measured as it arrives.
#[derive(Default)]
pub(super) struct Meter(Mutex<Measured>);

#[derive(Default)]
struct Measured {
    video: Option<VideoConfig>,
    audio: Option<AudioConfig>,
    video_rate: Window,
    audio_rate: Window,
    cadence: Cadence,
    arrival: Arrival,
    first_video: Option<Instant>,
    doctor: Doctor,
}

impl Meter {
    pub(super) fn video_config(&self, config: &VideoConfig) {
        self.with(|measured| measured.video = Some(config.clone()));
    }

    pub(super) fn audio_config(&self, config: &AudioConfig) {
        self.with(|measured| measured.audio = Some(config.clone()));
    }

    pub(super) fn video(&self, unit: &AccessUnit) {
        self.with(|measured| {
            measured.video_rate.note(unit.arrived, unit.data.len());
            measured.cadence.note(unit);
            measured.arrival.note(unit);
            measured.first_video.get_or_insert(unit.arrived);
        });
    }

    pub(super) fn audio(&self, unit: &AccessUnit) {
        self.with(|measured| measured.audio_rate.note(unit.arrived, unit.data.len()));
    }

    /// Lets the doctor look at all that is known of the publisher that this is the meter of.
    fn examine(&self, shared: &Shared, about: &About, loudness: &Loudness, now: Instant) {
        self.with(|measured| {
            let (Some(first_video), Some(newest_video)) = (measured.first_video, measured.video_rate.newest) else {
                return;
            };
            let newest_sound = measured.audio_rate.newest.unwrap_or(first_video);
            let signs = Signs {
                protocol: about.protocol,
                canvas: shared.size(),
                canvas_fps: shared.canvas.fps,
                codec: measured.video.as_ref().map(|config| config.codec),
                source: stats_of(&shared.stats.source),
                cadence: measured.cadence.signs(about.info.frames_per_second),
                arrival: measured.arrival.signs(now),
                sound: Sound {
                    track: measured.audio.is_some(),
                    missing_seconds: newest_video.saturating_duration_since(newest_sound).as_secs_f64(),
                    loudest_dbfs: loudness.loudest_dbfs(),
                    clipped: loudness.clipped(),
                },
            };
            measured.doctor.examine(&signs, now);
        });
    }

    fn with<T: Default>(&self, change: impl FnOnce(&mut Measured) -> T) -> T {
        self.0.lock().map(|mut measured| change(&mut measured)).unwrap_or_default()
    }
}

/// The doctor's rounds, made on the sound's thread: it wakes many times a second whatever comes in, and it alone knows what is
/// heard.
pub(super) struct Rounds {
    due: Instant,
    generation: u64,
    loudness: Loudness,
}

impl Rounds {
    const EVERY: Duration = Duration::from_secs(1);

    pub(super) fn begin(shared: &Shared) -> Rounds {
        let due = shared.clock.clock().now() + Rounds::EVERY;
        Rounds { due, generation: 0, loudness: Loudness::default() }
    }

    /// Hears decoded samples of the publication of that number.
    pub(super) fn hear(&mut self, generation: u64, samples: &[f32], now: Instant) {
        if generation != self.generation {
            (self.generation, self.loudness) = (generation, Loudness::default());
        }
        self.loudness.hear(samples, now);
    }

    /// Looks at the publisher on air, once a second.
    pub(super) fn make(&mut self, shared: &Shared) {
        let now = shared.clock.clock().now();
        if now < self.due {
            return;
        }
        self.due = now + Rounds::EVERY;
        self.loudness.turn(now);
        let Some(about) = shared.publishing.about(shared.publishing.active()) else { return };
        if shared.publishing.generation() != self.generation {
            self.loudness = Loudness::default();
        }
        about.meter.examine(shared, &about, &self.loudness, now);
    }
}

/// A rate over the last whole [`Window::LENGTH`].
#[derive(Default)]
struct Window {
    begun: Option<Instant>,
    count: u64,
    bytes: u64,
    /// Units and bytes a second of the window before.
    whole: Option<(f64, f64)>,
    newest: Option<Instant>,
}

impl Window {
    const LENGTH: Duration = Duration::from_secs(2);

    fn note(&mut self, at: Instant, bytes: usize) {
        let begun = *self.begun.get_or_insert(at);
        let passed = at.saturating_duration_since(begun);
        if passed >= Window::LENGTH {
            let seconds = passed.as_secs_f64();
            self.whole = Some((self.count as f64 / seconds, self.bytes as f64 / seconds));
            (self.begun, self.count, self.bytes) = (Some(at), 0, 0);
        }
        self.count += 1;
        self.bytes += bytes as u64;
        self.newest = Some(at);
    }

    /// Units and bytes a second; zero once nothing came for longer than a window.
    fn rates(&self, now: Instant) -> (f64, f64) {
        let silent = self.newest.is_none_or(|newest| now.saturating_duration_since(newest) > Window::LENGTH * 2);
        if silent { (0.0, 0.0) } else { self.whole.unwrap_or_default() }
    }
}

/// The state of a show's media.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Health {
    /// A publisher's picture is moving.
    pub on_air: bool,
    /// Media time in 90 kHz ticks since the show's epoch.
    pub media_time: i64,
    /// What comes in; absent while nobody publishes.
    pub input: Option<Input>,
    /// The other source, that is connected and not on the picture.
    pub standby: Option<Input>,
    /// What broke within and was begun anew in the last minute.
    pub trouble: Option<String>,
    /// What to change about it, the worst first. A piece of advice appears when its reason has held for some seconds and goes
    /// when all has been well for ten. Why a codec was refused stays for a minute after its publisher has gone.
    pub advice: Vec<Advice>,
    pub output: Output,
    pub compositor: Compositor,
    pub stages: Stages,
    /// In full for `/metrics`.
    #[serde(skip)]
    pub times: StageTimes,
}

/// What a publisher sends.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Input {
    pub role: Role,
    /// `RTMP`, `RTSP` or `WHIP`.
    pub protocol: String,
    /// What the encoder calls itself.
    pub encoder: Option<String>,
    pub seconds: u64,
    pub video: Option<VideoInput>,
    pub audio: Option<AudioInput>,
    /// Why something of it cannot be shown or heard, and what to do about it; also told as advice.
    pub complaint: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VideoInput {
    pub codec: String,
    pub width: u32,
    pub height: u32,
    /// Frames a second that arrive, over two seconds.
    pub fps: f64,
    /// Bits a second that arrive, over two seconds.
    pub bitrate: u64,
    /// Between the last two keyframes.
    pub keyframe_seconds: Option<f64>,
    /// Frames are sent out of order; each costs a frame or two of delay.
    pub b_frames: bool,
    pub colour: String,
    pub interlaced: bool,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AudioInput {
    pub codec: String,
    pub sample_rate: Option<u32>,
    pub channels: Option<u16>,
    /// Bits a second that arrive, over two seconds.
    pub bitrate: u64,
}

/// What every viewer gets.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Output {
    pub width: u32,
    pub height: u32,
    /// Frames a second that are encoded, over two seconds.
    pub fps: f64,
    pub bitrate: u64,
    pub target_bitrate: u32,
    pub viewers: usize,
}

/// Who draws the layers into the pictures.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Compositor {
    /// `cpu` or `gpu`.
    pub kind: String,
    /// What the graphics processor calls itself.
    pub adapter: Option<String>,
}

/// Counts and seconds of work since the show was opened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Stages {
    pub decode_frames: u64,
    pub decode_errors: u64,
    /// Units before the first usable configuration.
    pub decode_dropped: u64,
    pub decode_seconds: f64,
    pub compose_frames: u64,
    /// Slots that showed the last picture again.
    pub compose_repeated: u64,
    /// Frames whose slot was taken, as every second one of a source at twice the canvas's rate.
    pub compose_late: u64,
    /// Frames that a busy compositor never saw.
    pub compose_dropped: u64,
    pub compose_copy_seconds: f64,
    pub compose_blend_seconds: f64,
    /// Pictures that a graphics processor failed over; the CPU drew them, and does since.
    pub compose_rescued: u64,
    pub encode_frames: u64,
    pub encode_keyframes: u64,
    pub encode_bytes: u64,
    /// Frames that a busy encoder never saw.
    pub encode_dropped: u64,
    pub encode_seconds: f64,
    pub audio_dropped: u64,
    pub audio_late: u64,
    pub audio_errors: u64,
    /// Threads of the show that broke off and began anew.
    pub restarts: u64,
}

/// How long the stages took with each frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    pub decode: Times,
    pub copy: Times,
    pub blend: Times,
    pub encode: Times,
}

pub(super) fn snapshot(shared: &Shared, on_air: bool) -> Health {
    let stats = &shared.stats;
    let now = shared.clock.clock().now();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let times = StageTimes {
        decode: stats.decode_time.times(),
        copy: stats.copy_time.times(),
        blend: stats.blend_time.times(),
        encode: stats.encode_time.times(),
    };
    let (fps, bytes) = stats.out.lock().map(|out| out.rates(now)).unwrap_or_default();
    Health {
        on_air,
        media_time: shared.clock.now().ticks(),
        input: input(shared, shared.publishing.active(), now),
        standby: input(shared, shared.publishing.active().other(), now),
        trouble: shared.breaks.newest(now).map(|stage| {
            let times = shared.breaks.count();
            format!("the {stage} stage broke off and began anew ({times} times since the show was opened): see the server's log")
        }),
        advice: advice(shared, now),
        output: Output {
            width: shared.size().width,
            height: shared.size().height,
            fps: tenths(fps),
            bitrate: (bytes * 8.0) as u64,
            target_bitrate: shared.rendition.target_bitrate(),
            viewers: shared.feed.viewers(),
        },
        compositor: Compositor {
            kind: shared.engine.kind().to_owned(),
            adapter: shared.engine.adapter().map(str::to_owned),
        },
        stages: Stages {
            decode_frames: read(&stats.decoded),
            decode_errors: read(&stats.decode_errors),
            decode_dropped: read(&stats.decode_dropped),
            decode_seconds: times.decode.seconds,
            compose_frames: read(&stats.composed),
            compose_repeated: read(&stats.repeated),
            compose_late: read(&stats.compose_late),
            compose_dropped: read(&stats.compose_dropped),
            compose_copy_seconds: times.copy.seconds,
            compose_blend_seconds: times.blend.seconds,
            compose_rescued: read(&stats.rescued),
            encode_frames: read(&stats.encoded),
            encode_keyframes: read(&stats.keyframes),
            encode_bytes: read(&stats.encoded_bytes),
            encode_dropped: read(&stats.encode_dropped),
            encode_seconds: times.encode.seconds,
            audio_dropped: read(&stats.audio_dropped),
            audio_late: read(&stats.audio_late),
            audio_errors: read(&stats.audio_errors),
            restarts: shared.breaks.count(),
        },
        times,
    }
}

fn input(shared: &Shared, role: Role, now: Instant) -> Option<Input> {
    let about = shared.publishing.about(role)?;
    // Only what is on the picture is decoded.
    let active = role == shared.publishing.active();
    let source = stats_of(&shared.stats.source).filter(|_| active);
    let audio_source = stats_of(&shared.stats.audio_source).filter(|_| active);
    let (video, audio) = about.meter.with(|measured| {
        let video = measured.video.as_ref().map(|config| {
            let (fps, bytes) = measured.video_rate.rates(now);
            VideoInput {
                codec: config.codec.to_string(),
                width: source.map_or(0, |source| source.resolution.width),
                height: source.map_or(0, |source| source.resolution.height),
                fps: tenths(fps),
                bitrate: (bytes * 8.0) as u64,
                keyframe_seconds: measured.cadence.key_distance().map(|distance| tenths(distance.as_secs_f64())),
                b_frames: measured.cadence.reordered(),
                colour: source.map_or_else(String::new, colour),
                interlaced: source.is_some_and(|source| source.interlaced),
            }
        });
        let audio = measured.audio.as_ref().map(|config| AudioInput {
            codec: config.codec.to_string(),
            sample_rate: audio_source.map(|source| source.0),
            channels: audio_source.map(|source| source.1),
            bitrate: (measured.audio_rate.rates(now).1 * 8.0) as u64,
        });
        (video, audio)
    });
    Some(Input {
        role,
        protocol: about.protocol.to_string(),
        encoder: about.info.encoder,
        seconds: now.saturating_duration_since(about.since).as_secs(),
        video,
        audio,
        complaint: about.info.complaint,
    })
}

fn advice(shared: &Shared, now: Instant) -> Vec<Advice> {
    let active = shared.publishing.about(shared.publishing.active());
    // Of whoever is on the picture, else of whoever was refused a moment ago.
    let complaint =
        active.as_ref().and_then(|about| about.info.complaint.clone()).or_else(|| shared.stats.complaint(now));
    let refused = complaint.map(|complaint| Advice::unsupported_codec(&complaint));
    let told = active.map(|about| about.meter.with(|measured| measured.doctor.advice()));
    refused.into_iter().chain(told.into_iter().flatten()).collect()
}

fn stats_of<T: Copy>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().ok().and_then(|slot| *slot)
}

fn colour(source: Source) -> String {
    let matrix = match source.colour.matrix {
        Matrix::Bt601 => "BT.601",
        Matrix::Bt709 => "BT.709",
    };
    let range = match source.colour.range {
        Range::Limited => "limited",
        Range::Full => "full",
    };
    format!("{matrix} {range}")
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_whole_window_and_falls_silent() {
        let start = Instant::now();
        let mut window = Window::default();
        for n in 0..90 {
            window.note(start + Duration::from_millis(n * 100 / 3), 1000);
        }
        let (fps, bytes) = window.rates(start + Duration::from_secs(3));
        assert!((29.0..31.0).contains(&fps), "{fps} a second");
        assert!((29_000.0..31_000.0).contains(&bytes));
        assert_eq!(window.rates(start + Duration::from_secs(30)), (0.0, 0.0));
    }

    #[test]
    fn a_refusal_outlives_its_publisher_until_there_is_a_picture_or_a_minute_is_over() {
        let (start, stats) = (Instant::now(), Stats::default());
        let refused = SourceInfo { complaint: Some("VP6: choose H.264".to_owned()), ..SourceInfo::default() };
        stats.note_complaint(&refused, start);
        stats.note_complaint(&SourceInfo::default(), start);
        stats.forget_source();
        assert_eq!(stats.complaint(start + Duration::from_secs(59)), refused.complaint);
        assert_eq!(stats.complaint(start + Duration::from_secs(60)), None);
        let colour = crate::media::Colour::BT709;
        stats.set_source(Source {
            resolution: crate::media::Resolution::new(640, 360),
            colour,
            interlaced: false,
            aspect: (1, 1),
        });
        assert_eq!(stats.complaint(start), None);
    }
}
