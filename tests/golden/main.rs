//! Golden pictures: every theme × scene × aspect, painted and composed by the library, looks as it did.
//!
//! A scene is a file of `scenes/`, named by its locale and, behind a hyphen of its own, by what it shows: `en`, `zh-Hant`,
//! `ar-offers`. Its picture lies at `pictures/THEME/SCENE-ASPECT.webp`, rounded to steps that spare three quarters of its bytes. Tolerances let a rasteriser round in another way; a glyph,
//! a colour or a place that changes does not pass. After a change that is meant, look at what is written by
//!
//! ```sh
//! HAWKER_GOLDEN=write cargo test --test golden
//! ```
//!
//! Fonts are Debian 12's packages; `tests/run.sh` installs them.

mod likeness;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hawker::media::Resolution;
use hawker::overlay::{Backdrop, Locale, Still, StillFormat};
use hawker::preview::Size;
use hawker::preview::reel::Reel;
use hawker::preview::sample::Sample;
use hawker::preview::theme::{Found, Theme};

use likeness::Likeness;

const THEMES: [&str; 3] = ["boutique", "flash", "minimal"];

/// Small, so that the pictures are; layouts scale with the canvas.
const ASPECTS: [(&str, Resolution); 3] =
    [("16x9", Resolution::new(480, 270)), ("9x16", Resolution::new(270, 480)), ("1x1", Resolution::new(360, 360))];

/// What comes behind a scene's locale in its name.
const SHOWN: [&str; 4] = ["-offers", "-ended", "-away", "-soon"];

/// Emoji are no language.
fn locale(scene: &str) -> Locale {
    let tag = SHOWN.iter().find_map(|shown| scene.strip_suffix(shown)).unwrap_or(scene);
    Locale::parse(if tag == "emoji" { "en" } else { tag }).expect("a scene is named by its locale")
}

#[test]
fn every_theme_looks_as_it_did_in_every_language_and_aspect() {
    let (scenes, writing) = (scenes(), std::env::var("HAWKER_GOLDEN").is_ok_and(|wish| wish == "write"));
    assert!(scenes.len() >= 10, "the scenes are there");
    let themes: Vec<(&str, Theme)> = THEMES.iter().map(|name| (*name, open(name))).collect();
    let mut jobs = Vec::new();
    for (name, theme) in &themes {
        for scene in &scenes {
            jobs.extend(ASPECTS.map(|(aspect, size)| Job { name, theme, scene, aspect, size }));
        }
    }
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = if writing { job.write() } else { job.compare() };
                    wrong.lock().unwrap().extend(outcome.err());
                }
            });
        }
    });
    if writing {
        jobs.iter().map(Job::stored).collect::<Pictures>().leave_only();
    } else {
        let known: Pictures = jobs.iter().map(Job::stored).collect();
        wrong.lock().unwrap().extend(known.strangers().map(|path| format!("{} is of no scene", path.display())));
    }
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {} pictures:\n{}", wrong.len(), jobs.len(), wrong.join("\n"));
}

fn open(theme: &str) -> Theme {
    Found::by(theme).and_then(|found| found.open(None)).unwrap_or_else(|error| panic!("{theme}: {error}"))
}

/// One picture to look at.
struct Job<'a> {
    name: &'a str,
    theme: &'a Theme,
    scene: &'a str,
    aspect: &'static str,
    size: Resolution,
}

impl Job<'_> {
    fn compare(&self) -> Result<(), String> {
        let path = self.stored();
        let actual = self.paint()?;
        let expected = fs::read(&path).ok().and_then(|bytes| image::load_from_memory(&bytes).ok());
        let Some(expected) = expected.map(|picture| Still::from(picture.into_rgb8())) else {
            let kept = self.keep("actual", &actual);
            return Err(format!("{}: there is none yet; it would be {kept}", path.display()));
        };
        let likeness = Likeness::of(&actual, &expected);
        if likeness.holds() {
            return Ok(());
        }
        let (actual, expected) = (self.keep("actual", &actual), self.keep("expected", &expected));
        Err(format!("{} {} {}: {likeness}; see {actual} and {expected}", self.name, self.scene, self.aspect))
    }

    /// A picture that is as it was is not written again: it would be another change in the repository.
    fn write(&self) -> Result<(), String> {
        if self.compare().is_ok() {
            return Ok(());
        }
        let path = self.stored();
        let bytes = likeness::coarse(&self.paint()?).encode(StillFormat::WebP).map_err(|error| error.to_string())?;
        let folder = path.parent().expect("it lies in its theme's folder");
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, bytes)).map_err(|error| error.to_string())
    }

    fn paint(&self) -> Result<Still, String> {
        let file = folder().join("scenes").join(format!("{}.json", self.scene));
        let mut sample = Sample::read(&file, None).map_err(|error| error.to_string())?;
        sample.layers.retain(|kind, _| self.theme.has(kind));
        let canvas = Size(self.size).canvas();
        let reel = Reel::paint(self.theme, &sample, canvas, locale(self.scene), &Backdrop::Checker);
        reel.and_then(|reel| reel.still(0.0)).map_err(|error| format!("{} {}: {error}", self.name, self.scene))
    }

    fn stored(&self) -> PathBuf {
        pictures().join(self.name).join(format!("{}-{}.webp", self.scene, self.aspect))
    }

    /// Puts a picture where a person finds it.
    fn keep(&self, what: &str, still: &Still) -> String {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("golden");
        let path = folder.join(format!("{}-{}-{}.{what}.png", self.name, self.scene, self.aspect));
        let png = still.encode(StillFormat::Png).expect("a still can be encoded");
        fs::create_dir_all(&folder).and_then(|()| fs::write(&path, png)).expect("target can be written");
        path.display().to_string()
    }
}

/// The pictures that there should be.
#[derive(Default)]
struct Pictures(BTreeSet<PathBuf>);

impl FromIterator<PathBuf> for Pictures {
    fn from_iter<I: IntoIterator<Item = PathBuf>>(paths: I) -> Pictures {
        Pictures(paths.into_iter().collect())
    }
}

impl Pictures {
    /// Stored pictures of scenes and themes that are no more.
    fn strangers(&self) -> impl Iterator<Item = PathBuf> {
        let themes = fs::read_dir(pictures()).into_iter().flatten().flatten();
        let files = themes.flat_map(|theme| fs::read_dir(theme.path()).into_iter().flatten().flatten());
        files.map(|file| file.path()).filter(|path| !self.0.contains(path))
    }

    fn leave_only(&self) {
        self.strangers().for_each(|path| fs::remove_file(path).expect("a picture can be removed"));
    }
}

/// The scenes' names, in order.
fn scenes() -> Vec<String> {
    let files = fs::read_dir(folder().join("scenes")).expect("the scenes are there").flatten().map(|file| file.path());
    let name = |path: PathBuf| Some(path.file_stem()?.to_string_lossy().into_owned());
    let mut scenes: Vec<String> = files.filter_map(name).collect();
    scenes.sort();
    scenes
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

fn pictures() -> PathBuf {
    folder().join("pictures")
}
