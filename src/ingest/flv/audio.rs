//! The body of an audio tag (Adobe FLV v10.1 Annex E.4.2, Enhanced RTMP v2 "Enhanced Audio").

use super::enhanced::{self, FourCc, Track};
use super::{TagError, Unsupported};
use crate::media::access_unit::AudioCodec;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// An AudioSpecificConfig, or an identification header of Opus.
    Config { codec: AudioCodec, header: &'a [u8] },
    /// One coded frame. `format` is what the tag says of a codec that does not say it itself: hertz and channels.
    Frame { codec: AudioCodec, format: Option<(u32, u16)>, data: &'a [u8] },
    /// An end of sequence, a channel layout, Opus's comments, another track.
    Nothing,
}

impl Body<'_> {
    pub(super) fn parse<'a>(body: &'a [u8], taken: &mut Track) -> Result<Body<'a>, TagError> {
        let (&first, rest) = body.split_first().ok_or(TagError::Truncated)?;
        let format = first >> 4;
        if format == FORMAT_EXTENDED {
            return enhanced_body(first & 0x0f, rest, taken);
        }
        if !taken.takes(0) {
            return Ok(Body::Nothing);
        }
        match format {
            FORMAT_AAC => {
                let (&kind, data) = rest.split_first().ok_or(TagError::Truncated)?;
                match kind {
                    AAC_SEQUENCE_HEADER => config(AudioCodec::Aac, data),
                    AAC_RAW => frame(AudioCodec::Aac, None, data),
                    _ => Ok(Body::Nothing),
                }
            }
            FORMAT_MP3 | FORMAT_MP3_8K => frame(AudioCodec::Mp3, None, rest),
            // The rate bits cannot say 8 kHz, which it always is.
            FORMAT_G711_A => frame(AudioCodec::Pcma, Some((8_000, 1 + u16::from(first & STEREO))), rest),
            FORMAT_G711_U => frame(AudioCodec::Pcmu, Some((8_000, 1 + u16::from(first & STEREO))), rest),
            other => Err(Unsupported::Audio(format_name(other)).into()),
        }
    }
}

fn enhanced_body<'a>(kind: u8, rest: &'a [u8], taken: &mut Track) -> Result<Body<'a>, TagError> {
    let Some(packet) = enhanced::packet(kind, rest, EX_MULTITRACK, taken)? else {
        return Ok(Body::Nothing);
    };
    let codec = codec_of(packet.four_cc).ok_or_else(|| Unsupported::Audio(four_cc_name(packet.four_cc)))?;
    match (packet.kind, codec) {
        (EX_SEQUENCE_START, _) => config(codec, packet.body),
        (EX_CODED_FRAMES, _) => frame(codec, None, packet.body),
        _ => Ok(Body::Nothing),
    }
}

fn config(codec: AudioCodec, header: &[u8]) -> Result<Body<'_>, TagError> {
    match codec {
        AudioCodec::Aac => specific_config(header),
        AudioCodec::Opus => opus_header(header),
        // Each frame of the others says all there is.
        AudioCodec::Mp3 | AudioCodec::Pcmu | AudioCodec::Pcma => Ok(Body::Nothing),
    }
}

/// Checks an identification header (RFC 7845 §5.1), or leaves the comment header (§5.2) that may follow it.
fn opus_header(header: &[u8]) -> Result<Body<'_>, TagError> {
    if header.starts_with(b"OpusTags") {
        return Ok(Body::Nothing);
    }
    if !header.starts_with(b"OpusHead") || !(OPUS_HEAD..=OPUS_HEAD_LIMIT).contains(&header.len()) {
        return Err(TagError::Length { what: "an Opus identification header", length: header.len() });
    }
    Ok(Body::Config { codec: AudioCodec::Opus, header })
}

/// Checks the start of an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1): 5 bits of object type, 4 of sampling frequency.
fn specific_config(specific: &[u8]) -> Result<Body<'_>, TagError> {
    if !(2..=CONFIG_LIMIT).contains(&specific.len()) {
        return Err(TagError::Length { what: "an AudioSpecificConfig", length: specific.len() });
    }
    let frequency = (specific[0] & 0b111) << 1 | specific[1] >> 7;
    let escaped_type = specific[0] >> 3 == 31;
    if !escaped_type && matches!(frequency, 13 | 14) {
        return Err(TagError::SamplingFrequency);
    }
    Ok(Body::Config { codec: AudioCodec::Aac, header: specific })
}

fn frame(codec: AudioCodec, format: Option<(u32, u16)>, data: &[u8]) -> Result<Body<'_>, TagError> {
    match data.len() {
        0 => Ok(Body::Nothing),
        1..=FRAME_LIMIT => Ok(Body::Frame { codec, format, data }),
        length => Err(TagError::Length { what: "an audio frame", length }),
    }
}

/// The codecs that are taken, by FourCC.
pub(super) const FOUR_CCS: [(FourCc, AudioCodec); 3] =
    [(*b"mp4a", AudioCodec::Aac), (*b"Opus", AudioCodec::Opus), (*b".mp3", AudioCodec::Mp3)];

fn codec_of(four_cc: FourCc) -> Option<AudioCodec> {
    FOUR_CCS.iter().find(|(known, _)| *known == four_cc).map(|(_, codec)| *codec)
}

/// What a sound format that is not taken stands for (Annex E.4.2.1).
fn format_name(format: u8) -> String {
    match format {
        0 | 3 => "uncompressed PCM".into(),
        1 => "ADPCM".into(),
        4..=6 => "Nellymoser".into(),
        11 => "Speex".into(),
        other => format!("of the unknown format {other}"),
    }
}

fn four_cc_name(four_cc: FourCc) -> String {
    match &four_cc {
        b"ac-3" => "AC-3".into(),
        b"ec-3" => "E-AC-3".into(),
        b"fLaC" => "FLAC".into(),
        other => format!("of the unknown codec {}", other.escape_ascii()),
    }
}

const FORMAT_MP3: u8 = 2;
const FORMAT_G711_A: u8 = 7;
const FORMAT_G711_U: u8 = 8;
const FORMAT_EXTENDED: u8 = 9;
const FORMAT_AAC: u8 = 10;
const FORMAT_MP3_8K: u8 = 14;
/// The lowest bit of the first byte.
const STEREO: u8 = 1;
const AAC_SEQUENCE_HEADER: u8 = 0;
const AAC_RAW: u8 = 1;
const EX_SEQUENCE_START: u8 = 0;
const EX_CODED_FRAMES: u8 = 1;
const EX_MULTITRACK: u8 = 5;
/// Bytes of an identification header without a channel mapping, and with the longest.
const OPUS_HEAD: usize = 19;
const OPUS_HEAD_LIMIT: usize = 21 + 255;
/// Two to seven bytes in practice; more with a channel layout spelt out.
const CONFIG_LIMIT: usize = 64;
/// 6144 bits a channel (ISO/IEC 14496-3 §4.5.1.1) for eight channels come to 6 KiB.
const FRAME_LIMIT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &[u8]) -> Result<Body<'_>, TagError> {
        Body::parse(body, &mut Track::default())
    }

    #[test]
    fn aac_is_taken_plain_and_enhanced() {
        let codec = AudioCodec::Aac;
        let header = &[0x12, 0x10];
        assert_eq!(parsed(&[0xaf, 0, 0x12, 0x10]), Ok(Body::Config { codec, header }));
        assert_eq!(parsed(&[0xaf, 1, 7]), Ok(Body::Frame { codec, format: None, data: &[7] }));
        assert_eq!(parsed(b"\x90mp4a\x12\x10"), Ok(Body::Config { codec, header }));
        assert_eq!(parsed(b"\x91mp4a\x07"), Ok(Body::Frame { codec, format: None, data: &[7] }));
        let mut taken = Track::default();
        assert!(matches!(Body::parse(&[0xaf, 1, 7], &mut taken), Ok(Body::Frame { .. })));
        assert_eq!(Body::parse(b"\x95\x01mp4a\x01\x07", &mut taken), Ok(Body::Nothing), "the second track");
    }

    #[test]
    fn opus_comes_with_its_identification_header() {
        let (codec, header) = (AudioCodec::Opus, b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0");
        let tag = |kind: u8, rest: &[u8]| [&[0x90 | kind][..], b"Opus", rest].concat();
        assert_eq!(parsed(&tag(0, header)), Ok(Body::Config { codec, header }));
        assert_eq!(parsed(&tag(0, b"OpusTags....")), Ok(Body::Nothing));
        assert!(parsed(&tag(0, &header[..18])).is_err());
        assert!(parsed(&tag(0, b"somethingofthelengthofaheader")).is_err());
        assert_eq!(parsed(&tag(1, b"\xfc\xff\xfe")), Ok(Body::Frame { codec, format: None, data: b"\xfc\xff\xfe" }));
    }

    #[test]
    fn codecs_without_a_configuration_need_none() {
        let mp3 = Body::Frame { codec: AudioCodec::Mp3, format: None, data: b"\xff\xfb" };
        assert_eq!(parsed(b"\x2f\xff\xfb").as_ref(), Ok(&mp3));
        assert_eq!(parsed(b"\xef\xff\xfb").as_ref(), Ok(&mp3));
        assert_eq!(parsed(b"\x91.mp3\xff\xfb").as_ref(), Ok(&mp3));
        let law = |codec, channels| Ok(Body::Frame { codec, format: Some((8_000, channels)), data: b"\xd5" });
        assert_eq!(parsed(b"\x72\xd5"), law(AudioCodec::Pcma, 1));
        assert_eq!(parsed(b"\x83\xd5"), law(AudioCodec::Pcmu, 2));
    }

    #[test]
    fn odd_sizes_are_refused() {
        assert_eq!(parsed(&[0xaf, 1]), Ok(Body::Nothing));
        assert!(parsed(&[0xaf, 0, 0x12]).is_err());
        assert!(parsed(&[&[0xaf, 0][..], &[0x12; CONFIG_LIMIT + 1]].concat()).is_err());
        assert!(parsed(&[&[0xaf, 1][..], &[0x12; FRAME_LIMIT + 1]].concat()).is_err());
        assert_eq!(parsed(&[0xaf, 0, 0x16, 0x90]), Err(TagError::SamplingFrequency));
    }
}
