//! The newest frames of a feed, kept for retransmission and for viewers who join in the middle of a GOP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::packetize::Packets;

/// Frames by their place in the feed, oldest first: the running GOP and at least the last [`KEPT`], within [`MAX_PACKETS`]
/// and [`MAX_BYTES`]. When full the oldest frame goes, and with it, if it began the running GOP, the possibility to join
/// before the next IDR.
#[derive(Default)]
pub(super) struct Ring {
    frames: VecDeque<(Instant, Arc<Packets>)>,
    packets: usize,
    bytes: usize,
    /// Where the running GOP begins and since when, while all of it is here.
    group: Option<(u64, Instant)>,
}

impl Ring {
    pub(super) fn push(&mut self, now: Instant, frame: Arc<Packets>) {
        if frame.key {
            self.group = Some((frame.first, now));
        }
        self.packets += frame.payloads.len();
        self.bytes += frame.payloads.size();
        self.frames.push_back((now, frame));
        while self.frames.len() > 1 {
            let (pushed, oldest) = &self.frames[0];
            let needed = now.saturating_duration_since(*pushed) < KEPT
                || self.group.is_some_and(|(first, _)| oldest.first >= first);
            if needed && self.packets <= MAX_PACKETS && self.bytes <= MAX_BYTES {
                break;
            }
            self.packets -= oldest.payloads.len();
            self.bytes -= oldest.payloads.size();
            if self.group.is_some_and(|(first, _)| first == oldest.first) {
                self.group = None;
            }
            self.frames.pop_front();
        }
    }

    /// The frame that holds a packet, and which of its packets it is.
    pub(super) fn locate(&self, place: u64) -> Option<(&Arc<Packets>, usize)> {
        let behind = self.frames.partition_point(|(_, frame)| frame.first <= place);
        let (_, frame) = self.frames.get(behind.checked_sub(1)?)?;
        (place < frame.end()).then(|| (frame, (place - frame.first) as usize))
    }

    /// The place behind the newest packet.
    pub(super) fn end(&self) -> u64 {
        self.frames.back().map_or(0, |(_, frame)| frame.end())
    }

    /// Where the running GOP begins and when its IDR came, while all of it is here.
    pub(super) fn group(&self) -> Option<(u64, Instant)> {
        self.group
    }
}

/// How long a packet can be asked for again: beyond this a retransmission comes too late to be shown.
const KEPT: Duration = Duration::from_millis(1500);
const MAX_PACKETS: usize = 16 * 1024;
const MAX_BYTES: usize = 16 << 20;

#[cfg(test)]
pub(super) mod tests {
    use super::super::packetize::{self, MAX_PAYLOAD};
    use super::*;

    /// A frame of `packets` packets.
    pub(in crate::deliver) fn frame(first: u64, packets: usize, key: bool) -> Arc<Packets> {
        let mut unit = vec![1; 1 + packets * (MAX_PAYLOAD - 2)];
        unit[0] = if key { 0x65 } else { 0x41 };
        if packets == 1 {
            unit.truncate(100);
        }
        // No two frames are alike.
        unit[1..9].copy_from_slice(&(first | 0x0101_0101_0101_0101).to_be_bytes());
        let payloads = packetize::h264(&[&[0, 0, 1][..], &unit].concat());
        assert_eq!(payloads.len(), packets);
        Arc::new(Packets { first, timestamp: first as u32 * 3000, key, arrived: None, payloads })
    }

    #[test]
    fn packets_are_found_by_their_place() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        ring.push(now, frame(0, 3, true));
        ring.push(now, frame(3, 1, false));
        ring.push(now, frame(10, 2, true));
        let find = |place| ring.locate(place).map(|(frame, nth)| (frame.first, nth));
        assert_eq!(find(0), Some((0, 0)));
        assert_eq!(find(2), Some((0, 2)));
        assert_eq!(find(3), Some((3, 0)));
        assert_eq!(find(4), None, "never pushed");
        assert_eq!(find(11), Some((10, 1)));
        assert_eq!(find(12), None);
        assert_eq!((ring.end(), ring.group().unwrap().0), (12, 10));
    }

    #[test]
    fn the_running_group_and_the_last_moments_are_kept() {
        let (mut ring, start) = (Ring::default(), Instant::now());
        let at = |n: u64| start + Duration::from_millis(33 * n);
        for n in 0..120 {
            ring.push(at(n), frame(n, 1, n % 100 == 0));
        }
        assert_eq!(ring.group(), Some((100, at(100))));
        assert!(ring.locate(100).is_some(), "the running group");
        assert!(ring.locate(80).is_some(), "what may be asked for again");
        assert!(ring.locate(60).is_none());
    }

    #[test]
    fn an_endless_group_is_cut_at_the_front() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        ring.push(now, frame(0, 100, true));
        for n in 1..400 {
            ring.push(now, frame(n * 100, 100, false));
        }
        assert!(ring.packets <= MAX_PACKETS && ring.bytes <= MAX_BYTES);
        assert_eq!(ring.group(), None);
    }
}
