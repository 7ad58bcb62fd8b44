//! Coded media: what ingest hands to the decoders, and what the encoders hand to delivery.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::time::MediaTime;

/// How the video of a publisher is coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoConfig {
    pub codec: VideoCodec,
    /// For H.264 an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1), for H.265 an HEVCDecoderConfigurationRecord
    /// (§8.3.3.1), units length-prefixed as it says; or empty: units are Annex B with parameter sets in-band. For AV1 an
    /// av1C record or empty; for VP8 and VP9 empty.
    pub extradata: Bytes,
}

/// A video codec that is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    H264,
    H265,
    Av1,
    Vp8,
    Vp9,
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VideoCodec::H264 => "H.264",
            VideoCodec::H265 => "H.265",
            VideoCodec::Av1 => "AV1",
            VideoCodec::Vp8 => "VP8",
            VideoCodec::Vp9 => "VP9",
        })
    }
}

/// How the audio of a publisher is coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioConfig {
    pub codec: AudioCodec,
    /// For AAC an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1), for Opus an identification header (RFC 7845 §5.1) or empty
    /// for stereo; empty for MP3 and G.711.
    pub extradata: Bytes,
    /// Hertz and channels, where the codec's own configuration does not say them: G.711.
    pub format: Option<(u32, u16)>,
}

/// An audio codec that is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioCodec {
    Aac,
    Opus,
    Mp3,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl fmt::Display for AudioCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AudioCodec::Aac => "AAC",
            AudioCodec::Opus => "Opus",
            AudioCodec::Mp3 => "MP3",
            AudioCodec::Pcmu => "G.711 µ-law",
            AudioCodec::Pcma => "G.711 A-law",
        })
    }
}

/// What a publication carries, in the order of its arrival. A configuration holds for the units after it.
#[derive(Clone, Debug)]
pub enum Coded {
    VideoConfig(VideoConfig),
    AudioConfig(AudioConfig),
    Video(AccessUnit),
    Audio(AccessUnit),
}

/// One coded picture or audio frame of a publisher, on the publisher's own timeline: durations since an origin that the
/// publisher chose, unwrapped, common to its tracks.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    pub pts: Duration,
    pub dts: Duration,
    /// Decoding can begin here.
    pub key: bool,
    pub data: Bytes,
    /// When its last byte came from the network.
    pub arrived: Instant,
}

/// One encoded picture: an H.264 access unit in Annex B form, parameter sets in front of every IDR.
#[derive(Clone, Debug)]
pub struct EncodedVideo {
    pub at: MediaTime,
    pub key: bool,
    pub data: Bytes,
    /// When the newest access unit that went into it came from the network; absent for a repeated picture.
    pub arrived: Option<Instant>,
}

/// One Opus packet of 20 ms.
#[derive(Clone, Debug)]
pub struct EncodedAudio {
    pub at: MediaTime,
    pub data: Bytes,
}

/// The NAL units of an Annex B stream, start codes and trailing zeros stripped (ITU-T H.264 §B.1).
pub fn nal_units(annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = match start_code(annex_b, 0) {
        Some((_, after)) => &annex_b[after..],
        None => &[],
    };
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (unit, next) = match start_code(rest, 0) {
                Some((begin, after)) => (&rest[..begin], &rest[after..]),
                None => (rest, &rest[rest.len()..]),
            };
            rest = next;
            let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            if end > 0 {
                return Some(&unit[..end]);
            }
        }
        None
    })
}

/// The next `00 00 01` at or after `from`: where it begins and where the unit after it begins.
fn start_code(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while at + 3 <= bytes.len() {
        // A byte above 1 in the third place rules out a start code in three places at once.
        match bytes[at + 2] {
            0 => at += 1,
            1 if bytes[at] == 0 && bytes[at + 1] == 0 => return Some((at, at + 3)),
            _ => at += 3,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annex_b_splits_at_both_start_codes() {
        let stream = [9, 9, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 0, 0, 3, 1, 7, 0, 0];
        let units: Vec<&[u8]> = nal_units(&stream).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 0, 0, 3, 1, 7]]);
    }

    #[test]
    fn no_start_code_no_units() {
        assert_eq!(nal_units(&[1, 2, 3, 4]).count(), 0);
        assert_eq!(nal_units(&[]).count(), 0);
        assert_eq!(nal_units(&[0, 0, 1]).count(), 0);
        assert_eq!(nal_units(&[0, 0, 1, 0, 0, 1]).count(), 0);
    }
}
