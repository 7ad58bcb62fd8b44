//! Who has the show: a place for the main source and one for the backup, and which of the two is on the picture.
//!
//! In each place the newest publisher with the right key wins. The backup stands by until the main source is silent, takes
//! over with its next unit, and keeps the picture until it is told to give it back, or falls silent itself.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::health::Meter;
use crate::ingest::{Protocol, SourceInfo};
use crate::show::settings::Role;

/// A source from which nothing came for this long is silent.
pub(super) const SILENT: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct OnAir(Mutex<State>);

#[derive(Default)]
struct State {
    /// Numbers every change of who is on the picture: what older ones left in the queues is thrown away.
    generation: u64,
    active: Role,
    main: Option<Place>,
    backup: Option<Place>,
    /// Numbers publications.
    begun: u64,
    /// The main source has been on the picture since the show was opened.
    main_seen: bool,
}

/// A publisher's place.
struct Place {
    number: u64,
    ended: CancellationToken,
    about: About,
    /// When the newest unit came that counts as a sign of life.
    newest: Option<Instant>,
    /// It sends pictures: sound alone is no sign of life then.
    pictures: bool,
}

impl Place {
    fn is_silent(&self, now: Instant) -> bool {
        self.newest.is_none_or(|newest| now.saturating_duration_since(newest) >= SILENT)
    }
}

/// What is known of a publisher.
#[derive(Clone)]
pub(super) struct About {
    pub protocol: Protocol,
    pub since: Instant,
    pub info: SourceInfo,
    pub meter: Arc<Meter>,
}

/// What came of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Picture,
    Sound,
    /// A configuration: nothing to see or hear yet.
    Promise,
}

/// Whether a publication's units go to the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Yes, under this generation.
    Live(u64),
    /// Not now: the other source has the picture.
    Standby,
}

impl OnAir {
    /// The number of the publication on the picture.
    pub(super) fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Which source is on the picture, or would be.
    pub(super) fn active(&self) -> Role {
        self.state().active
    }

    pub(super) fn about(&self, role: Role) -> Option<About> {
        self.state().place(role).as_ref().map(|place| place.about.clone())
    }

    /// Ends both publishers.
    pub(super) fn end(&self) {
        let mut state = self.state();
        for role in [Role::Main, Role::Backup] {
            if let Some(place) = state.place(role).take() {
                place.ended.cancel();
            }
        }
        state.generation += 1;
    }

    /// Ends the publisher in a place who came by its key. The other place, and a camera that we pull, notice nothing.
    pub(super) fn end_keyed(&self, role: Role) {
        let mut state = self.state();
        let Some(place) = state.place(role).take_if(|place| place.about.protocol != Protocol::Rtsp) else { return };
        place.ended.cancel();
        if state.active == role {
            state.generation += 1;
        }
    }

    /// A publication takes its place; gives its number.
    pub(super) fn begin(&self, role: Role, ended: CancellationToken, about: About) -> u64 {
        let mut state = self.state();
        state.begun += 1;
        let number = state.begun;
        let place = Place { number, ended, about, newest: None, pictures: false };
        if let Some(before) = state.place(role).replace(place) {
            before.ended.cancel();
        }
        if state.active == role {
            state.generation += 1;
        }
        number
    }

    pub(super) fn leave(&self, role: Role, number: u64) {
        let mut state = self.state();
        if state.place(role).as_ref().is_some_and(|place| place.number == number) {
            *state.place(role) = None;
        }
    }

    pub(super) fn describe(&self, role: Role, number: u64, info: SourceInfo) {
        let mut state = self.state();
        if let Some(place) = state.place(role).as_mut().filter(|place| place.number == number) {
            place.about.info = info;
        }
    }

    /// Something of a publication is here: whose turn is it? A source takes over from one that is silent. The main source needs
    /// no silence for its first time: a backup that was there earlier only kept its place warm.
    pub(super) fn turn(&self, role: Role, number: u64, what: Sign, now: Instant) -> Turn {
        let mut state = self.state();
        let Some(place) = state.place(role).as_mut().filter(|place| place.number == number) else {
            return Turn::Standby;
        };
        place.pictures |= what == Sign::Picture;
        if what == Sign::Picture || what == Sign::Sound && !place.pictures {
            place.newest = Some(now);
        }
        let lives = !place.is_silent(now);
        if state.active != role {
            let (active, first) = (state.active, role == Role::Main && !state.main_seen && lives);
            let silent = state.place(active).as_ref().is_none_or(|place| place.is_silent(now));
            if !(first || silent && lives) {
                return Turn::Standby;
            }
            state.active = role;
            state.generation += 1;
        }
        state.main_seen |= role == Role::Main && lives;
        Turn::Live(state.generation)
    }

    /// Gives the picture to a source, which has it from its next unit on. False when nothing comes from there.
    pub(super) fn give(&self, role: Role, now: Instant) -> bool {
        let mut state = self.state();
        // A silent one would lose it again at once.
        if state.place(role).as_ref().is_none_or(|place| place.is_silent(now)) {
            return false;
        }
        if state.active != role {
            state.active = role;
            state.generation += 1;
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while the publishers' places are held")
    }
}

impl State {
    fn place(&mut self, role: Role) -> &mut Option<Place> {
        match role {
            Role::Main => &mut self.main,
            Role::Backup => &mut self.backup,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(now: Instant) -> About {
        About { protocol: Protocol::Rtmp, since: now, info: SourceInfo::default(), meter: Arc::default() }
    }

    fn enter(on_air: &OnAir, role: Role, now: Instant) -> (u64, CancellationToken) {
        let ended = CancellationToken::new();
        (on_air.begin(role, ended.clone(), about(now)), ended)
    }

    #[test]
    fn the_newest_publisher_with_the_key_has_the_place() {
        let (on_air, now) = (OnAir::default(), Instant::now());
        let (first, first_ended) = enter(&on_air, Role::Main, now);
        let Turn::Live(before) = on_air.turn(Role::Main, first, Sign::Picture, now) else {
            panic!("it is the only one")
        };
        let (second, second_ended) = enter(&on_air, Role::Main, now);
        assert!(first_ended.is_cancelled() && !second_ended.is_cancelled());
        assert_eq!(on_air.turn(Role::Main, first, Sign::Picture, now), Turn::Standby);
        assert!(matches!(on_air.turn(Role::Main, second, Sign::Picture, now), Turn::Live(after) if after > before));
        // The first one's goodbye comes late and takes nothing from the second.
        on_air.leave(Role::Main, first);
        assert!(on_air.about(Role::Main).is_some());
    }

    #[test]
    fn the_backup_takes_over_from_silence_and_gives_back_when_told() {
        let (on_air, start) = (OnAir::default(), Instant::now());
        let (main, main_ended) = enter(&on_air, Role::Main, start);
        let (backup, backup_ended) = enter(&on_air, Role::Backup, start);
        assert!(matches!(on_air.turn(Role::Main, main, Sign::Picture, start), Turn::Live(_)));
        assert_eq!(on_air.turn(Role::Backup, backup, Sign::Picture, start + SILENT / 2), Turn::Standby);
        let taken = on_air.turn(Role::Backup, backup, Sign::Picture, start + SILENT);
        assert!(matches!(taken, Turn::Live(_)));
        // The main source speaks again, and stands by until somebody says so.
        let later = start + SILENT + SILENT / 2;
        on_air.turn(Role::Backup, backup, Sign::Picture, later);
        assert_eq!(on_air.turn(Role::Main, main, Sign::Picture, later), Turn::Standby);
        assert!(!on_air.give(Role::Main, later + SILENT), "it is silent again");
        assert!(on_air.give(Role::Main, later));
        assert!(matches!(on_air.turn(Role::Main, main, Sign::Picture, later), Turn::Live(_)));
        assert_eq!(on_air.turn(Role::Backup, backup, Sign::Picture, later), Turn::Standby);
        assert!(!main_ended.is_cancelled() && !backup_ended.is_cancelled(), "nobody was thrown out");
    }

    #[test]
    fn a_backup_that_was_there_first_makes_room_for_the_main_source_once() {
        let (on_air, now) = (OnAir::default(), Instant::now());
        let (backup, _) = enter(&on_air, Role::Backup, now);
        assert!(matches!(on_air.turn(Role::Backup, backup, Sign::Picture, now), Turn::Live(_)));
        let (main, _) = enter(&on_air, Role::Main, now);
        assert_eq!(on_air.turn(Role::Main, main, Sign::Promise, now), Turn::Standby, "there is nothing to see yet");
        assert!(matches!(on_air.turn(Role::Main, main, Sign::Picture, now), Turn::Live(_)));
        assert_eq!(on_air.turn(Role::Backup, backup, Sign::Picture, now), Turn::Standby);
        // Once seen, the main source has to be told: the backup took over from its silence.
        let later = now + SILENT;
        assert!(matches!(on_air.turn(Role::Backup, backup, Sign::Picture, later), Turn::Live(_)));
        assert_eq!(on_air.turn(Role::Main, main, Sign::Picture, later), Turn::Standby);
    }

    #[test]
    fn sound_alone_is_no_sign_of_life_from_a_source_of_pictures() {
        let (on_air, start) = (OnAir::default(), Instant::now());
        let (main, _) = enter(&on_air, Role::Main, start);
        let (backup, _) = enter(&on_air, Role::Backup, start);
        on_air.turn(Role::Main, main, Sign::Picture, start);
        on_air.turn(Role::Main, main, Sign::Sound, start + SILENT);
        assert!(matches!(on_air.turn(Role::Backup, backup, Sign::Picture, start + SILENT), Turn::Live(_)));
    }

    #[test]
    fn a_key_that_changes_ends_its_own_place_and_touches_no_other() {
        let (on_air, now) = (OnAir::default(), Instant::now());
        let (main, main_ended) = enter(&on_air, Role::Main, now);
        let (_, backup_ended) = enter(&on_air, Role::Backup, now);
        let before = on_air.turn(Role::Main, main, Sign::Picture, now);
        on_air.end_keyed(Role::Backup);
        assert!(backup_ended.is_cancelled() && !main_ended.is_cancelled());
        assert_eq!(on_air.turn(Role::Main, main, Sign::Picture, now), before, "its decoder goes on");
        on_air.end_keyed(Role::Main);
        assert!(main_ended.is_cancelled());
        // A camera came by no key.
        let ended = CancellationToken::new();
        on_air.begin(Role::Main, ended.clone(), About { protocol: Protocol::Rtsp, ..about(now) });
        on_air.end_keyed(Role::Main);
        assert!(!ended.is_cancelled());
    }

    #[test]
    fn a_source_that_left_is_silent_at_once() {
        let (on_air, now) = (OnAir::default(), Instant::now());
        let (main, _) = enter(&on_air, Role::Main, now);
        let (backup, _) = enter(&on_air, Role::Backup, now);
        on_air.turn(Role::Main, main, Sign::Picture, now);
        on_air.leave(Role::Main, main);
        assert!(matches!(on_air.turn(Role::Backup, backup, Sign::Picture, now), Turn::Live(_)));
        // And the other way: the backup leaves, the main source has the picture without being told.
        let (main, _) = enter(&on_air, Role::Main, now);
        assert_eq!(on_air.turn(Role::Main, main, Sign::Picture, now), Turn::Standby);
        on_air.leave(Role::Backup, backup);
        assert!(matches!(on_air.turn(Role::Main, main, Sign::Picture, now), Turn::Live(_)));
        assert!(!on_air.give(Role::Backup, now), "nobody is there");
    }
}
