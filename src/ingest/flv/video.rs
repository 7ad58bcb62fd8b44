//! The body of a video tag (Adobe FLV v10.1 Annex E.4.3, Enhanced RTMP v2 "Enhanced Video").

use super::enhanced::{self, FourCc};
use super::{TagError, Unsupported};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// An AVCDecoderConfigurationRecord.
    Config(&'a [u8]),
    /// Length-prefixed NAL units of one access unit; `composition` is PTS − DTS in milliseconds.
    Unit { key: bool, composition: i32, data: &'a [u8] },
    /// An end of sequence, a command, colour metadata, another track.
    Nothing,
}

impl Body<'_> {
    pub(super) fn parse(body: &[u8]) -> Result<Body<'_>, TagError> {
        let (&first, rest) = body.split_first().ok_or(TagError::Truncated)?;
        if first & EXTENDED != 0 {
            return enhanced_body(first, rest);
        }
        let (frame, codec) = (first >> 4, first & 0x0f);
        if frame == FRAME_COMMAND {
            return Ok(Body::Nothing);
        }
        if codec != CODEC_AVC {
            return Err(Unsupported::Video(codec_name(codec)).into());
        }
        let (&kind, rest) = rest.split_first().ok_or(TagError::Truncated)?;
        let (composition, data) = split_composition(rest)?;
        Ok(match kind {
            AVC_SEQUENCE_HEADER => Body::Config(data),
            AVC_UNIT => unit(frame, composition, data),
            _ => Body::Nothing,
        })
    }
}

fn enhanced_body(first: u8, rest: &[u8]) -> Result<Body<'_>, TagError> {
    let (frame, kind) = ((first & !EXTENDED) >> 4, first & 0x0f);
    if frame == FRAME_COMMAND && kind != EX_METADATA {
        return Ok(Body::Nothing);
    }
    let Some(packet) = enhanced::packet(kind, rest, EX_MULTITRACK)? else {
        return Ok(Body::Nothing);
    };
    if packet.four_cc != *b"avc1" {
        return Err(Unsupported::Video(four_cc_name(packet.four_cc)).into());
    }
    match packet.kind {
        EX_SEQUENCE_START => Ok(Body::Config(packet.body)),
        EX_CODED_FRAMES => {
            let (composition, data) = split_composition(packet.body)?;
            Ok(unit(frame, composition, data))
        }
        EX_CODED_FRAMES_WITHOUT_COMPOSITION => Ok(unit(frame, 0, packet.body)),
        _ => Ok(Body::Nothing),
    }
}

fn unit(frame: u8, composition: i32, data: &[u8]) -> Body<'_> {
    match data {
        [] => Body::Nothing,
        _ => Body::Unit { key: frame == FRAME_KEY, composition, data },
    }
}

/// Takes the signed 24-bit composition time off.
fn split_composition(bytes: &[u8]) -> Result<(i32, &[u8]), TagError> {
    let &[c2, c1, c0, ref rest @ ..] = bytes else {
        return Err(TagError::Truncated);
    };
    // The shift back extends the sign.
    Ok((i32::from_be_bytes([c2, c1, c0, 0]) >> 8, rest))
}

/// What a codec id stands for (Annex E.4.3.1).
fn codec_name(codec: u8) -> String {
    match codec {
        2 => "H.263 (Sorenson)".into(),
        3 | 6 => "screen video".into(),
        4 | 5 => "VP6".into(),
        // Not in the specification; what encoders used before Enhanced RTMP.
        12 => "HEVC (H.265)".into(),
        13 => "AV1".into(),
        other => format!("of the unknown codec {other}"),
    }
}

fn four_cc_name(four_cc: FourCc) -> String {
    match &four_cc {
        b"hvc1" => "HEVC (H.265)".into(),
        b"vvc1" => "VVC (H.266)".into(),
        b"av01" => "AV1".into(),
        b"vp08" => "VP8".into(),
        b"vp09" => "VP9".into(),
        other => format!("of the unknown codec {}", other.escape_ascii()),
    }
}

/// Set in the first byte when the header is Enhanced RTMP's.
const EXTENDED: u8 = 0x80;
const FRAME_KEY: u8 = 1;
const FRAME_COMMAND: u8 = 5;
const CODEC_AVC: u8 = 7;
const AVC_SEQUENCE_HEADER: u8 = 0;
const AVC_UNIT: u8 = 1;
const EX_SEQUENCE_START: u8 = 0;
const EX_CODED_FRAMES: u8 = 1;
const EX_CODED_FRAMES_WITHOUT_COMPOSITION: u8 = 3;
const EX_METADATA: u8 = 4;
const EX_MULTITRACK: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composition_times_are_signed() {
        for (bytes, composition) in [([0, 0, 66], 66), ([0xff, 0xff, 0xdf], -33), ([0x80, 0, 0], -8_388_608)] {
            assert_eq!(split_composition(&bytes), Ok((composition, &[][..])));
        }
    }

    #[test]
    fn h264_under_its_four_cc_is_h264() {
        assert_eq!(Body::parse(b"\x90avc1conf"), Ok(Body::Config(b"conf")));
        assert_eq!(
            Body::parse(b"\x91avc1\xff\xff\xffdata"),
            Ok(Body::Unit { key: true, composition: -1, data: b"data" })
        );
        assert_eq!(Body::parse(b"\xa3avc1data"), Ok(Body::Unit { key: false, composition: 0, data: b"data" }));
        assert_eq!(Body::parse(b"\x92avc1"), Ok(Body::Nothing));
    }

    #[test]
    fn ends_and_commands_bring_nothing() {
        assert_eq!(Body::parse(&[0x17, 2, 0, 0, 0]), Ok(Body::Nothing));
        assert_eq!(Body::parse(&[0x57, 0]), Ok(Body::Nothing));
        assert_eq!(Body::parse(&[0x27, 1, 0, 0, 0]), Ok(Body::Nothing), "an empty unit");
        assert_eq!(Body::parse(&[0x27, 1, 0, 0]), Err(TagError::Truncated));
        assert_eq!(Body::parse(&[]), Err(TagError::Truncated));
    }
}
