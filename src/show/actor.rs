//! The one owner of a show's state.
//!
//! A change runs: check → commit to the log → paint → choose its media time → announce → arm → answer when it is on the picture.
//! Media goes on through all of it: a slow disk or a slow painting delays the answer, never a frame.
//!
//! What time will bring (a cue, the end of what was put up for a while) runs the other way round: it is painted, announced and
//! armed for its moment two seconds ahead, as the state that it will be, and committed when its moment has come. A change in
//! between paints both anew: the state as it is, and what is to come on top of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::announce::Announcement;
use super::layers::{self, Welcome};
use super::pipeline::Shown;
use super::pull::Pull;
use super::raster::{Painted, Request, Worker};
use super::settings::{Fit, Role, ShowId};
use super::stages::Stages;
use super::state::{Command, Due, Event, State};
use super::{Done, Error, OnPicture};
use crate::codec::Fitting;
use crate::commerce::catalog::ImageHash;
use crate::deliver::Feed;
use crate::media::{Colour, MediaClock, MediaTime, Resolution};
use crate::overlay::{Canvas, Photo, Scene, Staging};
use crate::store::Store;

/// A command on its way to its show.
pub(super) struct Message {
    pub(super) command: Command,
    /// The decoded picture that comes with [`Command::SetImage`], so that it is not decoded again to be painted.
    pub(super) photo: Option<Arc<Photo>>,
    /// The revision that it is meant for; whichever there is when absent.
    pub(super) expect: Option<u64>,
    pub(super) answer: oneshot::Sender<Result<Done, Error>>,
}

/// Commands that wait for a show, at most. When full, whoever brings one waits.
pub(super) const WAITING: usize = 64;

/// How long a change of the stage waits to be seen on the picture before it is answered without. Painting takes
/// milliseconds and a slot comes every few dozen; this is for a machine in trouble.
const UNSEEN: Duration = Duration::from_secs(3);

/// How long before a cue's moment its scene is painted, announced and armed. It bounds what a slow painting can make late, and
/// what a change in between makes paint anew.
const AHEAD: Duration = Duration::from_secs(2);

/// How far beyond that is looked then: what comes close behind a cue is painted with it, not after it.
const BEYOND: Duration = Duration::from_secs(2);

/// Scenes armed ahead at a time; cues that come faster are seen a little late.
const MOST_AHEAD: usize = 16;

/// A scene that would be seen for less than this before the next one is left out: the next one may be on the picture already.
const TOO_SHORT: Duration = Duration::from_millis(150);

/// Pause after a failed commit of what time alone brought, before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Decoded pictures kept for painting: those on the stage, and a few to come back to. A bound on memory (4 MB each at most).
const KEPT_PHOTOS: usize = 16;

pub(super) struct Actor {
    pub(super) id: ShowId,
    pub(super) state: Arc<State>,
    /// Where others read the state.
    pub(super) published: watch::Sender<Arc<State>>,
    pub(super) commands: mpsc::Receiver<Message>,
    pub(super) store: Store,
    pub(super) stages: Arc<dyn Stages>,
    pub(super) feed: Feed,
    pub(super) clock: MediaClock,
    pub(super) raster: Worker,
    pub(super) painted: mpsc::Receiver<Vec<Painted>>,
    /// Grows when a theme changes.
    pub(super) themes: watch::Receiver<u64>,
    pub(super) pull: Pull,
    pub(super) backup_pull: Pull,
    pub(super) stop: CancellationToken,
}

/// What the owner keeps while it runs.
struct Running {
    shown: watch::Receiver<Shown>,
    on_air: watch::Receiver<bool>,
    /// The size of what comes in, which a canvas may follow.
    source: watch::Receiver<Option<Resolution>>,
    photos: BTreeMap<ImageHash, Arc<Photo>>,
    /// Nobody has published since this show was opened.
    welcome: Option<Welcome>,
    /// What the newest scene was asked for.
    size: Option<Resolution>,
    /// The scene of the newest state that was handed to the stages.
    armed: Option<Armed>,
    /// Scenes of what is to come, handed to the stages for their moments.
    ahead: Vec<Armed>,
    /// Everything that time brings until then is painted, or being painted.
    foreseen: Timestamp,
    waiters: Vec<Waiter>,
    /// When viewers were last told what is on the picture.
    told: MediaTime,
    /// What went by while nobody was there is in the log.
    awake: bool,
    /// After a failed commit, when to try again.
    retry_at: Option<Instant>,
}

/// A scene that was handed to the stages.
struct Armed {
    state: Arc<State>,
    scene: Arc<Scene>,
    from: MediaTime,
}

/// Somebody who wants to know when a revision is on the picture.
struct Waiter {
    rev: u64,
    /// The first moment of its scene, once there is one. A scene armed ahead may have borne the same number before.
    from: Option<MediaTime>,
    deadline: Instant,
    events: Vec<Event>,
    answer: oneshot::Sender<Result<Done, Error>>,
}

impl Running {
    /// A scene of the newest state is armed.
    fn show(&mut self, armed: Armed) {
        for waiter in self.waiters.iter_mut().filter(|waiter| waiter.rev <= armed.state.rev) {
            waiter.from.get_or_insert(armed.from);
        }
        self.armed = Some(armed);
    }
}

impl Actor {
    /// Runs until the show is deleted or stopped, then ends its stages.
    pub(super) async fn run(mut self) {
        let welcome = if self.state.opened { Welcome::BackSoon } else { Welcome::StartingSoon };
        let mut running = Running {
            shown: self.stages.shown(),
            on_air: self.stages.on_air(),
            source: self.stages.source(),
            photos: BTreeMap::new(),
            welcome: Some(welcome),
            size: None,
            armed: None,
            ahead: Vec::new(),
            foreseen: Timestamp::MIN,
            waiters: Vec::new(),
            told: self.clock.now(),
            awake: false,
            retry_at: None,
        };
        self.set_sources();
        self.take_in(&mut running, self.wall()).await;
        self.take_in_air(&mut running).await;
        self.paint(&mut running).await;

        let (mut shown_lasts, mut on_air_lasts, mut source_lasts, mut themes_last) = (true, true, true, true);
        loop {
            let pause = self.pause(&running);
            tokio::select! {
                () = self.stop.cancelled() => break,
                message = self.commands.recv() => match message {
                    Some(message) => {
                        if self.obey(&mut running, message).await {
                            break;
                        }
                    }
                    None => break,
                },
                Some(painted) = self.painted.recv() => self.arm(&mut running, painted),
                // Stages that broke off say nothing more: not asked again.
                changed = running.shown.changed(), if shown_lasts => {
                    shown_lasts = changed.is_ok();
                    self.take_in_shown(&mut running).await;
                }
                changed = running.on_air.changed(), if on_air_lasts => {
                    on_air_lasts = changed.is_ok();
                    self.take_in_air(&mut running).await;
                }
                changed = running.source.changed(), if source_lasts => {
                    source_lasts = changed.is_ok();
                    self.take_in_source(&mut running).await;
                }
                // The same revision, looking otherwise.
                changed = self.themes.changed(), if themes_last => {
                    themes_last = changed.is_ok();
                    if themes_last {
                        self.paint(&mut running).await;
                    }
                }
                () = tokio::time::sleep(pause) => self.take_in_time(&mut running).await,
            }
            self.settle(&mut running);
        }
        self.end(running).await;
    }

    /// Carries a command out. True when it was the last one.
    async fn obey(&mut self, running: &mut Running, message: Message) -> bool {
        let Message { command, photo, expect, answer } = message;
        // So that it is judged by what is on the picture.
        self.take_in_shown(running).await;
        self.take_in_time(running).await;
        if let Some(expected) = expect.filter(|expected| *expected != self.state.rev) {
            let _ = answer.send(Err(Error::Moved { expected, current: self.state.rev }));
            return false;
        }
        let (is_stage, is_end) = (command.is_stage(), matches!(command, Command::Delete));
        if let (Command::SetImage { image, .. }, Some(photo)) = (&command, photo) {
            self.keep_photo(running, *image, photo, &layers::photos_of(&self.state).collect::<Vec<_>>());
        }
        let before = self.state.clone();
        let outcome = match self.state.decide(command, self.wall()) {
            Ok(events) => self.commit(events.clone()).await.map(|()| events),
            Err(refused) => Err(refused.into()),
        };
        match outcome {
            // Whoever does not wait any more needs no answer, here and below.
            Err(error) => drop(answer.send(Err(error))),
            Ok(events) => {
                // A cue that came or went matters to the picture when its moment is near.
                let near = |due: Due| due.at <= running.foreseen;
                let cues = before.cues != self.state.cues
                    && [&before, &self.state].iter().any(|of| of.next_due().is_some_and(near));
                if self.state.rev != before.rev || cues {
                    self.paint(running).await;
                }
                if is_stage {
                    let (rev, deadline) = (self.state.rev, Instant::now() + UNSEEN);
                    let from = running.armed.as_ref().filter(|armed| armed.state.rev >= rev).map(|armed| armed.from);
                    running.waiters.push(Waiter { rev, from, deadline, events, answer });
                } else {
                    let _ = answer.send(Ok(Done {
                        rev: self.state.rev,
                        state: self.state.clone(),
                        events,
                        on_picture: None,
                    }));
                }
                return is_end;
            }
        }
        false
    }

    /// Puts events into the log, and once they are there into the state.
    async fn commit(&mut self, events: Vec<Event>) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let text = |event| serde_json::to_string(event).expect("an event has string keys and whole numbers only");
        self.store.append(self.id.as_str(), events.iter().map(text).collect(), self.wall()).await?;
        let mut ended = Vec::new();
        for event in &events {
            match event {
                Event::KeyChanged { .. } => ended.push(Role::Main),
                Event::BackupKeyChanged { .. } => ended.push(Role::Backup),
                _ => {}
            }
        }
        let mut state = State::clone(&self.state);
        events.into_iter().for_each(|event| state.apply(event));
        self.state = Arc::new(state);
        self.published.send_replace(self.state.clone());
        self.set_sources();
        for role in ended {
            // Whoever publishes by the old key is let in no more.
            self.stages.end_publication(role);
        }
        Ok(())
    }

    /// Brings what runs in line with what the state says of sources.
    fn set_sources(&mut self) {
        self.pull.set(self.state.source.as_ref());
        self.backup_pull.set(self.state.backup.source.as_ref());
        self.stages.fit(match self.state.canvas.fit() {
            // A canvas that follows has other proportions for a moment only, or where the source's are absurd.
            Fit::Blur | Fit::Follow => Fitting::Blur,
            Fit::Bars => Fitting::Bars,
            Fit::Fill => Fitting::Fill,
        });
    }

    /// Asks for a scene of the state as it is, and for those of what time brings next.
    async fn paint(&self, running: &mut Running) {
        let horizon = later(self.wall(), AHEAD + BEYOND);
        let mut programme = vec![(self.state.clone(), None)];
        programme.extend(self.foresee(horizon).into_iter().map(|(at, state)| (state, Some(at))));
        running.foreseen = horizon;
        let needed: Vec<ImageHash> = programme.iter().flat_map(|(state, _)| layers::photos_of(state)).collect();
        for hash in &needed {
            if !running.photos.contains_key(hash)
                && let Some(photo) = self.load_photo(*hash).await
            {
                self.keep_photo(running, *hash, photo, &needed);
            }
        }
        let resolution = self.state.canvas.resolution_for(*running.source.borrow_and_update());
        running.size = Some(resolution);
        // One colour for the whole show, whatever size the picture takes on.
        let canvas = Canvas { resolution, colour: Colour::unsaid(self.state.canvas.resolution().height) };
        let staging = Staging { canvas, theme: self.state.theme.to_string(), locale: self.state.locale };
        let request = |(state, at): (Arc<State>, Option<Timestamp>)| {
            let since = at.map_or(self.clock.now(), |at| layers::media_time(&self.clock, at));
            let layers = layers::layers(&state, &self.clock, since, &running.photos, running.welcome);
            Request { state, layers, staging: staging.clone(), at }
        };
        self.raster.paint(programme.into_iter().map(request).collect());
    }

    /// The states that time brings until a moment and that look different, each with its own moment.
    fn foresee(&self, horizon: Timestamp) -> Vec<(Timestamp, Arc<State>)> {
        let (mut states, mut state) = (Vec::new(), self.state.clone());
        while let Some(due) = state.next_due().filter(|due| due.at <= horizon)
            && states.len() < MOST_AHEAD
        {
            let next = Arc::new(state.at(due.at));
            if next.rev != state.rev {
                states.push((due.at, next.clone()));
            }
            state = next;
        }
        states
    }

    /// Chooses the moments of painted scenes, tells the viewers, and hands them to the stages.
    fn arm(&mut self, running: &mut Running, programme: Vec<Painted>) {
        let second = programme.get(1).and_then(|next| Some(layers::media_time(&self.clock, next.at?)));
        let soon = self.clock.now() + TOO_SHORT;
        running.ahead.clear();
        let mut together: Vec<Armed> = Vec::new();
        for painted in programme {
            // Not of the state as it is now: that may be further already.
            let Painted { state, scene, at } = painted;
            let rev = state.rev;
            let scene = match scene {
                Ok(scene) => scene,
                Err(reason) => {
                    tracing::error!(show = %self.id, rev, reason, "a scene was not painted: the picture stays as it was");
                    for waiter in running.waiters.extract_if(.., |waiter| at.is_none() && waiter.rev <= rev) {
                        let _ = waiter.answer.send(Err(Error::NotPainted { rev, reason: reason.clone() }));
                    }
                    continue;
                }
            };
            let dropped = match at {
                None => second.is_some_and(|second| second <= soon),
                // Somebody has changed what was to come: what comes instead is being painted.
                Some(at) => !self.state.at(at).looks_like(&state),
            };
            if dropped {
                continue;
            }
            let not_before = at.map(|at| layers::media_time(&self.clock, at));
            let mut announce = |from| {
                let parts = together.iter().map(|armed| (&*armed.state, &*armed.scene, armed.from));
                let parts = parts.chain([(&*state, &*scene, from)]);
                self.feed.announce(Announcement::of(parts, &self.clock));
            };
            let from = self.stages.arm(scene.clone(), not_before, &mut announce);
            running.told = self.clock.now();
            tracing::info!(show = %self.id, rev, %from, "a scene is armed");
            together.push(Armed { state, scene, from });
        }
        for armed in together {
            if armed.state.rev > self.state.rev {
                running.ahead.push(armed);
                continue;
            }
            running.show(armed);
        }
    }

    /// Answers those whose revision is on the picture, and those who have waited long enough.
    fn settle(&self, running: &mut Running) {
        if running.waiters.is_empty() {
            return;
        }
        let (shown, now) = (*running.shown.borrow_and_update(), Instant::now());
        let armed = running.armed.as_ref().map(|armed| (armed.state.rev, armed.from));
        let seen = |waiter: &Waiter| waiter.rev <= shown.rev && waiter.from.is_some_and(|from| from <= shown.at);
        for waiter in running.waiters.extract_if(.., |waiter| seen(waiter) || waiter.deadline <= now) {
            let on_picture = if seen(&waiter) {
                Some(OnPicture { rev: shown.rev, at: shown.at, seen: true })
            } else {
                tracing::warn!(show = %self.id, rev = waiter.rev, "a change is not on the picture yet");
                armed.filter(|(rev, _)| waiter.rev <= *rev).map(|(rev, at)| OnPicture { rev, at, seen: false })
            };
            let Waiter { rev, events, answer, .. } = waiter;
            let _ = answer.send(Ok(Done { rev, state: self.state.clone(), events, on_picture }));
        }
    }

    /// Commits what time has brought, and has what it brings next painted ahead.
    async fn take_in_time(&mut self, running: &mut Running) {
        let now = self.wall();
        self.take_in(running, now).await;
        if running.armed.is_some() && self.clock.now().since(running.told) >= Announcement::HOLDS {
            self.tell(running);
        }
        let ahead = later(now, AHEAD);
        if self.state.next_due().is_some_and(|due| running.foreseen < due.at && due.at <= ahead) {
            self.paint(running).await;
        }
    }

    /// Commits a cue whose scene was seen already: frames are composed a little before their time.
    async fn take_in_shown(&mut self, running: &mut Running) {
        let shown = *running.shown.borrow();
        let seen = running.ahead.iter().rfind(|armed| armed.state.rev == shown.rev && armed.from <= shown.at);
        let Some(moment) = seen.map(|armed| Timestamp::try_from(self.clock.wall(armed.from))) else { return };
        self.take_in(running, moment.unwrap_or(Timestamp::MIN).max(self.wall())).await;
    }

    /// Commits what time has brought until a moment. What was foreseen is on the picture already, and needs nothing.
    async fn take_in(&mut self, running: &mut Running, until: Timestamp) {
        let due = self.state.next_due().is_some_and(|due| due.at <= until);
        running.awake |= !due;
        if !due || running.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let before = self.state.rev;
        // Cannot be refused: it asks for nothing.
        let command = if running.awake { Command::Tick } else { Command::Wake };
        let events = self.state.decide(command, until).unwrap_or_default();
        running.retry_at = match self.commit(events).await {
            Ok(()) => {
                running.awake = true;
                None
            }
            Err(error) => {
                tracing::error!(show = %self.id, %error, "what time has brought is not in the log yet");
                Some(Instant::now() + RETRY)
            }
        };
        if self.state.rev == before {
            return;
        }
        match running.ahead.iter().rposition(|armed| armed.state.looks_like(&self.state)) {
            Some(index) => {
                let later = running.ahead.split_off(index + 1);
                if let Some(armed) = std::mem::replace(&mut running.ahead, later).pop() {
                    running.show(armed);
                }
                self.tell(running);
            }
            None => self.paint(running).await,
        }
    }

    /// Tells viewers anew what is on the picture, and what follows.
    fn tell(&self, running: &mut Running) {
        running.told = self.clock.now();
        // Whatever was on the picture for long is as good as new.
        let oldest = running.told - Announcement::HOLDS;
        let parts = running.armed.iter().chain(&running.ahead);
        let parts = parts.map(|armed| (&*armed.state, &*armed.scene, armed.from.max(oldest)));
        self.feed.announce(Announcement::of(parts, &self.clock));
    }

    /// Takes the welcome away when the first publisher is on air.
    async fn take_in_air(&mut self, running: &mut Running) {
        if !*running.on_air.borrow_and_update() || running.welcome.is_none() {
            return;
        }
        running.welcome = None;
        let events = self.state.decide(Command::Open, self.wall()).unwrap_or_default();
        if let Err(error) = self.commit(events).await {
            // It decides no more than what the picture says after the next restart.
            tracing::warn!(show = %self.id, %error, "the first publisher is not in the log");
        }
        self.paint(running).await;
    }

    /// A source of another size: a canvas that follows takes it on with a scene painted for it.
    async fn take_in_source(&self, running: &mut Running) {
        let source = *running.source.borrow_and_update();
        if running.size != Some(self.state.canvas.resolution_for(source)) {
            self.paint(running).await;
        }
    }

    /// Until something is to be done that nobody sends: a waiter's deadline, a countdown's end, a cue.
    fn pause(&self, running: &Running) -> Duration {
        let now = Instant::now();
        let deadlines = running.waiters.iter().map(|waiter| waiter.deadline.saturating_duration_since(now));
        let until = |at: Timestamp| {
            let instant = self.clock.instant(layers::media_time(&self.clock, at));
            instant.saturating_duration_since(self.clock.clock().now())
        };
        let due = self.state.next_due().map(|due| {
            // Once to paint it ahead, and once to take it in.
            let ahead = until(due.at).saturating_sub(AHEAD);
            let left = if due.at > running.foreseen { ahead } else { until(due.at) };
            left.max(running.retry_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)))
        });
        // Not below a millisecond: an end that rounds to just before now is looked at again, not spun upon.
        deadlines.chain(due).fold(Announcement::HOLDS, Duration::min).max(Duration::from_millis(1))
    }

    async fn load_photo(&self, hash: ImageHash) -> Option<Arc<Photo>> {
        let bytes = match self.store.blob(hash.as_bytes()).await {
            Ok(bytes) => bytes?,
            Err(error) => {
                tracing::error!(show = %self.id, %hash, %error, "a picture could not be read: the card goes without");
                return None;
            }
        };
        match tokio::task::spawn_blocking(move || Photo::decode(&bytes)).await {
            Ok(Ok(photo)) => Some(Arc::new(photo)),
            Ok(Err(error)) => {
                tracing::error!(show = %self.id, %hash, %error, "a picture does not decode any more: the card goes without");
                None
            }
            Err(_) => None,
        }
    }

    fn keep_photo(&self, running: &mut Running, hash: ImageHash, photo: Arc<Photo>, needed: &[ImageHash]) {
        if running.photos.len() >= KEPT_PHOTOS {
            running.photos.retain(|kept, _| needed.contains(kept));
        }
        running.photos.insert(hash, photo);
    }

    /// The wall time of the show's own clock, which no step of the machine's wall clock moves while it is open.
    fn wall(&self) -> Timestamp {
        super::wall(&self.clock)
    }

    async fn end(mut self, running: Running) {
        drop((self.pull, self.backup_pull));
        for waiter in running.waiters {
            let _ = waiter.answer.send(Err(Error::Stopping));
        }
        // Commands that came too late are answered by dropping them.
        drop(self.commands);
        drop(self.painted);
        let ended = tokio::task::spawn_blocking(move || {
            self.stages.stop();
            self.raster.stop();
        });
        if ended.await.is_err() {
            tracing::error!(show = %self.id, "the show's stages did not end in order");
        }
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
