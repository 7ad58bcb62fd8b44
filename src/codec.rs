//! Coded media to raw and back. FFmpeg ends here: no type of it leaves this room.

pub mod audio;
mod blur;
pub mod decode;
pub mod encode;
pub mod film;
mod fit;
mod scale;
mod source;

use std::sync::Once;

use ffmpeg_next as ffmpeg;

pub use audio::{AudioDecoder, OpusEncoder};
pub use blur::Blur;
pub use decode::Decoder;
pub use encode::Encoder;
pub use film::Film;
pub use fit::{Fit, Fitting, Target};
pub use source::Source;

/// What went wrong in a codec, and which.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this FFmpeg has no {0}: install the distribution's full libavcodec")]
    Missing(&'static str),
    #[error("{what}: {source}")]
    Ffmpeg {
        what: &'static str,
        #[source]
        source: ffmpeg::Error,
    },
    #[error("{what}: out of memory or bad parameters")]
    Refused { what: &'static str },
    #[error("a picture was damaged on its way, and what it lacked was made up")]
    Concealed,
    #[error("a picture of {width}x{height} is outside of what is decoded (16x16 to 4096x2304)")]
    Size { width: u32, height: u32 },
}

impl Error {
    fn ffmpeg(what: &'static str) -> impl FnOnce(ffmpeg::Error) -> Error {
        move |source| Error::Ffmpeg { what, source }
    }
}

/// Pictures larger than this are refused before anything is allocated for them.
const MAX_PIXELS: i64 = 4096 * 2304;

/// Readies FFmpeg once for the process. Its own log stays quiet: what matters comes back as errors and is counted.
fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ffmpeg::util::log::set_level(ffmpeg::util::log::Level::Quiet);
    });
}

/// Gives a codec context its out-of-band configuration (avcC, AudioSpecificConfig).
fn set_extradata(context: &mut ffmpeg::codec::Context, extradata: &[u8]) -> Result<(), Error> {
    if extradata.is_empty() {
        return Ok(());
    }
    let padded = extradata.len() + ffmpeg::ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
    // SAFETY: the buffer is av_malloc'd with the padding that the codec may read, and belongs to the context, which frees it.
    unsafe {
        let buffer = ffmpeg::ffi::av_mallocz(padded).cast::<u8>();
        if buffer.is_null() {
            return Err(Error::Refused { what: "codec configuration" });
        }
        std::ptr::copy_nonoverlapping(extradata.as_ptr(), buffer, extradata.len());
        let context = context.as_mut_ptr();
        (*context).extradata = buffer;
        (*context).extradata_size = extradata.len() as i32;
    }
    Ok(())
}
