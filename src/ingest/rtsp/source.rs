//! Where a camera is: a checked `rtsp://` URL, its credentials kept apart and out of sight.
//!
//! The scheme may name the transport, as GStreamer's users write it: `rtspt://` for TCP alone, `rtspu://` for UDP alone.

use std::fmt;
use std::str::FromStr;

use retina::client::Credentials;
use url::Url;

/// A camera to pull. `Debug` and `Display` show host and path only.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// As it was given, credentials included.
    given: String,
    /// Without credentials, and always with the scheme `rtsp`.
    url: Url,
    credentials: Option<Credentials>,
    transport: Transport,
}

/// How the media is to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Transport {
    /// Within the RTSP connection; as datagrams from a camera that refuses that.
    #[default]
    Either,
    Tcp,
    Udp,
}

/// What is wrong with a source URL; nothing of the URL is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    #[error("the source is no URL; write rtsp://user:password@host/path")]
    Url,
    #[error("the source has to begin with rtsp:// (rtspu:// to have it by UDP, rtspt:// by TCP alone)")]
    Scheme,
    #[error("the source has no host")]
    Host,
    #[error("user and password have to be UTF-8 under their percent encoding")]
    Credentials,
    #[error("the source has a password and no user")]
    User,
}

impl Source {
    /// The URL as it was given, with its credentials, to be stored.
    pub fn reveal(&self) -> &str {
        &self.given
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    pub(super) fn transport(&self) -> Transport {
        self.transport
    }

    pub(super) fn host_and_port(&self) -> (&str, u16) {
        // An IPv6 address stands in brackets in a URL only.
        let host = self.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        (host, self.url.port().unwrap_or(DEFAULT_PORT))
    }

    /// The first line of a message, with whatever of this source is secret taken out.
    pub(super) fn redact(&self, message: &str) -> String {
        let mut redacted = message.lines().next().unwrap_or_default().to_owned();
        let hide = |redacted: &mut String, secret: &str| {
            // Shorter ones would take words apart and hide little.
            if secret.len() >= 4 {
                *redacted = redacted.replace(secret, "…");
            }
        };
        hide(&mut redacted, self.url.as_str());
        if let Some(query) = self.url.query() {
            hide(&mut redacted, query);
        }
        if self.path_may_be_secret() {
            hide(&mut redacted, self.url.path());
        }
        if let Some(credentials) = &self.credentials {
            hide(&mut redacted, &credentials.password);
        }
        redacted
    }

    /// Cheap cameras take their credentials in the path: `/user=admin&password=…`.
    fn path_may_be_secret(&self) -> bool {
        self.url.path().contains('=')
    }
}

impl FromStr for Source {
    type Err = BadSource;

    fn from_str(given: &str) -> Result<Source, BadSource> {
        let given = given.trim();
        let mut url = Url::parse(given).map_err(|_| BadSource::Url)?;
        let named = TRANSPORTS.iter().find(|(scheme, _)| *scheme == url.scheme());
        let &(_, transport) = named.ok_or(BadSource::Scheme)?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(BadSource::Host);
        }
        let credentials = match (url.username(), url.password()) {
            ("", None | Some("")) => None,
            ("", Some(_)) => return Err(BadSource::User),
            (user, password) => Some(Credentials {
                username: percent_decoded(user).ok_or(BadSource::Credentials)?,
                password: percent_decoded(password.unwrap_or_default()).ok_or(BadSource::Credentials)?,
            }),
        };
        let cleared = url.set_username("").and_then(|()| url.set_password(None)).and_then(|()| url.set_scheme("rtsp"));
        cleared.map_err(|()| BadSource::Url)?;
        url.set_fragment(None);
        Ok(Source { given: given.to_owned(), url, credentials, transport })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = TRANSPORTS.iter().find(|(_, transport)| *transport == self.transport);
        let (scheme, host) = (named.map_or("rtsp", |(scheme, _)| scheme), self.url.host_str().unwrap_or_default());
        write!(f, "{scheme}://{host}")?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(if self.path_may_be_secret() { "/…" } else { self.url.path() })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// Undoes percent encoding (RFC 3986 §2.1); a `%` that begins none stands for itself, as it is typed.
fn percent_decoded(text: &str) -> Option<String> {
    let hex = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        (rest, _) = match (byte, after) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                (after, decoded.push(hex(*high)? << 4 | hex(*low)?))
            }
            (byte, after) => (after, decoded.push(*byte)),
        };
    }
    String::from_utf8(decoded).ok()
}

const DEFAULT_PORT: u16 = 554;
const TRANSPORTS: [(&str, Transport); 3] =
    [("rtsp", Transport::Either), ("rtspt", Transport::Tcp), ("rtspu", Transport::Udp)];

#[cfg(test)]
mod tests {
    use super::*;

    fn source(given: &str) -> Source {
        given.parse().unwrap()
    }

    #[test]
    fn credentials_are_decoded_and_leave_the_url() {
        let source = source("rtsp://ad%40min:p%C3%A4ss%2Fw%zz@camera.local:8554/live?x=1");
        let credentials = source.credentials().unwrap();
        assert_eq!((credentials.username.as_str(), credentials.password.as_str()), ("ad@min", "päss/w%zz"));
        assert_eq!(source.url().as_str(), "rtsp://camera.local:8554/live?x=1");
        assert_eq!(source.host_and_port(), ("camera.local", 8554));
        assert_eq!("rtsp://h/a".parse::<Source>().unwrap().credentials(), None);
    }

    #[test]
    fn the_scheme_may_name_the_transport() {
        for (given, transport) in [
            ("rtsp://h:9/a?b", Transport::Either),
            ("rtspt://h:9/a?b", Transport::Tcp),
            ("rtspu://h:9/a?b", Transport::Udp),
        ] {
            let source = source(given);
            assert_eq!(source.transport(), transport);
            assert_eq!(source.url().as_str(), "rtsp://h:9/a?b", "what the camera is asked for");
            assert_eq!(source.reveal(), given);
        }
        assert_eq!(source("rtspu://a:b@h/cam").to_string(), "rtspu://h/cam");
    }

    #[test]
    fn nothing_secret_is_printed() {
        for given in [
            "rtsp://admin:s3cret@192.0.2.7/stream1?password=s3cret",
            "rtsp://192.0.2.7:554/user=admin&password=s3cret&channel=1.sdp?real_stream",
        ] {
            let source = source(given);
            assert!(!format!("{source} {source:?}").contains("s3cret"), "{source}");
            let error = format!("401 for {} and {}\nconn: s3cret", source.url(), source.url().path());
            assert!(!source.redact(&error).contains("s3cret"), "{}", source.redact(&error));
        }
        assert_eq!(source("rtsp://a:b@[2001:db8::1]:99/cam").to_string(), "rtsp://[2001:db8::1]:99/cam");
        assert_eq!(source("rtsp://a:b@[2001:db8::1]/cam").host_and_port(), ("2001:db8::1", 554));
    }

    #[test]
    fn other_urls_are_refused_without_repeating_them() {
        for (given, bad) in [
            ("camera", BadSource::Url),
            ("rtsps://a:b@c/", BadSource::Scheme),
            ("http://a:b@c/", BadSource::Scheme),
            ("rtsp:///path", BadSource::Host),
            ("rtsp://:secret@host/", BadSource::User),
            ("rtsp://a:%ff@host/", BadSource::Credentials),
        ] {
            assert_eq!(given.parse::<Source>(), Err(bad), "{given}");
            assert!(!bad.to_string().contains("secret"));
        }
    }
}
