//! Certificates good and bad, and strangers who do not speak TLS.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use async_trait::async_trait;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::{TlsConnector, client};

use super::*;
use crate::ingest::rtmp;
use crate::ingest::{Directory, Publication, Publisher, Refused};
use crate::media::{ManualClock, SystemClock};

/// A self-made certificate in a folder of its own.
pub(in crate::server) fn self_made() -> (Tls, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::open(&config::Tls::default(), folder.path(), &[], Arc::new(SystemClock)).unwrap();
    (tls, folder)
}

/// A client that trusts what `tls` shows, and nothing else.
pub(in crate::server) async fn connect(tls: &Tls, at: SocketAddr) -> io::Result<client::TlsStream<TcpStream>> {
    connect_as(tls, at, rustls::ALL_VERSIONS, &[]).await
}

async fn connect_as(
    tls: &Tls,
    at: SocketAddr,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> io::Result<client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(tls.shown.0.load().key.cert[0].clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(tls.provider.clone())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config)).connect(ServerName::from(at.ip()), TcpStream::connect(at).await?).await
}

/// A pair of PEM files, written over what is there.
fn issue(folder: &Path) -> CertificateFiles {
    let files = CertificateFiles { certificate: folder.join("c.pem"), key: folder.join("k.pem") };
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(&files.certificate, certificate.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

fn open(files: &CertificateFiles) -> Result<Tls, Error> {
    let config = config::Tls { given: Some(files.clone()), ..config::Tls::default() };
    Tls::open(&config, Path::new("/nowhere"), &[], Arc::new(SystemClock))
}

#[test]
fn a_self_made_certificate_is_made_once_and_only_its_owner_may_read_the_key() {
    let (tls, folder) = self_made();
    let again = Tls::open(&config::Tls::default(), folder.path(), &[], Arc::new(SystemClock)).unwrap();
    assert_eq!(tls.identity().fingerprint, again.identity().fingerprint);
    assert_eq!(tls.identity().self_made.unwrap(), folder.path().join("tls-certificate.pem"));
    assert_eq!(tls.identity().fingerprint.len(), 32 * 3 - 1);
    let mode = fs::metadata(folder.path().join("tls-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let shown = tls.shown.0.load();
    assert!(shown.is_for(&["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]));
    assert!(!shown.is_for(&["shop.example".to_owned()]));
}

#[test]
fn a_self_made_certificate_is_made_anew_for_new_names_and_before_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let config = config::Tls { names: vec!["shop.example".to_owned()], ..config::Tls::default() };
    let local = Tls::open(&config::Tls::default(), folder.path(), &[], clock.clone()).unwrap();
    let mut tls = Tls::open(&config, folder.path(), &[], clock.clone()).unwrap();
    let first = tls.identity().fingerprint;
    assert_ne!(local.identity().fingerprint, first);
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(tls.shown.0.load().ends, clock.wall() + 365 * day);
    clock.advance(330 * day);
    tls.look();
    assert_eq!(tls.identity().fingerprint, first);
    clock.advance(6 * day);
    tls.look();
    assert_ne!(tls.identity().fingerprint, first);
    assert_eq!(tls.shown.0.load().ends, clock.wall() + 365 * day);
}

#[test]
fn a_trailing_dot_of_a_name_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::Tls { names: vec!["shop.example.".to_owned()], ..config::Tls::default() };
    let mut tls = Tls::open(&config, folder.path(), &[], Arc::new(SystemClock)).unwrap();
    assert!(tls.shown.0.load().is_for(&["shop.example".to_owned()]));
    let first = tls.identity().fingerprint;
    tls.look();
    assert_eq!((tls.identity().fingerprint, tls.told), (first, None), "it is not made again and again");
}

#[test]
fn names_that_no_certificate_can_be_for_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::Tls { names: vec!["*.shop.example".to_owned()], ..config::Tls::default() };
    let refusal = Tls::open(&config, folder.path(), &[], Arc::new(SystemClock)).err().unwrap().to_string();
    assert!(refusal.contains("*.shop.example") && refusal.contains("tls.names"), "{refusal}");
}

#[test]
fn a_torn_self_made_pair_is_made_anew() {
    let (tls, folder) = self_made();
    fs::write(folder.path().join("tls-key.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let again = Tls::open(&config::Tls::default(), folder.path(), &[], Arc::new(SystemClock)).unwrap();
    assert_ne!(tls.identity().fingerprint, again.identity().fingerprint);
}

#[test]
fn a_changed_file_comes_into_force_and_a_broken_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let files = issue(folder.path());
    let mut tls = open(&files).unwrap();
    let first = tls.identity().fingerprint;
    tls.look();
    assert_eq!((tls.identity().fingerprint, &tls.told), (first.clone(), &None));

    // Between the writing of the one file and of the other.
    let key = fs::read(&files.key).unwrap();
    issue(folder.path());
    let second_key = fs::read(&files.key).unwrap();
    fs::write(&files.key, key).unwrap();
    tls.look();
    assert_eq!(tls.identity().fingerprint, first);
    assert!(tls.told.as_ref().unwrap().contains("stays in force"), "{:?}", tls.told);

    fs::write(&files.key, second_key).unwrap();
    tls.look();
    let second = tls.identity().fingerprint;
    assert_ne!(second, first);
    assert_eq!(tls.told, None);

    fs::remove_file(&files.certificate).unwrap();
    tls.look();
    assert_eq!(tls.identity().fingerprint, second);
    assert!(tls.told.is_some());
}

#[test]
fn a_given_certificate_near_its_end_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let files = issue(folder.path());
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2026, 3, 1);
    fs::write(&files.certificate, parameters.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    let config = config::Tls { given: Some(files.clone()), ..config::Tls::default() };
    let clock = ManualClock::new();
    let mut tls = Tls::open(&config, folder.path(), &[], clock.clone()).unwrap();
    assert_eq!(tls.told_end, None);
    clock.advance(Duration::from_secs(50 * 24 * 3600));
    tls.look();
    assert!(tls.told_end.as_ref().unwrap().contains("ends at 2026-03-01"), "{:?}", tls.told_end);
    clock.advance(Duration::from_secs(50 * 24 * 3600));
    tls.look();
    assert!(tls.told_end.as_ref().unwrap().contains("ended at 2026-03-01"), "{:?}", tls.told_end);

    // A failed renewal is told of beside it, and forgotten once the files are as they were.
    clock.advance(Duration::from_secs(24 * 3600));
    let certificate = fs::read(&files.certificate).unwrap();
    fs::write(&files.certificate, "nonsense").unwrap();
    tls.told_end = None;
    tls.look();
    assert!(tls.told.as_ref().unwrap().contains("stays in force"), "{:?}", tls.told);
    assert!(tls.told_end.as_ref().unwrap().contains("ended at 2026-03-01"), "{:?}", tls.told_end);
    fs::write(&files.certificate, certificate).unwrap();
    tls.look();
    assert_eq!(tls.told, None);
}

#[test]
fn a_refusal_says_which_file_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let files = issue(folder.path());
    let other = tempfile::tempdir().unwrap();
    let strangers = issue(other.path());
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let certificate = |certificate: &Path| CertificateFiles { certificate: certificate.to_owned(), ..files.clone() };
    let key = |key: &Path| CertificateFiles { key: key.to_owned(), ..files.clone() };
    let whole = fs::read_to_string(&files.certificate).unwrap();
    let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let nonsense = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let der = CertificateDer::from_pem_file(&files.certificate).unwrap();
    for (files, parts) in [
        (certificate(Path::new("no-such.pem")), &["no-such.pem", "cannot read", "name a PEM file"][..]),
        (certificate(&files.key), &["k.pem", "exchanged"]),
        (certificate(&write("der", &der)), &["der", "no PEM text", "openssl x509"]),
        (certificate(&write("half.pem", &whole.as_bytes()[..whole.len() / 2])), &["half.pem", "no end"]),
        (certificate(&write("nonsense.pem", nonsense)), &["nonsense.pem", "cannot be used"]),
        (certificate(&write("vast.pem", &vec![b' '; 2 << 20])), &["vast.pem", "1 MiB"]),
        (key(&files.certificate), &["c.pem", "no private key", "BEGIN PRIVATE KEY"]),
        (key(&write("locked.pem", encrypted)), &["locked.pem", "password", "openssl pkey"]),
        (key(&strangers.key), &["k.pem", "c.pem", "not the key"]),
    ] {
        let refusal = open(&files).err().unwrap().to_string();
        for part in parts {
            assert!(refusal.contains(part), "{part:?} is missing in {refusal:?}");
        }
    }
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_http_1_1_is_agreed_on() {
    let (tls, _folder) = self_made();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let accept = || async {
        let (stream, _) = listener.accept().await.unwrap();
        tls.for_http().accept(stream).await
    };
    for (versions, name) in [([&TLS12], ProtocolVersion::TLSv1_2), ([&TLS13], ProtocolVersion::TLSv1_3)] {
        let (client, server) = tokio::join!(connect_as(&tls, at, &versions, &["h2", "http/1.1"]), accept());
        let (_client, server) = (client.unwrap(), server.unwrap());
        let agreed = server.get_ref().1;
        assert_eq!((agreed.protocol_version(), agreed.alpn_protocol()), (Some(name), Some(&b"http/1.1"[..])));
    }
    let (client, server) = tokio::join!(connect_as(&tls, at, rustls::ALL_VERSIONS, &["h2"]), accept());
    assert!(client.is_err() && server.is_err(), "HTTP/2 is not spoken");
}

/// Lets nobody in.
struct Closed;

#[async_trait]
impl Directory for Closed {
    async fn check(&self, _: &Publisher) -> Result<(), Refused> {
        Err(Refused::UnknownKey)
    }

    async fn admit(&self, _: &Publisher) -> Result<Box<dyn Publication>, Refused> {
        Err(Refused::UnknownKey)
    }
}

#[tokio::test]
async fn strangers_at_the_rtmps_door_are_shown_out_and_others_come_in() {
    let (tls, _folder) = self_made();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let limits = rtmp::Limits { connections: 3, publish_within: Duration::from_millis(500), ..rtmp::Limits::default() };
    let stop = CancellationToken::new();
    let doors = rtmp::Doors::new(Arc::new(Closed), limits);
    let serving = tokio::spawn(doors.serve(listener, tls.for_rtmp(), stop.clone()));

    let mut silent = TcpStream::connect(at).await.unwrap();
    let mut half = TcpStream::connect(at).await.unwrap();
    half.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
    let mut plain = TcpStream::connect(at).await.unwrap();
    plain.write_all(&[3; 1537]).await.unwrap();
    let mut rest = Vec::new();
    for stranger in [&mut plain, &mut silent, &mut half] {
        // A reset ends it as well as a clean close.
        let _ = tokio::time::timeout(Duration::from_secs(5), stranger.read_to_end(&mut rest)).await.unwrap();
    }
    assert!(rest.len() < 16, "an alert at most: {rest:?}");

    // Their places are free again, and whoever speaks TLS gets as far as RTMP's own greeting.
    let mut proper = connect(&tls, at).await.unwrap();
    proper.write_all(&[3; 1537]).await.unwrap();
    proper.flush().await.unwrap();
    let mut greeting = [0; 1];
    proper.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, [3]);
    stop.cancel();
    serving.await.unwrap();
}
