//! One unbroken line of sound: decoded blocks in, 20 ms packets out, silence where nothing came.

use crate::codec::audio::{CHANNELS, PACKET_SAMPLES, RATE};
use crate::media::MediaTime;
use crate::media::time::{at_audio_sample, audio_samples};

/// Puts blocks of 48 kHz stereo at their media time and gives out packets that begin on whole multiples of 20 ms since the
/// epoch. Small deviations (a clock that drifts, timestamps in whole milliseconds) are taken in by stretching blocks by at
/// most half a percent; gaps become silence, overlaps are cut.
pub struct AudioLine {
    /// Sample index since the epoch of the first sample in `pending`.
    start: i64,
    pending: Vec<f32>,
    /// Smoothed deviation of blocks from the end of the line, in samples.
    deviation: f64,
    hold: i64,
    /// How late the latest of the last blocks was that came in time, and how many samples those were.
    latest: i64,
    watched: i64,
    packet: Box<[f32; PACKET_SAMPLES * CHANNELS]>,
}

/// Deviations within this are stretched away; beyond it the line is cut or filled.
const TOLERANCE: i64 = RATE as i64 / 50;
/// Deviations within this are left alone.
const QUIET: f64 = RATE as f64 * 0.002;
/// How long the line waits for late sound before silence takes its place.
const HOLD: i64 = RATE as i64 * 3 / 10;
/// The most it learns to wait for a publisher whose sound lags.
const HOLD_MOST: i64 = RATE as i64 * 2;
/// Sound further ahead of now than this is a fault of its timestamps.
const AHEAD_MOST: i64 = RATE as i64 * 2;

impl AudioLine {
    pub fn new(now: MediaTime) -> AudioLine {
        let packet = PACKET_SAMPLES as i64;
        let start = audio_samples(now).div_euclid(packet) * packet;
        let packet = Box::new([0.0; PACKET_SAMPLES * CHANNELS]);
        AudioLine { start, pending: Vec::new(), deviation: 0.0, hold: HOLD, latest: 0, watched: 0, packet }
    }

    /// A new publisher: what was learnt of the last one's lag is forgotten.
    pub fn restart(&mut self) {
        self.hold = HOLD;
        self.deviation = 0.0;
    }

    /// Adds a block of interleaved samples whose first belongs at `at`. False when none of it could be used.
    pub fn push(&mut self, at: MediaTime, samples: &[f32], now: MediaTime) -> bool {
        let (begin, now) = (audio_samples(at), audio_samples(now));
        let count = (samples.len() / CHANNELS) as i64;
        if begin > now + AHEAD_MOST || count == 0 {
            return false;
        }
        let off = begin - self.end();
        if off >= -TOLERANCE {
            self.unlearn(now - begin, count);
        }
        if off.abs() <= TOLERANCE {
            self.deviation += (off as f64 - self.deviation) * 0.1;
            let most = count / 200;
            let stretch = if self.deviation.abs() > QUIET { (self.deviation as i64).clamp(-most, most) } else { 0 };
            self.append(samples, (count + stretch) as usize);
            self.deviation -= stretch as f64;
            return true;
        }
        self.deviation = 0.0;
        if off > AHEAD_MOST {
            // After a long pause the line begins anew: nobody waits for lost time.
            *self = AudioLine { hold: self.hold, ..AudioLine::new(at) };
            self.silence(begin - self.start);
            self.pending.extend_from_slice(samples);
            return true;
        }
        if off > 0 {
            self.silence(off);
            self.pending.extend_from_slice(samples);
            return true;
        }
        // It comes after silence took its place: wait longer from now on.
        self.hold = self.hold.max(now - begin + TOLERANCE * 5).min(HOLD_MOST);
        let cut = (-off).min(count);
        self.pending.extend_from_slice(&samples[cut as usize * CHANNELS..]);
        cut < count
    }

    /// Takes back what was learnt of a lag that is no more: a stall is followed by a burst, and then by sound in time.
    fn unlearn(&mut self, late: i64, count: i64) {
        self.latest = self.latest.max(late);
        self.watched += count;
        if self.watched >= i64::from(RATE) {
            self.hold = self.hold.min((self.latest + TOLERANCE * 5).max(HOLD));
            (self.latest, self.watched) = (0, 0);
        }
    }

    /// Fills with silence what should long have come.
    pub fn advance(&mut self, now: MediaTime) {
        let missing = audio_samples(now) - self.hold - self.end();
        if missing > i64::from(RATE) * 2 {
            // After a long pause of ours the line begins anew: nobody waits for lost time.
            *self = AudioLine { hold: self.hold, ..AudioLine::new(at_audio_sample(audio_samples(now) - self.hold)) };
        } else if missing > 0 {
            self.silence(missing);
        }
    }

    /// When silence will next be due.
    pub fn due(&self) -> MediaTime {
        at_audio_sample(self.end() + self.hold + PACKET_SAMPLES as i64)
    }

    /// The next whole packet and its time.
    pub fn pop(&mut self) -> Option<(MediaTime, &[f32; PACKET_SAMPLES * CHANNELS])> {
        let len = PACKET_SAMPLES * CHANNELS;
        if self.pending.len() < len {
            return None;
        }
        self.packet.copy_from_slice(&self.pending[..len]);
        self.pending.drain(..len);
        let at = at_audio_sample(self.start);
        self.start += PACKET_SAMPLES as i64;
        Some((at, &self.packet))
    }

    fn end(&self) -> i64 {
        self.start + (self.pending.len() / CHANNELS) as i64
    }

    fn silence(&mut self, samples: i64) {
        self.pending.resize(self.pending.len() + samples.max(0) as usize * CHANNELS, 0.0);
    }

    /// Appends `samples` as `wanted` pairs, linearly interpolated.
    fn append(&mut self, samples: &[f32], wanted: usize) {
        let count = samples.len() / CHANNELS;
        if wanted == count {
            self.pending.extend_from_slice(samples);
            return;
        }
        let step = (count - 1) as f64 / (wanted.max(2) - 1) as f64;
        for index in 0..wanted {
            let position = index as f64 * step;
            let left = (position as usize).min(count - 1);
            let right = (left + 1).min(count - 1);
            let weight = (position - left as f64) as f32;
            for channel in 0..CHANNELS {
                let (a, b) = (samples[left * CHANNELS + channel], samples[right * CHANNELS + channel]);
                self.pending.push(a + (b - a) * weight);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::timeline::Timeline;
    use std::time::Duration;

    fn at(sample: i64) -> MediaTime {
        at_audio_sample(sample)
    }

    fn drain(line: &mut AudioLine) -> Vec<(i64, f32)> {
        let mut out = Vec::new();
        while let Some((at, packet)) = line.pop() {
            out.push((audio_samples(at), packet[PACKET_SAMPLES]));
        }
        out
    }

    #[test]
    fn packets_are_contiguous_while_timestamps_jitter_and_drift() {
        let mut line = AudioLine::new(at(0));
        let mut packets = Vec::new();
        for n in 0..10_000i64 {
            // 1024-sample frames stamped in whole milliseconds by a clock 100 ppm fast.
            let millis = n * 1024 * 1000 / 48_000;
            let begin = millis * 48 * 999_900 / 1_000_000;
            assert!(line.push(at(begin), &[0.5; 2048], at(begin)));
            packets.extend(drain(&mut line));
            assert!((begin + 1024 - line.end()).abs() < 400, "the line stays within 8 ms of its timestamps");
        }
        assert!(packets.windows(2).all(|pair| pair[1].0 == pair[0].0 + 960));
        assert!(packets.iter().all(|packet| packet.1 == 0.5), "no silence slipped in");
    }

    #[test]
    fn nothing_becomes_silence_by_media_time() {
        let mut line = AudioLine::new(at(0));
        line.advance(at(48_000));
        let packets = drain(&mut line);
        assert_eq!(packets.len() as i64, (48_000 - HOLD) / 960);
        assert!(packets.iter().all(|packet| packet.1 == 0.0));
        // Sound returns: the gap up to it is silent, and it lies where it belongs.
        assert!(line.push(at(48_000), &[0.5; 1920], at(48_100)));
        let packets = drain(&mut line);
        assert_eq!(packets.last(), Some(&(48_000, 0.5)));
    }

    #[test]
    fn an_overlap_is_cut() {
        let mut line = AudioLine::new(at(0));
        assert!(line.push(at(0), &[0.5; 9600], at(4800)));
        assert!(!line.push(at(0), &[0.9; 1920], at(4800)), "all of it is there already");
        assert!(line.push(at(3000), &[0.9; 9600], at(4800)));
        assert_eq!(line.end(), 3000 + 4800);
    }

    #[test]
    fn sound_that_lags_is_waited_for_once_known() {
        let mut line = AudioLine::new(at(0));
        let lag = 24_000;
        let mut heard = 0;
        for n in 0..200i64 {
            let now = at(n * 960 + lag);
            line.advance(now);
            heard += usize::from(line.push(at(n * 960), &[0.5; 1920], now));
            drain(&mut line);
        }
        assert!(heard > 150, "{heard} of 200 blocks heard");
    }

    #[test]
    fn a_stall_does_not_make_the_next_silence_late() {
        let mut line = AudioLine::new(at(0));
        let live = |line: &mut AudioLine, from: i64, to: i64| {
            for n in from / 960..to / 960 {
                line.advance(at(n * 960));
                line.push(at(n * 960), &[0.5; 1920], at(n * 960));
                drain(line);
            }
        };
        live(&mut line, 0, 96_000);
        // Three seconds of nothing, then all of it at once, then live for two.
        line.advance(at(240_000));
        for n in 100..250 {
            line.push(at(n * 960), &[0.5; 1920], at(240_000));
        }
        live(&mut line, 240_000, 336_000);
        // Two packets of grace: the burst may have left the line a packet ahead.
        line.advance(at(336_000 + HOLD + 3 * 960));
        assert!(drain(&mut line).iter().any(|packet| packet.1 == 0.0), "silence as soon as before the stall");
    }

    #[test]
    fn a_long_pause_is_skipped_by_the_first_block_after_it() {
        let mut line = AudioLine::new(at(0));
        let hour = 48_000 * 3600 + 96;
        assert!(line.push(at(hour), &[0.5; 1920], at(hour)));
        assert!(line.pending.len() < 960 * 2 * CHANNELS);
        assert_eq!(line.end(), hour + 960);
    }

    #[test]
    fn sound_stays_with_the_picture_through_an_hour_of_drift() {
        // A publisher whose clock is off by 300 ppm either way; pictures and sound are stamped by it, our clock is exact.
        for drift in [-300i64, 300] {
            let interval = Duration::from_nanos(33_333_333);
            let (mut timeline, mut line) = (Timeline::new(interval), AudioLine::new(at(0)));
            let publishers = |nanos: i64| Duration::from_nanos((nanos + nanos * drift / 1_000_000) as u64);
            let (mut blocks, mut heard, mut worst) = (0i64, 0u64, 0i64);
            for n in 0..108_000i64 {
                let now = MediaTime::from_ticks(n * 3000);
                timeline.arrived(true, publishers(n * 33_333_333), now);
                // AAC frames of 1024 samples, as they fall due beside the pictures.
                while blocks * 1024 <= n * 1600 {
                    let pts = publishers(blocks * 1024 * 1_000_000_000 / 48_000);
                    timeline.arrived(false, pts, now);
                    let wanted = timeline.media(pts).unwrap();
                    heard += u64::from(line.push(wanted, &[0.5; 2048], now));
                    // Where the block's first sample came to lie, against where its picture's time says.
                    let lies = line.end() - 1024;
                    worst = worst.max((lies - audio_samples(wanted)).abs());
                    blocks += 1;
                }
                line.advance(now);
                let silent = drain(&mut line).iter().filter(|packet| packet.1 == 0.0).count();
                assert!(silent == 0 || n < 90, "silence slipped in after {n} pictures");
            }
            assert_eq!(timeline.jumps(), 0);
            assert_eq!(heard, blocks as u64, "no block was refused");
            assert!(worst <= 960, "sound was {} ms off its picture", worst as f64 / 48.0);
        }
    }

    #[test]
    fn absurd_times_are_refused() {
        let mut line = AudioLine::new(at(0));
        assert!(!line.push(MediaTime::from_ticks(i64::MAX / 16), &[0.5; 1920], at(0)));
        line.advance(at(48_000 * 3600));
        assert!(drain(&mut line).len() < 120, "a long pause is not filled");
    }
}
