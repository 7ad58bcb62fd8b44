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
    #[error("an AVC decoder configuration of {0} bytes, which is more than any encoder makes")]
    Oversized(usize),
    #[error("an AVC decoder configuration that ends in the middle of a parameter set")]
    Truncated,
    #[error("version {0} of the AVC decoder configuration, not 1")]
    Version(u8),
    #[error("NAL unit lengths of three bytes")]
    LengthSize,
    #[error("an AVC decoder configuration without {0}")]
    Missing(&'static str),
    #[error("a NAL unit of {length} bytes where {left} are left")]
    UnitLength { length: usize, left: usize },
}

impl Record {
    /// Checks a record (ISO/IEC 14496-15 §5.3.3.1): that a decoder finds parameter sets in it, and nothing past its end.
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
        let length_size = match length_size & 0b11 {
            0 => LengthSize::One,
            1 => LengthSize::Two,
            3 => LengthSize::Four,
            _ => return Err(Error::LengthSize),
        };
        let (sequence_sets, rest) = parameter_sets(rest, 0b0001_1111)?;
        let (picture_sets, _extensions) = parameter_sets(rest, 0b1111_1111)?;
        match (sequence_sets, picture_sets) {
            (0, _) => Err(Error::Missing("a sequence parameter set")),
            (_, 0) => Err(Error::Missing("a picture parameter set")),
            _ => Ok(Record { length_size }),
        }
    }
}

/// Walks over a counted list of parameter sets: how many there are and what follows them.
fn parameter_sets(list: &[u8], count_mask: u8) -> Result<(usize, &[u8]), Error> {
    let (count, mut rest) = list.split_first().ok_or(Error::Truncated)?;
    let count = usize::from(count & count_mask);
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk().ok_or(Error::Truncated)?;
        rest = after.get(usize::from(u16::from_be_bytes(*length))..).ok_or(Error::Truncated)?;
    }
    Ok((count, rest))
}

/// Whether an access unit of length-prefixed NAL units holds an IDR slice. Its lengths are checked on the way, so that
/// what is passed on ends where it says.
pub(crate) fn holds_idr(mut unit: &[u8], length_size: LengthSize) -> Result<bool, Error> {
    let mut idr = false;
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
        idr |= rest[..length].first().is_some_and(|header| header & NAL_TYPE == NAL_IDR);
        unit = &rest[length..];
    }
    Ok(idr)
}

/// The low five bits of a NAL unit's header (ITU-T H.264 §7.3.1).
const NAL_TYPE: u8 = 0b0001_1111;
/// A coded slice of an IDR picture (ITU-T H.264 table 7-1).
const NAL_IDR: u8 = 5;

/// Parameter sets take some dozens of bytes; a record of more than this is somebody trying something.
const RECORD_LIMIT: usize = 16 * 1024;

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
    fn a_record_without_parameter_sets_is_refused() {
        assert_eq!(
            Record::parse(&[1, 0x4d, 0x40, 0x1f, 0xff, 0xe0, 0]),
            Err(Error::Missing("a sequence parameter set"))
        );
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
