//! What was measured of a publication: plain numbers for the rules.

use crate::codec::Source;
use crate::ingest::Protocol;
use crate::media::Resolution;
use crate::media::access_unit::VideoCodec;

/// A publication at one moment.
#[derive(Clone, Debug)]
pub(in crate::show::pipeline) struct Signs {
    pub protocol: Protocol,
    pub canvas: Resolution,
    /// Frames a second that the canvas shows.
    pub canvas_fps: u32,
    pub codec: Option<VideoCodec>,
    /// What the decoder saw; absent before its first picture.
    pub source: Option<Source>,
    pub cadence: Cadence,
    pub arrival: Arrival,
    pub sound: Sound,
}

/// How the video is cut, by the publisher's own timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::show::pipeline) struct Cadence {
    /// Of the video seen so far.
    pub seconds: f64,
    /// Nominal frames a second; absent while there are too few to tell.
    pub fps: Option<f64>,
    /// Of the last ten seconds: how many frames should have come, and how many of them did not.
    pub frames: u32,
    pub missing: u32,
    /// The longest of the last distances between keyframes; absent before the second.
    pub keyframe_seconds: Option<f64>,
    /// From the newest keyframe to the newest frame; absent before the first keyframe.
    pub since_keyframe: Option<f64>,
    /// The most B-frames in a row.
    pub b_frames: u32,
    /// What reordering adds to the delay, in milliseconds: the spread of presentation times against decoding times.
    pub reorder_ms: f64,
    /// Bits a second over twenty seconds; absent before the first ten.
    pub bitrate: Option<Bitrate>,
}

/// Bits a second, in windows of two seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::show::pipeline) struct Bitrate {
    pub mean: f64,
    pub least: f64,
    pub most: f64,
    /// Standard deviation of the windows as a part of the mean.
    pub variation: f64,
}

/// How the video arrives against its own timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::show::pipeline) struct Arrival {
    /// Since the newest unit; absent before the first.
    pub silent_seconds: Option<f64>,
    /// Pauses in the last thirty seconds that a burst made good, and the longest of them in seconds.
    pub stalls: u32,
    pub longest_stall: f64,
    /// Between the earliest and the latest unit of the last ten seconds, in milliseconds.
    pub jitter_ms: f64,
    /// The publisher's clock against ours, in millionths: above zero it runs fast. Absent before a minute was seen.
    pub drift_ppm: Option<f64>,
    /// Jumps of the timestamps in the last minute, and the newest in seconds (below zero: back).
    pub jumps: u32,
    pub newest_jump: f64,
}

/// What is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::show::pipeline) struct Sound {
    /// A sound track was announced.
    pub track: bool,
    /// Since the newest unit, or since the video began when there was none.
    pub missing_seconds: f64,
    /// Root mean square of the loudest of the last five seconds in dBFS; absent while less than that was heard.
    pub loudest_dbfs: Option<f64>,
    /// The part of the last ten seconds' samples that is at full scale.
    pub clipped: f64,
}
