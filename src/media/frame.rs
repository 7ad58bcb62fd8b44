//! Decoded pictures: immutable planar 4:2:0, and the pool that compose writes its copies into.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::time::MediaTime;

/// Width and height in pixels, both even and not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resolution {
    pub width: u32,
    pub height: u32,
}

impl Resolution {
    pub const fn new(width: u32, height: u32) -> Resolution {
        Resolution { width, height }
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// How Y'CbCr codes colour (ITU-T H.273): the matrix and the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Colour {
    pub matrix: Matrix,
    pub range: Range,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matrix {
    Bt601,
    Bt709,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range {
    Limited,
    Full,
}

impl Colour {
    pub const BT709: Colour = Colour { matrix: Matrix::Bt709, range: Range::Limited };
    pub const BT601: Colour = Colour { matrix: Matrix::Bt601, range: Range::Limited };

    /// What a stream that says nothing about its colour is taken for.
    pub fn unsaid(height: u32) -> Colour {
        if height >= 720 { Colour::BT709 } else { Colour::BT601 }
    }
}

/// One plane: `stride` bytes from row to row, the last row whole.
#[derive(Clone, Copy)]
pub struct Plane<'a> {
    pub data: &'a [u8],
    pub stride: usize,
}

/// What holds a picture's bytes. Plane 0 is luma, 1 Cb, 2 Cr; chroma planes have half the width and height.
pub trait Storage: Send + Sync {
    fn plane(&self, index: usize) -> Plane<'_>;
}

/// A picture nobody writes to any more. Planar 4:2:0, 8 bits.
pub struct Picture {
    resolution: Resolution,
    colour: Colour,
    storage: Box<dyn Storage>,
}

impl Picture {
    pub fn new(resolution: Resolution, colour: Colour, storage: Box<dyn Storage>) -> Picture {
        Picture { resolution, colour, storage }
    }

    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    pub fn colour(&self) -> Colour {
        self.colour
    }

    pub fn plane(&self, index: usize) -> Plane<'_> {
        self.storage.plane(index)
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}, {:?})", self.resolution, self.colour)
    }
}

/// A picture and its moment.
#[derive(Clone, Debug)]
pub struct Frame {
    pub at: MediaTime,
    pub picture: Arc<Picture>,
    /// When the access unit it was decoded from came from the network; absent for a repeated picture.
    pub arrived: Option<Instant>,
}

/// Reusable buffers of one size. A picture taken from it gives its buffer back when the last holder lets go.
#[derive(Clone)]
pub struct Pool {
    resolution: Resolution,
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
}

impl Pool {
    /// Buffers kept for reuse; more may be in flight, and are freed when they come back.
    pub const KEPT: usize = 8;

    pub fn new(resolution: Resolution) -> Pool {
        Pool { resolution, free: Arc::default() }
    }

    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// A picture to write; its bytes are what the last user left.
    pub fn take(&self, colour: Colour) -> PictureMut {
        let layout = Layout::of(self.resolution);
        let kept = self.free.lock().expect("no panic while the pool is held").pop();
        let bytes = kept.unwrap_or_else(|| vec![0; layout.len()].into_boxed_slice());
        PictureMut { resolution: self.resolution, colour, buffer: Pooled { bytes, layout, home: self.free.clone() } }
    }
}

/// A pooled picture while one owner writes it.
pub struct PictureMut {
    resolution: Resolution,
    colour: Colour,
    buffer: Pooled,
}

impl PictureMut {
    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    pub fn colour(&self) -> Colour {
        self.colour
    }

    /// A plane to write, and its stride in bytes.
    pub fn plane_mut(&mut self, index: usize) -> (&mut [u8], usize) {
        let layout = self.buffer.layout;
        (&mut self.buffer.bytes[layout.range(index)], layout.stride(index))
    }

    /// All three planes at once.
    pub fn planes_mut(&mut self) -> [(&mut [u8], usize); 3] {
        let layout = self.buffer.layout;
        let (luma, chroma) = self.buffer.bytes.split_at_mut(layout.luma);
        let (cb, cr) = chroma.split_at_mut(layout.chroma);
        [(luma, layout.stride(0)), (cb, layout.stride(1)), (cr, layout.stride(2))]
    }

    /// Copies a picture of the same size.
    pub fn copy_from(&mut self, picture: &Picture) {
        assert_eq!(self.resolution, picture.resolution(), "a copy has its original's size");
        self.colour = picture.colour();
        for index in 0..3 {
            let Resolution { width, height } = self.resolution;
            let (width, height) = match index {
                0 => (width as usize, height as usize),
                _ => (width as usize / 2, height as usize / 2),
            };
            let from = picture.plane(index);
            let (to, stride) = self.plane_mut(index);
            if from.stride == stride {
                let len = (height - 1) * stride + width;
                to[..len].copy_from_slice(&from.data[..len]);
                continue;
            }
            for (to, from) in to.chunks_mut(stride).zip(from.data.chunks(from.stride)).take(height) {
                to[..width].copy_from_slice(&from[..width]);
            }
        }
    }

    /// Fills the picture with one colour given as Y, Cb, Cr.
    pub fn fill(&mut self, ycbcr: [u8; 3]) {
        for (index, value) in ycbcr.into_iter().enumerate() {
            self.plane_mut(index).0.fill(value);
        }
    }

    pub fn freeze(self) -> Arc<Picture> {
        Arc::new(Picture::new(self.resolution, self.colour, Box::new(self.buffer)))
    }
}

struct Pooled {
    bytes: Box<[u8]>,
    layout: Layout,
    home: Arc<Mutex<Vec<Box<[u8]>>>>,
}

impl Storage for Pooled {
    fn plane(&self, index: usize) -> Plane<'_> {
        Plane { data: &self.bytes[self.layout.range(index)], stride: self.layout.stride(index) }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if let Ok(mut free) = self.home.lock()
            && free.len() < Pool::KEPT
        {
            free.push(bytes);
        }
    }
}

/// Where the planes lie in a pooled buffer: rows padded to 64 bytes, so that wide loads never straddle two rows.
#[derive(Clone, Copy)]
struct Layout {
    stride: usize,
    luma: usize,
    chroma: usize,
}

impl Layout {
    fn of(resolution: Resolution) -> Layout {
        let stride = (resolution.width as usize).next_multiple_of(64);
        let height = resolution.height as usize;
        Layout { stride, luma: stride * height, chroma: stride / 2 * (height / 2) }
    }

    fn len(self) -> usize {
        self.luma + 2 * self.chroma
    }

    fn stride(self, index: usize) -> usize {
        if index == 0 { self.stride } else { self.stride / 2 }
    }

    fn range(self, index: usize) -> std::ops::Range<usize> {
        match index {
            0 => 0..self.luma,
            1 => self.luma..self.luma + self.chroma,
            _ => self.luma + self.chroma..self.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Resolution = Resolution::new(70, 6);

    #[test]
    fn a_copy_has_every_pixel_of_its_original() {
        struct Tight(Vec<u8>);
        impl Storage for Tight {
            fn plane(&self, index: usize) -> Plane<'_> {
                match index {
                    0 => Plane { data: &self.0[..420], stride: 70 },
                    1 => Plane { data: &self.0[420..525], stride: 35 },
                    _ => Plane { data: &self.0[525..], stride: 35 },
                }
            }
        }
        let bytes = (0..630).map(|n| (n % 251) as u8).collect();
        let original = Picture::new(SIZE, Colour::BT601, Box::new(Tight(bytes)));
        let mut copy = Pool::new(SIZE).take(Colour::BT709);
        copy.copy_from(&original);
        let copy = copy.freeze();
        assert_eq!(copy.colour(), Colour::BT601);
        for (index, width, height) in [(0, 70, 6), (1, 35, 3), (2, 35, 3)] {
            let (a, b) = (original.plane(index), copy.plane(index));
            for row in 0..height {
                assert_eq!(a.data[row * a.stride..][..width], b.data[row * b.stride..][..width]);
            }
        }
    }

    #[test]
    fn a_buffer_comes_home_when_its_last_holder_lets_go() {
        let pool = Pool::new(SIZE);
        let picture = pool.take(Colour::BT709).freeze();
        let second = picture.clone();
        drop(picture);
        assert_eq!(pool.free.lock().unwrap().len(), 0);
        drop(second);
        assert_eq!(pool.free.lock().unwrap().len(), 1);
        let held: Vec<_> = (0..Pool::KEPT + 3).map(|_| pool.take(Colour::BT709)).collect();
        drop(held);
        assert_eq!(pool.free.lock().unwrap().len(), Pool::KEPT);
    }
}
