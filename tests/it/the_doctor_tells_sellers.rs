//! What a seller should change, the show's health says, with the number seen; of a good stream it says nothing.

use std::time::Duration;

use serde_json::Value;

use crate::support::clip::Clip;
use crate::support::hawker::Hawker;
use crate::support::patience::{eventually, throughout};
use crate::support::publisher::Publisher;
use crate::support::turn::Turn;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_judged_by_its_own_numbers() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    let api = hawker.api();
    assert_eq!(api.health().await["advice"], serde_json::json!([]), "nobody publishes");

    // Keyframes 250 frames apart, three B-frames, no sound.
    let mut publisher = hawker.publish(&Clip { sound: None, ..SMALL });
    let keyframes = advice_where(&hawker, "keyframe-interval", |advice| text(advice).contains("every 8.3 s")).await;
    assert_eq!((&keyframes["severity"], &keyframes["seen"]), (&"warning".into(), &"8.3 s".into()));
    assert!(text(&keyframes).contains("to 2 s"), "{keyframes:#}");
    let sound = advice_where(&hawker, "audio-missing", |_| true).await;
    assert_eq!(sound["severity"], "warning", "{sound:#}");
    let b_frames = advice_where(&hawker, "b-frames", |_| true).await;
    // Two frames of reordering and three to wait for, at 30 a second.
    assert_eq!((&b_frames["severity"], &b_frames["seen"]), (&"info".into(), &"3 in a row, 167 ms".into()));
    assert!(api.metric("ingest_warnings").await >= Some(2.0));

    // The next publication is judged by itself.
    publisher.kill();
    let good = Clip { b_frames: 0, keyframe_every: 60, ..SMALL };
    let _publisher = hawker.publish(&good);
    eventually("the good stream has sound", ON_AIR, async || {
        let health = api.health().await;
        (health["input"]["audio"].is_object() && health["on_air"] == true).then_some(())
    })
    .await;
    throughout("a good stream gets no warnings", Duration::from_secs(20), async || {
        let health = api.health().await;
        let bad = list(&health).iter().find(|advice| advice["severity"] != "info");
        if let Some(bad) = bad {
            println!("{bad:#} of {health:#}");
        }
        bad.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_to_send_in_place_of_a_refused_codec_is_told_after_the_refusal() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    let url = hawker.publish_url();
    let mut refused = Publisher::push_as(&url, &SMALL, &["-c:v", "flv1", "-c:a", "copy"]);
    let advice = advice_where(&hawker, "unsupported-codec", |_| true).await;
    assert_eq!(advice["severity"], "problem", "{advice:#}");
    assert!(text(&advice).contains("H.264"), "{advice:#}");
    refused.end(ON_AIR).await;
    let _publisher = hawker.publish(&Clip { b_frames: 0, keyframe_every: 60, ..SMALL });
    eventually("a picture ends the complaint", ON_AIR, async || {
        let health = hawker.api().health().await;
        (health["on_air"] == true && !list(&health).iter().any(|one| one["code"] == "unsupported-codec")).then_some(())
    })
    .await;
}

async fn advice_where(hawker: &Hawker, code: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("the health says {code}"), Duration::from_secs(40), async || {
        let health = hawker.api().health().await;
        list(&health).iter().find(|advice| advice["code"] == code && wanted(advice)).cloned()
    })
    .await
}

fn list(health: &Value) -> &[Value] {
    health["advice"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(advice: &Value) -> &str {
    advice["text"].as_str().unwrap_or_default()
}

const SMALL: Clip = Clip {
    width: 640,
    height: 360,
    frames_per_second: 30,
    seconds: 40,
    b_frames: 3,
    keyframe_every: 250,
    moving: true,
    sound: Some((48_000, 2)),
};
const ON_AIR: Duration = Duration::from_secs(15);
