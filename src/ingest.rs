//! Media on its way in: any protocol becomes a [`Publication`], a run of coded access units on the publisher's timeline.
//!
//! ```text
//!  OBS, ffmpeg ──RTMP──► rtmp ──FLV tags──► flv ──┐
//!                                                 ├──media::Coded──► Publication (the show's)
//!  camera ◄────RTSP────► rtsp (pulled) ───────────┤
//!  browsers, OBS ─WebRTC─► whip ──────────────────┘
//! ```
//!
//! Everything read here comes from strangers: sizes are bounded before anything is kept, every wait has a deadline, and one
//! bad connection costs the others nothing. This room knows no show; a [`Directory`] says who may publish, and back-pressure
//! comes through [`Publication::push`].

#[doc(hidden)]
pub mod fuzz;
pub mod rtmp;
pub mod rtsp;
pub mod whip;

mod avc;
mod flv;
mod hevc;
mod source;

pub use source::{Directory, Ended, Protocol, Publication, Publisher, Refused, SourceInfo};
