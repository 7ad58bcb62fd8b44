//! The ingest doctor: tells a seller in plain words what to change about what they send, with the number that was seen.
//!
//! ```text
//!  units ──► cadence, arrival ─┐
//!                              ├─► Signs ──► rules ──► Doctor ──► advice
//!  decoded sound ──► loudness ─┘   once a second
//! ```
//!
//! Gauges measure one publication as it comes; their numbers are its signs; each rule is a pure function of them. A finding
//! becomes advice once it has held for some seconds and stays until all has been well for longer, so that nothing flickers. Whatever a publisher sends, the gauges hold at most some tens of kilobytes.

pub(super) mod arrival;
pub(super) mod cadence;
pub(super) mod loudness;
mod rules;
pub(super) mod signs;

use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use signs::Signs;

/// One thing to change about what comes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Advice {
    pub code: Code,
    pub severity: Severity,
    /// What is seen and what to do about it, for the seller to read.
    pub text: String,
    /// The number that it rests on, with its unit.
    pub seen: String,
}

impl Advice {
    /// What a way in refused, in its own words.
    pub(super) fn unsupported_codec(complaint: &str) -> Advice {
        let (text, seen) = (complaint.to_owned(), "an unsupported codec".to_owned());
        Advice { code: Code::UnsupportedCodec, severity: Severity::Problem, text, seen }
    }
}

/// How much it matters to the viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works; it could be better.
    Info,
    /// Viewers see or hear it.
    Warning,
    /// Viewers see or hear nothing, or hardly anything.
    Problem,
}

/// What a piece of advice is about, for programs. Codes keep their meaning; new ones may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The publisher's codec cannot be taken.
    UnsupportedCodec,
    /// No keyframe has come at all: there is no picture yet.
    NoKeyframe,
    /// Nothing comes though the connection stands, or media comes in bursts after pauses.
    NetworkStalls,
    /// Video without sound.
    AudioMissing,
    /// The sound is digital silence.
    AudioSilent,
    /// The sound is at full scale and distorts.
    AudioClipping,
    /// The encoder leaves frames out.
    FramesMissing,
    /// Too few bits for the size and the rate.
    BitrateLow,
    /// The encoder's bitrate swings.
    BitrateUnstable,
    /// Keyframes are far apart.
    KeyframeInterval,
    /// Timestamps jump ahead or go back.
    TimestampsJump,
    /// The publisher's clock runs faster or slower than the server's.
    ClockDrift,
    /// The picture is made of half frames.
    Interlaced,
    /// The delay between sending and arrival varies.
    ArrivalJitter,
    /// B-frames delay the picture.
    BFrames,
    /// Full-range colour is converted to limited.
    ColourRange,
    /// BT.601 colour at HD is converted to BT.709.
    ColourMatrix,
    /// More frames come in than the canvas shows.
    FramesNotShown,
    /// A larger picture comes in than the canvas shows.
    LargerThanCanvas,
}

/// How long a finding holds before it is told.
pub(super) const APPEARS_AFTER: Duration = Duration::from_secs(3);
/// How long all has to be well before advice goes.
pub(super) const GOES_AFTER: Duration = Duration::from_secs(10);

/// What is told of one publication.
#[derive(Debug, Default)]
pub(super) struct Doctor {
    watched: Vec<Watched>,
}

/// A finding on its way to advice, or advice on its way out.
#[derive(Debug)]
struct Watched {
    advice: Advice,
    told: bool,
    first_found: Instant,
    last_found: Instant,
}

impl Doctor {
    /// Takes note of what the rules find now. Meant to be called once a second.
    pub(super) fn examine(&mut self, signs: &Signs, now: Instant) {
        self.note(rules::findings(signs), now);
    }

    /// Worst first; of the same severity in the order of the rules.
    pub(super) fn advice(&self) -> Vec<Advice> {
        let mut told: Vec<Advice> = self.watched.iter().filter(|one| one.told).map(|one| one.advice.clone()).collect();
        told.sort_by_key(|advice| (std::cmp::Reverse(advice.severity), advice.code as u8));
        told
    }

    fn note(&mut self, findings: Vec<Advice>, now: Instant) {
        self.watched.retain_mut(|one| match findings.iter().find(|finding| finding.code == one.advice.code) {
            Some(finding) => {
                (one.advice, one.last_found) = (finding.clone(), now);
                one.told |= now.saturating_duration_since(one.first_found) >= APPEARS_AFTER;
                true
            }
            None => one.told && now.saturating_duration_since(one.last_found) < GOES_AFTER,
        });
        for advice in findings {
            if !self.watched.iter().any(|one| one.advice.code == advice.code) {
                self.watched.push(Watched { advice, told: false, first_found: now, last_found: now });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: Code, severity: Severity, seen: &str) -> Advice {
        Advice { code, severity, text: String::new(), seen: seen.to_owned() }
    }

    fn second(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn advice_appears_when_it_has_held_and_goes_when_all_has_been_well() {
        let (start, mut doctor) = (Instant::now(), Doctor::default());
        let bad = || vec![finding(Code::AudioSilent, Severity::Warning, "-91 dB")];
        for at in 0..3 {
            doctor.note(bad(), second(start, at));
            assert!(doctor.advice().is_empty(), "told after {at} s");
        }
        doctor.note(bad(), second(start, 3));
        assert_eq!(doctor.advice().len(), 1);
        for at in 4..20 {
            doctor.note(bad(), second(start, at));
        }
        for at in 20..29 {
            doctor.note(Vec::new(), second(start, at));
            assert_eq!(doctor.advice().len(), 1, "gone after {at} s");
        }
        doctor.note(Vec::new(), second(start, 29));
        assert!(doctor.advice().is_empty());
    }

    #[test]
    fn what_comes_and_goes_neither_appears_nor_flickers() {
        let (start, mut doctor) = (Instant::now(), Doctor::default());
        let bad = || vec![finding(Code::BitrateUnstable, Severity::Warning, "")];
        for at in 0..60 {
            doctor.note(if at % 3 == 2 { Vec::new() } else { bad() }, second(start, at));
            assert!(doctor.advice().is_empty(), "told after {at} s");
        }
        for at in 60..70 {
            doctor.note(bad(), second(start, at));
        }
        for at in 70..130 {
            doctor.note(if at % 5 == 0 { bad() } else { Vec::new() }, second(start, at));
            assert_eq!(doctor.advice().len(), 1, "gone after {at} s");
        }
    }

    #[test]
    fn the_newest_number_is_told_and_the_worst_comes_first() {
        let (start, mut doctor) = (Instant::now(), Doctor::default());
        for at in 0..5 {
            doctor.note(
                vec![
                    finding(Code::BFrames, Severity::Info, "167 ms"),
                    finding(Code::KeyframeInterval, Severity::Warning, &format!("{at} s")),
                    finding(Code::AudioMissing, Severity::Warning, ""),
                    finding(Code::NoKeyframe, Severity::Problem, ""),
                ],
                second(start, at),
            );
        }
        let advice = doctor.advice();
        let codes: Vec<Code> = advice.iter().map(|one| one.code).collect();
        assert_eq!(codes, [Code::NoKeyframe, Code::AudioMissing, Code::KeyframeInterval, Code::BFrames]);
        assert_eq!(advice[2].seen, "4 s");
    }

    #[test]
    fn programs_read_kebab_case_and_lower_case() {
        let advice = finding(Code::BFrames, Severity::Info, "100 ms");
        let written = serde_json::to_value(&advice).unwrap();
        assert_eq!(
            written,
            serde_json::json!({ "code": "b-frames", "severity": "info", "text": "", "seen": "100 ms" })
        );
    }
}
