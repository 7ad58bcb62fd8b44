//! What the API puts on the stage is in Chromium's decoded pixels, and what it takes off is gone from them.

use std::time::Duration;

use crate::rtmp_reaches_viewers::ON_AIR;
use crate::support::api::Change;
use crate::support::browser::Browser;
use crate::support::clip::Clip;
use crate::support::digits;
use crate::support::eye::{Area, Frame};
use crate::support::hawker::Hawker;
use crate::support::turn::Turn;

#[tokio::test(flavor = "multi_thread")]
async fn a_title_changed_by_the_api_appears_and_removal_restores_the_source() {
    let _turn = Turn::take().await;
    let hawker = Hawker::start_still().await;
    let clip = Clip { moving: false, ..Clip::obs() };
    let _publisher = hawker.publish(&clip);
    let api = hawker.api();
    let browser = Browser::open().await;
    browser.go(hawker.viewer_page().as_str()).await;
    browser.state("live", ON_AIR).await;
    browser.watch().await;
    let bare = numbered(&browser).await;
    assert_eq!(bare.added_to(&clip), None, "the stage is empty: {:?}", bare.save("stage-bare"));

    // A card is where the page was told that it can be clicked.
    api.product("lipstick", "1111111111", 2490).await;
    api.photo("lipstick", "image/png", photo()).await;
    let shown = api.card("lipstick").await;
    let before = first_with(&browser, &shown).await;
    let added = before.added_to(&clip).unwrap_or_else(|| panic!("no card: {:?}", before.save("stage-card")));
    let hit = browser.hit("card", before.width, before.height).await;
    assert!(hit.holds(added, 40), "the card is at {added:?}, announced at {hit:?}: {:?}", before.save("stage-card"));
    assert!(added.width * 2 > hit.width && added.height * 2 > hit.height, "{added:?} in {hit:?}");

    // Digits in the title are read back from the pixels.
    api.product("lipstick", "7026481359", 2490).await;
    let reads_new_title = |frame: &Frame| {
        let line = frame.difference(&before.luma, 12);
        line.is_some_and(|line| digits::read(&frame.crop(widened(line, frame))) == "7026481359")
    };
    browser.frame_where("the new title", Duration::from_secs(5), reads_new_title).await;

    let gone = api.remove("card").await;
    let restored = first_with(&browser, &gone).await;
    assert_eq!(restored.added_to(&clip), None, "the source is back: {:?}", restored.save("stage-restored"));
    assert_eq!(browser.complaints().await, serde_json::json!([]));
    browser.close().await;
}

/// The first whole frame that is late enough to show a change.
async fn first_with(browser: &Browser, change: &Change) -> Frame {
    let shows = |frame: &Frame| frame.number().is_some() && change.holds_at(frame.rtp);
    browser.frame_where("a frame that shows the change", Duration::from_secs(5), shows).await
}

async fn numbered(browser: &Browser) -> Frame {
    browser.frame_where("the seller's picture", ON_AIR, |frame| frame.number().is_some()).await
}

fn widened(line: Area, frame: &Frame) -> Area {
    let (x, y) = (line.x.saturating_sub(8), line.y.saturating_sub(4));
    Area { x, y, width: (line.width + 16).min(frame.width - x), height: (line.height + 8).min(frame.height - y) }
}

/// A product's photo.
pub(crate) fn photo() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(400, 400, |x, y| image::Rgb([200, (x / 2) as u8, (y / 2) as u8]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("a picture can be encoded");
    bytes.into_inner()
}
