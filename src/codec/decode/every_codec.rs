//! Every codec that a publisher may send, in the shapes that encoders give it, whole and damaged.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ffmpeg::format::Pixel;
use ffmpeg::{Dictionary, Packet, Rational, color};
use ffmpeg_next as ffmpeg;

use super::*;
use crate::codec::Fitting;
use crate::media::frame::{Matrix, Range};
use crate::media::{Colour, Resolution};

/// Coded by FFmpeg's encoders: picture n is grey, of luma `luma` + n.
#[derive(Clone, Copy)]
struct Stream {
    codec: VideoCodec,
    width: u32,
    height: u32,
    format: Pixel,
    range: color::Range,
    matrix: color::Space,
    luma: u8,
    /// Of all pictures, in 8 bits.
    chroma: [u8; 2],
    pictures: i64,
    /// Further options of the encoder.
    options: &'static [(&'static str, &'static str)],
}

const EVERY: [VideoCodec; 5] = [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1, VideoCodec::Vp8, VideoCodec::Vp9];

impl Stream {
    fn of(codec: VideoCodec) -> Stream {
        Stream {
            codec,
            width: 192,
            height: 108,
            format: Pixel::YUV420P,
            range: color::Range::MPEG,
            matrix: color::Space::BT709,
            luma: 60,
            chroma: [128, 128],
            pictures: 12,
            options: &[],
        }
    }

    fn sized(self, width: u32, height: u32) -> Stream {
        Stream { width, height, ..self }
    }

    /// Annex B for H.264 and H.265, parameter sets in-band; what the codec is made of for the others.
    fn units(&self) -> Vec<AccessUnit> {
        init();
        let (name, fixed): (_, &[_]) = match self.codec {
            VideoCodec::H264 => ("libx264", &[("preset", "ultrafast"), ("tune", "zerolatency")]),
            VideoCodec::H265 => (
                "libx265",
                &[("preset", "ultrafast"), ("tune", "zerolatency"), ("x265-params", "log-level=none:repeat-headers=1")],
            ),
            VideoCodec::Av1 => ("libaom-av1", &[("usage", "realtime"), ("cpu-used", "8"), ("lag-in-frames", "0")]),
            VideoCodec::Vp8 => ("libvpx", &[("deadline", "realtime"), ("cpu-used", "8"), ("lag-in-frames", "0")]),
            VideoCodec::Vp9 => ("libvpx-vp9", &[("deadline", "realtime"), ("cpu-used", "8"), ("lag-in-frames", "0")]),
        };
        let codec = ffmpeg::encoder::find_by_name(name).expect("Debian's FFmpeg has the encoder");
        let mut video = ffmpeg::codec::Context::new_with_codec(codec).encoder().video().unwrap();
        video.set_width(self.width);
        video.set_height(self.height);
        video.set_format(self.format);
        video.set_colorspace(self.matrix);
        video.set_color_range(self.range);
        video.set_time_base(Rational(1, 30));
        video.set_gop(6);
        video.set_max_b_frames(0);
        video.set_bit_rate(2_000_000);
        let mut options = Dictionary::new();
        for (name, value) in fixed.iter().chain(self.options) {
            options.set(name, value);
        }
        let mut encoder = video.open_as_with(codec, options).unwrap();
        let mut units = Vec::new();
        for n in 0..=self.pictures {
            match n {
                n if n < self.pictures => encoder.send_frame(&self.picture(n)).unwrap(),
                _ => encoder.send_eof().unwrap(),
            }
            let mut packet = Packet::empty();
            while encoder.receive_packet(&mut packet).is_ok() {
                let pts = Duration::from_millis(packet.pts().unwrap() as u64 * 100 / 3);
                let data = Bytes::copy_from_slice(packet.data().unwrap());
                units.push(AccessUnit { pts, dts: pts, key: packet.is_key(), data, arrived: Instant::now() });
            }
        }
        units
    }

    fn picture(&self, n: i64) -> ffmpeg::frame::Video {
        let mut frame = ffmpeg::frame::Video::new(self.format, self.width, self.height);
        frame.set_color_space(self.matrix);
        frame.set_color_range(self.range);
        let wide = matches!(self.format, Pixel::YUV420P10LE | Pixel::YUV422P10LE | Pixel::YUV444P10LE);
        for (plane, value) in [self.luma + n as u8, self.chroma[0], self.chroma[1]].into_iter().enumerate() {
            if wide {
                let value = (u16::from(value) << 2).to_le_bytes();
                frame.data_mut(plane).chunks_exact_mut(2).for_each(|pixel| pixel.copy_from_slice(&value));
            } else {
                frame.data_mut(plane).fill(value);
            }
        }
        frame.set_pts(Some(n));
        frame
    }
}

const CANVAS: Resolution = Resolution::new(192, 108);

fn decoder(stream: &Stream) -> Decoder {
    let config = VideoConfig { codec: stream.codec, extradata: Bytes::new() };
    Decoder::open(&config).unwrap()
}

/// Decodes a unit onto the canvas.
fn decode(decoder: &mut Decoder, unit: &AccessUnit, out: impl FnMut(Decoded)) -> Result<(), Error> {
    let target = Target { resolution: CANVAS, colour: Colour::BT709, fitting: Fitting::Bars };
    decoder.decode(unit, target, out)
}

/// What the pixel in the middle is.
fn middle(picture: &Picture) -> [u8; 3] {
    let Resolution { width, height } = picture.resolution();
    [(0, 2), (1, 4), (2, 4)].map(|(plane, divisor)| {
        let plane = picture.plane(plane);
        plane.data[height as usize / divisor * plane.stride + width as usize / divisor]
    })
}

fn assert_near(seen: [u8; 3], expected: [u8; 3], what: &str) {
    let near = seen.iter().zip(expected).all(|(seen, expected)| seen.abs_diff(expected) <= 3);
    assert!(near, "{what}: {seen:?}, not {expected:?}");
}

#[test]
fn a_stream_without_b_frames_is_shown_unit_by_unit() {
    for codec in EVERY {
        let stream = Stream::of(codec);
        let mut decoder = decoder(&stream);
        for (n, unit) in stream.units().iter().enumerate() {
            let mut shown = Vec::new();
            decode(&mut decoder, unit, |decoded| shown.push((decoded.pts, middle(&decoded.picture)))).unwrap();
            let [(pts, pixel)] = shown[..] else { panic!("{codec}: {} pictures from unit {n}", shown.len()) };
            assert_eq!(pts, unit.pts, "{codec}");
            assert_near(pixel, [60 + n as u8, 128, 128], &format!("{codec}, picture {n}"));
        }
        let source = Source { resolution: CANVAS, colour: Colour::BT709, interlaced: false, aspect: (1, 1) };
        // VP8 says nothing of its colour.
        let expected = if codec == VideoCodec::Vp8 { Source { colour: Colour::BT601, ..source } } else { source };
        assert_eq!(decoder.source(), Some(expected), "{codec}");
    }
}

#[test]
fn flipped_bits_cut_units_and_garbage_are_survived_and_the_next_keyframe_heals() {
    for codec in EVERY {
        let stream = Stream::of(codec);
        let units = stream.units();
        let mut decoder = decoder(&stream);
        let mut random = Random(7);
        let (mut errors, mut fed) = (0, 0);
        for round in 0..40 {
            for unit in &units {
                let mut data = unit.data.to_vec();
                match round % 4 {
                    0 => data.truncate(random.below(data.len())),
                    1 => data.iter_mut().for_each(|byte| *byte = random.below(256) as u8),
                    2 => data.clear(),
                    _ => {
                        for _ in 0..4 {
                            let at = random.below(data.len());
                            data[at] ^= 1 << random.below(8);
                        }
                    }
                }
                let damaged = AccessUnit { data: data.into(), ..unit.clone() };
                let result = decode(&mut decoder, &damaged, |decoded| assert_eq!(decoded.picture.resolution(), CANVAS));
                (errors, fed) = (errors + usize::from(result.is_err()), fed + 1);
            }
        }
        assert!(errors > 0, "{codec}: none of {fed} damaged units was counted");
        let mut healed = Vec::new();
        for unit in units.iter().chain(&units) {
            let _ = decode(&mut decoder, unit, |decoded| healed.push(middle(&decoded.picture)[0]));
        }
        let expected: Vec<u8> = (60..72).collect();
        let last = &healed[healed.len().saturating_sub(expected.len())..];
        assert!(
            last.iter().zip(&expected).all(|(seen, expected)| seen.abs_diff(*expected) <= 3) && last.len() == 12,
            "{codec}: {healed:?} after the damage"
        );
    }
}

#[test]
fn absurd_sizes_are_refused_by_every_codec_and_cost_nothing_after() {
    for codec in EVERY {
        let stream = Stream { pictures: 1, ..Stream::of(codec) };
        let mut decoder = decoder(&stream);
        for unit in &stream.sized(4096, 2320).units() {
            let refused = decode(&mut decoder, unit, |decoded| panic!("{codec}: {:?}", decoded.picture));
            assert!(refused.is_err(), "{codec}");
        }
        let mut shown = 0;
        for unit in &stream.units() {
            decode(&mut decoder, unit, |_| shown += 1).unwrap();
        }
        assert_eq!(shown, 1, "{codec}: the next good picture is shown");
    }
}

#[test]
fn a_size_that_changes_in_band_is_followed() {
    for codec in EVERY {
        let wide = Stream::of(codec);
        let mut decoder = decoder(&wide);
        for (width, height) in [(192, 108), (108, 192), (320, 180), (192, 108)] {
            let mut shown = 0;
            for unit in &wide.sized(width, height).units() {
                decode(&mut decoder, unit, |decoded| {
                    assert_eq!(decoded.picture.resolution(), CANVAS);
                    shown += 1;
                })
                .unwrap();
            }
            assert_eq!(decoder.source().unwrap().resolution, Resolution::new(width, height), "{codec}");
            assert!(shown >= 12, "{codec}: {shown} pictures at {width}x{height}");
        }
    }
}

#[test]
fn deeper_and_finer_formats_are_converted() {
    for (codec, format) in [
        (VideoCodec::H264, Pixel::YUV420P10LE),
        (VideoCodec::H264, Pixel::YUV422P),
        (VideoCodec::H264, Pixel::YUV422P10LE),
        (VideoCodec::H264, Pixel::YUV444P),
        (VideoCodec::H265, Pixel::YUV420P10LE),
        (VideoCodec::H265, Pixel::YUV444P),
        (VideoCodec::Av1, Pixel::YUV420P10LE),
        (VideoCodec::Vp9, Pixel::YUV444P),
        (VideoCodec::Vp9, Pixel::YUV420P10LE),
    ] {
        let stream = Stream { format, chroma: [90, 170], ..Stream::of(codec) };
        let mut decoder = decoder(&stream);
        let mut shown = Vec::new();
        for unit in &stream.units() {
            decode(&mut decoder, unit, |decoded| shown.push(middle(&decoded.picture))).unwrap();
        }
        assert_near(shown[0], [60, 90, 170], &format!("{codec}, {format:?}"));
        assert_near(shown[11], [71, 90, 170], &format!("{codec}, {format:?}"));
    }
}

#[test]
fn full_range_and_the_older_matrix_are_converted() {
    for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1, VideoCodec::Vp9] {
        let full = Stream { range: color::Range::JPEG, luma: 200, ..Stream::of(codec) };
        let older = Stream { matrix: color::Space::SMPTE170M, luma: 100, chroma: [90, 170], ..Stream::of(codec) };
        for (stream, colour, expected) in [
            (full, Colour { matrix: Matrix::Bt709, range: Range::Full }, [188, 128, 128]),
            // The same colour, coded by the other matrix (ITU-T H.273).
            (older, Colour::BT601, [94, 92, 167]),
        ] {
            let mut decoder = decoder(&stream);
            let mut shown = Vec::new();
            for unit in &stream.units() {
                decode(&mut decoder, unit, |decoded| shown.push(middle(&decoded.picture))).unwrap();
            }
            assert_eq!(decoder.source().unwrap().colour, colour, "{codec}");
            assert_near(shown[0], expected, &format!("{codec}, {colour:?}"));
        }
    }
}

#[test]
fn odd_sizes_are_shown() {
    let sizes = [(853, 479), (427, 241), (33, 17)];
    for (codec, format) in [
        (VideoCodec::Vp8, Pixel::YUV420P),
        (VideoCodec::Vp9, Pixel::YUV420P),
        (VideoCodec::Av1, Pixel::YUV420P),
        (VideoCodec::H264, Pixel::YUV444P),
    ] {
        for (width, height) in sizes {
            let stream = Stream { pictures: 2, format, ..Stream::of(codec) }.sized(width, height);
            let mut decoder = decoder(&stream);
            let mut shown = Vec::new();
            for unit in &stream.units() {
                decode(&mut decoder, unit, |decoded| shown.push(middle(&decoded.picture))).unwrap();
            }
            assert_eq!(decoder.source().unwrap().resolution, Resolution::new(width, height), "{codec}");
            assert_near(shown[0], [60, 128, 128], &format!("{codec} at {width}x{height}"));
        }
    }
}

#[test]
fn interlaced_pictures_are_told_and_shown() {
    let stream = Stream { options: &[("x264-params", "tff=1")], ..Stream::of(VideoCodec::H264) };
    let mut decoder = decoder(&stream);
    let mut shown = 0;
    for unit in &stream.units() {
        decode(&mut decoder, unit, |_| shown += 1).unwrap();
    }
    assert!(decoder.source().unwrap().interlaced);
    assert!(shown >= 10, "{shown} pictures");
}

#[test]
fn damaged_configurations_open_or_are_refused() {
    let mut random = Random(3);
    for codec in EVERY {
        for length in [1, 4, 7, 23, 60, 400] {
            for first in [0, 1, 0x81, 0xff] {
                let mut extradata: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
                extradata[0] = first;
                let config = VideoConfig { codec, extradata: extradata.into() };
                if let Ok(mut decoder) = Decoder::open(&config) {
                    for unit in &Stream::of(VideoCodec::H264).units()[..2] {
                        let _ = decode(&mut decoder, unit, |_| ());
                    }
                }
            }
        }
    }
}

/// Numerical Recipes' generator: good enough to hit anywhere, the same every time.
struct Random(u32);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % limit.max(1)
    }
}
