//! How often packets are sent again: a viewer on a bad path must not double its own load.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a viewer was sent again lately, and what it may still be.
pub(super) struct Resends {
    /// Packets that may be sent again now: a bucket of [`MOST`] that fills within a second.
    left: f64,
    filled: Instant,
    recent: VecDeque<Resend>,
}

struct Resend {
    place: u64,
    times: u32,
    last: Instant,
}

impl Resends {
    pub(super) fn new(now: Instant) -> Resends {
        Resends { left: MOST, filled: now, recent: VecDeque::new() }
    }

    /// Whether the packet at a place in the feed may be sent again; counts it if so. One that was sent again a moment ago is
    /// likely still on its way, and one that was sent again [`MOST_TIMES`] is past saving.
    pub(super) fn may(&mut self, now: Instant, place: u64) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + passed * MOST).min(MOST);
        self.filled = now;
        if self.left < 1.0 {
            return false;
        }
        match self.recent.iter_mut().find(|resend| resend.place == place) {
            Some(resend) if resend.times >= MOST_TIMES || now.saturating_duration_since(resend.last) < PAUSE => {
                return false;
            }
            Some(resend) => {
                resend.times += 1;
                resend.last = now;
            }
            None => {
                if self.recent.len() == MOST_RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(Resend { place, times: 1, last: now });
            }
        }
        self.left -= 1.0;
        true
    }
}

/// Packets in a second: a quarter of a 6 Mbit/s stream.
const MOST: f64 = 150.0;
const MOST_TIMES: u32 = 4;
/// Receivers ask again after a round trip or so.
const PAUSE: Duration = Duration::from_millis(20);
const MOST_RECENT: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_sent_again_a_few_times_with_pauses() {
        let start = Instant::now();
        let mut resends = Resends::new(start);
        let sent = (0..1000u64).filter(|&millis| resends.may(start + Duration::from_millis(millis), 7)).count();
        assert_eq!(sent, MOST_TIMES as usize);
    }

    #[test]
    fn a_storm_of_requests_is_held_to_its_share() {
        let start = Instant::now();
        let mut resends = Resends::new(start);
        let sent = (0..10_000u64).filter(|&n| resends.may(start + Duration::from_micros(n * 100), n)).count();
        assert!((299..=301).contains(&sent), "{sent} in the first second");
        assert!(resends.recent.len() <= MOST_RECENT);
    }
}
