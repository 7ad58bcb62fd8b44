//! A seller's encoder that knows when each of its frames went out: pushes a clip's own FLV tags over RTMP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtmp_runtime::client::{ClientConfig, ClientEvent, ClientSession};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::child;
use crate::support::clip::Clip;

/// A clip as FLV tags (Adobe's FLV 10.1, annex E).
pub struct Film {
    tags: Vec<Tag>,
    milliseconds: u32,
    frames_per_second: usize,
    /// The presentation time of frame 0, in milliseconds.
    first: u32,
}

struct Tag {
    video: bool,
    at: u32,
    body: Vec<u8>,
}

impl Tag {
    /// Presentation time of a picture, in milliseconds; none of sound and configurations.
    fn shown(&self) -> Option<u32> {
        let picture = self.video && self.body.get(1) == Some(&1);
        let offset = self.body.get(2..5).filter(|_| picture)?;
        Some(self.at + u32::from_be_bytes([0, offset[0], offset[1], offset[2]]))
    }

    fn is_keyframe(&self) -> bool {
        self.shown().is_some() && self.body[0] >> 4 == 1
    }
}

impl Film {
    pub fn of(clip: &Clip) -> Arc<Film> {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-i"]).arg(clip.path());
        ffmpeg.args(["-c", "copy", "-f", "flv", "-flvflags", "no_duration_filesize", "pipe:1"]);
        let flv = child::run("the clip as FLV", ffmpeg, Duration::from_secs(60));
        let (mut tags, mut rest) = (Vec::new(), &flv[13..]);
        while let [kind, s2, s1, s0, t2, t1, t0, t3, _, _, _, ..] = *rest {
            let size = u32::from_be_bytes([0, s2, s1, s0]) as usize;
            if kind == 8 || kind == 9 {
                let (at, body) = (u32::from_be_bytes([t3, t2, t1, t0]), rest[11..11 + size].to_vec());
                tags.push(Tag { video: kind == 9, at, body });
            }
            rest = &rest[11 + size + 4..];
        }
        let first = tags.iter().filter_map(Tag::shown).min().expect("the clip has pictures");
        let milliseconds = (clip.number_of_frames() * 1000 / clip.frames_per_second) as u32;
        Arc::new(Film { tags, milliseconds, frames_per_second: clip.frames_per_second, first })
    }

    /// The number on the strip of the picture shown at that time.
    fn number(&self, shown: u32) -> u16 {
        ((f64::from(shown - self.first) * self.frames_per_second as f64 / 1e3).round()) as u16
    }
}

/// One publication, from its start until it is dropped.
pub struct Pusher {
    order: watch::Sender<Order>,
    task: JoinHandle<()>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

/// A picture that was handed to the network.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// On the strip.
    pub number: u16,
    pub key: bool,
    /// When a camera would have had it: by the pusher's clock, whatever held it up.
    pub due: Instant,
    /// When its last byte was taken.
    pub at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Go,
    Hold,
    /// The connection dies with a TCP reset.
    Reset,
}

impl Pusher {
    /// Publishes to `rtmp` (`rtmp://HOST:PORT/live`) from the film's first keyframe on, over and over.
    pub async fn publish(rtmp: &str, key: &str, film: &Arc<Film>) -> Pusher {
        let pusher = Pusher::publish_from(Ipv4Addr::LOCALHOST, rtmp, key, film).await;
        pusher.unwrap_or_else(|error| panic!("{rtmp}: {error}"))
    }

    /// As `publish`, from an address of its own.
    pub async fn publish_from(from: Ipv4Addr, rtmp: &str, key: &str, film: &Arc<Film>) -> std::io::Result<Pusher> {
        let (authority, app) = rtmp.trim_start_matches("rtmp://").split_once('/').expect("an RTMP address has an app");
        let to: SocketAddr = authority.parse().expect("the server told its address");
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        let mut stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        let mut config = ClientConfig::default();
        (config.app, config.stream_key) = (app.to_owned(), key.to_owned());
        let mut session = ClientSession::new(config);
        stream.write_all(&session.start()).await?;
        let mut buffer = vec![0; 4096];
        while !session.is_publishing() {
            let read = stream.read(&mut buffer).await?;
            let (reply, events) = session.handle_data(&buffer[..read]).map_err(std::io::Error::other)?;
            stream.write_all(&reply).await?;
            if read == 0 || events.iter().any(|event| matches!(event, ClientEvent::Error { .. } | ClientEvent::Closed))
            {
                return Err(std::io::Error::other(format!("refused: {events:?}")));
            }
        }
        let (order, orders) = watch::channel(Order::Go);
        let sent = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(run(film.clone(), stream, session, orders, sent.clone()));
        Ok(Pusher { order, task, sent })
    }

    /// Sends nothing until `go`; then all that was due at once.
    pub fn hold(&self) {
        self.order.send_replace(Order::Hold);
    }

    pub fn go(&self) {
        self.order.send_replace(Order::Go);
    }

    /// Ends with a TCP reset, as when the power goes or a router forgets the connection.
    pub async fn reset(self) {
        self.order.send_replace(Order::Reset);
        let _ = self.task.await;
    }

    /// Ends by closing the connection.
    pub async fn close(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// When the first keyframe was sent.
    pub async fn first_keyframe(&self) -> Instant {
        crate::support::patience::eventually("a keyframe is sent", Duration::from_secs(10), async || {
            self.sent.lock().expect("no panic while it is held").iter().find(|sent| sent.key).map(|sent| sent.at)
        })
        .await
    }

    /// When the picture that was seen at `seen` with this number was due.
    pub fn due(&self, number: u16, seen: Instant) -> Option<Instant> {
        let sent = self.sent.lock().expect("no panic while it is held");
        sent.iter().rev().find(|sent| sent.number == number && sent.at <= seen).map(|sent| sent.due)
    }
}

/// Pushes until it is told to end or the server ends it.
async fn run(
    film: Arc<Film>,
    mut stream: TcpStream,
    mut session: ClientSession,
    mut orders: watch::Receiver<Order>,
    sent: Arc<Mutex<Vec<Sent>>>,
) {
    let (begun, mut buffer) = (Instant::now(), vec![0; 4096]);
    for n in 0.. {
        let (round, tag) = (n / film.tags.len(), &film.tags[n % film.tags.len()]);
        let at = round as u32 * film.milliseconds + tag.at;
        let due = begun + Duration::from_millis(u64::from(at));
        loop {
            let order = *orders.borrow_and_update();
            let ended = match order {
                Order::Go if Instant::now() >= due => break,
                Order::Go => tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => false,
                    changed = orders.changed() => changed.is_err(),
                },
                Order::Hold => orders.changed().await.is_err(),
                Order::Reset => {
                    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                    true
                }
            };
            if ended {
                return;
            }
        }
        // Acknowledgements, and the end when another publisher took over.
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) if session.handle_data(&buffer[..read]).is_err() => return,
            _ => {}
        }
        let message = if tag.video { session.send_video(at, &tag.body) } else { session.send_audio(at, &tag.body) };
        if stream.write_all(&message.expect("the session publishes")).await.is_err() {
            return;
        }
        if let Some(shown) = tag.shown() {
            let picture = Sent { number: film.number(shown), key: tag.is_keyframe(), due, at: Instant::now() };
            sent.lock().expect("no panic while it is held").push(picture);
        }
    }
}
