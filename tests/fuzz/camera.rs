//! A camera that answers and sends nonsense: RTSP, its SDP, and RTP of every codec that is taken, over loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hawker::ingest::rtsp::{Source, State, pull};
use hawker::ingest::{Ended, Publication, Publisher, SourceInfo};
use hawker::media::Coded;
use hawker::media::access_unit::{VideoCodec, nal_units};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::campaign;
use crate::corpus::{Film, films};
use crate::mutate::{Chance, damage};

#[test]
fn camera() {
    let _turn = campaign::turn();
    let cameras = cameras();
    // Waits are skipped: nobody here waits for anything but the other side.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let source: Source = format!("rtspt://a:b@{}/cam", listener.local_addr().unwrap()).parse().unwrap();
    let (coded, mut guarded) = (Arc::new(AtomicU64::new(0)), 0u64);
    campaign::run("camera", 300, |_, chance, watch| {
        let session = Session::damaged(chance.one_of(&cameras), chance);
        watch.about(&session.everything());
        let stop = CancellationToken::new();
        let open = |_: &Publisher| -> Box<dyn Publication> { Box::new(Counting(coded.clone())) };
        let end = stop.clone();
        let on_state = |state| {
            if let State::Waiting { reason, .. } = state {
                guarded += u64::from(reason.contains("its reader failed"));
                end.cancel();
            }
        };
        runtime.block_on(async {
            tokio::select! {
                ended = pull(source.clone(), open, on_state, stop) => assert_eq!(ended, Ok(())),
                () = session.serve(&listener) => unreachable!("it serves for ever"),
            }
        });
    });
    let coded = coded.load(Relaxed);
    println!(
        "camera: {coded} configurations and units came out; {guarded} times the library's reader panicked, and was caught"
    );
    assert!(coded > 0);
}

/// What a good camera says.
struct Camera {
    sdp: String,
    /// Of two streams, on channels 0 and 2: interleaved RTP, packet by packet.
    packets: Vec<Vec<u8>>,
}

/// A camera's part of one conversation.
struct Session {
    describe: Vec<u8>,
    setup: Vec<u8>,
    play: Vec<u8>,
    media: Vec<u8>,
}

impl Session {
    fn damaged(camera: &Camera, chance: &mut Chance) -> Session {
        let mut sdp = camera.sdp.clone().into_bytes();
        if chance.once_in(3) {
            damage(&mut sdp, &[], chance);
        }
        let mut session = Session {
            describe: format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n", sdp.len()).into_bytes(),
            setup: b"Session: 1;timeout=60\r\nTransport: ".to_vec(),
            play: b"Session: 1\r\nRTP-Info: url=video;seq=7;rtptime=7,url=audio;seq=7;rtptime=7\r\n\r\n".to_vec(),
            media: Vec::new(),
        };
        session.describe.extend(sdp);
        for reply in [&mut session.describe, &mut session.setup, &mut session.play] {
            if chance.once_in(12) {
                damage(reply, &[], chance);
            }
        }
        let begin = chance.below(camera.packets.len() / 2);
        for packet in &camera.packets[if chance.once_in(2) { 0 } else { begin }..] {
            let mut packet = packet.clone();
            if chance.once_in(10) {
                // Its payload mostly, for a wrong header ends the conversation. The framing before it is kept.
                let mut rest = packet.split_off(if chance.once_in(8) { FRAMING } else { FRAMING + RTP_HEADER });
                let other = chance.one_of(&camera.packets);
                damage(&mut rest, &other[FRAMING + RTP_HEADER..], chance);
                packet.extend(rest);
                let length = (packet.len() - FRAMING) as u16;
                packet[2..FRAMING].copy_from_slice(&length.to_be_bytes());
            }
            if !chance.once_in(32) {
                session.media.extend(packet);
            }
        }
        if chance.once_in(8) {
            damage(&mut session.media, &[], chance);
        }
        session
    }

    fn everything(&self) -> Vec<u8> {
        [&self.describe[..], &self.setup, &self.play, &self.media].concat()
    }

    /// Plays its part, on one connection after another; returns never.
    async fn serve(&self, listener: &TcpListener) {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let _ = self.attend(stream).await;
            }
        }
    }

    async fn attend(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                if stream.read_line(&mut request).await? == 0 {
                    return Ok(());
                }
            }
            let header = |name: &str| request.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            let (cseq, transport) = (header("CSeq:"), header("Transport: "));
            let ok = format!("RTSP/1.0 200 OK\r\nCSeq:{cseq}\r\n");
            let method = request.split(' ').next().unwrap_or_default();
            let reply = match method {
                "DESCRIBE" => [ok.as_bytes(), &self.describe].concat(),
                "SETUP" => [ok.as_bytes(), &self.setup, transport.as_bytes(), b"\r\n\r\n"].concat(),
                "PLAY" => [ok.as_bytes(), &self.play, &self.media].concat(),
                _ => [ok.as_bytes(), b"Session: 1\r\n\r\n"].concat(),
            };
            stream.write_all(&reply).await?;
            if method == "PLAY" {
                return stream.shutdown().await;
            }
        }
    }
}

/// Cameras of H.264 and H.265, with AAC and G.711.
fn cameras() -> Vec<Camera> {
    let films = films();
    let annex_b = |film: &&Film| film.config.extradata.is_empty();
    let of = |codec| films.iter().filter(annex_b).find(move |film| film.config.codec == codec);
    let sounds = [
        "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=fmtp:97 streamtype=5;profile-level-id=1;\
         mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\r\na=control:audio\r\n",
        "m=audio 0 RTP/AVP 0\r\na=control:audio\r\n",
    ];
    let mut cameras = Vec::new();
    for (codec, sound) in [(VideoCodec::H264, sounds[0]), (VideoCodec::H265, sounds[1])] {
        let Some(film) = of(codec) else { continue };
        let sets = |wanted: &[u8]| -> Vec<String> {
            let kind = |nal: &[u8]| if codec == VideoCodec::H264 { nal[0] & 31 } else { nal[0] >> 1 & 63 };
            let set = |wanted: &u8| nal_units(&film.units[0]).find(|nal| kind(nal) == *wanted).unwrap();
            wanted.iter().map(|wanted| STANDARD.encode(set(wanted))).collect()
        };
        let video = if codec == VideoCodec::H264 {
            format!("H264/90000\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets={}", sets(&[7, 8]).join(","))
        } else {
            let [vps, sps, pps] = sets(&[32, 33, 34]).try_into().unwrap();
            format!("H265/90000\r\na=fmtp:96 sprop-vps={vps};sprop-sps={sps};sprop-pps={pps}")
        };
        let sdp = format!(
            "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=control:*\r\n\
             m=video 0 RTP/AVP 96\r\na=rtpmap:96 {video}\r\na=control:video\r\n{sound}"
        );
        let mut packets = Vec::new();
        let mut numbers = [7u16; 2];
        for (n, unit) in film.units.iter().enumerate() {
            let mut payloads = payloads(codec, unit);
            let last = payloads.pop();
            for payload in payloads {
                packets.push(interleaved(0, 96, false, &mut numbers[0], n as u32 * 3000 + 7, &payload));
            }
            packets.extend(last.map(|last| interleaved(0, 96, true, &mut numbers[0], n as u32 * 3000 + 7, &last)));
            // One AAC frame behind its header of 16 bits (RFC 3640 §3.3.6), or 20 ms of G.711.
            let (kind, sound) = if codec == VideoCodec::H264 {
                (97, [&[0, 16, 0, 6 << 3][..], &[0x21, 0x10, 4, 0x60, 0x8c, 0x1c]].concat())
            } else {
                (0, vec![0xff; 160])
            };
            packets.push(interleaved(2, kind, true, &mut numbers[1], n as u32 * 160 + 7, &sound));
        }
        cameras.push(Camera { sdp, packets });
    }
    cameras
}

/// The payloads of one access unit: units whole, in fragments where they are long, in an aggregate where they are short.
fn payloads(codec: VideoCodec, unit: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    for nal in nal_units(unit) {
        let (header, aggregate): (usize, Vec<u8>) = match codec {
            // STAP-A (RFC 6184 §5.7.1) and aggregation packets (RFC 7798 §4.4.2).
            VideoCodec::H264 => (1, vec![24]),
            _ => (2, vec![48 << 1, 1]),
        };
        if nal.len() < 64 {
            payloads.push([&aggregate[..], &(nal.len() as u16).to_be_bytes(), nal].concat());
            continue;
        }
        let pieces: Vec<&[u8]> = nal[header..].chunks(nal.len() / 3).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let edges = u8::from(at == 0) << 7 | u8::from(at + 1 == pieces.len()) << 6;
            payloads.push(match codec {
                VideoCodec::H264 => [&[nal[0] & 0x60 | 28, edges | nal[0] & 31][..], piece].concat(),
                _ => [&[nal[0] & 0x81 | 49 << 1, nal[1], edges | nal[0] >> 1 & 63][..], piece].concat(),
            });
        }
    }
    payloads
}

/// The bytes before an interleaved packet (RFC 2326 §10.12), and those of its header.
const FRAMING: usize = 4;
const RTP_HEADER: usize = 12;

fn interleaved(channel: u8, kind: u8, marked: bool, number: &mut u16, time: u32, payload: &[u8]) -> Vec<u8> {
    let length = (12 + payload.len()) as u16;
    let marked_kind = u8::from(marked) << 7 | kind;
    let head = [&[b'$', channel][..], &length.to_be_bytes(), &[0x80, marked_kind], &number.to_be_bytes()].concat();
    *number = number.wrapping_add(1);
    [&head[..], &time.to_be_bytes(), &[9, 9, 9, channel], payload].concat()
}

struct Counting(Arc<AtomicU64>);

#[async_trait]
impl Publication for Counting {
    async fn push(&mut self, _: Coded) -> Result<(), Ended> {
        self.0.fetch_add(1, Relaxed);
        Ok(())
    }

    fn ended(&self) -> CancellationToken {
        CancellationToken::new()
    }

    fn describe(&mut self, _: SourceInfo) {}
}
