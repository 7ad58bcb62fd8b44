//! A product's photo: decoded under limits, upright, and no larger than a card can show.

use std::fmt;
use std::io::Cursor;

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use sha2::{Digest, Sha256};
use takumi::prelude::RgbaImage;

/// Pixels ready to paint, known by their content.
pub struct Photo {
    pixels: RgbaImage,
    width: u32,
    height: u32,
    hash: [u8; 32],
}

#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    #[error("the picture has {bytes} bytes; it may have {}", Photo::MOST_BYTES)]
    TooManyBytes { bytes: usize },
    #[error("not a picture that is read here: give a JPEG, PNG or WebP")]
    UnknownFormat,
    #[error("the picture has {width}x{height} pixels; it may have {} in all", Photo::MOST_PIXELS)]
    TooManyPixels { width: u32, height: u32 },
    #[error("the picture is damaged: {0}")]
    Damaged(String),
}

impl Photo {
    pub const MOST_BYTES: usize = 10 << 20;
    /// A phone's 50-megapixel shot goes; what it takes while decoding is 200 MB.
    pub const MOST_PIXELS: u64 = 50_000_000;
    /// The longer side that is kept: a card's photo on a 2160p canvas, twice over.
    pub const LONGEST_SIDE: u32 = 960;

    /// Decodes JPEG, PNG or WebP (first frame), turned as its EXIF orientation says.
    pub fn decode(bytes: &[u8]) -> Result<Photo, PhotoError> {
        if bytes.len() > Photo::MOST_BYTES {
            return Err(PhotoError::TooManyBytes { bytes: bytes.len() });
        }
        // By content, not by name; and only the formats that are promised.
        let format = image::guess_format(bytes).map_err(|_| PhotoError::UnknownFormat)?;
        if !matches!(format, ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP) {
            return Err(PhotoError::UnknownFormat);
        }
        let damaged = |error: image::ImageError| PhotoError::Damaged(error.to_string());
        let mut limits = Limits::default();
        limits.max_alloc = Some(MOST_DECODE_BYTES);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(damaged)?;
        // The header's word, before a pixel is decoded.
        let (width, height) = decoder.dimensions();
        if width == 0 || height == 0 || u64::from(width) * u64::from(height) > Photo::MOST_PIXELS {
            return Err(PhotoError::TooManyPixels { width, height });
        }
        let orientation = decoder.orientation().map_err(damaged)?;
        let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
        if width.max(height) > Photo::LONGEST_SIDE {
            picture = picture.resize(Photo::LONGEST_SIDE, Photo::LONGEST_SIDE, FilterType::CatmullRom);
        }
        picture.apply_orientation(orientation);
        let rgba = picture.into_rgba8();
        let (width, height) = rgba.dimensions();
        let hash = Sha256::new().chain_update(width.to_le_bytes()).chain_update(rgba.as_raw()).finalize().into();
        let pixels = RgbaImage::new(rgba.into_raw(), width, height, false)
            .map_err(|error| PhotoError::Damaged(error.to_string()))?;
        Ok(Photo { pixels, width, height, hash })
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    /// SHA-256 of the pixels as they are kept.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    pub(super) fn pixels(&self) -> &RgbaImage {
        &self.pixels
    }
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Photo({}x{})", self.width, self.height)
    }
}

/// Memory that a decoder may take at once: the pixels at 16 bits RGBA would be more, such pictures must be smaller.
const MOST_DECODE_BYTES: u64 = 256 << 20;
