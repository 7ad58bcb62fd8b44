//! RTP timestamps of a publisher's two streams on one timeline.
//!
//! A stream's timestamps count in its own clock from a random start. Until sender reports have come (RFC 3550 §6.4.1),
//! streams are put together by the arrival of their first packets; from then on by the sender's wall clock, which both reports
//! name, whatever the delay of either stream on its way. The picture's place stays; the sound moves to it. A busy browser's
//! reports of sound are late by its own delays, a tenth of a second at times, so the middle one of several counts.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
}

/// Times are nanoseconds since [`START`] before the session began.
#[derive(Debug)]
pub(super) struct Timeline {
    began: Instant,
    video: Line,
    audio: Line,
}

/// One stream's clock.
#[derive(Debug)]
struct Line {
    /// Hertz.
    rate: i64,
    /// The newest timestamp, its 32 bits unwrapped.
    newest: Option<i64>,
    /// What is added to a timestamp's time; none before the first packet.
    offset: Option<i64>,
    /// By how much the sender's wall clock (since 1900) is ahead of the stream's own, by its last [`REPORTS`] reports.
    leads: VecDeque<i64>,
}

impl Timeline {
    pub(super) fn new(began: Instant) -> Timeline {
        let line = |rate| Line { rate, newest: None, offset: None, leads: VecDeque::new() };
        Timeline { began, video: line(90_000), audio: line(48_000) }
    }

    /// The time of a packet that arrived now.
    pub(super) fn at(&mut self, kind: Kind, timestamp: u32, arrived: Instant) -> Duration {
        let passed = arrived.saturating_duration_since(self.began) + START;
        let now = i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX / 2);
        let line = self.line(kind);
        let own = line.nanos(line.unwrap(timestamp));
        line.newest = Some(line.unwrap(timestamp));
        let time = line.offset.map(|offset| own.saturating_add(offset));
        let time = match time.filter(|time| time.abs_diff(now) < MOST_APART) {
            Some(time) => time,
            None => {
                // The first packet, or timestamps that jumped, which leaves the reports without meaning.
                if line.offset.replace(now.saturating_sub(own)).is_some() {
                    line.leads.clear();
                }
                self.align();
                let line = self.line(kind);
                own.saturating_add(line.offset.unwrap_or_default())
            }
        };
        Duration::from_nanos(time.max(0) as u64)
    }

    /// A sender report: `ntp` is its 64 bits of wall clock.
    pub(super) fn report(&mut self, kind: Kind, timestamp: u32, ntp: u64) {
        let line = self.line(kind);
        let timestamp = line.unwrap(timestamp);
        line.newest.get_or_insert(timestamp);
        if line.leads.len() == REPORTS {
            line.leads.pop_front();
        }
        line.leads.push_back(nanos_of(ntp).saturating_sub(line.nanos(timestamp)));
        self.align();
    }

    /// A stream begins anew, with timestamps of its own.
    pub(super) fn forget(&mut self, kind: Kind) {
        let line = self.line(kind);
        (line.newest, line.offset) = (None, None);
        line.leads.clear();
    }

    /// Moves the sound to where the reports say that it belongs.
    fn align(&mut self) {
        let (Some(video), Some(video_lead)) = (self.video.offset, self.video.lead()) else { return };
        let (Some(audio), Some(audio_lead)) = (self.audio.offset, self.audio.lead()) else { return };
        let wanted = i128::from(video) - i128::from(video_lead) + i128::from(audio_lead);
        // Reports that put the streams seconds apart are not to be believed: packets arrive in about their order.
        if (wanted - i128::from(audio)).unsigned_abs() < MOST_APART.into() {
            self.audio.offset = i64::try_from(wanted).ok();
        }
    }

    fn line(&mut self, kind: Kind) -> &mut Line {
        match kind {
            Kind::Video => &mut self.video,
            Kind::Audio => &mut self.audio,
        }
    }
}

impl Line {
    /// The timestamp's 32 bits unwrapped near the newest.
    fn unwrap(&self, timestamp: u32) -> i64 {
        match self.newest {
            Some(newest) => newest + i64::from(timestamp.wrapping_sub(newest as u32) as i32),
            None => i64::from(timestamp),
        }
    }

    /// The middle of the reported leads, the lower one of two.
    fn lead(&self) -> Option<i64> {
        let mut leads: Vec<i64> = self.leads.iter().copied().collect();
        leads.sort_unstable();
        leads.get(leads.len().checked_sub(1)? / 2).copied()
    }

    fn nanos(&self, timestamp: i64) -> i64 {
        let nanos = i128::from(timestamp) * 1_000_000_000 / i128::from(self.rate);
        nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// NTP's 32 bits of seconds and 32 of their fraction as nanoseconds.
fn nanos_of(ntp: u64) -> i64 {
    let fraction = (u128::from(ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
    ((ntp >> 32) * 1_000_000_000 + fraction as u64) as i64
}

/// A publisher's time at the beginning of its session: what moves back a little stays above zero.
const START: Duration = Duration::from_secs(10);
/// Streams, or a stream and its arrival, further apart than this (in nanoseconds) are put together anew.
const MOST_APART: u64 = 5_000_000_000;
const REPORTS: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn ntp(millis: u64) -> u64 {
        let seconds = 3_900_000_000 + millis / 1000;
        (seconds << 32) | (((millis % 1000) << 32) / 1000)
    }

    fn millis(time: Duration) -> i64 {
        (time.as_secs_f64() * 1000.0).round() as i64
    }

    struct Sender {
        timeline: Timeline,
        began: Instant,
        /// Milliseconds that each stream takes on its way.
        delay: [u64; 2],
    }

    impl Sender {
        fn new(delay: [u64; 2]) -> Sender {
            let began = Instant::now();
            Sender { timeline: Timeline::new(began), began, delay }
        }

        fn timestamp(kind: Kind, millis: u64) -> u32 {
            match kind {
                Kind::Video => 0xffff_0000u32.wrapping_add((millis * 90) as u32),
                Kind::Audio => 0x1234_5678u32.wrapping_add((millis * 48) as u32),
            }
        }

        /// Where something captured at a moment is put.
        fn at(&mut self, kind: Kind, captured: u64) -> i64 {
            let arrived = self.began + Duration::from_millis(captured + self.delay[kind as usize]);
            millis(self.timeline.at(kind, Sender::timestamp(kind, captured), arrived))
        }

        fn report(&mut self, kind: Kind, at: u64) {
            self.timeline.report(kind, Sender::timestamp(kind, at), ntp(at));
        }
    }

    #[test]
    fn streams_start_by_their_arrival() {
        let mut sender = Sender::new([30, 30]);
        assert_eq!(sender.at(Kind::Video, 0), 10_030);
        assert_eq!(sender.at(Kind::Audio, 5), 10_035);
        assert_eq!(sender.at(Kind::Video, 33), 10_063);
    }

    #[test]
    fn reports_put_sound_to_its_picture() {
        let mut sender = Sender::new([100, 20]);
        let video = sender.at(Kind::Video, 0);
        assert_eq!(sender.at(Kind::Audio, 0) - video, -80, "by arrival");
        sender.report(Kind::Video, 500);
        sender.report(Kind::Audio, 700);
        assert_eq!(sender.at(Kind::Audio, 1000) - sender.at(Kind::Video, 1000), 0);
        assert_eq!(sender.at(Kind::Video, 1033) - video, 1033, "the picture stays where it was");
    }

    #[test]
    fn reports_before_the_first_packet_count() {
        let mut sender = Sender::new([100, 20]);
        sender.report(Kind::Audio, 0);
        sender.report(Kind::Video, 0);
        assert_eq!(sender.at(Kind::Video, 10), sender.at(Kind::Audio, 10));
    }

    #[test]
    fn a_report_that_was_late_is_outvoted() {
        let mut sender = Sender::new([0, 0]);
        let before = sender.at(Kind::Video, 0);
        sender.at(Kind::Audio, 0);
        sender.report(Kind::Video, 0);
        sender.timeline.report(Kind::Audio, Sender::timestamp(Kind::Audio, 0), ntp(90));
        assert_eq!(sender.at(Kind::Audio, 0) - before, 90, "alone it counts");
        sender.report(Kind::Audio, 5000);
        assert_eq!(sender.at(Kind::Audio, 5000) - before, 5000);
        sender.timeline.report(Kind::Audio, Sender::timestamp(Kind::Audio, 10_000), ntp(10_090));
        sender.report(Kind::Audio, 15_000);
        assert_eq!(sender.at(Kind::Audio, 15_000) - before, 15_000);
    }

    #[test]
    fn reports_of_nonsense_are_not_believed() {
        let mut sender = Sender::new([0, 0]);
        let video = sender.at(Kind::Video, 0);
        sender.at(Kind::Audio, 0);
        sender.report(Kind::Video, 0);
        for ntp in [0, u64::MAX, 1 << 63] {
            sender.timeline.report(Kind::Audio, Sender::timestamp(Kind::Audio, 0), ntp);
            assert_eq!(sender.at(Kind::Audio, 0), video);
        }
    }

    #[test]
    fn timestamps_wrap_and_run_on_for_days() {
        let mut sender = Sender::new([0, 0]);
        let first = sender.at(Kind::Video, 0);
        for at in (0..100 * HOUR).step_by(1_000_000) {
            assert_eq!(sender.at(Kind::Video, at) - first, at as i64);
        }
    }

    #[test]
    fn timestamps_that_jump_go_on_from_their_arrival() {
        let mut sender = Sender::new([0, 0]);
        sender.at(Kind::Video, 0);
        let arrived = sender.began + Duration::from_millis(1000);
        assert_eq!(millis(sender.timeline.at(Kind::Video, 0x8000_0000, arrived)), 11_000);
        assert_eq!(millis(sender.timeline.at(Kind::Video, 0x8000_0000 + 90, arrived)), 11_001);
    }
}
