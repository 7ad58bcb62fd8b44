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

use self::enhanced::Track;
use self::timeline::Timeline;
use super::avc::{self, LengthSize};
use super::hevc;
use super::source::SourceInfo;
use crate::media::access_unit::{AudioCodec, VideoCodec};
use crate::media::{AudioConfig, Coded, VideoConfig, access_unit::AccessUnit};

/// Turns one publisher's FLV tags into configurations and access units.
#[derive(Default)]
pub(super) struct Demuxer {
    video: Option<Video>,
    video_track: Track,
    audio: Option<AudioConfig>,
    audio_track: Track,
    timeline: Timeline,
    info: SourceInfo,
    info_is_new: bool,
    skipped: Skipped,
}

struct Video {
    config: VideoConfig,
    framing: Framing,
}

/// How an access unit is made up, as far as it is looked into.
#[derive(Clone, Copy)]
enum Framing {
    Avc(LengthSize),
    Hevc(LengthSize),
    /// AV1's temporal units, frames of VP8 and VP9: the tag alone says where decoding can begin.
    Whole,
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
        "the video is {0}, which is not taken: in OBS set Settings > Output > Streaming > Video Encoder to x264 or any \
         other encoder for H.264, HEVC or AV1 (ffmpeg: -c:v libx264)"
    )]
    Video(String),
    #[error(
        "the sound is {0}, which is not taken: in OBS set Settings > Output > Streaming > Audio Encoder to AAC or Opus \
         (ffmpeg: -c:a aac)"
    )]
    Audio(String),
}

/// The FourCCs of Enhanced RTMP under which video is taken.
pub(super) fn video_four_ccs() -> impl Iterator<Item = [u8; 4]> {
    video::FOUR_CCS.iter().map(|(four_cc, _)| *four_cc)
}

/// The FourCCs of Enhanced RTMP under which sound is taken.
pub(super) fn audio_four_ccs() -> impl Iterator<Item = [u8; 4]> {
    audio::FOUR_CCS.iter().map(|(four_cc, _)| *four_cc)
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
    #[error("several tracks in a layout that is not defined")]
    Tracks,
    #[error("an AV1 decoder configuration of another version")]
    Av1Version,
    #[error(transparent)]
    Nal(#[from] avc::Error),
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
            match tag.and_then(|tag| self.tag(&tag, arrived, coded)) {
                Ok(()) => {}
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

    fn tag(&mut self, tag: &Tag, arrived: Instant, coded: &mut Vec<Coded>) -> Result<(), TagError> {
        match tag.kind {
            TAG_VIDEO => self.video(tag, arrived, coded),
            TAG_AUDIO => self.audio(tag, arrived, coded),
            TAG_SCRIPT => {
                if let Some(info) = script::source_info(&tag.body) {
                    self.info_is_new |= self.info != info;
                    self.info = info;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn video(&mut self, tag: &Tag, arrived: Instant, coded: &mut Vec<Coded>) -> Result<(), TagError> {
        match video::Body::parse(&tag.body, &mut self.video_track)? {
            video::Body::Config { codec, record } => {
                coded.extend(self.video_config(Video::configured(codec, &tag.body.slice_ref(record))?));
                Ok(())
            }
            video::Body::Unit { codec, key, composition, data } => {
                if self.video.as_ref().is_none_or(|video| video.config.codec != codec) {
                    // Some encoders of these say nothing beforehand, and nothing is needed.
                    let implied = Video::implied(codec).filter(|_| key).ok_or(TagError::Early)?;
                    coded.extend(self.video_config(implied));
                }
                let framing = self.video.as_ref().map_or(Framing::Whole, |video| video.framing);
                let begins = match framing {
                    Framing::Avc(length_size) => avc::holds_idr(data, length_size)?,
                    Framing::Hevc(length_size) => hevc::holds_irap(data, length_size)?,
                    Framing::Whole => false,
                };
                let data = tag.body.slice_ref(data);
                coded.push(Coded::Video(self.unit(tag, composition, key || begins, data, arrived)));
                Ok(())
            }
            video::Body::Nothing => Ok(()),
        }
    }

    /// The configuration, where it is another than the one in force: encoders repeat theirs.
    fn video_config(&mut self, video: Video) -> Option<Coded> {
        if self.video.as_ref().is_some_and(|before| before.config == video.config) {
            return None;
        }
        let config = video.config.clone();
        self.video = Some(video);
        Some(Coded::VideoConfig(config))
    }

    fn audio(&mut self, tag: &Tag, arrived: Instant, coded: &mut Vec<Coded>) -> Result<(), TagError> {
        match audio::Body::parse(&tag.body, &mut self.audio_track)? {
            audio::Body::Config { codec, header } => {
                let extradata = tag.body.slice_ref(header);
                coded.extend(self.audio_config(AudioConfig { codec, extradata, format: None }));
                Ok(())
            }
            audio::Body::Frame { codec, format, data } => {
                let in_force = self.audio.as_ref().filter(|audio| audio.codec == codec && audio.format == format);
                if in_force.is_none() {
                    if codec == AudioCodec::Aac {
                        return Err(TagError::Early);
                    }
                    coded.extend(self.audio_config(AudioConfig { codec, extradata: Bytes::new(), format }));
                }
                let data = tag.body.slice_ref(data);
                coded.push(Coded::Audio(self.unit(tag, 0, true, data, arrived)));
                Ok(())
            }
            audio::Body::Nothing => Ok(()),
        }
    }

    /// As with the video's.
    fn audio_config(&mut self, config: AudioConfig) -> Option<Coded> {
        if self.audio.as_ref() == Some(&config) {
            return None;
        }
        self.audio = Some(config.clone());
        Some(Coded::AudioConfig(config))
    }

    /// Only units move the timeline: relays send configurations and metadata with a timestamp of zero in mid-stream.
    fn unit(&mut self, tag: &Tag, composition: i32, key: bool, data: Bytes, arrived: Instant) -> AccessUnit {
        let at = self.timeline.place(tag.timestamp, arrived);
        AccessUnit { pts: at.shifted(composition), dts: at.shifted(0), key, data, arrived }
    }
}

impl Video {
    fn configured(codec: VideoCodec, record: &Bytes) -> Result<Video, TagError> {
        let (framing, extradata) = match codec {
            VideoCodec::H264 => (Framing::Avc(avc::Record::parse(record)?.length_size), record.clone()),
            VideoCodec::H265 => (Framing::Hevc(hevc::Record::parse(record)?.length_size), record.clone()),
            VideoCodec::Av1 => match record[..] {
                [AV1_RECORD, _, _, _, ..] if record.len() <= avc::RECORD_LIMIT => (Framing::Whole, record.clone()),
                _ => return Err(TagError::Av1Version),
            },
            // Their records repeat what every keyframe says.
            VideoCodec::Vp8 | VideoCodec::Vp9 => (Framing::Whole, Bytes::new()),
        };
        Ok(Video { config: VideoConfig { codec, extradata }, framing })
    }

    /// Of a codec whose keyframes say all that a decoder needs.
    fn implied(codec: VideoCodec) -> Option<Video> {
        let whole = matches!(codec, VideoCodec::Av1 | VideoCodec::Vp8 | VideoCodec::Vp9);
        let config = VideoConfig { codec, extradata: Bytes::new() };
        whole.then_some(Video { config, framing: Framing::Whole })
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

/// Marker and version 1 of an AV1CodecConfigurationRecord (AV1 in ISOBMFF §2.3.3).
const AV1_RECORD: u8 = 0x81;
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

    fn extended(first: u8, four_cc: &[u8; 4], rest: &[u8]) -> Vec<u8> {
        [&[first][..], four_cc, rest].concat()
    }

    #[test]
    fn hevc_is_taken_under_its_four_cc_and_its_old_id() {
        let record = hevc::tests::record();
        let unit = [0, 0, 0, 3, 19 << 1, 1, 0xaf];
        let enhanced = [
            extended(0x90, b"hvc1", &record),
            // The flag says that it is no keyframe, the NAL unit that it is one.
            extended(0xa1, b"hvc1", &[&[0, 0, 66][..], &unit].concat()),
            extended(0xa3, b"hvc1", &[0, 0, 0, 3, 1 << 1, 1, 0xaf]),
        ];
        let legacy = [
            [&[0x1c, 0, 0, 0, 0][..], &record].concat(),
            [&[0x2c, 1, 0, 0, 66][..], &unit].concat(),
            vec![0x2c, 1, 0, 0, 0, 0, 0, 0, 3, 1 << 1, 1, 0xaf],
        ];
        for bodies in [enhanced, legacy] {
            let tags: Vec<_> = bodies.iter().map(|body| tag(9, 0, body)).collect();
            let coded = demux(&mut Demuxer::default(), &tags);
            let [Coded::VideoConfig(config), Coded::Video(key), Coded::Video(next)] = &coded[..] else {
                panic!("{coded:?}");
            };
            assert_eq!((config.codec, &config.extradata[..]), (VideoCodec::H265, &record[..]));
            assert_eq!((key.pts - key.dts, key.key, &key.data[..]), (Duration::from_millis(66), true, &unit[..]));
            assert!(!next.key && next.pts == next.dts);
        }
    }

    #[test]
    fn av1_and_vp_need_no_configuration_before_their_first_keyframe() {
        for (four_cc, codec) in [(b"av01", VideoCodec::Av1), (b"vp09", VideoCodec::Vp9), (b"vp08", VideoCodec::Vp8)] {
            let mut demuxer = Demuxer::default();
            let coded = demux(
                &mut demuxer,
                &[
                    tag(9, 0, &extended(0xa1, four_cc, b"early")),
                    tag(9, 33, &extended(0x91, four_cc, b"key")),
                    tag(9, 67, &extended(0xa1, four_cc, b"next")),
                ],
            );
            let [Coded::VideoConfig(config), Coded::Video(key), Coded::Video(next)] = &coded[..] else {
                panic!("{coded:?}");
            };
            assert_eq!((config.codec, config.extradata.len()), (codec, 0));
            assert!(key.key && !next.key && key.data[..] == b"key"[..]);
            assert_eq!(demuxer.skipped(), Skipped { malformed: 0, early: 1 });
        }
    }

    #[test]
    fn records_of_av1_are_passed_on_and_those_of_vp_are_not() {
        let config = |body: Vec<u8>| match demux(&mut Demuxer::default(), &[tag(9, 0, &body)]).pop() {
            Some(Coded::VideoConfig(config)) => config.extradata,
            other => panic!("{other:?}"),
        };
        assert_eq!(config(extended(0x90, b"av01", b"\x81\x04\x0c\0obu"))[..], b"\x81\x04\x0c\0obu"[..]);
        assert_eq!(config(extended(0x90, b"vp09", b"\x01\0\0\0\0\x1f\x80\x02\x02\x02\0\0")), Bytes::new());
        let mut demuxer = Demuxer::default();
        assert!(demux(&mut demuxer, &[tag(9, 0, &extended(0x90, b"av01", b"\x0a\x0b\0\0"))]).is_empty());
        assert_eq!(demuxer.skipped(), Skipped { malformed: 1, early: 0 });
    }

    #[test]
    fn a_codec_may_change_with_its_configuration() {
        let mut demuxer = Demuxer::default();
        demux(&mut demuxer, &[tag(9, 0, &avc_config()), tag(9, 0, &avc_unit(0x17, 0, 0x65))]);
        let hevc = tag(9, 33, &extended(0x93, b"hvc1", &[0, 0, 0, 3, 19 << 1, 1, 0xaf]));
        assert!(demux(&mut demuxer, std::slice::from_ref(&hevc)).is_empty(), "not before its configuration");
        let record = tag(9, 33, &extended(0x90, b"hvc1", &hevc::tests::record()));
        assert!(matches!(&demux(&mut demuxer, &[record, hevc])[..], [Coded::VideoConfig(_), Coded::Video(_)]));
        let back = demux(&mut demuxer, &[tag(9, 66, &avc_config()), tag(9, 66, &avc_unit(0x17, 0, 0x65))]);
        assert!(matches!(&back[..], [Coded::VideoConfig(_), Coded::Video(_)]), "and back again");
    }

    #[test]
    fn sound_without_a_configuration_is_described_by_its_frames() {
        let mut demuxer = Demuxer::default();
        let coded = demux(
            &mut demuxer,
            &[
                tag(8, 0, b"\x2f\xff\xfb"),
                tag(8, 26, b"\x2f\xff\xfb"),
                tag(8, 52, b"\x72\xd5"),
                tag(8, 72, b"\x91Opus\xfc"),
            ],
        );
        let codecs: Vec<_> = coded
            .iter()
            .map(|coded| match coded {
                Coded::AudioConfig(config) => Some((config.codec, config.format)),
                _ => None,
            })
            .collect();
        let law = (AudioCodec::Pcma, Some((8_000, 1)));
        let expected =
            [Some((AudioCodec::Mp3, None)), None, None, Some(law), None, Some((AudioCodec::Opus, None)), None];
        assert_eq!(codecs, expected);
    }

    #[test]
    fn only_the_first_tracks_are_taken() {
        let mut demuxer = Demuxer::default();
        let record = hevc::tests::record();
        let size = |bytes: &[u8]| (bytes.len() as u32).to_be_bytes()[1..].to_vec();
        let both = [b"\x96\x20hvc1\0", &size(&record)[..], &record, b"avc1\x01", &size(&RECORD), &RECORD].concat();
        let sound = [&b"\x95\x10mp4a\x01\0\0\x02\x12\x10\x00\0\0\x02\x11\x90"[..]].concat();
        let coded = demux(
            &mut demuxer,
            &[tag(9, 0, &both), tag(8, 0, &sound), tag(9, 33, &[&b"\x96\x00avc1\x01"[..], &RECORD].concat())],
        );
        let [Coded::VideoConfig(video), Coded::AudioConfig(audio)] = &coded[..] else { panic!("{coded:?}") };
        assert_eq!((video.codec, &audio.extradata[..]), (VideoCodec::H265, &[0x11, 0x90][..]));
        assert_eq!(demuxer.skipped(), Skipped::default());
    }

    #[test]
    fn only_video_and_only_sound_are_streams_and_metadata_may_come_late_or_never() {
        let video =
            [tag(9, 0, &avc_config()), tag(9, 0, &avc_unit(0x17, 0, 0x65)), tag(9, 33, &avc_unit(0x27, 0, 0x41))];
        assert_eq!(demux(&mut Demuxer::default(), &video).len(), 3);
        let mut demuxer = Demuxer::default();
        let coded = demux(&mut demuxer, &[tag(8, 0, &AAC_CONFIG), tag(8, 21, &AAC_FRAME)]);
        let [Coded::AudioConfig(_), Coded::Audio(first)] = &coded[..] else { panic!("{coded:?}") };
        assert_eq!(demuxer.take_info(), None);
        let late = script::tests::on_meta_data(&[("encoder", "late")], &[]);
        assert!(demux(&mut demuxer, &[tag(18, 0, &late)]).is_empty());
        assert_eq!(demuxer.take_info().unwrap().encoder.as_deref(), Some("late"));
        // Its timestamp of zero in mid-stream moves nothing.
        let coded = demux(&mut demuxer, &[tag(8, 43, &AAC_FRAME)]);
        let [Coded::Audio(next)] = &coded[..] else { panic!("{coded:?}") };
        assert_eq!(next.dts - first.dts, Duration::from_millis(22));
    }

    #[test]
    fn a_changed_sequence_header_is_a_new_configuration_between_its_units() {
        let mut other = avc_config();
        other[8] = 0x28;
        let coded = demux(
            &mut Demuxer::default(),
            &[
                tag(9, 0, &avc_config()),
                tag(9, 0, &avc_unit(0x17, 0, 0x65)),
                tag(9, 0, &other),
                tag(9, 33, &avc_unit(0x17, 0, 0x65)),
                // Again, and in a form that is none: the second is left out, the stream goes on.
                tag(9, 33, &other),
                tag(9, 33, &[0x17, 0, 0, 0, 0, 1]),
                tag(9, 66, &avc_unit(0x27, 0, 0x41)),
            ],
        );
        let kinds: String =
            coded.iter().map(|coded| if matches!(coded, Coded::VideoConfig(_)) { 'c' } else { 'u' }).collect();
        assert_eq!(kinds, "cucuu");
    }

    #[test]
    fn other_codecs_are_refused_with_advice() {
        let refusal = |kind, body: &[u8]| {
            Demuxer::default().push(tag(kind, 0, body).into(), Instant::now(), &mut Vec::new()).unwrap_err().to_string()
        };
        let vvc = refusal(9, b"\x90vvc1\x01\x02");
        assert!(vvc.contains("VVC") && vvc.contains("OBS") && vvc.contains("x264"), "{vvc}");
        assert!(refusal(9, &[0x12, 0, 0]).contains("H.263"));
        assert!(refusal(9, &[0x1d, 0, 0]).contains("AV1"), "an id that was never agreed on");
        let flac = refusal(8, b"\x90fLaC\x01");
        assert!(flac.contains("FLAC") && flac.contains("OBS") && flac.contains("AAC"), "{flac}");
        assert!(refusal(8, b"\x91ac-3\x01").contains("AC-3"));
        assert!(refusal(8, &[0xb2, 1, 2]).contains("Speex"));
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
            four_cc in prop::sample::select(vec![&b"avc1"[..], b"hvc1", b"av01", b"vp09", b"Opus", b".mp3", b"mp4a", b"\x20", b""]),
            rest in proptest::collection::vec(prop_oneof![Just(0x70u8), Just(0x67), Just(b'a'), any::<u8>()], 0..48),
        ) {
            let body = [&[first][..], four_cc, &rest].concat();
            let mut demuxer = Demuxer::default();
            for kind in [9, 8, 9] {
                let _ = demuxer.push(tag(kind, 0, &body).into(), Instant::now(), &mut Vec::new());
            }
        }
    }
}
