//! The themes that are part of the program.

/// Theme, file, text of every file of `src/overlay/themes` that is named.
macro_rules! embedded {
    ($($theme:literal: $($file:literal)+;)+) => {
        &[$($(($theme, $file, include_str!(concat!("../themes/", $theme, "/", $file)))),+),+]
    };
}

pub(super) const FILES: &[(&str, &str, &str)] = embedded! {
    "base": "theme.json" "theme.css" "banner.html" "card.html" "countdown.html" "coupon.html" "ladder.html"
        "queue.html" "slate.html" "sold.html" "sold_out.html" "starting_soon.html" "stock.html" "ticker-strip.html"
        "ticker.html" "watermark.html";
    "boutique": "theme.json" "theme.css" "card.html" "countdown.html" "coupon.html" "starting_soon.html";
    "flash": "theme.json" "theme.css" "banner.html" "card.html" "countdown.html" "coupon.html" "ladder.html"
        "sold.html" "sold_out.html" "starting_soon.html" "stock.html";
    "minimal": "theme.json" "theme.css" "banner.html" "card.html" "countdown.html" "coupon.html" "ladder.html"
        "queue.html" "sold.html" "stock.html";
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_file_of_the_themes_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/overlay/themes");
        let embedded: BTreeSet<String> = FILES.iter().map(|(theme, file, _)| format!("{theme}/{file}")).collect();
        let mut there = BTreeSet::new();
        for theme in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            for file in fs::read_dir(&theme).unwrap().map(|entry| entry.unwrap().path()) {
                there.insert(file.strip_prefix(&folder).unwrap().display().to_string());
            }
        }
        assert_eq!(embedded, there);
    }
}
