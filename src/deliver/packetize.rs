//! Coded pictures to RTP payloads, once a feed whatever the number of viewers: H.264 by RFC 6184 in packetization mode 1
//! (single NAL unit, STAP-A, FU-A). Opus needs none: a packet is a payload (RFC 7587 §4.2).

use std::time::Instant;

use crate::media::access_unit::nal_units;

/// The longest payload in bytes. With 20 bytes of RTP header and extension and 16 of GCM tag a datagram has 1224, which
/// fits the smallest IPv6 path (1280) with its headers, and so does the same packet sent again by RTX.
pub(super) const MAX_PAYLOAD: usize = 1188;

/// One frame as the payloads of its packets: everything about them that all viewers share. Header and seal are each
/// viewer's own.
pub(super) struct Packets {
    /// The place of the first packet in the feed, counting every video packet since it was opened.
    pub(super) first: u64,
    pub(super) timestamp: u32,
    /// Decoding can begin here.
    pub(super) key: bool,
    /// When what the frame shows came from the network, for the latency histogram.
    pub(super) arrived: Option<Instant>,
    pub(super) payloads: Payloads,
}

impl Packets {
    /// The place of the first packet behind this frame.
    pub(super) fn end(&self) -> u64 {
        self.first + self.payloads.len() as u64
    }
}

/// Payloads back to back in one buffer, so that a frame costs two allocations and a packet none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Payloads {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Payloads {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn get(&self, index: usize) -> &[u8] {
        let begin = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[begin..self.ends[index] as usize]
    }

    /// What was written since the last payload ended becomes one.
    fn close(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }
}

/// Packetizes an access unit in Annex B form. Units that a receiver has no use for (delimiters, filler, ends) are left
/// out; a unit that does not fit is cut into fragments of equal size, to within a byte.
pub(super) fn h264(annex_b: &[u8]) -> Payloads {
    let mut payloads = Payloads {
        bytes: Vec::with_capacity(annex_b.len() + annex_b.len() / 256 + 16),
        ends: Vec::with_capacity(annex_b.len() / MAX_PAYLOAD + 8),
    };
    let mut small = Aggregate::default();
    for unit in nal_units(annex_b) {
        match unit[0] & TYPE_MASK {
            DELIMITER | END_OF_SEQUENCE | END_OF_STREAM | FILLER => {}
            SEI | SPS | PPS if unit.len() + STAP_OVERHEAD <= MAX_PAYLOAD => {
                if !small.fits(unit) {
                    small.flush(&mut payloads);
                }
                small.push(unit);
            }
            _ => {
                small.flush(&mut payloads);
                if unit.len() <= MAX_PAYLOAD {
                    payloads.bytes.extend_from_slice(unit);
                    payloads.close();
                } else {
                    fragment(unit, &mut payloads);
                }
            }
        }
    }
    small.flush(&mut payloads);
    payloads
}

/// Cuts a unit into FU-A payloads (RFC 6184 §5.8).
fn fragment(unit: &[u8], payloads: &mut Payloads) {
    let (header, body) = (unit[0], &unit[1..]);
    let count = body.len().div_ceil(MAX_PAYLOAD - 2);
    let mut rest = body;
    for nth in 0..count {
        let (part, after) = rest.split_at(rest.len().div_ceil(count - nth));
        rest = after;
        let start = if nth == 0 { FU_START } else { 0 };
        let end = if nth + 1 == count { FU_END } else { 0 };
        payloads.bytes.extend_from_slice(&[header & !TYPE_MASK | FU_A, start | end | header & TYPE_MASK]);
        payloads.bytes.extend_from_slice(part);
        payloads.close();
    }
}

/// Small units in front of the slices, on their way into one STAP-A (RFC 6184 §5.7.1).
#[derive(Default)]
struct Aggregate<'a> {
    units: [&'a [u8]; MAX_AGGREGATED],
    count: usize,
    size: usize,
}

impl<'a> Aggregate<'a> {
    fn fits(&self, unit: &[u8]) -> bool {
        self.count < MAX_AGGREGATED && 1 + self.size + 2 + unit.len() <= MAX_PAYLOAD
    }

    fn push(&mut self, unit: &'a [u8]) {
        self.units[self.count] = unit;
        self.count += 1;
        self.size += 2 + unit.len();
    }

    /// Writes what is held: a lone unit as it is, more as a STAP-A.
    fn flush(&mut self, payloads: &mut Payloads) {
        let units = &self.units[..self.count];
        if let [unit] = units {
            payloads.bytes.extend_from_slice(unit);
            payloads.close();
        } else if let [first, ..] = units {
            let importance = units.iter().map(|unit| unit[0] & NRI_MASK).max().unwrap_or(first[0] & NRI_MASK);
            payloads.bytes.push(importance | STAP_A);
            for unit in units {
                payloads.bytes.extend_from_slice(&(unit.len() as u16).to_be_bytes());
                payloads.bytes.extend_from_slice(unit);
            }
            payloads.close();
        }
        self.count = 0;
        self.size = 0;
    }
}

/// A receiver parses at most ten units of a packet (libwebrtc); parameter sets and SEI never come near it.
const MAX_AGGREGATED: usize = 8;
/// A STAP-A's own header and one unit's length.
const STAP_OVERHEAD: usize = 3;

// NAL unit header and types (ITU-T H.264 table 7-1, RFC 6184 table 1).
const TYPE_MASK: u8 = 0x1f;
const NRI_MASK: u8 = 0x60;
const SEI: u8 = 6;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const END_OF_SEQUENCE: u8 = 10;
const END_OF_STREAM: u8 = 11;
const FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn annex_b(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect()
    }

    fn all(payloads: &Payloads) -> Vec<&[u8]> {
        (0..payloads.len()).map(|index| payloads.get(index)).collect()
    }

    #[test]
    fn parameter_sets_travel_in_one_packet_and_delimiters_not_at_all() {
        let stream = annex_b(&[&[0x09, 0xf0], &[0x67, 0x42, 0xe0], &[0x68, 0xce], &[0x65, 0x88, 0x84], &[0x0c, 0xff]]);
        assert_eq!(all(&h264(&stream)), [&[0x78, 0, 3, 0x67, 0x42, 0xe0, 0, 2, 0x68, 0xce][..], &[0x65, 0x88, 0x84]]);
    }

    #[test]
    fn a_lone_small_unit_stays_itself() {
        assert_eq!(all(&h264(&annex_b(&[&[0x06, 5, 1, 7], &[0x41, 1]]))), [&[0x06, 5, 1, 7][..], &[0x41, 1]]);
    }

    #[test]
    fn a_large_unit_is_cut_into_equal_fragments() {
        let mut unit = vec![0x65];
        unit.extend((0..3000u32).map(|byte| byte as u8 | 1));
        let payloads = h264(&annex_b(&[&unit]));
        let packets = all(&payloads);
        assert_eq!(packets.iter().map(|packet| packet.len()).collect::<Vec<_>>(), [1002, 1002, 1002]);
        assert_eq!(
            packets.iter().map(|packet| packet[..2].to_vec()).collect::<Vec<_>>(),
            [[0x7c, 0x85], [0x7c, 0x05], [0x7c, 0x45]]
        );
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert!(h264(&[]).is_empty());
        assert!(h264(&[1, 2, 3]).is_empty());
        assert!(h264(&annex_b(&[&[0x09, 0xf0]])).is_empty());
    }

    /// Payloads back to units, as a receiver does it.
    fn depacketize(payloads: &Payloads) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        for packet in all(payloads) {
            match packet[0] & TYPE_MASK {
                STAP_A => {
                    let mut rest = &packet[1..];
                    while let [high, low, after @ ..] = rest {
                        let (unit, after) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])));
                        units.push(unit.to_vec());
                        rest = after;
                    }
                }
                FU_A => {
                    if packet[1] & FU_START != 0 {
                        units.push(vec![packet[0] & !TYPE_MASK | packet[1] & TYPE_MASK]);
                    }
                    units.last_mut().unwrap().extend_from_slice(&packet[2..]);
                }
                _ => units.push(packet.to_vec()),
            }
        }
        units
    }

    proptest! {
        #[test]
        fn every_unit_comes_out_as_it_went_in(
            units in prop::collection::vec((prop::sample::select(vec![1u8, 5, 6, 7, 8]), 1usize..6000), 1..24)
        ) {
            let units: Vec<Vec<u8>> = units
                .into_iter()
                .map(|(kind, size)| (0..=size).map(|n| if n == 0 { 0x60 | kind } else { n as u8 | 1 }).collect())
                .collect();
            let slices: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
            let payloads = h264(&annex_b(&slices));
            prop_assert!(all(&payloads).iter().all(|packet| packet.len() <= MAX_PAYLOAD));
            prop_assert_eq!(depacketize(&payloads), units);
        }
    }
}
