//! The body of an audio tag (Adobe FLV v10.1 Annex E.4.2, Enhanced RTMP v2 "Enhanced Audio").

use super::enhanced::{self, FourCc};
use super::{TagError, Unsupported};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// An AudioSpecificConfig.
    Config(&'a [u8]),
    /// One raw AAC frame.
    Frame(&'a [u8]),
    /// An end of sequence, a channel layout, another track.
    Nothing,
}

impl Body<'_> {
    pub(super) fn parse(body: &[u8]) -> Result<Body<'_>, TagError> {
        let (&first, rest) = body.split_first().ok_or(TagError::Truncated)?;
        match first >> 4 {
            FORMAT_AAC => {
                let (&kind, data) = rest.split_first().ok_or(TagError::Truncated)?;
                match kind {
                    AAC_SEQUENCE_HEADER => config(data),
                    AAC_RAW => frame(data),
                    _ => Ok(Body::Nothing),
                }
            }
            FORMAT_EXTENDED => {
                let Some(packet) = enhanced::packet(first & 0x0f, rest, EX_MULTITRACK)? else {
                    return Ok(Body::Nothing);
                };
                if packet.four_cc != *b"mp4a" {
                    return Err(Unsupported::Audio(four_cc_name(packet.four_cc)).into());
                }
                match packet.kind {
                    EX_SEQUENCE_START => config(packet.body),
                    EX_CODED_FRAMES => frame(packet.body),
                    _ => Ok(Body::Nothing),
                }
            }
            other => Err(Unsupported::Audio(format_name(other)).into()),
        }
    }
}

/// Checks the start of an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1): 5 bits of object type, 4 of sampling frequency.
fn config(specific: &[u8]) -> Result<Body<'_>, TagError> {
    if !(2..=CONFIG_LIMIT).contains(&specific.len()) {
        return Err(TagError::Length { what: "an AudioSpecificConfig", length: specific.len() });
    }
    let frequency = (specific[0] & 0b111) << 1 | specific[1] >> 7;
    let escaped_type = specific[0] >> 3 == 31;
    if !escaped_type && matches!(frequency, 13 | 14) {
        return Err(TagError::SamplingFrequency);
    }
    Ok(Body::Config(specific))
}

fn frame(data: &[u8]) -> Result<Body<'_>, TagError> {
    match data.len() {
        0 => Ok(Body::Nothing),
        1..=FRAME_LIMIT => Ok(Body::Frame(data)),
        length => Err(TagError::Length { what: "an AAC frame", length }),
    }
}

/// What a sound format stands for (Annex E.4.2.1).
fn format_name(format: u8) -> String {
    match format {
        0 | 3 => "uncompressed PCM".into(),
        1 => "ADPCM".into(),
        2 | 14 => "MP3".into(),
        4..=6 => "Nellymoser".into(),
        7 | 8 => "G.711".into(),
        11 => "Speex".into(),
        other => format!("of the unknown format {other}"),
    }
}

fn four_cc_name(four_cc: FourCc) -> String {
    match &four_cc {
        b"Opus" => "Opus".into(),
        b"ac-3" => "AC-3".into(),
        b"ec-3" => "E-AC-3".into(),
        b".mp3" => "MP3".into(),
        b"fLaC" => "FLAC".into(),
        other => format!("of the unknown codec {}", other.escape_ascii()),
    }
}

const FORMAT_EXTENDED: u8 = 9;
const FORMAT_AAC: u8 = 10;
const AAC_SEQUENCE_HEADER: u8 = 0;
const AAC_RAW: u8 = 1;
const EX_SEQUENCE_START: u8 = 0;
const EX_CODED_FRAMES: u8 = 1;
const EX_MULTITRACK: u8 = 5;
/// Two to seven bytes in practice; more with a channel layout spelt out.
const CONFIG_LIMIT: usize = 64;
/// 6144 bits a channel (ISO/IEC 14496-3 §4.5.1.1) for eight channels come to 6 KiB.
const FRAME_LIMIT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aac_is_taken_plain_and_enhanced() {
        assert_eq!(Body::parse(&[0xaf, 0, 0x12, 0x10]), Ok(Body::Config(&[0x12, 0x10])));
        assert_eq!(Body::parse(&[0xaf, 1, 7]), Ok(Body::Frame(&[7])));
        assert_eq!(Body::parse(b"\x90mp4a\x12\x10"), Ok(Body::Config(&[0x12, 0x10])));
        assert_eq!(Body::parse(b"\x91mp4a\x07"), Ok(Body::Frame(&[7])));
        assert_eq!(Body::parse(b"\x95\x01mp4a\x01\x07"), Ok(Body::Nothing), "the second track");
    }

    #[test]
    fn odd_sizes_are_refused() {
        assert_eq!(Body::parse(&[0xaf, 1]), Ok(Body::Nothing));
        assert!(Body::parse(&[0xaf, 0, 0x12]).is_err());
        assert!(Body::parse(&[&[0xaf, 0][..], &[0x12; CONFIG_LIMIT + 1]].concat()).is_err());
        assert!(Body::parse(&[&[0xaf, 1][..], &[0x12; FRAME_LIMIT + 1]].concat()).is_err());
        assert_eq!(Body::parse(&[0xaf, 0, 0x16, 0x90]), Err(TagError::SamplingFrequency));
    }
}
