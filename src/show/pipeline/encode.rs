//! The encode stage of a rendition: composed frames → access units → its feed.

use std::time::{Duration, Instant};

use super::Shared;
use crate::codec::{self, Encoder, encode};
use crate::media::{Frame, Resolution, queue};

/// The longest a viewer waits for a point where decoding can begin, if none was asked for.
const KEYFRAME_SECONDS: u32 = 4;
/// Keyframes on demand come at most this often.
const KEYFRAME_PAUSE: Duration = Duration::from_millis(500);
/// After an encoder failed, the next one is opened no sooner.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

pub(super) fn open(shared: &Shared, resolution: Resolution) -> Result<Encoder, codec::Error> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    Encoder::open(encode::Config {
        resolution,
        colour: shared.colour(),
        frames_per_second: shared.canvas.fps,
        bitrate: shared.rendition.target_bitrate(),
        keyframe_interval: shared.canvas.fps * KEYFRAME_SECONDS,
        threads: cores.clamp(1, 4),
    })
}

/// Runs until compose is gone. Without an encoder it opens its own.
pub(super) fn run(shared: &Shared, mut encoder: Option<Encoder>, pictures: &queue::Receiver<Frame>) {
    let mut failed: Option<Instant> = None;
    let mut last_key: Option<Instant> = None;
    while let Some(frame) = pictures.recv() {
        shared.step("encode");
        let now = Instant::now();
        let size = frame.picture.resolution();
        // The canvas follows its source: viewers get the new size with the IDR that a new encoder begins with.
        if encoder.as_ref().is_some_and(|running| running.config().resolution != size) {
            (encoder, failed) = (None, None);
        }
        if encoder.is_none() && failed.is_none_or(|failed| now.duration_since(failed) >= REOPEN_PAUSE) {
            failed = Some(now);
            match open(shared, size) {
                Ok(opened) => encoder = Some(opened),
                Err(error) => tracing::error!(show = %shared.name, %error, "the encoder does not open"),
            }
        }
        let Some(running) = &mut encoder else {
            continue;
        };
        let bitrate = shared.rendition.target_bitrate();
        if running.config().bitrate != bitrate {
            running.set_bitrate(bitrate);
        }
        let may = last_key.is_none_or(|last| now.duration_since(last) >= KEYFRAME_PAUSE);
        let idr = may && shared.rendition.take_keyframe_wanted();
        match running.encode(&frame.picture, frame.at, frame.arrived, idr) {
            Ok(Some(unit)) => {
                shared.stats.encode_time.add(now.elapsed());
                shared.stats.encoded(unit.data.len(), unit.key);
                if unit.key {
                    last_key = Some(now);
                }
                shared.feed.push_video(unit);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(show = %shared.name, %error, "the encoder failed and is opened again");
                (encoder, failed) = (None, Some(now));
            }
        }
    }
}
