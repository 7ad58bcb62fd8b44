//! All shows: opened from the log at the start, made and deleted while running, found by id or stream key.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::actor::{self, Actor};
use super::handle::{Handle, Inner};
use super::pipeline::{self, CanvasConfig, Pipeline};
use super::pull::Pull;
use super::raster::Worker;
use super::settings::{Fit, Role, ShowId, SourceUrl, StreamKey, ThemeName, WantedCanvas};
use super::stages::Stages;
use super::state::{Changes, Command, Created, Event, Replayed, State};
use super::still::Studio;
use super::{Error, system_time};
use crate::commerce::line::Title;
use crate::deliver::{Deliver, FeedConfig};
use crate::ingest::{Directory, Publication, Publisher, Refused};
use crate::media::{Clock, MediaClock, MediaTime, Rendition, RtpBase, Spent};
use crate::overlay::compose::Engine;
use crate::overlay::{Locale, Painter};
use crate::store::{Record, Store};

/// All shows of a server.
pub struct Shows {
    parts: Parts,
    running: RwLock<BTreeMap<ShowId, Handle>>,
    /// Held while shows are made or deleted: one at a time. Holds the last revision of each deleted show.
    deleted: Mutex<BTreeMap<ShowId, u64>>,
    tasks: TaskTracker,
    /// Turns to make a still.
    stills: Arc<Semaphore>,
}

/// What shows are made with.
pub struct Parts {
    pub store: Store,
    pub painter: Arc<Painter>,
    pub deliver: Arc<Deliver>,
    pub clock: Arc<dyn Clock>,
    /// What every show's pictures are drawn with.
    pub engine: Engine,
    pub start: StartStages,
}

/// Starts a show's media stages: [`start_pipeline`], or a stand-in in tests.
pub type StartStages = fn(pipeline::Config) -> Result<Arc<dyn Stages>, pipeline::Error>;

/// What is wanted of a show: by the configuration, or by a PUT.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A new show without one is called by its id.
    pub title: Option<Title>,
    /// A new show without one gets a random one.
    pub stream_key: Option<StreamKey>,
    /// `Some(None)` takes the source away.
    pub source: Option<Option<SourceUrl>>,
    /// `Some(None)` takes the key away.
    pub backup_stream_key: Option<Option<StreamKey>>,
    pub backup_source: Option<Option<SourceUrl>>,
    /// A new show without one gets 1280×720 at 30; a running show keeps size and rate, the configuration may change them
    /// at a start.
    pub canvas: Option<WantedCanvas>,
    pub locale: Option<Locale>,
    pub theme: Option<ThemeName>,
}

/// What a [`Shows::put`] did.
#[derive(Clone, Debug)]
pub struct Put {
    pub show: Handle,
    pub created: bool,
}

/// Shows that run at a time: each has its threads.
pub const MOST_SHOWS: usize = 64;

/// RTMP's application name in `rtmp://HOST/live`.
pub const APP: &str = "live";

/// The real stages of a show.
pub fn start_pipeline(config: pipeline::Config) -> Result<Arc<dyn Stages>, pipeline::Error> {
    Ok(Arc::new(Pipeline::start(config)?))
}

impl Shows {
    /// Brings every show of the log back as it was, then those of the configuration, which wins over what the log says.
    pub async fn open(parts: Parts, configured: Vec<(ShowId, Wanted)>) -> Result<Arc<Shows>, Error> {
        let (open, deleted) = replay(parts.store.load().await?)?;
        let shows = Arc::new(Shows {
            parts,
            running: RwLock::default(),
            deleted: Mutex::new(deleted),
            tasks: TaskTracker::new(),
            stills: Arc::new(Semaphore::new(Studio::MOST)),
        });
        for (id, (mut state, last)) in open {
            let wanted =
                configured.iter().find(|(configured, _)| *configured == id).and_then(|(_, wanted)| wanted.canvas);
            let wanted = wanted.map(|wanted| wanted.over(state.canvas.fit()));
            if let Some(canvas) = wanted.filter(|wanted| *wanted != state.canvas) {
                // While nothing runs yet it may change; no viewer is there to see the size jump.
                let event = Event::CanvasChanged { canvas };
                let body = serde_json::to_string(&event).expect("an event has string keys and whole numbers only");
                shows.parts.store.append(id.as_str(), vec![body], last).await?;
                state.apply(event);
            }
            let show = shows.start(id.clone(), state, last)?;
            shows.insert(show);
        }
        for (id, wanted) in configured {
            shows.put(id, wanted).await?;
        }
        Ok(shows)
    }

    pub fn get(&self, id: &ShowId) -> Result<Handle, Error> {
        self.read().get(id).cloned().ok_or_else(|| Error::Unknown { seen: id.clone() })
    }

    /// Every show, by id.
    pub fn list(&self) -> Vec<Handle> {
        self.read().values().cloned().collect()
    }

    /// Makes a show or changes its settings.
    pub async fn put(&self, id: ShowId, wanted: Wanted) -> Result<Put, Error> {
        let mut deleted = self.deleted.lock().await;
        let Ok(show) = self.get(&id) else {
            self.check_keys(&id, wanted.stream_key.as_ref(), wanted.backup_stream_key.as_ref())?;
            self.check_theme(wanted.theme.as_ref())?;
            let rev = deleted.get(&id).copied().unwrap_or(0) + 1;
            let show = self.create(id.clone(), wanted, rev).await?;
            deleted.remove(&id);
            return Ok(Put { show, created: true });
        };
        let canvas = show.state().canvas;
        let wanted_canvas = wanted.canvas.map_or(canvas, |wanted| wanted.over(canvas.fit()));
        if wanted_canvas.with_fit(canvas.fit()) != canvas {
            return Err(Error::CanvasFixed { show: id, canvas });
        }
        let fit = Some(wanted_canvas.fit());
        let Wanted { title, stream_key, source, backup_stream_key, backup_source, canvas: _, locale, theme } = wanted;
        self.check_keys(&id, stream_key.as_ref(), backup_stream_key.as_ref())?;
        self.check_theme(theme.as_ref())?;
        let changes = Changes { title, stream_key, source, backup_stream_key, backup_source, fit, locale, theme };
        show.run(Command::Change(Box::new(changes))).await?;
        Ok(Put { show, created: false })
    }

    /// Changes the settings of a show that there is.
    pub async fn change(&self, id: &ShowId, changes: Changes) -> Result<Handle, Error> {
        let _no_other_takes_the_key = self.deleted.lock().await;
        let show = self.get(id)?;
        self.check_keys(id, changes.stream_key.as_ref(), changes.backup_stream_key.as_ref())?;
        self.check_theme(changes.theme.as_ref())?;
        show.run(Command::Change(Box::new(changes))).await?;
        Ok(show)
    }

    /// Ends a show for good. Its part of the log stays.
    pub async fn delete(&self, id: &ShowId) -> Result<(), Error> {
        let mut deleted = self.deleted.lock().await;
        let show = self.get(id)?;
        let done = show.run(Command::Delete).await?;
        deleted.insert(id.clone(), done.state.rev);
        self.running.write().expect("nobody panics while holding the shows").remove(id);
        show.stop().await;
        Ok(())
    }

    /// Stops every show and joins their threads, then closes the store. Nothing is changed in the log.
    pub async fn shutdown(&self) {
        let _nobody_makes_any = self.deleted.lock().await;
        for show in self.list() {
            show.inner.stop.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
        self.parts.store.close().await;
    }

    /// Where uploaded pictures are kept.
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// What paints their pictures.
    pub fn painter(&self) -> &Arc<Painter> {
        &self.parts.painter
    }

    pub fn deliver(&self) -> &Arc<Deliver> {
        &self.parts.deliver
    }

    /// A key leads to one place in one show.
    fn check_keys(
        &self,
        id: &ShowId,
        main: Option<&StreamKey>,
        backup: Option<&Option<StreamKey>>,
    ) -> Result<(), Error> {
        let shows = self.list();
        let own = shows.iter().find(|show| show.id() == id).map(Handle::state);
        let new_main = main.or_else(|| Some(&own.as_ref()?.stream_key));
        let new_backup = match backup {
            Some(backup) => backup.as_ref(),
            None => own.as_ref().and_then(|own| own.backup.stream_key.as_ref()),
        };
        if new_main.is_some() && new_main == new_backup {
            return Err(Error::KeyTaken);
        }
        let others = || shows.iter().filter(|show| show.id() != id);
        let taken = |key: &StreamKey| others().any(|show| show.state().role_of(key.reveal()).is_some());
        let asked = [main, backup.and_then(Option::as_ref)];
        if asked.into_iter().flatten().any(taken) { Err(Error::KeyTaken) } else { Ok(()) }
    }

    /// A theme that is asked for must be there to wear. One that the log names may be gone since: the painter sees to that.
    fn check_theme(&self, theme: Option<&ThemeName>) -> Result<(), Error> {
        let known = self.parts.painter.themes().names();
        match theme.filter(|theme| !known.iter().any(|known| known == theme.as_str())) {
            Some(theme) => Err(Error::UnknownTheme { seen: theme.clone(), known }),
            None => Ok(()),
        }
    }

    /// The show that a publisher's key leads to, and the place in it.
    fn published_by(&self, publisher: &Publisher) -> Result<(Handle, Role), Refused> {
        // Every key is compared, so that the time tells nothing about which one was near.
        let mut found = None;
        for show in self.list() {
            if let Some(role) = show.state().role_of(&publisher.key) {
                found = Some((show, role));
            }
        }
        match found.filter(|_| publisher.app == APP) {
            Some((show, _)) if show.inner.stop.is_cancelled() => Err(Refused::Unavailable),
            Some(found) => Ok(found),
            None => Err(Refused::UnknownKey),
        }
    }

    async fn create(&self, id: ShowId, wanted: Wanted, rev: u64) -> Result<Handle, Error> {
        if self.read().len() >= MOST_SHOWS {
            return Err(Error::Full { most: MOST_SHOWS });
        }
        let wall = Timestamp::try_from(self.parts.clock.wall()).unwrap_or(Timestamp::UNIX_EPOCH);
        let created = Created {
            rev,
            epoch: Timestamp::from_millisecond(wall.as_millisecond()).unwrap_or(wall),
            rtp_base: random_rtp_base(),
            title: wanted
                .title
                .unwrap_or_else(|| Title::parse(id.as_str()).expect("an id is a line of 1 to 64 characters")),
            stream_key: wanted.stream_key.unwrap_or_else(StreamKey::random),
            source: wanted.source.flatten(),
            canvas: wanted.canvas.map(|wanted| wanted.over(Fit::default())).unwrap_or_default(),
        };
        let mut state = State::new(created.clone());
        let at = created.epoch;
        let mut events = vec![Event::Created(created)];
        let more = [
            wanted.backup_stream_key.map(|stream_key| Event::BackupKeyChanged { stream_key }),
            wanted.backup_source.map(|source| Event::BackupSourceChanged { source }),
            wanted.locale.map(|locale| Event::LocaleChanged { locale }),
            wanted.theme.map(|theme| Event::ThemeChanged { theme }),
        ];
        for event in more.into_iter().flatten() {
            state.apply(event.clone());
            events.push(event);
        }
        let text = |event| serde_json::to_string(event).expect("an event has string keys and whole numbers only");
        // Committed first: a show that runs is in the log, whatever happens next.
        self.parts.store.append(id.as_str(), events.iter().map(text).collect(), at).await?;
        let show = match self.start(id.clone(), state, at) {
            Ok(show) => show,
            Err(error) => {
                // Else the next start of the server would fail on it.
                let body = serde_json::to_string(&Event::Deleted).expect("an event has string keys");
                self.parts.store.append(id.as_str(), vec![body], at).await?;
                return Err(error);
            }
        };
        self.insert(show.clone());
        tracing::info!(show = %show.id(), "a show is made");
        Ok(show)
    }

    /// Starts a show's stages and owner. `last` is when the log last heard of it: its media time goes on from there.
    fn start(&self, id: ShowId, state: State, last: Timestamp) -> Result<Handle, Error> {
        let failed = |reason: String| Error::Stages { show: id.clone(), reason };
        let reached = last.duration_since(state.epoch);
        let floor = MediaTime::ZERO + std::time::Duration::try_from(reached).unwrap_or_default();
        let clock = MediaClock::new(self.parts.clock.clone(), system_time(state.epoch), floor);
        let canvas = state.canvas;
        let (resolution, fps, bitrate) = (canvas.resolution(), canvas.fps(), canvas.bitrate());
        let rendition = Arc::new(Rendition::new(resolution, fps, bitrate));
        let feed = self.parts.deliver.feed(FeedConfig {
            name: id.to_string(),
            rendition: rendition.clone(),
            rtp: RtpBase::new(state.rtp_base),
            clock: clock.clone(),
        });
        let painting = Arc::new(Spent::default());
        let (raster, painted) = Worker::start(id.as_str(), self.parts.painter.clone(), painting.clone())
            .map_err(|error| failed(error.to_string()))?;
        let stages = (self.parts.start)(pipeline::Config {
            name: id.to_string(),
            canvas: CanvasConfig { resolution, fps, bitrate },
            clock: clock.clone(),
            feed: feed.clone(),
            rendition,
            engine: self.parts.engine.clone(),
        })
        .map_err(|error| failed(error.to_string()))?;

        let (commands, waiting) = mpsc::channel(actor::WAITING);
        let state = Arc::new(state);
        let (published, read) = watch::channel(state.clone());
        let pull = Pull::new(Role::Main, stages.clone(), self.tasks.clone());
        let backup_pull = Pull::new(Role::Backup, stages.clone(), self.tasks.clone());
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let inner = Inner {
            id: id.clone(),
            commands,
            state: read,
            pull: pull.state(),
            backup_pull: backup_pull.state(),
            stages: stages.clone(),
            feed: feed.clone(),
            clock: clock.clone(),
            studio: Studio::new(self.parts.painter.clone(), self.parts.store.clone(), self.stills.clone()),
            painting,
            stop: stop.clone(),
            ended: ended.clone(),
        };
        let store = self.parts.store.clone();
        let actor = Actor {
            id,
            state,
            published,
            commands: waiting,
            store,
            stages,
            feed,
            clock,
            raster,
            painted,
            themes: self.parts.painter.changes(),
            pull,
            backup_pull,
            stop,
        };
        // Dropped, and so cancelled, however the task ends.
        let ended = ended.drop_guard();
        self.tasks.spawn(async move {
            actor.run().await;
            drop(ended);
        });
        Ok(Handle { inner: Arc::new(inner) })
    }

    fn insert(&self, show: Handle) {
        self.running.write().expect("nobody panics while holding the shows").insert(show.id().clone(), show);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<ShowId, Handle>> {
        self.running.read().expect("nobody panics while holding the shows")
    }
}

#[async_trait]
impl Directory for Shows {
    async fn check(&self, publisher: &Publisher) -> Result<(), Refused> {
        self.published_by(publisher).map(drop)
    }

    async fn admit(&self, publisher: &Publisher) -> Result<Box<dyn Publication>, Refused> {
        let (show, role) = self.published_by(publisher)?;
        let publication = show.publish(role, publisher);
        // The key may have been changed in between: dropped, the publication ends.
        let still = show.state().role_of(&publisher.key) == Some(role);
        if still { Ok(publication) } else { Err(Refused::UnknownKey) }
    }
}

type Open = BTreeMap<ShowId, (State, Timestamp)>;

/// The whole log as open shows with when each was last heard of, and the last revisions of deleted ones.
fn replay(log: Vec<Record>) -> Result<(Open, BTreeMap<ShowId, u64>), Error> {
    let mut shows: BTreeMap<ShowId, (Replayed, Timestamp)> = BTreeMap::new();
    for Record { seq, show, body, at } in log {
        let wrong = |reason: String| Error::Log { seq, show: show.clone(), reason };
        let id = ShowId::parse(&show).map_err(|error| wrong(error.to_string()))?;
        // The reason names a place in the text, never the text: it may hold a key.
        let event: Event = serde_json::from_str(&body)
            .map_err(|error| wrong(format!("it does not read (column {})", error.column())))?;
        let (before, last) = shows.remove(&id).unzip();
        let after = Replayed::apply(before, event).map_err(|error| wrong(error.to_string()))?;
        shows.insert(id, (after, last.map_or(at, |last| at.max(last))));
    }
    let (mut open, mut deleted) = (Open::new(), BTreeMap::new());
    for (id, (replayed, last)) in shows {
        match replayed {
            Replayed::Open(state) => drop(open.insert(id, (*state, last))),
            Replayed::Deleted { rev } => drop(deleted.insert(id, rev)),
        }
    }
    Ok((open, deleted))
}

fn random_rtp_base() -> u32 {
    let mut bits = [0; 4];
    aws_lc_rs::rand::fill(&mut bits).expect("the operating system gives random bytes");
    u32::from_be_bytes(bits)
}

#[cfg(test)]
mod tests;
