//! How a publisher cuts its video: rate, keyframes, reordering and bits, by its own timestamps.

use std::collections::VecDeque;
use std::time::Duration;

use super::signs;
use crate::media::access_unit::AccessUnit;

/// Measures the video units of one publication in the order of decoding. A jump of the timestamps begins it anew.
#[derive(Debug, Default)]
pub(in crate::show::pipeline) struct Cadence {
    first: Option<Duration>,
    /// Decoding times of the last [`Cadence::SPAN`].
    times: VecDeque<Duration>,
    last_key: Option<Duration>,
    /// Between the last keyframes.
    key_distances: VecDeque<Duration>,
    /// The highest presentation time so far, and the units since that came before it.
    shown: Duration,
    behind: u32,
    running: Window,
    /// Whole windows, the newest last.
    windows: VecDeque<Window>,
}

/// What [`Cadence::WINDOW`] of the publisher's time held.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    begun: Duration,
    bytes: u64,
    b_frames: u32,
    /// Least and most of presentation time minus decoding time, in seconds.
    lead: Option<(f64, f64)>,
}

impl Cadence {
    const SPAN: Duration = Duration::from_secs(10);
    /// More units than any rate that is taken brings in ten seconds; what floods us is cut off here.
    const MOST_TIMES: usize = 2_500;
    const KEY_DISTANCES: usize = 3;
    const WINDOW: Duration = Duration::from_secs(2);
    const WINDOWS: usize = 10;
    const WINDOWS_AT_LEAST: usize = 5;
    /// A longer pause between two frames is a jump or an outage, and no measure of anything.
    const LONGEST_STEP: Duration = Duration::from_secs(2);
    /// Units from which the nominal rate can be told.
    const UNITS_AT_LEAST: usize = 20;

    pub(in crate::show::pipeline) fn note(&mut self, unit: &AccessUnit) {
        let newest = self.times.back().copied();
        if newest.is_some_and(|newest| unit.dts < newest || unit.dts.saturating_sub(newest) > Cadence::LONGEST_STEP) {
            *self = Cadence::default();
        }
        self.first.get_or_insert(unit.dts);
        self.times.push_back(unit.dts);
        while self.times.len() > Cadence::MOST_TIMES
            || self.times.front().is_some_and(|&oldest| unit.dts.saturating_sub(oldest) > Cadence::SPAN)
        {
            self.times.pop_front();
        }
        if unit.key
            && let Some(last) = self.last_key.replace(unit.dts)
        {
            if self.key_distances.len() == Cadence::KEY_DISTANCES {
                self.key_distances.pop_front();
            }
            self.key_distances.push_back(unit.dts.saturating_sub(last));
        }
        self.note_in_window(unit);
    }

    fn note_in_window(&mut self, unit: &AccessUnit) {
        if self.running.lead.is_none() {
            self.running.begun = unit.dts;
        } else if unit.dts.saturating_sub(self.running.begun) >= Cadence::WINDOW {
            if self.windows.len() == Cadence::WINDOWS {
                self.windows.pop_front();
            }
            self.windows
                .push_back(std::mem::replace(&mut self.running, Window { begun: unit.dts, ..Window::default() }));
        }
        if unit.pts > self.shown {
            (self.shown, self.behind) = (unit.pts, 0);
        } else {
            self.behind = self.behind.saturating_add(1);
        }
        let lead = unit.pts.as_secs_f64() - unit.dts.as_secs_f64();
        let (least, most) = self.running.lead.unwrap_or((lead, lead));
        self.running.lead = Some((least.min(lead), most.max(lead)));
        self.running.bytes += unit.data.len() as u64;
        self.running.b_frames = self.running.b_frames.max(self.behind);
    }

    /// Between the last two keyframes.
    pub(in crate::show::pipeline) fn key_distance(&self) -> Option<Duration> {
        self.key_distances.back().copied()
    }

    /// Whether frames come in another order than they are shown in.
    pub(in crate::show::pipeline) fn reordered(&self) -> bool {
        self.windows.iter().chain(std::iter::once(&self.running)).any(|window| window.b_frames > 0)
    }

    /// The numbers; `announced` is the rate that the encoder says it has, in frames a second.
    pub(in crate::show::pipeline) fn signs(&self, announced: Option<f64>) -> signs::Cadence {
        let (newest, first) = (self.times.back().copied().unwrap_or_default(), self.first.unwrap_or_default());
        let interval = self.interval(announced);
        let (frames, missing) = interval.map_or((0, 0), |interval| self.missing(interval));
        let windows = || self.windows.iter().chain(std::iter::once(&self.running));
        let leads = || windows().filter_map(|window| window.lead);
        let least = leads().map(|lead| lead.0).fold(f64::INFINITY, f64::min);
        let most = leads().map(|lead| lead.1).fold(f64::NEG_INFINITY, f64::max);
        let b_frames = windows().map(|window| window.b_frames).max().unwrap_or_default();
        signs::Cadence {
            seconds: newest.saturating_sub(first).as_secs_f64(),
            fps: interval.map(|interval| 1.0 / interval),
            frames,
            missing,
            keyframe_seconds: self.key_distances.iter().max().map(Duration::as_secs_f64),
            since_keyframe: self.last_key.map(|last| newest.saturating_sub(last).as_secs_f64()),
            b_frames,
            reorder_ms: if b_frames > 0 { (most - least) * 1e3 } else { 0.0 },
            bitrate: self.bitrate(),
        }
    }

    /// The nominal frame interval in seconds: what the encoder announced, unless it is really faster; else the usual one.
    fn interval(&self, announced: Option<f64>) -> Option<f64> {
        if self.times.len() < Cadence::UNITS_AT_LEAST {
            return None;
        }
        let mut steps: Vec<f64> = self.steps().collect();
        steps.sort_by(f64::total_cmp);
        // Timestamps in whole milliseconds make 33, 33, 34 of 30 a second: the mean of those near the median.
        let median = steps[steps.len() / 2].max(1e-3);
        let near = || steps.iter().filter(|&step| (step - median).abs() <= median * 0.1 + 1e-3);
        let usual = (near().sum::<f64>() / near().count().max(1) as f64).max(1e-3);
        let announced = announced.filter(|fps| (1.0..=240.0).contains(fps)).map(|fps| 1.0 / fps);
        Some(announced.filter(|&announced| usual > announced * 0.9).unwrap_or(usual))
    }

    /// How many frames the last ten seconds should have held, and how many of them are not there: by the gaps, and by the count,
    /// whichever is kinder to timestamps that are not even.
    fn missing(&self, interval: f64) -> (u32, u32) {
        let (mut wanted, mut gaps) = (1.0, 0.0);
        for step in self.steps() {
            wanted += step / interval;
            gaps += (step / interval).round().max(1.0) - 1.0;
        }
        let (wanted, count) = (wanted.round(), self.times.len() as f64);
        let missing = (wanted - count).clamp(0.0, gaps);
        ((count + missing) as u32, missing as u32)
    }

    fn steps(&self) -> impl Iterator<Item = f64> {
        self.times.iter().zip(self.times.iter().skip(1)).map(|(a, b)| b.saturating_sub(*a).as_secs_f64())
    }

    fn bitrate(&self) -> Option<signs::Bitrate> {
        if self.windows.len() < Cadence::WINDOWS_AT_LEAST {
            return None;
        }
        let ends = self.windows.iter().skip(1).chain(std::iter::once(&self.running)).map(|window| window.begun);
        let rates = self.windows.iter().zip(ends).map(|(window, end)| {
            window.bytes as f64 * 8.0 / end.saturating_sub(window.begun).max(Cadence::WINDOW).as_secs_f64()
        });
        let rates: Vec<f64> = rates.collect();
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / rates.len() as f64;
        Some(signs::Bitrate {
            mean,
            least: rates.iter().copied().fold(f64::INFINITY, f64::min),
            most: rates.iter().copied().fold(0.0, f64::max),
            variation: variance.sqrt() / mean.max(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Instant;

    fn unit(dts: u64, pts: u64, key: bool, bytes: usize) -> AccessUnit {
        let [pts, dts] = [pts, dts].map(Duration::from_millis);
        AccessUnit { pts, dts, key, data: Bytes::from(vec![0; bytes]), arrived: Instant::now() }
    }

    /// `seconds` at 30 frames a second in whole milliseconds, as RTMP has them; of frame `n` come `bytes(n)`, of none 0.
    fn plain(seconds: u64, key_every: u64, bytes: impl Fn(u64) -> usize) -> Cadence {
        let mut cadence = Cadence::default();
        for n in (0..seconds * 30).filter(|&n| bytes(n) > 0) {
            let at = 1000 + n * 1000 / 30;
            cadence.note(&unit(at, at, n % key_every == 0, bytes(n)));
        }
        cadence
    }

    #[test]
    fn a_steady_stream_measures_as_it_is() {
        let signs = plain(30, 60, |_| 10_000).signs(None);
        assert!((signs.fps.unwrap() - 30.0).abs() < 0.1, "{signs:?}");
        assert_eq!((signs.missing, signs.b_frames, signs.reorder_ms), (0, 0, 0.0));
        assert!((300..=302).contains(&signs.frames), "{signs:?}");
        assert!((signs.keyframe_seconds.unwrap() - 2.0).abs() < 0.01);
        let bitrate = signs.bitrate.unwrap();
        assert!((bitrate.mean - 2_400_000.0).abs() < 50_000.0 && bitrate.variation < 0.05, "{bitrate:?}");
    }

    #[test]
    fn frames_left_out_are_counted_against_the_usual_interval() {
        // Every seventh frame is left out, and once five in a row.
        let signs = plain(20, 60, |n| if n % 7 == 3 || (400..405).contains(&n) { 0 } else { 1000 }).signs(None);
        assert!((45..=49).contains(&signs.missing), "{signs:?}");
        assert!((298..=302).contains(&signs.frames), "{signs:?}");
    }

    #[test]
    fn half_the_announced_rate_is_half_the_frames_missing() {
        let half = plain(20, 60, |n| if n % 2 == 0 { 1000 } else { 0 });
        let signs = half.signs(Some(30.0));
        assert!((145..=152).contains(&signs.missing), "{signs:?}");
        assert_eq!(half.signs(Some(15.0)).missing, 0);
        assert_eq!(half.signs(Some(5.0)).missing, 0, "an announced rate below the real one is not believed");
        assert_eq!(half.signs(Some(f64::NAN)).missing, 0);
    }

    #[test]
    fn three_b_frames_are_seen_with_their_delay() {
        // x264's order with a pyramid: I P B b b, presentation two frames after decoding at least.
        let mut cadence = Cadence::default();
        for group in 0..60u64 {
            for (place, shown) in [(0, 4), (1, 2), (2, 1), (3, 3)] {
                let (decoded, shown) = (group * 4 + place + 1, group * 4 + shown + 2);
                cadence.note(&unit(decoded * 1000 / 30, shown * 1000 / 30, group % 15 == 0 && place == 0, 1000));
            }
        }
        let signs = cadence.signs(None);
        assert_eq!(signs.b_frames, 3);
        assert!((signs.reorder_ms - 166.7).abs() < 1.5, "{signs:?}");
        assert_eq!(signs.missing, 0);
    }

    #[test]
    fn uneven_timestamps_are_no_missing_frames() {
        let mut cadence = Cadence::default();
        for n in 0..600u64 {
            let at = 1000 + n * 1000 / 30 + n.wrapping_mul(2_654_435_761) % 30;
            cadence.note(&unit(at, at, n % 60 == 0, 1000));
        }
        let signs = cadence.signs(Some(30.0));
        assert!(signs.missing <= 2, "{signs:?}");
    }

    #[test]
    fn the_keyframe_that_does_not_come_counts() {
        let once = plain(12, 10_000, |_| 1000).signs(None);
        assert_eq!((once.since_keyframe.map(f64::round), once.keyframe_seconds), (Some(12.0), None));
        let mut never = Cadence::default();
        (0..360).for_each(|n| never.note(&unit(n * 33, n * 33, false, 1000)));
        assert_eq!(never.signs(None).since_keyframe, None);
    }

    #[test]
    fn a_bitrate_that_swings_varies() {
        let bitrate = plain(30, 60, |n| if n / 120 % 2 == 0 { 1000 } else { 20_000 }).signs(None).bitrate.unwrap();
        assert!(bitrate.variation > 0.7, "{bitrate:?}");
        assert!(bitrate.least < 400_000.0 && bitrate.most > 4_000_000.0, "{bitrate:?}");
    }

    #[test]
    fn a_jump_begins_anew_and_a_flood_is_bounded() {
        let mut cadence = plain(30, 60, |_| 1000);
        cadence.note(&unit(500_000, 500_000, true, 1000));
        let signs = cadence.signs(None);
        assert_eq!((signs.missing, signs.frames, signs.fps), (0, 0, None));
        for _ in 0..100_000 {
            cadence.note(&unit(500_000, 500_000, true, 0));
        }
        assert!(cadence.times.len() <= Cadence::MOST_TIMES);
        assert!(cadence.signs(None).fps.unwrap().is_finite());
    }
}
