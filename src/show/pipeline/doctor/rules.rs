//! From signs to findings: each rule is a pure function of measured numbers.

use super::signs::Signs;
use super::{Advice, Code, Severity};
use crate::ingest::Protocol;
use crate::media::access_unit::VideoCodec;
use crate::media::frame::{Matrix, Range};

/// All that is found now, one finding a rule at most.
pub(super) fn findings(signs: &Signs) -> Vec<Advice> {
    RULES.iter().filter_map(|rule| rule(signs)).collect()
}

type Rule = fn(&Signs) -> Option<Advice>;

const RULES: &[Rule] = &[
    no_keyframe,
    network_stalls,
    audio_missing,
    audio_silent,
    audio_clipping,
    frames_missing,
    bitrate_low,
    bitrate_unstable,
    keyframe_interval,
    timestamps_jump,
    clock_drift,
    interlaced,
    arrival_jitter,
    b_frames,
    colour_range,
    colour_matrix,
    frames_not_shown,
    larger_than_canvas,
];

fn no_keyframe(signs: &Signs) -> Option<Advice> {
    let seconds = signs.cadence.seconds;
    (signs.cadence.since_keyframe.is_none() && seconds > NO_KEYFRAME).then(|| {
        problem(
            Code::NoKeyframe,
            format!("{seconds:.0} s"),
            format!(
                "No keyframe has come for {seconds:.0} s, and there is no picture before one: {KEYFRAMES_EVERY_2_S}."
            ),
        )
    })
}

fn keyframe_interval(signs: &Signs) -> Option<Advice> {
    // A browser sends keyframes when it is asked for one.
    if signs.protocol == Protocol::Whip {
        return None;
    }
    let apart = signs.cadence.keyframe_seconds.filter(|&seconds| seconds > KEYFRAMES_APART);
    let since = signs.cadence.since_keyframe.filter(|&seconds| seconds > KEYFRAMES_APART);
    let (seconds, what) = match (apart, since) {
        (Some(apart), _) => (apart, format!("A keyframe comes every {apart:.1} s")),
        (None, Some(since)) => (since, format!("The last keyframe came {since:.1} s ago")),
        (None, None) => return None,
    };
    Some(warning(
        Code::KeyframeInterval,
        format!("{seconds:.1} s"),
        format!(
            "{what}: {KEYFRAMES_EVERY_2_S}. After a reconnect, a backup or lost data the picture comes back only with the next one."
        ),
    ))
}

fn b_frames(signs: &Signs) -> Option<Advice> {
    let (count, delay) = (signs.cadence.b_frames, signs.cadence.reorder_ms);
    let noun = if count == 1 { "B-frame delays" } else { "B-frames delay" };
    (count > 0).then(|| {
        info(
            Code::BFrames,
            format!("{count} in a row, {delay:.0} ms"),
            format!(
                "{count} {noun} the picture by {delay:.0} ms: for the least delay turn them off (OBS: Settings > Output > Max \
                 B-frames 0)."
            ),
        )
    })
}

fn bitrate_low(signs: &Signs) -> Option<Advice> {
    let (bitrate, source, fps) = (signs.cadence.bitrate?, signs.source?, signs.cadence.fps?);
    let pixels = f64::from(source.resolution.width) * f64::from(source.resolution.height) * fps;
    // What the newer codecs spend fewer bits on.
    let thrift = if signs.codec == Some(VideoCodec::H264) { 1.0 } else { 0.6 };
    let wanted = (pixels * GOOD_BITS_A_PIXEL * thrift / 250e3).ceil().max(1.0) * 250.0;
    (bitrate.mean < pixels * FEW_BITS_A_PIXEL * thrift).then(|| {
        let (seen, size) = (kilobits(bitrate.mean), source.resolution);
        warning(
            Code::BitrateLow,
            format!("{seen} kbit/s"),
            format!(
                "{seen} kbit/s is too little for {size} at {fps:.0} frames a second, and the picture breaks into blocks: set the \
                 bitrate to {wanted} kbit/s (OBS: Settings > Output), or send a smaller picture."
            ),
        )
    })
}

fn bitrate_unstable(signs: &Signs) -> Option<Advice> {
    let bitrate = signs.cadence.bitrate.filter(|bitrate| bitrate.variation > VARIATION)?;
    let (least, most) = (kilobits(bitrate.least), kilobits(bitrate.most));
    Some(warning(
        Code::BitrateUnstable,
        format!("{least} to {most} kbit/s"),
        format!(
            "The bitrate swings between {least} and {most} kbit/s: set the rate control to CBR (OBS: Settings > Output > Rate \
             Control), and lower the bitrate if the upload is what gives way."
        ),
    ))
}

fn frames_missing(signs: &Signs) -> Option<Advice> {
    let (frames, missing) = (signs.cadence.frames, signs.cadence.missing);
    let share = f64::from(missing) / f64::from(frames.max(1));
    let severity = match share {
        share if share > HALF_MISSING => Severity::Problem,
        share if share > SOME_MISSING => Severity::Warning,
        _ => return None,
    };
    Some(advice(
        Code::FramesMissing,
        severity,
        format!("{missing} of {frames}"),
        format!(
            "{missing} of {frames} frames are missing in the last 10 s: the encoder left them out. If OBS counts skipped or lagged \
             frames, its computer is overloaded: close programs or choose a faster preset; if it counts dropped frames, its upload \
             is too slow: lower the bitrate."
        ),
    ))
}

fn network_stalls(signs: &Signs) -> Option<Advice> {
    const CURE: &str = "use a cable instead of Wi-Fi, or lower the bitrate";
    if let Some(silent) = signs.arrival.silent_seconds.filter(|&silent| silent > SILENT) {
        return Some(problem(
            Code::NetworkStalls,
            format!("{silent:.0} s"),
            format!(
                "Nothing has come for {silent:.0} s though the connection stands: look at the sender's network; {CURE}."
            ),
        ));
    }
    let (stalls, longest) = (signs.arrival.stalls, signs.arrival.longest_stall);
    (stalls >= SOME_STALLS || longest > LONG_STALL).then(|| {
        let times = if stalls == 1 { "once".to_owned() } else { format!("{stalls} times") };
        warning(
            Code::NetworkStalls,
            format!("{stalls} in 30 s, up to {longest:.1} s"),
            format!("The stream stood still {times} in the last 30 s, for up to {longest:.1} s, and came in a burst: {CURE}."),
        )
    })
}

fn arrival_jitter(signs: &Signs) -> Option<Advice> {
    let jitter = signs.arrival.jitter_ms;
    // What a stall brought late is told as that.
    (jitter > JITTER_MS && signs.arrival.stalls == 0).then(|| {
        info(
            Code::ArrivalJitter,
            format!("{jitter:.0} ms"),
            format!(
                "Frames arrive up to {jitter:.0} ms late and the picture may judder: a cable is steadier than Wi-Fi."
            ),
        )
    })
}

fn audio_missing(signs: &Signs) -> Option<Advice> {
    let seconds = signs.sound.missing_seconds;
    if seconds <= NO_SOUND {
        return None;
    }
    // A camera without a microphone is no mistake of its owner.
    let severity = if signs.protocol == Protocol::Rtsp { Severity::Info } else { Severity::Warning };
    let what = if signs.sound.track { "No sound has come" } else { "Video comes without a sound track" };
    Some(advice(
        Code::AudioMissing,
        severity,
        format!("{seconds:.0} s"),
        format!(
            "{what} for {seconds:.0} s, and viewers hear nothing: choose a microphone (OBS: Settings > Audio) and turn on a sound \
             track for the stream."
        ),
    ))
}

fn audio_silent(signs: &Signs) -> Option<Advice> {
    let loudest =
        signs.sound.loudest_dbfs.filter(|&loudest| loudest < SILENCE_DBFS && signs.sound.missing_seconds < NO_SOUND)?;
    Some(warning(
        Code::AudioSilent,
        format!("{loudest:.0} dBFS"),
        format!(
            "The sound is silent ({loudest:.0} dBFS): look whether the microphone is muted in the mixer, or the wrong device is \
             chosen."
        ),
    ))
}

fn audio_clipping(signs: &Signs) -> Option<Advice> {
    let percent = signs.sound.clipped * 100.0;
    (percent > CLIPPED_PERCENT).then(|| {
        warning(
            Code::AudioClipping,
            format!("{percent:.1} %"),
            format!("{percent:.1} % of the sound is at full scale and distorts: turn it down in the mixer until it peaks at -6 dB."),
        )
    })
}

fn clock_drift(signs: &Signs) -> Option<Advice> {
    let ppm = signs.arrival.drift_ppm.filter(|ppm| ppm.abs() > DRIFT_PPM)?;
    let (severity, pace) = (
        if ppm.abs() > DRIFT_FOLLOWED_PPM { Severity::Warning } else { Severity::Info },
        if ppm > 0.0 { "fast" } else { "slow" },
    );
    Some(advice(
        Code::ClockDrift,
        severity,
        format!("{ppm:+.0} ppm"),
        format!(
            "The sender's clock runs {:.0} ppm {pace}: it is followed, with a jump now and then if it is more than \
             {DRIFT_FOLLOWED_PPM:.0} ppm. Often a capture card or a USB microphone sets the pace: set the same sample rate everywhere \
             (OBS: Settings > Audio).",
            ppm.abs()
        ),
    ))
}

fn timestamps_jump(signs: &Signs) -> Option<Advice> {
    let (jumps, newest) = (signs.arrival.jumps, signs.arrival.newest_jump);
    (jumps > 0).then(|| {
        let times = if jumps == 1 { "once".to_owned() } else { format!("{jumps} times") };
        let seen = format!("{newest:+.1} s");
        let text = format!(
            "The timestamps jumped {times} in the last minute, by {newest:+.1} s at last: restart the stream in the encoder; a looped \
             file or a changed source does this."
        );
        warning(Code::TimestampsJump, seen, text)
    })
}

fn interlaced(signs: &Signs) -> Option<Advice> {
    let source = signs.source.filter(|source| source.interlaced)?;
    Some(warning(
        Code::Interlaced,
        format!("{} interlaced", source.resolution),
        "The picture is interlaced, and what moves has combs: deinterlace it (OBS: right click on the source > Deinterlacing), or \
         set the camera to a progressive mode."
            .to_owned(),
    ))
}

fn colour_range(signs: &Signs) -> Option<Advice> {
    signs.source.filter(|source| source.colour.range == Range::Full)?;
    Some(info(
        Code::ColourRange,
        "full".to_owned(),
        "Full-range colour comes in and is converted to limited: send it limited to spare the work (OBS: Settings > Advanced > Color \
         Range)."
            .to_owned(),
    ))
}

fn colour_matrix(signs: &Signs) -> Option<Advice> {
    let wrong = |height: u32, matrix: Matrix| height >= HD && matrix == Matrix::Bt601;
    let source = signs.source.filter(|source| wrong(source.resolution.height, source.colour.matrix))?;
    Some(info(
        Code::ColourMatrix,
        format!("BT.601 at {}", source.resolution),
        "BT.601 colour comes in at HD and is converted to BT.709: send BT.709 to spare the work (OBS: Settings > Advanced > Color \
         Space)."
            .to_owned(),
    ))
}

fn frames_not_shown(signs: &Signs) -> Option<Advice> {
    let (fps, shown) = (signs.cadence.fps?, f64::from(signs.canvas_fps));
    (fps > shown * MORE_FRAMES).then(|| {
        let lost = (1.0 - shown / fps) * 100.0;
        info(
            Code::FramesNotShown,
            format!("{fps:.0} into {shown:.0}"),
            format!(
                "{fps:.0} frames a second come in and {shown:.0} are shown: {lost:.0} % of them are sent for nothing. Send {shown:.0} \
                 (OBS: Settings > Video)."
            ),
        )
    })
}

fn larger_than_canvas(signs: &Signs) -> Option<Advice> {
    let (sent, canvas) = (signs.source?.resolution, signs.canvas);
    let pixels = |size: crate::media::Resolution| f64::from(size.width) * f64::from(size.height);
    (pixels(sent) > pixels(canvas) * MORE_PIXELS).then(|| {
        info(
            Code::LargerThanCanvas,
            format!("{sent} into {canvas}"),
            format!(
                "{sent} comes in and {canvas} is shown: send {canvas} and spare the bandwidth (OBS: Settings > Video > Output \
                 Resolution)."
            ),
        )
    })
}

fn kilobits(bits: f64) -> u64 {
    (bits / 1e3).round() as u64
}

fn problem(code: Code, seen: String, text: String) -> Advice {
    advice(code, Severity::Problem, seen, text)
}

fn warning(code: Code, seen: String, text: String) -> Advice {
    advice(code, Severity::Warning, seen, text)
}

fn info(code: Code, seen: String, text: String) -> Advice {
    advice(code, Severity::Info, seen, text)
}

fn advice(code: Code, severity: Severity, seen: String, text: String) -> Advice {
    Advice { code, severity, text, seen }
}

const KEYFRAMES_EVERY_2_S: &str = "set the keyframe interval to 2 s (OBS: Settings > Output > Keyframe Interval)";

/// Seconds between keyframes that are far.
const KEYFRAMES_APART: f64 = 4.0;
/// Seconds of video without any keyframe.
const NO_KEYFRAME: f64 = 5.0;
/// Bits a pixel of H.264 at which a moving picture breaks up, and at which it looks good: 720p30 at 2500 kbit/s.
const FEW_BITS_A_PIXEL: f64 = 0.025;
const GOOD_BITS_A_PIXEL: f64 = 0.09;
/// Standard deviation of two-second windows as a part of the mean. CBR stays under a quarter.
const VARIATION: f64 = 0.5;
/// Shares of the frames.
const SOME_MISSING: f64 = 0.05;
const HALF_MISSING: f64 = 0.4;
/// Seconds without a unit.
const SILENT: f64 = 3.0;
/// Stalls in half a minute that are no accident, and one that is long, in seconds.
const SOME_STALLS: u32 = 3;
const LONG_STALL: f64 = 2.0;
const JITTER_MS: f64 = 250.0;
/// Seconds of video without sound.
const NO_SOUND: f64 = 5.0;
const SILENCE_DBFS: f64 = -60.0;
/// Mastered music touches full scale, too, though seldom.
const CLIPPED_PERCENT: f64 = 0.5;
const DRIFT_PPM: f64 = 300.0;
/// What the timeline's servo takes out without a jump.
const DRIFT_FOLLOWED_PPM: f64 = 500.0;
/// From this height on a picture is BT.709 by custom.
const HD: u32 = 720;
const MORE_FRAMES: f64 = 1.2;
/// 1080p into 720p is 2.25 times.
const MORE_PIXELS: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::super::signs::{Arrival, Bitrate, Cadence, Sound};
    use super::*;
    use crate::codec::Source;
    use crate::media::{Colour, Resolution};

    /// A stream as it should be: 720p30, a keyframe every two seconds, 2500 kbit/s, sound.
    fn good() -> Signs {
        let bitrate = Bitrate { mean: 2.5e6, least: 2.3e6, most: 2.7e6, variation: 0.05 };
        Signs {
            protocol: Protocol::Rtmp,
            canvas: Resolution::new(1280, 720),
            canvas_fps: 30,
            codec: Some(VideoCodec::H264),
            source: Some(Source {
                resolution: Resolution::new(1280, 720),
                colour: Colour::BT709,
                interlaced: false,
                aspect: (1, 1),
            }),
            cadence: Cadence {
                seconds: 100.0,
                fps: Some(30.0),
                frames: 300,
                missing: 2,
                keyframe_seconds: Some(2.0),
                since_keyframe: Some(1.1),
                b_frames: 0,
                reorder_ms: 0.0,
                bitrate: Some(bitrate),
            },
            arrival: Arrival {
                silent_seconds: Some(0.02),
                jitter_ms: 40.0,
                drift_ppm: Some(20.0),
                ..Arrival::default()
            },
            sound: Sound { track: true, missing_seconds: 0.02, loudest_dbfs: Some(-20.0), clipped: 0.0001 },
        }
    }

    /// The one finding after `change` made a good stream worse.
    fn only(change: impl FnOnce(&mut Signs)) -> Advice {
        let mut signs = good();
        change(&mut signs);
        let mut found = findings(&signs);
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }

    #[track_caller]
    fn says(advice: &Advice, code: Code, severity: Severity, seen: &str, words: &[&str]) {
        assert_eq!((advice.code, advice.severity, advice.seen.as_str()), (code, severity, seen));
        for word in words {
            assert!(advice.text.contains(word), "{word:?} is not in {:?}", advice.text);
        }
        assert!(!advice.text.contains("  "), "{:?}", advice.text);
    }

    #[test]
    fn a_good_stream_needs_nothing() {
        assert_eq!(findings(&good()), []);
    }

    #[test]
    fn one_that_has_just_begun_is_not_judged() {
        let signs = Signs {
            codec: None,
            source: None,
            cadence: Cadence::default(),
            arrival: Arrival::default(),
            sound: Sound::default(),
            ..good()
        };
        assert_eq!(findings(&signs), []);
    }

    #[test]
    fn keyframes_far_apart() {
        let advice = only(|signs| signs.cadence.keyframe_seconds = Some(8.3333));
        says(
            &advice,
            Code::KeyframeInterval,
            Severity::Warning,
            "8.3 s",
            &["every 8.3 s", "to 2 s", "Keyframe Interval"],
        );
    }

    #[test]
    fn no_keyframe_at_all() {
        let advice = only(|signs| (signs.cadence.since_keyframe, signs.cadence.seconds) = (None, 12.4));
        says(&advice, Code::NoKeyframe, Severity::Problem, "12 s", &["for 12 s", "no picture"]);
    }

    #[test]
    fn b_frames_delay() {
        let advice = only(|signs| (signs.cadence.b_frames, signs.cadence.reorder_ms) = (3, 166.7));
        says(&advice, Code::BFrames, Severity::Info, "3 in a row, 167 ms", &["3 B-frames delay", "167 ms"]);
        let advice = only(|signs| (signs.cadence.b_frames, signs.cadence.reorder_ms) = (1, 66.7));
        says(&advice, Code::BFrames, Severity::Info, "1 in a row, 67 ms", &["1 B-frame delays"]);
    }

    #[test]
    fn a_starving_bitrate_is_told_what_it_should_be() {
        let starved = Bitrate { mean: 400e3, least: 380e3, most: 420e3, variation: 0.05 };
        let advice = only(|signs| signs.cadence.bitrate = Some(starved));
        says(&advice, Code::BitrateLow, Severity::Warning, "400 kbit/s", &["1280x720 at 30", "to 2500 kbit/s"]);
        let mut thrifty = good();
        (thrifty.codec, thrifty.cadence.bitrate) = (Some(VideoCodec::H265), Some(Bitrate { mean: 450e3, ..starved }));
        assert_eq!(findings(&thrifty), [], "H.265 needs less");
    }

    #[test]
    fn a_bitrate_that_swings() {
        let swings = Bitrate { mean: 2e6, least: 390e3, most: 4.1e6, variation: 0.8 };
        let advice = only(|signs| signs.cadence.bitrate = Some(swings));
        says(&advice, Code::BitrateUnstable, Severity::Warning, "390 to 4100 kbit/s", &["CBR"]);
    }

    #[test]
    fn frames_that_the_encoder_left_out() {
        let advice = only(|signs| signs.cadence.missing = 41);
        says(&advice, Code::FramesMissing, Severity::Warning, "41 of 300", &["41 of 300", "overloaded"]);
        assert_eq!(only(|signs| signs.cadence.missing = 150).severity, Severity::Problem);
    }

    #[test]
    fn stalls_of_the_network() {
        let advice = only(|signs| (signs.arrival.stalls, signs.arrival.longest_stall) = (3, 1.44));
        says(&advice, Code::NetworkStalls, Severity::Warning, "3 in 30 s, up to 1.4 s", &["3 times", "1.4 s", "cable"]);
        let advice = only(|signs| (signs.arrival.stalls, signs.arrival.longest_stall) = (1, 4.0));
        says(&advice, Code::NetworkStalls, Severity::Warning, "1 in 30 s, up to 4.0 s", &["once"]);
        let advice = only(|signs| signs.arrival.silent_seconds = Some(7.2));
        says(&advice, Code::NetworkStalls, Severity::Problem, "7 s", &["Nothing has come for 7 s"]);
    }

    #[test]
    fn jitter() {
        let advice = only(|signs| signs.arrival.jitter_ms = 312.0);
        says(&advice, Code::ArrivalJitter, Severity::Info, "312 ms", &["312 ms"]);
    }

    #[test]
    fn sound_that_is_missing() {
        let none = |signs: &mut Signs| signs.sound = Sound { missing_seconds: 9.0, ..Sound::default() };
        says(&only(none), Code::AudioMissing, Severity::Warning, "9 s", &["without a sound track", "9 s"]);
        let stopped = |signs: &mut Signs| signs.sound.missing_seconds = 9.0;
        says(&only(stopped), Code::AudioMissing, Severity::Warning, "9 s", &["No sound has come for 9 s"]);
        let camera = |signs: &mut Signs| (signs.protocol, signs.sound.missing_seconds) = (Protocol::Rtsp, 9.0);
        assert_eq!(only(camera).severity, Severity::Info);
    }

    #[test]
    fn sound_that_is_silent() {
        let advice = only(|signs| signs.sound.loudest_dbfs = Some(-91.2));
        says(&advice, Code::AudioSilent, Severity::Warning, "-91 dBFS", &["muted"]);
    }

    #[test]
    fn sound_that_clips() {
        let advice = only(|signs| signs.sound.clipped = 0.0213);
        says(&advice, Code::AudioClipping, Severity::Warning, "2.1 %", &["2.1 %", "-6 dB"]);
    }

    #[test]
    fn a_clock_that_drifts() {
        let advice = only(|signs| signs.arrival.drift_ppm = Some(-340.0));
        says(&advice, Code::ClockDrift, Severity::Info, "-340 ppm", &["340 ppm slow"]);
        assert_eq!(only(|signs| signs.arrival.drift_ppm = Some(900.0)).severity, Severity::Warning);
    }

    #[test]
    fn timestamps_that_jump() {
        let advice = only(|signs| (signs.arrival.jumps, signs.arrival.newest_jump) = (2, -12.4));
        says(&advice, Code::TimestampsJump, Severity::Warning, "-12.4 s", &["2 times", "-12.4 s"]);
    }

    #[test]
    fn an_interlaced_picture() {
        let advice = only(|signs| signs.source.as_mut().unwrap().interlaced = true);
        says(&advice, Code::Interlaced, Severity::Warning, "1280x720 interlaced", &["Deinterlacing"]);
    }

    #[test]
    fn colour_that_is_converted() {
        let advice = only(|signs| signs.source.as_mut().unwrap().colour.range = Range::Full);
        says(&advice, Code::ColourRange, Severity::Info, "full", &["converted to limited"]);
        let advice = only(|signs| signs.source.as_mut().unwrap().colour.matrix = Matrix::Bt601);
        says(&advice, Code::ColourMatrix, Severity::Info, "BT.601 at 1280x720", &["converted to BT.709"]);
    }

    #[test]
    fn more_than_the_canvas_shows() {
        let advice = only(|signs| signs.cadence.fps = Some(59.94));
        says(&advice, Code::FramesNotShown, Severity::Info, "60 into 30", &["50 %", "Send 30"]);
        let advice = only(|signs| {
            signs.source.as_mut().unwrap().resolution = Resolution::new(1920, 1080);
            signs.cadence.bitrate.as_mut().unwrap().mean = 6e6;
        });
        says(&advice, Code::LargerThanCanvas, Severity::Info, "1920x1080 into 1280x720", &["send 1280x720"]);
    }
}
