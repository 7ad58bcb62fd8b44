//! A show's media path: decode → compose → encode → deliver, and the sound beside it, each on its own named thread.
//!
//! The threads live as long as the show; publishers come and go in front of them. Each ends when its input queue closes,
//! from the source downwards.
//!
//! | queue | holds | when full |
//! |---|---|---|
//! | ingest → decode | 64 access units, about a second | the publisher waits (back-pressure on TCP) |
//! | ingest → audio | 50 access units, about a second | the oldest goes |
//! | decode → compose | 3 frames | the oldest goes |
//! | compose → encode | 2 frames a rendition | the oldest goes, for that rendition |

mod audio;
mod compose;
mod decode;
pub mod doctor;
mod encode;
pub mod health;
mod inlet;
mod on_air;
mod supervise;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::settings::Role;
use crate::codec::{self, Fitting, Target};
use crate::deliver::Feed;
use crate::ingest::{Publication, Publisher};
use crate::media::slots::Slots;
use crate::media::{Colour, MediaClock, MediaTime, Picture, Rendition, Resolution, queue};
use crate::overlay::Scene;
use crate::overlay::compose::Engine;

use compose::Programme;
pub use health::Health;
use health::Stats;
use inlet::Inlet;
use on_air::OnAir;
use supervise::{Breaks, Stop, supervise};

const VIDEO_UNITS: usize = 64;
const AUDIO_UNITS: usize = 50;
const FRAMES: usize = 3;
const RENDITION_FRAMES: usize = 2;

/// What a show's picture is, whatever comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanvasConfig {
    pub resolution: Resolution,
    /// Divides 90000.
    pub fps: u32,
    /// Of the encoded video, in bits a second.
    pub bitrate: u32,
}

/// What a pipeline is started with.
pub struct Config {
    /// The show's id, for thread names and logs.
    pub name: String,
    pub canvas: CanvasConfig,
    pub clock: MediaClock,
    pub feed: Feed,
    pub rendition: Arc<Rendition>,
    /// What its pictures are drawn with.
    pub engine: Engine,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Codec(#[from] codec::Error),
    #[error("starting a thread: {0}")]
    Thread(#[from] io::Error),
    #[error("a canvas of {0} at {1} frames a second: the rate must divide 90000")]
    Canvas(Resolution, u32),
}

/// The first frame on which the newest scene was seen: that of a new revision, or one that was painted anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub rev: u64,
    pub at: MediaTime,
}

/// The running stages of one show.
pub struct Pipeline {
    shared: Arc<Shared>,
    inputs: Mutex<Option<Inputs>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    shown: watch::Receiver<Shown>,
    on_air: watch::Receiver<bool>,
}

/// What the stages share: read by all, written through atomics and short locks, never across a frame.
struct Shared {
    name: String,
    canvas: CanvasConfig,
    clock: MediaClock,
    rendition: Arc<Rendition>,
    feed: Feed,
    engine: Engine,
    programme: Programme,
    publishing: OnAir,
    stats: Stats,
    breaks: Breaks,
    stop: Stop,
    /// The size of the picture now: that of the newest scene. Width above height, 32 bits each.
    size: AtomicU64,
    fitting: AtomicU8,
    /// The size at which what the publisher sends is shown.
    source: watch::Sender<Option<Resolution>>,
    /// The newest picture that compose was given.
    newest: ArcSwapOption<Picture>,
    /// Decode began anew in mid-stream, and waits for a keyframe.
    key_wanted: AtomicBool,
    /// The stage that is to break off at its next step.
    #[cfg(test)]
    breaking: Mutex<Option<&'static str>>,
}

#[derive(Clone)]
struct Inputs {
    video: queue::Sender<decode::Job>,
    audio: queue::Sender<audio::Job>,
}

impl Pipeline {
    /// Starts every stage; returns once the codecs are open, so that what cannot work fails here.
    pub fn start(config: Config) -> Result<Pipeline, Error> {
        let Config { name, canvas, clock, feed, rendition, engine } = config;
        if !Slots::divides(canvas.fps) {
            return Err(Error::Canvas(canvas.resolution, canvas.fps));
        }
        let shared = Arc::new(Shared {
            name,
            canvas,
            clock,
            rendition,
            feed,
            engine,
            programme: Programme::default(),
            publishing: OnAir::default(),
            stats: Stats::default(),
            breaks: Breaks::default(),
            stop: Stop::default(),
            size: AtomicU64::new(0),
            fitting: AtomicU8::new(0),
            source: watch::Sender::new(None),
            newest: ArcSwapOption::empty(),
            key_wanted: AtomicBool::new(false),
            #[cfg(test)]
            breaking: Mutex::new(None),
        });
        shared.set_size(canvas.resolution);
        let mut encoder = Some(encode::open(&shared, canvas.resolution)?);
        let mut opus = Some(codec::OpusEncoder::open()?);

        let (video, units) = queue::bounded(VIDEO_UNITS);
        let (audio, blocks) = queue::bounded(AUDIO_UNITS);
        let (decoded, frames) = queue::bounded(FRAMES);
        let (composed, pictures) = queue::bounded(RENDITION_FRAMES);
        let (shown_sender, shown) = watch::channel(Shown::default());
        let (on_air_sender, on_air) = watch::channel(false);

        let mut threads = Vec::new();
        let mut spawn = |stage: &'static str, mut run: Box<dyn FnMut(&Shared) + Send>| -> Result<(), Error> {
            // Linux cuts thread names at 15 bytes.
            let name = format!("{stage}-{}", shared.name);
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name(name);
            threads.push(thread.spawn(move || supervise(&shared, stage, || run(&shared)))?);
            Ok(())
        };
        spawn("encode", Box::new(move |shared| encode::run(shared, encoder.take(), &pictures)))?;
        let told = compose::Told { shown: shown_sender, on_air: on_air_sender };
        let mut grid = Slots::new(canvas.fps, shared.clock.now());
        spawn("compose", Box::new(move |shared| compose::run(shared, &mut grid, &frames, &composed, &told)))?;
        let mut memory = decode::Memory::default();
        spawn("decode", Box::new(move |shared| decode::run(shared, &mut memory, &units, &decoded)))?;
        spawn("audio", Box::new(move |shared| audio::run(shared, opus.take(), &blocks)))?;

        let inputs = Mutex::new(Some(Inputs { video, audio }));
        Ok(Pipeline { shared, inputs, threads: Mutex::new(threads), shown, on_air })
    }

    /// Shows `scene` in every slot from the next free one on that is `not_before` a moment. That slot is told before any of
    /// them can leave. `tell` is short: the compositor waits for it.
    pub fn arm(&self, scene: Arc<Scene>, not_before: Option<MediaTime>, tell: &mut dyn FnMut(MediaTime)) -> MediaTime {
        let slots = Slots::new(self.shared.canvas.fps, MediaTime::ZERO);
        self.shared.programme.arm(&slots, self.shared.clock.now(), scene, not_before, tell)
    }

    /// Tells the newest revision on the picture, and its first frame.
    pub fn shown(&self) -> watch::Receiver<Shown> {
        self.shown.clone()
    }

    /// Whether a publisher's picture is moving.
    pub fn on_air(&self) -> watch::Receiver<bool> {
        self.on_air.clone()
    }

    /// The size of the publisher's picture, once one is decoded.
    pub fn source(&self) -> watch::Receiver<Option<Resolution>> {
        self.shared.source.subscribe()
    }

    /// The newest picture that came, without layers, once one has.
    pub fn picture(&self) -> Option<Arc<Picture>> {
        self.shared.newest.load_full()
    }

    /// How pictures of other proportions are shown from now on.
    pub fn fit(&self, fitting: Fitting) {
        let code = FITTINGS.iter().position(|known| *known == fitting).unwrap_or(0);
        self.shared.fitting.store(code as u8, Ordering::Relaxed);
    }

    /// Gives a place in the show to a new publisher; the one before in it is ended. After [`Pipeline::stop`] the publication
    /// takes nothing.
    pub fn publish(&self, role: Role, publisher: &Publisher) -> Box<dyn Publication> {
        // Held until it has begun, so that a stop either finds it or comes first.
        let inputs = self.inputs();
        Box::new(Inlet::open(self.shared.clone(), inputs.clone(), role, publisher))
    }

    /// Ends the publisher in a place who came by its key, if any.
    pub fn end_publication(&self, role: Role) {
        self.shared.publishing.end_keyed(role);
    }

    /// Puts a source on the picture. False when nothing comes from there.
    pub fn give(&self, role: Role) -> bool {
        self.shared.publishing.give(role, self.shared.clock.clock().now())
    }

    /// Whether somebody publishes in a place.
    pub fn publishes(&self, role: Role) -> bool {
        self.shared.publishing.about(role).is_some()
    }

    pub fn canvas(&self) -> CanvasConfig {
        self.shared.canvas
    }

    /// The colour of every composed picture.
    pub fn colour(&self) -> Colour {
        self.shared.colour()
    }

    pub fn rendition(&self) -> &Arc<Rendition> {
        &self.shared.rendition
    }

    pub fn health(&self) -> Health {
        health::snapshot(&self.shared, *self.on_air.borrow())
    }

    /// Stops the stages and waits for them (blocking, some tens of milliseconds).
    pub fn stop(&self) {
        self.inputs().take();
        self.shared.stop.tell();
        self.shared.publishing.end();
        let threads = std::mem::take(&mut *self.threads.lock().expect("no panic while threads are listed"));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!(show = %self.shared.name, "a media thread ended in a panic");
            }
        }
    }

    fn inputs(&self) -> MutexGuard<'_, Option<Inputs>> {
        self.inputs.lock().expect("no panic while the inputs are held")
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
    }
}

/// As [`Shared::fitting`] numbers them.
const FITTINGS: [Fitting; 3] = [Fitting::Blur, Fitting::Bars, Fitting::Fill];

impl Shared {
    /// One for the whole show, whatever size the picture takes on.
    fn colour(&self) -> Colour {
        Colour::unsaid(self.canvas.resolution.height)
    }

    fn size(&self) -> Resolution {
        let packed = self.size.load(Ordering::Relaxed);
        Resolution::new((packed >> 32) as u32, packed as u32)
    }

    fn set_size(&self, size: Resolution) {
        self.size.store(u64::from(size.width) << 32 | u64::from(size.height), Ordering::Relaxed);
    }

    /// What decoded pictures are brought to now.
    fn target(&self) -> Target {
        let fitting = FITTINGS[usize::from(self.fitting.load(Ordering::Relaxed)) % FITTINGS.len()];
        Target { resolution: self.size(), colour: self.colour(), fitting }
    }

    #[cfg(test)]
    fn break_next(&self, stage: &'static str) {
        *self.breaking.lock().unwrap() = Some(stage);
    }

    /// A step of a stage begins.
    #[cfg(test)]
    fn step(&self, stage: &'static str) {
        let mut breaking = self.breaking.lock().unwrap();
        if breaking.take_if(|breaking| *breaking == stage).is_some() {
            drop(breaking);
            panic!("the {stage} stage was told to break");
        }
    }

    #[cfg(not(test))]
    fn step(&self, _: &'static str) {}

    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
