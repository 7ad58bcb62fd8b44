//! Throw-away: the viewer and the browser against a sender on the `webrtc` crate.
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse};
use bytes::Bytes;
use reqwest::Url;
use rtc::media::Sample;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp_transceiver::rtp_sender::*;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_sample::TrackLocalStaticSample;
use webrtc::peer_connection::*;

use crate::support::browser::Browser;
use crate::support::child;
use crate::support::clip::Clip;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

struct Nobody(tokio::sync::mpsc::UnboundedSender<()>);
#[async_trait::async_trait]
impl PeerConnectionEventHandler for Nobody {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.0.send(());
        }
    }
}

fn access_units(clip: &Clip) -> Vec<Bytes> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-loglevel", "error", "-i"]).arg(clip.path());
    ffmpeg.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-profile:v",
        "baseline",
        "-g",
        "30",
        "-b:v",
        "2M",
        "-x264-params",
        "sliced-threads=0:repeat-headers=1",
        "-bsf:v",
        "h264_metadata=aud=insert",
        "-f",
        "h264",
        "-",
    ]);
    let bytes = child::run("x264", ffmpeg, Duration::from_secs(60));
    let mut starts: Vec<usize> =
        (0..bytes.len() - 5).filter(|&i| bytes[i..i + 4] == [0, 0, 0, 1] && bytes[i + 4] & 31 == 9).collect();
    starts.push(bytes.len());
    starts.windows(2).map(|w| Bytes::copy_from_slice(&bytes[w[0] + 6..w[1]])).collect()
}

fn opus(clip: &Clip) -> Vec<Bytes> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-loglevel", "error", "-i"]).arg(clip.path());
    ffmpeg.args([
        "-vn",
        "-c:a",
        "libopus",
        "-application",
        "lowdelay",
        "-frame_duration",
        "20",
        "-page_duration",
        "20000",
        "-f",
        "ogg",
        "-",
    ]);
    let o = child::run("opus", ffmpeg, Duration::from_secs(60));
    let (mut out, mut part, mut i) = (vec![], vec![], 0);
    while i + 27 <= o.len() {
        let n = o[i + 26] as usize;
        let mut q = i + 27 + n;
        for &l in &o[i + 27..i + 27 + n] {
            part.extend_from_slice(&o[q..q + l as usize]);
            q += l as usize;
            if l < 255 {
                out.push(Bytes::from(std::mem::take(&mut part)));
            }
        }
        i = q;
    }
    out.split_off(2)
}

type Media = Arc<(Vec<Bytes>, Vec<Bytes>)>;

async fn whep(State(media): State<Media>, offer: String) -> impl IntoResponse {
    let mut engine = MediaEngine::default();
    engine.register_default_codecs().unwrap();
    let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
    let (g, mut gathered) = tokio::sync::mpsc::unbounded_channel();
    let settings = SettingEngineBuilder::new().with_include_loopback_candidate(true).build();
    let pc = PeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .with_setting_engine(settings)
        .with_handler(Arc::new(Nobody(g)))
        .with_udp_addrs(vec!["127.0.0.1:0"])
        .build()
        .await
        .unwrap();
    let track = |kind, mime: &str, rate, channels, fmtp: &str, ssrc| {
        let codec = RTCRtpCodec {
            mime_type: mime.into(),
            clock_rate: rate,
            channels,
            sdp_fmtp_line: fmtp.into(),
            rtcp_feedback: vec![],
        };
        Arc::new(
            TrackLocalStaticSample::new(
                Instant::now(),
                MediaStreamTrack::new(
                    "s".into(),
                    format!("t{ssrc}"),
                    "l".into(),
                    kind,
                    vec![RTCRtpEncodingParameters {
                        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
                        codec,
                        ..Default::default()
                    }],
                ),
            )
            .unwrap(),
        )
    };
    let video = track(
        RtpCodecKind::Video,
        "video/H264",
        90_000,
        0,
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        1,
    );
    let audio = track(RtpCodecKind::Audio, "audio/opus", 48_000, 2, "minptime=10;useinbandfec=1", 2);
    let vs = pc.add_track(video.clone() as Arc<dyn TrackLocal>).await.unwrap();
    let au = pc.add_track(audio.clone() as Arc<dyn TrackLocal>).await.unwrap();
    pc.set_remote_description(RTCSessionDescription::offer(offer).unwrap()).await.unwrap();
    let answer = pc.create_answer(None).await.unwrap();
    pc.set_local_description(answer).await.unwrap();
    gathered.recv().await;
    let sdp = pc.local_description().await.unwrap().sdp;
    tokio::spawn(async move {
        let vpt = vs
            .get_parameters()
            .await
            .unwrap()
            .rtp_parameters
            .codecs
            .iter()
            .inspect(|c| eprintln!("{} {} {}", c.payload_type, c.rtp_codec.mime_type, c.rtp_codec.sdp_fmtp_line))
            .find(|c| {
                c.rtp_codec.sdp_fmtp_line.contains("packetization-mode=1;profile-level-id=42e01f")
                    || c.rtp_codec.mime_type.contains("opus")
            })
            .unwrap()
            .payload_type;
        let apt = au
            .get_parameters()
            .await
            .unwrap()
            .rtp_parameters
            .codecs
            .iter()
            .inspect(|c| eprintln!("{} {} {}", c.payload_type, c.rtp_codec.mime_type, c.rtp_codec.sdp_fmtp_line))
            .find(|c| {
                c.rtp_codec.sdp_fmtp_line.contains("packetization-mode=1;profile-level-id=42e01f")
                    || c.rtp_codec.mime_type.contains("opus")
            })
            .unwrap()
            .payload_type;
        let _keep = pc;
        let start = tokio::time::Instant::now();
        let (mut a, mut v) = (0u64, 0u64);
        loop {
            let (at, av) = (a * 20_000, v * 1_000_000 / 30);
            tokio::time::sleep_until(start + Duration::from_micros(at.min(av))).await;
            if at <= av {
                let data = media.1[a as usize % media.1.len()].clone();
                let _ = audio
                    .write_sample(
                        2,
                        apt,
                        &Sample { data, duration: Duration::from_millis(20), ..Sample::new(Instant::now()) },
                        &[],
                    )
                    .await;
                a += 1;
            } else {
                let data = media.0[v as usize % media.0.len()].clone();
                let _ = video
                    .write_sample(
                        1,
                        vpt,
                        &Sample { data, duration: Duration::from_nanos(33_333_333), ..Sample::new(Instant::now()) },
                        &[],
                    )
                    .await;
                v += 1;
            }
        }
    });
    let mut headers = HeaderMap::new();
    headers.insert("location", "/whep/1".parse().unwrap());
    headers.insert("content-type", "application/sdp".parse().unwrap());
    (StatusCode::CREATED, headers, sdp)
}

const PAGE: &str = r#"<video muted autoplay playsinline></video><script>(async () => {
const pc = new RTCPeerConnection(); const v = document.querySelector('video'); window.pc = pc;
pc.addTransceiver('video',{direction:'recvonly'}); pc.addTransceiver('audio',{direction:'recvonly'});
const s = new MediaStream(); v.srcObject = s; pc.ontrack = e => s.addTrack(e.track);
await pc.setLocalDescription(await pc.createOffer());
window.said='gathering'; await new Promise(r => pc.iceGatheringState === 'complete' ? r() : pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && r());
window.said='posting'; const r = await fetch('/whep',{method:'POST',body:pc.localDescription.sdp}); await pc.setRemoteDescription({type:'answer',sdp:await r.text()});
window.said='done'})().catch(e => window.said = String(e));</script>"#;

async fn serve() -> Url {
    let clip = Clip { seconds: 12, b_frames: 0, ..Clip::obs() };
    let media: Media = Arc::new((access_units(&clip), opus(&clip)));
    eprintln!("{} access units {} opus", media.0.len(), media.1.len());
    let router = axum::Router::new()
        .route("/whep", axum::routing::post(whep))
        .route("/", axum::routing::get(|| async { Html(PAGE) }))
        .with_state(media);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn viewer_sees() {
    let _turn = Turn::take().await;
    let url = serve().await;
    let viewer = Viewer::join(&url.join("whep").unwrap()).await;
    eprintln!(
        "answer {:?} packet {:?} frame {:?}",
        viewer.answer_took(),
        viewer.first_packet_took().await,
        viewer.first_frame_took().await
    );
    let first = viewer.numbered_frame(Duration::from_secs(5)).await;
    eprintln!("{first:?}");
    let clip = Clip { seconds: 12, b_frames: 0, ..Clip::obs() };
    eprintln!("added {:?}", first.added_to(&clip));
    viewer.frame("later", Duration::from_secs(9), |f| f.number() > first.number().map(|n| n + 120)).await;
    eprintln!("beeps {:?} heard {} packets {:?}", viewer.beeps(), viewer.heard(), viewer.packets());
    for (beep, rtp) in viewer.beeps() {
        let audio = viewer.audio_moment(rtp);
        let (vrtp, _) =
            viewer.numbers().into_iter().find(|(_, n)| *n == Some(beep.second as u16 * 30)).unwrap_or_default();
        eprintln!("second {} audio {audio:?} video {:?}", beep.second, viewer.video_moment(vrtp));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_sees() {
    let _turn = Turn::take().await;
    let url = serve().await;
    let browser = Browser::open().await;
    browser.go(url.as_str()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    eprintln!(
        "said {} {}",
        browser.evaluate("return window.said + ' ' + pc.iceConnectionState", vec![]).await.as_str().unwrap(),
        browser.text().await
    );
    browser.watch().await;
    let start = Instant::now();
    let frame = browser.frame().await;
    eprintln!("{frame:?} added {:?}", frame.added_to(&Clip { seconds: 12, b_frames: 0, ..Clip::obs() }));
    let _ = browser.presented().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let presented = browser.presented().await;
    eprintln!(
        "{:?} {} presented, rtps {:?}",
        start.elapsed(),
        presented.len(),
        presented.iter().take(5).map(|p| (p.rtp, p.number(), p.presented)).collect::<Vec<_>>()
    );
    let distinct: std::collections::BTreeSet<_> = presented.iter().filter_map(|p| p.number()).collect();
    eprintln!("distinct {} of {}; complaints {}", distinct.len(), presented.len(), browser.complaints().await);
    browser.close().await;
}
