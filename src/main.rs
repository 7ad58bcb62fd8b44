//! The command line: configuration in, a running server, its links on standard output, and an orderly end.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use hawker::config::{AdminToken, Config};
use hawker::demo::{self, Demo};
use hawker::media::SystemClock;
use hawker::preview;
use hawker::server::{Door, Server};
use hawker::telemetry;

/// A live-shopping video server: product cards and price countdowns burned into your stream, in every browser at once.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve {
        /// The configuration; samples/hawker.toml shows every key, HTTPS and RTMPS among them. Without it, defaults and
        /// HAWKER_… variables.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Run the server with a sample show: a sample seller, products, a card and a running price countdown.
    Demo {
        /// Let other machines in; without it only this one can connect.
        #[arg(long)]
        public: bool,
        /// Loop this recording (H.264, AAC) in place of the sample seller.
        #[arg(long, value_name = "FILE")]
        clip: Option<PathBuf>,
    },
    /// See a theme, or one template of it, as a picture or a film, painted as it is on air.
    Preview(preview::Options),
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Serve { config } => run(async { serve(Config::load(config.as_deref())?).await }),
        Command::Demo { public, clip } => {
            run(async move { demonstrate(Demo::prepare(Config::load(None)?, public, clip)?).await })
        }
        Command::Preview(options) => {
            if let Err(error) = preview::run(&options) {
                // A template's line is what its author looks for; a backtrace would bury it.
                eprintln!("{error}");
                std::process::exit(1);
            }
            Ok(())
        }
    }
}

/// Runs what serves, and tells how it goes.
fn run(serving: impl Future<Output = Result<()>>) -> Result<()> {
    telemetry::init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(serving)
}

async fn serve(config: Config) -> Result<()> {
    let mut signals = Signals::new()?;
    let (server, _) = start(config).await?;
    signals.wait().await;
    drain(server, signals).await
}

async fn demonstrate(demo: Demo) -> Result<()> {
    let mut signals = Signals::new()?;
    let (server, token) = start(demo.config()).await?;
    // Nobody may be reading any more, as below.
    let _ = writeln!(io::stdout(), "{}", demo::INVITATION);
    let rtmp = reachable(server.addresses().rtmp, Ipv4Addr::LOCALHOST.into());
    tokio::select! {
        () = demo.run(server.router(), token.token, rtmp) => {}
        () = signals.wait() => {}
    }
    drain(server, signals).await
}

async fn start(mut config: Config) -> Result<(Server, AdminToken)> {
    let token = config.admin_token()?;
    config.admin_token = Some(token.token.clone());
    let asked = config.clone();
    let server = Server::start(config, Arc::new(SystemClock)).await?;
    print_links(&server, &token, &asked).await?;
    Ok((server, token))
}

/// Stops in order; a second signal does not wait for it.
async fn drain(server: Server, mut signals: Signals) -> Result<()> {
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        () = server.stop() => Ok(()),
        () = signals.wait() => std::process::exit(130),
    }
}

/// What a person needs to go on: where to look, where to point OBS, and which file holds the token.
async fn print_links(server: &Server, token: &AdminToken, config: &Config) -> Result<()> {
    let host = config.public_ips.first().copied().unwrap_or_else(outward);
    // A certificate is for a name: the address under it is of no use inside TLS.
    let within_tls = |bound: SocketAddr| match config.tls.names.first().map(|name| (name, name.parse::<IpAddr>())) {
        Some((_, Ok(ip))) => SocketAddr::new(ip, bound.port()).to_string(),
        Some((name, Err(_))) => format!("{name}:{}", bound.port()),
        None => reachable(bound, host).to_string(),
    };
    let addresses = server.addresses();
    let http = format!("http://{}", reachable(addresses.http, host));
    let https = addresses.https.map(|bound| format!("https://{}", within_tls(bound)));
    let doors = server.doors().await;
    let to_terminal = io::stdout().is_terminal();
    let mut lines = format!("HTTP     {http}\n");
    if let Some(https) = &https {
        lines += &format!("HTTPS    {https}\n");
    }
    lines += &format!("RTMP     rtmp://{}/live\n", reachable(addresses.rtmp, host));
    if let Some(bound) = addresses.rtmps {
        lines += &format!("RTMPS    rtmps://{}/live\n", within_tls(bound));
    }
    lines += &format!("WHIP     {}/whip\n", https.as_ref().unwrap_or(&http));
    lines += &format!("WebRTC   udp {}\n", reachable(addresses.webrtc, host));
    // The one that browsers open without a warning.
    let pages = https.filter(|_| config.tls.redirect || config.tls.given.is_some()).unwrap_or(http);
    for door in &doors {
        lines += &format!("Viewer   {pages}/s/{}\n", door.show);
    }
    if let Some(identity) = server.identity() {
        let self_made = identity.self_made.as_ref().map(|path| format!("  self-made, {}", path.display()));
        lines += &format!("Certificate  SHA-256 {}{}\n", identity.fingerprint, self_made.unwrap_or_default());
    }
    if to_terminal {
        for door in &doors {
            lines += &format!("Stream key  {}  {}\n", door.show, door.stream_key.expose());
        }
    } else {
        lines += &format!("Stream keys  {}\n", keep_keys(&config.data_dir, &doors)?.display());
    }
    if let Some(path) = &token.path {
        lines += &format!("Admin token  {}\n", path.display());
    }
    let mut stdout = io::stdout().lock();
    // Nobody may be reading any more; that does not stop a server.
    let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
    Ok(())
}

/// Writes the keys of this start to a file that only its owner can read: a line a show, `ID  KEY`.
fn keep_keys(data_dir: &Path, doors: &[Door]) -> Result<PathBuf> {
    let path = data_dir.join("stream-keys");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        doors.iter().try_for_each(|door| writeln!(file, "{}  {}", door.show, door.stream_key.expose()))
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// An address to type: the bound one, or `host` in place of "anywhere".
fn reachable(bound: SocketAddr, host: IpAddr) -> SocketAddr {
    if bound.ip().is_unspecified() { SocketAddr::new(host, bound.port()) } else { bound }
}

/// The address by which this machine reaches others; nothing is sent to find it.
fn outward() -> IpAddr {
    let probe = || -> io::Result<IpAddr> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        Ok(socket.local_addr()?.ip())
    };
    probe().unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let watch = |kind| signal(kind).context("cannot watch for signals");
        Ok(Signals { terminate: watch(SignalKind::terminate())?, interrupt: watch(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
