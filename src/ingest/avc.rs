//! H.264 as containers carry it: the decoder configuration record and length-prefixed NAL units (ISO/IEC 14496-15 §5.3).

/// An AVCDecoderConfigurationRecord that was found sound; it is passed on as the bytes that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) length_size: LengthSize,
}

/// How many bytes say how long a NAL unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthSize {
    One,
    Two,
    Four,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("a decoder configuration of {0} bytes, which is more than any encoder makes")]
    Oversized(usize),
    #[error("a decoder configuration that ends in the middle of a parameter set")]
    Truncated,
    #[error("version {0} of the decoder configuration, not 1")]
    Version(u8),
    #[error("NAL unit lengths of three bytes")]
    LengthSize,
    #[error("a NAL unit of {length} bytes where {left} are left")]
    UnitLength { length: usize, left: usize },
}

impl LengthSize {
    /// From the two lowest bits of a record's byte, which hold one less.
    pub(crate) fn of(byte: u8) -> Result<LengthSize, Error> {
        match byte & 0b11 {
            0 => Ok(LengthSize::One),
            1 => Ok(LengthSize::Two),
            3 => Ok(LengthSize::Four),
            _ => Err(Error::LengthSize),
        }
    }
}

impl Record {
    /// Checks a record (ISO/IEC 14496-15 §5.3.3.1): that its parameter sets end where they say. There need not be any, an
    /// encoder may send them with each keyframe instead.
    pub(crate) fn parse(record: &[u8]) -> Result<Record, Error> {
        if record.len() > RECORD_LIMIT {
            return Err(Error::Oversized(record.len()));
        }
        let &[version, _profile, _compatibility, _level, length_size, ref rest @ ..] = record else {
            return Err(Error::Truncated);
        };
        if version != 1 {
            return Err(Error::Version(version));
        }
        let length_size = LengthSize::of(length_size)?;
        let (count, rest) = rest.split_first().ok_or(Error::Truncated)?;
        let rest = parameter_sets(rest, u16::from(count & 0b0001_1111))?;
        let (count, rest) = rest.split_first().ok_or(Error::Truncated)?;
        let _extensions = parameter_sets(rest, u16::from(*count))?;
        Ok(Record { length_size })
    }
}

/// Walks over that many parameter sets: what follows them.
pub(crate) fn parameter_sets(mut list: &[u8], count: u16) -> Result<&[u8], Error> {
    for _ in 0..count {
        let (length, after) = list.split_first_chunk().ok_or(Error::Truncated)?;
        list = after.get(usize::from(u16::from_be_bytes(*length))..).ok_or(Error::Truncated)?;
    }
    Ok(list)
}

/// Whether an access unit of length-prefixed NAL units holds an IDR slice.
pub(crate) fn holds_idr(unit: &[u8], length_size: LengthSize) -> Result<bool, Error> {
    holds(unit, length_size, |header| header & NAL_TYPE == NAL_IDR)
}

/// Whether an access unit holds a NAL unit whose first byte is wanted. Its lengths are checked on the way, so that what is
/// passed on ends where it says.
pub(crate) fn holds(mut unit: &[u8], length_size: LengthSize, wanted: impl Fn(u8) -> bool) -> Result<bool, Error> {
    let mut found = false;
    while !unit.is_empty() {
        let (length, rest) = match (length_size, unit) {
            (LengthSize::One, &[a, ref rest @ ..]) => (usize::from(a), rest),
            (LengthSize::Two, &[a, b, ref rest @ ..]) => (usize::from(u16::from_be_bytes([a, b])), rest),
            (LengthSize::Four, &[a, b, c, d, ref rest @ ..]) => (u32::from_be_bytes([a, b, c, d]) as usize, rest),
            _ => return Err(Error::UnitLength { length: 0, left: unit.len() }),
        };
        if length > rest.len() {
            return Err(Error::UnitLength { length, left: rest.len() });
        }
        found |= rest[..length].first().is_some_and(|&header| wanted(header));
        unit = &rest[length..];
    }
    Ok(found)
}

/// The low five bits of a NAL unit's header (ITU-T H.264 §7.3.1).
const NAL_TYPE: u8 = 0b0001_1111;
/// A coded slice of an IDR picture (ITU-T H.264 table 7-1).
const NAL_IDR: u8 = 5;

/// Parameter sets take some dozens of bytes; a record of more than this is somebody trying something.
pub(crate) const RECORD_LIMIT: usize = 16 * 1024;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Main profile, level 3.1, four-byte lengths, with parameter sets of a few bytes.
    pub(crate) const RECORD: [u8; 19] =
        [1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 4, 0x67, 0x4d, 0x40, 0x1f, 1, 0, 4, 0x68, 0xee, 0x3c, 0x80];

    #[test]
    fn a_record_tells_the_length_size() {
        assert_eq!(Record::parse(&RECORD), Ok(Record { length_size: LengthSize::Four }));
        let mut two = RECORD;
        two[4] = 0xfd;
        assert_eq!(Record::parse(&two), Ok(Record { length_size: LengthSize::Two }));
        two[4] = 0xfe;
        assert_eq!(Record::parse(&two), Err(Error::LengthSize));
    }

    #[test]
    fn every_cut_of_a_record_is_refused() {
        for end in 0..RECORD.len() {
            assert_eq!(Record::parse(&RECORD[..end]), Err(Error::Truncated), "cut at {end}");
        }
    }

    #[test]
    fn a_record_need_not_hold_parameter_sets_but_must_not_be_huge() {
        assert_eq!(Record::parse(&[1, 0x4d, 0x40, 0x1f, 0xff, 0xe0, 0]), Ok(Record { length_size: LengthSize::Four }));
        let huge = vec![1; RECORD_LIMIT + 1];
        assert_eq!(Record::parse(&huge), Err(Error::Oversized(RECORD_LIMIT + 1)));
    }

    #[test]
    fn an_idr_is_found_behind_other_units() {
        let unit = [0, 0, 0, 2, 0x09, 0xf0, 0, 0, 0, 3, 0x65, 1, 2];
        assert_eq!(holds_idr(&unit, LengthSize::Four), Ok(true));
        assert_eq!(holds_idr(&unit[..6], LengthSize::Four), Ok(false));
    }

    #[test]
    fn shrinking_and_growing_lengths_are_refused() {
        assert_eq!(
            holds_idr(&[0xff, 0xff, 0xff, 0xff, 0x65], LengthSize::Four),
            Err(Error::UnitLength { length: 0xffff_ffff, left: 1 })
        );
        assert_eq!(
            holds_idr(&[0, 1, 0x65, 0], LengthSize::Two),
            Err(Error::UnitLength { length: 0, left: 1 }),
            "a byte that is no length"
        );
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Record::parse(&bytes);
            for size in [LengthSize::One, LengthSize::Two, LengthSize::Four] {
                let _ = holds_idr(&bytes, size);
            }
        }
    }
}
