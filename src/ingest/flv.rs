//! FLV tags, the form in which RTMP carries media, taken apart into access units (Adobe FLV v10.1 Annex E, Enhanced RTMP v2).
//!
//! [`Demuxer`] holds what a publisher's stream needs remembered: the configurations in force and the unwrapped timeline. A
//! tag that makes no sense is skipped and counted; a codec that cannot be shown ends the publication with a sentence for the
//! seller. Nothing is copied: access units are slices of the tag that they came in.

mod audio;
mod enhanced;
mod script;
mod timeline;
mod video;

use std::time::Instant;

use bytes::Bytes;

use self::timeline::Timeline;
use super::avc;
use super::source::SourceInfo;
use crate::media::access_unit::{AudioCodec, VideoCodec};
use crate::media::{AudioConfig, Coded, VideoConfig, access_unit::AccessUnit};

/// Turns one publisher's FLV tags into configurations and access units.
#[derive(Default)]
pub(super) struct Demuxer {
    video: Option<Video>,
    audio: Option<AudioConfig>,
    timeline: Timeline,
    info: SourceInfo,
    info_is_new: bool,
    skipped: Skipped,
}

struct Video {
    config: VideoConfig,
    record: avc::Record,
}

/// Tags that brought nothing, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) malformed: u64,
    /// Media before the configuration that it needs.
    pub(super) early: u64,
}

impl Skipped {
    pub(super) fn total(self) -> u64 {
        self.malformed + self.early
    }
}

/// A codec that the publisher has to change. The text tells the seller where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsupported {
    #[error(
        "the video is {0}, and only H.264 is taken: in OBS set Settings > Output > Streaming > Video Encoder to x264 or \
         another H.264 encoder (ffmpeg: -c:v libx264)"
    )]
    Video(String),
    #[error(
        "the sound is {0}, and only AAC is taken: in OBS set Settings > Output > Streaming > Audio Encoder to AAC \
         (ffmpeg: -c:a aac)"
    )]
    Audio(String),
}

/// Why a tag brought nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum TagError {
    #[error("a tag that ends before it says")]
    Truncated,
    #[error("{what} of {length} bytes")]
    Length { what: &'static str, length: usize },
    #[error("a reserved sampling frequency")]
    SamplingFrequency,
    #[error(transparent)]
    Avc(#[from] avc::Error),
    #[error("media before its configuration")]
    Early,
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
}

impl Demuxer {
    /// Takes whole tags, with or without a file header in front, and appends what is in them to `coded`.
    pub(super) fn push(&mut self, mut flv: Bytes, arrived: Instant, coded: &mut Vec<Coded>) -> Result<(), Unsupported> {
        if flv.starts_with(b"FLV") {
            flv = flv.slice(FILE_HEADER.min(flv.len())..);
        }
        while !flv.is_empty() {
            let tag = Tag::split_off(&mut flv);
            match tag.and_then(|tag| self.tag(&tag, arrived)) {
                Ok(unit) => coded.extend(unit),
                Err(TagError::Unsupported(codec)) => return Err(codec),
                Err(TagError::Early) => self.skipped.early += 1,
                Err(malformed) => {
                    tracing::trace!(%malformed, "tag skipped");
                    self.skipped.malformed += 1;
                }
            }
        }
        Ok(())
    }

    /// What the source says of itself.
    pub(super) fn info(&self) -> &SourceInfo {
        &self.info
    }

    /// What the source says of itself, when it said so since the last call.
    pub(super) fn take_info(&mut self) -> Option<SourceInfo> {
        std::mem::take(&mut self.info_is_new).then(|| self.info.clone())
    }

    pub(super) fn skipped(&self) -> Skipped {
        self.skipped
    }

    fn tag(&mut self, tag: &Tag, arrived: Instant) -> Result<Option<Coded>, TagError> {
        match tag.kind {
            TAG_VIDEO => self.video(tag, arrived),
            TAG_AUDIO => self.audio(tag, arrived),
            TAG_SCRIPT => {
                if let Some(info) = script::source_info(&tag.body) {
                    self.info_is_new |= self.info != info;
                    self.info = info;
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn video(&mut self, tag: &Tag, arrived: Instant) -> Result<Option<Coded>, TagError> {
        match video::Body::parse(&tag.body)? {
            video::Body::Config(record) => {
                let parsed = avc::Record::parse(record)?;
                let config = VideoConfig { codec: VideoCodec::H264, extradata: tag.body.slice_ref(record) };
                if self.video.as_ref().is_some_and(|video| video.config == config) {
                    return Ok(None);
                }
                self.video = Some(Video { config: config.clone(), record: parsed });
                Ok(Some(Coded::VideoConfig(config)))
            }
            video::Body::Unit { key, composition, data } => {
                let video = self.video.as_ref().ok_or(TagError::Early)?;
                let idr = avc::holds_idr(data, video.record.length_size)?;
                let data = tag.body.slice_ref(data);
                Ok(Some(Coded::Video(self.unit(tag, composition, key || idr, data, arrived))))
            }
            video::Body::Nothing => Ok(None),
        }
    }

    fn audio(&mut self, tag: &Tag, arrived: Instant) -> Result<Option<Coded>, TagError> {
        match audio::Body::parse(&tag.body)? {
            audio::Body::Config(specific) => {
                let config =
                    AudioConfig { codec: AudioCodec::Aac, extradata: tag.body.slice_ref(specific), format: None };
                if self.audio.as_ref() == Some(&config) {
                    return Ok(None);
                }
                self.audio = Some(config.clone());
                Ok(Some(Coded::AudioConfig(config)))
            }
            audio::Body::Frame(data) => {
                if self.audio.is_none() {
                    return Err(TagError::Early);
                }
                let data = tag.body.slice_ref(data);
                Ok(Some(Coded::Audio(self.unit(tag, 0, true, data, arrived))))
            }
            audio::Body::Nothing => Ok(None),
        }
    }

    /// Only units move the timeline: relays send configurations and metadata with a timestamp of zero in mid-stream.
    fn unit(&mut self, tag: &Tag, composition: i32, key: bool, data: Bytes, arrived: Instant) -> AccessUnit {
        let at = self.timeline.place(tag.timestamp, arrived);
        AccessUnit { pts: at.shifted(composition), dts: at.shifted(0), key, data, arrived }
    }
}

/// One FLV tag (Annex E.4.1).
struct Tag {
    kind: u8,
    /// Milliseconds, wrapping.
    timestamp: u32,
    body: Bytes,
}

impl Tag {
    /// Takes the first tag off; everything when it ends before it says.
    fn split_off(flv: &mut Bytes) -> Result<Tag, TagError> {
        let whole = std::mem::take(flv);
        let &[kind, l2, l1, l0, t2, t1, t0, t3, _, _, _, ref rest @ ..] = &whole[..] else {
            return Err(TagError::Truncated);
        };
        let length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
        if rest.len() < length + PREVIOUS_TAG_SIZE {
            return Err(TagError::Truncated);
        }
        *flv = whole.slice(TAG_HEADER + length + PREVIOUS_TAG_SIZE..);
        let body = whole.slice(TAG_HEADER..TAG_HEADER + length);
        Ok(Tag { kind, timestamp: u32::from_be_bytes([t3, t2, t1, t0]), body })
    }
}

const TAG_AUDIO: u8 = 8;
const TAG_VIDEO: u8 = 9;
const TAG_SCRIPT: u8 = 18;
const TAG_HEADER: usize = 11;
const PREVIOUS_TAG_SIZE: usize = 4;
/// The file header and the zero that stands for the size of the tag before the first (Annex E.2).
const FILE_HEADER: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::avc::tests::RECORD;
    use proptest::prelude::*;
    use std::time::Duration;

    /// A tag as rtmp-runtime gives it.
    fn tag(kind: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
        let mut tag = vec![kind];
        tag.extend(&(body.len() as u32).to_be_bytes()[1..]);
        tag.extend(&timestamp.to_be_bytes()[1..]);
        tag.push((timestamp >> 24) as u8);
        tag.extend([0; 3]);
        tag.extend(body);
        tag.extend((11 + body.len() as u32).to_be_bytes());
        tag
    }

    fn avc_config() -> Vec<u8> {
        [&[0x17, 0, 0, 0, 0][..], &RECORD].concat()
    }

    fn avc_unit(first: u8, composition: i32, nal: u8) -> Vec<u8> {
        let [_, c2, c1, c0] = composition.to_be_bytes();
        vec![first, 1, c2, c1, c0, 0, 0, 0, 2, nal, 0xaa]
    }

    const AAC_CONFIG: [u8; 4] = [0xaf, 0, 0x11, 0x90];
    const AAC_FRAME: [u8; 4] = [0xaf, 1, 0x21, 0x10];

    fn demux(demuxer: &mut Demuxer, tags: &[Vec<u8>]) -> Vec<Coded> {
        let mut coded = Vec::new();
        demuxer.push(tags.concat().into(), Instant::now(), &mut coded).unwrap();
        coded
    }

    #[test]
    fn a_stream_becomes_configurations_and_units() {
        let mut file = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        file.extend(tag(9, 0, &avc_config()));
        let coded = demux(
            &mut Demuxer::default(),
            &[
                file,
                tag(8, 0, &AAC_CONFIG),
                tag(9, 0, &avc_unit(0x17, 66, 0x65)),
                tag(8, 21, &AAC_FRAME),
                tag(9, 33, &avc_unit(0x27, -33, 0x41)),
            ],
        );
        let [
            Coded::VideoConfig(video),
            Coded::AudioConfig(audio),
            Coded::Video(idr),
            Coded::Audio(sound),
            Coded::Video(next),
        ] = &coded[..]
        else {
            panic!("{coded:?}");
        };
        assert_eq!(video.extradata, RECORD[..]);
        assert_eq!(audio.extradata[..], [0x11, 0x90]);
        assert_eq!(idr.data[..], [0, 0, 0, 2, 0x65, 0xaa]);
        assert!(idr.key && !next.key);
        assert_eq!(idr.pts - idr.dts, Duration::from_millis(66));
        assert_eq!(sound.pts - idr.dts, Duration::from_millis(21), "one timeline for both tracks");
        assert_eq!(next.pts, idr.dts, "composition times are signed");
        assert_eq!(sound.data[..], [0x21, 0x10]);
    }

    #[test]
    fn a_repeated_sequence_header_is_told_once() {
        let mut demuxer = Demuxer::default();
        assert_eq!(demux(&mut demuxer, &[tag(9, 0, &avc_config()), tag(8, 0, &AAC_CONFIG)]).len(), 2);
        assert_eq!(demux(&mut demuxer, &[tag(9, 9, &avc_config()), tag(8, 9, &AAC_CONFIG)]).len(), 0);
        let mut other = avc_config();
        other[8] = 0x28;
        assert_eq!(demux(&mut demuxer, &[tag(9, 9, &other)]).len(), 1);
    }

    #[test]
    fn a_keyframe_with_its_own_parameter_sets_passes_as_it_is() {
        let mut demuxer = Demuxer::default();
        demux(&mut demuxer, &[tag(9, 0, &avc_config())]);
        let unit = [0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x67, 9, 0, 0, 0, 2, 0x68, 9, 0, 0, 0, 1, 0x65];
        let coded = demux(&mut demuxer, &[tag(9, 0, &unit)]);
        assert!(matches!(&coded[..], [Coded::Video(unit)] if unit.key && unit.data.len() == 17));
    }

    #[test]
    fn media_before_its_configuration_is_counted() {
        let mut demuxer = Demuxer::default();
        assert!(demux(&mut demuxer, &[tag(9, 0, &avc_unit(0x17, 0, 0x65)), tag(8, 0, &AAC_FRAME)]).is_empty());
        assert_eq!(demuxer.skipped(), Skipped { malformed: 0, early: 2 });
    }

    #[test]
    fn a_malformed_tag_does_not_take_the_next_with_it() {
        let mut demuxer = Demuxer::default();
        let broken = [0x17, 1, 0, 0, 0, 0xff, 0, 0, 0, 0x65];
        let coded = demux(
            &mut demuxer,
            &[tag(9, 0, &avc_config()), tag(9, 0, &broken), tag(9, 0, &[0x17]), tag(9, 33, &avc_unit(0x17, 0, 0x65))],
        );
        assert_eq!(coded.len(), 2);
        assert_eq!(demuxer.skipped(), Skipped { malformed: 2, early: 0 });
    }

    #[test]
    fn other_codecs_are_refused_with_advice() {
        let refusal = |kind, body: &[u8]| {
            Demuxer::default().push(tag(kind, 0, body).into(), Instant::now(), &mut Vec::new()).unwrap_err().to_string()
        };
        let hevc = refusal(9, b"\x90hvc1\x01\x02");
        assert!(hevc.contains("HEVC") && hevc.contains("OBS") && hevc.contains("x264"), "{hevc}");
        assert!(refusal(9, &[0x1c, 0, 0, 0, 0]).contains("HEVC"), "the codec id that some encoders took");
        assert!(refusal(9, b"\x90av01\x01").contains("AV1"));
        assert!(refusal(9, &[0x12, 0, 0]).contains("H.263"));
        let mp3 = refusal(8, &[0x2f, 0xff, 0xfb]);
        assert!(mp3.contains("MP3") && mp3.contains("AAC"), "{mp3}");
        assert!(refusal(8, b"\x91Opus\x01").contains("Opus"));
    }

    #[test]
    fn metadata_describes_the_source() {
        let mut demuxer = Demuxer::default();
        let body =
            script::tests::on_meta_data(&[("encoder", "obs-output module")], &[("width", 1280.0), ("height", 720.0)]);
        demux(&mut demuxer, &[tag(18, 0, &body)]);
        assert_eq!(demuxer.take_info().unwrap().encoder.as_deref(), Some("obs-output module"));
        assert_eq!(demuxer.take_info(), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Demuxer::default().push(bytes.into(), Instant::now(), &mut Vec::new());
        }

        #[test]
        fn garbage_in_tags_never_panics(
            bodies in proptest::collection::vec(
                (prop_oneof![Just(8u8), Just(9), Just(18)], any::<u32>(), proptest::collection::vec(any::<u8>(), 0..64)),
                1..24,
            ),
        ) {
            let mut demuxer = Demuxer::default();
            let mut coded = Vec::new();
            demuxer.push([tag(9, 0, &avc_config()), tag(8, 0, &AAC_CONFIG)].concat().into(), Instant::now(), &mut coded).unwrap();
            for (kind, timestamp, body) in &bodies {
                let _ = demuxer.push(tag(*kind, *timestamp, body).into(), Instant::now(), &mut coded);
            }
        }

        #[test]
        fn an_enhanced_header_over_garbage_never_panics(
            first in 0x80u8..,
            rest in proptest::collection::vec(prop_oneof![Just(0x70u8), Just(0x67), Just(b'a'), any::<u8>()], 0..48),
        ) {
            let body = [&[first][..], &rest].concat();
            let _ = Demuxer::default().push(tag(9, 0, &body).into(), Instant::now(), &mut Vec::new());
            let _ = Demuxer::default().push(tag(8, 0, &body).into(), Instant::now(), &mut Vec::new());
        }
    }
}
