//! Pictures of one shape into another: swscale, one context a pair of shapes.

use std::marker::PhantomData;

use ffmpeg::ffi;
use ffmpeg::format::Pixel;
use ffmpeg_next as ffmpeg;

use super::Error;
use crate::media::frame::{Matrix, Range};
use crate::media::{Colour, Picture, PictureMut, Resolution};

/// What swscale must know of a picture before it sees one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub format: Pixel,
    pub resolution: Resolution,
    pub colour: Colour,
}

impl Shape {
    /// A planar 4:2:0 picture.
    pub fn planar(resolution: Resolution, colour: Colour) -> Shape {
        Shape { format: Pixel::YUV420P, resolution, colour }
    }
}

/// A picture's bytes, or a rectangle of them, for as long as they are borrowed.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    format: Pixel,
    planes: [*const u8; 4],
    strides: [i32; 4],
    height: i32,
    borrowed: PhantomData<&'a u8>,
}

impl<'a> View<'a> {
    pub fn of_frame(frame: &'a ffmpeg::frame::Video) -> View<'a> {
        // SAFETY: a decoded frame's pointers and strides, read while it is borrowed.
        let (planes, strides) = unsafe {
            let raw = frame.as_ptr();
            let at = |index: usize| (*raw).data[index].cast_const();
            ([at(0), at(1), at(2), at(3)], [0, 1, 2, 3].map(|index| (*raw).linesize[index]))
        };
        View { format: frame.format(), planes, strides, height: frame.height() as i32, borrowed: PhantomData }
    }

    pub fn of_picture(picture: &'a Picture) -> View<'a> {
        let [luma, cb, cr] = [0, 1, 2].map(|index| picture.plane(index));
        View {
            format: Pixel::YUV420P,
            planes: [luma.data.as_ptr(), cb.data.as_ptr(), cr.data.as_ptr(), std::ptr::null()],
            strides: [luma.stride as i32, cb.stride as i32, cr.stride as i32, 0],
            height: picture.resolution().height as i32,
            borrowed: PhantomData,
        }
    }

    /// The part of `size` that begins at (`left`, `top`), which are multiples of [`Scaler::CROP`] and leave `size` within the
    /// picture.
    pub fn part(mut self, left: u32, top: u32, size: Resolution) -> View<'a> {
        // SAFETY: the descriptor table is static; a format that a decoder gave has one. The offsets stay within the planes
        // because the rectangle stays within the picture.
        unsafe {
            let described = ffi::av_pix_fmt_desc_get(self.format.into());
            if described.is_null() {
                return self;
            }
            let (mut moved, components) = ([false; 4], usize::from((*described).nb_components));
            for (index, component) in (*described).comp.iter().take(components).enumerate() {
                let plane = component.plane as usize;
                if plane > 3 || std::mem::replace(&mut moved[plane], true) {
                    continue;
                }
                let chroma = matches!(index, 1 | 2);
                let shift = |log2: u8| if chroma { u32::from(log2) } else { 0 };
                let x = (left >> shift((*described).log2_chroma_w)) as usize * component.step as usize;
                let y = (top >> shift((*described).log2_chroma_h)) as isize * self.strides[plane] as isize;
                self.planes[plane] = self.planes[plane].offset(y).add(x);
            }
        }
        self.height = size.height as i32;
        self
    }
}

/// One swscale context.
pub(super) struct Scaler {
    context: *mut ffi::SwsContext,
}

// SAFETY: the context is used by one owner at a time and swscale keeps no thread-local state.
unsafe impl Send for Scaler {}

impl Scaler {
    /// Rectangles are cut on multiples of this, which suits every chroma subsampling there is.
    pub const CROP: u32 = 4;

    /// From `from` to a planar 4:2:0 picture of `to`.
    pub fn new(from: Shape, to: Resolution, colour: Colour) -> Result<Scaler, Error> {
        let format = match from.format {
            // The J formats are deprecated names of full range, which is said apart below.
            Pixel::YUVJ420P => Pixel::YUV420P,
            Pixel::YUVJ422P => Pixel::YUV422P,
            Pixel::YUVJ444P => Pixel::YUV444P,
            other => other,
        };
        let full = |colour: Colour| i32::from(colour.range == Range::Full);
        // The ranges are set before the context is initialised: between equal sizes it would otherwise choose to copy.
        let settings = [
            (c"srcw", from.resolution.width as i32),
            (c"srch", from.resolution.height as i32),
            (c"src_format", ffi::AVPixelFormat::from(format) as i32),
            (c"src_range", full(from.colour)),
            (c"dstw", to.width as i32),
            (c"dsth", to.height as i32),
            (c"dst_format", ffi::AVPixelFormat::from(Pixel::YUV420P) as i32),
            (c"dst_range", full(colour)),
            (c"sws_flags", ffi::SWS_BILINEAR),
        ];
        // SAFETY: a context or null out, freed where it cannot be initialised; plain values in; the coefficient tables are
        // static.
        let context = unsafe {
            let context = ffi::sws_alloc_context();
            if context.is_null() {
                return Err(Error::Refused { what: "scaling the picture to the canvas" });
            }
            for (name, value) in settings {
                ffi::av_opt_set_int(context.cast(), name.as_ptr(), i64::from(value), 0);
            }
            if ffi::sws_init_context(context, std::ptr::null_mut(), std::ptr::null_mut()) < 0 {
                ffi::sws_freeContext(context);
                return Err(Error::Refused { what: "scaling the picture to the canvas" });
            }
            ffi::sws_setColorspaceDetails(
                context,
                ffi::sws_getCoefficients(coefficients(from.colour.matrix)),
                full(from.colour),
                ffi::sws_getCoefficients(coefficients(colour.matrix)),
                full(colour),
                0,
                1 << 16,
                1 << 16,
            );
            context
        };
        Ok(Scaler { context })
    }

    /// Scales a view of the shape it was made for into `picture`, its upper left corner at the even (`left`, `top`).
    pub fn scale(&mut self, view: View<'_>, picture: &mut PictureMut, left: usize, top: usize) -> Result<(), Error> {
        let [luma, cb, cr] = picture.planes_mut();
        let strides = [luma.1 as i32, cb.1 as i32, cr.1 as i32, 0];
        let planes = [
            luma.0[top * luma.1 + left..].as_mut_ptr(),
            cb.0[top / 2 * cb.1 + left / 2..].as_mut_ptr(),
            cr.0[top / 2 * cr.1 + left / 2..].as_mut_ptr(),
            std::ptr::null_mut(),
        ];
        // SAFETY: the context was made for this view's format and size; the target rectangle lies within the picture's
        // planes, whose strides are passed along.
        let rows = unsafe {
            ffi::sws_scale(
                self.context,
                view.planes.as_ptr(),
                view.strides.as_ptr(),
                0,
                view.height,
                planes.as_ptr(),
                strides.as_ptr(),
            )
        };
        if rows > 0 { Ok(()) } else { Err(Error::Refused { what: "scaling the picture to the canvas" }) }
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: made by sws_getContext and freed once.
        unsafe { ffi::sws_freeContext(self.context) }
    }
}

fn coefficients(matrix: Matrix) -> i32 {
    match matrix {
        Matrix::Bt709 => ffi::SWS_CS_ITU709,
        Matrix::Bt601 => ffi::SWS_CS_ITU601,
    }
}
