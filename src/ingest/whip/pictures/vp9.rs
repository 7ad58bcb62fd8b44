//! VP9 in RTP (RFC 9628): a descriptor before each packet's part of a layer's frame. Of several spatial layers the base is
//! taken, which stands by itself.

use super::{Malformed, Open};

pub(super) fn begins(payload: &[u8]) -> bool {
    Descriptor::read(payload).is_some_and(|descriptor| descriptor.begins && descriptor.spatial_layer == 0)
}

pub(super) fn append(payload: &[u8], open: &mut Open) -> Result<(), Malformed> {
    let descriptor = Descriptor::read(payload).filter(|descriptor| !descriptor.part.is_empty()).ok_or(Malformed)?;
    if descriptor.spatial_layer > 0 {
        return Ok(());
    }
    if open.data.is_empty() {
        if !descriptor.begins {
            return Err(Malformed);
        }
        open.key = !descriptor.predicted;
    }
    open.data.extend_from_slice(descriptor.part);
    Ok(())
}

/// A payload descriptor (RFC 9628 §4.2) and what follows it.
struct Descriptor<'a> {
    begins: bool,
    /// From pictures before it.
    predicted: bool,
    spatial_layer: u8,
    part: &'a [u8],
}

impl<'a> Descriptor<'a> {
    fn read(payload: &'a [u8]) -> Option<Descriptor<'a>> {
        let (&first, mut rest) = payload.split_first()?;
        let has = |bit: u8| first & bit != 0;
        if has(PICTURE_ID) {
            let long = rest.first()? & LONG != 0;
            rest = rest.get(if long { 2 } else { 1 }..)?;
        }
        let mut spatial_layer = 0;
        if has(LAYERS) {
            spatial_layer = rest.first()? >> 1 & 7;
            rest = rest.get(if has(FLEXIBLE) { 1 } else { 2 }..)?;
        }
        if has(PREDICTED) && has(FLEXIBLE) {
            let mut references = 1;
            while rest.first()? & 1 != 0 {
                rest = &rest[1..];
                references += 1;
            }
            rest = &rest[1..];
            if references > MOST_REFERENCES {
                return None;
            }
        }
        if has(STRUCTURE) {
            rest = after_structure(rest)?;
        }
        Some(Descriptor { begins: has(BEGINS), predicted: has(PREDICTED), spatial_layer, part: rest })
    }
}

/// What follows the scalability structure (RFC 9628 §4.2.1).
fn after_structure(structure: &[u8]) -> Option<&[u8]> {
    let (&first, mut rest) = structure.split_first()?;
    if first & STRUCTURE_SIZES != 0 {
        let layers = usize::from(first >> 5) + 1;
        rest = rest.get(4 * layers..)?;
    }
    if first & STRUCTURE_GROUP != 0 {
        let (&pictures, after) = rest.split_first()?;
        rest = after;
        for _ in 0..pictures {
            let references = usize::from(rest.first()? >> 2 & 3);
            rest = rest.get(1 + references..)?;
        }
    }
    Some(rest)
}

const PICTURE_ID: u8 = 0x80;
const PREDICTED: u8 = 0x40;
const LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const BEGINS: u8 = 0x08;
const STRUCTURE: u8 = 0x02;
const LONG: u8 = 0x80;
const STRUCTURE_SIZES: u8 = 0x10;
const STRUCTURE_GROUP: u8 = 0x08;
const MOST_REFERENCES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_every_shape_are_read() {
        for (descriptor, begins, predicted, layer) in [
            (&[0x08][..], true, false, 0),
            (&[0x88, 0x7f], true, false, 0),
            (&[0x80 | 0x40, 0x81, 0x02], false, true, 0),
            // Layers, not flexible: a TL0PICIDX follows.
            (&[0x28, 0x02, 0x09], true, false, 1),
            // Layers, flexible, two references.
            (&[0x20 | 0x10 | 0x40, 0x04, 0x03, 0x02], false, true, 2),
            // A structure of two layers with sizes, and a group of two pictures.
            (&[0x0a, 0x38, 0, 1, 0, 2, 0, 3, 0, 4, 2, 0x04, 0x01, 0x08, 0x01, 0x02], true, false, 0),
        ] {
            let whole = [descriptor, &[42]].concat();
            let read = Descriptor::read(&whole).unwrap();
            assert_eq!(
                (read.begins, read.predicted, read.spatial_layer, read.part),
                (begins, predicted, layer, &[42][..])
            );
            for cut in 0..descriptor.len() {
                assert!(Descriptor::read(&descriptor[..cut]).is_none_or(|read| read.part.is_empty()));
            }
        }
        assert!(Descriptor::read(&[0x50, 1, 1, 1, 1]).is_none(), "references without end");
    }
}
