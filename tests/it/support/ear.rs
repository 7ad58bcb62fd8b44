//! Hears what a viewer is sent: Opus decoded, and in it the beeps of a clip, when each began and which second it names.

use ffmpeg_next as ffmpeg;

/// An Opus decoder that lays what it hears on the line of its RTP timestamps.
pub struct Ear {
    decoder: ffmpeg::decoder::Audio,
    sound: ffmpeg::frame::Audio,
    /// The RTP timestamp of the first sample.
    pub first: Option<u32>,
    /// Mono, 48 kHz, silence where packets are missing.
    pub samples: Vec<f32>,
}

impl Ear {
    pub fn open() -> Ear {
        let codec = ffmpeg::decoder::find(ffmpeg::codec::Id::OPUS).expect("FFmpeg has an Opus decoder");
        let mut decoder = ffmpeg::codec::Context::new_with_codec(codec).decoder();
        // SAFETY: the context is ours and not open yet; a decoder without extradata takes these from its user.
        unsafe { (*decoder.as_mut_ptr()).sample_rate = RATE as i32 };
        let decoder = decoder.open_as(codec).and_then(|opened| opened.audio()).expect("the decoder opens");
        Ear { decoder, sound: ffmpeg::frame::Audio::empty(), first: None, samples: Vec::new() }
    }

    /// Hears one packet; says whether it could be decoded.
    pub fn hear(&mut self, packet: &[u8], rtp: u32) -> bool {
        if self.decoder.send_packet(&ffmpeg::Packet::copy(packet)).is_err() {
            return false;
        }
        let first = *self.first.get_or_insert(rtp);
        let at = rtp.wrapping_sub(first) as usize;
        let mut heard = false;
        while self.decoder.receive_frame(&mut self.sound).is_ok() {
            heard = true;
            let left = &self.sound.plane::<f32>(0)[..self.sound.samples()];
            if at < LONGEST {
                self.samples.resize(self.samples.len().max(at + left.len()), 0.0);
                self.samples[at..at + left.len()].copy_from_slice(left);
            }
        }
        heard
    }

    /// The beeps heard so far, with the RTP timestamps that they began at.
    pub fn beeps(&self) -> Vec<(Beep, u32)> {
        self.beeps_after(0)
    }

    /// The same, of what was heard after that many samples.
    pub fn beeps_after(&self, sample: usize) -> Vec<(Beep, u32)> {
        let from = sample.min(self.samples.len());
        let first = self.first.unwrap_or_default().wrapping_add(from as u32);
        listen(&self.samples[from..]).into_iter().map(|beep| (beep, first.wrapping_add(beep.sample as u32))).collect()
    }
}

/// More samples than any trial hears: an hour.
const LONGEST: usize = RATE * 3600;

/// The beeps as an `aevalsrc` expression: 100 ms from every full second on, 500 Hz and 100 Hz more for each second of eight.
pub fn beeps() -> String {
    format!("0.5*sin(2*PI*({LOWEST}+{STEP}*mod(floor(t)\\,{PITCHES}))*t)*lt(mod(t\\,1)\\,0.1)")
}

/// One beep: the sample it began at, and its second modulo eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beep {
    pub sample: usize,
    pub second: u32,
}

/// The beeps in 48 kHz mono sound that begin after at least 100 ms of silence and are heard for 80 ms.
pub fn listen(samples: &[f32]) -> Vec<Beep> {
    let mut beeps = Vec::new();
    let mut quiet = 0usize;
    let mut at = 0usize;
    while at + HEARD <= samples.len() {
        if samples[at].abs() < THRESHOLD {
            quiet += 1;
            at += 1;
        } else if quiet < RATE / 10 {
            quiet = 0;
            at += 1;
        } else {
            beeps.extend(pitch(&samples[at..at + HEARD]).map(|second| Beep { sample: at, second }));
            quiet = 0;
            at += HEARD;
        }
    }
    beeps
}

/// Which of the eight pitches a tone has, by its rising zero crossings; none when it is no clean tone.
fn pitch(tone: &[f32]) -> Option<u32> {
    let rising: Vec<usize> = (1..tone.len()).filter(|&at| tone[at - 1] < 0.0 && tone[at] >= 0.0).collect();
    let (first, last) = (rising.first()?, rising.last()?);
    let hertz = (rising.len() - 1) as f32 * RATE as f32 / (last - first).max(1) as f32;
    let step = (hertz - LOWEST as f32) / STEP as f32;
    ((step - step.round()).abs() < 0.3 && (-0.3..PITCHES as f32).contains(&step)).then(|| step.round() as u32)
}

const RATE: usize = 48_000;
const HEARD: usize = RATE * 80 / 1000;
const THRESHOLD: f32 = 0.05;
const LOWEST: u32 = 500;
const STEP: u32 = 100;
const PITCHES: u32 = 8;

#[test]
fn every_second_has_its_own_pitch() {
    let sound: Vec<f32> = (0..RATE * 10)
        .map(|n| {
            let t = n as f64 / RATE as f64;
            let hertz = f64::from(LOWEST + STEP * (t as u32 % PITCHES));
            let on = if t.fract() < 0.1 { 0.5 } else { 0.0 };
            (on * (std::f64::consts::TAU * hertz * t).sin()) as f32
        })
        .collect();
    let heard = listen(&sound);
    assert_eq!(heard.len(), 9, "the first has no silence before it: {heard:?}");
    for (beep, second) in heard.iter().zip(1u32..) {
        assert_eq!(beep.second, second % PITCHES);
        assert!(beep.sample.abs_diff(second as usize * RATE) < 48, "{beep:?}");
    }
}
