//! A door for HTTP, with or without TLS behind it: so many connections at a time, and none that only stands in it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::telemetry::Tally;

/// Connections at a time through one door. Further ones wait in the kernel's queue; publishers and viewers have doors of their own.
const CONNECTIONS: usize = 1024;
/// A connection on which neither side says anything for this long is closed: longer than any request may take.
const IDLE: Duration = Duration::from_secs(60);
/// Before the next try, when the process is out of files: to try at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener whose connections are counted and timed.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    failed: Tally,
}

impl Door {
    pub(super) fn new(listener: TcpListener) -> Door {
        Door { listener, places: Arc::new(Semaphore::new(CONNECTIONS)), failed: Tally::default() }
    }

    /// The next connection, once there is a place for it. May be given up and asked again.
    pub(super) async fn accept(&self) -> (Connection, SocketAddr) {
        let place = self.places.clone().acquire_owned().await.expect("the door is never closed");
        loop {
            // Answers are short: they leave at once.
            match self
                .listener
                .accept()
                .await
                .and_then(|(stream, peer)| stream.set_nodelay(true).map(|()| (stream, peer)))
            {
                Ok((stream, peer)) => {
                    let idle = Box::pin(tokio::time::sleep(IDLE));
                    return (Connection { stream, idle, _place: place }, peer);
                }
                Err(error) if gone(&error) => {}
                Err(error) => {
                    if let Some(times) = self.failed.count(std::time::Instant::now()) {
                        tracing::warn!(%error, times, "no HTTP connection could be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether it is the peer's own error: it left before it was let in.
fn gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | InvalidInput | NotConnected)
}

/// A connection that ends when it is idle, and gives its place back.
pub(super) struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// `done` as it is, unless nothing was done for too long.
    fn timed<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE);
            return done;
        }
        self.idle.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(context, into);
        self.timed(context, done)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(context, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.timed(context, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn door(places: usize) -> (Door, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Door { places: Arc::new(Semaphore::new(places)), ..Door::new(listener) }, address)
    }

    #[tokio::test]
    async fn a_full_door_waits_for_a_place() {
        let (door, address) = door(1).await;
        let (_first, _second) =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let (held, _) = door.accept().await;
        let waiting = tokio::spawn(async move { door.accept().await.1 });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_closed() {
        let (door, address) = door(1).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = door.accept().await;
        client.write_all(b"hello").await.unwrap();
        let mut bytes = [0; 5];
        connection.read_exact(&mut bytes).await.unwrap();
        let begun = Instant::now();
        assert_eq!(connection.read(&mut bytes).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= IDLE);
    }
}
