//! A publisher's SDP offer, read no further than it must be: what it sends, and which of its formats we take.

use super::Error;
use super::pictures::Payload;

/// The longest offer in bytes. A browser's has about 8 kB.
pub const MAX_OFFER: usize = 64 * 1024;
/// What a publisher is told to send at most, in bits a second: as much as 1080p needs.
pub(super) const MOST_BITRATE: u32 = 6_000_000;
pub(super) const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// An offer that can be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The offer without its candidates: an ICE-lite agent contacts nobody, and learns addresses from checks.
    pub(super) sdp: String,
    pub(super) accepted: Accepted,
}

/// What is taken of it: video, sound, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) video: Option<Video>,
    /// Opus.
    pub(super) audio: Option<Format>,
}

impl Accepted {
    /// Whether packets bear a number of the transport, and the publisher wants to hear when each arrived.
    pub(super) fn transport_cc(&self) -> bool {
        self.video.as_ref().is_some_and(|video| video.transport_cc)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Video {
    pub(super) payload: Payload,
    pub(super) format: Format,
    /// The payload type of its retransmissions.
    pub(super) rtx: Option<u8>,
    /// It sends again what is asked for.
    pub(super) nack: bool,
    /// It finds its bitrate by when its packets arrived.
    pub(super) transport_cc: bool,
    /// It heeds a limit to its bitrate.
    pub(super) remb: bool,
}

impl Video {
    /// Whether it is told its bitrate by us: it heeds that, and does not find it by itself.
    pub(super) fn limited_by_remb(&self) -> bool {
        self.remb && !self.transport_cc
    }
}

/// A media format of the offer: payload type and parameters, both of which the answer keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) payload_type: u8,
    pub(super) parameters: String,
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
            let mut found = sections.iter().filter(|section| section.kind == kind && section.sends);
            match (found.next(), found.next()) {
                (_, Some(_)) => Err(Error::Unanswerable(format!("it sends more than one {kind} stream; send one"))),
                (found, None) => Ok(found),
            }
        };
        let (video, audio) = (one("video")?, one("audio")?);
        if video.is_none() && audio.is_none() {
            return Err(Error::SendsNothing);
        }
        let video =
            video.map(|section| section.video().ok_or_else(|| Error::NoVideoCodec { offered: section.encodings() }));
        let audio =
            audio.map(|section| section.opus().ok_or_else(|| Error::NoAudioCodec { offered: section.encodings() }));
        let accepted = Accepted { video: video.transpose()?, audio: audio.transpose()? };
        let keep = |line: &&&str| !line.starts_with("a=candidate:") && **line != "a=end-of-candidates";
        let sdp = lines.iter().filter(keep).flat_map(|line| [line, "\r\n"]).collect();
        Ok(Offer { sdp, accepted })
    }
}

/// One media section of an offer.
struct Section<'a> {
    kind: &'a str,
    sends: bool,
    /// Payload types in the publisher's order of preference.
    preferred: Vec<u8>,
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
            let mut words = lines[begin][2..].split_whitespace();
            let kind = words.next().unwrap_or_default();
            let preferred = words.skip(2).filter_map(|word| word.parse().ok()).filter(|&number| number < 128);
            Section {
                kind,
                sends: !attributes.iter().any(|line| matches!(*line, "a=recvonly" | "a=inactive")),
                preferred: preferred.take(MOST_FORMATS).collect(),
                attributes,
            }
        });
        Ok(sections.collect())
    }

    /// The encoding of a payload type as `name/rate` in lower case.
    fn encoding(&self, payload_type: u8) -> Option<String> {
        self.attributes.iter().find_map(|line| {
            let (number, encoding) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
            (number.parse() == Ok(payload_type)).then(|| encoding.trim().to_ascii_lowercase())
        })
    }

    fn format(&self, payload_type: u8) -> Format {
        let parameters = self.attributes.iter().find_map(|line| {
            let (number, parameters) = line.strip_prefix("a=fmtp:")?.split_once(' ')?;
            (number.parse() == Ok(payload_type)).then_some(parameters.trim())
        });
        Format { payload_type, parameters: parameters.unwrap_or_default().into() }
    }

    /// The first format that we take.
    fn video(&self) -> Option<Video> {
        let (payload, format) = self.preferred.iter().find_map(|&number| {
            let payload = match self.encoding(number)?.as_str() {
                "h264/90000" => Payload::H264,
                "vp8/90000" => Payload::Vp8,
                "vp9/90000" => Payload::Vp9,
                _ => return None,
            };
            Some((payload, self.format(number)))
        })?;
        let of = format.payload_type;
        let repeats = |number: &u8| {
            let apt = parameter(&self.format(*number).parameters, "apt").and_then(|apt| apt.parse().ok());
            self.encoding(*number).as_deref() == Some("rtx/90000") && apt == Some(of)
        };
        Some(Video {
            payload,
            rtx: self.preferred.iter().copied().find(repeats),
            nack: self.has_feedback(of, "nack"),
            transport_cc: self.numbers_packets() && self.has_feedback(of, "transport-cc"),
            remb: self.has_feedback(of, "goog-remb"),
            format,
        })
    }

    fn opus(&self) -> Option<Format> {
        let opus = |number: &u8| self.encoding(*number).as_deref() == Some("opus/48000/2");
        self.preferred.iter().copied().find(opus).map(|number| self.format(number))
    }

    /// Whether a format takes a kind of RTCP feedback (RFC 4585 §4.2).
    fn has_feedback(&self, payload_type: u8, kind: &str) -> bool {
        self.attributes.iter().any(|line| {
            let Some((number, given)) = line.strip_prefix("a=rtcp-fb:").and_then(|rest| rest.split_once(' ')) else {
                return false;
            };
            (number == "*" || number.parse() == Ok(payload_type)) && given.trim() == kind
        })
    }

    /// Whether every packet bears a number of the transport.
    fn numbers_packets(&self) -> bool {
        self.attributes.iter().any(|line| line.starts_with("a=extmap:") && line.ends_with(TRANSPORT_CC))
    }

    /// What a refusal says about the section's formats.
    fn encodings(&self) -> String {
        let name = |number: &u8| Some(self.encoding(*number)?.split('/').next()?.chars().take(16).collect());
        let mut names: Vec<String> = self.preferred.iter().filter_map(name).collect();
        names.sort();
        names.dedup();
        names.truncate(12);
        if names.is_empty() { "no formats".into() } else { names.join(", ") }
    }
}

/// A value of a format's parameters, `name=value` between semicolons.
pub(super) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

const MOST_SECTIONS: usize = 16;
const MOST_FORMATS: usize = 64;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n";
    const TRANSPORT: &str = "c=IN IP4 0.0.0.0\r\na=ice-ufrag:them\r\na=ice-pwd:theirpasswordoftwentytwo\r\n\
        a=fingerprint:sha-256 77:82:1C:C2:6B:80:DB:F1:5C:0E:39:84:12:BB:03:AC:51:22:62:4A:61:8B:0D:DE:01:3E:76:3F:B6:5B:C4:E4\r\n\
        a=setup:actpass\r\na=rtcp-mux\r\n";
    pub(in super::super) const BASELINE: &str =
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";

    /// A section with formats of (payload type, encoding, parameters).
    pub(in super::super) fn section(kind: &str, mid: u8, more: &str, formats: &[(u8, &str, &str)]) -> String {
        let numbers: Vec<String> = formats.iter().map(|format| format.0.to_string()).collect();
        let mut section = format!("m={kind} 9 UDP/TLS/RTP/SAVPF {}\r\n{TRANSPORT}a=mid:{mid}\r\n", numbers.join(" "));
        for (number, encoding, parameters) in formats {
            section += &format!("a=rtpmap:{number} {encoding}\r\n");
            for feedback in ["nack", "nack pli", "transport-cc"] {
                section += &format!("a=rtcp-fb:{number} {feedback}\r\n");
            }
            if !parameters.is_empty() {
                section += &format!("a=fmtp:{number} {parameters}\r\n");
            }
        }
        section + more
    }

    pub(in super::super) fn offer(video: &[(u8, &str, &str)]) -> String {
        let extension = format!("a=sendonly\r\na=extmap:5 {TRANSPORT_CC}\r\na=ssrc:77 cname:x\r\n");
        let audio = section("audio", 1, "a=sendonly\r\n", &[(111, "opus/48000/2", "minptime=10;useinbandfec=1")]);
        format!("{HEAD}{}{audio}", section("video", 0, &extension, video))
    }

    fn refusal(offer: &str) -> String {
        Offer::parse(offer).unwrap_err().to_string()
    }

    fn video(formats: &[(u8, &str, &str)]) -> Video {
        Offer::parse(&offer(formats)).unwrap().accepted.video.unwrap()
    }

    #[test]
    fn the_publishers_first_choice_that_we_take_is_taken() {
        let chosen = video(&[
            (45, "AV1/90000", ""),
            (98, "VP9/90000", "profile-id=0"),
            (99, "rtx/90000", "apt=98"),
            (96, "VP8/90000", ""),
        ]);
        assert_eq!((chosen.payload, chosen.format.payload_type, chosen.rtx), (Payload::Vp9, 98, Some(99)));
        assert_eq!((chosen.nack, chosen.remb), (true, false));
        let chosen = video(&[(102, "h264/90000", BASELINE), (96, "VP8/90000", "")]);
        assert_eq!((chosen.payload, chosen.format.parameters.as_str(), chosen.rtx), (Payload::H264, BASELINE, None));
        assert_eq!(video(&[(96, "VP8/90000", "")]).payload, Payload::Vp8);
    }

    #[test]
    fn sound_alone_and_picture_alone_are_taken() {
        let sound = format!("{HEAD}{}", section("audio", 0, "a=sendrecv\r\n", &[(111, "opus/48000/2", "")]));
        let accepted = Offer::parse(&sound).unwrap().accepted;
        assert!(accepted.video.is_none() && accepted.audio.is_some() && !accepted.transport_cc());
        let picture = format!("{HEAD}{}", section("video", 0, "", &[(96, "VP8/90000", "")]));
        let accepted = Offer::parse(&picture).unwrap().accepted;
        assert!(accepted.video.is_some() && accepted.audio.is_none(), "sendrecv is the default");
    }

    #[test]
    fn refusals_say_what_was_seen_and_what_to_do() {
        assert!(refusal(&format!("v=0\r\n{}", "a=x\r\n".repeat(20_000))).contains("at most 65536"));
        assert!(refusal("hello").contains("v=0"));
        assert!(refusal(HEAD).contains("a=ice-ufrag"));
        let receives = format!("{HEAD}{}", section("video", 0, "a=recvonly\r\n", &[(96, "VP8/90000", "")]));
        assert!(refusal(&receives).contains("sendonly"));
        let others = offer(&[(45, "AV1/90000", ""), (49, "H265/90000", "")]);
        assert!(refusal(&others).contains("av1, h265") && refusal(&others).contains("H.264"), "{}", refusal(&others));
        let sound = format!("{HEAD}{}", section("audio", 0, "a=sendonly\r\n", &[(0, "PCMU/8000", "")]));
        assert!(refusal(&sound).contains("pcmu") && refusal(&sound).contains("Opus"));
        let twice = offer(&[(96, "VP8/90000", "")]) + &section("video", 2, "", &[(97, "VP8/90000", "")]);
        assert!(refusal(&twice).contains("more than one video"));
        let passive = offer(&[(96, "VP8/90000", "")]).replace("actpass", "passive");
        assert!(refusal(&passive).contains("actpass"));
    }

    #[test]
    fn candidates_are_left_out() {
        let with =
            offer(&[(96, "VP8/90000", "")]) + "a=candidate:1 1 udp 1 0a1b.local 5 typ host\r\na=end-of-candidates\r\n";
        assert!(!Offer::parse(&with).unwrap().sdp.contains("candidate"));
    }
}
