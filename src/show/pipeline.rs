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

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::codec;
use crate::deliver::Feed;
use crate::ingest::{Publication, Publisher};
use crate::media::slots::Slots;
use crate::media::{Colour, MediaClock, MediaTime, Rendition, Resolution, queue};
use crate::overlay::Scene;

use compose::Programme;
pub use health::Health;
use health::Stats;
use inlet::{Inlet, OnAir};

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

/// The first frame on which the newest revision was seen.
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
    programme: Programme,
    publishing: OnAir,
    stats: Stats,
}

#[derive(Clone)]
struct Inputs {
    video: queue::Sender<decode::Job>,
    audio: queue::Sender<audio::Job>,
}

impl Pipeline {
    /// Starts every stage; returns once the codecs are open, so that what cannot work fails here.
    pub fn start(config: Config) -> Result<Pipeline, Error> {
        let Config { name, canvas, clock, feed, rendition } = config;
        if !Slots::divides(canvas.fps) {
            return Err(Error::Canvas(canvas.resolution, canvas.fps));
        }
        let shared = Arc::new(Shared {
            name,
            canvas,
            clock,
            rendition,
            feed,
            programme: Programme::default(),
            publishing: OnAir::default(),
            stats: Stats::default(),
        });
        let encoder = encode::open(&shared)?;
        let opus = codec::OpusEncoder::open()?;

        let (video, units) = queue::bounded(VIDEO_UNITS);
        let (audio, blocks) = queue::bounded(AUDIO_UNITS);
        let (decoded, frames) = queue::bounded(FRAMES);
        let (composed, pictures) = queue::bounded(RENDITION_FRAMES);
        let (shown_sender, shown) = watch::channel(Shown::default());
        let (on_air_sender, on_air) = watch::channel(false);

        let mut threads = Vec::new();
        let mut spawn = |stage: &str, run: Box<dyn FnOnce() + Send>| -> Result<(), Error> {
            // Linux cuts thread names at 15 bytes.
            let name = format!("{stage}-{}", shared.name);
            threads.push(std::thread::Builder::new().name(name).spawn(run)?);
            Ok(())
        };
        let stage = shared.clone();
        spawn("encode", Box::new(move || encode::run(&stage, encoder, pictures)))?;
        let stage = shared.clone();
        spawn("compose", Box::new(move || compose::run(&stage, frames, composed, shown_sender, on_air_sender)))?;
        let stage = shared.clone();
        spawn("decode", Box::new(move || decode::run(&stage, units, decoded)))?;
        let stage = shared.clone();
        spawn("audio", Box::new(move || audio::run(&stage, opus, blocks)))?;

        let inputs = Mutex::new(Some(Inputs { video, audio }));
        Ok(Pipeline { shared, inputs, threads: Mutex::new(threads), shown, on_air })
    }

    /// Shows `scene` in every slot from the next free one on, which is told before any of them can leave. `tell` is short: the
    /// compositor waits for it.
    pub fn arm(&self, scene: Arc<Scene>, tell: &mut dyn FnMut(MediaTime)) -> MediaTime {
        let slots = Slots::new(self.shared.canvas.fps, MediaTime::ZERO);
        self.shared.programme.arm(&slots, self.shared.clock.now(), scene, tell)
    }

    /// Tells the newest revision on the picture, and its first frame.
    pub fn shown(&self) -> watch::Receiver<Shown> {
        self.shown.clone()
    }

    /// Whether a publisher's picture is moving.
    pub fn on_air(&self) -> watch::Receiver<bool> {
        self.on_air.clone()
    }

    /// Gives the show to a new publisher; the one before is ended. After [`Pipeline::stop`] the publication takes nothing.
    pub fn publish(&self, publisher: &Publisher) -> Box<dyn Publication> {
        // Held until it has begun, so that a stop either finds it or comes first.
        let inputs = self.inputs();
        Box::new(Inlet::open(self.shared.clone(), inputs.clone(), publisher))
    }

    /// Ends the publisher that is on air, if any.
    pub fn end_publication(&self) {
        self.shared.publishing.end();
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
        self.shared.publishing.end();
        let threads = std::mem::take(&mut *self.threads.lock().expect("no panic while threads are listed"));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!(show = %self.shared.name, "a media thread had panicked");
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

impl Shared {
    fn colour(&self) -> Colour {
        Colour::unsaid(self.canvas.resolution.height)
    }

    fn count(counter: &std::sync::atomic::AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
