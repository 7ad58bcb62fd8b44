//! Shows without media, for tests: stages that note what they are handed, over the real log, painter and delivery.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::pipeline::health::{Compositor, Output, StageTimes, Stages as StagesHealth};
use super::pipeline::{self, Health, Shown};
use super::registry::{Parts, Shows, Wanted};
use super::stages::Stages;
use super::{Error, Handle, Role, ShowId};
use crate::codec::Fitting;
use crate::deliver::{self, Deliver};
use crate::ingest::{Ended, Publication, Publisher, SourceInfo};
use crate::media::{Clock, Coded, ManualClock, MediaClock, MediaTime, Picture, Resolution};
use crate::overlay::compose::Engine;
use crate::overlay::{Painter, PainterConfig, Scene};
use crate::store::Store;

/// Stages that show an armed scene at once, unless told to wait or it is for later.
pub(crate) struct Rehearsal {
    name: String,
    clock: MediaClock,
    pub(crate) armed: Mutex<Vec<(MediaTime, Arc<Scene>)>>,
    pub(crate) holds_back: AtomicBool,
    shown: watch::Sender<Shown>,
    on_air: watch::Sender<bool>,
    pub(crate) source: watch::Sender<Option<Resolution>>,
    pub(crate) picture: Mutex<Option<Arc<Picture>>>,
    pub(crate) published: AtomicUsize,
    pub(crate) ended: AtomicUsize,
    pub(crate) stopped: AtomicBool,
}

thread_local! {
    /// The stages that were started on this thread, which is the test's own: its runtime has no other.
    static STARTED: RefCell<Vec<Arc<Rehearsal>>> = const { RefCell::new(Vec::new()) };
}

fn start(config: pipeline::Config) -> Result<Arc<dyn Stages>, pipeline::Error> {
    let rehearsal = Arc::new(Rehearsal {
        name: config.name,
        clock: config.clock,
        armed: Mutex::default(),
        holds_back: AtomicBool::new(false),
        shown: watch::Sender::default(),
        on_air: watch::Sender::default(),
        source: watch::Sender::default(),
        picture: Mutex::default(),
        published: AtomicUsize::new(0),
        ended: AtomicUsize::new(0),
        stopped: AtomicBool::new(false),
    });
    STARTED.with_borrow_mut(|started| started.push(rehearsal.clone()));
    Ok(rehearsal)
}

/// All shows of a data folder, and the clock they run by.
pub(crate) async fn open(folder: &Path, clock: &Arc<ManualClock>) -> Arc<Shows> {
    open_configured(folder, clock, Vec::new()).await.unwrap()
}

pub(crate) async fn open_configured(
    folder: &Path,
    clock: &Arc<ManualClock>,
    configured: Vec<(ShowId, Wanted)>,
) -> Result<Arc<Shows>, Error> {
    open_painted(folder, clock, configured, Painter::new(PainterConfig::default()).unwrap()).await
}

pub(crate) async fn open_painted(
    folder: &Path,
    clock: &Arc<ManualClock>,
    configured: Vec<(ShowId, Wanted)>,
    painter: Painter,
) -> Result<Arc<Shows>, Error> {
    let clock: Arc<dyn Clock> = clock.clone();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let deliver = deliver::Config { listen, public: Vec::new(), max_viewers: 8, clock: clock.clone() };
    let parts = Parts {
        store: Store::open(folder).await?,
        painter: Arc::new(painter),
        deliver: Arc::new(Deliver::bind(deliver).unwrap()),
        clock,
        engine: Engine::cpu(),
        start,
    };
    Shows::open(parts, configured).await
}

/// The stages of a show that this test started last.
pub(crate) fn stages(show: &Handle) -> Arc<Rehearsal> {
    let of = |started: &Vec<Arc<Rehearsal>>| started.iter().rfind(|one| one.name == show.id().as_str()).cloned();
    STARTED.with_borrow(of).expect("the show was started on this thread")
}

impl Rehearsal {
    /// The scene of a revision, waited for.
    pub(crate) async fn scene(&self, rev: u64) -> (MediaTime, Arc<Scene>) {
        let armed = || self.armed.lock().unwrap().iter().rfind(|(_, scene)| scene.rev() >= rev).cloned();
        for _ in 0..5_000 {
            if let Some(armed) = armed() {
                return armed;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("revision {rev} was not armed within 5 s");
    }

    pub(crate) fn show(&self, rev: u64, at: MediaTime) {
        self.shown.send_replace(Shown { rev, at });
    }

    pub(crate) fn go_on_air(&self, on_air: bool) {
        self.on_air.send_replace(on_air);
    }
}

impl Stages for Rehearsal {
    fn arm(&self, scene: Arc<Scene>, not_before: Option<MediaTime>, tell: &mut dyn FnMut(MediaTime)) -> MediaTime {
        let (rev, free) = (scene.rev(), self.clock.now() + Duration::from_millis(100));
        let from = not_before.map_or(free, |at| at.max(free));
        tell(from);
        self.armed.lock().unwrap().push((from, scene));
        if from == free && !self.holds_back.load(Ordering::Relaxed) {
            self.show(rev, from);
        }
        from
    }

    fn shown(&self) -> watch::Receiver<Shown> {
        self.shown.subscribe()
    }

    fn on_air(&self) -> watch::Receiver<bool> {
        self.on_air.subscribe()
    }

    fn source(&self) -> watch::Receiver<Option<Resolution>> {
        self.source.subscribe()
    }

    fn picture(&self) -> Option<Arc<Picture>> {
        self.picture.lock().unwrap().clone()
    }

    fn fit(&self, _: Fitting) {}

    fn publish(&self, _: Role, _: &Publisher) -> Box<dyn Publication> {
        self.published.fetch_add(1, Ordering::Relaxed);
        Box::new(Nowhere)
    }

    fn end_publication(&self, _: Role) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn give(&self, role: Role) -> bool {
        role == Role::Main
    }

    fn publishes(&self, _: Role) -> bool {
        false
    }

    fn health(&self) -> Health {
        let stages = StagesHealth {
            decode_frames: 0,
            decode_errors: 0,
            decode_dropped: 0,
            decode_seconds: 0.0,
            compose_frames: 0,
            compose_repeated: 0,
            compose_late: 0,
            compose_dropped: 0,
            compose_copy_seconds: 0.0,
            compose_blend_seconds: 0.0,
            compose_rescued: 0,
            encode_frames: 7,
            encode_keyframes: 0,
            encode_bytes: 0,
            encode_dropped: 0,
            encode_seconds: 0.0,
            audio_dropped: 0,
            audio_late: 0,
            audio_errors: 0,
            restarts: 0,
        };
        let output = Output { width: 1280, height: 720, fps: 30.0, bitrate: 0, target_bitrate: 0, viewers: 0 };
        Health {
            on_air: *self.on_air.borrow(),
            media_time: self.clock.now().ticks(),
            input: None,
            standby: None,
            trouble: None,
            advice: Vec::new(),
            output,
            compositor: Compositor { kind: "cpu".into(), adapter: None },
            stages,
            times: StageTimes::default(),
        }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Takes whatever comes.
struct Nowhere;

#[async_trait]
impl Publication for Nowhere {
    async fn push(&mut self, _: Coded) -> Result<(), Ended> {
        Ok(())
    }

    fn ended(&self) -> CancellationToken {
        CancellationToken::new()
    }

    fn describe(&mut self, _: SourceInfo) {}
}
