//! A product's photo: decoded under limits, upright, and no larger than a card can show.

use std::fmt;
use std::io::Cursor;
use std::panic::catch_unwind;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};
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
    #[error(
        "decoding the picture takes {bytes} bytes; it may take {MOST_DECODE_BYTES}: 8 bits a channel take fewer, and a JPEG that is not progressive"
    )]
    TooLarge { bytes: u64 },
    #[error("the picture is damaged: {0}")]
    Damaged(String),
}

impl Photo {
    pub const MOST_BYTES: usize = 10 << 20;
    /// A phone's largest shot; decoding a JPEG of it takes 150 MB for a moment.
    pub const MOST_PIXELS: u64 = 50_000_000;
    /// The longer side that is kept: a card's photo on a 2160p canvas, twice over.
    pub const LONGEST_SIDE: u32 = 960;

    /// Decodes JPEG, PNG or WebP (first frame), turned as its EXIF orientation says and brought to sRGB.
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
        let Opened { mut picture, orientation, profile } = open(bytes)?;
        let longest = picture.width().max(picture.height());
        let see_through = longest > Photo::LONGEST_SIDE && picture.color().has_alpha();
        if see_through {
            // What cannot be seen has a colour as well, which would come in at the rim.
            let mut rgba = picture.into_rgba8();
            rgba.pixels_mut().for_each(premultiply);
            picture = rgba.into();
        }
        // A quick average brings a camera's picture near, a good filter brings it there.
        if longest > 4 * Photo::LONGEST_SIDE {
            picture = picture.thumbnail(2 * Photo::LONGEST_SIDE, 2 * Photo::LONGEST_SIDE);
        }
        if longest > Photo::LONGEST_SIDE {
            picture = picture.resize(Photo::LONGEST_SIDE, Photo::LONGEST_SIDE, FilterType::CatmullRom);
        }
        picture.apply_orientation(orientation);
        let mut rgba = picture.into_rgba8();
        if see_through {
            rgba.pixels_mut().for_each(unmultiply);
        }
        if let Some(srgb) = profile.and_then(|profile| in_srgb(&rgba, &profile)) {
            rgba.copy_from_slice(&srgb);
        }
        Ok(rgba)
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
    let Opened { mut picture, orientation, .. } = open(bytes)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// A picture as it lies in its file.
struct Opened {
    picture: DynamicImage,
    orientation: Orientation,
    /// ICC: what its numbers mean, where that is said.
    profile: Option<Vec<u8>>,
}

fn open(bytes: &[u8]) -> Result<Opened, PhotoError> {
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
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > Photo::MOST_PIXELS {
        return Err(PhotoError::TooManyPixels { width, height });
    }
    // The decoders hold only their own buffers against the limit, if any.
    let kept = if format == ImageFormat::Jpeg { kept_components(bytes) } else { 0 };
    match decoder.total_bytes() + 2 * pixels * kept {
        bytes if bytes > MOST_DECODE_BYTES => return Err(PhotoError::TooLarge { bytes }),
        _ => {}
    }
    let orientation = decoder.orientation().map_err(damaged)?;
    let profile = decoder.icc_profile().ok().flatten();
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| match error {
        ImageError::Limits(_) => PhotoError::TooManyPixels { width, height },
        error => damaged(error),
    })?;
    Ok(Opened { picture, orientation, profile })
}

/// How many of a JPEG's components are kept whole while it is decoded, as coefficients of 16 bits: all where they come in more
/// than one scan, which a progressive one's do. What is not understood counts as such.
fn kept_components(jpeg: &[u8]) -> u64 {
    let (mut at, mut components, mut progressive) = (2, 0, false);
    while let Some([0xff, marker, high, low]) = jpeg.get(at..).and_then(|rest| rest.first_chunk()) {
        match marker {
            // Fill bytes, and markers without a length.
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            // The first scan: which components it has.
            0xda => match jpeg.get(at + 4) {
                Some(scanned) if !progressive && *scanned == components => return 0,
                _ => return u64::from(components),
            },
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let Some(count) = jpeg.get(at + 9) else { break };
                (components, progressive) = (components.max(*count), progressive || *marker > 0xc1);
                at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
            }
            _ => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
        }
    }
    MOST_COMPONENTS
}

fn premultiply(pixel: &mut image::Rgba<u8>) {
    let [colour @ .., a] = &mut pixel.0;
    colour.iter_mut().for_each(|c| *c = ((u32::from(*c) * u32::from(*a) + 127) / 255) as u8);
}

fn unmultiply(pixel: &mut image::Rgba<u8>) {
    let [colour @ .., a] = &mut pixel.0;
    let a = u32::from(*a).max(1);
    colour.iter_mut().for_each(|c| *c = ((u32::from(*c) * 255 + a / 2) / a).min(255) as u8);
}

/// Pixels in sRGB, which is what is painted. None where a profile cannot be read, or is not one of RGB.
fn in_srgb(picture: &image::RgbaImage, profile: &[u8]) -> Option<Vec<u8>> {
    let convert = || {
        let profile = ColorProfile::new_from_slice(profile).ok()?;
        if profile.color_space != DataColorSpace::Rgb {
            return None;
        }
        let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
        let transform = profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgba, options).ok()?;
        let mut converted = vec![0; picture.as_raw().len()];
        transform.transform(picture, &mut converted).ok()?;
        Some(converted)
    };
    // A profile can be anybody's, and is not worth a photo.
    catch_unwind(convert).ok().flatten()
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Photo({}x{})", self.width, self.height)
    }
}

/// No artefact of it is seen at a card's size.
const JPEG_QUALITY: u8 = 90;

/// Memory that decoding may take at once: the pixels as they come out, and what has to be kept until then.
const MOST_DECODE_BYTES: u64 = 256 << 20;
/// Components that a JPEG is read with.
const MOST_COMPONENTS: u64 = 4;

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
        let png = sized(encoded(&RgbImage::new(1, 1), ImageFormat::Png), 65536, 65536);
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

    /// The same PNG with other dimensions in its head.
    fn sized(mut png: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
        // IHDR: width and height at 16, its CRC at 29.
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = png[12..29].iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        });
        png[29..33].copy_from_slice(&(!crc).to_be_bytes());
        png
    }

    #[test]
    fn what_takes_too_much_memory_is_refused_before_it_is_decoded() {
        let mut deep = Cursor::new(vec![]);
        image::ImageBuffer::<image::Rgba<u16>, _>::new(1, 1).write_to(&mut deep, ImageFormat::Png).unwrap();
        let refused = Photo::decode(&sized(deep.into_inner(), 7000, 7000)).unwrap_err();
        assert!(matches!(refused, PhotoError::TooLarge { bytes: 392_000_000 }), "{refused}");
        // What lies in a file as it comes out is only looked at; in several scans it is kept until the last.
        let jpeg = encoded(&RgbImage::new(8, 8), ImageFormat::Jpeg);
        assert_eq!(kept_components(&jpeg), 0);
        let frame = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
        let mut progressive = jpeg.clone();
        progressive[frame + 1] = 0xc2;
        assert_eq!(kept_components(&progressive), 3);
        let scan = jpeg.windows(2).position(|two| two == [0xff, 0xda]).unwrap();
        let mut apart = jpeg.clone();
        apart[scan + 4] = 1;
        assert_eq!(kept_components(&apart), 3);
        assert_eq!(kept_components(&jpeg[..scan]), MOST_COMPONENTS);
        // 7000 by 7000 as it is now.
        progressive[frame + 5..frame + 9].copy_from_slice(&[0x1b, 0x58, 0x1b, 0x58]);
        let refused = Photo::decode(&progressive).unwrap_err();
        assert!(matches!(refused, PhotoError::TooLarge { bytes: 441_000_000 }), "{refused}");
    }

    #[test]
    fn a_cut_out_stays_white_at_its_rim() {
        for width in [2000, 4000] {
            let cut = |x: u32, y| match x.abs_diff(width / 2) + y < 300 {
                true => image::Rgba([255; 4]),
                false => image::Rgba([0; 4]),
            };
            let mut png = Cursor::new(vec![]);
            image::RgbaImage::from_fn(width, 400, cut).write_to(&mut png, ImageFormat::Png).unwrap();
            let scaled = Photo::read(png.get_ref()).unwrap();
            let rim: Vec<_> = scaled.pixels().filter(|pixel| (1..255).contains(&pixel.0[3])).collect();
            assert!(scaled.width() == 960 && rim.len() > 100);
            assert!(rim.iter().all(|pixel| pixel.0[..3] == [255; 3]), "{width}");
        }
    }

    #[test]
    fn a_photo_in_other_colours_is_brought_to_srgb() {
        use image::ImageEncoder;
        let picture = image::RgbaImage::from_pixel(2, 2, image::Rgba([200, 100, 50, 200]));
        let read = |profile: Option<Vec<u8>>| {
            let mut png = vec![];
            let mut encoder = PngEncoder::new(&mut png);
            profile.into_iter().for_each(|profile| encoder.set_icc_profile(profile).unwrap());
            picture.write_with_encoder(encoder).unwrap();
            Photo::read(&png).unwrap().get_pixel(1, 1).0
        };
        let [r, g, b, a] = read(Some(ColorProfile::new_display_p3().encode().unwrap()));
        // What Display P3 says is redder in sRGB's numbers.
        assert!(r.abs_diff(215) <= 2 && g.abs_diff(94) <= 3 && b.abs_diff(31) <= 6 && a == 200, "{r} {g} {b} {a}");
        assert_eq!(read(Some(vec![7; 300])), [200, 100, 50, 200], "a profile that cannot be read");
        assert_eq!(read(None), [200, 100, 50, 200]);
    }

    #[test]
    fn the_same_pixels_have_the_same_hash() {
        let photo =
            |shade| Photo::decode(&encoded(&RgbImage::from_pixel(6, 4, Rgb([shade; 3])), ImageFormat::Png)).unwrap();
        assert_eq!(photo(7).hash(), photo(7).hash());
        assert_ne!(photo(7).hash(), photo(8).hash());
    }
}
