//! Texts of every script as they are painted.

use super::*;

const CANVAS: Resolution = Resolution::new(320, 120);

fn typesetter() -> Typesetter {
    Typesetter::new(None).unwrap()
}

/// The pixels of a page that some text stands on.
fn painted(typesetter: &Typesetter, html: &str, css: &str, tag: &str) -> Painting {
    let css = format!("div {{ font-family: 'Noto Sans'; font-size: 40px; color: #fff }} {css}");
    let sheet = Arc::new(StyleSheet::parse(&css).unwrap());
    let place = Place { anchor: Anchor::Fill, margin: 0.0 };
    let page = Page::parse(html, &BTreeMap::new(), CANVAS, place, Rect::of(CANVAS)).unwrap();
    typesetter.paint(&page.speaking(Locale::parse(tag).unwrap()), &sheet, 0).unwrap()
}

fn has_cjk(typesetter: &Typesetter) -> bool {
    let there = typesetter.fonts().missing("骨").is_empty();
    assert!(there || std::env::var_os("CI").is_none(), "install fonts-noto-cjk");
    there
}

#[test]
fn a_character_takes_the_form_of_the_shows_language() {
    let typesetter = typesetter();
    if !has_cjk(&typesetter) {
        return;
    }
    for (character, apart) in [("骨", ["zh-Hans", "zh-TW", "ja"].as_slice()), ("返", &["zh-CN", "ja", "zh-HK"])] {
        let pixels: Vec<Vec<u8>> =
            apart.iter().map(|tag| painted(&typesetter, &format!("<div>{character}</div>"), "", tag).rgba).collect();
        for a in 0..pixels.len() {
            for b in 0..a {
                assert!(pixels[a] != pixels[b], "{character} in {} and {}", apart[a], apart[b]);
            }
        }
    }
    // A Latin text is the same everywhere.
    let rose = |tag| painted(&typesetter, "<div>Rose</div>", "", tag).rgba;
    assert!(rose("ja") == rose("zh-Hans"));
}

/// Where something is written in red, and how much of it stands in each column.
fn red(painting: &Painting) -> (Rect, Vec<u32>) {
    let [bounds] = painting.bounds(|[r, g, _, a]| (a > 0 && r > 60 && g < 60).then_some(0));
    let mut columns = vec![0; bounds.w as usize];
    for row in painting.rgba.chunks(painting.area.w as usize * 4).skip(bounds.y as usize).take(bounds.h as usize) {
        let pixels = row.as_chunks::<4>().0[bounds.x as usize..bounds.right() as usize].iter();
        columns.iter_mut().zip(pixels).for_each(|(column, pixel)| *column += u32::from(pixel[3]));
    }
    (bounds, columns)
}

/// By which share two writings differ. The same letters at another fraction of a pixel differ by up to a sixth, the same
/// letters in another order by half and more.
fn distance(a: &[u32], b: &[u32]) -> f64 {
    let at = |columns: &[u32], x: i32| usize::try_from(x).ok().and_then(|x| columns.get(x).copied()).unwrap_or(0);
    let smooth = |columns: &[u32], x: i32| (x - 1..=x + 1).map(|x| at(columns, x)).sum::<u32>();
    let width = a.len().max(b.len()) as i32;
    let differ = |shift: i32| (-2..width + 2).map(|x| smooth(a, x).abs_diff(smooth(b, x + shift))).sum::<u32>();
    let least = (-1..=1).map(differ).min().unwrap_or(0);
    f64::from(least) / f64::from(3 * a.iter().sum::<u32>())
}

#[test]
fn a_price_reads_the_same_beside_an_arabic_title() {
    let typesetter = typesetter();
    let css = "div { font-size: 24px; width: 300px; white-space: nowrap } b { color: #f00; font-weight: 400 }";
    for price in ["$9.90", "24.90\u{A0}$", "24,90\u{A0}\u{20AC}", "-60%", "Rp\u{A0}24.900"] {
        let page = |html: &str, tag| painted(&typesetter, html, css, tag);
        let alone = red(&page(&format!("<div><b>{price}</b></div>"), "en")).1;
        let isolated = page(&format!("<div>\u{2068}أحمر شفاه\u{2069} <b>\u{2068}{price}\u{2069}</b></div>"), "ar");
        let (bounds, beside) = red(&isolated);
        assert!(distance(&alone, &beside) < 0.25, "{price}: {}", distance(&alone, &beside));
        // The line begins at the right: the title, then the price to its left.
        let [title] = isolated.bounds(|[_, g, _, a]| (a > 0 && g > 200).then_some(0));
        assert!(bounds.right() <= title.x + 2 && title.right() > 290, "{bounds:?} {title:?}");
        // And so it does in a page of the other direction, where the Arabic is the guest.
        let guest = page(&format!("<div><b>\u{2068}{price}\u{2069}</b> \u{2068}أحمر شفاه\u{2069}</div>"), "en");
        assert!(distance(&alone, &red(&guest).1) < 0.25, "{price}");
    }
    // What isolation is for: the sign would change sides.
    for price in ["$9.90", "24.90\u{A0}$", "-60%"] {
        let bare = painted(&typesetter, &format!("<div>أحمر شفاه <b>{price}</b></div>"), css, "ar");
        let alone = painted(&typesetter, &format!("<div><b>{price}</b></div>"), css, "en");
        let distance = distance(&red(&alone).1, &red(&bare).1);
        assert!(distance > 0.4, "{price}: {distance}");
    }
}

#[test]
fn isolates_draw_nothing() {
    let typesetter = typesetter();
    for (text, tag) in [("Rose $9.90 – 24,90 €", "en"), ("أحمر شفاه", "ar"), ("ลิปสติก", "th"), ("שלום", "he")]
    {
        let of = |text: &str| painted(&typesetter, &format!("<div>{text}</div>"), "", tag).rgba;
        assert!(of(text) == of(&format!("\u{2068}{text}\u{2069}")), "{text}");
    }
}

#[test]
fn long_texts_of_every_script_end_in_their_box() {
    let typesetter = typesetter();
    let cut = "div { width: 200px; font-size: 20px; line-height: 30px; overflow: hidden; text-overflow: ellipsis; overflow-wrap: anywhere";
    for (word, tag) in [
        ("Nước hoa hồng ", "vi"),
        ("أحمر شفاه وردي ", "ar"),
        ("שפתון ורוד ", "he"),
        ("ลิปสติกกุหลาบสีชมพู", "th"),
        ("限时特价口红", "zh-Hans"),
        ("口紅のルージュ", "ja"),
        ("장미 립스틱 ", "ko"),
    ] {
        if !typesetter.fonts().missing(word).is_empty() {
            continue;
        }
        let ink = |repeated: usize, css: &str| {
            let html = format!("<div>\u{2068}{}\u{2069}</div>", word.repeat(repeated).trim_end());
            painted(&typesetter, &html, css, tag).ink()
        };
        for (css, lines) in [(format!("{cut}; white-space: nowrap }}"), 1), (format!("{cut}; line-clamp: 2 }}"), 2)] {
            let (long, longer) = (ink(12, &css), ink(14, &css));
            // Marks over and under the letters may reach a little out of their lines.
            assert!(long.bottom() <= 30 * lines + 6 && long.w <= 206, "{word} {long:?}");
            assert!(long.w > 140 && long.h > 30 * (lines - 1), "{word} {long:?}");
            assert_eq!(long, longer, "{word}: what is cut off shows nowhere");
        }
    }
}

#[test]
fn bold_and_serif_faces_are_their_own() {
    let typesetter = typesetter();
    let of = |css: &str| painted(&typesetter, "<div>Ồ 24</div>", &format!("div {{ {css} }}"), "en").rgba;
    let faces = [
        "",
        "font-weight: 700",
        "font-family: 'Noto Serif'",
        "font-family: serif; font-weight: 700",
        "font-family: 'Noto Sans Condensed'",
    ]
    .map(of);
    for a in 0..faces.len() {
        for b in 0..a {
            assert!(faces[a] != faces[b], "{a} {b}");
        }
    }
    assert!(of("font-family: Georgia, serif") == of("font-family: 'Noto Serif'"));
    assert!(of("font-family: sans-serif") == faces[0]);
}

#[test]
fn what_surrounds_a_landmark_is_not_taken_for_another() {
    let typesetter = typesetter();
    let html = r#"<div id="hit"><b id="cell-1">0</b></div>"#;
    let css = "#hit { position: absolute; left: 40px; top: 20px; width: 100px; height: 50px; \
               outline: 4px solid rgb(201, 168, 96); border: 3px solid rgb(255, 0, 160) } \
               #cell-1 { position: absolute; left: 10px; top: 10px; width: 20px; height: 30px; outline: 2px solid #f06 }";
    let place = Place { anchor: Anchor::Fill, margin: 0.0 };
    let page = Page::parse(html, &BTreeMap::new(), CANVAS, place, Rect::of(CANVAS)).unwrap();
    let landmarks = typesetter.landmarks(&page, &landmark_sheet(css).unwrap()).unwrap();
    assert_eq!(landmarks.cells.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1]);
    assert_eq!((landmarks.cells[0].1.w, landmarks.cells[0].1.h, landmarks.hits.len()), (20, 30, 1));
}
