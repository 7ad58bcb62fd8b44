//! Environment variables as configuration keys: `HAWKER_LISTEN__HTTP` is `listen.http`, `HAWKER_SHOW__0__ID` the first
//! show's `id`.

use toml::{Table, Value};

use super::Error;

/// Writes every variable that names a key of ours over `table`. A variable whose first part is no key of ours is left alone:
/// orchestrators put their own (`HAWKER_SERVICE_HOST`) beside them.
pub(super) fn overlay(table: &mut Table, environment: impl IntoIterator<Item = (String, String)>) -> Result<(), Error> {
    let mut ours: Vec<(String, String)> =
        environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    // Shows are appended in the order of their numbers, and a process's environment has no order.
    ours.sort();
    for (name, text) in ours {
        let lower = name[PREFIX.len()..].to_ascii_lowercase();
        let path: Vec<&str> = lower.split("__").collect();
        match path[..] {
            [key @ ("data_dir" | "admin_token" | "themes" | "fonts" | "compositor")] => {
                table.insert(key.to_owned(), Value::String(text));
            }
            ["public_ip"] => {
                table.insert("public_ip".to_owned(), list(&text));
            }
            ["tls", "names"] => {
                inner(table, "tls", &name)?.insert("names".to_owned(), list(&text));
            }
            ["tls", "redirect"] => {
                let redirect = text.trim().parse().map_err(|_| refuse(&name, "it takes true or false"))?;
                inner(table, "tls", &name)?.insert("redirect".to_owned(), Value::Boolean(redirect));
            }
            ["tls", key @ ("certificate" | "key")] => {
                inner(table, "tls", &name)?.insert(key.to_owned(), Value::String(text));
            }
            ["listen", key @ ("http" | "rtmp" | "webrtc" | "https" | "rtmps" | "whip")] => {
                inner(table, "listen", &name)?.insert(key.to_owned(), Value::String(text));
            }
            ["limits", key @ ("viewers" | "publishers" | "image_bytes")] => {
                let number = whole(&text, &name)?;
                inner(table, "limits", &name)?.insert(key.to_owned(), number);
            }
            [
                "show",
                index,
                key @ ("id" | "title" | "stream_key" | "source" | "backup_stream_key" | "backup_source" | "locale"
                | "theme"),
            ] => {
                show(table, index, &name)?.insert(key.to_owned(), Value::String(text));
            }
            ["show", index, "canvas", key @ ("width" | "height" | "fps")] => {
                let number = whole(&text, &name)?;
                inner(show(table, index, &name)?, "canvas", &name)?.insert(key.to_owned(), number);
            }
            ["show", index, "canvas", "fit"] => {
                inner(show(table, index, &name)?, "canvas", &name)?.insert("fit".to_owned(), Value::String(text));
            }
            ["listen" | "limits" | "show" | "tls", _, ..] => {
                return Err(refuse(&name, "no such key; samples/hawker.toml lists them all"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn show<'a>(table: &'a mut Table, index: &str, name: &str) -> Result<&'a mut Table, Error> {
    let shows = table.entry("show").or_insert_with(|| Value::Array(Vec::new()));
    let shows = shows.as_array_mut().ok_or_else(|| refuse(name, "the file's `show` is not a list"))?;
    let index: usize = index.parse().map_err(|_| refuse(name, "a show goes by its number, from 0"))?;
    if index == shows.len() {
        shows.push(Value::Table(Table::new()));
    }
    let show = shows.get_mut(index).and_then(Value::as_table_mut);
    show.ok_or_else(|| refuse(name, "shows are numbered from 0 without a gap, those of the file first"))
}

fn inner<'a>(table: &'a mut Table, key: &str, name: &str) -> Result<&'a mut Table, Error> {
    let value = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
    value.as_table_mut().ok_or_else(|| refuse(name, "the file has something else than a table there"))
}

fn list(text: &str) -> Value {
    Value::Array(text.split(',').map(|entry| Value::String(entry.trim().to_owned())).collect())
}

fn whole(text: &str, name: &str) -> Result<Value, Error> {
    text.trim().parse().map(Value::Integer).map_err(|_| refuse(name, "it takes a whole number"))
}

fn refuse(name: &str, problem: &'static str) -> Error {
    Error::Environment { name: name.to_owned(), problem }
}

const PREFIX: &str = "HAWKER_";
