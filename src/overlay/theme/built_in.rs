//! The themes that are part of the program.

/// Theme, file, text. A theme's files stand together, and a theme that another extends stands before it.
pub(super) const FILES: [(&str, &str, &str); 6] = [
    ("base", "theme.json", include_str!("../themes/base/theme.json")),
    ("base", "card.html", include_str!("../themes/base/card.html")),
    ("base", "countdown.html", include_str!("../themes/base/countdown.html")),
    ("base", "slate.html", include_str!("../themes/base/slate.html")),
    ("base", "starting_soon.html", include_str!("../themes/base/starting_soon.html")),
    ("boutique", "theme.json", include_str!("../themes/boutique/theme.json")),
];
