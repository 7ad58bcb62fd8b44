//! What a seller sends by RTMP, viewers see and hear: OBS's defaults first, then the other shapes of sound.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::clip::Clip;
use crate::support::hawker::Hawker;
use crate::support::patience::eventually;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

#[tokio::test(flavor = "multi_thread")]
async fn an_obs_stream_arrives_whole_and_in_step() {
    let _turn = Turn::take().await;
    let (hawker, clip) = (Hawker::start().await, Clip::obs());
    let _publisher = hawker.publish(&clip);
    let viewer = Viewer::join(&hawker.whep()).await;

    let first = viewer.numbered_frame(ON_AIR).await;
    assert_eq!((first.width, first.height), (clip.width, clip.height));
    assert_eq!(first.added_to(&clip), None, "nothing is on the stage: {:?}", first.save("obs-first"));

    // Pictures come in order, each with its own timestamp, and hardly one is missing.
    let from = first.rtp;
    viewer.frame("four seconds more", Duration::from_secs(10), |frame| after(frame.rtp, from) > 4 * 90_000).await;
    let frames: Vec<_> = viewer.numbers().into_iter().filter(|(rtp, _)| after(*rtp, from) >= 0).collect();
    assert!(frames.is_sorted_by(|a, b| after(b.0, a.0) > 0), "timestamps grow: {frames:?}");
    let numbers: Vec<u16> = frames.iter().filter_map(|(_, number)| *number).collect();
    assert!(numbers.is_sorted(), "no B-frame comes out of order: {numbers:?}");
    let different = numbers.iter().collect::<BTreeSet<_>>().len();
    assert!(different * 100 >= frames.len() * 97, "{different} different pictures in {} frames", frames.len());

    in_step(&viewer, &clip).await;

    let health = hawker.api().health().await;
    assert_eq!(health["on_air"], true);
    let video = &health["input"]["video"];
    assert_eq!((&video["width"], &video["height"]), (&clip.width.into(), &clip.height.into()), "{health:#}");
    assert_eq!(video["b_frames"], true, "{health:#}");
    assert_eq!(health["output"]["viewers"], 1, "{health:#}");
    assert!(viewer.leave().await.is_success(), "leaving is answered");
    eventually("the viewer is gone", Duration::from_secs(5), async || {
        (hawker.api().health().await["output"]["viewers"] == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_obs_stream_plays_in_chromium() {
    let _turn = Turn::take().await;
    let (hawker, clip) = (Hawker::start().await, Clip::obs());
    let _publisher = hawker.publish(&clip);
    let browser = Browser::open().await;
    browser.go(hawker.viewer_page().as_str()).await;
    browser.state("live", ON_AIR).await;
    browser.watch().await;

    let frame = browser.frame_where("the seller's picture", ON_AIR, |frame| frame.number().is_some()).await;
    assert_eq!(frame.added_to(&clip), None, "the seller's own pixels: {:?}", frame.save("chromium-first"));

    browser.presented().await;
    let mut frames = Vec::new();
    eventually("five seconds of frames", Duration::from_secs(20), async || {
        frames.extend(browser.presented().await);
        let span = frames.last()?.at - frames.first()?.at;
        (span > 5000.0).then_some(())
    })
    .await;
    let different = frames.iter().filter_map(|frame| frame.number()).collect::<BTreeSet<_>>().len();
    assert!(different >= 130, "{different} different source frames in five seconds of {}", frames.len());

    // A click turns the sound on, and it is the seller's.
    browser.click_on("#invite").await;
    eventually("a click turns the sound on", Duration::from_secs(5), async || {
        let muted = browser.evaluate("return document.querySelector('video').muted", Vec::new()).await;
        (muted == false).then_some(())
    })
    .await;
    eventually("sound arrives in Chromium", Duration::from_secs(10), async || {
        let sound = browser.evaluate(SOUND, Vec::new()).await;
        sound["totalAudioEnergy"].as_f64().filter(|&energy| energy > 0.0)
    })
    .await;
    assert_eq!(browser.complaints().await, serde_json::json!([]));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mono_at_44100_hz_is_in_step_and_silence_is_no_obstacle() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    let mono = Clip { sound: Some((44_100, 1)), b_frames: 0, ..Clip::obs() };
    let mut publisher = hawker.publish(&mono);
    let viewer = Viewer::join(&hawker.whep()).await;
    viewer.numbered_frame(ON_AIR).await;
    in_step(&viewer, &mono).await;

    publisher.kill();
    let _publisher = hawker.publish(&Clip { sound: None, ..mono });
    eventually("the silent publisher is on air", ON_AIR, async || {
        let health = hawker.api().health().await;
        (health["on_air"] == true && health["input"]["audio"].is_null()).then_some(())
    })
    .await;
    let heard = viewer.heard();
    viewer.numbered_frame(ON_AIR).await;
    eventually("silence is sent in the place of sound", Duration::from_secs(5), async || {
        (viewer.heard() > heard + 50).then_some(())
    })
    .await;
}

/// Holds when beeps begin within ±20 ms of the pictures of the same second, by the sender reports' one clock.
async fn in_step(viewer: &Viewer, clip: &Clip) {
    let offsets = offsets(viewer, clip.frames_per_second).await;
    // The first beep may belong to the moment in which both were still being anchored.
    let settled = &offsets[1..];
    assert!(settled.iter().all(|offset| offset.abs() <= 20.0), "sound is off by {offsets:.1?} ms");
}

/// By how many milliseconds the sound is behind its picture, of four beeps or more: each begins with a picture whose number
/// begins a second.
pub(crate) async fn offsets(viewer: &Viewer, frames_per_second: usize) -> Vec<f64> {
    let offsets = eventually("four beeps with their pictures", Duration::from_secs(15), async || {
        let numbers = viewer.numbers();
        let offsets = viewer.beeps().into_iter().filter_map(|(beep, rtp)| {
            let heard = viewer.audio_moment(rtp)?;
            // The beep's second modulo eight is known; of the pictures that begin such a second, the one next to it.
            let seen = numbers.iter().filter_map(|(rtp, number)| {
                let second = usize::from((*number)?) / frames_per_second;
                let begins = usize::from((*number)?).is_multiple_of(frames_per_second);
                (begins && second % 8 == beep.second as usize).then(|| viewer.video_moment(*rtp))?
            });
            let nearest = seen.min_by(|a, b| (a - heard).abs().total_cmp(&(b - heard).abs()))?;
            (nearest - heard).abs().le(&2.0).then_some((heard - nearest) * 1000.0)
        });
        let offsets: Vec<f64> = offsets.collect();
        (offsets.len() >= 4).then_some(offsets)
    })
    .await;
    println!("sound after picture, ms: {offsets:.1?}");
    offsets
}

/// What Chromium counts of the sound that it gets.
const SOUND: &str = "
const stats = Object.values(await window.hawker.stats());
return stats.find(one => one.type === 'inbound-rtp' && one.kind === 'audio') ?? null";

fn after(rtp: u32, than: u32) -> i32 {
    rtp.wrapping_sub(than) as i32
}

/// From a publisher's start to its picture.
pub(crate) const ON_AIR: Duration = Duration::from_secs(15);
