//! How alike two pictures are.

use std::fmt;

use hawker::overlay::Still;
use image::RgbImage;

/// A picture with every part rounded to the middle of a step: what is stored.
pub fn coarse(still: &Still) -> Still {
    let rgb = still.rgb().iter().map(|part| part / STEP * STEP + STEP / 2).collect();
    let size = still.resolution();
    Still::from(RgbImage::from_raw(size.width, size.height, rgb).expect("as many bytes as before"))
}

/// The differences of a picture from a stored one, beyond what storing it rounded.
#[derive(Debug, PartialEq)]
pub enum Likeness {
    OtherSize,
    Compared {
        /// Over all parts of all pixels, in steps of 255.
        mean: f64,
        /// How many pixels of a thousand have a part that is more than [`FAR`] off.
        far: f64,
    },
}

impl Likeness {
    pub fn of(actual: &Still, expected: &Still) -> Likeness {
        if actual.resolution() != expected.resolution() {
            return Likeness::OtherSize;
        }
        let (mut sum, mut far) = (0u64, 0u64);
        let (actual, expected) = (actual.rgb().as_chunks::<3>().0, expected.rgb().as_chunks::<3>().0);
        for (a, b) in actual.iter().zip(expected) {
            let off = [0, 1, 2].map(|part| a[part].abs_diff(b[part]).saturating_sub(STEP / 2));
            sum += off.iter().copied().map(u64::from).sum::<u64>();
            far += u64::from(off.iter().any(|off| *off > FAR));
        }
        let pixels = actual.len().max(1) as f64;
        Likeness::Compared { mean: sum as f64 / 3.0 / pixels, far: far as f64 / pixels * 1000.0 }
    }

    pub fn holds(&self) -> bool {
        matches!(self, Likeness::Compared { mean, far } if *mean <= MOST_MEAN && *far <= MOST_FAR)
    }
}

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Likeness::OtherSize => write!(f, "it has another size"),
            Likeness::Compared { mean, far } => write!(
                f,
                "off by {mean:.2} in the mean ({MOST_MEAN} is let pass), {far:.2} ‰ of the pixels by over {FAR} ({MOST_FAR})"
            ),
        }
    }
}

/// Grey values that are stored as one.
const STEP: u8 = 8;
/// What an edge that is rounded in another way stays below.
const FAR: u8 = 40;
const MOST_MEAN: f64 = 0.3;
/// A digit of a card is about one in a thousand.
const MOST_FAR: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn grey(shade: u8) -> RgbImage {
        RgbImage::from_pixel(100, 100, Rgb([shade; 3]))
    }

    #[test]
    fn rounding_passes_and_a_changed_glyph_does_not() {
        let expected = coarse(&Still::from(grey(100)));
        assert!(Likeness::of(&expected, &expected).holds());
        let rounded = RgbImage::from_fn(100, 100, |x, _| Rgb([100 + (x % 3 == 0) as u8; 3]));
        assert!(Likeness::of(&Still::from(rounded), &expected).holds());
        let mut glyph = grey(100);
        (0..6).for_each(|y| glyph.put_pixel(50, 40 + y, Rgb([220; 3])));
        assert!(!Likeness::of(&Still::from(glyph), &expected).holds());
        assert!(!Likeness::of(&Still::from(grey(108)), &expected).holds(), "all of it a little off");
        assert!(!Likeness::of(&Still::from(RgbImage::new(50, 100)), &expected).holds());
    }
}
