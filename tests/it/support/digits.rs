//! Reads numbers in a picture as a person does: by the look of each digit, without asking the server where or what they are.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::child;
use super::eye::{Area, Frame};

/// A connected patch of ink.
#[derive(Clone, Debug)]
struct Glyph {
    area: Area,
    /// Ink on a coarse grid laid over the patch's own rectangle, 0 to 1 each.
    grid: [f32; GRID_WIDTH * GRID_HEIGHT],
}

/// The digits in a part of a picture, from left to right, whatever stands between them. The part holds one line of light
/// digits on a darker ground or the other way round.
pub fn read(part: &Frame) -> String {
    let glyphs = glyphs(part);
    let tallest = glyphs.iter().map(|glyph| glyph.area.height).max().unwrap_or(0);
    let digits = glyphs.iter().filter(|glyph| glyph.area.height * 10 >= tallest * 8);
    digits.map(|glyph| nearest(glyph).to_string()).collect()
}

/// The digit that a glyph looks most like.
fn nearest(glyph: &Glyph) -> usize {
    let shape = |glyph: &Glyph| glyph.area.width as f32 / glyph.area.height as f32;
    let distance = |known: &Glyph| -> f32 {
        let ink: f32 = glyph.grid.iter().zip(&known.grid).map(|(a, b)| (a - b) * (a - b)).sum();
        ink + 60.0 * (shape(glyph) - shape(known)).powi(2)
    };
    let known = alphabet().iter().enumerate();
    known.min_by(|(_, a), (_, b)| distance(a).total_cmp(&distance(b))).map(|(digit, _)| digit).expect("ten digits")
}

/// The ten digits as another painter draws them: FreeType, through FFmpeg's `drawtext`, in the font that hawker embeds.
fn alphabet() -> &'static [Glyph] {
    static ALPHABET: OnceLock<Vec<Glyph>> = OnceLock::new();
    ALPHABET.get_or_init(|| {
        let font = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/overlay/fonts/NotoSans-Bold.ttf");
        let (width, height) = (1000, 120);
        let text = "0 1 2 3 4 5 6 7 8 9";
        let draw = format!("drawtext=fontfile={}:text='{text}':fontsize=64:fontcolor=white:x=20:y=20", font.display());
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i"]);
        ffmpeg.args([&format!("color=black:s={width}x{height}"), "-vf", &draw, "-frames:v", "1"]);
        ffmpeg.args(["-pix_fmt", "gray", "-f", "rawvideo", "-"]);
        let luma = child::run("the alphabet's painter", ffmpeg, Duration::from_secs(20));
        let drawn = glyphs(&Frame {
            rtp: 0,
            width,
            height,
            luma,
            arrived: std::time::Instant::now(),
            chroma: Default::default(),
            part: true,
        });
        assert_eq!(drawn.len(), 10, "ten digits, each of one piece");
        drawn
    })
}

/// Patches of ink from left to right; ink is what lies on the other side of the middle level than the part's border.
fn glyphs(part: &Frame) -> Vec<Glyph> {
    let (width, height) = (part.width, part.height);
    let middle = otsu(&part.luma);
    let border = (0..width).flat_map(|x| [x, (height - 1) * width + x]).map(|at| part.luma[at]);
    let light_border = border.filter(|&level| level > middle).count() > width;
    let ink: Vec<bool> = part.luma.iter().map(|&level| (level > middle) != light_border).collect();

    let mut taken = vec![false; ink.len()];
    let mut found = Vec::new();
    for start in 0..ink.len() {
        if !ink[start] || taken[start] {
            continue;
        }
        let (mut stack, mut patch) = (vec![start], Vec::new());
        taken[start] = true;
        while let Some(at) = stack.pop() {
            patch.push(at);
            let (x, y) = (at % width, at / width);
            for (x, y) in [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)] {
                if x < width && y < height && ink[y * width + x] && !taken[y * width + x] {
                    taken[y * width + x] = true;
                    stack.push(y * width + x);
                }
            }
        }
        found.extend(glyph(part, &patch, middle, light_border));
    }
    found.sort_by_key(|glyph| glyph.area.x);
    found
}

fn glyph(part: &Frame, patch: &[usize], middle: u8, light_border: bool) -> Option<Glyph> {
    let xs = patch.iter().map(|at| at % part.width);
    let ys = patch.iter().map(|at| at / part.width);
    let (left, right) = (xs.clone().min()?, xs.max()?);
    let (top, bottom) = (ys.clone().min()?, ys.max()?);
    let area = Area { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
    if area.height < SMALLEST || area.width > area.height * 2 {
        return None;
    }
    let mut grid = [0.0; GRID_WIDTH * GRID_HEIGHT];
    for (at, cell) in grid.iter_mut().enumerate() {
        let (column, row) = (at % GRID_WIDTH, at / GRID_WIDTH);
        let xs = area.x + column * area.width / GRID_WIDTH..area.x + ((column + 1) * area.width).div_ceil(GRID_WIDTH);
        let ys = area.y + row * area.height / GRID_HEIGHT..area.y + ((row + 1) * area.height).div_ceil(GRID_HEIGHT);
        let pixels = ys.flat_map(|y| xs.clone().map(move |x| y * part.width + x));
        let (inked, all) = pixels
            .fold((0, 0), |(inked, all), at| (inked + usize::from((part.luma[at] > middle) != light_border), all + 1));
        *cell = inked as f32 / all.max(1) as f32;
    }
    Some(Glyph { area, grid })
}

/// The level that parts dark from light best (Otsu 1979).
fn otsu(luma: &[u8]) -> u8 {
    let mut histogram = [0f64; 256];
    luma.iter().for_each(|&level| histogram[usize::from(level)] += 1.0);
    let total = luma.len() as f64;
    let sum: f64 = (0..256).map(|level| level as f64 * histogram[level]).sum();
    let (mut best, mut below, mut sum_below, mut threshold) = (0.0, 0.0, 0.0, 0);
    for (level, count) in histogram.iter().enumerate().take(255) {
        below += count;
        sum_below += level as f64 * count;
        if below == 0.0 || below == total {
            continue;
        }
        let difference = sum_below / below - (sum - sum_below) / (total - below);
        let between = below * (total - below) * difference * difference;
        if between > best {
            (best, threshold) = (between, level as u8);
        }
    }
    threshold
}

const GRID_WIDTH: usize = 8;
const GRID_HEIGHT: usize = 12;
/// Lower patches are dots, colons and noise.
const SMALLEST: usize = 10;

/// The rows of a panel in which its digits change from frame to frame, over its whole width. `frames` are crops of the panel.
pub fn changing_line(frames: &[Frame]) -> Option<Area> {
    let (first, rest) = frames.split_first()?;
    let changed = rest.iter().filter_map(|frame| frame.difference(&first.luma, CHANGED)).reduce(union)?;
    let margin = changed.height / 6;
    let top = changed.y.saturating_sub(margin);
    let bottom = (changed.y + changed.height + margin).min(first.height);
    let inset = first.width / 24;
    Some(Area { x: inset, y: top, width: first.width - 2 * inset, height: bottom - top })
}

/// How far a block's mean moves when another digit comes to stand in it, and hardly when the ground shines through.
const CHANGED: u32 = 16;

fn union(a: Area, b: Area) -> Area {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    let (right, bottom) = ((a.x + a.width).max(b.x + b.width), (a.y + a.height).max(b.y + b.height));
    Area { x, y, width: right - x, height: bottom - y }
}

/// The digits of a countdown that has `ticks` (90 kHz) to go: rounded up to tenths, minutes, seconds, tenth; with hours
/// and without tenths from one hour on.
pub fn expected(ticks: i64) -> String {
    let tenths = ticks.max(0).div_euclid(9000) + i64::from(ticks.max(0) % 9000 != 0);
    let seconds = tenths / 10;
    if seconds >= 3600 {
        return format!("{:02}{:02}{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    format!("{}{:02}{}", seconds / 60, seconds % 60, tenths % 10)
}

#[test]
fn digits_are_read_by_their_look() {
    let texts = ["0\\:59.3", "12\\:34.5", "01\\:26\\:78", "9\\:00.0", "6\\:88.9"];
    for (size, colour, ground) in [(24, "white", "0x202020"), (40, "black", "0xF0F0F0"), (56, "0xFFD54F", "0xB00020")] {
        for text in texts {
            let font = concat!(env!("CARGO_MANIFEST_DIR"), "/src/overlay/fonts/NotoSans-Bold.ttf");
            let draw = format!("drawtext=fontfile={font}:text='{text}':fontsize={size}:fontcolor={colour}:x=20:y=20");
            let mut ffmpeg = Command::new("ffmpeg");
            ffmpeg.args(["-loglevel", "error", "-f", "lavfi", "-i", &format!("color={ground}:s=304x84")]);
            ffmpeg.args([
                "-vf",
                &format!("{draw},format=yuv420p,format=gray"),
                "-frames:v",
                "1",
                "-f",
                "rawvideo",
                "-",
            ]);
            let luma = child::run("the digits' painter", ffmpeg, Duration::from_secs(10));
            let part = Frame {
                rtp: 0,
                width: 304,
                height: 84,
                luma,
                arrived: std::time::Instant::now(),
                chroma: Default::default(),
                part: true,
            };
            let wanted: String = text.chars().filter(char::is_ascii_digit).collect();
            assert_eq!(read(&part), wanted, "{text} at {size}");
        }
    }
}
