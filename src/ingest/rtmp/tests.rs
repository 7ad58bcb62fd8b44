//! The whole of `serve` over loopback TCP, with publishers good and bad.

use super::*;
use crate::ingest::source::{Ended, Publication, Publisher, Refused, SourceInfo};
use crate::media::Coded;
use async_trait::async_trait;
use rtmp_runtime::amf0::{Amf0Value, Command};
use rtmp_runtime::chunk::{ChunkWriter, Message};
use rtmp_runtime::client::{ClientConfig, ClientEvent, ClientSession};
use rtmp_runtime::message::ProtocolControl;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

const KEY: &str = "k3y-of-the-show";
const SOON: Duration = Duration::from_secs(5);

/// Admits [`KEY`] on `live`, and tells what happens to its publications.
struct FakeDirectory {
    seen: mpsc::Sender<Seen>,
    ended: CancellationToken,
}

#[derive(Debug)]
enum Seen {
    Admitted(Publisher),
    Coded(Coded),
    Described(SourceInfo),
    Dropped,
}

struct FakePublication {
    seen: mpsc::Sender<Seen>,
    ended: CancellationToken,
}

#[async_trait]
impl Directory for FakeDirectory {
    async fn check(&self, _: &Publisher) -> Result<(), Refused> {
        Ok(())
    }

    async fn admit(&self, publisher: &Publisher) -> Result<Box<dyn Publication>, Refused> {
        if (publisher.app.as_str(), publisher.key.as_str()) != ("live", KEY) {
            return Err(Refused::UnknownKey);
        }
        self.seen.send(Seen::Admitted(publisher.clone())).await.unwrap();
        Ok(Box::new(FakePublication { seen: self.seen.clone(), ended: self.ended.clone() }))
    }
}

#[async_trait]
impl Publication for FakePublication {
    async fn push(&mut self, coded: Coded) -> Result<(), Ended> {
        self.seen.send(Seen::Coded(coded)).await.map_err(|_| Ended)
    }

    fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    fn describe(&mut self, what: SourceInfo) {
        self.seen.try_send(Seen::Described(what)).unwrap();
    }
}

impl Drop for FakePublication {
    fn drop(&mut self) {
        let _ = self.seen.try_send(Seen::Dropped);
    }
}

struct Server {
    address: SocketAddr,
    seen: mpsc::Receiver<Seen>,
    ended: CancellationToken,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Server {
        Server::with_room_for(1024, limits).await
    }

    async fn with_room_for(units: usize, limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::channel(units);
        let (ended, stop) = (CancellationToken::new(), CancellationToken::new());
        let directory = Arc::new(FakeDirectory { seen: sender, ended: ended.clone() });
        let serving = tokio::spawn(Doors::new(directory, limits).serve(listener, Plain, stop.clone()));
        Server { address, seen, ended, stop, serving }
    }

    async fn next(&mut self) -> Seen {
        timeout(SOON, self.seen.recv()).await.expect("something is seen soon").expect("the server runs")
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// A publisher on rtmp-runtime's own client.
struct Client {
    stream: TcpStream,
    session: ClientSession,
}

impl Client {
    /// Connects and asks to publish; what came of it.
    async fn publish(server: &Server, app: &str, key: &str) -> Result<Client, ClientEvent> {
        let mut config = ClientConfig::default();
        (config.app, config.stream_key) = (app.into(), key.into());
        let mut client = Client { stream: server.connect().await, session: ClientSession::new(config) };
        let hello = client.session.start();
        client.stream.write_all(&hello).await.unwrap();
        loop {
            for event in client.answer().await {
                match event {
                    ClientEvent::Publishing => return Ok(client),
                    ClientEvent::Error { .. } | ClientEvent::Closed => return Err(event),
                    _ => {}
                }
            }
        }
    }

    /// Reads once and answers; `Closed` at the end of the connection.
    async fn answer(&mut self) -> Vec<ClientEvent> {
        let mut buffer = [0; 16 * 1024];
        let read = timeout(SOON, self.stream.read(&mut buffer)).await.expect("the server answers").unwrap_or(0);
        if read == 0 {
            return vec![ClientEvent::Closed];
        }
        let (reply, events) = self.session.handle_data(&buffer[..read]).unwrap();
        self.stream.write_all(&reply).await.unwrap();
        events
    }

    async fn video(&mut self, timestamp: u32, body: &[u8]) {
        let chunks = self.session.send_video(timestamp, body).unwrap();
        self.stream.write_all(&chunks).await.unwrap();
    }

    async fn command(&mut self, name: &str) {
        let payload =
            Command { name: name.into(), transaction_id: 9.0, arguments: vec![Amf0Value::Null] }.to_body().unwrap();
        self.stream.write_all(&chunks(20, payload)).await.unwrap();
    }
}

fn chunks(message_type_id: u8, payload: Vec<u8>) -> Vec<u8> {
    let message = Message { chunk_stream_id: 3, timestamp: 0, message_type_id, message_stream_id: 1, payload };
    let mut writer = ChunkWriter::new();
    writer.set_chunk_size(4096);
    writer.write(&message).unwrap()
}

fn sequence_header() -> Vec<u8> {
    [&[0x17, 0, 0, 0, 0][..], &crate::ingest::avc::tests::RECORD].concat()
}

const IDR: [u8; 11] = [0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 0xaa];

/// Reads until the server closes; whatever it sent before.
async fn drained(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset ends it as well as a clean close.
    let _ = timeout(SOON, stream.read_to_end(&mut all)).await.expect("the server closes the connection");
    all
}

fn quick() -> Limits {
    Limits {
        publish_within: Duration::from_millis(300),
        media_within: Duration::from_millis(300),
        write_within: Duration::from_millis(300),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_publisher_with_the_key_is_handed_on() {
    let mut server = Server::start(Limits::default()).await;
    let mut client = Client::publish(&server, "live", KEY).await.unwrap();
    let Seen::Admitted(publisher) = server.next().await else { panic!() };
    assert_eq!((publisher.app.as_str(), publisher.key.as_str()), ("live", KEY));
    assert_eq!(publisher.peer, client.stream.local_addr().unwrap());
    client.video(0, &sequence_header()).await;
    client.video(40, &IDR).await;
    assert!(matches!(server.next().await, Seen::Coded(Coded::VideoConfig(_))));
    assert!(matches!(server.next().await, Seen::Coded(Coded::Video(unit)) if unit.key));
    client.command("FCUnpublish").await;
    client.command("deleteStream").await;
    assert!(matches!(server.next().await, Seen::Dropped));
    assert!(drained(&mut client.stream).await.is_empty(), "a publisher that stopped is closed without complaint");
}

#[tokio::test]
async fn a_whole_url_as_server_address_works_too() {
    let mut server = Server::start(Limits::default()).await;
    Client::publish(&server, &format!("live/{KEY}/"), "").await.unwrap();
    assert!(matches!(server.next().await, Seen::Admitted(publisher) if publisher.key == KEY));
}

#[tokio::test]
async fn a_wrong_key_gets_bad_name_on_the_wire() {
    let mut server = Server::start(Limits::default()).await;
    for (app, key) in [("live", "wrong"), ("live", ""), ("other", KEY), ("live", "k3y-of-the-show2")] {
        let refusal = Client::publish(&server, app, key).await.err().expect("refused");
        let ClientEvent::Error { code, description } = &refusal else { panic!("{refusal:?}") };
        assert_eq!(code, "NetStream.Publish.BadName");
        assert!(!description.contains(KEY));
    }
    assert!(server.seen.try_recv().is_err(), "nobody was admitted");
}

#[tokio::test]
async fn nothing_says_that_publishing_began_before_the_key_was_checked() {
    let server = Server::start(Limits::default()).await;
    let mut config = ClientConfig::default();
    (config.app, config.stream_key) = ("live".into(), "wrong".into());
    let mut session = ClientSession::new(config);
    let mut stream = server.connect().await;
    stream.write_all(&session.start()).await.unwrap();
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = timeout(SOON, stream.read(&mut buffer)).await.unwrap().unwrap();
        if read == 0 {
            break;
        }
        heard.extend_from_slice(&buffer[..read]);
        if let Ok((reply, _)) = session.handle_data(&buffer[..read]) {
            let _ = stream.write_all(&reply).await;
        }
    }
    let says = |text: &str| heard.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(says("NetStream.Publish.BadName"));
    assert!(!says("NetStream.Publish.Start"));
}

#[tokio::test]
async fn an_ended_publication_closes_its_connection() {
    let mut server = Server::start(Limits::default()).await;
    let mut client = Client::publish(&server, "live", KEY).await.unwrap();
    assert!(matches!(server.next().await, Seen::Admitted(_)));
    server.ended.cancel();
    assert!(matches!(server.next().await, Seen::Dropped));
    drained(&mut client.stream).await;
}

#[tokio::test]
async fn a_dropped_connection_ends_its_publication() {
    let mut server = Server::start(Limits::default()).await;
    let client = Client::publish(&server, "live", KEY).await.unwrap();
    assert!(matches!(server.next().await, Seen::Admitted(_)));
    drop(client);
    assert!(matches!(server.next().await, Seen::Dropped));
}

#[tokio::test]
async fn an_unsupported_codec_is_explained_to_the_show() {
    let mut server = Server::start(Limits::default()).await;
    let mut client = Client::publish(&server, "live", KEY).await.unwrap();
    assert!(matches!(server.next().await, Seen::Admitted(_)));
    client.video(0, b"\x90vvc1\x01\x02\x03\x04").await;
    let Seen::Described(info) = server.next().await else { panic!() };
    assert!(info.complaint.unwrap().contains("OBS"));
    assert!(matches!(server.next().await, Seen::Dropped));
    assert!(drained(&mut client.stream).await.windows(6).any(|window| window == b"Denied"));
}

#[tokio::test]
async fn a_show_that_is_behind_holds_the_publisher_up() {
    let mut server = Server::with_room_for(4, quick()).await;
    let mut client = Client::publish(&server, "live", KEY).await.unwrap();
    client.video(0, &sequence_header()).await;
    let unit = [&IDR[..5], &[0, 1, 0, 1, 0x65], &[0xaa; 65_536]].concat();
    let mut sent = 0;
    // Sockets hold some megabytes; a reader that goes on would take all of this.
    while let Ok(()) = timeout(Duration::from_secs(1), client.video(sent * 33, &unit)).await {
        sent += 1;
        assert!(sent < 2000, "the server reads on though the show takes nothing");
    }
    assert!(matches!(server.next().await, Seen::Admitted(_)), "it is held up for longer than media may be missing");
    let mut units = 0;
    while units < sent - 1 {
        match server.next().await {
            Seen::Coded(Coded::Video(unit)) => {
                assert_eq!(unit.data.len(), unit_length(&unit.data));
                units += 1;
            }
            Seen::Coded(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn unit_length(data: &[u8]) -> usize {
    4 + u32::from_be_bytes(data[..4].try_into().unwrap()) as usize
}

#[tokio::test]
async fn who_publishes_nothing_is_closed_in_time() {
    let server = Server::start(quick()).await;
    let silent = async |bytes: Vec<u8>| {
        let mut stream = server.connect().await;
        stream.write_all(&bytes).await.unwrap();
        drained(&mut stream).await;
    };
    // Nothing at all, a truncated handshake, a whole one with nothing after it.
    let handshake = [&[3][..], &[0; 3072]].concat();
    tokio::join!(silent(vec![]), silent(handshake[..700].to_vec()), silent(handshake.clone()));
}

#[tokio::test]
async fn a_publisher_without_media_is_closed_in_time() {
    let mut server = Server::start(quick()).await;
    let mut client = Client::publish(&server, "live", KEY).await.unwrap();
    assert!(matches!(server.next().await, Seen::Admitted(_)));
    // Pings are no media, however many there are.
    let ping = [&chunks(4, vec![0, 6, 0, 0, 0, 0])[..]; 64].concat();
    let pinging = async {
        while client.stream.write_all(&ping).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(SOON, pinging).await.is_ok(), "a flood of pings keeps nobody on air");
    assert!(matches!(server.next().await, Seen::Dropped));
}

#[tokio::test]
async fn players_are_refused_at_once() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(&[&[3][..], &[0; 3072]].concat()).await.unwrap();
    stream.read_exact(&mut [0; 3073]).await.unwrap();
    let app = vec![("app".to_owned(), Amf0Value::String("live".into()))];
    let connect = Command { name: "connect".into(), transaction_id: 1.0, arguments: vec![Amf0Value::Object(app)] };
    stream.write_all(&chunks(20, connect.to_body().unwrap())).await.unwrap();
    assert!(timeout(SOON, stream.read(&mut [0; 4096])).await.unwrap().unwrap() > 0);
    let play = Command {
        name: "play".into(),
        transaction_id: 4.0,
        arguments: vec![Amf0Value::Null, Amf0Value::String(KEY.into())],
    };
    stream.write_all(&chunks(20, play.to_body().unwrap())).await.unwrap();
    let answer = drained(&mut stream).await;
    assert!(answer.windows(21).any(|window| window == b"NetStream.Play.Failed"));
}

/// Bytes that begin with a sound handshake and go on as `attack` says.
fn attack(attack: &[u8]) -> Vec<u8> {
    [&[3][..], &[0; 3072], attack].concat()
}

fn attacks() -> Vec<(&'static str, Vec<u8>)> {
    let mut deep = vec![2, 0, 7];
    deep.extend(b"connect");
    deep.extend([0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for _ in 0..10_000 {
        deep.extend([3, 0, 1, b'a']);
    }
    let mut shrinking = Vec::new();
    // The second header makes the message in progress shorter than what came of it already.
    shrinking.extend([4, 0, 0, 0, 0, 0xff, 0xff, 9, 1, 0, 0, 0]);
    shrinking.extend([0xaa; 128]);
    shrinking.extend([4, 0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0, 0xaa]);
    shrinking.extend([0xc4; 512]);
    let mut half_messages = Vec::new();
    for stream in 0..62u8 {
        half_messages.extend([2 + stream, 0, 0, 0, 0x7f, 0xff, 0xff, 9, 1, 0, 0, 0]);
        half_messages.extend([0xaa; 128]);
    }
    let mut aggregate = ProtocolControl::SetChunkSize(65_536).to_message().payload;
    aggregate.extend([22, 0xff, 0xff, 0xff]);
    vec![
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200)),
        ("another handshake version", vec![6; 4000]),
        ("zeros", vec![0; 100_000]),
        ("ones", vec![0xff; 100_000]),
        (
            "deep AMF",
            attack(&{
                let mut writer = ChunkWriter::new();
                let message = Message {
                    chunk_stream_id: 3,
                    timestamp: 0,
                    message_type_id: 20,
                    message_stream_id: 0,
                    payload: deep,
                };
                writer.write(&message).unwrap()
            }),
        ),
        ("shrinking lengths", attack(&shrinking)),
        ("half messages", attack(&half_messages.repeat(20))),
        ("a broken aggregate", attack(&chunks(22, aggregate))),
        ("a chunk size of zero", attack(&chunks(1, vec![0, 0, 0, 0]))),
        (
            "publish before connect",
            attack(&chunks(20, {
                let arguments = vec![Amf0Value::Null, Amf0Value::String(KEY.into())];
                Command { name: "publish".into(), transaction_id: 1.0, arguments }.to_body().unwrap()
            })),
        ),
    ]
}

#[tokio::test]
async fn attacks_end_their_connection_and_nothing_else() {
    let mut server = Server::start(Limits { publish_within: Duration::from_secs(2), ..Limits::default() }).await;
    let mut client = Client::publish(&server, "live", KEY).await.unwrap();
    client.video(0, &sequence_header()).await;
    assert!(matches!(server.next().await, Seen::Admitted(_)));
    assert!(matches!(server.next().await, Seen::Coded(Coded::VideoConfig(_))));
    for (number, (name, bytes)) in attacks().into_iter().enumerate() {
        let mut stream = server.connect().await;
        let _ = stream.write_all(&bytes).await;
        timeout(SOON, drained(&mut stream)).await.unwrap_or_else(|_| panic!("{name} is not closed"));
        client.video(number as u32 * 33, &IDR).await;
        assert!(matches!(server.next().await, Seen::Coded(Coded::Video(_))), "the publisher on air is hurt by {name}");
    }
}

#[tokio::test]
async fn a_flood_of_half_messages_is_cut_off_before_it_is_kept() {
    let limits = Limits { connections: 32, connections_from_one_address: 16, ..Limits::default() };
    let server = Server::start(limits).await;
    // Sixteen strangers, each promising 62 messages of 8 MiB and sending as much as it can of them.
    let mut floods = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let mut stream = server.connect().await;
        floods.spawn(async move {
            let header = |stream: u8| [2 + stream, 0, 0, 0, 0x7f, 0xff, 0xff, 9, 1, 0, 0, 0];
            let _ = stream.write_all(&attack(&[])).await;
            for stream_id in (0..62).cycle().take(100_000) {
                let chunk = [&header(stream_id)[..], &[0xaa; 128]].concat();
                if stream.write_all(&chunk).await.is_err() {
                    return true;
                }
            }
            false
        });
    }
    while let Some(closed) = floods.join_next().await {
        assert!(closed.unwrap(), "a stranger could send 14 MB");
    }
}

#[tokio::test]
async fn a_publishers_unfinished_messages_are_bounded() {
    let mut server = Server::start(Limits { bytes_in_flight: 1 << 20, ..Limits::default() }).await;
    let mut client = Client::publish(&server, "live", KEY).await.unwrap();
    assert!(matches!(server.next().await, Seen::Admitted(_)));
    let half = [5, 0, 0, 0, 0x10, 0, 1, 9, 1, 0, 0, 0];
    client.stream.write_all(&half).await.unwrap();
    assert!(matches!(server.next().await, Seen::Dropped), "a message larger than the limit ends the publication");
}

#[tokio::test]
async fn too_many_connections_are_turned_away() {
    let server = Server::start(Limits { connections_from_one_address: 2, ..Limits::default() }).await;
    let _first = server.connect().await;
    let second = server.connect().await;
    let mut third = server.connect().await;
    assert!(drained(&mut third).await.is_empty());
    drop(second);
    // The place is free once the server noticed.
    let admitted = async {
        while Client::publish(&server, "live", KEY).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, admitted).await.unwrap();
}

#[tokio::test]
async fn stopping_ends_every_connection() {
    let mut server = Server::start(Limits::default()).await;
    let mut client = Client::publish(&server, "live", KEY).await.unwrap();
    let _stranger = server.connect().await;
    assert!(matches!(server.next().await, Seen::Admitted(_)));
    server.stop.cancel();
    timeout(SOON, &mut server.serving).await.unwrap().unwrap();
    assert!(matches!(server.next().await, Seen::Dropped));
    drained(&mut client.stream).await;
}

/// A peer that takes part in nothing.
#[derive(Clone)]
struct Stuck;

impl Transport for Stuck {
    type Stream = TcpStream;

    async fn open(&self, _: TcpStream) -> io::Result<TcpStream> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_transport_that_never_opens_holds_its_place_no_longer_than_a_publish_may_take() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, _) = mpsc::channel(1);
    let directory = Arc::new(FakeDirectory { seen, ended: CancellationToken::new() });
    let stop = CancellationToken::new();
    let doors = Doors::new(directory, Limits { connections: 1, ..quick() });
    let serving = tokio::spawn(doors.clone().serve(listener, Stuck, stop.clone()));
    let begun = Instant::now();
    let mut stuck = TcpStream::connect(address).await.unwrap();
    drained(&mut TcpStream::connect(address).await.unwrap()).await;
    assert!(begun.elapsed() < quick().publish_within, "the second is turned away at once");
    drained(&mut stuck).await;
    assert!(begun.elapsed() >= quick().publish_within);
    let free = async {
        while doors.door.enter(address.ip()).is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, free).await.expect("the place is given back");
    stop.cancel();
    serving.await.unwrap();
}
