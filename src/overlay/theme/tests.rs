//! Themes of a folder, as designers write them.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::json;

use super::*;
use crate::overlay::motion::{Anchor, Digits};

static TYPESETTER: LazyLock<Typesetter> = LazyLock::new(|| Typesetter::new(None).unwrap());

fn write(root: &Path, files: &[(&str, &str)]) {
    for (file, text) in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn read(files: &[(&str, &str)]) -> (Themes, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    let themes = Themes::built_in().unwrap().with_folder(folder.path(), &TYPESETTER);
    let told = themes.problems().iter().map(ToString::to_string).collect();
    (themes, told)
}

fn titled(more: &str) -> String {
    format!("{{\n\"title\": \"T\"{more}\n}}")
}

/// A theme of one kind, whose template is this.
fn one(template: &str) -> Vec<String> {
    let manifest = titled(r#", "layers": {"lower": {"fields": {"title": "text"}}}"#);
    read(&[("t/theme.json", &manifest), ("t/lower.html", template)]).1
}

#[test]
fn the_built_in_themes_hold_to_their_own_rules() {
    let themes = Themes::built_in().unwrap();
    for theme in themes.list() {
        let wrong = checks::wrong(theme, None, &TYPESETTER);
        assert!(wrong.is_empty(), "{}", wrong.iter().map(|wrong| format!("{wrong}\n")).collect::<String>());
    }
    assert!(themes.get(DEFAULT).is_ok());
}

#[test]
fn a_theme_takes_what_it_does_not_have_from_the_one_it_extends() {
    let settings = r##", "extends": "a", "layers": {
        "card": {"margin": 6, "variants": {"1:1": {"anchor": "top"}}}, "slate": {"glass": true}}"##;
    let base = r#", "layers": {
        "card": {"anchor": "bottom", "margin": 2, "digits": "roll", "variants": {"9:16": {"margin": 1, "z": 7}}}}"#;
    let (themes, told) = read(&[
        ("a/theme.json", &titled(base)),
        ("a/card.html", "<style>.a { color: red }</style><b>{{ title }}</b>"),
        ("a/theme.css", "b { color: #fff; background: #000 }"),
        ("b/theme.json", &titled(settings)),
        ("b/theme.css", "i { color: blue }"),
        ("b/countdown.html", "<i></i>"),
    ]);
    assert!(told.is_empty(), "{told:?}");
    let theme = themes.get("b").unwrap();
    let card = theme.kind("card").unwrap();
    let style = |width, height| card.style(Resolution::new(width, height));
    assert_eq!((style(1920, 1080).place.anchor, style(1920, 1080).place.margin), (Anchor::Bottom, 6.0));
    // What the theme itself says wins over the variants of the one it extends.
    assert_eq!((style(1080, 1920).place.margin, style(1080, 1920).z), (6.0, 7));
    assert_eq!((style(900, 900).place.anchor, style(900, 900).digits), (Anchor::Top, Digits::Roll));
    assert_eq!(card.variants().map(Shape::name).collect::<Vec<_>>(), ["9:16", "1:1"]);
    let css: Vec<&str> =
        card.template.css.lines().filter(|line| !line.starts_with(".fill-") && !line.is_empty()).collect();
    assert_eq!(css, [".a { color: red }", "b { color: #fff; background: #000 }", "i { color: blue }"]);
    assert!(card.behind().is_some_and(|behind| !behind.template.css.contains("blue")));
    // An own template is dressed by its own theme alone.
    assert!(theme.kind("countdown").unwrap().template.css.ends_with("{width:100%}\n\n\ni { color: blue }"));
    assert!(theme.kind("slate").unwrap().style(Resolution::new(9, 9)).glass);
    assert!(theme.kind("starting_soon").is_ok(), "from base");
}

#[test]
fn a_folders_theme_goes_before_the_built_in_one_of_its_name_and_may_extend_it() {
    let (themes, told) = read(&[
        ("base/theme.json", &titled("")),
        ("base/theme.css", ".mine { color: red }"),
        ("boutique/theme.json", &titled(r#", "extends": "boutique""#)),
        ("other/theme.json", &titled("")),
        ("drafts/card.html", "{{"),
    ]);
    assert!(told.is_empty(), "{told:?}");
    assert!(themes.get("other").unwrap().kind("card").unwrap().template.css.contains(".mine"));
    assert!(!themes.get("boutique").unwrap().kind("card").unwrap().template.css.contains(".mine"));
    assert_eq!(themes.get("boutique").unwrap().title(), "T");
    assert!(themes.get("drafts").unwrap_err().to_string().contains("there are: base, boutique"));
}

#[test]
fn cycles_and_unknown_names_are_refused() {
    let (themes, told) = read(&[
        ("a/theme.json", &titled(",\n\"extends\": \"b\"")),
        ("b/theme.json", &titled(",\n\"extends\": \"c\"")),
        ("c/theme.json", &titled(",\n\"extends\": \"a\"")),
        ("d/theme.json", &titled(",\n\"extends\": \"nothing\"")),
        ("e/theme.json", &titled(",\n\"extends\": \"e\"")),
    ]);
    for wanted in [
        "c/theme.json:3: themes cannot extend one another: a → b → c → a",
        "b/theme.json:3: it extends \"c\", which has an error itself",
        "a/theme.json:3: it extends \"b\", which has an error itself",
        "d/theme.json:3: there is no theme \"nothing\"; there are: a, b, base",
        "e/theme.json:3: a theme cannot extend itself",
    ] {
        assert!(told.iter().any(|told| told.starts_with(wanted)), "{wanted}: {told:#?}");
    }
    assert!(["a", "b", "c", "d", "e"].iter().all(|name| themes.get(name).is_err()));
}

#[test]
fn what_is_wrong_in_any_file_is_told_with_its_line() {
    let manifest =
        titled(",\n\"layers\": {\n\"card\": {},\n\"nothing\": {} },\n\"samples\": {\n\"card\": {\"title\": 5} }");
    let (_, told) = read(&[("t/theme.json", &manifest)]);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0].starts_with("t/theme.json:7: old_price") || told[0].starts_with("t/theme.json:7: price"),
        "{told:#?}"
    );
    assert!(told[1].starts_with("t/theme.json:5: there is no nothing.html"), "{told:#?}");
    let (_, told) = read(&[
        ("t/theme.json", &titled("")),
        ("t/card.html", "<p>\n{% if %}"),
        ("t/slate.html", "{{ title }}\n{% include 'x' %}"),
        ("t/theme.css", "a {}\nb { background: url(x) }"),
        ("t/Bad Name.html", ""),
    ]);
    let wanted = [
        "t/theme.css:2: url()",
        "t/Bad Name.html: a template is called",
        "t/card.html:2: syntax",
        "t/slate.html:2: {% include",
    ];
    assert!(told.iter().zip(wanted).all(|(told, wanted)| told.starts_with(wanted)), "{told:#?}");
    let (_, told) = read(&[("t/theme.json", &titled("")), ("t/theme.css", "\n\n.b { color: nonsense(; }")]);
    assert!(told[0].starts_with("t/theme.css:3: CSS near"), "{told:#?}");
}

#[test]
fn a_template_that_cannot_be_painted_is_refused() {
    for (template, why) in [
        ("<p>\n{{ nothing }}", "t/lower.html:2: undefined value"),
        ("<div style='width:999999px;height:9px'>x</div>", "t/lower.html:1: the page's boxes reach 999999x"),
        ("{% for a in range(600) %}<i></i>{% endfor %}", "t/lower.html:1: the page has"),
        ("{% for a in range(99999) %}x{% endfor %}", "t/lower.html:1: engine ran out of fuel"),
        ("{% for a in range(40) %}<div>{% endfor %}", "t/lower.html:1: the page nests deeper"),
    ] {
        let told = one(template);
        assert!(told.len() == 1 && told[0].starts_with(why), "{told:?}");
    }
}

#[test]
fn faint_text_is_refused_by_its_line() {
    let page = |style: &str| {
        format!(
            "<style>\n.a {{ font: 3rem \"Noto Sans\"; {style} }}\n</style>\n<div>\n<p class=\"a\">{{{{ title }}}} mm</p></div>"
        )
    };
    let refused = |style: &str| one(&page(style)).pop().unwrap_or_default();
    // White on nothing does for a black picture alone.
    let white = refused("color: #fff");
    assert!(white.starts_with("t/lower.html:5: text here has a contrast of 1.0:1 over a white picture"), "{white}");
    assert_eq!(refused("color: #fff; background: #333"), "");
    assert!(refused("color: #808080; background: #fff").contains("3.9:1 over a black picture, and needs 4.5:1"));
    // A card that lets too much of a white picture through.
    assert_eq!(refused("color: #fff; background: rgba(0, 0, 0, 0.6)"), "");
    assert!(refused("color: #fff; background: rgba(0, 0, 0, 0.4)").contains("over a white picture"));
    // The text's own transparency counts, and so does its parent's.
    assert!(refused("color: rgba(255, 255, 255, 0.4); background: #333").contains("contrast"));
    assert!(refused("color: #fff; background: #333; opacity: 0.4").contains("contrast"));
    // Large text may have 3:1, bold text at three rem already.
    let grey = "color: #949494; background: #fff;";
    assert!(refused(grey).contains("needs 4.5:1"));
    assert_eq!(refused(&format!("{grey} font-size: 4rem")), "");
    assert_eq!(refused(&format!("{grey} font-weight: 700")), "");
    assert!(refused(&format!("{grey} font-weight: 700; font-size: 2.9rem")).contains("needs 4.5:1"));
    // What holds a place only is not read.
    assert_eq!(refused("color: transparent"), "");
    assert_eq!(refused("visibility: hidden"), "");
}

#[test]
fn text_in_a_window_is_read_on_what_the_window_lies_on() {
    let manifest = titled(r#", "layers": {"band": {"fields": {"items": "list"}}}"#);
    let band = |colour: &str| {
        let css = format!(".b {{ width: 100vw; height: 6rem; display: flex; background: {colour} }} .w {{ flex: 1 }}");
        let window = format!("<style>{css}</style><div class=\"b\"><div id=\"window\" class=\"w\"></div></div>");
        let strip = "<style>.s { font-size: 3rem; color: #fff; font-family: \"Noto Sans\" }</style>\n<p class=\"s\">{{ items|join(' ') }}</p>";
        read(&[("t/theme.json", &manifest), ("t/band.html", &window), ("t/band-strip.html", strip)]).1
    };
    assert!(band("#222").is_empty(), "{:?}", band("#222"));
    assert!(band("#fe0")[0].starts_with("t/band-strip.html:2: text here has a contrast of 1."), "{:?}", band("#fe0"));
}

#[test]
fn a_theme_that_flashes_is_refused_by_its_line() {
    let manifest = titled(r#", "layers": {"lower": {"fields": {"title": "text"}, "film": {"ms": 2000, "fps": 15}}}"#);
    let css = "i { width: 1rem }\n@keyframes blink { 50% { opacity: 0 } }\n.a { animation: blink 200ms infinite }";
    let template = "<b class=\"a\"></b>";
    let (_, told) = read(&[("t/theme.json", &manifest), ("t/lower.html", template), ("t/theme.css", css)]);
    assert!(told[0].starts_with("t/theme.css:2: @keyframes blink flashes 5.0 times a second"), "{told:?}");
    let own = format!("<style>\n\n{css}</style>{template}");
    let (_, told) = read(&[("t/theme.json", &manifest), ("t/lower.html", &own)]);
    assert!(told[0].starts_with("t/lower.html:4: @keyframes blink"), "{told:?}");
    let (_, told) =
        read(&[("t/theme.json", &manifest.replace("2000", "1000")), ("t/lower.html", &own.replace("200ms", "1s"))]);
    assert!(told.is_empty(), "{told:?}");

    // In the markup itself.
    let inline =
        "<style>@Keyframes Blink { 50% { opacity: 0 } }</style>\n<b style=\"animation: blink 200ms infinite\"></b>";
    let (_, told) = read(&[("t/theme.json", &manifest), ("t/lower.html", inline)]);
    assert!(told[0].starts_with("t/lower.html:1: @keyframes blink flashes 5.0"), "{told:?}");
    // What cannot be read is not taken for calm.
    let unread = |file, line| format!("t/{file}:{line}: how often this flashes cannot be read");
    let (_, told) = read(&[("t/theme.json", &manifest), ("t/lower.html", &inline.replace("200ms", "var(--beat)"))]);
    assert!(told[0].starts_with(&unread("lower.html", 2)), "{told:?}");
    let (_, told) =
        read(&[("t/theme.json", &manifest), ("t/lower.html", &own.replace("200ms", "calc(var(--beat) / 10)"))]);
    assert!(told[0].starts_with(&unread("lower.html", 5)), "{told:?}");
    let css = css.replace("200ms", "var(--beat)");
    let (_, told) = read(&[("t/theme.json", &manifest), ("t/lower.html", template), ("t/theme.css", &css)]);
    assert!(told[0].starts_with(&unread("theme.css", 3)), "{told:?}");
}

#[test]
fn css_that_nests_without_end_is_refused() {
    let deep = format!("i {{ width: 1rem }}\n{}", "@media all{".repeat(20_000));
    let (_, told) = read(&[("t/theme.json", &titled("")), ("t/theme.css", &deep)]);
    assert!(told[0].starts_with("t/theme.css:2: CSS may nest 16 deep"), "{told:?}");
    let told = one(&format!("<style>\n{deep}</style><p>{{{{ title }}}}</p>"));
    assert!(told[0].starts_with("t/lower.html:3: CSS may nest 16 deep"), "{told:?}");
    let told = one(&format!("<p>\n{{{{ title }}}}<b style=\"width: {}\"></b></p>", "calc(".repeat(20_000)));
    assert!(told[0].starts_with("t/lower.html:2: CSS may nest 16 deep"), "{told:?}");
}

#[test]
fn what_did_not_change_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a/theme.json", &titled("")), ("b/theme.json", &titled(r#", "extends": "a""#))]);
    let first = Themes::built_in().unwrap().with_folder(folder.path(), &TYPESETTER);
    let second = first.with_folder(folder.path(), &TYPESETTER);
    let same = |a: &Themes, b: &Themes, name| Arc::ptr_eq(a.get(name).unwrap(), b.get(name).unwrap());
    assert!(same(&first, &second, "a") && same(&first, &second, "b"));
    write(folder.path(), &[("a/theme.css", "i { color: red }")]);
    let third = second.with_folder(folder.path(), &TYPESETTER);
    assert!(!same(&second, &third, "a") && !same(&second, &third, "b"), "b is made of a");
    // A manifest that is gone for a moment takes nothing off the air, a folder that is gone does.
    let told = |themes: &Themes| themes.problems().iter().map(ToString::to_string).collect::<Vec<_>>();
    fs::write(folder.path().join("a/theme.json"), "").unwrap();
    let fourth = third.with_folder(folder.path(), &TYPESETTER);
    assert!(same(&third, &fourth, "a") && same(&third, &fourth, "b"));
    assert_eq!(fourth.problems()[0].theme.as_deref(), Some("a"));
    fs::remove_file(folder.path().join("a/theme.json")).unwrap();
    let fifth = fourth.with_folder(folder.path(), &TYPESETTER);
    assert!(same(&third, &fifth, "a") && same(&third, &fifth, "b"));
    assert_eq!(told(&fifth), ["a/theme.json: it is not there any more"]);
    fs::remove_dir_all(folder.path().join("a")).unwrap();
    let sixth = fifth.with_folder(folder.path(), &TYPESETTER);
    assert!(sixth.get("a").is_err() && same(&third, &sixth, "b"));
    assert!(told(&sixth)[0].starts_with("b/theme.json:2: there is no theme \"a\""), "{:?}", told(&sixth));
    // And one that was never a theme is none.
    fs::create_dir(folder.path().join("a")).unwrap();
    let seventh = sixth.with_folder(folder.path(), &TYPESETTER);
    assert!(seventh.get("a").is_err());
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_and_odd_files_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), &[("secret.html", "secret"), ("theme/theme.json", &titled(""))]);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a/theme.json", &titled("")), ("b/theme.json", &titled("")), ("b/x.css", "")]);
    std::os::unix::fs::symlink(outside.path().join("secret.html"), folder.path().join("a/card.html")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("theme"), folder.path().join("c")).unwrap();
    // A link to another theme's file stays within.
    std::os::unix::fs::symlink(folder.path().join("b/x.css"), folder.path().join("b/theme.css")).unwrap();
    write(folder.path(), &[("d/theme.json", &titled("")), ("e/theme.json", &titled(""))]);
    fs::create_dir(folder.path().join("d/card.html")).unwrap();
    fs::write(folder.path().join("e/card.html"), vec![b'x'; 256 << 10 | 1]).unwrap();
    let themes = Themes::built_in().unwrap().with_folder(folder.path(), &TYPESETTER);
    let told: Vec<String> = themes.problems().iter().map(ToString::to_string).collect();
    for (told, wanted) in told.iter().zip([
        "a/card.html: it is a link that leaves",
        "c/theme.json: it is a link that leaves",
        "d/card.html: it is not a plain file",
        "e/card.html: 262145 bytes long",
    ]) {
        assert!(told.starts_with(wanted), "{told}");
    }
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(themes.get("b").is_ok());
    let none = Themes::built_in().unwrap().with_folder(Path::new("/nothing/here"), &TYPESETTER);
    assert!(none.problems()[0].theme.is_none() && none.get(DEFAULT).is_ok());
}

#[test]
fn values_are_checked_against_the_theme() {
    let themes = Themes::built_in().unwrap();
    let theme = themes.get("base").unwrap();
    assert!(theme.check_values("slate", &json!({"title": "T"})).is_ok());
    let error = |kind, values| theme.check_values(kind, &values).unwrap_err().to_string();
    assert_eq!(error("slate", json!({})), "title: it is missing: a text is needed");
    assert!(error("fountain", json!({})).starts_with("the theme \"base\" has no layer \"fountain\"; it has: "));
}
