//! Video packets, in order, to whole pictures.
//!
//! A picture is its packets of one timestamp, the last of which has the marker. After a loss nothing is given until a keyframe
//! that is whole from its first packet on: what refers to a lost picture would show as smears. Who asks for one and gets none
//! for [`PATIENCE`] (an encoder without an ear for requests) is given what there is.

mod h264;
mod vp8;
mod vp9;

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::reorder::Packet;
use crate::media::access_unit::VideoCodec;

/// A coded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) timestamp: u32,
    pub(super) key: bool,
    pub(super) data: Bytes,
    /// When its last packet came.
    pub(super) arrived: Instant,
}

/// How a codec's pictures lie in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    H264,
    Vp8,
    Vp9,
}

/// A payload that is not what its codec's RTP format says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

/// The picture that is being put together, and whether pictures can be shown at all.
#[derive(Debug)]
pub(super) struct Pictures {
    payload: Payload,
    open: Option<Open>,
    /// The packet before the next one came, so that a new timestamp begins a picture.
    unbroken: bool,
    state: State,
    malformed: u64,
}

#[derive(Debug)]
struct Open {
    timestamp: u32,
    data: Vec<u8>,
    key: bool,
    /// Something of it is missing.
    damaged: bool,
    /// Within a fragmented NAL unit (H.264).
    fragment: bool,
    arrived: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No keyframe has come yet.
    New,
    Flowing,
    /// A picture is missing that others refer to.
    Broken {
        since: Instant,
    },
}

impl Payload {
    pub(super) fn codec(self) -> VideoCodec {
        match self {
            Payload::H264 => VideoCodec::H264,
            Payload::Vp8 => VideoCodec::Vp8,
            Payload::Vp9 => VideoCodec::Vp9,
        }
    }

    /// Whether a packet is certainly the first of its picture.
    fn begins(self, payload: &[u8]) -> bool {
        match self {
            Payload::H264 => h264::begins(payload),
            Payload::Vp8 => vp8::begins(payload),
            Payload::Vp9 => vp9::begins(payload),
        }
    }

    /// Adds a packet's part of the picture.
    fn append(self, payload: &[u8], open: &mut Open) -> Result<(), Malformed> {
        match self {
            Payload::H264 => h264::append(payload, open),
            Payload::Vp8 => vp8::append(payload, open),
            Payload::Vp9 => vp9::append(payload, open),
        }
    }
}

impl Pictures {
    pub(super) fn new(payload: Payload) -> Pictures {
        Pictures { payload, open: None, unbroken: false, state: State::New, malformed: 0 }
    }

    /// Takes the next packet; `gap` says that some before it are lost. Gives the pictures that it completes, of which there
    /// are two when the one before had no marker.
    pub(super) fn push(&mut self, packet: &Packet, gap: bool) -> [Option<Picture>; 2] {
        let mut done = [None, None];
        if gap {
            self.unbroken = false;
            // Even a picture that had its marker may have gone in the gap.
            self.lose(packet.arrived);
            if let Some(open) = &mut self.open {
                open.damaged = true;
            }
        }
        // Padding, which a sender probes the way with.
        if packet.payload.is_empty() {
            return done;
        }
        if self.open.as_ref().is_some_and(|open| open.timestamp != packet.timestamp) {
            done[0] = self.finish(packet.arrived);
        }
        let (payload, unbroken) = (self.payload, self.unbroken);
        let open = self.open.get_or_insert_with(|| Open {
            timestamp: packet.timestamp,
            data: Vec::new(),
            key: false,
            damaged: !unbroken && !payload.begins(&packet.payload),
            fragment: false,
            arrived: packet.arrived,
        });
        self.unbroken = true;
        open.arrived = open.arrived.max(packet.arrived);
        if !open.damaged && payload.append(&packet.payload, open).is_err() {
            self.malformed += 1;
            open.damaged = true;
        }
        if open.data.len() > MOST_BYTES {
            open.damaged = true;
            open.data = Vec::new();
        }
        if packet.marker {
            done[1] = self.finish(packet.arrived);
        }
        done
    }

    /// Ends the picture that is open.
    fn finish(&mut self, now: Instant) -> Option<Picture> {
        let open = self.open.take()?;
        if open.damaged || open.fragment {
            self.lose(now);
            return None;
        }
        // Only layers that are left out.
        if open.data.is_empty() {
            return None;
        }
        let shown = match self.state {
            _ if open.key => {
                self.state = State::Flowing;
                true
            }
            State::Flowing => true,
            State::New => false,
            State::Broken { since } => now.saturating_duration_since(since) >= PATIENCE,
        };
        let Open { timestamp, key, data, arrived, .. } = open;
        shown.then(|| Picture { timestamp, key, data: data.into(), arrived })
    }

    /// A picture will not be decoded: those that refer to it had better not be either.
    pub(super) fn lose(&mut self, now: Instant) {
        if self.state == State::Flowing {
            self.state = State::Broken { since: now };
        }
    }

    /// Whether the sender had better send a keyframe.
    pub(super) fn needs_key(&self) -> bool {
        self.state != State::Flowing
    }

    /// Packets that could not be read.
    pub(super) fn malformed(&self) -> u64 {
        self.malformed
    }
}

const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of one picture: a second of video at 30 Mbit/s.
const MOST_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(timestamp: u32, marker: bool, payload: &[u8]) -> Packet {
        let payload = Bytes::copy_from_slice(payload);
        Packet { sequence: 0, timestamp, marker, payload, arrived: Instant::now() }
    }

    /// A picture in one VP8 packet.
    fn whole(timestamp: u32, key: bool) -> Packet {
        packet(timestamp, true, &[0x10, u8::from(!key), 7])
    }

    fn shown(pictures: &mut Pictures, packet: &Packet, gap: bool) -> Vec<(u32, bool)> {
        pictures.push(packet, gap).into_iter().flatten().map(|picture| (picture.timestamp, picture.key)).collect()
    }

    #[test]
    fn pictures_begin_with_a_keyframe() {
        let mut pictures = Pictures::new(Payload::Vp8);
        assert_eq!(shown(&mut pictures, &whole(1, false), true), []);
        assert!(pictures.needs_key());
        assert_eq!(shown(&mut pictures, &whole(2, true), false), [(2, true)]);
        assert_eq!(shown(&mut pictures, &whole(3, false), false), [(3, false)]);
        assert!(!pictures.needs_key());
    }

    #[test]
    fn a_new_timestamp_ends_a_picture_without_a_marker() {
        let mut pictures = Pictures::new(Payload::Vp8);
        let without = Packet { marker: false, ..whole(1, true) };
        assert_eq!(shown(&mut pictures, &without, true), []);
        assert_eq!(shown(&mut pictures, &whole(2, false), false), [(1, true), (2, false)]);
    }

    #[test]
    fn after_a_loss_nothing_shows_until_a_whole_keyframe() {
        let mut pictures = Pictures::new(Payload::Vp8);
        shown(&mut pictures, &whole(1, true), true);
        assert_eq!(shown(&mut pictures, &whole(2, false), true), []);
        assert!(pictures.needs_key());
        // The tail of a keyframe whose head went lost.
        assert_eq!(shown(&mut pictures, &packet(3, true, &[0x00, 5, 5]), true), []);
        assert_eq!(shown(&mut pictures, &whole(4, true), false), [(4, true)]);
    }

    #[test]
    fn a_keyframe_right_after_a_gap_shows_when_its_head_is_there() {
        let mut pictures = Pictures::new(Payload::Vp8);
        shown(&mut pictures, &whole(1, true), true);
        assert_eq!(shown(&mut pictures, &whole(3, true), true), [(3, true)]);
    }

    #[test]
    fn a_gap_within_a_picture_costs_it() {
        let mut pictures = Pictures::new(Payload::Vp8);
        shown(&mut pictures, &Packet { marker: false, ..whole(1, true) }, true);
        assert_eq!(shown(&mut pictures, &packet(1, true, &[0x00, 9]), true), []);
        assert!(pictures.needs_key());
    }

    #[test]
    fn an_encoder_that_hears_no_requests_is_shown_as_it_is() {
        let mut pictures = Pictures::new(Payload::Vp8);
        shown(&mut pictures, &whole(1, true), true);
        shown(&mut pictures, &whole(2, false), true);
        let later = Packet { arrived: Instant::now() + PATIENCE, ..whole(3, false) };
        assert_eq!(shown(&mut pictures, &later, false), [(3, false)]);
        assert!(pictures.needs_key(), "and still asked");
    }

    #[test]
    fn padding_is_no_picture() {
        let mut pictures = Pictures::new(Payload::Vp8);
        shown(&mut pictures, &whole(1, true), true);
        assert_eq!(shown(&mut pictures, &packet(1, false, &[]), false), []);
        assert_eq!(shown(&mut pictures, &whole(2, false), false), [(2, false)]);
    }

    #[test]
    fn an_endless_picture_is_dropped() {
        let mut pictures = Pictures::new(Payload::Vp8);
        shown(&mut pictures, &Packet { marker: false, ..whole(1, true) }, true);
        let more = packet(1, false, &[vec![0], vec![1; 60_000]].concat());
        for _ in 0..200 {
            shown(&mut pictures, &more, false);
            assert!(pictures.open.as_ref().unwrap().data.len() <= MOST_BYTES);
        }
        assert_eq!(shown(&mut pictures, &whole(2, true), false), [(2, true)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_picture_or_not(
            packets in prop::collection::vec((any::<u8>(), any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..24)), 0..60),
        ) {
            for payload in [Payload::H264, Payload::Vp8, Payload::Vp9] {
                let mut pictures = Pictures::new(payload);
                for (timestamp, marker, gap, bytes) in &packets {
                    let given = pictures.push(&packet(u32::from(timestamp % 4), *marker, bytes), *gap);
                    prop_assert!(given.iter().flatten().all(|picture| !picture.data.is_empty()));
                }
            }
        }
    }
}
