//! Everything goes inside TLS: a seller pushes by RTMPS, a shop on https has the page in a frame, and a certificate is
//! replaced while the show runs.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::redirect::Policy;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::support::browser::Browser;
use crate::support::certificate::{Certificate, connect, get};
use crate::support::clip::Clip;
use crate::support::hawker::{Hawker, SHOW, STREAM_KEY};
use crate::support::patience::eventually;
use crate::support::publisher::Publisher;
use crate::support::turn::Turn;

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_on_https_frames_a_show_that_comes_by_rtmps() {
    let _turn = Turn::take().await;
    let (hawker, clip) = (Hawker::start_within_tls(&[]).await, Clip::obs());
    assert!(hawker.told("Certificate").contains("self-made"), "{}", hawker.told("Certificate"));
    let _publisher = Publisher::push(&format!("{}/{STREAM_KEY}", hawker.told("RTMPS")), &clip);
    let shop = open_shop(&format!("{}/s/{SHOW}", hawker.told("HTTPS"))).await;

    let browser = Browser::open().await;
    browser.go(&shop).await;
    browser.enter_frame().await;
    browser.state("live", ON_AIR).await;
    browser.watch().await;
    let first = browser.frame_where("the seller's picture", ON_AIR, |frame| frame.number().is_some()).await;
    assert_eq!(first.added_to(&clip), None, "the seller's own pixels: {:?}", first.save("https-first"));
    browser.frame_where("a later picture", ON_AIR, |frame| frame.number() > first.number()).await;
    let place = browser.evaluate("return [location.protocol, isSecureContext, top !== self]", Vec::new()).await;
    assert_eq!(place, json!(["https:", true, true]));
    assert_eq!(browser.complaints().await, json!([]));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_while_the_show_runs() {
    let _turn = Turn::take().await;
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    let (old, new) = (Certificate::issue(), Certificate::issue());
    old.write(&certificate, &key);
    let files = [("HAWKER_TLS__CERTIFICATE", &certificate), ("HAWKER_TLS__KEY", &key)];
    let hawker = Hawker::start_within_tls(&files.map(|(name, path)| (name, path.to_str().unwrap()))).await;
    let at = hawker.told("HTTPS").trim_start_matches("https://").to_owned();
    let mut publisher = Publisher::push(&format!("{}/{STREAM_KEY}", hawker.told("RTMPS")), &Clip::obs());
    eventually("the show is on air", ON_AIR, async || (hawker.api().health().await["on_air"] == true).then_some(()))
        .await;
    let mut open = connect(&at, &old.certificate).await.unwrap();

    new.write(&certificate, &key);
    eventually("the new certificate is shown", SEEN_WITHIN, async || {
        assert!(get(&mut open, "/healthz").await.unwrap().starts_with("HTTP/1.1 200 "), "what is open stays open");
        connect(&at, &new.certificate).await.ok()
    })
    .await;
    assert!(connect(&at, &old.certificate).await.is_err(), "and the old one no more");

    std::fs::write(&key, &old.key).unwrap();
    eventually("the wrong key is refused", SEEN_WITHIN, async || {
        assert!(get(&mut open, "/healthz").await.unwrap().starts_with("HTTP/1.1 200 "), "what is open stays open");
        hawker.said().iter().any(|line| line.contains("not the key") && line.contains("stays in force")).then_some(())
    })
    .await;
    let mut other = connect(&at, &new.certificate).await.expect("the pair before it is still shown");
    let page = get(&mut other, &format!("/s/{SHOW}")).await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<!doctype html>"), "{page}");
    assert!(publisher.ended().is_none(), "the seller's connection went on");
    assert_eq!(hawker.api().health().await["on_air"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_door_sends_people_on_if_asked_to() {
    let mut hawker =
        Hawker::start_within_tls(&[("HAWKER_TLS__REDIRECT", "true"), ("HAWKER_TLS__NAMES", "localhost,127.0.0.1")])
            .await;
    let https = hawker.told("HTTPS");
    assert!(https.starts_with("https://localhost:"), "the printed link has the certificate's name: {https}");
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let response = client.get(hawker.viewer_page()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
    let there = https.replace("localhost", "127.0.0.1");
    assert_eq!(response.headers()["location"], format!("{there}/s/{SHOW}"));
    assert!(hawker.terminate().await.success());
}

/// A shop of another origin, whose only page has `viewer` in a frame; gives its address.
async fn open_shop(viewer: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let acceptor = Certificate::issue().acceptor();
    let page =
        format!(r#"<!doctype html><title>A shop</title><iframe src="{viewer}" width="1280" height="800"></iframe>"#);
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let _request = stream.read(&mut [0; 4096]).await?;
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await
            });
        }
    });
    address
}

/// The server looks at the files every ten seconds.
const SEEN_WITHIN: Duration = Duration::from_secs(25);
