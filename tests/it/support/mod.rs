//! What the trials are made of: the real server, real publishers, real viewers, and eyes and ears for what comes out.

pub mod api;
pub mod browser;
pub mod camera;
pub mod certificate;
pub mod child;
pub mod clip;
pub mod digits;
pub mod ear;
pub mod encoder;
pub mod eye;
pub mod fixture;
pub mod hawker;
pub mod patience;
pub mod publisher;
pub mod strip;
pub mod turn;
pub mod viewer;
