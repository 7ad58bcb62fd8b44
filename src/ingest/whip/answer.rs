//! From an offer to the connection that receives what it offers, and the answer that says so.
//!
//! We are ICE-lite and the DTLS server. AES-128-GCM is preferred for SRTP, and CM with SHA-1 taken as well: OBS's library
//! knows nothing else.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtc::crypto::providers::AwsLcRsProvider;
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{ReceiverReportBuilder, Registry, Slot, TwccReceiverBuilder};
use rtc::peer_connection::certificate::RTCCertificate;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX, MIME_TYPE_VP8, MIME_TYPE_VP9, MediaEngine,
};
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngineBuilder};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::{
    CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCIceCandidate, RTCIceCandidateInit,
};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::shared::error::Error as RtcError;

use super::inbox::{Inbox, Turnout};
use super::offer::{Accepted, Format, MOST_BITRATE, Offer, TRANSPORT_CC, Video, parameter};
use super::pictures::Payload;
use super::{Error, random_hex};

/// An answered offer: the connection to drive, and what was settled.
pub(super) struct Answered {
    pub(super) connection: RTCPeerConnection,
    pub(super) sdp: String,
    /// Our ICE username fragment, which a publisher's first checks name.
    pub(super) ufrag: String,
    pub(super) inbox: Inbox,
}

/// Answers an offer. `candidates` are where to find us.
pub(super) fn answer(
    offer: &Offer,
    candidates: &[SocketAddr],
    certificate: &RTCCertificate,
    now: Instant,
) -> Result<Answered, Error> {
    negotiate(offer, candidates, certificate, now)
        .map_err(|error| Error::Unanswerable(error.to_string().chars().take(200).collect()))
}

fn negotiate(
    offer: &Offer,
    candidates: &[SocketAddr],
    certificate: &RTCCertificate,
    now: Instant,
) -> Result<Answered, RtcError> {
    let inbox = Inbox::default();
    let (ufrag, password) = (random_hex::<8>(), random_hex::<16>());
    let setting = SettingEngineBuilder::new()
        .with_lite(true)
        .with_ice_credentials(ufrag.clone(), password)
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .with_crypto_provider(std::sync::Arc::new(AwsLcRsProvider::new()))
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(true)
        .with_ice_timeouts(Some(ICE_DISCONNECTED), Some(ICE_FAILED), Some(Duration::from_secs(2)))
        .with_srtp_protection_profiles(vec![
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        ])
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE))
        .with_sctp_max_receive_buffer_size(2 * MAX_MESSAGE)
        .build();
    let registry = Registry::new()
        .with(Slot::TwccReceiver, TwccReceiverBuilder::new().with_interval(ARRIVALS_EVERY).build())
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build())
        .with(Slot::JitterBuffer, Turnout::new(inbox.clone()));
    let mut connection = RTCPeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().with_certificates(vec![certificate.clone()]).build())
        .with_setting_engine(setting)
        .with_media_engine(media_engine(&offer.accepted)?)
        .with_interceptor_registry(registry)
        .build(now)?;
    connection.set_remote_description(now, RTCSessionDescription::offer(offer.sdp.clone())?)?;
    for candidate in candidates {
        connection.add_local_candidate(host(candidate)?)?;
    }
    // The end of candidates.
    connection.add_local_candidate(RTCIceCandidateInit::default())?;
    let answer = connection.create_answer(None)?;
    connection.set_local_description(now, answer)?;
    let sdp = connection.local_description().map(|description| description.sdp).unwrap_or_default();
    Ok(Answered { connection, sdp: with_limits(&sdp, &offer.accepted), ufrag, inbox })
}

fn media_engine(accepted: &Accepted) -> Result<MediaEngine, RtcError> {
    let mut engine = MediaEngine::default();
    if let Some(video) = &accepted.video {
        engine.register_codec(video_codec(video, accepted.transport_cc()), RtpCodecKind::Video)?;
        if let Some(payload_type) = video.rtx {
            let sdp_fmtp_line = format!("apt={}", video.format.payload_type);
            let rtx = codec(MIME_TYPE_RTX, 90_000, 0, sdp_fmtp_line, vec![]);
            engine.register_codec(RTCRtpCodecParameters { rtp_codec: rtx, payload_type }, RtpCodecKind::Video)?;
        }
    }
    if let Some(Format { payload_type, parameters }) = &accepted.audio {
        let feedback = if accepted.transport_cc() { vec![feedback("transport-cc", "")] } else { vec![] };
        let opus = codec(MIME_TYPE_OPUS, 48_000, 2, parameters.clone(), feedback);
        let opus = RTCRtpCodecParameters { rtp_codec: opus, payload_type: *payload_type };
        engine.register_codec(opus, RtpCodecKind::Audio)?;
    }
    if accepted.transport_cc() {
        for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
            engine.register_header_extension(
                RTCRtpHeaderExtensionCapability { uri: TRANSPORT_CC.into() },
                kind,
                None,
            )?;
        }
    }
    Ok(engine)
}

fn video_codec(video: &Video, transport_cc: bool) -> RTCRtpCodecParameters {
    let mime = match video.payload {
        Payload::H264 => MIME_TYPE_H264,
        Payload::Vp8 => MIME_TYPE_VP8,
        Payload::Vp9 => MIME_TYPE_VP9,
    };
    let mut feedbacks = vec![feedback("nack", ""), feedback("nack", "pli")];
    // One of the two governs the publisher's bitrate: both would be two opinions.
    feedbacks.push(if transport_cc { feedback("transport-cc", "") } else { feedback("goog-remb", "") });
    let Format { payload_type, parameters } = &video.format;
    RTCRtpCodecParameters {
        rtp_codec: codec(mime, 90_000, 0, parameters.clone(), feedbacks),
        payload_type: *payload_type,
    }
}

fn codec(
    mime_type: &str,
    clock_rate: u32,
    channels: u16,
    sdp_fmtp_line: String,
    rtcp_feedback: Vec<RTCPFeedback>,
) -> RTCRtpCodec {
    RTCRtpCodec { mime_type: mime_type.into(), clock_rate, channels, sdp_fmtp_line, rtcp_feedback }
}

fn feedback(typ: &str, parameter: &str) -> RTCPFeedback {
    RTCPFeedback { typ: typ.into(), parameter: parameter.into() }
}

fn host(address: &SocketAddr) -> Result<RTCIceCandidateInit, RtcError> {
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

/// The answer with what we take at most: a bitrate for the video, and H.264's highest level of what is decoded, where the
/// offer leaves the answer free to say its own (RFC 6184 §8.2.2). A browser holds to both; it would send a camera at the
/// offered level 3.1 in no more than 720p.
fn with_limits(sdp: &str, accepted: &Accepted) -> String {
    let Some(video) = &accepted.video else { return sdp.to_owned() };
    let own = format!("a=fmtp:{} ", video.format.payload_type);
    let mut answer = String::with_capacity(sdp.len() + 40);
    let mut in_video = false;
    for line in sdp.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            in_video = media.starts_with("video ") && !media.starts_with("video 0 ");
        }
        let parameters = line.strip_prefix(&own).unwrap_or_default();
        match parameter(parameters, "profile-level-id") {
            Some(offered)
                if offered.len() == 6
                    && offered.is_ascii()
                    && parameter(parameters, "level-asymmetry-allowed") == Some("1") =>
            {
                answer += &line.replacen(offered, &format!("{}{LEVEL}", &offered[..4]), 1);
            }
            _ => answer += line,
        }
        answer += "\r\n";
        if in_video && line.starts_with("c=") {
            answer += &format!("b=AS:{}\r\n", MOST_BITRATE / 1000);
            in_video = false;
        }
    }
    answer
}

/// 5.1, which is 4096x2304.
const LEVEL: &str = "33";
/// How often a publisher hears which of its packets arrived when.
const ARRIVALS_EVERY: Duration = Duration::from_millis(50);
/// Silence after which a publisher counts as away, and after how much more as gone.
const ICE_DISCONNECTED: Duration = Duration::from_secs(5);
const ICE_FAILED: Duration = Duration::from_secs(10);
/// The longest data channel message in bytes. Nothing is done with any.
const MAX_MESSAGE: u32 = 16 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::offer::tests::{BASELINE, HEAD, offer, section};
    use super::*;

    fn certificate() -> RTCCertificate {
        super::super::certificate().unwrap()
    }

    fn answered(offer: &str) -> String {
        let ours = ["203.0.113.7:8190".parse().unwrap()];
        answer(&Offer::parse(offer).unwrap(), &ours, &certificate(), Instant::now()).unwrap().sdp
    }

    #[test]
    fn an_answer_is_lite_passive_receives_and_names_our_candidates_only() {
        let answer = answered(&offer(&[(102, "H264/90000", BASELINE), (103, "rtx/90000", "apt=102")]));
        for needed in [
            "a=ice-lite\r\n",
            "a=setup:passive\r\n",
            "a=recvonly\r\n",
            " 203.0.113.7 8190 typ host",
            "a=rtpmap:102 H264/90000\r\n",
            "a=rtcp-fb:102 nack pli",
            "a=rtcp-fb:102 transport-cc",
            "profile-level-id=42e033",
            "a=rtpmap:103 rtx/90000\r\n",
            "a=rtpmap:111 opus/48000/2\r\n",
            TRANSPORT_CC,
            "b=AS:6000\r\n",
        ] {
            assert!(answer.contains(needed), "{needed:?} in {answer}");
        }
        assert_eq!(answer.matches("b=AS").count(), 1, "{answer}");
        assert!(!answer.contains("sendonly") && !answer.contains("goog-remb"), "{answer}");
    }

    #[test]
    fn only_the_chosen_codec_is_answered() {
        let answer = answered(&offer(&[(96, "VP8/90000", ""), (102, "H264/90000", BASELINE)]));
        assert!(answer.contains("VP8") && !answer.contains("H264"), "{answer}");
        let answer = answered(&offer(&[(98, "VP9/90000", "profile-id=0"), (96, "VP8/90000", "")]));
        assert!(answer.contains("VP9") && !answer.contains("VP8"), "{answer}");
    }

    #[test]
    fn a_level_that_is_not_ours_to_choose_stays() {
        let symmetric = "packetization-mode=1;profile-level-id=42e01f";
        assert!(answered(&offer(&[(102, "H264/90000", symmetric)])).contains("profile-level-id=42e01f"));
    }

    #[test]
    fn a_publisher_without_transport_cc_gets_a_limit_instead() {
        let plain = format!(
            "{HEAD}{}",
            section("video", 0, "a=sendonly\r\na=rtcp-fb:96 goog-remb\r\n", &[(96, "VP8/90000", "")])
        );
        let answer = answered(&plain.replace("BUNDLE 0 1", "BUNDLE 0"));
        assert!(answer.contains("goog-remb") && !answer.contains("transport-cc"), "{answer}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_damaged_offer_is_answered_or_refused(at in 0usize..1600, with in ".{0,12}", cut in 0usize..40) {
            let offer = offer(&[(102, "H264/90000", BASELINE), (103, "rtx/90000", "apt=102")]);
            let at = at.min(offer.len());
            let damaged = format!("{}{with}{}", &offer[..at], &offer[(at + cut).min(offer.len())..]);
            if let Ok(offer) = Offer::parse(&damaged) {
                let _ = answer(&offer, &["203.0.113.7:1".parse().unwrap()], &certificate(), Instant::now());
            }
        }
    }
}
