//! One encoding of a show's picture, as the encoder and delivery both see it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use super::frame::Resolution;

/// What an encoder makes, and the three things that delivery may ask of it. No other arrow runs backwards.
#[derive(Debug)]
pub struct Rendition {
    pub resolution: Resolution,
    pub frames_per_second: u32,
    keyframe_wanted: AtomicBool,
    watching: AtomicUsize,
    target_bitrate: AtomicU32,
}

impl Rendition {
    /// `bitrate` in bits a second.
    pub fn new(resolution: Resolution, frames_per_second: u32, bitrate: u32) -> Rendition {
        Rendition {
            resolution,
            frames_per_second,
            keyframe_wanted: AtomicBool::new(false),
            watching: AtomicUsize::new(0),
            target_bitrate: AtomicU32::new(bitrate),
        }
    }

    /// Asks for an IDR as soon as one may be made.
    pub fn want_keyframe(&self) {
        self.keyframe_wanted.store(true, Ordering::Relaxed);
    }

    /// Whether an IDR was asked for since the last call.
    pub fn take_keyframe_wanted(&self) -> bool {
        self.keyframe_wanted.swap(false, Ordering::Relaxed)
    }

    /// Whether an IDR is asked for, without taking the wish.
    pub fn keyframe_wanted(&self) -> bool {
        self.keyframe_wanted.load(Ordering::Relaxed)
    }

    pub fn set_watching(&self, viewers: usize) {
        self.watching.store(viewers, Ordering::Relaxed);
    }

    pub fn watching(&self) -> usize {
        self.watching.load(Ordering::Relaxed)
    }

    pub fn set_target_bitrate(&self, bits_per_second: u32) {
        self.target_bitrate.store(bits_per_second, Ordering::Relaxed);
    }

    pub fn target_bitrate(&self) -> u32 {
        self.target_bitrate.load(Ordering::Relaxed)
    }

    /// The H.264 level (ITU-T H.264 table A-1) that the stream conforms to, times ten.
    pub fn level(&self) -> u8 {
        let Resolution { width, height } = self.resolution;
        let macroblocks = width.div_ceil(16) * height.div_ceil(16);
        let rate = macroblocks * self.frames_per_second;
        LEVELS.iter().find(|level| macroblocks <= level.1 && rate <= level.2).map_or(52, |level| level.0)
    }
}

/// Level × 10, macroblocks a frame, macroblocks a second (ITU-T H.264 table A-1).
const LEVELS: [(u8, u32, u32); 9] = [
    (30, 1_620, 40_500),
    (31, 3_600, 108_000),
    (32, 5_120, 216_000),
    (40, 8_192, 245_760),
    (42, 8_704, 522_240),
    (50, 22_080, 589_824),
    (51, 36_864, 983_040),
    (52, 36_864, 2_073_600),
    (60, 139_264, 4_177_920),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_the_streams_true_one() {
        let level = |width, height, fps| Rendition::new(Resolution::new(width, height), fps, 1).level();
        assert_eq!(level(640, 360, 30), 30);
        assert_eq!(level(1280, 720, 30), 31);
        assert_eq!(level(1280, 720, 60), 32);
        assert_eq!(level(1920, 1080, 30), 40);
        assert_eq!(level(1920, 1080, 60), 42);
    }

    #[test]
    fn many_wishes_for_a_keyframe_are_one() {
        let rendition = Rendition::new(Resolution::new(1280, 720), 30, 1);
        rendition.want_keyframe();
        rendition.want_keyframe();
        assert!(rendition.keyframe_wanted());
        assert!(rendition.take_keyframe_wanted());
        assert!(!rendition.take_keyframe_wanted());
    }
}
