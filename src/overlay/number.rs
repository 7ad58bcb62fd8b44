//! Numbers of a manifest, read with their bounds: one out of them is refused where it stands.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// Reads a whole number of a range.
pub(super) fn whole<'de, D: Deserializer<'de>>(from: D, range: RangeInclusive<i32>) -> Result<i32, D::Error> {
    from.deserialize_i64(Whole(range))
}

/// Reads a number of a range.
pub(super) fn real<'de, D: Deserializer<'de>>(from: D, range: RangeInclusive<f32>) -> Result<f32, D::Error> {
    from.deserialize_f64(Real(range))
}

/// Reads a duration in milliseconds.
pub(super) fn milliseconds<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    whole(from, 0..=MOST_MS).map(i32::unsigned_abs)
}

// The bounds are checked in the visitors, where the parser still stands at the number and names its line.

struct Whole(RangeInclusive<i32>);

impl Visitor<'_> for Whole {
    type Value = i32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.0.start(), self.0.end())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i32, E> {
        let fits = i32::try_from(number).ok().filter(|number| self.0.contains(number));
        fits.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i32, E> {
        let fits = i32::try_from(number).ok().filter(|number| self.0.contains(number));
        fits.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}

struct Real(RangeInclusive<f32>);

impl Visitor<'_> for Real {
    type Value = f32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number from {} to {}", self.0.start(), self.0.end())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<f32, E> {
        let fits = Some(number as f32).filter(|number| self.0.contains(number));
        fits.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f32, E> {
        self.visit_f64(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<f32, E> {
        self.visit_f64(number as f64)
    }
}

/// The longest time that a manifest can name.
pub(super) const MOST_MS: i32 = 10_000;
