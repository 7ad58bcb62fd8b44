//! Pictures → H.264 access units, no frame of delay.

use std::os::raw::c_void;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ffmpeg::ffi;
use ffmpeg::format::Pixel;
use ffmpeg::{Dictionary, Rational, picture};
use ffmpeg_next as ffmpeg;

use super::{Error, init};
use crate::media::frame::{Matrix, Range};
use crate::media::time::TICKS_PER_SECOND;
use crate::media::{Colour, EncodedVideo, MediaTime, Picture, Resolution};

/// What an encoder is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub resolution: Resolution,
    pub colour: Colour,
    pub frames_per_second: u32,
    /// Bits a second.
    pub bitrate: u32,
    /// The longest distance between two IDR pictures, in frames.
    pub keyframe_interval: u32,
    /// Slices encoded side by side.
    pub threads: u32,
}

/// libx264: superfast, zerolatency, constrained baseline. One picture in, its access unit out.
pub struct Encoder {
    encoder: ffmpeg::encoder::video::Encoder,
    packet: ffmpeg::Packet,
    config: Config,
}

impl Encoder {
    pub fn open(config: Config) -> Result<Encoder, Error> {
        init();
        let codec = ffmpeg::encoder::find_by_name("libx264").ok_or(Error::Missing("libx264 encoder"))?;
        let context = ffmpeg::codec::Context::new_with_codec(codec);
        let mut video = context.encoder().video().map_err(Error::ffmpeg("opening libx264"))?;
        let Resolution { width, height } = config.resolution;
        video.set_width(width);
        video.set_height(height);
        video.set_format(Pixel::YUV420P);
        video.set_time_base(Rational(1, TICKS_PER_SECOND as i32));
        video.set_frame_rate(Some(Rational(config.frames_per_second as i32, 1)));
        video.set_gop(config.keyframe_interval);
        video.set_max_b_frames(0);
        video.set_colorspace(match config.colour.matrix {
            Matrix::Bt709 => ffmpeg::color::Space::BT709,
            Matrix::Bt601 => ffmpeg::color::Space::SMPTE170M,
        });
        video.set_color_range(match config.colour.range {
            Range::Limited => ffmpeg::color::Range::MPEG,
            Range::Full => ffmpeg::color::Range::JPEG,
        });
        video.set_bit_rate(config.bitrate as usize);
        video.set_max_bit_rate(config.bitrate as usize);
        // SAFETY: plain fields of a context that is not open yet.
        unsafe {
            let raw = video.as_mut_ptr();
            (*raw).rc_buffer_size = buffer_size(config.bitrate);
            (*raw).thread_count = config.threads as i32;
            (*raw).thread_type = ffi::FF_THREAD_SLICE;
            // Left-sited, as H.264 takes unsaid chroma to be and as the overlay is blended.
            (*raw).chroma_sample_location = ffi::AVChromaLocation::AVCHROMA_LOC_LEFT;
        }
        let mut options = Dictionary::new();
        options.set("preset", "superfast");
        options.set("tune", "zerolatency");
        options.set("profile", "baseline");
        options.set("forced-idr", "1");
        options.set("x264-params", "repeat-headers=1:annexb=1:scenecut=0");
        let encoder = video.open_as_with(codec, options).map_err(Error::ffmpeg("opening libx264"))?;
        Ok(Encoder { encoder, packet: ffmpeg::Packet::empty(), config })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the rate from the next picture on.
    pub fn set_bitrate(&mut self, bitrate: u32) {
        self.config.bitrate = bitrate;
        self.encoder.set_bit_rate(bitrate as usize);
        self.encoder.set_max_bit_rate(bitrate as usize);
        // SAFETY: x264's wrapper compares this field with its own at every picture.
        unsafe { (*self.encoder.as_mut_ptr()).rc_buffer_size = buffer_size(bitrate) };
    }

    /// Encodes a picture of the configured size. `idr` makes it a point where decoding can begin.
    pub fn encode(
        &mut self,
        picture: &Arc<Picture>,
        at: MediaTime,
        arrived: Option<Instant>,
        idr: bool,
    ) -> Result<Option<EncodedVideo>, Error> {
        let mut frame = shared(picture, self.config.resolution)?;
        frame.set_pts(Some(at.ticks()));
        frame.set_kind(if idr { picture::Type::I } else { picture::Type::None });
        self.encoder.send_frame(&frame).map_err(Error::ffmpeg("encoding H.264"))?;
        match self.encoder.receive_packet(&mut self.packet) {
            Ok(()) => {}
            Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => return Ok(None),
            Err(error) => return Err(Error::ffmpeg("encoding H.264")(error)),
        }
        let data = Bytes::copy_from_slice(self.packet.data().unwrap_or_default());
        Ok(Some(EncodedVideo { at, key: self.packet.is_key(), data, arrived }))
    }
}

/// The decoder's buffer in bits (ITU-T H.264 §C.1): half a second, so that an IDR has room and delay stays short.
fn buffer_size(bitrate: u32) -> i32 {
    i32::try_from(bitrate / 2).unwrap_or(i32::MAX)
}

/// An AVFrame over a picture's own bytes, which it keeps alive.
pub(super) fn shared(picture: &Arc<Picture>, resolution: Resolution) -> Result<ffmpeg::frame::Video, Error> {
    if picture.resolution() != resolution {
        let Resolution { width, height } = picture.resolution();
        return Err(Error::Size { width, height });
    }
    let mut frame = ffmpeg::frame::Video::empty();
    frame.set_format(Pixel::YUV420P);
    frame.set_width(resolution.width);
    frame.set_height(resolution.height);
    let owner = Box::into_raw(Box::new(picture.clone()));
    // SAFETY: the planes live as long as the boxed Arc, which `release` drops when FFmpeg lets go of the buffer. The buffer
    // is marked read-only, so nothing writes through the pointers.
    unsafe {
        let raw = frame.as_mut_ptr();
        for index in 0..3 {
            let plane = picture.plane(index);
            (*raw).data[index] = plane.data.as_ptr().cast_mut();
            (*raw).linesize[index] = plane.stride as i32;
        }
        let luma = picture.plane(0).data;
        let buffer = ffi::av_buffer_create(
            luma.as_ptr().cast_mut(),
            luma.len() as _,
            Some(release),
            owner.cast::<c_void>(),
            ffi::AV_BUFFER_FLAG_READONLY,
        );
        if buffer.is_null() {
            drop(Box::from_raw(owner));
            return Err(Error::Refused { what: "handing a picture to the encoder" });
        }
        (*raw).buf[0] = buffer;
    }
    Ok(frame)
}

unsafe extern "C" fn release(owner: *mut c_void, _: *mut u8) {
    // SAFETY: `owner` is the box that `shared` gave away, and FFmpeg calls this once.
    drop(unsafe { Box::from_raw(owner.cast::<Arc<Picture>>()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Decoder, Fitting, Target};
    use crate::media::access_unit::{AccessUnit, VideoCodec, nal_units};
    use crate::media::{Pool, VideoConfig};
    use std::time::Duration;

    const SIZE: Resolution = Resolution::new(320, 180);

    fn config() -> Config {
        let (frames_per_second, keyframe_interval) = (30, 120);
        Config {
            resolution: SIZE,
            colour: Colour::BT601,
            frames_per_second,
            bitrate: 500_000,
            keyframe_interval,
            threads: 2,
        }
    }

    fn grey(pool: &Pool, luma: u8) -> Arc<Picture> {
        let mut picture = pool.take(Colour::BT601);
        picture.fill([luma, 128, 128]);
        picture.freeze()
    }

    fn encode(count: i64, idr: impl Fn(i64) -> bool) -> Vec<EncodedVideo> {
        let pool = Pool::new(SIZE);
        let mut encoder = Encoder::open(config()).unwrap();
        let at = |n: i64| MediaTime::from_ticks(7_000_000_000 + n * 3000);
        let picture = |n: i64| grey(&pool, 20 + n as u8);
        (0..count).map(|n| encoder.encode(&picture(n), at(n), None, idr(n)).unwrap().unwrap()).collect()
    }

    #[test]
    fn each_picture_comes_out_at_once_and_decodes_to_itself() {
        let units = encode(30, |_| false);
        let annex_b = VideoConfig { codec: VideoCodec::H264, extradata: Bytes::new() };
        let mut decoder = Decoder::open(&annex_b).unwrap();
        let mut shades = Vec::new();
        let target = Target { resolution: SIZE, colour: Colour::BT601, fitting: Fitting::Bars };
        for (n, unit) in units.iter().enumerate() {
            let pts = Duration::from_millis(n as u64 * 33);
            let unit = AccessUnit { pts, dts: pts, key: unit.key, data: unit.data.clone(), arrived: Instant::now() };
            let decoded = decoder.decode(&unit, target, |decoded| {
                assert_eq!(decoded.pts, pts, "no frame of delay");
                shades.push(decoded.picture.plane(0).data[1000]);
            });
            decoded.unwrap();
        }
        assert_eq!(shades.len(), 30);
        for (n, shade) in shades.iter().enumerate() {
            assert!(shade.abs_diff(20 + n as u8) <= 2, "picture {n} is {shade}");
        }
    }

    #[test]
    fn an_idr_comes_when_asked_and_carries_its_parameter_sets() {
        for (n, unit) in encode(20, |n| n == 7).iter().enumerate() {
            let kinds: Vec<u8> = nal_units(&unit.data).map(|nal| nal[0] & 31).collect();
            let idr = n == 0 || n == 7;
            assert_eq!(unit.key, idr, "picture {n}");
            assert_eq!(kinds.contains(&5), idr);
            assert_eq!(kinds.contains(&7) && kinds.contains(&8), idr);
        }
    }

    #[test]
    fn the_stream_is_constrained_baseline() {
        let units = encode(1, |_| true);
        let sps = nal_units(&units[0].data).find(|nal| nal[0] & 31 == 7).unwrap();
        assert_eq!(sps[1], 66, "baseline");
        assert_ne!(sps[2] & 0x40, 0, "constraint_set1: constrained");
    }

    #[test]
    fn a_picture_is_let_go_once_encoded() {
        let pool = Pool::new(SIZE);
        let picture = grey(&pool, 100);
        let mut encoder = Encoder::open(config()).unwrap();
        encoder.encode(&picture, MediaTime::ZERO, None, false).unwrap();
        encoder.encode(&grey(&pool, 101), MediaTime::from_ticks(3000), None, false).unwrap();
        assert_eq!(Arc::strong_count(&picture), 1);
    }
}
