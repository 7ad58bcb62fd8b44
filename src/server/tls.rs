//! TLS for the doors: which certificate they show, and how it changes while the server runs.
//!
//! A given certificate is looked at every [`LOOK_EVERY`] and shown as soon as its files have changed; a self-made one is made
//! anew before it ends. What cannot be used is refused with a reason in the log, and the old one stays in force. Connections
//! that are open go on as they began.

mod certificate;
mod own;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::config::{self, CertificateFiles};
use crate::ingest::rtmp::Transport;
use crate::media::Clock;

use certificate::Certificate;
pub use certificate::Error;
use own::Own;

/// The certificate of all doors, and where the next one comes from.
pub(super) struct Tls {
    source: Source,
    shown: Arc<Shown>,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    /// The problem with what the source holds that was told last, so that it is told once.
    told: Option<String>,
    /// What was told last of the shown certificate's end.
    told_end: Option<String>,
}

/// What a person compares who is to trust the server.
#[derive(Clone, Debug)]
pub struct Identity {
    /// SHA-256 of the certificate, as browsers show it.
    pub fingerprint: String,
    /// The certificate's file, when the server made it.
    pub self_made: Option<PathBuf>,
}

enum Source {
    Given(CertificateFiles),
    Own(Own),
}

/// What the next handshake is answered with.
#[derive(Debug)]
struct Shown(ArcSwap<Certificate>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().key.clone())
    }
}

impl Tls {
    /// Reads the certificate that `config` gives, or the one kept in `data_dir`, which is made when it is not there yet.
    pub(super) fn open(
        config: &config::Tls,
        data_dir: &Path,
        public_ips: &[IpAddr],
        clock: Arc<dyn Clock>,
    ) -> Result<Tls, Error> {
        let source = match &config.given {
            Some(files) => Source::Given(files.clone()),
            None => Source::Own(Own::in_folder(data_dir, &config.names, public_ips)),
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let shown = source.load(&provider, clock.wall())?;
        let shown = Arc::new(Shown(ArcSwap::from_pointee(shown)));
        let mut tls = Tls { source, shown, provider, clock, told: None, told_end: None };
        tls.warn_of_its_end();
        Ok(tls)
    }

    /// Takes HTTP clients in.
    pub(super) fn for_http(&self) -> TlsAcceptor {
        self.acceptor(vec![b"http/1.1".to_vec()])
    }

    /// Takes publishers in; encoders negotiate no protocol inside TLS.
    pub(super) fn for_rtmp(&self) -> TlsAcceptor {
        self.acceptor(Vec::new())
    }

    fn acceptor(&self, protocols: Vec<Vec<u8>>) -> TlsAcceptor {
        let config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for TLS 1.2 and 1.3");
        let mut config = config.with_no_client_auth().with_cert_resolver(self.shown.clone());
        config.alpn_protocols = protocols;
        Arc::new(config).into()
    }

    pub(super) fn identity(&self) -> Identity {
        let self_made = match &self.source {
            Source::Given(_) => None,
            Source::Own(own) => Some(own.files.certificate.clone()),
        };
        Identity { fingerprint: self.shown.0.load().fingerprint(), self_made }
    }

    /// Keeps the shown certificate what it should be, until `stop` is cancelled.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(tls) => self = tls,
                Err(error) => {
                    if error.is_panic() {
                        tracing::error!(
                            "looking for a new TLS certificate failed and is given up: the one shown now stays until a restart"
                        );
                    }
                    return;
                }
            }
        }
    }

    /// Shows what the source holds now, if that has changed and can be used.
    fn look(&mut self) {
        match self.source.load(&self.provider, self.clock.wall()) {
            Ok(found) => {
                self.told = None;
                if found.key.cert != self.shown.0.load().key.cert {
                    tracing::info!(fingerprint = found.fingerprint(), until = %found.until(), "a new TLS certificate is in force");
                    self.shown.0.store(Arc::new(found));
                    self.told_end = None;
                }
            }
            Err(error) => {
                tell(&mut self.told, format!("{error}; the certificate shown until now stays in force"));
            }
        }
        // Above all when what is there now cannot be used.
        self.warn_of_its_end();
    }

    /// A self-made certificate is made anew in time, so this is for those that others issue.
    fn warn_of_its_end(&mut self) {
        let shown = self.shown.0.load_full();
        if shown.ends <= self.clock.wall() {
            let ended =
                format!("the TLS certificate ended at {}: browsers and encoders refuse it; renew it", shown.until());
            tell(&mut self.told_end, ended);
        } else if shown.ends <= self.clock.wall() + RENEW_WITHIN {
            let ends = format!("the TLS certificate ends at {}: renew it before", shown.until());
            tell(&mut self.told_end, ends);
        }
    }
}

/// Logs a problem, unless it is the one that was told last.
fn tell(last: &mut Option<String>, problem: String) {
    if last.as_ref() != Some(&problem) {
        tracing::warn!("{problem}");
        *last = Some(problem);
    }
}

impl Source {
    fn load(&self, provider: &CryptoProvider, now: SystemTime) -> Result<Certificate, Error> {
        match self {
            Source::Given(files) => Certificate::read(files, provider),
            Source::Own(own) => own.load(provider, now),
        }
    }
}

/// RTMPS.
impl Transport for TlsAcceptor {
    type Stream = TlsStream<TcpStream>;

    async fn open(&self, connection: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.accept(connection).await
    }
}

/// How long a certificate on disk may wait to be seen.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long before its end a given certificate is called to mind; authorities that issue for 90 days are asked after 60.
const RENEW_WITHIN: Duration = Duration::from_secs(14 * 24 * 3600);

#[cfg(test)]
pub(super) mod tests;
