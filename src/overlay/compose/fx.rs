//! The arithmetic of blending, in whole numbers. `shaders/fx.wgsl` has the same functions by the same names, so that every
//! compositor makes the same bits.

/// `x / 255` to the nearest, for x up to 2²⁴.
pub fn fx_div255(x: u32) -> u32 {
    let x = x + 128;
    (x + (x >> 8)) >> 8
}

/// A layer's sample, or its alpha, at an opacity of 0..=255.
pub fn fx_fade(sample: u32, opacity: u32) -> u32 {
    // A sample goes to 65025; in thirds of the range the product stays exact in 32 bits.
    (sample * opacity + 127) / 255
}

/// A layer's sample `s` with alpha `a` over a picture's sample.
pub fn fx_over(d: u32, s: u32, a: u32) -> u32 {
    fx_div255(s + d * (255 - a))
}

/// How much light falls on a pixel, 0..=[`BRIGHTEST`], from a slanted bar whose middle crosses the top edge at `phase`: none at
/// `reach` pixels and beyond.
pub fn fx_shimmer(x: i32, y: i32, phase: i32, reach: i32) -> u32 {
    let away = (x + y / 2 - phase).abs();
    if away >= reach {
        return 0;
    }
    let near = (reach - away) as u32;
    BRIGHTEST * near * near / (reach * reach) as u32
}

/// A sample with light on it: `white` is what white is in its plane.
pub fn fx_lit(s: u32, a: u32, white: u32, light: u32) -> u32 {
    (s * (255 - light) + a * white * light + 127) / 255
}

/// Whether a sample of a ring is shown when so much of the turn, of 256, is left.
pub fn fx_ring(angle: u32, left: u32) -> bool {
    angle < left
}

/// The most that a shimmer lights a layer up.
pub const BRIGHTEST: u32 = 110;
