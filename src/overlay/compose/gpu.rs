//! The compositor on a graphics processor, by Vulkan: the same bits as the CPU's, in compute shaders over whole numbers
//! (`shaders/{fx,overlay,glass}.wgsl`).
//!
//! ```text
//!  DrawList ─Plan─► regions of the picture ─┐                       ┌─► regions, blended ─► picture
//!                   tables, panes ──────────┼─► one upload ► shaders ┘
//!                   layers not there yet ───┘
//! ```
//!
//! Only the parts of the picture that layers cover go up and come back. Layers stay on the device, known by the identity of their
//! raster. A frame waits for its result: nothing is on its way between frames, and the picture is written only when all went
//! well, so that the CPU can take over any frame.

mod atlas;
mod device;
mod plan;
#[cfg(test)]
mod tests;
pub mod trial;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::DrawList;
use crate::media::PictureMut;
use atlas::Atlas;
use device::WIDTH;
use plan::{PIECE, Plan, Samples};

pub use device::{Device, Error, Search};

/// One show's part of a shared device: its buffers and its layers.
pub struct Gpu {
    device: Arc<Device>,
    layers: Layers,
    frame: Frame,
    /// A frame that takes longer is not coming.
    patience: Duration,
    mapped: (mpsc::Sender<Mapping>, mpsc::Receiver<Mapping>),
}

/// How a frame ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Drawn,
    /// Its layers do not fit into the device's memory all at once: for the CPU, this time.
    TooLarge,
}

/// The device failed, and is told so: the picture is as it was, and for the CPU from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GivenUp;

type Mapping = Result<(), wgpu::BufferAsyncError>;

impl Gpu {
    pub fn new(device: Arc<Device>) -> Gpu {
        let (layers, frame) = (Layers::new(&device, LAYERS), Frame::new(&device));
        let patience = if device.is_software() { SLOW_PATIENCE } else { PATIENCE };
        Gpu { device, layers, frame, patience, mapped: mpsc::channel() }
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Draws what `cpu::draw` draws.
    pub(super) fn draw(&mut self, list: &DrawList<'_>, picture: &mut PictureMut) -> Result<Outcome, GivenUp> {
        // wgpu panics where a driver does what Vulkan forbids; a show's picture is not worth that.
        let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt(list, picture)));
        let failed = match attempt.unwrap_or_else(|_| Err("wgpu panicked".into())) {
            Ok(outcome) => return Ok(outcome),
            Err(reason) => self.device.reported().unwrap_or(reason),
        };
        self.device.give_up(&failed);
        Err(GivenUp)
    }

    fn attempt(&mut self, list: &DrawList<'_>, picture: &mut PictureMut) -> Result<Outcome, String> {
        let size = picture.resolution();
        if size != list.size() {
            return Ok(Outcome::Drawn);
        }
        let plan = Plan::of(list, size, picture.colour(), WIDTH);
        if plan.is_empty() {
            return Ok(Outcome::Drawn);
        }
        if !self.layers.hold(&self.device, &plan)? {
            return Ok(Outcome::TooLarge);
        }
        self.frame.fit(&self.device, &plan, &self.layers);
        self.frame.write(&plan, &self.layers.atlas, picture)?;
        let submission = self.device.queue.submit([self.frame.commands(&self.device, &plan)]);
        self.read_back(&plan, submission, picture)?;
        Ok(Outcome::Drawn)
    }

    /// Waits for the frame, writes its regions into the picture, and has the upload ready for the next one.
    fn read_back(
        &mut self,
        plan: &Plan<'_>,
        submission: wgpu::SubmissionIndex,
        picture: &mut PictureMut,
    ) -> Result<(), String> {
        let result = self.frame.down.slice(..self.frame.picture_len(plan));
        for (slice, mode) in [(result, wgpu::MapMode::Read), (self.frame.up.slice(..), wgpu::MapMode::Write)] {
            let mapped = self.mapped.0.clone();
            slice.map_async(mode, move |mapping| {
                // Nobody listens once a frame was given up.
                let _ = mapped.send(mapping);
            });
        }
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(self.patience) };
        self.device.device.poll(wait).map_err(|error| error.to_string())?;
        for _ in 0..2 {
            // Another show's thread may have polled this one's mapping, and be about to tell.
            let mapping = self.mapped.1.recv_timeout(self.patience).map_err(|_| "a buffer was not mapped in time")?;
            mapping.map_err(|error| error.to_string())?;
        }
        if let Some(reason) = self.device.reported() {
            return Err(reason);
        }
        let view = result.get_mapped_range().map_err(|error| error.to_string())?;
        let mut planes = picture.planes_mut();
        for region in &plan.regions {
            let (samples, stride) = &mut planes[region.plane];
            let mut from = region.start(WIDTH);
            let (x, len) = (region.place.x as usize, (region.place.right - region.place.x) as usize);
            for y in region.place.y as usize..region.place.bottom as usize {
                samples[y * *stride + x..][..len].copy_from_slice(&view[from..from + len]);
                from += len;
            }
        }
        drop(view);
        self.frame.down.unmap();
        Ok(())
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        if self.device.is_broken() {
            // Dropping a device waits for what it was given to do, and a driver that hangs never does it.
            std::mem::forget(self.device.clone());
        }
    }
}

/// The layers that lie on the device.
struct Layers {
    atlas: Atlas,
    buffer: wgpu::Buffer,
    most: u32,
}

impl Layers {
    fn new(device: &Device, capacity: u32) -> Layers {
        let most = device.device.limits().max_storage_buffer_binding_size / 4;
        let most = u32::try_from(most).unwrap_or(u32::MAX).min(MOST_LAYERS);
        let capacity = capacity.min(most);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        Layers { atlas: Atlas::new(capacity), buffer: device.buffer("layers", 4 * u64::from(capacity), usage), most }
    }

    /// Brings every layer of the frame onto the device; false when they do not fit.
    fn hold(&mut self, device: &Device, plan: &Plan<'_>) -> Result<bool, String> {
        // What is uploaded waits in memory until something is submitted: nothing is, for a frame that will not be drawn.
        let needed = plan.samples_len();
        if needed > u64::from(self.most) {
            return Ok(false);
        }
        if needed > u64::from(self.atlas.capacity()) {
            *self = Layers::new(device, u32::try_from(needed).map_or(self.most, u32::next_power_of_two));
        }
        let held = self.make_room(device, plan);
        if held != Ok(true) {
            device.queue.submit([]);
        }
        held
    }

    fn make_room(&mut self, device: &Device, plan: &Plan<'_>) -> Result<bool, String> {
        let mut anew = false;
        loop {
            self.atlas.next_frame();
            if self.bring(device, plan)? {
                return Ok(true);
            }
            let capacity = self.atlas.capacity();
            if capacity < self.most {
                *self = Layers::new(device, capacity.saturating_mul(2));
            } else if !anew {
                // There may be room enough, in pieces.
                (self.atlas, anew) = (Atlas::new(capacity), true);
            } else {
                return Ok(false);
            }
        }
    }

    fn bring(&mut self, device: &Device, plan: &Plan<'_>) -> Result<bool, String> {
        for (key, samples) in plan.samples() {
            if self.atlas.touch(key).is_some() {
                continue;
            }
            let Some(at) = self.atlas.place(key, samples.len()) else { return Ok(false) };
            samples.upload(device, &self.buffer, at)?;
        }
        Ok(true)
    }
}

impl Samples<'_> {
    /// Each as the shaders read it: s, then alpha, then the angle.
    fn upload(&self, device: &Device, into: &wgpu::Buffer, at: u32) -> Result<(), String> {
        let Some(size) = wgpu::BufferSize::new(4 * u64::from(self.len())) else { return Ok(()) };
        let view = device.queue.write_buffer_with(into, 4 * u64::from(at), size);
        let mut view = view.ok_or("the device takes no layer")?;
        let mut chunk = [0; 4 * CHUNK];
        for first in (0..self.len() as usize).step_by(CHUNK) {
            let len = CHUNK.min(self.len() as usize - first);
            for (word, index) in chunk.as_chunks_mut::<4>().0.iter_mut().zip(first..first + len) {
                *word = self.word(index);
            }
            view.slice(4 * first..4 * (first + len)).copy_from_slice(&chunk[..4 * len]);
        }
        Ok(())
    }

    fn word(&self, index: usize) -> [u8; 4] {
        match self {
            Samples::Raster(plane) => {
                let [low, high] = plane.s[index].to_le_bytes();
                [low, high, plane.a[index], plane.angles.get(index).copied().unwrap_or(0)]
            }
            Samples::Mask(alpha) => [alpha[index], 0, 0, 0],
        }
    }
}

/// The buffers that a frame goes through. `up` is mapped between frames.
struct Frame {
    up: wgpu::Buffer,
    picture: wgpu::Buffer,
    tables: wgpu::Buffer,
    panes: wgpu::Buffer,
    blocks: wgpu::Buffer,
    down: wgpu::Buffer,
    bound: Option<wgpu::BindGroup>,
    /// Which layers' buffer is bound.
    layers: Option<wgpu::Buffer>,
    scratch: Vec<u8>,
}

impl Frame {
    fn new(device: &Device) -> Frame {
        use wgpu::BufferUsages as Use;
        let buffer = |name, usage| device.buffer(name, 4096, usage);
        Frame {
            up: device.upload(4096),
            picture: buffer("picture", PICTURE),
            tables: buffer("tables", Use::STORAGE | Use::COPY_DST),
            panes: buffer("panes", Use::UNIFORM | Use::COPY_DST),
            blocks: buffer("blocks", Use::STORAGE),
            down: buffer("down", Use::MAP_READ | Use::COPY_DST),
            bound: None,
            layers: None,
            scratch: vec![],
        }
    }

    fn picture_len(&self, plan: &Plan<'_>) -> u64 {
        4 * u64::from(plan.groups) * u64::from(WIDTH)
    }

    /// Makes room for the frame.
    fn fit(&mut self, device: &Device, plan: &Plan<'_>, layers: &Layers) {
        let picture = self.picture_len(plan);
        let (tables, panes) = (plan.tables_len() as u64, plan.panes_len() as u64);
        if self.up.size() < picture + tables + panes {
            self.up = device.upload((picture + tables + panes).next_power_of_two());
        }
        if self.down.size() < picture {
            self.down = device.buffer("down", picture.next_power_of_two(), self.down.usage());
        }
        let blocks = 4 * u64::from(plan.blocks);
        for (buffer, needed) in [
            (&mut self.picture, picture),
            (&mut self.tables, tables),
            (&mut self.panes, panes),
            (&mut self.blocks, blocks),
        ] {
            if buffer.size() < needed {
                *buffer = device.buffer("frame", needed.next_power_of_two(), buffer.usage());
                self.bound = None;
            }
        }
        if self.layers.as_ref() != Some(&layers.buffer) {
            self.layers = Some(layers.buffer.clone());
            self.bound = None;
        }
        if self.bound.is_none() {
            self.bound = Some(self.bind(device, &layers.buffer));
        }
    }

    fn bind<'a>(&'a self, device: &Device, layers: &'a wgpu::Buffer) -> wgpu::BindGroup {
        let buffers = [&self.picture, &self.tables, layers, &self.blocks];
        let whole = |(binding, buffer): (u32, &'a wgpu::Buffer)| wgpu::BindGroupEntry {
            binding,
            resource: buffer.as_entire_binding(),
        };
        let piece = wgpu::BufferBinding { buffer: &self.panes, offset: 0, size: wgpu::BufferSize::new(PIECE as u64) };
        let panes = wgpu::BindGroupEntry { binding: 4, resource: wgpu::BindingResource::Buffer(piece) };
        let entries: Vec<_> = (0..).zip(buffers).map(whole).chain([panes]).collect();
        let layout = &device.bindings;
        device.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
    }

    /// Fills the upload: the regions' samples, the tables, the panes.
    fn write(&mut self, plan: &Plan<'_>, atlas: &Atlas, picture: &mut PictureMut) -> Result<(), String> {
        let samples = self.picture_len(plan) as usize;
        let address = |key| atlas.address(key).unwrap_or(0);
        self.scratch.clear();
        plan.write_tables(address, &mut self.scratch);
        plan.write_panes(address, &mut self.scratch);
        let mut view = self.up.slice(..).get_mapped_range_mut().map_err(|error| error.to_string())?;
        let planes = picture.planes_mut();
        for region in &plan.regions {
            let (from, stride) = &planes[region.plane];
            let mut at = region.start(WIDTH);
            let (x, len) = (region.place.x as usize, (region.place.right - region.place.x) as usize);
            for y in region.place.y as usize..region.place.bottom as usize {
                view.slice(at..at + len).copy_from_slice(&from[y * stride + x..][..len]);
                at += len;
            }
        }
        view.slice(samples..samples + self.scratch.len()).copy_from_slice(&self.scratch);
        drop(view);
        self.up.unmap();
        Ok(())
    }

    fn commands(&self, device: &Device, plan: &Plan<'_>) -> wgpu::CommandBuffer {
        let mut commands = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let (picture, tables, panes) = (self.picture_len(plan), plan.tables_len() as u64, plan.panes_len() as u64);
        commands.copy_buffer_to_buffer(&self.up, 0, &self.picture, 0, picture);
        commands.copy_buffer_to_buffer(&self.up, picture, &self.tables, 0, tables);
        if panes > 0 {
            commands.copy_buffer_to_buffer(&self.up, picture + tables, &self.panes, 0, panes);
        }
        let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        let steps = &device.pipelines;
        for (offset, (blocks, words)) in (0..).step_by(PIECE).zip(plan.pieces()) {
            pass.set_bind_group(0, &self.bound, &[offset]);
            for (step, count) in
                [(&steps.add_up, blocks), (&steps.across, blocks), (&steps.down, blocks), (&steps.frost, words)]
            {
                pass.set_pipeline(step);
                pass.dispatch_workgroups(count.div_ceil(WIDTH), 3, 1);
            }
        }
        pass.set_bind_group(0, &self.bound, &[0]);
        pass.set_pipeline(if plan.effects { &steps.effects } else { &steps.plain });
        pass.dispatch_workgroups(plan.groups.min(MOST_GROUPS), plan.groups.div_ceil(MOST_GROUPS), 1);
        drop(pass);
        commands.copy_buffer_to_buffer(&self.picture, 0, &self.down, 0, picture);
        commands.finish()
    }
}

impl Device {
    fn buffer(&self, label: &'static str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let wanted = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        self.device.create_buffer(&wanted)
    }

    fn upload(&self, size: u64) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        let wanted = wgpu::BufferDescriptor { label: Some("up"), size, usage, mapped_at_creation: true };
        self.device.create_buffer(&wanted)
    }
}

const PICTURE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST).union(wgpu::BufferUsages::COPY_SRC);

/// A driver that takes so long hangs.
const PATIENCE: Duration = Duration::from_secs(2);
/// In software nothing hangs, and a crowded machine takes its time.
const SLOW_PATIENCE: Duration = Duration::from_secs(20);
/// Samples that a show's layers may take on the device: 64 MiB of them, which holds a whole canvas of 4K.
const MOST_LAYERS: u32 = 16 << 20;
/// What they begin with.
const LAYERS: u32 = 1 << 20;
/// Samples that are brought into the shaders' form at a time.
const CHUNK: usize = 1024;
/// Workgroups that every device takes in a row.
const MOST_GROUPS: u32 = 65_535;
