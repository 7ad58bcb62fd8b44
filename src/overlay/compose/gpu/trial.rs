//! Which is faster here: a typical scene, drawn by both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Device, Gpu, Outcome};
use crate::media::{Colour, PictureMut, Pool, Resolution};
use crate::overlay::compose::{Draw, DrawList, cpu};
use crate::overlay::raster::{Moves, Painting, Raster, Rect};
use crate::overlay::{Canvas, Scene};

/// Medians of a frame's time from the call to the blended picture.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub cpu: Duration,
    pub gpu: Duration,
}

/// The device, if it composes faster than the CPU.
pub fn is_faster(device: Arc<Device>) -> Option<Arc<Device>> {
    let times = measure(&device)?;
    let faster = times.gpu < times.cpu;
    tracing::info!(
        adapter = device.adapter(),
        gpu_us = times.gpu.as_micros(),
        cpu_us = times.cpu.as_micros(),
        "both compositors were timed: the {} is faster",
        if faster { "graphics processor" } else { "CPU" }
    );
    faster.then_some(device)
}

/// Times both on the same frames; nothing when the device fails.
pub fn measure(device: &Arc<Device>) -> Option<Times> {
    let scene = Scene::empty(0, Canvas { resolution: SIZE, colour: Colour::BT709 });
    let rasters = LAYERS.map(layer);
    let mut list = DrawList::new(&scene);
    list.draws = rasters.iter().map(Draw::still).collect();
    list.draws[0].opacity = 200;
    let mut picture = Pool::new(SIZE).take(Colour::BT709);
    picture.fill([90, 110, 150]);

    let mut gpu = Gpu::new(device.clone());
    let on_gpu = median(&mut picture, |picture| gpu.draw(&list, picture).ok() == Some(Outcome::Drawn))?;
    let mut scratch = cpu::Scratch::default();
    let on_cpu = median(&mut picture, |picture| {
        cpu::draw(&list, picture, &mut scratch);
        true
    })?;
    Some(Times { cpu: on_cpu, gpu: on_gpu })
}

fn median(picture: &mut PictureMut, mut draw: impl FnMut(&mut PictureMut) -> bool) -> Option<Duration> {
    let mut times = Vec::with_capacity(FRAMES);
    for frame in 0..WARM_UP + FRAMES {
        let begun = Instant::now();
        if !draw(picture) {
            return None;
        }
        if frame >= WARM_UP {
            times.push(begun.elapsed());
        }
    }
    times.sort();
    times.get(FRAMES / 2).copied()
}

/// A layer with every alpha.
fn layer(area: Rect) -> Raster {
    let pixels = (0..area.h).flat_map(|y| (0..area.w).map(move |x| [200, x as u8, y as u8, (x / 2 + y) as u8]));
    let painting = Painting { canvas: Rect::of(SIZE), area, rgba: pixels.flatten().collect() };
    Raster::of(&painting, Colour::BT709, area, &[], Moves::EVEN)
}

const SIZE: Resolution = Resolution::new(1920, 1080);
/// A card, a countdown and a ticker.
const LAYERS: [Rect; 3] = [
    Rect { x: 40, y: 780, w: 480, h: 180 },
    Rect { x: 1580, y: 40, w: 300, h: 100 },
    Rect { x: 0, y: 1012, w: 1920, h: 60 },
];
const WARM_UP: usize = 5;
const FRAMES: usize = 25;
