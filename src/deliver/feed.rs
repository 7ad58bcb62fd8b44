//! A feed: one show's encoded media on its way to its viewers.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;

use super::keyframes::Keyframes;
use super::mailbox::{Command, Mailbox, Sound};
use super::packetize::{self, MAX_PAYLOAD, Packets};
use super::ring::Ring;
use super::session::SessionId;
use super::stats::{Meter, Snapshot};
use crate::media::{EncodedAudio, EncodedVideo, MediaClock, Rendition, RtpBase};

/// What a feed is made with.
#[derive(Clone, Debug)]
pub struct FeedConfig {
    /// The show's id, for logs.
    pub name: String,
    pub rendition: Arc<Rendition>,
    pub rtp: RtpBase,
    /// The show's clock: sender reports of both tracks relate RTP time to wall time by it.
    pub clock: MediaClock,
}

/// The way into delivery for one show. Clones are the same feed; when the last is dropped its viewers are sent away.
#[derive(Clone)]
pub struct Feed {
    handle: Arc<Handle>,
}

struct Handle {
    core: Arc<Core>,
    mailbox: Arc<Mailbox>,
}

pub(super) type FeedId = u64;

/// What a feed's handles and its shard share.
pub(super) struct Core {
    pub(super) id: FeedId,
    pub(super) name: String,
    pub(super) rendition: Arc<Rendition>,
    pub(super) rtp: RtpBase,
    pub(super) clock: MediaClock,
    pub(super) meter: Meter,
    pub(super) viewers: AtomicUsize,
    /// Frames and audio packets that the shard has not taken yet.
    pub(super) queued_video: AtomicUsize,
    pub(super) queued_audio: AtomicUsize,
    order: Mutex<Order>,
}

/// Where the video stands.
#[derive(Default)]
struct Order {
    /// The place of the next packet.
    next: u64,
    /// A frame was dropped: those after it are of no use up to the next IDR.
    broken: bool,
}

impl Core {
    pub(super) fn new(id: FeedId, config: FeedConfig, meter: Meter) -> Core {
        Core {
            id,
            name: config.name,
            rendition: config.rendition,
            rtp: config.rtp,
            clock: config.clock,
            meter,
            viewers: AtomicUsize::new(0),
            queued_video: AtomicUsize::new(0),
            queued_audio: AtomicUsize::new(0),
            order: Mutex::default(),
        }
    }
}

impl Feed {
    pub(super) fn new(core: Arc<Core>, mailbox: Arc<Mailbox>) -> Feed {
        mailbox.send(Command::Open(core.clone()));
        Feed { handle: Arc::new(Handle { core, mailbox }) }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// Packetizes a picture, once, on this thread, and hands it to the shard. Never waits: when the shard is
    /// [`MOST_QUEUED`] frames behind, this and what follows is dropped up to the next IDR, which is asked for.
    pub fn push_video(&self, video: EncodedVideo) {
        let core = self.core();
        let mut order = core.order.lock().expect("no panic while a feed is held");
        if core.queued_video.load(Relaxed) >= MOST_QUEUED {
            order.broken = true;
        } else if video.key {
            order.broken = false;
        }
        if order.broken {
            core.meter.add(|stats| &stats.frames_dropped, 1);
            core.rendition.want_keyframe();
            return;
        }
        let payloads = packetize::h264(&video.data);
        if payloads.is_empty() {
            return;
        }
        let frame = Packets {
            first: order.next,
            timestamp: core.rtp.video(video.at),
            key: video.key,
            arrived: video.arrived,
            payloads,
        };
        order.next = frame.end();
        core.meter.add(|stats| &stats.video_frames, 1);
        core.meter.add(|stats| &stats.video_packets, frame.payloads.len() as u64);
        core.queued_video.fetch_add(1, Relaxed);
        self.handle.mailbox.send(Command::Video(core.id, Arc::new(frame)));
    }

    /// Hands an Opus packet to the shard, which sends it if it is younger than 200 ms by then. Never waits.
    pub fn push_audio(&self, audio: EncodedAudio) {
        let core = self.core();
        if core.queued_audio.load(Relaxed) >= MOST_QUEUED || audio.data.len() > MAX_PAYLOAD {
            core.meter.add(|stats| &stats.frames_dropped, 1);
            return;
        }
        core.meter.add(|stats| &stats.audio_packets, 1);
        core.queued_audio.fetch_add(1, Relaxed);
        let sound = Sound { timestamp: core.rtp.audio(audio.at), payload: audio.data, queued: Instant::now() };
        self.handle.mailbox.send(Command::Audio(core.id, sound));
    }

    /// Sends a text message on every viewer's data channel, and to each who joins later as long as it is the newest. A
    /// viewer whose channel is slow gets the newest only. At most [`MAX_ANNOUNCEMENT`] bytes of UTF-8; else it is logged
    /// and left out.
    pub fn announce(&self, text: Bytes) {
        match std::str::from_utf8(&text) {
            Ok(text) if text.len() <= MAX_ANNOUNCEMENT => {
                self.handle.mailbox.send(Command::Announce(self.core().id, text.into()));
            }
            _ => {
                tracing::error!(show = %self.core().name, bytes = text.len(), "no announcement: not text, or too long")
            }
        }
    }

    /// How many viewers are connected.
    pub fn viewers(&self) -> usize {
        self.core().viewers.load(Relaxed)
    }

    pub fn stats(&self) -> Snapshot {
        self.core().meter.feed.snapshot()
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("name", &self.core().name).field("viewers", &self.viewers()).finish()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.mailbox.send(Command::Close(self.core.id));
    }
}

/// A feed as its shard holds it.
pub(super) struct OnAir {
    pub(super) core: Arc<Core>,
    pub(super) ring: Ring,
    pub(super) keyframes: Keyframes,
    pub(super) announced: Announced,
    pub(super) viewers: Vec<SessionId>,
}

/// The newest announcement; its number grows with each, and is 0 before the first.
#[derive(Clone)]
pub(super) struct Announced {
    pub(super) number: u64,
    pub(super) text: Arc<str>,
}

impl OnAir {
    pub(super) fn new(core: Arc<Core>) -> OnAir {
        OnAir {
            ring: Ring::default(),
            keyframes: Keyframes::new(core.rendition.clone()),
            announced: Announced { number: 0, text: "".into() },
            viewers: Vec::new(),
            core,
        }
    }

    pub(super) fn want_keyframe(&mut self, now: Instant) {
        if self.keyframes.want(now) {
            self.core.meter.add(|stats| &stats.keyframes_asked, 1);
        }
    }
}

/// Frames, or audio packets, on their way to the shard: two seconds of video, far beyond what a running shard leaves.
pub const MOST_QUEUED: usize = 60;
/// The longest announcement in bytes, which every browser takes in one message.
pub const MAX_ANNOUNCEMENT: usize = 60 * 1024;
