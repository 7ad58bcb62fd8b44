//! Whether a template's film flashes more than three times a second (WCAG 2.2, 2.3.1), read from its CSS.
//!
//! A `@keyframes` that makes something brighter and darker counts once for each time there and back, whatever its size on the
//! picture: a theme does not know what lies beside it.

use super::problem::{ThemeError, line_at};
use super::sheet::{Declaration, Part, parts, plain, split};
use super::template::styles;
use super::{Kind, Shape, Theme, files};
use crate::overlay::motion::Film;

/// Tells each `@keyframes` that flashes too often, and a duration that cannot be read.
pub(super) fn wrong(theme: &Theme, kind: &Kind) -> Vec<ThemeError> {
    let films = Shape::ALL.into_iter().filter_map(|shape| kind.style(shape.trial()).film);
    let Some(film) = films.min_by_key(|film| film.ms) else { return vec![] };
    let markup = kind.template.markup();
    let css = theme.files.css.as_deref().unwrap_or_default();
    // Of what is wrong in the template, in the theme's sheet, or in one of a theme that it extends.
    let in_template =
        |at: usize, reason| ThemeError::at(&markup.file, line_at(&markup.source, markup.css_at + at), reason);
    let in_theme = |at: usize, reason| ThemeError::at(&theme.files.path(files::CSS), line_at(css, at), reason);
    let in_neither = |reason| theme.at_key(&["layers", kind.name(), "film"], reason);

    let mut sheet = Sheet::default();
    let mut read = sheet.read(&plain(&kind.template.css), 0).map_err(|_| {
        let unread = |css: &str| Sheet::default().read(&plain(css), 0).err();
        let template = unread(&markup.css).map(|at| in_template(at, UNREAD.to_owned()));
        template.or_else(|| unread(css).map(|at| in_theme(at, UNREAD.to_owned())))
    });
    for (at, style) in styles(&markup.html) {
        let here = |at| Some(ThemeError::at(&markup.file, line_at(&markup.html, at), UNREAD));
        read = read.and_then(|()| sheet.read(&plain(style), at).map_err(here));
    }
    if let Err(error) = read {
        return vec![error.unwrap_or_else(|| in_neither(UNREAD.to_owned()))];
    }
    let tell = |(name, reason): (String, String)| {
        if let Some(at) = keyframes_at(&markup.css, &name) {
            in_template(at, reason)
        } else if let Some(at) = keyframes_at(css, &name) {
            in_theme(at, reason)
        } else {
            in_neither(reason)
        }
    };
    sheet.flashing(film).into_iter().map(tell).collect()
}

/// What of style sheets matters here.
#[derive(Default)]
struct Sheet {
    /// By name; all of one that is there twice, as it may depend on the picture which of them counts.
    keyframes: Vec<(String, Changes)>,
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
    /// Reads a plain sheet that begins `at` a place. An error is the place of a duration that cannot be read.
    fn read(&mut self, css: &str, at: usize) -> Result<(), usize> {
        let mut declared = vec![];
        for part in parts(css) {
            let Some((begin, body)) = part.body else {
                declared.extend(Declaration::parse(part.head).map(|declaration| (at + part.at, declaration)));
                continue;
            };
            match part.head.strip_prefix('@').map(|name| name.trim_start_matches("-webkit-")) {
                Some(name) if name.starts_with("keyframes") => {
                    let name = name["keyframes".len()..].trim();
                    self.keyframes.push((name.to_owned(), changes(body)));
                }
                // @media, @supports, @layer hold rules, and so may a rule; how many within one another, `check_css` bounds.
                _ => self.read(body, at + begin)?,
            }
        }
        self.runs.extend(Lists::of(&declared)?.runs());
        Ok(())
    }

    /// The names of keyframes that flash too often, and why.
    fn flashing(&self, film: Film) -> Vec<(String, String)> {
        let mut wrong = vec![];
        for (name, changes) in &self.keyframes {
            // A film begins anew at its end, which is a change as well.
            let again = changes.shows().then_some(1000.0 / film.ms.max(1) as f32);
            let runs = self.runs.iter().filter(|run| run.name.as_ref().is_none_or(|of| of == name));
            let often = runs.map(|run| changes.a_second(run)).chain(again).fold(0.0, f32::max);
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
}

/// What a rule says of its animations, as CSS has it: a list a property, those that are shorter over and over again.
#[derive(Default)]
struct Lists {
    /// Absent where a name cannot be told.
    names: Vec<Option<String>>,
    ms: Vec<f32>,
    times: Vec<Option<f32>>,
    alternate: Vec<bool>,
}

impl Lists {
    fn of(declared: &[(usize, Declaration<'_>)]) -> Result<Lists, usize> {
        let mut lists = Lists::default();
        let entries = |value| split(value, |character| character == ',');
        // What is important holds whatever stands behind it.
        for important in [false, true] {
            for (at, declaration) in declared.iter().filter(|(_, declaration)| declaration.important == important) {
                let value = declaration.value;
                match declaration.property.trim_start_matches("-webkit-") {
                    // All of them anew.
                    "animation" => {
                        lists = Lists::default();
                        entries(value).try_for_each(|entry| lists.push(entry).ok_or(*at))?;
                    }
                    "animation-name" => lists.names = entries(value).map(named).collect(),
                    "animation-duration" => {
                        let ms: Option<_> = entries(value).map(milliseconds).collect();
                        lists.ms = ms.ok_or(*at)?;
                    }
                    "animation-iteration-count" => {
                        lists.times = entries(value).map(|entry| entry.parse().ok()).collect()
                    }
                    "animation-direction" => {
                        lists.alternate = entries(value).map(|entry| entry.starts_with("alternate")).collect();
                    }
                    _ => {}
                }
            }
        }
        Ok(lists)
    }

    /// One entry of `animation`; nothing where its duration cannot be read. Which of its words is the name cannot be told from the
    /// keywords without a list of them; a name that is not the keyframes' does no harm.
    fn push(&mut self, entry: &str) -> Option<()> {
        let (mut name, mut ms, mut times) = (None, None, None);
        for word in split(entry, char::is_whitespace) {
            if let Some(time) = milliseconds(word) {
                // The second is the delay.
                ms = ms.or(Some(time));
            } else if let Some((function, _)) = word.split_once('(') {
                // Behind the duration another can only be something else.
                if ms.is_none() && !EASINGS.contains(&function) {
                    return None;
                }
            } else if let Ok(number) = word.parse() {
                times = Some(number);
            } else if !is_keyword(word) {
                name = name.or_else(|| named(word));
            }
        }
        self.names.push(name);
        self.ms.push(ms.unwrap_or(0.0));
        self.times.push(times);
        self.alternate.push(split(entry, char::is_whitespace).any(|word| word.starts_with("alternate")));
        Some(())
    }

    fn runs(self) -> impl Iterator<Item = Run> {
        fn nth<T: Clone>(list: &[T], n: usize) -> Option<T> {
            list.get(n % list.len().max(1)).cloned()
        }
        // A rule without names gives its durations to whatever runs.
        let count = if self.names.is_empty() { self.ms.len() } else { self.names.len() };
        (0..count).filter_map(move |n| {
            let (name, times) = (nth(&self.names, n).flatten(), nth(&self.times, n).flatten());
            Some(Run { name, ms: nth(&self.ms, n)?, times, alternate: nth(&self.alternate, n).unwrap_or_default() })
        })
    }
}

/// The name of keyframes; nothing for one that a variable holds.
fn named(text: &str) -> Option<String> {
    (!text.contains('(')).then(|| text.to_owned())
}

fn is_keyword(word: &str) -> bool {
    let known =
        ["infinite", "normal", "reverse", "none", "forwards", "backwards", "both", "linear", "running", "paused"];
    known.contains(&word) || ["ease", "step-", "alternate"].iter().any(|begins| word.starts_with(begins))
}

/// How the properties that make things bright or dark go from stop to stop; the one that changes most counts.
fn changes(body: &str) -> Changes {
    let mut stops: Vec<(f32, Vec<(String, String)>)> = vec![];
    for Part { head, body, .. } in parts(body) {
        let Some((_, body)) = body else { continue };
        let declared = parts(body);
        let declared: Vec<(String, String)> = declared
            .iter()
            .filter_map(|part| Declaration::parse(part.head))
            .filter(|declaration| BRIGHT.iter().any(|bright| declaration.property.starts_with(bright)))
            .filter(|declaration| !MOVING.contains(&declaration.property))
            .map(|declaration| (declaration.property.to_owned(), declaration.value.to_owned()))
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
    let css = plain(css);
    let is = |at: &usize| {
        css[at + "keyframes".len()..]
            .trim_start()
            .strip_prefix(name)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_'))
    };
    css.match_indices("keyframes").map(|(at, _)| at).find(is)
}

fn milliseconds(text: &str) -> Option<f32> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => text.strip_suffix('s').map_or((text, 0.0), |number| (number, 1000.0)),
    };
    // Words that Rust takes for numbers: inf, nan.
    let number: f32 = number.parse().ok().filter(|_| !number.starts_with(char::is_alphabetic))?;
    let time = number * unit;
    // Nothing else goes without a unit.
    ((unit > 0.0 || number == 0.0) && time.is_finite()).then_some(time)
}

const UNREAD: &str =
    "how often this flashes cannot be read: write the animation's duration as a number, as in 2s or 400ms";
/// Functions in an `animation` that say nothing of its duration.
const EASINGS: [&str; 3] = ["cubic-bezier", "linear", "steps"];
const MOST: f32 = 3.0;
/// Properties that make things brighter or darker, by how they begin.
const BRIGHT: [&str; 6] = ["opacity", "background", "color", "filter", "visibility", "box-shadow"];
/// Properties of those names that only move something.
const MOVING: [&str; 4] = ["background-position", "background-position-x", "background-position-y", "background-size"];

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(css: &str) -> Result<Sheet, usize> {
        let mut sheet = Sheet::default();
        sheet.read(&plain(css), 0).map(|()| sheet)
    }

    fn flashing_in(css: &str, ms: u32) -> Vec<String> {
        let flashing = sheet(css).ok().unwrap().flashing(Film { ms, fps: 15 });
        flashing.into_iter().map(|(name, _)| name).collect()
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
            "animation: blink 100ms infinite; animation-duration: 2s",
            "animation: blink 100ms infinite; animation-iteration-count: 3",
            "animation: blink .1s; animation: blink 2s",
            "animation: blink 2s 100ms infinite",
            "animation: blink 2s var(--ease) infinite",
            "animation: steps(2, end) 2s blink, cubic-bezier(0, .1s, 1, 1) 1s blink",
            "animation: blink 0 infinite; animation-delay: 10ms",
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
            "ANIMATION: Blink 200MS Infinite",
            "animation: 'blink' 100ms 0 infinite",
            "animation: blink 100ms 2; animation-iteration-count: infinite",
            "animation: blink 2s; animation-duration: 100ms",
            "animation-duration: 100ms !important; animation: blink 2s infinite",
            "animation: calm 1s, blink 1s; animation-duration: 1s, 100ms",
            "animation: cubic-bezier(0, 0, 1, 1) 100ms blink infinite",
            "animation: 100ms var(--name)",
            "color: red; &.b { animation: blink 100ms infinite }",
            "content: '}'; animation: blink 100ms infinite",
            "} .c { animation: blink 100ms infinite",
        ] {
            assert_eq!(blink(wild), ["blink"], "{wild}");
        }
    }

    #[test]
    fn a_duration_that_cannot_be_read_is_told_by_its_place() {
        for unread in [
            "animation: blink var(--beat) infinite",
            "animation: blink calc(1s / 10) infinite",
            "animation: var(--all)",
            "animation: calm 2s, blink min(1s, 2s)",
            "Animation-Duration: VAR(--beat)",
            "animation-name: blink; animation-duration: 1s, calc(100ms)",
            "animation-duration: inherit",
        ] {
            let css = format!("/* \u{e4} */ .a {{ color: red; {unread} }}");
            let at = css.to_ascii_lowercase().rfind("animation").unwrap();
            assert_eq!(sheet(&css).err(), Some(at), "{unread}");
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
            "animation: (; animation-duration: ,",
            "@keyframes \\",
        ] {
            drop(sheet(css).map(|sheet| sheet.flashing(Film { ms: 10, fps: 15 })));
            keyframes_at(css, "a");
        }
    }
}
