//! RTCP from a viewer: what it lost, and when it needs a keyframe.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// One thing that a viewer asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Feedback {
    /// Packets of a stream did not come (RFC 4585 §6.2.1).
    Lost { ssrc: u32, sequences: Vec<u16> },
    /// A decoder is stuck: PLI (RFC 4585 §6.3.1) or FIR (RFC 5104 §4.3.1).
    Keyframe,
}

/// What came since the last look, at most [`MOST`]; what is more than that is dropped. A viewer asks again.
#[derive(Clone, Default)]
pub(super) struct Inbox(Arc<Mutex<Vec<Feedback>>>);

impl Inbox {
    /// Takes what is there, leaving `emptied`'s memory in its place.
    pub(super) fn swap(&self, emptied: &mut Vec<Feedback>) {
        emptied.clear();
        std::mem::swap(&mut *self.0.lock().expect("no panic while feedback is held"), emptied);
    }

    fn put(&self, feedback: Feedback) {
        let mut held = self.0.lock().expect("no panic while feedback is held");
        if held.len() < MOST {
            held.push(feedback);
        }
    }
}

/// Copies feedback to an [`Inbox`] as it passes.
///
/// `rtc` drops inbound RTCP behind its interceptors unless a packet is marked for the application, and drops it even then
/// when the first packet of a compound names no source, as a receiver's first report does, with the PLI behind it.
/// Reading it here loses nothing.
pub(super) struct Listener {
    inbox: Inbox,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl Listener {
    pub(super) fn new(inbox: Inbox) -> Listener {
        Listener { inbox, reads: VecDeque::new(), writes: VecDeque::new() }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Listener {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            for packet in packets {
                let packet = packet.as_any();
                if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
                    let pairs = nack.nacks.iter().take(MOST_PAIRS);
                    let sequences = pairs.flat_map(|pair| lost(pair.packet_id, pair.lost_packets)).collect();
                    self.inbox.put(Feedback::Lost { ssrc: nack.media_ssrc, sequences });
                } else if packet.is::<PictureLossIndication>() || packet.is::<FullIntraRequest>() {
                    self.inbox.put(Feedback::Keyframe);
                }
            }
            return Ok(());
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.writes.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for Listener {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

/// The sequence numbers of a generic NACK's packet id and bitmask.
fn lost(id: u16, mask: u16) -> impl Iterator<Item = u16> {
    std::iter::once(id).chain((0..16).filter(move |bit| mask >> bit & 1 == 1).map(move |bit| id.wrapping_add(bit + 1)))
}

const MOST: usize = 32;
/// 17 packets each: more than a viewer can have lost and still want.
const MOST_PAIRS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_names_the_sixteen_after_its_id() {
        assert_eq!(lost(65_534, 0b1000_0000_0000_0101).collect::<Vec<_>>(), [65_534, 65_535, 1, 14]);
    }

    #[test]
    fn an_inbox_is_bounded() {
        let inbox = Inbox::default();
        for _ in 0..1000 {
            inbox.put(Feedback::Keyframe);
        }
        let mut taken = Vec::new();
        inbox.swap(&mut taken);
        assert_eq!(taken.len(), MOST);
        inbox.swap(&mut taken);
        assert!(taken.is_empty());
    }
}
