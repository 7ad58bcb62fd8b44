//! Who draws: the CPU, or a graphics processor that makes the same bits.

#[cfg(feature = "gpu")]
use std::sync::Arc;

#[cfg(feature = "gpu")]
use super::gpu;
use super::{DrawList, cpu};
use crate::media::PictureMut;

/// What the operator wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Whichever is faster here.
    #[default]
    Auto,
    Cpu,
    /// A graphics processor, or Vulkan in software where there is none.
    Gpu,
}

/// What all shows of the process draw with.
#[derive(Clone, Default)]
pub struct Engine {
    #[cfg(feature = "gpu")]
    device: Option<Arc<gpu::Device>>,
}

/// Draws one show's pictures.
pub struct Compositor {
    #[cfg(feature = "gpu")]
    gpu: Option<gpu::Gpu>,
    scratch: cpu::Scratch,
}

/// Who drew a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    Cpu,
    Gpu,
    /// The graphics processor failed over it, and the CPU drew it.
    Rescued,
}

/// Why a compositor that was asked for cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[cfg(feature = "gpu")]
    #[error(transparent)]
    Gpu(#[from] gpu::Error),
    #[cfg(not(feature = "gpu"))]
    #[error("this hawker was built without the feature `gpu`")]
    NotBuilt,
}

impl Engine {
    /// The CPU's.
    pub fn cpu() -> Engine {
        Engine::default()
    }

    /// Looks for what was chosen, and measures where that is needed (blocking, up to some seconds).
    #[cfg(feature = "gpu")]
    pub fn open(choice: Choice) -> Result<Engine, Error> {
        let proven = |search| {
            let device = Arc::new(gpu::Device::open(search)?);
            gpu::trial::prove(&device)?;
            Ok(device)
        };
        let device = match choice {
            Choice::Cpu => None,
            Choice::Gpu => Some(proven(gpu::Search::Any)?),
            Choice::Auto => match proven(gpu::Search::Real) {
                Ok(device) => gpu::trial::faster(device),
                Err(gpu::Error::NoAdapter) => None,
                Err(error) => {
                    tracing::warn!(%error, "a graphics processor was found and is of no use");
                    None
                }
            },
        };
        match &device {
            Some(device) => tracing::info!(adapter = device.adapter(), "the graphics processor composes"),
            None => tracing::info!("the CPU composes"),
        }
        Ok(Engine { device })
    }

    #[cfg(not(feature = "gpu"))]
    pub fn open(choice: Choice) -> Result<Engine, Error> {
        if choice == Choice::Gpu { Err(Error::NotBuilt) } else { Ok(Engine::cpu()) }
    }

    #[cfg(all(test, feature = "gpu"))]
    pub(super) fn of(device: Arc<gpu::Device>) -> Engine {
        Engine { device: Some(device) }
    }

    /// A show's own.
    pub fn compositor(&self) -> Compositor {
        Compositor {
            #[cfg(feature = "gpu")]
            gpu: self.working().cloned().map(gpu::Gpu::new),
            scratch: cpu::Scratch::default(),
        }
    }

    /// What composes now: `cpu` or `gpu`.
    pub fn kind(&self) -> &'static str {
        if self.adapter().is_some() { "gpu" } else { "cpu" }
    }

    /// The graphics processor that composes now.
    pub fn adapter(&self) -> Option<&str> {
        #[cfg(feature = "gpu")]
        return self.working().map(|device| device.adapter());
        #[cfg(not(feature = "gpu"))]
        None
    }

    #[cfg(feature = "gpu")]
    fn working(&self) -> Option<&Arc<gpu::Device>> {
        self.device.as_ref().filter(|device| !device.is_broken())
    }
}

impl Compositor {
    /// Frosts and blends a scene's layers into a picture of the scene's size; any other is left as it is. The bits are the same
    /// whoever draws them.
    pub fn draw(&mut self, list: &DrawList<'_>, picture: &mut PictureMut) -> Drawn {
        #[cfg(feature = "gpu")]
        let drawn = self.draw_on_gpu(list, picture);
        #[cfg(not(feature = "gpu"))]
        let drawn = Drawn::Cpu;
        if drawn != Drawn::Gpu {
            cpu::draw(list, picture, &mut self.scratch);
        }
        drawn
    }

    /// Whether it was drawn there, else who has to.
    #[cfg(feature = "gpu")]
    fn draw_on_gpu(&mut self, list: &DrawList<'_>, picture: &mut PictureMut) -> Drawn {
        self.gpu.take_if(|gpu| gpu.device().is_broken());
        let Some(gpu) = &mut self.gpu else { return Drawn::Cpu };
        match gpu.draw(list, picture) {
            Ok(gpu::Outcome::Drawn) => Drawn::Gpu,
            Ok(gpu::Outcome::TooLarge) => Drawn::Cpu,
            Err(gpu::GivenUp) => {
                self.gpu = None;
                Drawn::Rescued
            }
        }
    }
}
