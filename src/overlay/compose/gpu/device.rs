//! The graphics processor that all shows share: found once, its pipelines compiled once, given up for good when it fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{BindingType, BufferBindingType, ShaderStages};

/// A device that composes, or did.
pub struct Device {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) bindings: wgpu::BindGroupLayout,
    pub(super) pipelines: Pipelines,
    adapter: String,
    software: bool,
    fault: Arc<Fault>,
}

/// The steps of a frame: those of each piece of glass, then the blend.
pub(super) struct Pipelines {
    pub(super) add_up: wgpu::ComputePipeline,
    pub(super) across: wgpu::ComputePipeline,
    pub(super) down: wgpu::ComputePipeline,
    pub(super) frost: wgpu::ComputePipeline,
    /// Of frames whose layers are no more than moved, faded and cut.
    pub(super) plain: wgpu::ComputePipeline,
    pub(super) effects: wgpu::ComputePipeline,
}

/// Which processors will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Graphics processors only.
    Real,
    /// Vulkan in software too, where there is nothing better.
    Any,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no Vulkan adapter was found: install the graphics card's Vulkan driver (Debian's mesa-vulkan-drivers has those of AMD and Intel, and one in software)"
    )]
    NoAdapter,
    #[error("{adapter} does not open: {error}")]
    Refused { adapter: String, error: wgpu::RequestDeviceError },
    #[error("{adapter} does not take the shaders: {reason}")]
    Shaders { adapter: String, reason: String },
    #[error("{adapter} draws other pictures than the CPU: update its driver")]
    Wrong { adapter: String },
}

/// Why a device is given up; told once.
#[derive(Debug, Default)]
struct Fault {
    broken: AtomicBool,
    reason: Mutex<String>,
}

impl Device {
    /// Opens the best one there is (blocking, up to some seconds).
    pub fn open(search: Search) -> Result<Device, Error> {
        let mut instance = wgpu::InstanceDescriptor::new_without_display_handle();
        instance.backends = wgpu::Backends::VULKAN;
        // The same in every build: wgpu's own checks stay, Vulkan's debugging layers are for who develops a driver.
        instance.flags = wgpu::InstanceFlags::empty();
        let instance = wgpu::Instance::new(instance);
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
        let rank = |adapter: &wgpu::Adapter| match adapter.get_info().device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        };
        let fit = adapters.into_iter().filter(|adapter| search == Search::Any || rank(adapter) < 4);
        let adapter = fit.min_by_key(rank).ok_or(Error::NoAdapter)?;
        Device::of(&adapter)
    }

    fn of(adapter: &wgpu::Adapter) -> Result<Device, Error> {
        let wgpu::AdapterInfo { name, device_type, .. } = adapter.get_info();
        let can = adapter.limits();
        let limits = wgpu::Limits {
            max_buffer_size: can.max_buffer_size,
            max_storage_buffer_binding_size: can.max_storage_buffer_binding_size,
            ..wgpu::Limits::downlevel_defaults()
        };
        let wanted = wgpu::DeviceDescriptor {
            label: Some("hawker"),
            required_limits: limits,
            // Blocks of 8 MiB and not of 256.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let opened = pollster::block_on(adapter.request_device(&wanted));
        let (device, queue) = opened.map_err(|error| Error::Refused { adapter: name.clone(), error })?;
        let fault = Arc::new(Fault::default());
        let told = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| told.note(&error.to_string())));
        let told = fault.clone();
        device.set_device_lost_callback(move |reason, message| told.note(&format!("lost ({reason:?}): {message}")));

        let bindings = bindings(&device);
        let pipelines = Pipelines::compile(&device, &bindings);
        match fault.reason() {
            None => {
                let software = device_type == wgpu::DeviceType::Cpu;
                Ok(Device { device, queue, bindings, pipelines, adapter: name, software, fault })
            }
            Some(reason) => Err(Error::Shaders { adapter: name, reason }),
        }
    }

    /// What the processor calls itself.
    pub fn adapter(&self) -> &str {
        &self.adapter
    }

    /// Whether it is the CPU in disguise.
    pub(super) fn is_software(&self) -> bool {
        self.software
    }

    /// Whether it failed; then nobody asks it for anything more.
    pub fn is_broken(&self) -> bool {
        self.fault.broken.load(Ordering::Acquire)
    }

    /// What went wrong with it, if anything.
    pub(super) fn reported(&self) -> Option<String> {
        self.fault.reason()
    }

    /// Gives it up for every show.
    pub(super) fn give_up(&self, reason: &str) {
        self.fault.note(reason);
        if !self.fault.broken.swap(true, Ordering::AcqRel) {
            tracing::error!(adapter = %self.adapter, reason, "the graphics processor failed: the CPU composes from now on, until the next start");
        }
    }

    /// Takes the device away, as a driver that crashes does.
    #[cfg(test)]
    pub(super) fn lose(&self) {
        self.device.destroy();
    }
}

impl Fault {
    fn note(&self, reason: &str) {
        let mut noted = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.is_empty() {
            noted.push_str(reason);
        }
    }

    fn reason(&self) -> Option<String> {
        let noted = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        (!noted.is_empty()).then(|| noted.clone())
    }
}

impl Pipelines {
    fn compile(device: &wgpu::Device, bindings: &wgpu::BindGroupLayout) -> Pipelines {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("overlay.wgsl"),
            source: wgpu::ShaderSource::Wgsl(SOURCE.into()),
        });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(bindings)],
            immediate_size: 0,
        });
        let step = |entry_point, effects: bool| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: Some(&layout),
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &[("WIDTH", f64::from(WIDTH)), ("EFFECTS", f64::from(u8::from(effects)))],
                    ..Default::default()
                },
                cache: None,
            })
        };
        Pipelines {
            add_up: step("add_up", false),
            across: step("across", false),
            down: step("down", false),
            frost: step("frost", false),
            plain: step("compose", false),
            effects: step("compose", true),
        }
    }
}

/// As the shaders number them.
fn bindings(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let storage = |read_only| BufferBindingType::Storage { read_only };
    let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: ShaderStages::COMPUTE,
        ty: BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    };
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &[
            entry(0, storage(false), false),
            entry(1, storage(true), false),
            entry(2, storage(true), false),
            entry(3, storage(false), false),
            entry(4, BufferBindingType::Uniform, true),
        ],
    })
}

/// WGSL has no imports.
const SOURCE: &str = concat!(
    include_str!("../../../../shaders/fx.wgsl"),
    include_str!("../../../../shaders/overlay.wgsl"),
    include_str!("../../../../shaders/glass.wgsl")
);

/// Invocations of a workgroup.
pub(super) const WIDTH: u32 = 64;
