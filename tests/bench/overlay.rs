//! The overlay's share of a frame: three layers at 1080p blended into frames that are not in the cache, beside ffmpeg's overlay
//! filter doing the same; the frame's copy, the painting of a card and frosted glass apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hawker::media::{Colour, MediaTime, Pool, Resolution};
use hawker::overlay::compose::cpu;
use hawker::overlay::{Canvas, Ground, LayerSpec, Locale, Painter, PainterConfig, PhaseSpec, Scene, Staging};
use serde_json::json;

use crate::machine::{cpu_of_this_thread, load, quantile};

const SIZE: Resolution = Resolution::new(1920, 1080);
const CANVAS: Canvas = Canvas { resolution: SIZE, colour: Colour::BT709 };
/// So many frames in turn are more than any cache holds.
const FRAMES: usize = 16;
const ROUNDS: usize = 600;

pub fn measure() {
    println!("load {}", load());
    let folder = tempfile::tempdir().expect("a folder is made");
    let painter = painter(folder.path());
    let scene = painter.paint(1, &layers(), &staging()).expect("the layers are painted");
    let pool = Pool::new(SIZE);
    let mut pictures: Vec<_> = (0..FRAMES).map(|_| pool.take(CANVAS.colour)).collect();
    pictures.iter_mut().for_each(|picture| picture.fill([90, 120, 140]));

    let mut scratch = cpu::Scratch::default();
    let mut cold = blend(&scene, &mut pictures, &mut scratch, true);
    let mut hot = blend(&scene, &mut pictures, &mut scratch, false);
    let blended = quantile(&mut cold, 0.5);
    println!(
        "blend of three layers, CPU µs a frame: cold median {blended:.1}, p99 {:.1}; hot median {:.1}",
        quantile(&mut cold, 0.99),
        quantile(&mut hot, 0.5)
    );
    let mut copies = copy(&mut pictures);
    println!("copy of the frame, CPU µs: median {:.1}", quantile(&mut copies, 0.5));

    let theirs = ffmpeg(folder.path());
    println!("ffmpeg overlay filter, same layers, CPU µs a frame: {theirs:.1}; ratio {:.2}", blended / theirs);

    let glass =
        painter.paint(2, &[layer("glass", "glass", 0, json!({}), None)], &staging()).expect("the glass is painted");
    let mut frosted = blend(&glass, &mut pictures, &mut scratch, true);
    println!("frosted glass 480x180 alone, CPU µs a frame: cold median {:.1}", quantile(&mut frosted, 0.5));

    let mut cards = paint_cards(&painter);
    println!(
        "painting of a full card, CPU ms: median {:.2}, p99 {:.2}; load {}",
        quantile(&mut cards, 0.5),
        quantile(&mut cards, 0.99),
        load()
    );
}

/// CPU time of each frame's blend, in µs; the countdown ticks at 10 Hz.
fn blend(
    scene: &Scene,
    pictures: &mut [hawker::media::PictureMut],
    scratch: &mut cpu::Scratch,
    cold: bool,
) -> Vec<f64> {
    let times = (0..ROUNDS).map(|round| {
        let picture = &mut pictures[if cold { round % FRAMES } else { 0 }];
        let at = MediaTime::from_ticks(90_000 * 100) + Duration::from_micros(round as u64 * 33_333);
        let before = cpu_of_this_thread();
        cpu::draw(&scene.frame(at, Ground::Live), picture, scratch);
        (cpu_of_this_thread() - before).as_secs_f64() * 1e6
    });
    times.collect()
}

fn copy(pictures: &mut [hawker::media::PictureMut]) -> Vec<f64> {
    let pool = Pool::new(SIZE);
    let mut originals: Vec<_> = (0..4).map(|_| pool.take(CANVAS.colour)).collect();
    originals.iter_mut().for_each(|picture| picture.fill([90, 120, 140]));
    let originals: Vec<_> = originals.into_iter().map(hawker::media::PictureMut::freeze).collect();
    let times = (0..ROUNDS).map(|round| {
        let picture = &mut pictures[round % FRAMES];
        let before = cpu_of_this_thread();
        picture.copy_from(&originals[round % 4]);
        (cpu_of_this_thread() - before).as_secs_f64() * 1e6
    });
    times.collect()
}

/// CPU time of each painting of a card with a new title, in ms.
fn paint_cards(painter: &Painter) -> Vec<f64> {
    let times = (0..60).map(|n| {
        let values = json!({ "title": format!("Nước hoa hồng for long evenings, edition {n}"), "price": "$24.90",
            "old_price": "$49.90", "discount": "-50%", "sold_out": false, "label": "FLASH" });
        let spec = layer("card", "card", 0, values, None);
        let before = cpu_of_this_thread();
        painter.paint(n, &[spec], &staging()).expect("the card is painted");
        (cpu_of_this_thread() - before).as_secs_f64() * 1e3
    });
    times.skip(5).collect()
}

/// CPU time that ffmpeg's overlay filter takes for a frame, in µs: the difference of two runs that read the same raw frames.
fn ffmpeg(folder: &Path) -> f64 {
    let raw = folder.join("frames.yuv");
    fs::write(&raw, vec![110u8; SIZE.width as usize * SIZE.height as usize * 3 / 2 * FRAMES])
        .expect("frames are written");
    let run = |overlays: bool| {
        let frames = 1200;
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-benchmark", "-threads", "1", "-filter_complex_threads", "1"]);
        command.args([
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-s",
            "1920x1080",
            "-r",
            "30",
            "-stream_loop",
            "-1",
            "-i",
        ]);
        command.arg(&raw);
        for size in ["480x180", "300x100", "1920x60"] {
            command.args(["-f", "lavfi", "-i", &format!("color=c=0x202030@0.85:s={size}:d=0.04,format=yuva420p")]);
        }
        let graph = if overlays {
            "[0:v][1:v]overlay=40:780:eof_action=repeat[a];[a][2:v]overlay=1580:40:eof_action=repeat[b];[b][3:v]overlay=0:1010:eof_action=repeat[v]"
        } else {
            "[0:v]null[v];[1:v]nullsink;[2:v]nullsink;[3:v]nullsink"
        };
        command.args([
            "-filter_complex",
            graph,
            "-map",
            "[v]",
            "-frames:v",
            &frames.to_string(),
            "-c:v",
            "wrapped_avframe",
            "-f",
            "null",
            "-",
        ]);
        let output = command.output().expect("ffmpeg runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let spent = |name: &str| -> f64 {
            let at = said.rfind(name).unwrap_or_else(|| panic!("no {name} in: {said}")) + name.len();
            said[at..].split('s').next().and_then(|number| number.parse().ok()).expect("a time is told")
        };
        (spent("utime=") + spent("stime=")) * 1e6 / f64::from(frames)
    };
    let mut differences: Vec<f64> = (0..5).map(|_| run(true) - run(false)).collect();
    quantile(&mut differences, 0.5)
}

fn layers() -> Vec<LayerSpec> {
    let ends = Some(MediaTime::from_ticks(90_000 * 500));
    vec![
        layer("box", "box", 0, json!({}), None),
        layer("clock", "clock", 1, json!({}), ends),
        layer("band", "band", 2, json!({}), None),
    ]
}

fn layer(id: &str, template: &str, z: i32, values: serde_json::Value, ends: Option<MediaTime>) -> LayerSpec {
    let phase = PhaseSpec { values, ends, images: BTreeMap::new(), ..PhaseSpec::default() };
    LayerSpec { id: id.into(), template: template.into(), ground: None, z, phases: vec![phase], hits: vec![] }
}

fn staging() -> Staging {
    Staging { canvas: CANVAS, theme: "bench".to_owned(), locale: Locale::default() }
}

/// A painter that knows layers of just these sizes, and `boutique`'s card.
fn painter(folder: &Path) -> Painter {
    let theme = folder.join("bench");
    fs::create_dir(&theme).expect("a folder is made");
    let cut = json!({ "kind": "cut" });
    let layer = |glass: bool| json!({ "anchor": "fill", "glass": glass, "enter": cut, "exit": cut, "change": cut });
    let layers = json!({ "box": layer(false), "clock": layer(false), "band": layer(false), "glass": layer(true) });
    let manifest = json!({ "title": "Bench", "extends": "boutique", "layers": layers });
    fs::write(theme.join("theme.json"), manifest.to_string()).expect("a manifest is written");
    let boxed = |name: &str, place: &str, inner: &str| {
        let style = format!(
            ".b {{ position: absolute; {place}; border-radius: 16px; background: rgba(32, 32, 48, 0.85); color: #fff; \
             font-family: 'Noto Sans'; font-size: 40px; overflow: hidden }} .d {{ display: inline-block; width: 28px }}"
        );
        let template = format!("<style>{style}</style><div id=\"glass\" class=\"b\">{inner}</div>");
        fs::write(theme.join(format!("{name}.html")), template).expect("a template is written");
    };
    let digits = "{% for place in clock %}<div class=\"d\"{% if place.cell %} id=\"{{ place.cell }}\"{% endif %}>\
                  {{ place.text }}</div>{% endfor %}";
    boxed("box", "left: 40px; top: 780px; width: 480px; height: 180px", "Lamp $24.90");
    boxed("clock", "left: 1580px; top: 40px; width: 300px; height: 100px; display: flex", digits);
    boxed("band", "left: 0; top: 1010px; width: 1920px; height: 60px", "Free delivery today");
    boxed("glass", "left: 40px; top: 780px; width: 480px; height: 180px", "");
    let config = PainterConfig { themes: Some(folder.to_owned()), ..PainterConfig::default() };
    let painter = Painter::new(config).expect("the painter starts");
    assert!(painter.problems().is_empty(), "{:?}", painter.problems());
    painter
}
