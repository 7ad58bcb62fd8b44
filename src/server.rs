//! The whole server: what is opened in which order, and how it stops.
//!
//! Start: log → painter → delivery → shows → RTMP, WHIP → HTTP. Stop: doors first, then the shows from their sources
//! downwards, then delivery, then the log.

mod door;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::commerce::line::Title;
use crate::config::{self, Config, Secret};
use crate::deliver::{self, Deliver};
use crate::ingest::rtmp;
use crate::ingest::whip::{self, Whip};
use crate::media::Clock;
use crate::overlay::{PaintError, Painter, PainterConfig};
use crate::show::registry::{Parts, Wanted, start_pipeline};
use crate::show::{self, Canvas, ShowId, Shows, SourceUrl, StreamKey};
use crate::store::{self, Store};
use crate::{api, pages};

/// A running server.
pub struct Server {
    addresses: Addresses,
    shows: Arc<Shows>,
    router: axum::Router,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Where it listens, with the ports that port 0 became.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub http: SocketAddr,
    pub rtmp: SocketAddr,
    pub webrtc: SocketAddr,
    pub whip: SocketAddr,
}

/// A show as the person who starts the server needs it.
#[derive(Clone, Debug)]
pub struct Door {
    pub show: String,
    pub stream_key: Secret,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the log: {0}")]
    Store(#[from] store::Error),
    #[error("templates and fonts: {0}")]
    Painter(#[from] PaintError),
    #[error("listening for {what} on {at}: {error}: is another server running there?")]
    Listen { what: &'static str, at: SocketAddr, error: io::Error },
    #[error("the shows: {0}")]
    Show(#[from] show::Error),
    #[error("show {show:?} of the configuration: {reason}")]
    Configured { show: String, reason: String },
    #[error("the admin token: {0}")]
    Token(#[from] config::Error),
}

/// How long requests that run may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(5);

impl Server {
    /// Opens everything; returns once every door listens.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Server, Error> {
        let admin_token = config.admin_token()?.token;
        let listen = config.listen;
        let failed = |what, at| move |error| Error::Listen { what, at, error };

        let store = Store::open(&config.data_dir).await?;
        let painter = PainterConfig { templates: config.templates.clone(), fonts: config.fonts.clone() };
        let painter = Arc::new(Painter::new(painter)?);
        let deliver = Deliver::bind(deliver::Config {
            listen: listen.webrtc,
            public: config.public_ips.clone(),
            max_viewers: config.limits.viewers,
            clock: clock.clone(),
        });
        let deliver = Arc::new(deliver.map_err(failed("WebRTC", listen.webrtc))?);
        // Before the shows: a port that is taken leaves nothing half begun.
        let rtmp_listener = TcpListener::bind(listen.rtmp).await.map_err(failed("RTMP", listen.rtmp))?;
        let whip_socket = whip::bind(listen.whip).map_err(failed("WHIP", listen.whip))?;
        let http_listener = TcpListener::bind(listen.http).await.map_err(failed("HTTP", listen.http))?;
        let addresses = Addresses {
            http: http_listener.local_addr().map_err(failed("HTTP", listen.http))?,
            rtmp: rtmp_listener.local_addr().map_err(failed("RTMP", listen.rtmp))?,
            webrtc: deliver.local_addr(),
            whip: whip_socket.local_addr().map_err(failed("WHIP", listen.whip))?,
        };
        let parts = Parts { store, painter, deliver, clock, start: start_pipeline };
        let configured = config.shows.iter().map(configured).collect::<Result<Vec<_>, Error>>()?;
        let shows = Shows::open(parts, configured).await?;

        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let limits = rtmp::Limits { connections: config.limits.publishers, ..rtmp::Limits::default() };
        tasks.spawn(rtmp::serve(rtmp_listener, shows.clone(), limits, stop.clone()));

        let limits = whip::Limits { publishers: config.limits.publishers, ..whip::Limits::default() };
        let whip = Whip::new(whip_socket, config.public_ips, shows.clone(), limits);
        let whip = Arc::new(whip.map_err(failed("WHIP", listen.whip))?);
        let (serving, stopping) = (whip.clone(), stop.clone());
        tasks.spawn(async move { serving.serve(stopping).await });

        let api = api::Api::new(shows.clone(), whip, admin_token, config.limits.image_bytes);
        let router = api::router(api).merge(pages::router(listed(&shows)));
        let service = router.clone().into_make_service_with_connect_info::<SocketAddr>();
        // Answers are short: they leave at once.
        let http = door::Door::new(http_listener).tap_io(|connection| drop(connection.stream().set_nodelay(true)));
        let stopping = stop.clone();
        tasks.spawn(async move {
            let serve = axum::serve(http, service).with_graceful_shutdown(stopping.clone().cancelled_owned());
            let deadline = async {
                stopping.cancelled().await;
                tokio::time::sleep(DRAIN).await;
            };
            tokio::select! {
                served = serve => if let Err(error) = served {
                    tracing::error!(%error, "HTTP ended");
                },
                () = deadline => tracing::warn!("requests that did not end in time were cut off"),
            }
        });
        tasks.close();
        Ok(Server { addresses, shows, router, stop, tasks })
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Every show with its key, in the order of their ids.
    pub async fn doors(&self) -> Vec<Door> {
        let door = |show: show::Handle| Door {
            show: show.id().to_string(),
            stream_key: Secret::from(show.state().stream_key.reveal()),
        };
        self.shows.list().into_iter().map(door).collect()
    }

    /// The HTTP face, for callers in the same process.
    pub fn router(&self) -> axum::Router {
        self.router.clone()
    }

    /// Stops in order: nobody new, then the shows and their threads, then the log.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        self.shows.shutdown().await;
        // The last holders of delivery: dropping them joins its threads.
        let (router, shows) = (self.router, self.shows);
        let _ = tokio::task::spawn_blocking(move || drop((router, shows))).await;
    }
}

/// What the configuration says of a show, in the show's own terms.
fn configured(show: &config::Show) -> Result<(ShowId, Wanted), Error> {
    let wrong = |reason: String| Error::Configured { show: show.id.clone(), reason };
    let id = ShowId::parse(&show.id).map_err(|error| wrong(error.to_string()))?;
    let title = show.title.as_deref().map(Title::parse).transpose();
    let key = show.stream_key.as_ref().map(|key| StreamKey::parse(key.expose())).transpose();
    let source = show.source.as_ref().map(|source| SourceUrl::parse(source.expose())).transpose();
    let canvas = show.canvas.map(|canvas| Canvas::new(canvas.resolution.width, canvas.resolution.height, canvas.fps));
    let wanted = Wanted {
        title: title.map_err(|error| wrong(error.to_string()))?,
        stream_key: key.map_err(|error| wrong(error.to_string()))?,
        source: source.map_err(|error| wrong(error.to_string()))?.map(Some),
        canvas: canvas.transpose().map_err(|error| wrong(error.to_string()))?,
    };
    Ok((id, wanted))
}

/// The shows as the lobby lists them.
fn listed(shows: &Arc<Shows>) -> pages::Shows {
    let shows = Arc::downgrade(shows);
    Arc::new(move || {
        let listed = |show: show::Handle| pages::Listed {
            id: show.id().to_string(),
            title: show.state().title.to_string(),
            on_air: show.on_air(),
        };
        shows.upgrade().map(|shows| shows.list().into_iter().map(listed).collect()).unwrap_or_default()
    })
}
