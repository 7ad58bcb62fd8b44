//! H.265 as containers carry it: the decoder configuration record, and key pictures among length-prefixed NAL units
//! (ISO/IEC 14496-15 §8.3).

use super::avc::{self, Error, LengthSize};

/// An HEVCDecoderConfigurationRecord that was found sound; it is passed on as the bytes that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) length_size: LengthSize,
}

impl Record {
    /// Checks a record (ISO/IEC 14496-15 §8.3.3.1): that its parameter sets end where they say. There need not be any, an
    /// encoder may send them with each key picture instead.
    pub(crate) fn parse(record: &[u8]) -> Result<Record, Error> {
        if record.len() > avc::RECORD_LIMIT {
            return Err(Error::Oversized(record.len()));
        }
        let (fixed, mut rest) = record.split_first_chunk::<FIXED>().ok_or(Error::Truncated)?;
        // Version 0 was written by encoders older than the standard.
        if fixed[0] > 1 {
            return Err(Error::Version(fixed[0]));
        }
        let length_size = LengthSize::of(fixed[FIXED - 2])?;
        for _ in 0..fixed[FIXED - 1] {
            // The kind of the sets, and how many there are.
            let &[_, c1, c0, ref sets @ ..] = rest else {
                return Err(Error::Truncated);
            };
            rest = avc::parameter_sets(sets, u16::from_be_bytes([c1, c0]))?;
        }
        Ok(Record { length_size })
    }
}

/// Whether an access unit of length-prefixed NAL units holds a picture at which decoding can begin.
pub(crate) fn holds_irap(unit: &[u8], length_size: LengthSize) -> Result<bool, Error> {
    avc::holds(unit, length_size, |header| IRAP.contains(&(header >> 1 & NAL_TYPE)))
}

/// Bytes in front of the parameter sets: profile, level, format; the size of lengths; how many kinds of sets follow.
const FIXED: usize = 23;
/// Six bits of a NAL unit's header, from the second on (ITU-T H.265 §7.3.1.2).
const NAL_TYPE: u8 = 0b0011_1111;
/// BLA, IDR and CRA pictures (ITU-T H.265 table 7-1).
const IRAP: std::ops::RangeInclusive<u8> = 16..=21;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Main profile, four-byte lengths, a VPS, an SPS and a PPS of two bytes each.
    pub(crate) fn record() -> Vec<u8> {
        let mut record = vec![1; FIXED];
        (record[FIXED - 2], record[FIXED - 1]) = (0b0000_1111, 3);
        for (kind, header) in [(0x20, 0x40), (0x21, 0x42), (0x22, 0x44)] {
            record.extend([kind, 0, 1, 0, 2, header, 1]);
        }
        record
    }

    #[test]
    fn a_record_tells_the_length_size() {
        assert_eq!(Record::parse(&record()), Ok(Record { length_size: LengthSize::Four }));
        let mut other = record();
        other[FIXED - 2] = 0b0000_1110;
        assert_eq!(Record::parse(&other), Err(Error::LengthSize));
        other[0] = 2;
        assert_eq!(Record::parse(&other), Err(Error::Version(2)));
    }

    #[test]
    fn every_cut_of_a_record_is_refused() {
        let record = record();
        for end in 0..record.len() {
            assert_eq!(Record::parse(&record[..end]), Err(Error::Truncated), "cut at {end}");
        }
    }

    #[test]
    fn key_pictures_are_found_behind_other_units() {
        for (kind, irap) in [(1, false), (9, false), (16, true), (19, true), (20, true), (21, true), (32, false)] {
            let unit = [0, 0, 0, 2, 0x46, 1, 0, 0, 0, 3, kind << 1, 1, 0xaf];
            assert_eq!(holds_irap(&unit, LengthSize::Four), Ok(irap), "NAL unit type {kind}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Record::parse(&bytes);
            let _ = holds_irap(&bytes, LengthSize::Two);
        }
    }
}
