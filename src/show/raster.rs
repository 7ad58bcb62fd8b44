//! The thread that paints a show's scenes, away from the frames.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::state::State;
use crate::media::{Spent, queue};
use crate::overlay::{LayerSpec, Painter, Scene, Staging};

/// What to paint.
pub(super) struct Request {
    /// The state that the layers are of; it comes back with the scene.
    pub(super) state: Arc<State>,
    pub(super) layers: Vec<LayerSpec>,
    pub(super) staging: Staging,
    /// When it is to be seen, if that is known; it comes back as well.
    pub(super) at: Option<Timestamp>,
}

/// What came of a request.
#[derive(Debug)]
pub(super) struct Painted {
    pub(super) state: Arc<State>,
    /// The scene, or in words why there is none.
    pub(super) scene: Result<Arc<Scene>, String>,
    pub(super) at: Option<Timestamp>,
}

/// One painting thread. Ends when this is dropped.
pub(super) struct Worker {
    /// Holds the newest requests, which are painted together: those that wait behind others are passed over for them, since
    /// nobody would see their scenes.
    requests: Option<queue::Sender<Vec<Request>>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts it for a show of this name. The answers come in the order of the requests; who takes none holds it up.
    pub(super) fn start(
        name: &str,
        painter: Arc<Painter>,
        times: Arc<Spent>,
    ) -> io::Result<(Worker, mpsc::Receiver<Vec<Painted>>)> {
        let (requests, waiting) = queue::bounded::<Vec<Request>>(1);
        let (answers, painted) = mpsc::channel(1);
        let thread = thread::Builder::new().name(format!("raster-{name}")).spawn(move || {
            while let Some(requests) = waiting.recv() {
                let paint = |request: Request| {
                    let begun = Instant::now();
                    let scene = paint(&painter, &request);
                    times.add(begun.elapsed());
                    Painted { state: request.state, scene, at: request.at }
                };
                if answers.blocking_send(requests.into_iter().map(paint).collect()).is_err() {
                    return;
                }
            }
        })?;
        Ok((Worker { requests: Some(requests), thread: Some(thread) }, painted))
    }

    pub(super) fn paint(&self, together: Vec<Request>) {
        if let Some(requests) = &self.requests {
            // Closed means that the thread is gone, which only a stop does.
            let _ = requests.push_newest(together);
        }
    }

    /// Ends it after the painting at hand; blocks for as long.
    pub(super) fn stop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // Panics of painting are caught within.
            let _ = thread.join();
        }
    }
}

/// A template can be anybody's, and what paints it is large: a panic costs this painting, not the thread.
fn paint(painter: &Painter, request: &Request) -> Result<Arc<Scene>, String> {
    let painting =
        catch_unwind(AssertUnwindSafe(|| painter.paint(request.state.rev, &request.layers, &request.staging)));
    match painting {
        Ok(scene) => scene.map(Arc::new).map_err(|error| error.to_string()),
        Err(_) => Err("painting broke off: see the server's log".to_owned()),
    }
}
