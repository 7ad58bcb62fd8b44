//! A refusal that reaches its sender: what is left of a refused upload is read and thrown away before the answer goes out.
//!
//! Closing a connection with unread bytes in it sends a reset, which overtakes the answer (RFC 9112 §9.6): whoever uploads a
//! picture that is too large would see a broken connection in place of the reason.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Error;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt};

/// Bytes thrown away for one refused request, and the time for it; after either the connection is cut off.
const MOST: usize = 64 << 20;
const LONGEST: Duration = Duration::from_secs(10);
/// Whoever sends nothing for this long is not held up by what they have not sent.
const PAUSE: Duration = Duration::from_millis(300);

/// Lends the body to the handler, and drains it when the answer is an error.
pub(super) async fn linger(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let mut lent = Lent(Arc::new(Mutex::new(body.into_data_stream())));
    let response = next.run(Request::from_parts(parts, Body::from_stream(lent.clone()))).await;
    if response.status().is_client_error() {
        let drain = async {
            let mut drained = 0;
            while let Ok(Some(Ok(bytes))) = tokio::time::timeout(PAUSE, lent.next()).await {
                drained += bytes.len();
                if drained > MOST {
                    break;
                }
            }
        };
        // In vain is in vain: the refusal goes out either way.
        let _ = tokio::time::timeout(LONGEST, drain).await;
    }
    response
}

/// A request's body, held here and by its handler; never read by both.
#[derive(Clone)]
struct Lent(Arc<Mutex<BodyDataStream>>);

impl Stream for Lent {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.lock().expect("nobody panics while reading a body");
        body.poll_next_unpin(context)
    }
}
