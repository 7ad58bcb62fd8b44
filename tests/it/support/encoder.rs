//! An encoder that sends just what it is told, tag by tag: for what ffmpeg's own RTMP cannot or would not send.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rtmp_runtime::amf0::Amf0Value;
use rtmp_runtime::client::{ClientConfig, ClientEvent, ClientSession};

use super::fixture::{Kind, Tag};

/// A publisher on a thread of its own; it goes when it is dropped, or when it sent all.
pub struct Encoder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<ClientEvent>>>,
}

impl Encoder {
    /// Publishes to `url` (`rtmp://HOST:PORT/live/KEY`): each tag when it is due, then nothing until `stop`.
    pub fn push(url: &str, tags: Vec<Tag>) -> Encoder {
        let (door, path) = url.strip_prefix("rtmp://").and_then(|rest| rest.split_once('/')).expect("an RTMP address");
        let (app, key) = path.split_once('/').expect("an application and a key");
        let mut config = ClientConfig::default();
        (config.app, config.stream_key) = (app.into(), key.into());
        config.tc_url = Some(format!("rtmp://{door}/{app}"));
        let mut line = Line::connect(door, config);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            for tag in tags {
                while begun.elapsed() < tag.due {
                    if stopped.load(Ordering::Relaxed) || !line.read() {
                        return line.heard;
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
                if !line.send(&tag) {
                    break;
                }
            }
            while !stopped.load(Ordering::Relaxed) && line.read() {
                std::thread::sleep(Duration::from_millis(10));
            }
            line.heard
        });
        Encoder { stop, thread: Some(thread) }
    }

    /// Whether the server hung up, or all was sent and `stop` asked for.
    pub fn ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Hangs up; what the server told meanwhile.
    pub fn stop(mut self) -> Vec<ClientEvent> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it was not stopped before").join().expect("an encoder does not panic")
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A connection on which is published.
struct Line {
    stream: TcpStream,
    session: ClientSession,
    heard: Vec<ClientEvent>,
}

impl Line {
    fn connect(door: &str, config: ClientConfig) -> Line {
        let stream = TcpStream::connect(door).unwrap_or_else(|error| panic!("{door}: {error}"));
        stream.set_nodelay(true).expect("a socket takes options");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes timeouts");
        let mut line = Line { stream, session: ClientSession::new(config), heard: Vec::new() };
        let hello = line.session.start();
        line.stream.write_all(&hello).expect("the server listens");
        while !line.session.is_publishing() {
            assert!(line.read(), "the server lets the encoder publish: {:?}", line.heard);
        }
        line.stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a socket takes timeouts");
        line
    }

    /// Reads what is there within the socket's time limit, and answers it; false at the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                let Ok((reply, events)) = self.session.handle_data(&buffer[..read]) else { return false };
                self.heard.extend(events);
                self.stream.write_all(&reply).is_ok()
            }
            Err(error) => error.kind() != ErrorKind::ConnectionReset,
        }
    }

    fn send(&mut self, tag: &Tag) -> bool {
        let chunks = match tag.kind {
            Kind::Video => self.session.send_video(tag.timestamp, &tag.body),
            Kind::Audio => self.session.send_audio(tag.timestamp, &tag.body),
            Kind::Description => {
                let name = String::from_utf8(tag.body.clone()).expect("a name is text");
                self.session.send_metadata(&[("encoder".to_owned(), Amf0Value::String(name))])
            }
        };
        self.stream.write_all(&chunks.expect("a tag fits into a message")).is_ok()
    }
}
