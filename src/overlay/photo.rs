//! A product's photo: decoded under limits, upright, and no larger than a card can show.

use std::fmt;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
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
    /// A phone's largest shot; decoding one takes 150 MB for a moment.
    pub const MOST_PIXELS: u64 = 50_000_000;
    /// The longer side that is kept: a card's photo on a 2160p canvas, twice over.
    pub const LONGEST_SIDE: u32 = 960;

    /// Decodes JPEG, PNG or WebP (first frame), turned as its EXIF orientation says.
    pub fn decode(bytes: &[u8]) -> Result<Photo, PhotoError> {
        let rgba = Photo::read(bytes)?;
        let (width, height) = rgba.dimensions();
        let hash = Sha256::new().chain_update(width.to_le_bytes()).chain_update(rgba.as_raw()).finalize().into();
        let pixels = RgbaImage::new(rgba.into_raw(), width, height, false)
            .map_err(|error| PhotoError::Damaged(error.to_string()))?;
        Ok(Photo { pixels, width, height, hash })
    }

    /// A file's picture encoded anew, to be kept and shown to others: the pixels that [`Photo::decode`] takes from it, and
    /// nothing of what a camera or a program wrote beside them (place, time, serial number). JPEG, or PNG where it is see-through.
    pub fn copy(bytes: &[u8]) -> Result<Vec<u8>, PhotoError> {
        let rgba = Photo::read(bytes)?;
        let mut copy = vec![];
        let encoded = match rgba.pixels().all(|pixel| pixel.0[3] == u8::MAX) {
            true => {
                let rgb = DynamicImage::ImageRgba8(rgba).into_rgb8();
                rgb.write_with_encoder(JpegEncoder::new_with_quality(&mut copy, JPEG_QUALITY))
            }
            false => rgba.write_with_encoder(PngEncoder::new(&mut copy)),
        };
        encoded.map_err(|error| PhotoError::Damaged(error.to_string()))?;
        Ok(copy)
    }

    fn read(bytes: &[u8]) -> Result<image::RgbaImage, PhotoError> {
        let (mut picture, orientation) = open(bytes)?;
        // A quick average brings a camera's picture near, a good filter brings it there.
        if picture.width().max(picture.height()) > 4 * Photo::LONGEST_SIDE {
            picture = picture.thumbnail(2 * Photo::LONGEST_SIDE, 2 * Photo::LONGEST_SIDE);
        }
        if picture.width().max(picture.height()) > Photo::LONGEST_SIDE {
            picture = picture.resize(Photo::LONGEST_SIDE, Photo::LONGEST_SIDE, FilterType::CatmullRom);
        }
        picture.apply_orientation(orientation);
        Ok(picture.into_rgba8())
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

/// A picture in its full size, under the same limits as a photo, turned as its EXIF orientation says.
pub(super) fn upright(bytes: &[u8]) -> Result<DynamicImage, PhotoError> {
    let (mut picture, orientation) = open(bytes)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Decodes a picture, and says how it is to be turned.
fn open(bytes: &[u8]) -> Result<(DynamicImage, Orientation), PhotoError> {
    if bytes.len() > Photo::MOST_BYTES {
        return Err(PhotoError::TooManyBytes { bytes: bytes.len() });
    }
    // By content, not by name; and only the formats that are promised.
    let format = image::guess_format(bytes).map_err(|_| PhotoError::UnknownFormat)?;
    if !matches!(format, ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP) {
        return Err(PhotoError::UnknownFormat);
    }
    let damaged = |error: ImageError| PhotoError::Damaged(error.to_string());
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
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| match error {
        ImageError::Limits(_) => PhotoError::TooManyPixels { width, height },
        error => damaged(error),
    })?;
    Ok((picture, orientation))
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Photo({}x{})", self.width, self.height)
    }
}

/// No artefact of it is seen at a card's size.
const JPEG_QUALITY: u8 = 90;

/// Memory that a decoder may take at once. Pixels of 64 bits reach it sooner; such pictures must be smaller.
const MOST_DECODE_BYTES: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(vec![]);
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn jpeg_png_and_webp_are_read_and_nothing_else() {
        let picture = RgbImage::from_pixel(6, 4, Rgb([200, 30, 40]));
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let photo = Photo::decode(&encoded(&picture, format)).unwrap();
            assert_eq!((photo.width(), photo.height()), (6, 4));
        }
        for bytes in [&b"GIF89a\x01\x00\x01\x00"[..], b"<svg/>", b"", b"\x00\x01\x02"] {
            assert!(matches!(Photo::decode(bytes), Err(PhotoError::UnknownFormat)));
        }
    }

    #[test]
    fn a_photo_stands_as_its_exif_says() {
        let picture = RgbImage::from_pixel(6, 4, Rgb([200, 30, 40]));
        let jpeg = encoded(&picture, ImageFormat::Jpeg);
        // APP1 with one IFD entry: orientation (0x0112) = 6, a quarter turn.
        let tiff = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let mut turned = jpeg[..2].to_vec();
        turned.extend([0xff, 0xe1, 0, tiff.len() as u8 + 2]);
        turned.extend(tiff);
        turned.extend(&jpeg[2..]);
        let photo = Photo::decode(&turned).unwrap();
        assert_eq!((photo.width(), photo.height()), (4, 6));
        // The copy is upright as it lies in the file, and says nothing more.
        let copy = Photo::copy(&turned).unwrap();
        assert!(!copy.windows(4).any(|part| part == b"Exif"));
        let photo = Photo::decode(&copy).unwrap();
        assert_eq!((photo.width(), photo.height()), (4, 6));
    }

    #[test]
    fn a_copy_keeps_what_can_be_seen_through() {
        let mut picture = image::RgbaImage::from_pixel(6, 4, image::Rgba([200, 30, 40, 255]));
        let copy = |picture: &image::RgbaImage| {
            let mut png = Cursor::new(vec![]);
            picture.write_to(&mut png, ImageFormat::Png).unwrap();
            Photo::copy(png.get_ref()).unwrap()
        };
        assert_eq!(image::guess_format(&copy(&picture)).unwrap(), ImageFormat::Jpeg);
        picture.put_pixel(1, 1, image::Rgba([1, 2, 3, 99]));
        let kept = copy(&picture);
        assert_eq!(image::guess_format(&kept).unwrap(), ImageFormat::Png);
        assert_eq!(image::load_from_memory(&kept).unwrap().into_rgba8(), picture);
        // The same file gives the same copy: a picture that is put again changes nothing.
        assert_eq!(copy(&picture), kept);
    }

    #[test]
    fn a_huge_photo_is_refused_by_its_header() {
        let mut png = encoded(&RgbImage::new(1, 1), ImageFormat::Png);
        // IHDR: width and height at 16, its CRC at 29.
        png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let crc = png[12..29].iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        });
        png[29..33].copy_from_slice(&(!crc).to_be_bytes());
        let refused = Photo::decode(&png).unwrap_err();
        assert!(matches!(refused, PhotoError::TooManyPixels { width: 65536, height: 65536 }), "{refused}");
        let refused = Photo::decode(&vec![0xff; Photo::MOST_BYTES + 1]).unwrap_err();
        assert!(matches!(refused, PhotoError::TooManyBytes { .. }));
    }

    #[test]
    fn damaged_photos_are_told_and_large_ones_scaled_down() {
        let jpeg = encoded(&RgbImage::from_pixel(64, 64, Rgb([9, 9, 9])), ImageFormat::Png);
        assert!(matches!(Photo::decode(&jpeg[..jpeg.len() / 2]), Err(PhotoError::Damaged(_))));
        let wide = Photo::decode(&encoded(&RgbImage::new(2000, 500), ImageFormat::Jpeg)).unwrap();
        assert_eq!((wide.width(), wide.height()), (960, 240));
    }

    #[test]
    fn the_same_pixels_have_the_same_hash() {
        let photo =
            |shade| Photo::decode(&encoded(&RgbImage::from_pixel(6, 4, Rgb([shade; 3])), ImageFormat::Png)).unwrap();
        assert_eq!(photo(7).hash(), photo(7).hash());
        assert_ne!(photo(7).hash(), photo(8).hash());
    }
}
