//! A certificate with its key, read from PEM files, and what can be wrong with them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::{PemObject, SectionKind};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, CertificateError, InconsistentKeys, RootCertStore};
use zeroize::Zeroizing;

use crate::config::CertificateFiles;

/// A chain of certificates, the server's own first, with the key to the first.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) ends: SystemTime,
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}: {error}; name a PEM file that the server's user may read", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{} {problem}", path.display())]
    Pem { path: PathBuf, problem: &'static str },
    #[error("{} holds a broken PEM section: {error}; copy the file again", path.display())]
    Broken { path: PathBuf, error: String },
    #[error("{} cannot be used for TLS: {error}", path.display())]
    Unusable { path: PathBuf, error: rustls::Error },
    #[error(
        "the key in {} is not the key to the first certificate in {}: give the pair that was issued together, the server's \
         own certificate first",
        files.key.display(),
        files.certificate.display()
    )]
    Mismatch { files: CertificateFiles },
    #[error("no certificate can be made for these names: {0}; check `tls.names`")]
    Make(#[from] rcgen::Error),
    #[error("the certificate made for {} is not for all of them; check `tls.names`", names.join(", "))]
    NotFor { names: Vec<String> },
    #[error("cannot keep the self-made certificate in {}: {error}; make the folder writable", path.display())]
    Keep { path: PathBuf, error: io::Error },
}

impl Certificate {
    /// Reads the pair and holds them against each other.
    pub(super) fn read(files: &CertificateFiles, provider: &CryptoProvider) -> Result<Certificate, Error> {
        let chain = chain(&files.certificate)?;
        let key = key(&files.key)?;
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |error| Error::Unusable { path, error }
        };
        // First, as what it says of a broken certificate is of no use here.
        let ends = {
            let parsed = ParsedCertificate::try_from(&chain[0]).map_err(unusable(&files.certificate))?;
            end(&parsed, provider).map_err(unusable(&files.certificate))?
        };
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Error::Mismatch { files: files.clone() },
            error => unusable(&files.key)(error),
        })?;
        Ok(Certificate { key: Arc::new(key), ends })
    }

    /// Whether it is for each of `names`.
    pub(super) fn is_for(&self, names: &[String]) -> bool {
        let Ok(parsed) = ParsedCertificate::try_from(self.first()) else { return false };
        names.iter().all(|name| {
            ServerName::try_from(name.as_str()).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
        })
    }

    /// SHA-256 of the server's own certificate, in the way that browsers show it: `AB:CD:…`.
    pub(super) fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.first());
        digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// Its end, to read.
    pub(super) fn until(&self) -> String {
        jiff::Timestamp::try_from(self.ends).map_or_else(|_| "a time far off".to_owned(), |end| end.to_string())
    }

    fn first(&self) -> &CertificateDer<'static> {
        self.key.cert.first().expect("a chain without certificates is not read")
    }
}

/// When a certificate ends. rustls does not tell, but says so when it is asked to trust one at the end of time.
fn end(certificate: &ParsedCertificate<'_>, provider: &CryptoProvider) -> Result<SystemTime, rustls::Error> {
    let (nobody, late) = (RootCertStore::empty(), UnixTime::since_unix_epoch(Duration::from_secs(LATE)));
    let algorithms = provider.signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(certificate, &nobody, &[], late, algorithms) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Ok(UNIX_EPOCH + Duration::from_secs(not_after.as_secs()))
        }
        Err(error) => Err(error),
        Ok(()) => Ok(UNIX_EPOCH + Duration::from_secs(LATE)),
    }
}

/// Seconds from 1970 to the year 10000, which no certificate can name (RFC 5280 §4.1.2.5).
const LATE: u64 = 253_402_300_800;

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    let mut chain = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&text) {
        match section.map_err(|error| broken(path, &error))? {
            (SectionKind::Certificate, der) => chain.push(CertificateDer::from(der)),
            // A key in the same file is as some tools write it.
            _ => continue,
        }
    }
    if !chain.is_empty() {
        return Ok(chain);
    }
    let problem = match seen(&text) {
        Seen::Nothing => {
            "is no PEM text: a certificate in DER is converted by openssl x509 -inform der -in FILE -out FILE.pem"
        }
        Seen::Key => "holds a private key and no certificate: are `tls.certificate` and `tls.key` exchanged?",
        Seen::Other => "holds no certificate: name the file with BEGIN CERTIFICATE, the server's own first",
    };
    Err(Error::Pem { path: path.to_owned(), problem })
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = read(path)?;
    match PrivateKeyDer::pem_slice_iter(&text).next() {
        Some(Ok(key)) => return Ok(key),
        Some(Err(error)) => return Err(broken(path, &error)),
        None => {}
    }
    let problem = match seen(&text) {
        Seen::Nothing => "is no PEM text: a key in DER is converted by openssl pkey -inform der -in FILE -out FILE.pem",
        Seen::Key => "holds a key under a password: write it without one by openssl pkey -in FILE -out FILE.pem",
        Seen::Other => "holds no private key: name the file with BEGIN PRIVATE KEY",
    };
    Err(Error::Pem { path: path.to_owned(), problem })
}

fn broken(path: &Path, error: &rustls::pki_types::pem::Error) -> Error {
    use rustls::pki_types::pem::Error::{Base64Decode, MissingSectionEnd};
    // Not the error's own words, which repeat lines of the file.
    let error = match error {
        MissingSectionEnd { .. } => "it has no end".to_owned(),
        Base64Decode(_) => "it is not Base64".to_owned(),
        _ => "its first line is not as it should be".to_owned(),
    };
    Error::Broken { path: path.to_owned(), error }
}

/// What a file without the wanted section holds instead.
enum Seen {
    Nothing,
    Key,
    Other,
}

fn seen(text: &[u8]) -> Seen {
    let text = String::from_utf8_lossy(text);
    match text.split("-----BEGIN ").nth(1) {
        None => Seen::Nothing,
        Some(_) if text.contains("PRIVATE KEY-----") => Seen::Key,
        Some(_) => Seen::Other,
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |error| Error::Read { path: path.to_owned(), error };
    let mut text = Zeroizing::new(Vec::new());
    File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text)).map_err(failed)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(Error::Pem { path: path.to_owned(), problem: "is larger than 1 MiB: name a PEM file" });
    }
    Ok(text)
}

/// A chain takes a few kilobytes.
const MOST_BYTES: u64 = 1 << 20;
