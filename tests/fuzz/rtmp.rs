//! RTMP bytes through a whole connection: handshake, commands, `publish`, and the media after it, cut into reads as TCP might.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use async_trait::async_trait;
use hawker::ingest::{Directory, Ended, Publication, Publisher, Refused, SourceInfo, fuzz};
use hawker::media::Coded;
use rtmp_runtime::amf0::{Amf0Value, Command};
use rtmp_runtime::chunk::{ChunkWriter, Message};
use rtmp_runtime::client::{ClientConfig, ClientSession};
use rtmp_runtime::server::{ServerConfig, ServerSession};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::campaign;
use crate::flv::{Tag, excerpt, streams};
use crate::mutate::{Chance, damage};

#[test]
fn rtmp() {
    let _turn = campaign::turn();
    let (streams, greeting, controls) = (streams(), greeting(), controls());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let seen = Arc::new(Tally::default());
    campaign::run("rtmp", 3_000, |_, chance, watch| {
        let bytes = conversation(&greeting, &controls, &streams, chance);
        watch.about(&bytes);
        let wire = Wire { bytes: &bytes, at: 0, chance: Chance::of(chance.next(), 0), cut: chance.below(4) };
        runtime.block_on(fuzz::rtmp(wire, seen.as_ref()));
    });
    let (published, coded) = (seen.0.published.load(Relaxed), seen.0.coded.load(Relaxed));
    println!("rtmp: {published} connections published, {coded} configurations and units came out");
    assert!(published > 0 && coded > 0);
}

/// A peer's bytes from its handshake on.
fn conversation(greeting: &[Vec<u8>], controls: &[Message], streams: &[Vec<Tag>], chance: &mut Chance) -> Vec<u8> {
    let mut greeting = greeting.to_vec();
    if chance.once_in(4) {
        let at = chance.below(greeting.len());
        let other = chance.one_of(&greeting).clone();
        damage(&mut greeting[at], &other, chance);
    }
    let mut writer = ChunkWriter::new();
    writer.set_chunk_size(CHUNK);
    let mut after = Vec::new();
    let mut timestamp = 0u32;
    for tag in excerpt(streams, chance) {
        let media = Message {
            chunk_stream_id: 4 + u32::from(tag.kind == 9),
            timestamp,
            message_type_id: tag.kind,
            message_stream_id: 1,
            payload: tag.body,
        };
        let mut message = if chance.once_in(5) { chance.one_of(controls).clone() } else { media };
        if chance.once_in(8) {
            damage(&mut message.payload, &[], chance);
        }
        match chance.below(24) {
            0 => message.message_type_id = chance.next() as u8,
            1 => message.chunk_stream_id = chance.next() as u32 >> chance.below(31),
            2 => message.message_stream_id = chance.next() as u32,
            3 => timestamp = chance.next() as u32,
            _ => timestamp = timestamp.wrapping_add(20),
        }
        after.extend(writer.write(&message).unwrap_or_default());
    }
    if chance.once_in(3) {
        damage(&mut after, &greeting[0], chance);
    }
    greeting.push(after);
    greeting.concat()
}

/// What a publisher sends up to and with its `publish`, in the pieces that it sends it in.
fn greeting() -> Vec<Vec<u8>> {
    let mut config = ClientConfig::default();
    (config.app, config.stream_key, config.chunk_size) = ("live".into(), "key".into(), CHUNK);
    config.tc_url = Some("rtmp://127.0.0.1/live".into());
    let (mut client, mut server) = (ClientSession::new(config), ServerSession::new(ServerConfig::default()));
    let mut pieces = vec![client.start()];
    while !client.is_publishing() {
        let (reply, _) = server.handle_data(pieces.last().unwrap()).unwrap();
        pieces.push(client.handle_data(&reply).unwrap().0);
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Messages that are no media: commands in and out of their turn, and the protocol's own (Adobe RTMP 1.0 §5.4, §7).
fn controls() -> Vec<Message> {
    let message = |message_type_id, payload| Message {
        chunk_stream_id: if message_type_id < 7 { 2 } else { 3 },
        timestamp: 0,
        message_type_id,
        message_stream_id: 0,
        payload,
    };
    let text = |text: &str| Amf0Value::String(text.into());
    let object = Amf0Value::Object(vec![("app".into(), text("live")), ("n".into(), Amf0Value::Object(vec![]))]);
    let commands: [(&str, Vec<Amf0Value>); 8] = [
        ("connect", vec![object.clone()]),
        ("releaseStream", vec![Amf0Value::Null, text("key")]),
        ("createStream", vec![Amf0Value::Null]),
        ("publish", vec![Amf0Value::Null, text("key"), text("live")]),
        ("play", vec![Amf0Value::Null, text("key")]),
        ("FCUnpublish", vec![Amf0Value::Null, text("key")]),
        ("deleteStream", vec![Amf0Value::Null, Amf0Value::Number(1.0)]),
        ("_checkbw", vec![object]),
    ];
    let mut controls: Vec<Message> = Vec::new();
    for (name, arguments) in commands {
        let body = Command { name: name.into(), transaction_id: 5.0, arguments }.to_body().unwrap();
        // The same as an AMF3 command, which only has a byte in front.
        controls.push(message(17, [&[0], &body[..]].concat()));
        controls.push(message(20, body));
    }
    // Chunk size (the same, tiny, huge), abort, acknowledgement, user control, window, bandwidth.
    for size in [CHUNK, 1, 0x7fff_ffff, 0x8000_0000, 0] {
        controls.push(message(1, size.to_be_bytes().to_vec()));
    }
    controls.push(message(2, vec![0, 0, 0, 4]));
    controls.push(message(3, vec![0xff; 4]));
    controls.push(message(4, vec![0, 6, 0, 0, 0, 9]));
    controls.push(message(5, vec![0, 0, 0, 1]));
    controls.push(message(6, vec![0, 0, 0, 1, 2]));
    // An aggregate of a video and an audio message (§7.1.6).
    let within = |kind: u8, body: &[u8]| {
        let back = (11 + body.len() as u32).to_be_bytes();
        [&[kind, 0, 0, body.len() as u8, 0, 0, 33, 0, 0, 0, 0][..], body, &back].concat()
    };
    controls
        .push(message(22, [within(9, &[0x27, 1, 0, 0, 0, 0, 0, 0, 1, 0x41]), within(8, &[0xaf, 1, 0x21])].concat()));
    controls
}

/// The chunk size that the publisher announces, in bytes.
const CHUNK: u32 = 4096;

/// A peer that sends what it has in pieces, takes everything that it is sent, and hangs up.
struct Wire<'a> {
    bytes: &'a [u8],
    at: usize,
    chance: Chance,
    /// How fine the pieces are: 0 whole, 3 byte by byte.
    cut: usize,
}

impl AsyncRead for Wire<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let most = match self.cut {
            0 => usize::MAX,
            1 => 1 + self.chance.below(4_096),
            2 => 1 + self.chance.below(200),
            // The handshake takes 3 KiB: no use to go through it byte by byte.
            _ if self.at < 3_000 => 1_000,
            _ => 1 + self.chance.below(3),
        };
        let left = &self.bytes[self.at..];
        let piece = &left[..left.len().min(most).min(buffer.remaining())];
        buffer.put_slice(piece);
        self.at += piece.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Lets everybody publish on `live`, and counts.
#[derive(Default)]
struct Tally(Arc<Counts>);

#[derive(Default)]
struct Counts {
    published: AtomicU64,
    coded: AtomicU64,
}

#[async_trait]
impl Directory for Tally {
    async fn check(&self, _: &Publisher) -> Result<(), Refused> {
        Ok(())
    }

    async fn admit(&self, publisher: &Publisher) -> Result<Box<dyn Publication>, Refused> {
        if publisher.app != "live" {
            return Err(Refused::UnknownKey);
        }
        self.0.published.fetch_add(1, Relaxed);
        Ok(Box::new(Counting(self.0.clone())))
    }
}

struct Counting(Arc<Counts>);

#[async_trait]
impl Publication for Counting {
    async fn push(&mut self, _: Coded) -> Result<(), Ended> {
        self.0.coded.fetch_add(1, Relaxed);
        Ok(())
    }

    fn ended(&self) -> CancellationToken {
        CancellationToken::new()
    }

    fn describe(&mut self, what: SourceInfo) {
        assert!(what.encoder.is_none_or(|encoder| encoder.chars().count() <= SourceInfo::NAME_LENGTH));
    }
}
