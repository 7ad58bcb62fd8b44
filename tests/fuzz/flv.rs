//! FLV tags through the demuxer: what is inside RTMP's media messages.

use hawker::ingest::fuzz;
use hawker::media::access_unit::{AudioCodec, VideoCodec};

use crate::campaign;
use crate::corpus::{films, tapes};
use crate::mutate::{Chance, damage};

/// A tag's kind, as RTMP's message types number it too (Adobe FLV v10.1 §E.4.1).
#[derive(Clone)]
pub struct Tag {
    pub kind: u8,
    pub body: Vec<u8>,
}

pub const AUDIO: u8 = 8;
pub const VIDEO: u8 = 9;
pub const SCRIPT: u8 = 18;

#[test]
fn flv() {
    let _turn = campaign::turn();
    let streams = streams();
    let mut coded = 0;
    campaign::run("flv", 20_000, |_, chance, watch| {
        let messages = damaged(&streams, chance);
        watch.about(&messages.concat());
        coded += fuzz::flv(messages);
    });
    println!("flv: {coded} configurations and units came out");
    assert!(coded > 0);
}

/// Some tags of a publisher, each in a message of its own as a rule.
fn damaged(streams: &[Vec<Tag>], chance: &mut Chance) -> Vec<Vec<u8>> {
    let mut timestamp = if chance.once_in(4) { chance.next() as u32 } else { 0 };
    let mut messages = Vec::new();
    for tag in excerpt(streams, chance) {
        let mut message = framed(&tag, timestamp);
        if chance.once_in(8) {
            let other = framed(chance.one_of(&streams[0]), 0);
            damage(&mut message, &other, chance);
        }
        timestamp = if chance.once_in(16) { chance.next() as u32 } else { timestamp.wrapping_add(33) };
        messages.push(message);
    }
    if chance.once_in(8) { vec![messages.concat()] } else { messages }
}

/// A publisher's first tags, and some of the others: a few damaged, a few out of their order, a few another publisher's.
pub fn excerpt(streams: &[Vec<Tag>], chance: &mut Chance) -> Vec<Tag> {
    let stream = chance.one_of(streams);
    let mut tags: Vec<Tag> = stream[..stream.len().min(3)].to_vec();
    for _ in 0..chance.below(12) {
        let from = if chance.once_in(6) { chance.one_of(streams) } else { stream };
        tags.push(chance.one_of(from).clone());
    }
    for tag in &mut tags {
        if chance.once_in(3) {
            let other = chance.one_of(stream);
            damage(&mut tag.body, &other.body, chance);
        }
        if chance.once_in(32) {
            tag.kind = chance.next() as u8;
        }
    }
    tags
}

fn framed(Tag { kind, body }: &Tag, timestamp: u32) -> Vec<u8> {
    let length = &(body.len() as u32).to_be_bytes()[1..];
    let [t3, t2, t1, t0] = timestamp.to_be_bytes();
    let back = (11 + body.len() as u32).to_be_bytes();
    [&[*kind][..], length, &[t2, t1, t0, t3, 0, 0, 0], body, &back].concat()
}

/// Publishers' tags: metadata, configurations, then units. As OBS sends them, and by FourCC as Enhanced RTMP v2 does.
pub fn streams() -> Vec<Vec<Tag>> {
    let mut films = films();
    films.retain(|film| film.units.iter().map(Vec::len).max() < Some(16 * 1024));
    let tapes = tapes();
    let script = Tag { kind: SCRIPT, body: metadata() };
    let tag = |kind, parts: &[&[u8]]| Tag { kind, body: parts.concat() };
    let mut streams = Vec::new();
    for (at, film) in films.iter().enumerate() {
        let four_cc: &[u8] = match film.config.codec {
            VideoCodec::H264 => b"avc1",
            VideoCodec::H265 => b"hvc1",
            VideoCodec::Av1 => b"av01",
            VideoCodec::Vp8 => b"vp08",
            VideoCodec::Vp9 => b"vp09",
        };
        // AAC mostly: what most publishers send gets most of the attention.
        let tape = &tapes[if at % 3 == 2 { at / 3 % tapes.len() } else { 0 }];
        let sound = |tags: &mut Vec<Tag>| match tape.config.codec {
            AudioCodec::Aac => {
                tags.push(tag(AUDIO, &[&[0xaf, 0], &tape.config.extradata]));
                tags.extend(tape.units.iter().map(|unit| tag(AUDIO, &[&[0xaf, 1], unit])));
            }
            AudioCodec::Opus => {
                tags.push(tag(AUDIO, &[b"\x90Opus", b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"]));
                tags.extend(tape.units.iter().map(|unit| tag(AUDIO, &[b"\x91Opus", unit])));
            }
            _ => {
                tags.extend(tape.units.iter().map(|unit| tag(AUDIO, &[&[0x82], unit])));
            }
        };
        let mut enhanced = vec![script.clone(), tag(VIDEO, &[&[0x90], four_cc, &film.config.extradata])];
        sound(&mut enhanced);
        for (n, unit) in film.units.iter().enumerate() {
            let frame = if n == 0 { 0x10 } else { 0x20 };
            enhanced.push(match n % 4 {
                // Coded frames with a composition time, without one, after nanoseconds, as one of several tracks.
                0 => tag(VIDEO, &[&[0x81 | frame], four_cc, &[0, 0, 33], unit]),
                1 => tag(VIDEO, &[&[0x83 | frame], four_cc, unit]),
                2 => tag(VIDEO, &[&[0x87 | frame, 2, 0, 0, 1, 3], four_cc, unit]),
                _ => tag(VIDEO, &[&[0x86 | frame, 0x03], four_cc, &[0], unit]),
            });
        }
        streams.push(enhanced);
        if film.config.codec == VideoCodec::H264 && !film.config.extradata.is_empty() {
            let mut plain = vec![script.clone(), tag(VIDEO, &[&[0x17, 0, 0, 0, 0], &film.config.extradata])];
            sound(&mut plain);
            plain.extend(film.units.iter().map(|unit| tag(VIDEO, &[&[0x27, 1, 0, 0, 66], unit])));
            streams.push(plain);
        }
    }
    streams
}

/// `onMetaData` as OBS writes it, in AMF0.
fn metadata() -> Vec<u8> {
    let mut body = b"\x02\0\x0aonMetaData\x08\0\0\0\x05".to_vec();
    for (name, number) in [("width", 1280.0f64), ("height", 720.0), ("framerate", 30.0), ("videodatarate", 2500.0)] {
        body.extend((name.len() as u16).to_be_bytes());
        body.extend(name.as_bytes());
        body.push(0);
        body.extend(number.to_be_bytes());
    }
    body.extend(b"\0\x07encoder\x02\0\x18obs-output module (30.2)\0\0\x09");
    body
}
