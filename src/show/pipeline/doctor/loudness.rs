//! How loud the decoded sound is, second by second.

use std::time::{Duration, Instant};

/// Peaks and power of the last [`Loudness::SECONDS`] seconds. A block of sound costs one pass over its samples.
#[derive(Debug, Default)]
pub(in crate::show::pipeline) struct Loudness {
    begun: Option<Instant>,
    running: Second,
    /// Whole seconds, the newest last.
    whole: [Option<Second>; Loudness::SECONDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    samples: u32,
    clipped: u32,
    squares: f64,
}

impl Loudness {
    const SECONDS: usize = 10;
    /// A sample this close to full scale is taken for clipped: encoders smear the edge.
    const FULL_SCALE: f32 = 0.997;
    /// How many of the newest seconds have to be quiet for silence.
    const SILENCE: usize = 5;

    /// Hears a block of decoded samples, of whatever number of channels.
    pub(in crate::show::pipeline) fn hear(&mut self, samples: &[f32], now: Instant) {
        self.turn(now);
        let (mut squares, mut clipped) = (0.0f32, 0u32);
        for sample in samples {
            squares += sample * sample;
            clipped += u32::from(sample.abs() >= Loudness::FULL_SCALE);
        }
        // Damaged sound may decode to anything; it is not to spoil the whole second.
        self.running.squares += if squares.is_finite() { f64::from(squares) } else { 0.0 };
        self.running.clipped += clipped;
        self.running.samples = self.running.samples.saturating_add(samples.len() as u32);
    }

    /// The part of all samples that is at full scale.
    pub(in crate::show::pipeline) fn clipped(&self) -> f64 {
        let (clipped, samples) = self.whole.iter().flatten().fold((0u64, 0u64), |(clipped, samples), second| {
            (clipped + u64::from(second.clipped), samples + u64::from(second.samples))
        });
        clipped as f64 / samples.max(1) as f64
    }

    /// Root mean square of the loudest of the newest five seconds, in dBFS; nothing while one of them had no sound.
    pub(in crate::show::pipeline) fn loudest_dbfs(&self) -> Option<f64> {
        let mut loudest = 0.0f64;
        for second in &self.whole[Loudness::SECONDS - Loudness::SILENCE..] {
            let second = second.filter(|second| second.samples > 0)?;
            loudest = loudest.max(second.squares / f64::from(second.samples));
        }
        // Digital silence is minus infinity; what 24 bits can hold is low enough.
        Some((10.0 * loudest.log10()).max(-144.0))
    }

    /// Closes the seconds that are over.
    pub(in crate::show::pipeline) fn turn(&mut self, now: Instant) {
        let begun = *self.begun.get_or_insert(now);
        let passed = now.saturating_duration_since(begun).as_secs();
        if passed == 0 {
            return;
        }
        for n in 0..passed.min(Loudness::SECONDS as u64) {
            let second = if n == 0 { std::mem::take(&mut self.running) } else { Second::default() };
            self.whole.rotate_left(1);
            self.whole[Loudness::SECONDS - 1] = Some(second);
        }
        self.begun = Some(begun + Duration::from_secs(passed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `seconds` of a sine of this amplitude in blocks of 20 ms, cut at full scale.
    fn hear(loudness: &mut Loudness, from: Instant, seconds: u64, amplitude: f32) -> Instant {
        let block: Vec<f32> = (0..960)
            .flat_map(|n| [(n as f32 * 0.1309).sin(); 2])
            .map(|sample| (sample * amplitude).clamp(-1.0, 1.0))
            .collect();
        for n in 0..seconds * 50 {
            loudness.hear(&block, from + Duration::from_millis(n * 20));
        }
        from + Duration::from_secs(seconds)
    }

    #[test]
    fn a_sine_has_its_power() {
        let mut loudness = Loudness::default();
        let end = hear(&mut loudness, Instant::now(), 6, 0.5);
        loudness.turn(end);
        let dbfs = loudness.loudest_dbfs().unwrap();
        assert!((dbfs + 9.03).abs() < 0.1, "half of full scale is -9 dBFS: {dbfs}");
        assert_eq!(loudness.clipped(), 0.0);
    }

    #[test]
    fn five_quiet_seconds_are_silence_and_a_beep_ends_it() {
        let mut loudness = Loudness::default();
        let mut now = hear(&mut loudness, Instant::now(), 4, 0.0);
        assert_eq!(loudness.loudest_dbfs(), None, "too short to tell");
        now = hear(&mut loudness, now, 2, 0.0);
        loudness.turn(now);
        assert_eq!(loudness.loudest_dbfs(), Some(-144.0));
        now = hear(&mut loudness, now, 1, 0.01);
        loudness.turn(now);
        assert!(loudness.loudest_dbfs().unwrap() > -45.0);
    }

    #[test]
    fn an_overdriven_sine_is_clipped_for_its_share() {
        let mut loudness = Loudness::default();
        let end = hear(&mut loudness, Instant::now(), 3, 2.0);
        loudness.turn(end);
        assert!((0.6..0.75).contains(&loudness.clipped()), "two thirds of it: {}", loudness.clipped());
    }

    #[test]
    fn a_pause_is_not_silence_and_no_number_is_no_harm() {
        let mut loudness = Loudness::default();
        let end = hear(&mut loudness, Instant::now(), 6, 0.5);
        loudness.hear(&[f32::NAN, f32::INFINITY], end);
        loudness.turn(end + Duration::from_secs(3));
        assert_eq!(loudness.loudest_dbfs(), None, "seconds without sound are told by its absence");
        loudness.turn(end + Duration::from_secs(3600));
        assert_eq!(loudness.clipped(), 0.0);
    }
}
