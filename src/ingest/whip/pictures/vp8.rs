//! VP8 in RTP (RFC 7741): a descriptor before each packet's part of the frame.

use super::{Malformed, Open};

pub(super) fn begins(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| first & (START | PARTITION) == START)
}

pub(super) fn append(payload: &[u8], open: &mut Open) -> Result<(), Malformed> {
    let part = part(payload).filter(|part| !part.is_empty()).ok_or(Malformed)?;
    if open.data.is_empty() {
        if !begins(payload) {
            return Err(Malformed);
        }
        // The frame tag's first bit is clear in a keyframe (RFC 6386 §9.1).
        open.key = part[0] & 1 == 0;
    }
    open.data.extend_from_slice(part);
    Ok(())
}

/// What follows the payload descriptor (RFC 7741 §4.2).
fn part(payload: &[u8]) -> Option<&[u8]> {
    let (first, mut rest) = payload.split_first()?;
    if first & EXTENDED != 0 {
        let (extensions, after) = rest.split_first()?;
        rest = after;
        if extensions & PICTURE_ID != 0 {
            let long = rest.first()? & LONG != 0;
            rest = rest.get(if long { 2 } else { 1 }..)?;
        }
        if extensions & LEVEL_ZERO_INDEX != 0 {
            rest = rest.get(1..)?;
        }
        if extensions & (LAYER | KEY_INDEX) != 0 {
            rest = rest.get(1..)?;
        }
    }
    Some(rest)
}

const EXTENDED: u8 = 0x80;
const START: u8 = 0x10;
const PARTITION: u8 = 0x07;
const PICTURE_ID: u8 = 0x80;
const LEVEL_ZERO_INDEX: u8 = 0x40;
const LAYER: u8 = 0x20;
const KEY_INDEX: u8 = 0x10;
const LONG: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_every_length_are_read() {
        for (descriptor, what) in [
            (&[0x10][..], "none"),
            (&[0x90, 0x00], "empty"),
            (&[0x90, 0x80, 0x7f], "a short picture id"),
            (&[0x90, 0x80, 0x80, 0x01], "a long one"),
            (&[0x90, 0xf0, 0x80, 0x01, 0x02, 0x03], "all"),
            (&[0x90, 0x10, 0x03], "a key index alone"),
        ] {
            assert_eq!(part(&[descriptor, &[42]].concat()), Some(&[42][..]), "{what}");
            assert!(begins(descriptor));
            for cut in 1..descriptor.len() {
                assert_eq!(part(&descriptor[..cut]), None, "{what}, cut short");
            }
        }
        assert_eq!(part(&[]), None);
        assert!(!begins(&[0x00]) && !begins(&[0x11]), "a later packet, a later partition");
    }
}
