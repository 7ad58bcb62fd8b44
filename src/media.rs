//! The foundation that every other room stands on: time, clocks, coded and decoded media, queues.
//!
//! It imports nothing of ours. Frame means decoded pixels, access unit means coded, packet means RTP.

pub mod access_unit;
pub mod clock;
pub mod frame;
pub mod queue;
pub mod rendition;
pub mod slots;
pub mod spent;
pub mod time;

pub use access_unit::{AudioConfig, Coded, EncodedAudio, EncodedVideo, VideoConfig};
pub use clock::{Clock, ManualClock, MediaClock, SystemClock};
pub use frame::{Colour, Frame, Picture, PictureMut, Pool, Resolution};
pub use rendition::Rendition;
pub use spent::{Spent, Times};
pub use time::{MediaTime, RtpBase};
