//! Pictures → an MP4 file, to be looked at.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ffmpeg::ffi;
use ffmpeg::format::{self, Pixel};
use ffmpeg::{Dictionary, Rational};
use ffmpeg_next as ffmpeg;

use super::encode::shared;
use super::{Error, init};
use crate::media::frame::{Matrix, Range};
use crate::media::{Colour, Picture, Resolution};

/// What a film is made of.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub resolution: Resolution,
    pub colour: Colour,
    pub frames_per_second: u32,
}

/// A film being written: H.264 in 4:2:0, its index before the pictures so that it plays while it loads. It bears its name
/// when it is whole; one that is given up takes its file with it, unless the process is killed, which leaves a `.part`.
pub struct Film {
    encoder: ffmpeg::encoder::video::Encoder,
    /// Present until the file is closed.
    output: Option<format::context::Output>,
    resolution: Resolution,
    rate: Rational,
    frames: i64,
    path: PathBuf,
    /// Where it lies until then.
    part: PathBuf,
}

impl Film {
    pub fn create(path: &Path, config: Config) -> Result<Film, Error> {
        init();
        let codec = ffmpeg::encoder::find_by_name("libx264").ok_or(Error::Missing("libx264 encoder"))?;
        let context = ffmpeg::codec::Context::new_with_codec(codec);
        let mut video = context.encoder().video().map_err(Error::ffmpeg("opening libx264"))?;
        let rate = Rational(config.frames_per_second as i32, 1);
        video.set_width(config.resolution.width);
        video.set_height(config.resolution.height);
        video.set_format(Pixel::YUV420P);
        video.set_time_base(rate.invert());
        video.set_frame_rate(Some(rate));
        video.set_flags(ffmpeg::codec::Flags::GLOBAL_HEADER);
        video.set_color_range(match config.colour.range {
            Range::Limited => ffmpeg::color::Range::MPEG,
            Range::Full => ffmpeg::color::Range::JPEG,
        });
        let (space, primaries, transfer) = match config.colour.matrix {
            Matrix::Bt709 => (
                ffmpeg::color::Space::BT709,
                ffi::AVColorPrimaries::AVCOL_PRI_BT709,
                ffi::AVColorTransferCharacteristic::AVCOL_TRC_BT709,
            ),
            Matrix::Bt601 => (
                ffmpeg::color::Space::SMPTE170M,
                ffi::AVColorPrimaries::AVCOL_PRI_SMPTE170M,
                ffi::AVColorTransferCharacteristic::AVCOL_TRC_SMPTE170M,
            ),
        };
        video.set_colorspace(space);
        // SAFETY: plain fields of a context that is not open yet.
        unsafe {
            let raw = video.as_mut_ptr();
            (*raw).color_primaries = primaries;
            (*raw).color_trc = transfer;
            (*raw).chroma_sample_location = ffi::AVChromaLocation::AVCHROMA_LOC_LEFT;
        }
        let mut options = Dictionary::new();
        options.set("preset", "veryfast");
        options.set("crf", "18");
        let encoder = video.open_as_with(codec, options).map_err(Error::ffmpeg("opening libx264"))?;

        let part = part_of(path);
        let mut output = format::output_as(&part, "mp4").map_err(Error::ffmpeg("making the file"))?;
        // From here on a film that is given up takes its file with it.
        let mut film =
            Film { encoder, output: None, resolution: config.resolution, rate, frames: 0, path: path.into(), part };
        output.add_stream_with(&film.encoder).map_err(Error::ffmpeg("laying out the file"))?;
        let mut options = Dictionary::new();
        options.set("movflags", "+faststart");
        output.write_header_with(options).map_err(Error::ffmpeg("writing the file"))?;
        film.output = Some(output);
        Ok(film)
    }

    /// Adds a picture of the film's size; it is shown for one frame.
    pub fn push(&mut self, picture: &Arc<Picture>) -> Result<(), Error> {
        let mut frame = shared(picture, self.resolution)?;
        frame.set_pts(Some(self.frames));
        self.frames += 1;
        self.encoder.send_frame(&frame).map_err(Error::ffmpeg("encoding H.264"))?;
        self.write()
    }

    /// Ends the file, and gives it its name.
    pub fn finish(mut self) -> Result<(), Error> {
        self.encoder.send_eof().map_err(Error::ffmpeg("encoding H.264"))?;
        self.write()?;
        if let Some(mut output) = self.output.take() {
            output.write_trailer().map_err(Error::ffmpeg("writing the file"))?;
        }
        let errno = |error: std::io::Error| ffmpeg::Error::Other { errno: error.raw_os_error().unwrap_or_default() };
        fs::rename(&self.part, &self.path).map_err(|error| Error::ffmpeg("naming the file")(errno(error)))
    }

    /// Moves what the encoder has ready into the file.
    fn write(&mut self) -> Result<(), Error> {
        let Some(output) = &mut self.output else { return Ok(()) };
        let mut packet = ffmpeg::Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN } | ffmpeg::Error::Eof) => return Ok(()),
                Err(error) => return Err(Error::ffmpeg("encoding H.264")(error)),
            }
            let base = output.stream(0).map_or(self.rate.invert(), |stream| stream.time_base());
            packet.set_stream(0);
            packet.set_duration(1);
            packet.rescale_ts(self.rate.invert(), base);
            packet.write_interleaved(output).map_err(Error::ffmpeg("writing the file"))?;
        }
    }
}

impl Drop for Film {
    fn drop(&mut self) {
        self.output = None;
        // A finished film has none.
        let _ = fs::remove_file(&self.part);
    }
}

/// Beside the file, so that it can be given its name in one step.
fn part_of(path: &Path) -> PathBuf {
    let mut part = OsString::from(path);
    part.push(".part");
    part.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Pool;

    const SIZE: Resolution = Resolution::new(64, 48);

    fn film(path: &Path) -> Result<Film, Error> {
        Film::create(path, Config { resolution: SIZE, colour: Colour::BT709, frames_per_second: 25 })
    }

    fn shade(pool: &Pool, luma: u8) -> Arc<Picture> {
        let mut picture = pool.take(Colour::BT709);
        picture.fill([luma, 128, 128]);
        picture.freeze()
    }

    #[test]
    fn a_film_has_every_picture_in_order_and_its_index_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.mp4");
        let (mut film, pool) = (film(&path).unwrap(), Pool::new(SIZE));
        (0..50).for_each(|n| film.push(&shade(&pool, 40 + 3 * n)).unwrap());
        assert!(!path.exists(), "half a film bears no name");
        film.finish().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        let bytes = fs::read(&path).unwrap();
        let place = |name: &[u8]| bytes.windows(4).position(|at| at == name).unwrap();
        assert!(place(b"moov") < place(b"mdat"));

        let mut input = format::input(&path).unwrap();
        let stream = input.stream(0).unwrap();
        assert_eq!((stream.frames(), stream.avg_frame_rate()), (50, Rational(25, 1)));
        let context = ffmpeg::codec::Context::from_parameters(stream.parameters()).unwrap();
        let mut decoder = context.decoder().video().unwrap();
        let mut shades = Vec::new();
        let mut frame = ffmpeg::frame::Video::empty();
        for (_, packet) in input.packets() {
            decoder.send_packet(&packet).unwrap();
            while decoder.receive_frame(&mut frame).is_ok() {
                shades.push(frame.data(0)[10]);
                assert_eq!(frame.color_space(), ffmpeg::color::Space::BT709);
            }
        }
        decoder.send_eof().unwrap();
        while decoder.receive_frame(&mut frame).is_ok() {
            shades.push(frame.data(0)[10]);
        }
        assert_eq!(shades.len(), 50);
        assert!(shades.iter().zip(0u8..).all(|(shade, n)| shade.abs_diff(40 + 3 * n) <= 2), "{shades:?}");
    }

    #[test]
    fn a_film_given_up_leaves_nothing() {
        assert!(film(Path::new("/no/such/folder/film.mp4")).is_err());
        let folder = tempfile::tempdir().unwrap();
        let mut film = film(&folder.path().join("film.mp4")).unwrap();
        film.push(&shade(&Pool::new(SIZE), 90)).unwrap();
        drop(film);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
