//! The compositor on the CPU: blends in the picture's own Y'CbCr, only the samples that a layer covers.

use super::DrawList;
use crate::media::PictureMut;
use crate::overlay::raster::{Plane, Raster};

/// Blends a scene's layers into a picture of the scene's size. A picture of another size is left as it is: a scene holds
/// pixels, not shapes.
pub fn draw(list: &DrawList<'_>, picture: &mut PictureMut) {
    if picture.resolution() != list.scene().canvas().resolution {
        return;
    }
    let kernel = Kernel::best();
    for raster in list.rasters() {
        blend_raster(kernel, raster, picture);
    }
}

fn blend_raster(kernel: Kernel, raster: &Raster, picture: &mut PictureMut) {
    let [cb, cr] = &raster.chroma;
    for (plane, (samples, stride)) in [&raster.luma, cb, cr].into_iter().zip(picture.planes_mut()) {
        blend_plane(kernel, plane, samples, stride);
    }
}

fn blend_plane(kernel: Kernel, plane: &Plane, samples: &mut [u8], stride: usize) {
    for run in &plane.runs {
        let (len, at) = (run.len as usize, run.y as usize * stride + run.x as usize);
        let from = run.start as usize..run.start as usize + len;
        kernel.blend(&mut samples[at..at + len], &plane.s[from.clone()], &plane.a[from]);
    }
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
        let x = s + u16::from(*d) * u16::from(255 - a) + 128;
        *d = ((x + (x >> 8)) >> 8) as u8;
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
