//! The extended tag header that Enhanced RTMP v2 shares between audio and video: modifiers, several tracks, FourCCs.

use super::TagError;

/// A packet of the track that is taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) kind: u8,
    pub(super) four_cc: FourCc,
    pub(super) body: &'a [u8],
}

pub(super) type FourCc = [u8; 4];

/// Which of a publisher's tracks is taken: the one of the lowest number that has been seen, which is the first by the
/// specification's ordering. OBS sends spare renditions, and the sound for recordings, in the others.
#[derive(Debug)]
pub(super) struct Track(u8);

impl Default for Track {
    fn default() -> Track {
        Track(u8::MAX)
    }
}

impl Track {
    /// Whether a packet of that track is taken. A tag without tracks is track 0.
    pub(super) fn takes(&mut self, number: u8) -> bool {
        self.0 = self.0.min(number);
        self.0 == number
    }
}

/// Reads what follows the first byte of an extended tag, whose low four bits are `kind`. `multitrack` is the packet type
/// that announces several tracks (audio and video number it differently). `None` when only other tracks are in it.
pub(super) fn packet<'a>(
    kind: u8,
    body: &'a [u8],
    multitrack: u8,
    taken: &mut Track,
) -> Result<Option<Packet<'a>>, TagError> {
    let (kind, body) = skip_modifiers(kind, body)?;
    if kind != multitrack {
        let (four_cc, body) = split_four_cc(body)?;
        return Ok(taken.takes(ONLY_TRACK).then_some(Packet { kind, four_cc, body }));
    }
    let (&layout, mut body) = body.split_first().ok_or(TagError::Truncated)?;
    let (layout, kind) = (layout >> 4, layout & 0x0f);
    if layout > MANY_TRACKS_MANY_CODECS || kind == multitrack {
        return Err(TagError::Tracks);
    }
    let mut shared = None;
    if layout != MANY_TRACKS_MANY_CODECS {
        let (four_cc, rest) = split_four_cc(body)?;
        (shared, body) = (Some(four_cc), rest);
    }
    let mut found = None;
    while !body.is_empty() {
        let (four_cc, rest) = match shared {
            Some(four_cc) => (four_cc, body),
            None => split_four_cc(body)?,
        };
        let (&track, rest) = rest.split_first().ok_or(TagError::Truncated)?;
        let (data, rest) = if layout == ONE_TRACK {
            (rest, &[][..])
        } else {
            let &[l2, l1, l0, ref rest @ ..] = rest else {
                return Err(TagError::Truncated);
            };
            rest.split_at_checked(u32::from_be_bytes([0, l2, l1, l0]) as usize).ok_or(TagError::Truncated)?
        };
        if taken.takes(track) {
            found = Some(Packet { kind, four_cc, body: data });
        }
        body = rest;
    }
    Ok(found)
}

/// Steps over `ModEx` data, which refines timestamps by nanoseconds: more than anything here resolves.
fn skip_modifiers(mut kind: u8, mut body: &[u8]) -> Result<(u8, &[u8]), TagError> {
    while kind == MOD_EX {
        let (&length, rest) = body.split_first().ok_or(TagError::Truncated)?;
        let (length, rest) = match length {
            // One less than the length; 255 says that two bytes follow.
            255 => {
                let (length, rest) = rest.split_first_chunk().ok_or(TagError::Truncated)?;
                (usize::from(u16::from_be_bytes(*length)) + 1, rest)
            }
            length => (usize::from(length) + 1, rest),
        };
        let after = rest.get(length..).ok_or(TagError::Truncated)?;
        let (&next, after) = after.split_first().ok_or(TagError::Truncated)?;
        (kind, body) = (next & 0x0f, after);
    }
    Ok((kind, body))
}

fn split_four_cc(body: &[u8]) -> Result<(FourCc, &[u8]), TagError> {
    let (four_cc, rest) = body.split_first_chunk().ok_or(TagError::Truncated)?;
    Ok((*four_cc, rest))
}

const MOD_EX: u8 = 7;
const ONE_TRACK: u8 = 0;
const MANY_TRACKS_MANY_CODECS: u8 = 2;
/// What the track of a tag without tracks counts as.
const ONLY_TRACK: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    const MULTITRACK: u8 = 6;

    fn found(body: &[u8]) -> Packet<'_> {
        Packet { kind: 1, four_cc: *b"avc1", body }
    }

    fn parsed(kind: u8, body: &[u8]) -> Result<Option<Packet<'_>>, TagError> {
        packet(kind, body, MULTITRACK, &mut Track::default())
    }

    #[test]
    fn a_plain_packet_is_its_four_cc_and_body() {
        assert_eq!(parsed(1, b"avc1xyz"), Ok(Some(found(b"xyz"))));
        assert_eq!(parsed(1, b"avc"), Err(TagError::Truncated));
    }

    #[test]
    fn modifiers_are_stepped_over() {
        // A nanosecond offset, then one of a length that needs two more bytes.
        assert_eq!(parsed(7, b"\x02\0\0\0\x01avc1xyz"), Ok(Some(found(b"xyz"))));
        assert_eq!(parsed(7, b"\xff\0\x01aa\x07\x00b\x01avc1xyz"), Ok(Some(found(b"xyz"))));
        assert_eq!(parsed(7, b"\xff\xff\xff"), Err(TagError::Truncated));
        assert_eq!(parsed(7, b"\x02\0\0\0\x06\x01avc1\0xyz"), Ok(Some(found(b"xyz"))), "before a track, too");
    }

    #[test]
    fn the_first_of_several_tracks_is_taken() {
        let mut taken = Track::default();
        let mut packet = |body| packet(6, body, MULTITRACK, &mut taken);
        assert_eq!(packet(b"\x01avc1\x00xyz"), Ok(Some(found(b"xyz"))));
        assert_eq!(packet(b"\x01avc1\x01xyz"), Ok(None));
        assert_eq!(packet(b"\x11avc1\x01\0\0\x02no\x00\0\0\x03xyz"), Ok(Some(found(b"xyz"))));
        assert_eq!(packet(b"\x21hvc1\x01\0\0\x02noavc1\x00\0\0\x03xyz"), Ok(Some(found(b"xyz"))));
        assert_eq!(packet(b"\x11avc1\x01\xff\xff\xff"), Err(TagError::Truncated));
    }

    #[test]
    fn without_a_track_0_the_lowest_is_the_first() {
        let mut taken = Track::default();
        assert_eq!(packet(6, b"\x01avc1\x02no", MULTITRACK, &mut taken), Ok(Some(found(b"no"))), "so far");
        assert_eq!(packet(6, b"\x01avc1\x01xyz", MULTITRACK, &mut taken), Ok(Some(found(b"xyz"))));
        assert_eq!(packet(6, b"\x01avc1\x02no", MULTITRACK, &mut taken), Ok(None));
        assert_eq!(packet(1, b"avc1xyz", MULTITRACK, &mut taken), Ok(Some(found(b"xyz"))), "a plain tag is track 0");
        assert_eq!(packet(6, b"\x01avc1\x01xyz", MULTITRACK, &mut taken), Ok(None));
    }

    #[test]
    fn layouts_and_kinds_that_are_none_are_refused() {
        assert_eq!(parsed(6, b"\x31avc1\x00xyz"), Err(TagError::Tracks));
        assert_eq!(parsed(6, b"\x06avc1\x00xyz"), Err(TagError::Tracks));
    }
}
