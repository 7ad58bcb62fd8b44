//! The viewer page tells a buyer where they are: waiting before the seller comes, live with them, reconnecting by itself when
//! the server was gone.

use std::time::Duration;

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::support::browser::Browser;
use crate::support::clip::Clip;
use crate::support::hawker::Hawker;
use crate::support::turn::Turn;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_waits_plays_and_comes_back_by_itself() {
    let _turn = Turn::take().await;
    let mut hawker = Hawker::start().await;
    let browser = Browser::open().await;
    browser.go(hawker.viewer_page().as_str()).await;
    browser.state("waiting", ON_AIR).await;
    let words = browser.text().await;
    assert!(words.to_lowercase().contains("starting soon"), "what a buyer reads: {words}");

    let mut publisher = hawker.publish(&Clip::obs());
    browser.state("live", ON_AIR).await;
    browser.watch().await;
    browser.frame_where("the seller's picture", ON_AIR, |frame| frame.number().is_some()).await;
    publisher.kill();
    browser.state("waiting", ON_AIR).await;

    hawker.crash();
    browser.state("reconnecting", Duration::from_secs(10)).await;
    hawker.start_again().await;
    let _publisher = hawker.publish(&Clip::obs());
    browser.state("live", Duration::from_secs(30)).await;
    browser.frame_where("the seller's picture again", ON_AIR, |frame| frame.number().is_some()).await;
    assert_eq!(browser.complaints().await, serde_json::json!([]));
    browser.close().await;
}
