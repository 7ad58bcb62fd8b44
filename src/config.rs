//! What the operator asked for: raw TOML and environment in, a checked [`Config`] out.
//!
//! Everything is checked once, here, before anything is opened or bound; the rest of the program sees meaningful types only.
//! An error names the key, what was seen and what to do, and never repeats a secret.

mod environment;
mod raw;
mod secret;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::media::Resolution;

pub use secret::{AdminToken, Secret};

/// A checked configuration. `Config::default()` is what an empty file and an empty environment give.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the log, the admin token and other things that must outlive the process are kept.
    pub data_dir: PathBuf,
    /// The operator's own token; made at the first start and kept in `data_dir` when absent ([`Config::admin_token`]).
    pub admin_token: Option<Secret>,
    /// Addresses that viewers and publishers by WHIP can reach; the host's own when empty.
    pub public_ips: Vec<IpAddr>,
    pub listen: Listen,
    pub tls: Tls,
    pub shows: Vec<Show>,
    /// A folder of themes, each a folder with a `theme.json`.
    pub themes: Option<PathBuf>,
    /// A folder of further fonts (`.ttf`, `.otf`, `.ttc`) for scripts that Noto Sans does not cover.
    pub fonts: Option<PathBuf>,
    pub compositor: Compositor,
    pub limits: Limits,
}

/// The doors. Port 0 takes any free port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Pages, API, WHEP and WHIP.
    pub http: SocketAddr,
    /// TCP, for OBS and ffmpeg.
    pub rtmp: SocketAddr,
    /// UDP, one port for every viewer.
    pub webrtc: SocketAddr,
    /// What `http` serves, inside TLS.
    pub https: Option<SocketAddr>,
    /// What `rtmp` takes, inside TLS.
    pub rtmps: Option<SocketAddr>,
    /// UDP, one port for every publisher by WHIP, which begins on `http` or `https`.
    pub whip: SocketAddr,
}

/// What the doors inside TLS show of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Absent: a self-made certificate, kept in `data_dir`.
    pub given: Option<CertificateFiles>,
    /// DNS names and IP addresses by which others reach this machine: a self-made certificate is for them, and the printed links
    /// use the first.
    pub names: Vec<String>,
    /// Whether the plain HTTP door sends people to the one inside TLS.
    pub redirect: bool,
}

/// A certificate that the operator got elsewhere, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The server's own certificate, then those that lead to the authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A show that the configuration brings; more may be made through the API.
#[derive(Clone, Debug)]
pub struct Show {
    /// 1 to 64 characters of `a-z`, `0-9` and `-`: part of the links.
    pub id: String,
    pub title: Option<String>,
    /// Made when absent.
    pub stream_key: Option<Secret>,
    /// An `rtsp://` address to pull; secret because it may hold a password.
    pub source: Option<Secret>,
    /// A second key, for an encoder that takes over when the main source is silent.
    pub backup_stream_key: Option<Secret>,
    pub backup_source: Option<Secret>,
    pub canvas: Option<Canvas>,
    /// Its language, a BCP 47 tag.
    pub locale: Option<String>,
    pub theme: Option<String>,
}

/// The fixed size and rate that viewers get, whatever comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas {
    pub resolution: Resolution,
    /// Frames a second.
    pub fps: u32,
    /// How a source of other proportions comes onto it; as it is when absent.
    pub fit: Option<Fit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Blur,
    Bars,
    Fill,
    Follow,
}

/// Who draws the layers into the pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compositor {
    /// A graphics processor where there is one that is faster than the CPU.
    #[default]
    Auto,
    Cpu,
    /// By Vulkan, in software where there is no graphics processor.
    Gpu,
}

/// What one process takes on before it refuses more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Viewers of all shows together.
    pub viewers: usize,
    /// RTMP connections, and as many sessions by WHIP, publishing or still shaking hands.
    pub publishers: usize,
    /// Bytes of one uploaded picture.
    pub image_bytes: usize,
}

impl Config {
    /// Reads `file` (or nothing) and the process's environment.
    pub fn load(file: Option<&Path>) -> Result<Config, Error> {
        let text = match file {
            Some(path) => std::fs::read_to_string(path).map_err(|error| Error::Read { path: path.into(), error })?,
            None => String::new(),
        };
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Config::parse(&text, environment)
    }

    /// `text` is TOML; variables named `HAWKER_…` win over it.
    pub fn parse(text: &str, environment: impl IntoIterator<Item = (String, String)>) -> Result<Config, Error> {
        let mut table = raw::table(text)?;
        environment::overlay(&mut table, environment)?;
        raw::check(table)
    }

    /// The operator's token: the configured one, else the one kept in `data_dir`, made now if this is the first start.
    pub fn admin_token(&self) -> Result<AdminToken, Error> {
        match &self.admin_token {
            Some(token) => Ok(AdminToken { token: token.clone(), path: None }),
            None => AdminToken::kept_in(&self.data_dir),
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data_dir: PathBuf::from("hawker-data"),
            admin_token: None,
            public_ips: Vec::new(),
            listen: Listen::default(),
            tls: Tls::default(),
            shows: Vec::new(),
            themes: None,
            fonts: None,
            compositor: Compositor::default(),
            limits: Limits::default(),
        }
    }
}

impl Listen {
    /// The same ports, reachable from this machine only.
    pub fn on_loopback(mut self) -> Listen {
        let plain = [&mut self.http, &mut self.rtmp, &mut self.webrtc, &mut self.whip];
        for door in plain.into_iter().chain(&mut self.https).chain(&mut self.rtmps) {
            door.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        self
    }

    /// Whether anything listens inside TLS.
    pub fn within_tls(&self) -> bool {
        self.https.is_some() || self.rtmps.is_some()
    }
}

impl Default for Listen {
    fn default() -> Listen {
        let anywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Listen {
            http: anywhere(8080),
            rtmp: anywhere(1935),
            webrtc: anywhere(8189),
            https: None,
            rtmps: None,
            whip: anywhere(8190),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { viewers: 500, publishers: 64, image_bytes: 8 << 20 }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the configuration {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("the configuration, line {line}: {problem}")]
    Toml { line: usize, problem: String },
    #[error("the configuration: {0}")]
    Shape(String),
    #[error("`{key}` is {seen}: {advice}")]
    Value { key: String, seen: String, advice: &'static str },
    #[error("the environment variable {name}: {problem}")]
    Environment { name: String, problem: &'static str },
    #[error("cannot keep the admin token in {}: {error}; make the folder writable, or set `admin_token`", path.display())]
    Token { path: PathBuf, error: io::Error },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, Error> {
        Config::parse(text, environment.iter().map(|(name, value)| (name.to_string(), value.to_string())))
    }

    fn refusal(text: &str, environment: &[(&str, &str)]) -> String {
        parse(text, environment).unwrap_err().to_string()
    }

    #[test]
    fn nothing_given_is_the_default() {
        let config = parse("", &[]).unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
        assert_eq!(config.listen.rtmp.port(), 1935);
    }

    #[test]
    fn the_sample_parses_as_it_stands_and_with_every_line_switched_on() {
        let sample = include_str!("../samples/hawker.toml");
        let config = parse(sample, &[]).unwrap();
        assert_eq!(config.shows[0].id, "demo");
        let switched_on: String = sample
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(code) if code.contains(" = ") || code.starts_with('[') => format!("{code}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let config = parse(&switched_on, &[]).unwrap();
        assert_eq!(config.limits, Limits::default());
        assert!(config.shows[0].canvas.is_some() && config.shows[0].source.is_some() && config.admin_token.is_some());
        assert!(config.listen.https.is_some() && config.listen.rtmps.is_some() && config.tls.given.is_some());
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let text = "data_dir = \"a\"\n[listen]\nhttp = \"0.0.0.0:80\"\n[[show]]\nid = \"demo\"";
        let config = parse(
            text,
            &[
                ("HAWKER_DATA_DIR", "b"),
                ("HAWKER_LISTEN__HTTP", "127.0.0.1:0"),
                ("HAWKER_COMPOSITOR", "cpu"),
                ("HAWKER_PUBLIC_IP", "203.0.113.7, 2001:db8::7"),
                ("HAWKER_LIMITS__VIEWERS", "12"),
                ("HAWKER_LISTEN__HTTPS", "[::1]:8443"),
                ("HAWKER_TLS__NAMES", "live.example.com, 203.0.113.7"),
                ("HAWKER_TLS__REDIRECT", "true"),
                ("HAWKER_SHOW__0__STREAM_KEY", "12345678901234567890"),
                ("HAWKER_SHOW__1__ID", "second"),
                ("HAWKER_SHOW__1__LOCALE", "pt-BR"),
                ("HAWKER_SHOW__1__CANVAS__WIDTH", "640"),
                ("HAWKER_SHOW__1__CANVAS__HEIGHT", "360"),
                ("PATH", "/bin"),
            ],
        )
        .unwrap();
        assert_eq!(config.data_dir, PathBuf::from("b"));
        assert_eq!(config.listen.http.to_string(), "127.0.0.1:0");
        assert_eq!(config.public_ips.len(), 2);
        assert_eq!(config.limits.viewers, 12);
        assert_eq!(config.compositor, Compositor::Cpu);
        assert_eq!(config.listen.https, Some("[::1]:8443".parse().unwrap()));
        assert_eq!(
            (config.tls.names, config.tls.redirect),
            (vec!["live.example.com".into(), "203.0.113.7".into()], true)
        );
        assert_eq!(config.shows[0].stream_key.as_ref().unwrap().expose(), "12345678901234567890");
        assert_eq!(config.shows[1].canvas.unwrap().resolution, Resolution::new(640, 360));
        assert_eq!(config.shows[1].canvas.unwrap().fps, 30);
        assert_eq!((config.shows[1].locale.as_deref(), config.shows[1].theme.as_deref()), (Some("pt-BR"), None));
    }

    #[test]
    fn a_refusal_names_the_key_what_was_seen_and_what_to_do() {
        for (text, environment, parts) in [
            ("data_dir = 7", &[][..], &["line 1", "`data_dir`", "7"][..]),
            ("\nlisten.htpt = \"x\"", &[], &["line 2", "htpt", "http"]),
            ("[listen]\nhttp = \"8080\"", &[], &["`listen.http`", "\"8080\"", "ADDRESS:PORT"]),
            ("compositor = \"cuda\"", &[], &["`compositor`", "\"cuda\"", "auto", "gpu"]),
            ("public_ip = \"example.com\"", &[], &["`public_ip`", "example.com", "IP address"]),
            ("admin_token = \"short\"", &[], &["`admin_token`", "5 characters"]),
            ("[[show]]\nid = \"Ünder\"", &[], &["`show[0].id`", "Ünder", "a-z"]),
            ("[[show]]\nid = \"a\"\n[[show]]\nid = \"a\"", &[], &["`show[1].id`", "\"a\"", "once"]),
            ("[[show]]\nid = \"a\"\nsource = \"http://cam\"", &[], &["`show[0].source`", "rtsp://"]),
            (
                "[[show]]\nid = \"a\"\ncanvas = { width = 1281, height = 720 }",
                &[],
                &["`show[0].canvas`", "1281x720", "even"],
            ),
            (
                "[[show]]\nid = \"a\"\ncanvas = { width = 1280, height = 720, fps = 0 }",
                &[],
                &["`show[0].canvas.fps`", "0", "60"],
            ),
            ("[limits]\nviewers = 0", &[], &["`limits.viewers`", "0"]),
            ("[listen]\nhttps = \"443\"", &[], &["`listen.https`", "\"443\"", "ADDRESS:PORT"]),
            ("[tls]\ncertificate = \"c.pem\"", &[], &["`tls.key`", "missing", "private key"]),
            ("[tls]\nkey = \"k.pem\"", &[], &["`tls.certificate`", "missing"]),
            ("[tls]\ncertificate = \"c\"\nkey = \"k\"", &[], &["`tls.certificate`", "\"c\"", "`listen.https`"]),
            ("[tls]\nredirect = true", &[], &["`tls.redirect`", "true", "`listen.https`"]),
            ("[tls]\nnames = [\"https://a.example\"]", &[], &["`tls.names`", "https://a.example", "without"]),
            ("", &[("HAWKER_TLS__REDIRECT", "yes")], &["HAWKER_TLS__REDIRECT", "true or false"]),
            ("", &[("HAWKER_LISTEN__HTP", "x")], &["HAWKER_LISTEN__HTP"]),
            ("", &[("HAWKER_LIMITS__VIEWERS", "many")], &["HAWKER_LIMITS__VIEWERS", "whole number"]),
            ("", &[("HAWKER_SHOW__3__ID", "x")], &["HAWKER_SHOW__3__ID"]),
        ] {
            let refusal = refusal(text, environment);
            for part in parts {
                assert!(refusal.contains(part), "{part:?} is missing in {refusal:?}");
            }
        }
    }

    #[test]
    fn no_secret_is_repeated() {
        for text in [
            "admin_token = 123454321",
            "admin_token = \"s3cret\"",
            "[[show]]\nid = \"a\"\nstream_key = \"s3cret x\"",
            "[[show]]\nid = \"a\"\nsource = \"http://user:s3cret@cam/\"",
            "admin_token = \"s3cret\" oops",
            "[[show]]\nid = \"a\"\nstream_key = [\"s3cret\"]",
        ] {
            let refusal = refusal(text, &[]);
            assert!(!refusal.contains("s3cret") && !refusal.contains("123454321"), "{refusal}");
        }
        let config = parse("admin_token = \"s3cret-and-long-enough\"", &[]).unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn an_orchestrators_own_variables_do_not_stop_the_server() {
        parse(
            "",
            &[("HAWKER_SERVICE_HOST", "10.0.0.1"), ("HAWKER_PORT", "tcp://10.0.0.1:8080"), ("HAWKER_LOG", "debug")],
        )
        .unwrap();
    }
}
