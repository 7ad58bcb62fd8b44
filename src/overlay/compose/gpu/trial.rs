//! What a device has to show before it may compose: the CPU's bits, and that it is faster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Device, Error, Gpu, Outcome};
use crate::media::{Colour, PictureMut, Pool, Resolution};
use crate::overlay::compose::glass::Mask;
use crate::overlay::compose::{Draw, DrawList, Fx, Glass, Scale, cpu};
use crate::overlay::raster::{Moves, Painting, Raster, Rect};
use crate::overlay::{Canvas, Scene};

/// A typical scene of a canvas: a card, a countdown that fades in, a ticker.
pub struct Trial {
    scene: Scene,
    rasters: [Raster; 3],
    mask: Mask,
}

/// Medians of a frame's time from the call to the blended picture.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub cpu: Duration,
    pub gpu: Duration,
}

impl Trial {
    pub fn new(size: Resolution) -> Trial {
        let colour = Colour::BT709;
        // In 1/1080 of the height.
        let layer = |x: u32, y: u32, w: u32, h: u32| {
            let part = |v: u32| (v * size.height / 1080) & !1;
            let area = Rect { x: part(x), y: part(y), w: part(w).max(4), h: part(h).max(4) }.within(Rect::of(size));
            Painting { canvas: Rect::of(size), area, rgba: every_alpha(area) }
        };
        let card = layer(40, 780, 480, 180);
        let paintings = [&card, &layer(1580, 40, 300, 100), &layer(0, 1012, 1920, 60)];
        let rasters =
            paintings.map(|painting| Raster::of(painting, colour, painting.area, &[], Moves::EVEN).ring(painting.area));
        let scene = Scene::empty(0, Canvas { resolution: size, colour });
        Trial { scene, rasters, mask: Mask::of(&card, card.area) }
    }

    pub fn list(&self) -> DrawList<'_> {
        let mut list = DrawList::new(self.scene.canvas().resolution);
        list.draws = self.rasters.iter().map(Draw::still).collect();
        list.draws[1].opacity = 200;
        list
    }

    /// A picture to draw on.
    pub fn picture(&self) -> PictureMut {
        let Canvas { resolution, colour } = self.scene.canvas();
        let mut picture = Pool::new(resolution).take(colour);
        for index in 0..3 {
            let (samples, _) = picture.plane_mut(index);
            samples.iter_mut().zip(0u32..).for_each(|(sample, n)| *sample = (n ^ (n >> 7)) as u8);
        }
        picture
    }

    /// The same with all that shaders can do.
    fn busy(&self) -> DrawList<'_> {
        let mut list = self.list();
        list.glasses = vec![Glass { mask: &self.mask, dx: 4, dy: -2, opacity: 230 }];
        list.draws[0].scale = Some(Scale { x: 70_000, y: 60_000, about: (60, 90) });
        list.draws[1].fx = Fx::Ring { left: 100 };
        list.draws[2].fx = Fx::Shimmer { phase: 90, reach: 60 };
        list
    }
}

/// Draws with every shader, which compiles them, and compares with the CPU's bits.
pub fn prove(device: &Arc<Device>) -> Result<(), Error> {
    let trial = Trial::new(Resolution::new(320, 180));
    let mut gpu = Gpu::new(device.clone());
    gpu.patience = COMPILING;
    for list in [trial.list(), trial.busy()] {
        let (mut ours, mut theirs) = (trial.picture(), trial.picture());
        cpu::draw(&list, &mut ours, &mut cpu::Scratch::default());
        let same = |(mut ours, mut theirs): (PictureMut, PictureMut)| {
            (0..3).all(|index| ours.plane_mut(index).0 == theirs.plane_mut(index).0)
        };
        let adapter = device.adapter().to_owned();
        match gpu.draw(&list, &mut theirs) {
            Ok(Outcome::Drawn) if same((ours, theirs)) => {}
            Ok(_) => return Err(Error::Wrong { adapter }),
            Err(_) => return Err(Error::Shaders { adapter, reason: device.reported().unwrap_or_default() }),
        }
    }
    Ok(())
}

/// The device, if it composes faster than the CPU.
pub fn faster(device: Arc<Device>) -> Option<Arc<Device>> {
    let times = measure(&device)?;
    let faster = times.gpu < times.cpu;
    tracing::info!(
        adapter = device.adapter(),
        gpu_us = times.gpu.as_micros(),
        cpu_us = times.cpu.as_micros(),
        "both compositors were timed over 1080p: the {} is faster",
        if faster { "graphics processor" } else { "CPU" }
    );
    faster.then_some(device)
}

/// Times both on the same frames; nothing when the device fails.
pub fn measure(device: &Arc<Device>) -> Option<Times> {
    let trial = Trial::new(Resolution::new(1920, 1080));
    let (list, mut picture) = (trial.list(), trial.picture());
    let mut gpu = Gpu::new(device.clone());
    let on_gpu = median(&mut picture, |picture| gpu.draw(&list, picture) == Ok(Outcome::Drawn))?;
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

fn every_alpha(area: Rect) -> Vec<u8> {
    let pixels = (0..area.h).flat_map(|y| (0..area.w).map(move |x| [200, x as u8, y as u8, (x / 2 + y) as u8]));
    pixels.flatten().collect()
}

/// Drivers compile at the first use.
const COMPILING: Duration = Duration::from_secs(30);
const WARM_UP: usize = 5;
const FRAMES: usize = 25;
