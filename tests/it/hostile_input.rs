//! Nonsense on every door: refused with a reason, memory bounded, and a show on air does not notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::support::clip::Clip;
use crate::support::hawker::{ADMIN_TOKEN, Hawker, SHOW};
use crate::support::publisher::Publisher;
use crate::support::turn::Turn;
use crate::support::viewer::Viewer;

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_on_the_rtmp_port_disturbs_nobody() {
    let _turn = Turn::take().await;
    let show = OnAir::begin().await;
    let rtmp = show.hawker.rtmp.trim_start_matches("rtmp://").trim_end_matches("/live").to_owned();
    let attacks = tokio::task::spawn_blocking(move || {
        let mut open = Vec::new();
        for _ in 0..20 {
            open.extend(attack(&rtmp, |peer| peer.write_all(&noise(100_000))));
            open.extend(attack(&rtmp, |peer| peer.write_all(&[3; 700])));
            open.extend(attack(&rtmp, |peer| {
                shake_hands(peer)?;
                peer.write_all(&deep_amf())
            }));
            open.extend(attack(&rtmp, |peer| {
                shake_hands(peer)?;
                peer.write_all(&shrinking_lengths())
            }));
            open.extend(attack(&rtmp, |peer| {
                shake_hands(peer)?;
                peer.write_all(&half_messages())
            }));
        }
        open
    });
    let open = attacks.await.expect("the attacks run");
    show.went_on().await;
    drop(open);
    // The door still opens for those who knock properly.
    show.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_on_the_http_port_is_refused_with_a_reason() {
    let _turn = Turn::take().await;
    let show = OnAir::begin().await;
    let api = show.hawker.api();
    let in_show = |rest: &str| format!("/api/v1/shows/{SHOW}/{rest}");

    // WHEP.
    let whep = format!("/s/{SHOW}/whep");
    let offers: [(&str, Vec<u8>, u16); 5] = [
        ("application/sdp", b"v=0\r\nthis is no SDP\r\n".to_vec(), 400),
        ("application/sdp", noise(4000), 400),
        ("application/sdp", Vec::new(), 400),
        ("application/json", b"{}".to_vec(), 415),
        ("application/sdp", vec![b'a'; 300 << 10], 413),
    ];
    for (kind, body, expected) in offers {
        let size = body.len();
        let (status, answer) = api.send(Method::POST, &whep, kind, body).await;
        refused(&format!("{size} bytes of {kind} as an offer"), status, &answer, &[expected, 422]);
    }
    let (status, answer) = api.send(Method::POST, "/s/nobody/whep", "application/sdp", b"v=0".to_vec()).await;
    refused("an unknown show's WHEP", status, &answer, &[404]);
    let (status, answer) = api.send(Method::DELETE, &format!("{whep}/0123456789abcdef"), "", Vec::new()).await;
    refused("an unknown viewer", status, &answer, &[404]);

    // The API.
    let price = json!({ "minor": 2490, "currency": "USD" });
    let requests = [
        (Method::PUT, in_show("products/a"), json!({ "title": "A", "price": price, "prise": 1 }), 400),
        (
            Method::PUT,
            in_show("products/a"),
            json!({ "title": "A", "price": { "minor": 24.9, "currency": "USD" } }),
            400,
        ),
        (
            Method::PUT,
            in_show("products/a"),
            json!({ "title": "A", "price": { "minor": 1, "currency": "dollars" } }),
            400,
        ),
        (Method::PUT, in_show("products/a"), json!({ "title": "x".repeat(100_000), "price": price }), 400),
        (Method::PUT, in_show("products/a"), json!([1, 2, 3]), 400),
        (Method::PUT, in_show("stage/card"), json!({ "product": "nothing" }), 404),
        (
            Method::PUT,
            in_show("stage/countdown"),
            json!({ "product": "nothing", "price": price, "seconds": 5, "then": "revert" }),
            404,
        ),
        (Method::PUT, "/api/v1/shows/nobody/stage/card".into(), json!({ "product": "a" }), 404),
        (Method::GET, "/api/v1/shows/nobody".into(), Value::Null, 404),
    ];
    for (method, path, body, expected) in requests {
        let what = format!("{method} {path} {}", body.to_string().chars().take(80).collect::<String>());
        let (status, answer) = api.request(method, &path, (!body.is_null()).then_some(body)).await;
        refused(&what, status, &answer, &[expected, 400, 404, 409, 413, 422]);
    }
    let stranger = crate::support::api::Api::new(show.hawker.http.clone(), "guess");
    let (status, answer) = stranger.request(Method::GET, &format!("/api/v1/shows/{SHOW}"), None).await;
    refused("a wrong token", status, &answer, &[401]);

    // Pictures.
    api.product("lipstick", "Velvet lipstick", 2490).await;
    let image = in_show("products/lipstick/image");
    for (what, bytes) in [("noise", noise(50_000)), ("half a PNG", half_a_png()), ("a bomb", bomb())] {
        let (status, answer) = api.send(Method::PUT, &image, "image/png", bytes).await;
        refused(&format!("{what} as a picture"), status, &answer, &[400, 413, 415, 422]);
    }
    // What is announced as too long is refused before it is sent.
    let door = show.hawker.http.authority().to_owned();
    let said = tokio::task::spawn_blocking(move || announce_a_gigabyte(&door, &image)).await.expect("no panic");
    assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("problem+json"), "a gigabyte as a picture: {said}");

    show.went_on().await;
    show.end().await;
}

/// Announces a body of 1 GiB, sends none of it, and gives the beginning of the answer.
fn announce_a_gigabyte(door: &str, path: &str) -> String {
    let mut peer = TcpStream::connect(door).expect("the server listens");
    // The server may wait a while for the rest, so that its answer is not overtaken by a reset.
    peer.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket takes timeouts");
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: {door}\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\nContent-Type: image/png\r\n\
         Content-Length: {}\r\n\r\n",
        1 << 30
    );
    peer.write_all(head.as_bytes()).expect("the server reads");
    let mut answer = vec![0; 2000];
    let length = peer.read(&mut answer).expect("the server answers");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// Holds when a request was refused by problem+json that says something.
fn refused(what: &str, status: StatusCode, answer: &Value, expected: &[u16]) {
    assert!(expected.contains(&status.as_u16()), "{what}: {status} {answer:#}");
    let reason = answer["detail"].as_str().or(answer["title"].as_str()).unwrap_or_default();
    assert!(reason.len() > 10, "{what}: {status} with a reason to read, not {answer:#}");
}

/// A show that must not notice.
struct OnAir {
    hawker: Hawker,
    _publisher: Publisher,
    viewer: Viewer,
    begun: usize,
    memory: u64,
}

impl OnAir {
    async fn begin() -> OnAir {
        let hawker = Hawker::start().await;
        let publisher = hawker.publish(&Clip::obs());
        let viewer = Viewer::join(&hawker.whep()).await;
        let first = viewer.numbered_frame(ON_AIR).await;
        viewer.frame("a steady show", ON_AIR, |frame| frame.rtp.wrapping_sub(first.rtp) > 90_000).await;
        let (begun, memory) = (viewer.numbers().len(), hawker.memory());
        OnAir { hawker, _publisher: publisher, viewer, begun, memory }
    }

    /// Holds when the viewer got a new source frame at least every 200 ms since the beginning, and memory stayed bounded.
    async fn went_on(&self) {
        let last = self.viewer.numbered_frame(ON_AIR).await;
        self.viewer.frame("two seconds more", ON_AIR, |frame| frame.rtp.wrapping_sub(last.rtp) > 180_000).await;
        let frames = self.viewer.numbers().split_off(self.begun);
        let numbered: Vec<_> = frames.iter().filter_map(|(rtp, number)| Some((*rtp, (*number)?))).collect();
        assert!(
            numbered.len() * 20 >= frames.len() * 19,
            "the seller's picture stayed: {} of {}",
            numbered.len(),
            frames.len()
        );
        let mut changes = numbered.chunk_by(|a, b| a.1 == b.1).map(|run| run[0].0).peekable();
        while let (Some(one), Some(&next)) = (changes.next(), changes.peek()) {
            let gap = next.wrapping_sub(one) / 90;
            assert!(gap <= 200, "the picture stood for {gap} ms at rtp {one}");
        }
        let grown = self.hawker.memory().saturating_sub(self.memory);
        assert!(grown < 100 << 10, "memory grew by {grown} KiB");
    }

    async fn end(mut self) {
        assert!(self.hawker.ended().is_none(), "the server still runs");
        assert!(self.hawker.terminate().await.success(), "and ends in good order");
    }
}

/// Runs an attack on a connection of its own; a server that hangs up meanwhile is right. Gives the connection, still open.
fn attack(rtmp: &str, run: impl FnOnce(&mut TcpStream) -> std::io::Result<()>) -> Option<TcpStream> {
    let mut peer = TcpStream::connect(rtmp).ok()?;
    let patience = Some(Duration::from_millis(500));
    peer.set_write_timeout(patience).and_then(|()| peer.set_read_timeout(patience)).expect("a socket takes timeouts");
    run(&mut peer).ok().map(|()| peer)
}

/// The RTMP handshake (Adobe's RTMP 1.0 §5.2), as a simple client does it.
fn shake_hands(peer: &mut TcpStream) -> std::io::Result<()> {
    let mut greeting = vec![0u8; 1537];
    greeting[0] = 3;
    peer.write_all(&greeting)?;
    let mut answer = vec![0u8; 1 + 2 * 1536];
    peer.read_exact(&mut answer)?;
    peer.write_all(&answer[1..1537])
}

/// A `connect` whose argument nests objects thirty thousand deep.
fn deep_amf() -> Vec<u8> {
    let mut body = vec![2, 0, 7];
    body.extend_from_slice(b"connect");
    body.extend_from_slice(&[0, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
    for _ in 0..30_000 {
        body.extend_from_slice(&[3, 0, 1, b'a']);
    }
    message(3, 20, &body)
}

/// A message that is announced long, begun, and then announced shorter on the same chunk stream.
fn shrinking_lengths() -> Vec<u8> {
    let mut bytes = header(3, 20, 5000);
    bytes.extend_from_slice(&[0; 128]);
    for length in (0..100).rev() {
        bytes.extend(header(3, 20, length));
        bytes.extend_from_slice(&[0; 100][..length]);
    }
    bytes
}

/// The longest messages that the format knows, begun on every chunk stream and never finished.
fn half_messages() -> Vec<u8> {
    let mut bytes = Vec::new();
    for round in 0..20 {
        for stream in 3..64 {
            bytes.extend(if round == 0 { header(stream, 9, 0xff_ffff) } else { vec![0xc0 | stream] });
            bytes.extend_from_slice(&[7; 128]);
        }
    }
    bytes
}

/// A message in chunks of 128 bytes.
fn message(stream: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = header(stream, kind, body.len());
    for (at, chunk) in body.chunks(128).enumerate() {
        if at > 0 {
            bytes.push(0xc0 | stream);
        }
        bytes.extend_from_slice(chunk);
    }
    bytes
}

/// A chunk's whole header (Adobe's RTMP 1.0 §5.3.1.2.1).
fn header(stream: u8, kind: u8, length: usize) -> Vec<u8> {
    let length = (length as u32).to_be_bytes();
    vec![stream, 0, 0, 0, length[1], length[2], length[3], kind, 0, 0, 0, 0]
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9u32;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(next).collect()
}

fn half_a_png() -> Vec<u8> {
    let mut bytes = crate::stage_in_the_picture::photo();
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// A small PNG that unpacks to 30,000 × 30,000 pixels: only its header says so, which must be enough to refuse it.
fn bomb() -> Vec<u8> {
    let mut bytes = crate::stage_in_the_picture::photo();
    bytes[16..20].copy_from_slice(&30_000u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&30_000u32.to_be_bytes());
    let checked = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checked.to_be_bytes());
    bytes
}

/// CRC-32 of a PNG chunk's type and data (PNG, annex D).
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { 0xEDB8_8320 ^ crc >> 1 } else { crc >> 1 })
    };
    !bytes.iter().fold(u32::MAX, step)
}
