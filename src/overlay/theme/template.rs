//! A template: HTML with the layer's values in it, and the CSS that dresses it.
//!
//! A template is one file. Its `<style>` is CSS as it stands, read once; the rest is minijinja over the layer's values,
//! HTML-escaped. Values never reach CSS. A template sees its values and nothing else: no files, no addresses.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, escape_formatter};
use takumi::prelude::StyleSheet;

use super::problem::{ThemeError, line_at};
use super::sheet::{MOST_DEPTH, too_deep};
use crate::overlay::bidi::{isolated, outside_of_tags};
use crate::overlay::html::{self, HtmlError};
use crate::overlay::reach::Reach;

/// A template as a theme uses it: dressed by its own style, and by the `theme.css` of every theme from its own to that one.
#[derive(Debug)]
pub struct Template {
    markup: Arc<Markup>,
    /// Everything that a raster of it depends on, but for the values.
    pub source: String,
    pub sheet: Arc<StyleSheet>,
    pub css: String,
    /// Whether a part of its page can be painted alone: nothing in it asks for the viewport, which then is the part.
    pub croppable: bool,
    pub(in crate::overlay) reach: Reach,
    /// By which its landmarks are found, once they were asked for.
    landmark_sheet: OnceLock<Arc<StyleSheet>>,
}

/// A template's file, checked.
#[derive(Debug)]
pub(super) struct Markup {
    pub(super) file: PathBuf,
    /// The whole file.
    pub(super) source: String,
    /// The file without its style, whose lines are left empty.
    pub(super) html: String,
    /// What is in its `<style>`, and where that begins in the file.
    pub(super) css: String,
    pub(super) css_at: usize,
    /// Holds this template alone.
    environment: Environment<'static>,
}

impl Template {
    /// Dresses markup. `theme_css` was checked by [`check_css`], here and below.
    pub(super) fn new(markup: Arc<Markup>, theme_css: &str) -> Result<Template, ThemeError> {
        let (source, css) = (markup.source.clone(), format!("{}\n{}", fills(), markup.css));
        Template::dressed(markup, source, css, theme_css)
    }

    /// The same markup, dressed by one more theme.
    pub(super) fn with(&self, theme_css: &str) -> Result<Template, ThemeError> {
        Template::dressed(self.markup.clone(), self.source.clone(), self.css.clone(), theme_css)
    }

    fn dressed(markup: Arc<Markup>, source: String, css: String, theme_css: &str) -> Result<Template, ThemeError> {
        let (source, css) = (format!("{source}\n{theme_css}"), format!("{css}\n{theme_css}"));
        let sheet = StyleSheet::parse(&css).map_err(|error| {
            ThemeError::at(&markup.file, 1, format!("with theme.css its CSS fails: {}", error.kind))
        })?;
        let croppable = !source.contains("@media") && !source.contains("fixed");
        Ok(Template {
            markup,
            source,
            sheet: Arc::new(sheet),
            css,
            croppable,
            reach: Reach::default(),
            landmark_sheet: OnceLock::new(),
        })
    }

    /// Its HTML with the values in it.
    pub fn render(&self, values: &Value) -> Result<String, ThemeError> {
        self.markup.render(values)
    }

    /// See [`html::landmark_sheet`].
    pub(in crate::overlay) fn landmark_sheet(&self) -> Result<&Arc<StyleSheet>, HtmlError> {
        match self.landmark_sheet.get() {
            Some(sheet) => Ok(sheet),
            None => {
                let sheet = html::landmark_sheet(&self.css)?;
                Ok(self.landmark_sheet.get_or_init(|| sheet))
            }
        }
    }

    pub(super) fn markup(&self) -> &Arc<Markup> {
        &self.markup
    }
}

impl Markup {
    pub(super) fn parse(file: PathBuf, source: String) -> Result<Markup, ThemeError> {
        let (html, css, css_at) =
            take_style(&source).map_err(|(at, reason)| ThemeError::at(&file, line_at(&source, at), reason))?;
        if let Some((at, reason)) = reaching_out(&source) {
            return Err(ThemeError::at(&file, line_at(&source, at), reason));
        }
        if let Some(at) = styled_by_value(&html) {
            return Err(ThemeError::at(&file, line_at(&html, at), "values cannot stand in a style attribute"));
        }
        if let Some(at) = styles(&html).find_map(|(at, style)| Some(at + too_deep(style)?)) {
            return Err(ThemeError::at(&file, line_at(&html, at), nests()));
        }
        if let Some(at) = css.find("{{").or_else(|| css.find("{%")) {
            return Err(ThemeError::at(&file, line_at(&source, css_at + at), "values cannot stand in <style>"));
        }
        check_css(&file, &source, css_at, &css)?;
        let environment = environment(&file, &html)?;
        Ok(Markup { file, source, html, css, css_at, environment })
    }

    fn render(&self, values: &Value) -> Result<String, ThemeError> {
        render(&self.environment, &self.file, values)
    }

    /// The HTML with the values in it, each element with the line of its tag as `data-line`.
    pub(super) fn render_with_lines(&self, values: &Value) -> Result<String, ThemeError> {
        let environment = environment(&self.file, &with_lines(&self.html))?;
        render(&environment, &self.file, values)
    }
}

/// `fill-0` to `fill-100`: widths in percent, as values stand neither in CSS nor in style attributes.
fn fills() -> &'static str {
    static FILLS: LazyLock<String> =
        LazyLock::new(|| (0..=100).map(|percent| format!(".fill-{percent}{{width:{percent}%}}\n")).collect());
    &FILLS
}

/// Checks CSS that stands at `at` in a file.
pub(super) fn check_css(file: &Path, source: &str, at: usize, css: &str) -> Result<(), ThemeError> {
    // Before anything else: every level takes of the stack of whatever reads it.
    let deep = too_deep(css).map(|found| (found, nests()));
    let imported = css.find("@import").map(|found| (found, "@import has nothing to load".to_owned()));
    let parsed = || {
        let error = StyleSheet::parse(css).err()?;
        let context = error.context.as_deref().unwrap_or_default();
        let found = css.find(context).unwrap_or(0);
        let context: String = context.trim().chars().take(60).collect();
        Some((found, format!("CSS near {context:?}: {}", error.kind)))
    };
    match deep.or(imported).or_else(parsed) {
        Some((found, reason)) => Err(ThemeError::at(file, line_at(source, at + found), reason)),
        None => Ok(()),
    }
}

fn nests() -> String {
    format!("CSS may nest {MOST_DEPTH} deep, in blocks and brackets")
}

/// Where CSS or markup names something to load, or a template lets values through as markup.
pub(super) fn reaching_out(source: &str) -> Option<(usize, String)> {
    const NO_FILES: &str = "a theme sees its own folder only, and a template no file at all";
    let lower = source.to_ascii_lowercase();
    let plain = [
        ("url(", "url() has nothing to load"),
        ("<link", "<link> has nothing to load"),
        ("<script", "scripts do not run"),
        ("../", "../ leads out of the theme"),
    ];
    let tag = |(at, _): (usize, &str)| {
        let words = lower[at + 2..].trim_start_matches(['-', '+']).trim_start();
        let is = |word: &&str| {
            words.strip_prefix(*word).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        if is(&"autoescape") {
            return Some((at, "{% autoescape %} is not a template's to say: values are text, never markup".to_owned()));
        }
        let loads = ["include", "import", "from", "extends"].into_iter().find(is);
        loads.map(|word| (at, format!("{{% {word} %}} has nothing to load: {NO_FILES}")))
    };
    let src = |(at, found): (usize, &str)| {
        let named = attribute(&source[at + found.len()..]);
        let outside = !named.contains("{{") && named.contains(['/', '\\', ':', '.']);
        outside.then(|| {
            (at, format!("src={named:?} has nothing to load: name a picture of the layer, as in src=\"photo\""))
        })
    };
    let plain = plain.into_iter().filter_map(|(found, why)| Some((lower.find(found)?, format!("{why}: {NO_FILES}"))));
    let tags = lower.match_indices("{%").filter_map(tag);
    plain.chain(tags).chain(lower.match_indices("src=").filter_map(src)).min_by_key(|(at, _)| *at)
}

/// The lines of opening tags as an attribute of theirs: `<div data-line="3"`. Tags are looked for outside of minijinja's marks.
fn with_lines(html: &str) -> String {
    let mut out = String::with_capacity(html.len() * 2);
    let (mut rest, mut line) = (html, 1);
    while let Some(at) = rest.find(['<', '{', '\n']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let marks = [("{{", "}}"), ("{%", "%}"), ("{#", "#}"), ("<!--", "-->")];
        let mark = marks.into_iter().find(|(open, _)| rest.starts_with(open));
        let name = rest[1..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'-').count();
        let taken = match mark {
            Some((_, close)) => rest.find(close).map_or(rest.len(), |end| end + close.len()),
            None if rest.starts_with('<') && rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) => name + 1,
            None => 1,
        };
        out.push_str(&rest[..taken]);
        if mark.is_none() && taken > 1 {
            out.push_str(&format!(" data-line=\"{line}\""));
        }
        line += rest[..taken].matches('\n').count();
        rest = &rest[taken..];
    }
    out + rest
}

fn environment(file: &Path, html: &str) -> Result<Environment<'static>, ThemeError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(|out, state, value| {
        // What is safe is markup: a macro's. Its values were isolated within.
        let text = value.as_str().filter(|_| !value.is_safe());
        // A macro sees no `dir`: what is unknown may run either way.
        let ltr = || state.lookup("dir").is_some_and(|dir| dir.as_str() == Some("ltr"));
        match text.map(|text| isolated(text, ltr())) {
            Some(Cow::Owned(isolated)) => escape_formatter(out, state, &isolated.into()),
            _ => escape_formatter(out, state, value),
        }
    });
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(20);
    environment.remove_filter("safe");
    environment.add_template_owned(NAME, html.to_owned()).map_err(|error| in_file(file, &error))?;
    Ok(environment)
}

fn render(environment: &Environment<'_>, file: &Path, values: &Value) -> Result<String, ThemeError> {
    let compiled = environment.get_template(NAME).map_err(|error| in_file(file, &error))?;
    let mut html = Capped { bytes: Vec::new() };
    compiled.render_captured_to(values.clone(), &mut html).map_err(|error| in_file(file, &error))?;
    Ok(outside_of_tags(String::from_utf8_lossy(&html.bytes).into_owned()))
}

fn in_file(file: &Path, error: &minijinja::Error) -> ThemeError {
    let reason = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    ThemeError::at(file, error.line().unwrap_or(1), reason)
}

/// Takes the `<style>` element out: what stays (its lines left empty, so that line numbers hold), the CSS, and where
/// the CSS begins.
fn take_style(source: &str) -> Result<(String, String, usize), (usize, &'static str)> {
    let Some(open) = source.find("<style>") else {
        return match source.find("<style") {
            Some(at) => Err((at, "<style> takes no attributes")),
            None => Ok((source.to_owned(), String::new(), 0)),
        };
    };
    let begin = open + "<style>".len();
    let len = source[begin..].find("</style>").ok_or((open, "<style> is never closed"))?;
    let css = source[begin..begin + len].to_owned();
    let rest = &source[begin + len + "</style>".len()..];
    if let Some(second) = rest.find("<style") {
        return Err((source.len() - rest.len() + second, "a template has one <style>"));
    }
    let markup = format!("{}{}{rest}", &source[..open], "\n".repeat(css.matches('\n').count()));
    Ok((markup, css, begin))
}

/// Where a `style` attribute holds a template expression. Finds it by its quotes; the markup need not be well-formed.
fn styled_by_value(markup: &str) -> Option<usize> {
    markup.match_indices("style=").find_map(|(at, found)| {
        let value = attribute(&markup[at + found.len()..]);
        (value.contains("{{") || value.contains("{%")).then_some(at)
    })
}

/// What stands in `style` attributes, and where.
pub(super) fn styles(markup: &str) -> impl Iterator<Item = (usize, &str)> {
    let lower = markup.to_ascii_lowercase();
    let found: Vec<usize> = lower.match_indices("style=").map(|(at, found)| at + found.len()).collect();
    found.into_iter().map(|at| {
        let quote = usize::from(markup[at..].starts_with(['"', '\'']));
        (at + quote, attribute(&markup[at..]))
    })
}

/// An attribute's value, from behind its `=`.
fn attribute(text: &str) -> &str {
    match text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        Some(quote) => text[1..].split(quote).next().unwrap_or_default(),
        None => text.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default(),
    }
}

/// Output that stops growing at [`MOST_OUTPUT`].
struct Capped {
    bytes: Vec<u8>,
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MOST_OUTPUT {
            return Err(io::Error::other(format!("the template made more than {MOST_OUTPUT} bytes of HTML")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the one template of an environment is called there.
const NAME: &str = "layer";
/// Bytes of HTML that a template may make.
const MOST_OUTPUT: usize = 64 << 10;
/// Steps that a template may take (a step is about an instruction); the built-in ones take some hundreds.
const FUEL: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    fn parse(source: &str) -> Result<Template, String> {
        let markup = Markup::parse("t/card.html".into(), source.to_owned()).map_err(|error| error.to_string())?;
        Template::new(Arc::new(markup), "").map_err(|error| error.to_string())
    }

    fn render(source: &str, values: Value) -> Result<String, String> {
        parse(source)?.render(&values).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_escaped() {
        let html = render("<b>{{ title }}</b>", context! { title => "<script>&\"'", dir => "ltr" }).unwrap();
        assert_eq!(html, "<b>&lt;script&gt;&amp;&quot;&#x27;</b>");
    }

    #[test]
    fn what_is_wrong_is_told_by_file_and_line() {
        for (source, why) in [
            ("<p>\n\n{% if %}</p>", "t/card.html:3: syntax error"),
            ("<p>x</p>\n<style>\n.a { color: red; }\n.b { color: nonsense(; }\n</style>", "t/card.html:4: CSS near"),
            ("<style>\n.a { color: {{ colour }}; }\n</style>", "t/card.html:2: values cannot stand in <style>"),
            ("<style>\n</style><p>ü\n<b style='left: {{ x }}px'></b>", "t/card.html:3: values cannot stand in a style"),
            ("<style>\n\n.a { background: URL(http://x/y.png); }</style>", "t/card.html:3: url() has nothing to load"),
            ("\n<style>", "t/card.html:2: <style> is never closed"),
            ("\n\n<style></style><style></style>", "t/card.html:3: a template has one <style>"),
            ("<style media=print></style>", "t/card.html:1: <style> takes no attributes"),
            ("\n{%- include '/etc/passwd' %}", "t/card.html:2: {% include %} has nothing to load"),
            ("\n\n{% import 'x' as y %}", "t/card.html:3: {% import %} has nothing to load"),
            ("\n{% autoescape false %}{{ x }}{% endautoescape %}", "t/card.html:2: {% autoescape %} is not"),
            ("{%-   autoescape none -%}{{ x }}{% endautoescape %}", "t/card.html:1: {% autoescape %} is not"),
            ("{%+\nautoescape 'none' %}", "t/card.html:1: {% autoescape %} is not"),
            ("<p>\n<img src=\"/etc/logo.png\">", "t/card.html:2: src=\"/etc/logo.png\" has nothing to load"),
            ("<img alt=x\nsrc=logo.png>", "t/card.html:2: src=\"logo.png\" has nothing to load"),
            ("<b>\n</b><a href='../x'>", "t/card.html:2: ../ leads out of the theme"),
            ("<style>@import 'x';</style>", "t/card.html:1: @import has nothing to load"),
        ] {
            let error = parse(source).map(drop).unwrap_err();
            assert!(error.starts_with(why), "{source:?}: {error}");
        }
        assert!(parse("<img src=\"photo\"><img src=\"{{ item.image }}\">{% set from = 1 %}{{ from }}").is_ok());
    }

    #[test]
    fn styles_are_found_where_they_stand() {
        let markup = "<b style=\"\u{e4}: 1\"><i STYLE='a: 2'><u style=b:3>";
        let found: Vec<_> = styles(markup).collect();
        assert_eq!(found.iter().map(|(_, style)| *style).collect::<Vec<_>>(), ["\u{e4}: 1", "a: 2", "b:3"]);
        assert!(found.iter().all(|(at, style)| markup[*at..].starts_with(style)));
        let deep = format!("<b style=\"\u{e4}{}\">", "(".repeat(17));
        assert!(parse(&deep).is_err_and(|error| error.starts_with("t/card.html:1: CSS may nest 16 deep")));
    }

    #[test]
    fn lines_are_counted_past_the_style() {
        let error = render("<style>\n.a { color: red }\n</style>\n<p>{{ missing }}</p>", context! {}).unwrap_err();
        assert!(error.contains("t/card.html:4: undefined value"), "{error}");
    }

    #[test]
    fn endless_templates_are_stopped() {
        let long = render("{% for a in range(99999) %}x{% endfor %}", context! {}).unwrap_err();
        assert!(long.contains("fuel"), "{long}");
        let large = render("{{ title }}", context! { title => "x".repeat(MOST_OUTPUT + 1) }).unwrap_err();
        assert!(large.contains("t/card.html"), "{large}");
        let deep = render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", context! {}).unwrap_err();
        assert!(deep.contains("t/card.html"), "{deep}");
    }

    #[test]
    fn tags_carry_their_lines() {
        let lines = with_lines("<p>{# <i> #}\n<b\nclass=\"{% if a < b %}x{% endif %}\">{{ '<u>' }}\n</b><br> 1<2");
        let wanted = "<p data-line=\"1\">{# <i> #}\n<b data-line=\"2\"\nclass=\"{% if a < b %}x{% endif %}\">{{ '<u>' }}\n</b><br data-line=\"4\"> 1<2";
        assert_eq!(lines, wanted);
    }
}
