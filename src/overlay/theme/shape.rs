//! The shapes of a canvas that a theme tells apart.

use serde::Deserialize;

use crate::media::Resolution;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Shape {
    #[serde(rename = "16:9")]
    Landscape,
    #[serde(rename = "9:16")]
    Portrait,
    #[serde(rename = "1:1")]
    Square,
}

impl Shape {
    pub const ALL: [Shape; 3] = [Shape::Landscape, Shape::Portrait, Shape::Square];

    /// The one nearest to a canvas's own: from 4:3 on it is landscape, from 3:4 on portrait.
    pub fn of(canvas: Resolution) -> Shape {
        let (width, height) = (u64::from(canvas.width), u64::from(canvas.height));
        if width * 3 >= height * 4 {
            Shape::Landscape
        } else if height * 3 >= width * 4 {
            Shape::Portrait
        } else {
            Shape::Square
        }
    }

    /// As a manifest calls it.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Landscape => "16:9",
            Shape::Portrait => "9:16",
            Shape::Square => "1:1",
        }
    }

    /// A canvas of this shape that themes are tried on.
    pub(super) fn trial(self) -> Resolution {
        match self {
            Shape::Landscape => Resolution::new(1280, 720),
            Shape::Portrait => Resolution::new(720, 1280),
            Shape::Square => Resolution::new(720, 720),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_shape_is_taken() {
        let of = |width, height| Shape::of(Resolution::new(width, height)).name();
        assert_eq!([of(1920, 1080), of(1280, 960), of(3840, 1600)], ["16:9"; 3]);
        assert_eq!([of(1080, 1920), of(720, 960), of(128, 3840)], ["9:16"; 3]);
        assert_eq!([of(720, 720), of(800, 720), of(720, 800)], ["1:1"; 3]);
    }
}
