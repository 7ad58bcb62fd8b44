//! A publisher's RTP to coded media, and what to tell the publisher about it. Does no I/O and reads no clock.

use std::time::{Duration, Instant};

use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};
use rtc::rtp;

use super::offer::{Accepted, MOST_BITRATE, Video};
use super::pictures::{Picture, Pictures};
use super::reorder::{Packet, Reorder};
use super::timeline::{Kind, Timeline};
use crate::media::access_unit::{AccessUnit, AudioCodec};
use crate::media::{AudioConfig, Coded, VideoConfig};

/// What one session receives.
#[derive(Debug)]
pub(super) struct Receiver {
    accepted: Accepted,
    /// Who we are in our own RTCP.
    ssrc: u32,
    timeline: Timeline,
    video: Stream,
    audio: Stream,
    pictures: Option<Pictures>,
    /// When a keyframe may be asked for again.
    key_again: Instant,
    /// When a keyframe was asked for last.
    key_asked: Option<Instant>,
    /// When to ask for the keyframe that the show needs, until one comes.
    key_wanted: Option<Instant>,
    /// When the publisher is told its bitrate again, where nothing else tells it.
    limit_again: Instant,
    ready: Vec<Coded>,
    told_video: bool,
    told_audio: bool,
}

/// One stream of packets, known by its SSRC.
#[derive(Debug)]
struct Stream {
    ssrc: Option<u32>,
    heard: Instant,
    reorder: Reorder,
    hold: Duration,
}

/// What was lost on the way, for one line in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) video_packets: u64,
    pub(super) audio_packets: u64,
    pub(super) malformed: u64,
}

impl Receiver {
    pub(super) fn new(accepted: Accepted, ssrc: u32, now: Instant) -> Receiver {
        let stream = |hold| Stream { ssrc: None, heard: now, reorder: Reorder::new(hold), hold };
        Receiver {
            pictures: accepted.video.as_ref().map(|video| Pictures::new(video.payload)),
            accepted,
            ssrc,
            timeline: Timeline::new(now),
            video: stream(VIDEO_HOLD),
            audio: stream(AUDIO_HOLD),
            key_again: now,
            key_asked: None,
            key_wanted: None,
            limit_again: now,
            ready: Vec::new(),
            told_video: false,
            told_audio: false,
        }
    }

    /// Takes a packet of any of the streams.
    pub(super) fn rtp(&mut self, now: Instant, packet: rtp::Packet) {
        let rtp::Packet { header, payload } = packet;
        let mut packet = Packet {
            sequence: header.sequence_number,
            timestamp: header.timestamp,
            marker: header.marker,
            payload,
            arrived: now,
        };
        if let Some(video) = &self.accepted.video {
            if header.payload_type == video.format.payload_type {
                let before = self.video.ssrc;
                if self.video.belongs(header.ssrc, now, &mut self.timeline, Kind::Video) {
                    if before != self.video.ssrc {
                        // A stream begins with a keyframe, unless we missed it.
                        self.key_again = now + FIRST_KEY_WITHIN;
                    }
                    self.video.reorder.insert(packet);
                }
                return;
            }
            if video.rtx == Some(header.payload_type) {
                // A retransmission (RFC 4588 §4): the original number before the original payload.
                if let [a, b, ..] = packet.payload[..]
                    && self.video.ssrc.is_some()
                {
                    packet.sequence = u16::from_be_bytes([a, b]);
                    packet.payload = packet.payload.slice(2..);
                    self.video.reorder.insert(packet);
                }
                return;
            }
        }
        if let Some(audio) = &self.accepted.audio
            && header.payload_type == audio.payload_type
            && self.audio.belongs(header.ssrc, now, &mut self.timeline, Kind::Audio)
        {
            self.audio.reorder.insert(packet);
        }
    }

    /// Takes a sender report in: its timestamp and its wall clock.
    pub(super) fn report(&mut self, ssrc: u32, timestamp: u32, ntp: u64) {
        for (stream, kind) in [(&self.video, Kind::Video), (&self.audio, Kind::Audio)] {
            if stream.ssrc == Some(ssrc) {
                self.timeline.report(kind, timestamp, ntp);
            }
        }
    }

    /// What is whole by now, in the order of its arrival.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Coded> {
        while let Some((packet, gap)) = self.video.reorder.pop(now) {
            let Some(pictures) = &mut self.pictures else { break };
            for picture in pictures.push(&packet, gap).into_iter().flatten() {
                self.picture(picture);
            }
        }
        while let Some((packet, _)) = self.audio.reorder.pop(now) {
            self.sound(packet);
        }
        std::mem::take(&mut self.ready)
    }

    fn picture(&mut self, picture: Picture) {
        let Some(video) = &self.accepted.video else { return };
        if !std::mem::replace(&mut self.told_video, true) {
            let codec = video.payload.codec();
            self.ready.push(Coded::VideoConfig(VideoConfig { codec, extradata: Default::default() }));
        }
        // WebRTC has no pictures out of order: they are shown as they are decoded.
        let at = self.timeline.at(Kind::Video, picture.timestamp, picture.arrived);
        let Picture { key, data, arrived, .. } = picture;
        if key {
            // What is lost from here on is asked for at once.
            self.key_again = arrived;
            self.key_wanted = None;
        }
        self.ready.push(Coded::Video(AccessUnit { pts: at, dts: at, key, data, arrived }));
    }

    fn sound(&mut self, packet: Packet) {
        if packet.payload.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.told_audio, true) {
            let config = AudioConfig { codec: AudioCodec::Opus, extradata: Default::default(), format: None };
            self.ready.push(Coded::AudioConfig(config));
        }
        let at = self.timeline.at(Kind::Audio, packet.timestamp, packet.arrived);
        let Packet { payload: data, arrived, .. } = packet;
        self.ready.push(Coded::Audio(AccessUnit { pts: at, dts: at, key: true, data, arrived }));
    }

    /// A picture that was taken could not be handed on.
    pub(super) fn refused(&mut self, now: Instant) {
        if let Some(pictures) = &mut self.pictures {
            pictures.lose(now);
        }
    }

    /// The show needs a keyframe to go on, although no picture is missing: one is asked for, no sooner than [`KEY_EVERY`]
    /// after the last request, and again until it comes. Pictures go on meanwhile.
    pub(super) fn want_key(&mut self, now: Instant) {
        if self.pictures.is_some() && self.video.ssrc.is_some() {
            let soonest = self.key_asked.map_or(now, |asked| now.max(asked + KEY_EVERY));
            self.key_wanted.get_or_insert(soonest);
        }
    }

    /// What the publisher is to be told now: what to send again, that a keyframe is needed, how much it may send.
    pub(super) fn feedback(&mut self, now: Instant) -> Vec<Box<dyn rtcp::Packet>> {
        let mut feedback: Vec<Box<dyn rtcp::Packet>> = Vec::new();
        let (Some(video), Some(media_ssrc), Some(pictures)) = (&self.accepted.video, self.video.ssrc, &self.pictures)
        else {
            return feedback;
        };
        let missing = self.video.reorder.ask(now);
        if !missing.is_empty() && video.nack {
            let nacks = nack_pairs_from_sequence_numbers(&missing);
            feedback.push(Box::new(TransportLayerNack { sender_ssrc: self.ssrc, media_ssrc, nacks }));
        }
        let lost = pictures.needs_key() && self.key_again <= now;
        if lost || self.key_wanted.is_some_and(|at| at <= now) {
            self.key_again = now + KEY_EVERY;
            self.key_asked = Some(now);
            // The answer to the one need is the answer to the other too.
            self.key_wanted = self.key_wanted.map(|_| now + KEY_EVERY);
            feedback.push(Box::new(PictureLossIndication { sender_ssrc: self.ssrc, media_ssrc }));
        }
        if video.limited_by_remb() && self.limit_again <= now {
            self.limit_again = now + LIMIT_EVERY;
            feedback.push(Box::new(ReceiverEstimatedMaximumBitrate {
                sender_ssrc: self.ssrc,
                bitrate: MOST_BITRATE as f32,
                ssrcs: vec![media_ssrc],
            }));
        }
        feedback
    }

    /// When [`Receiver::take`] or [`Receiver::feedback`] has something new to say without another packet.
    pub(super) fn due(&self) -> Option<Instant> {
        let needs_key = self.video.ssrc.is_some() && self.pictures.as_ref().is_some_and(Pictures::needs_key);
        let limits = self.video.ssrc.is_some() && self.accepted.video.as_ref().is_some_and(Video::limited_by_remb);
        [
            self.video.reorder.due(),
            self.video.reorder.ask_due(),
            self.audio.reorder.due(),
            needs_key.then_some(self.key_again),
            self.key_wanted,
            limits.then_some(self.limit_again),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn losses(&self) -> Losses {
        Losses {
            video_packets: self.video.reorder.lost(),
            audio_packets: self.audio.reorder.lost(),
            malformed: self.pictures.as_ref().map_or(0, Pictures::malformed),
        }
    }
}

impl Stream {
    /// Whether a packet is of this stream: the first SSRC holds it until it has been silent for a while.
    fn belongs(&mut self, ssrc: u32, now: Instant, timeline: &mut Timeline, kind: Kind) -> bool {
        if self.ssrc != Some(ssrc) {
            let silent = now.saturating_duration_since(self.heard) >= SILENT;
            if self.ssrc.is_some() && !silent {
                return false;
            }
            self.ssrc = Some(ssrc);
            self.reorder = Reorder::new(self.hold);
            timeline.forget(kind);
        }
        self.heard = now;
        true
    }
}

/// How long packets wait for one that is missing: two round trips of a bad line.
const VIDEO_HOLD: Duration = Duration::from_millis(150);
/// Nothing is sent again of sound: this is for packets that overtook each other.
const AUDIO_HOLD: Duration = Duration::from_millis(60);
const FIRST_KEY_WITHIN: Duration = Duration::from_millis(300);
const KEY_EVERY: Duration = Duration::from_millis(500);
const LIMIT_EVERY: Duration = Duration::from_secs(1);
const SILENT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ingest::whip::offer::Format;
    use crate::ingest::whip::pictures::Payload;
    use crate::media::access_unit::VideoCodec;

    const VIDEO: u8 = 96;
    const RTX: u8 = 97;
    const AUDIO: u8 = 111;

    struct Bench {
        receiver: Receiver,
        start: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            Bench::of(true, true)
        }

        /// With a publisher that hears transport-wide reports, or limits to its bitrate, or neither.
        fn of(transport_cc: bool, remb: bool) -> Bench {
            let start = Instant::now();
            let format = |payload_type| Format { payload_type, parameters: String::new() };
            let video =
                Video { payload: Payload::Vp8, format: format(VIDEO), rtx: Some(RTX), nack: true, transport_cc, remb };
            let accepted = Accepted { video: Some(video), audio: Some(format(AUDIO)) };
            Bench { receiver: Receiver::new(accepted, 1, start), start }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn packet(&mut self, millis: u64, payload_type: u8, ssrc: u32, sequence: u16, payload: &[u8]) {
            let header = rtp::Header {
                version: 2,
                marker: true,
                payload_type,
                sequence_number: sequence,
                timestamp: u32::from(sequence) * 3000,
                ssrc,
                ..Default::default()
            };
            let payload = Bytes::copy_from_slice(payload);
            self.receiver.rtp(self.at(millis), rtp::Packet { header, payload });
        }

        fn picture(&mut self, millis: u64, sequence: u16) {
            self.packet(millis, VIDEO, 7, sequence, &[0x10, u8::from(sequence != 0), 1]);
        }

        fn taken(&mut self, millis: u64) -> Vec<&'static str> {
            let taken = self.receiver.take(self.at(millis));
            let name = |coded: &Coded| match coded {
                Coded::VideoConfig(config) if config.codec == VideoCodec::Vp8 => "video config",
                Coded::AudioConfig(config) if config.codec == AudioCodec::Opus => "audio config",
                Coded::Video(unit) if unit.key => "key",
                Coded::Video(_) => "picture",
                Coded::Audio(_) => "sound",
                _ => "other",
            };
            taken.iter().map(name).collect()
        }

        fn asked(&mut self, millis: u64) -> (Vec<u16>, bool) {
            let feedback = self.receiver.feedback(self.at(millis));
            let nack = feedback.iter().find_map(|packet| packet.as_any().downcast_ref::<TransportLayerNack>());
            let missing = nack.into_iter().flat_map(|nack| &nack.nacks).flat_map(|pair| pair.packet_list()).collect();
            (missing, feedback.iter().any(|packet| packet.as_any().is::<PictureLossIndication>()))
        }
    }

    #[test]
    fn configurations_come_first() {
        let mut bench = Bench::new();
        bench.packet(0, AUDIO, 8, 0, &[1]);
        bench.picture(0, 0);
        assert_eq!(bench.taken(0), ["video config", "key", "audio config", "sound"]);
        bench.picture(33, 1);
        assert_eq!(bench.taken(33), ["picture"]);
        assert_eq!(bench.receiver.due(), None);
    }

    #[test]
    fn a_publisher_that_begins_within_a_picture_is_asked_for_a_keyframe() {
        let mut bench = Bench::new();
        bench.picture(0, 5);
        assert_eq!(bench.taken(0), [""; 0]);
        assert_eq!(bench.asked(0), (vec![], false), "it may be on its way");
        assert_eq!(bench.asked(300), (vec![], true));
        assert_eq!(bench.asked(310), (vec![], false), "the answer is on its way");
        assert_eq!(bench.asked(800), (vec![], true));
    }

    #[test]
    fn a_lost_packet_is_asked_for_and_its_retransmission_mends_the_stream() {
        let mut bench = Bench::new();
        bench.picture(0, 0);
        bench.picture(66, 2);
        assert_eq!(bench.taken(66), ["video config", "key"]);
        assert_eq!(bench.asked(66), (vec![1], false));
        bench.packet(100, RTX, 9, 4000, &[0, 1, 0x10, 1, 1]);
        assert_eq!(bench.taken(100), ["picture", "picture"]);
        assert_eq!(bench.receiver.losses(), Losses::default());
    }

    #[test]
    fn a_loss_for_good_asks_for_a_keyframe() {
        let mut bench = Bench::new();
        bench.picture(0, 0);
        bench.taken(0);
        bench.picture(66, 2);
        assert_eq!(bench.taken(215), [""; 0]);
        assert_eq!(bench.receiver.due(), Some(bench.at(66)), "to ask for it");
        bench.asked(66);
        assert_eq!(bench.taken(216), [""; 0], "it refers to what is lost");
        assert_eq!(bench.asked(216), (vec![], true));
        assert_eq!(bench.receiver.losses().video_packets, 1);
    }

    #[test]
    fn a_keyframe_that_the_show_needs_is_asked_for_while_pictures_go_on() {
        let mut bench = Bench::new();
        bench.receiver.want_key(bench.at(0));
        assert_eq!(bench.receiver.due(), None, "nobody is there to be asked");
        bench.picture(0, 0);
        bench.taken(0);
        bench.receiver.want_key(bench.at(10));
        assert_eq!(bench.receiver.due(), Some(bench.at(10)));
        assert_eq!(bench.asked(10), (vec![], true));
        bench.picture(33, 1);
        assert_eq!(bench.taken(33), ["picture"]);
        bench.receiver.want_key(bench.at(33));
        assert_eq!(bench.asked(509), (vec![], false), "the answer is on its way");
        assert_eq!(bench.asked(510), (vec![], true), "the request may be lost");
        bench.picture(550, 2);
        assert_eq!(bench.taken(550), ["picture"]);
        // A keyframe, and a new need of one right behind it.
        bench.packet(600, VIDEO, 7, 3, &[0x10, 0, 1]);
        assert_eq!(bench.taken(600), ["key"]);
        assert_eq!(bench.receiver.due(), None);
        bench.receiver.want_key(bench.at(610));
        assert_eq!(bench.asked(1009), (vec![], false));
        assert_eq!(bench.asked(1010), (vec![], true));
    }

    #[test]
    fn a_limit_is_told_to_those_who_heed_it_and_nothing_is_due_for_others() {
        for (transport_cc, remb) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut bench = Bench::of(transport_cc, remb);
            bench.picture(0, 0);
            bench.taken(0);
            let limits = bench.receiver.feedback(bench.at(0)).len();
            let told = remb && !transport_cc;
            assert_eq!(limits, usize::from(told), "{transport_cc} {remb}");
            assert_eq!(bench.receiver.due(), told.then(|| bench.at(1000)), "{transport_cc} {remb}");
        }
    }

    #[test]
    fn short_retransmissions_and_probes_are_nothing() {
        let mut bench = Bench::new();
        bench.packet(0, RTX, 9, 1, &[0, 1, 2]);
        bench.picture(0, 0);
        for payload in [&[][..], &[0], &[0, 1]] {
            bench.packet(1, RTX, 9, 2, payload);
        }
        bench.packet(1, 55, 10, 0, &[1, 2, 3]);
        assert_eq!(bench.taken(1), ["video config", "key"]);
    }

    #[test]
    fn a_second_source_waits_for_the_first_to_fall_silent() {
        let mut bench = Bench::new();
        bench.picture(0, 0);
        bench.taken(0);
        bench.packet(500, VIDEO, 66, 9, &[0x10, 0, 1]);
        assert_eq!(bench.taken(500), [""; 0]);
        bench.packet(1500, VIDEO, 66, 10, &[0x10, 0, 1]);
        assert_eq!(bench.taken(1500), ["key"]);
    }
}
