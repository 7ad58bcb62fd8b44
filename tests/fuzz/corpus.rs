//! Good bytes, made anew at every start: small films and tapes by FFmpeg's encoders.

use bytes::Bytes;
use ffmpeg::format::{Pixel, Sample};
use ffmpeg::{ChannelLayout, Dictionary, Packet, Rational};
use ffmpeg_next as ffmpeg;
use hawker::media::access_unit::{AudioCodec, VideoCodec, nal_units};
use hawker::media::{AudioConfig, VideoConfig};

use crate::mutate::Chance;

/// A coded film: what a decoder is opened with, and its access units.
pub struct Film {
    pub config: VideoConfig,
    pub units: Vec<Vec<u8>>,
}

/// A coded tape.
pub struct Tape {
    pub config: AudioConfig,
    pub units: Vec<Vec<u8>>,
}

/// Every codec that publishers may send, in several sizes and forms. A codec that this FFmpeg cannot encode is left out.
pub fn films() -> Vec<Film> {
    quiet();
    let annex_b = |codec, units: Vec<Vec<u8>>| Film { config: VideoConfig { codec, extradata: Bytes::new() }, units };
    let mut films = Vec::new();
    let x264: &[(&str, &str)] = &[("preset", "veryfast"), ("profile", "high")];
    for (width, height) in [(64, 64), (320, 180), (642, 362)] {
        let units = encoded("libx264", Pixel::YUV420P, (width, height), 20, 3, x264).unwrap();
        films.push(length_prefixed(VideoCodec::H264, &units));
        films.push(annex_b(VideoCodec::H264, units));
    }
    let deep = encoded("libx264", Pixel::YUV422P10LE, (160, 96), 12, 0, &[("preset", "veryfast")]);
    films.extend(deep.map(|units| annex_b(VideoCodec::H264, units)));
    for size in [(128, 128), (320, 180)] {
        let x265 = [("preset", "ultrafast"), ("x265-params", "log-level=none:pools=none:frame-threads=1")];
        if let Some(units) = encoded("libx265", Pixel::YUV420P, size, 12, 2, &x265) {
            films.push(length_prefixed(VideoCodec::H265, &units));
            films.push(annex_b(VideoCodec::H265, units));
        }
    }
    let aom = [("usage", "realtime"), ("cpu-used", "8")];
    let vpx = [("deadline", "realtime"), ("cpu-used", "8")];
    for (codec, encoder, options) in
        [(VideoCodec::Av1, "libaom-av1", aom), (VideoCodec::Vp8, "libvpx", vpx), (VideoCodec::Vp9, "libvpx-vp9", vpx)]
    {
        let units = encoded(encoder, Pixel::YUV420P, (176, 144), 12, 0, &options);
        films.extend(units.map(|units| annex_b(codec, units)));
    }
    films
}

/// Every codec of sound.
pub fn tapes() -> Vec<Tape> {
    quiet();
    let tape = |codec, extradata: &'static [u8], format, units| Tape {
        config: AudioConfig { codec, extradata: Bytes::from_static(extradata), format },
        units,
    };
    let mut tapes = vec![
        // AAC-LC: 48 kHz stereo, 44.1 kHz mono (ISO/IEC 14496-3 §1.6.2.1).
        tape(AudioCodec::Aac, &[0x11, 0x90], None, recorded("aac", 48_000, ChannelLayout::STEREO).unwrap()),
        tape(AudioCodec::Aac, &[0x12, 0x08], None, recorded("aac", 44_100, ChannelLayout::MONO).unwrap()),
        tape(AudioCodec::Pcmu, &[], Some((8_000, 1)), vec![vec![0x5a; 160]; 24]),
        tape(AudioCodec::Pcma, &[], Some((16_000, 2)), vec![vec![0xd5; 640]; 24]),
    ];
    let opus = recorded("libopus", 48_000, ChannelLayout::STEREO);
    tapes.extend(opus.map(|units| tape(AudioCodec::Opus, &[], None, units)));
    tapes
}

/// Pictures that move and are not quite alike, as access units; none without the encoder.
fn encoded(
    encoder: &str,
    format: Pixel,
    (width, height): (u32, u32),
    pictures: i64,
    b_frames: usize,
    options: &[(&str, &str)],
) -> Option<Vec<Vec<u8>>> {
    let codec = ffmpeg::encoder::find_by_name(encoder)?;
    let mut video = ffmpeg::codec::Context::new_with_codec(codec).encoder().video().unwrap();
    video.set_width(width);
    video.set_height(height);
    video.set_format(format);
    video.set_time_base(Rational(1, 30));
    video.set_gop(8);
    video.set_max_b_frames(b_frames);
    video.set_bit_rate(200_000);
    let mut dictionary = Dictionary::new();
    for (name, value) in options {
        dictionary.set(name, value);
    }
    let mut encoder = video.open_as_with(codec, dictionary).ok()?;
    let mut chance = Chance::of(0, u64::from(width));
    let mut units = Vec::new();
    for n in 0..pictures {
        let mut frame = ffmpeg::frame::Video::new(format, width, height);
        for plane in 0..3 {
            let stride = frame.stride(plane);
            for (y, row) in frame.data_mut(plane).chunks_mut(stride).enumerate() {
                for (x, pixel) in row.iter_mut().enumerate() {
                    // Of samples of two bytes the high one stays small, as ten bits want it.
                    *pixel =
                        if format == Pixel::YUV422P10LE && x % 2 == 1 { 1 } else { (x + y + 3 * n as usize) as u8 };
                }
            }
        }
        for _ in 0..64 {
            let at = chance.below(frame.data(0).len() / 2) * 2;
            frame.data_mut(0)[at] = chance.next() as u8;
        }
        frame.set_pts(Some(n));
        encoder.send_frame(&frame).unwrap();
        drain(|packet| encoder.receive_packet(packet).is_ok(), &mut units);
    }
    encoder.send_eof().unwrap();
    drain(|packet| encoder.receive_packet(packet).is_ok(), &mut units);
    Some(units)
}

/// Half a second of a tone, as packets; none without the encoder.
fn recorded(encoder: &str, rate: u32, layout: ChannelLayout) -> Option<Vec<Vec<u8>>> {
    let codec = ffmpeg::encoder::find_by_name(encoder)?;
    let mut audio = ffmpeg::codec::Context::new_with_codec(codec).encoder().audio().unwrap();
    // AAC's encoder takes planes, libopus the samples in turn.
    let kind =
        if encoder == "aac" { ffmpeg::format::sample::Type::Planar } else { ffmpeg::format::sample::Type::Packed };
    audio.set_rate(rate as i32);
    audio.set_format(Sample::F32(kind));
    audio.set_channel_layout(layout);
    audio.set_bit_rate(96_000);
    audio.set_time_base(Rational(1, rate as i32));
    let mut encoder = audio.open_as(codec).ok()?;
    let samples = encoder.frame_size().max(960) as usize;
    let mut units = Vec::new();
    for n in 0..24 {
        let mut frame = ffmpeg::frame::Audio::new(Sample::F32(kind), samples, layout);
        frame.set_rate(rate);
        frame.set_pts(Some((n * samples) as i64));
        for plane in 0..frame.planes() {
            for (at, sample) in frame.data_mut(plane).chunks_exact_mut(4).enumerate() {
                sample.copy_from_slice(&(0.4 * ((at + n * samples) as f32 * 0.05).sin()).to_ne_bytes());
            }
        }
        encoder.send_frame(&frame).unwrap();
        drain(|packet| encoder.receive_packet(packet).is_ok(), &mut units);
    }
    Some(units)
}

fn drain(mut receive: impl FnMut(&mut Packet) -> bool, units: &mut Vec<Vec<u8>>) {
    let mut packet = Packet::empty();
    while receive(&mut packet) {
        units.push(packet.data().unwrap_or_default().to_vec());
    }
}

/// The film as containers carry it: parameter sets in a record, lengths before the other units (ISO/IEC 14496-15).
fn length_prefixed(codec: VideoCodec, annex_b: &[Vec<u8>]) -> Film {
    let kind = |nal: &[u8]| if codec == VideoCodec::H264 { nal[0] & 31 } else { nal[0] >> 1 & 63 };
    let parameter_sets: &[u8] = if codec == VideoCodec::H264 { &[7, 8] } else { &[32, 33, 34] };
    let of_kind = |wanted: u8| {
        let nals = annex_b.iter().flat_map(|unit| nal_units(unit));
        nals.filter(|nal| kind(nal) == wanted).map(<[u8]>::to_vec).next().unwrap()
    };
    let sets: Vec<Vec<u8>> = parameter_sets.iter().map(|&wanted| of_kind(wanted)).collect();
    let with_length = |set: &Vec<u8>| [&(set.len() as u16).to_be_bytes()[..], set].concat();
    let mut record = vec![1];
    if codec == VideoCodec::H264 {
        record.extend_from_slice(&sets[0][1..4]);
        record.extend([0xff, 0xe1]);
        record.extend(with_length(&sets[0]));
        record.push(1);
        record.extend(with_length(&sets[1]));
    } else {
        // Main profile, level 3.1; decoders go by the sets themselves.
        record.extend([1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 3]);
        for (set, kind) in sets.iter().zip(parameter_sets) {
            record.extend([0x80 | kind, 0, 1]);
            record.extend(with_length(set));
        }
    }
    let prefixed = |unit: &Vec<u8>| {
        let kept = nal_units(unit).filter(|nal| !parameter_sets.contains(&kind(nal)));
        kept.flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect()
    };
    Film { config: VideoConfig { codec, extradata: record.into() }, units: annex_b.iter().map(prefixed).collect() }
}

fn quiet() {
    ffmpeg::util::log::set_level(ffmpeg::util::log::Level::Quiet);
}
