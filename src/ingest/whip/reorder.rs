//! One RTP stream's packets in the order of their sequence numbers, and which of them to ask for again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// A packet of media, its header read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) payload: Bytes,
    /// When it came from the network.
    pub(super) arrived: Instant,
}

/// Packets held back until those before them come, or until they are given up: after [`Reorder::hold`], or when more than
/// [`MOST_HELD`] wait. What is in order already is not held at all.
#[derive(Debug)]
pub(super) struct Reorder {
    hold: Duration,
    /// The number of the packet to give next, 16 bits unwrapped; none before the first packet.
    next: Option<u64>,
    /// One more than the highest number seen.
    end: u64,
    held: BTreeMap<u64, Packet>,
    /// Since when what is held waits for `next`.
    blocked: Option<Instant>,
    missing: BTreeMap<u64, Asked>,
    /// Packets in a row that were too late for their place.
    late: u32,
    /// Packets were given up since the last one that was given.
    gap: bool,
    lost: u64,
}

#[derive(Debug)]
struct Asked {
    times: u32,
    again: Instant,
}

impl Reorder {
    pub(super) fn new(hold: Duration) -> Reorder {
        Reorder {
            hold,
            next: None,
            end: 0,
            held: BTreeMap::new(),
            blocked: None,
            missing: BTreeMap::new(),
            late: 0,
            gap: true,
            lost: 0,
        }
    }

    /// Takes a packet in; one that is there already, or comes too late, is dropped.
    pub(super) fn insert(&mut self, packet: Packet) {
        let now = packet.arrived;
        let Some(next) = self.next else {
            self.begin(u64::from(packet.sequence) + BASE, packet);
            return;
        };
        let newest = self.end - 1;
        let ahead = i64::from(packet.sequence.wrapping_sub(newest as u16) as i16);
        let at = newest.saturating_add_signed(ahead);
        if at < next {
            // A few are duplicates and the losers of a race; a run of them is a sender that began anew.
            self.late += 1;
            if self.late > MOST_LATE {
                self.begin(at, packet);
            }
            return;
        }
        self.late = 0;
        if at >= self.end + MOST_JUMP {
            self.begin(at, packet);
            return;
        }
        if at > self.end && at - self.end <= MOST_MISSING {
            self.missing.extend((self.end..at).map(|number| (number, Asked { times: 0, again: now })));
            while self.missing.len() > MOST_WANTED {
                self.missing.pop_first();
            }
        }
        self.end = self.end.max(at + 1);
        self.missing.remove(&at);
        self.held.insert(at, packet);
        if at != next {
            self.blocked.get_or_insert(now);
        }
    }

    /// Starts over at `at`; what was held is given up.
    fn begin(&mut self, at: u64, packet: Packet) {
        self.lost += self.held.len() as u64;
        self.held.clear();
        self.missing.clear();
        (self.next, self.end, self.late, self.blocked, self.gap) = (Some(at), at + 1, 0, None, true);
        self.held.insert(at, packet);
    }

    /// The next packet, and whether any before it are given up.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Packet, bool)> {
        let (next, first) = (self.next?, *self.held.keys().next()?);
        if first > next {
            let waited = self.blocked.is_some_and(|since| now.saturating_duration_since(since) >= self.hold);
            if !waited && self.held.len() <= MOST_HELD {
                return None;
            }
            self.lost += first - next;
            self.gap = true;
        }
        let packet = self.held.remove(&first)?;
        self.next = Some(first + 1);
        self.missing = self.missing.split_off(&(first + 1));
        let after = self.held.first_key_value();
        self.blocked = after.filter(|(number, _)| **number != first + 1).map(|(_, packet)| packet.arrived);
        Some((packet, std::mem::take(&mut self.gap)))
    }

    /// When [`Reorder::pop`] gives up what it waits for.
    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.blocked? + self.hold)
    }

    /// The sequence numbers to ask the sender for now, and no sooner than [`ASK_EVERY`] again.
    pub(super) fn ask(&mut self, now: Instant) -> Vec<u16> {
        let mut asked = Vec::new();
        for (number, ask) in &mut self.missing {
            if ask.again <= now && ask.times < MOST_ASKED {
                ask.times += 1;
                ask.again = now + ASK_EVERY;
                asked.push(*number as u16);
            }
        }
        asked
    }

    /// When [`Reorder::ask`] has something to ask for.
    pub(super) fn ask_due(&self) -> Option<Instant> {
        self.missing.values().filter(|ask| ask.times < MOST_ASKED).map(|ask| ask.again).min()
    }

    /// How many packets never came in time.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

/// Numbers begin above zero, so that one before the first has a number too.
const BASE: u64 = 1 << 17;
/// Half a second of a fast stream: whoever is further behind has lost a picture anyway.
const MOST_HELD: usize = 512;
/// A longer hole is no loss to be mended packet by packet.
const MOST_MISSING: u64 = 128;
/// Of all holes together; beyond it the oldest are asked for no more.
const MOST_WANTED: usize = 512;
/// Further ahead than this a sender has begun anew.
const MOST_JUMP: u64 = 4096;
const MOST_LATE: u32 = 100;
/// About a round trip, of which an answer to a loss takes one.
const ASK_EVERY: Duration = Duration::from_millis(40);
const MOST_ASKED: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOLD: Duration = Duration::from_millis(150);

    struct Bench {
        reorder: Reorder,
        start: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            Bench { reorder: Reorder::new(HOLD), start: Instant::now() }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn insert(&mut self, millis: u64, sequence: u16) {
            let arrived = self.at(millis);
            self.reorder.insert(Packet { sequence, timestamp: 0, marker: false, payload: Bytes::new(), arrived });
        }

        /// What is given at a moment, a gap shown as `None` before its packet.
        fn given(&mut self, millis: u64) -> Vec<Option<u16>> {
            let mut given = Vec::new();
            while let Some((packet, gap)) = self.reorder.pop(self.at(millis)) {
                given.extend(gap.then_some(None));
                given.push(Some(packet.sequence));
            }
            given
        }
    }

    #[test]
    fn what_comes_in_order_waits_for_nothing() {
        let mut bench = Bench::new();
        bench.insert(0, 65_534);
        assert_eq!(bench.given(0), [None, Some(65_534)], "nothing is known of what came before the first");
        for sequence in [65_535, 0, 1] {
            bench.insert(1, sequence);
            assert_eq!(bench.given(1), [Some(sequence)]);
        }
        assert_eq!((bench.reorder.due(), bench.reorder.ask_due()), (None, None));
    }

    #[test]
    fn a_swapped_pair_is_put_right() {
        let mut bench = Bench::new();
        bench.insert(0, 10);
        bench.given(0);
        bench.insert(1, 12);
        assert_eq!(bench.given(1), []);
        bench.insert(2, 11);
        assert_eq!(bench.given(2), [Some(11), Some(12)]);
        bench.insert(3, 11);
        bench.insert(3, 12);
        assert_eq!(bench.given(3), [], "each is given once");
    }

    #[test]
    fn a_loss_is_asked_for_and_then_given_up() {
        let mut bench = Bench::new();
        bench.insert(0, 10);
        bench.given(0);
        bench.insert(5, 13);
        assert_eq!(bench.reorder.ask(bench.at(5)), [11, 12]);
        assert!(bench.reorder.ask(bench.at(10)).is_empty(), "the answer is on its way");
        bench.insert(20, 12);
        assert_eq!(bench.reorder.ask(bench.at(45)), [11]);
        assert_eq!(bench.given(154), []);
        assert_eq!(bench.reorder.due(), Some(bench.at(155)));
        assert_eq!(bench.given(155), [None, Some(12), Some(13)]);
        assert_eq!((bench.reorder.lost(), bench.reorder.ask(bench.at(999))), (1, vec![]));
        bench.insert(160, 11);
        assert_eq!(bench.given(160), [], "too late");
    }

    #[test]
    fn a_packet_is_asked_for_a_few_times_only() {
        let mut bench = Bench::new();
        bench.insert(0, 1);
        bench.insert(0, 3);
        let asked =
            (0..1000).filter(|&millis| !bench.reorder.ask(bench.start + Duration::from_millis(millis)).is_empty());
        assert_eq!(asked.count(), MOST_ASKED as usize);
        assert_eq!(bench.reorder.ask_due(), None);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut bench = Bench::new();
        bench.insert(0, 0);
        bench.given(0);
        for sequence in 2..2000 {
            bench.insert(0, sequence);
            bench.given(0);
            assert!(bench.reorder.held.len() <= MOST_HELD + 1);
        }
        assert!(bench.reorder.missing.is_empty());
    }

    #[test]
    fn what_is_asked_for_is_bounded() {
        let mut bench = Bench::new();
        for hole in 0..400 {
            bench.insert(0, hole * 100);
            assert!(bench.reorder.missing.len() <= MOST_WANTED);
        }
        let asked = bench.reorder.ask(bench.at(0));
        assert_eq!((asked.len(), asked.last()), (MOST_WANTED, Some(&39_899)), "the newest");
    }

    #[test]
    fn a_sender_that_begins_anew_is_followed() {
        let mut bench = Bench::new();
        bench.insert(0, 100);
        bench.given(0);
        bench.insert(1, 20_000);
        assert_eq!(bench.given(1), [None, Some(20_000)], "far ahead");
        let given: Vec<_> = (1..=200)
            .flat_map(|sequence| {
                bench.insert(2, sequence);
                bench.given(2)
            })
            .collect();
        assert_eq!(given.first(), Some(&None));
        assert_eq!(given.last(), Some(&Some(200)), "far behind");
    }

    proptest! {
        #[test]
        fn packets_come_out_once_and_in_order(sequences in prop::collection::vec(0u16..400, 0..600), start in any::<u16>()) {
            let mut bench = Bench::new();
            let mut last: Option<u16> = None;
            let (mut gap, mut anew) = (false, false);
            for (millis, sequence) in sequences.into_iter().enumerate() {
                // Late packets by the hundred make it begin anew, further back than it was.
                let late = bench.reorder.late;
                bench.insert(millis as u64, start.wrapping_add(sequence));
                anew |= late == MOST_LATE && bench.reorder.late == 0;
                for given in bench.given(millis as u64) {
                    let Some(given) = given else {
                        gap = true;
                        continue;
                    };
                    if let Some(last) = last {
                        let ahead = given.wrapping_sub(last) as i16;
                        let in_order = if gap { anew || ahead > 0 } else { ahead == 1 };
                        prop_assert!(in_order, "{} after {}", given, last);
                    }
                    anew &= !gap;
                    (gap, last) = (false, Some(given));
                }
                prop_assert!(bench.reorder.held.len() <= MOST_HELD + 1);
                bench.reorder.ask(bench.at(millis as u64));
            }
        }
    }
}
