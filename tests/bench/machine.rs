//! The machine while it is measured: its load, how late it wakes a sleeper, and order statistics.

use std::time::{Duration, Instant};

/// The load averages, to be told beside every figure.
pub fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The value below which `share` of the sorted values lie.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

/// How much later than asked a thread wakes from 5 ms of sleep, in milliseconds, over `span`.
pub fn sleep_jitter(span: Duration) -> Vec<f64> {
    let (begun, nap) = (Instant::now(), Duration::from_millis(5));
    let mut late = Vec::new();
    while begun.elapsed() < span {
        let before = Instant::now();
        std::thread::sleep(nap);
        late.push((before.elapsed().saturating_sub(nap)).as_secs_f64() * 1e3);
    }
    late
}
