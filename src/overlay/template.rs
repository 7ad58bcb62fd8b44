//! Templates: HTML with the layer's values in it, and the CSS that dresses it.
//!
//! A template is one file. Its `<style>` is CSS as it stands, read once; the rest is minijinja over the layer's values,
//! HTML-escaped. Values never reach CSS. A template sees its values and nothing else: no files, no addresses.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, escape_formatter};
use takumi::prelude::StyleSheet;

use super::bidi::{isolated, outside_of_tags};

/// Every template by name: the built-in ones, and a folder's, which go before them.
pub struct Templates {
    own: BTreeMap<String, Template>,
    built_in: BTreeMap<String, Template>,
    environment: Environment<'static>,
}

/// One template, checked.
pub struct Template {
    /// What its environment calls it; tells a folder's from the built-in one.
    key: String,
    /// The whole file: what a raster of it depends on.
    pub source: String,
    pub sheet: Arc<StyleSheet>,
    pub css: String,
    /// Whether a part of its page can be painted alone: nothing in it asks for the viewport, which then is the part.
    pub croppable: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("{}:{line}: {reason}", file.display())]
    Invalid { file: PathBuf, line: usize, reason: String },
    #[error("{}: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("there is no template {name:?}; there are: {}", known.join(", "))]
    Unknown { name: String, known: Vec<String> },
}

impl Templates {
    /// Reads the built-in templates and every `*.html` of a folder. What is wrong in the folder's is returned beside them; the
    /// built-in template of that name then stays.
    pub fn read(folder: Option<&Path>) -> Result<(Templates, Vec<TemplateError>), TemplateError> {
        let mut templates = Templates { own: BTreeMap::new(), built_in: BTreeMap::new(), environment: environment() };
        for (name, source) in BUILT_IN {
            let file = PathBuf::from(format!("{name}.html"));
            let template =
                Template::parse(&mut templates.environment, &file, format!("built-in/{name}"), source.into())?;
            templates.built_in.insert(name.into(), template);
        }
        let mut wrong = vec![];
        for file in folder.map(html_files).transpose()?.unwrap_or_default() {
            match Template::open(&mut templates.environment, &file) {
                Ok((name, template)) => drop(templates.own.insert(name, template)),
                Err(error) => wrong.push(error),
            }
        }
        Ok((templates, wrong))
    }

    /// A folder's template before the built-in one.
    pub fn get(&self, name: &str) -> Result<&Template, TemplateError> {
        self.own.get(name).or_else(|| self.built_in.get(name)).ok_or_else(|| {
            let mut known: Vec<String> = self.own.keys().chain(self.built_in.keys()).cloned().collect();
            known.sort();
            known.dedup();
            TemplateError::Unknown { name: name.to_owned(), known }
        })
    }

    /// The built-in template that a folder's one stands before.
    pub fn behind(&self, name: &str) -> Option<&Template> {
        self.own.contains_key(name).then(|| self.built_in.get(name)).flatten()
    }

    /// The template's HTML with the values in it.
    pub fn render(&self, template: &Template, values: &Value) -> Result<String, TemplateError> {
        let compiled = self.environment.get_template(&template.key).map_err(|error| template.invalid(&error))?;
        let mut html = Capped { bytes: Vec::new() };
        compiled.render_captured_to(values.clone(), &mut html).map_err(|error| template.invalid(&error))?;
        Ok(outside_of_tags(String::from_utf8_lossy(&html.bytes).into_owned()))
    }
}

impl Template {
    fn open(environment: &mut Environment<'static>, file: &Path) -> Result<(String, Template), TemplateError> {
        let unreadable = |source| TemplateError::Unreadable { file: file.to_owned(), source };
        let len = fs::metadata(file).map_err(unreadable)?.len();
        if len > MOST_SOURCE {
            let reason = format!("{len} bytes long; a template may have {MOST_SOURCE}");
            return Err(TemplateError::Invalid { file: file.to_owned(), line: 1, reason });
        }
        let source = fs::read_to_string(file).map_err(unreadable)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, Template::parse(environment, file, file.display().to_string(), source)?))
    }

    fn parse(
        environment: &mut Environment<'static>,
        file: &Path,
        key: String,
        source: String,
    ) -> Result<Template, TemplateError> {
        let invalid = |at: usize, reason: String| TemplateError::Invalid {
            file: file.to_owned(),
            line: source[..at].matches('\n').count() + 1,
            reason,
        };
        let (markup, css, css_at) = take_style(&source).map_err(|(at, reason)| invalid(at, reason.to_owned()))?;
        if let Some(at) = css.find("{{").or_else(|| css.find("{%")) {
            return Err(invalid(css_at + at, "values cannot stand in <style>".to_owned()));
        }
        if let Some(at) = source.find("url(") {
            return Err(invalid(at, "url() has nothing to load: templates see no files and no addresses".to_owned()));
        }
        if let Some(at) = styled_by_value(&markup) {
            return Err(invalid(at, "values cannot stand in a style attribute".to_owned()));
        }
        let sheet = StyleSheet::parse(&css).map_err(|error| {
            let at = error.context.as_deref().and_then(|context| css.find(context)).unwrap_or(0);
            let context: String = error.context.as_deref().unwrap_or_default().trim().chars().take(60).collect();
            invalid(css_at + at, format!("CSS near {context:?}: {}", error.kind))
        })?;
        let croppable = !source.contains("@media") && !source.contains("fixed");
        let template = Template { key, sheet: Arc::new(sheet), css, source: source.clone(), croppable };
        environment.add_template_owned(template.key.clone(), markup).map_err(|error| with_file(file, &error))?;
        Ok(template)
    }

    fn invalid(&self, error: &minijinja::Error) -> TemplateError {
        with_file(Path::new(&self.key), error)
    }
}

fn with_file(file: &Path, error: &minijinja::Error) -> TemplateError {
    let reason = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    TemplateError::Invalid { file: file.to_owned(), line: error.line().unwrap_or(1), reason }
}

fn environment() -> Environment<'static> {
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
    environment
}

fn html_files(folder: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let unreadable = |source| TemplateError::Unreadable { file: folder.to_owned(), source };
    let mut files = vec![];
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "html") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Takes the `<style>` elements out: what stays (their lines left empty, so that line numbers hold), the CSS, and where
/// the CSS begins.
fn take_style(source: &str) -> Result<(String, String, usize), (usize, &'static str)> {
    let Some(open) = source.find("<style>") else {
        return Ok((source.to_owned(), String::new(), 0));
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
        let value = &markup[at + found.len()..];
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let value = match quote {
            Some(quote) => value[1..].split(quote).next().unwrap_or_default(),
            None => value.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default(),
        };
        (value.contains("{{") || value.contains("{%")).then_some(at)
    })
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

const BUILT_IN: [(&str, &str); 4] = [
    ("card", include_str!("templates/card.html")),
    ("countdown", include_str!("templates/countdown.html")),
    ("slate", include_str!("templates/slate.html")),
    ("starting_soon", include_str!("templates/starting_soon.html")),
];

/// Bytes of a template file.
const MOST_SOURCE: u64 = 256 << 10;
/// Bytes of HTML that a template may make.
const MOST_OUTPUT: usize = 64 << 10;
/// Steps that a template may take (a step is about an instruction); the built-in ones take some hundreds.
const FUEL: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
        folder
    }

    fn read(files: &[(&str, &str)]) -> (Templates, Vec<String>) {
        let folder = folder(files);
        let (templates, wrong) = Templates::read(Some(folder.path())).unwrap();
        let root = format!("{}/", folder.path().display());
        (templates, wrong.iter().map(|wrong| wrong.to_string().replace(&root, "")).collect())
    }

    fn render(source: &str, values: Value) -> Result<String, String> {
        let (templates, wrong) = read(&[("t.html", source)]);
        assert!(wrong.is_empty(), "{wrong:?}");
        templates.render(templates.get("t").unwrap(), &values).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_escaped() {
        let html = render("<b>{{ title }}</b>", context! { title => "<script>&\"'", dir => "ltr" }).unwrap();
        assert_eq!(html, "<b>&lt;script&gt;&amp;&quot;&#x27;</b>");
    }

    #[test]
    fn values_of_any_script_are_isolated_but_not_in_tags() {
        let source = "<b id='{{ id }}'>{{ title }}</b>{% for price in prices %}{{ price }}{% endfor %}{{ count }}";
        let prices = ["24,90\u{A0}€", "$9"];
        let values = context! { id => "é", title => "أحمر & <b>", prices => prices, count => 3, dir => "ltr" };
        let html = render(source, values).unwrap();
        assert_eq!(html, "<b id='é'>\u{2068}أحمر &amp; &lt;b&gt;\u{2069}</b>\u{2068}24,90\u{A0}€\u{2069}$93");
        let html = render("{{ price }}", context! { price => "-60%", dir => "rtl" }).unwrap();
        assert_eq!(html, "\u{2068}-60%\u{2069}");
    }

    #[test]
    fn a_folders_template_goes_before_the_built_in_one() {
        let (templates, wrong) = read(&[("card.html", "mine"), ("ticker.html", "new"), ("notes.txt", "{{")]);
        assert!(wrong.is_empty());
        assert_eq!(templates.get("card").unwrap().source, "mine");
        assert!(templates.behind("card").is_some());
        assert_eq!(templates.get("ticker").unwrap().source, "new");
        assert!(templates.behind("countdown").is_none());
    }

    #[test]
    fn what_is_wrong_is_told_by_file_and_line_and_the_built_in_stays() {
        let (templates, wrong) = read(&[
            ("card.html", "<p>\n\n{% if %}</p>"),
            ("countdown.html", "<p>x</p>\n<style>\n.a { color: red; }\n.b { color: nonsense(; }\n</style>"),
            ("values.html", "<style>\n.a { color: {{ colour }}; }\n</style>"),
            ("styled.html", "<p>\n<b style='left: {{ x }}px'></b>"),
            ("remote.html", "<style>\n\n.a { background: url(http://x/y.png); }</style>"),
            ("open.html", "\n<style>"),
        ]);
        let of = |name: &str| wrong.iter().find(|wrong| wrong.starts_with(name)).cloned().unwrap_or_default();
        assert!(of("card.html").starts_with("card.html:3: syntax error"), "{wrong:?}");
        assert!(of("countdown.html").starts_with("countdown.html:4: CSS near"), "{wrong:?}");
        assert_eq!(of("values.html"), "values.html:2: values cannot stand in <style>");
        assert_eq!(of("styled.html"), "styled.html:2: values cannot stand in a style attribute");
        assert!(of("remote.html").starts_with("remote.html:3: url() has nothing to load"), "{wrong:?}");
        assert_eq!(of("open.html"), "open.html:2: <style> is never closed");
        assert_eq!(templates.get("card").unwrap().source, BUILT_IN[0].1);
        let unknown = templates.get("values").err().unwrap().to_string();
        assert_eq!(unknown, r#"there is no template "values"; there are: card, countdown, slate, starting_soon"#);
    }

    #[test]
    fn lines_are_counted_past_the_style() {
        let error = render("<style>\n.a { color: red }\n</style>\n<p>{{ missing }}</p>", context! {}).unwrap_err();
        assert!(error.contains("t.html:4: undefined value"), "{error}");
    }

    #[test]
    fn endless_templates_are_stopped() {
        let long = render("{% for a in range(99999) %}x{% endfor %}", context! {}).unwrap_err();
        assert!(long.contains("fuel"), "{long}");
        let large = render("{{ title }}", context! { title => "x".repeat(MOST_OUTPUT + 1) }).unwrap_err();
        assert!(large.contains("t.html"), "{large}");
    }

    #[test]
    fn templates_reach_no_files() {
        let error = render("{% include '/etc/passwd' %}", context! {}).unwrap_err();
        assert!(error.contains("not found"), "{error}");
    }
}
