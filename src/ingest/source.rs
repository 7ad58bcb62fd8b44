//! Who publishes, who may, and where what they send goes.

use std::fmt;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::media::{Coded, Resolution};

/// Somebody at the door with media. `Debug` leaves the key out.
#[derive(Clone, PartialEq, Eq)]
pub struct Publisher {
    pub peer: SocketAddr,
    pub protocol: Protocol,
    /// RTMP's application name, `live` by convention; empty for a pulled source.
    pub app: String,
    /// The stream key: a secret. Empty for a pulled source, which the server chose itself.
    pub key: String,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("peer", &self.peer)
            .field("protocol", &self.protocol)
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Rtmp,
    Rtsp,
    Whip,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Rtmp => "RTMP",
            Protocol::Rtsp => "RTSP",
            Protocol::Whip => "WHIP",
        })
    }
}

/// Says who may publish, and where to.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Whether [`Directory::admit`] would let the publisher in; changes nothing.
    async fn check(&self, publisher: &Publisher) -> Result<(), Refused>;

    async fn admit(&self, publisher: &Publisher) -> Result<Box<dyn Publication>, Refused>;
}

/// A publisher's place in a show, for as long as it is held; dropping it ends it.
#[async_trait]
pub trait Publication: Send {
    /// Hands the next configuration or access unit over, in the order of arrival. Waits while the show is behind, which
    /// holds the publisher up in its turn (back-pressure on TCP).
    async fn push(&mut self, coded: Coded) -> Result<(), Ended>;

    /// Whether the show needs a keyframe of this publisher to go on; asked after pushes, and true once for each need.
    fn wants_keyframe(&mut self) -> bool {
        false
    }

    /// Cancelled when the publication was ended from the other side.
    fn ended(&self) -> CancellationToken;

    /// What the source said of itself; the newest holds.
    fn describe(&mut self, what: SourceInfo);
}

/// Why a publisher is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("no show has this stream key")]
    UnknownKey,
    #[error("the show takes no publisher now")]
    Unavailable,
}

/// The publication was ended from the other side: a newer publisher took its place, or the show is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a newer publisher took over, or the show ended")]
pub struct Ended;

/// What a source says of itself: claims to show to the seller, nothing that decoding relies on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceInfo {
    /// The encoder's name, printable characters only, at most [`SourceInfo::NAME_LENGTH`] of them.
    pub encoder: Option<String>,
    pub resolution: Option<Resolution>,
    pub frames_per_second: Option<f64>,
    /// In bits a second.
    pub video_bitrate: Option<u32>,
    /// In bits a second.
    pub audio_bitrate: Option<u32>,
    /// Why nothing of it can be shown, and what the seller can do about it.
    pub complaint: Option<String>,
}

impl SourceInfo {
    pub const NAME_LENGTH: usize = 96;

    /// A name as a stranger gave it, made fit for logs and pages; `None` when nothing is left of it.
    pub(crate) fn name(given: &str) -> Option<String> {
        let printable = given.trim().chars().filter(|character| !character.is_control());
        let name: String = printable.take(SourceInfo::NAME_LENGTH).collect();
        (!name.is_empty()).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publishers_key_is_not_printed() {
        let peer = "192.0.2.1:9".parse().unwrap();
        let publisher = Publisher { peer, protocol: Protocol::Rtmp, app: "live".into(), key: "s3cret".into() };
        assert!(!format!("{publisher:?}").contains("s3cret"));
    }

    #[test]
    fn names_are_printable_and_short() {
        assert_eq!(SourceInfo::name(" OBS\n\x1b[31m 30 ").as_deref(), Some("OBS[31m 30"));
        assert_eq!(SourceInfo::name("\0\r\n"), None);
        assert_eq!(SourceInfo::name(&"ü".repeat(9999)).unwrap().chars().count(), SourceInfo::NAME_LENGTH);
    }
}
