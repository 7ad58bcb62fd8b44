//! The whole server: what is opened in which order, and how it stops.
//!
//! Start: log → certificate → painter → compositor → delivery → shows → RTMP, WHIP → HTTP. Stop: doors first, then the shows from their
//! sources downwards, then delivery, then the log.

mod door;
mod http;
mod redirect;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::commerce::line::Title;
use crate::config::{self, Config, Secret};
use crate::deliver::{self, Deliver};
use crate::ingest::rtmp;
use crate::ingest::whip::{self, Whip};
use crate::media::Clock;
use crate::overlay::compose::{self, Engine};
use crate::overlay::{self, Locale, PaintError, Painter, PainterConfig};
use crate::show::registry::{Parts, Wanted, start_pipeline};
use crate::show::{self, Canvas, Fit, ShowId, Shows, SourceUrl, StreamKey, ThemeName, WantedCanvas};
use crate::store::{self, Store};
use crate::{api, pages};

pub use self::tls::Identity;
use self::tls::Tls;

/// A running server.
pub struct Server {
    addresses: Addresses,
    identity: Option<Identity>,
    shows: Arc<Shows>,
    router: axum::Router,
    /// Looks after the themes folder.
    themes: overlay::Watch,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Where it listens, with the ports that port 0 became.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub http: SocketAddr,
    pub rtmp: SocketAddr,
    pub webrtc: SocketAddr,
    /// Inside TLS, where the configuration has them.
    pub https: Option<SocketAddr>,
    pub rtmps: Option<SocketAddr>,
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
    #[error("themes and fonts: {0}")]
    Painter(#[from] PaintError),
    #[error("looking after the themes: {0}")]
    Themes(io::Error),
    #[error("`compositor` is \"gpu\": {0}; or set it to \"auto\"")]
    Compositor(#[from] compose::Error),
    #[error("listening for {what} on {at}: {error}: {}", advice(error))]
    Listen { what: &'static str, at: SocketAddr, error: io::Error },
    #[error("TLS: {0}")]
    Tls(#[from] tls::Error),
    #[error("the shows: {0}")]
    Show(#[from] show::Error),
    #[error("show {show:?} of the configuration: {reason}")]
    Configured { show: String, reason: String },
    #[error("the admin token: {0}")]
    Token(#[from] config::Error),
}

impl Server {
    /// Opens everything; returns once every door listens.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Server, Error> {
        let admin_token = config.admin_token()?.token;
        let listen = config.listen;

        let store = Store::open(&config.data_dir).await?;
        let tls =
            listen.within_tls().then(|| Tls::open(&config.tls, &config.data_dir, &config.public_ips, clock.clone()));
        let tls = tls.transpose()?;
        let (themes, fonts) = (config.themes.clone(), config.fonts.clone());
        let painter = PainterConfig { themes, fonts, strict: false };
        let painter = Arc::new(Painter::new(painter)?);
        let themes = painter.watch().map_err(Error::Themes)?;
        let engine = compositor(config.compositor).await?;
        let deliver = Deliver::bind(deliver::Config {
            listen: listen.webrtc,
            public: config.public_ips.clone(),
            max_viewers: config.limits.viewers,
            clock: clock.clone(),
        });
        let at = listen.webrtc;
        let deliver = Arc::new(deliver.map_err(|error| Error::Listen { what: "WebRTC", at, error })?);
        // Before the shows: a port that is taken leaves nothing half begun.
        let (rtmp, rtmp_at) = bind("RTMP", listen.rtmp).await?;
        let (http, http_at) = bind("HTTP", listen.http).await?;
        let (rtmps, rtmps_at) = bind_some("RTMPS", listen.rtmps).await?.unzip();
        let (https, https_at) = bind_some("HTTPS", listen.https).await?.unzip();
        let whip_failed = |error| Error::Listen { what: "WHIP", at: listen.whip, error };
        let whip_socket = whip::bind(listen.whip).map_err(whip_failed)?;
        let addresses = Addresses {
            http: http_at,
            rtmp: rtmp_at,
            webrtc: deliver.local_addr(),
            https: https_at,
            rtmps: rtmps_at,
            whip: whip_socket.local_addr().map_err(whip_failed)?,
        };
        let parts = Parts { store, painter, deliver, clock, engine, start: start_pipeline };
        let configured = config.shows.iter().map(configured).collect::<Result<Vec<_>, Error>>()?;
        let shows = Shows::open(parts, configured).await?;

        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let limits = rtmp::Limits { connections: config.limits.publishers, ..rtmp::Limits::default() };
        let publishers = rtmp::Doors::new(shows.clone(), limits);
        tasks.spawn(publishers.clone().serve(rtmp, rtmp::Plain, stop.clone()));

        let limits = whip::Limits { publishers: config.limits.publishers, ..whip::Limits::default() };
        let whip = Whip::new(whip_socket, config.public_ips, shows.clone(), limits);
        let whip = Arc::new(whip.map_err(whip_failed)?);
        let (serving, stopping) = (whip.clone(), stop.clone());
        tasks.spawn(async move { serving.serve(stopping).await });

        let api = api::Api::new(shows.clone(), whip, admin_token, config.limits.image_bytes);
        let router = api::router(api).merge(pages::router(listed(&shows)));
        let plain = match https_at.filter(|_| config.tls.redirect) {
            Some(https) => redirect::to_https(router.clone(), https.port()),
            None => router.clone(),
        };
        tasks.spawn(http::serve(door::Door::new(http), None, plain, stop.clone()));

        let identity = tls.as_ref().map(Tls::identity);
        if let Some(tls) = tls {
            if let Some(rtmps) = rtmps {
                tasks.spawn(publishers.serve(rtmps, tls.for_rtmp(), stop.clone()));
            }
            if let Some(https) = https {
                tasks.spawn(http::serve(door::Door::new(https), Some(tls.for_http()), router.clone(), stop.clone()));
            }
            tasks.spawn(tls.keep(stop.clone()));
        }
        tasks.close();
        Ok(Server { addresses, identity, shows, router, themes, stop, tasks })
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What the doors inside TLS show of themselves, when there are any.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
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
        // The last holders of delivery, and who looks after the themes: dropping them joins their threads.
        let last = (self.router, self.shows, self.themes);
        let _ = tokio::task::spawn_blocking(move || drop(last)).await;
    }
}

/// What all shows draw with; finding and timing it takes some seconds at most.
async fn compositor(wanted: config::Compositor) -> Result<Engine, compose::Error> {
    let choice = match wanted {
        config::Compositor::Auto => compose::Choice::Auto,
        config::Compositor::Cpu => compose::Choice::Cpu,
        config::Compositor::Gpu => compose::Choice::Gpu,
    };
    let opened = tokio::task::spawn_blocking(move || Engine::open(choice)).await;
    opened.expect("a compositor is found or refused without a panic")
}

async fn bind(what: &'static str, at: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let bound = async {
        let listener = TcpListener::bind(at).await?;
        let at = listener.local_addr()?;
        Ok((listener, at))
    };
    bound.await.map_err(|error| Error::Listen { what, at, error })
}

async fn bind_some(what: &'static str, at: Option<SocketAddr>) -> Result<Option<(TcpListener, SocketAddr)>, Error> {
    match at {
        Some(at) => bind(what, at).await.map(Some),
        None => Ok(None),
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE (AmbientCapabilities in a systemd unit), or take a higher port"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; 0.0.0.0 stands for all that it has",
        _ => "is another server running there?",
    }
}

/// What the configuration says of a show, in the show's own terms.
fn configured(show: &config::Show) -> Result<(ShowId, Wanted), Error> {
    let wrong = |reason: String| Error::Configured { show: show.id.clone(), reason };
    let id = ShowId::parse(&show.id).map_err(|error| wrong(error.to_string()))?;
    let title = show.title.as_deref().map(Title::parse).transpose();
    let key = show.stream_key.as_ref().map(|key| StreamKey::parse(key.expose())).transpose();
    let source = show.source.as_ref().map(|source| SourceUrl::parse(source.expose())).transpose();
    let backup_key = show.backup_stream_key.as_ref().map(|key| StreamKey::parse(key.expose())).transpose();
    let backup_source = show.backup_source.as_ref().map(|source| SourceUrl::parse(source.expose())).transpose();
    let canvas = show.canvas.map(|canvas| {
        let fit = canvas.fit.map(|fit| match fit {
            config::Fit::Blur => Fit::Blur,
            config::Fit::Bars => Fit::Bars,
            config::Fit::Fill => Fit::Fill,
            config::Fit::Follow => Fit::Follow,
        });
        let size = canvas.resolution;
        Canvas::new(size.width, size.height, canvas.fps).map(|canvas| WantedCanvas::new(canvas, fit))
    });
    let locale = show.locale.as_deref().map(Locale::parse).transpose();
    let theme = show.theme.as_deref().map(ThemeName::parse).transpose();
    let wanted = Wanted {
        title: title.map_err(|error| wrong(error.to_string()))?,
        stream_key: key.map_err(|error| wrong(error.to_string()))?,
        source: source.map_err(|error| wrong(error.to_string()))?.map(Some),
        backup_stream_key: backup_key.map_err(|error| wrong(error.to_string()))?.map(Some),
        backup_source: backup_source.map_err(|error| wrong(error.to_string()))?.map(Some),
        canvas: canvas.transpose().map_err(|error| wrong(error.to_string()))?,
        locale: locale.map_err(|error| wrong(format!("locale: {error}")))?,
        theme: theme.map_err(|error| wrong(format!("theme: {error}")))?,
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
