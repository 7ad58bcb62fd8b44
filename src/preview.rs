//! `hawker preview`: a theme or one template of it as a picture or a film, painted and composed as it is on air.
//!
//! ```text
//!  DATA.json ──sample──► layers ──reel──► scenes in time ──► PNG, WebP (one frame), MP4 (all of them)
//! ```
//!
//! With `--watch` the file is written anew whenever the theme or its data change. Nothing of the server knows of this.

pub mod reel;
pub mod sample;
pub mod theme;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::codec::{self, Film, film};
use crate::media::{Colour, Resolution};
use crate::overlay::theme::NotShown;
use crate::overlay::{Backdrop, Canvas, Locale, PaintError, PhotoError, StillError, StillFormat};

use reel::Reel;
use sample::Sample;
use theme::Found;

/// What is to be seen, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// A theme's folder or name for a whole scene, or one template of it: THEME/card.html.
    pub theme: String,
    /// What it shows: for one template an object of its values, for a whole scene an object of those by kind. Beside its values
    /// a layer may have ends_in, enters_at and exits_at (seconds), images ({"photo": FILE}), and then ([{"at": SECONDS, values}]).
    pub data: Option<PathBuf>,
    /// The file to write: .png, .webp or .mp4.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The picture's size; both sides even.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x720")]
    pub canvas: Size,
    /// Which moment to show, in seconds; of a film, the first one.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub at: f64,
    /// How long a film is [default: 6]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub seconds: Option<f64>,
    /// Frames a second of a film.
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u32).range(1..=60))]
    pub fps: u32,
    /// The language of the texts, as zh-Hant: it chooses between glyphs and the direction of writing.
    #[arg(long, default_value_t, value_parser = Locale::parse)]
    pub locale: Locale,
    /// What lies under it: a JPEG, PNG or WebP file, black, white or checker [default: a soft grey light]
    #[arg(long, value_name = "PICTURE")]
    pub over: Option<String>,
    /// A folder of further fonts.
    #[arg(long, value_name = "DIR")]
    pub fonts: Option<PathBuf>,
    /// Write the file anew whenever the theme or the data change, until Ctrl-C.
    #[arg(long)]
    pub watch: bool,
}

/// A canvas's width and height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub Resolution);

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no theme {seen:?}: give its folder, one of its templates (FOLDER/card.html), or a name: {}", known.join(", "))]
    Theme { seen: String, known: Vec<String> },
    #[error("{}: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{}:{line}: {reason}", file.display())]
    Data { file: PathBuf, line: usize, reason: String },
    #[error("{}: {layer}: {source}", file.display())]
    Values { file: PathBuf, layer: String, source: NotShown },
    #[error("{}: {source}", file.display())]
    Picture { file: PathBuf, source: PhotoError },
    #[error("{}", .0.join("\n"))]
    Templates(Vec<String>),
    #[error(transparent)]
    Paint(#[from] PaintError),
    #[error(transparent)]
    Still(#[from] StillError),
    #[error("{} was not written: {source}", file.display())]
    Film { file: PathBuf, source: codec::Error },
    #[error("{}: choose a name that ends in .png, .webp or .mp4", file.display())]
    Output { file: PathBuf },
    #[error("--seconds is for a film: let the output's name end in .mp4, or choose a moment with --at")]
    Seconds,
}

/// Writes the picture or film that was asked for; with `watch` again and again, and then it does not return.
pub fn run(options: &Options) -> Result<(), Error> {
    if !options.watch {
        return show(options);
    }
    // What cannot be mended by saving a file is told at once.
    Output::of(options)?;
    let found = Found::by(&options.theme)?;
    let mut seen = None;
    loop {
        let files = watched(options, &found);
        if seen.as_ref() != Some(&files) {
            match show(options) {
                Ok(()) => println!("{}", options.output.display()),
                Err(error) => eprintln!("{error}"),
            }
            seen = Some(files);
        }
        std::thread::sleep(POLL);
    }
}

/// Writes it once.
fn show(options: &Options) -> Result<(), Error> {
    let output = Output::of(options)?;
    let found = Found::by(&options.theme)?;
    let kind = found.kind().map(str::to_owned);
    let canvas = options.canvas.canvas();
    let backdrop = backdrop(options.over.as_deref())?;
    let theme = found.open(options.fonts.clone())?;
    let mut sample = match &options.data {
        Some(file) => {
            let sample = Sample::read(file, kind.as_deref())?;
            let refused = |(layer, source)| Error::Values { file: file.clone(), layer, source };
            theme.check(&sample).map_err(refused)?;
            sample
        }
        None => theme.sample(),
    };
    if let Output::Film { seconds } = output {
        sample.come_and_go(options.at, options.at + seconds);
    }
    let reel = Reel::paint(&theme, &sample, canvas, options.locale, &backdrop)?;
    match output {
        Output::Still(format) => write(&options.output, &reel.still(options.at)?.encode(format)?),
        Output::Film { seconds } => {
            let failed = |source| Error::Film { file: options.output.clone(), source };
            let (resolution, colour, frames_per_second) = (canvas.resolution, canvas.colour, options.fps);
            let config = film::Config { resolution, colour, frames_per_second };
            let mut film = Film::create(&options.output, config).map_err(failed)?;
            for n in 0..(seconds * f64::from(options.fps)).ceil() as u32 {
                let picture = reel.frame(options.at + f64::from(n) / f64::from(options.fps))?;
                film.push(&picture).map_err(failed)?;
            }
            film.finish().map_err(failed)
        }
    }
}

/// What is written.
#[derive(Clone, Copy)]
enum Output {
    Still(StillFormat),
    Film { seconds: f64 },
}

impl Output {
    fn of(options: &Options) -> Result<Output, Error> {
        let extension = options.output.extension().unwrap_or_default().to_ascii_lowercase();
        let still = match extension.to_str() {
            Some("mp4") => return Ok(Output::Film { seconds: options.seconds.unwrap_or(6.0) }),
            Some("png") => StillFormat::Png,
            Some("webp") => StillFormat::WebP,
            _ => return Err(Error::Output { file: options.output.clone() }),
        };
        if options.seconds.is_some() { Err(Error::Seconds) } else { Ok(Output::Still(still)) }
    }
}

impl Size {
    /// Coloured as a show of this size is.
    pub fn canvas(self) -> Canvas {
        Canvas { resolution: self.0, colour: Colour::unsaid(self.0.height) }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let sides = text.split_once(['x', 'X', '×']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        let (width, height): (u32, u32) = sides.ok_or("two numbers are needed: 1280x720")?;
        let fine = |side: u32| (16..=4096).contains(&side) && side.is_multiple_of(2);
        if fine(width) && fine(height) {
            Ok(Size(Resolution::new(width, height)))
        } else {
            Err("both sides must be even, from 16 to 4096".to_owned())
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().map_err(|_| "a number of seconds is needed".to_owned())?;
    if (0.0..=MOST_SECONDS).contains(&seconds) { Ok(seconds) } else { Err(format!("0 to {MOST_SECONDS} seconds")) }
}

fn backdrop(over: Option<&str>) -> Result<Backdrop, Error> {
    match over {
        None => Ok(Backdrop::Studio),
        Some("black") => Ok(Backdrop::Black),
        Some("white") => Ok(Backdrop::White),
        Some("checker") => Ok(Backdrop::Checker),
        Some(file) => {
            let file = PathBuf::from(file);
            Backdrop::photo(&read(&file)?).map_err(|source| Error::Picture { file, source })
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|source| Error::Unreadable { file: file.to_owned(), source })
}

/// In one step, so that a viewer that looks at the file never sees half of it.
fn write(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, file));
    written.map_err(|source| {
        let _ = fs::remove_file(&part);
        Error::Unreadable { file: file.to_owned(), source }
    })
}

/// The files that decide what is seen, as they are now.
fn watched(options: &Options, found: &Found) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
    let mut files: Vec<PathBuf> = options.over.iter().map(PathBuf::from).chain(options.data.clone()).collect();
    if let Some(data) = &options.data {
        files.extend(Sample::pictures(data, found.kind()));
    }
    files.extend(found.files());
    files.sort();
    files.dedup();
    let stamp = |file: &PathBuf| {
        let meta = fs::metadata(file).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    files.into_iter().map(|file| (file.clone(), stamp(&file))).collect()
}

/// The longest film, and the last moment of a still.
const MOST_SECONDS: f64 = 600.0;
/// How often a watched theme is looked at.
const POLL: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    /// A folder with a theme and data, and a line in which `{}` is the folder.
    fn shown(files: &[(&str, &str)], line: &str) -> (tempfile::TempDir, Result<(), String>) {
        let folder = tempfile::tempdir().unwrap();
        let theme = folder.path().join("mine");
        fs::create_dir(&theme).unwrap();
        let files = files.iter().chain([&("theme.json", MANIFEST)]);
        files.for_each(|(name, text)| fs::write(theme.join(name), text).unwrap());
        let root = theme.display().to_string();
        let words = line.replace("{}", &root);
        let options = Line::try_parse_from(["preview"].into_iter().chain(words.split(' '))).unwrap().options;
        let outcome = run(&options).map_err(|error| error.to_string().replace(&format!("{root}/"), ""));
        (folder, outcome)
    }

    const MANIFEST: &str = r#"{"title": "Mine", "samples": {"note": {"text": "x"}},
        "layers": {"note": {"fields": {"text": "text"}, "anchor": "fill", "enter": {"kind": "cut"}, "exit": {"kind": "cut"}}}}"#;

    const NOTE: &str =
        "<style>.n { width: 50vw; height: 50vh; background: #fff }</style><div class=\"n\">{{ text }}</div>";

    fn luma(folder: &Path, name: &str) -> impl Fn(u32, u32) -> u8 {
        let picture = image::open(folder.join("mine").join(name)).unwrap().into_luma8();
        move |x, y| picture.get_pixel(x, y).0[0]
    }

    #[test]
    fn a_template_and_its_data_become_a_picture() {
        let files = [("note.html", NOTE), ("note.json", r#"{"text": ""}"#)];
        for name in ["note.png", "note.webp"] {
            let (folder, outcome) =
                shown(&files, &format!("{{}}/note.html {{}}/note.json -o {{}}/{name} --canvas 160x90 --over black"));
            assert_eq!(outcome, Ok(()));
            let luma = luma(folder.path(), name);
            assert!(luma(20, 20) > 250 && luma(120, 70) < 5);
        }
    }

    #[test]
    fn a_layer_is_there_from_when_it_enters_until_it_exits() {
        let data = r#"{"text": "", "enters_at": 1, "exits_at": 2.5}"#;
        for (at, there) in [("0.9", false), ("1", true), ("2.4", true), ("2.5", false)] {
            let line = format!("{{}}/note.html {{}}/n.json -o {{}}/n.png --canvas 160x90 --over black --at {at}");
            let (folder, outcome) = shown(&[("note.html", NOTE), ("n.json", data)], &line);
            assert_eq!(outcome, Ok(()));
            assert_eq!(luma(folder.path(), "n.png")(20, 20) > 250, there, "at {at}");
        }
    }

    #[test]
    fn a_film_is_as_long_as_it_was_asked_to_be() {
        let line = "{}/note.html {}/n.json -o {}/n.mp4 --canvas 64x48 --seconds 0.5 --fps 10";
        let (folder, outcome) = shown(&[("note.html", NOTE), ("n.json", r#"{"text": ""}"#)], line);
        assert_eq!(outcome, Ok(()));
        let film = ffmpeg_next::format::input(&folder.path().join("mine/n.mp4")).unwrap();
        assert_eq!(film.stream(0).unwrap().frames(), 5);
    }

    #[test]
    fn without_data_the_built_in_sample_is_shown() {
        let (folder, outcome) = shown(&[], "base -o {}/scene.png --canvas 320x180 --over black");
        assert_eq!(outcome, Ok(()));
        // A card below, a countdown above.
        let luma = luma(folder.path(), "scene.png");
        let some =
            |ys: std::ops::Range<u32>| ys.flat_map(|y| (0..320).map(move |x| (x, y))).any(|(x, y)| luma(x, y) > 60);
        assert!(some(120..170) && some(8..60));
    }

    #[test]
    fn what_is_wrong_is_told_by_file_and_line() {
        let fine = ("n.json", "{\"text\": \"x\"}");
        let broken = "<p>\n{% if %}</p>";
        let missing = "<p>x</p>\n\n{{ nothing }}";
        for (template, data, line, want) in [
            (broken, fine, "{}/note.html {}/n.json -o {}/n.png", "note.html:2: syntax error"),
            (missing, fine, "{}/note.html {}/n.json -o {}/n.png", "note.html:3: undefined value"),
            (NOTE, ("n.json", "{\n\"text\": }"), "{}/note.html {}/n.json -o {}/n.png", "n.json:2: expected value"),
            (
                NOTE,
                ("n.json", "{\n\n\"ends_in\": \"x\"}"),
                "{}/note.html {}/n.json -o {}/n.png",
                "n.json:3: invalid type",
            ),
            (
                NOTE,
                ("n.json", "{\"ends_in\": 1e9}"),
                "{}/note.html {}/n.json -o {}/n.png",
                "n.json:1: that many seconds",
            ),
            (
                NOTE,
                ("n.json", "{\"images\": {\"a\": \"a.jpg\"}}"),
                "{}/note.html {}/n.json -o {}/n.png",
                "a.jpg: No such",
            ),
            (NOTE, ("n.json", "{}"), "{}/note.html {}/n.json -o {}/n.png", "n.json: note: text: it is missing"),
            (
                NOTE,
                ("n.json", "{\"note\": {\"text\": \"x\", \"txet\": \"y\"}}"),
                "{} {}/n.json -o {}/n.png",
                "n.json: note: txet: this layer has no such field",
            ),
            (
                NOTE,
                ("n.json", "{\"text\": \"x\", \"then\": [{\"at\": 1, \"text\": 5}]}"),
                "{}/note.html {}/n.json -o {}/n.png",
                "n.json: note: text: a text is needed, not 5",
            ),
            (NOTE, fine, "{}/note.html {}/n.json -o {}/n.gif", "n.gif: choose a name that ends in .png"),
            (NOTE, fine, "{}/note.html {}/n.json -o {}/n.png --seconds 3", "--seconds is for a film"),
            (NOTE, fine, "nowhere/note.html {}/n.json -o {}/n.png", "there is no theme \"nowhere/note.html\""),
            (NOTE, ("n.json", "{\"crad\": {}}"), "{} {}/n.json -o {}/n.png", "has no layer \"crad\""),
            (NOTE, fine, "{}/note.html {}/n.json -o {}/n.png --over {}/n.json", "n.json: not a picture"),
        ] {
            let (_folder, outcome) = shown(&[("note.html", template), data], &format!("{line} --canvas 64x64"));
            let error = outcome.unwrap_err();
            assert!(error.contains(want), "{line}: {error}");
        }
    }

    #[test]
    fn every_stored_scene_is_what_the_themes_take() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scenes = fs::read_dir(root.join("tests/golden/scenes")).unwrap().map(|scene| scene.unwrap().path());
        let scenes: Vec<PathBuf> = scenes.chain([root.join("samples/scene.json")]).collect();
        let market = root.join("samples/themes/market");
        for name in ["base", "boutique", "flash", "minimal", &market.display().to_string()] {
            let theme = Found::by(name).unwrap().open(None).unwrap();
            for scene in &scenes {
                let refused = theme.check(&Sample::read(scene, None).unwrap()).err();
                assert!(refused.is_none(), "{name}, {}: {refused:?}", scene.display());
            }
        }
    }

    #[test]
    fn pictures_and_the_extended_themes_are_watched() {
        let folder = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("mine/theme.json", "{\"title\": \"Mine\", \"extends\": \"theirs\"}");
        put("theirs/theme.json", "{\"title\": \"Theirs\", \"extends\": \"mine\"}");
        put("theirs/theme.css", "");
        put("others/theme.json", "{\"title\": \"Others\", \"extends\": \"../mine\"}");
        // No picture, and no theme that reads: both may be mended yet.
        put("data/scene.json", "{\"card\": {\"images\": {\"photo\": \"a.jpg\"}}}");
        put("data/a.jpg", "not a picture");
        let watch = |line: &str| -> Vec<String> {
            let root = fs::canonicalize(folder.path()).unwrap();
            let words = line.replace("{}", &root.display().to_string());
            let options = Line::try_parse_from(["preview"].into_iter().chain(words.split(' '))).unwrap().options;
            let files = watched(&options, &Found::by(&options.theme).unwrap());
            assert!(files.iter().all(|(_, stamp)| stamp.is_some()), "{files:?}");
            files.iter().map(|(file, _)| file.strip_prefix(&root).unwrap().display().to_string()).collect()
        };
        let data = ["data/a.jpg", "data/scene.json"];
        let mine = ["mine/theme.json", "theirs/theme.css", "theirs/theme.json"];
        assert_eq!(watch("{}/mine {}/data/scene.json -o x.png"), [&data[..], &mine].concat());
        assert_eq!(watch("{}/others -o x.png"), ["others/theme.json"]);
        // What says nothing extends base.
        put("theirs/theme.json", "{\"title\": \"Theirs\"}");
        put("base/theme.json", "{");
        assert_eq!(watch("{}/theirs -o x.png"), ["base/theme.json", "theirs/theme.css", "theirs/theme.json"]);
        assert_eq!(watch("boutique {}/data/scene.json -o x.png"), data);
    }

    #[test]
    fn odd_and_absurd_canvases_are_refused() {
        for size in ["1280", "1281x720", "0x0", "9000x10", "ax10", "16x4098"] {
            assert!(size.parse::<Size>().is_err(), "{size}");
        }
        assert_eq!("720x1280".parse(), Ok(Size(Resolution::new(720, 1280))));
    }
}
