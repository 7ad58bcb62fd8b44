//! The compositor on the CPU: blends in the picture's own Y'CbCr, only the samples that a layer covers.

use super::fx::{fx_fade, fx_lit, fx_over, fx_ring, fx_shimmer};
use super::{Draw, DrawList, Extent, Fx, Sampling};
use crate::media::PictureMut;
use crate::media::frame::{Colour, Range};
use crate::overlay::raster::Plane;

/// Frosts and blends a scene's layers into a picture of the scene's size. A picture of another size is left as it is: a scene
/// holds pixels, not shapes.
pub fn draw(list: &DrawList<'_>, picture: &mut PictureMut, scratch: &mut Scratch) {
    if picture.resolution() != list.size() {
        return;
    }
    for glass in list.glasses() {
        glass.frost(picture, &mut scratch.glass);
    }
    let kernel = Kernel::best();
    for draw in list.draws() {
        blend(kernel, draw, picture, &mut scratch.row);
    }
}

/// What a compositor reuses from frame to frame.
#[derive(Debug, Default)]
pub struct Scratch {
    glass: super::glass::Scratch,
    row: Row,
}

/// A row of a layer's samples as they are to be blended.
#[derive(Debug, Default)]
struct Row {
    s: Vec<u16>,
    a: Vec<u8>,
}

fn blend(kernel: Kernel, draw: &Draw<'_>, picture: &mut PictureMut, row: &mut Row) {
    if draw.opacity == 0 {
        return;
    }
    let (resolution, colour) = (picture.resolution(), picture.colour());
    for (index, (samples, stride)) in picture.planes_mut().into_iter().enumerate() {
        let Some(plane) = draw.plane(index) else { continue };
        let mut target = Target { kernel, draw, plane, index, extent: draw.extent(index, resolution), samples, stride };
        if target.extent.is_empty() {
            continue;
        }
        match draw.sampling(index) {
            Some(sampling) => target.scaled(sampling, white(colour, index), row),
            None if draw.opacity == 255 && draw.fx == Fx::None => target.plain(),
            None => target.changed(white(colour, index), row),
        }
    }
}

/// What white is in a plane.
pub(super) fn white(colour: Colour, index: usize) -> u32 {
    match (index, colour.range) {
        (0, Range::Limited) => 235,
        (0, Range::Full) => 255,
        _ => 128,
    }
}

/// One plane of the picture under one draw.
struct Target<'a, 's> {
    kernel: Kernel,
    draw: &'a Draw<'s>,
    plane: &'a Plane,
    index: usize,
    extent: Extent,
    samples: &'a mut [u8],
    stride: usize,
}

impl Target<'_, '_> {
    /// As it was painted: straight from the cache.
    fn plain(&mut self) {
        self.each_run(|kernel, d, s, a, _| kernel.blend(d, s, a));
    }

    /// Faded, cut by an angle or lit: the row's samples are changed on their way.
    fn changed(&mut self, white: u32, row: &mut Row) {
        let (draw, plane, index) = (*self.draw, self.plane, self.index);
        self.each_run(|kernel, d, s, a, at| {
            row.s.clear();
            row.a.clear();
            for (i, (&s, &a)) in s.iter().zip(a).enumerate() {
                let (s, a) = effect(&draw, plane, index, at.0 + i, at.1, u32::from(s), u32::from(a), white);
                row.s.push(s as u16);
                row.a.push(a as u8);
            }
            kernel.blend(d, &row.s, &row.a);
        });
    }

    /// Calls with the picture's samples, the layer's, and where in the layer's plane they begin.
    fn each_run(&mut self, mut call: impl FnMut(Kernel, &mut [u8], &[u16], &[u8], (usize, usize))) {
        let (shift_x, shift_y) = self.draw.shift(self.index);
        let (left, top) = (self.plane.x + shift_x, self.plane.y + shift_y);
        for run in &self.plane.runs {
            let y = top + run.y as i32;
            let (from, to) = (left + run.x as i32, left + (run.x + run.len) as i32);
            let (from, to) = (from.max(self.extent.x), to.min(self.extent.right));
            if y < self.extent.y || y >= self.extent.bottom || from >= to {
                continue;
            }
            let column = (from - left) as usize;
            let len = (to - from) as usize;
            let source = run.y as usize * self.plane.w as usize + column;
            let at = y as usize * self.stride + from as usize;
            let (s, a) = (&self.plane.s[source..source + len], &self.plane.a[source..source + len]);
            call(self.kernel, &mut self.samples[at..at + len], s, a, (column, run.y as usize));
        }
    }

    /// Between its samples, by their four neighbours.
    fn scaled(&mut self, sampling: Sampling, white: u32, row: &mut Row) {
        for y in self.extent.y..self.extent.bottom {
            row.s.clear();
            row.a.clear();
            let v = sampling.v(y);
            for x in self.extent.x..self.extent.right {
                let u = sampling.u(x);
                let (s, a) = self.plane.between(u, v);
                let (column, line) = ((u >> 16).max(0) as usize, (v >> 16).max(0) as usize);
                let (s, a) = effect(self.draw, self.plane, self.index, column, line, s, a, white);
                row.s.push(s as u16);
                row.a.push(a as u8);
            }
            let at = y as usize * self.stride + self.extent.x as usize;
            self.kernel.blend(&mut self.samples[at..at + row.s.len()], &row.s, &row.a);
        }
    }
}

impl Plane {
    /// Sample and alpha at a place in 1/65536 samples from the plane's corner; transparent beyond its edges.
    fn between(&self, u: i32, v: i32) -> (u32, u32) {
        let (x, y) = (u >> 16, v >> 16);
        let (fx, fy) = ((u >> 8 & 255) as u32, (v >> 8 & 255) as u32);
        let mut sum = (0u32, 0u32);
        for (dx, dy, weight) in
            [(0, 0, (256 - fx) * (256 - fy)), (1, 0, fx * (256 - fy)), (0, 1, (256 - fx) * fy), (1, 1, fx * fy)]
        {
            let (x, y) = (x + dx, y + dy);
            if (0..self.w as i32).contains(&x) && (0..self.h as i32).contains(&y) {
                let at = y as usize * self.w as usize + x as usize;
                sum.0 += u32::from(self.s[at]) * weight;
                sum.1 += u32::from(self.a[at]) * weight;
            }
        }
        ((sum.0 + (1 << 15)) >> 16, (sum.1 + (1 << 15)) >> 16)
    }
}

/// What a draw makes of one of its samples, which lies at a place in its plane.
#[expect(clippy::too_many_arguments, reason = "the shader's function has the same")]
fn effect(
    draw: &Draw<'_>,
    plane: &Plane,
    index: usize,
    column: usize,
    line: usize,
    s: u32,
    a: u32,
    white: u32,
) -> (u32, u32) {
    let (s, a) = match draw.fx {
        Fx::None => (s, a),
        Fx::Ring { left } => {
            let at = line.min(plane.h as usize - 1) * plane.w as usize + column.min(plane.w as usize - 1);
            let angle = plane.angles.get(at).copied().unwrap_or(0);
            if fx_ring(u32::from(angle), left) { (s, a) } else { (0, 0) }
        }
        Fx::Shimmer { phase, reach } => {
            let (x, y) = (plane.x + column as i32, plane.y + line as i32);
            let (x, y) = if index == 0 { (x, y) } else { (2 * x, 2 * y) };
            (fx_lit(s, a, white, fx_shimmer(x, y, phase, reach)), a)
        }
    };
    let opacity = u32::from(draw.opacity);
    let (s, a) = if opacity == 255 { (s, a) } else { (fx_fade(s, opacity), fx_fade(a, opacity)) };
    // Alpha may have been rounded down where the sample was not: more than white does not fit the blend's 16 bits.
    (s.min(255 * a), a)
}

/// Which instructions blend; the result is the same to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Kernel {
    /// The fastest that this machine has (a cached look at CPUID).
    fn best() -> Kernel {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Kernel::Avx2;
        }
        Kernel::Plain
    }

    fn blend(self, d: &mut [u8], s: &[u16], a: &[u8]) {
        match self {
            Kernel::Plain => plain(d, s, a),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `best` alone makes this variant, where AVX2 was found.
            Kernel::Avx2 => unsafe { avx2(d, s, a) },
        }
    }
}

/// `d' = s/255 + d(255−a)/255`, both divisions rounded as one.
fn plain(d: &mut [u8], s: &[u16], a: &[u8]) {
    for ((d, &s), &a) in d.iter_mut().zip(s).zip(a) {
        *d = fx_over(u32::from(*d), u32::from(s), u32::from(a)) as u8;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(d: &mut [u8], s: &[u16], a: &[u8]) {
    use std::arch::x86_64::*;
    let full = _mm256_set1_epi16(255);
    let half = _mm256_set1_epi16(128);
    let blend = |d: __m128i, s: __m256i, a: __m128i| {
        let (d, a) = (_mm256_cvtepu8_epi16(d), _mm256_cvtepu8_epi16(a));
        let x = _mm256_add_epi16(_mm256_mullo_epi16(d, _mm256_sub_epi16(full, a)), _mm256_add_epi16(s, half));
        _mm256_srli_epi16::<8>(_mm256_add_epi16(x, _mm256_srli_epi16::<8>(x)))
    };
    let (d, d_rest) = d.as_chunks_mut::<32>();
    let (s, s_rest) = s.as_chunks::<32>();
    let (a, a_rest) = a.as_chunks::<32>();
    for ((d, s), a) in d.iter_mut().zip(s).zip(a) {
        // SAFETY: 32 bytes of d and a and 32 words of s are read, and 32 bytes of d written; unaligned forms throughout.
        unsafe {
            let (to, d) = (d.as_mut_ptr().cast::<__m256i>(), d.as_ptr().cast::<__m128i>());
            let (s, a) = (s.as_ptr().cast::<__m256i>(), a.as_ptr().cast::<__m128i>());
            let low = blend(_mm_loadu_si128(d), _mm256_loadu_si256(s), _mm_loadu_si128(a));
            let high = blend(_mm_loadu_si128(d.add(1)), _mm256_loadu_si256(s.add(1)), _mm_loadu_si128(a.add(1)));
            // The pack works within each half: put the four quarters back in order.
            let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(low, high));
            _mm256_storeu_si256(to, packed);
        }
    }
    plain(d_rest, s_rest, a_rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::{Matrix, Range};
    use crate::media::{Colour, Pool, Resolution};
    use crate::overlay::raster::{Moves, Painting, Raster, Rect};

    const SIZE: Resolution = Resolution::new(150, 46);
    const COLOURS: [Colour; 4] = [
        Colour::BT709,
        Colour::BT601,
        Colour { matrix: Matrix::Bt709, range: Range::Full },
        Colour { matrix: Matrix::Bt601, range: Range::Full },
    ];

    /// Noise that is the same at every run (xorshift).
    struct Noise(u32);

    impl Noise {
        fn byte(&mut self) -> u8 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            (self.0 >> 11) as u8
        }
    }

    /// Every alpha and every colour, with a transparent island and, when `framed`, a transparent border of odd width.
    fn painting(seed: u32, framed: bool) -> Painting {
        let mut noise = Noise(seed);
        let mut rgba = vec![];
        for y in 0..SIZE.height {
            for x in 0..SIZE.width {
                let island = (40..90).contains(&x) && (9..20).contains(&y);
                let inside = (7..SIZE.width - 9).contains(&x) && (5..SIZE.height - 3).contains(&y);
                let pixel = [noise.byte(), noise.byte(), noise.byte(), noise.byte()];
                rgba.extend(if island || (framed && !inside) { [0; 4] } else { pixel });
            }
        }
        Painting { canvas: Rect::of(SIZE), area: Rect::of(SIZE), rgba }
    }

    fn blend_raster(raster: &Raster, picture: &mut PictureMut) {
        blend(Kernel::best(), &Draw::still(raster), picture, &mut Row::default());
    }

    fn picture(pool: &Pool, colour: Colour, seed: u32) -> PictureMut {
        let mut noise = Noise(seed);
        let mut picture = pool.take(colour);
        for (samples, _) in picture.planes_mut() {
            samples.iter_mut().for_each(|sample| *sample = noise.byte());
        }
        picture
    }

    /// What blending means, in real numbers: one plane's samples, row by row.
    fn reference(painting: &Painting, colour: Colour, under: &[Vec<f64>; 3]) -> [Vec<f64>; 3] {
        let (kr, kb) = if colour.matrix == Matrix::Bt601 { (0.299, 0.114) } else { (0.2126, 0.0722) };
        let (scale_y, scale_c, black) =
            if colour.range == Range::Limited { (219.0, 224.0, 16.0) } else { (255.0, 255.0, 0.0) };
        let (width, height) = (SIZE.width as usize, SIZE.height as usize);
        // Premultiplied Y, Cb − 128, Cr − 128 and alpha, of 0..1.
        let at = |x: usize, y: usize| -> [f64; 4] {
            let p = &painting.rgba[(y * width + x) * 4..][..4];
            let [r, g, b, a] = [p[0], p[1], p[2], p[3]].map(|v| f64::from(v) / 255.0);
            let y = kr * r + (1.0 - kr - kb) * g + kb * b;
            let (cb, cr) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
            [a * (black + scale_y * y), a * scale_c * cb, a * scale_c * cr, a]
        };
        let mut out = under.clone();
        for y in 0..height {
            for x in 0..width {
                let [luma, _, _, a] = at(x, y);
                out[0][y * width + x] = luma + under[0][y * width + x] * (1.0 - a);
            }
        }
        for y in 0..height / 2 {
            for x in 0..width / 2 {
                let mut sum = [0.0; 4];
                for (tap, weight) in [((2 * x).saturating_sub(1), 1.0), (2 * x, 2.0), (2 * x + 1, 1.0)] {
                    for row in [2 * y, 2 * y + 1] {
                        let sample = at(tap, row);
                        (0..4).for_each(|c| sum[c] += weight * sample[c] / 8.0);
                    }
                }
                let [_, cb, cr, a] = sum;
                for (plane, c) in [(1, cb), (2, cr)] {
                    let i = y * (width / 2) + x;
                    out[plane][i] = 128.0 * a + c + under[plane][i] * (1.0 - a);
                }
            }
        }
        out
    }

    fn samples(picture: &mut PictureMut) -> [Vec<f64>; 3] {
        let widths = [SIZE.width, SIZE.width / 2, SIZE.width / 2].map(|w| w as usize);
        let planes = picture.planes_mut();
        let mut widths = widths.into_iter();
        planes.map(|(samples, stride)| {
            let width = widths.next().unwrap();
            samples.chunks(stride).flat_map(|row| &row[..width]).map(|v| f64::from(*v)).collect()
        })
    }

    #[test]
    fn blending_is_within_one_step_of_the_real_numbers() {
        let pool = Pool::new(SIZE);
        for (seed, colour) in (1..).zip(COLOURS) {
            for framed in [false, true] {
                let painting = painting(seed, framed);
                let raster = Raster::of(&painting, colour, painting.ink(), &[], Moves::EVEN);
                let mut picture = picture(&pool, colour, seed + 100);
                let want = reference(&painting, colour, &samples(&mut picture));
                blend_raster(&raster, &mut picture);
                for (plane, (got, want)) in samples(&mut picture).iter().zip(&want).enumerate() {
                    // The reference may leave what 8 bits can hold (full range, saturated colours).
                    let errors = got.iter().zip(want).map(|(got, want)| (got - want.clamp(0.0, 255.0)).abs());
                    let (worst, squares) = errors.fold((0.0f64, 0.0), |(w, s), e| (w.max(e), s + e * e));
                    let psnr = 10.0 * (255.0 * 255.0 / (squares / got.len() as f64)).log10();
                    assert!(worst <= 1.0, "{colour:?} plane {plane}: off by {worst}");
                    assert!(psnr >= 58.0, "{colour:?} plane {plane}: {psnr} dB");
                }
            }
        }
    }

    #[test]
    fn every_kernel_gives_the_same_bits() {
        let mut noise = Noise(7);
        for len in (0..70).chain([1000]) {
            let d: Vec<u8> = (0..len).map(|_| noise.byte()).collect();
            let a: Vec<u8> = (0..len).map(|n| if n % 5 == 0 { 255 } else { noise.byte() }).collect();
            let s: Vec<u16> = a.iter().map(|a| u16::from(*a) * u16::from(noise.byte())).collect();
            let (mut plain, mut best) = (d.clone(), d);
            Kernel::Plain.blend(&mut plain, &s, &a);
            Kernel::best().blend(&mut best, &s, &a);
            assert_eq!(plain, best);
        }
    }

    #[test]
    fn nothing_is_written_where_nothing_covers() {
        let pool = Pool::new(SIZE);
        let painting = painting(3, true);
        let raster = Raster::of(&painting, Colour::BT709, painting.ink(), &[], Moves::EVEN);
        let mut after = picture(&pool, Colour::BT709, 9);
        let mut before = picture(&pool, Colour::BT709, 9);
        blend_raster(&raster, &mut after);
        let [cb, cr] = raster.chroma[0].as_ref().unwrap();
        let planes = [&raster.luma, cb, cr];
        for ((plane, (after, stride)), (before, _)) in
            planes.into_iter().zip(after.planes_mut()).zip(before.planes_mut())
        {
            let mut covered = vec![false; after.len()];
            for run in &plane.runs {
                let at = (plane.y as usize + run.y as usize) * stride + plane.x as usize + run.x as usize;
                covered[at..at + run.len as usize].fill(true);
            }
            assert!(covered.iter().any(|covered| !covered), "the border is not covered");
            let untouched = after.iter().zip(&*before).zip(&covered).all(|((a, b), covered)| *covered || a == b);
            assert!(untouched);
        }
    }

    /// A layer moved, faded and cut, as real numbers have it: each plane's samples.
    fn moved_reference(painting: &Painting, draw: &Draw<'_>, colour: Colour, under: &[Vec<f64>; 3]) -> [Vec<f64>; 3] {
        let (kr, kb) = if colour.matrix == Matrix::Bt601 { (0.299, 0.114) } else { (0.2126, 0.0722) };
        let (scale_y, scale_c, black) =
            if colour.range == Range::Limited { (219.0, 224.0, 16.0) } else { (255.0, 255.0, 0.0) };
        let (width, height) = (SIZE.width as i32, SIZE.height as i32);
        let opacity = f64::from(draw.opacity) / 255.0;
        let at = |x: i32, y: i32| -> [f64; 4] {
            let (x, y) = (x - draw.dx, y - draw.dy);
            if !(0..width).contains(&x) || !(0..height).contains(&y) {
                return [0.0; 4];
            }
            let p = &painting.rgba[(y as usize * width as usize + x as usize) * 4..][..4];
            let [r, g, b, a] = [p[0], p[1], p[2], p[3]].map(|v| f64::from(v) / 255.0);
            let y = kr * r + (1.0 - kr - kb) * g + kb * b;
            let (cb, cr) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
            [a * (black + scale_y * y), a * scale_c * cb, a * scale_c * cr, a].map(|v| v * opacity)
        };
        let clip = draw.clip.unwrap_or(Rect::of(SIZE));
        let inside = |x: i32, y: i32| {
            (clip.x as i32..clip.right() as i32).contains(&x) && (clip.y as i32..clip.bottom() as i32).contains(&y)
        };
        let mut out = under.clone();
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).filter(|(y, x)| inside(*x, *y)) {
            let [luma, _, _, a] = at(x, y);
            let i = (y * width + x) as usize;
            out[0][i] = luma + under[0][i] * (1.0 - a);
        }
        for (y, x) in (0..height / 2).flat_map(|y| (0..width / 2).map(move |x| (y, x))) {
            if !inside(2 * x, 2 * y) {
                continue;
            }
            let mut sum = [0.0; 4];
            for (tap, weight) in [(2 * x - 1, 1.0), (2 * x, 2.0), (2 * x + 1, 1.0)] {
                for row in [2 * y, 2 * y + 1] {
                    let sample = at(tap, row);
                    (0..4).for_each(|c| sum[c] += weight * sample[c] / 8.0);
                }
            }
            let i = (y * (width / 2) + x) as usize;
            for (plane, c) in [(1, sum[1]), (2, sum[2])] {
                out[plane][i] = 128.0 * sum[3] + c + under[plane][i] * (1.0 - sum[3]);
            }
        }
        out
    }

    /// The worst difference, and the PSNR, of what a draw makes.
    fn error_of(painting: &Painting, draw: &Draw<'_>, colour: Colour) -> [(f64, f64); 3] {
        let pool = Pool::new(SIZE);
        let mut picture = picture(&pool, colour, 77);
        let want = moved_reference(painting, draw, colour, &samples(&mut picture));
        blend(Kernel::best(), draw, &mut picture, &mut Row::default());
        let got = samples(&mut picture);
        std::array::from_fn(|plane| {
            let errors = got[plane].iter().zip(&want[plane]).map(|(got, want)| (got - want.clamp(0.0, 255.0)).abs());
            let (worst, squares) = errors.fold((0.0f64, 0.0), |(w, s), e| (w.max(e), s + e * e));
            (worst, 10.0 * (255.0 * 255.0 / (squares / got[plane].len() as f64)).log10())
        })
    }

    #[test]
    fn every_move_opacity_and_clip_is_within_one_step_of_the_real_numbers() {
        let mut painting = painting(21, true);
        // Its left edge is clear: what a painting shows beyond the canvas's edge is no matter of this test.
        painting.rgba.chunks_mut(SIZE.width as usize * 4).for_each(|row| row[..8].fill(0));
        for colour in COLOURS {
            let raster = Raster::of(&painting, colour, painting.ink(), &[], Moves::ANY);
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1), (-1, -1), (-13, 7), (60, -9), (141, 40), (-140, -44)] {
                for opacity in [255, 180, 3] {
                    for clip in [None, Some(Rect { x: 20, y: 10, w: 64, h: 22 })] {
                        let draw = Draw { dx, dy, opacity, clip, ..Draw::still(&raster) };
                        for (plane, (worst, psnr)) in error_of(&painting, &draw, colour).into_iter().enumerate() {
                            // Chroma's alpha is rounded twice: when it is filtered and when it fades.
                            let most = if plane == 0 { 1.0 } else { 1.25 };
                            assert!(
                                worst <= most,
                                "{colour:?} {dx},{dy} {opacity} {clip:?} plane {plane}: off by {worst}"
                            );
                            assert!(psnr >= 58.0, "{colour:?} {dx},{dy} {opacity} {clip:?} plane {plane}: {psnr} dB");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_blend_is_right_for_every_picture_sample_alpha_and_colour() {
        for (d, a) in (0..=255u32).flat_map(|d| (0..=255u32).map(move |a| (d, a))) {
            for component in (0..=255u32).step_by(5) {
                let want = (f64::from(component * a) + f64::from(d * (255 - a))) / 255.0;
                let got = fx_over(d, component * a, a);
                assert!((f64::from(got) - want).abs() <= 0.5, "{d} {a} {component}");
            }
        }
    }

    #[test]
    fn colour_bars_are_themselves_in_every_standard() {
        // White, yellow, cyan, green, magenta, red, blue, black: Y', Cb and Cr by hand from H.273's equations.
        let bars: [[u8; 3]; 8] =
            [[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]];
        let limited_709 = [
            [235, 128, 128],
            [219, 16, 138],
            [188, 154, 16],
            [173, 42, 26],
            [78, 214, 230],
            [63, 102, 240],
            [32, 240, 118],
            [16, 128, 128],
        ];
        let limited_601 = [
            [235, 128, 128],
            [210, 16, 146],
            [170, 166, 16],
            [145, 54, 34],
            [106, 202, 222],
            [81, 90, 240],
            [41, 240, 110],
            [16, 128, 128],
        ];
        for (colour, table) in [(Colour::BT709, limited_709), (Colour::BT601, limited_601)] {
            for (bar, want) in bars.into_iter().zip(table) {
                let [r, g, b] = bar.map(|on| on * 255);
                let rgba = [r, g, b, 255].repeat(16 * 16);
                let area = Rect { x: 4, y: 4, w: 16, h: 16 };
                let painting = Painting { canvas: Rect::of(SIZE), area, rgba };
                let raster = Raster::of(&painting, colour, area, &[], Moves::ANY);
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let pool = Pool::new(SIZE);
                    let mut picture = picture(&pool, colour, 5);
                    let draw = Draw { dx, dy, ..Draw::still(&raster) };
                    blend(Kernel::best(), &draw, &mut picture, &mut Row::default());
                    let middle = [(12, 12), (6, 6), (6, 6)];
                    for (plane, ((x, y), want)) in middle.into_iter().zip(want).enumerate() {
                        let (samples, stride) = picture.plane_mut(plane);
                        assert_eq!(samples[y * stride + x], want, "{colour:?} {bar:?} plane {plane} at {dx},{dy}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_scale_of_one_is_the_painting_and_others_keep_their_middle() {
        let painting = painting(8, true);
        let raster = Raster::of(&painting, Colour::BT709, painting.ink(), &[], Moves::EVEN);
        let pool = Pool::new(SIZE);
        let about = (SIZE.width as i32 / 2, SIZE.height as i32 / 2);
        let drawn = |scale| {
            let mut picture = picture(&pool, Colour::BT709, 4);
            let draw = Draw { scale, ..Draw::still(&raster) };
            blend(Kernel::best(), &draw, &mut picture, &mut Row::default());
            samples(&mut picture)
        };
        let scaled = |x, y| drawn(Some(crate::overlay::compose::Scale { x, y, about }));
        assert!(drawn(None) == scaled(1 << 16, 1 << 16));
        // A plain square doubled covers four times as much, about the same middle.
        let area = Rect { x: 65, y: 13, w: 20, h: 20 };
        let square = Painting { canvas: Rect::of(SIZE), area, rgba: [255, 255, 255, 255].repeat(400) };
        let square = Painting { area: Rect { x: 64, y: 12, w: 22, h: 22 }, rgba: padded(&square), ..square };
        let raster = Raster::of(&square, Colour::BT709, square.area, &[], Moves::EVEN);
        let mut picture = pool.take(Colour::BT709);
        picture.fill([16, 128, 128]);
        let scale = crate::overlay::compose::Scale { x: 2 << 16, y: 2 << 16, about: (75, 23) };
        let draw = Draw { scale: Some(scale), ..Draw::still(&raster) };
        blend(Kernel::best(), &draw, &mut picture, &mut Row::default());
        let (luma, stride) = picture.plane_mut(0);
        let bright = |x: usize, y: usize| luma[y * stride + x] > 125;
        let columns: Vec<usize> = (0..150).filter(|x| bright(*x, 23)).collect();
        let rows: Vec<usize> = (0..46).filter(|y| bright(75, *y)).collect();
        assert_eq!((columns[0], columns.len(), rows[0], rows.len()), (55, 40, 3, 40));
    }

    /// A painting with a clear pixel all round.
    fn padded(painting: &Painting) -> Vec<u8> {
        let Rect { x, y, w, h } = painting.area;
        let pixels =
            (y as i32 - 1..(y + h) as i32 + 1).flat_map(|y| (x as i32 - 1..(x + w) as i32 + 1).map(move |x| (x, y)));
        pixels.flat_map(|(x, y)| painting.pixel(x, y)).collect()
    }

    #[test]
    fn a_ring_shows_its_share_of_the_turn_and_light_stays_on_the_layer() {
        let area = Rect { x: 20, y: 4, w: 40, h: 40 };
        let painting = Painting { canvas: Rect::of(SIZE), area, rgba: [255, 255, 255, 255].repeat(1600) };
        let raster = Raster::of(&painting, Colour::BT709, area, &[], Moves::EVEN).ring(area);
        let pool = Pool::new(SIZE);
        let white = |fx| {
            let mut picture = pool.take(Colour::BT709);
            picture.fill([16, 128, 128]);
            blend(Kernel::best(), &Draw { fx, ..Draw::still(&raster) }, &mut picture, &mut Row::default());
            let (luma, stride) = picture.plane_mut(0);
            let quarter = |x: std::ops::Range<usize>, y: std::ops::Range<usize>| {
                y.flat_map(|y| x.clone().map(move |x| (x, y))).filter(|(x, y)| luma[y * stride + x] == 235).count()
            };
            [quarter(40..60, 4..24), quarter(40..60, 24..44), quarter(20..40, 24..44), quarter(20..40, 4..24)]
        };
        assert_eq!(white(Fx::Ring { left: 0 }), [0; 4]);
        assert_eq!(white(Fx::Ring { left: 256 }), [400; 4]);
        let half = white(Fx::Ring { left: 128 });
        assert!(half[0] == 400 && half[1] >= 380 && half[2] + half[3] <= 20, "{half:?}");
        // Light only ever makes a layer whiter: nothing changes on white, and nothing beside it.
        assert_eq!(white(Fx::Shimmer { phase: 40, reach: 20 }), [400; 4]);
    }

    #[test]
    fn pieces_laid_side_by_side_are_the_painting() {
        let pool = Pool::new(SIZE);
        let painting = painting(5, false);
        let holes = [Rect { x: 20, y: 8, w: 10, h: 12 }, Rect { x: 30, y: 8, w: 7, h: 11 }];
        let whole = Raster::of(&painting, Colour::BT709, painting.ink(), &[], Moves::EVEN);
        let mut want = picture(&pool, Colour::BT709, 11);
        blend_raster(&whole, &mut want);
        let mut got = picture(&pool, Colour::BT709, 11);
        blend_raster(&Raster::of(&painting, Colour::BT709, painting.ink(), &holes, Moves::EVEN), &mut got);
        for hole in holes {
            blend_raster(&Raster::of(&painting, Colour::BT709, hole, &[], Moves::EVEN), &mut got);
        }
        assert!(samples(&mut got) == samples(&mut want));
    }

    #[test]
    fn pieces_moved_together_are_the_painting_moved() {
        let (pool, painting) = (Pool::new(SIZE), painting(6, false));
        let ink = painting.ink();
        let hole = Rect { x: 20, y: 8, w: 30, h: 12 };
        let raster = |area, holes: &[Rect]| Raster::of(&painting, Colour::BT709, area, holes, Moves::ANY);
        let whole = raster(ink, &[]);
        let filled = [raster(ink, &[hole]), Raster::piece(&painting, Colour::BT709, hole, &[], Moves::ANY)];
        let columns = Raster::columns(&painting, Colour::BT709, ink, 40, Moves::ANY);
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1), (-13, 7), (8, -9)] {
            let draw = |rasters: &[Raster]| {
                let mut picture = picture(&pool, Colour::BT709, 11);
                for raster in rasters {
                    let draw = Draw { dx, dy, ..Draw::still(raster) };
                    blend(Kernel::best(), &draw, &mut picture, &mut Row::default());
                }
                samples(&mut picture)
            };
            let want = draw(std::slice::from_ref(&whole));
            assert!(draw(&filled) == want && draw(&columns) == want, "{dx},{dy}");
        }
    }
}
