//! The extended tag header that Enhanced RTMP v2 shares between audio and video: modifiers, several tracks, FourCCs.

use super::TagError;

/// A packet of the first track.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) kind: u8,
    pub(super) four_cc: FourCc,
    pub(super) body: &'a [u8],
}

pub(super) type FourCc = [u8; 4];

/// Reads what follows the first byte of an extended tag, whose low four bits are `kind`. `multitrack` is the packet type
/// that announces several tracks (audio and video number it differently). Tracks but the first give nothing: OBS sends
/// spare renditions and the sound for recordings in them.
pub(super) fn packet(kind: u8, body: &[u8], multitrack: u8) -> Result<Option<Packet<'_>>, TagError> {
    let (kind, body) = skip_modifiers(kind, body)?;
    if kind != multitrack {
        let (four_cc, body) = split_four_cc(body)?;
        return Ok(Some(Packet { kind, four_cc, body }));
    }
    let (&layout, mut body) = body.split_first().ok_or(TagError::Truncated)?;
    let (layout, kind) = (layout >> 4, layout & 0x0f);
    let mut shared = None;
    if layout != MANY_TRACKS_MANY_CODECS {
        let (four_cc, rest) = split_four_cc(body)?;
        (shared, body) = (Some(four_cc), rest);
    }
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
        if track == FIRST_TRACK {
            return Ok(Some(Packet { kind, four_cc, body: data }));
        }
        body = rest;
    }
    Ok(None)
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
const FIRST_TRACK: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    const MULTITRACK: u8 = 6;

    fn found(body: &[u8]) -> Packet<'_> {
        Packet { kind: 1, four_cc: *b"avc1", body }
    }

    #[test]
    fn a_plain_packet_is_its_four_cc_and_body() {
        assert_eq!(packet(1, b"avc1xyz", MULTITRACK), Ok(Some(found(b"xyz"))));
        assert_eq!(packet(1, b"avc", MULTITRACK), Err(TagError::Truncated));
    }

    #[test]
    fn modifiers_are_stepped_over() {
        assert_eq!(packet(7, b"\x02\0\0\0\x01avc1xyz", MULTITRACK), Ok(Some(found(b"xyz"))));
        assert_eq!(packet(7, b"\xff\0\x01aa\x07\x00b\x01avc1xyz", MULTITRACK), Ok(Some(found(b"xyz"))));
        assert_eq!(packet(7, b"\xff\xff\xff", MULTITRACK), Err(TagError::Truncated));
    }

    #[test]
    fn the_first_of_several_tracks_is_taken() {
        assert_eq!(packet(6, b"\x01avc1\x00xyz", MULTITRACK), Ok(Some(found(b"xyz"))));
        assert_eq!(packet(6, b"\x01avc1\x01xyz", MULTITRACK), Ok(None));
        assert_eq!(packet(6, b"\x11avc1\x01\0\0\x02no\x00\0\0\x03xyz", MULTITRACK), Ok(Some(found(b"xyz"))));
        assert_eq!(packet(6, b"\x21hvc1\x01\0\0\x02noavc1\x00\0\0\x03xyz", MULTITRACK), Ok(Some(found(b"xyz"))));
        assert_eq!(packet(6, b"\x11avc1\x01\xff\xff\xff", MULTITRACK), Err(TagError::Truncated));
    }
}
