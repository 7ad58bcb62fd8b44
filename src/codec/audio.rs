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
