//! What the publishers send: pictures that can be told apart and told right, and beeps that tell their second.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::child;
use super::strip::Strip;

/// A test film. Frame `n` is a pure function of `n`, so whoever receives it can compare it with the original: a noisy
/// panorama that pans, and a strip with the frame's number. In the sound a beep of 100 ms starts on every full second;
/// its pitch tells the second (see `ear`). Encoded once a machine as OBS would encode it, then pushed as a copy, so that a
/// publisher costs next to nothing while others are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clip {
    pub width: usize,
    pub height: usize,
    pub frames_per_second: usize,
    pub seconds: usize,
    pub b_frames: u32,
    /// Frames from keyframe to keyframe.
    pub keyframe_every: usize,
    /// Whether the panorama pans; in a still clip only the strip changes.
    pub moving: bool,
    /// AAC at this many hertz and channels.
    pub sound: Option<(u32, u32)>,
}

impl Clip {
    /// What OBS sends when nobody touched its settings: High, three B-frames, a keyframe every 250 frames, CBR
    /// 2500 kb/s, AAC 160 kb/s at 48 kHz stereo.
    pub fn obs() -> Clip {
        Clip {
            width: 1280,
            height: 720,
            frames_per_second: 30,
            seconds: 40,
            b_frames: 3,
            keyframe_every: 250,
            moving: true,
            sound: Some((48_000, 2)),
        }
    }

    pub fn number_of_frames(&self) -> usize {
        self.frames_per_second * self.seconds
    }

    /// Frame `n` as I420: luma, then both chroma planes.
    pub fn frame(&self, n: usize) -> Vec<u8> {
        let (width, height) = (self.width, self.height);
        let mut picture = vec![128u8; width * height * 3 / 2];
        let (luma, chroma) = picture.split_at_mut(width * height);
        let pan = if self.moving { n * 4 } else { 0 };
        for (y, row) in luma.chunks_exact_mut(width).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = panorama(x + pan, y);
            }
        }
        let (u, v) = chroma.split_at_mut(width * height / 4);
        for (y, (u, v)) in u.chunks_exact_mut(width / 2).zip(v.chunks_exact_mut(width / 2)).enumerate() {
            for (x, (u, v)) in u.iter_mut().zip(v).enumerate() {
                let (x, y) = ((2 * x + pan) / 64, 2 * y / 64);
                (*u, *v) = (112 + noise(x, y + 1000) % 32, 112 + noise(x, y + 2000) % 32);
            }
        }
        let strip = Strip::of(width, height);
        strip.draw(luma, width, n as u16);
        for plane in [u, v] {
            for row in strip.top / 2..(strip.top + strip.side) / 2 {
                let start = row * width / 2 + strip.left / 2;
                plane[start..start + super::strip::CELLS * strip.side / 2].fill(128);
            }
        }
        picture
    }

    /// The encoded clip, made now when this machine has not made it yet.
    pub fn path(&self) -> PathBuf {
        let sound = self.sound.map_or("silent".to_owned(), |(rate, channels)| format!("{rate}x{channels}"));
        let picture = self.encoded(
            &format!(
                "{}x{}at{}b{}k{}-{}-{}s",
                self.width,
                self.height,
                self.frames_per_second,
                self.b_frames,
                self.keyframe_every,
                if self.moving { "moving" } else { "still" },
                self.seconds
            ),
            |path| self.encode_picture(path),
        );
        let name = format!("{}-{sound}", picture.file_stem().expect("a clip has a name").to_string_lossy());
        self.encoded(&name, |path| self.add_sound(&picture, path))
    }

    /// The file of that name among the clips; made under another name and moved, so that it is whole when it is there.
    fn encoded(&self, name: &str, make: impl FnOnce(&Path)) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("clips-{REVISION}"));
        std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let path = folder.join(format!("{name}.mp4"));
        if !path.exists() {
            let unfinished = folder.join(format!("{name}.{}.mp4", std::process::id()));
            make(&unfinished);
            std::fs::rename(&unfinished, &path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        path
    }

    fn encode_picture(&self, path: &Path) {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"]);
        ffmpeg.args(["-s", &format!("{}x{}", self.width, self.height), "-r", &self.frames_per_second.to_string()]);
        ffmpeg.args(["-i", "pipe:0", "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high"]);
        let kilobits = self.width * self.height * 2500 / (1280 * 720);
        let rate = format!("{kilobits}k");
        ffmpeg.args(["-b:v", &rate, "-maxrate", &rate, "-bufsize", &rate, "-g", &self.keyframe_every.to_string()]);
        ffmpeg.args(["-x264-params", "nal-hrd=cbr:scenecut=0", "-bf", &self.b_frames.to_string()]);
        ffmpeg.args(["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv"]);
        ffmpeg.arg(path);
        let (mut child, mut stdin) = child::Child::spawn_fed("the clip's encoder", ffmpeg);
        for n in 0..self.number_of_frames() {
            let written = stdin.write_all(&self.frame(n));
            assert!(written.is_ok(), "ffmpeg took no more at frame {n}: {:?}", child.said());
        }
        drop(stdin);
        let status = child.wait();
        assert!(status.success(), "ffmpeg {status}: {:?}", child.said());
    }

    fn add_sound(&self, picture: &Path, path: &Path) {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-loglevel", "error", "-y", "-i"]).arg(picture);
        if let Some((rate, channels)) = self.sound {
            let layout = if channels == 1 { "mono" } else { "stereo" };
            let beeps = super::ear::beeps();
            let source = format!("aevalsrc='{beeps}':s={rate}:d={},aformat=channel_layouts={layout}", self.seconds);
            ffmpeg.args(["-f", "lavfi", "-i", &source, "-c:a", "aac", "-b:a", "160k"]);
        }
        ffmpeg.args(["-c:v", "copy", "-movflags", "+faststart"]).arg(path);
        child::run("the clip's sound", ffmpeg, Duration::from_secs(60));
    }
}

/// Broad shapes under fine noise, as a camera's picture has them.
fn panorama(x: usize, y: usize) -> u8 {
    let broad = (x / 5 + y / 7) % 160;
    let broad = if broad < 80 { broad } else { 160 - broad };
    (60 + broad) as u8 + noise(x / 80, y / 60) % 40 + noise(x / 2, y / 2) % 8
}

fn noise(x: usize, y: usize) -> u8 {
    let mixed = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA6B);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x2C1B_3C6D);
    (mixed >> 24) as u8
}

/// Rises with every change to what a clip holds, so that no old one is taken for it.
const REVISION: u32 = 1;
