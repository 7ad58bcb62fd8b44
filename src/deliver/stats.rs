//! Counters of delivery, and how long a frame takes through the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What was delivered, by plain counters that only grow. Readers take a [`Snapshot`].
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) video_frames: AtomicU64,
    pub(super) video_packets: AtomicU64,
    pub(super) audio_packets: AtomicU64,
    pub(super) frames_dropped: AtomicU64,
    pub(super) sent_packets: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    pub(super) send_errors: AtomicU64,
    pub(super) nacked_packets: AtomicU64,
    pub(super) retransmitted_packets: AtomicU64,
    pub(super) keyframe_requests: AtomicU64,
    pub(super) keyframes_asked: AtomicU64,
    pub(super) joins: AtomicU64,
    pub(super) connected: AtomicU64,
    pub(super) left: AtomicU64,
    pub(super) lagged: AtomicU64,
    pub(super) messages_dropped: AtomicU64,
    pub(super) latency: Histogram,
}

/// A moment's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Video frames packetized, once each whatever the number of viewers.
    pub video_frames: u64,
    /// Video packets made by packetizing, before they are sealed for each viewer.
    pub video_packets: u64,
    pub audio_packets: u64,
    /// Frames that found their queue full or were too old to send.
    pub frames_dropped: u64,
    /// Sealed media packets handed to the socket, retransmissions included.
    pub sent_packets: u64,
    pub sent_bytes: u64,
    /// Media packets that the socket did not take.
    pub send_errors: u64,
    /// Packets that viewers reported as lost.
    pub nacked_packets: u64,
    pub retransmitted_packets: u64,
    /// PLI and FIR received.
    pub keyframe_requests: u64,
    /// Keyframes asked of the encoder, at most two a second a rendition.
    pub keyframes_asked: u64,
    /// Offers answered.
    pub joins: u64,
    /// Viewers whose connection came up.
    pub connected: u64,
    /// Viewers gone, connected or not.
    pub left: u64,
    /// Times that a viewer fell behind and jumped to the next IDR.
    pub lagged: u64,
    /// Data channel messages from viewers, which nothing reads.
    pub messages_dropped: u64,
    /// From a frame's arrival at the server to its last packet's way out, each viewer's frames counted.
    pub latency: Latency,
}

/// A histogram's summary, exact to 6 %.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    pub count: u64,
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

impl Stats {
    pub(super) fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Snapshot {
            video_frames: read(&self.video_frames),
            video_packets: read(&self.video_packets),
            audio_packets: read(&self.audio_packets),
            frames_dropped: read(&self.frames_dropped),
            sent_packets: read(&self.sent_packets),
            sent_bytes: read(&self.sent_bytes),
            send_errors: read(&self.send_errors),
            nacked_packets: read(&self.nacked_packets),
            retransmitted_packets: read(&self.retransmitted_packets),
            keyframe_requests: read(&self.keyframe_requests),
            keyframes_asked: read(&self.keyframes_asked),
            joins: read(&self.joins),
            connected: read(&self.connected),
            left: read(&self.left),
            lagged: read(&self.lagged),
            messages_dropped: read(&self.messages_dropped),
            latency: self.latency.summary(),
        }
    }
}

/// Counts for a feed and for the whole of delivery at once.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    pub(super) feed: Arc<Stats>,
    pub(super) all: Arc<Stats>,
}

impl Meter {
    pub(super) fn add(&self, counter: impl Fn(&Stats) -> &AtomicU64, amount: u64) {
        counter(&self.feed).fetch_add(amount, Relaxed);
        counter(&self.all).fetch_add(amount, Relaxed);
    }

    pub(super) fn latency(&self, latency: Duration) {
        self.feed.latency.record(latency);
        self.all.latency.record(latency);
    }
}

/// Durations counted in buckets of a sixteenth of an octave, from a microsecond to over an hour.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: Box<[AtomicU64]>,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), max: AtomicU64::new(0) }
    }
}

impl Histogram {
    pub(super) fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)].fetch_add(1, Relaxed);
        self.max.fetch_max(micros, Relaxed);
    }

    fn summary(&self) -> Latency {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let max = self.max.load(Relaxed);
        let quantile = |percent: u64| {
            let mut left = (count * percent).div_ceil(100);
            let found = counts.iter().position(|&counted| {
                left = left.saturating_sub(counted);
                left == 0
            });
            Duration::from_micros(found.map_or(0, ceiling).min(max))
        };
        if count == 0 {
            return Latency::default();
        }
        Latency { count, p50: quantile(50), p99: quantile(99), max: Duration::from_micros(max) }
    }
}

const STEPS: u64 = 16;
const BUCKETS: usize = 16 * 30;

/// Values below 16 have a bucket each; above, an octave has 16.
fn bucket(micros: u64) -> usize {
    let octave = u64::from(micros.max(1).ilog2()).saturating_sub(3);
    let step = if octave == 0 { micros } else { (micros >> (octave - 1)) - STEPS };
    ((octave * STEPS + step) as usize).min(BUCKETS - 1)
}

/// The largest value that falls into a bucket.
fn ceiling(bucket: usize) -> u64 {
    let (octave, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if octave == 0 { step } else { ((STEPS + step + 1) << (octave - 1)) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_under_its_buckets_ceiling() {
        for micros in (0..5000).chain([10_000, 123_456, 3_000_000]) {
            let at = bucket(micros);
            assert!(ceiling(at) >= micros, "{micros}");
            assert!(at == 0 || ceiling(at - 1) < micros, "{micros}");
            assert!(ceiling(at) as f64 <= micros as f64 * 1.07 + 1.0, "{micros}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_read_from_what_was_recorded() {
        let histogram = Histogram::default();
        assert_eq!(histogram.summary(), Latency::default());
        for millis in 1..=100 {
            histogram.record(Duration::from_millis(millis));
        }
        let latency = histogram.summary();
        assert_eq!((latency.count, latency.max), (100, Duration::from_millis(100)));
        assert!((47..=54).contains(&latency.p50.as_millis()), "{latency:?}");
        assert!((93..=100).contains(&latency.p99.as_millis()), "{latency:?}");
    }
}
