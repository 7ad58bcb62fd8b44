//! The certificate that the server makes for itself when it was given none: good enough to try things out, and for those who
//! compare its fingerprint.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use tokio_rustls::rustls::crypto::CryptoProvider;
use zeroize::Zeroizing;

use super::certificate::{Certificate, Error};
use crate::config::CertificateFiles;

/// An ECDSA P-256 certificate that signs itself, valid for a year and made anew a month before its end.
pub(super) struct Own {
    pub(super) files: CertificateFiles,
    /// DNS names and IP addresses that it is for.
    names: Vec<String>,
}

impl Own {
    /// `names` are the configured ones; without any it is for this machine and its public addresses.
    pub(super) fn in_folder(folder: &Path, names: &[String], public_ips: &[IpAddr]) -> Own {
        let files =
            CertificateFiles { certificate: folder.join("tls-certificate.pem"), key: folder.join("tls-key.pem") };
        let names = match names {
            [] => LOCAL.iter().map(|&name| name.to_owned()).chain(public_ips.iter().map(IpAddr::to_string)).collect(),
            // The dot of the root (RFC 1034 §3.1) is in no certificate.
            names => names.iter().map(|name| name.strip_suffix('.').unwrap_or(name).to_owned()).collect(),
        };
        Own { files, names }
    }

    /// The kept one, as long as it is for the right names and does not end soon; else a new one.
    pub(super) fn load(&self, provider: &CryptoProvider, now: SystemTime) -> Result<Certificate, Error> {
        match Certificate::read(&self.files, provider) {
            Ok(kept) if kept.is_for(&self.names) && kept.ends > now + REMADE_BEFORE => return Ok(kept),
            // Whatever is there and cannot be read may be read again later: people may trust it already.
            Err(Error::Read { path, error }) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Read { path, error });
            }
            _ => {}
        }
        self.make(now)?;
        let made = Certificate::read(&self.files, provider)?;
        // Else it would be made anew at every look.
        if made.is_for(&self.names) { Ok(made) } else { Err(Error::NotFor { names: self.names.clone() }) }
    }

    fn make(&self, now: SystemTime) -> Result<(), Error> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(self.names.clone())?;
        parameters.distinguished_name.push(DnType::CommonName, "hawker, self-made");
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Others' clocks may be behind ours.
        parameters.not_before = epoch + now.saturating_sub(DAY);
        parameters.not_after = epoch + now + VALID;
        let certificate = parameters.self_signed(&key)?;
        // The key first: a pair that a crash has torn does not match, and is made again.
        keep(&self.files.key, Zeroizing::new(key.serialize_pem()).as_bytes(), 0o600)?;
        keep(&self.files.certificate, certificate.pem().as_bytes(), 0o644)
    }
}

/// Written aside and renamed, so that a crash leaves a whole file or none.
fn keep(path: &Path, text: &[u8], mode: u32) -> Result<(), Error> {
    let aside = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&aside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    write().map_err(|error| Error::Keep { path: path.to_owned(), error })
}

const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const DAY: Duration = Duration::from_secs(24 * 3600);
const VALID: Duration = Duration::from_secs(365 * 24 * 3600);
const REMADE_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
