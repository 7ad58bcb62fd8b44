//! WHEP (draft-ietf-wish-whep): a viewer's offer to our answer. Knows SDP and no HTTP.
//!
//! We are ICE-lite and the DTLS server, and offer AEAD_AES_128_GCM alone for SRTP: Chromium, Firefox and Safari speak it.
//! A client that does not fails its DTLS handshake; its SDP does not tell beforehand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{Registry, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::certificate::RTCCertificate;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngineBuilder};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::{
    CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCIceCandidate, RTCIceCandidateInit,
};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionCapability, RTCRtpRtxParameters, RtpCodecKind,
};

use super::feedback::{Inbox, Listener};
use super::outgoing::{StreamId, Streams};
use super::tap::Tap;

/// The media stream of both tracks, and the CNAME of their reports: what makes a viewer play them in sync.
pub(super) const STREAM: &str = "hawker";

/// The longest offer in bytes. A browser's has about 8 kB.
pub const MAX_OFFER: usize = 64 * 1024;

/// Why an offer got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the offer has {0} bytes; at most {MAX_OFFER} are read")]
    TooLarge(usize),
    #[error("this is no SDP offer: {0}")]
    NotSdp(String),
    #[error("the offer has no video section that receives; add a recvonly video transceiver")]
    NoVideo,
    #[error("the offer has no H.264 with packetization-mode=1 and a profile-level-id; for video it has {offered}")]
    NoH264 { offered: String },
    #[error("the offer cannot be answered: {0}")]
    Unanswerable(String),
    #[error("all {most} places for viewers are taken")]
    Full { most: usize },
    #[error("too many viewers are joining at once; try again in a second")]
    Busy,
    #[error("the show is not being delivered")]
    Closed,
}

/// An offer that can be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The offer without its candidates: an ICE-lite agent contacts nobody, and learns addresses from checks.
    sdp: String,
    h264: Format,
    rtx: Option<u8>,
    opus: Option<Format>,
}

/// A media format of the offer: payload type and parameters, both of which the answer keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Format {
    payload_type: u8,
    parameters: String,
}

impl Offer {
    pub(super) fn parse(text: &str) -> Result<Offer, Error> {
        if text.len() > MAX_OFFER {
            return Err(Error::TooLarge(text.len()));
        }
        if !text.starts_with("v=0") {
            return Err(Error::NotSdp("it does not begin with v=0".into()));
        }
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        for needed in ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"] {
            if !lines.iter().any(|line| line.starts_with(needed)) {
                return Err(Error::NotSdp(format!("it has no {}", needed.trim_end_matches(':'))));
            }
        }
        if lines.contains(&"a=setup:passive") {
            return Err(Error::Unanswerable("it is a=setup:passive, and so are we; offer a=setup:actpass".into()));
        }
        let sections = Section::split(&lines)?;
        let one = |kind: &str| -> Result<Option<&Section<'_>>, Error> {
            let mut found = sections.iter().filter(|section| section.kind == kind);
            match (found.next(), found.next()) {
                (_, Some(_)) => Err(Error::Unanswerable(format!("it has more than one {kind} section"))),
                (found, None) => Ok(found.filter(|section| section.receives)),
            }
        };
        let video = one("video")?.ok_or(Error::NoVideo)?;
        let h264 = video.h264().ok_or_else(|| Error::NoH264 { offered: video.encodings() })?;
        let rtx = video.rtx(h264.payload_type);
        let opus = one("audio")?.and_then(Section::opus);
        let keep = |line: &&&str| !line.starts_with("a=candidate:") && **line != "a=end-of-candidates";
        let sdp = lines.iter().filter(keep).flat_map(|line| [line, "\r\n"]).collect();
        Ok(Offer { sdp, h264, rtx, opus })
    }
}

/// One media section of an offer.
struct Section<'a> {
    kind: &'a str,
    receives: bool,
    attributes: &'a [&'a str],
}

impl<'a> Section<'a> {
    fn split(lines: &'a [&'a str]) -> Result<Vec<Section<'a>>, Error> {
        let begins: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].starts_with("m=")).collect();
        if begins.len() > MOST_SECTIONS {
            return Err(Error::Unanswerable(format!("it has {} media sections", begins.len())));
        }
        let ends = begins.iter().skip(1).copied().chain([lines.len()]);
        let sections = begins.iter().zip(ends).map(|(&begin, end)| {
            let attributes = &lines[begin + 1..end];
            Section {
                kind: lines[begin][2..].split_whitespace().next().unwrap_or_default(),
                receives: !attributes.iter().any(|line| matches!(*line, "a=sendonly" | "a=inactive")),
                attributes,
            }
        });
        Ok(sections.collect())
    }

    /// The formats by payload type, each with its encoding as `name/rate` in lower case.
    fn formats(&self) -> impl Iterator<Item = (u8, String)> {
        self.attributes.iter().filter_map(|line| {
            let (payload_type, encoding) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
            Some((payload_type.parse().ok().filter(|&number| number < 128)?, encoding.trim().to_ascii_lowercase()))
        })
    }

    fn parameters(&self, payload_type: u8) -> &'a str {
        let of = |line: &&'a str| {
            let (number, parameters) = line.strip_prefix("a=fmtp:")?.split_once(' ')?;
            (number.parse() == Ok(payload_type)).then_some(parameters.trim())
        };
        self.attributes.iter().find_map(of).unwrap_or_default()
    }

    /// The best format for constrained baseline in packetization mode 1: its own profile, else one that contains it.
    fn h264(&self) -> Option<Format> {
        let rank = |parameters: &str| {
            let profile = parameter(parameters, "profile-level-id")?.to_ascii_lowercase();
            Some(match profile.get(..4)? {
                "42e0" => 0,
                "4200" | "42c0" => 1,
                _ => 2,
            })
        };
        let usable = self.formats().filter(|(_, encoding)| encoding == "h264/90000").filter_map(|(payload_type, _)| {
            let parameters = self.parameters(payload_type);
            let fits = parameter(parameters, "packetization-mode") == Some("1");
            fits.then(|| Some((rank(parameters)?, Format { payload_type, parameters: parameters.into() }))).flatten()
        });
        usable.min_by_key(|(rank, _)| *rank).map(|(_, format)| format)
    }

    /// The RTX format of another (RFC 4588 §8).
    fn rtx(&self, of: u8) -> Option<u8> {
        let is = |payload_type: u8| parameter(self.parameters(payload_type), "apt")?.parse().ok();
        self.formats()
            .find(|(number, encoding)| encoding == "rtx/90000" && is(*number) == Some(of))
            .map(|found| found.0)
    }

    fn opus(&self) -> Option<Format> {
        let (payload_type, _) = self.formats().find(|(_, encoding)| encoding == "opus/48000/2")?;
        Some(Format { payload_type, parameters: self.parameters(payload_type).into() })
    }

    /// What a refusal says about the section's formats.
    fn encodings(&self) -> String {
        let mut names: Vec<String> = self
            .formats()
            .filter_map(|(_, encoding)| Some(encoding.split('/').next()?.chars().take(16).collect()))
            .collect();
        names.sort();
        names.dedup();
        names.truncate(12);
        if names.is_empty() { "no formats".into() } else { names.join(", ") }
    }
}

/// A value of a format's parameters, `name=value` between semicolons.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// An answered offer: the connection to drive, and what was settled.
pub(super) struct Answered {
    pub(super) connection: RTCPeerConnection,
    pub(super) sdp: String,
    /// Our ICE username fragment, which a viewer's first checks name.
    pub(super) ufrag: String,
    pub(super) tap: Arc<Tap>,
    pub(super) inbox: Inbox,
    pub(super) streams: Streams,
}

/// Answers an offer. `level` is ten times the stream's H.264 level; `candidates` are where to find us.
pub(super) fn answer(
    offer: &Offer,
    level: u8,
    candidates: &[SocketAddr],
    certificate: &RTCCertificate,
    now: Instant,
) -> Result<Answered, Error> {
    negotiate(offer, level, candidates, certificate, now, RTCDtlsRole::Server)
        .map_err(|error| Error::Unanswerable(error.to_string().chars().take(200).collect()))
}

pub(super) fn negotiate(
    offer: &Offer,
    level: u8,
    candidates: &[SocketAddr],
    certificate: &RTCCertificate,
    now: Instant,
    role: RTCDtlsRole,
) -> Result<Answered, rtc::shared::error::Error> {
    let (tap, inbox) = (Tap::new(), Inbox::default());
    let (ufrag, password) = (random_hex::<8>(), random_hex::<16>());
    let setting = SettingEngineBuilder::new()
        .with_lite(true)
        .with_ice_credentials(ufrag.clone(), password)
        .with_answering_dtls_role(role)
        .with_crypto_provider(tap.clone())
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(true)
        .with_ice_timeouts(Some(ICE_DISCONNECTED), Some(ICE_FAILED), Some(Duration::from_secs(2)))
        .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE))
        .with_sctp_max_receive_buffer_size(2 * MAX_MESSAGE)
        .build();
    let mut connection = RTCPeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().with_certificates(vec![certificate.clone()]).build())
        .with_setting_engine(setting)
        .with_media_engine(media_engine(offer)?)
        .with_interceptor_registry(Registry::new().with(Slot::JitterBuffer, Listener::new(inbox.clone())))
        .build(now)?;

    let [video_ssrc, rtx_ssrc, audio_ssrc] = distinct_sources();
    let video = connection.add_track(track(
        RtpCodecKind::Video,
        "video",
        h264_codec(&offer.h264).rtp_codec,
        video_ssrc,
        offer.rtx.map(|_| rtx_ssrc),
    ))?;
    let audio = match &offer.opus {
        Some(opus) => {
            let codec = opus_codec(opus).rtp_codec;
            Some(connection.add_track(track(RtpCodecKind::Audio, "audio", codec, audio_ssrc, None))?)
        }
        None => None,
    };
    connection.set_remote_description(now, RTCSessionDescription::offer(offer.sdp.clone())?)?;
    for candidate in candidates {
        connection.add_local_candidate(host(candidate)?)?;
    }
    // The end of candidates.
    connection.add_local_candidate(RTCIceCandidateInit::default())?;
    let answer = connection.create_answer(None)?;
    connection.set_local_description(now, answer)?;
    let sdp = connection.local_description().map(|description| description.sdp).unwrap_or_default();

    let streams = Streams {
        video: StreamId { ssrc: video_ssrc, payload_type: offer.h264.payload_type },
        rtx: None,
        playout_delay: None,
        audio: None,
    };
    let streams = settled(&mut connection, streams, video, rtx_ssrc, audio.map(|audio| (audio, audio_ssrc)));
    Ok(Answered { connection, sdp: with_level(&sdp, offer.h264.payload_type, level), ufrag, tap, inbox, streams })
}

/// What the senders were given: the offer's payload types and extension ids, as far as both sides have them.
fn settled(
    connection: &mut RTCPeerConnection,
    mut streams: Streams,
    video: RTCRtpSenderId,
    rtx_ssrc: u32,
    audio: Option<(RTCRtpSenderId, u32)>,
) -> Streams {
    if let Some(mut sender) = connection.rtp_sender(video) {
        let parameters = &sender.get_parameters().rtp_parameters;
        let with = |mime: &str| parameters.codecs.iter().find(|codec| codec.rtp_codec.mime_type == mime);
        if let Some(codec) = with(MIME_TYPE_H264) {
            streams.video.payload_type = codec.payload_type;
        }
        streams.rtx = with(MIME_TYPE_RTX).map(|codec| StreamId { ssrc: rtx_ssrc, payload_type: codec.payload_type });
        let extension = parameters.header_extensions.iter().find(|extension| extension.uri == PLAYOUT_DELAY);
        streams.playout_delay = extension.and_then(|extension| u8::try_from(extension.id).ok());
    }
    if let Some((id, ssrc)) = audio
        && let Some(mut sender) = connection.rtp_sender(id)
    {
        let codecs = &sender.get_parameters().rtp_parameters.codecs;
        let codec = codecs.iter().find(|codec| codec.rtp_codec.mime_type == MIME_TYPE_OPUS);
        streams.audio = codec.map(|codec| StreamId { ssrc, payload_type: codec.payload_type });
    }
    streams
}

fn media_engine(offer: &Offer) -> Result<MediaEngine, rtc::shared::error::Error> {
    let mut engine = MediaEngine::default();
    engine.register_codec(h264_codec(&offer.h264), RtpCodecKind::Video)?;
    if let Some(payload_type) = offer.rtx {
        let rtp_codec = RTCRtpCodec {
            mime_type: MIME_TYPE_RTX.into(),
            clock_rate: 90_000,
            sdp_fmtp_line: format!("apt={}", offer.h264.payload_type),
            ..RTCRtpCodec::default()
        };
        let codec = RTCRtpCodecParameters { rtp_codec, payload_type };
        engine.register_codec(codec, RtpCodecKind::Video)?;
    }
    if let Some(opus) = &offer.opus {
        engine.register_codec(opus_codec(opus), RtpCodecKind::Audio)?;
    }
    let playout_delay = RTCRtpHeaderExtensionCapability { uri: PLAYOUT_DELAY.into() };
    engine.register_header_extension(playout_delay, RtpCodecKind::Video, None)?;
    Ok(engine)
}

fn h264_codec(format: &Format) -> RTCRtpCodecParameters {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.into(), parameter: parameter.into() };
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_H264.into(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: format.parameters.clone(),
            rtcp_feedback: vec![feedback("nack", ""), feedback("nack", "pli"), feedback("ccm", "fir")],
        },
        payload_type: format.payload_type,
    }
}

fn opus_codec(format: &Format) -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_OPUS.into(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: format.parameters.clone(),
            rtcp_feedback: vec![],
        },
        payload_type: format.payload_type,
    }
}

fn track(kind: RtpCodecKind, name: &str, codec: RTCRtpCodec, ssrc: u32, rtx: Option<u32>) -> MediaStreamTrack {
    let rtp_coding_parameters = RTCRtpCodingParameters {
        ssrc: Some(ssrc),
        rtx: rtx.map(|ssrc| RTCRtpRtxParameters { ssrc }),
        ..RTCRtpCodingParameters::default()
    };
    let coding = RTCRtpEncodingParameters { rtp_coding_parameters, codec, ..RTCRtpEncodingParameters::default() };
    MediaStreamTrack::new(STREAM.into(), name.into(), name.into(), kind, vec![coding])
}

fn host(address: &SocketAddr) -> Result<RTCIceCandidateInit, rtc::shared::error::Error> {
    let base_config = CandidateConfig {
        network: "udp".into(),
        address: address.ip().to_string(),
        port: address.port(),
        component: 1,
        ..CandidateConfig::default()
    };
    let candidate = CandidateHostConfig { base_config, ..CandidateHostConfig::default() }.new_candidate_host()?;
    RTCIceCandidate::from(&candidate).to_json()
}

/// The answer with the stream's true level in place of the offered one, which the other side may choose freely where
/// levels are asymmetric (RFC 6184 §8.2.2); elsewhere the offered one stays, being the most that may be sent.
fn with_level(sdp: &str, payload_type: u8, level: u8) -> String {
    let prefix = format!("a=fmtp:{payload_type} ");
    let mut answer = String::with_capacity(sdp.len() + 2);
    for line in sdp.lines() {
        let parameters = line.strip_prefix(&prefix).unwrap_or_default();
        match parameter(parameters, "profile-level-id") {
            Some(offered) if offered.len() == 6 && offered.is_ascii() => {
                let free = parameter(parameters, "level-asymmetry-allowed") == Some("1");
                let most = u8::from_str_radix(&offered[4..], 16).unwrap_or(level);
                let told = if free { level } else { level.min(most) };
                answer.push_str(&line.replacen(offered, &format!("{}{told:02x}", &offered[..4]), 1));
            }
            _ => answer.push_str(line),
        }
        answer.push_str("\r\n");
    }
    answer
}

pub(super) fn random_hex<const BYTES: usize>() -> String {
    hex::encode(random::<BYTES>())
}

pub(super) fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

fn distinct_sources() -> [u32; 3] {
    loop {
        let [a, b, c] = [(); 3].map(|()| u32::from_be_bytes(random()));
        if a != b && b != c && a != c && a != 0 && b != 0 && c != 0 {
            return [a, b, c];
        }
    }
}

const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// Silence after which a viewer gets no media, and after how much more it is given up.
const ICE_DISCONNECTED: Duration = Duration::from_secs(8);
const ICE_FAILED: Duration = Duration::from_secs(16);
/// The longest data channel message in bytes; `rtc` holds both directions to it.
const MAX_MESSAGE: u32 = 64 * 1024;
const MOST_SECTIONS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n";
    const TRANSPORT: &str = "c=IN IP4 0.0.0.0\r\na=ice-ufrag:them\r\na=ice-pwd:theirpasswordoftwentytwo\r\n\
        a=fingerprint:sha-256 77:82:1C:C2:6B:80:DB:F1:5C:0E:39:84:12:BB:03:AC:51:22:62:4A:61:8B:0D:DE:01:3E:76:3F:B6:5B:C4:E4\r\n\
        a=setup:actpass\r\na=rtcp-mux\r\n";
    const BASELINE: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";

    /// A section with formats of (payload type, encoding, parameters).
    fn section(kind: &str, mid: u8, more: &str, formats: &[(u8, &str, &str)]) -> String {
        let numbers: Vec<String> = formats.iter().map(|format| format.0.to_string()).collect();
        let mut section = format!("m={kind} 9 UDP/TLS/RTP/SAVPF {}\r\n{TRANSPORT}a=mid:{mid}\r\n", numbers.join(" "));
        for (number, encoding, parameters) in formats {
            section += &format!("a=rtpmap:{number} {encoding}\r\na=rtcp-fb:{number} nack pli\r\n");
            if !parameters.is_empty() {
                section += &format!("a=fmtp:{number} {parameters}\r\n");
            }
        }
        section + more
    }

    fn video(formats: &[(u8, &str, &str)]) -> String {
        format!("{HEAD}{}", section("video", 0, "a=recvonly\r\n", formats))
    }

    fn certificate() -> RTCCertificate {
        crate::deliver::certificate().unwrap()
    }

    fn answered(offer: &str, level: u8) -> Answered {
        let ours = ["203.0.113.7:8189".parse().unwrap()];
        answer(&Offer::parse(offer).unwrap(), level, &ours, &certificate(), Instant::now()).unwrap()
    }

    fn refusal(offer: &str) -> String {
        Offer::parse(offer).unwrap_err().to_string()
    }

    #[test]
    fn refusals_say_what_was_seen_and_what_to_do() {
        assert!(refusal(&format!("v=0\r\n{}", "a=x\r\n".repeat(20_000))).contains("at most 65536"));
        assert!(refusal("hello").contains("v=0"));
        assert!(refusal(HEAD).contains("a=ice-ufrag"));
        let sound = format!("{HEAD}{}", section("audio", 0, "a=recvonly\r\n", &[(111, "opus/48000/2", "")]));
        assert!(refusal(&sound).contains("recvonly video"));
        let sends = format!("{HEAD}{}", section("video", 0, "a=sendonly\r\n", &[(102, "H264/90000", BASELINE)]));
        assert!(matches!(Offer::parse(&sends), Err(Error::NoVideo)));
        let others = video(&[(96, "VP8/90000", ""), (98, "VP9/90000", "profile-id=0")]);
        assert!(refusal(&others).ends_with("it has vp8, vp9"), "{}", refusal(&others));
        let single = video(&[(102, "H264/90000", "packetization-mode=0;profile-level-id=42e01f")]);
        assert!(matches!(Offer::parse(&single), Err(Error::NoH264 { .. })));
        let twice = format!("{}{}", video(&[(102, "H264/90000", BASELINE)]), section("video", 1, "", &[]));
        assert!(refusal(&twice).contains("more than one video"));
        let passive = video(&[(102, "H264/90000", BASELINE)]).replace("actpass", "passive");
        assert!(refusal(&passive).contains("actpass"));
    }

    #[test]
    fn constrained_baseline_is_chosen_with_its_rtx() {
        let offer = Offer::parse(&video(&[
            (100, "H264/90000", "packetization-mode=1;profile-level-id=64001f"),
            (101, "rtx/90000", "apt=100"),
            (102, "H264/90000", "packetization-mode=0;profile-level-id=42e01f"),
            (104, "h264/90000", "profile-level-id=42E01F; packetization-mode=1"),
            (105, "rtx/90000", "apt=104"),
        ]));
        let offer = offer.unwrap();
        assert_eq!((offer.h264.payload_type, offer.rtx, offer.opus), (104, Some(105), None));
    }

    #[test]
    fn payload_types_and_extensions_are_the_offers() {
        let extension = format!("a=recvonly\r\na=extmap:9 {PLAYOUT_DELAY}\r\n");
        let formats = [(120, "H264/90000", BASELINE), (121, "rtx/90000", "apt=120")];
        let offer = format!(
            "{HEAD}{}{}",
            section("video", 0, &extension, &formats),
            section("audio", 1, "a=recvonly\r\n", &[(96, "opus/48000/2", "minptime=10")])
        )
        .replace("BUNDLE 0", "BUNDLE 0 1");
        let streams = answered(&offer, 31).streams;
        assert_eq!(streams.video.payload_type, 120);
        assert_eq!(streams.rtx.map(|rtx| rtx.payload_type), Some(121));
        assert_eq!(streams.audio.map(|audio| audio.payload_type), Some(96));
        assert_eq!(streams.playout_delay, Some(9));
    }

    #[test]
    fn what_was_not_offered_is_not_used() {
        let streams = answered(&video(&[(120, "H264/90000", BASELINE)]), 31).streams;
        assert_eq!((streams.rtx, streams.playout_delay, streams.audio), (None, None, None));
    }

    #[test]
    fn an_answer_tells_the_streams_true_level() {
        let answer = answered(&video(&[(120, "H264/90000", BASELINE)]), 40).sdp;
        assert!(answer.contains("profile-level-id=42e028"), "{answer}");
        let symmetric = "packetization-mode=1;profile-level-id=42e01f";
        assert!(answered(&video(&[(120, "H264/90000", symmetric)]), 40).sdp.contains("profile-level-id=42e01f"));
        assert!(answered(&video(&[(120, "H264/90000", symmetric)]), 30).sdp.contains("profile-level-id=42e01e"));
    }

    #[test]
    fn an_answer_is_lite_passive_and_names_our_candidates_only() {
        let candidates = "a=candidate:1 1 udp 1 0a1b.local 5 typ host\r\na=end-of-candidates\r\na=recvonly\r\n";
        let offer = format!("{HEAD}{}", section("video", 0, candidates, &[(120, "H264/90000", BASELINE)]));
        let answer = answered(&offer, 31).sdp;
        for needed in ["a=ice-lite\r\n", "a=setup:passive\r\n", "a=sendonly\r\n", " 203.0.113.7 8189 typ host"] {
            assert!(answer.contains(needed), "{needed:?} in {answer}");
        }
        assert!(!answer.contains(".local"));
    }

    #[test]
    fn sound_that_is_not_opus_is_left_out() {
        let offer = format!(
            "{HEAD}{}{}",
            section("video", 0, "a=recvonly\r\n", &[(120, "H264/90000", BASELINE)]),
            section("audio", 1, "a=recvonly\r\n", &[(0, "PCMU/8000", "")])
        )
        .replace("BUNDLE 0", "BUNDLE 0 1");
        let answered = answered(&offer, 31);
        assert_eq!(answered.streams.audio, None);
        assert!(answered.sdp.contains("m=audio 0 "), "{}", answered.sdp);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_damaged_offer_is_answered_or_refused(at in 0usize..1200, with in ".{0,12}", cut in 0usize..40) {
            let offer = video(&[(120, "H264/90000", BASELINE), (121, "rtx/90000", "apt=120")]);
            let at = at.min(offer.len());
            let damaged = format!("{}{with}{}", &offer[..at], &offer[(at + cut).min(offer.len())..]);
            if let Ok(offer) = Offer::parse(&damaged) {
                let _ = answer(&offer, 31, &["203.0.113.7:1".parse().unwrap()], &certificate(), Instant::now());
            }
        }
    }
}
