//! The device against the CPU, to the bit. Runs on whatever Vulkan there is; Mesa's is enough.

use std::sync::OnceLock;

use serde_json::json;

use super::*;
use crate::media::frame::{Matrix, Range};
use crate::media::{Colour, MediaTime, Pool, Resolution};
use crate::overlay::compose::glass::Mask;
use crate::overlay::compose::{Draw, Drawn, Engine, Fx, Glass, Scale, cpu, fx};
use crate::overlay::locale::Locale;
use crate::overlay::raster::{Moves, Painting, Raster, Rect};
use crate::overlay::{Canvas, Ground, LayerSpec, Painter, PainterConfig, PhaseSpec, Scene, Staging};

const COLOURS: [Colour; 4] = [
    Colour::BT709,
    Colour::BT601,
    Colour { matrix: Matrix::Bt709, range: Range::Full },
    Colour { matrix: Matrix::Bt601, range: Range::Full },
];

/// One for all tests, as one serves all shows.
fn device() -> Arc<Device> {
    static DEVICE: OnceLock<Arc<Device>> = OnceLock::new();
    DEVICE.get_or_init(|| Arc::new(open())).clone()
}

fn open() -> Device {
    Device::open(Search::Any).unwrap_or_else(|error| {
        panic!("{error}; these tests need Vulkan, in software at least: apt-get install mesa-vulkan-drivers")
    })
}

/// Noise that is the same at every run (xorshift).
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 >> 3
    }

    fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }

    fn within(&mut self, from: i32, to: i32) -> i32 {
        from + self.below((to - from) as u32) as i32
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u32) as usize]
    }
}

/// Every colour and alpha, with much that is transparent and much that is opaque.
fn painting(noise: &mut Noise, size: Resolution) -> Painting {
    let canvas = Rect::of(size);
    let area = Rect { x: noise.below(size.width / 2), y: noise.below(size.height / 2), w: 0, h: 0 };
    let area = Rect { w: 1 + noise.below(size.width - area.x), h: 1 + noise.below(size.height - area.y), ..area };
    let area = area.even().within(canvas);
    let rgba = (0..area.w * area.h).flat_map(|_| {
        let pixel = noise.next();
        let alpha = match pixel >> 24 & 3 {
            0 => 0,
            1 => 255,
            _ => pixel as u8,
        };
        [(pixel >> 8) as u8, if alpha == 255 { 255 } else { (pixel >> 16) as u8 }, (pixel >> 4) as u8, alpha]
    });
    Painting { canvas, area, rgba: rgba.collect() }
}

struct Props {
    rasters: Vec<Raster>,
    masks: Vec<Mask>,
    canvas: Canvas,
}

impl Props {
    fn new(noise: &mut Noise, size: Resolution, colour: Colour) -> Props {
        let rasters = (0..6).map(|n| {
            let painting = painting(noise, size);
            let raster = Raster::of(&painting, colour, painting.ink(), &[], Moves::ANY);
            if n % 2 == 0 { raster.ring(painting.area) } else { raster }
        });
        let rasters = rasters.collect();
        let masks = (0..2).map(|_| {
            let painting = painting(noise, size);
            Mask::of(&painting, painting.area)
        });
        Props { rasters, masks: masks.collect(), canvas: Canvas { resolution: size, colour } }
    }

    fn glass<'s>(&'s self, noise: &mut Noise) -> Glass<'s> {
        Glass {
            mask: &self.masks[noise.below(2) as usize],
            dx: noise.within(-20, 20) & !1,
            dy: noise.within(-10, 10) & !1,
            opacity: noise.one_of(&[0, 1, 90, 254, 255]),
        }
    }

    fn draw<'s>(&'s self, noise: &mut Noise) -> Draw<'s> {
        let raster = &self.rasters[noise.below(6) as usize];
        let size = self.canvas.resolution;
        let clip =
            Rect { x: noise.below(size.width), y: noise.below(size.height), w: noise.below(80), h: noise.below(40) };
        let scale = Scale {
            x: noise.one_of(&[65536, 1 << 15, 70_000, 200_001, 9_999]),
            y: noise.one_of(&[65536, 60_000, 131_072, 20_000]),
            about: (noise.within(-10, size.width as i32), noise.within(-10, size.height as i32)),
        };
        let shimmer = Fx::Shimmer { phase: noise.within(-60, 400), reach: 1 + noise.below(200) as i32 };
        let ring = Fx::Ring { left: noise.below(258) };
        Draw {
            raster,
            dx: noise.within(-40, 40),
            dy: noise.within(-20, 20),
            opacity: noise.one_of(&[0, 1, 77, 200, 254, 255, 255, 255]),
            clip: (noise.below(3) == 0).then_some(clip.even().within(Rect::of(size))),
            scale: (noise.below(4) == 0).then_some(scale),
            fx: noise.one_of(&[Fx::None, Fx::None, shimmer, ring]),
        }
    }
}

fn noisy(noise: &mut Noise, canvas: Canvas) -> PictureMut {
    let mut picture = Pool::new(canvas.resolution).take(canvas.colour);
    for index in 0..3 {
        picture.plane_mut(index).0.fill_with(|| noise.next() as u8);
    }
    picture
}

fn copy(of: &mut PictureMut) -> PictureMut {
    let mut copy = Pool::new(of.resolution()).take(of.colour());
    for index in 0..3 {
        let (from, _) = of.plane_mut(index);
        copy.plane_mut(index).0.copy_from_slice(from);
    }
    copy
}

/// Draws a list on both, and names the first sample that differs.
#[track_caller]
fn compare(gpu: &mut Gpu, list: &DrawList<'_>, picture: &mut PictureMut, of: &str) {
    let (mut by_cpu, mut by_gpu) = (copy(picture), copy(picture));
    cpu::draw(list, &mut by_cpu, &mut cpu::Scratch::default());
    let outcome = gpu.draw(list, &mut by_gpu);
    assert_eq!(outcome, Ok(Outcome::Drawn), "{of}: {:?}", gpu.device.reported());
    for index in 0..3 {
        let (expected, stride) = by_cpu.plane_mut(index);
        let (actual, _) = by_gpu.plane_mut(index);
        if let Some(at) = expected.iter().zip(&*actual).position(|(expected, actual)| expected != actual) {
            let (x, y) = (at % stride, at / stride);
            panic!("{of}: plane {index} at {x},{y}: CPU {}, GPU {}: {:#?}", expected[at], actual[at], list.draws());
        }
    }
}

#[test]
fn moved_faded_clipped_scaled_lit_and_frosted_layers_have_the_cpus_bits() {
    let mut gpu = Gpu::new(device());
    for (round, size) in (0..).zip([(150, 46), (128, 128), (202, 90), (64, 200)]) {
        let size = Resolution::new(size.0, size.1);
        let mut noise = Noise(round * 7919 + 1);
        let colour = COLOURS[round as usize % 4];
        let props = Props::new(&mut noise, size, colour);
        let scene = Scene::empty(0, props.canvas);
        let mut picture = noisy(&mut noise, props.canvas);
        for frame in 0..40 {
            let mut list = DrawList::new(scene.canvas().resolution);
            list.glasses = (0..noise.below(3)).map(|_| props.glass(&mut noise)).collect();
            list.draws = (0..noise.below(7)).map(|_| props.draw(&mut noise)).collect();
            compare(&mut gpu, &list, &mut picture, &format!("{size}, frame {frame}"));
        }
    }
}

#[test]
fn every_parity_of_a_move_has_the_cpus_bits_in_every_colour() {
    let mut gpu = Gpu::new(device());
    for colour in COLOURS {
        let (mut noise, size) = (Noise(4711), Resolution::new(150, 46));
        let props = Props::new(&mut noise, size, colour);
        let scene = Scene::empty(0, props.canvas);
        let mut picture = noisy(&mut noise, props.canvas);
        for (dx, dy) in (-3..3).flat_map(|dx| (-3..3).map(move |dy| (dx, dy))) {
            let mut list = DrawList::new(scene.canvas().resolution);
            list.draws = props.rasters.iter().map(|raster| Draw { dx, dy, ..Draw::still(raster) }).collect();
            compare(&mut gpu, &list, &mut picture, &format!("{colour:?} moved by {dx},{dy}"));
        }
    }
}

#[test]
fn white_scaled_and_faded_over_white_stays_white() {
    let (mut noise, size) = (Noise(12), Resolution::new(96, 64));
    let colour = Colour { matrix: Matrix::Bt709, range: Range::Full };
    let (canvas, mut gpu) = (Rect::of(size), Gpu::new(device()));
    let pixels = (0..size.width * size.height).flat_map(|_| [255, 255, 255, noise.next() as u8]);
    let painting = Painting { canvas, area: canvas, rgba: pixels.collect() };
    let raster = Raster::of(&painting, colour, canvas, &[], Moves::EVEN);
    let scene = Scene::empty(0, Canvas { resolution: size, colour });
    let mut picture = Pool::new(size).take(colour);
    picture.fill([255, 128, 128]);
    for opacity in 1..=255 {
        let mut list = DrawList::new(scene.canvas().resolution);
        let scale = Some(Scale { x: 81_111, y: 77_777, about: (50, 30) });
        list.draws = vec![Draw { opacity, scale, ..Draw::still(&raster) }];
        compare(&mut gpu, &list, &mut picture, &format!("opacity {opacity}"));
        let mut drawn = copy(&mut picture);
        cpu::draw(&list, &mut drawn, &mut cpu::Scratch::default());
        let (luma, stride) = drawn.plane_mut(0);
        let darkest = luma.chunks(stride).flat_map(|row| &row[..size.width as usize]).min();
        assert!(darkest >= Some(&254), "opacity {opacity}: {darkest:?}");
    }
}

#[test]
fn painted_scenes_of_every_theme_come_stay_and_go_with_the_cpus_bits() {
    let painter = Painter::new(PainterConfig::default()).unwrap();
    let at = |seconds: f64| MediaTime::from_ticks((seconds * 90_000.0) as i64);
    let layer = |kind: &str, z, phase: PhaseSpec| LayerSpec {
        id: kind.into(),
        template: kind.into(),
        z,
        ground: None,
        hits: vec![],
        phases: vec![phase],
    };
    let card =
        json!({"title": "Candle", "price": "$9.90", "old_price": "$24.90", "discount": "-60%", "sold_out": false});
    let clock = json!({"price": "$9.90", "title": "Candle", "ended": false});
    let counted = PhaseSpec { values: clock, begins: Some(at(0.0)), ends: Some(at(20.0)), ..PhaseSpec::default() };
    let ticker = json!({"items": ["Free shipping over $30", "Ships in two days"]});
    let specs = [
        layer("card", 1, PhaseSpec { values: card, ..PhaseSpec::default() }),
        layer("countdown", 2, counted),
        layer("ticker", 3, PhaseSpec { values: ticker, ..PhaseSpec::default() }),
    ];
    let canvas = Canvas { resolution: Resolution::new(640, 360), colour: Colour::BT601 };
    let mut gpu = Gpu::new(device());
    let mut picture = noisy(&mut Noise(8), canvas);
    for theme in ["base", "boutique", "flash", "minimal"] {
        let staging = Staging { canvas, theme: theme.into(), locale: Locale::default() };
        let scene = painter.paint(2, &specs, &staging).unwrap();
        let scene = scene.following(Some(&Scene::empty(1, canvas)), at(1.0));
        let gone = Scene::empty(3, canvas).following(Some(&scene), at(8.0));
        for seconds in [1.0, 1.1, 1.25, 1.4, 2.0, 7.2, 7.6, 8.05, 8.2] {
            let shown = if seconds < 8.0 { &scene } else { &gone };
            let list = shown.frame(at(seconds), Ground::Live);
            compare(&mut gpu, &list, &mut picture, &format!("{theme} at {seconds} s"));
        }
    }
}

#[test]
fn layers_that_do_not_fit_together_are_brought_anew_and_a_frame_of_too_many_is_the_cpus() {
    let (mut noise, size) = (Noise(99), Resolution::new(150, 46));
    let props = Props::new(&mut noise, size, Colour::BT709);
    let scene = Scene::empty(0, props.canvas);
    let mut picture = noisy(&mut noise, props.canvas);
    let mut gpu = Gpu::new(device());
    let samples = |raster: &Raster| raster.luma.a.len() * 3 / 2 + 64;
    let (all, largest) = (props.rasters.iter().map(samples).sum::<usize>(), props.rasters.iter().map(samples).max());
    gpu.layers = Layers::new(&gpu.device, largest.unwrap() as u32);
    gpu.layers.most = largest.unwrap() as u32;
    for round in 0..12 {
        let mut list = DrawList::new(scene.canvas().resolution);
        list.draws = vec![Draw::still(&props.rasters[round * 5 % 6])];
        compare(&mut gpu, &list, &mut picture, &format!("round {round}"));
    }
    assert!(all > largest.unwrap());
    let mut list = DrawList::new(scene.canvas().resolution);
    list.draws = props.rasters.iter().map(Draw::still).collect();
    let held =
        |gpu: &Gpu| props.rasters.iter().map(|raster| gpu.layers.atlas.address((raster.id, 0))).collect::<Vec<_>>();
    let before = held(&gpu);
    assert_eq!(gpu.draw(&list, &mut picture), Ok(Outcome::TooLarge));
    assert_eq!(held(&gpu), before, "nothing is uploaded for a frame that is not drawn");
    list.draws.truncate(1);
    compare(&mut gpu, &list, &mut picture, "after too many");
}

#[test]
fn shows_draw_side_by_side_on_one_device() {
    let shared = device();
    std::thread::scope(|scope| {
        for show in 1..4 {
            let shared = shared.clone();
            scope.spawn(move || {
                let (mut noise, size) = (Noise(show * 31), Resolution::new(128, 96));
                let props = Props::new(&mut noise, size, Colour::BT601);
                let scene = Scene::empty(0, props.canvas);
                let (mut gpu, mut picture) = (Gpu::new(shared), noisy(&mut noise, props.canvas));
                for frame in 0..25 {
                    let mut list = DrawList::new(scene.canvas().resolution);
                    list.draws = (0..4).map(|_| props.draw(&mut noise)).collect();
                    compare(&mut gpu, &list, &mut picture, &format!("show {show}, frame {frame}"));
                }
            });
        }
    });
}

#[test]
fn a_device_that_is_lost_leaves_the_cpu_to_draw_and_loses_no_frame() {
    let (mut noise, size) = (Noise(5), Resolution::new(150, 46));
    let props = Props::new(&mut noise, size, Colour::BT709);
    let scene = Scene::empty(0, props.canvas);
    let mut list = DrawList::new(scene.canvas().resolution);
    list.draws = props.rasters.iter().map(Draw::still).collect();
    let mut picture = noisy(&mut noise, props.canvas);
    let mut expected = copy(&mut picture);
    cpu::draw(&list, &mut expected, &mut cpu::Scratch::default());

    let device = Arc::new(open());
    let engine = Engine::of(device.clone());
    let (mut one, mut other) = (engine.compositor(), engine.compositor());
    let mut draw = |compositor: &mut crate::overlay::compose::Compositor| {
        let mut drawn = copy(&mut picture);
        let by = compositor.draw(&list, &mut drawn);
        for index in 0..3 {
            assert_eq!(drawn.plane_mut(index).0, expected.plane_mut(index).0, "plane {index}, {by:?}");
        }
        by
    };
    assert_eq!((engine.kind(), draw(&mut one), draw(&mut other)), ("gpu", Drawn::Gpu, Drawn::Gpu));
    device.lose();
    assert_eq!(draw(&mut one), Drawn::Rescued);
    assert_eq!((engine.kind(), engine.adapter()), ("cpu", None));
    assert_eq!((draw(&mut one), draw(&mut other)), (Drawn::Cpu, Drawn::Cpu));
    assert_eq!(draw(&mut engine.compositor()), Drawn::Cpu, "nor is it asked again");
}

#[test]
fn a_device_is_proven_before_it_composes() {
    trial::prove(&device()).unwrap();
}

#[test]
fn a_trial_times_both() {
    let times = trial::measure(&device()).expect("the device draws");
    assert!(times.cpu > Duration::ZERO && times.gpu > Duration::ZERO, "{times:?}");
}

/// A function of `compose/fx.rs`, as the test calls its twin: what it takes, and what it makes of it.
struct Twin {
    name: &'static str,
    call: &'static str,
    here: fn([i32; 4]) -> u32,
    draw: fn(&mut Noise) -> [i32; 4],
}

/// A sample that alpha allows, and that alpha.
fn sample(noise: &mut Noise) -> (i32, i32) {
    let a = noise.one_of(&[0, 1, 128, 254, 255, 91, 17]);
    (if noise.below(4) == 0 { a * 255 } else { noise.below(a as u32 * 255 + 1) as i32 }, a)
}

const TWINS: [Twin; 6] = [
    Twin {
        name: "fx_div255",
        call: "fx_div255(u32(v.x))",
        here: |v| fx::fx_div255(v[0] as u32),
        draw: |noise| [noise.below(1 << 24) as i32, 0, 0, 0],
    },
    Twin {
        name: "fx_fade",
        call: "fx_fade(u32(v.x), u32(v.y))",
        here: |v| fx::fx_fade(v[0] as u32, v[1] as u32),
        draw: |noise| [noise.below(65026) as i32, noise.below(256) as i32, 0, 0],
    },
    Twin {
        name: "fx_over",
        call: "fx_over(u32(v.x), u32(v.y), u32(v.z))",
        here: |v| fx::fx_over(v[0] as u32, v[1] as u32, v[2] as u32),
        draw: |noise| {
            let (s, a) = sample(noise);
            [noise.below(256) as i32, s, a, 0]
        },
    },
    Twin {
        name: "fx_shimmer",
        call: "fx_shimmer(v.x, v.y, v.z, v.w)",
        here: |v| fx::fx_shimmer(v[0], v[1], v[2], v[3]),
        draw: |noise| {
            let reach = noise.one_of(&[1, 2, 64, 200, 999]);
            let (x, y) = (noise.within(-4000, 4000), noise.within(-4000, 4000));
            // Around its edges as often as far away.
            let phase = x + y / 2 + noise.one_of(&[0, 1, -1, 17, -33, reach, -reach, 1 - reach, 3000]);
            [x, y, phase, reach]
        },
    },
    Twin {
        name: "fx_lit",
        call: "fx_lit(u32(v.x), u32(v.y), u32(v.z), u32(v.w))",
        here: |v| fx::fx_lit(v[0] as u32, v[1] as u32, v[2] as u32, v[3] as u32),
        draw: |noise| {
            let (s, a) = sample(noise);
            [s, a, noise.one_of(&[128, 235, 255]), noise.below(fx::BRIGHTEST + 1) as i32]
        },
    },
    Twin {
        name: "fx_ring",
        call: "u32(fx_ring(u32(v.x), u32(v.y)))",
        here: |v| u32::from(fx::fx_ring(v[0] as u32, v[1] as u32)),
        draw: |noise| [noise.below(256) as i32, noise.below(258) as i32, 0, 0],
    },
];

#[test]
fn every_function_of_fx_has_a_twin_with_the_same_bits() {
    let ours: Vec<&str> = include_str!("../fx.rs").lines().filter_map(|line| line.strip_prefix("pub fn ")).collect();
    let theirs: Vec<&str> = SHADER.lines().filter_map(|line| line.strip_prefix("fn ")).collect();
    for functions in [&ours, &theirs] {
        let mut names: Vec<_> = functions.iter().filter_map(|line| line.split('(').next()).collect();
        let mut known = TWINS.map(|twin| twin.name);
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known, "both files have the same functions, and this test tries each");
    }
    let mut noise = Noise(20_26);
    for twin in &TWINS {
        let inputs: Vec<[i32; 4]> = (0..16_384).map(|_| (twin.draw)(&mut noise)).collect();
        let outputs = run(twin.call, &inputs);
        for (input, theirs) in inputs.into_iter().zip(outputs) {
            assert_eq!((twin.here)(input), theirs, "{} of {input:?}", twin.name);
        }
    }
}

const SHADER: &str = include_str!("../../../../shaders/fx.wgsl");

/// What an expression of `fx.wgsl` makes of each input on the device.
fn run(call: &str, inputs: &[[i32; 4]]) -> Vec<u32> {
    use wgpu::BufferUsages as Use;
    let shared = device();
    let source = format!(
        "{SHADER}
        @group(0) @binding(0) var<storage, read> inputs: array<vec4i>;
        @group(0) @binding(1) var<storage, read_write> outputs: array<u32>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {{
            let v = inputs[id.x];
            outputs[id.x] = {call};
        }}"
    );
    let module = shared.device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    let pipeline = shared.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let bytes: Vec<u8> = inputs.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    let size = 4 * inputs.len() as u64;
    let from = shared.buffer("inputs", bytes.len() as u64, Use::STORAGE | Use::COPY_DST);
    let to = shared.buffer("outputs", size, Use::STORAGE | Use::COPY_SRC);
    let down = shared.buffer("down", size, Use::MAP_READ | Use::COPY_DST);
    shared.queue.write_buffer(&from, 0, &bytes);
    let entries = [(0, &from), (1, &to)]
        .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() });
    let bound = shared.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    let mut commands = shared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, &bound, &[]);
    pass.dispatch_workgroups(inputs.len() as u32 / 64, 1, 1);
    drop(pass);
    commands.copy_buffer_to_buffer(&to, 0, &down, 0, size);
    shared.queue.submit([commands.finish()]);
    let (told, mapped) = mpsc::channel();
    down.slice(..).map_async(wgpu::MapMode::Read, move |mapping| told.send(mapping).unwrap());
    shared.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    mapped.recv_timeout(SLOW_PATIENCE).unwrap().unwrap();
    let view = down.slice(..).get_mapped_range().unwrap();
    view.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}
