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

/// Median, 95th percentile and most, without decimals.
pub fn spread(values: &mut [f64]) -> String {
    let [p50, p95, most] = [0.5, 0.95, 1.0].map(|share| quantile(values, share));
    format!("p50 {p50:.0}, p95 {p95:.0}, most {most:.0}")
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

/// CPU time that this thread has used.
pub fn cpu_of_this_thread() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call may write.
    let told = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(told, 0, "a thread's clock is there");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
