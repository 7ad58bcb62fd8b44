//! Templates: HTML with the layer's values in it, and the CSS that dresses it.
//!
//! A template is one file. Its `<style>` is CSS as it stands, read once; the rest is minijinja over the layer's values,
//! HTML-escaped. Values never reach CSS. A template sees its values and nothing else: no files, no addresses.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use takumi::prelude::StyleSheet;

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
            let template = Template::parse(&mut templates.environment, &file, format!("built-in/{name}"), source.into())?;
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
        Ok(String::from_utf8_lossy(&html.bytes).into_owned())
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
        let template = Template { key, sheet: Arc::new(sheet), css, source: source.clone() };
        environment
            .add_template_owned(template.key.clone(), markup)
            .map_err(|error| with_file(file, &error))?;
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

const BUILT_IN: [(&str, &str); 3] = [
    ("card", include_str!("templates/card.html")),
    ("countdown", include_str!("templates/countdown.html")),
    ("starting_soon", include_str!("templates/starting_soon.html")),
];

/// Bytes of a template file.
const MOST_SOURCE: u64 = 256 << 10;
/// Bytes of HTML that a template may make.
const MOST_OUTPUT: usize = 64 << 10;
/// Steps that a template may take (a step is about an instruction); the built-in ones take some hundreds.
const FUEL: u64 = 100_000;
