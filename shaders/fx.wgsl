// The arithmetic of blending, in whole numbers: the twin of src/overlay/compose/fx.rs, function by function. A test runs each
// on both sides over the same inputs and wants the same bits. A layer's sample is s = alpha · component, 0..=65025; alpha,
// opacity and the picture's samples are 0..=255.

// The most that a shimmer lights a layer up.
const BRIGHTEST: u32 = 110u;

// x / 255 to the nearest, for x up to 2²⁴.
fn fx_div255(x: u32) -> u32 {
    let half = x + 128u;
    return (half + (half >> 8u)) >> 8u;
}

// A layer's sample, or its alpha, at an opacity.
fn fx_fade(sample: u32, opacity: u32) -> u32 {
    return (sample * opacity + 127u) / 255u;
}

// A layer's sample s with alpha a over a picture's sample.
fn fx_over(d: u32, s: u32, a: u32) -> u32 {
    return fx_div255(s + d * (255u - a));
}

// How much light falls on a pixel, 0..=BRIGHTEST, from a slanted bar whose middle crosses the top edge at phase: none at reach
// pixels and beyond.
fn fx_shimmer(x: i32, y: i32, phase: i32, reach: i32) -> u32 {
    let away = abs(x + y / 2 - phase);
    if away >= reach {
        return 0u;
    }
    let near = u32(reach - away);
    return BRIGHTEST * near * near / u32(reach * reach);
}

// A sample with light on it: white is what white is in its plane.
fn fx_lit(s: u32, a: u32, white: u32, light: u32) -> u32 {
    return (s * (255u - light) + a * white * light + 127u) / 255u;
}

// Whether a sample of a ring is shown when so much of the turn, of 256, is left.
fn fx_ring(angle: u32, left: u32) -> bool {
    return angle < left;
}
