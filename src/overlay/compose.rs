//! How a scene's layers get into the picture.

pub mod cpu;

use super::Ground;
use super::raster::Raster;
use super::scene::Scene;
use crate::media::MediaTime;

/// What a scene shows at one moment, from the back to the front. It borrows the scene and allocates nothing.
#[derive(Clone, Copy)]
pub struct DrawList<'s> {
    scene: &'s Scene,
    at: MediaTime,
    ground: Ground,
}

impl<'s> DrawList<'s> {
    pub(super) fn new(scene: &'s Scene, at: MediaTime, ground: Ground) -> DrawList<'s> {
        DrawList { scene, at, ground }
    }

    pub fn scene(&self) -> &'s Scene {
        self.scene
    }

    /// Whether the picture can go on as it is.
    pub fn is_empty(&self) -> bool {
        self.rasters().next().is_none()
    }

    /// The rasters to blend, in this order.
    pub fn rasters(&self) -> impl Iterator<Item = &'s Raster> + use<'s> {
        self.scene.rasters(self.at, self.ground)
    }
}
