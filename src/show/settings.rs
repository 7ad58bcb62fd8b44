//! How a show is set up: its name, its key, where it pulls from, its canvas, its theme.

use std::fmt;

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::commerce::Slug;
use crate::commerce::slug::NotASlug;
use crate::ingest::rtsp;
use crate::media::Resolution;
use crate::media::slots::Slots;

/// Names a show, in its links and everywhere else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShowId(Slug);

impl ShowId {
    pub fn parse(text: &str) -> Result<ShowId, NotASlug> {
        Slug::parse(text).map(ShowId)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ShowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which theme dresses a show's layers: a name that the painter may know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ThemeName(Slug);

impl ThemeName {
    /// What a show wears that asks for nothing else.
    pub const DEFAULT: &'static str = "boutique";

    pub fn parse(text: &str) -> Result<ThemeName, NotASlug> {
        Slug::parse(text).map(ThemeName)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Default for ThemeName {
    fn default() -> ThemeName {
        ThemeName(Slug::parse(ThemeName::DEFAULT).expect("the default theme has a plain name"))
    }
}

impl fmt::Display for ThemeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a publisher must know to go on air in a show: a secret, left out of `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamKey(String);

/// A text that is no stream key. It does not repeat what was seen: that may be a key all the same.
#[derive(Debug, thiserror::Error)]
#[error(
    "a stream key has {} to {} of A-Z, a-z, 0-9, - and _, this text has {length} characters",
    StreamKey::SHORTEST,
    StreamKey::LONGEST
)]
pub struct NotAKey {
    length: usize,
}

impl StreamKey {
    pub const SHORTEST: usize = 8;
    pub const LONGEST: usize = 128;

    pub fn parse(text: &str) -> Result<StreamKey, NotAKey> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if plain && (StreamKey::SHORTEST..=StreamKey::LONGEST).contains(&text.len()) {
            Ok(StreamKey(text.to_owned()))
        } else {
            Err(NotAKey { length: text.chars().count() })
        }
    }

    /// A new one of 128 random bits.
    pub fn random() -> StreamKey {
        let mut bits = [0; 16];
        rand::fill(&mut bits).expect("the operating system gives random bytes");
        StreamKey(hex::encode(bits))
    }

    /// The key itself, for its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `text` is the key, in a time that tells nothing about where they differ.
    pub fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl PartialEq for StreamKey {
    fn eq(&self, other: &StreamKey) -> bool {
        self.is(&other.0)
    }
}

impl Eq for StreamKey {}

impl TryFrom<String> for StreamKey {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<StreamKey, NotAKey> {
        StreamKey::parse(&text)
    }
}

impl From<StreamKey> for String {
    fn from(key: StreamKey) -> String {
        key.0
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey(…)")
    }
}

/// A camera that the show is pulled from, as the log and the API write it: its address. That may hold a password: `Debug` and
/// `Display` leave the credentials out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceUrl(rtsp::Source);

/// An address that no show can be pulled from. Its credentials are not repeated.
#[derive(Debug, thiserror::Error)]
pub enum NotASource {
    #[error("the source has {seen} characters: at most {} are kept", SourceUrl::LONGEST)]
    Long { seen: usize },
    #[error(transparent)]
    Bad(#[from] rtsp::BadSource),
}

impl SourceUrl {
    pub const LONGEST: usize = 2_000;

    pub fn parse(text: &str) -> Result<SourceUrl, NotASource> {
        if text.len() > SourceUrl::LONGEST {
            return Err(NotASource::Long { seen: text.len() });
        }
        Ok(SourceUrl(text.parse()?))
    }

    /// What to pull.
    pub fn source(&self) -> &rtsp::Source {
        &self.0
    }
}

impl TryFrom<String> for SourceUrl {
    type Error = NotASource;

    fn try_from(text: String) -> Result<SourceUrl, NotASource> {
        SourceUrl::parse(&text)
    }
}

/// With its credentials: for the log.
impl From<SourceUrl> for String {
    fn from(source: SourceUrl) -> String {
        source.0.reveal().to_owned()
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceUrl({self})")
    }
}

/// Which of a show's sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    #[default]
    Main,
    /// Takes over when the main source is silent.
    Backup,
}

impl Role {
    pub fn other(self) -> Role {
        match self {
            Role::Main => Role::Backup,
            Role::Backup => Role::Main,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Main => "main",
            Role::Backup => "backup",
        })
    }
}

/// The size and rate that viewers get, whatever comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawCanvas", into = "RawCanvas")]
pub struct Canvas {
    width: u32,
    height: u32,
    fps: u32,
    fit: Fit,
}

/// How a source of other proportions comes onto the canvas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Whole, before itself out of focus.
    #[default]
    Blur,
    /// Whole, between black bars.
    Bars,
    /// Cut at two sides.
    Fill,
    /// The canvas takes the source's own shape and size, with no more pixels than it was given.
    Follow,
}

/// A size or rate that no show can have.
#[derive(Debug, thiserror::Error)]
pub enum NotACanvas {
    #[error("{name} is {seen}: use an even number from {least} to {most}")]
    Side { name: &'static str, seen: u32, least: u32, most: u32 },
    #[error("fps is {seen}: use a divisor of 90000 up to {}, as 24, 25, 30, 50 or 60", Canvas::MOST_FPS)]
    Rate { seen: u32 },
}

impl Canvas {
    pub const LEAST_SIDE: u32 = 128;
    pub const MOST_SIDE: u32 = 3_840;
    pub const MOST_FPS: u32 = 60;

    pub fn new(width: u32, height: u32, fps: u32) -> Result<Canvas, NotACanvas> {
        for (name, seen) in [("width", width), ("height", height)] {
            // Planar 4:2:0 has one chroma sample for two by two pixels.
            if !(Canvas::LEAST_SIDE..=Canvas::MOST_SIDE).contains(&seen) || seen % 2 != 0 {
                return Err(NotACanvas::Side { name, seen, least: Canvas::LEAST_SIDE, most: Canvas::MOST_SIDE });
            }
        }
        // A slot is a whole number of ticks.
        if !(1..=Canvas::MOST_FPS).contains(&fps) || !Slots::divides(fps) {
            return Err(NotACanvas::Rate { seen: fps });
        }
        Ok(Canvas { width, height, fps, fit: Fit::default() })
    }

    pub fn with_fit(self, fit: Fit) -> Canvas {
        Canvas { fit, ..self }
    }

    pub fn fit(self) -> Fit {
        self.fit
    }

    /// The size of the picture for a source: the canvas's own, unless it follows. What follows stays within the level that
    /// viewers were told (ITU-T H.264 table A-1 counts macroblocks), so nobody has to negotiate anew.
    pub fn resolution_for(self, source: Option<Resolution>) -> Resolution {
        let own = self.resolution();
        let Some(source) = source.filter(|source| self.fit == Fit::Follow && source.width > 0 && source.height > 0)
        else {
            return own;
        };
        let most = macroblocks(own);
        let side = |length: u32, scale: f64| {
            let scaled = (f64::from(length) * scale / 2.0).round() as u32 * 2;
            scaled.clamp(Canvas::LEAST_SIDE, Canvas::MOST_SIDE)
        };
        let sized = |scale| Resolution::new(side(source.width, scale), side(source.height, scale));
        let pixels = |size: Resolution| f64::from(size.width) * f64::from(size.height);
        let mut scale = (pixels(own) / pixels(source)).sqrt().min(1.0);
        // Rounding up to whole macroblocks can cost a few rows. A source of absurd proportions finds no size at all.
        for _ in 0..16 {
            let size = sized(scale);
            if macroblocks(size) <= most {
                return size;
            }
            scale *= 0.98;
        }
        own
    }

    pub fn resolution(self) -> Resolution {
        Resolution::new(self.width, self.height)
    }

    /// Frames a second.
    pub fn fps(self) -> u32 {
        self.fps
    }

    /// Bits a second that suit the size and rate: 0.09 bits a pixel, 2.5 Mbit/s for 720p30 and 5.6 for 1080p30.
    pub fn bitrate(self) -> u32 {
        let pixels = u64::from(self.width) * u64::from(self.height) * u64::from(self.fps);
        (pixels * 9 / 100).clamp(150_000, 20_000_000) as u32
    }
}

/// A canvas as somebody wants it: without a `fit` the one that holds is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawWantedCanvas")]
pub struct WantedCanvas {
    canvas: Canvas,
    fit: Option<Fit>,
}

impl WantedCanvas {
    pub fn new(canvas: Canvas, fit: Option<Fit>) -> WantedCanvas {
        WantedCanvas { canvas, fit }
    }

    /// With the fit that holds, where none is wanted.
    pub fn over(self, holds: Fit) -> Canvas {
        self.canvas.with_fit(self.fit.unwrap_or(holds))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWantedCanvas {
    width: u32,
    height: u32,
    fps: u32,
    fit: Option<Fit>,
}

impl TryFrom<RawWantedCanvas> for WantedCanvas {
    type Error = NotACanvas;

    fn try_from(raw: RawWantedCanvas) -> Result<WantedCanvas, NotACanvas> {
        Ok(WantedCanvas { canvas: Canvas::new(raw.width, raw.height, raw.fps)?, fit: raw.fit })
    }
}

impl fmt::Display for Canvas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} frames a second", self.resolution(), self.fps)
    }
}

/// 1280×720 at 30 frames a second.
impl Default for Canvas {
    fn default() -> Canvas {
        Canvas { width: 1280, height: 720, fps: 30, fit: Fit::default() }
    }
}

fn macroblocks(size: Resolution) -> u32 {
    size.width.div_ceil(16) * size.height.div_ceil(16)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCanvas {
    width: u32,
    height: u32,
    fps: u32,
    #[serde(default)]
    fit: Fit,
}

impl TryFrom<RawCanvas> for Canvas {
    type Error = NotACanvas;

    fn try_from(raw: RawCanvas) -> Result<Canvas, NotACanvas> {
        Canvas::new(raw.width, raw.height, raw.fps).map(|canvas| canvas.with_fit(raw.fit))
    }
}

impl From<Canvas> for RawCanvas {
    fn from(canvas: Canvas) -> RawCanvas {
        RawCanvas { width: canvas.width, height: canvas.height, fps: canvas.fps, fit: canvas.fit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let key = StreamKey::parse("correct-horse").unwrap();
        assert!(!format!("{key:?}").contains("horse"));
        assert!(key.is("correct-horse") && !key.is("correct-hors") && !key.is(""));
        assert!(!StreamKey::parse("pass word pass").unwrap_err().to_string().contains("word"));

        let source = SourceUrl::parse("rtsp://me:hush@192.168.1.20:8554/cam?pw=hush").unwrap();
        for shown in [source.to_string(), format!("{source:?}")] {
            assert!(!shown.contains("hush") && !shown.contains("me:"), "{shown}");
            assert!(shown.contains("192.168.1.20:8554/cam"), "{shown}");
        }
        assert_eq!(String::from(source), "rtsp://me:hush@192.168.1.20:8554/cam?pw=hush");
        assert_eq!(SourceUrl::parse("rtsp://cam/1").unwrap().to_string(), "rtsp://cam/1");
    }

    #[test]
    fn made_keys_are_keys_and_differ() {
        let key = StreamKey::random();
        assert!(StreamKey::parse(key.reveal()).is_ok());
        assert_ne!(key, StreamKey::random());
    }

    #[test]
    fn only_rtsp_addresses_are_pulled() {
        assert!(SourceUrl::parse("rtsp://cam/1").is_ok());
        for bad in ["http://cam/1", "cam", "rtsp:///1", &format!("rtsp://cam/{}", "x".repeat(2000))] {
            assert!(SourceUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn odd_and_huge_canvases_are_refused() {
        assert!(Canvas::new(1920, 1080, 60).is_ok() && Canvas::new(720, 1280, 30).is_ok());
        assert!(matches!(Canvas::new(1279, 720, 30), Err(NotACanvas::Side { name: "width", seen: 1279, .. })));
        assert!(matches!(Canvas::new(1280, 0, 30), Err(NotACanvas::Side { name: "height", .. })));
        assert!(matches!(Canvas::new(40_000, 720, 30), Err(NotACanvas::Side { .. })));
        for fps in [0, 7, 61, 90_000] {
            assert!(matches!(Canvas::new(1280, 720, fps), Err(NotACanvas::Rate { .. })), "{fps}");
        }
        assert_eq!(Canvas::default().bitrate(), 2_488_320);
    }

    #[test]
    fn a_canvas_that_follows_takes_the_sources_shape_within_its_pixels() {
        let canvas = Canvas::default().with_fit(Fit::Follow);
        let of = |width, height| canvas.resolution_for(Some(Resolution::new(width, height)));
        assert_eq!(of(1080, 1920), Resolution::new(720, 1280));
        assert_eq!(of(1920, 1080), Resolution::new(1280, 720));
        assert_eq!(of(640, 360), Resolution::new(640, 360), "nothing is made larger");
        assert_eq!(of(853, 479), Resolution::new(854, 480));
        for (width, height) in [(1000, 1000), (4096, 16), (16, 4096), (3840, 2160), (1921, 1079)] {
            let size = of(width, height);
            assert!(macroblocks(size) <= 3_600 && size.width % 2 == 0 && size.height % 2 == 0, "{size}");
        }
        assert_eq!(canvas.resolution_for(None), Resolution::new(1280, 720));
        assert_eq!(Canvas::default().resolution_for(Some(Resolution::new(1080, 1920))), Resolution::new(1280, 720));
    }

    #[test]
    fn a_canvas_of_an_older_log_reads() {
        let canvas: Canvas = serde_json::from_str(r#"{"width":1280,"height":720,"fps":30}"#).unwrap();
        assert_eq!(canvas, Canvas::default());
    }
}
