//! The configuration as it is written, and its checks.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, de};
use tokio_rustls::rustls::pki_types::ServerName;
use toml::{Table, Value};

use super::{Canvas, CertificateFiles, Compositor, Config, Error, Fit, Limits, Listen, Secret, Show, Tls};
use crate::media::Resolution;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    data_dir: Option<String>,
    admin_token: Option<Hidden>,
    #[serde(default)]
    public_ip: OneOrMany,
    #[serde(default)]
    listen: RawListen,
    #[serde(default)]
    tls: RawTls,
    #[serde(default)]
    show: Vec<RawShow>,
    themes: Option<String>,
    fonts: Option<String>,
    compositor: Option<String>,
    #[serde(default)]
    limits: RawLimits,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListen {
    http: Option<String>,
    rtmp: Option<String>,
    webrtc: Option<String>,
    https: Option<String>,
    rtmps: Option<String>,
    whip: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    certificate: Option<String>,
    key: Option<String>,
    #[serde(default)]
    names: OneOrMany,
    redirect: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawShow {
    id: String,
    title: Option<String>,
    stream_key: Option<Hidden>,
    source: Option<Hidden>,
    backup_stream_key: Option<Hidden>,
    backup_source: Option<Hidden>,
    canvas: Option<RawCanvas>,
    locale: Option<String>,
    theme: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCanvas {
    width: i64,
    height: i64,
    fps: Option<i64>,
    fit: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    viewers: Option<i64>,
    publishers: Option<i64>,
    image_bytes: Option<i64>,
}

/// Reads the text, and refuses its shape while lines are still known.
pub(super) fn table(text: &str) -> Result<Table, Error> {
    let at_line = |error: toml::de::Error| located(text, &error);
    toml::from_str::<Raw>(text).map_err(at_line)?;
    toml::from_str(text).map_err(at_line)
}

/// Checks a table, which the environment may have added to.
pub(super) fn check(table: Table) -> Result<Config, Error> {
    let raw = Raw::deserialize(Value::Table(table))
        .map_err(|error| Error::Shape(error.to_string().trim().replace('\n', " ")))?;
    let default = Config::default();
    let mut shows: Vec<Show> = Vec::with_capacity(raw.show.len());
    for (index, raw) in raw.show.into_iter().enumerate() {
        let show = show(raw, &format!("show[{index}]"))?;
        if shows.iter().any(|earlier| earlier.id == show.id) {
            return Err(refuse(
                format!("show[{index}].id"),
                quoted(&show.id),
                "a show's id may stand only once; take another",
            ));
        }
        shows.push(show);
    }
    let listen = Listen {
        http: door("listen.http", raw.listen.http)?.unwrap_or(default.listen.http),
        rtmp: door("listen.rtmp", raw.listen.rtmp)?.unwrap_or(default.listen.rtmp),
        webrtc: door("listen.webrtc", raw.listen.webrtc)?.unwrap_or(default.listen.webrtc),
        https: door("listen.https", raw.listen.https)?,
        rtmps: door("listen.rtmps", raw.listen.rtmps)?,
        whip: door("listen.whip", raw.listen.whip)?.unwrap_or(default.listen.whip),
    };
    Ok(Config {
        data_dir: folder("data_dir", raw.data_dir)?.unwrap_or(default.data_dir),
        admin_token: raw.admin_token.map(|token| admin_token(token.0)).transpose()?,
        public_ips: raw.public_ip.0.iter().map(|text| ip(text)).collect::<Result<_, _>>()?,
        tls: tls(raw.tls, &listen)?,
        listen,
        shows,
        themes: folder("themes", raw.themes)?,
        fonts: folder("fonts", raw.fonts)?,
        compositor: compositor(raw.compositor.as_deref())?,
        limits: Limits {
            viewers: count("limits.viewers", raw.limits.viewers, default.limits.viewers)?,
            publishers: count("limits.publishers", raw.limits.publishers, default.limits.publishers)?,
            image_bytes: count("limits.image_bytes", raw.limits.image_bytes, default.limits.image_bytes)?,
        },
    })
}

fn show(raw: RawShow, key: &str) -> Result<Show, Error> {
    let named =
        (1..=64).contains(&raw.id.len()) && raw.id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !named {
        return Err(refuse(
            format!("{key}.id"),
            quoted(&raw.id),
            "use 1 to 64 of a-z, 0-9 and -, as it becomes part of the links",
        ));
    }
    if let Some(title) = raw.title.as_deref().filter(|title| title.chars().count() > 200) {
        return Err(refuse(
            format!("{key}.title"),
            format!("{} characters long", title.chars().count()),
            "use 200 at most",
        ));
    }
    Ok(Show {
        stream_key: raw.stream_key.map(|secret| stream_key(secret.0, key, "stream_key")).transpose()?,
        source: raw.source.map(|secret| source(secret.0, key, "source")).transpose()?,
        backup_stream_key: raw
            .backup_stream_key
            .map(|secret| stream_key(secret.0, key, "backup_stream_key"))
            .transpose()?,
        backup_source: raw.backup_source.map(|secret| source(secret.0, key, "backup_source")).transpose()?,
        canvas: raw.canvas.map(|raw| canvas(&raw, key)).transpose()?,
        id: raw.id,
        title: raw.title,
        locale: raw.locale,
        theme: raw.theme,
    })
}

fn canvas(raw: &RawCanvas, key: &str) -> Result<Canvas, Error> {
    let side = |pixels: i64, max| u32::try_from(pixels).ok().filter(|side| side % 2 == 0 && (128..=max).contains(side));
    let (Some(width), Some(height)) = (side(raw.width, 3840), side(raw.height, 3840)) else {
        let seen = format!("{}x{}", raw.width, raw.height);
        return Err(refuse(
            format!("{key}.canvas"),
            seen,
            "width and height must be even and from 128 to 3840, such as 1280x720",
        ));
    };
    let fps = raw.fps.unwrap_or(30);
    let fps = u32::try_from(fps)
        .ok()
        .filter(|fps| (1..=60).contains(fps))
        .ok_or_else(|| refuse(format!("{key}.canvas.fps"), fps.to_string(), "use 1 to 60 frames a second"))?;
    let fit = match raw.fit.as_deref() {
        None => None,
        Some("blur") => Some(Fit::Blur),
        Some("bars") => Some(Fit::Bars),
        Some("fill") => Some(Fit::Fill),
        Some("follow") => Some(Fit::Follow),
        Some(other) => {
            let advice = "use blur, bars or fill, or follow for the source's own shape";
            return Err(refuse(format!("{key}.canvas.fit"), quoted(other), advice));
        }
    };
    Ok(Canvas { resolution: Resolution::new(width, height), fps, fit })
}

fn compositor(text: Option<&str>) -> Result<Compositor, Error> {
    match text {
        None | Some("auto") => Ok(Compositor::Auto),
        Some("cpu") => Ok(Compositor::Cpu),
        Some("gpu") => Ok(Compositor::Gpu),
        Some(other) => {
            let advice = "use auto for the faster one, cpu, or gpu";
            Err(refuse("compositor", quoted(other), advice))
        }
    }
}

fn admin_token(secret: Secret) -> Result<Secret, Error> {
    let length = secret.expose().chars().count();
    if length < 16 {
        return Err(refuse(
            "admin_token",
            format!("{length} characters long"),
            "use at least 16, or leave it out and one is made",
        ));
    }
    if !visible(secret.expose()) {
        return Err(refuse("admin_token", "not plain visible ASCII", "use letters, digits and signs without spaces"));
    }
    Ok(secret)
}

fn stream_key(secret: Secret, show: &str, name: &str) -> Result<Secret, Error> {
    let key = format!("{show}.{name}");
    let text = secret.expose();
    if text.len() < 8 || text.len() > 128 {
        return Err(refuse(
            key,
            format!("{} characters long", text.len()),
            "use 8 to 128, or leave it out and one is made",
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Err(refuse(
            key,
            "not fit for an address",
            "use letters, digits, - and _, as encoders put it into the address",
        ));
    }
    Ok(secret)
}

fn source(secret: Secret, show: &str, name: &str) -> Result<Secret, Error> {
    let pulled = url::Url::parse(secret.expose())
        .is_ok_and(|url| url.scheme() == "rtsp" && url.host_str().is_some_and(|host| !host.is_empty()));
    if !pulled {
        return Err(refuse(
            format!("{show}.{name}"),
            "not an address that can be pulled",
            "write rtsp://USER:PASSWORD@HOST:PORT/PATH",
        ));
    }
    Ok(secret)
}

fn door(key: &str, text: Option<String>) -> Result<Option<SocketAddr>, Error> {
    let parse = |text: String| {
        text.parse().map_err(|_| refuse(key, quoted(&text), "write ADDRESS:PORT, such as 0.0.0.0:8080 or [::]:8080"))
    };
    text.map(parse).transpose()
}

fn tls(raw: RawTls, listen: &Listen) -> Result<Tls, Error> {
    let missing = |key| refuse(key, "missing", "name the PEM files of both the certificate and its private key");
    let given = match (file("tls.certificate", raw.certificate)?, file("tls.key", raw.key)?) {
        (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return Err(missing("tls.key")),
        (None, Some(_)) => return Err(missing("tls.certificate")),
    };
    if let Some(files) = given.as_ref().filter(|_| !listen.within_tls()) {
        let seen = quoted(&files.certificate.to_string_lossy());
        let advice = "nothing listens that would show it: set `listen.https`, `listen.rtmps` or both";
        return Err(refuse("tls.certificate", seen, advice));
    }
    let redirect = raw.redirect.unwrap_or(false);
    if redirect && listen.https.is_none() {
        return Err(refuse("tls.redirect", "true", "there is nowhere to send people to: set `listen.https`"));
    }
    let names = raw.names.0.iter().map(|text| name(text)).collect::<Result<_, _>>()?;
    Ok(Tls { given, names, redirect })
}

fn name(text: &str) -> Result<String, Error> {
    let name = text.trim();
    match ServerName::try_from(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err(refuse(
            "tls.names",
            quoted(text),
            "write DNS names or IP addresses without https:// and without a port, such as live.example.com",
        )),
    }
}

fn ip(text: &str) -> Result<IpAddr, Error> {
    text.trim().parse().map_err(|_| {
        refuse("public_ip", quoted(text), "write an IP address, or several in a list; names are not looked up")
    })
}

fn folder(key: &str, text: Option<String>) -> Result<Option<PathBuf>, Error> {
    match text {
        Some(text) if text.trim().is_empty() => Err(refuse(key, "empty", "name a folder, or leave it out")),
        text => Ok(text.map(PathBuf::from)),
    }
}

fn file(key: &str, text: Option<String>) -> Result<Option<PathBuf>, Error> {
    match text {
        Some(text) if text.trim().is_empty() => Err(refuse(key, "empty", "name a PEM file, or leave it out")),
        text => Ok(text.map(PathBuf::from)),
    }
}

fn count(key: &str, seen: Option<i64>, default: usize) -> Result<usize, Error> {
    let Some(seen) = seen else { return Ok(default) };
    let fits = usize::try_from(seen).ok().filter(|count| *count > 0);
    fits.ok_or_else(|| refuse(key, seen.to_string(), "use a number above zero, or leave it out for the default"))
}

fn visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn refuse(key: impl Into<String>, seen: impl Into<String>, advice: &'static str) -> Error {
    Error::Value { key: key.into(), seen: seen.into(), advice }
}

/// Where the text is wrong: the line and the key that stands on it, never the line itself, as it may hold a secret.
fn located(text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start).min(text.len());
    let before = &text.as_bytes()[..start];
    let line = before.iter().filter(|byte| **byte == b'\n').count();
    let key = text
        .lines()
        .nth(line)
        .and_then(|line| line.split_once('='))
        .map(|(key, _)| key.trim())
        .filter(|key| !key.is_empty());
    let message = error.message().trim().replace('\n', ", ");
    let problem = match key {
        Some(key) => format!("`{key}`: {message}"),
        None => message,
    };
    Error::Toml { line: line + 1, problem }
}

/// A secret that is refused without being shown when it is not text.
struct Hidden(Secret);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hidden, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Hidden;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hidden, E> {
                Ok(Hidden(Secret::from(text)))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Hidden, E> {
                Err(E::custom("expected a text in quotes, saw a number"))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Hidden, E> {
                Err(E::custom("expected a text in quotes, saw a number"))
            }
        }

        deserializer.deserialize_any(Text)
    }
}

/// One text, or a list of them.
#[derive(Default)]
struct OneOrMany(Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMany, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes, or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    if texts.len() == 32 {
                        return Err(A::Error::custom("more than 32 entries"));
                    }
                    texts.push(text);
                }
                Ok(OneOrMany(texts))
            }
        }

        deserializer.deserialize_any(Texts)
    }
}
