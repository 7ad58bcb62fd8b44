//! How a publisher's video arrives against its own timestamps: pauses, jitter, drift, jumps.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::signs;
use crate::media::access_unit::AccessUnit;

/// Measures the lateness of the video units of one publication: arrival minus decoding time, of which only changes mean
/// something. Microseconds.
#[derive(Debug, Default)]
pub(in crate::show::pipeline) struct Arrival {
    origin: Option<Instant>,
    newest: Option<(Instant, Duration)>,
    stalls: VecDeque<(Instant, Duration)>,
    jumps: VecDeque<(Instant, f64)>,
    /// Least and most lateness of the last whole seconds, oldest first.
    seconds: VecDeque<Span>,
    /// The least lateness of longer windows: what the network added is gone from it, what the clocks drift apart is not.
    windows: VecDeque<Span>,
}

/// The lateness of the units that arrived within one span of time, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Span {
    begun: Instant,
    /// The unit with the least lateness: when it arrived, in seconds since the origin, and its lateness.
    least_at: f64,
    least: i64,
    most: i64,
}

impl Arrival {
    /// A unit that comes this much later than its timestamp explains was held up.
    const STALL: Duration = Duration::from_millis(500);
    const STALLS_KEPT: Duration = Duration::from_secs(30);
    /// Timestamps that run ahead of the time that passed by more than this have jumped.
    const JUMP: Duration = Duration::from_secs(1);
    const JUMPS_KEPT: Duration = Duration::from_secs(60);
    /// Of stalls and jumps each.
    const MOST_KEPT: usize = 200;
    const SECONDS: usize = 10;
    const WINDOW: Duration = Duration::from_secs(5);
    /// Two minutes; drift is told from the half of it on.
    const WINDOWS: usize = 24;

    pub(in crate::show::pipeline) fn note(&mut self, unit: &AccessUnit) {
        let origin = *self.origin.get_or_insert(unit.arrived);
        if let Some((arrived, dts)) = self.newest.replace((unit.arrived, unit.dts)) {
            let passed = unit.arrived.saturating_duration_since(arrived);
            let back = unit.dts < dts;
            let step = unit.dts.saturating_sub(dts);
            if back || step > passed + Arrival::JUMP && !self.catching_up(step, unit) {
                let jump = unit.dts.as_secs_f64() - dts.as_secs_f64();
                keep(&mut self.jumps, (unit.arrived, jump));
                self.seconds.clear();
                self.windows.clear();
            } else if passed > step + Arrival::STALL {
                keep(&mut self.stalls, (unit.arrived, passed - step));
            }
        }
        let since = unit.arrived.saturating_duration_since(origin);
        let late = micros(since) - micros(unit.dts);
        Span::note(&mut self.seconds, Duration::from_secs(1), Arrival::SECONDS, unit.arrived, since, late);
        Span::note(&mut self.windows, Arrival::WINDOW, Arrival::WINDOWS, unit.arrived, since, late);
    }

    /// Whether a step of the timestamps that the time did not pass for only makes good what a pause had held up.
    fn catching_up(&self, step: Duration, unit: &AccessUnit) -> bool {
        let held_up = |(at, length): &(Instant, Duration)| {
            let recent = unit.arrived.saturating_duration_since(*at) < Arrival::JUMP;
            recent && *length + Arrival::JUMP > step
        };
        self.stalls.back().is_some_and(held_up)
    }

    pub(in crate::show::pipeline) fn signs(&self, now: Instant) -> signs::Arrival {
        let within = |at: Instant, span: Duration| now.saturating_duration_since(at) < span;
        let stalls =
            || self.stalls.iter().filter(|(at, _)| within(*at, Arrival::STALLS_KEPT)).map(|(_, length)| *length);
        let jumps = || self.jumps.iter().filter(|(at, _)| within(*at, Arrival::JUMPS_KEPT));
        let least = self.seconds.iter().map(|second| second.least).min();
        let most = self.seconds.iter().map(|second| second.most).max();
        signs::Arrival {
            silent_seconds: self.newest.map(|(at, _)| now.saturating_duration_since(at).as_secs_f64()),
            stalls: stalls().count() as u32,
            longest_stall: stalls().max().unwrap_or_default().as_secs_f64(),
            jitter_ms: least.zip(most).map_or(0.0, |(least, most)| (most - least) as f64 / 1e3),
            drift_ppm: self.drift_ppm(),
            jumps: jumps().count() as u32,
            newest_jump: jumps().next_back().map_or(0.0, |(_, jump)| *jump),
        }
    }

    /// The slope of the least lateness, its sign turned: a publisher whose clock is fast comes ever earlier. The median of
    /// the slopes between all pairs of windows (Theil and Sen), so that single bad windows do not count; and nothing when
    /// the halves disagree, because then the path changed and not the clock.
    fn drift_ppm(&self) -> Option<f64> {
        // The last window is still running.
        let points: Vec<(f64, f64)> =
            self.windows.iter().rev().skip(1).map(|window| (window.least_at, window.least as f64)).collect();
        if points.len() <= Arrival::WINDOWS / 2 {
            return None;
        }
        let slope = |points: &[(f64, f64)]| {
            let pairs = points.iter().enumerate().flat_map(|(n, a)| points[n + 1..].iter().map(move |b| (a, b)));
            let mut slopes: Vec<f64> =
                pairs.filter(|(a, b)| a.0 - b.0 > 1.0).map(|(a, b)| (a.1 - b.1) / (a.0 - b.0)).collect();
            slopes.sort_by(f64::total_cmp);
            slopes.get(slopes.len() / 2).copied().unwrap_or_default()
        };
        let whole = slope(&points);
        let (newer, older) = points.split_at(points.len() / 2);
        let agrees = |half: f64| half * whole.signum() >= whole.abs() / 2.0;
        // Microseconds a second are millionths already.
        Some(if agrees(slope(newer)) && agrees(slope(older)) { -whole } else { 0.0 })
    }
}

impl Span {
    /// Adds a unit to the newest of at most `most` spans of `length`, or begins the next.
    fn note(spans: &mut VecDeque<Span>, length: Duration, most: usize, arrived: Instant, since: Duration, late: i64) {
        let least_at = since.as_secs_f64();
        match spans.back_mut() {
            Some(span) if arrived.saturating_duration_since(span.begun) < length => {
                if late < span.least {
                    (span.least, span.least_at) = (late, least_at);
                }
                span.most = span.most.max(late);
            }
            _ => {
                if spans.len() > most {
                    spans.pop_front();
                }
                spans.push_back(Span { begun: arrived, least_at, least: late, most: late });
            }
        }
    }
}

fn keep<T>(kept: &mut VecDeque<T>, one: T) {
    if kept.len() == Arrival::MOST_KEPT {
        kept.pop_front();
    }
    kept.push_back(one);
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// Frames at 30 a second: frame `n` is of `n` intervals in the publisher's time, and arrives `arrives(n)` after the start.
    fn run(frames: u64, arrives: impl Fn(u64) -> Duration, dts: impl Fn(u64) -> Duration) -> signs::Arrival {
        let (start, mut arrival, mut newest) = (Instant::now(), Arrival::default(), Duration::ZERO);
        for n in 0..frames {
            newest = arrives(n);
            let (dts, arrived) = (dts(n), start + newest);
            arrival.note(&AccessUnit { pts: dts, dts, key: false, data: Bytes::new(), arrived });
        }
        arrival.signs(start + newest)
    }

    fn even(n: u64) -> Duration {
        Duration::from_millis(5_000 + n * 1000 / 30)
    }

    /// Up to 40 ms, different for every frame.
    fn jitter(n: u64) -> Duration {
        Duration::from_micros(n.wrapping_mul(2_654_435_761) % 40_000)
    }

    #[test]
    fn an_even_stream_has_nothing_to_tell() {
        let signs = run(30 * 120, even, even);
        assert_eq!((signs.stalls, signs.jumps), (0, 0));
        assert!(signs.jitter_ms < 2.0, "{signs:?}");
        assert!(signs.drift_ppm.unwrap().abs() < 20.0, "{signs:?}");
        assert_eq!(run(30 * 55, even, even).drift_ppm, None, "not before a minute");
    }

    #[test]
    fn drift_is_found_under_jitter_with_its_sign() {
        for ppm in [-500i64, 500, 1500] {
            let dts = |n: u64| {
                let even = even(n).as_micros() as i64;
                Duration::from_micros((even + even * ppm / 1_000_000) as u64)
            };
            let signs = run(30 * 90, |n| even(n) + jitter(n), dts);
            let seen = signs.drift_ppm.unwrap();
            assert!((seen - ppm as f64).abs() < 120.0, "{seen} of {ppm} ppm");
        }
    }

    #[test]
    fn a_path_that_grew_slower_is_no_drift() {
        for step_at in [30 * 30, 30 * 45, 30 * 70] {
            let later = |n: u64| even(n) + Duration::from_millis(if n >= step_at { 150 } else { 0 });
            let signs = run(30 * 90, later, even);
            assert!(signs.drift_ppm.unwrap().abs() < 100.0, "{signs:?}");
        }
    }

    #[test]
    fn pauses_that_a_burst_makes_good_are_stalls() {
        // Frames 300 to 345 come all at once with frame 345, and so do 400 to 430.
        let held = |n: u64| match n {
            300..345 => even(345),
            400..430 => even(430),
            n => even(n),
        };
        let signs = run(500, held, even);
        assert_eq!(signs.stalls, 2);
        assert!((signs.longest_stall - 1.5).abs() < 0.05, "{signs:?}");
        assert_eq!(signs.jumps, 0);
        assert!(signs.jitter_ms > 1000.0);
        assert_eq!(run(430 + 30 * 31, held, even).stalls, 0, "forgotten after half a minute");
    }

    #[test]
    fn frames_that_an_encoder_left_out_are_no_stall() {
        let gap = |n: u64| even(if n >= 100 { n + 60 } else { n });
        let signs = run(200, gap, gap);
        assert_eq!((signs.stalls, signs.jumps), (0, 0));
    }

    #[test]
    fn timestamps_that_jump_are_told_by_how_much() {
        let ahead = run(200, even, |n| even(n) + Duration::from_secs(if n >= 100 { 12 } else { 0 }));
        assert_eq!(ahead.jumps, 1);
        assert!((ahead.newest_jump - 12.0).abs() < 0.1, "{ahead:?}");
        let back = run(200, even, |n| even(if n >= 100 { n - 90 } else { n }));
        assert_eq!(back.jumps, 1);
        assert!((back.newest_jump + 3.0).abs() < 0.1, "{back:?}");
    }

    #[test]
    fn a_pause_that_dropped_what_it_held_up_is_no_jump() {
        // Two seconds of nothing, then OBS goes on with what is new.
        let held = |n: u64| even(if (100..160).contains(&n) { 160 } else { n });
        let signs = run(300, held, |n| even(if (101..159).contains(&n) { 159 } else { n }));
        assert_eq!((signs.stalls, signs.jumps), (1, 0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let start = Instant::now();
        let mut arrival = Arrival::default();
        for n in 0..20_000u64 {
            let dts = if n % 2 == 0 { Duration::from_secs(n) } else { Duration::MAX };
            let arrived = start + Duration::from_millis(n);
            arrival.note(&AccessUnit { pts: dts, dts, key: false, data: Bytes::new(), arrived });
        }
        assert!(arrival.jumps.len() <= Arrival::MOST_KEPT && arrival.windows.len() <= Arrival::WINDOWS + 1);
        assert!(arrival.signs(start).jitter_ms.is_finite());
    }
}
