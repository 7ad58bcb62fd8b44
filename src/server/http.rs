//! HTTP/1.1 over the connections of a door, plain or inside TLS.
//!
//! Whoever connects gets so long for a TLS handshake and so long for the head of a request; the body's time is the routes' own.
//! Handlers find the peer as `ConnectInfo<SocketAddr>`.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::door::{Connection, Door};

/// How long requests that run may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// For a TLS handshake: two round trips and a signature.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// For the head of a request, from the connection's beginning or the end of the answer before. So it is also how long a
/// connection is kept for the next request: longer than a viewer's page takes between two (10 s).
const HEAD_WITHIN: Duration = Duration::from_secs(15);

/// Serves `router` behind `door` until `stop` is cancelled; then takes nobody in any more and returns when the requests
/// that run are answered, or their time is up.
pub(super) async fn serve(door: Door, tls: Option<TlsAcceptor>, router: Router, stop: CancellationToken) {
    let (conversations, cut_off) = (TaskTracker::new(), CancellationToken::new());
    loop {
        let (connection, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = door.accept() => accepted,
        };
        let (tls, router, stop, cut_off) = (tls.clone(), router.clone(), stop.clone(), cut_off.clone());
        conversations.spawn(async move {
            let ended = tokio::select! {
                () = cut_off.cancelled() => return,
                ended = attend(connection, peer, tls, router, stop) => ended,
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "HTTP connection broken off");
            }
        });
    }
    drop(door);
    conversations.close();
    if timeout(DRAIN, conversations.wait()).await.is_err() {
        tracing::warn!("requests that did not end in time were cut off");
        cut_off.cancel();
        conversations.wait().await;
    }
}

/// Why a connection ended before its peer was done.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("no TLS: {0}")]
    Tls(io::Error),
    #[error("no TLS handshake within {HANDSHAKE_WITHIN:?}")]
    SlowHandshake,
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// One connection from its first byte to its last.
async fn attend(
    connection: Connection,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: CancellationToken,
) -> Result<(), Broken> {
    let Some(tls) = tls else { return Ok(converse(connection, peer, router, stop).await?) };
    let within = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        shaken = timeout(HANDSHAKE_WITHIN, tls.accept(connection)) => shaken,
    };
    let stream = within.map_err(|_| Broken::SlowHandshake)?.map_err(Broken::Tls)?;
    Ok(converse(stream, peer, router, stop).await?)
}

/// Requests and answers, until either side has enough; after `stop` none is begun.
async fn converse<S>(stream: S, peer: SocketAddr, router: Router, stop: CancellationToken) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let mut conversation = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = conversation.as_mut() => return ended,
        () = stop.cancelled() => conversation.as_mut().graceful_shutdown(),
    }
    conversation.await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::extract::Extension;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;
    use tokio::time::{Instant, sleep};

    use super::super::tls::tests::{connect, self_made};
    use super::*;

    /// A server whose `/peer` tells who asks, and whose `/wait` answers when it is notified.
    struct Served {
        at: SocketAddr,
        answer: Arc<Notify>,
        stop: CancellationToken,
        serving: JoinHandle<()>,
    }

    async fn served(tls: Option<TlsAcceptor>) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (answer, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let notified = answer.clone();
        let router = Router::new()
            .route(
                "/peer",
                get(|Extension(ConnectInfo(peer)): Extension<ConnectInfo<SocketAddr>>| async move { peer.to_string() }),
            )
            .route("/wait", get(|| async move { notified.notified().await }));
        let serving = tokio::spawn(serve(Door::new(listener), tls, router, stop.clone()));
        Served { at, answer, stop, serving }
    }

    async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = vec![0; 2000];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// Whether the server closes before anything else comes; a reset ends a connection as well as a clean close.
    async fn closed(stream: &mut TcpStream) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        rest
    }

    #[tokio::test]
    async fn handlers_know_the_peer_with_and_without_tls() {
        let (tls, _folder) = self_made();
        let (plain, within_tls) = (served(None).await, served(Some(tls.for_http())).await);
        let mut one = TcpStream::connect(plain.at).await.unwrap();
        let peer = one.local_addr().unwrap().to_string();
        for _ in 0..2 {
            let answer = ask(&mut one, "/peer").await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&peer), "{answer}");
        }
        let mut other = connect(&tls, within_tls.at).await.unwrap();
        let peer = other.get_ref().0.local_addr().unwrap().to_string();
        assert!(ask(&mut other, "/peer").await.ends_with(&peer));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_is_cut_off() {
        let server = served(None).await;
        let (mut read, mut write) = TcpStream::connect(server.at).await.unwrap().into_split();
        let begun = Instant::now();
        let trickle = tokio::spawn(async move {
            for byte in b"GET /peer HTTP/1.1\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'a')) {
                if write.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_secs(1)).await;
            }
        });
        let _ = read.read_to_end(&mut Vec::new()).await;
        let after = begun.elapsed();
        assert!(after >= HEAD_WITHIN && after < HEAD_WITHIN + Duration::from_secs(2), "{after:?}");
        trickle.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_asks_every_ten_seconds_keeps_its_connection() {
        let server = served(None).await;
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        for _ in 0..3 {
            assert!(ask(&mut stream, "/peer").await.starts_with("HTTP/1.1 200 "));
            sleep(Duration::from_secs(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_running_requests_and_not_for_ever() {
        let server = served(None).await;
        let mut streams = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(server.at).await.unwrap();
            stream.write_all(b"GET /wait HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
            streams.push(stream);
        }
        let mut idle = TcpStream::connect(server.at).await.unwrap();
        assert!(ask(&mut idle, "/peer").await.starts_with("HTTP/1.1 200 "));
        sleep(Duration::from_secs(1)).await;
        server.stop.cancel();
        assert!(closed(&mut idle).await.is_empty());
        assert!(!server.serving.is_finished());
        server.answer.notify_one();
        let begun = Instant::now();
        let answered = [closed(&mut streams[0]).await, closed(&mut streams[1]).await];
        assert_eq!(answered.iter().filter(|answer| answer.starts_with(b"HTTP/1.1 200 ")).count(), 1);
        server.serving.await.unwrap();
        assert!(begun.elapsed() >= DRAIN - Duration::from_millis(100) && begun.elapsed() < DRAIN * 2);
        assert!(TcpStream::connect(server.at).await.is_err(), "the door is closed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_never_ends_is_cut_off() {
        let (tls, _folder) = self_made();
        let server = served(Some(tls.for_http())).await;
        for first in [&[][..], &[22, 3, 1, 2, 0, 1, 0]] {
            let mut stream = TcpStream::connect(server.at).await.unwrap();
            stream.write_all(first).await.unwrap();
            let begun = Instant::now();
            assert!(closed(&mut stream).await.is_empty());
            assert!(
                begun.elapsed() >= HANDSHAKE_WITHIN - Duration::from_millis(100)
                    && begun.elapsed() < HANDSHAKE_WITHIN * 2
            );
        }
    }

    #[tokio::test]
    async fn each_port_refuses_the_others_language_and_goes_on() {
        let (tls, _folder) = self_made();
        let (plain, within_tls) = (served(None).await, served(Some(tls.for_http())).await);
        let mut stream = TcpStream::connect(within_tls.at).await.unwrap();
        stream.write_all(b"GET /peer HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
        assert!(closed(&mut stream).await.len() < 16, "an alert at most");
        assert!(connect(&tls, plain.at).await.is_err());
        let mut stream = connect(&tls, within_tls.at).await.unwrap();
        assert!(ask(&mut stream, "/peer").await.starts_with("HTTP/1.1 200 "));
        let mut stream = TcpStream::connect(plain.at).await.unwrap();
        assert!(ask(&mut stream, "/peer").await.starts_with("HTTP/1.1 200 "));
    }
}
