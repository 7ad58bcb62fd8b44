//! The body of a video tag (Adobe FLV v10.1 Annex E.4.3, Enhanced RTMP v2 "Enhanced Video").

use super::enhanced::{self, FourCc, Track};
use super::{TagError, Unsupported};
use crate::media::access_unit::VideoCodec;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// A decoder configuration: an AVC or HEVCDecoderConfigurationRecord, av1C, vpcC.
    Config { codec: VideoCodec, record: &'a [u8] },
    /// One access unit, for H.264 and H.265 in length-prefixed NAL units; `composition` is PTS − DTS in milliseconds.
    Unit { codec: VideoCodec, key: bool, composition: i32, data: &'a [u8] },
    /// An end of sequence, a command, colour metadata, another track.
    Nothing,
}

impl Body<'_> {
    pub(super) fn parse<'a>(body: &'a [u8], taken: &mut Track) -> Result<Body<'a>, TagError> {
        let (&first, rest) = body.split_first().ok_or(TagError::Truncated)?;
        if first & EXTENDED != 0 {
            return enhanced_body(first, rest, taken);
        }
        let (frame, codec) = (first >> 4, first & 0x0f);
        if frame == FRAME_COMMAND || !taken.takes(0) {
            return Ok(Body::Nothing);
        }
        let codec = match codec {
            CODEC_AVC => VideoCodec::H264,
            CODEC_HEVC => VideoCodec::H265,
            other => return Err(Unsupported::Video(codec_name(other)).into()),
        };
        let (&kind, rest) = rest.split_first().ok_or(TagError::Truncated)?;
        let (composition, data) = split_composition(rest)?;
        Ok(match kind {
            SEQUENCE_HEADER => Body::Config { codec, record: data },
            CODED_UNIT => unit(codec, frame, composition, data),
            _ => Body::Nothing,
        })
    }
}

fn enhanced_body<'a>(first: u8, rest: &'a [u8], taken: &mut Track) -> Result<Body<'a>, TagError> {
    let (frame, kind) = ((first & !EXTENDED) >> 4, first & 0x0f);
    if frame == FRAME_COMMAND && kind != EX_METADATA {
        return Ok(Body::Nothing);
    }
    let Some(packet) = enhanced::packet(kind, rest, EX_MULTITRACK, taken)? else {
        return Ok(Body::Nothing);
    };
    let codec = codec_of(packet.four_cc).ok_or_else(|| Unsupported::Video(four_cc_name(packet.four_cc)))?;
    match packet.kind {
        EX_SEQUENCE_START => Ok(Body::Config { codec, record: packet.body }),
        // Only these two are sent out of order, so only they say by how much.
        EX_CODED_FRAMES if matches!(codec, VideoCodec::H264 | VideoCodec::H265) => {
            let (composition, data) = split_composition(packet.body)?;
            Ok(unit(codec, frame, composition, data))
        }
        EX_CODED_FRAMES | EX_CODED_FRAMES_WITHOUT_COMPOSITION => Ok(unit(codec, frame, 0, packet.body)),
        EX_MPEG2TS_SEQUENCE_START => Err(Unsupported::Video(format!("{codec} in the form of MPEG-2 TS")).into()),
        _ => Ok(Body::Nothing),
    }
}

fn unit(codec: VideoCodec, frame: u8, composition: i32, data: &[u8]) -> Body<'_> {
    match data {
        [] => Body::Nothing,
        _ => Body::Unit { codec, key: frame == FRAME_KEY, composition, data },
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

/// The codecs that are taken, by FourCC.
pub(super) const FOUR_CCS: [(FourCc, VideoCodec); 5] = [
    (*b"avc1", VideoCodec::H264),
    (*b"hvc1", VideoCodec::H265),
    (*b"av01", VideoCodec::Av1),
    (*b"vp09", VideoCodec::Vp9),
    (*b"vp08", VideoCodec::Vp8),
];

fn codec_of(four_cc: FourCc) -> Option<VideoCodec> {
    FOUR_CCS.iter().find(|(known, _)| *known == four_cc).map(|(_, codec)| *codec)
}

/// What a codec id that is not taken stands for (Annex E.4.3.1).
fn codec_name(codec: u8) -> String {
    match codec {
        2 => "H.263 (Sorenson)".into(),
        3 | 6 => "screen video".into(),
        4 | 5 => "VP6".into(),
        // Not in the specification; one of several things that were done before Enhanced RTMP.
        13 => "AV1 under the codec id 13, which is not Enhanced RTMP".into(),
        other => format!("of the unknown codec {other}"),
    }
}

fn four_cc_name(four_cc: FourCc) -> String {
    match &four_cc {
        b"vvc1" => "VVC (H.266)".into(),
        other => format!("of the unknown codec {}", other.escape_ascii()),
    }
}

/// Set in the first byte when the header is Enhanced RTMP's.
const EXTENDED: u8 = 0x80;
const FRAME_KEY: u8 = 1;
const FRAME_COMMAND: u8 = 5;
const CODEC_AVC: u8 = 7;
/// Not in the specification, but what encoders for HEVC took before Enhanced RTMP, laid out as AVC is.
const CODEC_HEVC: u8 = 12;
const SEQUENCE_HEADER: u8 = 0;
const CODED_UNIT: u8 = 1;
const EX_SEQUENCE_START: u8 = 0;
const EX_CODED_FRAMES: u8 = 1;
const EX_CODED_FRAMES_WITHOUT_COMPOSITION: u8 = 3;
const EX_METADATA: u8 = 4;
const EX_MPEG2TS_SEQUENCE_START: u8 = 5;
const EX_MULTITRACK: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &[u8]) -> Result<Body<'_>, TagError> {
        Body::parse(body, &mut Track::default())
    }

    #[test]
    fn composition_times_are_signed() {
        for (bytes, composition) in [([0, 0, 66], 66), ([0xff, 0xff, 0xdf], -33), ([0x80, 0, 0], -8_388_608)] {
            assert_eq!(split_composition(&bytes), Ok((composition, &[][..])));
        }
    }

    #[test]
    fn reordered_codecs_say_their_composition_time() {
        for (four_cc, codec) in [(b"avc1", VideoCodec::H264), (b"hvc1", VideoCodec::H265)] {
            let body = |first: u8, rest: &[u8]| [&[first][..], four_cc, rest].concat();
            assert_eq!(parsed(&body(0x90, b"conf")), Ok(Body::Config { codec, record: b"conf" }));
            let key = Body::Unit { codec, key: true, composition: -1, data: b"data" };
            assert_eq!(parsed(&body(0x91, b"\xff\xff\xffdata")), Ok(key));
            let next = Body::Unit { codec, key: false, composition: 0, data: b"data" };
            assert_eq!(parsed(&body(0xa3, b"data")), Ok(next));
            assert_eq!(parsed(&body(0x92, b"")), Ok(Body::Nothing));
        }
    }

    #[test]
    fn codecs_in_order_have_no_composition_time() {
        for (four_cc, codec) in [(b"av01", VideoCodec::Av1), (b"vp09", VideoCodec::Vp9), (b"vp08", VideoCodec::Vp8)] {
            let body = |first: u8| [&[first][..], four_cc, b"data"].concat();
            assert_eq!(parsed(&body(0x90)), Ok(Body::Config { codec, record: b"data" }));
            for first in [0x91, 0x93] {
                assert_eq!(parsed(&body(first)), Ok(Body::Unit { codec, key: true, composition: 0, data: b"data" }));
            }
        }
        assert!(matches!(parsed(b"\x95av01\x80"), Err(TagError::Unsupported(_))), "in the form of MPEG-2 TS");
    }

    #[test]
    fn hevc_under_its_old_codec_id_is_laid_out_as_avc() {
        let codec = VideoCodec::H265;
        assert_eq!(parsed(b"\x1c\0\0\0\0conf"), Ok(Body::Config { codec, record: b"conf" }));
        let unit = Body::Unit { codec, key: false, composition: 66, data: b"data" };
        assert_eq!(parsed(b"\x2c\x01\0\0\x42data"), Ok(unit));
    }

    #[test]
    fn metadata_of_colours_and_other_tracks_bring_nothing() {
        assert_eq!(parsed(b"\xd4hvc1\x02\0\x09colorInfo"), Ok(Body::Nothing));
        let mut taken = Track::default();
        assert!(matches!(Body::parse(b"\x17\x01\0\0\0data", &mut taken), Ok(Body::Unit { .. })));
        assert_eq!(Body::parse(b"\x96\x01avc1\x01\0\0\0data", &mut taken), Ok(Body::Nothing), "the second track");
    }

    #[test]
    fn ends_and_commands_bring_nothing() {
        assert_eq!(parsed(&[0x17, 2, 0, 0, 0]), Ok(Body::Nothing));
        assert_eq!(parsed(&[0x57, 0]), Ok(Body::Nothing));
        assert_eq!(parsed(&[0x27, 1, 0, 0, 0]), Ok(Body::Nothing), "an empty unit");
        assert_eq!(parsed(&[0x27, 1, 0, 0]), Err(TagError::Truncated));
        assert_eq!(parsed(&[]), Err(TagError::Truncated));
    }
}
