//! The frame number in the picture: a row of black and white squares that survives any codec and any honest scaling.

use super::eye::Area;

/// Where the strip lies in a picture of a given size. Squares are a fortieth of the width (32 px at 1280), the row is
/// centred and lies a little above the middle, clear of the places where cards and countdowns are put.
///
/// White, black, sixteen bits of the number (most significant first), four bits of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    pub left: usize,
    pub top: usize,
    /// Side of a square in pixels; even, so that chroma follows.
    pub side: usize,
}

/// Squares in a strip.
pub const CELLS: usize = 2 + 16 + 4;

impl Strip {
    pub fn of(width: usize, height: usize) -> Strip {
        let side = (width / 40) & !1;
        Strip { left: ((width - CELLS * side) / 2) & !1, top: (height * 2 / 5) & !1, side }
    }

    /// Whether a pixel belongs to the strip.
    pub fn covers(&self, x: usize, y: usize) -> bool {
        (self.left..self.left + CELLS * self.side).contains(&x) && (self.top..self.top + self.side).contains(&y)
    }

    /// Paints `number` into a luma plane.
    pub fn draw(&self, luma: &mut [u8], stride: usize, number: u16) {
        for (cell, white) in cells(number).into_iter().enumerate() {
            for row in self.top..self.top + self.side {
                let start = row * stride + self.left + cell * self.side;
                luma[start..start + self.side].fill(if white { WHITE } else { BLACK });
            }
        }
    }

    /// The number where the picture that the strip was drawn into, of size `from`, now fills a part of a larger one.
    pub fn read_in(&self, luma: &[u8], stride: usize, part: Area, from: (usize, usize)) -> Option<u16> {
        let mut levels = [0u8; CELLS];
        for (cell, level) in levels.iter_mut().enumerate() {
            let (mut sum, mut count) = (0u32, 0u32);
            // Five by five points around the middle of a square.
            for point in 0..25 {
                let x = (self.left + cell * self.side) * 10 + self.side * (3 + point % 5);
                let y = self.top * 10 + self.side * (3 + point / 5);
                let (x, y) = (part.x + x * part.width / from.0 / 10, part.y + y * part.height / from.1 / 10);
                sum += u32::from(*luma.get(y * stride + x)?);
                count += 1;
            }
            *level = (sum / count) as u8;
        }
        number(&levels)
    }

    /// The number in a luma plane; none when there is no strip.
    pub fn read(&self, luma: &[u8], stride: usize) -> Option<u16> {
        let mut levels = [0u8; CELLS];
        let margin = self.side / 4;
        for (cell, level) in levels.iter_mut().enumerate() {
            let (mut sum, mut count) = (0u32, 0u32);
            for row in self.top + margin..self.top + self.side - margin {
                let start = row * stride + self.left + cell * self.side;
                for &pixel in luma.get(start + margin..start + self.side - margin)? {
                    sum += u32::from(pixel);
                    count += 1;
                }
            }
            *level = (sum / count.max(1)) as u8;
        }
        number(&levels)
    }
}

/// The number that squares of these mean levels spell.
pub fn number(levels: &[u8; CELLS]) -> Option<u16> {
    let (white, black) = (i32::from(levels[0]), i32::from(levels[1]));
    if white - black < LEAST_CONTRAST {
        return None;
    }
    let middle = (white + black) / 2;
    let mut bits = levels.iter().map(|&level| i32::from(level) > middle);
    let spelled = bits.clone().skip(2).take(16).fold(0u16, |number, bit| number << 1 | u16::from(bit));
    bits.by_ref().eq(cells(spelled)).then_some(spelled)
}

fn cells(number: u16) -> [bool; CELLS] {
    let check = (number ^ number >> 4 ^ number >> 8 ^ number >> 12) & 15 ^ 0b1010;
    let mut cells = [false; CELLS];
    cells[0] = true;
    for bit in 0..16 {
        cells[2 + bit] = number >> (15 - bit) & 1 == 1;
    }
    for bit in 0..4 {
        cells[18 + bit] = check >> (3 - bit) & 1 == 1;
    }
    cells
}

const WHITE: u8 = 235;
const BLACK: u8 = 16;
const LEAST_CONTRAST: i32 = 60;

#[test]
fn a_strip_reads_back_and_plain_pictures_hold_none() {
    for (width, height) in [(1280, 720), (1920, 1080), (640, 360)] {
        let strip = Strip::of(width, height);
        let mut luma = vec![128u8; width * height];
        assert_eq!(strip.read(&luma, width), None);
        for number in [0, 1, 0x5555, 0xAAAA, 899, u16::MAX] {
            strip.draw(&mut luma, width, number);
            assert_eq!(strip.read(&luma, width), Some(number));
        }
    }
}
