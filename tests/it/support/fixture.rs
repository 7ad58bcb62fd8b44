//! What encoders of all kinds send: a few seconds of numbered pictures and beeps, coded by ffmpeg on the spot and laid out as
//! the tags of FLV, plain or in the way of Enhanced RTMP.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ffmpeg_next as ffmpeg;

use super::child::Child;
use super::clip::Clip;
use super::eye::Area;

/// A short film in one codec and shape. As with a [`Clip`], whose pictures it shows, frame n is a pure function of n; in
/// addition each has a patch of one known colour.
#[derive(Clone, Copy, Debug)]
pub struct Fixture {
    /// The pictures before ffmpeg may have scaled them; both even.
    pub size: (usize, usize),
    pub frames_per_second: usize,
    pub frames: usize,
    /// ffmpeg's options for the picture, separated by spaces; empty for none.
    pub video: &'static str,
    /// The same for the sound.
    pub sound: &'static str,
    /// By FourCC instead of codec id, where there is one.
    pub enhanced: bool,
}

/// A message of RTMP that carries media.
#[derive(Clone, Debug)]
pub struct Tag {
    /// When it is sent, from the beginning.
    pub due: Duration,
    /// What it says of its time: milliseconds, wrapping.
    pub timestamp: u32,
    pub kind: Kind,
    /// Of a description, the encoder's name.
    pub body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Video,
    Audio,
    /// `onMetaData`.
    Description,
}

/// Luma, Cb and Cr of the patch, by BT.709 in limited range.
pub const PATCH: [u8; 3] = [120, 96, 160];

impl Fixture {
    /// H.264 with AAC as an ordinary encoder sends it, small.
    pub const PLAIN: Fixture = Fixture {
        size: (320, 180),
        frames_per_second: 30,
        frames: 120,
        video: "-c:v libx264 -preset veryfast -bf 0 -g 30 -pix_fmt yuv420p",
        sound: "-c:a aac -b:a 96k -ar 48000 -ac 2",
        enhanced: false,
    };

    /// The middle of the patch, away from what its edges blur into, in a picture that fills that part of another.
    pub fn patch(part: Area) -> Area {
        let even = |value: usize| value & !1;
        Area {
            x: even(part.x + part.width * 47 / 100),
            y: even(part.y + part.height * 65 / 100),
            width: even(part.width * 6 / 100),
            height: even(part.height * 6 / 100),
        }
    }

    /// The tags, in the order in which they are sent. The numbers of the pictures begin at `first`.
    pub fn tags(&self, first: usize) -> Vec<Tag> {
        let path = self.coded(first);
        ffmpeg::util::log::set_level(ffmpeg::util::log::Level::Quiet);
        let mut input = ffmpeg::format::input(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tracks: Vec<Track> = input.streams().map(|stream| Track::of(&stream, self.enhanced)).collect();
        let mut units = Vec::new();
        for (stream, packet) in input.packets() {
            let base = stream.time_base();
            let millis = |ticks: i64| ticks * 1000 * i64::from(base.numerator()) / i64::from(base.denominator());
            let pts = millis(packet.pts().expect("a packet has a time"));
            let dts = packet.dts().map_or(pts, millis);
            units.push((dts, pts - dts, stream.index(), packet));
        }
        units.sort_by_key(|(dts, ..)| *dts);
        let begin = units.first().map_or(0, |(dts, ..)| *dts);
        let mut tags: Vec<Tag> = tracks.iter().filter_map(|track| track.configuration(Duration::ZERO, 0)).collect();
        for (dts, composition, track, packet) in &units {
            let at = (dts - begin) as u32;
            let data = packet.data().expect("a packet has data");
            tags.push(tracks[*track].unit(at, *composition as i32, packet.is_key(), data));
        }
        tags
    }

    /// The file, made now when this machine has not made it yet.
    fn coded(&self, first: usize) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fixtures-{REVISION}"));
        std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let Fixture { size, frames_per_second, frames, .. } = self;
        let name = format!("{}x{}at{frames_per_second}-{first}+{frames}{}{}", size.0, size.1, self.video, self.sound);
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        // Matroska holds every codec; MP4 holds the order of B-frames.
        let kind = if self.video.contains("-bf 3") { "mp4" } else { "mkv" };
        let path = folder.join(format!("{name}.{kind}"));
        if !path.exists() {
            let unfinished = folder.join(format!("unfinished-{}.{kind}", std::process::id()));
            self.encode(first, &unfinished);
            std::fs::rename(&unfinished, &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        path
    }

    fn encode(&self, first: usize, path: &Path) {
        let Fixture { size: (width, height), frames_per_second, frames, .. } = *self;
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-loglevel", "error", "-y"]);
        if !self.video.is_empty() {
            ffmpeg.args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &format!("{width}x{height}")]);
            ffmpeg.args(["-r", &frames_per_second.to_string(), "-i", "pipe:0"]);
        }
        if !self.sound.is_empty() {
            let seconds = frames as f64 / frames_per_second as f64;
            ffmpeg.args(["-f", "lavfi", "-i", &format!("aevalsrc='{}':s=48000:d={seconds}", super::ear::beeps())]);
        }
        ffmpeg.args(["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv"]);
        ffmpeg.args(self.video.split_whitespace()).args(self.sound.split_whitespace()).arg(path);
        let (mut child, mut stdin) = Child::spawn_fed("the fixture's encoder", ffmpeg);
        let clip = Clip { width, height, frames_per_second, moving: false, ..Clip::obs() };
        let middle = Fixture::patch(Area { x: 0, y: 0, width, height });
        let margin = middle.height;
        let patch = Area {
            x: middle.x - margin,
            y: middle.y - margin,
            width: middle.width + 2 * margin,
            height: middle.height + 2 * margin,
        };
        // The panorama stands still: it is drawn once.
        let still = clip.frame(0);
        for n in first..first + if self.video.is_empty() { 0 } else { frames } {
            let mut picture = still.clone();
            super::strip::Strip::of(width, height).draw(&mut picture, width, n as u16);
            paint(&mut picture, (width, height), patch);
            assert!(stdin.write_all(&picture).is_ok(), "ffmpeg took no more: {:?}", child.said());
        }
        drop(stdin);
        let status = child.wait();
        assert!(status.success(), "ffmpeg {status} for {self:?}: {:?}", child.said());
    }
}

fn paint(picture: &mut [u8], (width, height): (usize, usize), patch: Area) {
    let luma = width * height;
    for (offset, by, value) in [(0, 1, PATCH[0]), (luma, 2, PATCH[1]), (luma * 5 / 4, 2, PATCH[2])] {
        for row in patch.y / by..(patch.y + patch.height) / by {
            let start = offset + row * width / by + patch.x / by;
            picture[start..start + patch.width / by].fill(value);
        }
    }
}

/// How one track is put into tags.
struct Track {
    codec: ffmpeg::codec::Id,
    four_cc: Option<[u8; 4]>,
    extradata: Vec<u8>,
}

impl Track {
    fn of(stream: &ffmpeg::Stream, enhanced: bool) -> Track {
        use ffmpeg::codec::Id;
        let parameters = stream.parameters();
        let codec = parameters.id();
        // SAFETY: extradata is as long as it says, and lives as long as the stream.
        let extradata = unsafe {
            let raw = parameters.as_ptr();
            match (*raw).extradata_size {
                0 => Vec::new(),
                length => std::slice::from_raw_parts((*raw).extradata, length as usize).to_vec(),
            }
        };
        let four_cc = match codec {
            Id::H264 if enhanced => Some(*b"avc1"),
            Id::HEVC if enhanced => Some(*b"hvc1"),
            Id::AAC if enhanced => Some(*b"mp4a"),
            Id::AV1 => Some(*b"av01"),
            Id::VP8 => Some(*b"vp08"),
            Id::VP9 => Some(*b"vp09"),
            Id::OPUS => Some(*b"Opus"),
            _ => None,
        };
        Track { codec, four_cc, extradata }
    }

    fn configuration(&self, due: Duration, timestamp: u32) -> Option<Tag> {
        use ffmpeg::codec::Id;
        let (kind, body) = match (self.codec, self.four_cc) {
            // A configuration record of VP8 or VP9: version 1, then profile, level, depth and colours.
            (Id::VP8 | Id::VP9, Some(four_cc)) => {
                (Kind::Video, [&[0x90][..], &four_cc, &[1, 0, 0, 0, 0, 0x1f, 0x80, 2, 2, 2, 0, 0]].concat())
            }
            (Id::AAC | Id::OPUS, Some(four_cc)) => (Kind::Audio, [&[0x90][..], &four_cc, &self.extradata].concat()),
            (_, Some(four_cc)) => (Kind::Video, [&[0x90][..], &four_cc, &self.extradata].concat()),
            (Id::H264, None) => (Kind::Video, [&[0x17, 0, 0, 0, 0][..], &self.extradata].concat()),
            (Id::HEVC, None) => (Kind::Video, [&[0x1c, 0, 0, 0, 0][..], &self.extradata].concat()),
            (Id::AAC, None) => (Kind::Audio, [&[0xaf, 0][..], &self.extradata].concat()),
            _ => return None,
        };
        Some(Tag { due, timestamp, kind, body })
    }

    fn unit(&self, timestamp: u32, composition: i32, key: bool, data: &[u8]) -> Tag {
        use ffmpeg::codec::Id;
        let frame = if key { 0x10 } else { 0x20 };
        let composed = &composition.to_be_bytes()[1..];
        let (kind, header) = match (self.codec, self.four_cc) {
            (Id::AAC | Id::OPUS, Some(four_cc)) => (Kind::Audio, [&[0x91][..], &four_cc].concat()),
            (Id::H264 | Id::HEVC, Some(four_cc)) if composition == 0 => {
                (Kind::Video, [&[0x83 | frame][..], &four_cc].concat())
            }
            (Id::H264 | Id::HEVC, Some(four_cc)) => (Kind::Video, [&[0x81 | frame][..], &four_cc, composed].concat()),
            (_, Some(four_cc)) => (Kind::Video, [&[0x81 | frame][..], &four_cc].concat()),
            (Id::H264, None) => (Kind::Video, [&[0x07 | frame, 1][..], composed].concat()),
            (Id::HEVC, None) => (Kind::Video, [&[0x0c | frame, 1][..], composed].concat()),
            (Id::AAC, None) => (Kind::Audio, vec![0xaf, 1]),
            (Id::MP3, None) => (Kind::Audio, vec![0x2f]),
            (Id::PCM_ALAW, None) => (Kind::Audio, vec![0x72]),
            (other, None) => panic!("{other:?} has no place in FLV"),
        };
        let due = Duration::from_millis(timestamp.into());
        Tag { due, timestamp, kind, body: [&header[..], data].concat() }
    }
}

/// Rises with every change to what a fixture holds, so that no old one is taken for it.
const REVISION: u32 = 2;
