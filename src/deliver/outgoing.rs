//! A viewer's outgoing RTP: sequence numbers, headers and seals around the payloads that all viewers share.

use std::collections::VecDeque;

use super::packetize::{MAX_PAYLOAD, Packets};
use super::srtp::{Keys, Sealer, TAG};

/// The longest datagram of media.
pub(super) const MAX_DATAGRAM: usize = RTP_HEADER + PLAYOUT_EXTENSION + ORIGINAL_SEQUENCE + MAX_PAYLOAD + TAG;

/// What an offer and its answer settled about the streams to a viewer.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) video: StreamId,
    /// Where retransmissions go, when the viewer took RTX (RFC 4588).
    pub(super) rtx: Option<StreamId>,
    /// The header extension id of playout-delay, when the viewer took it.
    pub(super) playout_delay: Option<u8>,
    pub(super) audio: Option<StreamId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamId {
    pub(super) ssrc: u32,
    pub(super) payload_type: u8,
}

/// Seals packets for one viewer. It alone gives out packet indices, and never one index of an SSRC to two different
/// packets: an index that sealed a packet which then was not sent serves that packet only, or none.
pub(super) struct Outgoing {
    sealer: Sealer,
    video: Stream,
    rtx: Option<Stream>,
    audio: Option<Stream>,
    playout_delay: Option<u8>,
    /// The place of the packet that the video stream's next index has sealed already.
    sealed: Option<u64>,
    /// Which packets of the feed went out under which indices, oldest first. A new run begins where a viewer joined or
    /// jumped.
    runs: VecDeque<Run>,
    /// A retransmission's payload while it is put together.
    scratch: Box<[u8; ORIGINAL_SEQUENCE + MAX_PAYLOAD]>,
}

/// A video packet that was sent: its index, and its place in the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    index: u64,
    pub(super) place: u64,
}

/// What a sender report says about a stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) ssrc: u32,
    pub(super) packets: u32,
    pub(super) octets: u32,
}

struct Stream {
    id: StreamId,
    /// The index of the next packet: rollover counter and sequence number (RFC 3711 §3.3.1).
    next: u64,
    sum: Sum,
}

/// From `index` on, packets are the feed's from `place` on.
#[derive(Clone, Copy, Debug)]
struct Run {
    index: u64,
    place: u64,
}

impl Outgoing {
    /// `random` gives where the sequence numbers begin.
    pub(super) fn new(keys: &Keys, streams: &Streams, mut random: impl FnMut() -> u16) -> Outgoing {
        let mut stream = |id| Stream {
            id,
            // Below 2^15, so that a receiver which misses the first packets still takes the rollover counter for zero
            // (RFC 3711 §3.3.1).
            next: u64::from(random() & 0x7fff),
            sum: Sum { ssrc: id.ssrc, ..Sum::default() },
        };
        Outgoing {
            sealer: Sealer::new(keys),
            video: stream(streams.video),
            rtx: streams.rtx.map(&mut stream),
            audio: streams.audio.map(&mut stream),
            playout_delay: streams.playout_delay.filter(|id| (1..=14).contains(id)),
            sealed: None,
            runs: VecDeque::with_capacity(MOST_RUNS),
            scratch: Box::new([0; ORIGINAL_SEQUENCE + MAX_PAYLOAD]),
        }
    }

    pub(super) fn video_ssrc(&self) -> u32 {
        self.video.id.ssrc
    }

    /// Seals the `nth` packet of a frame as the next one of the video stream, and gives its length. When it went out
    /// [`Outgoing::advance`] is due; until then the same packet is sealed again for another try.
    pub(super) fn video(&mut self, datagram: &mut [u8; MAX_DATAGRAM], frame: &Packets, nth: usize) -> usize {
        let place = frame.first + nth as u64;
        if self.sealed.is_some_and(|sealed| sealed != place) {
            self.video.next += 1;
        }
        self.sealed = Some(place);
        let index = self.video.next;
        let continues = self.runs.back().is_some_and(|run| index - run.index == place.wrapping_sub(run.place));
        if !continues {
            if self.runs.len() == MOST_RUNS {
                self.runs.pop_front();
            }
            self.runs.push_back(Run { index, place });
        }
        self.seal_video(datagram, frame, nth, index)
    }

    /// The packet that was sealed last, of `octets` of payload, went out.
    pub(super) fn advance(&mut self, octets: usize) {
        if self.sealed.take().is_some() {
            self.video.count(octets);
        }
    }

    /// Seals an audio packet; `None` when the viewer takes no audio.
    pub(super) fn audio(&mut self, datagram: &mut [u8; MAX_DATAGRAM], timestamp: u32, payload: &[u8]) -> Option<usize> {
        let audio = self.audio.as_mut()?;
        let payload = payload.get(..MAX_PAYLOAD).unwrap_or(payload);
        let (index, id) = (audio.count(payload.len()), audio.id);
        let header = write_header(datagram, id, false, index as u16, timestamp, None);
        Some(self.sealer.seal(datagram, header, payload, id.ssrc, index))
    }

    /// The sent video packet that a sequence number names, if it was sent within the last 2^15.
    pub(super) fn sent(&self, sequence: u16) -> Option<Sent> {
        let back = u64::from((self.video.next as u16).wrapping_sub(sequence));
        if back == 0 || back > 0x8000 {
            return None;
        }
        let index = self.video.next.checked_sub(back)?;
        let run = self.runs.iter().rev().find(|run| run.index <= index)?;
        Some(Sent { index, place: run.place + (index - run.index) })
    }

    /// Seals a packet again: by RTX when negotiated, else byte for byte as it was. `frame` and `nth` are those of
    /// `sent.place`.
    pub(super) fn again(
        &mut self,
        datagram: &mut [u8; MAX_DATAGRAM],
        sent: Sent,
        frame: &Packets,
        nth: usize,
    ) -> usize {
        debug_assert_eq!(sent.place, frame.first + nth as u64);
        let Some(rtx) = &mut self.rtx else { return self.seal_video(datagram, frame, nth, sent.index) };
        let payload = frame.payloads.get(nth);
        let length = ORIGINAL_SEQUENCE + payload.len();
        self.scratch[..ORIGINAL_SEQUENCE].copy_from_slice(&(sent.index as u16).to_be_bytes());
        self.scratch[ORIGINAL_SEQUENCE..length].copy_from_slice(payload);
        let (index, id) = (rtx.count(length), rtx.id);
        let marker = nth + 1 == frame.payloads.len();
        let header = write_header(datagram, id, marker, index as u16, frame.timestamp, None);
        self.sealer.seal(datagram, header, &self.scratch[..length], id.ssrc, index)
    }

    pub(super) fn sums(&self) -> (Sum, Option<Sum>) {
        (self.video.sum, self.audio.as_ref().map(|audio| audio.sum))
    }

    /// Everything in the packet follows from the frame, the place in it and the index, so that one index always seals the
    /// same bytes.
    fn seal_video(&self, datagram: &mut [u8; MAX_DATAGRAM], frame: &Packets, nth: usize, index: u64) -> usize {
        let marker = nth + 1 == frame.payloads.len();
        // A receiver takes a frame's playout delay from its first packet.
        let playout_delay = if nth == 0 { self.playout_delay } else { None };
        let id = self.video.id;
        let header = write_header(datagram, id, marker, index as u16, frame.timestamp, playout_delay);
        self.sealer.seal(datagram, header, frame.payloads.get(nth), id.ssrc, index)
    }
}

impl Stream {
    /// Takes the next index for a packet of `octets`.
    fn count(&mut self, octets: usize) -> u64 {
        let index = self.next;
        self.next += 1;
        self.sum.packets = self.sum.packets.wrapping_add(1);
        self.sum.octets = self.sum.octets.wrapping_add(octets as u32);
        index
    }
}

/// Writes an RTP header (RFC 3550 §5.1), with the playout-delay extension under an id when given one, and gives its
/// length.
fn write_header(
    out: &mut [u8; MAX_DATAGRAM],
    stream: StreamId,
    marker: bool,
    sequence: u16,
    timestamp: u32,
    playout_delay: Option<u8>,
) -> usize {
    out[0] = if playout_delay.is_some() { VERSION | EXTENDED } else { VERSION };
    out[1] = stream.payload_type | if marker { MARKER } else { 0 };
    out[2..4].copy_from_slice(&sequence.to_be_bytes());
    out[4..8].copy_from_slice(&timestamp.to_be_bytes());
    out[8..12].copy_from_slice(&stream.ssrc.to_be_bytes());
    let Some(id) = playout_delay else { return RTP_HEADER };
    // One word of one-byte extensions (RFC 8285 §4.2): three bytes, minimum and maximum of 12 bits each.
    let [_, _, high, low] = PLAYOUT_DELAY_MAX.to_be_bytes();
    out[12..20].copy_from_slice(&[0xbe, 0xde, 0, 1, id << 4 | 2, 0, high & 0x0f, low]);
    RTP_HEADER + PLAYOUT_EXTENSION
}

const RTP_HEADER: usize = 12;
const PLAYOUT_EXTENSION: usize = 8;
/// The sequence number of the packet sent again, in front of its payload (RFC 4588 §4).
const ORIGINAL_SEQUENCE: usize = 2;
const VERSION: u8 = 0x80;
const EXTENDED: u8 = 0x10;
const MARKER: u8 = 0x80;
/// The largest playout delay that a receiver may take, in units of 10 ms; the smallest is 0. A range that begins at 0 and
/// stays below 500 ms makes libwebrtc show a frame as soon as it is decoded.
const PLAYOUT_DELAY_MAX: u32 = 10;
/// A viewer who joins, jumps and loses more often than this within 2^15 packets gets no retransmission for the oldest.
const MOST_RUNS: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::ring::tests::frame;
    use super::*;
    use proptest::prelude::*;
    use rtc::crypto::RTCCryptoProvider;
    use rtc::crypto::providers::AwsLcRsProvider;
    use rtc::srtp::context::Context;
    use rtc::srtp::protection_profile::ProtectionProfile;
    use std::collections::HashMap;

    const VIDEO: StreamId = StreamId { ssrc: 1, payload_type: 102 };
    const RTX: StreamId = StreamId { ssrc: 2, payload_type: 103 };
    const AUDIO: StreamId = StreamId { ssrc: 3, payload_type: 111 };

    /// Seals a video packet and takes it for sent.
    fn send(outgoing: &mut Outgoing, datagram: &mut [u8; MAX_DATAGRAM], frame: &Packets, nth: usize) -> usize {
        let length = outgoing.video(datagram, frame, nth);
        outgoing.advance(frame.payloads.get(nth).len());
        length
    }

    fn streams(rtx: bool) -> Streams {
        Streams { video: VIDEO, rtx: rtx.then_some(RTX), playout_delay: Some(5), audio: Some(AUDIO) }
    }

    /// A viewer's packets and a receiver of another make that opens them.
    fn pair(rtx: bool, first: u16) -> (Outgoing, Context) {
        let tap = super::super::tap::Tap::new();
        let profile = ProtectionProfile::AeadAes128Gcm;
        let _ours = Context::new(&[3; 16], &[4; 12], profile, None, None, tap.crypto()).unwrap();
        let theirs = AwsLcRsProvider::new();
        let receiver = Context::new(&[3; 16], &[4; 12], profile, None, None, theirs.crypto()).unwrap();
        (Outgoing::new(&tap.take().unwrap(), &streams(rtx), || first), receiver)
    }

    #[test]
    fn a_receiver_opens_what_was_sealed_over_a_rollover() {
        let (mut outgoing, mut receiver) = pair(true, u16::MAX);
        let mut datagram = [0; MAX_DATAGRAM];
        let one = frame(0, 1, true);
        let mut seen = Vec::new();
        for n in 0..70_000u64 {
            let length = send(&mut outgoing, &mut datagram, &one, 0);
            if n % 1000 < 3 || (32_000..34_000).contains(&n) {
                let opened = receiver.decrypt_rtp(&datagram[..length]).unwrap();
                assert_eq!(&opened[20..], one.payloads.get(0));
                seen.push(u16::from_be_bytes([opened[2], opened[3]]));
            }
        }
        assert_eq!(seen[0], 0x7fff, "sequence numbers begin below 2^15");
        assert!(seen.contains(&0) && seen.contains(&u16::MAX));
    }

    #[test]
    fn headers_say_what_a_packet_is() {
        let (mut outgoing, mut receiver) = pair(true, 9);
        let mut datagram = [0; MAX_DATAGRAM];
        let two = frame(7, 2, true);
        let length = send(&mut outgoing, &mut datagram, &two, 0);
        let first = receiver.decrypt_rtp(&datagram[..length]).unwrap();
        assert_eq!(first[..20], [0x90, 102, 0, 9, 0, 0, 82, 8, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x52, 0, 0, 10]);
        assert_eq!(&first[20..], two.payloads.get(0));
        let length = send(&mut outgoing, &mut datagram, &two, 1);
        let last = receiver.decrypt_rtp(&datagram[..length]).unwrap();
        assert_eq!(last[..12], [0x80, 0x80 | 102, 0, 10, 0, 0, 82, 8, 0, 0, 0, 1]);
        let length = outgoing.audio(&mut datagram, 960, b"opus").unwrap();
        let audio = receiver.decrypt_rtp(&datagram[..length]).unwrap();
        assert_eq!(audio[..], [&[0x80, 111, 0, 9, 0, 0, 3, 192, 0, 0, 0, 3][..], b"opus"].concat());
        assert_eq!(
            outgoing.sums().0,
            Sum { ssrc: 1, packets: 2, octets: (two.payloads.get(0).len() + two.payloads.get(1).len()) as u32 }
        );
    }

    #[test]
    fn a_retransmission_carries_the_original_sequence_number_on_its_own_stream() {
        let (mut outgoing, mut receiver) = pair(true, 9);
        let mut datagram = [0; MAX_DATAGRAM];
        let two = frame(7, 2, true);
        send(&mut outgoing, &mut datagram, &two, 0);
        send(&mut outgoing, &mut datagram, &two, 1);
        let sent = outgoing.sent(10).unwrap();
        assert_eq!(sent.place, 8);
        for sequence in [9, 10] {
            let length = outgoing.again(&mut datagram, sent, &two, 1);
            let opened = receiver.decrypt_rtp(&datagram[..length]).unwrap();
            assert_eq!(opened[..14], [0x80, 0x80 | 103, 0, sequence, 0, 0, 82, 8, 0, 0, 0, 2, 0, 10]);
            assert_eq!(&opened[14..], two.payloads.get(1));
        }
    }

    #[test]
    fn without_rtx_a_packet_is_sent_again_byte_for_byte() {
        let (mut outgoing, _) = pair(false, 9);
        let (mut datagram, mut again) = ([0; MAX_DATAGRAM], [0; MAX_DATAGRAM]);
        let two = frame(7, 2, true);
        let length = send(&mut outgoing, &mut datagram, &two, 0);
        send(&mut outgoing, &mut again, &two, 1);
        assert_eq!(outgoing.again(&mut again, outgoing.sent(9).unwrap(), &two, 0), length);
        assert_eq!(datagram[..length], again[..length]);
    }

    #[test]
    fn only_what_was_sent_is_found() {
        let (mut outgoing, _) = pair(true, 0);
        let mut datagram = [0; MAX_DATAGRAM];
        assert_eq!(outgoing.sent(0), None);
        send(&mut outgoing, &mut datagram, &frame(40, 1, true), 0);
        send(&mut outgoing, &mut datagram, &frame(90, 1, true), 0);
        assert_eq!(outgoing.sent(0).map(|sent| sent.place), Some(40));
        assert_eq!(outgoing.sent(1).map(|sent| sent.place), Some(90));
        assert_eq!(outgoing.sent(2), None);
        assert_eq!(outgoing.sent(u16::MAX), None, "before the first");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Send(u8),
        /// Sealed, and the socket took it not.
        Block,
        Jump(u8),
        Ask(u16),
        Sound,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1u8..40).prop_map(Step::Send),
            2 => Just(Step::Block),
            1 => (1u8..20).prop_map(Step::Jump),
            3 => (0u16..600).prop_map(Step::Ask),
            1 => Just(Step::Sound),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_index_of_a_source_ever_seals_two_packets(
            rtx in any::<bool>(), first in any::<u16>(), steps in prop::collection::vec(step(), 1..80)
        ) {
            let (mut outgoing, _) = pair(rtx, first);
            let mut datagram = [0; MAX_DATAGRAM];
            // What was sealed under each source and sequence number. No run is long enough for a sequence number to come
            // around, so that it stands for the index.
            let mut sealed: HashMap<(u32, u16), Vec<u8>> = HashMap::new();
            let mut check = |packet: &[u8]| {
                let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
                let sequence = u16::from_be_bytes(packet[2..4].try_into().unwrap());
                sealed.entry((ssrc, sequence)).or_insert_with(|| packet.to_vec()).as_slice() == packet
            };
            let mut place = 0;
            for step in steps {
                match step {
                    Step::Send(packets) => for _ in 0..packets {
                        let length = send(&mut outgoing, &mut datagram, &frame(place, 1, false), 0);
                        prop_assert!(check(&datagram[..length]));
                        place += 1;
                    },
                    Step::Block => {
                        let length = outgoing.video(&mut datagram, &frame(place, 1, false), 0);
                        prop_assert!(check(&datagram[..length]));
                    }
                    Step::Jump(over) => place += u64::from(over),
                    Step::Ask(back) => if let Some(sent) = outgoing.sent((outgoing.video.next as u16).wrapping_sub(back)) {
                        let length = outgoing.again(&mut datagram, sent, &frame(sent.place, 1, false), 0);
                        prop_assert!(check(&datagram[..length]));
                    },
                    Step::Sound => {
                        let length = outgoing.audio(&mut datagram, place as u32, b"sound").unwrap();
                        prop_assert!(check(&datagram[..length]));
                    }
                }
            }
        }
    }
}
