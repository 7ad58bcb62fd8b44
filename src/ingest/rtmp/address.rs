//! Where a publisher wants to go, as the different encoders put it into application name and publishing name.

/// An application and a stream key.
#[derive(PartialEq, Eq)]
pub(super) struct Address {
    pub(super) app: String,
    pub(super) key: String,
}

impl Address {
    /// Finds application and key. `rtmp://host/live` with a key beside it, `rtmp://host/live/KEY` as a whole (which puts
    /// the key into either name), slashes too many and query strings all mean the same. So a key has no `?` in it.
    pub(super) fn parse(app: &str, name: &str) -> Option<Address> {
        if app.len() > NAME_LIMIT || name.len() > NAME_LIMIT {
            return None;
        }
        let path = |part| str::split(part, '?').next().unwrap_or_default().split('/');
        let mut parts = path(app).chain(path(name)).filter(|part| !part.is_empty());
        let app = parts.next()?.to_owned();
        let key = parts.collect::<Vec<_>>().join("/");
        (!key.is_empty()).then_some(Address { app, key })
    }
}

/// Bytes; a longer name is nobody's key.
const NAME_LIMIT: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(app: &str, name: &str) -> Option<(String, String)> {
        Address::parse(app, name).map(|address| (address.app, address.key))
    }

    #[test]
    fn every_spelling_of_an_address_means_the_same() {
        for (app, name) in [
            ("live", "abc"),
            ("live/", "abc"),
            ("/live", "/abc/"),
            ("live/abc", ""),
            ("live/abc/", "?x=y"),
            ("live", "abc?token=1/2"),
            ("live?v=1", "abc"),
        ] {
            assert_eq!(parsed(app, name), Some(("live".into(), "abc".into())), "{app} {name}");
        }
        assert_eq!(parsed("live/eu", "abc"), Some(("live".into(), "eu/abc".into())));
    }

    #[test]
    fn without_a_key_there_is_no_address() {
        for (app, name) in [("live", ""), ("", ""), ("", "abc"), ("///", "?"), ("live", "?key=abc")] {
            assert_eq!(parsed(app, name), None, "{app} {name}");
        }
        assert_eq!(parsed("live", &"k".repeat(NAME_LIMIT + 1)), None);
    }
}
