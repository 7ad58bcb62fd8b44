//! Whether a template's film flashes more than three times a second (WCAG 2.2, 2.3.1), read from its CSS.
//!
//! A `@keyframes` that makes something brighter and darker counts once for each time there and back, whatever its size on the
//! picture: a theme does not know what lies beside it.

use std::collections::BTreeMap;

use super::problem::{ThemeError, line_at};
use super::{Kind, Shape, Theme, files};
use crate::overlay::motion::Film;

/// Tells each `@keyframes` that flashes too often.
pub(super) fn wrong(theme: &Theme, kind: &Kind) -> Vec<ThemeError> {
    let films = Shape::ALL.into_iter().filter_map(|shape| kind.style(shape.trial()).film);
    let Some(film) = films.min_by_key(|film| film.ms) else { return vec![] };
    let tell = |(name, reason): (String, String)| {
        let markup = kind.template.markup();
        let css = theme.files.css.as_deref().unwrap_or_default();
        if let Some(at) = keyframes_at(&markup.css, &name) {
            ThemeError::at(&markup.file, line_at(&markup.source, markup.css_at + at), reason)
        } else if let Some(at) = keyframes_at(css, &name) {
            ThemeError::at(&theme.files.path(files::CSS), line_at(css, at), reason)
        } else {
            theme.at_key(&["layers", kind.name(), "film"], reason)
        }
    };
    flashing(&kind.template.css, film).into_iter().map(tell).collect()
}

/// The names of keyframes that flash too often, and why.
fn flashing(css: &str, film: Film) -> Vec<(String, String)> {
    let css = without_comments(css);
    let mut sheet = Sheet::default();
    sheet.read(&css);
    let Sheet { keyframes, runs } = sheet;
    let mut wrong = vec![];
    for (name, changes) in &keyframes {
        // A film begins anew at its end, which is a change as well.
        let again = changes.shows().then_some(1000.0 / film.ms.max(1) as f32);
        let often =
            runs.iter().filter(|run| run.name.as_ref().is_none_or(|of| of == name)).map(|run| changes.a_second(run));
        let often = often.chain(again).fold(0.0, f32::max);
        if often > MOST {
            let reason = format!(
                "@keyframes {name} flashes {often:.1} times a second; more than {MOST} can make people ill (WCAG 2.3.1): \
                 give it a longer duration or fewer changes"
            );
            wrong.push((name.clone(), reason));
        }
    }
    wrong
}

/// What of a style sheet matters here.
#[derive(Default)]
struct Sheet {
    keyframes: BTreeMap<String, Changes>,
    runs: Vec<Run>,
}

/// How often keyframes change what is bright, from their first stop to their last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Changes {
    inside: usize,
    /// Whether the last stop differs from the first.
    around: bool,
}

/// Keyframes that an element goes through.
#[derive(Debug)]
struct Run {
    /// Absent where a rule gives a duration to whatever runs.
    name: Option<String>,
    ms: f32,
    /// How often; for ever when absent.
    times: Option<f32>,
    alternate: bool,
}

impl Changes {
    fn shows(self) -> bool {
        self.inside > 0
    }

    /// Flashes in the worst second: there and back again is one.
    fn a_second(self, run: &Run) -> f32 {
        let changes = match run.alternate {
            true => self.inside,
            false => self.inside + usize::from(self.around),
        };
        let a_turn = changes as f32 / 2.0;
        if run.ms <= 0.0 {
            return 0.0;
        }
        let a_second = a_turn * 1000.0 / run.ms;
        run.times.map_or(a_second, |times| a_second.min((a_turn * times).ceil()))
    }
}

impl Sheet {
    fn read(&mut self, css: &str) {
        for (head, body) in blocks(css) {
            match head.strip_prefix('@').map(|at| at.trim_start_matches("-webkit-")) {
                Some(at) if at.starts_with("keyframes") => {
                    let name = at["keyframes".len()..].trim().trim_matches(['"', '\'']);
                    self.keyframes.insert(name.to_owned(), changes(body));
                }
                // @media, @supports, @layer hold rules.
                Some(_) => self.read(body),
                None => self.rule(body),
            }
        }
    }

    fn rule(&mut self, body: &str) {
        let mut names: Vec<String> = vec![];
        let (mut durations, mut times, mut alternate) = (vec![], None, false);
        for (property, value) in declarations(body) {
            match property.trim_start_matches("-webkit-") {
                "animation" => self.runs.extend(value.split(',').map(Run::parse)),
                "animation-name" => names = value.split(',').map(|name| name.trim().to_owned()).collect(),
                "animation-duration" => {
                    durations = value.split(',').filter_map(|text| milliseconds(text.trim())).collect()
                }
                "animation-iteration-count" => times = value.trim().parse().ok(),
                "animation-direction" => alternate = value.contains("alternate"),
                _ => {}
            }
        }
        let shortest = durations.into_iter().fold(f32::MAX, f32::min);
        if shortest < f32::MAX {
            let names: Vec<Option<String>> =
                if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
            self.runs.extend(names.into_iter().map(|name| Run { name, ms: shortest, times, alternate }));
        }
    }
}

impl Run {
    /// One entry of `animation`. Which of its words is the name cannot be told from the keywords without a list of them; a
    /// name that is not the keyframes' does no harm.
    fn parse(entry: &str) -> Run {
        let words: Vec<&str> = entry.split_whitespace().collect();
        let keyword = |word: &str| {
            let known =
                ["infinite", "alternate", "normal", "reverse", "none", "forwards", "backwards", "both", "linear"];
            known.contains(&word)
                || word.starts_with("ease")
                || word.contains('(')
                || word.contains(')')
                || word == "running"
        };
        let name =
            words.iter().find(|word| !keyword(word) && !word.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
        Run {
            name: name.map(|name| (*name).to_owned()),
            ms: words.iter().find_map(|word| milliseconds(word)).unwrap_or(0.0),
            times: words.iter().find_map(|word| word.parse().ok()),
            alternate: words.iter().any(|word| word.starts_with("alternate")),
        }
    }
}

/// How the properties that make things bright or dark go from stop to stop; the one that changes most counts.
fn changes(body: &str) -> Changes {
    let mut stops: Vec<(f32, Vec<(String, String)>)> = vec![];
    for (head, body) in blocks(body) {
        let declared: Vec<(String, String)> = declarations(body)
            .filter(|(property, _)| BRIGHT.iter().any(|bright| property.starts_with(bright)))
            .filter(|(property, _)| !MOVING.contains(property))
            .map(|(property, value)| (property.to_owned(), value.to_owned()))
            .collect();
        for stop in head.split(',') {
            let at = match stop.trim() {
                "from" => Some(0.0),
                "to" => Some(100.0),
                percent => percent.strip_suffix('%').and_then(|number| number.trim().parse().ok()),
            };
            stops.extend(at.map(|at| (at, declared.clone())));
        }
    }
    stops.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut properties: Vec<&String> =
        stops.iter().flat_map(|(_, declared)| declared.iter().map(|(property, _)| property)).collect();
    properties.sort();
    properties.dedup();
    let of_property = |property: &String| {
        let value = |(_, declared): &(f32, Vec<(String, String)>)| {
            declared.iter().rfind(|(of, _)| of == property).map(|(_, value)| value.clone())
        };
        // What the element has by itself stands at either end where the keyframes do not say.
        let unsaid = || if property == "opacity" { "1".to_owned() } else { String::new() };
        let said = |at: f32| stops.iter().any(|stop| stop.0 == at && value(stop).is_some());
        let mut values: Vec<String> = stops.iter().filter_map(value).collect();
        if !said(0.0) {
            values.insert(0, unsaid());
        }
        if !said(100.0) {
            values.push(unsaid());
        }
        let inside = values.windows(2).filter(|pair| differ(&pair[0], &pair[1])).count();
        Changes { inside, around: values.first().zip(values.last()).is_some_and(|(first, last)| differ(first, last)) }
    };
    properties.into_iter().map(of_property).max_by_key(|changes| changes.inside).unwrap_or_default()
}

/// Whether a change shows: of an opacity, a tenth does (WCAG's general flash).
fn differ(a: &str, b: &str) -> bool {
    match (a.parse::<f32>(), b.parse::<f32>()) {
        (Ok(a), Ok(b)) => (a - b).abs() >= 0.1,
        _ => a != b,
    }
}

/// Where `@keyframes NAME` stands.
fn keyframes_at(css: &str, name: &str) -> Option<usize> {
    let named = |at: &usize| {
        let rest = css[at + "keyframes".len()..].trim_start().trim_start_matches(['"', '\'']);
        rest.strip_prefix(name)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_'))
    };
    css.match_indices("keyframes").map(|(at, _)| at).find(named)
}

/// A sheet's or a rule's blocks: what stands before the brace, and what in it.
fn blocks(css: &str) -> Vec<(&str, &str)> {
    let mut blocks = vec![];
    let (mut begin, mut open, mut depth) = (0, 0, 0_usize);
    for (at, c) in css.char_indices() {
        match c {
            '{' => {
                if depth == 0 {
                    open = at;
                }
                depth += 1;
            }
            '}' if depth == 1 => {
                blocks.push((css[begin..open].trim(), &css[open + 1..at]));
                (begin, depth) = (at + 1, 0);
            }
            '}' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => begin = at + 1,
            _ => {}
        }
    }
    blocks
}

fn declarations(body: &str) -> impl Iterator<Item = (&str, &str)> {
    let value = |value: &'_ str| value.trim_end_matches("!important").trim().len();
    body.split(';').filter_map(move |declaration| {
        let (property, text) = declaration.split_once(':')?;
        let text = text.trim();
        Some((property.trim(), &text[..value(text)]))
    })
}

fn milliseconds(text: &str) -> Option<f32> {
    match text.strip_suffix("ms") {
        Some(number) => number.parse().ok(),
        None => Some(text.strip_suffix('s')?.parse::<f32>().ok()? * 1000.0),
    }
}

/// Comments as spaces, so that places hold.
fn without_comments(css: &str) -> String {
    let mut out = String::with_capacity(css.len());
    let mut rest = css;
    while let Some(open) = rest.find("/*") {
        out.push_str(&rest[..open]);
        let end = rest[open + 2..].find("*/").map_or(rest.len(), |close| open + 2 + close + 2);
        out.push(' ');
        rest = &rest[end..];
    }
    out + rest
}

const MOST: f32 = 3.0;
/// Properties that make things brighter or darker, by how they begin.
const BRIGHT: [&str; 6] = ["opacity", "background", "color", "filter", "visibility", "box-shadow"];
/// Properties of those names that only move something.
const MOVING: [&str; 4] = ["background-position", "background-position-x", "background-position-y", "background-size"];

#[cfg(test)]
mod tests {
    use super::*;

    fn flashing_in(css: &str, ms: u32) -> Vec<String> {
        flashing(css, Film { ms, fps: 15 }).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn three_flashes_a_second_are_taken_and_four_are_not() {
        let blink = |animation: &str| {
            let css = format!(
                "@keyframes blink {{ 0% {{ opacity: 1 }} 50% {{ opacity: 0 }} to {{ opacity: 1 }} }} .a {{ {animation} }}"
            );
            flashing_in(&css, 2000)
        };
        for calm in [
            "animation: blink 334ms infinite",
            "animation: 2s linear infinite blink",
            "animation: blink 100ms 3",
            "animation: other 100ms infinite",
            "animation-name: blink; animation-duration: .5s",
            "",
        ] {
            assert!(blink(calm).is_empty(), "{calm}");
        }
        for wild in [
            "animation: blink 330ms infinite",
            "animation: fade 2s, blink .2s infinite !important",
            "animation: blink 100ms 4",
            "animation-name: blink; animation-duration: 250ms",
            "/* : { */ animation-duration: 100ms",
        ] {
            assert_eq!(blink(wild), ["blink"], "{wild}");
        }
    }

    #[test]
    fn what_changes_is_counted_and_what_only_moves_is_not() {
        let often = "@keyframes f { 0%, 40%, 80% { background-color: #fff } 20%, 60%, to { background-color: #000 } } .a { animation: f 1s infinite }";
        assert!(flashing_in(often, 2000).is_empty());
        assert_eq!(flashing_in(&often.replace("1s", "900ms"), 2000), ["f"]);
        let there = "@media (min-width: 1px) { @keyframes f { from { opacity: .2 } } .a { animation: f 200ms alternate infinite } }";
        assert!(flashing_in(there, 2000).is_empty());
        assert_eq!(flashing_in(&there.replace("alternate ", ""), 2000), ["f"]);
        assert!(
            flashing_in(&there.replace(".2", ".95").replace("alternate ", ""), 2000).is_empty(),
            "too little to see"
        );
        let moves = "@keyframes f { from { transform: none } to { transform: rotate(1turn) } } .a { animation: f 100ms infinite }";
        assert!(flashing_in(moves, 100).is_empty());
        // A short film repeats what would be slow.
        assert_eq!(flashing_in(there, 300), ["f"]);
    }

    #[test]
    fn broken_css_is_walked_over() {
        for css in [
            "}}}{",
            "@keyframes {",
            "@keyframes a { 5 { x",
            "/*",
            "a{animation:}",
            "@keyframes\u{e4}{}",
            "{animation: ,,;}",
        ] {
            flashing_in(css, 10);
        }
    }
}
