//! One RTSP connection to a camera, from DESCRIBE to its media.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use retina::client::{
    Demuxed, InitialTimestampPolicy, PlayOptions, SessionGroup, SessionOptions, SetupOptions, Stream, TeardownPolicy,
    Transport as Lower,
};
use retina::codec::{AudioFrame, CodecItem, FrameFormat, ParametersRef, VideoFrame};
use tokio::time::{Instant, timeout, timeout_at};

use super::source::{Source, Transport};
use super::timeline::{Kind, Leap, Timeline};
use super::tracks::{self, NothingToPlay, Offer, Tracks};
use crate::ingest::avc;
use crate::ingest::source::SourceInfo;
use crate::media::access_unit::{AccessUnit, VideoCodec};
use crate::media::{AudioConfig, Coded, Resolution, VideoConfig};

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the camera's name was not found: {0}")]
    Name(std::io::Error),
    #[error("the camera did not answer {step} within {within:?}")]
    TimedOut { step: &'static str, within: Duration },
    #[error("the camera refuses user and password")]
    Unauthorized,
    #[error("{step}: {error}")]
    Step { step: &'static str, error: retina::Error },
    #[error("neither by TCP ({tcp}) nor by UDP ({udp})")]
    NoTransport { tcp: String, udp: String },
    #[error(transparent)]
    NothingToPlay(#[from] NothingToPlay),
    #[error("the camera sent something that its reader failed over")]
    Reader,
    #[error("the camera ended the stream")]
    Over,
    #[error("no {awaited} for {within:?}")]
    Silent { awaited: &'static str, within: Duration },
    #[error("the camera's parameter sets make no sense: {0}")]
    Parameters(#[from] avc::Error),
    #[error(transparent)]
    Leap(#[from] Leap),
}

/// How long a camera is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the answer to one request, the connection included.
    pub(super) step: Duration,
    /// Between one picture and the next; between sounds, where there is no picture.
    pub(super) picture: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { step: Duration::from_secs(10), picture: Duration::from_secs(5) }
    }
}

/// A camera that plays.
pub(super) struct Session {
    media: Demuxed,
    video: Option<tracks::Video>,
    audio: Option<tracks::Audio>,
    timeline: Timeline,
    video_config: Option<VideoConfig>,
    audio_configured: bool,
    patience: Patience,
    /// When the next picture has to have come. The wait begins when we ask, for the show may hold us up for long.
    picture_due: Option<Instant>,
    info: SourceInfo,
    info_is_new: bool,
    lost: u64,
}

/// The sessions of one pull that were left and that the camera may not know to be over yet. Behind a session by UDP, a task
/// goes on asking the camera to end it for as long as the camera said that it would keep it, which may be for ever.
#[derive(Clone, Default)]
pub(super) struct Left(Arc<SessionGroup>);

impl Left {
    /// How the next session that may come to UDP is to be left: as it ought to be, unless one of those before it still is
    /// not over. So there is one such task a pull at most.
    pub(super) async fn policy(&self) -> TeardownPolicy {
        match timeout(TEARDOWN, self.0.await_teardown()).await {
            Ok(Ok(())) => TeardownPolicy::Auto,
            _ => TeardownPolicy::Never,
        }
    }
}

/// Where the camera is; its name is looked up anew for every connection.
pub(super) async fn resolve(source: &Source, patience: Patience) -> Result<SocketAddr, Error> {
    let within = patience.step;
    let step = "a look-up of its name";
    let found = timeout(within, tokio::net::lookup_host(source.host_and_port())).await;
    let mut found = found.map_err(|_| Error::TimedOut { step, within })?.map_err(Error::Name)?;
    found.next().ok_or_else(|| Error::Name(std::io::ErrorKind::NotFound.into()))
}

impl Session {
    /// Connects, chooses the tracks and has them played.
    pub(super) async fn start(source: &Source, patience: Patience, left: &Left) -> Result<Session, Error> {
        let transport = source.transport();
        let started = Session::start_over(transport, source, patience, left).await;
        match started {
            // It did not say no, it answered as if asked for something else, or hung up: it is asked anew.
            Err(refusal) if transport == Transport::Either && refusal.is_about_setup() => {
                let tcp = refusal.first_line();
                tracing::info!(reason = source.redact(&tcp), "the camera takes no TCP, and is asked for UDP");
                let udp = Session::start_over(Transport::Udp, source, patience, left).await;
                udp.map_err(|udp| Error::NoTransport { tcp, udp: udp.first_line() })
            }
            started => started,
        }
    }

    async fn start_over(
        transport: Transport,
        source: &Source,
        patience: Patience,
        left: &Left,
    ) -> Result<Session, Error> {
        let mut options = SessionOptions::default()
            .creds(source.credentials().cloned())
            .user_agent(concat!("hawker/", env!("CARGO_PKG_VERSION")).to_owned());
        let mut lower = Lower::Tcp(Default::default());
        if transport == Transport::Udp {
            lower = Lower::Udp(Default::default());
        }
        if transport != Transport::Tcp {
            // Where TCP is asked for first, `retina` asks once, by the same connection, to end what comes of it. A session
            // by TCP that is not ended so ends with its connection.
            options = options.session_group(left.0.clone()).teardown(left.policy().await);
        }
        let describing = retina::client::Session::describe(source.url().clone(), options);
        let mut described = step("DESCRIBE", patience, describing).await?;
        let offers: Vec<Offer> = described.streams().iter().map(offer).collect();
        let Tracks { video, audio, complaint } = Tracks::choose(&offers)?;
        let encoder = described.tool().and_then(|tool| SourceInfo::name(tool));
        let mut undecided = transport == Transport::Either;
        for stream in video.iter().map(|video| video.stream).chain(audio.iter().map(|audio| audio.stream)) {
            // Length-prefixed units, parameter sets beside them: the sets are known whether they came in the SDP or in-band.
            let options =
                |lower: &Lower| SetupOptions::default().frame_format(FrameFormat::MP4).transport(lower.clone());
            match step(SETUP, patience, described.setup(stream, options(&lower))).await {
                // Most say 461, Unsupported Transport (RFC 2326 §11.3.7), and wait to be asked for another.
                Err(refusal) if undecided && refusal.is_refusal() => {
                    lower = Lower::Udp(Default::default());
                    let udp = step(SETUP, patience, described.setup(stream, options(&lower))).await;
                    udp.map_err(|udp| Error::NoTransport { tcp: refusal.first_line(), udp: udp.first_line() })?;
                }
                set_up => set_up?,
            }
            undecided = false;
        }
        // `RTP-Info` gives the tracks a common start when it names all of them.
        let options = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
        let playing = step("PLAY", patience, described.play(options)).await?;
        let media = playing.demuxed().map_err(|error| Error::Step { step: "PLAY", error })?;
        Ok(Session {
            media,
            video,
            audio,
            timeline: Timeline::default(),
            video_config: None,
            audio_configured: false,
            patience,
            picture_due: None,
            info_is_new: complaint.is_some(),
            info: SourceInfo { encoder, complaint, ..SourceInfo::default() },
            lost: 0,
        })
    }

    /// What the camera says of itself, when that has changed since the last call.
    pub(super) fn take_info(&mut self) -> Option<SourceInfo> {
        std::mem::take(&mut self.info_is_new).then(|| self.info.clone())
    }

    /// The next unit, behind what has changed of its configuration.
    pub(super) async fn next(&mut self) -> Result<Vec<Coded>, Error> {
        let within = self.patience.picture;
        let awaited = if self.video.is_some() { "picture" } else { "sound" };
        let due = *self.picture_due.get_or_insert_with(|| Instant::now() + within);
        loop {
            // Looked at here too: `timeout_at` polls first, and sound without pictures is always ready.
            if Instant::now() >= due {
                return Err(Error::Silent { awaited, within });
            }
            let item = timeout_at(due, self.media.next()).await;
            let item = item.map_err(|_| Error::Silent { awaited, within })?.ok_or(Error::Over)?;
            let coded = match item.map_err(|error| Error::Step { step: "media", error })? {
                CodecItem::VideoFrame(frame) => self.video(frame)?,
                CodecItem::AudioFrame(frame) => self.audio(&frame)?,
                CodecItem::Rtcp(report) => {
                    self.sender_report(&report);
                    continue;
                }
                _ => continue,
            };
            if !coded.is_empty() {
                return Ok(coded);
            }
        }
    }

    fn video(&mut self, frame: VideoFrame) -> Result<Vec<Coded>, Error> {
        let mut coded = Vec::with_capacity(2);
        if self.video_config.is_some() {
            // Before the first picture, a start that `RTP-Info` gave a little too early counts as lost.
            self.lost += u64::from(frame.loss());
        }
        if self.video_config.is_none() || frame.has_new_parameters() {
            coded.extend(self.new_video_config(frame.stream_id())?);
        }
        if self.video_config.is_none() {
            // Pictures before their parameter sets, which come in-band with the next IDR.
            return Ok(coded);
        }
        self.picture_due = None;
        // RTP carries no decoding time; units come in decoding order, which is all that a decoder needs.
        let at = self.timeline.place(Kind::Video, frame.timestamp())?;
        let (key, arrived) = (frame.is_random_access_point(), frame.end_ctx().received());
        let data = Bytes::from(frame.into_data());
        coded.push(Coded::Video(AccessUnit { pts: at, dts: at, key, data, arrived }));
        Ok(coded)
    }

    fn audio(&mut self, frame: &AudioFrame) -> Result<Vec<Coded>, Error> {
        let mut coded = Vec::with_capacity(2);
        let Some(tracks::Audio { codec, format, .. }) = self.audio else {
            return Ok(coded);
        };
        if self.audio_configured {
            self.lost += u64::from(frame.loss());
        } else {
            let Some(ParametersRef::Audio(parameters)) = self.media.streams()[frame.stream_id()].parameters() else {
                return Ok(coded);
            };
            let extradata = Bytes::copy_from_slice(parameters.extra_data());
            coded.push(Coded::AudioConfig(AudioConfig { codec, extradata, format }));
            self.audio_configured = true;
        }
        if self.video.is_none() {
            self.picture_due = None;
        }
        let at = self.timeline.place(Kind::Audio, frame.timestamp())?;
        let (data, arrived) = (Bytes::copy_from_slice(frame.data()), frame.ctx().received());
        coded.push(Coded::Audio(AccessUnit { pts: at, dts: at, key: true, data, arrived }));
        Ok(coded)
    }

    fn new_video_config(&mut self, stream: usize) -> Result<Option<Coded>, Error> {
        let Some(tracks::Video { codec, .. }) = self.video else {
            return Ok(None);
        };
        let Some(ParametersRef::Video(parameters)) = self.media.streams()[stream].parameters() else {
            return Ok(None);
        };
        let extradata = Bytes::copy_from_slice(parameters.extra_data());
        let (width, height) = parameters.pixel_dimensions();
        self.info.resolution = Some(Resolution::new(width, height));
        self.info.frames_per_second = parameters
            .frame_rate()
            .filter(|&(duration, scale)| duration > 0 && scale > 0)
            .map(|(duration, scale)| f64::from(scale) / f64::from(duration));
        self.info_is_new = true;
        // The record of H.265 was made by retina, of sets that it has parsed.
        if codec == VideoCodec::H264 {
            avc::Record::parse(&extradata)?;
        }
        let config = VideoConfig { codec, extradata };
        if self.video_config.as_ref() == Some(&config) {
            return Ok(None);
        }
        self.video_config = Some(config.clone());
        Ok(Some(Coded::VideoConfig(config)))
    }

    fn sender_report(&mut self, report: &retina::rtcp::ReceivedCompoundPacket) {
        let stream = Some(report.stream_id());
        let kind = match stream {
            _ if stream == self.video.map(|video| video.stream) => Kind::Video,
            _ if stream == self.audio.map(|audio| audio.stream) => Kind::Audio,
            _ => return,
        };
        let Some(timestamp) = report.rtp_timestamp() else {
            return;
        };
        if let Some(Ok(Some(report))) = report.pkts().next().map(|packet| packet.as_sender_report()) {
            self.timeline.sender_report(kind, timestamp, report.ntp_timestamp().0);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.lost > 0 {
            tracing::warn!(packets = self.lost, "the camera left packets out");
        }
    }
}

impl Error {
    /// Whether the camera was reached and described its streams, but would not send them as it was asked to.
    fn is_about_setup(&self) -> bool {
        matches!(self, Error::Step { step: SETUP, .. } | Error::TimedOut { step: SETUP, .. })
    }

    /// Whether the camera understood a request and answered no.
    fn is_refusal(&self) -> bool {
        let Error::Step { error, .. } = self else { return false };
        error.status_code().is_some_and(|status| status >= 300)
    }

    /// The rest of what `retina` says is for who looks for a packet in a capture.
    fn first_line(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }
}

fn offer(stream: &Stream) -> Offer<'_> {
    Offer {
        media: stream.media(),
        encoding: stream.encoding_name(),
        described: stream.parameters().is_some(),
        clock_rate: stream.clock_rate_hz(),
        channels: stream.channels().map_or(1, std::num::NonZeroU16::get),
    }
}

/// Gives one request to the camera its deadline, and its failure a name.
async fn step<T>(
    step: &'static str,
    patience: Patience,
    request: impl Future<Output = Result<T, retina::Error>>,
) -> Result<T, Error> {
    match timeout(patience.step, request).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if error.status_code() == Some(401) => Err(Error::Unauthorized),
        Ok(Err(error)) => Err(Error::Step { step, error }),
        Err(_) => Err(Error::TimedOut { step, within: patience.step }),
    }
}

const SETUP: &str = "SETUP";
/// For the camera to end the session before.
const TEARDOWN: Duration = Duration::from_secs(2);
