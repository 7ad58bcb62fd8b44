//! H.264 in RTP (RFC 6184): NAL units alone, several in one packet (STAP-A), or one over several packets (FU-A), to Annex B.

use super::{Malformed, Open};

pub(super) fn begins(payload: &[u8]) -> bool {
    // Parameter sets and delimiters stand before everything else of a picture; a slice may be its second.
    let first = match kind(payload) {
        Some(STAP_A) => kind(payload.get(3..).unwrap_or_default()),
        Some(FU_A) if payload.get(1).is_some_and(|header| header & FU_START != 0) => Some(payload[1] & KIND),
        Some(FU_A) => None,
        alone => alone,
    };
    matches!(first, Some(SPS | DELIMITER))
}

pub(super) fn append(payload: &[u8], open: &mut Open) -> Result<(), Malformed> {
    let kind = kind(payload).ok_or(Malformed)?;
    if open.fragment && kind != FU_A {
        return Err(Malformed);
    }
    match kind {
        1..=23 => unit(payload, open),
        STAP_A => {
            let mut rest = &payload[1..];
            while let [a, b, after @ ..] = rest {
                let length = usize::from(u16::from_be_bytes([*a, *b]));
                let (one, after) = after.split_at_checked(length).ok_or(Malformed)?;
                if !matches!(self::kind(one), Some(1..=23)) {
                    return Err(Malformed);
                }
                unit(one, open);
                rest = after;
            }
            if !rest.is_empty() {
                return Err(Malformed);
            }
        }
        FU_A => {
            let [indicator, header, part @ ..] = payload else { return Err(Malformed) };
            let (starts, kind) = (header & FU_START != 0, header & KIND);
            if starts == open.fragment || !matches!(kind, 1..=23) {
                return Err(Malformed);
            }
            if starts {
                open.key |= kind == IDR;
                open.data.extend_from_slice(&START_CODE);
                open.data.push(indicator & !KIND | kind);
                open.fragment = true;
            }
            open.data.extend_from_slice(part);
            if header & FU_END != 0 {
                open.fragment = false;
            }
        }
        _ => return Err(Malformed),
    }
    Ok(())
}

fn unit(unit: &[u8], open: &mut Open) {
    open.key |= kind(unit) == Some(IDR);
    open.data.extend_from_slice(&START_CODE);
    open.data.extend_from_slice(unit);
}

/// The NAL unit type (ITU-T H.264 table 7-1), or the packet's (RFC 6184 table 1).
fn kind(payload: &[u8]) -> Option<u8> {
    payload.first().map(|first| first & KIND)
}

const KIND: u8 = 0x1f;
const IDR: u8 = 5;
const SPS: u8 = 7;
const DELIMITER: u8 = 9;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn open() -> Open {
        let arrived = Instant::now();
        Open { timestamp: 0, data: Vec::new(), key: false, damaged: false, fragment: false, arrived }
    }

    fn appended(packets: &[&[u8]]) -> Result<Open, Malformed> {
        let mut open = open();
        packets.iter().try_for_each(|packet| append(packet, &mut open))?;
        Ok(open)
    }

    #[test]
    fn parameter_sets_and_slice_become_annex_b() {
        let stap = [0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x68, 3];
        let open = appended(&[&stap, &[0x7c, 0x85, 10, 11], &[0x7c, 0x05, 12], &[0x7c, 0x45, 13]]).unwrap();
        let expected = [&[0, 0, 0, 1, 0x67, 1, 2][..], &[0, 0, 0, 1, 0x68, 3], &[0, 0, 0, 1, 0x65, 10, 11, 12, 13]];
        assert_eq!(open.data, expected.concat());
        assert!(open.key && !open.fragment);
        let open = appended(&[&[0x41, 9]]).unwrap();
        assert_eq!((open.data.as_slice(), open.key), (&[0, 0, 0, 1, 0x41, 9][..], false));
    }

    #[test]
    fn what_surely_begins_a_picture_is_known() {
        assert!(begins(&[0x67, 1]) && begins(&[0x09, 0xf0]) && begins(&[0x78, 0, 1, 0x67]));
        assert!(!begins(&[0x65, 1]) && !begins(&[0x7c, 0x05]) && !begins(&[0x7c, 0x85]));
        for short in [&[][..], &[0x78], &[0x78, 0], &[0x78, 0, 1], &[0x7c]] {
            assert!(!begins(short));
        }
    }

    #[test]
    fn what_is_no_h264_is_refused() {
        for wrong in [
            &[&[][..]][..],
            &[&[0]],
            &[&[0x79, 0, 1, 1]],
            &[&[0x7f, 1]],
            // STAP-A: a unit that ends behind the packet, half a length, an empty unit, an aggregate within.
            &[&[0x78, 0, 9, 0x67]],
            &[&[0x78, 0, 1, 0x67, 0]],
            &[&[0x78, 0, 0]],
            &[&[0x78, 0, 3, 0x78, 0, 0]],
            // FU-A: no header, no start, two starts, a fragment that another unit interrupts, a fragmented aggregate.
            &[&[0x7c]],
            &[&[0x7c, 0x05, 1]],
            &[&[0x7c, 0x85, 1], &[0x7c, 0x85, 1]],
            &[&[0x7c, 0x85, 1], &[0x41, 1]],
            &[&[0x7c, 0x9c, 1]],
        ] {
            assert!(appended(wrong).is_err(), "{wrong:x?}");
        }
    }
}
