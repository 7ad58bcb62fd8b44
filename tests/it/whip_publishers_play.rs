//! A browser's camera is on air by WHIP, whichever codec it speaks: pictures that move, sound that is heard, a health that says
//! what comes in. DELETE ends it, a wrong key is refused, and who publishes last is seen.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rtmp_reaches_viewers::{ON_AIR, offsets};
use crate::support::browser::{Browser, CAMERA};
use crate::support::clip::Clip;
use crate::support::hawker::{Hawker, STREAM_KEY};
use crate::support::patience::eventually;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_camera_is_seen_and_heard_in_h264() {
    camera_plays("video/H264", "H.264").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_camera_is_seen_and_heard_in_vp8() {
    camera_plays("video/VP8", "VP8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_camera_is_seen_and_heard_in_vp9() {
    camera_plays("video/VP9", "VP9").await;
}

async fn camera_plays(mime: &str, name: &str) {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    let browser = Browser::open_with(&CAMERA).await;
    let published = publish(&hawker, &browser, CAMERA_MEDIA, mime, STREAM_KEY).await;
    assert_eq!(published["status"], 201, "{published:#}");
    assert_eq!(published["etag"], "\"1\"");

    // The camera's picture turns all the time.
    let viewer = Viewer::join(&hawker.whep()).await;
    let first = viewer.frame("the camera's picture", ON_AIR, |frame| frame.contrast() > 60).await;
    for _ in 0..5 {
        viewer.frame("a picture that moved", Duration::from_secs(5), |frame| frame.distance(&first) > 0.5).await;
    }
    // It beeps once a second.
    let loud = |samples: &[f32]| samples.iter().any(|sample| sample.abs() > 0.05);
    eventually("the camera's sound", Duration::from_secs(10), async || loud(&viewer.samples()).then_some(())).await;
    // Without word of what arrives, a browser stays at the 300 kbit/s that it begins with. More than half as much again as
    // it really sends it does not take for granted, and this camera is easily coded.
    eventually("the browser finds that there is room", Duration::from_secs(20), async || {
        browser.evaluate_later(ROOM, Vec::new()).await.as_f64().filter(|&bits| bits > 600_000.0)
    })
    .await;

    let health = eventually("the health tells the rates", Duration::from_secs(15), async || {
        let health = hawker.api().health().await;
        let video = &health["input"]["video"];
        let whole = video["width"] == 640 && video["fps"].as_f64() > Some(15.0);
        whole.then_some(health)
    })
    .await;
    let input = &health["input"];
    assert_eq!(input["protocol"], "WHIP", "{health:#}");
    assert_eq!(input["video"]["codec"], name, "{health:#}");
    assert_eq!(input["audio"]["codec"], "Opus", "{health:#}");
    assert!(input["encoder"].as_str().is_some_and(|encoder| encoder.contains("Chrome")), "{health:#}");
    assert_eq!(health["stages"]["decode_errors"], 0, "{health:#}");

    let location = published["location"].as_str().unwrap();
    let answer = reqwest::Client::new().delete(hawker.url(location)).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    eventually("the publisher is off", Duration::from_secs(5), async || {
        hawker.api().health().await["input"].is_null().then_some(())
    })
    .await;
    eventually("the browser sees its connection end", Duration::from_secs(10), async || {
        let state = browser.evaluate("return window.publishing.connectionState", Vec::new()).await;
        (state != "connected").then_some(())
    })
    .await;
    let again = reqwest::Client::new().delete(hawker.url(location)).send().await.unwrap();
    assert_eq!(again.status(), 404, "it is gone");
    let log = hawker.said().join("\n");
    assert!(!log.contains(STREAM_KEY) && !log.contains(location.rsplit('/').next().unwrap()), "no secret in {log}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_changes_nothing_and_the_newest_publisher_is_seen() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    let mut obs = hawker.publish(&Clip::obs());
    let viewer = Viewer::join(&hawker.whep()).await;
    viewer.numbered_frame(ON_AIR).await;

    let browser = Browser::open_with(&CAMERA).await;
    let refused = publish(&hawker, &browser, CAMERA_MEDIA, "video/VP8", "wrong-key-2026").await;
    assert_eq!(refused["status"], 401, "{refused:#}");
    assert!(refused["body"].as_str().unwrap().contains("stream key"), "{refused:#}");
    assert!(obs.ended().is_none(), "OBS is left alone");
    viewer.numbered_frame(ON_AIR).await;

    let published = publish(&hawker, &browser, CAMERA_MEDIA, "video/VP8", STREAM_KEY).await;
    assert_eq!(published["status"], 201, "{published:#}");
    viewer.frame("the camera in place of OBS", ON_AIR, |frame| frame.number().is_none()).await;
    obs.end(Duration::from_secs(10)).await;
    assert_eq!(hawker.api().health().await["input"]["protocol"], "WHIP");

    // And back: the browser's connection ends.
    let _obs = hawker.publish(&Clip::obs());
    viewer.numbered_frame(ON_AIR).await;
    eventually("the browser sees its connection end", Duration::from_secs(10), async || {
        let state = browser.evaluate("return window.publishing.connectionState", Vec::new()).await;
        (state != "connected").then_some(())
    })
    .await;
    assert_eq!(hawker.api().metric("deliver_joins_total").await, Some(1.0), "it is the same viewer");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_sound_stays_with_its_picture() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start().await;
    let browser = Browser::open_with(&CAMERA).await;
    let published = publish(&hawker, &browser, STAGE, "video/VP8", STREAM_KEY).await;
    assert_eq!(published["status"], 201, "{published:#}");
    let viewer = Viewer::join(&hawker.whep()).await;
    viewer.numbered_frame(ON_AIR).await;
    let offsets = offsets(&viewer, 30).await;
    // The browser's own part in it, a canvas against an audio graph on a busy machine, is some tens of milliseconds.
    let settled = &offsets[1..];
    assert!(settled.iter().all(|offset| offset.abs() <= 80.0), "sound is off by {offsets:.1?} ms");
    browser.close().await;
}

/// Publishes `media` from a page of the server's own origin, as RFC 9725 tells it.
async fn publish(hawker: &Hawker, browser: &Browser, media: &str, mime: &str, key: &str) -> Value {
    browser.go(hawker.url("/healthz").as_str()).await;
    let script = PUBLISH.replace("MEDIA", media);
    browser.evaluate_later(&script, vec![json!(hawker.whip().as_str()), json!(key), json!(mime)]).await
}

/// The camera as it is, with nothing done to its beeps.
const CAMERA_MEDIA: &str = r#"navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    video: { width: 640, height: 480, frameRate: 20 },
})"#;

/// A canvas that shows the trials' strip, 30 numbers a second, and the trials' beep with every thirtieth.
const STAGE: &str = r#"(async () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
    const [paint, sound] = [canvas.getContext('2d'), new AudioContext({ sampleRate: 48000 })];
    await sound.resume();
    const [out, pitch, level] = [sound.createMediaStreamDestination(), sound.createOscillator(), sound.createGain()];
    pitch.connect(level).connect(out);
    level.gain.value = 0;
    pitch.start();
    let next = Math.ceil(sound.currentTime) + 1, last = -1;
    setInterval(() => {
        while (next < sound.currentTime + 2) {
            pitch.frequency.setValueAtTime(500 + 100 * (next % 8), next);
            level.gain.setValueAtTime(0.5, next);
            level.gain.setValueAtTime(0, next + 0.1);
            next += 1;
        }
        const number = Math.floor(sound.currentTime * 30);
        if (number === last) return;
        last = number;
        const check = (number ^ number >> 4 ^ number >> 8 ^ number >> 12) & 15 ^ 0b1010;
        const bits = '10' + number.toString(2).padStart(16, '0') + check.toString(2).padStart(4, '0');
        paint.fillStyle = '#808080';
        paint.fillRect(0, 0, 640, 360);
        [...bits].forEach((bit, nth) => {
            paint.fillStyle = bit === '1' ? '#fff' : '#000';
            paint.fillRect(144 + nth * 16, 144, 16, 16);
        });
    }, 5);
    return new MediaStream([...canvas.captureStream().getTracks(), ...out.stream.getTracks()]);
})()"#;

/// The bits a second that the browser's congestion control would send.
const ROOM: &str = "
const [done] = arguments;
window.publishing.getStats().then(stats => {
    const pair = [...stats.values()].find(one => one.type === 'candidate-pair' && one.nominated);
    done(pair?.availableOutgoingBitrate ?? null);
})";

const PUBLISH: &str = r#"
const [url, key, mime, done] = arguments;
(async () => {
    const media = await MEDIA;
    const connection = window.publishing = new RTCPeerConnection();
    for (const track of media.getTracks()) {
        const { sender } = connection.addTransceiver(track, { direction: 'sendonly' });
        if (track.kind !== 'video') continue;
        const { codecs } = RTCRtpSender.getCapabilities('video');
        const chosen = codecs.filter(codec => [mime, 'video/rtx'].includes(codec.mimeType));
        connection.getTransceivers().find(one => one.sender === sender).setCodecPreferences(chosen);
    }
    await connection.setLocalDescription();
    const response = await fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${key}` },
        body: connection.localDescription.sdp,
    });
    const body = await response.text();
    if (response.status === 201) await connection.setRemoteDescription({ type: 'answer', sdp: body });
    const header = name => response.headers.get(name);
    return { status: response.status, location: header('location'), etag: header('etag'), body };
})().then(done, error => done({ status: 0, body: String(error) }));
"#;
