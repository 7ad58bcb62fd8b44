//! Where packets leave `rtc`, and our RTCP enters it: the interceptor nearest to the application.
//!
//! What arrives stops here. `rtc` would route it to tracks by rules of its own, and drops RTCP that a first packet without a
//! source leads (a receiver's first report does).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use rtc::interceptor::{AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;

/// What came from the publisher.
#[derive(Debug)]
pub(super) enum Arrived {
    Media(rtp::Packet),
    Report { ssrc: u32, timestamp: u32, ntp: u64 },
}

/// Both directions, shared by a session and its interceptor.
#[derive(Clone, Default)]
pub(super) struct Inbox(Arc<Mutex<Both>>);

#[derive(Default)]
struct Both {
    arrived: Vec<Arrived>,
    leaving: VecDeque<TaggedPacket>,
}

impl Inbox {
    /// What arrived since the last look.
    pub(super) fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut self.lock().arrived)
    }

    /// Sends RTCP with the connection's next write.
    pub(super) fn send(&self, now: Instant, packets: Vec<Box<dyn rtcp::Packet>>) {
        if packets.is_empty() {
            return;
        }
        let message = AttributedPacket::new(Packet::Rtcp(packets));
        self.lock().leaving.push_back(TaggedPacket { now, transport: TransportContext::default(), message });
    }

    fn lock(&self) -> MutexGuard<'_, Both> {
        self.0.lock().expect("no panic while packets are held")
    }
}

/// The interceptor.
pub(super) struct Turnout {
    inbox: Inbox,
    passing: VecDeque<TaggedPacket>,
}

impl Turnout {
    pub(super) fn new(inbox: Inbox) -> Turnout {
        Turnout { inbox, passing: VecDeque::new() }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Turnout {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        let mut both = self.inbox.lock();
        match message.message.packet {
            Packet::Rtp(packet) => both.arrived.push(Arrived::Media(packet)),
            Packet::Rtcp(packets) => {
                let reports = packets.iter().filter_map(|packet| packet.as_any().downcast_ref::<SenderReport>());
                both.arrived.extend(reports.map(|report| Arrived::Report {
                    ssrc: report.ssrc,
                    timestamp: report.rtp_time,
                    ntp: report.ntp_time,
                }));
            }
            _ => {}
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        None
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.passing.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.passing.pop_front().or_else(|| self.inbox.lock().leaving.pop_front())
    }
}

impl Interceptor for Turnout {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
