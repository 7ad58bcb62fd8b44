//! Video access units → pictures of the canvas's size and colour.

use std::sync::Arc;
use std::time::Duration;

use ffmpeg::codec::threading;
use ffmpeg::ffi;
use ffmpeg_next as ffmpeg;

use super::fit::{Fit, Target};
use super::source::Source;
use super::{Error, MAX_PIXELS, init, set_extradata};
use crate::media::access_unit::{AccessUnit, VideoCodec};
use crate::media::{Picture, VideoConfig};

/// What one publication's pictures are decoded with. B-frames come out in display order, two frames late at most.
pub struct Decoder {
    decoder: ffmpeg::decoder::Video,
    frame: ffmpeg::frame::Video,
    fit: Option<Fit>,
    seen: Option<Source>,
    pictures: u64,
}

/// A decoded picture, on the publisher's timeline.
pub struct Decoded {
    pub pts: Duration,
    pub picture: Arc<Picture>,
}

impl Decoder {
    pub fn open(config: &VideoConfig) -> Result<Decoder, Error> {
        init();
        // By name: FFmpeg's own AV1 decoder comes first in its list, and works on some graphics cards only.
        let (name, what) = match config.codec {
            VideoCodec::H264 => ("h264", "H.264 decoder"),
            VideoCodec::H265 => ("hevc", "H.265 decoder"),
            VideoCodec::Av1 => ("libdav1d", "AV1 decoder (libdav1d)"),
            VideoCodec::Vp8 => ("vp8", "VP8 decoder"),
            VideoCodec::Vp9 => ("vp9", "VP9 decoder"),
        };
        let codec = ffmpeg::decoder::find_by_name(name).ok_or(Error::Missing(what))?;
        let mut context = ffmpeg::codec::Context::new_with_codec(codec);
        set_extradata(&mut context, &config.extradata)?;
        // One thread: frame threads would add a frame of delay each, and encoders seldom send several slices.
        context.set_threading(threading::Config { kind: threading::Type::Slice, count: 1, ..Default::default() });
        // SAFETY: plain fields of a context that is not open yet.
        unsafe {
            let raw = context.as_mut_ptr();
            (*raw).max_pixels = MAX_PIXELS;
            (*raw).pkt_timebase = ffi::AVRational { num: 1, den: 1_000_000 };
        }
        if config.codec == VideoCodec::Av1 {
            // For libdav1d: each picture as soon as its unit is in. For others it would mean that nothing is reordered.
            context.set_flags(ffmpeg::codec::Flags::LOW_DELAY);
        }
        let decoder = context.decoder().open_as(codec).and_then(|opened| opened.video());
        let decoder = decoder.map_err(Error::ffmpeg("opening the video decoder"))?;
        Ok(Decoder { decoder, frame: ffmpeg::frame::Video::empty(), fit: None, seen: None, pictures: 0 })
    }

    /// What the newest picture was, before it was fitted to the canvas.
    pub fn source(&self) -> Option<Source> {
        self.seen
    }

    /// How many pictures came out so far, shown or not.
    pub fn pictures(&self) -> u64 {
        self.pictures
    }

    /// Decodes one unit; pictures that became ready are brought to `target` and handed to `out`, also where damage in them had
    /// to be concealed. Without a target they are only counted: later ones may refer to them. An error loses this unit only.
    pub fn decode(
        &mut self,
        unit: &AccessUnit,
        target: impl Into<Option<Target>>,
        mut out: impl FnMut(Decoded),
    ) -> Result<(), Error> {
        let target = target.into();
        let mut packet = ffmpeg::Packet::copy(&unit.data);
        // Without a decoding time: FFmpeg would take it for the presentation time whenever that ever steps back.
        packet.set_pts(Some(micros(unit.pts)));
        let sent = self.decoder.send_packet(&packet).map_err(Error::ffmpeg("decoding video"));
        let mut concealed = false;
        // What is ready comes out even when this unit was damaged.
        loop {
            match self.decoder.receive_frame(&mut self.frame) {
                Ok(()) => {
                    let pts = self.frame.pts().and_then(|micros| u64::try_from(micros).ok());
                    let pts = pts.map_or(unit.pts, Duration::from_micros);
                    let frame = std::mem::replace(&mut self.frame, ffmpeg::frame::Video::empty());
                    // SAFETY: a plain field of a frame that is ours.
                    concealed |= frame.is_corrupt() || unsafe { (*frame.as_ptr()).decode_error_flags } != 0;
                    let source = Source::of(&frame)?;
                    self.seen = Some(source);
                    self.pictures += 1;
                    let Some(target) = target else { continue };
                    let fit = match &mut self.fit {
                        Some(fit) if fit.target() == target => fit,
                        slot => slot.insert(Fit::new(target)),
                    };
                    out(Decoded { pts, picture: fit.frame(frame, source)? });
                }
                Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) | Err(ffmpeg::Error::Eof) => {
                    return sent.and(if concealed { Err(Error::Concealed) } else { Ok(()) });
                }
                Err(error) => return sent.and(Err(Error::ffmpeg("decoding video")(error))),
            }
        }
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod every_codec;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Colour, Resolution};
    use ffmpeg::format::Pixel;
    use ffmpeg::{Dictionary, Packet, Rational};
    use std::time::Instant;

    fn target(resolution: Resolution, colour: Colour) -> Target {
        Target { resolution, colour, fitting: super::super::fit::Fitting::Bars }
    }

    /// What OBS sends by default: High profile, three B-frames, one keyframe in 250; picture n is of luma 40 + n.
    fn obs_like(size: Resolution, pictures: i64) -> (VideoConfig, Vec<AccessUnit>) {
        init();
        let codec = ffmpeg::encoder::find_by_name("libx264").unwrap();
        let mut video = ffmpeg::codec::Context::new_with_codec(codec).encoder().video().unwrap();
        video.set_width(size.width);
        video.set_height(size.height);
        video.set_format(Pixel::YUV420P);
        video.set_time_base(Rational(1, 30));
        video.set_gop(250);
        video.set_max_b_frames(3);
        let mut options = Dictionary::new();
        options.set("preset", "veryfast");
        options.set("profile", "high");
        let mut encoder = video.open_as_with(codec, options).unwrap();
        let mut units = Vec::new();
        let mut take = |encoder: &mut ffmpeg::encoder::video::Encoder| {
            let mut packet = Packet::empty();
            while encoder.receive_packet(&mut packet).is_ok() {
                let time = |frames: i64| Duration::from_millis((frames + 2) as u64 * 100 / 3);
                units.push(AccessUnit {
                    pts: time(packet.pts().unwrap()),
                    dts: time(packet.dts().unwrap()),
                    key: packet.is_key(),
                    data: bytes::Bytes::copy_from_slice(packet.data().unwrap()),
                    arrived: Instant::now(),
                });
            }
        };
        for n in 0..pictures {
            let mut frame = ffmpeg::frame::Video::new(Pixel::YUV420P, size.width, size.height);
            for (plane, value) in [(0, 40 + n as u8), (1, 128), (2, 128)] {
                frame.data_mut(plane).fill(value);
            }
            frame.set_pts(Some(n));
            encoder.send_frame(&frame).unwrap();
            take(&mut encoder);
        }
        encoder.send_eof().unwrap();
        take(&mut encoder);
        (VideoConfig { codec: VideoCodec::H264, extradata: bytes::Bytes::new() }, units)
    }

    #[test]
    fn b_frames_come_out_in_display_order_two_frames_late() {
        let size = Resolution::new(320, 180);
        let (config, units) = obs_like(size, 60);
        assert!(units.iter().any(|unit| unit.pts > unit.dts), "the stream is reordered");
        let mut decoder = Decoder::open(&config).unwrap();
        let mut shown = Vec::new();
        for (sent, unit) in units.iter().enumerate() {
            let ready = |decoded: Decoded| shown.push((decoded.pts, decoded.picture.plane(0).data[500]));
            decoder.decode(unit, target(size, Colour::BT601), ready).unwrap();
            assert!(shown.len() + 2 > sent, "at most two frames are held back");
        }
        assert!(shown.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (n, (_, luma)) in shown.iter().enumerate() {
            assert!(luma.abs_diff(40 + n as u8) <= 2, "picture {n} is {luma}");
        }
    }

    #[test]
    fn another_shape_is_fitted_between_black_bars() {
        let (config, units) = obs_like(Resolution::new(160, 160), 8);
        let mut decoder = Decoder::open(&config).unwrap();
        let mut pictures = Vec::new();
        for unit in &units {
            decoder
                .decode(unit, target(Resolution::new(320, 180), Colour::BT709), |decoded| {
                    pictures.push(decoded.picture)
                })
                .unwrap();
        }
        let picture = &pictures[0];
        assert_eq!((picture.resolution(), picture.colour()), (Resolution::new(320, 180), Colour::BT709));
        let luma = picture.plane(0);
        let at = |x: usize, y: usize| luma.data[y * luma.stride + x];
        assert_eq!(at(10, 90), 16);
        assert!(at(160, 90).abs_diff(40) <= 2 && at(160, 2).abs_diff(40) <= 2);
        assert_eq!(at(310, 90), 16);
        assert_eq!(decoder.source().unwrap().resolution, Resolution::new(160, 160));
    }

    #[test]
    fn damaged_units_are_errors_and_the_next_keyframe_heals() {
        let size = Resolution::new(320, 180);
        let (config, units) = obs_like(size, 30);
        let mut decoder = Decoder::open(&config).unwrap();
        let mut seed = 7u32;
        for unit in &units {
            let mut data = unit.data.to_vec();
            for byte in data.iter_mut().skip(20).step_by(11) {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte ^= (seed >> 24) as u8;
            }
            // Whatever comes of it: no panic, no picture of another size.
            let _ = decoder.decode(
                &AccessUnit { data: data.into(), ..unit.clone() },
                target(size, Colour::BT601),
                |decoded| {
                    assert_eq!(decoded.picture.resolution(), size);
                },
            );
        }
        let mut healed = 0;
        for unit in &units {
            let _ = decoder.decode(unit, target(size, Colour::BT601), |_| healed += 1);
        }
        assert!(healed > 20, "{healed} pictures after the damage");
    }
}
