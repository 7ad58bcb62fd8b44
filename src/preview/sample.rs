//! What a preview shows: a layer's values by kind, with the moments at which they come, change and go.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Error, read};
use crate::overlay::Photo;

/// Layers by kind, with their pictures loaded.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub layers: BTreeMap<String, Layer>,
}

/// One layer. Moments are seconds of the preview.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    pub values: Map<String, Value>,
    /// By the name that the template calls them.
    pub images: BTreeMap<String, Arc<Photo>>,
    /// Its digits count down to here, where `ended` becomes true.
    pub ends_in: Option<f64>,
    /// There from the beginning when absent.
    pub enters_at: Option<f64>,
    /// Stays when absent.
    pub exits_at: Option<f64>,
    /// Values that take the place of earlier ones.
    pub then: Vec<(f64, Map<String, Value>)>,
}

/// A layer as it is written down.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    ends_in: Option<Seconds>,
    #[serde(default)]
    enters_at: Option<Seconds>,
    #[serde(default)]
    exits_at: Option<Seconds>,
    #[serde(default)]
    images: BTreeMap<String, PathBuf>,
    #[serde(default)]
    then: Vec<Then>,
    #[serde(flatten)]
    values: Map<String, Value>,
}

#[derive(Deserialize)]
struct Then {
    at: Seconds,
    #[serde(flatten)]
    values: Map<String, Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Seconds(f64);

impl TryFrom<f64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Seconds, &'static str> {
        if seconds.abs() <= MOST_SECONDS { Ok(Seconds(seconds)) } else { Err("that many seconds are not counted here") }
    }
}

impl Sample {
    /// Reads a file: of `kind` alone, or of several by kind. Pictures are found from its folder.
    pub fn read(file: &Path, kind: Option<&str>) -> Result<Sample, Error> {
        let bytes = read(file)?;
        let wrong = |line, reason: String| Error::Data { file: file.to_owned(), line, reason };
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            wrong(before.iter().filter(|byte| **byte == b'\n').count() + 1, "this is not UTF-8".to_owned())
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        Sample::parse(&text, kind, folder, read).map_err(|refused| match refused {
            Refused::Json(error) => {
                let reason = error.to_string();
                let reason = reason.rsplit_once(" at line ").map_or(&*reason, |(reason, _)| reason);
                wrong(error.line().max(1), reason.to_owned())
            }
            Refused::Picture(error) => error,
        })
    }

    /// What is shown when nothing is given: a lipstick on offer, in those kinds that `known` holds of; or `kind` alone.
    pub fn built_in(kind: Option<&str>, known: impl Fn(&str) -> bool) -> Sample {
        // The one picture that it names.
        let photo = |_: &Path| Ok(PHOTO.to_vec());
        let mut sample = Sample::parse(BUILT_IN, None, Path::new(""), photo).unwrap_or_default();
        sample.layers.retain(|layer, _| kind.map_or(known(layer), |kind| layer == kind));
        if let Some(kind) = kind {
            sample.layers.entry(kind.to_owned()).or_default();
        }
        sample
    }

    /// `load` reads the files of its pictures.
    fn parse(
        text: &str,
        kind: Option<&str>,
        folder: &Path,
        load: impl Fn(&Path) -> Result<Vec<u8>, Error>,
    ) -> Result<Sample, Refused> {
        let layers =
            written(text, kind)?.into_iter().map(|(kind, written)| Ok((kind, Layer::of(written, folder, &load)?)));
        Ok(Sample { layers: layers.collect::<Result<_, Refused>>()? })
    }

    /// For a film: what says nothing of its coming and going comes a little after its beginning, and goes a little before its
    /// end if there is time to look at it.
    pub fn come_and_go(&mut self, from: f64, until: f64) {
        for layer in self.layers.values_mut().filter(|layer| layer.enters_at.is_none() && layer.exits_at.is_none()) {
            layer.enters_at = Some(from + 0.5);
            layer.exits_at = (until - from >= 3.0).then_some(until - 1.0);
        }
    }

    /// The pictures that a file names, unread. None while it does not read.
    pub fn pictures(file: &Path, kind: Option<&str>) -> Vec<PathBuf> {
        let text = fs::read_to_string(file).unwrap_or_default();
        let folder = file.parent().unwrap_or(Path::new(""));
        let layers = written(&text, kind).unwrap_or_default().into_values();
        layers.flat_map(|layer| layer.images.into_values()).map(|picture| folder.join(picture)).collect()
    }
}

fn written(text: &str, kind: Option<&str>) -> Result<BTreeMap<String, Written>, serde_json::Error> {
    match kind {
        Some(kind) => Ok(BTreeMap::from([(kind.to_owned(), serde_json::from_str(text)?)])),
        None => serde_json::from_str(text),
    }
}

impl Layer {
    fn of(written: Written, folder: &Path, load: impl Fn(&Path) -> Result<Vec<u8>, Error>) -> Result<Layer, Error> {
        let Written { ends_in, enters_at, exits_at, images: named, then, values } = written;
        let mut images = BTreeMap::new();
        for (name, file) in named {
            let file = folder.join(file);
            let photo = Photo::decode(&load(&file)?).map_err(|source| Error::Picture { file: file.clone(), source })?;
            images.insert(name, Arc::new(photo));
        }
        let [ends_in, enters_at, exits_at] = [ends_in, enters_at, exits_at].map(|at| at.map(|Seconds(at)| at));
        let mut then: Vec<_> = then.into_iter().map(|then| (then.at.0, then.values)).collect();
        then.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Ok(Layer { values, images, ends_in, enters_at, exits_at, then })
    }
}

/// Why a sample was not taken.
enum Refused {
    Json(serde_json::Error),
    Picture(Error),
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Refused {
        Refused::Json(error)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Picture(error)
    }
}

/// Eleven days.
const MOST_SECONDS: f64 = 1e6;
const BUILT_IN: &str = include_str!("../../samples/scene.json");
const PHOTO: &[u8] = include_bytes!("../../samples/products/lipstick.jpg");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_sample_reads_and_shows_a_picture() {
        let sample = Sample::built_in(None, |_| true);
        assert!(sample.layers["card"].images.contains_key("photo"));
        assert!(sample.layers["countdown"].ends_in.is_some());
        assert!(!sample.layers["card"].values.contains_key("images"));
        assert_eq!(Sample::built_in(Some("card"), |_| true).layers.len(), 1);
        assert!(Sample::built_in(Some("mine"), |_| true).layers["mine"].values.is_empty());
    }

    #[test]
    fn what_says_nothing_of_its_time_comes_and_goes_in_a_film() {
        let mut sample = Sample::parse(r#"{"a": {}, "b": {"enters_at": 2}}"#, None, Path::new(""), read).ok().unwrap();
        sample.come_and_go(1.0, 6.0);
        assert_eq!((sample.layers["a"].enters_at, sample.layers["a"].exits_at), (Some(1.5), Some(5.0)));
        assert_eq!((sample.layers["b"].enters_at, sample.layers["b"].exits_at), (Some(2.0), None));
        let mut short = Sample::parse(r#"{"a": {}}"#, None, Path::new(""), read).ok().unwrap();
        short.come_and_go(0.0, 2.0);
        assert_eq!(short.layers["a"].exits_at, None);
    }
}
