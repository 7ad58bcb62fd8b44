//! Certificates for trials, and clients that trust exactly one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A certificate for this machine that signs itself, and its key, as PEM.
pub struct Certificate {
    pub certificate: String,
    pub key: String,
}

impl Certificate {
    pub fn issue() -> Certificate {
        let key = KeyPair::generate().expect("a key can be made");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let parameters = CertificateParams::new(names).expect("these are names");
        let certificate = parameters.self_signed(&key).expect("a certificate can be signed");
        Certificate { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Writes both files over what is there, one after the other.
    pub fn write(&self, certificate: &Path, key: &Path) {
        std::fs::write(certificate, &self.certificate).expect("a certificate can be written");
        std::fs::write(key, &self.key).expect("a key can be written");
    }

    /// What a server of a trial's own shows.
    pub fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("the key is PEM");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows the versions")
            .with_no_client_auth()
            .with_single_cert(vec![trusted(&self.certificate)], key);
        Arc::new(config.expect("the pair matches")).into()
    }
}

/// A TLS connection to `HOST:PORT`, if it shows a certificate that verifies with this one (PEM) as the only root.
pub async fn connect(authority: &str, certificate: &str) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted(certificate)).expect("a certificate can be a root");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = authority.rsplit_once(':').expect("an authority has a port").0.to_owned();
    let name = ServerName::try_from(host).expect("an authority has a host");
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(authority).await?).await
}

/// Asks for `path` on an open connection and gives the beginning of the answer.
pub async fn get(connection: &mut TlsStream<TcpStream>, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    connection.flush().await?;
    let mut answer = vec![0; 4096];
    let length = connection.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

fn trusted(certificate: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certificate.as_bytes()).expect("the certificate is PEM")
}
