//! One RTSP connection to a camera, from DESCRIBE to its media.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use retina::client::{Demuxed, InitialTimestampPolicy, PlayOptions, SessionOptions, SetupOptions};
use retina::codec::{AudioFrame, CodecItem, FrameFormat, ParametersRef, VideoFrame};
use tokio::time::{Instant, timeout, timeout_at};

use super::source::Source;
use super::timeline::{Kind, Leap, Timeline};
use crate::ingest::avc;
use crate::ingest::source::SourceInfo;
use crate::media::access_unit::{AccessUnit, AudioCodec, VideoCodec};
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
    #[error("the camera offers no H.264 video ({offered}): set its video codec to H.264")]
    NoVideo { offered: String },
    #[error("the camera ended the stream")]
    Over,
    #[error("no picture for {0:?}")]
    Silent(Duration),
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
    /// Between one picture and the next.
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
    video: usize,
    audio: Option<usize>,
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
    pub(super) async fn start(source: &Source, patience: Patience) -> Result<Session, Error> {
        let options = SessionOptions::default()
            .creds(source.credentials().cloned())
            .user_agent(concat!("hawker/", env!("CARGO_PKG_VERSION")).to_owned());
        let describing = retina::client::Session::describe(source.url().clone(), options);
        let mut described = step("DESCRIBE", patience, describing).await?;
        let find = |media: &str, encoding: &str| {
            described.streams().iter().position(|stream| stream.media() == media && stream.encoding_name() == encoding)
        };
        let Some(video) = find("video", "h264") else {
            let offers =
                described.streams().iter().map(|stream| format!("{} {}", stream.media(), stream.encoding_name()));
            let offered = SourceInfo::name(&offers.collect::<Vec<_>>().join(", ")).unwrap_or_else(|| "nothing".into());
            return Err(Error::NoVideo { offered });
        };
        // Sound whose description makes no sense would fail the picture with it.
        let audio = find("audio", "mpeg4-generic").filter(|&audio| described.streams()[audio].parameters().is_some());
        let encoder = described.tool().and_then(|tool| SourceInfo::name(tool));
        for stream in std::iter::once(video).chain(audio) {
            // Length-prefixed units, parameter sets beside them: the sets are known whether they came in the SDP or in-band.
            let options = SetupOptions::default().frame_format(FrameFormat::MP4);
            step("SETUP", patience, described.setup(stream, options)).await?;
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
            info: SourceInfo { encoder, ..SourceInfo::default() },
            info_is_new: false,
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
        let due = *self.picture_due.get_or_insert_with(|| Instant::now() + within);
        loop {
            // Looked at here too: `timeout_at` polls first, and sound without pictures is always ready.
            if Instant::now() >= due {
                return Err(Error::Silent(within));
            }
            let item = timeout_at(due, self.media.next()).await;
            let item = item.map_err(|_| Error::Silent(within))?.ok_or(Error::Over)?;
            let coded = match item.map_err(|error| Error::Step { step: "media", error })? {
                CodecItem::VideoFrame(frame) if frame.stream_id() == self.video => self.video(frame)?,
                CodecItem::AudioFrame(frame) if Some(frame.stream_id()) == self.audio => self.audio(&frame)?,
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
            coded.extend(self.new_video_config()?);
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
        if self.audio_configured {
            self.lost += u64::from(frame.loss());
        } else {
            let Some(ParametersRef::Audio(parameters)) = self.media.streams()[frame.stream_id()].parameters() else {
                return Ok(coded);
            };
            let extradata = Bytes::copy_from_slice(parameters.extra_data());
            coded.push(Coded::AudioConfig(AudioConfig { codec: AudioCodec::Aac, extradata, format: None }));
            self.audio_configured = true;
        }
        let at = self.timeline.place(Kind::Audio, frame.timestamp())?;
        let (data, arrived) = (Bytes::copy_from_slice(frame.data()), frame.ctx().received());
        coded.push(Coded::Audio(AccessUnit { pts: at, dts: at, key: true, data, arrived }));
        Ok(coded)
    }

    fn new_video_config(&mut self) -> Result<Option<Coded>, Error> {
        let Some(ParametersRef::Video(parameters)) = self.media.streams()[self.video].parameters() else {
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
        avc::Record::parse(&extradata)?;
        let config = VideoConfig { codec: VideoCodec::H264, extradata };
        if self.video_config.as_ref() == Some(&config) {
            return Ok(None);
        }
        self.video_config = Some(config.clone());
        Ok(Some(Coded::VideoConfig(config)))
    }

    fn sender_report(&mut self, report: &retina::rtcp::ReceivedCompoundPacket) {
        let kind = match report.stream_id() {
            stream if stream == self.video => Kind::Video,
            stream if Some(stream) == self.audio => Kind::Audio,
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
