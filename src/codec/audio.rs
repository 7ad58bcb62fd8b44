//! Any supported audio → 48 kHz stereo samples → Opus packets of 20 ms.

use std::time::Duration;

use bytes::Bytes;
use ffmpeg::format::Sample;
use ffmpeg::format::sample::Type;
use ffmpeg::software::resampling;
use ffmpeg::{ChannelLayout, Dictionary, Rational, frame};
use ffmpeg_next as ffmpeg;

use super::{Error, init, set_extradata};
use crate::media::AudioConfig;
use crate::media::access_unit::{AccessUnit, AudioCodec};

/// Samples a second, everywhere behind the decoder.
pub const RATE: u32 = 48_000;
/// Samples of one channel in one Opus packet of 20 ms.
pub const PACKET_SAMPLES: usize = 960;
/// Interleaved samples: left, right.
pub const CHANNELS: usize = 2;

const PACKED: Sample = Sample::F32(Type::Packed);

/// Decodes one publication's audio to 48 kHz stereo, interleaved.
pub struct AudioDecoder {
    decoder: ffmpeg::decoder::Audio,
    frame: frame::Audio,
    resampler: Option<Resampler>,
}

impl AudioDecoder {
    pub fn open(config: &AudioConfig) -> Result<AudioDecoder, Error> {
        init();
        let (id, what) = match config.codec {
            AudioCodec::Aac => (ffmpeg::codec::Id::AAC, "AAC decoder"),
            AudioCodec::Opus => (ffmpeg::codec::Id::OPUS, "Opus decoder"),
            AudioCodec::Mp3 => (ffmpeg::codec::Id::MP3, "MP3 decoder"),
            AudioCodec::Pcmu => (ffmpeg::codec::Id::PCM_MULAW, "G.711 decoder"),
            AudioCodec::Pcma => (ffmpeg::codec::Id::PCM_ALAW, "G.711 decoder"),
        };
        let codec = ffmpeg::decoder::find(id).ok_or(Error::Missing(what))?;
        let mut context = ffmpeg::codec::Context::new_with_codec(codec);
        set_extradata(&mut context, &config.extradata)?;
        // Opus says its channels in its header; without one it is stereo, as WebRTC sends it.
        let (rate, channels) = config.format.unwrap_or((RATE, CHANNELS as u16));
        // SAFETY: plain fields of a context that is not open yet.
        unsafe {
            let raw = context.as_mut_ptr();
            (*raw).pkt_timebase = ffmpeg::ffi::AVRational { num: 1, den: 1_000_000 };
            (*raw).sample_rate = i32::try_from(rate).unwrap_or(0);
            ffmpeg::ffi::av_channel_layout_default(&mut (*raw).ch_layout, i32::from(channels));
        }
        let decoder = context.decoder().open_as(codec).and_then(|opened| opened.audio());
        let decoder = decoder.map_err(Error::ffmpeg("opening the audio decoder"))?;
        Ok(AudioDecoder { decoder, frame: frame::Audio::empty(), resampler: None })
    }

    /// Rate and channels of what the publisher sends, once known.
    pub fn source(&self) -> Option<(u32, u16)> {
        self.resampler.as_ref().map(|resampler| (resampler.rate, resampler.channels))
    }

    /// Decodes one unit. `out` gets the time of the first sample on the publisher's timeline, and the samples.
    pub fn decode(&mut self, unit: &AccessUnit, mut out: impl FnMut(Duration, &[f32])) -> Result<(), Error> {
        let mut packet = ffmpeg::Packet::copy(&unit.data);
        packet.set_pts(i64::try_from(unit.pts.as_micros()).ok());
        self.decoder.send_packet(&packet).map_err(Error::ffmpeg("decoding audio"))?;
        while self.decoder.receive_frame(&mut self.frame).is_ok() {
            if self.frame.channel_layout().is_empty() {
                self.frame.set_channel_layout(ChannelLayout::default(i32::from(self.frame.channels())));
            }
            let pts = self.frame.pts().and_then(|micros| u64::try_from(micros).ok());
            let pts = pts.map_or(unit.pts, Duration::from_micros);
            let resampler = match &mut self.resampler {
                Some(resampler) if resampler.takes(&self.frame) => resampler,
                slot => slot.insert(Resampler::new(&self.frame)?),
            };
            resampler.run(&self.frame, pts, &mut out)?;
        }
        Ok(())
    }
}

struct Resampler {
    context: resampling::Context,
    format: Sample,
    rate: u32,
    channels: u16,
}

impl Resampler {
    fn new(frame: &frame::Audio) -> Result<Resampler, Error> {
        let (format, rate, channels) = (frame.format(), frame.rate(), frame.channels());
        // Hostile configurations reach far beyond what any encoder makes.
        if !(8_000..=192_000).contains(&rate) || !(1..=8).contains(&channels) {
            return Err(Error::Refused { what: "an audio rate outside of 8 to 192 kHz, or more than 8 channels" });
        }
        let context =
            resampling::Context::get(format, frame.channel_layout(), rate, PACKED, ChannelLayout::STEREO, RATE);
        Ok(Resampler { context: context.map_err(Error::ffmpeg("resampling"))?, format, rate, channels })
    }

    fn takes(&self, frame: &frame::Audio) -> bool {
        (self.format, self.rate, self.channels) == (frame.format(), frame.rate(), frame.channels())
    }

    fn run(
        &mut self,
        frame: &frame::Audio,
        pts: Duration,
        out: &mut impl FnMut(Duration, &[f32]),
    ) -> Result<(), Error> {
        let held = self.context.delay().map_or(0, |delay| delay.input.max(0) as u64);
        let ahead = Duration::from_nanos(held * 1_000_000_000 / u64::from(self.rate));
        // Room for everything that can come out: with less, the resampler keeps the rest and grows seconds of delay.
        let room = (frame.samples() as u64 + held) * u64::from(RATE) / u64::from(self.rate) + 32;
        let mut resampled = frame::Audio::new(PACKED, room as usize, ChannelLayout::STEREO);
        self.context.run(frame, &mut resampled).map_err(Error::ffmpeg("resampling"))?;
        let samples = resampled.samples();
        if samples > 0 {
            // SAFETY: a packed f32 stereo frame holds `samples` pairs, aligned by av_frame_get_buffer.
            let interleaved =
                unsafe { std::slice::from_raw_parts((*resampled.as_ptr()).data[0].cast::<f32>(), samples * CHANNELS) };
            out(pts.saturating_sub(ahead), interleaved);
        }
        Ok(())
    }
}

/// 20 ms of stereo samples in, an Opus packet out (libopus, low delay, 96 kbit/s).
pub struct OpusEncoder {
    encoder: ffmpeg::encoder::audio::Encoder,
    packet: ffmpeg::Packet,
    next: i64,
}

impl OpusEncoder {
    pub fn open() -> Result<OpusEncoder, Error> {
        init();
        let codec = ffmpeg::encoder::find_by_name("libopus").ok_or(Error::Missing("libopus encoder"))?;
        let context = ffmpeg::codec::Context::new_with_codec(codec);
        let mut audio = context.encoder().audio().map_err(Error::ffmpeg("opening libopus"))?;
        audio.set_rate(RATE as i32);
        audio.set_format(PACKED);
        audio.set_channel_layout(ChannelLayout::STEREO);
        audio.set_bit_rate(96_000);
        audio.set_time_base(Rational(1, RATE as i32));
        let mut options = Dictionary::new();
        options.set("application", "lowdelay");
        options.set("frame_duration", "20");
        options.set("vbr", "constrained");
        let encoder = audio.open_as_with(codec, options).map_err(Error::ffmpeg("opening libopus"))?;
        Ok(OpusEncoder { encoder, packet: ffmpeg::Packet::empty(), next: 0 })
    }

    /// Encodes exactly [`PACKET_SAMPLES`] pairs.
    pub fn encode(&mut self, samples: &[f32; PACKET_SAMPLES * CHANNELS]) -> Result<Option<Bytes>, Error> {
        let mut frame = frame::Audio::new(PACKED, PACKET_SAMPLES, ChannelLayout::STEREO);
        frame.set_rate(RATE);
        frame.set_pts(Some(self.next));
        self.next += PACKET_SAMPLES as i64;
        for (to, sample) in frame.data_mut(0).chunks_exact_mut(4).zip(samples) {
            to.copy_from_slice(&sample.to_ne_bytes());
        }
        self.encoder.send_frame(&frame).map_err(Error::ffmpeg("encoding Opus"))?;
        match self.encoder.receive_packet(&mut self.packet) {
            Ok(()) => Ok(self.packet.data().map(Bytes::copy_from_slice)),
            Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => Ok(None),
            Err(error) => Err(Error::ffmpeg("encoding Opus")(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of a 1 kHz tone, coded by one of FFmpeg's encoders.
    fn tone(encoder: &str, rate: i32, channels: i32) -> (Bytes, Vec<AccessUnit>) {
        init();
        let codec = ffmpeg::encoder::find_by_name(encoder).expect("Debian's FFmpeg has the encoder");
        let context = ffmpeg::codec::Context::new_with_codec(codec);
        let mut audio = context.encoder().audio().unwrap();
        let format = codec.audio().unwrap().formats().unwrap().next().unwrap();
        audio.set_rate(rate);
        audio.set_format(format);
        audio.set_channel_layout(ChannelLayout::default(channels));
        audio.set_bit_rate(128_000);
        audio.set_time_base(Rational(1, rate));
        audio.set_flags(ffmpeg::codec::Flags::GLOBAL_HEADER);
        let mut encoder = audio.open_as(codec).unwrap();
        // SAFETY: extradata is as long as the context says.
        let extradata = unsafe {
            let raw = encoder.as_ptr();
            match (*raw).extradata_size {
                0 => Bytes::new(),
                length => Bytes::copy_from_slice(std::slice::from_raw_parts((*raw).extradata, length as usize)),
            }
        };
        let block = match encoder.frame_size() {
            0 => 160,
            size => size as usize,
        };
        let mut units = Vec::new();
        for n in 0..(rate as usize).div_ceil(block) {
            let mut frame = frame::Audio::new(format, block, ChannelLayout::default(channels));
            frame.set_rate(rate as u32);
            frame.set_pts(Some((n * block) as i64));
            let value =
                |at: usize| (std::f32::consts::TAU * 1000.0 * (n * block + at) as f32 / rate as f32).sin() * 0.5;
            for plane in 0..frame.planes() {
                let width = if frame.is_packed() { channels as usize } else { 1 };
                for (at, sample) in
                    frame.data_mut(plane).chunks_exact_mut(format.bytes()).take(block * width).enumerate()
                {
                    match format {
                        Sample::F32(_) => sample.copy_from_slice(&value(at / width).to_ne_bytes()),
                        Sample::I16(_) => {
                            sample.copy_from_slice(&((value(at / width) * 32_767.0) as i16).to_ne_bytes());
                        }
                        Sample::I32(_) => {
                            sample.copy_from_slice(&((value(at / width) * i32::MAX as f32) as i32).to_ne_bytes());
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            encoder.send_frame(&frame).unwrap();
            let mut packet = ffmpeg::Packet::empty();
            while encoder.receive_packet(&mut packet).is_ok() {
                let pts = Duration::from_secs_f64((packet.pts().unwrap() as f64 / f64::from(rate)).max(0.0));
                let data = Bytes::copy_from_slice(packet.data().unwrap());
                units.push(AccessUnit { pts, dts: pts, key: true, data, arrived: std::time::Instant::now() });
            }
        }
        (extradata, units)
    }

    #[test]
    fn every_sound_becomes_48_khz_stereo() {
        for (codec, encoder, rate, channels) in [
            (AudioCodec::Aac, "aac", 44_100, 1),
            (AudioCodec::Aac, "aac", 48_000, 6),
            (AudioCodec::Opus, "libopus", 48_000, 2),
            (AudioCodec::Opus, "libopus", 48_000, 1),
            (AudioCodec::Mp3, "libmp3lame", 44_100, 2),
            (AudioCodec::Mp3, "libmp3lame", 22_050, 1),
            (AudioCodec::Pcmu, "pcm_mulaw", 8_000, 1),
            (AudioCodec::Pcma, "pcm_alaw", 8_000, 2),
        ] {
            let (extradata, units) = tone(encoder, rate, channels);
            let law = matches!(codec, AudioCodec::Pcmu | AudioCodec::Pcma);
            let format = law.then_some((rate as u32, channels as u16));
            let mut decoder = AudioDecoder::open(&AudioConfig { codec, extradata, format }).unwrap();
            let mut left: Vec<f32> = Vec::new();
            for unit in &units {
                decoder.decode(unit, |_, samples| left.extend(samples.iter().step_by(CHANNELS))).unwrap();
            }
            let what = format!("{codec} at {rate} Hz with {channels} channels");
            let source = decoder.source().unwrap();
            // Opus is decoded at 48 kHz whatever it was made of.
            assert_eq!(source, (rate as u32, channels as u16), "{what}");
            assert!((42_000..50_000).contains(&left.len()), "{what}: {} samples", left.len());
            let middle = &left[10_000..34_000];
            let rising = middle.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
            assert!((495..=505).contains(&rising), "{what}: {rising} waves in half a second");
        }
    }

    #[test]
    fn damaged_sound_is_an_error_at_most() {
        for (codec, encoder) in
            [(AudioCodec::Aac, "aac"), (AudioCodec::Opus, "libopus"), (AudioCodec::Mp3, "libmp3lame")]
        {
            let (extradata, units) = tone(encoder, 48_000, 2);
            let mut decoder = AudioDecoder::open(&AudioConfig { codec, extradata, format: None }).unwrap();
            let mut random = 5u32;
            for round in 0..20 {
                for unit in &units {
                    let mut data = unit.data.to_vec();
                    for byte in &mut data {
                        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        if round % 2 == 0 || random >> 28 == 0 {
                            *byte ^= (random >> 20) as u8;
                        }
                    }
                    data.truncate((random >> 8) as usize % (data.len() + 1));
                    let _ = decoder.decode(&AccessUnit { data: data.into(), ..unit.clone() }, |_, _| ());
                }
            }
            let mut healed = 0;
            for unit in &units {
                let _ = decoder.decode(unit, |_, samples| healed += samples.len() / CHANNELS);
            }
            assert!(healed > 40_000, "{codec}: {healed} samples after the damage");
        }
    }
}
